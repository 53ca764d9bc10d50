"""The source that is mapped onto HDF5 files: nothing is read until it is indexed, and never more than the limit."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.binder import BufferBinder
from ecogpipe.datasource.buffers import Buffer, HDF5Buffer
from ecogpipe.datasource.slicing import (
    AxisIndex,
    check_one_list,
    compose,
    count,
    expand_key,
    keep_axis,
    parse_key,
    result_shape,
)
from ecogpipe.datasource.source import Array, ElectrodeDataSource, check_joinable, checked_mask
from ecogpipe.errors import FormatError, JoinError, MemoryBlowOutError, SettingsError, nearest
from ecogpipe.runtime.params import load_params

Scale: TypeAlias = float | tuple[float, float]
Aligned: TypeAlias = str | tuple[str, Sequence[int]]


class MappedSource(ElectrodeDataSource):
    """Electrode signals mapped onto HDF5, (active channels, time) whatever the order on disk.

    Parameters
    ----------
    data_buffer
        What the signals are read through.
    electrode_channels
        Rows of the buffer that carry the electrode channels; None for all rows.
    channel_mask
        One bool per electrode channel, True where it is kept; None for all True.
    aligned_arrays
        Names of datasets beside the signals, or (name, rows) for rows of the signals themselves. Each becomes an
        attribute ``source.<name>``, a source of its own of (rows, time), in the numbers of the file.
    units_scale
        ``scale``, or ``(offset, scale)`` with value = (raw + offset) * scale. A scaled source has the dtype of the
        `floating_point` setting and is read-only.
    transpose
        True where the buffer is (time, channels). Such a source is read-only.
    raise_on_big_slices
        Whether to refuse what would not fit into the memory limit.

    Examples
    --------
    >>> import h5py, numpy as np, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "recording.h5"
    >>> with h5py.File(path, "w") as file:
    ...     file["data"] = np.arange(12.0).reshape(3, 4)
    >>> with MappedSource.from_hdf_sources(path, "data", electrode_channels=[0, 2]) as source:
    ...     source[:, 1:3]
    array([[ 1.,  2.],
           [ 9., 10.]])
    """

    def __init__(
        self,
        data_buffer: Buffer,
        electrode_channels: Sequence[int] | None = None,
        channel_mask: npt.ArrayLike | None = None,
        aligned_arrays: Sequence[Aligned] = (),
        units_scale: Scale | None = None,
        transpose: bool = False,
        raise_on_big_slices: bool = True,
    ) -> None:
        self.data_buffer = data_buffer
        self._time_axis = 0 if transpose else 1
        _check_binder_axis(data_buffer, self._time_axis)
        self.electrode_channels = self._checked_channels(electrode_channels)
        self._mask = checked_mask(channel_mask, len(self.electrode_channels))
        self._units_scale = _offset_and_scale(units_scale)
        self._dtype = data_buffer.dtype if units_scale is None else np.dtype(load_params().dtype)
        self._raise_on_big_slices = raise_on_big_slices
        self._slices_are_maps = False
        self._aligned = tuple(aligned_arrays)
        self.aligned_arrays = tuple(_aligned_name(spec) for spec in self._aligned)
        self._check_aligned()

    @classmethod
    def from_hdf_sources(
        cls,
        files: h5py.File | str | Path | Sequence[h5py.File | str | Path],
        data_field: str,
        electrode_channels: Sequence[int] | None = None,
        channel_mask: npt.ArrayLike | None = None,
        aligned_arrays: Sequence[Aligned] = (),
        units_scale: Scale | None = None,
        transpose: bool = False,
        raise_on_big_slices: bool = True,
    ) -> Self:
        """Map the dataset `data_field` of one file, or of several joined end on end.

        Parameters
        ----------
        files
            An open `h5py.File`, which stays the caller's, or a path, which is opened for reading; or a sequence.
        data_field
            Name of the dataset of signals.
        electrode_channels, channel_mask, aligned_arrays, units_scale, transpose, raise_on_big_slices
            As for the class.

        Raises
        ------
        FormatError
            If a file cannot be opened, or has no such dataset.
        JoinError
            If the files differ in their layout.
        """
        sequence = [files] if isinstance(files, h5py.File | str | Path) else files
        buffers = [_buffer(file, data_field) for file in sequence]
        buffer = buffers[0] if len(buffers) == 1 else BufferBinder(buffers, axis=0 if transpose else 1)
        return cls(
            buffer, electrode_channels, channel_mask, aligned_arrays, units_scale, transpose, raise_on_big_slices
        )

    # -- what it is

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the file, or of the `floating_point` setting where the source is scaled."""
        return self._dtype

    @property
    def n_samples(self) -> int:
        """Number of samples of each channel."""
        return self.data_buffer.shape[self._time_axis]

    @property
    def transposed(self) -> bool:
        """Whether the buffer is (time, channels)."""
        return self._time_axis == 0

    @property
    def units_scale(self) -> tuple[float, float] | None:
        """(offset, scale) with value = (raw + offset) * scale; None where the source is not scaled."""
        return self._units_scale

    @property
    def n_file_rows(self) -> int:
        """Rows of the buffer, those that carry no electrode included."""
        return self.data_buffer.shape[1 - self._time_axis]

    @property
    def file_dtype(self) -> np.dtype[Any]:
        """Data type of the buffer."""
        return self.data_buffer.dtype

    @property
    def _join_facts(self) -> dict[str, Any]:
        own = {"time axis": self._time_axis, "scale": self._units_scale}
        return own | super()._join_facts | {"aligned arrays": self._aligned}

    @property
    def aligned_rows(self) -> dict[str, list[int]]:
        """Aligned arrays that are rows of the buffer, by name."""
        return {spec[0]: list(spec[1]) for spec in self._aligned if not isinstance(spec, str)}

    @property
    def writeable(self) -> bool:
        """Whether values can be assigned: the file is open for writing, not transposed and not scaled."""
        return self.data_buffer.writeable and self._time_axis == 1 and self._units_scale is None

    @property
    def is_direct_map(self) -> bool:
        """Whether channel k is row k of the buffer."""
        return self.active_channels == list(range(self.n_file_rows))

    def __getattr__(self, name: str) -> "MappedSource":
        # Only called for names that are not attributes yet: aligned arrays are opened when they are asked for.
        for spec in self.__dict__.get("_aligned", ()):
            if _aligned_name(spec) == name:
                aligned = self._open_aligned(spec)
                self.__dict__[name] = aligned
                return aligned
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")

    # -- access

    def __getitem__(self, key: Any) -> Any:
        if self._slices_are_maps:
            return self._channel_map(key)
        axes = self._parsed(key)
        buffer_axes = self._buffer_axes(axes)
        self._check_axes(buffer_axes)
        raw = self.data_buffer.read(buffer_axes)
        oriented = raw.T if self.transposed else raw
        values = oriented if self._units_scale is None else _scaled(oriented, *self._units_scale, self._dtype)
        return values if values.ndim or _has_ellipsis(key) else values[()]

    def __setitem__(self, key: Any, values: npt.ArrayLike) -> None:
        if not self.writeable:
            raise ValueError(
                f"{self.data_buffer.filename}: this source is read-only, as its file is open for reading, transposed, "
                "scaled or packed by lzf; use source.mirror(copy='all') for a writeable copy."
            )
        self.data_buffer[self._slice_logic(key)] = values

    @contextmanager
    def big_slices(self) -> Iterator[Self]:
        """Allow slices of any size inside a ``with`` block."""
        before, self._raise_on_big_slices = self._raise_on_big_slices, False
        try:
            yield self
        finally:
            self._raise_on_big_slices = before

    @contextmanager
    def channels_are_maps(self) -> Iterator[Self]:
        """Make ``source[channels]`` a source that shares the buffer, inside a ``with`` block."""
        self._slices_are_maps = True
        try:
            yield self
        finally:
            self._slices_are_maps = False

    def cache_slice(self, key: Any) -> None:
        """Begin to read ``source[key]`` in the background; `get_cached_slice` waits for it."""
        self._check_slice_size(self._slice_logic(key))
        super().cache_slice(key)

    def in_double(self) -> "MappedSource":
        """Return the source with its values in float64 where they are scaled; the buffer is shared."""
        if self._units_scale is None:
            return self
        double = self._derived(self.data_buffer, self.electrode_channels, self._mask, ())
        double._dtype = np.dtype(np.float64)
        return double

    def block_bytes(self, n_channels: int, n_samples: int) -> int:
        """Return the bytes that reading a block of this shape takes at its peak, result included."""
        block = (range(min(n_channels, len(self))), range(min(n_samples, self.n_samples)))
        return self._peak_bytes(self._buffer_axes(block))

    def join(self, other: "ElectrodeDataSource") -> "MappedSource":
        """Return a source of this one's samples followed by those of `other`, the buffers shared.

        Raises
        ------
        JoinError
            If the two differ in rows, dtype, scale, orientation, electrode channels or aligned arrays.
        """
        if not isinstance(other, MappedSource):
            raise JoinError(f"A mapped source can be joined with a mapped source, not with {type(other).__name__}.")
        check_joinable(self, other, f"{other.data_buffer.filename} cannot follow {self.data_buffer.filename}")
        binder = BufferBinder([self.data_buffer, other.data_buffer], axis=self._time_axis)
        return self._derived(binder, self.electrode_channels, self._mask, self._aligned)

    def close(self) -> None:
        """Close the files that were opened for this source; files that were handed over open stay open."""
        for name in self.aligned_arrays:
            if name in self.__dict__:
                self.__dict__[name].close()
        self.data_buffer.close()

    # -- from the source's key to the buffer's

    def _slice_logic(self, key: Any) -> tuple[Any, Any]:
        """Return the buffer's key for a key of the source: in on-disk axis order, channels looked up."""
        rows, _ = self._parsed(key)
        _, time = expand_key(key, self.ndim)
        channel_key = compose(rows, np.array(self.active_channels, dtype=np.intp))
        channels = channel_key if isinstance(channel_key, int) else [int(channel) for channel in channel_key]
        return (time, channels) if self.transposed else (channels, time)

    def _check_slice_size(self, buffer_key: tuple[Any, Any]) -> None:
        """Raise MemoryBlowOutError where reading a key of the buffer would take more than the memory limit."""
        self._check_axes(parse_key(buffer_key, self.data_buffer.shape))

    def _check_axes(self, buffer_axes: Sequence[AxisIndex]) -> None:
        limit = load_params().memory_limit
        if not self._raise_on_big_slices or self._peak_bytes(buffer_axes) <= limit:
            return
        shape = result_shape(buffer_axes)
        raise MemoryBlowOutError(
            f"Reading {shape[::-1] if self.transposed else shape} samples takes {self._peak_bytes(buffer_axes):,} "
            f"bytes, more than the memory limit of {limit:,}; read less at a time (iter_blocks), or raise the limit "
            "(OVERRIDE['memory_limit'], or source.big_slices() for one slice)."
        )

    def _peak_bytes(self, buffer_axes: Sequence[AxisIndex]) -> int:
        """Return the bytes held at once while a key of the buffer is read: raw numbers, pieces of windows, result."""
        n_values = count(buffer_axes[0]) * count(buffer_axes[1])
        raw = n_values * self.data_buffer.dtype.itemsize
        reading = self.data_buffer.transient_bytes([keep_axis(index) for index in buffer_axes])
        if self._units_scale is None:
            return raw + reading
        return raw + max(reading, n_values * (8 + self._dtype.itemsize))

    def _parsed(self, key: Any) -> tuple[AxisIndex, AxisIndex]:
        rows, time = parse_key(key, self.shape)
        check_one_list((rows, time))
        return rows, time

    def _buffer_axes(self, axes: tuple[AxisIndex, AxisIndex]) -> tuple[AxisIndex, AxisIndex]:
        rows, time = axes
        channels = compose(rows, np.array(self.active_channels, dtype=np.intp))
        return (time, channels) if self.transposed else (channels, time)

    # -- sources made of this one

    def of_rows(self, rows: Sequence[int], in_file_numbers: bool = False) -> "MappedSource":
        """Return a source of other rows of the same buffer, scaled as this one is unless `in_file_numbers`."""
        if in_file_numbers:
            return MappedSource(self.data_buffer, rows, transpose=self.transposed)
        return self._derived(self.data_buffer, rows, None, ())

    def _channel_map(self, key: Any) -> "MappedSource":
        rows, time = self._parsed(key)
        if time != range(self.n_samples):
            raise IndexError("Inside channels_are_maps() only channels can be selected; index the new source in time.")
        channels = [self.active_channels[row] for row in keep_axis(rows)]
        return self._derived(self.data_buffer, channels, None, self._aligned)

    def _derived(
        self, buffer: Buffer, channels: Sequence[int], mask: npt.ArrayLike | None, aligned: Sequence[Aligned]
    ) -> "MappedSource":
        derived = MappedSource(
            buffer, channels, mask, aligned, self._units_scale, self.transposed, self._raise_on_big_slices
        )
        derived._dtype = self._dtype
        return derived

    def _open_aligned(self, spec: Aligned) -> "MappedSource":
        if not isinstance(spec, str):
            return MappedSource(self.data_buffer, spec[1], transpose=self.transposed)
        buffers: list[Buffer] = [HDF5Buffer(_sibling_dataset(part, spec)) for part in self._buffer_parts()]
        buffer = buffers[0] if len(buffers) == 1 else BufferBinder(buffers, axis=self._time_axis)
        if buffer.shape[self._time_axis] != self.n_samples:
            raise FormatError(
                f"{buffer.filename}: {spec!r} has shape {buffer.shape} and does not share the {self.n_samples} samples "
                "of the signals."
            )
        return MappedSource(buffer, transpose=self.transposed)

    def _check_aligned(self) -> None:
        for name in self.aligned_arrays:
            if hasattr(type(self), name) or name in self.__dict__:
                raise SettingsError(
                    f"An aligned array cannot be named {name!r}, as sources have that attribute already."
                )
        for spec in self._aligned:
            if isinstance(spec, str):
                for part in self._buffer_parts():
                    _sibling_dataset(part, spec)

    def _buffer_parts(self) -> list[Buffer]:
        return self.data_buffer.buffers if isinstance(self.data_buffer, BufferBinder) else [self.data_buffer]

    def _checked_channels(self, channels: Sequence[int] | None) -> list[int]:
        n_rows = self.n_file_rows
        if channels is None:
            return list(range(n_rows))
        wrong = [channel for channel in channels if not 0 <= channel < n_rows]
        if wrong:
            raise IndexError(
                f"{self.data_buffer.filename}: has {n_rows} rows; there is no electrode channel {wrong[0]}."
            )
        return [int(channel) for channel in channels]


