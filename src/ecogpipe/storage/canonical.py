"""Names and meanings inside our HDF5 files (canonical format 1), written and read in one place."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from math import nan
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ecogpipe.errors import FormatError
from ecogpipe.storage.portable import relative_name, to_json

FORMAT = 1

DATA = "data"
PARTS = "parts"
BNC = "bnc"
BNC_CHANNELS = "bnc_channels"
BNC_KINDS = "bnc_kinds"
INFO = "info"
SEGMENTS = "segments"
ELECTRODE_CHANNELS = "electrode_channels"
CHANNEL_MASK = "channel_mask"
SITES = "sites"

CHANNELS_BY_TIME = "channels_by_time"
TIME_BY_CHANNELS = "time_by_channels"

MICROVOLTS_PER = {"V": 1e6, "mV": 1e3, "uV": 1.0}
"""Microvolts in each unit that raw values may be declared in."""


_LONGEST_TIME = 32
"""Bytes of a time in ISO 8601, with microseconds and zone."""


@dataclass(frozen=True)
class Acquisition:
    """How the channels of a recording were acquired: read from its files, or declared by a person.

    Attributes
    ----------
    rate : Fraction
        Frames per second, exact.
    n_rows : int
        Multiplexer rows per DAQ column (numRow).
    n_columns : int
        DAQ columns of the electrode, diagnostic columns included (numCol).
    n_bncs : int
        DAQ columns after them that carry BNC lines.
    units : str
        Unit of ``slope * raw + intercept`` at the DAQ: 'V', 'mV' or 'uV'.
    slope, intercept : float
        value = slope * raw + intercept, computed in float64, in that order.
    oversampling, sampling_rate
        OSR and sampRate of the DAQ, where known.
    start_time : str
        ISO 8601 with zone, or empty where not known.
    info : dict
        Everything else that the files say of themselves, by name.
    overrides : dict
        Acquisition values that a person declared, by name; they took precedence.
    notes : list of str
        What a reader noticed and a person should know: truncation, skipped channels, the channel order used.
    cropped : list of dict
        One for each file whose channels were cropped to their common length: its `part` (name), the `reason`, and
        `samples_expected` and `samples_found` (one number for each channel of the file) and `samples_kept`.
    """

    rate: Fraction
    n_rows: int
    n_columns: int
    n_bncs: int
    units: str
    slope: float = 1.0
    intercept: float = 0.0
    oversampling: int | None = None
    sampling_rate: float | None = None
    start_time: str = ""
    info: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    cropped: list[dict[str, Any]] = field(default_factory=list)

    @property
    def n_channels(self) -> int:
        """Channels of the demultiplexed recording."""
        return self.n_rows * (self.n_columns + self.n_bncs)


@dataclass(frozen=True)
class Segment:
    """A row of ``/segments``: the stretch of a recording that one file holds.

    Attributes
    ----------
    first_sample, n_samples : int
        Where it begins in the recording, and its length.
    start_time : str
        ISO 8601 with zone, or empty where not known.
    part : str
        Name of the file.
    gap_seconds : float
        From the end of the stretch before to its start, negative where they overlap; NaN where not known.
    after_gap : bool
        Whether that is more than clocks can be wrong, so that the signal does not go on from the stretch before.
    """

    first_sample: int
    n_samples: int
    start_time: str
    part: str
    gap_seconds: float = nan
    after_gap: bool = False


@dataclass(frozen=True)
class Part:
    """One dataset of signals: where it is, its name inside the file, and whether time comes first."""

    path: Path
    dataset: str
    time_first: bool


def write_acquisition(file: h5py.File, acquisition: Acquisition) -> None:
    """Write the acquisition values at the root, under the names that the lab's older tools read."""
    file.attrs["ecogpipe_format"] = FORMAT
    file.attrs["rate_numerator"] = _storable(acquisition.rate.numerator)
    file.attrs["rate_denominator"] = _storable(acquisition.rate.denominator)
    file.attrs["units"] = acquisition.units
    file.attrs["slope"] = acquisition.slope
    file.attrs["intercept"] = acquisition.intercept
    file.attrs["overrides"] = to_json(acquisition.overrides)
    file.attrs["notes"] = to_json(acquisition.notes)
    file.attrs["cropped"] = to_json(acquisition.cropped)
    if acquisition.start_time:
        file.attrs["start_time"] = acquisition.start_time
    file["Fs"] = float(acquisition.rate)
    file["numRow"] = acquisition.n_rows
    file["numCol"] = acquisition.n_columns
    file["numChan"] = acquisition.n_columns + acquisition.n_bncs
    if acquisition.oversampling is not None:
        file["OSR"] = acquisition.oversampling
    if acquisition.sampling_rate is not None:
        file["sampRate"] = acquisition.sampling_rate
    _write_info(file.create_group(INFO), acquisition.info)


