"""Numbers of channels: equal to NumPy on the whole array, and to the bit the same however the samples arrive."""

import warnings
from fractions import Fraction
from itertools import cycle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ecogpipe.statistics.channel_statistics import FRAMES, NUMBERS, in_units
from ecogpipe.statistics.recording_numbers import HISTORY, RecordingNumbers, blocks_ending_in
from ecogpipe.statistics.stretches import stretch_starts

N_SAMPLES, RATE = 3 * FRAMES + 517, 1000


def measured(samples, lengths=(N_SAMPLES,), rate=RATE, starts=(0,), n_compared=0):
    """Measure samples, (channels, time), in windows of these lengths, again and again; returns the stretches too."""
    n_channels, n_samples = samples.shape
    numbers = RecordingNumbers(n_channels, n_samples, Fraction(str(rate)), n_compared, starts)
    start, length, ended = 0, cycle(lengths), []
    while start < n_samples:
        stop = min(n_samples, start + next(length))
        window = samples[:, max(0, start - HISTORY) : stop]
        ended.append(numbers.merge(numbers.measure(blocks_ending_in(window, start, stop, n_samples), start, stop)))
        start = stop
    return numbers, [np.concatenate(rows) for rows in zip(*ended, strict=True)] if ended else []


def numbers_of(samples, lengths=(N_SAMPLES,), rate=RATE):
    return measured(samples, lengths, rate)[0].result()


@pytest.mark.parametrize("length", [1, 700, FRAMES, 2 * FRAMES + 3, N_SAMPLES])
def test_windows_yield_every_block_once_with_the_frame_before_it(length):
    samples = np.random.default_rng(0).standard_normal((3, N_SAMPLES))
    found = []
    for start in range(0, N_SAMPLES, length):
        stop = min(N_SAMPLES, start + length)
        found += blocks_ending_in(samples[:, max(0, start - HISTORY) : stop], start, stop, N_SAMPLES)
    assert [len(frames) for frames, _ in found] == [FRAMES, FRAMES, FRAMES, 517]
    np.testing.assert_array_equal(np.concatenate([frames for frames, _ in found]).T, samples)
    assert [len(before) for _, before in found] == [0, 1, 1, 1]
    np.testing.assert_array_equal(np.concatenate([before for _, before in found]).T, samples[:, FRAMES - 1 :: FRAMES])


def railed_fraction(row):
    """The definition, sample by sample."""
    finite = row[np.isfinite(row)]
    if not len(finite):
        return np.nan
    railed = 0
    for extreme in {finite.min(), finite.max()}:
        run = 0
        for value in [*row, np.nan]:
            if value == extreme:
                run += 1
            else:
                railed += run if run >= 3 else 0
                run = 0
    return railed / len(finite)


def line_rms(values, frequency):
    """Of whole tiles, here a block each, under a Hann window; gaps are filled with the mean of their block."""
    frames = np.arange(FRAMES)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (frames + 0.5) / FRAMES)
    powers = []
    values = values - np.nanmean(values, axis=1, keepdims=True)
    for start in range(0, values.shape[1] - FRAMES + 1, FRAMES):
        tile = values[:, start : start + FRAMES]
        tile = np.nan_to_num(tile - np.nanmean(tile, axis=1, keepdims=True))
        # The phase of the wave does not matter.
        amplitude = 2 * np.abs(tile @ (window * np.exp(2j * np.pi * frequency / RATE * frames))) / window.sum()
        powers.append(amplitude**2 / 2)
    return np.sqrt(np.mean(powers, axis=0))


def drift(values):
    """Slope per hour of the line through the means of the blocks, each with the weight of its finite samples."""
    values = values - np.nanmean(values, axis=1, keepdims=True)
    blocks = [values[:, start : start + FRAMES] for start in range(0, values.shape[1], FRAMES)]
    times = np.cumsum([0, *(block.shape[1] for block in blocks)])
    centres = (times[:-1] + times[1:]) / 2 / RATE / 3600
    slopes = []
    for row in range(len(values)):
        means = [np.nanmean(block[row]) for block in blocks]
        weights = [np.isfinite(block[row]).sum() for block in blocks]
        slopes.append(np.polyfit(centres, means, 1, w=np.sqrt(weights))[0])
    return slopes


