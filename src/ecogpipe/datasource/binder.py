"""Several buffers joined end on end along time, read and written as one."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from ecogpipe.datasource.buffers import Array, Buffer, KeptAxis
from ecogpipe.datasource.slicing import IntArray, intersect
from ecogpipe.errors import JoinError


class BufferBinder(Buffer):
    """Buffers of the same layout, joined end on end along time.

    Parameters
    ----------
    buffers
        Buffers or binders in order of time.
    axis
        The axis of the buffers that is time: -1 for (channels, time), 0 for (time, channels).

    Raises
    ------
    JoinError
        If they differ in their channels, their dtype, their time axis, or in whether they can be written to.
    """

    def __init__(self, buffers: Sequence[Buffer], axis: int = -1) -> None:
        if not buffers:
            raise JoinError("There is nothing to join; give at least one buffer.")
        self.axis = axis % 2
        self._buffers: list[Buffer] = [part for buffer in buffers for part in self._parts(buffer)]
        first = self._buffers[0]
        for other in self._buffers[1:]:
            _check_joinable(first, other, self.axis)
        self.dtype, self.writeable = first.dtype, first.writeable
        self._borders = [0, *accumulate(buffer.shape[self.axis] for buffer in self._buffers)]
        rows, length = first.shape[1 - self.axis], self._borders[-1]
        self.shape = (rows, length) if self.axis == 1 else (length, rows)

    def _parts(self, buffer: Buffer) -> list[Buffer]:
        if not isinstance(buffer, BufferBinder):
            return [buffer]
        if buffer.axis != self.axis:
            raise JoinError(
                f"{buffer.filename} are joined along axis {buffer.axis}, these are to be along {self.axis}."
            )
        return buffer.buffers

    @property
    def filename(self) -> list[str]:
        """Path of each joined file, in order."""
        return [str(buffer.filename) for buffer in self._buffers]

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Chunk shape of the first buffer."""
        return self._buffers[0].chunks

    @property
    def decoded_chunks(self) -> tuple[int, ...] | None:
        """Chunk shape of the first buffer where whole chunks are read."""
        return self._buffers[0].decoded_chunks

    @property
    def buffers(self) -> list[Buffer]:
        """The joined buffers, in order."""
        return list(self._buffers)

    def close(self) -> None:
        """Close each buffer."""
        for buffer in self._buffers:
            buffer.close()

    def transient_bytes(self, axes: Sequence[KeptAxis]) -> int:
        """Return the bytes that `read_into` allocates beside its result: of its hungriest buffer, and a list's copy."""
        return max((self._transient_of(*part) for part in self._split(axes)), default=0)

    def read_into(self, axes: Sequence[KeptAxis], out: Array, in_threads: bool = True) -> None:
        """Read what `axes` select into `out`."""
        for buffer, places, part_axes in self._split(axes):
            if isinstance(places, slice):
                buffer.read_into(part_axes, out[self._key(places)], in_threads)
            else:
                part = np.empty([len(index) for index in part_axes], self.dtype)
                buffer.read_into(part_axes, part, in_threads)
                out[self._key(places)] = part

    def write_from(self, axes: Sequence[KeptAxis], values: Array) -> None:
        """Write `values` to what `axes` select."""
        for buffer, places, part_axes in self._split(axes):
            buffer.write_from(part_axes, values[self._key(places)])

    def _split(self, axes: Sequence[KeptAxis]) -> Iterator[tuple[Buffer, slice | IntArray, list[KeptAxis]]]:
        """Yield per touched buffer: where its samples go along time, and its own axis indices."""
        for buffer, border in zip(self._buffers, pairwise(self._borders), strict=True):
            overlap = intersect(axes[self.axis], border)
            if overlap is not None:
                places, taken = overlap
                part_axes = list(axes)
                part_axes[self.axis] = _as_axis(taken, border[1] - border[0])
                yield buffer, places, part_axes

    def _transient_of(self, buffer: Buffer, places: slice | IntArray, axes: list[KeptAxis]) -> int:
        copy = 0 if isinstance(places, slice) else len(axes[0]) * len(axes[1]) * self.dtype.itemsize
        return copy + buffer.transient_bytes(axes)

    def _key(self, places: slice | IntArray) -> tuple[Any, Any]:
        return (slice(None), places) if self.axis == 1 else (places, slice(None))


def _as_axis(taken: slice | IntArray, length: int) -> KeptAxis:
    return range(*taken.indices(length)) if isinstance(taken, slice) else taken


def _check_joinable(first: Buffer, other: Buffer, axis: int) -> None:
    for what, one, two in (
        ("number of channels", first.shape[1 - axis], other.shape[1 - axis]),
        ("dtype", first.dtype, other.dtype),
        ("writeability", first.writeable, other.writeable),
    ):
        if one != two:
            raise JoinError(
                f"{other.filename} cannot follow {first.filename}: its {what} is {two}, not {one}; "
                "only files of one layout can be joined."
            )
