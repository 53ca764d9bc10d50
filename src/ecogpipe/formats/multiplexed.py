"""The lab's layouts: which one a file is in, and from its analog lines to the channels of the array.

Layout A holds each channel of the array. Layout B holds the analog lines, in which the multiplexer rows still follow
one another: sample t * n_rows + row. Layout C is that before the oversampling was collapsed; nothing in a file tells it
from layout B, so it is declared by its `skip_seconds`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from functools import partial
from itertools import cycle
from math import ceil
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import FormatError
from ecogpipe.formats.header import Header
from ecogpipe.storage.canonical import Acquisition

LabLayout: TypeAlias = Literal["A", "B", "C"]

_DROPPED_OF_A_VISIT = 2
_OF_MULTIPLEXER = frozenset((
    "numrow", "numcol", "numchan", "osr", "samprate", "nrrows", "nrcolumns", "nrbncs", "oversampling",
))  # fmt: skip
"""What the lab's programs write of a multiplexer, in lower case."""


class Lines(Protocol):
    """The analog lines of a file, whichever format it has."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def n_lines(self) -> int:
        """How many there are."""

    @property
    def n_values(self) -> int:
        """Samples of each."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples, in the machine's byte order."""

    def blocks(self, n_values: int, stop: int, start: int = 0) -> Iterator[npt.NDArray[Any]]:
        """Yield samples [start, stop) of each line in blocks of `n_values`, (lines, time); the last may be shorter.

        Each is valid until the one after the next is asked for.
        """


