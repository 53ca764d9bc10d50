import threading

import numpy as np
import pytest

from ecogpipe.datasource.array import ArraySource
from ecogpipe.errors import MemoryBlowOutError
from ecogpipe.runtime.params import override

WHOLE = np.random.default_rng(0).standard_normal((4, 103))


def test_blocks_cover_the_whole_once():
    source = ArraySource(WHOLE)
    np.testing.assert_array_equal(np.concatenate(list(source.iter_blocks(10)), axis=1), WHOLE)
    assert len(source.iter_blocks(10)) == 11
    np.testing.assert_array_equal(np.concatenate(list(source.iter_channels(3))), WHOLE)
    assert len(source.iter_channels(use_max_memory=False)) == 4


def test_overlapping_blocks_share_samples_and_none_is_only_overlap():
    blocks = list(ArraySource(WHOLE).iter_blocks(10, overlap=3, return_slice=True))
    starts = [key[1].start for _, key in blocks]
    assert starts == list(range(0, 100, 7))
    for block, key in blocks:
        np.testing.assert_array_equal(block, WHOLE[key])


def test_blocks_in_reverse_from_an_offset_without_the_partial_one():
    blocks = ArraySource(WHOLE).iter_blocks(10, start_offset=5, reverse=True, partial_block=False)
    np.testing.assert_array_equal(next(iter(blocks)), WHOLE[:, 85:95])
    np.testing.assert_array_equal(blocks.block(8), WHOLE[:, 5:15])
    assert len(blocks) == 9


def test_block_lengths_follow_from_the_memory_limit():
    source = ArraySource(WHOLE)
    with override(memory_limit=2 * 32 * 10):
        assert [block.shape[1] for block in source.iter_blocks()] == [10] * 10 + [3]
    with override(memory_limit=60), pytest.raises(MemoryBlowOutError, match="raise the limit to 64 bytes"):
        source.iter_blocks()


@pytest.mark.parametrize("settings", [{"block_length": 5, "overlap": 5}, {"block_length": 5, "start_offset": 104}])
def test_blocks_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match="Blocks"):
        ArraySource(WHOLE).iter_blocks(**settings)


class Breaks(ArraySource):
    """A source whose third block cannot be read."""

    def __getitem__(self, key):
        if key[1].start == 20:
            raise OSError("the disk is gone")
        return super().__getitem__(key)


def test_an_error_while_reading_ahead_appears_in_the_caller():
    seen = []
    with pytest.raises(OSError, match="the disk is gone"):
        seen.extend(Breaks(WHOLE).iter_blocks(10))
    assert len(seen) == 2


def test_leaving_the_loop_early_leaves_no_thread():
    before = threading.active_count()
    for _ in ArraySource(WHOLE).iter_blocks(10):
        break
    assert threading.active_count() == before
