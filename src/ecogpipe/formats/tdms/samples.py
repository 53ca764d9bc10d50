"""Reading the samples of chosen channels of a TDMS file: once, in order of time, in bounded memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import FormatError
from ecogpipe.formats.tdms.layouts import Entry, Layout, Run
from ecogpipe.runtime.params import load_params

Array: TypeAlias = npt.NDArray[Any]

_MOST_BYTES_AT_ONCE = 16_000_000
_LIMIT_SHARE = 16
_TILE_BYTES = 2**17
"""Interleaved values are sorted by channel in stretches of so many bytes, which stay in the cache of a core."""


def raw_blocks(
    path: Path,
    runs: Sequence[Run],
    channels: Sequence[str],
    end: int,
    block_length: int,
    dtype: np.dtype[Any],
    begin: int = 0,
) -> Iterator[Array]:
    """Yield samples [begin, end) of `channels` (object paths), raw, in blocks of `block_length`, (channels, time).

    Every channel has at least `end` values of `dtype`; only the last block may be shorter. Each block is valid until
    the one after the next is asked for. Beside both, at most 16 MB of the file are held, or a sixteenth of the memory
    limit.

    Raises
    ------
    FormatError
        If the file became shorter since it was indexed.
    """
    rows = {channel: row for row, channel in enumerate(channels)}
    pieces = sorted(_pieces(runs, rows), key=lambda piece: piece.first, reverse=True)
    active: list[_Piece] = []
    buffers = cycle(np.empty((2, len(channels), min(block_length, end - begin)), dtype))
    with _Bytes(path) as source:
        for start in range(begin, end, block_length):
            stop = min(start + block_length, end)
            while pieces and pieces[-1].first < stop:
                active.append(pieces.pop())
            block = next(buffers)[:, : stop - start]
            for piece in active:
                _fill(block, start, piece, source)
            active = [piece for piece in active if piece.end > stop]
            yield block


@dataclass(frozen=True)
class _Bundle:
    """Channels at even distances in a chunk; value i of number k is at offset + k * spacing + i * step."""

    rows: slice | list[int]
    n_rows: int
    offset: int
    spacing: int
    step: int
    dtype: np.dtype[Any]

    @property
    def extent(self) -> int:
        """Bytes from the first channel's value to the end of the last channel's value of the same sample."""
        return (self.n_rows - 1) * self.spacing + self.dtype.itemsize

    def apart(self) -> Iterator["_Bundle"]:
        """Yield its channels one by one."""
        rows = range(self.rows.start, self.rows.stop) if isinstance(self.rows, slice) else self.rows
        for number, row in enumerate(rows):
            offset = self.offset + number * self.spacing
            yield _Bundle(slice(row, row + 1), 1, offset, self.spacing, self.step, self.dtype)


@dataclass(frozen=True)
class _Piece:
    """The channels of a run that begin at the same sample and have equally many values in each chunk."""

    run: Run
    first: int
    n_values: int
    bundles: Sequence[_Bundle]

    @property
    def end(self) -> int:
        """Sample after its last one."""
        return self.first + self.n_values * self.run.n_chunks


def _pieces(runs: Iterable[Run], rows: dict[str, int]) -> Iterator[_Piece]:
    known: dict[int, list[_Bundle]] = {}
    for run in runs:
        groups: dict[tuple[int, int], list[Entry]] = {}
        for entry, first in run.entries():
            if entry.path in rows and entry.n_values:
                groups.setdefault((first, entry.n_values), []).append(entry)
        for (first, n_values), entries in groups.items():
            if len(groups) > 1:
                yield _Piece(run, first, n_values, _bundles(entries, rows))
            else:
                yield _Piece(run, first, n_values, _remembered(known, run.layout, entries, rows))


def _remembered(
    known: dict[int, list[_Bundle]], layout: Layout, entries: list[Entry], rows: dict[str, int]
) -> list[_Bundle]:
    """Return bundles of all chosen channels of a layout, made once however many runs have it."""
    if id(layout) not in known:
        known[id(layout)] = _bundles(entries, rows)
    return known[id(layout)]


def _bundles(entries: list[Entry], rows: dict[str, int]) -> list[_Bundle]:
    """Bundle all channels where their distances are even, else each by itself."""
    first = entries[0]
    spacing = entries[1].offset - first.offset if len(entries) > 1 else 0
    even = all(
        (entry.offset, entry.step, entry.dtype) == (first.offset + number * spacing, first.step, first.dtype)
        for number, entry in enumerate(entries)
    )
    groups = [entries] if even and spacing >= 0 else [[entry] for entry in entries]
    return [_bundle(group, rows, spacing) for group in groups]


def _bundle(entries: list[Entry], rows: dict[str, int], spacing: int) -> _Bundle:
    numbers = [rows[entry.path] for entry in entries]
    consecutive = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    chosen = slice(numbers[0], numbers[-1] + 1) if consecutive else numbers
    first = entries[0]
    assert first.dtype is not None
    return _Bundle(chosen, len(entries), first.offset, spacing if len(entries) > 1 else 0, first.step, first.dtype)


def _fill(block: Array, start: int, piece: _Piece, source: "_Bytes") -> None:
    """Copy what `piece` holds of the samples from `start` on into `block`."""
    run = piece.run
    sample, stop = max(start, piece.first), min(start + block.shape[1], piece.end)
    while sample < stop:
        chunk, value = divmod(sample - piece.first, piece.n_values)
        position = run.position + chunk * run.stride
        n_chunks = 0 if value else min((stop - sample) // piece.n_values, source.budget // run.stride)
        if n_chunks:
            n_samples = n_chunks * piece.n_values
            raw = source.read(position, (n_chunks - 1) * run.stride + run.layout.chunk_bytes)
            for bundle in piece.bundles:
                _copy(raw, bundle, bundle.offset, block[:, sample - start :][:, :n_samples], n_chunks, run.stride)
        else:
            n_samples = min(stop - sample, piece.n_values - value)
            _fill_part(block[:, sample - start :][:, :n_samples], piece, position, value, source)
        sample += n_samples


def _fill_part(out: Array, piece: _Piece, position: int, value: int, source: "_Bytes") -> None:
    """Copy values from `value` on of the chunk at `position`, reading only what is needed of it."""
    for bundle in piece.bundles:
        for part in bundle.apart() if piece.run.layout.sequential else (bundle,):
            most = max(1, (source.budget - part.extent) // part.step + 1)
            for done in range(0, out.shape[1], most):
                n_samples = min(most, out.shape[1] - done)
                begin = position + part.offset + (value + done) * part.step
                raw = source.read(begin, (n_samples - 1) * part.step + part.extent)
                _copy(raw, part, 0, out[:, done : done + n_samples], 1, 0)


def _copy(raw: memoryview, bundle: _Bundle, offset: int, out: Array, n_chunks: int, stride: int) -> None:
    """Copy a bundle's values from bytes in which its first one is at `offset`, to its rows of `out`."""
    n_values = out.shape[1] // n_chunks
    values = np.ndarray(
        (bundle.n_rows, n_chunks, n_values), bundle.dtype, raw, offset, (bundle.spacing, stride, bundle.step)
    )
    target = out.reshape(len(out), n_chunks, n_values)
    tile = n_values if bundle.step == bundle.dtype.itemsize else max(1, _TILE_BYTES // bundle.extent)
    for start in range(0, n_values, tile):
        target[bundle.rows, :, start : start + tile] = values[:, :, start : start + tile]


class _Bytes:
    """Stretches of a file, each valid until the next one is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.budget = max(1, min(_MOST_BYTES_AT_ONCE, load_params().memory_limit // _LIMIT_SHARE))
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        self._file = self._path.open("rb", buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, position: int, n_bytes: int) -> memoryview:
        """Read `n_bytes` at `position`."""
        if len(self._buffer) < n_bytes:
            self._buffer = bytearray(n_bytes)
        view = memoryview(self._buffer)[:n_bytes]
        self._file.seek(position)
        done = 0
        while done < n_bytes:
            n_read = self._file.readinto(view[done:])
            if not n_read:
                raise FormatError(
                    f"{self._path}: became shorter while it was read; wait until its recording is finished, then run "
                    "again."
                )
            done += n_read
        return view
