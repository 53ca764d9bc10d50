"""Filtering and decimating by hand loses nothing to rounding, and what cannot be meant is refused in a sentence."""

import h5py
import numpy as np
import pytest
from scipy import signal

from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.errors import EcogpipeError, SettingsError
from ecogpipe.signal.decimate import decimation_fir

RATE, GAIN = 5000.0, 10.0
TIMES = np.arange(30_000) / RATE
MICROVOLTS = 10 * np.sin(2 * np.pi * np.arange(5, 9)[:, None] * TIMES) + np.random.default_rng(0).normal(
    size=(4, 30_000)
)
VOLTS = 2.5 + MICROVOLTS * 1e-6 * GAIN
"""10 microvolts on 2.5 V, where float32 has steps of 0.016 microvolts."""


@pytest.fixture
def source(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = VOLTS
    with MappedSource.from_hdf_sources(tmp_path / "a.h5", "data", units_scale=1e6 / GAIN) as source:
        yield source


def sections(rate):
    return signal.butter(3, [2, 200], "bandpass", fs=rate, output="sos")


def decimated():
    taps = decimation_fir(5)
    padded = np.pad(VOLTS * 1e6 / GAIN, ((0, 0), (len(taps) // 2,) * 2), "reflect", reflect_type="odd")
    return np.array([np.convolve(row, taps, "valid")[::5] for row in padded])


@pytest.mark.parametrize("mapped", [True, False])
def test_a_filter_sees_what_is_in_the_file_and_not_its_rounding(source, mapped):
    out = source.mirror(mapped=mapped)
    source.filter_array(RATE, (2, 200), out=out)
    expected = signal.sosfiltfilt(sections(RATE), VOLTS * 1e6 / GAIN, axis=1)
    assert np.abs(out[:, :] - expected).max() < 1e-6 * 10


def test_what_is_decimated_and_filtered_in_two_calls_is_rounded_once(source):
    low = source.batch_change_rate(5)
    expected = decimated()
    assert np.abs(low[:, :] - expected).max() <= 1e-6 * 10
    low.filter_array(RATE / 5, (2, 200))
    assert np.abs(low[:, :] - signal.sosfiltfilt(sections(RATE / 5), expected, axis=1)).max() < 1e-6 * 10


def test_a_given_target_is_rounded_to_its_own_precision_only(source):
    target = np.empty((4, 6000), "f4")
    source.batch_change_rate(5, target)
    np.testing.assert_array_equal(target, decimated().astype("f4"))


def test_integers_with_a_large_offset_are_exact(tmp_path):
    with h5py.File(tmp_path / "i.h5", "w") as file:
        file["data"] = np.array([[2**24 + 1, 2**24 + 3, 2**24 + 5]], "i4")
    with MappedSource.from_hdf_sources(tmp_path / "i.h5", "data", units_scale=(-(2.0**24), 1.0)) as source:
        assert source[:, :].tolist() == [[1, 3, 5]]


@pytest.fixture
def with_lines(tmp_path):
    samples = np.zeros((6, 4000))
    samples[:4] = np.random.default_rng(1).normal(size=(4, 4000))
    samples[4, 101::500], samples[5] = 5.0, 5.0
    samples[5, 203::500] = 0.0
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["data"] = samples
    aligned = (("up", [4]), ("down", [5]))
    with MappedSource.from_hdf_sources(tmp_path / "b.h5", "data", [0, 1, 2, 3], aligned_arrays=aligned) as source:
        yield source


@pytest.mark.parametrize("compatible", [True, False])
def test_aligned_arrays_are_lowered_as_is_said_of_them(with_lines, compatible):
    target = with_lines.mirror(new_rate_ratio=10, channel_compatible=compatible)
    with_lines.batch_change_rate(10, target, aligned={"up": "ttl_high", "down": "ttl_low"})
    assert np.flatnonzero(target.up[0, :]).tolist() == list(range(10, 400, 50))
    assert np.flatnonzero(target.down[0, :] == 0).tolist() == list(range(20, 400, 50))


def test_aligned_arrays_of_which_nothing_is_said_are_not_left_at_zero(with_lines):
    with pytest.raises(SettingsError, match="aligned array 'up', and nothing says how"):
        with_lines.batch_change_rate(10)
    with pytest.raises(SettingsError, match="Did you mean 'ttl_high'"):
        with_lines.batch_change_rate(10, aligned="ttl_hi")
    low = with_lines.batch_change_rate(10, aligned="analog")
    np.testing.assert_array_equal(low.down[0, :], with_lines.down[0, ::10])


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (lambda source: source.batch_change_rate(0), "ratio is 0; give an integer"),
        (lambda source: source.batch_change_rate(2.5), "ratio is 2.5; give an integer"),
        (lambda source: source.batch_change_rate(True), "ratio is True; give an integer"),
        (lambda source: source.mirror(new_rate_ratio="2"), "new_rate_ratio is '2'; give an integer"),
        (lambda source: source.filter_array(RATE, (2,)), r"bandpass is \(2,\); give two corners"),
        (lambda source: source.filter_array(RATE, 60), "bandpass is 60; give two corners"),
        (lambda source: source.notch_filter(RATE, "60"), "notches is '60'; give frequencies"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(source, call, found):
    with pytest.raises(EcogpipeError, match=found):
        call(source)


def test_one_notch_may_be_a_number(source):
    one, several = np.empty((4, 30_000)), np.empty((4, 30_000))
    source.notch_filter(RATE, 60, out=one)
    source.notch_filter(RATE, [60], out=several)
    np.testing.assert_array_equal(one, several)
