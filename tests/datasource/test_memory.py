"""The limit is a limit: what is read stays within it, and what would not is refused before anything is read."""

import tracemalloc

import h5py
import numpy as np
import pytest

from ecogpipe.datasource.buffers import HDF5Buffer
from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.errors import MemoryBlowOutError
from ecogpipe.runtime.params import override

LIMIT = 4_000_000
N_CHANNELS, N_SAMPLES = 40, 40_000
STORAGES = {
    "contiguous": {},
    "chunked": {"chunks": True},
    "gzip": {"chunks": True, "compression": "gzip", "compression_opts": 1},
    "shuffled": {"chunks": True, "compression": "gzip", "compression_opts": 1, "shuffle": True},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    whole = np.random.default_rng(0).integers(-1000, 1000, (N_CHANNELS, N_SAMPLES)).astype("f4")
    for storage, options in STORAGES.items():
        for transpose in (False, True):
            with h5py.File(folder / f"{storage}_{transpose}.h5", "w") as file:
                chunks = (500, N_CHANNELS) if transpose else (8, 2500)
                stored = options | ({"chunks": chunks} if options else {})
                file.create_dataset("data", data=whole.T if transpose else whole, **stored)
    return folder


def random_key(rng):
    rows = rng.permutation(N_CHANNELS)[: rng.integers(1, N_CHANNELS + 1)]
    if rng.random() < 0.5:
        rows = slice(*sorted(rng.integers(0, N_CHANNELS + 1, 2).tolist()))
    first = int(rng.integers(0, N_SAMPLES // 2))
    time = slice(first, first + int(rng.integers(100, N_SAMPLES)), int(rng.choice([1, 1, 1, 3, 40])))
    return (rows.tolist() if isinstance(rows, np.ndarray) else rows), time


@pytest.mark.parametrize("storage", STORAGES)
def test_mem1_200_big_slices_stay_within_the_limit_or_are_refused_unread(files, storage, monkeypatch):
    rng, reads = np.random.default_rng(1), []
    read_into = HDF5Buffer.read_into

    def counted(self, axes, out):
        reads.append(axes)
        read_into(self, axes, out)

    monkeypatch.setattr(HDF5Buffer, "read_into", counted)
    n_refused, peaks = 0, []
    for number in range(50):
        transpose, scale = bool(number % 2), [None, 2.0][number // 2 % 2]
        path = files / f"{storage}_{transpose}.h5"
        with (
            override(memory_limit=LIMIT, workers=2),
            MappedSource.from_hdf_sources(path, "data", units_scale=scale, transpose=transpose) as source,
        ):
            key = random_key(rng)
            before = len(reads)
            tracemalloc.start()
            try:
                source[key]
                peaks.append(tracemalloc.get_traced_memory()[1])
            except MemoryBlowOutError:
                n_refused += 1
                assert len(reads) == before
            finally:
                tracemalloc.stop()
    assert max(peaks) <= 1.1 * LIMIT
    assert max(peaks) >= 0.3 * LIMIT, "the guard is not so careful that little can be read"
    assert 0 < n_refused < 50


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("transpose", [False, True])
def test_mem1_iteration_chooses_blocks_that_fit(files, storage, transpose):
    with (
        override(memory_limit=LIMIT, workers=2),
        MappedSource.from_hdf_sources(files / f"{storage}_{transpose}.h5", "data", transpose=transpose) as source,
    ):
        for blocks in (source.iter_blocks(), source.iter_channels()):
            tracemalloc.start()
            n_values = sum(block.size for block in blocks)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert n_values == N_CHANNELS * N_SAMPLES
            assert len(blocks) <= 30, "nor are the blocks much smaller than they could be"
            assert peak <= 1.1 * LIMIT


@pytest.mark.parametrize("storage", STORAGES)
def test_a_generous_limit_makes_large_blocks(files, storage):
    with MappedSource.from_hdf_sources(files / f"{storage}_False.h5", "data") as source:
        for limit in (100_000_000, 300_000_000, 2_000_000_000):
            with override(memory_limit=limit, workers=2):
                assert len(source.iter_blocks()) == 1


def test_a_short_piece_of_long_rows_costs_little(tmp_path):
    """A recording of hours, never written to, so that it takes no room: one frame is a few bytes of each row."""
    with h5py.File(tmp_path / "long.h5", "w") as file:
        file.create_dataset("data", (64, 8_000_000), "f8")
        file["data"][:, 5_000_000:5_000_002] = 1.5
    with override(memory_limit=10_000_000), MappedSource.from_hdf_sources(tmp_path / "long.h5", "data") as source:
        tracemalloc.start()
        np.testing.assert_array_equal(source[:, 4_999_999:5_000_003], np.repeat([[0, 1.5, 1.5, 0]], 64, axis=0))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 200_000
        assert source.iter_blocks().block(0).shape[1] > 1000
