"""Files that hold the signals as one array among named variables: Matlab's and HDF5's, read alike.

The names of the acquisition values are those that the lab's converters write: Fs, sampRate, OSR, numRow, numCol,
numChan, and what is in ``info``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from ecogpipe.errors import FormatError, nearest
from ecogpipe.formats.acquisition import Found, number, number_or_none, rate_of_interval, settle, whole
from ecogpipe.formats.multiplexed import LabLayout, advice_on_counts, describe_counts, layouts_by_count
from ecogpipe.layout import CHANNELS_BY_TIME, DATA, TIME_BY_CHANNELS, Acquisition
from ecogpipe.signal.rates import exact_rate

_REORDERED = "ELECTRODE"
_LISTED_AT_MOST = 12


class Variables(Protocol):
    """The named arrays of one file, with their axes in the order that the file's own program shows."""

    path: Path

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every array of real numbers, by name."""

    def values(self, name: str) -> npt.NDArray[Any]:
        """Return a small array."""

    def names(self) -> list[str]:
        """Return the names of all variables, arrays of numbers or not."""

    def info(self) -> dict[str, Any]:
        """Return what the variable ``info`` holds, as numbers and text."""


@dataclass(frozen=True)
class Signals:
    """The array that holds the signals.

    Attributes
    ----------
    variable : str
        Its name.
    acquisition : Acquisition
        How it was acquired.
    n_lines, n_values : int
        Lengths of its axes: the channels or analog lines that it holds, and the samples of each.
    channels_first : bool
        Whether the first axis is that of the channels or lines.
    layout : {'A', 'B', 'C'}
        Which of the lab's layouts it is in.
    """

    variable: str
    acquisition: Acquisition
    n_lines: int
    n_values: int
    channels_first: bool
    layout: LabLayout


def find_signals(variables: Variables, declared: Mapping[str, Any]) -> Signals:
    """Find the signals among the variables of a file; the number of channels or lines tells its layout and its axes.

    Raises
    ------
    FormatError
        If they are not there, their channels cannot be told, or something that is needed is missing.
    """
    shapes = variables.shapes()
    variable = _choose(variables, shapes, declared.get("variable"))
    shape = shapes[variable]
    found = _found(variables, f"{variable} ({_times(shape)})", declared)
    acquisition = settle(variables.path, found, declared, _declared_rate(variables, declared))
    layouts = layouts_by_count(acquisition, declared)
    described = f"{variables.path}: {variable} is {_times(shape)}, and {describe_counts(acquisition, declared)}"
    channels_first = _channels_first(described, shape, list(layouts), declared)
    n_lines, n_values = shape if channels_first else shape[::-1]
    if not n_values:
        raise FormatError(f"{variables.path}: {variable} holds no samples; record or copy it again.")
    return Signals(variable, acquisition, n_lines, n_values, channels_first, layouts[n_lines])


def plain(values: npt.NDArray[Any]) -> Any:
    """Return an array as a number where it is one, else as text."""
    return values.reshape(-1)[0].item() if values.size == 1 else str(values.tolist())


def _choose(variables: Variables, shapes: Mapping[str, tuple[int, ...]], declared: str | None) -> str:
    name = DATA if declared is None else declared
    if len(shapes.get(name, ())) == 2:
        return name
    path, offer = variables.path, _offer(shapes)
    if name in shapes:
        raise FormatError(f"{path}: {name} has shape {_times(shapes[name])}, signals have two axes; {offer}")
    if name in variables.names():
        raise FormatError(f"{path}: {name} is no array of real numbers; {offer}")
    hint = "" if declared is None else " " + nearest(name, shapes or variables.names() or ["nothing"])
    raise FormatError(f"{path}: has no variable {name!r}.{hint} {offer[0].upper()}{offer[1:]}")


def _offer(shapes: Mapping[str, tuple[int, ...]]) -> str:
    arrays = [f"{name} ({_times(shape)})" for name, shape in shapes.items() if len(shape) == 2 and max(shape) > 1]
    if not arrays:
        return "it holds no array of numbers that could be signals, name another file."
    return (
        f"it holds {', '.join(arrays[:_LISTED_AT_MOST])}; declare 'variable: <name>' in the overrides of the recording."
    )


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "of one number"


def _scalar(variables: Variables, name: str) -> Any:
    values = variables.values(name)
    if values.size != 1:
        raise FormatError(f"{variables.path}: {name} holds {values.size} values where one number is needed.")
    return values.reshape(-1)[0].item()


def _declared_rate(variables: Variables, declared: Mapping[str, Any]) -> Fraction | None:
    """Frames per second from the variable that a person names."""
    for key in ("rate_variable", "interval_variable"):
        name = declared.get(key)
        if name is not None:
            shapes = variables.shapes()
            if name not in shapes:
                raise FormatError(f"{variables.path}: has no variable {name!r} of numbers. {nearest(name, shapes)}")
            value = number(variables.path, name, _scalar(variables, name))
            if value <= 0:
                raise FormatError(f"{variables.path}: {name} is {value:g}, which is no {key.partition('_')[0]}.")
            if key == "rate_variable":
                return exact_rate(value)
            return rate_of_interval(value, declared["sampling_interval_unit"])
    return None


def _found(variables: Variables, holds: str, declared: Mapping[str, Any]) -> Found:
    path, known = variables.path, variables.shapes()
    counts: dict[str, Any] = {
        name: whole(path, key, _scalar(variables, key))
        for name, key in (("n_rows", "numRow"), ("n_columns", "numCol"), ("oversampling", "OSR"))
        if key in known and name not in declared
    }
    if "numChan" in known and "n_columns" in counts and "n_bncs" not in declared:
        counts["n_bncs"] = whole(path, "numChan", _scalar(variables, "numChan")) - counts["n_columns"]
    rates: dict[str, Any] = {
        name: number_or_none(value) if "sampling_rate" in declared else number(path, key, value)
        for name, key in (("daq_rate", "sampRate"), ("rate", "Fs"))
        if key in known
        for value in [_scalar(variables, key)]
    }
    notes = []
    if _REORDERED in variables.names():
        notes.append(f"holds a variable {_REORDERED}: its columns were reordered off-line, so check the channel map")
    units = "V" if "numRow" in known and "sampRate" in known else None
    return Found(holds, **rates, **counts, units=units, info=variables.info(), notes=notes)


def _channels_first(described: str, shape: tuple[int, ...], counts: Sequence[int], declared: Mapping[str, Any]) -> bool:
    """Tell the axes apart: that of the channels has one of the lengths `counts`, the other one has none of them."""
    orientation = declared.get("orientation")
    fits = [length in counts for length in shape]
    if orientation is not None and fits[0 if orientation == CHANNELS_BY_TIME else 1]:
        return bool(orientation == CHANNELS_BY_TIME)
    if not any(fits) or orientation is not None:
        as_declared = "" if orientation is None else f" in the declared orientation {orientation}"
        raise FormatError(f"{described}, which fits no axis{as_declared}; {advice_on_counts(declared)}")
    if all(fits):
        raise FormatError(
            f"{described}, which fits both axes; declare 'orientation: {CHANNELS_BY_TIME}' where the first axis of "
            f"these two is the channels, else '{TIME_BY_CHANNELS}'."
        )
    return fits[0]
