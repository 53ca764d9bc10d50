"""Datasets that lie in one piece in their file, read and written past HDF5: bytes go straight to their place."""

import os
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.slicing import IntArray, Window
from ecogpipe.errors import FormatError
from ecogpipe.runtime.params import load_params
from ecogpipe.storage.hdf5_datasets import is_as_in_memory

_SHORT_ROW_BYTES = 16_384
"""Rows up to this length are read whole, as that is one request in place of many."""

_GROUP_BYTES = 4_000_000
_GROUP_SHARE = 16
"""A group of whole rows holds at most so many bytes, and this fraction of the memory limit."""


def lies_in_one_piece(dataset: h5py.Dataset) -> bool:
    """Return whether `ContiguousReader` can read the dataset: two axes of numbers at one place of a plain file."""
    return (
        dataset.ndim == 2
        and dataset.dtype.kind in "iuf"
        and dataset.file.driver == "sec2"
        and dataset.external is None
        and dataset.chunks is None
        and dataset.id.get_offset() is not None
        and is_as_in_memory(dataset)
    )


class ContiguousReader:
    """Reads windows of a contiguous dataset.

    Parameters
    ----------
    dataset
        A dataset for which `lies_in_one_piece` is true.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._name, self._file = dataset.name, dataset.file
        self._handle = self._file.id.get_vfd_handle()
        self._offset = dataset.id.get_offset()
        self._n_columns = int(dataset.shape[1])
        self._dtype = dataset.dtype
        self._item_bytes = int(dataset.dtype.itemsize)

    @property
    def has_short_rows(self) -> bool:
        """Whether whole rows are read as fast as parts of them."""
        return self._n_columns * self._item_bytes <= _SHORT_ROW_BYTES

    def read_rows(self, rows: range | IntArray, start: int, out: npt.NDArray[Any]) -> None:
        """Read columns from `start` on of rows in any order, one request a row, each into its row of `out`."""
        if out.size:
            for row, line in zip(rows if isinstance(rows, range) else rows.tolist(), out, strict=True):
                self._fetch(row * self._n_columns + start, line)

    def transient_bytes(self, windows: tuple[Window, Window]) -> int:
        """Return the bytes that reading a window takes beside its result: a group of rows that are read whole."""
        return 0 if self._reads_in_place(windows) else self._group_rows() * self._n_columns * self._item_bytes

    def read(self, windows: tuple[Window, Window], out: npt.NDArray[Any]) -> None:
        """Read a window into `out`, an array of the window's shape and the dataset's dtype."""
        (first, last), (start, stop) = windows
        if not out.size:
            return
        if not self._reads_in_place(windows):
            self._read_whole_rows(windows, out)
        elif stop - start == self._n_columns and out.flags.c_contiguous:
            self._fetch(first * self._n_columns, out)
        else:
            self.read_rows(range(first, last), start, out)

    def _reads_in_place(self, windows: tuple[Window, Window]) -> bool:
        start, stop = windows[1]
        return stop - start == self._n_columns or not self.has_short_rows

    def _group_rows(self) -> int:
        most = min(_GROUP_BYTES, load_params().memory_limit // _GROUP_SHARE)
        return max(1, most // (self._n_columns * self._item_bytes))

    def _read_whole_rows(self, windows: tuple[Window, Window], out: npt.NDArray[Any]) -> None:
        (first, last), (start, stop) = windows
        group = np.empty((self._group_rows(), self._n_columns), self._dtype)
        for row in range(first, last, len(group)):
            rows = group[: last - row]
            self._fetch(row * self._n_columns, rows)
            out[row - first : row - first + len(rows)] = rows[:, start:stop]

    def _fetch(self, position: int, out: npt.NDArray[Any]) -> None:
        """Fill a contiguous array with the values from `position` on."""
        place = self._offset + position * self._item_bytes
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


def create_in_one_piece(file: h5py.File, name: str, shape: tuple[int, int], dtype: str) -> h5py.Dataset:
    """Make a dataset that has its place in the file at once, so that `ContiguousWriter` can fill it."""
    return file.create_dataset(name, shape, dtype, dcpl=placed_at_once())


def placed_at_once() -> h5py.h5p.PropDCID:
    """Return how to create a dataset whose values have their place in the file at once, not filled with anything."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return creation


class ContiguousWriter:
    """Writes rows of a dataset that `create_in_one_piece` made; HDF5 would read back and merge every short piece.

    Parameters
    ----------
    dataset
        The dataset; its file has to stay open.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._file, self._dtype = dataset.file, dataset.dtype
        self._handle = self._file.id.get_vfd_handle()
        self._offset = dataset.id.get_offset()
        self._n_columns = int(dataset.shape[1])

    def write(self, first_row: int, start: int, values: npt.NDArray[Any]) -> None:
        """Write values, (rows, columns), from a row and a column on."""
        handle, item_bytes = self._handle, self._dtype.itemsize
        for row, line in enumerate(np.ascontiguousarray(values, self._dtype), start=first_row):
            left, place = line.data.cast("B"), self._offset + (row * self._n_columns + start) * item_bytes
            while left:
                written = os.pwrite(handle, left, place)
                left, place = left[written:], place + written
