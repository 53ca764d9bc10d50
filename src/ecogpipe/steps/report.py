"""The step that puts a whole study on one page: the study at a glance, then the figures of each recording."""

import base64
import csv
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from ecogpipe import layout, outputs
from ecogpipe.datasource.buffers import open_hdf5
from ecogpipe.electrodes.channels import read_channels
from ecogpipe.electrodes.masks import MANUAL, MaskTable, read_mask
from ecogpipe.errors import SettingsError
from ecogpipe.figures.array import mask_colours
from ecogpipe.figures.page import read_captions, read_page
from ecogpipe.identity import check_one_recording
from ecogpipe.reruns import older_changes
from ecogpipe.steps import descriptions
from ecogpipe.steps.descriptions import MirrorFacts, read_mirror_facts
from ecogpipe.steps.extract_events import EventsTable, read_events
from ecogpipe.steps.scan import read_numbers

_PAGE_ENDING = "_qc.png"

_SMALL = 12
"""Recordings up to which a report holds its pictures and unfolds all sections; a larger one would not open any more."""

_LISTED_SITES = 24
"""Sites that are masked for one kind of fault up to which each has a line of its own."""

_PIECES = 64
"""Parts of the template that are written at once: the text of hundreds of recordings is never held as a whole."""

_FIGURE_TITLES = {
    "maps": "The array",
    "spectra": "Spectra before and after",
    "traces": "Traces before and after",
    "triggers": "Triggers",
}


