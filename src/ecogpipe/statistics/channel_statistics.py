"""Numbers of channels over all samples of a recording, in one streaming pass.

Results do not depend on how the samples arrive: `FrameBlocks` cuts whatever comes into blocks of `FRAMES` frames
counted from frame 0, each in one memory layout, and every accumulator is fed from those.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ecogpipe.statistics import line_noise
from ecogpipe.statistics.correlation import Correlation, WindowSums
from ecogpipe.statistics.line_noise import Mains
from ecogpipe.statistics.saturation import Rail

FRAMES = 1024
"""Frames of one fixed block; part of what the numbers are, to the last bit."""

Scaling = Literal["value", "spread", "change", "none"]
"""How a number becomes one of slope * raw + intercept: by both, by abs(slope), by slope, or not at all."""

NUMBERS: Mapping[str, Scaling] = {
    "mean": "value",
    "std": "spread",
    "min": "value",
    "max": "value",
    "drift": "change",
    "n_nonfinite": "none",
    "flat_fraction": "none",
    "stuck_fraction": "none",
    "rail_fraction": "none",
    "hf_rms": "spread",
    "line50_rms": "spread",
    "line60_rms": "spread",
}
"""The numbers that `FrameNumbers` gives, and how each is brought to units.

`hf_rms` is the RMS of first differences, so it goes with the highest frequencies.
"""

_PER_HOUR = 3600

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

        A yielded block may be a view of `block`.
        """
        start = 0
        if self._n_waiting:
            start = min(FRAMES - self._n_waiting, block.shape[1])
            self._keep(block[:, :start])
            if self._n_waiting < FRAMES:
                return
            whole, self._waiting, self._n_waiting = self._waiting, np.empty_like(self._waiting), 0
            yield whole
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


def working_bytes(n_channels: int, dtype: npt.DTypeLike, rate: float) -> int:
    """Return the bytes that `FrameNumbers` holds at once: copies of a block in the dtype and in float64, and waves.

    The correlation has its own, `ecogpipe.statistics.correlation.working_bytes`.
    """
    float_bytes = np.dtype(np.float64).itemsize
    waves = 2 * len(line_noise.MAINS_HZ) * line_noise.blocks_per_tile(rate, FRAMES) * FRAMES * float_bytes
    blocks = FRAMES * n_channels * (2 * np.dtype(dtype).itemsize + 4 * float_bytes)
    return blocks + waves


