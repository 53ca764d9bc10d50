"""HDF5 files as recordings: those of the lab's Python converter, Matlab's v7.3, and ecogpipe's own.

They are linked, unless they are still multiplexed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.buffers import HDF5Buffer
from ecogpipe.errors import EcogpipeError, FormatError, SettingsError, first_line
from ecogpipe.formats.acquisition import Found, settle
from ecogpipe.formats.hdf5_variables import HDF5Variables
from ecogpipe.formats.header import Header
from ecogpipe.formats.multiplexed import Lines, take_lines
from ecogpipe.formats.nwb import SITES, is_nwb, read_nwb_signals
from ecogpipe.formats.variables import find_signals
from ecogpipe.storage import canonical
from ecogpipe.storage.canonical import Part, Segment
from ecogpipe.storage.hdf5_datasets import check_filters, find_sources, unwritten_note
from ecogpipe.storage.hdf5_files import open_hdf5
from ecogpipe.storage.portable import to_json

_COUNTS_OF_RATE = ("sampling_rate", "sampling_interval", "oversampling", "n_rows")


def read_hdf5(path: Path, declared: Mapping[str, Any]) -> Header:
    """Read what an HDF5 file holds, whoever wrote it.

    Raises
    ------
    FormatError
        If it is damaged, holds no recording, or something that is needed is neither in it nor declared.
    """
    with open_foreign_hdf5(path) as file:
        if "ecogpipe_format" in file.attrs:
            return _read_canonical(path, file, declared)
        if is_nwb(file):
            return _read_nwb(path, declared)
        variables = HDF5Variables(path, file)
        signals = find_signals(variables, declared)
        kind, datasets = "Matlab v7.3" if variables.reversed else "HDF5", variables.datasets(signals.variable)
        sources = _sources(path, [file[name] for name in datasets], signals.acquisition.notes)
        first = file[datasets[0]]
        shape = signals.n_lines, signals.n_values
        if len(datasets) > 1 or first.ndim != 2:
            is_transposed = first.ndim > 2 and signals.channels_first == variables.reversed
            lines: Lines = _SqueezedLines(path, datasets, *shape, first.dtype.newbyteorder("="), is_transposed)
        else:
            part = Part(path, signals.variable, time_first=signals.channels_first == variables.reversed)
            if signals.layout == "A":
                return Header(path, kind, signals.acquisition, shape[1], first.dtype, parts=(part,), sources=sources)
            lines = _StoredLines(path, part, *shape, first.dtype.newbyteorder("="))
        header = take_lines(kind, signals.layout, lines, signals.acquisition, declared)
        return replace(header, sources=sources)


def _sources(path: Path, datasets: Sequence[h5py.Dataset], notes: list[str]) -> tuple[Path, ...]:
    """Look at what a file holds of its signals: return the other files that do, and note what was never written."""
    found: list[Path] = []
    for dataset in datasets:
        check_filters(dataset)
        here = Path(dataset.file.filename)
        found += [*([] if here.samefile(path) else [here]), *find_sources(dataset)]
        notes += filter(None, [unwritten_note(dataset)])
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class _StoredLines:
    """Analog lines in a dataset of two axes, read block by block."""

    path: Path
    part: Part
    n_lines: int
    n_values: int
    dtype: np.dtype[Any]

    def blocks(self, n_values: int, stop: int, start: int = 0) -> Iterator[npt.NDArray[Any]]:
        with _naming_damage(self.path), closing(HDF5Buffer.open(self.path, self.part.dataset)) as buffer:
            for first in range(start, stop, n_values):
                times = slice(first, min(first + n_values, stop))
                block = buffer[times].T if self.part.time_first else buffer[:, times]
                yield block.astype(self.dtype, copy=False)


@dataclass(frozen=True)
class _SqueezedLines:
    """Lines in several datasets, one each, or in one whose other axes are of length 1, read block by block."""

    path: Path
    datasets: Sequence[str]
    n_lines: int
    n_values: int
    dtype: np.dtype[Any]
    is_transposed: bool

    def blocks(self, n_values: int, stop: int, start: int = 0) -> Iterator[npt.NDArray[Any]]:
        with open_foreign_hdf5(self.path) as file:
            for first in range(start, stop, n_values):
                times = slice(first, min(first + n_values, stop))
                block = np.concatenate([self._piece(file[name], times) for name in self.datasets])
                if block.shape != (self.n_lines, times.stop - first):
                    raise FormatError(
                        f"{self.path}: {self.datasets[0]} gives {block.shape} samples in place of "
                        f"{self.n_lines, times.stop - first}; write the signals as one array of two axes."
                    )
                yield block.astype(self.dtype, copy=False)

    def _piece(self, dataset: h5py.Dataset, times: slice) -> npt.NDArray[Any]:
        """Read some samples of a dataset, (lines, time)."""
        longer = [axis for axis, length in enumerate(dataset.shape) if length != 1] or [0]
        time_axis = longer[0] if self.is_transposed else longer[-1]
        key = tuple(times if axis == time_axis else slice(None) for axis in range(dataset.ndim))
        values = dataset[key]
        lines = np.moveaxis(values, time_axis, -1)
        return np.asarray(lines.reshape(-1, lines.shape[-1]))


@contextmanager
def open_foreign_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file whose structure may be damaged anywhere: what then cannot be read is a FormatError."""
    with open_hdf5(path) as file, _naming_damage(path):
        yield file


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    """Say in one sentence what cannot be read of a file: h5py raises errors of many kinds where it is damaged."""
    try:
        yield
    except EcogpipeError:
        raise
    except (OSError, RuntimeError, KeyError) as error:
        raise FormatError(
            f"{path}: its HDF5 structure cannot be read ({first_line(error)}); the file is damaged, get it again."
        ) from error
    except Exception as error:
        raise FormatError(
            f"{path}: holds something that cannot be read ({first_line(error)}); copy the signals and what belongs to "
            "them into a new file."
        ) from error


