"""What a grid of sites is made of: whole numbers of rows and columns, and distances in mm; anything else is refused."""

import math
import operator
from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import WiringError

Pitch = tuple[float, float]
"""Distance between neighbouring sites in mm: (dy between rows, dx between columns)."""


_GRID_TOLERANCE = 1e-3
"""Of the distance between sites, by which a position may lie off the grid."""


def check_geometry(geometry: Iterable[Any]) -> tuple[int, int]:
    """Return (rows, columns) as two ints of 1 or more, or raise `WiringError`."""
    values = _as_tuple(geometry)
    if len(values) != 2:
        raise WiringError(f"A grid of {geometry!r} is not a pair of rows and columns.")
    rows, columns = (as_index(value, "count of rows or columns") for value in values)
    if rows < 1 or columns < 1:
        raise WiringError(f"A grid of {rows} rows and {columns} columns has no sites; both are at least 1.")
    return rows, columns


def check_pitch(pitch: Any) -> Pitch | None:
    """Return (dy, dx) in mm from one number or a pair, None from None, or raise `WiringError`."""
    if pitch is None:
        return None
    values = (pitch, pitch) if isinstance(pitch, Real) else _as_tuple(pitch)
    if len(values) == 2 and all(is_number(value) and value > 0 for value in values):
        return float(values[0]), float(values[1])
    raise WiringError(f"A pitch of {pitch!r} mm makes no sense; give one positive number, or [dy, dx].")


def is_number(value: Any) -> bool:
    """Return whether a value is one finite real number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def as_index(value: Any, meaning: str) -> int:
    """Return a whole number as int, or raise `WiringError` that says what it should have been."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise WiringError(f"{value!r} is not a {meaning}; give a whole number.") from None


def _as_tuple(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, Iterable) and not isinstance(values, str | bytes) else ()


def places_on_axis(positions: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], float] | None:
    """Return the place of each position on an axis of equal steps, and the step; None where they make none.

    Examples
    --------
    >>> places, step = places_on_axis(np.array([400.0, 0.0, 200.0]))
    >>> places.tolist(), step
    ([2, 0, 1], 200.0)
    """
    if positions.dtype.kind not in "iuf" or not np.isfinite(positions).all():
        return None
    distinct = np.unique(positions)
    if len(distinct) == 1:
        return np.zeros(len(positions), dtype=np.intp), 0.0
    step = float(np.diff(distinct).min())
    places = (positions - distinct[0]) / step
    if np.abs(places - np.rint(places)).max() > _GRID_TOLERANCE * max(1, len(distinct)):
        return None
    return np.rint(places).astype(np.intp), step
