"""The mask that the next run gives a recording, decided before it begins: a mirror that holds it stays as it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ecogpipe.errors import EcogpipeError
from ecogpipe.results.mask import MaskTable, read_mask
from ecogpipe.results.mirror import read_channel_mask
from ecogpipe.results.names import RecordingFiles
from ecogpipe.results.provenance import older_changes, read_provenance
from ecogpipe.results.revisions import REVISIONS
from ecogpipe.steps.mask_channels import decide_mask, settings_of_mask
from ecogpipe.study.config import uses_mask
from ecogpipe.study.recordings import Recording, manual_mask_path


def find_mirrors_of_next_mask(
    recording: Recording, results: Path, masks: Path, config: Mapping[str, Any]
) -> frozenset[str]:
    """Return which mirrors of a recording were made with the very channels kept that the next run keeps.

    A new mask changes none of their signals.

    Parameters
    ----------
    recording
        Row of the recordings table.
    results, masks
        Folder of the study's results; folder of its manual masks.
    config
        Settings of the study: its mirrors, and the thresholds of the automatic rule.

    Returns
    -------
    frozenset of str
        Names of mirrors whose signals depend on the mask. None of them where the next mask is not known yet, as a file
        is missing or cannot be used, or the next run scans again.
    """
    name, files = recording.full_name, RecordingFiles(results / recording.full_name)
    mirrors = [each for each in recording.mirrors_of(config["mirrors"]) if uses_mask(config["mirrors"][each])]
    made = [each for each in mirrors if files.mirror(each).exists()]
    if not (made and files.scan.exists() and files.channels.exists()) or older_changes("scan", files.scan):
        return frozenset()
    manual = manual_mask_path(masks, recording.subject, recording.session)
    try:
        mask = _next_mask(files, name, manual if manual.exists() else None, config["masks"]["automatic"])
    except (EcogpipeError, OSError, KeyError):
        # The step itself says it, in its own job.
        return frozenset()
    return frozenset(each for each in made if holds_mask(files.mirror(each), mask))


def _next_mask(files: RecordingFiles, recording: str, manual: Path | None, automatic: Mapping[str, float]) -> MaskTable:
    settings = settings_of_mask(files.mask, recording=recording, manual=manual, automatic=automatic)
    if files.mask.exists() and _stays(files, settings):
        return read_mask(files.mask, numbers=())
    return decide_mask(files.scan, files.channels, recording=recording, manual=manual, automatic=automatic)


def _stays(files: RecordingFiles, settings: Mapping[str, Any]) -> bool:
    """Return whether the next run leaves mask.tsv as it is."""
    is_newest = files.mask.stat().st_mtime_ns >= max(file.stat().st_mtime_ns for file in (files.scan, files.channels))
    made_of = read_provenance(files.mask)
    return is_newest and (made_of["revision"], made_of["settings"]) == (REVISIONS["mask_channels"], settings)


def holds_mask(mirror: Path, mask: MaskTable) -> bool:
    """Return whether a mirror was made with the same channels kept as in a mask; False where it does not say."""
    try:
        channels, kept = read_channel_mask(mirror)
    except (EcogpipeError, OSError, KeyError):
        return False
    return np.array_equal(channels, mask.channel) and np.array_equal(kept, mask.keep)
