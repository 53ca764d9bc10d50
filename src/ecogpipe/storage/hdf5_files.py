"""Opening HDF5 files, and saying why one cannot be opened."""

import errno
from pathlib import Path

import h5py

from ecogpipe.errors import FormatError, error_number, first_line
from ecogpipe.runtime.params import load_params

_CACHE_SHARE = 8
"""The chunks that one window after the other touches hold at most this fraction of the memory limit."""

_HDF5_CACHE_BYTES = 2**20
"""What HDF5 gives a dataset's chunks at the least."""


def open_hdf5(path: str | Path, writeable: bool = False) -> h5py.File:
    """Open an HDF5 file, for reading (without a lock) unless `writeable`.

    Raises
    ------
    FormatError
        If the file does not exist, is not an HDF5 file, or is locked by another program.
    """
    try:
        if writeable:
            return h5py.File(path, "r+")
        return h5py.File(path, "r", locking=False, rdcc_nbytes=max(_HDF5_CACHE_BYTES, chunk_cache_bytes()))
    except FileNotFoundError:
        raise FormatError(f"{path}: there is no such file; check the name, and that its disk is connected.") from None
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.ENOLCK):
            raise FormatError(
                f"{path}: is locked by another program, or its disk knows no locks (errno {error.errno}); close "
                "the other program, or set HDF5_USE_FILE_LOCKING=FALSE where no other program writes to it."
            ) from error
        if "locking flag" in str(error):
            raise FormatError(
                f"{path}: is open in this program already, with another setting of locks; close it there, hand the "
                "open file over, or open it with h5py.File(path, 'r', locking=False)."
            ) from error
        raise FormatError(f"{path}: {_why_not_opened(error)}") from error


def _why_not_opened(error: OSError) -> str:
    """Say in words why HDF5 cannot open a file, and what to do."""
    said, number = str(error), error_number(error)
    if "h5clear" in said or "already open for write" in said or "consistency flag" in said:
        return (
            "was not closed by the program that wrote it, or is still open there; close that program, or where it has "
            "ended, mark the file as closed with `h5clear -s <file>` and look whether all samples are in it."
        )
    if number in (errno.EMFILE, errno.ENFILE):
        return "cannot be opened, as too many files are open; raise the limit (`ulimit -n`), or close others."
    if number in (errno.EACCES, errno.EPERM):
        return "may not be read (permission denied); ask its owner for the permission to read it."
    if number == errno.EISDIR:
        return "is a folder; name the file of the recording."
    if "truncated file" in said:
        return "is truncated: it ends before its HDF5 structure says; get it again from where it was recorded."
    if "signature not found" in said:
        return "is not an HDF5 file; name the file of the recording."
    return (
        f"cannot be opened as HDF5 ({first_line(error)}); if other programs cannot either, it is damaged: get it again."
    )


def chunk_cache_bytes() -> int:
    """Return the room for the chunks that one window after the other touches."""
    return load_params().memory_limit // _CACHE_SHARE
