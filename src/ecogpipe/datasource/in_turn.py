"""More files than may be open at once, as of a day in files of a minute: each is opened when it is read."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from ecogpipe.datasource.buffers import Array, Buffer, HDF5Buffer, KeptAxis

Place: TypeAlias = tuple[Path, str]

_SHARE = 4
"""Of the files that the process may have open, this fraction is for parts."""


def open_parts(parts: Sequence[Place]) -> list[Buffer]:
    """Open the datasets of several files for reading, all of them at once where so many may be open.

    Raises
    ------
    FormatError
        If a file cannot be opened, or has no such dataset.
    """
    most = _most_open()
    if len(parts) <= most:
        return [HDF5Buffer.open(*part) for part in parts]
    pool = _Pool(most)
    return [PartBuffer(*part, pool) for part in parts]


def _most_open() -> int:
    try:
        import resource  # not there on all systems
    except ImportError:
        return 128
    return max(2, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // _SHARE)


class _Pool:
    """Buffers that are open, the one that was used last at the end."""

    def __init__(self, most: int) -> None:
        self._most, self._open = most, OrderedDict[Place, tuple[HDF5Buffer, list[int]]]()
        self._lock = threading.Lock()

    @contextmanager
    def opened(self, part: Place) -> Iterator[HDF5Buffer]:
        """Yield the open buffer of a part, which stays open meanwhile."""
        with self._lock:
            if part not in self._open:
                self._close_idle(self._most - 1)
                self._open[part] = HDF5Buffer.open(*part), [0]
            self._open.move_to_end(part)
            buffer, users = self._open[part]
            users[0] += 1
        try:
            yield buffer
        finally:
            with self._lock:
                users[0] -= 1

    def close(self) -> None:
        """Close what is open and not used."""
        with self._lock:
            self._close_idle(0)

    def _close_idle(self, most: int) -> None:
        for part in list(self._open):
            buffer, users = self._open[part]
            if len(self._open) > most and not users[0]:
                buffer.close()
                del self._open[part]


class PartBuffer(Buffer):
    """The dataset of a file that is opened when it is read, and closed when others need its place.

    Parameters
    ----------
    path, name
        The file and its dataset.
    pool
        What keeps files open.
    """

    writeable = False

    def __init__(self, path: Path, name: str, pool: _Pool) -> None:
        self._part, self._pool = (path, name), pool
        with pool.opened(self._part) as buffer:
            self.shape, self.dtype = buffer.shape, buffer.dtype
            self._chunks, self._decoded_chunks = buffer.chunks, buffer.decoded_chunks

    @property
    def filename(self) -> str:
        """Path of the file."""
        return str(self._part[0])

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Chunk shape, None where the dataset is contiguous."""
        return self._chunks

    @property
    def decoded_chunks(self) -> tuple[int, ...] | None:
        """Chunk shape where whole chunks are read, None where values are read from where they lie."""
        return self._decoded_chunks

    def read_into(self, axes: Sequence[KeptAxis], out: Array, in_threads: bool = True) -> None:
        """Read what `axes` select into `out`."""
        with self._pool.opened(self._part) as buffer:
            buffer.read_into(axes, out, in_threads)

    def write_from(self, axes: Sequence[KeptAxis], values: Array) -> None:
        """Refuse to write: parts are opened for reading."""
        raise ValueError(f"{self.filename}: is open for reading only; mirror the source to get a writeable copy.")

    def transient_bytes(self, axes: Sequence[KeptAxis]) -> int:
        """Return the bytes that `read_into` allocates beside its result."""
        with self._pool.opened(self._part) as buffer:
            return buffer.transient_bytes(axes)

    def close(self) -> None:
        """Close the files that are open."""
        self._pool.close()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return HDF5Buffer.open, self._part
