"""What is in a Matlab or HDF5 file whose signals were not found: for a person to declare them."""

from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import h5py

from ecogpipe.formats.hdf5_variables import HDF5Variables
from ecogpipe.formats.matlab import MatlabVariables
from ecogpipe.formats.variables import Variables, plain
from ecogpipe.storage.canonical import CHANNELS_BY_TIME, TIME_BY_CHANNELS
from ecogpipe.storage.hdf5_files import open_hdf5
from ecogpipe.storage.strict_yaml import quoted
from ecogpipe.storage.tsv import BLANK

_RATES = ("fs", "srate", "sfreq", "sampling_rate", "samplingrate", "rate", "fsample")
_INTERVALS = ("si", "dt", "interval", "sampling_interval")


class Variable(NamedTuple):
    """An array of numbers: its name, its shape, its value where it is a single number, whether it is of a group.

    That of a group of vectors, a channel each, is (channels, time).
    """

    name: str
    shape: tuple[int, ...]
    value: Any
    is_group: bool = False


def list_variables(path: Path) -> list[Variable]:
    """Return every array of numbers in a file, the largest first; none where it is neither Matlab nor HDF5.

    Raises
    ------
    FormatError
        If it cannot be read.
    """
    if h5py.is_hdf5(path):
        with open_hdf5(path) as file:
            return _listed(HDF5Variables(path, file))
    return _listed(MatlabVariables(path)) if path.suffix.lower() == ".mat" else []


def suggest_overrides(variables: list[Variable]) -> str:
    """Return a cell for the column overrides that takes the largest array as channels in a row, with daq passthru.

    Examples
    --------
    >>> suggest_overrides([Variable("lfp", (1000, 4), None), Variable("fs", (), 1000.0)])
    'variable: lfp; rate_variable: fs; orientation: time_by_channels; units: FILL_IN; gain: FILL_IN'
    """
    arrays = [each for each in variables if sum(length > 1 for length in each.shape) == 2]
    if not arrays:
        return ""
    single = {each.name.rpartition("/")[2].lower(): each.name for each in variables if prod(each.shape) == 1}
    rates, intervals = ([single[name] for name in names if name in single] for names in (_RATES, _INTERVALS))
    rate = f"sampling_rate: {BLANK}"
    if rates:
        rate = f"rate_variable: {rates[0]}"
    elif intervals:
        rate = f"interval_variable: {intervals[0]}; sampling_interval_unit: {BLANK}"
    first, second = (length for length in arrays[0].shape if length > 1)
    orientation = f"orientation: {CHANNELS_BY_TIME if first <= second else TIME_BY_CHANNELS}"
    words = [rate] if arrays[0].is_group else [rate, orientation]
    name = arrays[0].name
    as_it_stands = name.isprintable() and ";" not in name and name[:1] not in "'\"["
    cells = [f"variable: {name if as_it_stands else quoted(name)}", *words, f"units: {BLANK}", f"gain: {BLANK}"]
    return "; ".join(cells)


def _listed(variables: Variables) -> list[Variable]:
    found = [
        Variable(name, shape, plain(variables.values(name)) if prod(shape) == 1 else None, variables.is_group(name))
        for name, shape in variables.shapes().items()
    ]
    return sorted(found, key=lambda each: (-prod(each.shape), each.name))
