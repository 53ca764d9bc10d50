"""What a source reads through: one HDF5 dataset, in the axis order of the disk.

Its keys are orthogonal: a list on each axis selects rows and columns.
Reads are windows: holes that cost less to read than to skip are read and dropped in memory, in pieces that stay
within a share of the memory limit.
"""

import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.chunks import ChunkReader, decodes
from ecogpipe.datasource.plain import PlainReader, lies_plain
from ecogpipe.datasource.slicing import (
    AxisIndex,
    IntArray,
    Span,
    Window,
    bounds,
    keep_axis,
    outer,
    parse_key,
    result_shape,
    span_in,
    spans,
    split_window,
)
from ecogpipe.errors import FormatError, first_line
from ecogpipe.runtime.params import load_params
from ecogpipe.storage.hdf5_datasets import check_filters, find_sources
from ecogpipe.storage.hdf5_files import chunk_cache_bytes, open_hdf5

Array: TypeAlias = npt.NDArray[Any]
KeptAxis: TypeAlias = range | IntArray

_PIECE_SHARE = 8
"""A piece of a window, and what is picked from it, hold at most this fraction of the memory limit each."""

_ROW_HOLE_BYTES = 100_000
_CONTIGUOUS_HOLE_BYTES = 65_536


class Buffer(ABC):
    """Signals in on-disk axis order, (channels, time) or (time, channels)."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    writeable: bool

    @property
    @abstractmethod
    def filename(self) -> str | list[str]:
        """Path of the file, or of each joined file in order."""

    @property
    @abstractmethod
    def chunks(self) -> tuple[int, ...] | None:
        """Chunk shape, None where the dataset is contiguous."""

    @property
    @abstractmethod
    def decoded_chunks(self) -> tuple[int, ...] | None:
        """Chunk shape where whole chunks are read, None where values are read from where they lie."""

    @abstractmethod
    def read_into(self, axes: Sequence[KeptAxis], out: Array, in_threads: bool = True) -> None:
        """Read what `axes` select into `out`, whose shape is one length per axis.

        Where others read at the same time, the caller's thread had better do it alone, not `in_threads`.
        """

    @abstractmethod
    def write_from(self, axes: Sequence[KeptAxis], values: Array) -> None:
        """Write `values`, one length per axis, to what `axes` select."""

    @abstractmethod
    def transient_bytes(self, axes: Sequence[KeptAxis]) -> int:
        """Return the bytes that `read_into` allocates beside its result."""

    @abstractmethod
    def close(self) -> None:
        """Close the files that the buffer itself opened."""

    @property
    def ndim(self) -> int:
        """Number of axes: two."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Array:
        return self.read(parse_key(key, self.shape))

    def read(self, axes: Sequence[AxisIndex]) -> Array:
        """Return what `axes` select; an int takes its axis away."""
        kept = [keep_axis(index) for index in axes]
        out = np.empty([len(index) for index in kept], self.dtype)
        self.read_into(kept, out)
        return out.reshape(result_shape(axes))

    def __setitem__(self, key: Any, values: npt.ArrayLike) -> None:
        if not self.writeable:
            raise ValueError(
                f"{self.filename}: is open for reading only, or packed by lzf, which HDF5 does not rewrite safely; "
                "mirror the source to get a writeable copy."
            )
        axes = parse_key(key, self.shape)
        kept = [keep_axis(index) for index in axes]
        broadcast = np.broadcast_to(np.asarray(values), result_shape(axes))
        self.write_from(kept, broadcast.reshape([len(index) for index in kept]))


