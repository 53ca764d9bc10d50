"""How a recording was acquired, as far as it is known before its jobs run."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ecogpipe.errors import EcogpipeError, FormatError
from ecogpipe.formats.header import Header
from ecogpipe.formats.joined import check_joinable, read_headers
from ecogpipe.results.names import RecordingFiles
from ecogpipe.runtime.params import override
from ecogpipe.storage.canonical import Acquisition, read_acquisition
from ecogpipe.storage.hdf5_files import open_hdf5
from ecogpipe.study.originals import read_made_of
from ecogpipe.study.recordings import Recording

_ANY_HEADER = 1e12


def find_acquisition(recording: Recording, results: Path) -> Acquisition | None:
    """Return the acquisition of a recording as `read_known_acquisition` does; None where it cannot be read."""
    with suppress(EcogpipeError, OSError):
        return read_known_acquisition(recording, results)
    return None


def find_acquisitions(
    recordings: Iterable[Recording], results: Path
) -> tuple[list[tuple[Recording, Acquisition]], list[str]]:
    """Return recordings with their acquisitions, and a sentence for each recording whose acquisition cannot be read.

    Parameters
    ----------
    recordings
        Rows of the recordings table whose files are there.
    results
        Folder of the study's results.
    """
    known, sentences = [], []
    for recording in recordings:
        try:
            known.append((recording, read_known_acquisition(recording, results)))
        except (EcogpipeError, OSError) as error:
            sentences.append(f"{recording.full_name} cannot be ingested. {error}")
    return known, sentences


def read_known_acquisition(recording: Recording, results: Path) -> Acquisition:
    """Return the acquisition of a recording, of raw.h5 where the next run keeps that, else of the headers of its files.

    Parameters
    ----------
    recording
        A row of the recordings table.
    results
        Folder of the study's results.

    Raises
    ------
    EcogpipeError
        If a file cannot be read as a recording with what is declared of it, or its parts do not fit each other.
    """
    with suppress(FormatError, OSError, KeyError, ValueError):
        raw = RecordingFiles(results / recording.full_name).raw
        if raw.exists() and _is_newest(raw, recording) and not read_made_of(raw).difference(recording):
            with open_hdf5(raw) as file:
                return read_acquisition(file)
    return read_recording_headers(recording)[0].acquisition


def read_recording_headers(recording: Recording) -> list[Header]:
    """Read the headers of the files of a recording, whose parts must fit each other.

    Raises
    ------
    EcogpipeError
        If a file cannot be read as a recording, or the parts cannot be joined.
    """
    with override(memory_limit=_ANY_HEADER):
        headers = read_headers(recording.files, recording.acquisition_overrides)
    check_joinable(headers)
    return headers


def _is_newest(raw: Path, recording: Recording) -> bool:
    made = raw.stat().st_mtime_ns
    return all(file.stat().st_mtime_ns <= made for file in recording.files if file.exists())
