from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecogpipe.errors import RateError
from ecogpipe.signal.rates import decimated_length, exact_rate, frame_rate, ratio_to, seconds_of


def test_a_rate_is_what_its_decimal_digits_say():
    assert exact_rate(2777.8) == Fraction(13889, 5)


def test_frame_rate_is_exact_where_a_float_is_not():
    assert frame_rate(500_000.0, n_rows=36, oversampling=5) == Fraction(25_000, 9)


@pytest.mark.parametrize("rate", [0, -1.0, "nonsense", float("nan"), float("inf")])
def test_a_rate_that_makes_no_sense_is_refused(rate):
    with pytest.raises(RateError, match="makes no sense"):
        exact_rate(rate)


def test_a_ratio_is_found_within_a_millionth():
    assert ratio_to(Fraction(25_000, 9), 555.5556) == 5


@pytest.mark.parametrize(
    ("source", "wanted", "nearest"),
    [("2777.8", 900, "925.9333333 Hz (ratio 3)"), ("3125", 1000, "1041.666667 Hz (ratio 3)")],
)
def test_rate1_a_rate_that_is_no_divisor_is_refused_with_the_nearest(source, wanted, nearest):
    with pytest.raises(RateError) as refusal:
        ratio_to(exact_rate(source), wanted)
    assert nearest in str(refusal.value)


def test_a_rate_above_the_source_is_refused():
    with pytest.raises(RateError, match=r"1000 Hz \(ratio 1\)"):
        ratio_to(Fraction(1000), 2000)


def test_decimated_length_counts_the_multiples():
    assert [decimated_length(n, 5) for n in (0, 1, 5, 6)] == [0, 1, 1, 2]


@settings(max_examples=100, deadline=None)
@given(
    numerator=st.integers(1, 10**30),
    denominator=st.integers(1, 10**25),
    samples=st.lists(st.integers(0, 2**62), max_size=5),
)
def test_times_of_samples_are_the_nearest_to_the_exact_ones(numerator, denominator, samples):
    rate = Fraction(numerator, denominator)
    times = seconds_of(np.array(samples, dtype=np.int64), rate)
    assert times.tolist() == [float(sample / rate) for sample in samples]
