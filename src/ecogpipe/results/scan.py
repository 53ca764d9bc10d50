"""The scan of a recording, scan.h5: numbers of every channel, their correlation, and the BNC lines at the full rate."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.buffers import HDF5Buffer
from ecogpipe.datasource.chunk_writer import lines_packed
from ecogpipe.errors import FormatError
from ecogpipe.results.recording import RawRecording, units_per, values_of
from ecogpipe.runtime.params import load_params
from ecogpipe.statistics.channel_statistics import FRAMES, NUMBERS, ratio
from ecogpipe.statistics.correlation import Correlation
from ecogpipe.statistics.stretches import Stretches, stretch_starts
from ecogpipe.storage.canonical import BNC, BNC_CHANNELS, Acquisition, gap_free_ranges, read_acquisition
from ecogpipe.storage.hdf5_files import open_hdf5
from ecogpipe.storage.portable import to_json

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_NUMBERS = "channels"
"""Group with one dataset per number, over all channels."""

_CORRELATION = "correlation"
_SIGNAL, _SIGNAL_BEFORE = "signal_hash", "sha256"
"""Attribute with the hash of all samples; in version 0.1, it had another name and was made otherwise."""

_WINDOWS = "windows"
_MOST_WINDOWS_BYTES = 100_000_000
_CHUNK_OF_WINDOWS_BYTES = 1_000_000
_LINE_CHUNK_BYTES = 1_000_000
_WINDOW_SHARE = 16
"""Of the memory limit: a window of a line, and what is computed of it."""


@dataclass(frozen=True)
class Scan:
    """What is known of all samples of a recording.

    Attributes
    ----------
    acquisition : Acquisition
        Of the recording; its notes include those of the scan.
    n_samples : int
        Frames.
    signal_hash : str
        Hash of all samples (`ecogpipe.storage.digests.signal_hash`; in version 0.1, a SHA-256).
    numbers : dict of str to ndarray of float64
        Those of `channel_statistics.NUMBERS` that it holds, over all channels, in the units of the acquisition.
    counts_levels : bool
        Whether its samples are whole numbers of the converter.
    """

    acquisition: Acquisition
    n_samples: int
    signal_hash: str
    numbers: dict[str, Floats]
    counts_levels: bool


def read_scan(path: Path, needed: Collection[str] = (), *, others: bool = True) -> Scan:
    """Read a scan.

    Parameters
    ----------
    path
        scan.h5 of a recording.
    needed
        Names of numbers that it has to hold; those of an older version may lack some of `channel_statistics.NUMBERS`.
    others
        Whether to read also the numbers that are not needed, as far as it holds them.

    Raises
    ------
    FormatError
        If the file is missing, is not a scan, or lacks a number that is needed.
    """
    with _open_scan(path) as file:
        if missing := [name for name in needed if name not in file[_NUMBERS]]:
            raise FormatError(f"{path}: lacks the number {missing[0]!r} of each channel; run scan again.")
        return Scan(
            acquisition=read_acquisition(file),
            n_samples=int(file.attrs["n_samples"]),
            signal_hash=_read_signal_hash(file),
            numbers=_numbers(file[_NUMBERS], NUMBERS if others else needed),
            counts_levels=BNC in file and file[BNC].dtype.kind in "iu",
        )


def read_correlation(path: Path) -> tuple[npt.NDArray[np.float32], int]:
    """Read how the slow changes of the channels before the BNC lines correlate, and how many changes went into it.

    Raises
    ------
    FormatError
        If the file is missing or is not a scan.
    """
    with _open_scan(path) as file:
        return file[_CORRELATION][()], int(file[_CORRELATION].attrs["n_changes"])


def read_signal_hash(path: Path) -> str:
    """Read the hash of all samples that a scan holds.

    Raises
    ------
    FormatError
        If the file is missing or is not a scan.
    """
    with _open_scan(path) as file:
        return _read_signal_hash(file)


@contextmanager
def _open_scan(path: Path) -> Iterator[h5py.File]:
    """Open a scan, and refuse a file that lacks what every scan holds."""
    with open_hdf5(path) as file:
        try:
            yield file
        except KeyError as error:
            raise _not_a_scan(path) from error


def _read_signal_hash(file: h5py.File) -> str:
    return str(file.attrs[_SIGNAL if _SIGNAL in file.attrs else _SIGNAL_BEFORE])


def write_numbers(file: h5py.File, numbers: Mapping[str, Floats], correlation: Correlation) -> None:
    """Write the numbers of all channels, in the units of the acquisition, and the correlation of the first ones."""
    # Made by name, as HDF5 would write the time of day into a group that comes to be on the way to a dataset.
    group = file.create_group(_NUMBERS)
    for name, values in numbers.items():
        group[name] = values
    n_changes = correlation.n_changes
    file[_CORRELATION] = correlation.result()
    file[_CORRELATION].attrs["n_changes"] = n_changes


def write_facts(file: h5py.File, n_samples: int, signal_hash: str, notes: list[str]) -> None:
    """Write the length of the recording, the hash of all samples, and the notes of its acquisition and of the scan."""
    file.attrs["n_samples"] = n_samples
    file.attrs[_SIGNAL] = signal_hash
    file.attrs["notes"] = to_json(notes)


class LineWriter:
    """Writes the BNC channels into ``/bnc`` as the frames go by, in chunks of one line, packed by libdeflate.

    The chunks are those of HDF5's own shuffle and gzip filters, but are packed ten times as fast.
    """

    def __init__(self, file: h5py.File, recording: RawRecording) -> None:
        acquisition, dtype = recording.acquisition, recording.source.dtype
        n_rows, n_samples = acquisition.n_rows, recording.n_samples
        self._channels = np.arange(n_rows * acquisition.n_columns, acquisition.n_channels)
        blocks_per_chunk = max(1, _LINE_CHUNK_BYTES // (n_rows * dtype.itemsize * FRAMES))
        length = min(blocks_per_chunk * FRAMES, n_samples)
        filters = {"chunks": (n_rows, length), "compression": "gzip", "compression_opts": 1, "shuffle": True}
        shape = (len(self._channels), n_samples)
        self._dataset = file.create_dataset(BNC, shape, dtype, **(filters if min(shape) else {}))
        file[BNC_CHANNELS] = self._channels
        self._n_rows, self._written = n_rows, 0
        self._waiting: npt.NDArray[Any] = np.zeros((len(self._channels), length), dtype)
        self._n_waiting = 0
        self._packers = ThreadPoolExecutor(load_params().workers, thread_name_prefix="pack")

    def __enter__(self) -> "LineWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._packers.shutdown(cancel_futures=True)

    def update(self, lines: npt.NDArray[Any]) -> None:
        """Take the next samples, (channels, time)."""
        if not len(self._channels):
            return
        taken = 0
        while taken < lines.shape[1]:
            end = min(self._n_waiting + lines.shape[1] - taken, self._waiting.shape[1])
            n_new = end - self._n_waiting
            self._waiting[:, self._n_waiting : end] = lines[:, taken : taken + n_new]
            taken, self._n_waiting = taken + n_new, end
            if end == self._waiting.shape[1]:
                self._write()

    def finish(self) -> None:
        """Write the frames that are left, in chunks that are zero beyond the last frame."""
        if self._n_waiting:
            self._waiting[:, self._n_waiting :] = 0
            self._write()

    def _write(self) -> None:
        rows = range(0, len(self._channels), self._n_rows)
        groups = [self._waiting[row : row + self._n_rows] for row in rows]
        for row, packed in zip(rows, self._packers.map(lines_packed, groups), strict=True):
            self._dataset.id.write_direct_chunk((row, self._written), packed)
        self._written += self._waiting.shape[1]
        self._n_waiting = 0


def window_starts(recording: RawRecording) -> tuple[Ints, int]:
    """Return the first frames of the windows of ``/windows``, and their seconds: as few as there is room for.

    Window k begins with the first frame at or after k times the seconds; a gap begins another one.
    """
    acquisition, seconds = recording.acquisition, 1
    gaps = [first for first, _ in gap_free_ranges(recording.segments)]
    while True:
        starts = stretch_starts(recording.n_samples, acquisition.rate, seconds, gaps)
        n_bytes = len(starts) * acquisition.n_channels * sum(np.dtype(dtype).itemsize for dtype in _OF_WINDOW.values())
        if n_bytes <= _MOST_WINDOWS_BYTES or len(starts) <= len(gaps):
            return starts, seconds
        seconds = max(seconds + 1, seconds * n_bytes // _MOST_WINDOWS_BYTES)


_OF_WINDOW = {"std": np.float32, "low": np.float32, "high": np.float32, "n_finite": np.int32}
"""Numbers of each channel and window."""


@dataclass(frozen=True)
class Windows:
    """What ``/windows`` says of some channels: seconds of a window, first frame of each, and their deviation.

    `std` is (channels, windows), in the units of the acquisition; NaN where a window has no finite sample.
    """

    seconds: int
    first_sample: Ints
    std: npt.NDArray[np.float32]


def read_windows(path: Path, channels: Ints) -> Windows:
    """Read the numbers of each window of a recording, of some channels in ascending order.

    Raises
    ------
    FormatError
        If the file is missing, is not a scan, or is of a version that wrote none.
    """
    with _open_scan(path) as file:
        group = file[_WINDOWS]
        return Windows(int(group.attrs["seconds"]), group["first_sample"][()], group["std"][()][channels])


class WindowWriter:
    """Writes ``/windows`` as the recording goes by, in the units of the acquisition.

    ``std``, ``low``, ``high`` and ``n_finite`` are (channels, windows): of the finite samples of a window, the standard
    deviation about their mean, the least, the largest, and how many they are. ``first_sample`` is where each window
    begins; it ends where the next one does. The attribute ``seconds`` of the group is the length of a window: 1, or
    more where 100 MB would not hold the numbers of each second.
    """

    def __init__(self, file: h5py.File, recording: RawRecording, starts: Ints, seconds: int) -> None:
        self._acquisition, self._seconds = recording.acquisition, seconds
        n_channels, n_windows = len(recording.source), len(starts) if recording.n_samples else 0
        group = file.create_group(_WINDOWS)
        group.attrs["seconds"] = seconds
        group["first_sample"] = starts[:n_windows]
        most = max(1, _CHUNK_OF_WINDOWS_BYTES // (n_channels * np.dtype(np.float32).itemsize))
        length = min(most, n_windows)
        chunks = {"chunks": (n_channels, length)} if n_windows else {}
        self._datasets = {
            name: group.create_dataset(name, (n_channels, n_windows), dtype, **chunks)
            for name, dtype in _OF_WINDOW.items()
        }
        self._waiting = {name: np.empty((n_channels, length), dtype) for name, dtype in _OF_WINDOW.items()}
        self._n_waiting, self._n_written = 0, 0

    @property
    def notes(self) -> list[str]:
        """A sentence where windows are longer than a second."""
        if self._seconds == 1:
            return []
        return [f"the numbers in /windows are of {self._seconds} s each: those of each second would take over 100 MB"]

    def update(self, stretches: Stretches) -> None:
        """Take the numbers of the next windows, in raw units."""
        slope, intercept = self._acquisition.slope, self._acquisition.intercept
        low, high = (stretches.low, stretches.high) if slope > 0 else (stretches.high, stretches.low)
        none = stretches.n == 0
        of_window = {
            "std": abs(slope) * np.sqrt(ratio(stretches.squares, stretches.n)),
            "low": np.where(none, np.nan, slope * low + intercept),
            "high": np.where(none, np.nan, slope * high + intercept),
            "n_finite": stretches.n,
        }
        for number in range(len(stretches.n)):
            for name, values in of_window.items():
                self._waiting[name][:, self._n_waiting] = values[number]
            self._n_waiting += 1
            if self._n_waiting == self._waiting["std"].shape[1]:
                self.finish()

    def finish(self) -> None:
        """Write the windows that wait."""
        places = slice(self._n_written, self._n_written + self._n_waiting)
        for name, waiting in self._waiting.items():
            if self._n_waiting:
                self._datasets[name][:, places] = waiting[:, : self._n_waiting]
        self._n_written, self._n_waiting = places.stop, 0


class ScannedLines:
    """The BNC lines of a scan, read in windows that the memory limit holds, in volts.

    Attributes
    ----------
    rate : Fraction
        Frames per second.
    n_rows, n_columns, n_channels : int
        Row copies per frame; DAQ columns before those of the BNC lines; channels of the recording.
    n_samples : int
        Frames.
    """

    def __init__(self, scan: Path) -> None:
        with open_hdf5(scan) as file:
            acquisition = read_acquisition(file)
            if BNC not in file or _NUMBERS not in file:
                raise _not_a_scan(scan)
            self._bnc_channels = file[BNC_CHANNELS][()]
            extremes = np.array([file[_NUMBERS][name][()] for name in ("min", "max")])
        self._acquisition, self._to_volts = acquisition, units_per(acquisition, "V")
        self._extremes: Floats = extremes * self._to_volts
        self._buffer = HDF5Buffer.open(scan, BNC)
        self.rate: Fraction = acquisition.rate
        self.n_rows, self.n_columns, self.n_channels = acquisition.n_rows, acquisition.n_columns, acquisition.n_channels
        self.n_samples = self._buffer.shape[1]

    def __enter__(self) -> "ScannedLines":
        return self

    def __exit__(self, *_: object) -> None:
        self._buffer.close()

    def extremes(self, channels: npt.NDArray[np.intp]) -> tuple[float, float]:
        """Return the lowest and highest finite sample of all copies of a line, in volts; NaN where there is none."""
        lowest, highest = self._extremes[:, channels]
        return float(np.fmin.reduce(lowest)), float(np.fmax.reduce(highest))

    def windows(self, channels: npt.NDArray[np.intp]) -> Iterator[tuple[int, Floats]]:
        """Yield the first frame and the volts, (copies, time), of consecutive windows of a line."""
        first_row = int(np.searchsorted(self._bnc_channels, channels[0]))
        rows = slice(first_row, first_row + len(channels))
        length = self._window_length(len(channels))
        for start in range(0, self.n_samples, length):
            raw = self._buffer[rows, start : start + length]
            yield start, values_of(raw, self._acquisition) * self._to_volts

    def _window_length(self, n_copies: int) -> int:
        """Return a multiple of the chunks, so that none is inflated twice."""
        chunk = self._buffer.chunks[1] if self._buffer.chunks else 1
        affordable = load_params().memory_limit // _WINDOW_SHARE // (n_copies * np.dtype(np.float64).itemsize)
        return max(1, affordable // chunk) * chunk


def _numbers(group: h5py.Group, names: Iterable[str]) -> dict[str, Floats]:
    return {name: np.asarray(group[name][()], dtype=np.float64) for name in names if name in group}


def _not_a_scan(path: Path) -> FormatError:
    return FormatError(f"{path}: is not a scan of a recording (scan.h5); run scan for the recording again.")
