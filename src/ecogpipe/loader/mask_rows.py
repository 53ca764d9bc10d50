"""Bad channels that were marked in other programs, as rows of a manual mask."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import MaskError, nearest
from ecogpipe.loader.dataset import Dataset
from ecogpipe.study.manual_masks import new_row


def mask_rows(
    dataset: Dataset, bads: Sequence[str] | npt.NDArray[np.bool_], *, recording: str, reason: str
) -> list[dict[str, str]]:
    """Return the rows of a manual mask that make the channels that were marked bad, and no others, dropped.

    Parameters
    ----------
    dataset
        The recording; its stored mask is what the rows change.
    bads
        Names of sites as in ``raw.info["bads"]`` of MNE, where BNC lines are left out; or one bool per active channel,
        as the property ``is_bad`` of SpikeInterface.
    recording
        Name of the recording in its session.
    reason
        Why; needed where something is dropped.

    Returns
    -------
    list of dict
        Rows for `ecogpipe.study.manual_masks.add_to_manual_mask`; none where nothing changes.

    Raises
    ------
    MaskError
        If a name is of no site, or something is dropped without a reason.
    """
    names = dataset.site_names
    if len(bads) and not isinstance(bads[0], str):
        marked = np.asarray(bads, dtype=bool)
        if marked.shape != (len(names),):
            raise MaskError(f"{marked.shape} bools do not fit {len(names)} active channels; give one for each.")
    else:
        sites = [str(name) for name in bads if not str(name).startswith("BNC ")]
        for name in sites:
            if name not in names:
                raise MaskError(f"{name!r} is no site of the active channels. {nearest(name, names)}")
        marked = np.isin(names, sites)
    return [
        new_row(recording, f"site {name}", "drop" if bad else "keep", reason)
        for name, bad, kept in zip(names, marked, dataset.active_mask, strict=True)
        if bad == kept
    ]
