"""Matlab's v7.3 files: HDF5 with a header of their own, and the class of each variable."""

from pathlib import Path

import h5py
import numpy as np

USER_BLOCK = 512
"""Bytes before the HDF5 of such a file, which its header is in."""

_HEADER = "MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2018 HDF5 schema 1.00 ."
_CLASSES = {"f4": "single", "f8": "double", "u1": "uint8", "i2": "int16", "i4": "int32", "i8": "int64"}


def set_class(dataset: h5py.Dataset) -> None:
    """Say of which class of Matlab a dataset of numbers is; Matlab shows its axes the other way round."""
    dataset.attrs["MATLAB_class"] = np.bytes_(_CLASSES[dataset.dtype.str[1:]])


def write_value(group: h5py.Group, name: str, value: float | str) -> None:
    """Write a number or a text as a variable."""
    if isinstance(value, str):
        characters = np.frombuffer(value.encode("utf-16-le"), "<u2")[:, None]
        dataset = group.create_dataset(name, data=characters)
        dataset.attrs["MATLAB_class"] = np.bytes_("char")
        dataset.attrs["MATLAB_int_decode"] = np.int32(2)
    else:
        set_class(group.create_dataset(name, data=np.array([[value]], "f8")))


def write_header(path: Path) -> None:
    """Write the header into the user block of a file that is closed."""
    header = _HEADER.encode().ljust(116) + bytes(8) + b"\x00\x02IM"
    with path.open("r+b") as file:
        file.write(header)
