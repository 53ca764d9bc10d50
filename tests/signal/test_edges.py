"""Edges of TTL lines: exact to the sample, whatever the noise, the polarity and the number of pulses."""

from fractions import Fraction

import numpy as np
import pytest

from ecogpipe.signal.edges import (
    ChangeFinder,
    Changes,
    RestLevelFinder,
    debounced,
    frames_lasting,
    seconds_text,
    spaced,
)
from ecogpipe.signal.levels import LevelHistogram

N_SAMPLES = 20_000
STARTS = np.array([3, 1500, 7000, 19_990])


def line_levels(volts, *, minimum_step):
    """Low and high level of a line, (copies, time) or one copy; None where it has no two."""
    finite = volts[np.isfinite(volts)]
    if not finite.size:
        return None
    histogram = LevelHistogram(finite.min(), finite.max())
    histogram.update(finite)
    levels = histogram.levels(minimum_step, n_copies=len(volts) if volts.ndim == 2 else 1)
    return None if levels is None else (levels.low, levels.high)


def pulses(starts=STARTS, length=5, low=0.0, high=5.0, noise=0.02, copies=8):
    volts = np.full(N_SAMPLES, low)
    for start in starts:
        volts[start : start + length] = high
    return volts + noise * np.random.default_rng(1).normal(size=(copies, N_SAMPLES))


def changes_of(volts, threshold=2.5, active_low=False):
    finder = ChangeFinder(threshold, active_low)
    finder.update(np.asarray(volts, float))
    return finder.result()


def states(text):
    """Return the changes of a line of one copy, e.g. '..##.#'."""
    return changes_of([[5.0 if state == "#" else 0.0 for state in text]])


def rising_of(volts, active_low=False, minimum_step=1.0):
    low, high = line_levels(volts, minimum_step=minimum_step)
    return changes_of(volts, (low + high) / 2, active_low).rising.frames.tolist()


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
    assert changes_of(volts).falling.frames.tolist() == STARTS.tolist()
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


def drifting(volts_per_recording, **settings):
    return pulses(starts=np.arange(500, N_SAMPLES, 1000), **settings) + np.linspace(0, volts_per_recording, N_SAMPLES)


@pytest.mark.parametrize("drift", [-2.0, 0.5, 2.0])
def test_a_drift_of_less_than_half_the_step_moves_no_edge(drift):
    assert rising_of(drifting(drift)) == list(range(500, N_SAMPLES, 1000))


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_noise_and_drift_around_one_level_are_no_levels(sigma):
    noise = np.random.default_rng(3).normal(scale=sigma, size=(8, N_SAMPLES))
    assert line_levels(noise, minimum_step=0.2) is None
    assert line_levels(np.tile(np.linspace(0, 5, N_SAMPLES), (8, 1)) + 0.01 * noise, minimum_step=0.2) is None
    sine = np.sin(np.linspace(0, 50, N_SAMPLES))
    assert line_levels(np.tile(sine, (8, 1)) + 0.01 * noise, minimum_step=0.2) is None


@pytest.mark.parametrize(("length", "levels"), [(50, None), (300, (0.0, 2.5))])
def test_a_threshold_is_never_amid_a_third_level(length, levels):
    volts = pulses(length=100) + pulses(starts=[4000, 9000], length=length, high=2.5)
    found = line_levels(volts, minimum_step=1.0)
    assert found is None if levels is None else found == pytest.approx(levels, abs=0.1)


@pytest.mark.parametrize("sigma", [0.2, 0.4])
def test_pulses_in_strong_noise_are_found(sigma):
    volts = pulses(starts=np.arange(500, N_SAMPLES, 1000), length=50, noise=sigma)
    assert line_levels(volts, minimum_step=1.0) == pytest.approx((0.0, 5.0), abs=0.05)


def rest_of(volts, window, block=N_SAMPLES):
    finder = RestLevelFinder(window, volts.shape[1])
    for start in range(0, volts.shape[1], block):
        finder.update(volts[:, start : start + block])
    return finder.result()


def test_the_rest_level_of_a_line_that_drifts_far_is_followed():
    volts = drifting(40.0, length=200)
    changes = changes_of(volts - rest_of(volts, 3000).between(0, N_SAMPLES))
    assert changes.rising.frames.tolist() == list(range(500, N_SAMPLES, 1000))
    assert changes.falling.frames.tolist() == list(range(700, N_SAMPLES, 1000))


@pytest.mark.parametrize("block", [1, 77, 4096])
def test_the_rest_level_does_not_depend_on_blocks(block):
    volts = drifting(40.0, length=200)
    found, whole = rest_of(volts, 3000, block), rest_of(volts, 3000)
    np.testing.assert_array_equal(found.volts, whole.volts)
    pieces = [found.between(start, min(start + block, N_SAMPLES)) for start in range(0, N_SAMPLES, block)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole.between(0, N_SAMPLES))


