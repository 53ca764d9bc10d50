"""Correlation of slow changes: the definition, blind to the mains, unmoved by one artefact."""

import numpy as np
import pytest
from test_channel_statistics import measured

from ecogpipe.statistics.correlation import TILE, WINDOWS_PER_SECOND

RATE, SECONDS = 1000, 20
WINDOW = RATE // WINDOWS_PER_SECOND


def correlation_of(samples, lengths=(1024,), rate=RATE):
    numbers = measured(samples, lengths, rate, n_compared=len(samples))[0]
    n_changes = numbers.correlation.n_changes
    return numbers.correlation.result(), n_changes


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def test_it_is_the_correlation_of_changes_between_windows_averaged_over_tiles(rng):
    samples = 1e5 + rng.normal(size=(5, RATE * SECONDS)).cumsum(axis=1)
    samples[1:3] += samples[0]
    found, n_changes = correlation_of(samples)
    windows = samples.reshape(5, -1, WINDOW).sum(axis=2)
    changes = windows[:, 2:] - windows[:, :-2]
    expected = np.zeros((5, 5))
    for start in range(0, changes.shape[1], TILE):
        tile = changes[:, start : start + TILE]
        unit = tile / np.linalg.norm(tile, axis=1, keepdims=True)
        expected += tile.shape[1] * unit @ unit.T
    assert n_changes == changes.shape[1]
    np.testing.assert_allclose(found, expected / n_changes, atol=1e-6)
    assert found[0, 1] > 0.5


@pytest.mark.parametrize("rate", [20, 500, 999, 2777.8, 5000])
def test_windows_are_counted_from_frame_0(rng, rate):
    samples = rng.normal(size=(3, 4000)).cumsum(axis=1)
    whole, n_changes = correlation_of(samples, rate=rate)
    split, _ = correlation_of(samples, (7, 300, 1), rate=rate)
    assert n_changes == 4000 // max(1, round(rate / WINDOWS_PER_SECOND)) - 2
    np.testing.assert_allclose(whole, split, atol=1e-6)


@pytest.mark.parametrize("mains", [50, 60])
def test_line_noise_makes_no_two_channels_alike(rng, mains):
    line = 100 * np.sin(2 * np.pi * mains * np.arange(RATE * SECONDS) / RATE)
    samples = rng.normal(size=(2, RATE * SECONDS)) + line
    assert abs(correlation_of(samples)[0][0, 1]) < 0.15


def test_one_artefact_does_not_decide(rng):
    samples = rng.normal(size=(2, RATE * SECONDS))
    samples[:, 5000:5010] += 1e9
    assert abs(correlation_of(samples)[0][0, 1]) < 0.3


def test_what_never_changes_or_is_not_finite_has_none(rng):
    samples = rng.normal(size=(4, RATE * SECONDS))
    samples[1] = 0.1
    samples[2] = np.nan
    samples[3, 700:900] = np.inf
    with np.errstate(invalid="ignore"):
        found, _ = correlation_of(samples)
    assert np.isnan(found[1]).all()
    assert np.isnan(found[:, 2]).all()
    assert np.isfinite(found[np.ix_([0, 3], [0, 3])]).all()
