"""Blocks that are read while the ones before them are worked on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Block = TypeVar("Block")


def read_ahead(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield blocks, the next one being read in a thread meanwhile.

    A block has to stay valid until the one after the next is asked for; that is when its reader may fill it anew.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="read") as reader:
        reading = reader.submit(next, blocks, end)
        while (block := reading.result()) is not end:
            reading = reader.submit(next, blocks, end)
            yield block  # type: ignore[misc]  # it is no end