def test_the_rest_level_bridges_windows_that_hold_nothing():
    volts = drifting(10.0, length=20)
    volts[:, 6000:9000] = np.nan
    np.testing.assert_allclose(rest_of(volts, 1000).between(0, N_SAMPLES), np.linspace(0, 10, N_SAMPLES), atol=0.06)


def test_a_line_of_nan_has_a_rest_level_of_zero_and_a_short_line_one_of_its_own():
    assert rest_of(np.full((2, 25), np.nan), 10).between(3, 6).tolist() == [0, 0, 0]
    assert rest_of(np.full((2, 25), 3.0), 100).between(3, 6).tolist() == [3, 3, 3]


def test_copies_that_are_not_finite_say_nothing():
    volts = [[np.nan, 5.0, np.nan, 0.0], [0.0, np.inf, 0.0, -np.inf]]
    found = changes_of(volts)
    assert (found.rising.frames.tolist(), found.falling.frames.tolist()) == ([1], [2])
    found = changes_of(volts, active_low=True)
    assert (found.rising.frames.tolist(), found.falling.frames.tolist()) == ([2], [1])


def test_a_frame_without_finite_copies_stays_in_the_state_before():
    gap, high, low = [np.nan] * 3, [5.0] * 3, [0.0] * 3
    found = changes_of([gap + low + gap + high + gap + high + gap + low])
    assert (found.rising.frames.tolist(), found.falling.frames.tolist()) == ([9], [21])
    assert changes_of([gap + high + gap]).begins_active
    assert changes_of([gap + gap]).frames.size == 0


def test_a_pulse_that_only_one_copy_saw_counts():
    volts = pulses(starts=[], copies=8)
    volts[7, 900] = 5.0
    volts[0, 901] = 5.0
    found = changes_of(volts)
    assert (found.rising.frames.tolist(), found.falling.frames.tolist()) == ([900], [902])


def test_a_line_that_begins_active_has_no_rising_edge_at_the_first_frame():
    found = states("##.#")
    assert (found.rising.frames.tolist(), found.falling.frames.tolist()) == ([3], [2])
    assert states("").rising.frames.tolist() == []


def test_pulses_at_both_ends():
    found = states("#....#")
    assert (found.rising.frames.tolist(), found.falling.frames.tolist()) == ([5], [1])
    assert found.begins_active


