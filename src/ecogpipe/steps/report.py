"""The step that puts a whole study on one page: the study at a glance, then the figures of each recording."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from ecogpipe.errors import SettingsError
from ecogpipe.figures import wording
from ecogpipe.figures.report_page import Cost, RecordingSummary, recording_section, tiles
from ecogpipe.figures.wording import read_mirror_facts
from ecogpipe.results.channels import read_channels
from ecogpipe.results.events import read_events
from ecogpipe.results.identity import check_same_signal
from ecogpipe.results.mask import read_mask
from ecogpipe.results.names import RecordingFiles
from ecogpipe.results.provenance import older_changes, provenance
from ecogpipe.results.scan import read_scan
from ecogpipe.storage.atomic import whole_file

_SMALL = 12
"""Recordings up to which a report holds its pictures and unfolds all sections; a larger one would not open any more."""

_PIECES = 64
"""Parts of the template that are written at once: the text of hundreds of recordings is never held as a whole."""


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
        If a result is missing or is not a result of ours.
    """
    if not folders:
        raise SettingsError("A report needs at least one recording; name the folders of their results.")
    measured = benchmarks or {}
    files = {name: RecordingFiles(folder) for name, folder in folders.items()}
    results = [_summary(name, own, mirrors, _read_cost(measured.get(name, ()))) for name, own in files.items()]
    inputs = [path for own in files.values() for path in (*_results(own, mirrors), *_pages(own, mirrors))]
    template = Environment(
        loader=PackageLoader("ecogpipe.figures"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("report.html.j2")
    with whole_file(page) as part:
        content = template.stream(
            title=title,
            tiles=tiles(results),
            any_cost=any(result.cost.seconds for result in results),
            small=len(results) <= _SMALL,
            recordings=[recording_section(result, page.parent, len(results) <= _SMALL) for result in results],
            provenance=provenance("report", inputs, {"title": title, "mirrors": list(mirrors)}, page.parent),
        )
        content.enable_buffering(_PIECES)
        with part.open("w", encoding="utf-8") as file:
            file.writelines(content)
    return page


def _summary(name: str, files: RecordingFiles, mirrors: Sequence[str], cost: Cost) -> RecordingSummary:
    """Read what the folder of a recording holds, as far as the report shows it."""
    table, mask = read_channels(files.channels), read_mask(files.mask)
    scanned, events = read_scan(files.scan, ("n_nonfinite",)), read_events(files.events)
    check_same_signal(*_results(files, mirrors))
    return RecordingSummary(
        name=name,
        folder=files.folder,
        set_up=[name for name in (table.daq, table.headstage, table.electrode) if name],
        array=table.electrode or table.daq,
        array_text=wording.array_text(table),
        grid=table.grid,
        # The numbers of each site, and what the files say of each channel, are not shown, and are most of it.
        mask=replace(mask, numbers={}),
        events=events,
        acquisition=replace(scanned.acquisition, info={}),
        n_samples=scanned.n_samples,
        bad_samples=wording.bad_samples_text(scanned.numbers["n_nonfinite"]),
        older=older_changes("ingest", files.raw) if files.raw.exists() else "",
        pages=_pages(files, mirrors),
        mirrors=[read_mirror_facts(files.mirror(mirror)) for mirror in mirrors],
        cost=cost,
    )


def _results(files: RecordingFiles, mirrors: Sequence[str]) -> list[Path]:
    """Return every file that the report reads, but for the pages."""
    return [files.scan, files.channels, files.mask, files.events, *(files.mirror(mirror) for mirror in mirrors)]


def _pages(files: RecordingFiles, mirrors: Sequence[str]) -> list[Path]:
    return [files.page(mirror) for mirror in mirrors]


def _read_cost(benchmarks: Sequence[Path]) -> Cost:
    """Add up the seconds of benchmark tables of Snakemake, and find the most memory."""
    rows: list[dict[str, str]] = []
    for path in benchmarks:
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
