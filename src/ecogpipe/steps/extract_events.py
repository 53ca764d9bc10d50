"""The step that finds the edges of the digital BNC lines, at the full rate."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ecogpipe import events as lines
from ecogpipe import layout, outputs
from ecogpipe.datasource.buffers import HDF5Buffer, open_hdf5
from ecogpipe.electrodes.channels import read_channels
from ecogpipe.errors import FormatError, SettingsError
from ecogpipe.params import load_params
from ecogpipe.steps.scan import NUMBERS
from ecogpipe.tsv import read_tsv, write_tsv

logger = logging.getLogger(__name__)

REVISION: int = 1

RISING, FALLING = "rising", "falling"

_COLUMNS = ("line", "edge", "sample", "seconds")
_EDGES = (
    "rising: first frame at which any row copy of the line is beyond the threshold (above it, or below it for a "
    "ttl_low line); falling: first frame at which none is; frames count from 0 at the full rate"
)
_SHARE = 16


def extract_events(scan: Path, channels: Path, events: Path, *, minimum_step: float) -> Path:
    """Write the edges of every digital BNC line of a recording, exact to the sample.

    Parameters
    ----------
    scan : Path
        scan.h5 of the recording.
    channels : Path
        channels.tsv of the recording, which says the kind of each line.
    events : Path
        The table to write, events.tsv: line (DAQ column), edge ('rising' where the line becomes active, 'falling'
        where it is so no more), sample (frame at the full rate), seconds. Levels and thresholds are in its header.
    minimum_step : float
        Volts between the low and the high level that a line needs to have pulses at all.

    Returns
    -------
    Path
        `events`.

    Raises
    ------
    FormatError
        If the inputs are not of one recording.
    SettingsError
        If `minimum_step` is not positive.
    """
    if not minimum_step > 0:
        raise SettingsError(f"events.minimum_step is {minimum_step}; give the volts between a line's two levels.")
    table = read_channels(channels)
    with _ScannedLines(scan) as scanned:
        scanned.check_same_recording(channels, len(table))
        kinds = table.bnc_kinds
        found = {
            column: _find(scanned, rows, kinds[column], minimum_step) for column, rows in table.bnc_channels.items()
        }
        rate, n_samples = scanned.rate, scanned.n_samples
    header = {
        "rate_numerator": rate.numerator,
        "rate_denominator": rate.denominator,
        "n_samples": n_samples,
        "edges": _EDGES,
        "lines": {str(column): line.facts for column, line in found.items()},
        "provenance": outputs.provenance(
            "extract_events", REVISION, [scan, channels], {"minimum_step": minimum_step}, events.parent
        ),
    }
    for column, line in found.items():
        logger.info("%s: line %d, %s", events, column, line.facts["note"])
    return write_tsv(events, header, _COLUMNS, _rows(found, rate))


@dataclass(frozen=True)
class EventsTable:
    """What events.tsv holds.

    Attributes
    ----------
    rising, falling : dict of int to ndarray of int64
        Frames of the edges of each digital line, by its DAQ column.
    facts : dict of int to dict
        Kind, levels, threshold and a note of each BNC line, by its DAQ column.
    """

    rising: dict[int, lines.Counts]
    falling: dict[int, lines.Counts]
    facts: dict[int, dict[str, Any]]


def read_events(path: Path) -> EventsTable:
    """Read a table that `extract_events` wrote.

    Raises
    ------
    FormatError
        If the file is missing or is no events table.
    """
    table = read_tsv(path)
    if table.columns != _COLUMNS or "lines" not in table.header:
        raise FormatError(f"{path}: is not an events table (events.tsv); run extract_events for the recording again.")
    facts = {int(column): dict(line) for column, line in table.header["lines"].items()}
    digital = [column for column, line in facts.items() if line["kind"] != "analog"]

    def frames(edge: str) -> dict[int, lines.Counts]:
        return {column: _frames(table.rows, column, edge) for column in digital}

    return EventsTable(frames(RISING), frames(FALLING), facts)


def _frames(rows: list[dict[str, str]], column: int, edge: str) -> lines.Counts:
    wanted = str(column), edge
    return np.array([int(row["sample"]) for row in rows if (row["line"], row["edge"]) == wanted], dtype=np.int64)


@dataclass(frozen=True)
class _Line:
    edges: lines.Edges
    facts: dict[str, Any]


class _ScannedLines:
    """The BNC rows of a scan, read in windows that the memory limit holds, in volts."""

    def __init__(self, scan: Path) -> None:
        with open_hdf5(scan) as file:
            acquisition = layout.read_acquisition(file)
            if layout.BNC not in file or NUMBERS not in file:
                raise FormatError(f"{scan}: is not a scan of a recording (scan.h5); run scan for the recording again.")
            self._bnc_channels = file[layout.BNC_CHANNELS][()]
            extremes = np.array([file[NUMBERS][name][()] for name in ("min", "max")])
        self._path, self._acquisition = scan, acquisition
        self._to_volts = layout.MICROVOLTS_PER[acquisition.units] / layout.MICROVOLTS_PER["V"]
        self._extremes: lines.Volts = extremes * self._to_volts
        self._buffer = HDF5Buffer.open(scan, layout.BNC)
        self.rate: Fraction = acquisition.rate
        self.n_samples = self._buffer.shape[1]

    def __enter__(self) -> "_ScannedLines":
        return self

    def __exit__(self, *_: object) -> None:
        self._buffer.close()

    def check_same_recording(self, channels: Path, n_channels: int) -> None:
        """Refuse a channel table of another number of channels."""
        if n_channels != self._acquisition.n_channels:
            raise FormatError(
                f"{channels}: has {n_channels} channels, but {self._path} has {self._acquisition.n_channels}; "
                "make both from the same raw.h5."
            )

    def extremes(self, channels: npt.NDArray[np.intp]) -> tuple[float, float]:
        """Lowest and highest finite sample of all copies of a line, in volts; NaN where there is none."""
        lowest, highest = self._extremes[:, channels]
        return float(np.fmin.reduce(lowest)), float(np.fmax.reduce(highest))

    def windows(self, channels: npt.NDArray[np.intp]) -> Iterator[tuple[int, lines.Volts]]:
        """Yield the first frame and the volts, (copies, time), of consecutive windows of a line."""
        first_row = int(np.searchsorted(self._bnc_channels, channels[0]))
        rows = slice(first_row, first_row + len(channels))
        length = self._window_length(len(channels))
        for start in range(0, self.n_samples, length):
            raw = self._buffer[rows, start : start + length]
            values = self._acquisition.slope * raw.astype(np.float64) + self._acquisition.intercept
            yield start, values * self._to_volts

    def _window_length(self, n_copies: int) -> int:
        """A multiple of the chunks, so that none is inflated twice."""
        chunk = self._buffer.chunks[1] if self._buffer.chunks else 1
        affordable = load_params().memory_limit // _SHARE // (n_copies * np.dtype(np.float64).itemsize)
        return max(1, affordable // chunk) * chunk


def _find(scanned: _ScannedLines, channels: npt.NDArray[np.intp], kind: str, minimum_step: float) -> _Line:
    lowest, highest = scanned.extremes(channels)
    facts: dict[str, Any] = {"kind": kind, "lowest_volts": _number(lowest), "highest_volts": _number(highest)}
    if kind == "analog":
        return _Line(lines.NO_EDGES, facts | {"note": "analog: no edges are looked for"})
    levels = _levels(scanned, channels, (lowest, highest), minimum_step)
    if levels is None:
        note = f"no pulses: from {lowest:.4g} to {highest:.4g} V, with no two levels {minimum_step:g} V apart"
        return _Line(lines.NO_EDGES, facts | {"note": note})
    threshold = (levels[0] + levels[1]) / 2
    edges, begins_active = _edges(scanned, channels, threshold, active_low=kind == "ttl_low")
    note = f"{len(edges.rising)} rising and {len(edges.falling)} falling edges at {threshold:.4g} V"
    if begins_active:
        note += "; the recording begins with the line active, which is no edge"
    measured = {"low_volts": levels[0], "high_volts": levels[1], "threshold_volts": threshold}
    return _Line(edges, facts | measured | {"begins_active": begins_active, "note": note})


def _levels(
    scanned: _ScannedLines, channels: npt.NDArray[np.intp], extremes: tuple[float, float], minimum_step: float
) -> tuple[float, float] | None:
    if not extremes[1] - extremes[0] >= minimum_step:
        return None
    histogram = lines.LevelHistogram(*extremes)
    for _, volts in scanned.windows(channels):
        histogram.update(volts)
    return histogram.levels(minimum_step)


def _edges(
    scanned: _ScannedLines, channels: npt.NDArray[np.intp], threshold: float, active_low: bool
) -> tuple[lines.Edges, bool]:
    """Edges over the whole recording, and whether it begins with the line active."""
    pieces, before, begins_active = [], None, False
    for start, volts in scanned.windows(channels):
        line = lines.active(volts, threshold, active_low)
        begins_active = begins_active or (start == 0 and bool(line[0]))
        pieces.append(lines.edges(line, before).later_by(start))
        before = bool(line[-1])
    return lines.joined(pieces), begins_active


def _rows(found: Mapping[int, _Line], rate: Fraction) -> Iterator[tuple[object, ...]]:
    """Rows in order of time; a falling edge never shares its frame with a rising one of the same line."""
    all_edges = sorted(
        (int(sample), column, edge)
        for column, line in found.items()
        for edge, samples in ((RISING, line.edges.rising), (FALLING, line.edges.falling))
        for sample in samples
    )
    for sample, column, edge in all_edges:
        yield column, edge, sample, lines.seconds_text(sample, rate)


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
