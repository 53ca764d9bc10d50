"""Filling a dataset, (time, channels), from blocks, (channels, time): chunk by chunk, past the filters of HDF5."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.chunk_writer import shuffled_and_deflated
from ecogpipe.runtime.params import load_params
from ecogpipe.runtime.threads import read_ahead

Array: TypeAlias = npt.NDArray[Any]
Read: TypeAlias = Callable[[int, int], Array]

_CHUNK_BYTES = 1_000_000
_CHUNK_CHANNELS = 64
"""Of a chunk: tools that stream over a network fetch some channels of some seconds."""

_BLOCK_BYTES = 16_000_000
_SHARE = 16
"""A block takes this fraction of the memory limit at most: two are held, and the chunks made of one."""


def frame_chunks(n_channels: int, n_samples: int, item_bytes: int) -> tuple[int, int]:
    """Return the chunks of a dataset, (time, channels)."""
    channels = max(1, min(_CHUNK_CHANNELS, n_channels))
    return max(1, min(n_samples, _CHUNK_BYTES // (channels * item_bytes))), channels


def write_frames(dataset: h5py.Dataset, read: Read, advance: Callable[[int], None]) -> None:
    """Fill a dataset.

    Parameters
    ----------
    dataset
        New, (time, channels), in chunks, plain or shuffled and packed by gzip.
    read
        Returns samples [start, stop) of all channels, (channels, time).
    advance
        Is told how many more bytes are written.
    """
    pack: Callable[[Array], Any] = np.ascontiguousarray if dataset.compression is None else shuffled_and_deflated
    with ThreadPoolExecutor(load_params().workers, thread_name_prefix="encode") as pool:
        for start, block in read_ahead(_blocks(dataset, read)):
            places = list(_places(dataset, block.shape[1]))
            chunks = pool.map(partial(_chunk, dataset, block, pack), places)
            for (frame, channel), packed in zip(places, chunks, strict=True):
                dataset.id.write_direct_chunk((start + frame, channel), packed)
            advance(block.nbytes)


def _blocks(dataset: h5py.Dataset, read: Read) -> Iterator[tuple[int, Array]]:
    """Yield blocks of whole chunks, with their first sample."""
    n_samples, n_channels = dataset.shape
    of_chunk = dataset.chunks[0] * n_channels * dataset.dtype.itemsize
    length = max(1, min(_BLOCK_BYTES, load_params().memory_limit // _SHARE) // of_chunk) * dataset.chunks[0]
    for start in range(0, n_samples, length):
        yield start, read(start, min(start + length, n_samples))


def _places(dataset: h5py.Dataset, n_samples: int) -> Iterator[tuple[int, int]]:
    """Yield the first frame and the first channel of each chunk of a block."""
    for frame in range(0, n_samples, dataset.chunks[0]):
        for channel in range(0, dataset.shape[1], dataset.chunks[1]):
            yield frame, channel


def _chunk(dataset: h5py.Dataset, block: Array, pack: Callable[[Array], Any], place: tuple[int, int]) -> Any:
    """Cut a chunk out of a block, turn its axes round, and pack it; what reaches past the dataset is zero."""
    (frame, channel), (frames, channels) = place, dataset.chunks
    part = block[channel : channel + channels, frame : frame + frames].T
    if part.shape == (frames, channels):
        return pack(np.ascontiguousarray(part, dataset.dtype))
    whole = np.zeros((frames, channels), dataset.dtype)
    whole[: part.shape[0], : part.shape[1]] = part
    return pack(whole)
