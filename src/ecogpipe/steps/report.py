"""The step that puts a whole study on one page: a table at a glance, then the quality pages of each recording."""

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from ecogpipe import layout, outputs
from ecogpipe.datasource.buffers import open_hdf5
from ecogpipe.electrodes.channels import ChannelTable, read_channels
from ecogpipe.electrodes.masks import MaskTable, read_mask
from ecogpipe.errors import SettingsError
from ecogpipe.steps import descriptions
from ecogpipe.steps.descriptions import MirrorFacts, read_mirror_facts
from ecogpipe.steps.extract_events import EventsTable, read_events
from ecogpipe.steps.scan import read_numbers

REVISION: int = 2

_PAGE_ENDING = "_qc.png"


def report(folders: Mapping[str, Path], page: Path, *, mirrors: Sequence[str], title: str) -> Path:
    """Write the report of a study: one HTML page that holds its pictures and needs no network.

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
    results = [_Results(name, folder, mirrors) for name, folder in folders.items()]
    inputs = [path for result in results for path in result.paths()]
    template = Environment(
        loader=PackageLoader("ecogpipe"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("report.html.j2")
    with outputs.whole_file(page) as part:
        text = template.render(
            title=title,
            at_a_glance=_at_a_glance(results),
            recordings=[_recording(result, page.parent) for result in results],
            provenance=outputs.provenance(
                "report", REVISION, inputs, {"title": title, "mirrors": list(mirrors)}, page.parent
            ),
        )
        part.write_text(text, encoding="utf-8")
    return page


class _Results:
    """What the folder of a recording holds, as far as the report shows it."""

    def __init__(self, name: str, folder: Path, mirrors: Sequence[str]) -> None:
        self.name, self.folder, self._mirrors = name, folder, mirrors
        self.table: ChannelTable = read_channels(folder / "channels.tsv")
        self.mask: MaskTable = read_mask(folder / "mask.tsv")
        self.events: EventsTable = read_events(folder / "events.tsv")
        with open_hdf5(folder / "scan.h5") as file:
            self.acquisition = layout.read_acquisition(file)
            self.n_samples = int(file.attrs["n_samples"])
        self.n_nonfinite = read_numbers(folder / "scan.h5")["n_nonfinite"]

    @cached_property
    def pages(self) -> list[tuple[Path, Path]]:
        """Each quality page with its mirror."""
        recording = self.name.rpartition("/")[2]
        files = [self.folder / f"{recording}_{mirror}.h5" for mirror in self._mirrors]
        return [(file.with_name(file.stem + _PAGE_ENDING), file) for file in files]

    def paths(self) -> list[Path]:
        """Every file that the report reads."""
        tables = [self.folder / name for name in ("scan.h5", "channels.tsv", "mask.tsv", "events.tsv")]
        return [*tables, *(path for pair in self.pages for path in pair)]


@dataclass(frozen=True)
class _Picture:
    mirror: MirrorFacts
    rate: str
    base64: str
    caption: str


@dataclass(frozen=True)
class _MaskedSite:
    row: int
    column: int
    channel: int
    reason: str
    origin: str


@dataclass(frozen=True)
class _Recording:
    """What the template shows of a recording."""

    name: str
    folder: str
    n_channels: int
    n_sites: int
    n_kept: int
    percent_kept: float
    rate: str
    length: str
    lines: Sequence[str]
    remarks: Sequence[str]
    facts: Sequence[tuple[str, str]]
    pictures: Sequence[_Picture]
    masked_text: str
    masked: Sequence[_MaskedSite]


def _recording(result: _Results, page_folder: Path) -> _Recording:
    acquisition, n_kept = result.acquisition, int(result.mask.keep.sum())
    return _Recording(
        name=result.name,
        folder=Path(os.path.relpath(result.folder, page_folder)).as_posix(),
        n_channels=acquisition.n_channels,
        n_sites=len(result.mask),
        n_kept=n_kept,
        percent_kept=round(100 * n_kept / max(1, len(result.mask)), 1),
        rate=descriptions.rate_text(acquisition.rate),
        length=descriptions.length_text(result.n_samples, acquisition.rate),
        lines=[_short_line(column, result.events) for column in result.events.facts],
        remarks=_remarks(result),
        facts=_facts(result),
        pictures=[_picture(result, *pair) for pair in result.pages],
        masked_text=descriptions.masked_text(result.mask),
        masked=_masked_sites(result.mask),
    )


def _at_a_glance(results: Sequence[_Results]) -> str:
    n_kept, n_sites = sum(int(result.mask.keep.sum()) for result in results), sum(len(each.mask) for each in results)
    hours = sum(float(result.n_samples / result.acquisition.rate) for result in results) / 3600
    length = f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"
    plural = "1 recording" if len(results) == 1 else f"{len(results)} recordings"
    return f"{plural}, {length} in all; {n_kept} of {n_sites} sites kept ({100 * n_kept / max(1, n_sites):.1f} %)."


def _short_line(column: int, events: EventsTable) -> str:
    if column not in events.rising:
        return f"{column}: analog"
    return f"{column}: {len(events.rising[column])} rising edges"


def _remarks(result: _Results) -> list[str]:
    """Everything that a person should know before using the recording."""
    overrides = descriptions.overrides_text(result.acquisition.overrides)
    bad_samples = descriptions.bad_samples_text(result.n_nonfinite)
    remarks = [*result.acquisition.notes]
    if overrides:
        remarks.append(f"declared by hand, in place of what the files say: {overrides}")
    if bad_samples:
        remarks.append(f"samples: {bad_samples}")
    return remarks


def _facts(result: _Results) -> list[tuple[str, str]]:
    acquisition, table = result.acquisition, result.table
    return [
        ("Set-up", ", ".join(name for name in (table.daq, table.headstage, table.electrode) if name)),
        ("Array", descriptions.array_text(table)),
        ("Acquired", f"{acquisition.n_channels} channels at {descriptions.rate_text(acquisition.rate)}"),
        ("Length", descriptions.length_text(result.n_samples, acquisition.rate)),
        ("Started", acquisition.start_time or "not known"),
        ("Sites", descriptions.sites_text(result.mask)),
        ("BNC lines", descriptions.lines_text(result.events)),
    ]


def _picture(result: _Results, picture: Path, mirror: Path) -> _Picture:
    facts = read_mirror_facts(mirror)
    return _Picture(
        mirror=facts,
        rate=descriptions.rate_text(facts.rate),
        base64=base64.b64encode(picture.read_bytes()).decode("ascii"),
        caption=_caption(facts, result.mask),
    )


def _caption(facts: MirrorFacts, mask: MaskTable) -> str:
    return (
        f"{facts.rate_text}; band-pass {facts.filter_text}; notches {facts.notch_text}; reference "
        f"{facts.reference_text}; {facts.row_text}; the filter settles within "
        f"{facts.settling_text}. Top: RMS of each site on the array, "
        "of all raw samples and of the mirror in windows spread over the recording, masked sites crossed; power "
        "density before and after (Welch, Hann segments of 1 s), median and 10 to 90 % of the active sites, with the "
        "filter's corners and the new Nyquist frequency. Bottom: traces of sites spread over the array, masked ones in "
        f"red, with the edges of the trigger lines. Sites: {descriptions.sites_text(mask)}."
    )


def _masked_sites(mask: MaskTable) -> list[_MaskedSite]:
    by_site = np.lexsort((mask.site_column, mask.site_row))
    return [
        _MaskedSite(
            row=int(mask.site_row[site]),
            column=int(mask.site_column[site]),
            channel=int(mask.channel[site]),
            reason=mask.reasons[site],
            origin=mask.origins[site],
        )
        for site in by_site
        if not mask.keep[site]
    ]
