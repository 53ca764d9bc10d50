"""The mask that the next run gives a recording, decided before it begins: a mirror that holds it stays as it is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecogpipe.errors import EcogpipeError
from ecogpipe.results.mask import MaskTable, read_mask
from ecogpipe.results.mirror import read_channel_mask
from ecogpipe.results.names import RecordingFiles
from ecogpipe.results.provenance import older_changes
from ecogpipe.steps.mask_channels import decide_mask
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
    if not (made and files.scan.exists() and files.channels.exists()):
        return frozenset()
    try:
        if older_changes("scan", files.scan):
            return frozenset()
        return _of_next_mask(files, made, name, manual_mask_path(masks, recording.subject, recording.session), config)
    except Exception:
        # Readers raise errors of many kinds where a file is damaged; the job that has to read it tells of it.
        return frozenset()


def _of_next_mask(
    files: RecordingFiles, made: Sequence[str], recording: str, manual: Path, config: Mapping[str, Any]
) -> frozenset[str]:
    """Return the mirrors with the channels of the mask that is decided now, and of mask.tsv where it is there.

    Whether the next run writes mask.tsv anew is not asked: it may have been edited by hand, and stay.
    """
    decided = decide_mask(
        files.scan,
        files.channels,
        recording=recording,
        manual=manual if manual.exists() else None,
        automatic=config["masks"]["automatic"],
    )
    masks = [decided, *([read_mask(files.mask, numbers=())] if files.mask.exists() else [])]
    return frozenset(each for each in made if all(holds_mask(files.mirror(each), mask) for mask in masks))


def holds_mask(mirror: Path, mask: MaskTable) -> bool:
    """Return whether a mirror was made with the same channels kept as in a mask; False where it does not say."""
    try:
        channels, kept = read_channel_mask(mirror)
    except (EcogpipeError, OSError, KeyError):
        return False
    return np.array_equal(channels, mask.channel) and np.array_equal(kept, mask.keep)
