"""The mask that the next run gives a recording, decided before it begins: a mirror that holds it stays as it is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ecogpipe.results.mask import read_mask
from ecogpipe.results.mirror import holds_mask
from ecogpipe.results.names import RecordingFiles
from ecogpipe.results.provenance import older_changes, read_provenance
from ecogpipe.results.revisions import REVISIONS
from ecogpipe.steps.mask_channels import MaskRule, decide_mask
from ecogpipe.study.config import uses_mask
from ecogpipe.study.recordings import Recording, manual_mask_path


def find_mirrors_that_stay(
    recording: Recording, results: Path, masks: Path, config: Mapping[str, Any]
) -> frozenset[str]:
    """Return which mirrors of a recording stay where the next run makes its mask again, as it keeps the same channels.

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
        is missing or cannot be used, or the next run scans again; and none that no new mask is on its way to.
    """
    name, files = recording.full_name, RecordingFiles(results / recording.full_name)
    mirrors = [each for each in recording.mirrors_of(config["mirrors"]) if uses_mask(config["mirrors"][each])]
    made = [each for each in mirrors if files.mirror(each).exists()]
    if not (made and files.scan.exists() and files.channels.exists()):
        return frozenset()
    manual = manual_mask_path(masks, recording.subject, recording.session)
    rule = MaskRule(name, manual if manual.exists() else None, config["masks"]["automatic"])
    try:
        if older_changes("scan", files.scan):
            return frozenset()
        return _of_next_mask(files, made, rule)
    except Exception:
        # Readers raise errors of many kinds where a file is damaged; the job that has to read it tells of it.
        return frozenset()


def _of_next_mask(files: RecordingFiles, made: Sequence[str], rule: MaskRule) -> frozenset[str]:
    """Return the mirrors with the channels of the mask that is decided now, and of mask.tsv where it is there.

    Whether the next run writes mask.tsv anew is not asked: it may have been edited by hand, and stay.
    """
    if files.mask.exists() and _is_as_ruled(files.mask, rule):
        # Only a mask that is newer than a mirror would make that again.
        made = [each for each in made if files.mask.stat().st_mtime_ns > files.mirror(each).stat().st_mtime_ns]
    if not made:
        return frozenset()
    masks = [decide_mask(files.scan, files.channels, rule)]
    if files.mask.exists():
        masks.append(read_mask(files.mask, numbers=()))
    return frozenset(each for each in made if all(holds_mask(files.mirror(each), mask) for mask in masks))


def _is_as_ruled(mask: Path, rule: MaskRule) -> bool:
    made_of = read_provenance(mask)
    return (made_of["revision"], made_of["settings"]) == (REVISIONS["mask_channels"], rule.settings(mask.parent))
