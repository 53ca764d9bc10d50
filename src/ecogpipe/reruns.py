"""What a new version makes again of a study that an older one finished, and why: told before it begins."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecogpipe.errors import FormatError
from ecogpipe.provenance import read_provenance
from ecogpipe.recordings import Recording
from ecogpipe.revisions import REVISIONS, changes_since

RAW = "raw.h5"

_TABLES = ("channels.tsv", "mask.tsv", "events.tsv")

_MADE_FROM: Mapping[str, tuple[str, ...]] = {
    "ingest": (),
    "scan": ("ingest",),
    "map_channels": ("ingest",),
    "mask_channels": ("scan", "map_channels"),
    "extract_events": ("scan", "map_channels"),
    "mirror": ("ingest", "map_channels"),
    "qc": ("ingest", "scan", "map_channels", "mask_channels", "extract_events", "mirror"),
}
"""The steps of a recording, and those whose outputs they read, in the order of the road."""


@dataclass(frozen=True)
class Rerun:
    """An output that is made again.

    Attributes
    ----------
    step : str
        Its step.
    recording : str
        Full name of its recording; '' for the report.
    n_bytes : int
        Its size now.
    why : str
        What the step does otherwise; '' where only what it reads is made again.
    """

    step: str
    recording: str
    n_bytes: int
    why: str


def find_reruns(
    recordings: Iterable[Recording], results: Path, mirrors: Mapping[str, Mapping[str, Any]]
) -> list[Rerun]:
    """Find the outputs that the workflow makes again, because an older version of their steps made them.

    Parameters
    ----------
    recordings
        Rows of the recordings table that can be worked with.
    results
        Folder of the study's results.
    mirrors
        Settings of the mirrors, by name.
    """
    found = [rerun for recording in recordings for rerun in _of_recording(recording, results, mirrors)]
    report = results / "report.html"
    if (report.exists() and (why := _why("report", report)) is not None) or (found and report.exists()):
        found.append(Rerun("report", "", report.stat().st_size, why or ""))
    return found


def find_kept(recordings: Iterable[Recording], results: Path) -> dict[str, str]:
    """Return a sentence for each recording whose raw.h5 is of an older version and stays, as its files are gone."""
    sentences = {}
    for recording in recordings:
        raw = results / recording.full_name / RAW
        gone = [str(file) for file in recording.files if not file.exists()]
        if gone and (changes := older_changes("ingest", raw)):
            sentences[recording.full_name] = (
                f"{raw}: was made by an older version, before this change: {changes}; it stays as it is, since "
                f"{', '.join(gone)} {'is' if len(gone) == 1 else 'are'} gone: put the raw files back to have it made "
                "again."
            )
    return sentences


def older_changes(step: str, output: Path) -> str:
    """Say what a step makes otherwise than the version that made its output; '' where nothing, or where not known."""
    return _why(step, output) or ""


def describe(reruns: Sequence[Rerun]) -> list[str]:
    """Say in lines what is made again: steps, recordings, size and why."""
    if not reruns:
        return []
    n_recordings = len({rerun.recording for rerun in reruns if rerun.recording})
    lines = [
        f"Results of {_count(n_recordings, 'recording')} are made again, as an older version of ecogpipe made them; "
        "each stays until the new one is whole:"
    ]
    for step in (*_MADE_FROM, "report"):
        of_step = [rerun for rerun in reruns if rerun.step == step]
        if of_step:
            reasons = sorted({rerun.why for rerun in of_step if rerun.why})
            why = "; ".join(reasons) or f"what it reads is made again: {', '.join(_read_again(step, reruns))}"
            extent = (
                "" if step == "report" else f" of {_count(len({rerun.recording for rerun in of_step}), 'recording')}"
            )
            lines.append(f"  {step}{extent}, {_size(of_step)}: {why}")
    lines.append(f"  In all {_size(reruns)} are written anew, in place of as much.")
    return lines


def _of_recording(recording: Recording, results: Path, mirrors: Mapping[str, Mapping[str, Any]]) -> Iterator[Rerun]:
    folder = results / recording.full_name
    is_gone = any(not file.exists() for file in recording.files)
    again: set[str] = set()
    for step, output, settings in _outputs(recording, folder, mirrors):
        if not output.exists():
            again.add(step)
            continue
        why = None if step == "ingest" and is_gone else _why(step, output)
        if why is not None or again & {*_MADE_FROM[step], *_mask_of(step, settings)}:
            again.add(step)
            yield Rerun(step, recording.full_name, output.stat().st_size, why or "")


def _outputs(
    recording: Recording, folder: Path, mirrors: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, Path, Mapping[str, Any]]]:
    """Yield step, output and mirror settings, in the order of the road."""
    yield "ingest", folder / RAW, {}
    yield "scan", folder / "scan.h5", {}
    for step, table in zip(("map_channels", "mask_channels", "extract_events"), _TABLES, strict=True):
        yield step, folder / table, {}
    for name, settings in mirrors.items():
        yield "mirror", folder / f"{recording.recording}_{name}.h5", settings
        yield "qc", folder / f"{recording.recording}_{name}_qc.png", settings


def _mask_of(step: str, settings: Mapping[str, Any]) -> Collection[str]:
    """Return the step whose mask changes what a mirror holds, where one does."""
    uses_mask = settings.get("reference", "none") != "none" or settings.get("masked") == "nan"
    return ("mask_channels",) if step == "mirror" and uses_mask else ()


def _why(step: str, output: Path) -> str | None:
    """Say what a step makes otherwise than the version that made an output; None where nothing, or where not known."""
    try:
        revision = int(read_provenance(output)["revision"])
    except (FormatError, KeyError):
        return None
    return changes_since(step, revision) if revision < REVISIONS[step] else None


def _read_again(step: str, reruns: Sequence[Rerun]) -> list[str]:
    again = {rerun.step for rerun in reruns}
    return [each for each in _MADE_FROM.get(step, tuple(_MADE_FROM)) if each in again]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _size(reruns: Iterable[Rerun]) -> str:
    megabytes = sum(rerun.n_bytes for rerun in reruns) / 1e6
    return f"{megabytes / 1000:.3g} GB" if megabytes >= 1000 else f"{megabytes:.3g} MB"
