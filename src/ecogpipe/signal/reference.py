"""Taking a common reference off the channels of each frame."""

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Reference: TypeAlias = Literal["none", "average", "median"]


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

    Notes
    -----
    Values that are not finite do not count; a frame without any finite active value becomes NaN.
    """
    if reference == "none":
        return block
    counted = block[active]
    finite = np.isfinite(counted)
    if finite.all():
        common = counted.mean(axis=0) if reference == "average" else np.median(counted, axis=0)
        return block - common
    counted = np.where(finite, counted, np.nan)
    empty = ~finite.any(axis=0)
    counted[:, empty] = 0.0
    common = np.nanmean(counted, axis=0) if reference == "average" else np.nanmedian(counted, axis=0)
    common[empty] = np.nan
    return block - common
