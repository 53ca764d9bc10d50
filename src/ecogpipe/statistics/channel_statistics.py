"""The numbers of a channel over all samples of a recording: their names, and how they come to units."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

FRAMES = 1024
"""Frames of one fixed block; part of what the numbers are, to the last bit."""

Scaling = Literal["value", "spread", "change", "none"]
"""How a number becomes one of slope * raw + intercept: by both, by abs(slope), by slope, or not at all."""

NUMBERS: Mapping[str, Scaling] = {
    "mean": "value",
    "std": "spread",
    "min": "value",
    "max": "value",
    "drift": "change",
    "n_nonfinite": "none",
    "flat_fraction": "none",
    "stuck_fraction": "none",
    "rail_fraction": "none",
    "hf_rms": "spread",
    "line50_rms": "spread",
    "line60_rms": "spread",
}
"""The numbers that `ecogpipe.statistics.recording_numbers` gives, and how each is brought to units.

`hf_rms` is the RMS of first differences, so it goes with the highest frequencies.
"""

Floats = npt.NDArray[np.float64]


def ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike, empty: float = np.nan) -> Floats:
    """Divide, with `empty` where the denominator is 0."""
    top, bottom = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    quotient: Floats = np.full(np.broadcast_shapes(top.shape, bottom.shape), empty)
    np.divide(top, bottom, out=quotient, where=bottom != 0)
    return quotient


def in_units(numbers: dict[str, Floats], slope: float, intercept: float) -> dict[str, Floats]:
    """Return raw numbers as numbers of slope * raw + intercept; counts and fractions stay.

    Examples
    --------
    >>> scaled = in_units({"min": np.array([1.0]), "max": np.array([2.0])}, slope=-3.0, intercept=0.5)
    >>> float(scaled["min"][0]), float(scaled["max"][0])
    (-5.5, -2.5)
    """
    turned_over = {"min": "max", "max": "min"} if slope < 0 else {}
    return {
        name: _scaled(numbers[turned_over.get(name, name)], NUMBERS.get(name, "none"), slope, intercept)
        for name in numbers
    }


def _scaled(values: Floats, scaling: Scaling, slope: float, intercept: float) -> Floats:
    if scaling == "value":
        return slope * values + intercept
    return {"spread": abs(slope) * values, "change": slope * values}.get(scaling, values)
