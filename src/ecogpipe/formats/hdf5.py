"""HDF5 files as recordings: those of the lab's Python converter, Matlab's v7.3, and ecogpipe's own.

They are linked, unless they are still multiplexed.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe import layout
from ecogpipe.datasource.buffers import HDF5Buffer, open_hdf5
from ecogpipe.errors import EcogpipeError, FormatError, SettingsError
from ecogpipe.formats.acquisition import Found, settle
from ecogpipe.formats.header import Header, first_line
from ecogpipe.formats.multiplexed import take_lines
from ecogpipe.formats.variables import find_signals, plain
from ecogpipe.layout import Part

_MATLAB_CLASS = "MATLAB_class"
_COUNTS_OF_RATE = ("sampling_rate", "sampling_interval", "oversampling", "n_rows")


def read_hdf5(path: Path, declared: Mapping[str, Any]) -> Header:
    """Read what an HDF5 file holds, whoever wrote it.

    Raises
    ------
    FormatError
        If it is damaged, holds no recording, or something that is needed is neither in it nor declared.
    """
    with _open(path) as file:
        if "ecogpipe_format" in file.attrs:
            return _read_canonical(path, file, declared)
        variables = _HDF5Variables(path, file)
        signals = find_signals(variables, declared)
        kind, dtype = "Matlab v7.3" if variables.reversed else "HDF5", file[signals.variable].dtype
        part = Part(path, signals.variable, time_first=signals.channels_first == variables.reversed)
        if signals.layout == "A":
            return Header(path, kind, signals.acquisition, signals.n_values, dtype, parts=(part,))
        lines = _StoredLines(part, signals.n_lines, signals.n_values, dtype.newbyteorder("="))
        return take_lines(kind, signals.layout, lines, signals.acquisition, declared)


@dataclass(frozen=True)
class _StoredLines:
    """Analog lines in a dataset, read block by block."""

    part: Part
    n_lines: int
    n_values: int
    dtype: np.dtype[Any]

    @property
    def path(self) -> Path:
        return self.part.path

    def blocks(self, n_values: int, stop: int, start: int = 0) -> Iterator[npt.NDArray[Any]]:
        with _naming_damage(self.path), closing(HDF5Buffer.open(self.path, self.part.dataset)) as buffer:
            for first in range(start, stop, n_values):
                times = slice(first, min(first + n_values, stop))
                block = buffer[times].T if self.part.time_first else buffer[:, times]
                yield block.astype(self.dtype, copy=False)


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    """Open a file whose structure may be damaged anywhere."""
    with open_hdf5(path) as file, _naming_damage(path):
        yield file


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    """Say in one sentence that a file is damaged: h5py then raises errors of many kinds."""
    try:
        yield
    except EcogpipeError:
        raise
    except Exception as error:
        raise FormatError(
            f"{path}: its HDF5 structure cannot be read ({first_line(error)}); the file is damaged, get it again."
        ) from error


def _read_canonical(path: Path, file: h5py.File, declared: Mapping[str, Any]) -> Header:
    if "skip_seconds" in declared:
        raise SettingsError(
            f"{path}: is a file of ecogpipe, in which nothing is multiplexed any more, so skip_seconds cannot be "
            "declared of it; take it out of the overrides of the recording."
        )
    known = layout.read_acquisition(file)
    found = Found(
        holds="a recording",
        daq_rate=known.sampling_rate,
        oversampling=known.oversampling,
        n_rows=known.n_rows,
        n_columns=known.n_columns,
        n_bncs=known.n_bncs,
        units=known.units,
        slope=known.slope,
        intercept=known.intercept,
        start_time=known.start_time,
        info=known.info,
        overrides=known.overrides,
        notes=known.notes,
        cropped=known.cropped,
    )
    rate = None if any(name in declared for name in _COUNTS_OF_RATE) else known.rate
    acquisition = settle(path, found, declared, rate)
    if layout.ELECTRODE_CHANNELS in file:
        return _read_mirror(path, file, acquisition)
    parts = layout.signal_parts(file)
    lengths, dtypes = zip(*(_length_and_dtype(part) for part in parts), strict=True)
    segments = tuple(layout.read_segments(file)) if layout.SEGMENTS in file else ()
    return Header(path, "ecogpipe", acquisition, sum(lengths), dtypes[0], parts=tuple(parts), segments=segments)


def _read_mirror(path: Path, file: h5py.File, acquisition: layout.Acquisition) -> Header:
    """Take a mirror as a recording at its own rate: its rows are brought back to volts at the DAQ, and copied."""
    if "gain" not in file.attrs:
        raise FormatError(
            f"{path}: is a mirror that does not say the gain by which its electrode rows were made microvolts; make it "
            "again, or ingest the recording that it was made from."
        )
    gain = float(file.attrs["gain"])
    volts = np.ones((acquisition.n_channels, 1))
    volts[file[layout.ELECTRODE_CHANNELS][()]] = gain / layout.MICROVOLTS_PER["V"]
    note = f"is a mirror, already decimated: its electrode rows were brought back to volts by the gain of {gain:g}"
    acquisition = replace(acquisition, units="V", notes=[*acquisition.notes, note])
    n_samples = int(file[layout.DATA].shape[1])
    read = partial(_volts_of_mirror, path, volts, n_samples)
    return Header(path, "mirror", acquisition, n_samples, np.dtype(np.float64), read_blocks=read)


def _volts_of_mirror(
    path: Path, volts: npt.NDArray[np.float64], n_samples: int, block_length: int
) -> Iterator[npt.NDArray[Any]]:
    with closing(HDF5Buffer.open(path, layout.DATA)) as buffer:
        for start in range(0, n_samples, block_length):
            yield buffer[:, start : start + block_length] * volts


def _length_and_dtype(part: Part) -> tuple[int, np.dtype[Any]]:
    with open_hdf5(part.path) as file:
        dataset = file[part.dataset]
        return dataset.shape[0 if part.time_first else 1], dataset.dtype


class _HDF5Variables:
    """The datasets of an open file; Matlab's have their axes reversed on disk."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self._file = path, file
        self.reversed = any(_MATLAB_CLASS in item.attrs for item in file.values() if item is not None)

    def names(self) -> list[str]:
        return list(self._file)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return self._shapes

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}

        def note(name: str, item: h5py.HLObject) -> None:
            if isinstance(item, h5py.Dataset) and item.shape is not None and _is_numbers(item) and name[0] != "#":
                shapes[name] = item.shape[::-1] if self.reversed else item.shape

        self._file.visititems(note)
        return shapes

    def values(self, name: str) -> npt.NDArray[Any]:
        return np.asarray(self._file[name][()])

    def info(self) -> dict[str, Any]:
        group = self._file.get(layout.INFO)
        if not isinstance(group, h5py.Group):
            return {}
        return {name: _plain_info(item) for name, item in group.items() if isinstance(item, h5py.Dataset)}


def _is_numbers(dataset: h5py.Dataset) -> bool:
    named_otherwise = _matlab_class(dataset) in ("char", "cell", "struct") or dataset.attrs.get("MATLAB_empty")
    return dataset.dtype.kind in "fiu" and not named_otherwise


def _matlab_class(dataset: h5py.Dataset) -> str:
    name = dataset.attrs.get(_MATLAB_CLASS, "")
    return name.decode() if isinstance(name, bytes) else str(name)


def _plain_info(dataset: h5py.Dataset) -> Any:
    if h5py.check_string_dtype(dataset.dtype):
        return str(dataset.asstr()[()])
    if _matlab_class(dataset) == "char":
        return np.asarray(dataset[()]).astype("<u2").tobytes().decode("utf-16-le", errors="replace")
    return plain(np.asarray(dataset[()])) if _is_numbers(dataset) else ""
