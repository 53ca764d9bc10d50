"""The floor under any mirror: reading the recording and nothing else, plainly and in the fastest way known.

python benchmarks/floor.py RECORDING      (a recording of recording.py)
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import imagecodecs
import numpy as np

from timing import alone

BLOCK = 65_536


def read_with_h5py(recording: Path) -> None:
    """Read in blocks of time with h5py."""
    with h5py.File(recording, "r", locking=False) as file:
        data = file["data"]
        time_first = data.shape[0] > data.shape[1]
        for start in range(0, max(data.shape), BLOCK):
            data[start : start + BLOCK] if time_first else data[:, start : start + BLOCK]


def read_fastest(recording: Path) -> None:
    """Read past HDF5: gzip chunks inflated by a thread a core, a contiguous dataset mapped and cast to float32."""
    with h5py.File(recording, "r", locking=False) as file:
        if file["data"].chunks:
            _inflate(file["data"])
        else:
            _map_and_cast(recording, file["data"])


def _inflate(data: h5py.Dataset) -> None:
    chunk_bytes = data.chunks[0] * data.chunks[1] * data.dtype.itemsize

    def inflate(first_sample: int) -> None:
        imagecodecs.deflate_decode(data.id.read_direct_chunk((first_sample, 0))[1], out=chunk_bytes)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(inflate, range(0, len(data), data.chunks[0])):
            pass


def _map_and_cast(recording: Path, data: h5py.Dataset) -> None:
    mapped = np.memmap(recording, data.dtype, "r", data.id.get_offset(), data.shape)
    for start in range(0, data.shape[1], BLOCK):
        mapped[:, start : start + BLOCK].astype("float32")


def main(recording: Path) -> None:
    for job in (read_with_h5py, read_fastest):
        print(f"{job.__name__:16} {alone(job, recording).seconds:.2f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
