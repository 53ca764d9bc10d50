"""Reading chunks in parallel, past the lock that HDF5 holds while it inflates and copies.

HDF5 says where the stored bytes of a chunk are; they are read from there, and libdeflate inflates them, in a
thread a worker where the caller has none of its own. Every filter other than gzip, with or without shuffle, is left to
h5py.
"""

import os
import threading
from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

import h5py
import imagecodecs
import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.chunk_index import ChunkIndex, Offset, StoredChunk
from ecogpipe.datasource.slicing import Window
from ecogpipe.errors import FormatError
from ecogpipe.runtime.params import load_params
from ecogpipe.runtime.threads import Each, Threads, one_by_one
from ecogpipe.storage.hdf5_datasets import is_as_in_memory

_SHARE = 16
"""Chunks that are being inflated, and chunks that are kept, hold at most this fraction of the memory limit each."""

_GZIP, _SHUFFLE = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE


def decodes(dataset: h5py.Dataset) -> bool:
    """Return whether `ChunkReader` can read the dataset: two axes of numbers in chunks, plain or gzip, or shuffled."""
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]
    return (
        dataset.ndim == 2
        and dataset.file.driver == "sec2"
        and dataset.chunks is not None
        and dataset.dtype.kind in "iuf"
        and filters in ([], [_GZIP], [_SHUFFLE, _GZIP])
        and is_as_in_memory(dataset)
    )


