"""Leaving out the end of a recording: what a file holds before it, copied."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import ceil
from typing import Any

import numpy.typing as npt

from ecogpipe.datasource.buffers import HDF5Buffer
from ecogpipe.errors import FormatError
from ecogpipe.formats.header import Header
from ecogpipe.storage.canonical import Part


def crop_end(header: Header, seconds: float) -> Header:
    """Return the header of a file without its last seconds, rounded up to whole frames.

    Raises
    ------
    FormatError
        If nothing is left, or the file consists of several stretches.
    """
    rate = header.acquisition.rate
    n_kept = header.n_samples - ceil(Fraction(str(seconds)) * rate)
    if n_kept <= 0 or len(header.parts) > 1:
        held = f"{float(header.n_samples / rate):g} s" if n_kept <= 0 else f"{len(header.parts)} parts"
        raise FormatError(
            f"{header.path}: crop_end_seconds leaves out {seconds:g} s, but it holds {held}; declare less, or name "
            "files of one part."
        )
    read = header.read_blocks or partial(_blocks_of_part, header.parts[0], header.n_samples)
    entry = {
        "part": header.path.name,
        "reason": "declared by crop_end_seconds",
        "samples_expected": [header.n_samples],
        "samples_found": [header.n_samples],
        "samples_kept": n_kept,
    }
    acquisition = replace(header.acquisition, cropped=[*header.acquisition.cropped, entry])
    dtype = header.dtype.newbyteorder("=")
    return replace(
        header,
        acquisition=acquisition,
        n_samples=n_kept,
        dtype=dtype,
        parts=(),
        segments=(),
        read_blocks=partial(_kept_blocks, read, n_kept, dtype),
    )


def _kept_blocks(read: Any, n_kept: int, dtype: Any, n_frames: int) -> Iterator[npt.NDArray[Any]]:
    left = n_kept
    for block in read(n_frames):
        yield block[:, :left].astype(dtype, copy=False)
        left -= block.shape[1]
        if left <= 0:
            return


def _blocks_of_part(part: Part, n_samples: int, n_frames: int) -> Iterator[npt.NDArray[Any]]:
    with closing(HDF5Buffer.open(part.path, part.dataset)) as buffer:
        for first in range(0, n_samples, n_frames):
            times = slice(first, min(first + n_frames, n_samples))
            yield buffer[times].T if part.time_first else buffer[:, times]