def stuck_fraction(values):
    blocks = [values[:, start : start + FRAMES] for start in range(0, values.shape[1], FRAMES)]
    stuck = [block.shape[1] * (np.diff(block, axis=1) == 0).all(axis=1) for block in blocks]
    return np.sum(stuck, axis=0) / values.shape[1]


def textbook(samples):
    values = samples.astype(np.float64)
    finite = np.isfinite(values)
    values = np.where(finite, values, np.nan)
    steps = np.diff(values, axis=1)
    n_steps = np.isfinite(steps).sum(axis=1)
    return {
        "mean": np.nanmean(values, axis=1),
        "std": np.nanstd(values, axis=1),
        "min": np.nanmin(values, axis=1),
        "max": np.nanmax(values, axis=1),
        "drift": drift(values),
        "n_nonfinite": (~finite).sum(axis=1),
        "flat_fraction": (steps == 0).sum(axis=1) / n_steps,
        "stuck_fraction": stuck_fraction(values),
        "rail_fraction": [railed_fraction(row) for row in values],
        "hf_rms": np.sqrt(np.nanmean(steps**2, axis=1)),
        "line50_rms": line_rms(values, 50),
        "line60_rms": line_rms(values, 60),
    }


def with_faults(rng):
    """Seven channels: sound, large offset, clipped, dead, drifting, with gaps of NaN, with infinities."""
    samples = rng.normal(size=(7, N_SAMPLES))
    samples[1] = 1e6 + 1e-3 * samples[1]
    samples[2] = np.clip(2 * samples[2], -0.5, 0.7)
    samples[3] = -0.25
    samples[4] += np.linspace(0, 1e4, N_SAMPLES)
    samples[5, 700:1800] = np.nan
    samples[5, 2500] = np.nan
    samples[6, [0, 5, FRAMES - 1, FRAMES, N_SAMPLES - 1]] = [np.inf, -np.inf, np.nan, np.inf, -np.inf]
    return samples


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", ">i4"])
def test_numbers_equal_numpy_on_the_whole_array(rng, dtype):
    samples = (1000 * rng.normal(size=(5, N_SAMPLES))).clip(-2500, 2000).astype(dtype)
    found = numbers_of(samples)
    for name, expected in textbook(samples).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-12, atol=1e-12, err_msg=name)


def test_numbers_of_faulty_channels_equal_numpy(rng):
    samples = with_faults(rng)
    found, expected = numbers_of(samples), textbook(samples)
    for name in expected:
        atol = {"drift": 1e-7, "line50_rms": 1e-11, "line60_rms": 1e-11}.get(name, 1e-12)  # beside an offset of 1e6
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=atol, err_msg=name)


def test_small_noise_on_a_large_offset_keeps_its_deviation(rng):
    noise = 1e-3 * rng.normal(size=(1, N_SAMPLES))
    assert numbers_of(1e6 + noise)["std"][0] == pytest.approx(noise.std(), rel=1e-6)


