"""What a quality page shows, as JSON beside it: the page is drawn from that, and so can anything else be."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import FormatError
from ecogpipe.figures.array import SiteMap, Sites
from ecogpipe.figures.page import Page
from ecogpipe.figures.spectrum import Spectra
from ecogpipe.figures.traces import Traces
from ecogpipe.figures.triggers import Line, Timeline
from ecogpipe.statistics.psd import Spectrum
from ecogpipe.storage.portable import to_json

_DIGITS, _DIGITS_OF_TIMES = 5, 12
"""Significant ones: more than a figure shows; of times, enough for every sample of a day."""

_TIMES = frozenset(("seconds", "rising", "falling", "settling", "gaps", "parts"))

_PROVENANCE = "provenance"


def write_page_numbers(page: Page, made_by: Mapping[str, Any], path: Path) -> None:
    """Write what a page shows, and what made it; NaN and infinite numbers are null."""
    written = {**_as_json(page, _DIGITS), _PROVENANCE: made_by}
    path.write_text(to_json(written) + "\n", encoding="utf-8")


def read_page_numbers(path: Path) -> Page:
    """Read what `write_page_numbers` wrote.

    Raises
    ------
    FormatError
        If the file cannot be read as such.
    """
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        return _page(written)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path}: does not hold what a quality page shows ({error}); run qc again.") from error


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


def _page(written: Mapping[str, Any]) -> Page:
    sites, spectra, timeline = written["sites"], written["spectra"], written["timeline"]
    return Page(
        title=written["title"],
        subtitle=written["subtitle"],
        sites=Sites(
            np.array(sites["rows"], np.int64),
            np.array(sites["columns"], np.int64),
            _pair(sites["grid"]),
            None if sites["pitch_mm"] is None else _pair(sites["pitch_mm"]),
            np.array(sites["keep"], bool),
            sites["kinds"],
        ),
        maps=[
            SiteMap(one["title"], one["label"], _floats(one["values"]), one["colours"], _pair(one["limits"]))
            for one in written["maps"]
        ],
        spectra=Spectra(
            _spectrum(spectra["before"]),
            _spectrum(spectra["after"]),
            spectra["nyquist_before"],
            spectra["nyquist_after"],
            _pair(spectra["band"]),
            tuple(spectra["notches"]),
        ),
        traces=[_traces(one) for one in written["traces"]],
        timeline=Timeline(
            timeline["seconds"],
            [
                Line(one["column"], one["note"], None if one["rising"] is None else _floats(one["rising"]))
                for one in timeline["lines"]
            ],
            [(begin, name) for begin, name in timeline["parts"]],
            [(begin, end) for begin, end in timeline["settling"]],
        ),
        facts=[(name, text) for name, text in written["facts"]],
        captions=written["captions"],
    )


def _traces(written: Mapping[str, Any]) -> Traces:
    n_sites, seconds = len(written["labels"]), _floats(written["seconds"])
    return Traces(
        title=written["title"],
        seconds=seconds,
        microvolts=_floats(written["microvolts"]).reshape(n_sites, len(seconds)),
        labels=tuple(written["labels"]),
        keep=np.array(written["keep"], bool),
        rising=_floats(written["rising"]),
        falling=_floats(written["falling"]),
        settling=tuple((begin, end) for begin, end in written["settling"]),
        gaps=tuple(written["gaps"]),
    )


def _spectrum(written: Mapping[str, Any]) -> Spectrum:
    return Spectrum(*(_floats(written[name]) for name in ("frequencies", "median", "low", "high")))


def _floats(values: Sequence[Any]) -> npt.NDArray[np.float64]:
    return np.array(values, np.float64)  # None becomes NaN


def _pair(values: Sequence[Any]) -> tuple[Any, Any]:
    first, second = values
    return first, second