def names_of_multiplexer(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that recordings of a multiplexer have, whatever their case; without any, channels are one row.

    Examples
    --------
    >>> names_of_multiplexer(["data", "NumRow", "fs"])
    ('NumRow',)
    """
    return tuple(dict.fromkeys(name for name in names if name.casefold() in _OF_MULTIPLEXER))


def n_analog_lines(acquisition: Acquisition) -> int:
    """Return how many analog lines the DAQ has: one for each column."""
    return acquisition.n_columns + acquisition.n_bncs


def layouts_by_count(acquisition: Acquisition, declared: Mapping[str, Any]) -> dict[int, LabLayout]:
    """Return the layouts that a recording can be in, by the number of lines that its file then holds."""
    if "skip_seconds" in declared:
        return {n_analog_lines(acquisition): "C"}
    return {n_analog_lines(acquisition): "B", acquisition.n_channels: "A"}


def take_lines(
    kind: str, layout: LabLayout, lines: Lines, acquisition: Acquisition, declared: Mapping[str, Any]
) -> Header:
    """Take lines to be in a layout; the samples are copied, in blocks.

    Raises
    ------
    FormatError
        If they hold no frame, or what is declared leaves nothing of them.
    """
    match layout:
        case "A":
            read = partial(lines.blocks, stop=lines.n_values)
            return Header(lines.path, kind, acquisition, lines.n_values, lines.dtype, read_blocks=read)
        case "B":
            return _demultiplexed(f"{kind}, layout B", lines, acquisition)
        case "C":
            return _averaged(f"{kind}, layout C", lines, acquisition, declared)


def describe_counts(acquisition: Acquisition, declared: Mapping[str, Any]) -> str:
    """Say how many lines a file should hold, and why."""
    columns = f"{acquisition.n_columns} electrode and {acquisition.n_bncs} BNC columns"
    n_analog = n_analog_lines(acquisition)
    if "skip_seconds" in declared:
        return f"skip_seconds declares the raw analog lines of {columns}, {n_analog} in all"
    n_rows, n_channels = acquisition.n_rows, acquisition.n_channels
    return f"{n_rows} rows of {columns} make {n_channels} channels, or {n_analog} while multiplexed"


def advice_on_counts(declared: Mapping[str, Any]) -> str:
    """Say what to do about a file that holds another number of lines."""
    if "skip_seconds" in declared:
        return "declare n_columns and n_bncs as they were, or take skip_seconds out."
    return "declare n_rows, n_columns and n_bncs as they were."


def demultiplex(lines: npt.NDArray[Any], n_rows: int) -> npt.NDArray[Any]:
    """Return the channels, (lines * rows, frames), of lines that hold whole frames, (lines, frames * rows).

    Examples
    --------
    >>> demultiplex(np.array([[0, 10, 1, 11, 2, 12]]), n_rows=2).tolist()
    [[0, 1, 2], [10, 11, 12]]
    """
    by_row = lines.reshape(len(lines), -1, n_rows).swapaxes(1, 2)
    return by_row.reshape(len(lines) * n_rows, -1)


def average_visits(lines: npt.NDArray[Any], n_rows: int, visit: int) -> npt.NDArray[np.float64]:
    """Average each visit of a row but for its first and last sample.

    Takes whole frames of lines, (lines, frames * rows * visit), and returns (lines, frames, rows).
    """
    # NumPy adds up in another order where the axes lie otherwise in memory, and the last bits would differ by format.
    in_order = np.ascontiguousarray(lines)
    visits = in_order.reshape(len(lines), -1, n_rows, visit)[..., 1:-1]
    averages: npt.NDArray[np.float64] = visits.mean(axis=-1, dtype=np.float64)
    return averages


def _demultiplexed(kind: str, lines: Lines, acquisition: Acquisition) -> Header:
    """Take lines as layout B: the multiplexer rows one after the other."""
    n_rows = acquisition.n_rows
    n_samples, rest = divmod(lines.n_values, n_rows)
    if not n_samples:
        raise FormatError(
            f"{lines.path}: its {lines.n_values} samples per line are less than a frame of {n_rows} rows."
        )
    note = f"demultiplexed: {lines.n_lines} lines of {n_rows} rows each"
    acquisition.notes.append(note + _left_out(rest))
    read = partial(_demultiplexed_blocks, lines, n_rows, n_samples)
    return Header(lines.path, kind, acquisition, n_samples, lines.dtype, read_blocks=read)


def _averaged(kind: str, lines: Lines, acquisition: Acquisition, declared: Mapping[str, Any]) -> Header:
    """Take lines as layout C: raw samples of the converter, several at each visit of a row, row after row."""
    path, n_rows, visit = lines.path, acquisition.n_rows, acquisition.oversampling
    if visit is None or visit <= _DROPPED_OF_A_VISIT:
        raise FormatError(
            f"{path}: holds raw analog lines with an oversampling of {visit}, but the first and the last sample of "
            "each visit of a row are dropped, so 3 at least are needed; declare 'oversampling: <the true one>'."
        )
    n_skipped = ceil(Fraction(str(declared["skip_seconds"])) * acquisition.rate)
    n_found, rest = divmod(lines.n_values, n_rows * visit)
    if n_found <= n_skipped:
        raise FormatError(
            f"{path}: its {lines.n_values} samples per line are {n_found} frames of {n_rows} rows and {visit} samples "
            f"each, and skip_seconds takes {n_skipped} of them; declare skip_seconds and oversampling as they were."
        )
    note = (
        f"raw analog lines: the first {n_skipped} frames skipped; of the {visit} samples of each visit of a row, the "
        "first and the last dropped and the others averaged"
    )
    acquisition.notes.append(note + _left_out(rest))
    if acquisition.start_time and "start_time" not in declared:
        skipped = timedelta(seconds=float(n_skipped / acquisition.rate))
        started = datetime.fromisoformat(acquisition.start_time) + skipped
        acquisition = replace(acquisition, start_time=started.isoformat())
    n_samples = n_found - n_skipped
    read = partial(_averaged_blocks, lines, n_rows, visit, n_skipped, n_samples)
    return Header(path, kind, acquisition, n_samples, np.dtype(np.float64), read_blocks=read)


def _left_out(n_values: int) -> str:
    return f"; the last {n_values} samples do not fill a frame and are left out" if n_values else ""


def _demultiplexed_blocks(lines: Lines, n_rows: int, n_samples: int, block_length: int) -> Iterator[npt.NDArray[Any]]:
    for block in lines.blocks(block_length * n_rows, n_samples * n_rows):
        yield demultiplex(block, n_rows)


def _averaged_blocks(
    lines: Lines, n_rows: int, visit: int, n_skipped: int, n_samples: int, block_length: int
) -> Iterator[npt.NDArray[Any]]:
    """Yield averaged frames, (channels, time), in blocks; as many samples are read at once as a block holds."""
    frame, at_once = n_rows * visit, max(1, block_length // visit)
    buffers = cycle(np.empty((2, lines.n_lines * n_rows, min(block_length, n_samples))))
    averages, filled = next(buffers), 0
    for block in lines.blocks(at_once * frame, (n_skipped + n_samples) * frame, n_skipped * frame):
        averaged_frames = average_visits(block, n_rows, visit)
        for frames in np.array_split(averaged_frames, [averages.shape[1] - filled], axis=1):
            stop = filled + frames.shape[1]
            by_row = averages[:, filled:stop].reshape(len(block), n_rows, -1)
            by_row[:] = frames.swapaxes(1, 2)
            filled = stop
            if filled == averages.shape[1]:
                yield averages
                averages, filled = next(buffers), 0
    if filled:
        yield averages[:, :filled]
