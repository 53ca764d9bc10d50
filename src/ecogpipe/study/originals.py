"""Whether the files of a recording are there, or are no longer needed as raw.h5 holds a copy of their signals."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import h5py

from ecogpipe.errors import FormatError, first_line
from ecogpipe.results.names import RecordingFiles
from ecogpipe.results.provenance import provenance_of
from ecogpipe.storage import canonical
from ecogpipe.storage.hdf5_files import open_hdf5
from ecogpipe.storage.portable import to_json
from ecogpipe.study.recordings import Recording

_CLOCK_SECONDS = 2.0
"""By how much the clocks of two machines may differ."""


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


def find_copies_alone(recordings: Iterable[Recording]) -> list[str]:
    """Return the full names of recordings some of whose files are gone, so that the copy in raw.h5 is used."""
    return [each.full_name for each in recordings if not all(file.exists() for file in each.files)]


def find_future(recordings: Iterable[Recording]) -> dict[Path, str]:
    """Return a sentence for each file whose time of change lies in the future, as of a clock that was wrong."""
    latest, sentences = time.time() + _CLOCK_SECONDS, {}
    for file in (file for recording in recordings for file in recording.files if file.is_file()):
        changed = file.stat().st_mtime
        if changed > latest:
            sentences[file] = (
                f"{file}: was changed in the future, at {time.ctime(changed)}; until its time is corrected (touch), a "
                "change of it makes nothing again."
            )
    return sentences


@cache
def is_hdf5(file: str) -> bool:
    """Return whether a file can be read, and is HDF5."""
    try:
        return bool(h5py.is_hdf5(file))
    except OSError:
        return False


def _reason(recording: Recording, results: Path, table: str) -> str | None:
    for file in recording.files:
        found = _what_else(file)
        if found:
            return f"{table}: the file {file} of recording {recording.full_name} {found}."
    missing = next((file for file in recording.files if not file.is_file()), None)
    if missing is None:
        return None
    named = f"{table}: the file {missing} of recording {recording.full_name}"
    sentence = f"{named} does not exist below {Path.cwd()}; "
    raw = RecordingFiles(results / recording.full_name).raw
    if not is_hdf5(str(raw)):
        return sentence + "correct the column files, or put the file there."
    try:
        made_of = read_made_of(raw)
    except FormatError as error:
        return f"{sentence}put the file there; the copy cannot be read: {error}"
    if made_of.is_linked:
        return sentence + "correct the column files, or put the file there."
    if difference := made_of.difference(recording):
        return f"{sentence}the copy in {raw} {difference}: put the file there, or correct the row."
    return None


@dataclass(frozen=True)
class MadeOf:
    """What a raw.h5 was made of: names of files, overrides as JSON, and whether it holds no samples of its own."""

    files: tuple[str, ...]
    overrides: str
    is_linked: bool

    def difference(self, recording: Recording) -> str:
        """Say how it differs from what the table says now; '' where it does not. Folders may have moved since."""
        if self.files != tuple(file.name for file in recording.files):
            return f"is of {'; '.join(self.files)}, not of {'; '.join(file.name for file in recording.files)}"
        declared = to_json(recording.acquisition_overrides)
        return "" if self.overrides == declared else f"was made with the overrides {self.overrides}, not {declared}"


def read_made_of(raw: Path) -> MadeOf:
    """Read of what a raw.h5 was made.

    Raises
    ------
    FormatError
        If it cannot be read, or does not say it.
    """
    try:
        with open_hdf5(raw) as file:
            made_by = provenance_of(file)
            files = [Path(entry["name"]).name for entry in made_by["inputs"] if "source_of" not in entry]
            is_linked = any(part.path != raw for part in canonical.signal_parts(file))
            return MadeOf(tuple(files), to_json(made_by["settings"]["declared"]), is_linked)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{raw}: does not say what it was made of ({first_line(error)}).") from error


def _what_else(file: Path) -> str:
    """Say what a file is that cannot be read as one; '' where it can, or does not exist."""
    try:
        if file.is_symlink() and not file.exists():
            return f"is a link that leads nowhere ({file.readlink()}); correct the link, or name the file itself"
        if file.is_dir():
            return "is a folder; name the files in it, separated by semicolons"
        if file.exists() and not file.is_file():
            return "is not a regular file; name the file of the recording"
        if file.exists() and not os.access(file, os.R_OK):
            return "may not be read (permission denied); ask its owner for the permission to read it"
    except PermissionError:
        return "is in a folder that may not be entered (permission denied); ask its owner for the permission"
    except (OSError, RuntimeError):
        return "is a link that leads to itself; correct the link, or name the file itself"
    return ""
