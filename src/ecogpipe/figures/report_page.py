"""What the report of a study shows of its recordings: numbers and words, for the template to lay out."""

import base64
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from urllib.parse import quote

import numpy as np

from ecogpipe.figures import wording
from ecogpipe.figures.array import mask_colours
from ecogpipe.figures.page import FIGURES, read_page
from ecogpipe.figures.wording import MirrorFacts
from ecogpipe.results.events import EventsTable
from ecogpipe.results.mask import MANUAL, MaskTable
from ecogpipe.storage.canonical import Acquisition

_TITLES = {kind.name: kind.title for kind in FIGURES}

_LISTED_SITES = 24
"""Sites that are masked for one kind of fault up to which each has a line of its own."""


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
    name : str
        Its full name.
    folder : Path
        Its results.
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
    pages : list of Path
        The quality page of each mirror.
    mirrors : list of MirrorFacts
        How each mirror was made.
    cost : Cost
        What its jobs took.
    """

    name: str
    folder: Path
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
    pages: list[Path]
    mirrors: list[MirrorFacts]
    cost: Cost


@dataclass(frozen=True)
class _Figure:
    """A figure of a quality page: its title, its caption, its first row of pixels and their number."""

    title: str
    caption: str
    top: int
    height: int


@dataclass(frozen=True)
class _Picture:
    """A quality page by its address, its size in pixels, and its figures."""

    address: str
    width: int
    height: int
    figures: Sequence[_Figure]


@dataclass(frozen=True)
class _Mirror:
    facts: MirrorFacts
    rate: str
    made: str
    picture: _Picture


@dataclass(frozen=True)
class _Thumbnail:
    """The mask as a small picture: rows and columns of the grid, and paths of all sites and of each colour's."""

    n_rows: int
    n_columns: int
    places: str
    masked: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class _MaskedSites:
    """A masked site, or several that are masked for one reason: where, which channels, why, and who decided."""

    places: str
    channels: str
    reason: str
    origin: str


@dataclass(frozen=True)
class RecordingSection:
    """What the template shows of a recording."""

    name: str
    folder: str
    array: str
    n_channels: int
    n_sites: int
    n_kept: int
    percent_kept: float
    rate: str
    length: str
    lines: Sequence[str]
    remarks: Sequence[str]
    diagnostics: Sequence[str]
    time: str
    memory: str
    thumbnail: _Thumbnail
    facts: Sequence[tuple[str, str]]
    mirrors: Sequence[_Mirror]
    masked_text: str
    masked: Sequence[_MaskedSites]


def recording_section(result: RecordingSummary, page_folder: Path, small: bool) -> RecordingSection:
    """Return what the report shows of a recording; of a small study, it holds the pictures of its pages."""
    acquisition, n_kept = result.acquisition, int(result.mask.keep.sum())
    return RecordingSection(
        name=result.name,
        array=result.array,
        folder=Path(os.path.relpath(result.folder, page_folder)).as_posix(),
        n_channels=acquisition.n_channels,
        n_sites=len(result.mask),
        n_kept=n_kept,
        percent_kept=round(100 * n_kept / max(1, len(result.mask)), 1),
        rate=wording.rate_text(acquisition.rate),
        length=wording.length_text(result.n_samples, acquisition.rate),
        lines=[_short_line(column, result.events) for column in result.events.facts],
        remarks=_remarks(result),
        diagnostics=wording.diagnostics_texts(result.mask),
        time=_duration(result.cost.seconds) if result.cost.seconds else "",
        memory=f"{result.cost.megabytes:.0f} MB" if result.cost.megabytes else "",
        thumbnail=_thumbnail(result),
        facts=_facts(result),
        mirrors=[
            _Mirror(
                facts,
                wording.rate_text(facts.rate),
                _made(facts),
                _picture(page, _held(page) if small else _linked(page, page_folder)),
            )
            for page, facts in zip(result.pages, result.mirrors, strict=True)
        ],
        masked_text=wording.masked_text(result.mask),
        masked=_masked_sites(result.mask),
    )


