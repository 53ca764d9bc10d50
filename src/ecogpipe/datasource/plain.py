"""Datasets whose values lie in their file as in memory, read and written past HDF5: bytes go straight to their place.

They lie in one piece, or in chunks of all rows. Chunks larger than the cache of HDF5 are not held in it, so that other
programs, too, read no more of them than they ask for.
"""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.chunk_index import ChunkIndex
from ecogpipe.datasource.slicing import IntArray, Window
from ecogpipe.errors import FormatError
from ecogpipe.runtime.params import load_params
from ecogpipe.storage.hdf5_datasets import is_as_in_memory

_SHORT_ROW_BYTES = 16_384
"""Rows up to this length are read whole, as that is one request in place of many."""

_GROUP_BYTES = 4_000_000
_GROUP_SHARE = 16
"""A group of whole rows holds at most so many bytes, and this fraction of the memory limit."""

_HDF5_CACHE_BYTES = 8 * 2**20
"""Of the chunks of a dataset, unless a program asks for another (HDF5 2.0; before that an eighth of it)."""

_LEAST_CHUNK_COLUMNS = 16_384
"""A row read whole takes a request for each chunk."""

_LEAST_CHUNK_BYTES = 2**20
"""Smaller chunks are too many to look up each."""


def lies_plain(dataset: h5py.Dataset) -> bool:
    """Return whether `PlainReader` can read the dataset: two axes of numbers at known places of a plain file."""
    return (
        dataset.ndim == 2
        and dataset.dtype.kind in "iuf"
        and dataset.file.driver == "sec2"
        and dataset.external is None
        and is_as_in_memory(dataset)
        and _places(dataset) is not None
    )


def _places(dataset: h5py.Dataset) -> list[int] | None:
    """Return where the pieces of the dataset lie, None where it is not in pieces of all rows that are all there."""
    if dataset.chunks is None:
        offset = dataset.id.get_offset()
        return None if offset is None else [int(offset)]
    n_bytes = int(np.prod(dataset.chunks)) * int(dataset.dtype.itemsize)
    has_filters = dataset.id.get_create_plist().get_nfilters() > 0
    are_many = n_bytes < _LEAST_CHUNK_BYTES and dataset.chunks[1] < dataset.shape[1]
    if has_filters or dataset.chunks[0] < dataset.shape[0] or are_many or not dataset.size:
        return None
    stored, starts = ChunkIndex(dataset), range(0, dataset.shape[1], dataset.chunks[1])
    pieces = [stored[0, start] for start in starts]
    return [piece.position for piece in pieces] if all(piece.size == n_bytes for piece in pieces) else None


class _Run(NamedTuple):
    """Neighbouring columns of a piece: where its first row has the first of them, and which ones of a window it is."""

    place: int
    columns: slice


