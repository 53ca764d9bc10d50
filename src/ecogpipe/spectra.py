"""Power spectra of many sites, from a few windows that are spread over a recording."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import signal

Samples = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


PEAK_BINS, _FLANK_BINS = 2, 12
"""Frequencies on either side of a line that its peak takes under a Hann taper, and those that its flanks reach to."""

_COARSEST = 1.0
"""Hz between frequencies at which a line can still be told from what is beside it."""


@dataclass(frozen=True)
class Spectrum:
    """Power spectral densities over sites: at each frequency (Hz) the median and the 10 and 90 % quantiles."""

    frequencies: Floats
    median: Floats
    low: Floats
    high: Floats


def spread_windows(n_samples: int, length: int, count: int) -> list[slice]:
    """Return up to `count` windows of `length` samples, apart from each other, from the first to the last sample.

    Examples
    --------
    >>> spread_windows(100, 10, 3)
    [slice(0, 10, None), slice(45, 55, None), slice(90, 100, None)]
    >>> spread_windows(5, 10, 3)
    [slice(0, 5, None)]
    """
    length = min(length, n_samples)
    if length == 0:
        return []
    count = max(1, min(count, n_samples // length))
    starts = [(n_samples - length) * number // max(1, count - 1) for number in range(count)]
    return [slice(start, start + length) for start in starts]


def density(window: Samples, rate: float, segment: int) -> tuple[Floats, Floats]:
    """Return frequencies and power spectral density of each row of a window, (rows, time), by Welch's method.

    Parameters
    ----------
    window
        Signals; a window shorter than `segment` is one segment.
    rate
        Sampling rate in Hz.
    segment
        Samples of each of the half-overlapping Hann-tapered segments.
    """
    frequencies, power = signal.welch(window, fs=rate, nperseg=min(segment, window.shape[1]), axis=-1)
    return np.asarray(frequencies, np.float64), np.asarray(power, np.float64)


def line_rms(frequencies: Floats, densities: Floats, line_hz: float) -> Floats:
    """Return the rms of what stands out at the frequency of the mains, without its harmonics, of each row.

    The power within two frequencies of it, less that of as wide a band with the median density of the flanks, up to
    twelve frequencies away.

    Parameters
    ----------
    frequencies, densities
        As `density` returns them, (rows, frequencies); the longer its segments, the less beside the line is counted.
    line_hz
        Frequency of the mains.

    Returns
    -------
    ndarray
        In the unit of the signals; NaN where the frequencies are too coarse for it or do not reach beyond it.
    """
    nothing: Floats = np.full(len(densities), np.nan)
    spacing = frequencies[1] - frequencies[0] if len(frequencies) > 1 else np.inf
    if spacing > _COARSEST or frequencies[-1] < line_hz + _FLANK_BINS * spacing:
        return nothing
    away = np.rint(np.abs(frequencies - line_hz) / spacing)
    at_line, flanks = away <= PEAK_BINS, (away > PEAK_BINS) & (away <= _FLANK_BINS)
    floor = np.median(densities[:, flanks], axis=1, keepdims=True)
    power: Floats = np.sum(densities[:, at_line] - floor, axis=1) * spacing
    rms: Floats = np.sqrt(np.maximum(power, 0))
    return rms


def over_sites(frequencies: Floats, densities: Floats) -> Spectrum:
    """Summarise densities, (sites, frequencies), over the sites whose density is finite."""
    finite = densities[np.isfinite(densities).all(axis=1)]
    if not len(finite):
        nothing: Floats = np.full(len(frequencies), np.nan)
        return Spectrum(frequencies, nothing, nothing, nothing)
    low, median, high = np.quantile(finite, [0.1, 0.5, 0.9], axis=0)
    return Spectrum(frequencies, median, low, high)
