"""Taking a common reference off the channels of each frame."""

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import SettingsError

Array: TypeAlias = npt.NDArray[np.float64]
Reference: TypeAlias = Literal["none", "average", "median"]

LEAST_ACTIVE = 2
"""Active channels that a reference needs: that of a single one would leave zeros of it."""


def subtract_reference(block: Array, active: npt.NDArray[np.bool_], reference: Reference) -> Array:
    """Return a block with the average or median of the active channels taken off every channel.

    Parameters
    ----------
    block
        (channels, time).
    active
        One bool per channel; channels that are not active do not count, and are re-referenced like the others.
    reference
        'average', 'median', or 'none' for the block as it is.

    Raises
    ------
    SettingsError
        If fewer than `LEAST_ACTIVE` channels are active, and there is a reference.

    Notes
    -----
    Values that are not finite do not count; a frame without any finite active value becomes NaN.
    """
    if reference == "none":
        return block
    if (n_active := int(active.sum())) < LEAST_ACTIVE:
        raise SettingsError(
            f"The reference {reference!r} is of {n_active} active channel{'s' * (n_active != 1)}, and needs "
            f"{LEAST_ACTIVE}; keep more channels, or choose the reference 'none'."
        )
    counted = block[active]
    finite = np.isfinite(counted)
    if reference == "average":
        return block - _mean_of_rows(np.where(finite, counted, 0.0), finite.sum(axis=0))
    if finite.all():
        return block - np.median(counted, axis=0)
    counted, empty = np.where(finite, counted, np.nan), ~finite.any(axis=0)
    counted[:, empty] = 0.0
    common = np.nanmedian(counted, axis=0)
    common[empty] = np.nan
    return block - common


def _mean_of_rows(rows: Array, n_counted: npt.NDArray[np.intp]) -> Array:
    """Add rows one after the other: for a block of a single frame, `numpy.mean` would add them in another order."""
    total = np.zeros(rows.shape[1])
    for row in rows:
        total += row
    with np.errstate(invalid="ignore"):
        return np.asarray(total / n_counted)
