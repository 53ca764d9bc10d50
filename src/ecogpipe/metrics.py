"""Numbers of channels over all samples of a recording, in one streaming pass.

Results do not depend on how the samples arrive: `FrameBlocks` cuts whatever comes into blocks of `FRAMES` frames
counted from frame 0, each in one memory layout, and every accumulator is fed from those.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ecogpipe.rails import Rail

FRAMES = 1024
"""Frames of one fixed block; part of what the numbers are, to the last bit."""

NUMBERS = ("mean", "std", "min", "max", "n_nonfinite", "flat_fraction", "rail_fraction", "hf_rms")
"""Names of the numbers that `ChannelNumbers` gives."""

Samples = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class FrameBlocks:
    """Cut blocks of any length into fixed ones, counted from frame 0.

    Parameters
    ----------
    n_channels : int
        Channels of the recording.
    dtype : dtype
        Type of the samples, kept.

    Examples
    --------
    >>> blocks = FrameBlocks(2, np.dtype("int16"))
    >>> [piece.shape for piece in blocks.push(np.zeros((2, 1500), "int16"))]
    [(1024, 2)]
    >>> [piece.shape for piece in blocks.rest()]
    [(476, 2)]
    """

    def __init__(self, n_channels: int, dtype: npt.DTypeLike) -> None:
        self._waiting: Samples = np.empty((FRAMES, n_channels), dtype)
        self._n_waiting = 0

    def push(self, block: Samples) -> Iterator[Samples]:
        """Yield the blocks of `FRAMES` frames, (frames, channels) in C order, that `block` (channels, time) completes.

        A yielded block is valid until the next one is asked for.
        """
        start = 0
        if self._n_waiting:
            start = min(FRAMES - self._n_waiting, block.shape[1])
            self._keep(block[:, :start])
            if self._n_waiting < FRAMES:
                return
            self._n_waiting = 0
            yield self._waiting
        stop = start + (block.shape[1] - start) // FRAMES * FRAMES
        for first in range(start, stop, FRAMES):
            yield np.ascontiguousarray(block[:, first : first + FRAMES].T)
        self._keep(block[:, stop:])

    def rest(self) -> Iterator[Samples]:
        """Yield the frames that are left, fewer than `FRAMES`, if there are any."""
        if self._n_waiting:
            yield self._waiting[: self._n_waiting]
            self._n_waiting = 0

    def _keep(self, block: Samples) -> None:
        end = self._n_waiting + block.shape[1]
        self._waiting[self._n_waiting : end] = block.T
        self._n_waiting = end


def working_bytes(n_channels: int, dtype: npt.DTypeLike) -> int:
    """Return the bytes that `ChannelNumbers` holds at once: copies of a block in the dtype and in float64."""
    return FRAMES * n_channels * (2 * np.dtype(dtype).itemsize + 4 * np.dtype(np.float64).itemsize)


class ChannelNumbers:
    """Numbers of every channel, from blocks of any length.

    Means and deviations are merged from blocks by the formulas of Chan, so a large offset costs no precision.
    Samples that are NaN or infinite are counted, and left out of everything else.

    Parameters
    ----------
    n_channels : int
        Channels of the recording.
    dtype : dtype
        Type of the samples.

    Examples
    --------
    >>> numbers = ChannelNumbers(1, "int16")
    >>> numbers.update(np.array([[1, 1, 4]], dtype="int16"))
    >>> float(numbers.result()["mean"][0])
    2.0
    """

    def __init__(self, n_channels: int, dtype: npt.DTypeLike) -> None:
        self._blocks = FrameBlocks(n_channels, dtype)
        self._frames = FrameNumbers(n_channels)

    def update(self, block: Samples) -> None:
        """Take the next samples, (channels, time)."""
        for frames in self._blocks.push(block):
            self._frames.update(frames)

    def result(self) -> dict[str, Floats]:
        """Return one array over the channels per name in `NUMBERS`; to be called once, after the last block."""
        for frames in self._blocks.rest():
            self._frames.update(frames)
        return self._frames.result()


class FrameNumbers:
    """The accumulator below `ChannelNumbers`: takes the fixed blocks of `FrameBlocks`, (frames, channels)."""

    def __init__(self, n_channels: int) -> None:
        self._n_samples = 0
        self._n: Counts = np.zeros(n_channels, np.int64)
        self._mean: Floats = np.zeros(n_channels)
        self._squares: Floats = np.zeros(n_channels)
        self._min: Floats = np.full(n_channels, np.inf)
        self._max: Floats = np.full(n_channels, -np.inf)
        self._steps = _Steps(n_channels)
        self._low = Rail(n_channels)
        self._high = Rail(n_channels)

    def update(self, frames: Samples) -> None:
        """Take the next block of frames."""
        values: Floats = np.asarray(frames, np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            total = values.sum(axis=0)
        finite = None if np.isfinite(total).all() else np.isfinite(values)
        n = np.full(len(total), len(values)) if finite is None else finite.sum(axis=0)
        if finite is not None:
            total = np.where(finite, values, 0.0).sum(axis=0)
        lowest, highest = _extremes(values, finite)
        self._merge(n, *_moments(values, total, n, finite))
        np.minimum(self._min, lowest, out=self._min)
        np.maximum(self._max, highest, out=self._max)
        self._steps.update(values, finite)
        self._low.update(values, lowest, sign=-1)
        self._high.update(values, highest, sign=1)
        self._n_samples += len(values)

    def result(self) -> dict[str, Floats]:
        """Return the numbers so far, in raw units; NaN where a channel has no finite sample."""
        none = self._n == 0
        railed = self._high.count + np.where(self._min == self._max, 0, self._low.count)
        return {
            "mean": np.where(none, np.nan, self._mean),
            "std": np.sqrt(_ratio(self._squares, self._n)),
            "min": np.where(none, np.nan, self._min),
            "max": np.where(none, np.nan, self._max),
            "n_nonfinite": (self._n_samples - self._n).astype(np.float64),
            "flat_fraction": _ratio(self._steps.n_flat, self._steps.n),
            "rail_fraction": _ratio(railed, self._n),
            "hf_rms": np.sqrt(_ratio(self._steps.squares, self._steps.n)),
        }

    def _merge(self, n: Counts, mean: Floats, squares: Floats) -> None:
        total = self._n + n
        share = _ratio(n, total, empty=0.0)
        difference = mean - self._mean
        self._squares += squares + difference**2 * share * self._n
        self._mean += difference * share
        self._n = total


class _Steps:
    """First differences of every channel: how many there are, how many are zero, and the sum of their squares."""

    def __init__(self, n_channels: int) -> None:
        self.n: Counts = np.zeros(n_channels, np.int64)
        self.n_flat: Counts = np.zeros(n_channels, np.int64)
        self.squares: Floats = np.zeros(n_channels)
        self._last: Floats = np.empty((0, n_channels))

    def update(self, values: Floats, finite: Bools | None) -> None:
        for pair in (np.concatenate([self._last, values[:1]]), values):
            self._add(pair, finite)
        self._last = values[-1:].copy()

    def _add(self, values: Floats, finite: Bools | None) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            steps = values[1:] - values[:-1]
        if finite is not None or not np.isfinite(values[0]).all():
            both = np.isfinite(steps)
            self.n += both.sum(axis=0)
            steps[~both] = np.nan
            self.squares += np.nansum(steps**2, axis=0)
        else:
            self.n += len(steps)
            self.squares += np.einsum("ij,ij->j", steps, steps)
        flat = steps == 0
        if flat.any():
            self.n_flat += _count(flat)


def _moments(values: Floats, total: Floats, n: Counts, finite: Bools | None) -> tuple[Floats, Floats]:
    """Mean and sum of squared deviations of each column, corrected for the rounding of the mean."""
    mean = _ratio(total, n, empty=0.0)
    with np.errstate(invalid="ignore"):
        deviations = values - mean
    if finite is not None:
        deviations[~finite] = 0.0
    left = deviations.sum(axis=0)
    squares = np.einsum("ij,ij->j", deviations, deviations) - left * _ratio(left, n, empty=0.0)
    return mean + _ratio(left, n, empty=0.0), squares


def _extremes(values: Floats, finite: Bools | None) -> tuple[Floats, Floats]:
    if finite is None:
        return values.min(axis=0), values.max(axis=0)
    return np.where(finite, values, np.inf).min(axis=0), np.where(finite, values, -np.inf).max(axis=0)


def _count(flags: Bools) -> Counts:
    """Count per column; sums of up to 128 flags fit a byte, which is what makes it fast."""
    whole = len(flags) // 128 * 128
    groups = flags[:whole].view(np.uint8).reshape(-1, 128, flags.shape[1]).sum(axis=1, dtype=np.uint8)
    counts: Counts = groups.sum(axis=0, dtype=np.int64) + flags[whole:].sum(axis=0)
    return counts


def _ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike, empty: float = np.nan) -> Floats:
    """Divide, with `empty` where the denominator is 0."""
    top, bottom = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    ratio: Floats = np.full(np.broadcast_shapes(top.shape, bottom.shape), empty)
    np.divide(top, bottom, out=ratio, where=bottom != 0)
    return ratio


def in_units(numbers: dict[str, Floats], slope: float, intercept: float) -> dict[str, Floats]:
    """Return raw numbers as numbers of slope * raw + intercept; counts and fractions stay.

    Examples
    --------
    >>> scaled = in_units({"min": np.array([1.0]), "max": np.array([2.0])}, slope=-3.0, intercept=0.5)
    >>> float(scaled["min"][0]), float(scaled["max"][0])
    (-5.5, -2.5)
    """
    scaled = dict(numbers)
    if slope < 0:
        scaled |= {"min": numbers["max"], "max": numbers["min"]}
    for name in scaled:
        if name in ("mean", "min", "max"):
            scaled[name] = slope * scaled[name] + intercept
        elif name in ("std", "hf_rms"):
            scaled[name] = abs(slope) * scaled[name]
    return scaled