def _storable(number: int) -> int | str:
    """Return a whole number as HDF5 can hold it: as its digits where it has more than 64 bits."""
    return number if number < 2**63 else str(number)


def read_acquisition(file: h5py.File) -> Acquisition:
    """Read what `write_acquisition` wrote.

    Raises
    ------
    FormatError
        If the file is not in the canonical format, or in a version that this library does not know.
    """
    check_canonical(file)
    attrs, n_columns = file.attrs, int(file["numCol"][()])
    return Acquisition(
        rate=Fraction(int(attrs["rate_numerator"]), int(attrs["rate_denominator"])),
        n_rows=int(file["numRow"][()]),
        n_columns=n_columns,
        n_bncs=int(file["numChan"][()]) - n_columns,
        units=str(attrs["units"]),
        slope=float(attrs["slope"]),
        intercept=float(attrs["intercept"]),
        oversampling=int(file["OSR"][()]) if "OSR" in file else None,
        sampling_rate=float(file["sampRate"][()]) if "sampRate" in file else None,
        start_time=str(attrs.get("start_time", "")),
        info=_read_info(file[INFO]),
        overrides=json.loads(attrs["overrides"]),
        notes=json.loads(attrs["notes"]),
        cropped=json.loads(attrs.get("cropped", "[]")),
    )


def check_canonical(file: h5py.File) -> None:
    """Refuse a file that is not in the canonical format, version 1."""
    found = file.attrs.get("ecogpipe_format")
    if found is None:
        raise FormatError(f"{file.filename}: is not a file of ecogpipe; ingest the recording first.")
    if int(found) != FORMAT:
        raise FormatError(
            f"{file.filename}: is in ecogpipe format {int(found)}, this version reads format {FORMAT}; "
            "install the version that wrote it, or ingest the recording again."
        )


def link_parts(file: h5py.File, parts: Sequence[Part], folder: Path) -> None:
    """Link datasets of other files into `file`, by paths relative to `folder` (where `file` will stand).

    Every part becomes ``/parts/<number>``; a single one is ``/data`` as well. Nothing is copied.
    """
    group = file.create_group(PARTS)
    for number, part in enumerate(parts):
        group[f"{number:03d}"] = h5py.ExternalLink(relative_name(part.path, folder), part.dataset)
    if len(parts) == 1:
        file[DATA] = h5py.ExternalLink(relative_name(parts[0].path, folder), parts[0].dataset)
    file.attrs["orientation"] = TIME_BY_CHANNELS if parts[0].time_first else CHANNELS_BY_TIME


def signal_parts(file: h5py.File) -> list[Part]:
    """Return where the signals of a canonical file are: in linked files, in order, or in the file itself."""
    time_first = file.attrs["orientation"] == TIME_BY_CHANNELS
    here = Path(file.filename)
    if PARTS not in file:
        return [Part(here, DATA, time_first)]
    links = [file[PARTS].get(number, getlink=True) for number in sorted(file[PARTS])]
    return [Part(here.parent / link.filename, link.path, time_first) for link in links]


