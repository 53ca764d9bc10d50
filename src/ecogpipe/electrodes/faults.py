"""The automatic rule: which electrode channels are faulty, from the numbers of the scan, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ecogpipe.electrodes.channel_map import ChannelMap
from ecogpipe.electrodes.grid import is_number
from ecogpipe.electrodes.site_numbers import OF_WHITE_NOISE, SiteNumbers
from ecogpipe.electrodes.typical import CHANCE, find_typical_sites
from ecogpipe.errors import SettingsError, nearest

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

THRESHOLD_RANGES = {
    "dead_ratio": (0, 1),
    "noisy_ratio": (1, np.inf),
    "noise_over_signal": (0, np.inf),
    "line_ratio": (0, np.inf),
    "rail_fraction": (0, 1),
    "stuck_fraction": (0, 1),
    "neighbour_ratio": (0, 1),
    "whiteness": (0, 2),
    "nonfinite_fraction": (0, 1),
}
"""Lowest and highest value of each threshold of the automatic rule; the schema of the config takes them from here."""

_INVERTED = -0.5
"""Correlation with the sites around, as a fraction of the typical one, from which on a site looks inverted."""


Kind = Literal["not finite", "dead", "railed", "noisy", "line noise", "stuck", "disconnected"]


@dataclass(frozen=True)
class Fault:
    """What is wrong with a channel, and the number that shows it."""

    kind: Kind
    evidence: str


@dataclass(frozen=True)
class Judgement:
    """What the automatic rule says of a recording.

    Attributes
    ----------
    faults : list of Fault or None
        One per channel.
    neighbour_correlation : array
        Median correlation of each channel with the sites around it, as far as they carry a signal; NaN where none does.
    notes : tuple of str
        What a person ought to look at, a sentence each.
    """

    faults: list[Fault | None]
    neighbour_correlation: Floats
    notes: tuple[str, ...]


def check_thresholds(thresholds: Mapping[str, Any]) -> dict[str, float]:
    """Return the thresholds of the automatic rule as floats.

    Raises
    ------
    SettingsError
        If one is missing, unknown (the message offers the nearest), no number or out of its range.
    """
    for name in thresholds:
        if name not in THRESHOLD_RANGES:
            raise SettingsError(
                f"There is no threshold {name!r} for automatic masks. {nearest(name, THRESHOLD_RANGES)}"
            )
    for name, (low, high) in THRESHOLD_RANGES.items():
        if name not in thresholds:
            raise SettingsError(f"The threshold {name} for automatic masks is missing; give a number.")
        value = thresholds[name]
        if not is_number(value) or not low <= value <= high:
            raise SettingsError(f"{name} is {value!r}; give a number from {low:g} to {high:g}.")
    return {name: float(thresholds[name]) for name in THRESHOLD_RANGES}


def judge_sites(numbers: SiteNumbers, chan_map: ChannelMap, thresholds: Mapping[str, float]) -> Judgement:
    """Find the faulty channels of one recording.

    The *typical* value of a number is its median over the channels that change at all, or over those of them that
    do not sit at their extreme, whichever is lower: saturation of most sites does not make the others look dead.
    Saturation of all sites at once is not a fault of a site. Where the channels that look alive are not a majority, the
    median is theirs alone, and a note says so (`ecogpipe.electrodes.typical.find_typical_sites`). A channel is

    - *not finite* when more than `nonfinite_fraction` of its samples are;
    - *dead* when its std is at most `dead_ratio` of the typical one;
    - *railed* when more than `rail_fraction` of its samples sit at its extreme and its range is more than
      `noisy_ratio` times the typical one (a clean signal that is coarsely digitised also sits at its extreme, but on
      an ordinary range);
    - *noisy* when its std is more than `noisy_ratio` times the typical one, or when its `hf_rms` is, and is that of
      white noise of more than `noise_over_signal` times the typical std. (The steps of a tone below a quarter of the
      frame rate never look like noise of more than 1.2 times the tone: its frequency alone, which can change `hf_rms`
      tenfold, makes no site noisy.)
    - *line noise* when its rms at the declared frequency of the mains is more than `line_ratio` times the typical std;
    - *stuck* when it stands still for `stuck_fraction` more of the recording than is typical;
    - *disconnected* when its correlation with the sites around, of either sign, is less than `neighbour_ratio` of the
      typical one, and its spectrum is that of noise: `hf_rms` is more than `whiteness` times that of white noise of the
      same std. Where even the typical site is hardly like its neighbours, or the recording is too short to tell, none
      is.

    The first that applies is named. A site that is the opposite of its neighbours is kept, and noted.

    Parameters
    ----------
    numbers : SiteNumbers
        Of the electrode channels.
    chan_map : ChannelMap
        Where the channels sit.
    thresholds : mapping
        As `check_thresholds` returns them.
    """
    std = numbers.std
    lost = (numbers.nonfinite_fraction > thresholds["nonfinite_fraction"]) | ~np.isfinite(std)
    at_extreme = numbers.rail_fraction > thresholds["rail_fraction"]
    ranges, whiteness = numbers.ranges, numbers.whiteness
    changing = ~lost & (ranges > 0)
    typical = find_typical_sites(numbers, chan_map, changing, at_extreme, thresholds)
    typical_std = _typical(std, typical.among, at_extreme)
    dead = ~lost & ~(changing & (std > thresholds["dead_ratio"] * typical_std))
    alive = ~lost & ~dead
    among = alive & typical.among
    railed = alive & at_extreme & (ranges > thresholds["noisy_ratio"] * _typical(ranges, among, at_extreme))
    with_signal = alive & (std <= thresholds["noisy_ratio"] * typical_std)
    correlation = neighbour_correlation(numbers.correlation, chan_map, with_signal)
    still, typically_still = numbers.stuck_fraction, _typical(numbers.stuck_fraction, among, at_extreme)
    found: dict[Kind, tuple[Bools, list[str]]] = {
        "not finite": (lost, _lost_evidence(numbers, thresholds["nonfinite_fraction"])),
        "dead": (dead, _dead_evidence(std, changing, typical_std)),
        "railed": (railed, [f"{part:.3g} of its samples sit at its extreme" for part in numbers.rail_fraction]),
        "noisy": (alive, _noise_evidence(numbers, among, at_extreme, thresholds)),
        "line noise": (
            alive & (numbers.line_rms > thresholds["line_ratio"] * typical_std),
            [
                f"its rms at the line frequency is {rms / typical_std:.3g} of the typical std"
                for rms in numbers.line_rms
            ],
        ),
        "stuck": (
            alive & (still > thresholds["stuck_fraction"] + typically_still),
            [f"it stands still for {part:.3g} of the recording" for part in still],
        ),
        "disconnected": _disconnected(correlation, whiteness, alive, numbers.n_changes, thresholds),
    }
    faults = [_first_fault(channel, found) for channel in range(std.size)]
    good = np.array([fault is None for fault in faults])
    return Judgement(
        faults, correlation, (*typical.notes, *_inverted_notes(correlation, good, numbers.n_changes, chan_map))
    )


def fault_reasons(faults: list[Fault | None], chan_map: ChannelMap) -> list[str]:
    """Return one sentence per channel, '' where there is none; a fault of a whole column or row is named as such.

    Parameters
    ----------
    faults : list of Fault or None
        One per channel of the map.
    chan_map : ChannelMap
        Where the channels sit; columns and rows are those of the array.
    """
    kinds = np.array(["" if fault is None else fault.kind for fault in faults])
    reasons = ["" if fault is None else f"{fault.kind}: {fault.evidence}" for fault in faults]
    rows, columns = chan_map.to_mat()
    for name, lines in (("column", columns), ("row", rows)):
        for line in np.unique(lines):
            members = np.flatnonzero(lines == line)
            kind = kinds[members[0]]
            if 1 < members.size < len(faults) and kind and (kinds[members] == kind).all():
                for member in members:
                    reasons[member] = reasons[member].replace(f"{kind}:", f"{kind} {name} {line}:", 1)
    return reasons


def neighbour_correlation(
    correlation: npt.NDArray[np.floating], chan_map: ChannelMap, counted: Bools | None = None
) -> Floats:
    """Return the median of each channel's correlations with the up to eight channels around it on the array.

    The size is the median of the sizes and the sign that of the median, so that a channel beside as many inverted
    neighbours as others is still like them.

    Parameters
    ----------
    correlation : array, (channels, channels)
        Of the channels of the map, in its order; NaN where a channel does not change, which then does not count.
    chan_map : ChannelMap
        Where the channels sit.
    counted : array of bool, optional
        Channels that count as neighbours; all by default.

    Returns
    -------
    array
        One per channel; NaN where it has no neighbour that counts.
    """
    matrix = np.array(correlation, np.float64)
    if counted is not None:
        matrix[:, ~counted] = np.nan
    rows, columns = (axis + 1 for axis in chan_map.to_mat())
    n_rows, n_columns = chan_map.geometry
    nobody = len(chan_map)
    grid = np.full((n_rows + 2, n_columns + 2), nobody)
    grid[rows, columns] = np.arange(nobody)
    padded = np.pad(matrix, ((0, 0), (0, 1)), constant_values=np.nan)
    around = np.stack(
        [padded[np.arange(nobody), grid[rows + i, columns + j]] for i, j in product((-1, 0, 1), repeat=2) if i or j]
    )
    alone = ~np.isfinite(around).any(axis=0)
    around[:, alone] = 0
    sizes, sign = np.nanmedian(np.abs(around), axis=0), np.where(np.nanmedian(around, axis=0) < 0, -1.0, 1.0)
    return np.where(alone, np.nan, sign * sizes)


def _lost_evidence(numbers: SiteNumbers, most: float) -> list[str]:
    largest = np.maximum(np.abs(numbers.minimum), np.abs(numbers.maximum))
    return [
        f"its samples reach {extreme:.3g}, which is beyond what can be computed with"
        if part <= most and np.isfinite(extreme)
        else f"{part:.3g} of its samples are NaN or infinite"
        for part, extreme in zip(numbers.nonfinite_fraction, largest, strict=True)
    ]


def _dead_evidence(std: Floats, changing: Bools, typical_std: float) -> list[str]:
    return [
        f"std is {value / typical_std:.3g} of the typical one" if changes else "its signal does not change"
        for value, changes in zip(std, changing, strict=True)
    ]


def _noise_evidence(
    numbers: SiteNumbers, among: Bools, at_extreme: Bools, thresholds: Mapping[str, float]
) -> list[str]:
    """Return why each channel is noisy, compared with typical ones; '' where it is not."""
    std, hf_rms, noisy_ratio = numbers.std, numbers.hf_rms, thresholds["noisy_ratio"]
    typical_std, typical_hf = _typical(std, among, at_extreme), _typical(hf_rms, among, at_extreme)
    strong = hf_rms > thresholds["noise_over_signal"] * OF_WHITE_NOISE * typical_std
    rough = strong & (hf_rms > noisy_ratio * typical_hf)
    evidence = [""] * std.size
    for channel in np.flatnonzero(rough):
        evidence[channel] = (
            f"its steps from sample to sample are {hf_rms[channel] / typical_hf:.3g} times the typical ones"
        )
    for channel in np.flatnonzero(std > noisy_ratio * typical_std):
        evidence[channel] = f"std is {std[channel] / typical_std:.3g} times the typical one"
    return evidence


def _disconnected(
    correlation: Floats, whiteness: Floats, alive: Bools, n_changes: int, thresholds: Mapping[str, float]
) -> tuple[Bools, list[str]]:
    """Return which channels are unlike their neighbours and like noise, and the evidence for each."""
    known = alive & np.isfinite(correlation)
    typical = _typical_correlation(correlation, known)
    lowest = thresholds["neighbour_ratio"] * typical
    can_tell = (typical - lowest) * np.sqrt(n_changes) > CHANCE
    evidence = [
        f"its correlation with its neighbours is {value:.2f}, where {typical:.2f} is typical, and its spectrum is noise"
        for value in correlation
    ]
    return known & can_tell & (np.abs(correlation) < lowest) & (whiteness > thresholds["whiteness"]), evidence


def _inverted_notes(correlation: Floats, good: Bools, n_changes: int, chan_map: ChannelMap) -> list[str]:
    """Return a sentence for each good channel that is the opposite of its neighbours."""
    typical = _typical_correlation(correlation, good & np.isfinite(correlation))
    if typical * np.sqrt(n_changes) <= CHANCE:
        return []
    rows, columns = chan_map.to_mat()
    return [
        f"the site in row {rows[channel]}, column {columns[channel]} is the opposite of its neighbours (correlation "
        f"{correlation[channel]:.2f}): its polarity may be inverted; look at its raw trace"
        for channel in np.flatnonzero(good & (correlation < _INVERTED * typical))
    ]


def _typical_correlation(correlation: Floats, known: Bools) -> float:
    return float(np.median(np.abs(correlation[known]))) if known.any() else 0.0


def _first_fault(channel: int, found: Mapping[Kind, tuple[Bools, list[str]]]) -> Fault | None:
    for kind, (faulty, evidence) in found.items():
        if faulty[channel] and evidence[channel]:
            return Fault(kind, evidence[channel])
    return None


def _typical(values: Floats, among: Bools, at_extreme: Bools) -> float:
    """Return the median over `among`, or over those of them that are not at their extreme if that is lower."""
    medians = [float(np.median(values[some])) for some in (among, among & ~at_extreme) if some.any()]
    return min(medians, default=np.nan)
