"""What a new version makes again of a study that an older one finished, and why: told before it begins."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecogpipe.checks.next_mask import find_mirrors_that_stay
from ecogpipe.results.names import OLD_PAGE_REVISION, REPORT, STEPS, RecordingFiles
from ecogpipe.results.provenance import changes_after, older_changes
from ecogpipe.results.revisions import changes_since
from ecogpipe.study.config import uses_mask
from ecogpipe.study.recordings import Recording

_READS = {step.name: step.reads for step in STEPS}


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


def find_reruns(recordings: Iterable[Recording], results: Path, masks: Path, config: Mapping[str, Any]) -> list[Rerun]:
    """Find the outputs that the workflow makes again, because an older version of their steps made them.

    Parameters
    ----------
    recordings
        Rows of the recordings table that can be worked with.
    results, masks
        Folder of the study's results; folder of its manual masks.
    config
        Settings of the study.
    """
    found = [rerun for recording in recordings for rerun in _of_recording(recording, results, masks, config)]
    report = results / REPORT
    if (report.exists() and (why := changes_after("report", report)) is not None) or (found and report.exists()):
        found.append(Rerun("report", "", report.stat().st_size, why or ""))
    return found


def find_kept(recordings: Iterable[Recording], results: Path) -> dict[str, str]:
    """Return a sentence for each recording whose raw.h5 is of an older version and stays, as its files are gone."""
    sentences = {}
    for recording in recordings:
        raw = RecordingFiles(results / recording.full_name).raw
        gone = [str(file) for file in recording.files if not file.exists()]
        if gone and (changes := older_changes("ingest", raw)):
            sentences[recording.full_name] = (
                f"{raw}: was made by an older version, before this change: {changes}; it stays as it is, since "
                f"{', '.join(gone)} {'is' if len(gone) == 1 else 'are'} gone: put the raw files back to have it made "
                "again."
            )
    return sentences


def find_old_pages(recordings: Iterable[Recording], results: Path, mirrors: Iterable[str]) -> list[Path]:
    """Return the pictures of older versions whose place pages have taken."""
    files = (RecordingFiles(results / recording.full_name) for recording in recordings)
    names = list(mirrors)
    return [
        own.old_page(name) for own in files for name in names if own.page(name).exists() and own.old_page(name).exists()
    ]


def describe(reruns: Sequence[Rerun]) -> list[str]:
    """Say in lines what is made again: steps, recordings, size and why."""
    if not reruns:
        return []
    n_recordings = len({rerun.recording for rerun in reruns if rerun.recording})
    lines = [
        f"Results of {_count(n_recordings, 'recording')} are made again, as an older version of ecogpipe made them; "
        "each stays until the new one is whole:"
    ]
    for step in (*_READS, "report"):
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


def _of_recording(recording: Recording, results: Path, masks: Path, config: Mapping[str, Any]) -> Iterator[Rerun]:
    is_gone = any(not file.exists() for file in recording.files)
    again: set[str] = set()
    files = RecordingFiles(results / recording.full_name)
    for output in files.outputs(recording.mirrors_of(config["mirrors"])):
        step, path = output.step, output.path
        if not path.exists():
            if output.mirror and path == files.page(output.mirror) and (old := files.old_page(output.mirror)).exists():
                yield Rerun(step, recording.full_name, old.stat().st_size, changes_since(step, OLD_PAGE_REVISION))
            continue
        why = None if step == "ingest" and is_gone else changes_after(step, path)
        has_other_mask = (
            step == "mirror"
            and "mask_channels" in again
            and uses_mask(config["mirrors"][output.mirror])
            and output.mirror not in find_mirrors_that_stay(recording, results, masks, config)
        )
        if why is not None or has_other_mask or not again.isdisjoint(_READS[step]):
            again.add(step)
            yield Rerun(step, recording.full_name, path.stat().st_size, why or "")


def _read_again(step: str, reruns: Sequence[Rerun]) -> list[str]:
    again = {rerun.step for rerun in reruns}
    return [each for each in _READS.get(step, tuple(_READS)) if each in again]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _size(reruns: Iterable[Rerun]) -> str:
    megabytes = sum(rerun.n_bytes for rerun in reruns) / 1e6
    return f"{megabytes / 1000:.3g} GB" if megabytes >= 1000 else f"{megabytes:.3g} MB"
