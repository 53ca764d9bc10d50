import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecogpipe.datasource.array import ArraySource
from ecogpipe.runtime.params import override

NAMES = ("min", "max", "sum", "mean", "var", "std")


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    axis=st.sampled_from((None, 0, 1, -1)),
    dtype=st.sampled_from(("f8", "f4", "i2")),
    keepdims=st.booleans(),
    limit=st.sampled_from((3_000, 100_000)),
)
def test_a_reduction_means_what_numpy_means(name, axis, dtype, keepdims, limit):
    whole = (np.random.default_rng(0).standard_normal((6, 97)) * 100).astype(dtype)
    mask = np.array([True, False, True, True, True, True])
    with override(memory_limit=limit):
        found = getattr(ArraySource(whole, channel_mask=mask), name)(axis=axis, keepdims=keepdims)
    expected = getattr(whole[mask], name)(axis=axis, keepdims=keepdims)
    assert np.shape(found) == np.shape(expected)
    assert np.asarray(found).dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(
        found, expected, rtol=1e-6 if dtype == "f4" else 1e-12, atol=1e-3 if dtype == "f4" else 0
    )


def test_the_variance_of_small_noise_on_a_large_level_is_right():
    noise = np.random.default_rng(0).standard_normal((2, 50_000)) * 1e-2
    with override(memory_limit=200_000):
        found = ArraySource(noise + 1e6).var(axis=1)
    np.testing.assert_allclose(found, (noise + 1e6 - 1e6).var(axis=1), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_result_goes_where_it_is_told(name):
    whole = np.random.default_rng(0).standard_normal((3, 50))
    out = np.empty(3)
    assert getattr(ArraySource(whole), name)(axis=1, out=out) is out
    np.testing.assert_allclose(out, getattr(whole, name)(axis=1))


def test_dtype_is_that_of_the_result():
    whole = np.ones((2, 10), dtype="i2")
    assert ArraySource(whole).mean(dtype="f4").dtype == np.float32
    assert ArraySource(whole).sum(axis=0, dtype="f8").dtype == np.float64


def test_nothing_has_no_smallest_value():
    with pytest.raises(ValueError, match="no smallest or largest value"):
        ArraySource(np.empty((2, 0))).min()


def test_an_axis_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="axes 0"):
        ArraySource(np.ones((2, 2))).sum(axis=2)