def tiles(results: Sequence[RecordingSummary]) -> list[tuple[str, str, str]]:
    """Return what the study is in a few numbers: name, number, what else there is to say."""
    n_kept, n_sites = sum(int(result.mask.keep.sum()) for result in results), sum(len(each.mask) for each in results)
    seconds = sum(float(result.n_samples / result.acquisition.rate) for result in results)
    rates = sorted({result.acquisition.rate for result in results})
    mirror_rates = sorted({mirror.rate for result in results for mirror in result.mirrors})
    n_edges = sum(len(edges) for result in results for edges in result.events.rising.values())
    noted = sum(1 for result in results if _remarks(result))
    sessions = len({result.name.rpartition("/")[0] for result in results})
    tiles = [
        ("Recordings", str(len(results)), f"in {sessions} session{'s' if sessions > 1 else ''}"),
        ("Recorded", _duration(seconds), f"at {_rates_text(rates)}"),
        ("Good sites", f"{100 * n_kept / max(1, n_sites):.1f} %", f"{n_kept} of {n_sites} kept"),
        ("Mirrors", _rates_text(mirror_rates) or "none", ""),
        ("Rising edges", str(n_edges), "on the trigger lines"),
        ("With notes", str(noted), f"of {len(results)} recordings"),
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


def _remarks(result: RecordingSummary) -> list[str]:
    """Return everything that a person should know before using the recording."""
    overrides = wording.overrides_text(result.acquisition.overrides)
    by_hand = sum(origin == MANUAL for origin in result.mask.origins)
    remarks = [*result.acquisition.notes, *result.mask.notes, *wording.whole_lines_masked(result.mask)]
    if overrides:
        remarks.append(f"declared by hand, in place of what the files say: {overrides}")
    for column, facts in result.events.facts.items():
        if facts.get("doubtful"):
            remarks.append(f"line {column}: {facts['note']}")
    if result.older:
        remarks.append(f"raw.h5 was made by an older version, before this change: {result.older}")
    if by_hand:
        remarks.append(f"{by_hand} {'site is' if by_hand == 1 else 'sites are'} masked or kept by hand")
    if result.bad_samples:
        remarks.append(f"samples: {result.bad_samples}")
    return remarks


def _facts(result: RecordingSummary) -> list[tuple[str, str]]:
    acquisition = result.acquisition
    return [
        ("Set-up", ", ".join(result.set_up)),
        ("Array", result.array_text),
        ("Acquired", f"{acquisition.n_channels} channels at {wording.rate_text(acquisition.rate)}"),
        ("Length", wording.length_text(result.n_samples, acquisition.rate)),
        ("Started", acquisition.start_time or "not known"),
        ("Sites", wording.sites_text(result.mask)),
        ("BNC lines", wording.lines_text(result.events)),
    ]


def _made(facts: MirrorFacts) -> str:
    return (
        f"{facts.rate_text}; band-pass {facts.filter_text}; notches {facts.notch_text}; reference "
        f"{facts.reference_text}; {facts.row_text}; the filter settles within {facts.settling_text}."
    )


def _picture(page: Path, address: str) -> _Picture:
    size, figures = read_page(page)
    return _Picture(address, *size, [_Figure(_TITLES[own.name], own.caption, own.top, own.height) for own in figures])


def _held(page: Path) -> str:
    """Return an address that holds a page."""
    return f"data:image/png;base64,{base64.b64encode(page.read_bytes()).decode('ascii')}"


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


def _masked_sites(mask: MaskTable) -> list[_MaskedSites]:
    """Return the masked sites in order of their places, those of one kind of fault together where they are many."""
    kinds = wording.mask_kinds(mask)
    count = Counter(zip(kinds, mask.origins, strict=True))
    told: list[_MaskedSites] = []
    by_site = [int(site) for site in np.lexsort((mask.site_column, mask.site_row)) if not mask.keep[site]]
    for kind, origin in dict.fromkeys((kinds[site], mask.origins[site]) for site in by_site):
        if count[kind, origin] > _LISTED_SITES:
            members = [site for site in by_site if (kinds[site], mask.origins[site]) == (kind, origin)]
            places = "; ".join(f"{mask.site_row[site]}, {mask.site_column[site]}" for site in members)
            told.append(_MaskedSites(places, f"{len(members)}", f"{kind} (the number of each is in mask.tsv)", origin))
    alone = [site for site in by_site if count[kinds[site], mask.origins[site]] <= _LISTED_SITES]
    return told + [
        _MaskedSites(
            places=f"{mask.site_row[site]}, {mask.site_column[site]}",
            channels=f"{mask.channel[site]}",
            reason=mask.reasons[site],
            origin=mask.origins[site],
        )
        for site in alone
    ]
