"""How a recording was acquired: what its file says, replaced by what a person declares, refused where neither does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from math import inf, isfinite
from pathlib import Path
from typing import Any

from ecogpipe.errors import FormatError, RateError, SettingsError, nearest
from ecogpipe.signal.rates import exact_rate, frame_rate
from ecogpipe.storage.canonical import CHANNELS_BY_TIME, MICROVOLTS_PER, TIME_BY_CHANNELS, Acquisition

_COUNTS = {"n_rows": 1, "n_columns": 1, "n_bncs": 0, "oversampling": 1}
"""Whole numbers that can be declared, and the least that each can be."""

_MOST = 1_000_000
"""No recording has as many rows, columns or samples of a visit."""

_CHOICES = {
    "units": tuple(MICROVOLTS_PER),
    "sampling_interval_unit": ("s", "ms", "us"),
    "orientation": (CHANNELS_BY_TIME, TIME_BY_CHANNELS),
    "unequal_lengths": ("refuse", "crop"),
    "truncated": ("crop", "refuse"),
    "still_written": ("refuse", "accept"),
    "gaps": ("refuse", "allow"),
}
_NAMES = ("variable", "rate_variable", "interval_variable", "group", "skip_channels")
_DECLARED_OF_MULTIPLEXER = frozenset({"n_columns", "oversampling", "skip_seconds"})
_FOR_OTHERS = ("gain", "pitch_mm", "bnc_numbering", "line_frequency")
_DECLARABLE = (
    *(*_COUNTS, *_CHOICES, *_NAMES, *_FOR_OTHERS),
    *("sampling_rate", "sampling_interval", "start_time", "skip_seconds", "crop_end_seconds"),
)

_UNITS = {
    "V": ("v", "volt", "volts"),
    "mV": ("mv", "millivolt", "millivolts"),
    "uV": ("uv", "µv", "μv", "microvolt", "microvolts"),
}
_SECONDS_PER = {"s": Fraction(1), "ms": Fraction(1, 1000), "us": Fraction(1, 1_000_000)}
_RATE_TOLERANCE = Fraction(1, 1_000_000)

_ONE_ROW = "says nothing of a multiplexer"

_EXAMPLES = {
    "orientation": f"orientation: <{CHANNELS_BY_TIME} or {TIME_BY_CHANNELS}>",
    "sampling_rate": "sampling_rate: <frames per second>",
    "n_rows": "n_rows: <multiplexer rows>",
    "n_columns": "n_columns: <electrode columns>",
    "n_bncs": "n_bncs: <BNC columns>",
    "units": "units: <V, mV or uV>",
}


@dataclass(frozen=True)
class Found:
    """What a file says of its acquisition; None or '' where it says nothing.

    `holds` says in words what samples there are, `n_lines` is the number of channels or analog lines among them where
    it is known without the counts, `of_multiplexer` are the names in the file that recordings of a multiplexer have,
    `daq_rate` is that of the converter (SamplingRate), `rate` is frames per second (Fs); the other names are those of
    `Acquisition`.
    """

    holds: str
    n_lines: int | None = None
    of_multiplexer: tuple[str, ...] = ()
    daq_rate: float | None = None
    rate: float | Fraction | None = None
    oversampling: int | None = None
    n_rows: int | None = None
    n_columns: int | None = None
    n_bncs: int | None = None
    units: str | None = None
    slope: float = 1.0
    intercept: float = 0.0
    start_time: str = ""
    info: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    cropped: list[dict[str, Any]] = field(default_factory=list)


def check_declared(declared: Mapping[str, Any]) -> None:
    """Refuse declared values that are not known, or cannot be.

    Raises
    ------
    SettingsError
        With the nearest name that is known, or what the value can be.
    """
    for name, value in declared.items():
        if name not in _DECLARABLE:
            raise SettingsError(f"There is no acquisition value {name!r} to declare. {nearest(name, _DECLARABLE)}")
        if name in _COUNTS and (not isinstance(value, int) or not _COUNTS[name] <= value <= _MOST):
            raise SettingsError(f"{name} is declared as {value!r}; give a whole number of {_COUNTS[name]} or more.")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise SettingsError(f"{name} is declared as {value!r}. {nearest(str(value), _CHOICES[name])}")
    for name in ("skip_seconds", "crop_end_seconds"):
        seconds = declared.get(name, 0)
        if not isinstance(seconds, int | float) or not 0 <= seconds < inf:
            raise SettingsError(f"{name} is declared as {seconds!r}; give a number of seconds, 0 or more.")
    if "sampling_interval" in declared and "sampling_rate" in declared:
        raise SettingsError("Both sampling_rate and sampling_interval are declared; keep one.")
    for name in ("sampling_interval", "interval_variable"):
        if name in declared and "sampling_interval_unit" not in declared:
            raise SettingsError(f"{name} is declared without its unit; add sampling_interval_unit: s, ms or us.")


def settle(path: Path, found: Found, declared: Mapping[str, Any], declared_rate: Fraction | None = None) -> Acquisition:
    """Return the acquisition values of a file: declared ones first, then those that it says.

    Channels of a file that says nothing of a multiplexer, and of which nothing is declared either, are one row.
    `declared_rate` is a rate that was declared in another way than as a value.

    Raises
    ------
    FormatError
        If a value that is needed is neither declared nor in the file, or if the file contradicts itself.
    """
    values: dict[str, Any] = {
        name: declared.get(name, getattr(found, name)) for name in ("n_rows", "n_columns", "n_bncs", "units")
    }
    oversampling = declared.get("oversampling", found.oversampling)
    as_row = _counts_of_row(found, declared)
    values |= as_row
    _check_counts(path, values | {"oversampling": oversampling})
    try:
        rate = declared_rate or _settle_rate(path, found, declared, values["n_rows"], oversampling)
    except RateError as error:
        raise FormatError(f"{path}: {error}") from None
    needed = {"sampling_rate": rate, **values}
    if rate is None or None in needed.values():
        missing, other = _missing(found, needed, declared)
        raise FormatError(
            f"{path}: holds {found.holds}, but does not say {', '.join(missing)}; declare in the overrides of the "
            f"recording '{'; '.join(_EXAMPLES[name] for name in missing)}'{other}."
        )
    note = f"{_ONE_ROW}: {found.n_lines} channels in one row, in the order of the file"
    return Acquisition(
        rate=rate,
        **values,
        slope=found.slope,
        intercept=found.intercept,
        oversampling=oversampling,
        sampling_rate=found.daq_rate,
        start_time=_settle_start(found, declared),
        info=storable(found.info),
        overrides=found.overrides | dict(declared),
        notes=[*found.notes, *([note] if as_row else [])],
        cropped=list(found.cropped),
    )


def is_of_one_row(note: str) -> bool:
    """Return whether a note of a recording says that its channels were taken as one row: a fact, and no warning."""
    return _ONE_ROW in note


def _counts_of_row(found: Found, declared: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts of channels in one row; none where the file or a person says something of a multiplexer."""
    n_bncs = declared.get("n_bncs", 0)
    if (
        found.n_lines is None
        or found.of_multiplexer
        or (found.n_rows, found.n_columns, found.n_bncs, found.oversampling, found.daq_rate) != (None,) * 5
        or not _DECLARED_OF_MULTIPLEXER.isdisjoint(declared)
        or declared.get("n_rows", 1) != 1
        or n_bncs >= found.n_lines
    ):
        return {}
    return {"n_rows": 1, "n_columns": found.n_lines - n_bncs, "n_bncs": n_bncs}


