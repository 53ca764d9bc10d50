"""Filtering of signals that are too long for memory: passes over signals kept in a store.

The zero-phase result equals `scipy.signal.sosfiltfilt` on the whole, to the bit: the state of each pass is carried from
block to block, and the ends are padded as SciPy pads them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy

from ecogpipe.errors import FilterError
from ecogpipe.signal.filters import Phase, padding_length
from ecogpipe.signal.sosfilt import sosfilt_frames

Array: TypeAlias = npt.NDArray[np.float64]


class FrameStore(Protocol):
    """Signals, (channels, time), kept outside of memory."""

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def append(self, block: Array) -> None:
        """Add a block after the last frame."""
        ...

    def read(self, start: int, stop: int) -> Array:
        """Read frames [start, stop)."""
        ...

    def replace(self, start: int, block: Array) -> None:
        """Replace the frames from `start` on by those of a block."""
        ...


@dataclass(frozen=True)
class Gap:
    """A run of samples of one channel that are not finite: [start, stop), and the finite values on both sides."""

    channel: int
    start: int
    stop: int
    before: float
    after: float


class GapFinder:
    """Finds the gaps of signals that arrive in blocks."""

    def __init__(self) -> None:
        self.gaps: list[Gap] = []
        self._open: dict[int, tuple[int, float]] = {}
        self._last: Array | None = None
        self._n_samples = 0

    def push(self, block: Array) -> None:
        """Take the next samples, (channels, time)."""
        bad = ~np.isfinite(block)
        if bad.any() or self._open:
            for channel in np.flatnonzero(bad.any(axis=1) | self._is_open(len(block))):
                self._push_channel(int(channel), block[channel], bad[channel])
        if block.shape[1]:
            self._last = block[:, -1].copy()
        self._n_samples += block.shape[1]

    @property
    def has_found(self) -> bool:
        """Whether there was a gap so far."""
        return bool(self.gaps or self._open)

    def finish(self) -> list[Gap]:
        """Return all gaps; one that reaches an end of the recording has the nearest value on that side too."""
        for channel, (start, before) in sorted(self._open.items()):
            self.gaps.append(_closed(channel, start, self._n_samples, before, np.nan))
        self._open = {}
        # As they close they come in an order that depends on the blocks.
        self.gaps.sort(key=lambda gap: (gap.channel, gap.start))
        return self.gaps

    def _is_open(self, n_channels: int) -> npt.NDArray[np.bool_]:
        is_open = np.zeros(n_channels, dtype=bool)
        is_open[list(self._open)] = True
        return is_open

    def _push_channel(self, channel: int, samples: Array, bad: npt.NDArray[np.bool_]) -> None:
        borders = np.flatnonzero(np.diff(bad, prepend=channel in self._open))
        for place in borders:
            if bad[place]:
                before = samples[place - 1] if place else self._last_value(channel)
                self._open[channel] = (self._n_samples + int(place), float(before))
            else:
                start, before = self._open.pop(channel)
                self.gaps.append(_closed(channel, start, self._n_samples + int(place), before, float(samples[place])))

    def _last_value(self, channel: int) -> float:
        return float(self._last[channel]) if self._last is not None else np.nan


def bridge(block: Array, first_sample: int, gaps: Sequence[Gap]) -> None:
    """Fill the gaps of a block in place, linearly between the values on both sides."""
    for gap, inside, positions in _inside(block, first_sample, gaps):
        share = (positions - gap.start + 1) / (gap.stop - gap.start + 1)
        block[gap.channel, inside] = gap.before + (gap.after - gap.before) * share


def restore(block: Array, first_sample: int, gaps: Sequence[Gap]) -> None:
    """Make the gaps of a block NaN again, in place."""
    for gap, inside, _ in _inside(block, first_sample, gaps):
        block[gap.channel, inside] = np.nan


class SosPasses:
    """Filters signals that arrive in blocks, forwards, or forwards and backwards; equal to SciPy on the whole.

    The forward pass goes along with the blocks. What waits to be repaired, and all that comes after it, is left to
    `finish`; the bits are the same.

    Parameters
    ----------
    store
        An empty store; it keeps the signals as they are after the forward pass.
    sos
        Second-order sections.
    phase
        'zero' equals `scipy.signal.sosfiltfilt`, 'causal' `scipy.signal.sosfilt` from the steady state of the first
        sample.
    """

    def __init__(self, store: FrameStore, sos: Array, phase: Phase) -> None:
        self._store, self._passing, self._phase = store, _Pass(sos), phase
        self._padding = padding_length(sos) if phase == "zero" else 0
        self._last: Array = np.empty((0, 0))
        self._n_passed = 0

    def push(self, block: Array, waits: bool = False) -> None:
        """Take the next samples, (channels, time), for good; they may wait to be repaired in the store."""
        can_begin = self._n_passed > 0 or block.shape[1] > self._padding
        if waits or self._n_passed < len(self._store) or not can_begin:
            self._store.append(block)
            return
        if not self._n_passed:
            self._begin(block)
        self._store.append(self._forward(block))

    def finish(self, length: int, gaps: Sequence[Gap] = ()) -> Iterator[tuple[int, Array]]:
        """Yield finished blocks of so many samples, and where they begin; with zero phase, the last one comes first.

        Samples that waited are repaired first: the gaps among them are bridged.

        Raises
        ------
        FilterError
            If there are not more samples than the padding needs.
        """
        n_samples = len(self._store)
        if n_samples <= self._padding:
            raise FilterError(
                f"The recording has {n_samples} samples at the new rate; this filter needs more than "
                f"{self._padding} of them for its padding; use a longer recording, a lower order, or no filter."
            )
        self._repair(gaps, length)
        if not self._n_passed:
            self._begin(self._store.read(0, self._padding + 1))
        for start, stop in _stretches(self._n_passed, n_samples, length):
            self._store.replace(start, self._forward(self._store.read(start, stop)))
        if self._phase == "zero":
            yield from self._backward(length)
        else:
            yield from ((start, self._store.read(start, stop)) for start, stop in _stretches(0, n_samples, length))

    def _repair(self, gaps: Sequence[Gap], length: int) -> None:
        first_gap = min((gap.start for gap in gaps), default=len(self._store))
        for start, stop in _stretches(first_gap, len(self._store), length):
            block = self._store.read(start, stop)
            bridge(block, start, gaps)
            self._store.replace(start, block)

    def _begin(self, first: Array) -> None:
        """Pass the padding that precedes the first sample, if there is one."""
        self._last = first[:, :0]
        if not self._padding:
            self._passing.start_at(first[:, :1])
            return
        before = 2 * first[:, :1] - first[:, self._padding : 0 : -1]
        self._passing.start_at(before[:, :1])
        self._passing.push(before)

    def _forward(self, block: Array) -> Array:
        n_last = self._padding + 1
        self._last = np.concatenate([self._last, block[:, -n_last:]], axis=1)[:, -n_last:]
        self._n_passed += block.shape[1]
        return self._passing.push(block)

    def _backward(self, length: int) -> Iterator[tuple[int, Array]]:
        after = self._passing.push(2 * self._last[:, -1:] - self._last[:, -2::-1])
        self._passing.start_at(after[:, -1:])
        self._passing.push(after, backwards=True)
        for start, stop in reversed(_stretches(0, len(self._store), length)):
            yield start, self._passing.push(self._store.read(start, stop), backwards=True)


class _Pass:
    """One direction of filtering: blocks in, blocks out, the state kept in between."""

    def __init__(self, sos: Array) -> None:
        self._sos = np.array(sos, dtype=np.float64, order="C")
        if (self._sos[:, 3] != 1).any():
            raise FilterError("The sections of the filter are not scaled to a0 = 1; divide each row of sos by its a0.")
        self._state: Array = np.empty(0)

    def start_at(self, first: Array) -> None:
        """Begin in the steady state of the first sample of each channel, (channels, 1)."""
        self._state = np.ascontiguousarray(scipy.signal.sosfilt_zi(self._sos)[:, :, None] * first[:, 0])

    def push(self, block: Array, backwards: bool = False) -> Array:
        """Filter the next samples, (channels, time), in place if they lie frame after frame.

        Backwards, they are those before the ones of the last call.
        """
        frames = np.require(block.T, np.float64, ["C", "W"])
        sosfilt_frames(frames, self._sos, self._state, backwards)
        return frames.T


def _stretches(first: int, end: int, length: int) -> list[tuple[int, int]]:
    return [(start, min(start + length, end)) for start in range(first, end, length)]


def _inside(block: Array, first_sample: int, gaps: Sequence[Gap]) -> Iterator[tuple[Gap, slice, npt.NDArray[np.intp]]]:
    stop_sample = first_sample + block.shape[1]
    for gap in gaps:
        start, stop = max(gap.start, first_sample), min(gap.stop, stop_sample)
        if start < stop:
            yield gap, slice(start - first_sample, stop - first_sample), np.arange(start, stop)


def _closed(channel: int, start: int, stop: int, before: float, after: float) -> Gap:
    """Return a gap whose missing side takes the value of the other one; a channel without any value is bridged by 0."""
    if not np.isfinite(before):
        before = after if np.isfinite(after) else 0.0
    return Gap(channel, start, stop, before, after if np.isfinite(after) else before)
