"""Edges of digital lines that were sampled as analog ones: the two levels of a line, and where it changes.

A line is sampled by every multiplexer row of its DAQ column, so it comes as rows of copies: (copies, time).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Volts = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

N_BINS = 4096
"""Bins between the lowest and the highest sample of a line; a level is found to one of them."""


@dataclass(frozen=True)
class Edges:
    """Frames at which a line becomes active (rising) and at which it is so no more (falling)."""

    rising: Counts
    falling: Counts

    def later_by(self, frames: int) -> "Edges":
        """Return the same edges, `frames` later."""
        return Edges(self.rising + frames, self.falling + frames)


NO_EDGES = Edges(np.array([], np.int64), np.array([], np.int64))


def joined(pieces: Sequence[Edges]) -> Edges:
    """Return the edges of consecutive stretches of a line as those of the whole."""
    parts = [NO_EDGES, *pieces]
    return Edges(np.concatenate([piece.rising for piece in parts]), np.concatenate([piece.falling for piece in parts]))


class LevelHistogram:
    """Histogram of the samples of a line, from blocks of any length.

    Parameters
    ----------
    lowest, highest : float
        Extremes of the line over all its samples, in volts.
    """

    def __init__(self, lowest: float, highest: float) -> None:
        self._lowest, self._highest = lowest, highest
        self._counts: Counts = np.zeros(N_BINS, np.int64)

    def update(self, volts: Volts) -> None:
        """Count samples of any shape; those that are not finite are left out."""
        counts, _ = np.histogram(volts[np.isfinite(volts)], bins=N_BINS, range=(self._lowest, self._highest))
        self._counts += counts

    def levels(self, minimum_step: float) -> tuple[float, float] | None:
        """Return the low and the high level of the line in volts, or None where there are no two levels.

        Of all ways to cut the samples in two whose means are at least `minimum_step` apart, that one counts which
        explains most of the variance. So neither the noise around one level, nor a single overshoot far above the
        pulses, makes a level, while one short pulse among millions of samples does. A level is the median of its side.
        """
        if not self._lowest < self._highest:
            return None
        bounds = np.linspace(self._lowest, self._highest, N_BINS + 1)
        centres = (bounds[:-1] + bounds[1:]) / 2
        cut = _best_cut(centres, self._counts, minimum_step)
        if cut is None:
            return None
        return _median(centres[:cut], self._counts[:cut]), _median(centres[cut:], self._counts[cut:])


def _best_cut(centres: Volts, counts: Counts, minimum_step: float) -> int | None:
    """Number of bins below the cut that gives the largest variance between both sides, or None."""
    below, weighted = counts.cumsum().astype(np.float64), (counts * centres).cumsum()
    cuts = np.flatnonzero((below > 0) & (below < below[-1]))
    n_low, n_high = below[cuts], below[-1] - below[cuts]
    step = (weighted[-1] - weighted[cuts]) / n_high - weighted[cuts] / n_low
    wide = step >= minimum_step
    if not wide.any():
        return None
    explained = np.where(wide, n_low * n_high * step**2, 0.0)
    return int(cuts[explained.argmax()]) + 1


def _median(centres: Volts, counts: Counts) -> float:
    cumulative = counts.cumsum()
    return float(centres[np.searchsorted(2 * cumulative, cumulative[-1])])


def line_levels(volts: Volts, *, minimum_step: float) -> tuple[float, float] | None:
    """Return the low and the high level of a line, in volts, or None where it has no two levels.

    Parameters
    ----------
    volts
        Samples of the line, of any shape; those that are not finite are left out.
    minimum_step
        Volts by which the levels must be apart.

    Examples
    --------
    >>> low, high = line_levels(np.array([0.0, 0.1, 0.0, 5.0, 4.9, 5.0]), minimum_step=1.0)
    >>> round(low, 1), round(high, 1)
    (0.0, 5.0)
    """
    finite = volts[np.isfinite(volts)]
    if not finite.size:
        return None
    histogram = LevelHistogram(float(finite.min()), float(finite.max()))
    histogram.update(finite)
    return histogram.levels(minimum_step)


def active(volts: Volts, threshold: float, active_low: bool) -> Bools:
    """Return at which frames a line is active: any of its copies, (copies, time), is beyond the threshold.

    Beyond is above it, or below it for a line that is active low. A sample that is NaN is not active.
    """
    beyond: Bools = volts < threshold if active_low else volts > threshold
    line: Bools = np.any(beyond, axis=0)
    return line


def edges(line: npt.NDArray[Any], before: bool | None = None) -> Edges:
    """Return the frames at which a line, one bool per frame, changes.

    Parameters
    ----------
    line
        Whether the line is active, per frame.
    before
        Its state in the frame before the first one; None at the start of a recording, where the first frame is no
        edge whatever its state.

    Examples
    --------
    >>> found = edges(np.array([True, False, False, True, True]))
    >>> found.rising.tolist(), found.falling.tolist()
    ([3], [1])
    """
    states = np.asarray(line, np.bool_)
    first = states[:1] if before is None else np.array([before])
    previous = np.concatenate([first, states[:-1]])
    return Edges(np.flatnonzero(states & ~previous), np.flatnonzero(~states & previous))


_DIGITS = 9


def seconds_text(sample: int, rate: Fraction) -> str:
    """Return the time of a sample in seconds, in decimal digits, exact to the nanosecond.

    Examples
    --------
    >>> seconds_text(10_000_000_001, Fraction(13889, 5))
    '3599971.200590395'
    """
    nanoseconds = round(sample * 10**_DIGITS / rate)
    whole, fraction = divmod(nanoseconds, 10**_DIGITS)
    return f"{whole}.{fraction:0{_DIGITS}d}"
