"""Index arithmetic with NumPy's meaning: keys become one index per axis, indices become windows to read.

An axis index is one of three: an ``int`` (the axis goes away), a ``range`` (a slice, any step), or an integer
array (a list or a mask). All are non-negative and inside the axis.
"""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[np.intp]
AxisIndex: TypeAlias = int | range | IntArray
Window: TypeAlias = tuple[int, int]


def parse_key(key: Any, shape: Sequence[int]) -> tuple[AxisIndex, ...]:
    """Return one axis index per axis of `shape` for a key made of ints, slices, an Ellipsis, lists and masks.

    Lists are orthogonal: each selects along its own axis.

    Raises
    ------
    IndexError
        If the key has newaxis, a mask or list that is not 1-D, too many parts, or an index out of range.
    """
    parts = expand_key(key, len(shape))
    return tuple(_axis_index(part, length, axis) for axis, (part, length) in enumerate(zip(parts, shape, strict=True)))


def expand_key(key: Any, ndim: int) -> list[Any]:
    """Return the parts of a key, one per axis, as they were given; axes that it leaves out become full slices."""
    parts = key if isinstance(key, tuple) else (key,)
    if any(part is None for part in parts):
        raise IndexError("newaxis (None) is not understood; add the axis to the array that comes out.")
    ellipses = [place for place, part in enumerate(parts) if part is Ellipsis]
    if len(ellipses) > 1:
        raise IndexError("A key can hold only one Ellipsis (...).")
    if len(parts) - len(ellipses) > ndim:
        raise IndexError(f"Too many indices: {len(parts) - len(ellipses)} for {ndim} axes.")
    place = ellipses[0] if ellipses else len(parts)
    missing = [slice(None)] * (ndim - len(parts) + len(ellipses))
    return [*parts[:place], *missing, *parts[place + len(ellipses) :]]


def check_one_list(axes: Sequence[AxisIndex]) -> None:
    """Refuse two lists in one key: NumPy pairs them up, which here is more often a mistake than a wish."""
    if sum(isinstance(index, np.ndarray) for index in axes) > 1:
        raise IndexError(
            "Only one axis may be indexed by a list, an array or a mask; index the other one in a second step."
        )


def result_shape(axes: Sequence[AxisIndex]) -> tuple[int, ...]:
    """Shape of what the axis indices select."""
    return tuple(len(index) for index in axes if not isinstance(index, int))


def count(index: AxisIndex) -> int:
    """Number of positions that an axis index selects."""
    return 1 if isinstance(index, int) else len(index)


def compose(index: AxisIndex, positions: IntArray) -> int | IntArray:
    """Look an axis index up in a table of positions: the axis index of what the table points at."""
    if isinstance(index, int):
        return int(positions[index])
    return positions[np.asarray(index, dtype=np.intp)]


def bounds(index: AxisIndex) -> Window:
    """Return the smallest window [start, stop) that holds every selected position; (0, 0) where there is none."""
    if isinstance(index, int):
        return index, index + 1
    if len(index) == 0:
        return 0, 0
    if isinstance(index, range):
        first, last = sorted((index[0], index[-1]))
        return first, last + 1
    return int(index.min()), int(index.max()) + 1


def covering_windows(index: AxisIndex, gap: int) -> list[Window]:
    """Return ascending windows that hold every selected position; holes shorter than `gap` are read over."""
    if count(index) == 0:
        return []
    if isinstance(index, int) or (isinstance(index, range) and abs(index.step) <= gap):
        return [bounds(index)]
    positions = np.unique(np.asarray(index, dtype=np.intp))
    breaks = np.flatnonzero(positions[1:] - positions[:-1] > gap)
    starts = positions[np.concatenate(([0], breaks + 1))].tolist()
    stops = (positions[np.concatenate((breaks, [len(positions) - 1]))] + 1).tolist()
    return list(zip(starts, stops, strict=True))