class ChunkReader:
    """Reads windows of a chunked dataset, the chunks of a window decoded in parallel.

    Parameters
    ----------
    dataset
        A dataset for which `decodes` is true.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset, self._stored = dataset, ChunkIndex(dataset)
        self._handle = dataset.file.id.get_vfd_handle()
        self._dtype = dataset.dtype
        self._chunk_shape: tuple[int, ...] = dataset.chunks
        self._zipped, self._shuffled = dataset.compression is not None, dataset.shuffle
        self._kept = _Kept(0)
        self._threads: Threads | None = None
        self._lock = threading.Lock()

    def fits_memory(self) -> bool:
        """Return whether the chunks that are inflated at once fit into their share of the memory limit."""
        return self._inflating_bytes() <= load_params().memory_limit / _SHARE

    def transient_bytes(self, windows: tuple[Window, Window]) -> int:
        """Return the bytes that reading a window takes beside its result: chunks being inflated, and kept ones."""
        lengths = zip(windows, self._chunk_shape, strict=True)
        n_chunks = [-(-stop // length) - start // length for (start, stop), length in lengths]
        at_border = sum(n_chunks) * self._chunk_bytes()
        return self._inflating_bytes() + 2 * min(at_border, _kept_at_most())

    def read(self, windows: tuple[Window, Window], out: npt.NDArray[Any], in_threads: bool = True) -> None:
        """Read a window into `out`, an array of the window's shape and the dataset's dtype."""
        known, kept = self._take_kept(), _Kept(_kept_at_most())

        def fill(offset: Offset) -> None:
            chunk, (inside, target) = known.get(offset), _overlap(offset, self._chunk_shape, windows)
            if chunk is None and self._read_in_place(offset, out[target]):
                return
            if chunk is None:
                chunk = self._load(offset)
            out[target] = chunk[inside]
            if self._reaches_past(offset, windows):
                kept.add(offset, chunk)

        offsets = list(self._offsets(windows))
        # Plain chunks are only copied, and handing them to threads takes longer than it saves.
        shared = in_threads and len(offsets) > 1 and load_params().workers > 1 and self._zipped
        (self._in_threads(load_params().workers) if shared else one_by_one)(fill, offsets)
        with self._lock:
            self._kept = kept

    def close(self) -> None:
        """End the threads of the reader."""
        if self._threads is not None:
            self._threads.close()
            self._threads = None

    def _in_threads(self, workers: int) -> Each:
        """Return the threads of the reader, kept from one window to the next."""
        with self._lock:
            if self._threads is None or self._threads.n != workers:
                self._threads = Threads(workers, "decode")
            return self._threads.each

    def _take_kept(self) -> "dict[Offset, npt.NDArray[Any]]":
        with self._lock:
            kept, self._kept = self._kept, _Kept(0)
        return kept.chunks if kept.n_bytes <= _kept_at_most() else {}

    def _offsets(self, windows: tuple[Window, Window]) -> Iterator[Offset]:
        starts = [
            range(start - start % length, stop, length)
            for (start, stop), length in zip(windows, self._chunk_shape, strict=True)
        ]
        return product(*starts)

    def _reaches_past(self, offset: Offset, windows: tuple[Window, Window]) -> bool:
        limits = zip(offset, self._chunk_shape, windows, self._dataset.shape, strict=True)
        return any(min(first + length, end) > stop for first, length, (_, stop), end in limits)

    def _chunk_bytes(self) -> int:
        return prod(self._chunk_shape) * int(self._dtype.itemsize)

    def _inflating_bytes(self) -> int:
        """Return the bytes of a chunk for each worker: packed, inflated, and unshuffled where it was shuffled."""
        return load_params().workers * self._chunk_bytes() * (3 if self._shuffled else 2)

    def _read_in_place(self, offset: Offset, out: npt.NDArray[Any]) -> bool:
        """Read or inflate a chunk to where it is wanted whole and in one piece; whether that was done."""
        stored = self._stored[offset]
        if self._shuffled or not stored.size or out.shape != self._chunk_shape or not out.flags.c_contiguous:
            return False
        if not self._zipped or stored.skipped_filters:
            return os.preadv(self._handle, [out.data], stored.position) == out.nbytes
        self._inflate(self._packed(stored, offset), out, offset)
        return True

    def _load(self, offset: Offset) -> npt.NDArray[Any]:
        stored = self._stored[offset]
        if not stored.size:
            return np.full(self._chunk_shape, self._dataset.fillvalue, self._dtype)
        packed = self._packed(stored, offset)
        shuffle_bit, gzip_bit = (1, 2) if self._shuffled else (0, 1)
        if not self._zipped or stored.skipped_filters & gzip_bit:
            raw: npt.NDArray[Any] = np.frombuffer(packed, "u1")
        else:
            raw = np.empty(self._chunk_bytes(), "u1")
            self._inflate(packed, raw, offset)
        if self._shuffled and not stored.skipped_filters & shuffle_bit:
            raw = np.ascontiguousarray(raw.reshape(self._dtype.itemsize, -1).T).reshape(-1)
        return np.frombuffer(raw, self._dtype).reshape(self._chunk_shape)

    def _packed(self, stored: StoredChunk, offset: Offset) -> bytes:
        packed = os.pread(self._handle, stored.size, stored.position)
        if len(packed) != stored.size:
            raise self._damaged(offset, f"the file ends after {len(packed)} of its {stored.size} bytes")
        return packed

    def _inflate(self, packed: bytes, out: npt.NDArray[Any], offset: Offset) -> None:
        try:
            inflated = imagecodecs.deflate_decode(packed, out=out.data.cast("B"))
        except imagecodecs.DeflateError as error:
            raise self._damaged(offset, str(error)) from None
        if len(inflated) != out.nbytes:
            raise self._damaged(offset, f"{len(inflated)} bytes in place of {out.nbytes}")

    def _damaged(self, offset: Offset, reason: str) -> FormatError:
        return FormatError(
            f"{self._dataset.file.filename}: the chunk of {self._dataset.name} at {offset} cannot be read "
            f"({reason}); the file is damaged, get it again from where it was recorded."
        )


class _Kept:
    """Chunks at the end of a window, which the next window is likely to touch again, up to so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self.chunks: dict[Offset, npt.NDArray[Any]] = {}
        self.n_bytes = 0
        self._most_bytes = most_bytes
        self._lock = threading.Lock()

    def add(self, offset: Offset, chunk: npt.NDArray[Any]) -> None:
        """Keep a chunk, if there is room for it."""
        with self._lock:
            if self.n_bytes + chunk.nbytes <= self._most_bytes:
                self.chunks[offset] = chunk
                self.n_bytes += chunk.nbytes


def _kept_at_most() -> int:
    return load_params().memory_limit // _SHARE


def _overlap(
    offset: Offset, chunk_shape: tuple[int, ...], windows: tuple[Window, Window]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where a chunk and the windows overlap: inside the chunk, and inside the windows."""
    inside, target = [], []
    for first, length, (start, stop) in zip(offset, chunk_shape, windows, strict=True):
        low, high = max(first, start), min(first + length, stop)
        inside.append(slice(low - first, high - first))
        target.append(slice(low - start, high - start))
    return tuple(inside), tuple(target)
