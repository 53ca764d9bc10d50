"""The events table, events.tsv: the edges of the digital BNC lines of a recording."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import FormatError
from ecogpipe.signal.edges import Changes, Counts, seconds_text
from ecogpipe.storage.tsv import read_in_rows, write_tsv

RISING, FALLING = "rising", "falling"

_COLUMNS = ("line", "edge", "sample", "seconds", "fine_sample", "fine_seconds")
_MIRROR_COLUMN = "sample_"
_EDGES = (
    "rising: first frame at which any row copy of the line is beyond the threshold (above it, or below it for a "
    "ttl_low line); falling: first frame at which none is; frames count from 0 at the full rate; fine_sample: first "
    "row copy in the new state, n_rows to a frame; sample_<mirror>: floor(sample / ratio)"
)

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EventsTable:
    """What events.tsv holds.

    Attributes
    ----------
    rising, falling : dict of int to ndarray of int64
        Frames of the edges of each digital line, by its DAQ column.
    fine_rising, fine_falling : dict of int to ndarray of int64
        The same edges by the row copy that saw them first, ``n_rows`` copies to a frame: they lie
        ``fine / (n_rows * Fs)`` seconds from the first frame.
    n_rows : int
        Row copies per frame.
    facts : dict of int to dict
        Kind, levels, threshold and a note of each BNC line, by its DAQ column.
    """

    rising: dict[int, Counts]
    falling: dict[int, Counts]
    fine_rising: dict[int, Counts]
    fine_falling: dict[int, Counts]
    n_rows: int
    facts: dict[int, dict[str, Any]]


@dataclass(frozen=True)
class TimeAxis:
    """What the samples of a recording are counted by: its sampling rate, row copies per frame, length in frames."""

    rate: Fraction
    n_rows: int
    n_samples: int


def write_events(
    path: Path,
    changes: Mapping[int, Changes],
    axis: TimeAxis,
    ratios: Mapping[str, int | None],
    facts: Mapping[int, Mapping[str, Any]],
    header: Mapping[str, Any],
) -> Path:
    """Write an events table.

    Parameters
    ----------
    path
        The table to write.
    changes
        The edges of each BNC line, by its DAQ column.
    axis
        What they are counted by.
    ratios
        Frames to one sample of each mirror, by its name; None where it cannot be made.
    facts
        What else is known of each line, by its DAQ column.
    header
        Entries for the header: what made the table, and of which recording it is.
    """
    own = {
        "rate_numerator": axis.rate.numerator,
        "rate_denominator": axis.rate.denominator,
        "n_samples": axis.n_samples,
        "n_rows": axis.n_rows,
        "edges": _EDGES,
        "lines": {str(column): dict(line) for column, line in facts.items()},
        "mirror_ratios": dict(ratios),
    }
    columns = (*_COLUMNS, *(f"{_MIRROR_COLUMN}{name}" for name in ratios))
    return write_tsv(path, own | dict(header), columns, _rows(changes, axis, list(ratios.values())))


def read_events(path: Path) -> EventsTable:
    """Read a table that `write_events` wrote.

    Raises
    ------
    FormatError
        If the file is missing or is not an events table.
    """
    header, columns, rows = read_in_rows(path)
    if columns[: len(_COLUMNS)] != _COLUMNS or "lines" not in header:
        raise FormatError(f"{path}: is not an events table (events.tsv); run extract_events for the recording again.")
    facts = {int(column): dict(line) for column, line in header["lines"].items()}
    digital = [column for column, line in facts.items() if line["kind"] != "analog"]
    # Of a line with a pulse at every few frames, the cells of all rows would take a hundred times as much.
    numbers = {(column, edge): (array("q"), array("q")) for column in digital for edge in (RISING, FALLING)}
    at = {name: columns.index(name) for name in ("line", "edge", "sample", "fine_sample")}
    for row in rows:
        samples, fine = numbers.get((int(row[at["line"]]), row[at["edge"]]), (None, None))
        if samples is not None and fine is not None:
            samples.append(int(row[at["sample"]]))
            fine.append(int(row[at["fine_sample"]]))

    def of(edge: str, which: int) -> dict[int, Counts]:
        return {column: np.array(numbers[column, edge][which], dtype=np.int64) for column in digital}

    return EventsTable(
        rising=of(RISING, 0),
        falling=of(FALLING, 0),
        fine_rising=of(RISING, 1),
        fine_falling=of(FALLING, 1),
        n_rows=int(header["n_rows"]),
        facts=facts,
    )


def _rows(changes: Mapping[int, Changes], axis: TimeAxis, ratios: Sequence[int | None]) -> Iterator[tuple[object, ...]]:
    """Yield rows in order of time; a falling edge never shares its frame with a rising one of the same line."""
    kinds = [
        (column, edge, edges)
        for column, found in changes.items()
        for edge, edges in ((RISING, found.rising), (FALLING, found.falling))
    ]
    samples, fines, which = (
        np.concatenate([np.array([], np.int64), *pieces])
        for pieces in (
            [edges.frames for _, _, edges in kinds],
            [edges.fine for _, _, edges in kinds],
            [np.full(len(edges.frames), number) for number, (_, _, edges) in enumerate(kinds)],
        )
    )
    for number in _in_order(kinds, samples, fines, which):
        column, edge, _ = kinds[which[number]]
        sample, fine = int(samples[number]), int(fines[number])
        mirrored = [None if ratio is None else sample // ratio for ratio in ratios]
        times = sample, seconds_text(sample, axis.rate), fine, seconds_text(fine, axis.rate * axis.n_rows)
        yield column, edge, *times, *mirrored


def _in_order(kinds: Sequence[tuple[int, str, Any]], samples: Ints, fines: Ints, which: Ints) -> Ints:
    """Return the places of the edges in order of frame, then line and kind of edge, then row copy."""
    names = sorted(range(len(kinds)), key=lambda number: kinds[number][:2])
    place = np.argsort(np.array(names, dtype=np.int64))
    return np.asarray(np.lexsort((fines, place[which], samples)) if len(kinds) else samples)
