"""Channel masks that other tools saved, as arrays: NumPy's .npy, Matlab's .mat of any version, HDF5."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import scipy

from ecogpipe.errors import EcogpipeError, FormatError, first_line

Arrays = dict[str, npt.NDArray[Any]]

_NPY = b"\x93NUMPY"
_MATLAB_CLASS = "MATLAB_class"
_LARGEST = 1_000_000
"""Elements; what is larger is not a mask, and is left in the file."""

_MATLAB_NUMBERS = ("double", "single", "logical", "int8", "uint8", "int16", "uint16", "int32", "uint32")


def read_mask_arrays(path: Path) -> Arrays:
    """Read every array of numbers or bools that could be a mask, by name, with its axes as its own program shows them.

    The array of an .npy file has the name ''.

    Raises
    ------
    FormatError
        If the file is missing, is none of these, or is damaged.
    """
    try:
        with path.open("rb") as file:
            is_npy = file.read(len(_NPY)) == _NPY
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror}); check the name of the mask.") from None
    reader: Callable[[Path], Arrays] = _read_npy if is_npy else _read_hdf5 if h5py.is_hdf5(path) else _read_matlab5
    try:
        return reader(path)
    except EcogpipeError:
        raise
    except Exception as error:
        raise FormatError(
            f"{path}: cannot be read as a mask ({first_line(error)}); name a .npy, .mat or HDF5 file that is whole."
        ) from error


def _read_npy(path: Path) -> Arrays:
    return {"": np.load(path, mmap_mode="r", allow_pickle=False)}


def _read_matlab5(path: Path) -> Arrays:
    kinds = scipy.io.whosmat(str(path), appendmat=False)
    names = [name for name, shape, kind in kinds if kind in _MATLAB_NUMBERS and np.prod(shape) <= _LARGEST]
    if not names:
        return {}
    loaded = scipy.io.loadmat(str(path), appendmat=False, variable_names=names)
    return {name: np.asarray(loaded[name]) for name in names}


def _read_hdf5(path: Path) -> Arrays:
    arrays: Arrays = {}
    with h5py.File(path, "r", locking=False) as file:
        axes_reversed = any(_MATLAB_CLASS in item.attrs for item in file.values())

        def note(name: str, item: h5py.HLObject) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf" and 0 < item.size <= _LARGEST:
                values = np.asarray(item[()])
                arrays[name] = values.T if axes_reversed else values

        file.visititems(note)
    return arrays
