"""Power spectra of many sites, from a few windows that are spread over a recording."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

Samples = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


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
    frequencies, power = scipy.signal.welch(window, fs=rate, nperseg=min(segment, window.shape[1]), axis=-1)
    return np.asarray(frequencies, np.float64), np.asarray(power, np.float64)


def over_sites(frequencies: Floats, densities: Floats) -> Spectrum:
    """Summarise densities, (sites, frequencies), over the sites whose density is finite."""
    finite = densities[np.isfinite(densities).all(axis=1)]
    if not len(finite):
        nothing: Floats = np.full(len(frequencies), np.nan)
        return Spectrum(frequencies, nothing, nothing, nothing)
    low, median, high = np.quantile(finite, [0.1, 0.5, 0.9], axis=0)
    return Spectrum(frequencies, median, low, high)