def write_segments(file: h5py.File, segments: Sequence[Segment]) -> None:
    """Write the stretches of a recording, one row each, as the table ``/segments``."""
    start_time = _text_type([segment.start_time for segment in segments], _LONGEST_TIME)
    part = _text_type([segment.part for segment in segments])
    numbers, names = [("first_sample", "i8"), ("n_samples", "i8")], [("start_time", start_time), ("part", part)]
    columns = np.dtype([*numbers, *names, ("gap_seconds", "f8"), ("after_gap", "?")])
    rows = [tuple(_encoded(value) for value in astuple(segment)) for segment in segments]
    file.create_dataset(SEGMENTS, data=np.array(rows, dtype=columns))


def _encoded(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def read_segments(file: h5py.File) -> list[Segment]:
    """Read what `write_segments` wrote."""
    return [
        Segment(int(first), int(length), start.decode(), part.decode(), float(gap), bool(after_gap))
        for first, length, start, part, gap, after_gap in file[SEGMENTS][()]
    ]


def gap_free_ranges(segments: Sequence[Segment]) -> list[tuple[int, int]]:
    """Return the (first, stop) samples of the stretches of a recording in which no gap lies, in order.

    Parts without a gap between them are one stretch; a recording without gaps is a single one. No filter may run from
    one stretch into the next.

    Examples
    --------
    >>> parts = Segment(0, 50, "", "a"), Segment(50, 70, "", "b", 0.0), Segment(120, 180, "", "c", 9.5, after_gap=True)
    >>> gap_free_ranges(parts)
    [(0, 120), (120, 300)]
    """
    firsts = [segment.first_sample for segment in segments if segment.after_gap or not segment.first_sample]
    end = segments[-1].first_sample + segments[-1].n_samples
    return list(pairwise([*firsts, end]))


def stretch_seconds(segments: Sequence[Segment]) -> list[float | None]:
    """Return the seconds from the first sample to that of each stretch without a gap; None where that is not known.

    Examples
    --------
    >>> early, late = "2020-01-01T00:00:00+00:00", "2020-01-01T00:01:30+00:00"
    >>> stretch_seconds([Segment(0, 50, early, "a"), Segment(50, 70, late, "b", 40.0, after_gap=True)])
    [0.0, 90.0]
    """
    starts = {segment.first_sample: segment.start_time for segment in segments}
    times = [starts[first] for first, _ in gap_free_ranges(segments)]
    return [0.0, *(_seconds_between(times[0], time) for time in times[1:])]


def _seconds_between(earlier: str, later: str) -> float | None:
    if not (earlier and later):
        return None
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def read_texts(dataset: h5py.Dataset) -> list[str]:
    """Read a dataset of strings."""
    return [str(text) for text in dataset.asstr()[()]]


def write_texts(file: h5py.File, name: str, texts: Sequence[str]) -> None:
    """Write a dataset of strings, of one length, as PyTables and others read no longer or shorter ones."""
    file.create_dataset(name, data=[text.encode() for text in texts], dtype=_text_type(texts), shape=(len(texts),))


def _text_type(texts: Sequence[str], least: int = 1) -> np.dtype[Any]:
    dtype: np.dtype[Any] = h5py.string_dtype("utf-8", max([least, *(len(text.encode()) for text in texts)]))
    return dtype


def _write_info(group: h5py.Group, info: Mapping[str, Any]) -> None:
    for name, value in info.items():
        place = name.replace("/", "_")
        if isinstance(value, int | float):
            group[place] = value
        else:
            group.create_dataset(place, data=str(value).encode(), dtype=_text_type([str(value)]))


def _read_info(group: h5py.Group) -> dict[str, Any]:
    return {name: _plain(group[name]) for name in group}


def _plain(dataset: h5py.Dataset) -> Any:
    if h5py.check_string_dtype(dataset.dtype):
        return dataset.asstr()[()]
    return dataset[()].item()
