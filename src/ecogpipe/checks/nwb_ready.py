"""Whether NWB files of a study can be written: all that they need is looked for before anything runs."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ecogpipe.errors import EcogpipeError, SettingsError
from ecogpipe.formats.joined import read_headers
from ecogpipe.results.names import RecordingFiles
from ecogpipe.storage.canonical import read_acquisition
from ecogpipe.storage.hdf5_files import open_hdf5
from ecogpipe.study.nwb_metadata import find_metadata
from ecogpipe.study.recordings import Recording


def check_nwb_ready(
    study: Path, config: Mapping[str, Any], recordings: Sequence[Recording], *, looks_into_files: bool
) -> dict[str, Any]:
    """Return what the NWB files of a study say besides their signals.

    Parameters
    ----------
    study
        The study folder.
    config
        Its checked settings.
    recordings
        Those that get an NWB file.
    looks_into_files
        Whether to look for the start time of each recording, in raw.h5 or in the headers of its files.

    Returns
    -------
    dict
        As `find_metadata` returns it.

    Raises
    ------
    SettingsError
        If something is missing or malformed, with file and cell of each fault.
    """
    metadata, faults = find_metadata(study, config, recordings)
    if find_spec("pynwb") is None:
        faults.append("pynwb, which writes NWB files, is not installed; run: pip install 'ecogpipe[nwb]'")
    if looks_into_files:
        faults += _without_start(study, config["recordings"], recordings)
    if faults:
        told = "\n".join(f"  {fault}" for fault in dict.fromkeys(faults))
        raise SettingsError(f"NWB files need more than is there (or set nwb.make to false in the config):\n{told}")
    return metadata


def _without_start(study: Path, table: str, recordings: Iterable[Recording]) -> list[str]:
    return [
        f"{table}: overrides of {recording.full_name} has no start_time, and its files say nothing of when it began; "
        "add e.g. start_time: 2016-09-01T14:30:00-04:00"
        for recording in recordings
        if "start_time" not in recording.overrides and not _says_its_start(study, recording)
    ]


def _says_its_start(study: Path, recording: Recording) -> bool:
    """Return whether the start is in the files; True, too, where they cannot be read, which ingest says better."""
    raw = RecordingFiles(study / "results" / recording.full_name).raw
    with suppress(EcogpipeError, OSError, KeyError, ValueError):
        if raw.exists():
            with open_hdf5(raw) as file:
                return bool(read_acquisition(file).start_time)
        return bool(read_headers(recording.files, recording.acquisition_overrides)[0].acquisition.start_time)
    return True
