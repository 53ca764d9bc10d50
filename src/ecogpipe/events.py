"""Edges of digital lines that were sampled as analog ones: the two levels of a line, and where it changes.

A line is sampled by every multiplexer row of its DAQ column, so it comes as rows of copies: (copies, time).
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

Volts = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
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


@dataclass(frozen=True)
class Edges:
    """Edges of one kind, in order of time.

    Attributes
    ----------
    frames : ndarray of int64
        First frame in the new state.
    fine : ndarray of int64
        First row copy in the new state, counted over all copies of all frames: ``frame * n_copies + row slot``. The
        copies are sampled one after the other, so ``fine / (n_copies * Fs)`` is its time in seconds.
    """

    frames: Counts
    fine: Counts


@dataclass(frozen=True)
class Changes:
    """Where a line changes, in order of time: it is active and not so by turns.

    Attributes
    ----------
    frames, fine : ndarray of int64
        As in `Edges`.
    begins_active : bool
        Its state before the first change.
    """

    frames: Counts
    fine: Counts
    begins_active: bool

    @property
    def rising(self) -> Edges:
        """Where the line becomes active."""
        return self._from(int(self.begins_active))

    @property
    def falling(self) -> Edges:
        """Where it is so no more."""
        return self._from(1 - int(self.begins_active))

    def only(self, kept: npt.NDArray[Any]) -> "Changes":
        """Return some of the changes, by mask or by number."""
        return Changes(self.frames[kept], self.fine[kept], self.begins_active)

    def _from(self, first: int) -> Edges:
        return Edges(self.frames[first::2], self.fine[first::2])


_NONE: Counts = np.array([], np.int64)
NO_CHANGES = Changes(_NONE, _NONE, begins_active=False)


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
    levels = histogram.levels(minimum_step, n_copies=volts.shape[0] if volts.ndim == 2 else 1)
    return None if levels is None else (levels.low, levels.high)


@dataclass(frozen=True)
class RestLevel:
    """The rest level of a line that drifts.

    Attributes
    ----------
    centres : ndarray of float64
        Frames at which it is known, ascending; half frames count.
    volts : ndarray of float64
        The level there.
    """

    centres: Volts
    volts: Volts

    def between(self, start: int, stop: int) -> Volts:
        """Return the level in frames [start, stop): on straight lines through what is known, and on at both ends."""
        at, level = self.centres, self.volts
        if len(at) < 2:
            return np.full(stop - start, level[0] if len(level) else 0.0)
        frames = np.arange(start, stop)
        left = np.clip(np.searchsorted(at, frames, side="right") - 1, 0, len(at) - 2)
        slope = (level[left + 1] - level[left]) / (at[left + 1] - at[left])
        levels: Volts = level[left] + slope * (frames - at[left])
        return levels


class RestLevelFinder:
    """Finds the rest level of a line from blocks of any length: its median over windows of fixed length.

    Parameters
    ----------
    window
        Frames per window; pulses fill less than half of one. The last window also takes the frames that are left.
    n_samples
        Frames of the line.
    """

    def __init__(self, window: int, n_samples: int) -> None:
        self._starts: Counts = window * np.arange(max(1, n_samples // window))
        self._window, self._n_samples = window, n_samples
        self._waiting: Volts = np.empty(0)
        self._levels: list[float] = []

    def update(self, volts: Volts) -> None:
        """Take the next frames, (copies, time)."""
        frames = np.concatenate([self._waiting, _median_copy(volts)])
        while len(frames) >= self._window and len(self._levels) < len(self._starts) - 1:
            self._levels.append(_finite_median(frames[: self._window]))
            frames = frames[self._window :]
        self._waiting = frames

    def result(self) -> RestLevel:
        """Return the level, when all frames are in."""
        volts = np.array([*self._levels, _finite_median(self._waiting)])
        centres = (self._starts + np.append(self._starts[1:], self._n_samples) - 1) / 2
        known = np.isfinite(volts)
        return RestLevel(centres[known], volts[known])


def _median_copy(volts: Volts) -> Volts:
    """The middle one of the finite copies in every frame; NaN where there is none."""
    ordered = np.sort(np.where(np.isfinite(volts), volts, np.nan), axis=0)
    n_finite = np.isfinite(ordered).sum(axis=0)
    middle: Volts = ordered[np.maximum(n_finite - 1, 0) // 2, np.arange(volts.shape[1])]
    return middle


def _finite_median(values: Volts) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else np.nan


class ChangeFinder:
    """Finds where a line changes, from blocks of any length.

    A line is active in a frame in which any of its copies is beyond the threshold: above it, or below it for a line
    that is active low. Copies that are not finite say nothing; a frame without a finite copy stays in the state before.
    The state of the first frame that says something is no change.

    Examples
    --------
    >>> finder = ChangeFinder(threshold=2.5, active_low=False)
    >>> finder.update(np.array([[0.0, 0.0, 5.0, 0.0], [0.0, 5.0, 5.0, 0.0]]))
    >>> changes = finder.result()
    >>> changes.rising.frames.tolist(), changes.falling.frames.tolist()
    ([1], [3])
    >>> changes.rising.fine.tolist(), changes.falling.fine.tolist()
    ([3], [6])
    """

    def __init__(self, threshold: float, active_low: bool) -> None:
        self._threshold, self._active_low = threshold, active_low
        self._n_seen = 0
        self._first: bool | None = None
        self._state: bool | None = None
        self._last_copies: Bools | None = None
        self._pieces: list[tuple[Counts, Counts]] = []

    def update(self, volts: Volts) -> None:
        """Take the next frames, (copies, time)."""
        if not volts.shape[1]:
            return
        finite = np.isfinite(volts)
        beyond = finite & ((volts < self._threshold) if self._active_low else (volts > self._threshold))
        line = self._held(np.any(beyond, axis=0), np.any(finite, axis=0))
        if line is not None:
            before = line[0] if self._state is None else self._state
            changes = np.flatnonzero(line != np.concatenate([[before], line[:-1]]))
            self._first = bool(before) if self._first is None else self._first
            self._state = bool(line[-1])
            self._pieces.append((self._n_seen + changes, self._fine(beyond, line, changes)))
        self._n_seen, self._last_copies = self._n_seen + volts.shape[1], beyond[:, -1]

    def result(self) -> Changes:
        """Return what was found so far."""
        frames, fine = zip((_NONE, _NONE), *self._pieces, strict=True)
        return Changes(np.concatenate(frames), np.concatenate(fine), bool(self._first))

    def _held(self, line: Bools, known: Bools) -> Bools | None:
        """Fill the frames of no known state with the state before; None where no state is known so far."""
        if self._state is None and not known.any():
            return None
        latest = np.maximum.accumulate(np.where(known, np.arange(len(line)), -1))
        before = line[known.argmax()] if self._state is None else self._state
        held: Bools = np.where(latest >= 0, line[latest], before)
        return held

    def _fine(self, beyond: Bools, line: Bools, changes: Counts) -> Counts:
        """First copy in the new state: the first beyond in its frame, or the one after the last beyond before it."""
        n_copies = len(beyond)
        none_before = np.zeros(n_copies, np.bool_) if self._last_copies is None else self._last_copies
        former = np.concatenate([none_before[:, None], beyond[:, :-1]], axis=1)[:, changes]
        first_beyond = beyond[:, changes].argmax(axis=0)
        not_beyond_any_more = np.where(former.any(axis=0), -former[::-1].argmax(axis=0), 0)
        slots = np.where(line[changes], first_beyond, not_beyond_any_more)
        fine: Counts = (self._n_seen + changes) * n_copies + slots
        return fine


def debounced(changes: Changes, n_samples: int, shortest: int) -> Changes:
    """Leave out the states that last fewer than `shortest` frames: bounces, and glitches of either kind.

    A change counts where the line goes from one lasting state to the other, however often it bounces between them, and
    stands where the former one ends. The states at both ends of a recording, whose whole length is not known, last.

    Examples
    --------
    >>> frames = np.array([10, 12, 14, 50, 90, 91])
    >>> debounced(Changes(frames, frames, begins_active=False), 120, 5).frames.tolist()
    [10, 50]
    """
    lengths = np.diff(np.concatenate([[0], changes.frames, [n_samples]]))
    lasting = lengths >= shortest
    lasting[[0, -1]] = True
    states = np.flatnonzero(lasting)
    return changes.only(states[:-1][np.diff(states) % 2 == 1])


def spaced(changes: Changes, shortest: int) -> Changes:
    """Leave out the pulses that begin fewer than `shortest` frames after the one before that was kept.

    Examples
    --------
    >>> frames = np.array([10, 11, 30, 31, 40, 41])
    >>> spaced(Changes(frames, frames, begins_active=False), 25).frames.tolist()
    [10, 11, 40, 41]
    """
    rising = changes.rising.frames
    kept = np.ones(len(changes.frames), np.bool_)
    pulse = 0
    while pulse < len(rising):
        following = int(np.searchsorted(rising, rising[pulse] + shortest))
        first, stop = (2 * number + int(changes.begins_active) for number in (pulse + 1, max(following, pulse + 1)))
        kept[first:stop] = False
        pulse = max(following, pulse + 1)
    return changes.only(kept)


def frames_lasting(seconds: float, rate: Fraction) -> int:
    """Return the fewest frames that last so many seconds, exactly as their decimal digits say.

    Examples
    --------
    >>> frames_lasting(0.003, Fraction(1000)), frames_lasting(0.0031, Fraction(1000))
    (3, 4)
    """
    return ceil(Fraction(str(seconds)) * rate)


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