def report(
    folders: Mapping[str, Path],
    page: Path,
    *,
    mirrors: Sequence[str],
    title: str,
    benchmarks: Mapping[str, Sequence[Path]] | None = None,
) -> Path:
    """Write the report of a study: one HTML page that needs no network.

    Of up to 12 recordings it holds the pictures, so that it can go anywhere; in the report of a larger study each
    recording is folded, and its pictures are the files in its folder, which are read when it is unfolded.

    Parameters
    ----------
    folders : mapping of str to Path
        The folder of each recording's results, by its full name, in the order of the page.
    page : Path
        The HTML file to write.
    mirrors : sequence of str
        Names of the mirrors whose quality pages, ``<recording>_<mirror>_qc.png``, are shown with what the mirror says
        of itself. Pages of other mirrors, as of settings that are no more, are left out.
    title : str
        Heading of the page.
    benchmarks : mapping of str to sequence of Path, optional
        By recording, the tables that Snakemake wrote of the time and memory of its jobs; those that are missing are
        left out.

    Returns
    -------
    Path
        `page`.

    Raises
    ------
    SettingsError
        If there is no recording.
    FormatError
        If a result is missing or is no result of ours.
    """
    if not folders:
        raise SettingsError("A report needs at least one recording; name the folders of their results.")
    measured = benchmarks or {}
    results = [_Results(name, folder, mirrors, measured.get(name, ())) for name, folder in folders.items()]
    inputs = [path for result in results for path in [*result.results(), *(page for page, _ in result.pages)]]
    template = Environment(
        loader=PackageLoader("ecogpipe"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("report.html.j2")
    with outputs.whole_file(page) as part:
        content = template.stream(
            title=title,
            tiles=_tiles(results),
            any_cost=any(result.cost.seconds for result in results),
            small=len(results) <= _SMALL,
            recordings=[_recording(result, page.parent, len(results) <= _SMALL) for result in results],
            provenance=outputs.provenance("report", inputs, {"title": title, "mirrors": list(mirrors)}, page.parent),
        )
        content.enable_buffering(_PIECES)
        with part.open("w", encoding="utf-8") as file:
            file.writelines(content)
    return page


class _Results:
    """What the folder of a recording holds, as far as the report shows it."""

    def __init__(self, name: str, folder: Path, mirrors: Sequence[str], benchmarks: Sequence[Path]) -> None:
        self.name, self.folder, self._mirrors = name, folder, mirrors
        self.cost = _read_cost(benchmarks)
        table = read_channels(folder / "channels.tsv")
        self.set_up = [name for name in (table.daq, table.headstage, table.electrode) if name]
        self.array, self.array_text, self.grid = (
            table.electrode or table.daq,
            descriptions.array_text(table),
            table.grid,
        )
        # The numbers of each site, and what the files say of each channel, are not shown, and are most of it.
        self.mask: MaskTable = replace(read_mask(folder / "mask.tsv"), numbers={})
        self.events: EventsTable = read_events(folder / "events.tsv")
        with open_hdf5(folder / "scan.h5") as file:
            self.acquisition = replace(layout.read_acquisition(file), info={})
            self.n_samples = int(file.attrs["n_samples"])
        check_one_recording(*self.results())
        self.older = older_changes("ingest", folder / "raw.h5") if (folder / "raw.h5").exists() else ""
        self.bad_samples = descriptions.bad_samples_text(read_numbers(folder / "scan.h5")["n_nonfinite"])

    @cached_property
    def pages(self) -> list[tuple[Path, Path]]:
        """Each quality page with its mirror."""
        recording = self.name.rpartition("/")[2]
        files = [self.folder / f"{recording}_{mirror}.h5" for mirror in self._mirrors]
        return [(file.with_name(file.stem + _PAGE_ENDING), file) for file in files]

    @cached_property
    def mirrors(self) -> list[MirrorFacts]:
        """What the mirrors say of themselves."""
        return [read_mirror_facts(mirror) for _, mirror in self.pages]

    def results(self) -> list[Path]:
        """Every file that the report reads, but for the pages."""
        tables = [self.folder / name for name in ("scan.h5", "channels.tsv", "mask.tsv", "events.tsv")]
        return [*tables, *(mirror for _, mirror in self.pages)]


@dataclass(frozen=True)
class _Cost:
    """What the jobs of a recording took: seconds in all, and the most memory of one; 0 where not known."""

    seconds: float
    megabytes: float


@dataclass(frozen=True)
class _Figure:
    """A picture by its address, its size in pixels, and titles and captions of what it shows."""

    address: str
    width: int
    height: int
    captions: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class _Mirror:
    facts: MirrorFacts
    rate: str
    made: str
    figures: Sequence[_Figure]


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
class _Recording:
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


def _recording(result: _Results, page_folder: Path, small: bool) -> _Recording:
    acquisition, n_kept = result.acquisition, int(result.mask.keep.sum())
    return _Recording(
        name=result.name,
        array=result.array,
        folder=Path(os.path.relpath(result.folder, page_folder)).as_posix(),
        n_channels=acquisition.n_channels,
        n_sites=len(result.mask),
        n_kept=n_kept,
        percent_kept=round(100 * n_kept / max(1, len(result.mask)), 1),
        rate=descriptions.rate_text(acquisition.rate),
        length=descriptions.length_text(result.n_samples, acquisition.rate),
        lines=[_short_line(column, result.events) for column in result.events.facts],
        remarks=_remarks(result),
        diagnostics=descriptions.diagnostics_texts(result.mask),
        time=_duration(result.cost.seconds) if result.cost.seconds else "",
        memory=f"{result.cost.megabytes:.0f} MB" if result.cost.megabytes else "",
        thumbnail=_thumbnail(result),
        facts=_facts(result),
        mirrors=[
            _Mirror(
                facts,
                descriptions.rate_text(facts.rate),
                _made(facts),
                _held_figures(page) if small else [_linked_page(page, page_folder)],
            )
            for (page, _), facts in zip(result.pages, result.mirrors, strict=True)
        ],
        masked_text=descriptions.masked_text(result.mask),
        masked=_masked_sites(result.mask),
    )


def _tiles(results: Sequence[_Results]) -> list[tuple[str, str, str]]:
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
        return f"{descriptions.rate_text(rates[0])} to {descriptions.rate_text(rates[-1])}"
    return ", ".join(descriptions.rate_text(rate) for rate in rates)


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


def _read_cost(benchmarks: Sequence[Path]) -> _Cost:
    """Add up the seconds of benchmark tables of Snakemake, and find the most memory."""
    rows: list[dict[str, str]] = []
    for path in benchmarks:
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as table:
                rows += csv.DictReader(table, delimiter="\t")
    return _Cost(sum(_number(row, "s") for row in rows), max((_number(row, "max_rss") for row in rows), default=0.0))


def _number(row: Mapping[str, str], column: str) -> float:
    """Return a number of a benchmark; 0 where it was not measured, as of a job that was too short."""
    try:
        value = float(row.get(column) or 0)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


def _short_line(column: int, events: EventsTable) -> str:
    if column not in events.rising:
        return f"{column}: analog"
    return f"{column}: {len(events.rising[column])} rising edges"


def _remarks(result: _Results) -> list[str]:
    """Everything that a person should know before using the recording."""
    overrides = descriptions.overrides_text(result.acquisition.overrides)
    by_hand = sum(origin == MANUAL for origin in result.mask.origins)
    remarks = [*result.acquisition.notes, *result.mask.notes, *descriptions.whole_lines_masked(result.mask)]
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


def _facts(result: _Results) -> list[tuple[str, str]]:
    acquisition = result.acquisition
    return [
        ("Set-up", ", ".join(result.set_up)),
        ("Array", result.array_text),
        ("Acquired", f"{acquisition.n_channels} channels at {descriptions.rate_text(acquisition.rate)}"),
        ("Length", descriptions.length_text(result.n_samples, acquisition.rate)),
        ("Started", acquisition.start_time or "not known"),
        ("Sites", descriptions.sites_text(result.mask)),
        ("BNC lines", descriptions.lines_text(result.events)),
    ]


def _made(facts: MirrorFacts) -> str:
    return (
        f"{facts.rate_text}; band-pass {facts.filter_text}; notches {facts.notch_text}; reference "
        f"{facts.reference_text}; {facts.row_text}; the filter settles within {facts.settling_text}."
    )


def _held_figures(page: Path) -> list[_Figure]:
    """Return the figures of a quality page, each as an address that holds it."""
    return [
        _Figure(
            address=f"data:image/png;base64,{base64.b64encode(figure.png).decode('ascii')}",
            width=figure.width,
            height=figure.height,
            captions=[(_FIGURE_TITLES[figure.name], figure.caption)],
        )
        for figure in read_page(page)
    ]


def _linked_page(page: Path, page_folder: Path) -> _Figure:
    """Return a whole quality page by its address beside the report."""
    (width, height), captions = read_captions(page)
    return _Figure(
        address=quote(Path(os.path.relpath(page, page_folder)).as_posix()),
        width=width,
        height=height,
        captions=[(_FIGURE_TITLES[name], caption) for name, caption in captions.items()],
    )


def _thumbnail(result: _Results) -> _Thumbnail:
    mask, kinds = result.mask, descriptions.mask_kinds(result.mask)
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
    kinds = descriptions.mask_kinds(mask)
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
