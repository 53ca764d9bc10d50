"""Matlab files of versions 5 to 7, which SciPy reads whole, so only where they fit the memory limit.

Version 7.3 is HDF5, and read by `ecogpipe.formats.hdf5`.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from ecogpipe.errors import EcogpipeError, FormatError, MemoryBlowOutError, first_line
from ecogpipe.formats.header import Header
from ecogpipe.formats.multiplexed import take_lines
from ecogpipe.formats.stated import Stated
from ecogpipe.formats.variables import Signals, bounded, find_signals, plain
from ecogpipe.runtime.params import load_params
from ecogpipe.storage.canonical import DATA, INFO

_DTYPES = {"double": "f8", "single": "f4"} | {
    f"{sign}int{bits}": f"{sign or 'i'}{bits // 8}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
_CLASSES = {dtype: name for name, dtype in _DTYPES.items()}
_OF_DAMAGE = (EOFError, OSError, IndexError, struct.error, zlib.error)
"""What SciPy raises where bytes are missing or overwritten."""

_COPIES_WHILE_LOADING = 2
_SMALL_BYTES = 100_000


def read_matlab5(path: Path, declared: Mapping[str, Any]) -> Header:
    """Read what a Matlab file of version 5 to 7 holds.

    Raises
    ------
    FormatError
        If it is damaged, holds no recording, or something that is needed is neither in it nor declared.
    MemoryBlowOutError
        If the signals do not fit the memory limit.
    """
    variables = MatlabVariables(path)
    signals = find_signals(variables, declared)
    dtype = variables.dtype(signals.variable)
    shape = signals.shape
    needed = _COPIES_WHILE_LOADING * shape[0] * shape[1] * dtype.itemsize
    limit = load_params().memory_limit
    if needed > limit:
        raise MemoryBlowOutError(
            f"{path}: to load {signals.variable} ({shape[0]} x {shape[1]} of {dtype}) takes {needed} bytes, more than "
            f"the memory limit of {limit}; raise memory_limit, or save it with Matlab's -v7.3, which is not loaded."
        )
    header = take_lines("Matlab 5", signals.layout, _LoadedLines(variables, signals), signals.acquisition, declared)
    return replace(header, loaded_bytes=shape[0] * shape[1] * dtype.itemsize)


@dataclass(frozen=True)
class _LoadedLines:
    """The signals of a file, loaded whole when the first block is asked for."""

    variables: "MatlabVariables"
    signals: Signals

    @property
    def path(self) -> Path:
        return self.variables.path

    @property
    def n_lines(self) -> int:
        return self.signals.n_lines

    @property
    def n_values(self) -> int:
        return self.signals.n_values

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.variables.dtype(self.signals.variable)

    def blocks(self, n_values: int, stop: int, start: int = 0) -> Iterator[npt.NDArray[Any]]:
        values = self.variables.values(self.signals.variable).reshape(self.signals.shape)
        lines = values if self.signals.channels_first else values.T
        for first in range(start, stop, n_values):
            yield np.ascontiguousarray(lines[:, first : min(first + n_values, stop)])


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


def _field_names(value: Any) -> Iterator[str]:
    """Yield the names of all fields in structs and cells, and in structs and cells within them, as SciPy loads them."""
    for name in getattr(value, "_fieldnames", ()):
        yield name
        yield from _field_names(getattr(value, name))
    if isinstance(value, np.ndarray) and value.dtype == object:
        for item in value.flat:
            yield from _field_names(item)


def _same(value: Any) -> Any:
    return value


class MatlabVariables:
    """The variables of a file that SciPy reads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _kinds(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and class of each variable, and of the fields of structs as 'struct/field'."""
        found: list[tuple[str, tuple[int, ...], str]] = self._call(scipy.io.whosmat)
        kinds = {name: (shape, kind) for name, shape, kind in found}
        structs = [name for name, (shape, kind) in kinds.items() if kind == "struct" and shape == (1, 1)]
        if DATA in kinds or _COPIES_WHILE_LOADING * self.path.stat().st_size > load_params().memory_limit:
            return kinds
        fields = {f"{name}/{field}": values for name in structs for field, values in self._fields(name).items()}
        return kinds | {name: (values.shape, _CLASSES[values.dtype.str[1:]]) for name, values in fields.items()}

    def _fields(self, struct: str) -> dict[str, npt.NDArray[Any]]:
        """Load the fields of a struct that are arrays of real numbers."""
        loaded = self._call(scipy.io.loadmat, variable_names=[struct])[struct]
        fields = {name: loaded[name].reshape(-1)[0] for name in loaded.dtype.names or ()}
        return {
            name: values.astype(values.dtype.newbyteorder("="), copy=False)
            for name, values in fields.items()
            if isinstance(values, np.ndarray) and values.dtype.str[1:] in _CLASSES
        }

    def stated(self, name: str) -> Stated:
        """Return nothing: these files have no attributes."""
        return Stated()

    def names(self) -> list[str]:
        """Return the names of all variables."""
        return list(self._kinds)

    def all_names(self) -> Iterator[str]:
        """Yield the names of all variables, and of the fields of structs where they can be loaded."""
        yield from self._kinds
        holders = [name for name, (_, kind) in self._kinds.items() if kind in ("struct", "cell")]
        if holders and _COPIES_WHILE_LOADING * self.path.stat().st_size <= load_params().memory_limit:
            loaded = self._call(scipy.io.loadmat, variable_names=holders, squeeze_me=True, struct_as_record=False)
            yield from (field for name in holders for field in _field_names(loaded[name]))

    def first_values(self, name: str, stop: int) -> npt.NDArray[Any]:
        """Return the values of a vector up to `stop`."""
        return self.values(name).reshape(-1)[:stop]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every array of real numbers."""
        return {name: shape for name, (shape, kind) in self._kinds.items() if kind in _DTYPES and 0 not in shape}

    def is_group(self, name: str) -> bool:
        """Return whether an array is that of a group of vectors; these files are not read so."""
        return False

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the dtype that a variable has in Matlab, whichever one it is packed into on the disk."""
        return np.dtype(_DTYPES[self._kinds[name][1]])

    def values(self, name: str) -> npt.NDArray[Any]:
        """Return a small array."""
        struct, _, field = name.partition("/")
        if field:
            return self._fields(struct)[field]
        values = np.asarray(self._call(scipy.io.loadmat, variable_names=[name])[name])
        if values.shape != self._kinds[name][0] or values.dtype.kind == "c":
            raise FormatError(f"{self.path}: {name} is not an array of real numbers; name another variable.")
        return values.astype(self.dtype(name), copy=False)

    def info(self) -> dict[str, Any]:
        """Return what the variable ``info`` holds."""
        if self._kinds.get(INFO, ((), ""))[1] != "struct":
            return {}
        loaded = self._call(scipy.io.loadmat, variable_names=[INFO], squeeze_me=True, struct_as_record=False)[INFO]
        return bounded({name: partial(str if isinstance(value, str) else _same, value)
                        for name, value in _plain_fields(loaded)})  # fmt: skip

    def _call(self, function: Any, **options: Any) -> Any:
        """Call SciPy, whose parser raises errors of many kinds for a damaged file."""
        try:
            return function(str(self.path), appendmat=False, **options)
        except EcogpipeError:
            raise
        except Exception as error:
            is_damaged = isinstance(error, _OF_DAMAGE) or "bytes" in str(error)
            what = "it is damaged, get it again" if is_damaged else "where Matlab opens it, save it there with -v7.3"
            raise FormatError(f"{self.path}: cannot be read as a Matlab file ({first_line(error)}); {what}.") from error