def _missing(found: Found, needed: Mapping[str, Any], declared: Mapping[str, Any]) -> tuple[list[str], str]:
    """Return the names of what is to be declared, and what may be declared in place of it, in words."""
    missing = [name for name, value in needed.items() if value is None]
    counts = ["n_rows", "n_columns", "n_bncs"]
    if not set(counts) <= {*missing, *declared} or not _DECLARED_OF_MULTIPLEXER.isdisjoint(declared):
        return missing, ""
    if found.of_multiplexer:
        named, n_columns = ", ".join(found.of_multiplexer), found.n_lines or "<channels>"
        return missing, (
            f"; it names {named}, as recordings of a multiplexer do: if none read these channels, declare "
            f"'n_rows: 1; n_columns: {n_columns}; n_bncs: 0'"
        )
    if found.n_lines is not None:
        return missing, ""
    others = [name for name in missing if name not in counts]
    return [*others, "orientation"], "; or, in place of the orientation, n_rows, n_columns and n_bncs of a multiplexer"


def _check_counts(path: Path, values: Mapping[str, Any]) -> None:
    for name, least in _COUNTS.items():
        if values[name] is not None and values[name] < least:
            raise FormatError(
                f"{path}: says {name} {values[name]}, which is impossible; declare '{name}: <the true one>' in the "
                "overrides of the recording."
            )


