"""Which sites of an array the automatic rule compares the others with: those that look alive, or else the majority."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ecogpipe.electrodes.channel_map import ChannelMap
from ecogpipe.electrodes.site_numbers import SiteNumbers

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.intp]

CHANCE = 5.0
"""Standard errors that a correlation must be away from another to differ from it by more than chance."""

_GAP = 2.0
"""Ratio between the std of two sites, next to each other in order, from which on they are of two groups."""

_LEAST_MEMBERS = 3
_NEAREST = 4
"""Members of a group around a site that show whether the group shares a signal."""

_LEAST_CORRELATION = 0.1
_DOUBTFUL_SHARE = 0.05
"""Sites outside the typical range, as a fraction of all, that make a majority without other evidence worth a look."""

_LAST_BITS = 8
"""Steps of the converter that the range of a site without any signal does not exceed."""


_ALIKE = "are alike their neighbours"
_ABOVE_LAST_BITS = "change by more than the last bits of the converter, or do not stay at their extreme"
_ADVICE = "look at the raw traces, and mask by hand where it is wrong"


@dataclass(frozen=True)
class TypicalSites:
    """The sites that the others are compared with.

    Attributes
    ----------
    among : array of bool
        One per site.
    notes : tuple of str
        A sentence where they are not a majority, or where nothing but their number speaks for them.
    """

    among: Bools
    notes: tuple[str, ...] = ()


def find_typical_sites(
    numbers: SiteNumbers, chan_map: ChannelMap, candidates: Bools, at_extreme: Bools, thresholds: Mapping[str, float]
) -> TypicalSites:
    """Find the sites that are typical of a recording.

    The sites fall into groups by their std, with a gap of a factor of two between any two groups. A group is *alive*
    when its sites are more alike than by chance, their spectrum is not that of white noise, and more than the last bits
    of the converter change. Where the largest group that is alive is not a majority, it is typical all the same, and a
    note says so; where none is known to be alive, all candidates count, so that the majority decides, and a note says
    so if sites far outside of it are many.

    Parameters
    ----------
    numbers : SiteNumbers
        Of all sites.
    chan_map : ChannelMap
        Where the sites are.
    candidates : array of bool
        Sites that change and are finite.
    at_extreme : array of bool
        Sites that stay at their extreme for long: railed, or too small for the converter.
    thresholds : mapping
        Of the automatic rule.
    """
    std = numbers.std
    groups = _groups(std, candidates)
    if len(groups) < 2:
        return TypicalSites(candidates)
    n_sites = int(candidates.sum())
    chance = max(_LEAST_CORRELATION, CHANCE / np.sqrt(max(1, numbers.n_changes)))
    eligible = _with_signal(groups, numbers, at_extreme)
    white = [group for group in groups if np.median(numbers.whiteness[group]) > thresholds["whiteness"]]
    alive = [
        group
        for group in eligible
        if not _is_in(group, white) and _likeness(group, numbers.correlation, chan_map) > chance
    ]
    typical = max(alive or eligible, key=len)
    if 2 * len(typical) <= n_sites:
        if not alive and len(eligible) == len(groups):
            return TypicalSites(candidates, (_no_majority(n_sites),))
        among = np.zeros_like(candidates)
        among[typical] = True
        evidence = _ALIKE if alive else _ABOVE_LAST_BITS
        return TypicalSites(among, (_minority(len(typical), n_sites, evidence),))
    n_doubtful = _count_doubtful(typical, groups, alive, white, std, thresholds)
    return TypicalSites(candidates, (_doubt(n_doubtful, n_sites),) if n_doubtful > _DOUBTFUL_SHARE * n_sites else ())


def _groups(std: Floats, candidates: Bools) -> list[Positions]:
    """Return the sites in groups of ascending std, with a gap between any two."""
    order = np.flatnonzero(candidates)[np.argsort(std[candidates], kind="stable")]
    gaps = np.flatnonzero(std[order[1:]] > _GAP * std[order[:-1]]) + 1
    return np.split(order, gaps)


def _with_signal(groups: Sequence[Positions], numbers: SiteNumbers, at_extreme: Bools) -> list[Positions]:
    """Leave out groups of sites that rest at their extreme or in the last bits, where there is another one."""
    rest = [
        group
        for group in groups
        if np.mean(at_extreme[group]) <= 0.5
        and not np.median(numbers.ranges[group]) <= _LAST_BITS * numbers.converter_step
    ]
    return rest if any(len(group) >= _LEAST_MEMBERS for group in rest) else list(groups)


def _likeness(group: Positions, correlation: Floats, chan_map: ChannelMap) -> float:
    """Return how alike the sites of a group typically are to those of it that are nearest to them; 0 where unknown."""
    if len(group) < _LEAST_MEMBERS:
        return 0.0
    places = np.stack(chan_map.to_mat(), axis=1)[group].astype(np.float64)
    likeness = []
    for site, place in zip(group, places, strict=True):
        distance = np.hypot(*(places - place).T)
        nearest = group[np.argsort(distance, kind="stable")[1 : _NEAREST + 1]]
        likeness.append(np.median(np.nan_to_num(np.abs(correlation[site, nearest]))))
    return float(np.median(likeness))


def _count_doubtful(
    typical: Positions,
    groups: Sequence[Positions],
    alive: Sequence[Positions],
    white: Sequence[Positions],
    std: Floats,
    thresholds: Mapping[str, float],
) -> int:
    """Count the sites that may be the living ones, while the typical sites are dead or noisy.

    None is where the typical sites are alive, and the others are smaller and not alive, or larger and white noise.
    """
    dead_ratio, noisy_ratio = thresholds["dead_ratio"], thresholds["noisy_ratio"]
    level, n_doubtful = np.median(std[typical]), 0
    is_alive = _is_in(typical, alive)
    for group in groups:
        ratio = np.median(std[group]) / level
        is_settled = is_alive and not _is_in(group, alive) and (ratio < 1 or _is_in(group, white))
        if not is_settled and (ratio * dead_ratio >= 1 or ratio * noisy_ratio <= 1):
            n_doubtful += len(group)
    return n_doubtful


def _is_in(group: Positions, groups: Sequence[Positions]) -> bool:
    return any(group is other for other in groups)


def _no_majority(n_sites: int) -> str:
    return (
        f"the automatic mask had no majority to go by: the {n_sites} sites fall into groups of different size of "
        f"signal, none of them more than half; {_ADVICE}"
    )


def _minority(n_typical: int, n_sites: int, evidence: str) -> str:
    return (
        f"the automatic mask had no majority to go by: it took {n_typical} of {n_sites} sites as typical, as they "
        f"{evidence}; {_ADVICE}"
    )


def _doubt(n_doubtful: int, n_sites: int) -> str:
    return (
        f"the automatic mask had nothing but the majority to go by: {n_doubtful} of {n_sites} sites are far larger or "
        f"smaller than the others, and it cannot tell which of the two are dead or noisy; {_ADVICE}"
    )
