"""What an NWB file of a recording holds, before any of it is written: its series, its sites, its edges, its words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.electrodes.channels import ChannelTable
from ecogpipe.errors import FormatError
from ecogpipe.figures.wording import MirrorFacts, read_mirror_facts
from ecogpipe.results.events import EventsTable
from ecogpipe.results.mask import MaskTable
from ecogpipe.results.mirror import read_mirror
from ecogpipe.results.recording import RawRecording, units_per
from ecogpipe.storage import canonical
from ecogpipe.storage.canonical import Segment, gap_free_ranges, stretch_seconds
from ecogpipe.storage.portable import to_json

PROCESSING, LFP = "ecephys", "LFP"
BNC = "bnc"
RAW = "raw"


@dataclass(frozen=True)
class Series:
    """Signals without a gap among them.

    Attributes
    ----------
    name : str
        Its name in the file.
    is_electrical : bool
        Whether its columns are the electrodes; else they are BNC rows.
    is_raw : bool
        Whether it is as acquired, and not a mirror.
    shape : (int, int)
        Samples and columns.
    dtype : dtype
        Of the samples.
    read : callable
        Returns samples [start, stop), (columns, time).
    rate : Fraction
        Sampling rate in Hz.
    starting_time : float
        Seconds from the first frame of the recording to its first sample.
    conversion, offset : float
        value in volts = conversion * sample + offset.
    description, comments, filtering : str
        In words; `comments` is JSON.
    """

    name: str
    is_electrical: bool
    is_raw: bool
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    read: Callable[[int, int], npt.NDArray[Any]]
    rate: Fraction
    starting_time: float
    conversion: float
    offset: float
    description: str
    comments: str
    filtering: str = ""


@dataclass(frozen=True)
class NwbContent:
    """What the NWB file of a recording holds.

    Attributes
    ----------
    recording : str
        Full name of the recording.
    start : datetime
        Of its first frame, with zone.
    metadata : mapping
        What `read_nwb_metadata` returned for its session.
    table, mask, events : ChannelTable, MaskTable, EventsTable
        Its results.
    sample_delays : ndarray of float64
        Seconds by which the multiplexer samples each electrode after the first of its frame.
    edge_seconds : callable
        Turns frames at the full rate into seconds from `start`.
    series : list of Series
        The signals.
    provenance : mapping
        What made the file.
    """

    recording: str
    start: datetime
    metadata: Mapping[str, Any]
    table: ChannelTable
    mask: MaskTable
    events: EventsTable
    sample_delays: npt.NDArray[np.float64]
    edge_seconds: Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]
    series: Sequence[Series]
    provenance: Mapping[str, Any] = field(repr=False)


def starting_times(segments: Sequence[Segment], where: Path) -> list[float]:
    """Return the seconds from the first sample of a recording to that of each stretch without a gap.

    Raises
    ------
    FormatError
        If a stretch follows a gap, and when it began is not known.
    """
    times = [seconds for seconds in stretch_seconds(segments) if seconds is not None]
    if len(times) < len(gap_free_ranges(segments)):
        raise FormatError(
            f"{where}: has gaps, and when its parts began is not known, so that NWB cannot say when their samples were "
            "taken; declare the start times, or leave the recording out."
        )
    return times


def seconds_of_frames(
    segments: Sequence[Segment], rate: Fraction, where: Path
) -> Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]:
    """Return the function that turns frames into seconds from the first one, gaps included."""
    firsts = np.array([first for first, _ in gap_free_ranges(segments)])
    starts = np.array(starting_times(segments, where))

    def seconds(frames: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        stretch = np.searchsorted(firsts, np.floor(frames), side="right") - 1
        found: npt.NDArray[np.float64] = starts[stretch] + (frames - firsts[stretch]) / float(rate)
        return found

    return seconds


def mirror_series(path: Path) -> list[Series]:
    """Return the series of a mirror: its electrodes in microvolts, and its BNC rows in volts."""
    mirror, facts = read_mirror(path), read_mirror_facts(path)
    electrodes = MappedSource.from_hdf_sources(path, canonical.DATA, mirror.electrode_channels.tolist())
    comments = to_json(
        {
            "rate": str(facts.rate),
            "ratio": facts.ratio,
            "settling_samples": facts.settling_samples,
            "settings": facts.settings,
            "overrides": mirror.acquisition.overrides,
            "grid": mirror.chan_map.geometry,
            "pitch_mm": mirror.chan_map.pitch,
            "n_rows": mirror.acquisition.n_rows,
            "bnc_columns": (mirror.bnc_channels // mirror.acquisition.n_rows).tolist(),
            "bnc_kinds": list(mirror.bnc_kinds),
        }
    )
    made = _in_stretches(
        facts.name,
        electrodes,
        mirror.segments,
        path,
        rate=facts.rate,
        is_electrical=True,
        is_raw=False,
        conversion=1e-6,
        offset=0.0,
        description=f"Electrodes at {facts.rate_text}, from the recording as acquired",
        comments=comments,
        filtering=_filtering(facts),
    )
    if not len(mirror.bnc_channels):
        return made
    kinds = dict(zip((mirror.bnc_channels // mirror.acquisition.n_rows).tolist(), mirror.bnc_kinds, strict=True))
    return made + _in_stretches(
        f"{facts.name}_{BNC}",
        MappedSource.from_hdf_sources(path, canonical.BNC),
        mirror.segments,
        path,
        rate=facts.rate,
        is_electrical=False,
        is_raw=False,
        conversion=1.0,
        offset=0.0,
        description="BNC lines, each by its row copies: " + ", ".join(f"column {n} ({kinds[n]})" for n in kinds),
        comments=comments,
    )


def raw_series(raw: RawRecording, table: ChannelTable) -> list[Series]:
    """Return the series of the electrodes as acquired, in the numbers of the source."""
    acquisition = raw.acquisition
    volts = units_per(acquisition, "V") / table.gain
    electrodes = MappedSource(
        raw.source.data_buffer, table.electrode_channels.tolist(), transpose=raw.source.transposed
    )
    return _in_stretches(
        RAW,
        electrodes,
        raw.segments,
        raw.path,
        rate=acquisition.rate,
        is_electrical=True,
        is_raw=True,
        conversion=acquisition.slope * volts,
        offset=acquisition.intercept * volts,
        description="Electrodes as acquired, in the numbers of the source",
        comments=to_json(
            {
                "rate": str(acquisition.rate),
                "ratio": 1,
                "settling_samples": 0,
                "gain": table.gain,
                "overrides": acquisition.overrides | table.overrides,
                "grid": table.grid,
                "pitch_mm": table.pitch_mm,
                "n_rows": acquisition.n_rows,
            }
        ),
    )


def _in_stretches(
    name: str, source: MappedSource, segments: Sequence[Segment], path: Path, *, rate: Fraction, **facts: Any
) -> list[Series]:
    """Return a series of each stretch without a gap; they are counted where there are several."""
    stretches = gap_free_ranges(segments)
    times = starting_times(segments, path)
    return [
        Series(
            name=name if len(stretches) == 1 else f"{name}_{number}",
            shape=(stop - first, len(source)),
            dtype=np.dtype(source.file_dtype),
            read=_reader(source, first),
            rate=rate,
            starting_time=time,
            **facts,
        )
        for number, ((first, stop), time) in enumerate(zip(stretches, times, strict=True), start=1)
    ]


def _reader(source: MappedSource, first: int) -> Callable[[int, int], npt.NDArray[Any]]:
    return lambda start, stop: source[:, first + start : first + stop]


def _filtering(facts: MirrorFacts) -> str:
    return (
        f"band-pass {facts.filter_text}; notches {facts.notch_text}; reference {facts.reference_text}; {facts.row_text}"
    )
