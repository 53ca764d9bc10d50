"""What stands beside the signals of an HDF5 file: attributes that state their unit, their scale or their rate."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ecogpipe.errors import SettingsError
from ecogpipe.formats.acquisition import number_or_none, unit_of

_UNIT_NAMES = ("unit", "units", "unit_string", "physical_unit")
_RATE_NAMES = (
    "rate",
    "sampling_rate",
    "sample_rate",
    "samplerate",
    "samplingrate",
    "sampling_frequency",
    "fs",
    "srate",
)
_SCALE_NAMES = (
    "scale",
    "scale_factor",
    "scaling",
    "gain",
    "slope",
    "factor",
    "resolution",
    "channel_conversion",
    "lsb",
)
_OFFSET_NAMES = ("add_offset", "intercept")
_NOTHING = {"conversion": 1.0, "offset": 0.0} | dict.fromkeys(_SCALE_NAMES, 1.0) | dict.fromkeys(_OFFSET_NAMES, 0.0)
"""Attributes that scale or shift, and the value with which they do nothing."""


@dataclass(frozen=True)
class Stated:
    """What the attributes of the signals and of their group say.

    Attributes
    ----------
    rate : float or None
        Frames per second.
    units : str or None
        'V', 'mV' or 'uV'; None where nothing is said, or another unit.
    slope, intercept : float
        NWB's ``conversion`` and ``offset``: value = conversion * data + offset, in the unit that is stated.
    notes : list of str
        Attributes that nothing used, by name.
    """

    rate: float | None = None
    units: str | None = None
    slope: float = 1.0
    intercept: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def is_scaled(self) -> bool:
        """Whether the samples are to be scaled."""
        return (self.slope, self.intercept) != (1.0, 0.0)


def read_stated(dataset: h5py.Dataset, name: str) -> Stated:
    """Read what the attributes of a dataset of signals say, and those of its group and of NWB's ``starting_time``."""
    attributes = dict(_attributes(dataset, name))
    units = unit_of(next((attributes[key] for key in attributes if _plain(key) in _UNIT_NAMES), None))
    rate = next((number_or_none(attributes[key]) for key in attributes if _plain(key) in _RATE_NAMES), None)
    by_name = {_plain(key): number_or_none(value) for key, value in attributes.items()}
    conversion, offset = by_name.get("conversion"), by_name.get("offset")
    is_nwb = bool(conversion) and units is not None
    used = {"conversion", "offset"} if is_nwb else set()
    notes = [f"{key} = {value} is not used" for key, value in attributes.items() if _says_something(key, value, used)]
    if rate is not None and not rate > 0:
        rate = None
    if is_nwb and conversion:
        return Stated(rate, units, conversion, offset or 0.0, notes)
    return Stated(rate, units, notes=notes)


def contradictions(path: Path, stated: Stated, declared: Mapping[str, Any], rate_in_file: float | None) -> list[str]:
    """Return notes on what the attributes contradict: declared values, and the rate that the file gives elsewhere.

    Raises
    ------
    SettingsError
        If the samples are to be scaled to a unit, and another one is declared of them.
    """
    units, notes = declared.get("units"), []
    if units is not None and stated.units not in (None, units):
        if stated.is_scaled:
            raise SettingsError(
                f"{path}: scales its samples by conversion = {stated.slope:g} and offset = {stated.intercept:g} to "
                f"{stated.units}, but units: {units} is declared; take units out of the overrides of the recording, or "
                f"declare 'units: {stated.units}'."
            )
        notes.append(f"units: {units} is declared, but an attribute of the samples says {stated.units}")
    if stated.is_scaled:
        scale = f"conversion = {stated.slope:g} and offset = {stated.intercept:g}"
        notes.append(f"scaled by its attributes {scale}, to {stated.units}")
    rate = declared.get("sampling_rate", rate_in_file)
    known = number_or_none(rate)
    if stated.rate and known and abs(known - stated.rate) > 1e-6 * known:
        which = "is declared" if "sampling_rate" in declared else "is what the file says elsewhere"
        notes.append(f"a sampling rate of {known:.10g} Hz {which}, an attribute says {stated.rate:.10g} Hz")
    return notes


def text_of(value: Any) -> str:
    """Return text that HDF5 holds in any encoding; it is UTF-8, or else taken for Latin-1."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.decode("latin-1")
    return str(value)


def _attributes(dataset: h5py.Dataset, name: str) -> Iterable[tuple[str, Any]]:
    """Yield the attributes that can be read, as ``<dataset>.<attribute>``, as numbers and text."""
    places: list[tuple[str, Any]] = [(name, dataset)]
    group = dataset.parent
    if group is not None and group.name not in (None, "/"):
        places.append((group.name.strip("/"), group))
        beside = group.get("starting_time")
        if isinstance(beside, h5py.Dataset) and "rate" in beside.attrs:
            yield f"{beside.name.strip('/')}.rate", _readable(beside, "rate")
    for place, item in places:
        for attribute in item.attrs:
            value = _readable(item, attribute)
            if value is not None:
                yield f"{place}.{attribute}", value


def _readable(item: Any, attribute: str) -> Any:
    try:
        value = item.attrs[attribute]
    except (OSError, TypeError, ValueError, UnicodeDecodeError):
        return None
    if isinstance(value, h5py.Empty):
        return None
    values = np.asarray(value)
    if values.size != 1:
        return str(values.tolist())[:80] if values.dtype.kind in "iuf" else None
    return text_of(values.reshape(-1)[0]) if values.dtype.kind in "SUO" else values.reshape(-1)[0].item()


def _plain(key: str) -> str:
    return key.rpartition(".")[2].lower()


def _says_something(key: str, value: Any, used: set[str]) -> bool:
    name = _plain(key)
    if name in used:
        return False
    if name in _NOTHING:
        # NWB writes a resolution of -1 where it is not known.
        return number_or_none(value) not in (_NOTHING[name], -1.0 if name == "resolution" else None)
    return name in _UNIT_NAMES and unit_of(value) is None and bool(str(value).strip())
