"""Spectra: the power of what is in the windows, and windows that see the whole recording."""

import itertools

import numpy as np
import pytest

from ecogpipe.statistics.psd import density, over_sites, spread_windows


def test_windows_are_apart_and_reach_both_ends():
    windows = spread_windows(10_000, 700, 9)
    assert (windows[0].start, windows[-1].stop) == (0, 10_000)
    assert all(before.stop <= after.start for before, after in itertools.pairwise(windows))
    assert spread_windows(0, 700, 9) == []


def test_density_finds_the_power_of_a_tone():
    rate, amplitude = 500.0, 30.0
    tone = amplitude * np.sin(2 * np.pi * 40 * np.arange(5000) / rate)
    frequencies, power = density(tone[np.newaxis], rate, segment=500)
    assert frequencies[power[0].argmax()] == 40
    assert power[0].sum() * frequencies[1] == pytest.approx(amplitude**2 / 2, rel=1e-3)


def test_summary_over_sites_leaves_out_sites_with_nan():
    frequencies = np.arange(4.0)
    densities = np.vstack([np.full((11, 4), np.arange(11.0)[:, np.newaxis]), np.full((1, 4), np.nan)])
    spectrum = over_sites(frequencies, densities)
    assert (spectrum.low[0], spectrum.median[0], spectrum.high[0]) == (1.0, 5.0, 9.0)
    assert np.isnan(over_sites(frequencies, densities[-1:]).median).all()
