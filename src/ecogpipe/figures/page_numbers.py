"""The content of a quality page as JSON beside it; the page holds the same."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecogpipe.errors import FormatError
from ecogpipe.figures.page import Page
from ecogpipe.storage.portable import to_json

_DIGITS, _DIGITS_OF_TIMES = 5, 12
"""Significant ones: more than a figure shows; of times, enough for every sample of a day."""

_TIMES = frozenset((
    "seconds", "first_second", "seconds_each", "rising", "falling", "settling", "gaps", "parts", "starts",
    "bin_seconds",
))  # fmt: skip

_PROVENANCE = "provenance"
_KEYS = frozenset((*(field.name for field in fields(Page)), _PROVENANCE))


def page_numbers(page: Page, made_by: Mapping[str, Any]) -> str:
    """Return everything that a page shows, and its provenance, as JSON; NaN and infinite numbers are null."""
    return to_json({**as_numbers(page), _PROVENANCE: made_by}) + "\n"


def as_numbers(value: Any) -> Any:
    """Return a part of a page as `page_numbers` would write it."""
    return _as_json(value, _DIGITS)


def read_page_numbers(path: Path) -> dict[str, Any]:
    """Read what `page_numbers` returned, from a file.

    Raises
    ------
    FormatError
        If the file cannot be read as such.
    """
    try:
        numbers: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = sorted(_KEYS - numbers.keys())
    except (OSError, ValueError, AttributeError) as error:
        raise FormatError(f"{path}: does not hold what a quality page shows ({error}); run qc again.") from error
    if missing:
        raise FormatError(f"{path}: does not hold what a quality page shows (no {missing[0]!r}); run qc again.")
    return numbers


def _as_json(value: Any, digits: int) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _as_json(getattr(value, field.name), _DIGITS_OF_TIMES if field.name in _TIMES else digits)
            for field in fields(value)
        }
    if isinstance(value, np.ndarray | np.generic):
        return _as_json(value.tolist(), digits)
    if isinstance(value, Mapping):
        return {key: _as_json(own, digits) for key, own in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_as_json(own, digits) for own in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if np.isfinite(value) else None
    return value