class FrameNumbers:
    """Numbers of every channel, from the fixed blocks of `FrameBlocks`, (frames, channels).

    Means and deviations are merged from blocks by the formulas of Chan, so a large offset costs no precision.
    Samples that are NaN or infinite are counted, and left out of everything else.

    Of the first `n_compared` channels it finds the `correlation` too.
    """

    def __init__(self, n_channels: int, rate: float, n_compared: int = 0) -> None:
        self._n_samples, self._rate = 0, rate
        self._n: Counts = np.zeros(n_channels, np.int64)
        self._mean: Floats = np.zeros(n_channels)
        self._squares: Floats = np.zeros(n_channels)
        self._min: Floats = np.full(n_channels, np.inf)
        self._max: Floats = np.full(n_channels, -np.inf)
        self._drift = _Drift(n_channels)
        self._steps = _Steps(n_channels)
        self._low = Rail(n_channels)
        self._high = Rail(n_channels)
        self._mains = Mains(n_channels, rate, FRAMES)
        self._windows = WindowSums(n_channels, rate)
        self._n_compared = n_compared
        self.correlation = Correlation(n_compared)

    def update(self, frames: Samples) -> None:
        """Take the next block of frames."""
        values: Floats = np.asarray(frames, np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            windows, total = self._windows.update(values)
            self.correlation.update(windows[:, : self._n_compared])
        finite = None if np.isfinite(total).all() else np.isfinite(values)
        n = np.full(len(total), len(values)) if finite is None else finite.sum(axis=0)
        if finite is not None:
            total = np.where(finite, values, 0.0).sum(axis=0)
        lowest, highest = _extremes(values, finite)
        mean, squares = _moments(values, total, n, finite)
        self._drift.update(self._n_samples + len(values) / 2, n, mean)
        self._merge(n, mean, squares)
        np.minimum(self._min, lowest, out=self._min)
        np.maximum(self._max, highest, out=self._max)
        self._steps.update(values, finite)
        self._low.update(values, lowest, sign=-1)
        self._high.update(values, highest, sign=1)
        self._mains.update(values if finite is None else np.where(finite, values, mean), mean)
        self._n_samples += len(values)

    def result(self) -> dict[str, Floats]:
        """Return the numbers so far, in raw units; NaN where a channel has no finite sample."""
        none = self._n == 0
        railed = self._high.count + np.where(self._min == self._max, 0, self._low.count)
        line50, line60 = np.where(none, np.nan, self._mains.result())
        return {
            "mean": np.where(none, np.nan, self._mean),
            "std": np.sqrt(_ratio(self._squares, self._n)),
            "min": np.where(none, np.nan, self._min),
            "max": np.where(none, np.nan, self._max),
            "drift": self._drift.slope() * self._rate * _PER_HOUR,
            "n_nonfinite": (self._n_samples - self._n).astype(np.float64),
            "flat_fraction": _ratio(self._steps.n_flat, self._steps.n),
            "stuck_fraction": np.where(none, np.nan, _ratio(self._steps.n_stuck, self._n_samples)),
            "rail_fraction": _ratio(railed, self._n),
            "hf_rms": np.sqrt(_ratio(self._steps.squares, self._steps.n)),
            "line50_rms": line50,
            "line60_rms": line60,
        }

    def _merge(self, n: Counts, mean: Floats, squares: Floats) -> None:
        total = self._n + n
        share = _ratio(n, total, empty=0.0)
        difference = mean - self._mean
        self._squares += squares + difference**2 * share * self._n
        self._mean += difference * share
        self._n = total


class _Drift:
    """The straight line through the means of the blocks of every channel, by the formulas of Chan."""

    def __init__(self, n_channels: int) -> None:
        self._n: Counts = np.zeros(n_channels, np.int64)
        self._time, self._mean, self._times, self._products = np.zeros((4, n_channels))

    def update(self, time: float, n: Counts, mean: Floats) -> None:
        """Take the mean of the next block, of `n` finite samples around `time` (in frames)."""
        before, self._n = self._n, self._n + n
        share = _ratio(n, self._n, empty=0.0)
        later, higher = time - self._time, mean - self._mean
        self._times += later**2 * share * before
        self._products += later * higher * share * before
        self._time += later * share
        self._mean += higher * share

    def slope(self) -> Floats:
        """Return the change per frame; 0 where all is one block, NaN where nothing is finite."""
        return np.where(self._n == 0, np.nan, _ratio(self._products, self._times, empty=0.0))


class _Steps:
    """First differences of every channel.

    Attributes
    ----------
    n, n_flat : ndarray of int64
        How many there are, and how many of them are zero.
    n_stuck : ndarray of int64
        Frames of the blocks in which a channel does not change at all.
    squares : ndarray of float64
        The sum of their squares.
    """

    def __init__(self, n_channels: int) -> None:
        self.n: Counts = np.zeros(n_channels, np.int64)
        self.n_flat: Counts = np.zeros(n_channels, np.int64)
        self.n_stuck: Counts = np.zeros(n_channels, np.int64)
        self.squares: Floats = np.zeros(n_channels)
        self._last: Floats = np.empty((0, n_channels))

    def update(self, values: Floats, finite: Bools | None) -> None:
        self._add(np.concatenate([self._last, values[:1]]), finite)
        n_flat = self._add(values, finite)
        if len(values) > 1:
            self.n_stuck += np.where(n_flat == len(values) - 1, len(values), 0)
        self._last = values[-1:].copy()

    def _add(self, values: Floats, finite: Bools | None) -> Counts:
        """Take successive frames; returns how many of their steps are zero, per channel."""
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
        n_flat = _count(flat) if flat.any() else np.zeros_like(self.n)
        self.n_flat += n_flat
        return n_flat


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
    turned_over = {"min": "max", "max": "min"} if slope < 0 else {}
    return {
        name: _scaled(numbers[turned_over.get(name, name)], NUMBERS.get(name, "none"), slope, intercept)
        for name in numbers
    }


def _scaled(values: Floats, scaling: Scaling, slope: float, intercept: float) -> Floats:
    if scaling == "value":
        return slope * values + intercept
    return {"spread": abs(slope) * values, "change": slope * values}.get(scaling, values)
