"""Files that hold the signals as one array among named variables: Matlab's and HDF5's, read alike.

The names of the acquisition values are those that the lab's converters write: Fs, sampRate, OSR, numRow, numCol,
numChan, and what is in ``info``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from ecogpipe.errors import FormatError, nearest
from ecogpipe.formats.acquisition import Found, number, number_or_none, rate_of_interval, settle, whole
from ecogpipe.formats.multiplexed import (
    LabLayout,
    advice_on_counts,
    describe_counts,
    layouts_by_count,
    names_of_multiplexer,
)
from ecogpipe.formats.stated import Stated, contradictions
from ecogpipe.signal.rates import exact_rate
from ecogpipe.storage.canonical import CHANNELS_BY_TIME, DATA, TIME_BY_CHANNELS, Acquisition

MOST_INFO_BYTES = 100_000
"""Of what a file says of itself beside the signals."""

_AXES = 2
_REORDERED = "ELECTRODE"
_LISTED_AT_MOST = 12


class Variables(Protocol):
    """The named arrays of one file, with their axes in the order that the file's own program shows."""

    path: Path

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every array of real numbers, by name.

        Of a group of vectors of one length and dtype, a channel each, it is that of the array which they make.
        """

    def is_group(self, name: str) -> bool:
        """Return whether an array is that of a group of vectors, a channel each."""

    def stated(self, name: str) -> Stated:
        """Return what the attributes of an array of signals say."""

    def values(self, name: str) -> npt.NDArray[Any]:
        """Return a small array."""

    def first_values(self, name: str, stop: int) -> npt.NDArray[Any]:
        """Return the values of a vector up to `stop`."""

    def names(self) -> list[str]:
        """Return the names of all variables, arrays of numbers or not."""

    def all_names(self) -> Iterator[str]:
        """Yield the name of everything in the file: of what is in structs and groups, and of attributes too."""

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
    shape : tuple of int
        Lengths of its two axes, those of length 1 left out where there are more.
    n_lines, n_values : int
        The channels or analog lines that it holds, and the samples of each.
    channels_first : bool
        Whether the first axis is that of the channels or lines.
    layout : {'A', 'B', 'C'}
        Which of the lab's layouts it is in.
    """

    variable: str
    acquisition: Acquisition
    shape: tuple[int, int]
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
    shape = _two_axes(shapes[variable])
    n_lines = shape[0] if variables.is_group(variable) else _n_lines(shape, declared.get("orientation"))
    found = _found(variables, variable, f"{variable} ({_times(shapes[variable])})", n_lines, declared)
    acquisition = settle(variables.path, found, declared, _declared_rate(variables, declared))
    layouts = layouts_by_count(acquisition, declared)
    described = f"{variables.path}: {variable} is {_times(shape)}, and {describe_counts(acquisition, declared)}"
    if sum(length != 1 for length in shapes[variable]) < _AXES and len(shapes[variable]) != _AXES:
        if 1 not in layouts:
            raise FormatError(f"{described}, but a vector is one channel; {advice_on_counts(declared)}")
        channels_first = True
    else:
        is_group = variables.is_group(variable)
        if is_group and (shape[0] not in layouts or declared.get("orientation") == TIME_BY_CHANNELS):
            raise FormatError(f"{described}, but each vector of a group is one channel; {advice_on_counts(declared)}")
        channels_first = is_group or _channels_first(described, shape, list(layouts), declared)
    n_lines, n_values = shape if channels_first else shape[::-1]
    if not n_values:
        raise FormatError(f"{variables.path}: {variable} holds no samples; record or copy it again.")
    if n_lines > n_values:
        acquisition.notes.append(
            f"has more channels ({n_lines}) than samples of each ({n_values}): check its orientation"
        )
    return Signals(variable, acquisition, shape, n_lines, n_values, channels_first, layouts[n_lines])


