"""Which mirrors cannot be made of which recordings, as far as their headers tell."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ecogpipe.checks.known_acquisition import find_acquisition
from ecogpipe.errors import RateError
from ecogpipe.mirroring.settings import MirrorSettings
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
        acquisition = find_acquisition(recording, results)
        if acquisition is None:
            continue
        for name in recording.mirrors_of(mirrors):
            try:
                MirrorSettings.from_mapping(mirrors[name]).ratio_from(acquisition.rate)
            except RateError as error:
                refused.setdefault((name, str(error)), []).append(recording.full_name)
    return [
        f"The mirror {name!r} cannot be made of {', '.join(names)}. {why} Or leave it out of the column mirrors of the "
        "recordings table."
        for (name, why), names in refused.items()
    ]
