"""Where the chunks of a dataset lie in its file."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

Offset: TypeAlias = tuple[int, ...]


class StoredChunk(NamedTuple):
    """The bytes of a chunk in its file, none where it was never written, and the filters that were left out."""

    position: int
    size: int
    skipped_filters: int


class ChunkIndex:
    """Looks up the chunks of a dataset, which are to stay where they are meanwhile.

    HDF5 walks through all chunks to find one, which grows with the square of the recording: it is asked once for all.

    Parameters
    ----------
    dataset
        A chunked dataset of two axes.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset, self._chunk_shape = dataset, dataset.chunks

    def __getitem__(self, offset: Offset) -> StoredChunk:
        """Return what is stored of the chunk that begins at `offset`."""
        row, column = self._place(offset)
        return StoredChunk(*self._stored[row, column].tolist())

    def _place(self, offset: Sequence[int]) -> tuple[int, int]:
        """Return the place of a chunk in the grid of chunks."""
        return offset[0] // self._chunk_shape[0], offset[1] // self._chunk_shape[1]

    @cached_property
    def _stored(self) -> npt.NDArray[np.int64]:
        """The fields of `StoredChunk` of each chunk, by its place."""
        last_row, last_column = self._place([length - 1 for length in self._dataset.shape])
        stored = np.zeros((last_row + 1, last_column + 1, len(StoredChunk._fields)), dtype=np.int64)

        def note(chunk: Any) -> None:
            stored[self._place(chunk.chunk_offset)] = chunk.byte_offset, chunk.size, chunk.filter_mask

        self._dataset.id.chunk_iter(note)
        return stored
