"""What TDMS channels say of themselves as waveforms: their start, the time between samples, their unit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from ecogpipe.errors import FormatError
from ecogpipe.formats.acquisition import number_or_none, unit_of
from ecogpipe.formats.tdms.channels import listed
from ecogpipe.formats.tdms.index import StoredChannel, TdmsIndex
from ecogpipe.formats.tdms.metadata import group_path, split_path
from ecogpipe.storage.canonical import MICROVOLTS_PER, Acquisition

_NO_TIME = "1904-01-01"
_UNIT, _START, _OFFSET, _INCREMENT = "unit_string", "wf_start_time", "wf_start_offset", "wf_increment"
_OF_NO_WAVEFORM = (0.0, 1.0)
"""Increments that LabVIEW writes where nobody gave one."""

_TOLERANCE = Fraction(1, 1_000_000)
_OF_VALUES = ("nrRows", "nrColumns", "nrBNCs", "OverSampling", _UNIT, "NI_Scal", "NI_Number")
_OF_TIME = ("SamplingRate", _INCREMENT)
"""Beginnings of the names of properties that hold for a whole recording."""


def changes_noted(index: TdmsIndex, channels: Sequence[StoredChannel]) -> list[str]:
    """Note a sampling rate that changes after there were samples; refuse other properties of the acquisition that do.

    Raises
    ------
    FormatError
        With the property, and what it changes from and to.
    """
    notes: list[str] = []
    above = {group_path(split_path(channel.path)[0]) for channel in channels}
    for path in ("/", *above, *(channel.path for channel in channels)):
        for change in index.changes.get(path, ()):
            if change.startswith(_OF_VALUES):
                raise FormatError(
                    f"{index.path}: its {change.partition(' ')[0]} changes within the file ({change}), so it holds "
                    "more than one recording; write each to a file of its own."
                )
            if change.startswith(_OF_TIME):
                notes.append(f"holds more than one sampling rate: {change} within the file, and the last is used")
    return list(dict.fromkeys(notes))


def start_of(index: TdmsIndex, channels: Sequence[StoredChannel], notes: list[str]) -> str:
    """Return when the first sample was taken, ISO 8601; '' where that is not known, with a note where it is written."""
    starts = {channel.path: _start(index, channel) for channel in channels}
    unread = {path for path, start in starts.items() if isinstance(start, str)}
    if unread:
        written = starts[min(unread)]
        notes.append(
            f"wf_start_time is {written}, which is not a time with a zone: the start is not known; declare start_time"
        )
    moments = [start for start in starts.values() if isinstance(start, datetime)]
    if not moments:
        return ""
    apart = (max(moments) - min(moments)).total_seconds()
    if apart or len(moments) < len(channels):
        others = f"{apart:g} s apart" if apart else f"and {len(channels) - len(moments)} of them say no start"
        notes.append(f"its channels start at different times, {others}: all are taken to start with the first channel")
    first = starts[channels[0].path]
    return first.isoformat() if isinstance(first, datetime) else ""


def _start(index: TdmsIndex, channel: StoredChannel) -> datetime | str | None:
    """Return when a channel starts; what is written where it is not a time, None where nothing is."""
    properties = index.properties[channel.path]
    written = properties.get(_START, "")
    if written == "" or str(written).startswith(_NO_TIME):
        return None
    try:
        moment = datetime.fromisoformat(str(written))
    except ValueError:
        return repr(written)
    offset = number_or_none(properties.get(_OFFSET, 0.0))
    if moment.tzinfo is None or offset is None:
        return repr(written)
    try:
        return moment + timedelta(seconds=offset)
    except OverflowError:
        return f"{written!r} + {offset:g} s"


def common_increment(index: TdmsIndex, channels: Sequence[StoredChannel]) -> Fraction | None:
    """Return the seconds between samples that all channels state; None where one of them states none.

    Raises
    ------
    FormatError
        If they differ.
    """
    stated = {channel.path: _increment(index, channel) for channel in channels}
    counts = Counter(increment for increment in stated.values() if increment is not None)
    if len(counts) > 1:
        [(usual, _), *_] = counts.most_common()
        others = [split_path(path)[1] for path, increment in stated.items() if increment not in (None, usual)]
        told = ", ".join(f"{number} of {float(increment):g} s" for increment, number in counts.most_common())
        raise FormatError(
            f"{index.path}: its channels differ in wf_increment ({told}), so they were sampled at different rates; "
            f"leave those of the other rate out by 'skip_channels: [{listed(others)}]', or declare another group."
        )
    return None if None in stated.values() else next(iter(counts), None)


def _increment(index: TdmsIndex, channel: StoredChannel) -> Fraction | None:
    value = number_or_none(index.properties[channel.path].get(_INCREMENT))
    return None if value is None or value <= 0 or value in _OF_NO_WAVEFORM else Fraction(str(value))


def increment_note(increment: Fraction, acquisition: Acquisition) -> str:
    """Say that the increment contradicts the sampling rate; '' where it is that of frames, lines or the converter."""
    rate, stated = acquisition.rate, 1 / increment
    per_frame = acquisition.n_rows * (acquisition.oversampling or 1)
    if any(abs(stated - rate * factor) <= _TOLERANCE * stated for factor in (1, acquisition.n_rows, per_frame)):
        return ""
    return (
        f"wf_increment says {float(stated):.10g} Hz, which is not the sampling rate of {float(rate):.10g} Hz that is "
        "used, nor that of the analog lines"
    )


def common_units(
    index: TdmsIndex, channels: Sequence[StoredChannel], declared: Mapping[str, Any], notes: list[str]
) -> tuple[str | None, list[float]]:
    """Return the unit of the scaled values, and for each channel the factor that brings it to that unit.

    Where all channels state one unit, it is that; where they state several, all are brought to volts. A unit that is no
    voltage, and one that a declared unit contradicts, is noted.

    Raises
    ------
    FormatError
        If some channels state millivolts or microvolts, others nothing, and no unit is declared.
    """
    written = [str(index.properties[channel.path].get(_UNIT, "")).strip() for channel in channels]
    units = [unit_of(text) for text in written]
    no_voltage = {text for text, unit in zip(written, units, strict=True) if text and unit is None}
    if no_voltage:
        notes.append(
            f"unit_string is {listed(sorted(no_voltage))} for {_named(channels, written, no_voltage)}: no voltage"
        )
    stated = {unit for unit in units if unit is not None}
    ones = [1.0] * len(channels)
    if "units" in declared:
        others = sorted(stated - {declared["units"]})
        if others:
            notes.append(f"the unit {declared['units']} is declared, but unit_string says {' and '.join(others)}")
        return None, ones
    if not stated or stated == {"V"}:
        return (None if not stated else "V"), ones
    if None in units:
        raise FormatError(
            f"{index.path}: {units.count(None)} of its channels state no unit, the others "
            f"{' and '.join(sorted(stated))} (unit_string); declare 'units: <V, mV or uV>' where all are of one, "
            "or leave channels out by 'skip_channels: <names>'."
        )
    if len(stated) == 1:
        return stated.pop(), ones
    notes.append(f"its channels state the units {', '.join(sorted(stated))}: all were brought to V")
    return "V", [MICROVOLTS_PER[str(unit)] / MICROVOLTS_PER["V"] for unit in units]


def _named(channels: Sequence[StoredChannel], written: Sequence[str], chosen: set[str]) -> str:
    return listed(split_path(c.path)[1] for c, text in zip(channels, written, strict=True) if text in chosen)
