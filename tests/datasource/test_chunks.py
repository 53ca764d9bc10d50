import h5py
import numpy as np
import pytest

from ecogpipe.datasource.buffers import HDF5Buffer
from ecogpipe.datasource.chunks import ChunkReader, decodes
from ecogpipe.errors import FormatError

WHOLE = np.random.default_rng(0).standard_normal((300, 7)).round(2)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "recording.h5", "w") as file:
        file.create_dataset("gzip", data=WHOLE, chunks=(64, 7), compression="gzip")
        file.create_dataset("shuffled", data=WHOLE, chunks=(64, 3), compression="gzip", shuffle=True)
        file.create_dataset("checked", data=WHOLE, chunks=(64, 3), compression="gzip", fletcher32=True)
        file.create_dataset("plain", data=WHOLE, chunks=(64, 3))
        file.create_dataset("lzf", data=WHOLE, chunks=(64, 3), compression="lzf")
        file.create_dataset("holes", (300, 7), "f8", chunks=(64, 7), compression="gzip", fillvalue=3.5)
        file["holes"][70:80] = 1
    return tmp_path / "recording.h5"


def test_h54_plain_and_gzip_chunks_are_decoded_past_hdf5(file):
    with h5py.File(file) as opened:
        assert {name: decodes(opened[name]) for name in opened} == {
            "checked": False, "gzip": True, "holes": True, "lzf": False, "plain": True, "shuffled": True,
        }  # fmt: skip


@pytest.mark.parametrize("name", ["gzip", "shuffled", "holes", "plain"])
def test_windows_read_twice_and_overlapping_are_what_h5py_reads(file, name):
    with h5py.File(file) as opened:
        reader = ChunkReader(opened[name])
        for windows in (((0, 300), (0, 7)), ((10, 70), (2, 6)), ((60, 130), (0, 7)), ((60, 130), (0, 7))):
            key = tuple(slice(*window) for window in windows)
            out = np.empty([stop - start for start, stop in windows])
            reader.read(windows, out)
            np.testing.assert_array_equal(out, opened[name][key])


def test_a_damaged_chunk_is_named(file):
    with h5py.File(file) as opened:
        place = opened["gzip"].id.get_chunk_info(1)
    with file.open("r+b") as raw:
        raw.seek(place.byte_offset + 20)
        raw.write(b"\xff" * 40)
    buffer = HDF5Buffer.open(file, "gzip")
    np.testing.assert_array_equal(buffer[:64], WHOLE[:64])
    with pytest.raises(FormatError, match=r"recording.h5: the chunk of /gzip at \(64, 0\) cannot be read"):
        buffer[:, :]
    buffer.close()
