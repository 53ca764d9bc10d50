import numpy as np
import pytest

from ecogpipe.errors import SettingsError
from ecogpipe.signal.reference import subtract_reference

BLOCK = np.array([[1.0, 2.0, np.nan], [3.0, np.nan, np.nan], [100.0, 100.0, 7.0]])
ACTIVE = np.array([True, True, False])


@pytest.mark.parametrize("reference", ["average", "median"])
def test_ref1_masked_rows_do_not_count_and_are_rereferenced(reference):
    np.testing.assert_array_equal(
        subtract_reference(BLOCK, ACTIVE, reference),
        [[-1.0, 0.0, np.nan], [1.0, np.nan, np.nan], [98.0, 98.0, np.nan]],
    )


def test_no_reference_leaves_the_signals_alone():
    assert subtract_reference(BLOCK, ACTIVE, "none") is BLOCK


def test_a_common_signal_is_taken_off():
    common = np.random.default_rng(0).standard_normal((1, 50))
    own = np.array([[1.0], [-1.0], [5.0]]) * np.ones((3, 50))
    np.testing.assert_allclose(subtract_reference(own + common, ACTIVE, "average"), own, atol=1e-12)


@pytest.mark.parametrize("reference", ["average", "median"])
def test_flt1_a_frame_alone_has_the_bits_that_it_has_among_others(reference):
    block = np.random.default_rng(0).standard_normal((64, 40)) * 1e3
    active = np.arange(64) % 7 > 0
    whole = subtract_reference(block, active, reference)
    alone = [subtract_reference(block[:, [frame]], active, reference) for frame in range(40)]
    np.testing.assert_array_equal(np.concatenate(alone, axis=1), whole)


@pytest.mark.parametrize("reference", ["average", "median"])
@pytest.mark.parametrize("n_active", [0, 1])
def test_a_reference_of_fewer_than_two_channels_is_refused(reference, n_active):
    """Of none it would be unknown; taken off the only active channel, it would leave zeros."""
    with pytest.raises(SettingsError, match=f"of {n_active} active channel.* needs 2"):
        subtract_reference(np.ones((3, 5)), np.arange(3) < n_active, reference)
