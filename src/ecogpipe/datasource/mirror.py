"""Mirrors by hand: a new source of another's shape, mapped onto a file or in memory, empty or filled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.array import ArraySource
from ecogpipe.datasource.buffers import HDF5Buffer
from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.datasource.plain import create_plain, plain_chunks
from ecogpipe.datasource.scratch import scratch_path
from ecogpipe.datasource.source import ElectrodeDataSource
from ecogpipe.errors import MemoryBlowOutError, OutputError, SettingsError, nearest
from ecogpipe.runtime.params import load_params
from ecogpipe.signal.rates import decimated_length
from ecogpipe.storage import canonical

Array: TypeAlias = npt.NDArray[Any]
Shapes: TypeAlias = dict[str, tuple[int, int]]

COPIES = ("", "aligned", "electrode", "all")


def mirror(
    source: ElectrodeDataSource,
    new_rate_ratio: int | None = None,
    writeable: bool = True,
    mapped: bool = True,
    channel_compatible: bool = False,
    filename: str | Path = "",
    copy: str = "",
    new_sources: Mapping[str, Array] | None = None,
    dtype: npt.DTypeLike | None = None,
) -> ElectrodeDataSource:
    """Return a mirror of a source: empty, or filled by `copy`.

    Parameters
    ----------
    source
        What is mirrored.
    new_rate_ratio
        Integer ratio to the mirror's lower rate. Such a mirror is empty; `batch_change_rate` fills it.
    writeable
        A writeable mirror has the `floating_point` precision and the units of the source; one that is not has the
        dtype of the source: a mapped one the numbers of its file, with its scale.
    mapped
        Whether the mirror is mapped onto a file, or an `ArraySource` in memory.
    channel_compatible
        Whether the mirror has every row of the source's file, masked ones too, so that the same wiring fits. If not,
        its rows are the active channels.
    filename
        File of a mapped mirror, which must not exist yet; '' makes a temporary one, gone with the mirror.
    copy
        '' for nothing, 'electrode' for the signals, 'aligned' for the aligned arrays, 'all' for both.
    new_sources
        Arrays of a mirror in memory that are allocated already: 'data', and aligned arrays by their names.
    dtype
        Of a writeable mirror, in place of the `floating_point` precision.

    Raises
    ------
    SettingsError
        If options cannot go together, or an array of `new_sources` does not fit.
    OutputError
        If `filename` exists already.
    MemoryBlowOutError
        If a mirror in memory does not fit into the memory limit.
    """
    ratio = 1 if new_rate_ratio is None else checked_ratio(new_rate_ratio, "new_rate_ratio")
    _check_options(ratio, writeable, mapped, filename, copy, new_sources)
    layout_of = _Compatible(source) if channel_compatible else _ActiveRows(source)
    shapes = layout_of.shapes(decimated_length(source.n_samples, ratio))
    in_file_numbers = mapped and not writeable
    read_only_dtype = source.file_dtype if mapped else source.dtype
    dtype = np.dtype(dtype or load_params().dtype) if writeable else read_only_dtype
    tasks = layout_of.copies(copy, in_file_numbers)
    if not mapped:
        arrays = _allocate(shapes, dtype, new_sources or {})
        _run(tasks, arrays)
        return _in_memory(arrays, layout_of, writeable)
    path = _new_path(filename)
    with h5py.File(path, "w") as file:
        chunks = {name: plain_chunks(shape, dtype.itemsize) for name, shape in shapes.items()}
        made = {name: create_plain(file, name, shape, dtype, chunks[name]) for name, shape in shapes.items()}
        _run(tasks, {name: HDF5Buffer(dataset) for name, dataset in made.items()})
    return MappedSource(
        HDF5Buffer.open(path, canonical.DATA, writeable, temporary=not filename),
        layout_of.electrode_channels,
        layout_of.mask,
        [*(name for name in shapes if name != canonical.DATA), *layout_of.rows_inside.items()],
        None if writeable else source.units_scale,
    )


@dataclass(frozen=True)
class _Copy:
    """One array to fill: from what, into which array of the mirror, into which rows."""

    origin: ElectrodeDataSource
    target: str
    rows: list[int]


class _ActiveRows:
    """A mirror whose rows are the active channels; every aligned array stands beside them."""

    def __init__(self, source: ElectrodeDataSource) -> None:
        self._source = source
        self.electrode_channels = list(range(len(source)))
        self.mask = np.ones(len(source), dtype=bool)
        self.rows_inside: dict[str, list[int]] = {}

    @property
    def n_rows(self) -> int:
        return len(self._source)

    def shapes(self, n_samples: int) -> Shapes:
        aligned = (name for name in self._source.aligned_arrays if name not in self.rows_inside)
        rows = {canonical.DATA: self.n_rows} | {name: len(getattr(self._source, name)) for name in aligned}
        return {name: (count, n_samples) for name, count in rows.items()}

    def copies(self, copy: str, in_file_numbers: bool) -> list[_Copy]:
        wanted = self._signal_copies(copy, in_file_numbers) if copy in ("electrode", "all") else []
        if copy in ("aligned", "all"):
            wanted += [self._aligned_copy(name) for name in self._source.aligned_arrays]
        return wanted

    def _signal_copies(self, copy: str, in_file_numbers: bool) -> list[_Copy]:
        origin = self._source.of_rows(self._source.active_channels, in_file_numbers)
        return [_Copy(origin, canonical.DATA, self.electrode_channels)]

    def _aligned_copy(self, name: str) -> _Copy:
        origin = getattr(self._source, name)
        if name in self.rows_inside:
            return _Copy(origin, canonical.DATA, self.rows_inside[name])
        return _Copy(origin, name, list(range(len(origin))))


class _Compatible(_ActiveRows):
    """A mirror with every row of the source's file; what carries no electrode keeps the numbers of the file."""

    def __init__(self, source: ElectrodeDataSource) -> None:
        super().__init__(source)
        self.electrode_channels = source.electrode_channels
        self.mask = source.binary_channel_mask
        self.rows_inside = source.aligned_rows

    @property
    def n_rows(self) -> int:
        return self._source.n_file_rows

    def _signal_copies(self, copy: str, in_file_numbers: bool) -> list[_Copy]:
        # Masks never delete: a masked row is there with its signal.
        electrodes = _Copy(
            self._source.of_rows(self.electrode_channels, in_file_numbers), canonical.DATA, self.electrode_channels
        )
        others = sorted(set(range(self.n_rows)) - set(self.electrode_channels))
        if copy == "electrode" or not others:
            return [electrodes]
        return [electrodes, _Copy(self._source.of_rows(others, in_file_numbers=True), canonical.DATA, others)]


