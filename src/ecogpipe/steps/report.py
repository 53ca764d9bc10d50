"""The step that writes the index of a study: the study at a glance, and a row for each recording of the table."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ecogpipe.errors import SettingsError
from ecogpipe.figures import wording
from ecogpipe.figures.page_file import template
from ecogpipe.figures.page_inputs import line_frequencies, line_name
from ecogpipe.figures.report_page import (
    ABSENT,
    FAILED,
    MADE,
    NOT_MADE,
    Cost,
    RecordingSummary,
    recording_row,
    tiles,
)
from ecogpipe.figures.wording import read_mirror_facts
from ecogpipe.results.channels import read_channels
from ecogpipe.results.events import read_events
from ecogpipe.results.identity import check_same_signal
from ecogpipe.results.mask import MaskTable, read_mask
from ecogpipe.results.names import RecordingFiles
from ecogpipe.results.provenance import older_changes, provenance
from ecogpipe.results.recording import units_per
from ecogpipe.results.scan import read_scan
from ecogpipe.statistics.line_noise import MAINS_HZ
from ecogpipe.storage.atomic import whole_file
from ecogpipe.study.looks import Look, read_looks

TITLE = "Recordings of the study"
"""Heading of the index that the workflow writes; not a name of the folder, as a study can move."""


def report(
    folders: Mapping[str, Path],
    page: Path,
    *,
    mirrors: Sequence[str],
    title: str,
    other_mirrors: Mapping[str, Sequence[str]] | None = None,
    absent: Mapping[str, str] | None = None,
    failed: Mapping[str, str] | None = None,
    logs: Path | None = None,
    looks: Path | None = None,
    has_links: bool = True,
) -> Path:
    """Write the index of a study: one HTML page that needs no network, with links to the quality pages.

    Every recording has a row, whatever was made of it: a row shows the results that are there, and what failed or is
    missing in a sentence.

    Parameters
    ----------
    folders : mapping of str to Path
        The folder of each recording's results, by its full name, in the order of the page.
    page : Path
        The HTML file to write.
    mirrors : sequence of str
        Names of the mirrors whose quality pages, ``<recording>_<mirror>_qc.html``, are linked with what the mirror says
        of itself. Pages of other mirrors, as of settings that are no more, are left out.
    title : str
        Heading of the page.
    other_mirrors : mapping of str to sequence of str, optional
        Names of the mirrors of the recordings that have not all of `mirrors`, by full name.
    absent, failed : mapping of str to str, optional
        Why the raw files of a recording are not there, and what failed in this run, by full name.
    logs : Path, optional
        Folder of the tables that Snakemake wrote of the time and memory of the jobs, ``<full name>/<job>.tsv``; those
        that are missing are left out.

    looks : Path, optional
        The table of who looked at what, config/looks.tsv.
    has_links : bool, optional
        Whether recordings lead to their pages; not in a file that goes elsewhere without them.

    Returns
    -------
    Path
        `page`.

    Raises
    ------
    SettingsError
        If there is no recording.
    FormatError
        If a result is not one of ours.
    IdentityError
        If results in one folder are of several recordings.
    """
    if not folders:
        raise SettingsError("A report needs at least one recording; name the folders of their results.")
    absent, failed = absent or {}, failed or {}
    looked = {} if looks is None else read_looks(looks)
    files = {name: RecordingFiles(folder) for name, folder in folders.items()}
    mirrors_of = {name: list((other_mirrors or {}).get(name, mirrors)) for name in folders}
    results = {
        name: _summary(name, own, mirrors_of[name], _read_cost(own, mirrors_of[name], logs and logs / name), looked)
        for name, own in files.items()
        if all(path.exists() for path in _needed(own))
    }
    states = {name: _state(name, own, mirrors_of[name], absent, failed) for name, own in files.items()}
    inputs = [path for name, own in files.items() for path in _results(own, mirrors_of[name]) if path.exists()]
    pages = [path for name, own in files.items() for path in _pages(own, mirrors_of[name]) if path.exists()]
    settings = {"title": title, "mirrors": list(mirrors)}
    with whole_file(page) as part:
        text = template("index").render(
            title=title,
            date=_latest([*inputs, *pages]),
            tiles=tiles(list(results.values()), list(states.values())),
            states=list(dict.fromkeys(states.values())),
            has_links=has_links,
            any_cost=any(result.cost.seconds for result in results.values()),
            recordings=[
                recording_row(
                    name, states[name], failed.get(name) or absent.get(name, ""), results.get(name), page.parent
                )
                for name in files
            ],
            provenance=provenance("report", inputs, settings, page.parent),
        )
        part.write_text(text, encoding="utf-8")
    return page


def _state(
    name: str, files: RecordingFiles, mirrors: Sequence[str], absent: Mapping[str, str], failed: Mapping[str, str]
) -> str:
    if name in failed:
        return FAILED
    if name in absent:
        return ABSENT
    return MADE if all(path.exists() for path in _results(files, mirrors)) else NOT_MADE


def _latest(inputs: Sequence[Path]) -> str:
    """Return the day on which the newest result was made; '' where there is none."""
    newest = max((path.stat().st_mtime for path in inputs), default=None)
    return "" if newest is None else datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%d")


def _summary(
    name: str, files: RecordingFiles, mirrors: Sequence[str], cost: Cost, looked: Mapping[tuple[str, str], Look]
) -> RecordingSummary:
    """Read what the folder of a recording holds, as far as the report shows it."""
    table, mask = read_channels(files.channels), read_mask(files.mask, [line_name(hertz) for hertz in MAINS_HZ])
    scanned, events = read_scan(files.scan, ("n_nonfinite",), others=False), read_events(files.events)
    shown = [mirror for mirror in mirrors if files.mirror(mirror).exists() and files.page(mirror).exists()]
    check_same_signal(*_results(files, shown))
    return RecordingSummary(
        set_up=[name for name in (table.daq, table.headstage, table.electrode) if name],
        array=table.electrode or table.daq,
        array_text=wording.array_text(table),
        grid=table.grid,
        # The numbers of each site, and what the files say of each channel, are not shown, and are most of it.
        mask=replace(mask, numbers={}),
        events=events,
        acquisition=replace(scanned.acquisition, info={}, overrides=scanned.acquisition.overrides | table.overrides),
        n_samples=scanned.n_samples,
        bad_samples=wording.bad_samples_text(scanned.numbers["n_nonfinite"]),
        older=older_changes("ingest", files.raw) if files.raw.exists() else "",
        line_noise=_line_noise(mask) * abs(units_per(scanned.acquisition, "uV") / table.gain),
        looks={
            mirror: looked[name, mirror].text(mask.decisions_digest) for mirror in shown if (name, mirror) in looked
        },
        pages=_pages(files, shown),
        mirrors=[read_mirror_facts(files.mirror(mirror)) for mirror in shown],
        cost=cost,
    )


def _line_noise(mask: MaskTable) -> float:
    """Return the median over the kept sites at the louder of the frequencies that are declared; NaN of none."""
    measured = [mask.numbers.get(line_name(hertz)) for hertz in line_frequencies(mask)]
    medians = [float(np.median(noise[mask.keep])) for noise in measured if noise is not None and mask.keep.any()]
    return max(medians, default=math.nan)


def _needed(files: RecordingFiles) -> list[Path]:
    """Return the files without which a row shows nothing."""
    return [files.scan, files.channels, files.mask, files.events]


def _results(files: RecordingFiles, mirrors: Sequence[str]) -> list[Path]:
    """Return every file that the report reads, but for the pages."""
    return [*_needed(files), *(files.mirror(mirror) for mirror in mirrors)]


def _pages(files: RecordingFiles, mirrors: Sequence[str]) -> list[Path]:
    return [files.page(mirror) for mirror in mirrors]


def _read_cost(files: RecordingFiles, mirrors: Sequence[str], tables: Path | None) -> Cost:
    """Add up the seconds of the benchmark tables of Snakemake in a folder, and find the most memory."""
    rows: list[dict[str, str]] = []
    jobs = dict.fromkeys(output.job for output in files.outputs(mirrors))
    for path in [] if tables is None else [tables / f"{job}.tsv" for job in jobs]:
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as table:
                rows += csv.DictReader(table, delimiter="\t")
    return Cost(sum(_number(row, "s") for row in rows), max((_number(row, "max_rss") for row in rows), default=0.0))


def _number(row: Mapping[str, str], column: str) -> float:
    """Return a number of a benchmark; 0 where it was not measured, as of a job that was too short."""
    try:
        value = float(row.get(column) or 0)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0
