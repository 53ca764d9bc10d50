"""Readers of acquisition files, one per format, all with the same face.

What a file is, is told by its first bytes, not by its name.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecogpipe.errors import FormatError
from ecogpipe.formats.acquisition import check_declared
from ecogpipe.formats.hdf5 import read_hdf5
from ecogpipe.formats.header import Header, Reader
from ecogpipe.formats.matlab import read_matlab5
from ecogpipe.formats.tail import crop_end
from ecogpipe.formats.tdms import read_tdms

__all__ = ["Header", "read_header"]

_TDMS, _TDMS_INDEX = b"TDSm", b"TDSh"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_MATLAB5_VERSIONS = (b"\x00\x01IM", b"\x01\x00MI")
_MATLAB4_HEADER = struct.Struct("5i")
_MATLAB4_KINDS = tuple(10 * number + text_or_sparse for number in range(6) for text_or_sparse in range(3))
_MATLAB4_ORDERS = {"<": 0, ">": 1000}
"""The byte orders of a file, and what the type of a matrix says of each."""

_LONGEST_MATLAB4_NAME = 64
_HEAD_BYTES = 128


def read_header(path: str | Path, declared: Mapping[str, Any] | None = None) -> Header:
    """Read what an acquisition file holds, without its samples.

    Parameters
    ----------
    path
        A TDMS, Matlab or HDF5 file.
    declared
        Acquisition values that a person declares, which take precedence over what the file says.

    Raises
    ------
    FormatError
        If it is none of these, is damaged, or something that is needed is neither in it nor declared.
    SettingsError
        If a declared value is not known, or cannot be.
    """
    check_declared(declared or {})
    header = _reader_of(Path(path))(Path(path), declared or {})
    seconds = (declared or {}).get("crop_end_seconds", 0)
    return crop_end(header, seconds) if seconds else header


def _reader_of(path: Path) -> Reader:
    head = _first_bytes(path)
    if head.startswith(_TDMS):
        return read_tdms
    if head.startswith(_TDMS_INDEX):
        raise FormatError(f"{path}: is the index of a TDMS file, without its samples; name the .tdms file itself.")
    if _is_hdf5(path):
        return read_hdf5
    if head[124:128] in _MATLAB5_VERSIONS or _is_matlab4(head):
        return read_matlab5
    found = "is empty" if not head else f"begins with {head[:8]!r}"
    raise FormatError(f"{path}: {found}, so it is no TDMS, Matlab or HDF5 file; name the file of the recording.")


def _is_matlab4(head: bytes) -> bool:
    """Whether a matrix of Matlab 4 begins here: its type, rows, columns, whether it is complex, length of its name."""
    if len(head) < _MATLAB4_HEADER.size:
        return False
    return any(_is_matlab4_header(head, order, of_order) for order, of_order in _MATLAB4_ORDERS.items())


def _is_matlab4_header(head: bytes, order: str, of_order: int) -> bool:
    kind, n_rows, n_columns, is_complex, name_length = struct.unpack_from(order + _MATLAB4_HEADER.format, head)
    name = head[_MATLAB4_HEADER.size : _MATLAB4_HEADER.size + max(0, name_length)]
    return (
        kind - of_order in _MATLAB4_KINDS
        and min(n_rows, n_columns) >= 0
        and is_complex in (0, 1)
        and 1 < name_length <= _LONGEST_MATLAB4_NAME
        and name.endswith(b"\0")
    )


def _is_hdf5(path: Path) -> bool:
    """Whether HDF5's signature is where it may be: at 0, 512, 1024, 2048... bytes, after a user block."""
    size = path.stat().st_size
    with path.open("rb") as file:
        offset = 0
        while offset < size:
            file.seek(offset)
            if file.read(len(_HDF5)) == _HDF5:
                return True
            offset = max(512, 2 * offset)
    return False


def _first_bytes(path: Path) -> bytes:
    try:
        # A pipe would be waited for.
        if path.exists() and not path.is_file():
            what = (
                "a folder; name the files in it" if path.is_dir() else "not a regular file; name the recording's file"
            )
            raise FormatError(f"{path}: is {what}.")
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except FileNotFoundError:
        raise FormatError(f"{path}: there is no such file; check the name, and that its disk is connected.") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror}); name a file that can.") from error
