"""The raw formats: their names, how their files are recognised and read, and files that belong to them.

Imported at every start of the workflow, so a reader is imported only when one of its files is read.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

from ecogpipe.formats.header import Reader

_TDMS, _TDMS_INDEX = b"TDSm", b"TDSh"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_MATLAB5_VERSIONS = (b"\x00\x01IM", b"\x01\x00MI")
_MATLAB4_HEADER = struct.Struct("5i")
_MATLAB4_KINDS = tuple(10 * number + text_or_sparse for number in range(6) for text_or_sparse in range(3))
_MATLAB4_ORDERS = {"<": 0, ">": 1000}
"""The byte orders of a file, and what the type of a matrix says of each."""

_LONGEST_MATLAB4_NAME = 64


@dataclass(frozen=True)
class RawFormat:
    """A format of raw files.

    Attributes
    ----------
    name : str
        Its name, in words.
    suffixes : tuple of str
        How names of its files end.
    recognises : callable
        Tells from a file and its first 128 bytes whether it is of this format.
    reader : str
        Module and function that read its header, ``ecogpipe.formats.<module>:<function>``.
    sidecars : tuple of str
        Suffixes of files that stand beside one of its files, have its name, and are read with it.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[Path, bytes], bool]
    reader: str
    sidecars: tuple[str, ...] = ()

    def load_reader(self) -> Reader:
        """Return the function that reads the header of its files."""
        module, _, function = self.reader.partition(":")
        return cast(Reader, getattr(import_module(module), function))


def sidecars_of(file: Path) -> list[Path]:
    """Return the files that are there beside a raw file and are read with it, by the suffix of its name.

    Examples
    --------
    >>> sidecars_of(Path("raw/test_001.tdms"))
    []
    """
    suffixes = [suffix for each in FORMATS if file.suffix.lower() in each.suffixes for suffix in each.sidecars]
    return [beside for suffix in suffixes if (beside := file.with_suffix(suffix)).is_file()]


def is_tdms_index(head: bytes) -> bool:
    """Return whether a file is the index of a TDMS file, without its samples."""
    return head.startswith(_TDMS_INDEX)


def _is_tdms(path: Path, head: bytes) -> bool:
    return head.startswith(_TDMS)


def _is_matlab(path: Path, head: bytes) -> bool:
    return head[124:128] in _MATLAB5_VERSIONS or _is_matlab4(head)


def _is_matlab4(head: bytes) -> bool:
    """Return whether a matrix of Matlab 4 begins here: type, rows, columns, whether complex, length of its name."""
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


def _is_hdf5(path: Path, head: bytes) -> bool:
    """Return whether HDF5's signature is where it may be: at 0, 512, 1024, 2048... bytes, after a user block."""
    size = path.stat().st_size
    with path.open("rb") as file:
        offset = 0
        while offset < size:
            file.seek(offset)
            if file.read(len(_HDF5)) == _HDF5:
                return True
            offset = max(512, 2 * offset)
    return False


FORMATS = (
    RawFormat("TDMS", (".tdms",), _is_tdms, "ecogpipe.formats.tdms:read_tdms"),
    RawFormat("HDF5", (".h5", ".hdf5", ".mat", ".nwb"), _is_hdf5, "ecogpipe.formats.hdf5:read_hdf5"),
    RawFormat("Matlab", (".mat",), _is_matlab, "ecogpipe.formats.matlab:read_matlab5"),
)
"""All raw formats; a file is of the first one that recognises it."""

RAW_SUFFIXES = tuple(dict.fromkeys(suffix for each in FORMATS for suffix in each.suffixes))
"""How names of raw files end."""
