"""Stretches of a recording that have numbers of their own: each second, unless a gap comes between."""

from fractions import Fraction
from math import ceil
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Stretches(NamedTuple):
    """Numbers of stretches of a recording, each (stretches, channels) in float64.

    Attributes
    ----------
    n, mean, squares, low, high
        Finite samples, their mean, squared deviations from it, the least and the largest.
    """

    n: Floats
    mean: Floats
    squares: Floats
    low: Floats
    high: Floats


def stretch_starts(n_samples: int, rate: Fraction, seconds: int, gap_starts: npt.ArrayLike = ()) -> Ints:
    """Return the first frames of stretches of so many seconds, ceil(k * seconds * rate) exactly; a gap ends one.

    Parameters
    ----------
    n_samples, rate
        Of the recording.
    seconds
        Length of a stretch.
    gap_starts
        First frames after gaps.

    Examples
    --------
    >>> stretch_starts(10, Fraction(7, 2), 1, [5])
    array([0, 4, 5, 7])
    """
    n_stretches = ceil(n_samples / (rate * seconds))
    starts = [ceil(number * seconds * rate) for number in range(n_stretches)]
    found = np.unique(np.array([0, *starts, *np.asarray(gap_starts, np.int64)], np.int64))
    return found[found < max(1, n_samples)]