def bounded(info: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """Return what ``info`` holds, as long as it is not too much to keep; what is left out is named in its place."""
    kept: dict[str, Any] = {}
    n_chars = 0
    for name, read in info.items():
        value = read() if n_chars <= MOST_INFO_BYTES else "left out, as info holds more than is kept"
        if isinstance(value, str) and len(value) > MOST_INFO_BYTES:
            value = left_out((len(value),), len(value))
        n_chars += len(str(value))
        kept[name] = value
    return kept


def left_out(shape: Sequence[int], n_bytes: int) -> str:
    """Say that a value of ``info`` is not kept, as it is too large."""
    return f"left out: {_times(tuple(shape))} values, {n_bytes} bytes, where {MOST_INFO_BYTES} are kept"


def plain(values: npt.NDArray[Any]) -> Any:
    """Return an array as a number where it is one, else as text."""
    return values.reshape(-1)[0].item() if values.size == 1 else str(values.tolist())


def _choose(variables: Variables, shapes: Mapping[str, tuple[int, ...]], declared: str | None) -> str:
    name = DATA if declared is None else declared
    if name not in shapes and name.replace(".", "/") in shapes:
        name = name.replace(".", "/")
    if _is_signals(shapes.get(name, ())):
        return name
    path, offer = variables.path, _offer(shapes)
    if name in shapes:
        raise FormatError(f"{path}: {name} has shape {_times(shapes[name])}, signals have two axes; {offer}")
    if name in variables.names():
        raise FormatError(f"{path}: {name} is not an array of real numbers; {offer}")
    hint = "" if declared is None else " " + nearest(name, shapes or variables.names() or ["nothing"])
    raise FormatError(f"{path}: has no variable {name!r}.{hint} {offer[0].upper()}{offer[1:]}")


def _offer(shapes: Mapping[str, tuple[int, ...]]) -> str:
    arrays = [f"{name} ({_times(shape)})" for name, shape in shapes.items() if _is_signals(shape) and max(shape) > 1]
    if not arrays:
        return "it holds no array of numbers that could be signals, name another file."
    return (
        f"it holds {', '.join(arrays[:_LISTED_AT_MOST])}; declare 'variable: <name>' in the overrides of the recording."
    )


def _is_signals(shape: tuple[int, ...]) -> bool:
    """Return whether an array has two axes, or no more than two that are longer than 1."""
    return len(shape) in (1, 2) or (len(shape) > 2 and sum(length != 1 for length in shape) <= 2)


def _two_axes(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the two axes of an array of signals; a single one is that of time.

    Examples
    --------
    >>> _two_axes((1, 16, 5000)), _two_axes((5000,)), _two_axes((1, 5000))
    ((16, 5000), (1, 5000), (1, 5000))
    """
    if len(shape) == 2:
        return shape[0], shape[1]
    first, *others = [length for length in shape if length != 1] or [1]
    return (first, others[0]) if others else (1, first)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "of one number"


def _scalar(variables: Variables, name: str) -> Any:
    values = variables.values(name)
    if values.size != 1:
        raise FormatError(f"{variables.path}: {name} holds {values.size} values where one number is needed.")
    return values.reshape(-1)[0].item()


def _declared_rate(variables: Variables, declared: Mapping[str, Any]) -> Fraction | None:
    """Return frames per second from the variable that a person names."""
    for key in ("rate_variable", "interval_variable"):
        name = declared.get(key)
        if name is not None:
            shapes = variables.shapes()
            if name not in shapes:
                raise FormatError(f"{variables.path}: has no variable {name!r} of numbers. {nearest(name, shapes)}")
            value = number(variables.path, name, _scalar(variables, name))
            if value <= 0:
                raise FormatError(f"{variables.path}: {name} is {value:g}, which is not a {key.partition('_')[0]}.")
            if key == "rate_variable":
                return exact_rate(value)
            return rate_of_interval(value, declared["sampling_interval_unit"])
    return None


def _n_lines(shape: tuple[int, int], orientation: str | None) -> int | None:
    """Return how many lines an array holds, where a vector or a declared orientation tells it from the samples."""
    if min(shape) == 1:
        return 1
    return None if orientation is None else shape[0 if orientation == CHANNELS_BY_TIME else 1]


def _found(variables: Variables, variable: str, holds: str, n_lines: int | None, declared: Mapping[str, Any]) -> Found:
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
    stated = variables.stated(variable)
    notes += [*contradictions(path, stated, declared, rates.get("rate")), *stated.notes]
    if not rates and stated.rate is not None:
        rates["rate"] = stated.rate
    units = stated.units or ("V" if "numRow" in known and "sampRate" in known else None)
    knows_counts = {"n_rows", "n_columns"} <= {*counts, *declared}
    of_multiplexer = () if knows_counts else names_of_multiplexer(variables.all_names())
    found = Found(holds, n_lines, of_multiplexer, **rates, **counts, units=units, info=variables.info(), notes=notes)
    return replace(found, slope=stated.slope, intercept=stated.intercept)


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
