"""Reading a mirror in chunks beside one in one piece, by h5py with its cache as it is and by a source.

python benchmarks/mirror_reads.py FOLDER
"""

import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

from ecogpipe import MappedSource
from ecogpipe.datasource.plain import PlainWriter, create_plain, plain_chunks
from timing import fastest

SHAPES = ((64, 3_600_000), (1008, 300_000))
"""An hour, and five minutes, at 1 kHz."""

SECOND = 1000
OTHERS_CHUNKS = (16, 4096)


def main(folder: Path) -> None:
    print("\n(d) reading a mirror at 1 kHz: ms in one piece; ratio to it in our chunks, in chunks of 16 x 4096")
    for shape in SHAPES:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            paths = [Path(name) / f"{number}.h5" for number in range(3)]
            for path, chunks in zip(paths, (None, plain_chunks(shape, 4), OTHERS_CHUNKS), strict=True):
                write_mirror(path, shape, chunks)
            for reader in (by_h5py, by_source):
                for label, key in keys(shape):
                    whole, *rest = fastest(*(reader(path, key) for path in paths), rounds=9)
                    ratios = "  ".join(f"{seconds / whole:6.2f}" for seconds in rest)
                    print(f"    {shape[0]:5} channels, {reader.__name__:9} {label:24}{whole * 1e3:8.2f} ms   {ratios}")


def keys(shape: tuple[int, int]) -> list[tuple[str, tuple[int | slice, slice]]]:
    first = shape[1] // 3
    return [
        ("one channel, all of it", (5, slice(None))),
        ("all channels, 1 s", (slice(None), slice(first, first + SECOND))),
        ("all channels, 10 s", (slice(None), slice(first, first + 10 * SECOND))),
    ]


def write_mirror(path: Path, shape: tuple[int, int], chunks: tuple[int, int] | None) -> None:
    rng, length = np.random.default_rng(0), 65_536
    with h5py.File(path, "w") as file:
        dataset = create_plain(file, "data", shape, "f4", chunks)
        for start in range(0, shape[1], length):
            block = rng.random((shape[0], min(length, shape[1] - start)), dtype="f4")
            if chunks == OTHERS_CHUNKS:
                dataset[:, start : start + length] = block
            else:
                PlainWriter(dataset).write(0, start, block)


def by_h5py(path: Path, key: tuple[int | slice, slice]):
    dataset = h5py.File(path, "r", locking=False)["data"]
    return lambda: dataset[key]


def by_source(path: Path, key: tuple[int | slice, slice]):
    source = MappedSource.from_hdf_sources(path, "data")
    return lambda: source[key]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
