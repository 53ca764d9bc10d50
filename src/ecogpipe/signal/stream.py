"""Filtering of signals that are too long for memory: passes over blocks kept in a store.

The zero-phase result equals `scipy.signal.sosfiltfilt` on the whole, to the bit: the state of each pass is carried from
block to block, and the ends are padded as SciPy pads them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import signal

from ecogpipe.errors import FilterError
from ecogpipe.signal.filters import padding_length

Array: TypeAlias = npt.NDArray[np.float64]


class BlockStore(Protocol):
    """Blocks of (channels, time) in a row, kept outside of memory."""

    def __len__(self) -> int:
        """Number of blocks."""
        ...

    def read(self, number: int) -> Array:
        """Read a block."""
        ...

    def replace(self, number: int, block: Array) -> None:
        """Replace a block by another of its shape."""
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

    def finish(self) -> list[Gap]:
        """Return all gaps; one that reaches an end of the recording has the nearest value on that side too."""
        for channel, (start, before) in sorted(self._open.items()):
            self.gaps.append(_closed(channel, start, self._n_samples, before, np.nan))
        self._open = {}
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


def zero_phase(store: BlockStore, sos: Array, n_samples: int) -> Iterator[tuple[int, Array]]:
    """Filter what a store holds forwards and backwards; yield the finished blocks, the last one first.

    Parameters
    ----------
    store
        Blocks of finite float64 signals; they are replaced by the result of the forward pass.
    sos
        Second-order sections.
    n_samples
        Samples that the store holds in all.

    Yields
    ------
    tuple of (int, ndarray)
        Number of the block, and the block as filtered.

    Raises
    ------
    FilterError
        If there are not more samples than the padding needs.
    """
    padding = padding_length(sos)
    if n_samples <= padding:
        raise FilterError(
            f"The recording has {n_samples} samples at the new rate; this filter needs more than {padding} of them "
            "for its padding; use a longer recording, a lower order, or no filter."
        )
    passing = _Pass(sos)
    after = _forward(store, passing, padding)
    yield from _backward(store, passing, after)


def causal(store: BlockStore, sos: Array) -> Iterator[tuple[int, Array]]:
    """Filter what a store holds forwards only, from the steady state of its first sample; yield blocks in order.

    Parameters
    ----------
    store
        Blocks of finite float64 signals.
    sos
        Second-order sections.
    """
    passing = _Pass(sos)
    passing.start_at(_first_samples(store, 1))
    for number in range(len(store)):
        yield number, passing.push(store.read(number))


class _Pass:
    """One direction of filtering: blocks in, blocks out, the state kept in between."""

    def __init__(self, sos: Array) -> None:
        self._sos = sos
        self._state: Array = np.empty(0)

    def start_at(self, first: Array) -> None:
        """Begin in the steady state of the first sample of each channel, (channels, 1)."""
        self._state = signal.sosfilt_zi(self._sos)[:, None, :] * first[None, :, :]

    def push(self, block: Array) -> Array:
        out, self._state = signal.sosfilt(self._sos, block, zi=self._state)
        return np.asarray(out)


def _forward(store: BlockStore, passing: _Pass, padding: int) -> Array:
    """Run the forward pass over the store; return the filtered padding that follows the last sample."""
    head, tail = _first_samples(store, padding + 1), _last_samples(store, padding + 1)
    before = 2 * head[:, :1] - head[:, :0:-1]
    after = 2 * tail[:, -1:] - tail[:, -2::-1]
    passing.start_at(before[:, :1])
    passing.push(before)
    for number in range(len(store)):
        store.replace(number, passing.push(store.read(number)))
    return passing.push(after)


def _backward(store: BlockStore, passing: _Pass, after: Array) -> Iterator[tuple[int, Array]]:
    passing.start_at(after[:, -1:])
    passing.push(np.ascontiguousarray(after[:, ::-1]))
    for number in reversed(range(len(store))):
        yield number, passing.push(np.ascontiguousarray(store.read(number)[:, ::-1]))[:, ::-1]


def _first_samples(store: BlockStore, n: int) -> Array:
    return _gather(store, range(len(store)), n)[:, :n]


def _last_samples(store: BlockStore, n: int) -> Array:
    return _gather(store, range(len(store) - 1, -1, -1), n)[:, -n:]


def _gather(store: BlockStore, numbers: range, n: int) -> Array:
    """Read blocks in the order of `numbers` until they hold `n` samples; return them in the order of time."""
    blocks: list[Array] = []
    for number in numbers:
        blocks.append(store.read(number))
        if sum(block.shape[1] for block in blocks) >= n:
            break
    return np.concatenate(blocks[:: numbers.step], axis=1)


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