def _buffer(file: h5py.File | str | Path, name: str) -> HDF5Buffer:
    return HDF5Buffer(_dataset(file, name)) if isinstance(file, h5py.File) else HDF5Buffer.open(file, name)


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    if not isinstance(file.get(name), h5py.Dataset):
        raise FormatError(f"{file.filename}: has no dataset {name!r}. {nearest(name, file)}")
    return file[name]


def _sibling_dataset(part: Buffer, name: str) -> h5py.Dataset:
    if not isinstance(part, HDF5Buffer):
        raise FormatError(f"{part.filename}: the aligned array {name!r} can only be found beside an HDF5 dataset.")
    return _dataset(part.dataset.file, name)


def _aligned_name(spec: Aligned) -> str:
    return spec if isinstance(spec, str) else spec[0]


def _offset_and_scale(units_scale: Scale | None) -> tuple[float, float] | None:
    if units_scale is None:
        return None
    if isinstance(units_scale, Sequence):
        offset, scale = units_scale
        return float(offset), float(scale)
    return 0.0, float(units_scale)


def _scaled(raw: Array, offset: float, scale: float, dtype: np.dtype[Any]) -> Array:
    """Return (raw + offset) * scale, computed in float64 and rounded once."""
    values = raw.astype(np.float64)
    if offset:
        values += offset
    values *= scale
    return values.astype(dtype, copy=False)


def _has_ellipsis(key: Any) -> bool:
    return any(part is Ellipsis for part in (key if isinstance(key, tuple) else (key,)))


def _check_binder_axis(buffer: Buffer, time_axis: int) -> None:
    if isinstance(buffer, BufferBinder) and buffer.axis != time_axis:
        raise JoinError(
            f"{buffer.filename} are joined along axis {buffer.axis}, but time is axis {time_axis} of this source; "
            "join them along time, or change transpose."
        )
