import numpy as np
import pytest
from scipy import signal

from ecogpipe.errors import FilterError
from ecogpipe.signal.filters import FilterSettings, design_fir, design_sos, padding_length, settling_samples


def two_pass_decibels(sos, frequency, rate):
    _, response = signal.freqz_sos(sos, worN=[frequency], fs=rate)
    return 40 * np.log10(abs(response[0]))


def test_corners_are_six_decibels_down_after_two_passes():
    sos = design_sos(FilterSettings((2.0, 200.0)), 1000)
    assert two_pass_decibels(sos, 2, 1000) == pytest.approx(-6.02, abs=0.01)
    assert two_pass_decibels(sos, 200, 1000) == pytest.approx(-6.02, abs=0.01)


@pytest.mark.parametrize(("band", "kept", "lost"), [((None, 100.0), 5, 400), ((50.0, None), 400, 2)])
def test_either_side_may_be_open(band, kept, lost):
    sos = design_sos(FilterSettings(band), 1000)
    assert two_pass_decibels(sos, kept, 1000) == pytest.approx(0, abs=0.01)
    assert two_pass_decibels(sos, lost, 1000) < -60


def test_a_notch_takes_out_its_frequency_and_leaves_its_neighbours():
    sos = design_sos(FilterSettings(notches=(60.0,), notch_width=2.0), 1000)
    assert two_pass_decibels(sos, 60, 1000) < -100
    assert two_pass_decibels(sos, 50, 1000) == pytest.approx(0, abs=0.4)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (FilterSettings((2.0, 600.0)), "600 Hz is not between 0 and the Nyquist frequency of 500 Hz"),
        (FilterSettings((0.0, 100.0)), "0 Hz is not between"),
        (FilterSettings((200.0, 2.0)), "the first corner must be the lower one"),
        (FilterSettings((2.0, 200.0), order=0), "order 0"),
        (FilterSettings(notches=(500.0,)), "notch at 500 Hz is not between"),
        (FilterSettings(notches=(60.0,), notch_width=70.0), "cannot be 70 Hz wide"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_with_the_reason(wanted, sentence):
    with pytest.raises(FilterError, match=sentence):
        design_sos(wanted, 1000)


def test_flt2_a_filter_that_would_never_settle_is_refused():
    with pytest.raises(FilterError, match="never settle"):
        design_sos(FilterSettings((1e-9, 100.0), order=8), 20_000)


def test_flt2_a_low_corner_at_a_high_rate_is_stable():
    sos = design_sos(FilterSettings((0.1, 300.0)), 20_000)
    assert np.abs(signal.sosfilt(sos, np.eye(1, 200_000)[0])[-1]) < 1e-3


@pytest.mark.parametrize("band", [(2.0, 200.0), (None, 100.0), (1.0, None)])
def test_padding_is_what_scipy_uses(band):
    sos = design_sos(FilterSettings(band), 1000)
    padding = padding_length(sos)
    signal.sosfiltfilt(sos, np.zeros(padding + 1))
    with pytest.raises(ValueError, match="padlen"):
        signal.sosfiltfilt(sos, np.zeros(padding))


def test_after_settling_the_padding_hardly_shows():
    sos = design_sos(FilterSettings((2.0, 200.0)), 1000)
    noise = np.random.default_rng(0).standard_normal(60_000)
    long, short = signal.sosfiltfilt(sos, noise), signal.sosfiltfilt(sos, noise[20_000:])
    settled = settling_samples(sos)
    assert 100 < settled < 2000
    assert np.abs(short[settled:] - long[20_000 + settled :]).max() < 0.02 * long.std()


def test_a_fir_keeps_its_band_and_is_symmetric():
    taps = design_fir(FilterSettings((5.0, 100.0), design="fir", transition=4.0), 1000)
    frequency, response = signal.freqz(taps, worN=8192, fs=1000)
    decibels = 20 * np.log10(np.abs(response) + 1e-12)
    assert np.abs(decibels[(frequency > 7.1) & (frequency < 97.9)]).max() < 0.02
    assert decibels[(frequency < 2.9) | (frequency > 102.1)].max() < -60
    np.testing.assert_allclose(taps, taps[::-1], atol=1e-15)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (FilterSettings((5.0, 100.0), design="fir"), "transition of a FIR is None Hz wide"),
        (FilterSettings((1.0, 100.0), design="fir", transition=4.0), "centred on the corners"),
        (FilterSettings((5.0, 100.0), design="fir", transition=4.0, notches=(60.0,)), "neither notches"),
        (FilterSettings((5.0, 600.0), design="fir", transition=4.0), "600 Hz is not between"),
    ],
)
def test_a_fir_that_cannot_be_is_refused(wanted, sentence):
    with pytest.raises(FilterError, match=sentence):
        design_fir(wanted, 1000)
