import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal
from threadpoolctl import threadpool_limits

from ecogpipe.errors import RateError
from ecogpipe.signal.decimate import Decimation, Decimator, decimate_line, decimation_fir, skewed_fir

RATIOS = (2, 3, 5, 7, 10, 20, 25, 50)


def textbook(samples, ratio):
    """The definition: pad with odd reflection, convolve with the whole FIR, take every ratio-th."""
    taps = decimation_fir(ratio)
    padded = np.pad(samples, ((0, 0), (len(taps) // 2,) * 2), "reflect", reflect_type="odd")
    return np.array([np.convolve(row, taps, "valid")[::ratio] for row in padded])


def in_blocks(samples, ratio, length):
    decimator = Decimator(ratio, samples.shape[1])
    starts = range(0, samples.shape[1], length)
    with threadpool_limits(1, user_api="blas"):
        return np.concatenate([decimator.push(samples[:, start : start + length]) for start in starts], axis=1)


@pytest.mark.parametrize("ratio", RATIOS)
def test_alias1_the_bands_are_as_documented(ratio):
    frequency, response = signal.freqz(decimation_fir(ratio), worN=1 << 16)
    of_new_nyquist = frequency / np.pi * ratio
    decibels = 20 * np.log10(np.abs(response) + 1e-12)
    assert np.abs(decibels[of_new_nyquist <= 0.8]).max() < 0.01
    assert decibels[of_new_nyquist >= 1.2].max() < -80


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_tone_keeps_its_size_and_phase_or_is_gone(ratio):
    time = np.arange(200 * ratio + 4 * len(decimation_fir(ratio)))
    inner = slice(80, -80)
    for share in (0.1, 0.5, 0.8):
        tone = np.cos(np.pi * share / ratio * time)[None]
        np.testing.assert_allclose(in_blocks(tone, ratio, 997)[:, inner], tone[:, ::ratio][:, inner], atol=1.2e-3)
    for share in (1.2, 1.5):
        tone = np.cos(np.pi * share / ratio * time)[None]
        assert np.abs(in_blocks(tone, ratio, 997)[:, inner]).max() < 1e-4


@settings(max_examples=60, deadline=None)
@given(
    ratio=st.sampled_from(RATIOS),
    n_samples=st.integers(1, 900),
    first=st.integers(0, 49),
    length=st.integers(1, 900),
    seed=st.integers(0, 99),
)
def test_outputs_that_begin_at_a_later_sample_are_those_of_the_textbook(ratio, n_samples, first, length, seed):
    samples, first = np.random.default_rng(seed).standard_normal((2, n_samples)), first % ratio
    decimation = Decimation(ratio, n_samples, first=first)
    starts = range(0, n_samples, length)
    found = []
    for start, stop in zip(starts, [*starts[1:], n_samples], strict=True):
        known_from = max(0, start - decimation.history)
        found.append(decimation.completed(samples[:, known_from:stop], start, stop, "C"))
    taps = decimation_fir(ratio)
    padded = np.pad(samples, ((0, 0), (len(taps) // 2,) * 2), "reflect", reflect_type="odd")
    expected = np.array([np.convolve(row, taps, "valid")[first::ratio] for row in padded])
    np.testing.assert_allclose(np.concatenate(found, axis=1), expected, atol=1e-12 * np.abs(samples).max())


@settings(max_examples=60, deadline=None)
@given(
    ratio=st.sampled_from((1, *RATIOS)),
    n_channels=st.integers(1, 9),
    n_samples=st.integers(1, 1500),
    lengths=st.lists(st.integers(1, 1600), min_size=2, max_size=2),
    order=st.sampled_from("CF"),
    seed=st.integers(0, 99),
)
def test_flt1_bits_do_not_depend_on_blocks_and_the_whole_is_the_textbook(
    ratio, n_channels, n_samples, lengths, order, seed
):
    samples = np.asarray(np.random.default_rng(seed).standard_normal((n_channels, n_samples)), order=order)
    first, second = (in_blocks(samples, ratio, max(length, n_samples // 300 + 1)) for length in lengths)
    assert hashlib.sha256(first.tobytes()).digest() == hashlib.sha256(second.tobytes()).digest()
    expected = textbook(samples, ratio)
    assert first.shape == expected.shape
    np.testing.assert_allclose(first, expected, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("length", [333, 1000, 194])
def test_flt1_nor_do_the_bits_of_a_single_row_of_many(length):
    rows = np.asfortranarray(np.random.default_rng(0).standard_normal((32, 8000)))
    decimation = Decimation(2, 8000, skewed_fir(2, 0.3))
    whole = decimation.completed(rows[:1], 0, 8000, "F")
    stops = [*range(length, 8000, length), 8000]
    found = [
        decimation.completed(rows[:1, :stop], start, stop, "F")
        for start, stop in zip([0, *stops[:-1]], stops, strict=True)
    ]
    np.testing.assert_array_equal(np.concatenate(found, axis=1), whole)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan1_a_bad_sample_reaches_no_further_than_the_filter(bad):
    samples = np.random.default_rng(0).standard_normal((2, 3000))
    clean = in_blocks(samples, 5, 640)
    samples[1, 1500:1510] = bad
    spoiled = in_blocks(samples, 5, 640)
    half = len(decimation_fir(5)) // 2
    reached = (np.arange(600) * 5 >= 1500 - half) & (np.arange(600) * 5 <= 1509 + half)
    np.testing.assert_array_equal(np.isnan(spoiled[1]), reached)
    np.testing.assert_array_equal(spoiled[0], clean[0])
    np.testing.assert_allclose(spoiled[1, ~reached], clean[1, ~reached], atol=1e-12)


def test_more_samples_than_announced_are_refused():
    decimator = Decimator(2, 10)
    with pytest.raises(ValueError, match="12 samples have arrived, 10 were announced"):
        decimator.push(np.zeros((1, 12)))


def test_a_ratio_below_one_is_refused():
    with pytest.raises(RateError, match="ratio of 0"):
        decimation_fir(0)


def test_aux1_pulses_of_one_sample_survive():
    line = np.zeros((1, 100))
    line[0, [3, 57, 99]] = 5
    assert np.flatnonzero(decimate_line(line, 20, "ttl_high")[0]).tolist() == [0, 2, 4]
    assert np.flatnonzero(decimate_line(5 - line, 20, "ttl_low")[0] == 0).tolist() == [0, 2, 4]
    np.testing.assert_array_equal(decimate_line(line, 20, "analog"), line[:, ::20])


def test_a_last_bin_that_is_short_counts():
    assert decimate_line(np.array([[0, 0, 0, 5]]), 3, "ttl_high").tolist() == [[0, 5]]


@settings(max_examples=60, deadline=None)
@given(ratio=st.integers(1, 9), n_samples=st.integers(1, 60), seed=st.integers(0, 2**16), high=st.booleans())
def test_a_pulse_beside_missing_samples_is_kept(ratio, n_samples, seed, high):
    """A bin holds the extreme of its finite samples, wherever in it the others are; NaN only where it has none."""
    rng = np.random.default_rng(seed)
    line = np.where(rng.random((2, n_samples)) < 0.4, np.nan, rng.choice([0.0, 5.0], (2, n_samples)))
    found = decimate_line(line, ratio, "ttl_high" if high else "ttl_low")
    bins = [line[:, start : start + ratio] for start in range(0, n_samples, ratio)]
    known = [np.isfinite(samples).any(axis=1) for samples in bins]
    extremes = [np.where(np.isfinite(samples), samples, -9.0 if high else 9.0) for samples in bins]
    expected = [
        np.where(k, each.max(axis=1) if high else each.min(axis=1), np.nan)
        for k, each in zip(known, extremes, strict=True)
    ]
    np.testing.assert_array_equal(found, np.stack(expected, axis=1))
