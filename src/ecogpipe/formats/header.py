"""The face that all readers share: what a file holds, without its samples."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from ecogpipe.storage.canonical import Acquisition, Part, Segment

BlockReader: TypeAlias = Callable[[int], Iterator[npt.NDArray[Any]]]
"""Yields the samples in blocks of so many frames, (channels, time), once, in order of time.

Only the last may be shorter. Each is valid until the one after the next is asked for, so that one can be read ahead.
"""


@dataclass(frozen=True)
class Header:
    """What one file of a recording holds.

    Attributes
    ----------
    path : Path
        The file.
    kind : str
        Its format, in words.
    acquisition : Acquisition
        How its channels were acquired, as read and declared.
    n_samples : int
        Frames.
    dtype : dtype
        Of the samples, in the machine's byte order where they are copied.
    parts : tuple of Part
        The datasets that can be linked; empty where the samples must be copied.
    segments : tuple of Segment
        The stretches that a file of several parts was joined from; empty where the file is one part.
    read_blocks : callable, optional
        Where they must be copied: takes a number of frames, yields blocks of that many.
    loaded_bytes : int
        Size of the array that is loaded whole before there is a first block; 0 where blocks are read one by one.
    sources : tuple of Path
        Other files that hold samples of this one.
    """

    path: Path
    kind: str
    acquisition: Acquisition
    n_samples: int
    dtype: np.dtype[Any]
    parts: tuple[Part, ...] = ()
    read_blocks: BlockReader | None = None
    segments: tuple[Segment, ...] = ()
    loaded_bytes: int = 0
    sources: tuple[Path, ...] = ()


class Reader(Protocol):
    """Reads the header of one format.

    It raises FormatError or SettingsError, and no other error, for a file that it cannot read.
    """

    def __call__(self, path: Path, declared: Mapping[str, Any]) -> Header:
        """Read what the file at `path` holds; `declared` values take precedence over what it says."""
