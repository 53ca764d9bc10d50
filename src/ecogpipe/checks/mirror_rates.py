"""Which mirrors cannot be made of which recordings, as far as their headers tell."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

from ecogpipe.errors import EcogpipeError, RateError
from ecogpipe.formats.joined import read_headers
from ecogpipe.mirroring.settings import MirrorSettings
from ecogpipe.results.names import RecordingFiles
from ecogpipe.storage.canonical import read_acquisition
from ecogpipe.storage.hdf5_files import open_hdf5
from ecogpipe.study.recordings import Recording


def find_impossible_mirrors(
    recordings: Iterable[Recording], results: Path, mirrors: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return a sentence for each mirror that some recordings cannot have, with their names.

    Parameters
    ----------
    recordings
        Rows of the recordings table whose files are there.
    results
        Folder of the study's results; the rates of recordings that are ingested are read there.
    mirrors
        Settings of the mirrors, by name.
    """
    refused: dict[tuple[str, str], list[str]] = {}
    for recording in recordings:
        rate = _rate_of(recording, results)
        if rate is None:
            continue
        for name in recording.mirrors_of(mirrors):
            try:
                MirrorSettings.from_mapping(mirrors[name]).ratio_from(rate)
            except RateError as error:
                refused.setdefault((name, str(error)), []).append(recording.full_name)
    return [
        f"The mirror {name!r} cannot be made of {', '.join(names)}. {why} Or leave it out of the column mirrors of the "
        "recordings table."
        for (name, why), names in refused.items()
    ]


def _rate_of(recording: Recording, results: Path) -> Fraction | None:
    """Return the rate of a recording; None where it cannot be read, which ingest says better."""
    raw = RecordingFiles(results / recording.full_name).raw
    with suppress(EcogpipeError, OSError, KeyError, ValueError):
        if raw.exists():
            with open_hdf5(raw) as file:
                return read_acquisition(file).rate
        return read_headers(recording.files, recording.acquisition_overrides)[0].acquisition.rate
    return None