class TestFineTime:
    """The copies of a line are sampled one after the other: copy s of frame t at (t + s / n_copies) / Fs."""

    @staticmethod
    def in_turns(text, n_copies):
        """Return (copies, time) from the samples in the order in which they were taken."""
        return np.array([5.0 if state == "#" else 0.0 for state in text]).reshape(-1, n_copies).T

    @pytest.mark.parametrize("active_low", [False, True])
    @pytest.mark.parametrize("first", range(4, 12))
    @pytest.mark.parametrize("length", [1, 2, 4, 7])
    def test_an_edge_is_at_the_first_copy_of_the_new_state(self, first, length, active_low):
        text = "".join("#" if first <= sample < first + length else "." for sample in range(24))
        volts = self.in_turns(text, 4)
        found = changes_of(5.0 - volts if active_low else volts, active_low=active_low)
        assert (found.rising.fine.tolist(), found.falling.fine.tolist()) == ([first], [first + length])
        assert found.rising.frames.tolist() == [first // 4]
        assert found.falling.frames.tolist() == [(first + length - 1) // 4 + 1]

    def test_one_copy_gives_no_finer_time(self):
        found = states("..##..#")
        assert found.fine.tolist() == found.frames.tolist() == [2, 4, 6]

    def test_after_frames_without_finite_copies_it_is_the_frame(self):
        volts = self.in_turns("....####........", 4)
        volts[:, 2] = np.nan
        assert changes_of(volts).falling.fine.tolist() == [12]


class TestDebounce:
    @pytest.mark.parametrize(
        ("text", "rising", "falling"),
        [
            ("...........#####.......", [11], [16]),
            (".....#.#.##.#####......", [5], [17]),
            (".....#####.#..#........", [5], [10]),
            (".....#.................", [], []),
            (".....######.#####......", [5], [17]),
            (".....#####.....#####...", [5, 15], [10, 20]),
            ("#......................", [], [1]),
            ("......................#", [22], []),
            (".....#####............#", [5, 22], [10]),
            ("#.#####................", [], [7]),
        ],
    )
    def test_states_of_fewer_than_four_frames_are_left_out(self, text, rising, falling):
        found = debounced(states(text), len(text), 4)
        assert (found.rising.frames.tolist(), found.falling.frames.tolist()) == (rising, falling)

    def test_none_keeps_everything(self):
        text = ".#.#..##.#"
        np.testing.assert_array_equal(debounced(states(text), len(text), 0).frames, states(text).frames)

    def test_it_keeps_the_fine_times_of_what_it_keeps(self):
        volts = pulses(starts=[], noise=0)
        volts[3:, 100], volts[:, 101], volts[:, 103:120], volts[:2, 120] = 5.0, 5.0, 5.0, 5.0
        found = debounced(changes_of(volts), N_SAMPLES, 10)
        assert (found.rising.fine.tolist(), found.falling.fine.tolist()) == ([803], [962])


class TestMinimumInterval:
    @pytest.mark.parametrize(
        ("text", "rising", "falling"),
        [
            (".#.#....#...#", [1, 8], [2, 9]),
            ("##.#.#....#", [3, 10], [2, 4]),
            (".##.##.##.##", [1, 7], [3, 9]),
            (".#...#...#...", [1, 9], [2, 10]),
            ("", [], []),
        ],
    )
    def test_pulses_within_five_frames_of_the_one_before_are_left_out(self, text, rising, falling):
        found = spaced(states(text), 5)
        assert (found.rising.frames.tolist(), found.falling.frames.tolist()) == (rising, falling)

    def test_none_keeps_everything(self):
        assert spaced(states(".#.#.#"), 0).frames.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("seconds", "frames"), [(0, 0), (0.001, 3), (0.1, 278), (0.00036, 1), (1e-9, 1)])
def test_a_time_in_frames_is_the_fewest_that_last_it(seconds, frames):
    assert frames_lasting(seconds, Fraction(25_000, 9)) == frames


@pytest.mark.parametrize("length", [1, 7, 999, N_SAMPLES])
def test_levels_and_changes_do_not_depend_on_blocks(length):
    volts = pulses(starts=np.arange(0, N_SAMPLES, 37), length=9)
    volts[:, ::50], volts[:, 5000:5200], volts[2, 5300:5800] = np.nan, np.nan, np.nan
    volts[:5, 1995:2000] = 5.0
    histogram, finder = LevelHistogram(np.nanmin(volts), np.nanmax(volts)), ChangeFinder(2.5, active_low=False)
    for start in range(0, N_SAMPLES, length):
        block = volts[:, start : start + length]
        histogram.update(block)
        finder.update(block)
    found, whole = finder.result(), changes_of(volts)
    levels = histogram.levels(1.0, n_copies=len(volts))
    assert (levels.low, levels.high) == line_levels(volts, minimum_step=1.0)
    assert isinstance(found, Changes)
    np.testing.assert_array_equal(found.frames, whole.frames)
    np.testing.assert_array_equal(found.fine, whole.fine)
    assert found.begins_active == whole.begins_active


@pytest.mark.parametrize("sample", [0, 1, 2777, 10**12 + 1])
def test_seconds_are_exact_to_the_nanosecond(sample):
    rate = Fraction(25_000, 9)
    assert abs(Fraction(seconds_text(sample, rate)) - sample / rate) <= Fraction(1, 2 * 10**9)


@pytest.mark.parametrize(
    ("high", "width", "count"), [(5.0, 1, 50), (3.3, 1, 20), (1.0, 1, 50), (1.0, 5, 10), (0.8, 10, 6), (5.0, 1, 10)]
)
@pytest.mark.parametrize("spikes", [(10.0,), (-10.0,), (10.0, 9.0), (10.0, -10.0)], ids=str)
@pytest.mark.parametrize("active_low", [False, True])
def test_a_few_spikes_hide_no_pulses(high, width, count, spikes, active_low):
    n_frames, n_copies = 60_000, 8
    line = np.zeros(n_frames)
    for start in np.linspace(700, n_frames - 900, count).astype(int):
        line[start : start + width] = -high if active_low else high
    for number, spike in enumerate(spikes):
        line[300 + 1000 * number] = spike
    volts = line + 0.01 * np.random.default_rng(5).normal(size=(n_copies, n_frames))
    low, high_level = line_levels(volts, minimum_step=0.5)
    expected = (-high, 0.0) if active_low else (0.0, high)
    assert (low, high_level) == pytest.approx(expected, abs=0.02)


def test_levels_that_may_be_those_of_a_spike_are_doubtful_and_others_are_not():
    def levels_of(*pulses):
        line = 0.01 * np.random.default_rng(0).normal(size=(4, 20_000))
        for start, width, height in pulses:
            line[:, start : start + width] += height
        histogram = LevelHistogram(float(line.min()), float(line.max()))
        histogram.update(line)
        return histogram.levels(0.5, n_copies=4)

    assert levels_of((100, 1, 10.0), (9000, 1, 2.0)).is_doubtful
    assert not levels_of((9000, 2, 5.0)).is_doubtful
    assert levels_of(*((start, 1, 5.0) for start in range(100, 20_000, 400))).n_aside == 0
    assert levels_of((50, 1, 10.0), *((start, 1, 1.0) for start in range(100, 20_000, 400))).n_aside == 4