class _Places:
    """Where the values of a dataset lie that `lies_plain`."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._pieces = _places(dataset) or []
        self._n_columns, self._item_bytes = int(dataset.shape[1]), int(dataset.dtype.itemsize)
        self.piece_columns = self._n_columns if dataset.chunks is None else int(dataset.chunks[1])
        self.row_bytes = self.piece_columns * self._item_bytes

    @property
    def in_one_piece(self) -> bool:
        """Whether rows lie end to end."""
        return len(self._pieces) == 1 and self.piece_columns == self._n_columns

    def runs(self, start: int, stop: int) -> Iterator[_Run]:
        """Yield where columns [start, stop) of the first row lie; those of row n are n times `row_bytes` later."""
        column = start
        while column < stop:
            piece, inside = divmod(column, self.piece_columns)
            end = min(stop, column - inside + self.piece_columns)
            yield _Run(self._pieces[piece] + inside * self._item_bytes, slice(column - start, end - start))
            column = end


class PlainReader:
    """Reads windows of a dataset whose values lie in their file as in memory.

    Parameters
    ----------
    dataset
        A dataset for which `lies_plain` is true.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._name, self._file = dataset.name, dataset.file
        self._handle = self._file.id.get_vfd_handle()
        self._places = _Places(dataset)
        self._n_columns = int(dataset.shape[1])
        self._dtype = dataset.dtype

    @property
    def has_short_rows(self) -> bool:
        """Whether whole rows are read as fast as parts of them."""
        return self._places.in_one_piece and self._places.row_bytes <= _SHORT_ROW_BYTES

    def read_rows(self, rows: range | IntArray, start: int, out: npt.NDArray[Any]) -> None:
        """Read columns from `start` on of rows in any order, a request for each piece of each row, into `out`."""
        if not out.size:
            return
        numbers = rows if isinstance(rows, range) else rows.tolist()
        for place, columns in self._places.runs(start, start + out.shape[1]):
            for row, line in zip(numbers, out[:, columns], strict=True):
                self._fetch(place + row * self._places.row_bytes, line)

    def transient_bytes(self, windows: tuple[Window, Window]) -> int:
        """Return the bytes that reading a window takes beside its result: a group of rows that are read whole."""
        return 0 if self._reads_in_place(windows) else self._group_rows() * self._places.row_bytes

    def read(self, windows: tuple[Window, Window], out: npt.NDArray[Any]) -> None:
        """Read a window into `out`, an array of the window's shape and the dataset's dtype."""
        (first, last), (start, stop) = windows
        if not out.size:
            return
        if not self._reads_in_place(windows):
            self._read_whole_rows(windows, out)
        elif stop - start == self._n_columns and self._places.in_one_piece and out.flags.c_contiguous:
            self._fetch_rows(first, out)
        else:
            self.read_rows(range(first, last), start, out)

    def _reads_in_place(self, windows: tuple[Window, Window]) -> bool:
        start, stop = windows[1]
        return stop - start == self._n_columns or not self.has_short_rows

    def _group_rows(self) -> int:
        most = min(_GROUP_BYTES, load_params().memory_limit // _GROUP_SHARE)
        return max(1, most // self._places.row_bytes)

    def _read_whole_rows(self, windows: tuple[Window, Window], out: npt.NDArray[Any]) -> None:
        (first, last), (start, stop) = windows
        group = np.empty((self._group_rows(), self._n_columns), self._dtype)
        for row in range(first, last, len(group)):
            rows = group[: last - row]
            self._fetch_rows(row, rows)
            out[row - first : row - first + len(rows)] = rows[:, start:stop]

    def _fetch_rows(self, first_row: int, out: npt.NDArray[Any]) -> None:
        """Fill a contiguous array with rows that lie end to end."""
        whole_row = next(self._places.runs(0, self._n_columns))
        self._fetch(whole_row.place + first_row * self._places.row_bytes, out)

    def _fetch(self, place: int, out: npt.NDArray[Any]) -> None:
        """Fill a contiguous array with the bytes from a place on."""
        missing = out.nbytes - os.preadv(self._handle, [out.data], place)
        while missing:
            rest = out.reshape(-1).view("u1")[-missing:]
            n_bytes = os.preadv(self._handle, [rest.data], place + out.nbytes - missing)
            if not n_bytes:
                raise FormatError(
                    f"{self._file.filename}: ends before the samples of {self._name} do; the file is truncated, get it "
                    "again from where it was recorded."
                )
            missing -= n_bytes


def plain_chunks(shape: tuple[int, int], item_bytes: int) -> tuple[int, int]:
    """Return how (rows, columns) are cut into chunks that HDF5 reads in parts: all rows of as many columns as it takes.

    Only a dataset that the cache of HDF5 holds as a whole is in a chunk that it holds.

    Examples
    --------
    >>> plain_chunks((64, 100_000), 4)
    (64, 33334)
    """
    n_rows, n_columns = (max(1, length) for length in shape)
    least = max(_LEAST_CHUNK_COLUMNS, _HDF5_CACHE_BYTES // (n_rows * item_bytes) + 1)
    return n_rows, -(-n_columns // max(1, n_columns // least))


def create_plain(
    file: h5py.File, name: str, shape: tuple[int, int], dtype: npt.DTypeLike, chunks: tuple[int, int] | None = None
) -> h5py.Dataset:
    """Make a dataset that has its place in the file at once, so that `PlainWriter` can fill it.

    Parameters
    ----------
    file
        A new file: bytes of it that are never written are zeros.
    name, shape, dtype
        Of the dataset, (rows, columns).
    chunks
        Such as `plain_chunks` returns; None puts all in one piece.
    """
    creation = placed_at_once()
    if chunks is not None and all(shape):
        creation.set_chunk(chunks)
    return file.create_dataset(name, shape, dtype, dcpl=creation)


def placed_at_once() -> h5py.h5p.PropDCID:
    """Return how to create a dataset whose values have their place in the file at once, not filled with anything."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return creation


class PlainWriter:
    """Writes rows of a dataset that `create_plain` made; HDF5 would read back and merge every short piece.

    Parameters
    ----------
    dataset
        The dataset; its file has to stay open.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._file, self._dtype = dataset.file, dataset.dtype
        self._handle = self._file.id.get_vfd_handle()
        self._places = _Places(dataset)

    def write(self, first_row: int, start: int, values: npt.NDArray[Any]) -> None:
        """Write values, (rows, columns), from a row and a column on."""
        if not values.size:
            return
        written = np.ascontiguousarray(values, self._dtype)
        for place, columns in self._places.runs(start, start + values.shape[1]):
            for row, line in enumerate(written[:, columns], start=first_row):
                self._put(place + row * self._places.row_bytes, line.data.cast("B"))

    def _put(self, place: int, left: memoryview) -> None:
        while left:
            written = os.pwrite(self._handle, left, place)
            left, place = left[written:], place + written
