"""Signals on the scratch disk come back as they were put there, or not at all."""

import os

import numpy as np
import pytest

from ecogpipe.datasource.scratch import ScratchFrames
from ecogpipe.errors import OutputError

BLOCK = np.random.default_rng(0).normal(size=(6, 5000))


def test_a_read_that_the_system_gives_in_pieces_is_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal or a network disk may end a read early."""
    read = os.preadv
    monkeypatch.setattr(os, "preadv", lambda handle, buffers, place: read(handle, [buffers[0][:1000]], place))
    with ScratchFrames() as frames:
        frames.append(BLOCK)
        np.testing.assert_array_equal(frames.read(10, 4990), BLOCK[:, 10:4990])


def test_a_scratch_file_that_was_cut_is_no_silence() -> None:
    with ScratchFrames() as frames:
        frames.append(BLOCK)
        os.truncate(frames._file.fileno(), 4000)
        with pytest.raises(OutputError, match="gave back 4000 of 240000 bytes that were kept there"):
            frames.read(0, 5000)
        assert frames.read(7, 7).shape == (6, 0)
