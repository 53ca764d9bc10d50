"""Chunks that are put in their place past HDF5 are the ones that HDF5 reads."""

import h5py
import numpy as np
import pytest

from ecogpipe.datasource.chunk_writer import ChunkWriter, create_in_chunks
from ecogpipe.runtime.threads import read_ahead

WHOLE = np.random.default_rng(0).integers(-500, 500, (7, 1001)).astype("i2")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dtype", ["i2", "f8"])
@pytest.mark.parametrize("block_length", [64, 192, 50, 2000])
def test_what_is_written_in_blocks_is_what_hdf5_reads(tmp_path, zipped, dtype, block_length):
    samples = WHOLE.astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w", libver=("v110", "latest")) as file:
        data = create_in_chunks(file, "data", samples.shape, samples.dtype, (3, 64), zipped=zipped)
        writer = ChunkWriter(data)
        for start in range(0, samples.shape[1], block_length):
            writer.write(start, samples[:, start : start + block_length])
        writer.close()
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert np.array_equal(file["data"][()], samples)
        assert (file["data"].chunks, file["data"].compression) == ((3, 64), "gzip" if zipped else None)


def test_a_recording_of_more_rows_than_one_system_call_takes(tmp_path):
    samples = np.arange(2500 * 5, dtype="f8").reshape(2500, 5)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        writer = ChunkWriter(create_in_chunks(file, "data", samples.shape, samples.dtype, (2500, 5), zipped=False))
        writer.write(0, samples)
        writer.close()
        assert np.array_equal(file["data"][()], samples)


def test_blocks_that_are_read_ahead_come_in_order_and_errors_in_their_place():
    def blocks():
        yield 1
        yield 2
        raise ValueError("no third")

    found = []
    with pytest.raises(ValueError, match="no third"):
        found.extend(read_ahead(blocks()))
    assert found == [1, 2]
