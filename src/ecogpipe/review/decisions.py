"""What a person decided on a page, saved into the manual mask of the session."""

import difflib
import hashlib
from collections.abc import Sequence
from pathlib import Path

from ecogpipe.errors import EcogpipeError, MaskError
from ecogpipe.results.channels import read_channels
from ecogpipe.results.names import RecordingFiles
from ecogpipe.study.foreign_masks import read_mask_arrays
from ecogpipe.study.lock import hold_study
from ecogpipe.study.manual_masks import add_to_manual_mask, check_manual_mask, decide, new_row
from ecogpipe.study.recordings import Recording, manual_mask_path

_MOST_DIFFERENCE_LINES = 20


class MaskChangedError(EcogpipeError):
    """Raised where the manual mask is not the one that was there when the page was opened."""


def mask_file(study: Path, recording: Recording) -> Path:
    """Return the manual mask of the session of a recording."""
    return manual_mask_path(study / "config" / "masks", recording.subject, recording.session)


def version_of(text: bytes) -> str:
    """Name the content of a manual mask; an absent one is as an empty one."""
    return hashlib.sha256(text).hexdigest()


def read_text(path: Path) -> bytes:
    """Return the content of a manual mask, empty where there is none."""
    return path.read_bytes() if path.exists() else b""


def save_decisions(
    study: Path, recording: Recording, session: Sequence[str], rows: Sequence[tuple[str, str]], reason: str, seen: bytes
) -> Path:
    """Add rows to the manual mask of a recording's session; it changes whole or not at all, and keeps what is there.

    Parameters
    ----------
    study : Path
        The study folder, which is held meanwhile.
    recording : Recording
        The recording that was decided of.
    session : sequence of str
        Names of all recordings of its session.
    rows : sequence of (str, str)
        Word (keep or drop) and what is meant, as ``site 3,4``.
    reason : str
        Why.
    seen : bytes
        The content of the manual mask that the person's decisions go by.

    Raises
    ------
    MaskChangedError
        If the manual mask is another one by now; it says what differs.
    MaskError
        If a row names nothing that is on the array, or drops without a reason, or if there is no row.
    StudyBusyError
        If a run is at work in the study.
    """
    path = mask_file(study, recording)
    if not rows:
        raise MaskError(f"{path}: there is nothing to save; turn a site over first.")
    with hold_study(study):
        if (there := read_text(path)) != seen:
            raise MaskChangedError(
                f"{path}: was changed since the page was opened; load it again.\n{_difference(seen, there)}"
            )
        if there:
            check_manual_mask(path, session)
        added = [new_row(recording.recording, what, word, reason) for word, what in rows]
        table = read_channels(RecordingFiles(study / "results" / recording.full_name).channels)
        for row in added:
            decide(f"{row['what']} {row['which']}", row, table, path.parent, read_mask_arrays)
        path.parent.mkdir(parents=True, exist_ok=True)
        return add_to_manual_mask(path, added)


def _difference(before: bytes, after: bytes) -> str:
    old, new = (text.decode("utf-8", "replace").splitlines() for text in (before, after))
    lines = [line for line in difflib.unified_diff(old, new, lineterm="", n=0) if line[:3] not in ("---", "+++")]
    return "\n".join(lines[:_MOST_DIFFERENCE_LINES])
