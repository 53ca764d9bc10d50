"""Hashes that tell whether signals and files are still what they were."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import blake3
import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.runtime.params import load_params
from ecogpipe.runtime.threads import Threads

_PIECE_BYTES = 8_000_000

_PLACES, _PLACE_BYTES = 16, 65_536
"""Stretches of a file of any size that tell it from another, and their length."""

_PIECE_OF_ROW_BYTES = 500_000
"""Of a row: what has just been read is hashed while it is near the core."""


_SIGNAL_PREFIX = "blake3:"
"""Tells the hash of all samples from that of version 0.1, a SHA-256 in hexadecimal digits and nothing else."""


def digest_of_frames(frames: npt.NDArray[Any]) -> bytes:
    """Hash a block of frames, (frames, channels), little-endian."""
    return blake3.blake3(little_endian(frames).cast("B")).digest()


def signal_hash(digests: Iterable[bytes]) -> str:
    """Return the hash of a signal from those of its blocks: ``blake3:``, and the hash of these one after the other."""
    whole = blake3.blake3()
    for digest in digests:
        whole.update(digest)
    return f"{_SIGNAL_PREFIX}{whole.hexdigest()}"


def are_of_one_kind(signal_hashes: tuple[str, str]) -> bool:
    """Tell whether two hashes of signals can be compared: those of version 0.1 are made otherwise."""
    first, second = (text.startswith(_SIGNAL_PREFIX) for text in signal_hashes)
    return first == second


def sha256_of_dataset(dataset: h5py.Dataset) -> str:
    """Hash the values of a two-dimensional dataset, row after row, little-endian, whatever its chunks are."""
    digest = hashlib.sha256()
    n_rows, n_columns = dataset.shape
    for rows, columns in _pieces(n_rows, n_columns, dataset.dtype.itemsize):
        values = dataset[rows, columns]
        digest.update(little_endian(values))
    return digest.hexdigest()


def sha256_of_rows(dataset: h5py.Dataset, advance: Callable[[int], None] = lambda n_bytes: None) -> list[str]:
    """Hash each row of a two-dimensional dataset, little-endian, whatever its chunks are; rows side by side in threads.

    `advance` is told how many more bytes are done.
    """
    n_rows, n_columns = dataset.shape
    hashes, length, one_at_a_time = [""] * n_rows, max(1, _PIECE_OF_ROW_BYTES // dataset.dtype.itemsize), Lock()

    def hash_row(row: int) -> None:
        digest = hashlib.sha256()
        for start in range(0, n_columns, length):
            digest.update(little_endian(dataset[row, start : start + length]))
        hashes[row] = digest.hexdigest()
        with one_at_a_time:
            advance(n_columns * dataset.dtype.itemsize)

    with Threads(load_params().workers, "hash") as threads:
        threads.each(hash_row, range(n_rows))
    return hashes


def sha256_of_hashes(hashes: Sequence[str]) -> str:
    """Hash hashes, one after the other in their hexadecimal form."""
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hash the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_places(path: Path) -> str:
    """Hash the size of a file and its bytes at some places, from its beginning to its end: a megabyte at most."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for place in range(_PLACES):
            file.seek(max(0, size - _PLACE_BYTES) * place // (_PLACES - 1))
            digest.update(file.read(_PLACE_BYTES))
    return digest.hexdigest()[:32]


def little_endian(values: npt.NDArray[np.generic]) -> memoryview:
    """Return the bytes of values in C order, little-endian."""
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data


def _pieces(n_rows: int, n_columns: int, item_bytes: int) -> Iterator[tuple[slice, slice]]:
    """Cut rows into groups, or long ones into pieces; in the order of the values."""
    values = _PIECE_BYTES // item_bytes
    length, group = max(1, min(n_columns, values)), max(1, values // max(1, n_columns))
    for row in range(0, n_rows, group):
        for start in range(0, n_columns, length):
            yield slice(row, row + group), slice(start, start + length)
