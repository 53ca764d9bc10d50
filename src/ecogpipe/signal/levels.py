"""The two levels of a digital line that was sampled as an analog one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Volts = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

N_BINS = 4096
"""Bins between the lowest and the highest sample of a line; a level is found to one of them."""


_MOST_VOLTS = 1000.0
"""Beyond what any converter gives: a number of another kind, which must not widen the bins."""

_FEW_FRAMES, _TIMES_AS_MANY = 3, 3
"""Frames that a side of spikes lasts in all, and by how many times the rarer level of the others has more samples."""

_UNCLEAR_SHARE = 0.15
"""Samples midway between the levels, as a share of those of the rarer level, from which on a line has no clear levels.

Two levels leave next to none there; noise or drift around one level, cut in two, 0.23 and more.
"""

_MIDWAY = 1 / 8
"""Half the width of what counts as midway, as a share of the step between the levels."""


class LevelHistogram:
    """Histogram of the samples of a line, from blocks of any length.

    Parameters
    ----------
    lowest, highest : float
        Extremes of the line over all its samples, in volts.
    """

    def __init__(self, lowest: float, highest: float) -> None:
        self._lowest, self._highest = max(lowest, -_MOST_VOLTS), min(highest, _MOST_VOLTS)
        self._counts: Counts = np.zeros(N_BINS, np.int64)

    def update(self, volts: Volts) -> None:
        """Count samples of any shape; those that are not finite are left out."""
        counts, _ = np.histogram(volts[np.isfinite(volts)], bins=N_BINS, range=(self._lowest, self._highest))
        self._counts += counts

    def levels(self, minimum_step: float, n_copies: int = 1) -> "Levels | None":
        """Return the low and the high level of the line in volts, or None where there are no two levels.

        Of all ways to cut the samples in two that leave next to no samples midway between both sides, and whose means
        are at least `minimum_step` apart, that one counts which explains most of the variance. So neither the noise or
        the drift of one level, nor a single overshoot far above the pulses, makes a level, while one short pulse among
        millions of samples does. A level is the median of its side.

        The samples of a side that lasts no more than a few frames are set aside as spikes where the others have two
        levels of their own, the rarer of which has several times as many samples.

        Parameters
        ----------
        minimum_step
            Volts by which the levels must be apart.
        n_copies
            Samples of a frame.
        """
        if not self._lowest < self._highest:
            return None
        bounds = np.linspace(self._lowest, self._highest, N_BINS + 1)
        centres, counts = (bounds[:-1] + bounds[1:]) / 2, self._counts
        found = best = _two_levels(centres, counts, minimum_step)
        n_aside, n_without, is_doubtful = 0, 0, False
        while found is not None and found.n_rarer <= _FEW_FRAMES * n_copies:
            n_without += found.n_rarer
            counts = found.without_rarer(counts)
            found = _two_levels(centres, counts, minimum_step)
            if found is not None:
                is_pulses = found.n_rarer >= _TIMES_AS_MANY * n_without
                best, n_aside, is_doubtful = (found, n_without, False) if is_pulses else (best, n_aside, True)
        return None if best is None else Levels(best.low, best.high, n_aside, is_doubtful)


@dataclass(frozen=True)
class Levels:
    """The two levels of a line.

    Attributes
    ----------
    low, high : float
        In volts.
    n_aside : int
        Samples far beyond them that were set aside as spikes.
    is_doubtful : bool
        Whether the level may be that of a spike.
    """

    low: float
    high: float
    n_aside: int = 0
    is_doubtful: bool = False


@dataclass(frozen=True)
class _Cut:
    """A cut of the samples in two: the levels of both sides, its bin, and how many samples are on each side."""

    low: float
    high: float
    bin: int
    n_low: int
    n_high: int

    @property
    def n_rarer(self) -> int:
        return min(self.n_low, self.n_high)

    def without_rarer(self, counts: Counts) -> Counts:
        """Return the counts of the side that has more samples."""
        kept = counts.copy()
        kept[self.bin + 1 :] *= self.n_high > self.n_low
        kept[: self.bin + 1] *= self.n_low >= self.n_high
        return kept


def _two_levels(centres: Volts, counts: Counts, minimum_step: float) -> _Cut | None:
    """Return the medians below and above the cut that explains most of the variance, of the cuts that are clear."""
    cumulative, weighted = counts.cumsum(), (counts * centres).cumsum()
    cuts = np.flatnonzero((cumulative > 0) & (cumulative < cumulative[-1]))
    n_low = cumulative[cuts]
    n_high = cumulative[-1] - n_low
    step = (weighted[-1] - weighted[cuts]) / n_high - weighted[cuts] / n_low
    low = centres[np.searchsorted(2 * cumulative, n_low)]
    high = centres[np.searchsorted(2 * cumulative, cumulative[-1] + n_low)]
    n_midway = _n_midway(centres, cumulative, low, high, centres[cuts])
    clear = n_midway <= _UNCLEAR_SHARE * np.minimum(n_low, n_high)
    possible = clear & (step >= minimum_step)
    if not possible.any():
        return None
    best = np.where(possible, n_low.astype(np.float64) * n_high * step**2, -1.0).argmax()
    return _Cut(float(low[best]), float(high[best]), int(cuts[best]), int(n_low[best]), int(n_high[best]))


def _n_midway(centres: Volts, cumulative: Counts, low: Volts, high: Volts, cuts: Volts) -> Counts:
    """Number of samples around the middle of two levels, and from there to the cut that they were found with."""
    middle, half = (low + high) / 2, _MIDWAY * (high - low)
    begin = np.searchsorted(centres, np.minimum(middle - half, cuts), side="right")
    end = np.searchsorted(centres, np.maximum(middle + half, cuts), side="right")
    below = np.concatenate([[0], cumulative])
    n_midway: Counts = below[end] - below[begin]
    return n_midway
