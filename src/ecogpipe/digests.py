"""Hashes that tell whether signals and files are still what they were."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

_PIECE_BYTES = 8_000_000


def sha256_of_dataset(dataset: h5py.Dataset, advance: Callable[[int], None] | None = None) -> str:
    """Hash the values of a two-dimensional dataset, row after row, little-endian, whatever its chunks are.

    `advance` is told how many more bytes are done.
    """
    digest = hashlib.sha256()
    n_rows, n_columns = dataset.shape
    for rows, columns in _pieces(n_rows, n_columns, dataset.dtype.itemsize):
        values = dataset[rows, columns]
        digest.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data)
        if advance is not None:
            advance(values.nbytes)
    return digest.hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hash the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pieces(n_rows: int, n_columns: int, item_bytes: int) -> Iterator[tuple[slice, slice]]:
    """Cut rows into groups, or long ones into pieces; in the order of the values."""
    values = _PIECE_BYTES // item_bytes
    length, group = max(1, min(n_columns, values)), max(1, values // max(1, n_columns))
    for row in range(0, n_rows, group):
        for start in range(0, n_columns, length):
            yield slice(row, row + group), slice(start, start + length)
