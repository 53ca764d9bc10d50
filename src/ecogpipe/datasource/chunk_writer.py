"""Writing a chunked dataset once, in order of time: chunks go straight to their place, or are packed in parallel."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import h5py
import imagecodecs
import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.chunk_index import ChunkIndex
from ecogpipe.datasource.plain import placed_at_once
from ecogpipe.runtime.params import load_params

Array: TypeAlias = npt.NDArray[Any]

_GZIP_LEVEL, _LINES_LEVEL = 1, 2
_MOST_ROWS_AT_ONCE = 512
"""Rows that one system call writes; Linux takes up to 1024."""

_CHUNK_BYTES = 2**20
_ROW_BLOCKS = 8
"""Chunks that hold all channels of a stretch of time: a long single row reads this fraction of the file."""


def create_in_chunks(
    file: h5py.File, name: str, shape: tuple[int, int], dtype: np.dtype[Any], chunks: tuple[int, int], *, zipped: bool
) -> h5py.Dataset:
    """Make a dataset that `ChunkWriter` can fill; plain chunks have their place in the file at once."""
    if zipped:
        return file.create_dataset(
            name, shape, dtype, chunks=chunks, compression="gzip", compression_opts=_GZIP_LEVEL, shuffle=True
        )
    creation = placed_at_once()
    creation.set_chunk(chunks)
    return file.create_dataset(name, shape, dtype, dcpl=creation)


class ChunkWriter:
    """Writes a new dataset, (channels, time), block by block.

    Parameters
    ----------
    dataset
        A dataset that `create_in_chunks` made; its file has to stay open.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset, self._dtype, self._shape = dataset, dataset.dtype, dataset.shape
        self._rows, self._frames = dataset.chunks
        self._stored = ChunkIndex(dataset)
        self._zipped = dataset.compression is not None
        self._workers = load_params().workers
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="encode")

    def write(self, start: int, block: Array) -> None:
        """Write the samples from `start` on; a block that does not fill whole chunks goes through HDF5, more slowly."""
        stop = start + block.shape[1]
        if start % self._frames or (stop % self._frames and stop != self._shape[1]):
            self._dataset[:, start:stop] = block
        elif self._zipped:
            self._write_zipped(start, block)
        else:
            for offset, chunk in self._cut(start, block):
                self._write_in_place(offset, chunk)

    def close(self) -> None:
        """End the threads of the writer."""
        self._pool.shutdown()

    def _cut(self, start: int, block: Array) -> Iterator[tuple[tuple[int, int], Array]]:
        """Cut a block into chunks, with their offsets; what reaches past the dataset is zero."""
        for frame in range(0, block.shape[1], self._frames):
            for row in range(0, len(block), self._rows):
                chunk = block[row : row + self._rows, frame : frame + self._frames]
                missing = self._rows - len(chunk), self._frames - chunk.shape[1]
                yield (row, start + frame), np.pad(chunk, [(0, n) for n in missing]) if any(missing) else chunk

    def _write_in_place(self, offset: tuple[int, int], chunk: Array) -> None:
        """Write the rows of a chunk without joining them first."""
        handle = self._dataset.file.id.get_vfd_handle()
        place = self._stored[offset].position
        rows = [np.ascontiguousarray(row, self._dtype).data.cast("B") for row in chunk]
        for first in range(0, len(rows), _MOST_ROWS_AT_ONCE):
            some = rows[first : first + _MOST_ROWS_AT_ONCE]
            n_bytes, written = sum(map(len, some)), os.pwritev(handle, some, place)
            left = b"" if written == n_bytes else memoryview(b"".join(some))[written:]
            while left:
                step = os.pwrite(handle, left, place + n_bytes - len(left))
                left = left[step:]
            place += n_bytes

    def _write_zipped(self, start: int, block: Array) -> None:
        offsets, chunks = zip(*self._cut(start, block), strict=True)
        for first in range(0, len(chunks), self._workers):
            group = slice(first, first + self._workers)
            for offset, packed in zip(offsets[group], self._pool.map(self._pack, chunks[group]), strict=True):
                self._dataset.id.write_direct_chunk(offset, packed)

    def _pack(self, chunk: Array) -> bytes:
        return shuffled_and_deflated(np.asarray(chunk, self._dtype))


def shuffled_and_deflated(values: Array) -> bytes:
    """Pack values as the shuffle and gzip filters of HDF5 do, ten times as fast."""
    return bytes(imagecodecs.deflate_encode(_shuffled(values), _GZIP_LEVEL))


def lines_packed(values: Array) -> bytes:
    """Pack values in the same format: as small, and ten times as fast where lines stay at a few levels for long."""
    return bytes(imagecodecs.zlibng_encode(_shuffled(values), _LINES_LEVEL))


def _shuffled(values: Array) -> bytes:
    return np.ascontiguousarray(values).reshape(-1, 1).view("u1").T.tobytes()


def chunk_shape(n_channels: int, n_samples: int, item_bytes: int) -> tuple[int, int]:
    """Return how copied samples are cut into chunks, (channels, time): fixed by the recording alone."""
    rows = -(-n_channels // _ROW_BLOCKS)
    frames = 2 ** max(0, (_CHUNK_BYTES // (rows * item_bytes)).bit_length() - 1)
    return rows, min(frames, n_samples)
