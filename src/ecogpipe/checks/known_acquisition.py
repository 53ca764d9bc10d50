"""How a recording was acquired, as far as it is known before its jobs run."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ecogpipe.errors import EcogpipeError
from ecogpipe.formats.joined import read_headers
from ecogpipe.results.names import RecordingFiles
from ecogpipe.storage.canonical import Acquisition, read_acquisition
from ecogpipe.storage.hdf5_files import open_hdf5
from ecogpipe.study.recordings import Recording


def find_acquisitions(recordings: Iterable[Recording], results: Path) -> list[tuple[Recording, Acquisition]]:
    """Return the recordings whose acquisition is known, each with it, in the manner of `find_acquisition`."""
    found = [(recording, find_acquisition(recording, results)) for recording in recordings]
    return [(recording, acquisition) for recording, acquisition in found if acquisition is not None]


def find_acquisition(recording: Recording, results: Path) -> Acquisition | None:
    """Return the acquisition of a recording, of raw.h5 where it is ingested, else of the headers of its files.

    Parameters
    ----------
    recording
        A row of the recordings table.
    results
        Folder of the study's results.

    Returns
    -------
    Acquisition or None
        None where it cannot be read, which ingest says better.
    """
    raw = RecordingFiles(results / recording.full_name).raw
    with suppress(EcogpipeError, OSError, KeyError, ValueError):
        if raw.exists():
            with open_hdf5(raw) as file:
                return read_acquisition(file)
        return read_headers(recording.files, recording.acquisition_overrides)[0].acquisition
    return None
