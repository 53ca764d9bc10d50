"""Windows that threads read and work on: whatever the borders, the work sees the recording as it is."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecogpipe.datasource.windows import in_windows, window_borders

WHOLE = np.random.default_rng(0).standard_normal((3, 200))


def read(start, stop, out):
    out[...] = WHOLE[:, start:stop]


def new_array(n_samples):
    return np.full((3, n_samples), np.nan)


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), min_size=1, max_size=4),
    longest=st.integers(1, 40),
)
def test_windows_follow_one_another_and_end_at_borders_of_parts_and_chunks(parts, longest):
    windows, first = window_borders(parts, longest), 0
    assert [start for start, _ in windows] == [0, *(stop for _, stop in windows)][: len(windows)]
    assert (windows[-1][1] if windows else 0) == sum(n_samples for n_samples, _ in parts)
    assert all(0 < stop - start <= longest for start, stop in windows)
    for n_samples, chunk_length in parts:
        inside = [(start - first, stop - first) for start, stop in windows if first <= start < first + n_samples]
        assert not n_samples or inside[-1][1] == n_samples
        if chunk_length <= longest:
            assert all(stop % chunk_length == 0 for _, stop in inside[:-1])
        first += n_samples


@settings(max_examples=60, deadline=None)
@given(longest=st.integers(1, 250), history=st.integers(0, 120), n_at_once=st.integers(1, 4), seed=st.integers(0, 99))
def test_the_work_gets_every_window_with_what_comes_before_it_and_results_come_in_order(
    longest, history, n_at_once, seed
):
    pauses = np.random.default_rng(seed).uniform(0, 2e-3, 200)

    def work(samples, start, stop):
        time.sleep(pauses[start])
        return start, stop, samples.copy()

    windows = window_borders([(200, 1)], max(longest, 5))
    found = list(in_windows(windows, read, new_array, history, n_at_once, work))
    assert [(start, stop) for start, stop, _ in found] == windows
    for start, stop, samples in found:
        np.testing.assert_array_equal(samples, WHOLE[:, max(0, start - history) : stop])


@pytest.mark.parametrize("fails", ["reading", "working"])
def test_an_error_in_a_window_reaches_the_caller_and_ends_the_others(fails):
    def read_some(start, stop, out):
        if fails == "reading" and start == 60:
            raise OSError("the disk is gone")
        read(start, stop, out)

    def work(samples, start, stop):
        if fails == "working" and start == 60:
            raise OSError("the disk is gone")
        return start

    found = []
    with pytest.raises(OSError, match="the disk is gone"):
        found.extend(in_windows(window_borders([(200, 1)], 20), read_some, new_array, 10, 2, work))
    assert found == [0, 20, 40]


def test_a_caller_that_has_enough_ends_the_threads_and_what_has_not_begun():
    begun = []

    def work(samples, start, stop):
        begun.append(start)
        time.sleep(0.02)
        return start

    made = in_windows(window_borders([(200, 1)], 5), read, new_array, 10, 1, work)
    assert next(made) == 0
    made.close()
    assert len(begun) < 4
    assert list(made) == []