def rate_of_interval(interval: float | int | str | Fraction, unit: str) -> Fraction:
    """Return frames per second for a sampling interval in 's', 'ms' or 'us'."""
    return 1 / (exact_rate(interval) * _SECONDS_PER[unit])


def whole(path: Path, name: str, value: object) -> int:
    """Return a count that a file may hold as any kind of number, or as text.

    Raises
    ------
    FormatError
        If it is not a whole number.
    """
    count = number(path, name, value)
    if abs(count) > _MOST:
        raise FormatError(f"{path}: {name} is {value!r}, which is impossible; declare the true one.")
    if count != round(count):
        raise FormatError(f"{path}: {name} is {value!r}, where a whole number is needed; declare the true one.")
    return round(count)


def number(path: Path, name: str, value: object) -> float:
    """Return a finite number that a file may hold as any kind of number, or as text.

    Raises
    ------
    FormatError
        If it is none.
    """
    as_float = number_or_none(value)
    if as_float is None:
        raise FormatError(f"{path}: {name} is {value!r}, where a number is needed; declare the true one.")
    return as_float


def number_or_none(value: object) -> float | None:
    """Return a finite number, None where `value` is none."""
    try:
        as_float = float(str(value))
    except ValueError:
        return None
    return as_float if isfinite(as_float) else None


def unit_of(written: object) -> str | None:
    """Return 'V', 'mV' or 'uV' for the ways in which files write them; None where it is something else.

    Examples
    --------
    >>> unit_of("volts"), unit_of("\u00b5V"), unit_of("degC")
    ('V', 'uV', None)
    """
    text = str(written).strip()
    # MV is not a millivolt.
    return next((unit for unit, names in _UNITS.items() if text.casefold() in names and text != "MV"), None)


def storable(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file says of itself under names and with values that HDF5 can hold."""
    stored: dict[str, Any] = {}
    for name, value in info.items():
        plain = name.replace("/", "_").replace("\x00", "").strip(". ") or "unnamed"
        while plain in stored:
            plain += "_"
        stored[plain] = value.replace("\x00", "") if isinstance(value, str) else value
    return stored


def _settle_rate(
    path: Path, found: Found, declared: Mapping[str, Any], n_rows: int | None, oversampling: int | None
) -> Fraction | None:
    if "sampling_rate" in declared:
        return exact_rate(declared["sampling_rate"])
    if "sampling_interval" in declared:
        return rate_of_interval(declared["sampling_interval"], declared["sampling_interval_unit"])
    stored = None if found.rate is None else exact_rate(found.rate)
    if found.daq_rate is None or n_rows is None or oversampling is None:
        return stored
    computed = frame_rate(found.daq_rate, n_rows, oversampling)
    contradicted = stored is not None and abs(stored - computed) > _RATE_TOLERANCE * computed
    if contradicted and "oversampling" not in declared and stored is not None:
        raise FormatError(
            f"{path}: says a rate of {float(stored):.10g} Hz, but {found.daq_rate:g} Hz over {n_rows} rows and an "
            f"oversampling of {oversampling} make {float(computed):.10g} Hz; declare 'sampling_rate: <the true one>' "
            "in the overrides of the recording."
        )
    return computed


def _settle_start(found: Found, declared: Mapping[str, Any]) -> str:
    start = declared.get("start_time", found.start_time)
    if not start:
        return ""
    try:
        moment = start if isinstance(start, datetime) else datetime.fromisoformat(str(start))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise SettingsError(
            f"start_time is {str(start)!r}; write it in ISO 8601 with its zone, e.g. 2016-09-01T14:30:00-04:00."
        )
    return moment.isoformat()
