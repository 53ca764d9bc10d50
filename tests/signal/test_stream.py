import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from ecogpipe.errors import FilterError
from ecogpipe.signal.filters import FilterSettings, design_sos, padding_length
from ecogpipe.signal.stream import GapFinder, SosPasses, bridge, restore


class FramesInMemory:
    """What the scratch disk is to the passes."""

    def __init__(self):
        self.frames = None

    def __len__(self):
        return 0 if self.frames is None else self.frames.shape[1]

    def append(self, block):
        self.frames = block.copy() if self.frames is None else np.concatenate([self.frames, block], axis=1)

    def read(self, start, stop):
        return self.frames[:, start:stop].copy()

    def replace(self, start, block):
        self.frames[:, start : start + block.shape[1]] = block


def filtered_in_blocks(whole, sos, length, phase="zero", waits_from=None, length_back=None):
    passes = SosPasses(FramesInMemory(), sos, phase)
    for number, start in enumerate(range(0, whole.shape[1], length)):
        passes.push(whole[:, start : start + length].copy(), waits=number == waits_from)
    found = np.full_like(whole, np.nan)
    for start, block in passes.finish(length_back or length):
        found[:, start : start + block.shape[1]] = block
    return found


BANDS = (FilterSettings((2.0, 200.0)), FilterSettings((0.1, None), 2, (60.0, 120.0)), FilterSettings((None, 100.0), 4))


@settings(max_examples=40, deadline=None)
@given(
    wanted=st.sampled_from(BANDS),
    n_channels=st.integers(1, 5),
    n_samples=st.integers(60, 900),
    length=st.integers(1, 950),
    length_back=st.integers(1, 950),
    waits_from=st.none() | st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_flt1_passes_over_blocks_equal_scipy_to_the_bit(
    wanted, n_channels, n_samples, length, length_back, waits_from, seed
):
    sos = design_sos(wanted, 1000)
    whole = np.random.default_rng(seed).standard_normal((n_channels, n_samples)) + 3
    length, length_back = max(length, n_samples // 60), max(length_back, n_samples // 60)
    both_ways = filtered_in_blocks(whole, sos, length, "zero", waits_from, length_back)
    np.testing.assert_array_equal(both_ways, signal.sosfiltfilt(sos, whole))
    start = signal.sosfilt_zi(sos)[:, None, :] * whole[None, :, :1]
    forwards = filtered_in_blocks(whole, sos, length, "causal", waits_from, length_back)
    np.testing.assert_array_equal(forwards, signal.sosfilt(sos, whole, zi=start)[0])


@pytest.mark.parametrize("extra", [0, 1])
def test_flt3_a_recording_as_short_as_the_padding_gets_a_sentence(extra):
    sos = design_sos(BANDS[0], 1000)
    whole = np.ones((1, padding_length(sos) + extra))
    if extra:
        np.testing.assert_array_equal(filtered_in_blocks(whole, sos, 7), signal.sosfiltfilt(sos, whole))
    else:
        with pytest.raises(FilterError, match="needs more than 21 of them"):
            filtered_in_blocks(whole, sos, 7)


@settings(max_examples=80, deadline=None)
@given(
    bad=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 59), st.integers(1, 20)), max_size=6),
    length=st.integers(1, 70),
)
def test_nan1_gaps_are_found_bridged_linearly_and_restored(bad, length):
    whole = np.random.default_rng(0).standard_normal((2, 60))
    for channel, start, run in bad:
        whole[channel, start : start + run] = np.nan
    starts = range(0, 60, length)
    finder = GapFinder()
    for start in starts:
        finder.push(whole[:, start : start + length])
    gaps = finder.finish()
    assert [(gap.channel, gap.start) for gap in gaps] == sorted((gap.channel, gap.start) for gap in gaps)
    bridged = whole.copy()
    for start in starts:
        bridge(bridged[:, start : start + length], start, gaps)
    for row, raw in zip(bridged, whole, strict=True):
        finite = np.flatnonzero(np.isfinite(raw))
        expected = np.interp(np.arange(60), finite, raw[finite]) if len(finite) else np.zeros(60)
        np.testing.assert_allclose(row, expected, atol=1e-12)
    restore(bridged, 0, gaps)
    np.testing.assert_array_equal(np.isnan(bridged), np.isnan(whole))


def test_sections_that_are_not_scaled_are_refused():
    with pytest.raises(FilterError, match="not scaled to a0 = 1"):
        filtered_in_blocks(np.ones((1, 100)), 2 * design_sos(BANDS[0], 1000), 10)


def test_blocks_of_other_kinds_are_taken_too():
    sos = design_sos(BANDS[0], 1000)
    whole = np.random.default_rng(0).standard_normal((2, 300)).astype("f4")
    passes = SosPasses(FramesInMemory(), sos.astype(">f8"), "causal")
    whole.flags.writeable = False
    passes.push(whole)
    [(_, found)] = passes.finish(300)
    start = signal.sosfilt_zi(sos)[:, None, :] * whole[None, :, :1]
    np.testing.assert_allclose(found, signal.sosfilt(sos, whole.astype("f8"), zi=start)[0], atol=1e-6)
