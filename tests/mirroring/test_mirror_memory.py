"""What a mirror holds of signals stays within the memory limit, whatever the filters, the gaps and the workers."""

import gc
import tracemalloc

import h5py
import numpy as np
import pytest

from ecogpipe.errors import MemoryBlowOutError
from ecogpipe.mirroring.memory import Reach, windows_at_once
from ecogpipe.results.recording import open_raw
from ecogpipe.runtime.params import override
from ecogpipe.signal.decimate import TILE_OUTPUTS
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.map_channels import map_channels
from ecogpipe.steps.mirror import mirror_recording

N_ROWS, N_COLUMNS, N_SAMPLES = 8, 8, 60_000
BESIDE_SIGNALS = 1_000_000
"""Bytes of Python's own objects, hashes and names."""


@pytest.fixture(scope="module", params=["f8", "i2"])
def inputs(request, tmp_path_factory):
    """A recording with a gap in the middle: raw.h5 and channels.tsv."""
    folder = tmp_path_factory.mktemp("memory")
    counts = np.random.default_rng(0).integers(-1000, 1000, (N_ROWS * N_COLUMNS, N_SAMPLES))
    for number, half in enumerate(np.split(counts, 2, axis=1)):
        with h5py.File(folder / f"part{number}.h5", "w") as file:
            file["data"] = half.astype(request.param)
    declared = {"n_rows": N_ROWS, "n_columns": N_COLUMNS, "n_bncs": 0, "units": "V", "sampling_rate": 1000}
    parts = [folder / f"part{number}.h5" for number in range(2)]
    raw = ingest(parts, folder / "raw.h5", declared=declared)
    with h5py.File(raw, "r+") as file:
        segments = file["segments"][()]
        segments["after_gap"][1] = True
        file["segments"][...] = segments
    map_channels(raw, folder / "channels.tsv", daq="passthru", headstage="", electrode="", declared={"gain": 1})
    return raw, folder / "channels.tsv"


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize(
    "wanted",
    [
        {"ratio": 5, "bandpass": [2, 80]},
        {"ratio": 1, "bandpass": [2, 80], "reference": "average"},
        {"ratio": 20, "correct_skew": True},
        {"ratio": 2, "design": "fir", "bandpass": [5, 80], "transition": 5},
    ],
    ids=["usual", "full rate", "skew", "fir"],
)
def test_mem1_the_limit_is_a_limit(inputs, tmp_path, wanted, workers):
    limit = 8_000_000
    with override(memory_limit=limit, workers=workers):
        mirror_recording(*inputs, None, tmp_path / "warm.h5", name="m", settings=wanted)
        gc.collect()
        tracemalloc.start()
        try:
            mirror_recording(*inputs, None, tmp_path / "mirror.h5", name="m", settings=wanted)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < limit + BESIDE_SIGNALS


def test_windows_are_whole_tiles_where_there_is_room(inputs):
    with open_raw(inputs[0]) as recording:
        length, _ = windows_at_once(recording, Reach(5, 290, 0, 64))
        assert length % (TILE_OUTPUTS * 5) == 0
        with override(memory_limit=5_000_000, workers=16):
            shorter, fewer = windows_at_once(recording, Reach(5, 290, 0, 64))
    assert shorter < length
    assert fewer < 16


def test_mem1_a_limit_that_holds_no_window_is_refused(inputs):
    with (
        open_raw(inputs[0]) as recording,
        override(memory_limit=100_000),
        pytest.raises(MemoryBlowOutError, match="more than the memory limit of 100,000; raise the limit"),
    ):
        windows_at_once(recording, Reach(5, 290, 0, 64))
