"""Going through a source block by block, the next block being read while the caller works on this one."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

from ecogpipe.errors import MemoryBlowOutError
from ecogpipe.runtime.params import load_params
from ecogpipe.runtime.threads import read_ahead

Key: TypeAlias = tuple[slice, slice]

_MOST_AT_ONCE = 128_000_000
"""Bytes of all blocks together; larger ones are hardly read any faster."""


class Readable(Protocol):
    """What can be read by a key."""

    def __getitem__(self, key: Any) -> Any: ...


class BlockIterator:
    """Blocks of a source in a given order; `len` counts them, `block(n)` reads one of them.

    Parameters
    ----------
    source
        What the blocks are read from.
    keys
        The key of each block, in order.
    return_slice
        Whether to yield ``(block, key)`` in place of the block.
    """

    def __init__(self, source: Readable, keys: Sequence[Key], return_slice: bool = False) -> None:
        self._source, self._keys, self._return_slice = source, list(keys), return_slice

    def __len__(self) -> int:
        return len(self._keys)

    def block(self, n: int) -> Any:
        """Read block `n`."""
        block, key = self._source[self._keys[n]], self._keys[n]
        return (block, key) if self._return_slice else block

    def __iter__(self) -> Iterator[Any]:
        return read_ahead(self.block(number) for number in range(len(self)))


def affordable(length: int, cost: Callable[[int], int], at_once: int = 2, most: int = _MOST_AT_ONCE) -> int:
    """Return how many of `length` items a block may hold under the memory limit.

    Parameters
    ----------
    length
        Items that there are.
    cost
        Bytes that a block of so many items takes at its peak; more for more items.
    at_once
        How many such blocks are held at once: the caller's and the next one, unless the cost counts all of them.
    most
        Bytes of all blocks together that larger ones do not make faster.

    Raises
    ------
    MemoryBlowOutError
        If not even one fits.
    """
    limit, least = load_params().memory_limit, at_once * cost(1)
    if least > limit:
        raise MemoryBlowOutError(
            f"The smallest blocks take {least:,} bytes, more than the memory limit of {limit:,}; raise the limit to "
            f"{least:,} bytes or more."
        )
    # What a block costs however small it is (chunks that are kept and inflated) does not count as its size.
    dearest = min(limit // at_once, cost(1) + most // at_once)
    return max(1, bisect_right(range(1, length + 1), dearest, key=cost))


def time_keys(n_samples: int, length: int, overlap: int, start: int, partial: bool) -> list[Key]:
    """Return the keys of blocks of time from `start` on, each beginning `length - overlap` after the one before."""
    if length < 1 or not 0 <= overlap < length:
        raise ValueError(
            f"Blocks of {length} samples cannot overlap by {overlap}; the overlap is less than the length."
        )
    if not 0 <= start <= n_samples:
        raise ValueError(f"Blocks cannot begin at sample {start} of {n_samples}.")
    starts = range(start, max(start + 1, n_samples - overlap) if n_samples > start else start, length - overlap)
    keys = [(slice(None), slice(first, min(first + length, n_samples))) for first in starts]
    if not partial:
        keys = [key for key in keys if key[1].stop - key[1].start == length]
    return keys


def channel_keys(n_channels: int, per_block: int) -> list[Key]:
    """Return the keys of blocks of whole channels."""
    if per_block < 1:
        raise ValueError(f"A block of {per_block} channels makes no sense; give 1 or more.")
    return [
        (slice(first, min(first + per_block, n_channels)), slice(None)) for first in range(0, n_channels, per_block)
    ]
