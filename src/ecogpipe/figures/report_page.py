"""What the index of a study shows of its recordings: numbers and words, for the template to lay out."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isnan
from pathlib import Path
from urllib.parse import quote

from ecogpipe.figures import wording
from ecogpipe.figures.colours import mask_colours
from ecogpipe.figures.wording import MirrorFacts
from ecogpipe.formats.acquisition import is_of_one_row
from ecogpipe.results.events import EventsTable
from ecogpipe.results.mask import MANUAL, MaskTable
from ecogpipe.storage.canonical import Acquisition

MADE, FAILED, ABSENT, NOT_MADE = "made", "failed", "raw files absent", "not made yet"
"""States of a recording."""


@dataclass(frozen=True)
class Cost:
    """What the jobs of a recording took: seconds in all, and the most memory of one; 0 where not known."""

    seconds: float
    megabytes: float


@dataclass(frozen=True)
class RecordingSummary:
    """What the report knows of a recording.

    Attributes
    ----------
    set_up : list of str
        Names of the daq, headstage and electrode, as far as it has them.
    array, array_text : str
        Name of the array; what is to be said of it.
    grid : (int, int)
        Rows and columns of the array.
    mask, events : MaskTable, EventsTable
        Its mask, without the numbers, and the edges on its BNC lines.
    acquisition : Acquisition
        Without what the files say of each channel.
    n_samples : int
        Frames.
    bad_samples : str
        Count of the samples that are not finite; '' where all are.
    older : str
        What ingest makes otherwise by now; '' where nothing.
    line_noise : float
        Median over the kept sites of the RMS at the declared frequency of the mains, else at the louder, in microvolts.
    looks : mapping of str to str
        Who looked last at each mirror, in words.
    pages : list of Path
        The quality page of each mirror.
    mirrors : list of MirrorFacts
        How each mirror was made.
    cost : Cost
        What its jobs took.
    """

    set_up: list[str]
    array: str
    array_text: str
    grid: tuple[int, int]
    mask: MaskTable
    events: EventsTable
    acquisition: Acquisition
    n_samples: int
    bad_samples: str
    older: str
    line_noise: float
    looks: Mapping[str, str]
    pages: list[Path]
    mirrors: list[MirrorFacts]
    cost: Cost


@dataclass(frozen=True)
class _Mirror:
    name: str
    rate: str
    made: str
    address: str
    look: str


@dataclass(frozen=True)
class _Thumbnail:
    """The mask as a small picture: rows and columns of the grid, and paths of all sites and of each colour's."""

    n_rows: int
    n_columns: int
    places: str
    masked: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class RecordingRow:
    """What the index shows of a recording; `made` is None where nothing of it can be shown."""

    name: str
    state: str
    sentence: str
    made: "MadeRow | None"


@dataclass(frozen=True)
class MadeRow:
    """What the index shows of the results of a recording."""

    array: str
    n_sites: int
    n_kept: int
    percent_kept: float
    seconds: float
    length: str
    hertz: float
    rate: str
    line_noise: str
    lines: Sequence[str]
    n_edges: int
    warnings: Sequence[str]
    facts: Sequence[str]
    cost_seconds: float
    time: str
    megabytes: float
    memory: str
    thumbnail: _Thumbnail
    mirrors: Sequence[_Mirror]
    masked_text: str


def recording_row(name: str, state: str, sentence: str, result: RecordingSummary | None, folder: Path) -> RecordingRow:
    """Return what the index in a folder shows of a recording."""
    return RecordingRow(name, state, sentence, None if result is None else _made_row(result, folder))


def _made_row(result: RecordingSummary, page_folder: Path) -> MadeRow:
    acquisition, n_kept = result.acquisition, int(result.mask.keep.sum())
    return MadeRow(
        array=result.array,
        n_sites=len(result.mask),
        n_kept=n_kept,
        percent_kept=round(100 * n_kept / max(1, len(result.mask)), 1),
        seconds=float(result.n_samples / acquisition.rate),
        length=wording.length_text(result.n_samples, acquisition.rate),
        hertz=float(acquisition.rate),
        rate=wording.rate_text(acquisition.rate),
        line_noise="none" if isnan(result.line_noise) else f"{result.line_noise:.3g}",
        lines=[_short_line(column, result.events) for column in result.events.facts],
        n_edges=sum(len(edges) for edges in result.events.rising.values()),
        warnings=_warnings(result),
        facts=_facts(result),
        cost_seconds=result.cost.seconds,
        time=_duration(result.cost.seconds) if result.cost.seconds else "",
        megabytes=result.cost.megabytes,
        memory=f"{result.cost.megabytes:.0f} MB" if result.cost.megabytes else "",
        thumbnail=_thumbnail(result),
        mirrors=[
            _Mirror(
                facts.name,
                wording.rate_text(facts.rate),
                _made(facts),
                _linked(page, page_folder),
                result.looks.get(facts.name, ""),
            )
            for page, facts in zip(result.pages, result.mirrors, strict=True)
        ],
        masked_text=wording.masked_text(result.mask),
    )


