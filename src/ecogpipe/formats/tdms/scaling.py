"""The scaling that a TDMS channel's properties prescribe, from raw values to units."""

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import FormatError
from ecogpipe.formats.tdms.metadata import RAW_SOURCE

Polynomial: TypeAlias = tuple[float, ...]
"""Coefficients of a scale, lowest power first."""

_COUNT = "NI_Number_Of_Scales"
_SCALE = re.compile(r"NI_Scale\[(\d+)\]_Scale_Type")
_NO_OPERATION = "AdvancedAPI"
_DEFAULT_COEFFICIENTS = 4


def channel_scales(properties: Sequence[Mapping[str, Any]], source: int = RAW_SOURCE) -> tuple[Polynomial, ...]:
    """Return the polynomials to apply to raw values one after another.

    Parameters
    ----------
    properties
        Those of the channel, its group and the root: the first that prescribe a scaling count.
    source
        What the scales call the raw values.

    Raises
    ------
    FormatError
        If the scaling is of a type that this library does not compute.
    """
    for own in properties:
        if own.get("NI_Scaling_Status", "unscaled") == "scaled":
            continue
        try:
            scales = _follow(own, _count_scales(own), source)
        except FormatError:
            raise
        except KeyError as error:
            raise FormatError(f"its scaling lacks the property {error.args[0]!r}") from None
        except (TypeError, ValueError, OverflowError):
            raise FormatError("its scaling has a property that should be a number and is not") from None
        if scales:
            return scales
    return ()


def as_line(scales: Sequence[Polynomial]) -> tuple[float, float] | None:
    """Return (slope, intercept) where the scales are nothing or one line, so that the raw values can be kept.

    A line without slope is none: every value is its intercept then, and no raw value can be told from it.
    """
    if not scales:
        return 1.0, 0.0
    if len(scales) > 1 or any(scales[0][2:]):
        return None
    intercept, slope, *_ = (*scales[0], 0.0, 0.0)
    return (slope, intercept) if slope else None


def apply_scales(raw: npt.NDArray[Any], scales: Sequence[Polynomial]) -> npt.NDArray[np.float64]:
    """Return raw values in units."""
    values: npt.NDArray[Any] = raw.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        for coefficients in scales:
            values = np.polynomial.polynomial.polyval(values, coefficients)
    return values


def _count_scales(properties: Mapping[str, Any]) -> int:
    """Return the number of scales that a file gives, or else one more than the highest number of a scale."""
    if _COUNT in properties:
        return int(properties[_COUNT])
    numbered = (_SCALE.fullmatch(name) for name in properties)
    return max((int(match[1]) + 1 for match in numbered if match), default=0)


def _follow(properties: Mapping[str, Any], n_scales: int, source: int) -> tuple[Polynomial, ...]:
    """Go from the last scale back to the raw values."""
    scales: list[Polynomial] = []
    passed: set[int] = set()
    number = n_scales - 1 if n_scales else source
    while number != source:
        kind = properties.get(f"NI_Scale[{number}]_Scale_Type")
        if kind is None or number in passed:
            raise FormatError(f"its scaling takes its input from scale {number}, which has none")
        if kind not in ("Linear", "Polynomial", _NO_OPERATION):
            raise FormatError(f"its values are to be scaled by a scale of type {kind!r}, which is not supported")
        prefix = f"NI_Scale[{number}]_{kind}_"
        scales += [] if kind == _NO_OPERATION else [_coefficients(properties, prefix)]
        passed.add(number)
        number = int(properties.get(prefix + "Input_Source", RAW_SOURCE))
    return tuple(reversed(scales))


def _coefficients(properties: Mapping[str, Any], prefix: str) -> Polynomial:
    """Return the coefficients of a scale, lowest power first, which have to be finite."""
    if prefix.endswith("Linear_"):
        found = [float(properties[prefix + "Y_Intercept"]), float(properties[prefix + "Slope"])]
    else:
        size = int(properties.get(prefix + "Coefficients_Size", _DEFAULT_COEFFICIENTS))
        found = [float(properties[f"{prefix}Coefficients[{number}]"]) for number in range(size)] or [0.0]
    if not all(map(isfinite, found)):
        raise FormatError(f"its scaling has the coefficients {', '.join(map(str, found))}, which are not all finite")
    return tuple(found)
