"""Files of a lower rate that the lab's older tools made open with their signals, their sites and their edges."""

import logging

import h5py
import numpy as np
import pytest

from ecogpipe import open_recording
from ecogpipe.electrodes.channels import BncLine
from ecogpipe.errors import FormatError, WiringError
from finished_study import BNC, SET_UP, finished_recording

RATIO = 5


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A recording, and the file that ecogdata makes of it: every fifth sample, in microvolts, scalars as arrays."""
    done = finished_recording(tmp_path_factory.mktemp("lab") / "test_001", seconds=8)
    volts = done.truth.block(0, done.truth.n_samples)
    path = done.folder.parent / "test_001_Fs200.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=(volts[:, ::RATIO] * 1e6 / done.truth.gain).astype("f4"), chunks=True)
        lines = volts[80:].reshape(16, -1, RATIO)
        file.create_dataset("bnc", data=np.concatenate([lines[:8].max(axis=2), lines[8:, :, 0]]), chunks=True)
        for name, value in (("Fs", 200.0), ("numRow", 8), ("numCol", 10), ("numChan", 12)):
            file[name] = np.array([[value]])
    return done, path


def test_signals_sites_and_edges_are_those_of_the_file(made, caplog):
    done, path = made
    with caplog.at_level(logging.WARNING):
        dataset = open_recording(path, set_up=SET_UP, bnc=BNC)
    assert "without a low-pass" in caplog.text
    mirror = open_recording(done.mirror)
    assert dataset.full_map == mirror.full_map
    assert (dataset.rate, dataset.bnc_columns, dataset.trigger) == (200, mirror.bnc_columns, 10)
    rows = mirror.data.electrode_channels
    expected = done.truth.block(0, done.truth.n_samples)[rows, ::RATIO] * 1e6 / done.truth.gain
    assert np.allclose(dataset.data[:], expected, rtol=1e-6)
    assert len(dataset.pos_edge) == len(mirror.pos_edge) > 0
    assert np.array_equal(dataset.pos_edge, mirror.pos_edge)
    assert dataset.bnc.shape == mirror.bnc.shape


def test_what_the_file_does_not_say_is_asked_for(made, tmp_path):
    _, path = made
    with pytest.raises(WiringError, match=r"give set_up=.*2t-as daq v2 / zif26 to 2x uhdmi / actv_64"):
        open_recording(path, bnc=BNC)
    with pytest.raises(WiringError, match="These fit"):
        open_recording(path, set_up=("2t-as daq v2", "zif51_p4-50_demux-14c20r", "active_1008ch_sp_v2"), bnc=BNC)
    with pytest.raises(FormatError, match="holds 2 lines, and 1 are named"):
        open_recording(path, set_up=SET_UP, bnc=[BncLine(10, "ttl_high")])
    assert open_recording(path, set_up=("passthru", "", ""), bnc=BNC).full_map.geometry == (8, 10)
