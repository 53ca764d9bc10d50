"""What is in a Matlab or HDF5 file whose signals were not found: for a person to declare them."""

from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from ecogpipe.errors import EcogpipeError
from ecogpipe.formats.acquisition import number_or_none
from ecogpipe.formats.hdf5 import open_foreign_hdf5
from ecogpipe.formats.hdf5_variables import HDF5Variables
from ecogpipe.formats.matlab import MatlabVariables
from ecogpipe.formats.multiplexed import names_of_multiplexer
from ecogpipe.formats.tdms.listing import list_channel_sets
from ecogpipe.formats.variables import Variables, plain
from ecogpipe.storage.canonical import CHANNELS_BY_TIME, TIME_BY_CHANNELS
from ecogpipe.storage.strict_yaml import quoted
from ecogpipe.storage.tsv import BLANK

_RATES = ("fs", "srate", "sfreq", "sampling_rate", "samplingrate", "rate", "fsample")
_INTERVALS = ("si", "dt", "interval", "sampling_interval")

_LOOKED_AT = 10_000
"""Values at the beginning of a vector by which it counts as evenly spaced."""

_UNEVENNESS = 1e-3
_COUNTS = ("numRow", "numCol", "numChan")


class Variable(NamedTuple):
    """An array of numbers in a file.

    Attributes
    ----------
    name : str
        Its name.
    shape : tuple of int
        Its shape; of a group of vectors, a channel each, (channels, time).
    value : number or None
        Its value, where it is a single number.
    step : float or None
        From one value to the next, where it is a vector that is evenly spaced, such as one of times.
    is_group : bool
        Whether it is a group of vectors.
    """

    name: str
    shape: tuple[int, ...]
    value: Any
    step: float | None = None
    is_group: bool = False


class Content(NamedTuple):
    """The arrays of numbers in a file, the largest first, and the names in it that recordings of a multiplexer have."""

    variables: list[Variable]
    of_multiplexer: tuple[str, ...] = ()

    @property
    def lengths(self) -> set[int]:
        """How many channels or analog lines there are by the counts of the lab; empty where they are not all there."""
        counts = {each.name: number_or_none(each.value) for each in self.variables if each.name in _COUNTS}
        n_rows, n_columns, n_lines = (counts.get(name) for name in _COUNTS)
        if n_rows is None or n_columns is None or n_lines is None:
            return set()
        return {round(n_lines), round(n_rows * n_lines)}


def list_content(path: Path) -> Content:
    """Return what is in a file; nothing where it is neither Matlab nor HDF5.

    Raises
    ------
    FormatError
        If it cannot be read.
    """
    if h5py.is_hdf5(path):
        with open_foreign_hdf5(path) as file:
            return _listed(HDF5Variables(path, file))
    return _listed(MatlabVariables(path)) if path.suffix.lower() == ".mat" else Content([])


def suggested_cell(path: Path) -> str:
    """Return a cell for the column overrides that takes the largest signals of a file; '' where there are none.

    Raises
    ------
    FormatError
        If it cannot be read.
    """
    if (content := list_content(path)).variables:
        return suggest_overrides(content)
    sets = list_channel_sets(path)
    return sets[0].overrides if sets else ""


def suggest_overrides(content: Content) -> str:
    """Return a cell for the column overrides that takes the largest array as signals.

    They are channels in a row, for the daq passthru, unless the lab's counts in the file are those of the array.

    Examples
    --------
    >>> suggest_overrides(Content([Variable("lfp", (1000, 4), None), Variable("fs", (), 1000.0)]))
    'variable: lfp; rate_variable: fs; orientation: time_by_channels; units: FILL_IN; gain: FILL_IN'
    """
    variables = content.variables
    by_axes = [[each for each in variables if _n_long_axes(each) == number] for number in (2, 1)]
    arrays = by_axes[0] or [vector for vector in by_axes[1] if vector.step is None]
    if not arrays:
        return ""
    single = {each.name.rpartition("/")[2].lower(): each.name for each in variables if _is_positive(each.value)}
    rates, intervals = ([single[name] for name in names if name in single] for names in (_RATES, _INTERVALS))
    rate = f"sampling_rate: {BLANK}"
    if rates:
        rate = f"rate_variable: {rates[0]}"
    elif intervals:
        rate = f"interval_variable: {intervals[0]}; sampling_interval_unit: {BLANK}"
    lengths = [length for length in arrays[0].shape if length > 1]
    n_channels = 1 if len(lengths) == 1 else lengths[0] if arrays[0].is_group else min(lengths)
    words = [rate]
    if not content.lengths.isdisjoint(arrays[0].shape):
        words = []
    elif content.of_multiplexer:
        words.append(f"n_rows: 1; n_columns: {n_channels}; n_bncs: 0")
    elif len(lengths) > 1 and not arrays[0].is_group:
        words.append(f"orientation: {CHANNELS_BY_TIME if lengths[0] == n_channels else TIME_BY_CHANNELS}")
    name = arrays[0].name
    as_it_stands = name.isprintable() and ";" not in name and name[:1] not in "'\"[" and name == name.strip()
    needed = [*words, f"units: {BLANK}", f"gain: {BLANK}"] if words else []
    return "; ".join([f"variable: {name if as_it_stands else quoted(name)}", *needed])


def _is_positive(value: Any) -> bool:
    as_number = number_or_none(value)
    return as_number is not None and as_number > 0


def _n_long_axes(variable: Variable) -> int:
    return sum(length > 1 for length in variable.shape)


def _listed(variables: Variables) -> Content:
    found = [
        Variable(
            name,
            shape,
            plain(variables.values(name)) if prod(shape) == 1 else None,
            _step(variables, name, shape),
            variables.is_group(name),
        )
        for name, shape in variables.shapes().items()
    ]
    found.sort(key=lambda each: (-prod(each.shape), each.name))
    return Content(found, names_of_multiplexer(variables.all_names()))


def _step(variables: Variables, name: str, shape: tuple[int, ...]) -> float | None:
    if not 2 < max(shape, default=0) == prod(shape):
        return None
    try:
        values = variables.first_values(name, _LOOKED_AT).astype(np.float64)
    except (EcogpipeError, OSError):
        return None
    step = float(values[-1] - values[0]) / (len(values) - 1)
    is_even = step != 0 and np.allclose(np.diff(values), step, rtol=_UNEVENNESS, atol=0)
    return step if is_even else None
