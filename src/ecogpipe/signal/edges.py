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
    """Return the middle one of the finite copies in every frame; NaN where there is none."""
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
    The state of the first frame that says something is not a change.

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
        """Return the first copy in the new state: the first one beyond, or the one after the last beyond before it."""
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
