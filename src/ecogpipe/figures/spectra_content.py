"""Spectra of a quality page: of the kept sites and of each, and the power of the mirror over time."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ecogpipe.figures.levels import to_levels
from ecogpipe.figures.page import Spectra, Spectrogram
from ecogpipe.figures.page_inputs import Floats, Positions, Signals, Survey
from ecogpipe.figures.wording import MirrorFacts
from ecogpipe.statistics import psd

SPECTROGRAM_SITES = 8
_SPECTROGRAM_TIMES, _LEAST_SPECTROGRAM_TIMES = 200, 2
_SITE_FREQUENCIES = 120

Bools = npt.NDArray[np.bool_]


def spectra(surveys: tuple[Survey, Survey], keep: Bools, facts: MirrorFacts) -> Spectra:
    """Return the spectra of the kept sites, and of each site, before and after."""
    before, after = (psd.over_sites(survey.frequencies, survey.densities[keep]) for survey in surveys)
    nyquist = float(facts.rate * facts.ratio / 2)
    borders = np.geomspace(max(1e-3, _lowest_frequency(surveys)), nyquist, _SITE_FREQUENCIES + 1)
    centres = np.sqrt(borders[:-1] * borders[1:])
    decibels = [_decibels(survey, borders) for survey in surveys]
    filled = np.isfinite(decibels[0]).any(axis=0)
    ends = _decibel_ends(decibels)
    return Spectra(
        before=before,
        after=after,
        nyquist_before=nyquist,
        nyquist_after=float(facts.rate / 2),
        band=facts.band,
        notches=facts.notches,
        frequencies_of_sites=centres[filled],
        of_sites_before=to_levels(decibels[0][:, filled], ends=ends),
        of_sites_after=to_levels(decibels[1][:, filled], ends=ends),
    )


def spectrogram(after: Signals, kept: Positions, seconds: int) -> Spectrogram | None:
    """Return the power of some kept sites in segments that are spread over the mirror."""
    sites = kept[:SPECTROGRAM_SITES]
    windows = after.segments_over_time(seconds, _SPECTROGRAM_TIMES)
    if not len(sites) or len(windows) < _LEAST_SPECTROGRAM_TIMES:
        return None
    length = windows[0].stop - windows[0].start
    found = [psd.density(after.read(sites, window), float(after.rate), length) for window in windows]
    frequencies, middle = found[0][0], np.array([np.median(power, axis=0) for _, power in found])
    lowest = float(frequencies[frequencies > 0].min(initial=1.0))
    borders = np.geomspace(lowest, max(float(after.rate / 2), 2 * lowest), _SITE_FREQUENCIES + 1)
    decibels = _decibels(Survey(frequencies, middle, middle[:, 0], ""), borders)
    filled = np.isfinite(decibels).any(axis=0)
    return Spectrogram(
        seconds=np.array([float((window.start + window.stop) / 2 / after.rate) for window in windows]),
        frequencies=np.sqrt(borders[:-1] * borders[1:])[filled],
        decibels=to_levels(decibels[:, filled], ends=_decibel_ends([decibels])),
        n_sites=len(sites),
    )


def _lowest_frequency(surveys: tuple[Survey, Survey]) -> float:
    return float(min(survey.frequencies[survey.frequencies > 0].min(initial=1.0) for survey in surveys))


def _decibels(survey: Survey, borders: Floats) -> Floats:
    """Average the densities between successive borders; NaN where there are none, or no power."""
    places = np.digitize(survey.frequencies, borders[1:-1])
    places[(survey.frequencies <= 0) | (survey.frequencies > borders[-1] * (1 + 1e-9))] = -1
    averaged = np.full((len(survey.densities), len(borders) - 1), np.nan)
    for place in np.unique(places[places >= 0]):
        averaged[:, place] = survey.densities[:, places == place].mean(axis=1)
    return 10 * np.log10(np.where(averaged > 0, averaged, np.nan))


def _decibel_ends(decibels: Sequence[Floats]) -> tuple[float, float]:
    """Return the largest finite value, and the least of those at most 120 dB below it."""
    finite = np.concatenate([values[np.isfinite(values)] for values in decibels])
    if not len(finite):
        return 0.0, 1.0
    return max(float(finite.min()), float(finite.max()) - 120), float(finite.max())
