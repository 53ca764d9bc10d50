"""Second-order sections over frames, against SciPy."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from ecogpipe.signal.filters import FilterSettings, design_sos
from ecogpipe.signal.sosfilt import sosfilt_frames

SOS = design_sos(FilterSettings((2.0, 200.0), 3, (60.0,)), 1000)


@settings(max_examples=60, deadline=None)
@given(
    n_frames=st.integers(0, 1100),
    n_channels=st.integers(1, 40),
    cut=st.integers(0, 1100),
    backwards=st.booleans(),
    seed=st.integers(0, 99),
)
def test_flt1_bits_and_state_are_scipys_however_the_frames_are_cut(n_frames, n_channels, cut, backwards, seed):
    random = np.random.default_rng(seed)
    frames, state = random.standard_normal((n_frames, n_channels)), random.standard_normal((len(SOS), 2, n_channels))
    direction = -1 if backwards else 1
    expected, expected_state = (
        signal.sosfilt(SOS, frames[::direction], axis=0, zi=state) if n_frames else (frames, state)
    )
    pieces = [frames[:cut], frames[cut:]]
    for piece in pieces[::direction]:
        sosfilt_frames(piece, SOS, state, backwards)
    np.testing.assert_array_equal(frames[::direction], expected)
    np.testing.assert_array_equal(state, expected_state)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan1_what_is_not_finite_stays_within_its_channel(bad):
    frames = np.random.default_rng(0).standard_normal((500, 9))
    spoiled = frames.copy()
    spoiled[100, 4] = bad
    for signals in (frames, spoiled):
        sosfilt_frames(signals, SOS, np.zeros((len(SOS), 2, 9)), False)
    assert not np.isfinite(spoiled[100:, 4]).any()
    np.testing.assert_array_equal(np.delete(spoiled, 4, axis=1), np.delete(frames, 4, axis=1))


def test_where_nothing_can_be_kept_it_is_compiled_each_time():
    program = "from ecogpipe.signal.sosfilt import sosfilt_frames; print(sosfilt_frames.stats.cache_path)"
    nowhere = os.environ | {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator", "NUMBA_CACHE_DIR": ""}
    done = subprocess.run([sys.executable, "-c", program], env=nowhere, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "None"), done.stderr