class HDF5Buffer(Buffer):
    """One HDF5 dataset of two axes.

    Parameters
    ----------
    dataset
        An open dataset. It stays the caller's: closing the buffer leaves its file open.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        if dataset.ndim != 2:
            raise FormatError(
                f"{dataset.file.filename}: {dataset.name} has shape {dataset.shape}; signals need two axes."
            )
        check_filters(dataset)
        if dataset.is_virtual or dataset.external:
            find_sources(dataset)
        self._dataset = dataset
        self._own_file: h5py.File | None = None
        self._remove: weakref.finalize[..., HDF5Buffer] | None = None
        self.shape: tuple[int, ...] = dataset.shape
        self.dtype = dataset.dtype
        self._chunks: tuple[int, ...] | None = dataset.chunks
        # HDF5 2.0 damages chunks packed by lzf when it packs them again, and raises no error.
        self.writeable = dataset.file.mode == "r+" and dataset.compression != "lzf"
        self._last_pairs: tuple[object, object, list[tuple[Span, Span]]] = (None, None, [])
        self._lies_plain = lies_plain(dataset)
        self._reader = None if self.writeable else self._fast_reader()

    @classmethod
    def open(cls, path: str | Path, name: str, writeable: bool = False, temporary: bool = False) -> "HDF5Buffer":
        """Open the dataset `name` of a file; the buffer closes the file when it is closed itself.

        A `temporary` file is removed then, or at the latest when the process ends.
        """
        file = open_hdf5(path, writeable)
        if not isinstance(file.get(name), h5py.Dataset):
            known = ", ".join(sorted(file)) or "nothing"
            file.close()
            raise FormatError(f"{path}: has no dataset {name!r}, it has {known}; name the dataset of the signals.")
        buffer = cls(file[name])
        buffer._own_file = file
        if temporary:
            buffer._remove = weakref.finalize(buffer, Path(path).unlink, missing_ok=True)
        return buffer

    def __reduce__(self) -> tuple[Any, ...]:
        return HDF5Buffer.open, (self.filename, self._dataset.name, self.writeable)

    @property
    def filename(self) -> str:
        """Path of the file."""
        return str(self._dataset.file.filename)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Chunk shape, None where the dataset is contiguous."""
        return self._chunks

    @property
    def decoded_chunks(self) -> tuple[int, ...] | None:
        """Chunk shape where whole chunks are read, None where values are read from where they lie."""
        return None if self._lies_plain else self._chunks

    @property
    def dataset(self) -> h5py.Dataset:
        """The dataset itself."""
        return self._dataset

    def close(self) -> None:
        """Close the file, if this buffer opened it; a temporary one is removed."""
        if isinstance(self._reader, ChunkReader):
            self._reader.close()
        if self._own_file is not None:
            self._own_file.close()
        if self._remove is not None:
            self._remove()

    def transient_bytes(self, axes: Sequence[KeptAxis]) -> int:
        """Return the bytes that `read_into` allocates beside its result: a piece of a window, and what is picked."""
        if self._row_reader(axes[1]) is not None:
            return 0
        return max((self._pair_transient_bytes(*pair) for pair in self._span_pairs(axes)), default=0)

    def read_into(self, axes: Sequence[KeptAxis], out: Array, in_threads: bool = True) -> None:
        """Read what `axes` select into `out`."""
        if not self._dataset.id.valid:
            raise ValueError("The file of this source is closed; open it again.")
        row_reader = self._row_reader(axes[1])
        if row_reader is not None:
            row_reader.read_rows(axes[0], bounds(axes[1])[0], out)
            return
        for rows, columns in self._pieces(axes):
            if rows.is_whole and columns.is_whole:
                self._read_window((rows.window, columns.window), out[rows.into, columns.into], in_threads)
            else:
                raw = np.empty((rows.length, columns.length), self.dtype)
                self._read_window((rows.window, columns.window), raw, in_threads)
                _pick(raw, rows, columns, out)

    def write_from(self, axes: Sequence[KeptAxis], values: Array) -> None:
        """Write `values` to what `axes` select; holes in a window are read and written back."""
        for rows, columns in self._pieces(axes):
            raw = np.empty((rows.length, columns.length), self.dtype)
            if not (rows.is_whole and columns.is_whole):
                self._read_window((rows.window, columns.window), raw)
            raw[outer(rows.taken, columns.taken)] = values[outer(rows.into, columns.into)]
            self._dataset[slice(*rows.window), slice(*columns.window)] = raw

    def _fast_reader(self) -> ChunkReader | PlainReader | None:
        if self._lies_plain:
            return PlainReader(self._dataset)
        return ChunkReader(self._dataset) if decodes(self._dataset) else None

    def _row_reader(self, columns: KeptAxis) -> PlainReader | None:
        """Return the reader that takes rows in any order to their places: of long rows, neighbouring columns."""
        match self._reader, columns:
            case PlainReader(has_short_rows=False) as reader, range(step=1):
                return reader
        return None

    def _read_window(self, windows: tuple[Window, Window], out: Array, in_threads: bool = True) -> None:
        match self._usable_reader():
            case ChunkReader() as reader:
                reader.read(windows, out, in_threads)
                return
            case PlainReader() as reader:
                reader.read(windows, out)
                return
        key = tuple(slice(start, stop) for start, stop in windows)
        try:
            if out.flags.c_contiguous:
                self._dataset.read_direct(out, key)
            else:
                out[...] = self._dataset[key]
        except OSError as error:
            raise FormatError(
                f"{self.filename}: samples {_words(windows)} of {self._dataset.name} cannot be read "
                f"({first_line(error)}); the file is damaged there, get it again from where it was recorded."
            ) from error

    def _pieces(self, axes: Sequence[KeptAxis]) -> Iterator[tuple[Span, Span]]:
        """Return windows that hold what `axes` select; cut along the longer axis unless they can be read in place."""
        for rows, columns in self._span_pairs(axes):
            if rows.is_whole and columns.is_whole:
                yield rows, columns
            elif rows.length > columns.length:
                yield from ((part, columns) for part in self._cut(axes, 0, rows.window, columns.length))
            else:
                yield from ((rows, part) for part in self._cut(axes, 1, columns.window, rows.length))

    def _span_pairs(self, axes: Sequence[KeptAxis]) -> list[tuple[Span, Span]]:
        """Return pairs of windows that hold what `axes` select; the last ones are kept, as a read is checked first."""
        rows, columns = axes
        known_rows, known_columns, pairs = self._last_pairs
        if not (rows is known_rows and columns is known_columns):
            pairs = list(product(*self._spans(rows, columns)))
            self._last_pairs = rows, columns, pairs
        return pairs

    def _spans(self, rows: KeptAxis, columns: KeptAxis) -> tuple[list[Span], list[Span]]:
        row_spans = spans(rows, self._hole(0, (rows, columns)))
        if isinstance(self._reader, PlainReader) and self._reader.has_short_rows:
            # Whole rows are read in place; parts of them would be many requests, or be read and copied.
            whole = span_in(columns, (0, self.shape[1]))
            return row_spans, [] if whole is None else [whole]
        return row_spans, spans(columns, self._hole(1, (rows, columns)))

    def _cut(self, axes: Sequence[KeptAxis], along: int, window: Window, across: int) -> Iterator[Span]:
        anchor = self.decoded_chunks[along] if self.decoded_chunks else 1
        for part in split_window(window, self._slabs(across), anchor):
            span = span_in(axes[along], part)
            if span is not None:
                yield span

    def _slabs(self, across: int) -> int:
        """Return the length of a piece along the axis that it is cut along."""
        return max(1, load_params().memory_limit // _PIECE_SHARE // (across * self.dtype.itemsize))

    def _pair_transient_bytes(self, rows: Span, columns: Span) -> int:
        across, along = sorted((rows.length, columns.length))
        piece = 0 if rows.is_whole and columns.is_whole else across * min(along, self._slabs(across))
        windows = rows.window, columns.window
        reader = self._usable_reader()
        reading = self._cache_bytes() if reader is None else reader.transient_bytes(windows)
        return 2 * piece * int(self.dtype.itemsize) + reading

    def _cache_bytes(self) -> int:
        """Return the bytes that HDF5 keeps of chunks that it decodes itself."""
        has_cache = self.decoded_chunks is not None and self._own_file is not None
        return chunk_cache_bytes() if has_cache else 0

    def _usable_reader(self) -> ChunkReader | PlainReader | None:
        """Return the reader past HDF5, unless it would inflate more than there is memory for."""
        too_large = isinstance(self._reader, ChunkReader) and not self._reader.fits_memory()
        return None if too_large else self._reader

    def _hole(self, axis: int, axes: Sequence[KeptAxis]) -> int:
        """Return the longest hole along an axis that is read over rather than skipped."""
        if self.decoded_chunks:
            return self.decoded_chunks[axis]
        if axis == 1:
            return max(1, _CONTIGUOUS_HOLE_BYTES // self.dtype.itemsize)
        start, stop = bounds(axes[1])
        return max(1, _ROW_HOLE_BYTES // (max(1, stop - start) * self.dtype.itemsize))


def _words(windows: tuple[Window, Window]) -> str:
    return " x ".join(f"{start} to {stop - 1}" for start, stop in windows)


def _pick(raw: Array, rows: Span, columns: Span, out: Array) -> None:
    """Copy what is wanted of a window to its places; by `take` where one list picks, which is several times faster."""
    axis = 0 if isinstance(rows.taken, np.ndarray) else 1
    picked, other = (rows.taken, columns.taken) if axis == 0 else (columns.taken, rows.taken)
    if isinstance(picked, np.ndarray) and isinstance(other, slice):
        within = raw[:, other] if axis == 0 else raw[other]
        if isinstance(rows.into, slice) and isinstance(columns.into, slice):
            np.take(within, picked, axis=axis, out=out[rows.into, columns.into], mode="clip")
            return
    out[outer(rows.into, columns.into)] = raw[outer(rows.taken, columns.taken)]
