"""The step that finds the edges of the digital BNC lines, at the full rate."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ecogpipe.electrodes.channels import BncLine, ChannelTable, absolute_lines
from ecogpipe.errors import FormatError, MemoryBlowOutError, RateError, SettingsError
from ecogpipe.results.channels import read_channels
from ecogpipe.results.events import TimeAxis, write_events
from ecogpipe.results.identity import KEY, check_same_signal
from ecogpipe.results.provenance import provenance
from ecogpipe.results.scan import ScannedLines
from ecogpipe.runtime.params import load_params
from ecogpipe.signal import edges as lines
from ecogpipe.signal.edges import Volts
from ecogpipe.signal.levels import LevelHistogram, Levels
from ecogpipe.signal.rates import ratio_to

logger = logging.getLogger(__name__)

_SHARE = 16
_RESTLESS = 0.1
"""Share of the frames that hold an edge, from which on a person should look at the line."""


def extract_events(
    scan: Path,
    channels: Path,
    events: Path,
    *,
    minimum_step: float,
    threshold: float | None = None,
    debounce: float = 0.0,
    minimum_interval: float = 0.0,
    drift_window: float | None = None,
    bnc: Iterable[BncLine] = (),
    bnc_numbering: str = "absolute",
    mirrors: Mapping[str, Mapping[str, float]] | None = None,
) -> Path:
    """Write the edges of every digital BNC line of a recording, exact to the sample.

    Parameters
    ----------
    scan : Path
        scan.h5 of the recording.
    channels : Path
        channels.tsv of the recording, which says the kind of each line.
    events : Path
        The table to write, events.tsv: line (DAQ column), edge ('rising' where the line becomes active, 'falling'
        where it is so no more), sample (frame at the full rate), seconds, fine_sample and fine_seconds (the row copy
        that saw the edge first, n_rows copies to a frame), and for each mirror ``sample_<mirror>``. Levels, thresholds
        and what was left out are in its header.
    minimum_step : float
        Volts between the low and the high level that a line needs to have pulses at all.
    threshold : float, optional
        Volts beyond which a line is active; None to find it, midway between the two levels of the line. Where a
        `drift_window` is given, volts above the rest level.
    debounce : float
        Seconds that a state lasts at least; shorter ones are left out.
    minimum_interval : float
        Seconds from one rising edge to the next of the same line, at least; pulses that come earlier are left out.
    drift_window : float, optional
        Seconds over which the rest level of a line that drifts is followed, and taken off. Pulses fill less than half
        of any such window. None for lines that stand still.
    bnc : iterable of BncLine
        Lines as declared for the recording, for the thresholds that they declare: a line's own wins over `threshold`.
    bnc_numbering : {'absolute', 'after_electrodes'}
        What the columns of `bnc` count from.
    mirrors : mapping, optional
        ``rate`` in Hz or ``ratio`` of each mirror, by name, for the columns ``sample_<mirror>``.

    Returns
    -------
    Path
        `events`.

    Raises
    ------
    FormatError
        If an input is not what it should be.
    IdentityError
        If the inputs are not of one recording.
    SettingsError
        If a setting makes no sense.
    MemoryBlowOutError
        If the memory limit does not hold a `drift_window`.
    """
    wanted = _Wanted(minimum_step, threshold, debounce, minimum_interval, drift_window)
    table = read_channels(channels)
    with ScannedLines(scan) as scanned:
        _check_size(scanned, scan, len(table), channels)
        identity = check_same_signal(scan, channels)
        declared = _declared_thresholds(bnc, bnc_numbering, scanned.n_columns, table)
        found = {
            column: _find(scanned, rows, table.bnc_kinds[column], wanted.with_threshold(declared.get(column)))
            for column, rows in table.bnc_channels.items()
        }
        axis = TimeAxis(scanned.rate, scanned.n_rows, scanned.n_samples)
    ratios = {name: _ratio(name, mirror, axis.rate) for name, mirror in (mirrors or {}).items()}
    settings = asdict(wanted) | {"line_thresholds": {str(column): volts for column, volts in declared.items()}}
    header = {
        KEY: identity.as_json(),
        "provenance": provenance("extract_events", [scan, channels], settings | {"mirrors": ratios}, events.parent),
    }
    for column, line in found.items():
        level = logging.WARNING if line.doubtful else logging.INFO
        logger.log(level, "%s: line %d, %s", events, column, line.facts["note"])
    changes = {column: line.changes for column, line in found.items()}
    facts = {column: line.facts | {"doubtful": line.doubtful} for column, line in found.items()}
    return write_events(events, changes, axis, ratios, facts, header)


@dataclass(frozen=True)
class _Wanted:
    """How the edges of a line are to be found, checked."""

    minimum_step: float
    threshold: float | None
    debounce: float
    minimum_interval: float
    drift_window: float | None

    def __post_init__(self) -> None:
        if not 0 < self.minimum_step < np.inf:
            raise SettingsError(
                f"events.minimum_step is {self.minimum_step}; give the volts between a line's two levels."
            )
        if self.threshold is not None and not np.isfinite(self.threshold):
            raise SettingsError(f"events.threshold is {self.threshold}; give volts, or null to have it found.")
        for name in ("debounce", "minimum_interval"):
            if not 0 <= getattr(self, name) < np.inf:
                raise SettingsError(f"events.{name} is {getattr(self, name)}; give seconds, 0 for none.")
        if self.drift_window is not None and not 0 < self.drift_window < np.inf:
            raise SettingsError(
                f"events.drift_window is {self.drift_window}; give seconds, or null where lines stand still."
            )

    def with_threshold(self, declared: float | None) -> "_Wanted":
        """Return the same with the threshold that a line declares, if it does."""
        return self if declared is None else replace(self, threshold=declared)


def _declared_thresholds(
    bnc: Iterable[BncLine], numbering: str, n_columns: int, table: ChannelTable
) -> dict[int, float]:
    """Return the thresholds that lines declare, by absolute DAQ column."""
    absolute = absolute_lines(list(bnc), numbering, n_columns)
    declared = {line.column: line.threshold for line in absolute if line.threshold is not None}
    for column in declared:
        if column not in table.bnc_channels:
            raise SettingsError(
                f"A threshold is declared for BNC column {column}, but the recording's BNC columns are "
                f"{', '.join(map(str, table.bnc_channels)) or 'none'}; correct its bnc cell."
            )
    return declared


def _ratio(name: str, mirror: Mapping[str, float], rate: Fraction) -> int | None:
    """Return frames to one sample of a mirror; None where its rate cannot be reached, which its own step refuses."""
    if "ratio" in mirror:
        return int(mirror["ratio"])
    try:
        return ratio_to(rate, mirror["rate"])
    except RateError as error:
        logger.warning("mirror %s: its samples are left empty: %s", name, error)
        return None


@dataclass(frozen=True)
class _Line:
    changes: lines.Changes
    facts: dict[str, Any]
    doubtful: bool = False
    """Whether a person should look at it."""


def _check_size(scanned: ScannedLines, scan: Path, n_channels: int, channels: Path) -> None:
    if n_channels != scanned.n_channels:
        raise FormatError(
            f"{channels}: has {n_channels} channels, but {scan} has {scanned.n_channels}; "
            "make both from the same raw.h5."
        )


class _Windows:
    """The windows of one line, as they are or less the rest level that it drifts with."""

    def __init__(self, scanned: ScannedLines, channels: npt.NDArray[np.intp], drift_window: float | None) -> None:
        self._scanned, self._channels = scanned, channels
        self._rest = None if drift_window is None else self._follow(lines.frames_lasting(drift_window, scanned.rate))

    def __iter__(self) -> Iterator[Volts]:
        for start, volts in self._scanned.windows(self._channels):
            yield volts if self._rest is None else volts - self._rest.between(start, start + volts.shape[1])

    def extremes(self) -> tuple[float, float]:
        """Return the lowest and highest finite sample, in volts; NaN where there is none."""
        if self._rest is None:
            return self._scanned.extremes(self._channels)
        lowest, highest = np.nan, np.nan
        for volts in self:
            finite = volts[np.isfinite(volts)]
            lowest = np.fmin(lowest, np.fmin.reduce(finite, initial=np.nan))
            highest = np.fmax(highest, np.fmax.reduce(finite, initial=np.nan))
        return float(lowest), float(highest)

    def _follow(self, length: int) -> lines.RestLevel:
        needed, limit = _SHARE * length * np.dtype(np.float64).itemsize, load_params().memory_limit
        if needed > limit:
            raise MemoryBlowOutError(
                f"events.drift_window holds {length} frames, which takes {needed} bytes: more than the memory limit of "
                f"{limit} bytes. Give a shorter one, or raise the limit."
            )
        finder = lines.RestLevelFinder(length, self._scanned.n_samples)
        for _, volts in self._scanned.windows(self._channels):
            finder.update(volts)
        return finder.result()


def _find(scanned: ScannedLines, channels: npt.NDArray[np.intp], kind: str, wanted: _Wanted) -> _Line:
    lowest, highest = scanned.extremes(channels)
    facts: dict[str, Any] = {"kind": kind, "lowest_volts": _number(lowest), "highest_volts": _number(highest)}
    if kind == "analog":
        return _Line(lines.NO_CHANGES, facts | {"note": "analog: no edges are looked for"})
    windows = _Windows(scanned, channels, wanted.drift_window)
    facts |= {"threshold_origin": "found" if wanted.threshold is None else "declared"}
    threshold, doubt = wanted.threshold, ""
    if threshold is None:
        extremes = windows.extremes()
        levels = _levels(windows, extremes, wanted.minimum_step)
        if levels is None:
            return _without_levels(facts, extremes, wanted.minimum_step)
        threshold = (levels.low + levels.high) / 2
        facts |= {"low_volts": levels.low, "high_volts": levels.high}
        doubt = _doubt(levels, len(channels))
    changes = _changes(windows, threshold, active_low=kind == "ttl_low")
    return _kept(changes, facts | {"threshold_volts": threshold}, wanted, scanned, doubt)


def _doubt(levels: Levels, n_copies: int) -> str:
    """Say why the levels of a line may not be those of its pulses; '' where they are clear."""
    if levels.is_doubtful:
        return "one of its levels lasts a few frames only, as a spike does: look at the line, and declare a threshold"
    if levels.n_aside:
        n_frames = -(-levels.n_aside // n_copies)
        return f"about {n_frames} frames lie far beyond its two levels, as spikes do: look at the line"
    return ""


def _without_levels(facts: dict[str, Any], extremes: tuple[float, float], minimum_step: float) -> _Line:
    span = f"from {extremes[0]:.4g} to {extremes[1]:.4g} V"
    if not extremes[1] - extremes[0] >= minimum_step:
        note = f"no pulses: {span}, with no two levels {minimum_step:g} V apart"
        return _Line(lines.NO_CHANGES, facts | {"note": note})
    note = (
        f"no pulses: {span}, with no two clear levels {minimum_step:g} V apart; look at the line, and where it has "
        "pulses, declare a threshold, or a drift_window if it drifts"
    )
    return _Line(lines.NO_CHANGES, facts | {"note": note}, doubtful=True)


def _levels(windows: _Windows, extremes: tuple[float, float], minimum_step: float) -> Levels | None:
    if not extremes[1] - extremes[0] >= minimum_step:
        return None
    histogram, n_copies = LevelHistogram(*extremes), 1
    for volts in windows:
        histogram.update(volts)
        n_copies = len(volts)
    return histogram.levels(minimum_step, n_copies)


def _changes(windows: _Windows, threshold: float, active_low: bool) -> lines.Changes:
    finder = lines.ChangeFinder(threshold, active_low)
    for volts in windows:
        finder.update(volts)
    return finder.result()


def _kept(changes: lines.Changes, facts: dict[str, Any], wanted: _Wanted, scanned: ScannedLines, doubt: str) -> _Line:
    """Leave out what is too short or too close, and say so."""
    rate = scanned.rate
    lasting = lines.debounced(changes, scanned.n_samples, lines.frames_lasting(wanted.debounce, rate))
    kept = lines.spaced(lasting, lines.frames_lasting(wanted.minimum_interval, rate))
    n_short = len(changes.frames) - len(lasting.frames)
    n_close = len(lasting.rising.frames) - len(kept.rising.frames)
    n_rising, n_falling = len(kept.rising.frames), len(kept.falling.frames)
    notes = [f"{n_rising} rising and {n_falling} falling edges at {facts['threshold_volts']:.4g} V"]
    if facts["threshold_origin"] == "declared":
        notes[0] += " (declared)"
    if doubt:
        notes.append(doubt)
    if not len(changes.frames):
        notes.append(f"its samples lie between {facts['lowest_volts']} and {facts['highest_volts']} V")
    restless = len(changes.frames) > _RESTLESS * scanned.n_samples
    if restless:
        notes.append(f"it changes in {len(changes.frames)} of {scanned.n_samples} frames: is the threshold amid noise?")
    if n_short:
        notes.append(f"{n_short} edges of states shorter than {wanted.debounce:g} s left out")
    if n_close:
        notes.append(f"{n_close} pulses within {wanted.minimum_interval:g} s of the one before left out")
    if kept.begins_active:
        notes.append("the recording begins with the line active, which is not an edge")
    counts = {"edges_left_out_by_debounce": n_short, "pulses_left_out_by_minimum_interval": n_close}
    return _Line(
        kept, facts | counts | {"begins_active": kept.begins_active, "note": "; ".join(notes)}, restless or bool(doubt)
    )


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