@pytest.mark.parametrize("lengths", [(1,), (7, 1024), (FRAMES,), (FRAMES + 1,), (997, 3, 2048)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_bits_do_not_depend_on_blocks_or_memory_order(rng, lengths, order):
    samples = with_faults(rng)
    starts = stretch_starts(N_SAMPLES, Fraction(RATE, 3), 1, [1500])
    whole, stretches = measured(samples, starts=starts, n_compared=4)
    split, split_stretches = measured(np.asarray(samples, order=order), lengths, starts=starts, n_compared=4)
    for name in NUMBERS:
        assert whole.result()[name].tobytes() == split.result()[name].tobytes(), name
    assert [rows.tobytes() for rows in stretches] == [rows.tobytes() for rows in split_stretches]
    assert whole.correlation.result().tobytes() == split.correlation.result().tobytes()


@pytest.mark.parametrize("start", [FRAMES - 3, FRAMES - 2, FRAMES - 1, FRAMES, 2 * FRAMES - 2, N_SAMPLES - 3])
@pytest.mark.parametrize("length", [2, 3, FRAMES + 2])
def test_rails_are_counted_across_block_seams(rng, start, length):
    samples = rng.normal(size=(2, N_SAMPLES))
    samples[0, start : start + length] = 9.0
    samples[1, start : start + length] = -9.0
    samples[1, 40:44] = 8.0  # a lower rail first, then overtaken
    samples[1, 3000] = 8.5
    expected = [railed_fraction(row) for row in samples]
    assert numbers_of(samples)["rail_fraction"].tolist() == expected


def test_rails_of_coarse_samples_equal_the_definition(rng):
    samples = rng.integers(-1, 2, size=(20, N_SAMPLES)).astype("int16")
    assert numbers_of(samples)["rail_fraction"].tolist() == [railed_fraction(row.astype(float)) for row in samples]


def test_a_dead_channel_is_wholly_flat_and_is_counted_once():
    numbers = numbers_of(np.zeros((1, N_SAMPLES)))
    assert numbers["flat_fraction"][0] == 1.0
    assert numbers["rail_fraction"][0] == 1.0
    assert numbers["std"][0] == 0.0


@pytest.mark.parametrize("n_samples", [0, 1, 2])
def test_few_samples_give_numbers_or_nan(n_samples):
    numbers = numbers_of(np.ones((2, n_samples)), (1,))
    assert np.isnan(numbers["mean"]).all() == (n_samples == 0)
    assert np.isnan(numbers["hf_rms"]).all() == (n_samples < 2)
    assert (numbers["n_nonfinite"] == 0).all()


def test_a_channel_without_a_finite_sample_has_no_numbers():
    samples = np.vstack([np.full(N_SAMPLES, np.nan), np.arange(N_SAMPLES)])
    numbers = numbers_of(samples)
    assert np.isnan([numbers[name][0] for name in NUMBERS if name != "n_nonfinite"]).all()
    assert numbers["n_nonfinite"].tolist() == [N_SAMPLES, 0]
    assert numbers["mean"][1] == (N_SAMPLES - 1) / 2


@pytest.mark.parametrize("slope", [0.25, -3.0])
def test_units_are_those_of_the_scaled_samples(rng, slope):
    raw = rng.integers(-500, 800, size=(3, N_SAMPLES)).astype("int16")
    scaled, expected = in_units(numbers_of(raw), slope, 12.5), numbers_of(slope * raw + 12.5)
    for name in NUMBERS:
        np.testing.assert_allclose(scaled[name], expected[name], rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("rate", [500, 1000, 2777.7, 5000, 30_000])
def test_line_noise_is_that_of_the_frequency_whatever_the_rate_and_the_offset(rate):
    seconds = np.arange(int(4 * rate)) / rate
    samples = 1e3 + np.vstack([20 * np.sin(2 * np.pi * hz * seconds + 1) for hz in (50, 60, 55)])
    found = numbers_of(samples, rate=rate)
    assert found["line50_rms"][0] == pytest.approx(20 / np.sqrt(2), rel=0.02)
    assert found["line60_rms"][1] == pytest.approx(20 / np.sqrt(2), rel=0.02)
    assert max(found["line50_rms"][1:].max(), found["line60_rms"][[0, 2]].max()) < 0.5


def test_line_noise_is_unknown_where_the_recording_cannot_carry_it(rng):
    samples = rng.normal(size=(2, 3 * FRAMES))
    for rate, n_samples, known in ((110, 3 * FRAMES, (True, False)), (1000, FRAMES - 1, (False, False))):
        found = numbers_of(samples[:, :n_samples], rate=rate)
        assert (np.isfinite(found["line50_rms"]).all(), np.isfinite(found["line60_rms"]).all()) == known


def test_a_channel_that_stands_still_for_a_while_is_stuck_for_that_share(rng):
    samples = rng.normal(size=(2, 4 * FRAMES))
    samples[0, FRAMES - 10 : 3 * FRAMES + 10] = 0.25
    assert numbers_of(samples)["stuck_fraction"].tolist() == [0.5, 0.0]


@pytest.mark.parametrize("rate", [20, 333, 1000, 5000, 30_000])
def test_numbers_of_stretches_equal_numpy(rng, rate):
    samples = with_faults(rng)
    starts = stretch_starts(N_SAMPLES, Fraction(rate), 1, [FRAMES + 7, 2 * FRAMES])
    found = measured(samples, (997, 3, 2048), rate, starts)[1]
    values = np.where(np.isfinite(samples), samples, np.nan)
    cut = np.split(values, starts[1:], axis=1)
    n, mean, squares, low, high = (np.stack(rows, axis=1) for rows in zip(*map(of_stretch, cut), strict=True))
    np.testing.assert_array_equal(found[0].T, n)
    some = n > 0
    np.testing.assert_allclose(found[1].T[some], mean[some], rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(
        np.sqrt(found[2].T[some] / n[some]), np.sqrt(squares[some] / n[some]), rtol=1e-6, atol=1e-9
    )
    np.testing.assert_array_equal(found[3].T[some], low[some])
    np.testing.assert_array_equal(found[4].T[some], high[some])


def of_stretch(values):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of channels that have no finite sample there
        n, mean = np.isfinite(values).sum(axis=1), np.nanmean(values, axis=1)
        squares = np.nansum((values - mean[:, None]) ** 2, axis=1)
        return n, mean, squares, np.nanmin(values, axis=1), np.nanmax(values, axis=1)


@pytest.mark.parametrize("rate", ["1000", "2777.7", "0.5", "12207.03125"])
def test_a_stretch_begins_with_the_first_sample_of_its_second_exactly(rate):
    rate, n_samples = Fraction(rate), 40_000
    starts = stretch_starts(n_samples, rate, 1, [17, 30_001])
    seconds = sorted({-(-number * rate.numerator // rate.denominator) for number in range(90_000)} | {17, 30_001})
    assert starts.tolist() == [start for start in seconds if start < n_samples]


COARSE = st.sampled_from([0.0, 0.0, 1.0, -1.0, 2.5, np.nan, np.inf, -np.inf])


@settings(max_examples=60, deadline=None)
@given(
    samples=arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 60)), elements=COARSE),
    repeats=st.integers(1, 90),
    windows=st.lists(st.integers(1, 3000), min_size=1, max_size=6),
    rate=st.sampled_from(["3", "97.3", "1000", "30000"]),
    gaps=st.lists(st.integers(1, 5000), max_size=3),
)
def test_numbers_of_coarse_samples_are_those_of_the_definition_however_they_come(samples, repeats, windows, rate, gaps):
    samples = np.repeat(samples, repeats, axis=1)
    n_samples = samples.shape[1]
    starts = stretch_starts(n_samples, Fraction(rate), 1, gaps)
    whole, stretches = measured(samples, (n_samples,), rate, starts)
    split, split_stretches = measured(samples, windows, rate, starts)
    found = whole.result()
    for name in NUMBERS:
        assert found[name].tobytes() == split.result()[name].tobytes(), name
    assert [rows.tobytes() for rows in stretches] == [rows.tobytes() for rows in split_stretches]
    finite = np.isfinite(samples)
    assert found["n_nonfinite"].tolist() == (~finite).sum(axis=1).tolist()
    np.testing.assert_array_equal(found["rail_fraction"], [railed_fraction(row) for row in samples])
    none = ~finite.any(axis=1)
    np.testing.assert_array_equal(np.isnan(found["mean"]), none)
    for channel in np.flatnonzero(~none):
        kept = samples[channel, finite[channel]]
        assert (found["min"][channel], found["max"][channel]) == (kept.min(), kept.max())
        assert found["mean"][channel] == pytest.approx(kept.mean(), abs=1e-12)
        assert found["std"][channel] == pytest.approx(kept.std(), abs=1e-9)
    assert stretches[0].T.tolist() == np.add.reduceat(finite, starts, axis=1).tolist()
