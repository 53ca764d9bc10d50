"""Datasets in one piece, or in chunks of all rows, are read and written past HDF5 as HDF5 reads them."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecogpipe.datasource.buffers import HDF5Buffer
from ecogpipe.datasource.plain import PlainReader, PlainWriter, create_plain, lies_plain, plain_chunks
from ecogpipe.errors import FormatError

SHAPE = (3, 2_300_001)
CACHE = 8 * 2**20


def values(rows, columns):
    return (np.asarray(rows)[:, np.newaxis] * 10_000_000 + np.asarray(columns)).astype("f4")


@pytest.fixture(scope="module", params=["chunks", "one piece"])
def path(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "a.h5"
    with h5py.File(path, "w") as file:
        chunks = plain_chunks(SHAPE, 4) if request.param == "chunks" else None
        writer = PlainWriter(create_plain(file, "data", SHAPE, "f4", chunks))
        for first_row, rows in ((0, 1), (1, 2)):
            for start in range(0, SHAPE[1], 123_457):
                columns = np.arange(start, min(start + 123_457, SHAPE[1]))
                writer.write(first_row, start, values(np.arange(first_row, first_row + rows), columns))
    return path


def test_what_is_written_in_short_stretches_is_what_hdf5_reads(path):
    with h5py.File(path) as file:
        assert np.array_equal(file["data"][()], values(range(3), range(SHAPE[1])))


windows = st.tuples(st.integers(0, SHAPE[1]), st.integers(0, 1_600_000)).map(lambda w: (w[0], min(sum(w), SHAPE[1])))
rows_of = st.one_of(st.lists(st.integers(0, 2), max_size=5), st.slices(3), st.integers(0, 2))


@settings(max_examples=60, deadline=None)
@given(rows_of, windows, st.integers(1, 400_000))
def test_any_window_is_that_of_the_array(path, rows, window, step):
    columns = np.arange(*window, step)
    picked = np.arange(3)[rows]
    with h5py.File(path) as file:
        buffer = HDF5Buffer(file["data"])
        assert isinstance(buffer._reader, PlainReader)
        expected = values(np.atleast_1d(np.asarray(picked, dtype=int)), columns)
        found = buffer[rows, window[0] : window[1] : step]
        assert np.array_equal(found, expected[0] if isinstance(rows, int) else expected)


@given(st.integers(1, 3000), st.integers(1, 50_000_000), st.sampled_from([2, 4, 8]))
def test_no_chunk_is_in_the_cache_of_hdf5_unless_the_whole_dataset_fits(n_rows, n_samples, item_bytes):
    rows, columns = plain_chunks((n_rows, n_samples), item_bytes)
    n_chunks = -(-n_samples // columns)
    assert rows == n_rows
    assert n_chunks == 1 or (rows * columns * item_bytes > CACHE and columns >= 16_384)
    assert 0 <= n_chunks * columns - n_samples < n_chunks


def test_chunks_that_are_not_all_there_or_packed_or_of_some_rows_are_left_to_other_readers(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("holes", SHAPE, "f4", chunks=(3, 800_000))[:, :10] = 1
        file.create_dataset("packed", data=np.zeros((3, 900_000)), chunks=(3, 300_000), compression="gzip")
        file.create_dataset("some rows", data=np.zeros((4, 900_000)), chunks=(2, 300_000))
        file.create_dataset("checked", data=np.zeros((4, 900_000)), chunks=(4, 300_000), fletcher32=True)
        file.create_dataset("many", data=np.zeros((4, 900)), chunks=(4, 3))
        assert [name for name in file if lies_plain(file[name])] == []
        assert np.array_equal(HDF5Buffer(file["holes"])[:, 5:15], np.repeat([[1.0] * 5 + [0.0] * 5], 3, axis=0))


def test_a_file_that_was_cut_off_within_a_chunk_is_called_truncated(path, tmp_path):
    cut = tmp_path / "cut.h5"
    cut.write_bytes(path.read_bytes())
    with h5py.File(cut) as file:
        buffer = HDF5Buffer(file["data"])
        with cut.open("r+b") as raw:
            raw.truncate(cut.stat().st_size - 5_000_000)
        with pytest.raises(FormatError, match="truncated"):
            buffer[:]


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (1, 1)])
def test_datasets_without_samples_can_be_made_and_read(tmp_path, shape):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = create_plain(file, "data", shape, "f4", plain_chunks(shape, 4))
        PlainWriter(made).write(0, 0, np.ones(shape))
        assert np.array_equal(HDF5Buffer(made)[:], np.ones(shape))
