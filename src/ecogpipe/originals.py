"""Whether the files of a recording are there, or are no longer needed as raw.h5 holds a copy of their signals."""

from collections.abc import Iterable
from pathlib import Path

import h5py

from ecogpipe import layout
from ecogpipe.outputs import to_json
from ecogpipe.recordings import Recording


def find_missing(recordings: Iterable[Recording], results: Path, table: str) -> dict[str, str]:
    """Return why recordings cannot be made, a sentence for each by its full name.

    A recording whose files are gone can still be worked with where its ``raw.h5`` is a copy that was made with what the
    table declares of it now.

    Parameters
    ----------
    recordings
        Rows of the recordings table, with files relative to the current folder.
    results
        Folder of the study's results.
    table
        What the sentences name as the place of the mistake.
    """
    reasons = {recording.full_name: _reason(recording, results, table) for recording in recordings}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _reason(recording: Recording, results: Path, table: str) -> str | None:
    missing = next((file for file in recording.files if not file.is_file()), None)
    if missing is None:
        return None
    sentence = f"{table}: the file {missing} of recording {recording.full_name} does not exist below {Path.cwd()}; "
    raw = results / recording.full_name / "raw.h5"
    if not h5py.is_hdf5(raw) or _is_linked(raw):
        return sentence + "correct the column files, or put the file there."
    made_with, declared = _declared_in(raw), to_json(recording.acquisition_overrides)
    if made_with != declared:
        return sentence + (
            f"the copy in {raw} was made with the overrides {made_with}, not {declared}: put the file back, or undo "
            "the change in the column overrides."
        )
    return None


def _is_linked(raw: Path) -> bool:
    with h5py.File(raw, "r", locking=False) as file:
        return any(part.path != raw for part in layout.signal_parts(file))


def _declared_in(raw: Path) -> str:
    with h5py.File(raw, "r", locking=False) as file:
        return to_json(layout.read_provenance(file)["settings"]["declared"])
