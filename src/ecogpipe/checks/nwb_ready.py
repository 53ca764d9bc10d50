"""Whether NWB files of a study can be written: all that they need is looked for before anything runs."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ecogpipe.checks.known_acquisition import find_acquisition
from ecogpipe.errors import SettingsError
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
    acquisition = find_acquisition(recording, study / "results")
    return acquisition is None or bool(acquisition.start_time)