def _run(tasks: Sequence[_Copy], targets: Mapping[str, Any]) -> None:
    for task in tasks:
        for block, (_, time) in task.origin.iter_blocks(return_slice=True):
            targets[task.target][task.rows, time] = block


def _allocate(shapes: Shapes, dtype: np.dtype[Any], given: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of a mirror in memory: those that are given, zeros otherwise."""
    for name, array in given.items():
        if name not in shapes:
            raise SettingsError(f"The mirror has no array {name!r}. {nearest(name, shapes)}")
        if array.shape != shapes[name]:
            raise SettingsError(f"new_sources[{name!r}] has shape {array.shape}, the mirror needs {shapes[name]}.")
        if not np.can_cast(dtype, array.dtype, "same_kind"):
            raise SettingsError(
                f"new_sources[{name!r}] holds {array.dtype}, which would round the mirror's {dtype}; give it {dtype}."
            )
    missing = {name: shape for name, shape in shapes.items() if name not in given}
    n_bytes = sum(rows * length for rows, length in missing.values()) * dtype.itemsize
    limit = load_params().memory_limit
    if n_bytes > limit:
        raise MemoryBlowOutError(
            f"A mirror in memory takes {n_bytes:,} bytes, more than the memory limit of {limit:,}; use mapped=True, or "
            "raise the limit."
        )
    return dict(given) | {name: np.zeros(shape, dtype) for name, shape in missing.items()}


def _in_memory(arrays: Mapping[str, Array], rows: _ActiveRows, writeable: bool) -> ArraySource:
    data = arrays[canonical.DATA]
    inside = {name: data[indices] for name, indices in rows.rows_inside.items()}
    beside = {name: array for name, array in arrays.items() if name != canonical.DATA}
    if not writeable:
        # A view: an array that was given stays as writeable as it was.
        data = data.view()
        data.flags.writeable = False
    return ArraySource(data, rows.electrode_channels, rows.mask, beside | inside)


def _new_path(filename: str | Path) -> Path:
    if not filename:
        return scratch_path(".h5")
    if Path(filename).exists():
        raise OutputError(f"{filename}: is there already; choose another name, or remove it first.")
    Path(filename).parent.mkdir(parents=True, exist_ok=True)
    return Path(filename)


def checked_ratio(ratio: object, name: str) -> int:
    """Return an integer ratio of two rates.

    Raises
    ------
    SettingsError
        If it is not an integer of 1 or more.
    """
    if not isinstance(ratio, int | np.integer) or isinstance(ratio, bool) or ratio < 1:
        raise SettingsError(f"{name} is {ratio!r}; give an integer of 1 or more.")
    return int(ratio)


def _check_options(
    ratio: int,
    writeable: bool,
    mapped: bool,
    filename: str | Path,
    copy: str,
    new_sources: Mapping[str, Array] | None,
) -> None:
    if copy not in COPIES:
        raise SettingsError(f"copy is {copy!r}. {nearest(copy, COPIES[1:])} An empty text copies nothing.")
    if ratio > 1 and copy:
        raise SettingsError(
            f"copy={copy!r} cannot go with new_rate_ratio={ratio}: a lower rate needs a filter; make the mirror "
            "empty and fill it with source.batch_change_rate(ratio, mirror)."
        )
    if not writeable and copy not in ("electrode", "all"):
        raise SettingsError(
            "A mirror that is neither writeable nor filled stays empty; use copy='all', or writeable=True."
        )
    if not mapped and filename:
        raise SettingsError(f"filename={str(filename)!r} belongs to a mapped mirror; use mapped=True, or no filename.")
    if mapped and new_sources:
        raise SettingsError("new_sources are arrays of a mirror in memory; use mapped=False, or no new_sources.")
