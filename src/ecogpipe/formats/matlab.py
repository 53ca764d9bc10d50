"""Matlab files of versions 5 to 7, which SciPy reads whole, so only where they fit the memory limit.

Version 7.3 is HDF5, and read by `ecogpipe.formats.hdf5`.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.io

from ecogpipe.errors import EcogpipeError, FormatError, MemoryBlowOutError
from ecogpipe.formats.header import Header, first_line
from ecogpipe.formats.variables import find_signals, plain
from ecogpipe.layout import INFO
from ecogpipe.params import load_params

_DTYPES = {"double": "f8", "single": "f4"} | {
    f"{sign}int{bits}": f"{sign or 'i'}{bits // 8}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
_COPIES_WHILE_LOADING = 2
_SMALL_BYTES = 1_000_000


def read_matlab5(path: Path, declared: Mapping[str, Any]) -> Header:
    """Read what a Matlab file of version 5 to 7 holds.

    Raises
    ------
    FormatError
        If it is damaged, holds no recording, or something that is needed is neither in it nor declared.
    MemoryBlowOutError
        If the signals do not fit the memory limit.
    """
    variables = _MatlabVariables(path)
    signals = find_signals(variables, declared)
    dtype = variables.dtype(signals.variable)
    shape = variables.shapes()[signals.variable]
    needed = _COPIES_WHILE_LOADING * shape[0] * shape[1] * dtype.itemsize
    limit = load_params().memory_limit
    if needed > limit:
        raise MemoryBlowOutError(
            f"{path}: to load {signals.variable} ({shape[0]} x {shape[1]} of {dtype}) takes {needed} bytes, more than "
            f"the memory limit of {limit}; raise memory_limit, or save it with Matlab's -v7.3, which is not loaded."
        )
    read = partial(_blocks, variables, signals.variable, signals.channels_first)
    return Header(path, "Matlab 5", signals.acquisition, signals.n_samples, dtype, read_blocks=read)


def _blocks(
    variables: "_MatlabVariables", name: str, channels_first: bool, block_length: int
) -> Iterator[npt.NDArray[Any]]:
    values = variables.values(name)
    signals = values if channels_first else values.T
    for start in range(0, signals.shape[1], block_length):
        yield np.ascontiguousarray(signals[:, start : start + block_length])


def _plain_fields(struct: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the fields of a struct, as SciPy loads it, as numbers and text; those of structs in it as 'outer.inner'."""
    for name in getattr(struct, "_fieldnames", ()):
        value = getattr(struct, name)
        if hasattr(value, "_fieldnames"):
            yield from _plain_fields(value, f"{prefix}{name}.")
            continue
        values = np.asarray(value)
        if values.dtype == object:
            yield prefix + name, f"{' x '.join(map(str, values.shape))} cells"
        elif values.nbytes <= _SMALL_BYTES:
            yield prefix + name, plain(values)


class _MatlabVariables:
    """The variables of a file that SciPy reads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _kinds(self) -> dict[str, tuple[tuple[int, ...], str]]:
        found: list[tuple[str, tuple[int, ...], str]] = self._call(scipy.io.whosmat)
        return {name: (shape, kind) for name, shape, kind in found}

    def names(self) -> list[str]:
        return list(self._kinds)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: shape for name, (shape, kind) in self._kinds.items() if kind in _DTYPES and 0 not in shape}

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the dtype that a variable has in Matlab, whichever one it is packed into on the disk."""
        return np.dtype(_DTYPES[self._kinds[name][1]])

    def values(self, name: str) -> npt.NDArray[Any]:
        values = np.asarray(self._call(scipy.io.loadmat, variable_names=[name])[name])
        if values.shape != self._kinds[name][0] or values.dtype.kind == "c":
            raise FormatError(f"{self.path}: {name} is no array of real numbers; name another variable.")
        return values.astype(self.dtype(name), copy=False)

    def info(self) -> dict[str, Any]:
        if self._kinds.get(INFO, ((), ""))[1] != "struct":
            return {}
        loaded = self._call(scipy.io.loadmat, variable_names=[INFO], squeeze_me=True, struct_as_record=False)[INFO]
        return dict(_plain_fields(loaded))

    def _call(self, function: Any, **options: Any) -> Any:
        """Call SciPy, whose parser raises errors of many kinds for a damaged file."""
        try:
            return function(str(self.path), appendmat=False, **options)
        except EcogpipeError:
            raise
        except Exception as error:
            raise FormatError(
                f"{self.path}: cannot be read as a Matlab file ({first_line(error)}); it is damaged, get it again."
            ) from error
