"""Edges of TTL lines: exact to the sample, whatever the noise, the polarity and the number of pulses."""

from fractions import Fraction

import numpy as np
import pytest

from ecogpipe.events import LevelHistogram, active, edges, line_levels, seconds_text

N_SAMPLES = 20_000
STARTS = np.array([3, 1500, 7000, 19_990])


def pulses(starts=STARTS, length=5, low=0.0, high=5.0, noise=0.02, copies=8):
    volts = np.full(N_SAMPLES, low)
    for start in starts:
        volts[start : start + length] = high
    return volts + noise * np.random.default_rng(1).normal(size=(copies, N_SAMPLES))


def rising_of(volts, active_low=False, minimum_step=1.0):
    low, high = line_levels(volts, minimum_step=minimum_step)
    return edges(active(volts, (low + high) / 2, active_low)).rising.tolist()


@pytest.mark.parametrize("length", [1, 5, 400])
@pytest.mark.parametrize("levels", [(0.0, 3.3), (-5.0, 5.0), (4.9, 6.1)])
def test_pulses_of_a_noisy_line_are_found_to_the_sample(length, levels):
    volts = pulses(length=length, low=levels[0], high=levels[1])
    assert line_levels(volts, minimum_step=1.0) == pytest.approx(levels, abs=0.02)
    assert rising_of(volts) == STARTS.tolist()


def test_one_pulse_of_one_sample_is_found():
    assert rising_of(pulses(starts=[12_345], length=1)) == [12_345]


def test_an_overshoot_does_not_hide_the_pulses():
    volts = pulses(high=3.3)
    volts[:, 1500] = 10.0
    assert rising_of(volts) == STARTS.tolist()


def test_a_line_that_is_high_most_of_the_time_is_found_too():
    volts = 5.0 - pulses()
    found = edges(active(volts, 2.5, active_low=False))
    assert found.falling.tolist() == STARTS.tolist()
    assert line_levels(volts, minimum_step=1.0) == pytest.approx((0.0, 5.0), abs=0.01)


def test_an_active_low_line_rises_where_its_voltage_drops():
    assert rising_of(5.0 - pulses(), active_low=True) == STARTS.tolist()


@pytest.mark.parametrize("volts", [np.zeros((2, 50)), np.full((2, 50), np.nan), np.zeros((2, 0)), pulses(starts=[])])
def test_a_line_without_pulses_has_no_levels(volts):
    assert line_levels(volts, minimum_step=1.0) is None


def test_steps_smaller_than_the_minimum_are_no_levels():
    volts = pulses(high=0.5)
    assert line_levels(volts, minimum_step=1.0) is None
    assert rising_of(volts, minimum_step=0.25) == STARTS.tolist()


def test_samples_that_are_not_finite_are_left_out():
    volts = pulses()
    volts[0, 100:200], volts[1, 300] = np.nan, np.inf
    assert line_levels(volts, minimum_step=1.0) == pytest.approx((0.0, 5.0), abs=0.01)


def test_nan_is_not_active():
    volts = np.array([[np.nan, 5.0, np.nan]])
    assert active(volts, 2.5, active_low=False).tolist() == [False, True, False]
    assert active(volts, 2.5, active_low=True).tolist() == [False, False, False]


def test_a_pulse_that_only_one_copy_saw_counts():
    volts = pulses(starts=[], copies=8)
    volts[7, 900] = 5.0
    volts[0, 901] = 5.0
    found = edges(active(volts, 2.5, active_low=False))
    assert (found.rising.tolist(), found.falling.tolist()) == ([900], [902])


def test_a_line_that_begins_active_has_no_rising_edge_at_the_first_frame():
    found = edges(np.array([1, 1, 0, 1], bool))
    assert (found.rising.tolist(), found.falling.tolist()) == ([3], [2])
    assert edges(np.array([], bool)).rising.tolist() == []


@pytest.mark.parametrize("length", [7, 999, N_SAMPLES])
def test_levels_and_edges_do_not_depend_on_blocks(length):
    volts = pulses()
    histogram = LevelHistogram(volts.min(), volts.max())
    rising, falling, before = [], [], None
    for start in range(0, N_SAMPLES, length):
        block = volts[:, start : start + length]
        histogram.update(block)
        line = active(block, 2.5, active_low=False)
        found = edges(line, before)
        rising += (found.rising + start).tolist()
        falling += (found.falling + start).tolist()
        before = bool(line[-1])
    whole = edges(active(volts, 2.5, active_low=False))
    assert histogram.levels(1.0) == line_levels(volts, minimum_step=1.0)
    assert (rising, falling) == (whole.rising.tolist(), whole.falling.tolist())


@pytest.mark.parametrize("sample", [0, 1, 2777, 10**12 + 1])
def test_seconds_are_exact_to_the_nanosecond(sample):
    rate = Fraction(25_000, 9)
    assert abs(Fraction(seconds_text(sample, rate)) - sample / rate) <= Fraction(1, 2 * 10**9)