def split_window(window: Window, length: int, anchor: int = 1) -> Iterator[Window]:
    """Cut a window into pieces of at most `length`, at multiples of `anchor` where `length` allows it."""
    start, stop = window
    step = max(1, length // anchor * anchor if length >= anchor else length)
    while start < stop:
        end = min(stop, start + step)
        if end < stop and anchor <= step:
            end -= end % anchor
        yield start, end
        start = end


def intersect(index: range | IntArray, window: Window) -> tuple[slice | IntArray, slice | IntArray] | None:
    """Return where the positions inside `window` go in the result, and where they come from in the window.

    Returns
    -------
    None
        If the window holds none of the positions.
    tuple
        (places in the result along this axis, places relative to the window's start).
    """
    start, stop = window
    if isinstance(index, range):
        return _intersect_range(index, start, stop)
    places = np.flatnonzero((index >= start) & (index < stop))
    return (as_run(places), as_run(index[places] - start)) if len(places) else None


@dataclass(frozen=True, slots=True)
class Span:
    """A window along one axis: what of it is wanted (`taken`, relative to its start), and where that goes (`into`).

    `is_whole` where every position of the window is wanted, once and in order: then it can be read in place.
    """

    window: Window
    into: slice | IntArray
    taken: slice | IntArray
    is_whole: bool

    @property
    def length(self) -> int:
        """Length of the window."""
        return self.window[1] - self.window[0]


def spans(index: range | IntArray, gap: int) -> list[Span]:
    """Return the windows that hold every selected position; holes shorter than `gap` are read over."""
    windows = covering_windows(index, gap)
    if isinstance(index, np.ndarray) and len(windows) > 1 and (index[1:] > index[:-1]).all():
        return _ascending_spans(index, windows)
    found = (span_in(index, window) for window in windows)
    return [span for span in found if span is not None]


def _ascending_spans(index: IntArray, windows: list[Window]) -> list[Span]:
    """Do as `spans`; of a list in ascending order, each window holds a stretch, found without searching the whole."""
    borders = np.searchsorted(index, [start for start, _ in windows]).tolist() + [len(index)]
    return [
        _ascending_span(index[low:high], window, low)
        for window, low, high in zip(windows, borders, borders[1:], strict=False)
    ]


def _ascending_span(positions: IntArray, window: Window, first_place: int) -> Span:
    start, stop = window
    is_whole = len(positions) == stop - start
    into = slice(first_place, first_place + len(positions), 1)
    return Span(window, into, slice(0, stop - start, 1) if is_whole else positions - start, is_whole)


def span_in(index: range | IntArray, window: Window) -> Span | None:
    """Return what a window holds of the selected positions; None where it holds nothing."""
    overlap = intersect(index, window)
    if overlap is None:
        return None
    return _span(window, *overlap)


def _span(window: Window, into: slice | IntArray, taken: slice | IntArray) -> Span:
    whole = slice(0, window[1] - window[0], 1)
    return Span(window, into, taken, isinstance(into, slice) and isinstance(taken, slice) and taken == whole)


def keep_axis(index: AxisIndex) -> range | IntArray:
    """Return the axis index with an int made a range of one, so that its axis stays."""
    return range(index, index + 1) if isinstance(index, int) else index


def outer(rows: slice | IntArray, columns: slice | IntArray) -> tuple[Any, Any]:
    """Return the NumPy key that selects `rows` and `columns` orthogonally."""
    if isinstance(rows, np.ndarray) and isinstance(columns, np.ndarray):
        return rows[:, None], columns[None, :]
    return rows, columns


def as_slice(index: range) -> slice:
    """Return the slice that selects what a range of non-negative positions selects, of step 1 where it can be."""
    if len(index) == 0:
        return slice(0, 0)
    stop = index[-1] + (1 if index.step > 0 else -1)
    return slice(index.start, stop if stop >= 0 else None, index.step)


def as_run(positions: IntArray) -> slice | IntArray:
    """Return positions that follow one another as a slice, which NumPy reads and writes in place."""
    if (np.diff(positions) == 1).all():
        return slice(int(positions[0]), int(positions[-1]) + 1, 1)
    return positions


def _intersect_range(index: range, start: int, stop: int) -> tuple[slice, slice] | None:
    if index.step > 0:
        low = max(0, -((index.start - start) // index.step))
        high = min(len(index), -((index.start - stop) // index.step))
    else:
        low = max(0, -((stop - 1 - index.start) // -index.step))
        high = min(len(index), (index.start - start) // -index.step + 1)
    if low >= high:
        return None
    inside = index[low:high]
    return slice(low, high, 1), as_slice(range(inside.start - start, inside.stop - start, inside.step))


def _axis_index(part: Any, length: int, axis: int) -> AxisIndex:
    if isinstance(part, slice):
        _refuse_fractions(part.start, part.stop, part.step)
        return range(*part.indices(length))
    _refuse_fractions(part)
    if isinstance(part, bool | np.bool_):
        raise IndexError("True and False are not indices; give a mask with one value per channel or sample.")
    try:
        return _checked_int(operator.index(part), length, axis)
    except TypeError:
        pass
    return _list_index(part, length, axis)


def _refuse_fractions(*parts: Any) -> None:
    for part in parts:
        if isinstance(part, float | np.floating):
            raise IndexError(f"{part} is not a whole number; for seconds, give round(seconds * Fs).")


def _list_index(part: Any, length: int, axis: int) -> IntArray:
    array = np.asarray(part)
    if array.size == 0 and not isinstance(part, np.ndarray):
        array = array.astype(np.intp)
    if array.ndim != 1:
        raise IndexError(f"A list or mask must have one dimension, this one has {array.ndim}.")
    if array.dtype == bool:
        if len(array) != length:
            raise IndexError(f"The mask has {len(array)} values for axis {axis} of length {length}.")
        return np.flatnonzero(array)
    if array.dtype.kind not in "iu":
        raise IndexError(f"Indices must be integers or a mask, not {array.dtype}.")
    outside = (array < -length) | (array >= length)
    if outside.any():
        raise IndexError(_out_of_range(int(array[outside][0]), length, axis))
    indices = array.astype(np.intp)
    return np.where(indices < 0, indices + length, indices)


def _checked_int(index: int, length: int, axis: int) -> int:
    if not -length <= index < length:
        raise IndexError(_out_of_range(index, length, axis))
    return index % length


def _out_of_range(index: int, length: int, axis: int) -> str:
    return f"Index {index} is out of range for axis {axis} of length {length}."