def tiles(results: Sequence[RecordingSummary], states: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return what the study is in a few numbers: name, number, what else there is to say."""
    n_kept, n_sites = sum(int(result.mask.keep.sum()) for result in results), sum(len(each.mask) for each in results)
    seconds = sum(float(result.n_samples / result.acquisition.rate) for result in results)
    rates = sorted({result.acquisition.rate for result in results})
    mirror_rates = sorted({mirror.rate for result in results for mirror in result.mirrors})
    n_edges = sum(len(edges) for result in results for edges in result.events.rising.values())
    noted = sum(1 for result in results if _warnings(result))
    others = [f"{states.count(state)} {state}" for state in (FAILED, ABSENT, NOT_MADE) if state in states]
    tiles = [
        ("Recordings", str(len(states)), ", ".join(others) or "all made"),
        ("Recorded", _duration(seconds), f"at {_rates_text(rates)}"),
        ("Good sites", f"{100 * n_kept / max(1, n_sites):.1f} %", f"{n_kept} of {n_sites} kept"),
        ("Mirrors", _rates_text(mirror_rates) or "none", ""),
        ("Rising edges", str(n_edges), "on the trigger lines"),
        ("With warnings", str(noted), f"of {len(results)} recordings"),
    ]
    spent = sum(result.cost.seconds for result in results)
    if spent:
        memory = max(result.cost.megabytes for result in results)
        tiles.append(("Computed in", _duration(spent), f"all jobs in a row; one needed up to {memory:.0f} MB"))
    return tiles


def _rates_text(rates: Sequence[Fraction]) -> str:
    """Write rates, or from which to which they are where they are many."""
    if len(rates) > 3:
        return f"{wording.rate_text(rates[0])} to {wording.rate_text(rates[-1])}"
    return ", ".join(wording.rate_text(rate) for rate in rates)


def _duration(seconds: float) -> str:
    """Write a duration in the unit that suits it.

    Examples
    --------
    >>> _duration(12.34), _duration(300), _duration(9000)
    ('12.3 s', '5.0 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _short_line(column: int, events: EventsTable) -> str:
    if column not in events.rising:
        return f"{column}: analog"
    return f"{column}: {len(events.rising[column])} rising edges"


def _warnings(result: RecordingSummary) -> list[str]:
    """Return what a person should know before using the recording."""
    notes = [note for note in result.acquisition.notes if not is_of_one_row(note)]
    found = [*notes, *result.mask.notes, *wording.whole_lines_masked(result.mask)]
    found += [f"mirror {facts.name}: {wording.UNSETTLED}" for facts in result.mirrors if not facts.n_settled]
    for column, facts in result.events.facts.items():
        if facts.get("doubtful"):
            found.append(f"line {column}: {facts['note']}")
    if result.bad_samples:
        found.append(f"samples: {result.bad_samples}")
    return found


def _facts(result: RecordingSummary) -> list[str]:
    """Return what was declared or decided, and else is good to know: no reason to doubt the recording."""
    overrides = wording.overrides_text(result.acquisition.overrides)
    by_hand = sum(origin == MANUAL for origin in result.mask.origins)
    found = [f"set-up: {', '.join(dict.fromkeys(result.set_up))}", result.array_text,
             f"started: {result.acquisition.start_time or 'not known'}"]  # fmt: skip
    if overrides:
        found.append(f"declared by hand: {overrides}")
    found += [note for note in result.acquisition.notes if is_of_one_row(note)]
    if by_hand:
        found.append(f"{by_hand} {'site is' if by_hand == 1 else 'sites are'} masked or kept by hand")
    if result.older:
        found.append(f"raw.h5 was made by an older version, before this change: {result.older}")
    return [*found, *wording.diagnostics_texts(result.mask)]


def _made(facts: MirrorFacts) -> str:
    return (
        f"{facts.rate_text}; band-pass {facts.filter_text}; notches {facts.notch_text}; reference "
        f"{facts.reference_text}; {facts.row_text}; the filter settles within {facts.settling_text}."
    )


def _linked(page: Path, page_folder: Path) -> str:
    """Return the address of a page beside the report."""
    return quote(Path(os.path.relpath(page, page_folder)).as_posix())


def _thumbnail(result: RecordingSummary) -> _Thumbnail:
    mask, kinds = result.mask, wording.mask_kinds(result.mask)
    masked_kinds = sorted({kind for kind in kinds if kind})
    colours = dict(zip(masked_kinds, mask_colours(masked_kinds), strict=True))
    places = list(zip(mask.site_row.tolist(), mask.site_column.tolist(), strict=True))
    masked = [
        (colours[kind], _path([place for place, own in zip(places, kinds, strict=True) if own == kind]))
        for kind in masked_kinds
    ]
    return _Thumbnail(*result.grid, _path(places), masked)


def _path(places: Sequence[tuple[int, int]]) -> str:
    """Return a path of unit squares, those that are next to each other in a row as one."""
    runs: list[list[int]] = []
    for row, column in sorted(places):
        if runs and runs[-1][0] == row and runs[-1][1] + runs[-1][2] == column:
            runs[-1][2] += 1
        else:
            runs.append([row, column, 1])
    return "".join(f"M{column} {row}h{length}v1h-{length}z" for row, column, length in runs)
