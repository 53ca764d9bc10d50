"""How the values of several channels lie in a chunk of raw data: one after another, interleaved, or in DAQmx buffers.

Each is the same to a reader: value i of a channel is at ``offset + i * step`` bytes from the chunk's beginning.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, repeat
from typing import Any, TypeAlias

import numpy as np

from ecogpipe.errors import FormatError
from ecogpipe.formats.tdms.metadata import BIG_ENDIAN, INTERLEAVED, NotSupportedError, RawIndex

Stored: TypeAlias = tuple[str, RawIndex]
"""Path of a channel, and how its data are stored."""


@dataclass(frozen=True)
class Entry:
    """Where one channel is in a chunk.

    Attributes
    ----------
    path : str
        Path of the channel.
    dtype : dtype or None
        In the byte order of the file; None where the values are not numbers.
    offset, step : int
        Bytes from the chunk's beginning to the first value, and from one value to the next.
    n_values : int
        Values in the chunk.
    buffer : int
        Where in the chunk the stretch begins that holds this channel's values, and those interleaved with them.
    """

    path: str
    dtype: np.dtype[Any] | None
    offset: int
    step: int
    n_values: int
    buffer: int


@dataclass(frozen=True)
class Layout:
    """A chunk of raw data: its channels, its size, and whether each channel's values stand together."""

    entries: tuple[Entry, ...]
    chunk_bytes: int
    sequential: bool

    @classmethod
    def of(cls, channels: Sequence[Stored], flags: int) -> "Layout":
        """Lay out the channels that have data in a segment with these flags.

        Raises
        ------
        FormatError
            If they cannot be in one segment.
        """
        order = ">" if flags & BIG_ENDIAN else "<"
        n_daqmx = sum(bool(raw_index.scalers) for _, raw_index in channels)
        if 0 < n_daqmx < len(channels):
            raise NotSupportedError("channels with and without DAQmx data are mixed")
        if n_daqmx:
            return _in_buffers(channels, order)
        only_text = len(channels) == 1 and channels[0][1].item_bytes is None
        if flags & INTERLEAVED and not only_text:
            return _interleaved(channels, order)
        return _sequential(channels, order)

    def split(self, n_bytes: int) -> tuple[int, int]:
        """Return how many whole chunks there are in `n_bytes` of data, and the bytes of a last, shorter one."""
        if self.chunk_bytes:
            return divmod(n_bytes, self.chunk_bytes)
        if n_bytes:
            raise FormatError(f"there are {n_bytes} bytes of data, but no channel has any")
        return 0, 0

    def cut(self, n_bytes: int) -> "Layout":
        """Return the layout of a chunk that ends after `n_bytes`, without the frames and channels beyond."""
        if self._has_text():
            return replace(self, entries=(), chunk_bytes=n_bytes)
        entries = tuple(
            replace(entry, n_values=min(entry.n_values, max(0, n_bytes - entry.buffer) // (entry.step or 1)))
            for entry in self.entries
        )
        return replace(self, entries=entries, chunk_bytes=n_bytes)

    def shrunk(self, n_bytes: int) -> "Layout":
        """Return the layout of a chunk that was written with `n_bytes` only: channels are shorter by the same share."""
        if not self.sequential or self._has_text():
            return self.cut(n_bytes)
        lengths = [entry.n_values * n_bytes // self.chunk_bytes for entry in self.entries]
        offsets = accumulate((n * entry.step for n, entry in zip(lengths, self.entries, strict=True)), initial=0)
        entries = tuple(
            replace(entry, n_values=length, offset=offset, buffer=offset)
            for entry, length, offset in zip(self.entries, lengths, offsets, strict=False)
        )
        return replace(self, entries=entries, chunk_bytes=n_bytes)

    def _has_text(self) -> bool:
        """Return whether values differ in size, so that no part of a chunk can be told from its length."""
        return any(entry.step == 0 and entry.n_values for entry in self.entries)


@dataclass
class Run:
    """Chunks of the same layout, `stride` bytes apart.

    Attributes
    ----------
    layout : Layout
        Where the values are in each chunk.
    position : int
        Byte of the file where the first chunk begins.
    stride : int
        Bytes from one chunk to the next.
    n_chunks : int
        Number of chunks.
    firsts : tuple of int
        For each entry of the layout, the number of values of its channel before this run; a single number where all
        have the same.
    """

    layout: Layout
    position: int
    stride: int
    n_chunks: int
    firsts: tuple[int, ...]

    @property
    def last_chunk(self) -> int:
        """Byte of the file where the last chunk begins."""
        return self.position + (self.n_chunks - 1) * self.stride

    def entries(self) -> Iterator[tuple[Entry, int]]:
        """Yield each entry of the layout with the number of values of its channel before this run."""
        firsts = self.firsts if len(self.firsts) > 1 else repeat(self.firsts[0], len(self.layout.entries))
        return zip(self.layout.entries, firsts, strict=True)

    def continues_at(self, position: int, firsts: tuple[int, ...]) -> bool:
        """Return whether a chunk at `position`, with `firsts` values before it, is one more of the even row."""
        if self.n_chunks > 1 and position - self.last_chunk != self.stride:
            return False
        return all(
            before + self.n_chunks * entry.n_values == first
            for (entry, before), first in zip(self.entries(), firsts, strict=True)
        )


def _sequential(channels: Sequence[Stored], order: str) -> Layout:
    offsets = list(accumulate((raw_index.n_bytes for _, raw_index in channels), initial=0))
    entries = tuple(
        Entry(path, _dtype(raw, order), offset, raw.item_bytes or 0, raw.n_values, offset)
        for (path, raw), offset in zip(channels, offsets, strict=False)
    )
    return Layout(entries, offsets[-1], sequential=True)


def _interleaved(channels: Sequence[Stored], order: str) -> Layout:
    sizes = [raw_index.item_bytes for _, raw_index in channels]
    if len({raw_index.n_values for _, raw_index in channels}) > 1 or None in sizes:
        raise FormatError("interleaved channels differ in length, or hold text")
    offsets = list(accumulate((size or 0 for size in sizes), initial=0))
    entries = tuple(
        Entry(path, _dtype(raw, order), offset, offsets[-1], raw.n_values, 0)
        for (path, raw), offset in zip(channels, offsets, strict=False)
    )
    return Layout(entries, sum(raw_index.n_bytes for _, raw_index in channels), sequential=False)


def _in_buffers(channels: Sequence[Stored], order: str) -> Layout:
    widths = channels[0][1].widths
    if any(raw_index.widths != widths for _, raw_index in channels):
        raise FormatError("DAQmx channels differ in the widths of their raw buffers")
    lengths = [0] * len(widths)
    for _, raw in channels:
        for scaler in raw.scalers:
            lengths[scaler.buffer] = max(lengths[scaler.buffer], raw.n_values)
    starts = list(accumulate((n * width for n, width in zip(lengths, widths, strict=True)), initial=0))
    entries = []
    for path, raw in channels:
        scaler = raw.scalers[0]
        start = starts[scaler.buffer]
        offset = start + scaler.byte_offset
        entries.append(Entry(path, _dtype(raw, order), offset, widths[scaler.buffer], raw.n_values, start))
    return Layout(tuple(entries), starts[-1], sequential=False)


def _dtype(raw_index: RawIndex, order: str) -> np.dtype[Any] | None:
    return None if raw_index.dtype is None else np.dtype(order + raw_index.dtype)
