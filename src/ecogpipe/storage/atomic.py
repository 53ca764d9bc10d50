"""Files that appear whole under their final name or not at all."""

import errno
import glob
import logging
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

import h5py

from ecogpipe.errors import OutputError, error_number

logger = logging.getLogger(__name__)

_DAY = 86_400


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which becomes `path` when the block ends without an error.

    The file is flushed to the disk before it gets its final name. After an error it is removed; after a kill it
    stays under its temporary name until the next attempt at the same output on the same machine removes it.

    Raises
    ------
    OutputError
        If the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    remove_leftovers(path.parent, f".{path.name}.{socket.gethostname()}.*.part")
    part = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        _flush(part)
        part.replace(path)
        _flush(path.parent)
    except (OSError, RuntimeError) as error:
        number = error_number(error)
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES) and not isinstance(error, OutputError):
            raise OutputError(
                f"{path}: could not be written ({os.strerror(number)}); make room or choose another folder, "
                "then run again."
            ) from error
        raise
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            part.unlink()


@contextmanager
def whole_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """Yield a new HDF5 file, open for writing, that appears as `path` when the block ends without an error.

    Before it gets its name it is opened once more, which HDF5 refuses where the file is shorter than it should be.
    """
    with whole_file(path) as part:
        with h5py.File(part, "w", libver=("v110", "latest"), locking=False) as file:
            yield file
        h5py.File(part, "r", locking=False).close()


@contextmanager
def flushed_early(file: h5py.File) -> Iterator[Callable[[], None]]:
    """Yield a function, for any thread, that begins to bring to the disk what was written, and does not wait for it.

    The disk then works while the rest is still being made, and little is left to flush at the end.
    """
    handle, flushing, one_at_a_time = file.id.get_vfd_handle(), Future[None](), Lock()
    flushing.set_result(None)
    with ThreadPoolExecutor(1, thread_name_prefix="flush") as flusher:

        def flush() -> None:
            nonlocal flushing
            with one_at_a_time:
                if flushing.done():
                    flushing.result()
                    flushing = flusher.submit(_sync_data, handle)

        yield flush
        flushing.result()


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Remove files and folders like `pattern`, ``*.<pid>.<suffix>``, where the process of that number has ended."""
    for leftover in folder.glob(pattern):
        owner = leftover.name.split(".")[-2]
        if owner.isdigit() and int(owner) != os.getpid() and not _is_running(int(owner)):
            logger.info("removing %s, left behind by a run that was killed", leftover)
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what killed runs have left anywhere in a folder: parts whose process has ended, or is not known to run.

    Whether a process of another machine runs is not known; its parts go when a day has passed without a change.
    """
    for part in folder.rglob(".*.part"):
        if re.fullmatch(rf"\..+\.{re.escape(socket.gethostname())}\.\d+\.part", part.name):
            remove_leftovers(part.parent, glob.escape(part.name))
        elif re.fullmatch(r"\..+\.\d+\.part", part.name) and time.time() - part.stat().st_mtime > _DAY:
            part.unlink(missing_ok=True)


_sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
"""Not all systems tell the data of a file from what is known of it."""


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_running(pid: int) -> bool:
    """Return whether a process is at work; one that has ended, but whose end nobody has asked for, is not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _state(pid) not in ("Z", "X")


def _state(pid: int) -> str:
    """Return the letter of a process's state, which follows its name in brackets; none where the system tells none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(") ")[2][:1]
    except OSError:
        return ""