def _read_canonical(path: Path, file: h5py.File, declared: Mapping[str, Any]) -> Header:
    if "skip_seconds" in declared:
        raise SettingsError(
            f"{path}: is a file of ecogpipe, in which nothing is multiplexed any more, so skip_seconds cannot be "
            "declared of it; take it out of the overrides of the recording."
        )
    known = canonical.read_acquisition(file)
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
    if canonical.ELECTRODE_CHANNELS in file:
        return _read_mirror(path, file, acquisition)
    parts = canonical.signal_parts(file)
    lengths, dtypes = zip(*(_length_and_dtype(part) for part in parts), strict=True)
    segments = tuple(canonical.read_segments(file)) if canonical.SEGMENTS in file else ()
    return Header(path, "ecogpipe", acquisition, sum(lengths), dtypes[0], parts=tuple(parts), segments=segments)


def _read_nwb(path: Path, declared: Mapping[str, Any]) -> Header:
    """Take an ElectricalSeries of an NWB file, which is one channel after the other, and the sites that it says."""
    signals = read_nwb_signals(path, declared.get("variable"))
    sites, grid, pitch = signals.sites()
    found = Found(
        holds=f"an ElectricalSeries of {signals.shape[1]} channels",
        n_rows=1,
        n_columns=signals.shape[1],
        n_bncs=0,
        units="V",
        slope=signals.conversion,
        intercept=signals.offset,
        start_time=signals.start_time,
        info={SITES: to_json({"sites": sites.tolist(), "grid": grid, "pitch_mm": pitch})},
    )
    rate = None if any(name in declared for name in _COUNTS_OF_RATE) else signals.rate
    acquisition = settle(path, found, declared, rate)
    parts = tuple(Part(path, name, time_first=True) for name in signals.datasets)
    segments = tuple(
        Segment(first, stop - first, _later(signals.start_time, seconds), path.name, after_gap=first > 0)
        for first, stop, seconds in signals.stretches
    )
    return Header(path, "NWB", acquisition, signals.shape[0], signals.dtype, parts=parts, segments=segments)


def _later(start_time: str, seconds: float) -> str:
    return (datetime.fromisoformat(start_time) + timedelta(seconds=seconds)).isoformat() if start_time else ""


def _read_mirror(path: Path, file: h5py.File, acquisition: canonical.Acquisition) -> Header:
    """Take a mirror as a recording at its own rate: its rows are brought back to volts at the DAQ, and copied."""
    if "gain" not in file.attrs:
        raise FormatError(
            f"{path}: is a mirror that does not say the gain by which its electrode rows were made microvolts; make it "
            "again, or ingest the recording that it was made from."
        )
    gain = float(file.attrs["gain"])
    volts = np.ones((acquisition.n_channels, 1))
    volts[file[canonical.ELECTRODE_CHANNELS][()]] = gain / canonical.MICROVOLTS_PER["V"]
    note = f"is a mirror, already decimated: its electrode rows were brought back to volts by the gain of {gain:g}"
    acquisition = replace(acquisition, units="V", notes=[*acquisition.notes, note])
    n_samples = int(file[canonical.DATA].shape[1])
    read = partial(_volts_of_mirror, path, volts, n_samples)
    return Header(path, "mirror", acquisition, n_samples, np.dtype(np.float64), read_blocks=read)


def _volts_of_mirror(
    path: Path, volts: npt.NDArray[np.float64], n_samples: int, block_length: int
) -> Iterator[npt.NDArray[Any]]:
    with closing(HDF5Buffer.open(path, canonical.DATA)) as buffer:
        for start in range(0, n_samples, block_length):
            yield buffer[:, start : start + block_length] * volts


def _length_and_dtype(part: Part) -> tuple[int, np.dtype[Any]]:
    with open_hdf5(part.path) as file:
        dataset = file[part.dataset]
        return dataset.shape[0 if part.time_first else 1], dataset.dtype
