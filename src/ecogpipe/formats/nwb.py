"""NWB files of anybody: which ElectricalSeries they hold, in which numbers, of which electrodes. Read by h5py alone."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.electrodes.grid import places_on_axis
from ecogpipe.errors import FormatError, first_line, nearest
from ecogpipe.storage.hdf5_files import open_hdf5

_KIND = "neurodata_type"

SITES = "nwb_sites"
"""By this name the info of a recording keeps the sites that an NWB file says, as JSON: sites, grid, pitch_mm."""

_ELECTRODES = "general/extracellular_ephys/electrodes"
_MOST_GRID_SITES = 20
"""Places of a grid to an electrode: more are no grid of an array."""


@dataclass(frozen=True)
class NwbSignals:
    """One ElectricalSeries of an NWB file, or several that are one recording with gaps.

    Attributes
    ----------
    path : Path
        The file.
    datasets : tuple of str
        Its samples, (time, channels), in order of time.
    shape : (int, int)
        All samples, and channels.
    dtype : dtype
        Of the samples.
    rate : Fraction
        Sampling rate in Hz.
    conversion, offset : float
        value in volts = conversion * sample + offset.
    start_time : str
        ISO 8601 with zone; '' where the file does not say it.
    rows : ndarray of int
        Row of the electrodes table of each channel.
    columns : dict
        The electrodes table: values by name of the column.
    stretches : tuple of (int, int, float)
        First sample, the one after the last, and the starting time in seconds, of each dataset.
    said : dict
        What `ecogpipe` wrote into the comments; empty in files of others.
    """

    path: Path
    datasets: tuple[str, ...]
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    rate: Fraction
    conversion: float
    offset: float
    start_time: str
    rows: npt.NDArray[np.intp]
    stretches: tuple[tuple[int, int, float], ...]
    columns: dict[str, npt.NDArray[Any]] = field(repr=False)
    said: dict[str, Any] = field(repr=False)

    def column(self, name: str) -> npt.NDArray[Any] | None:
        """Return a column of the electrodes table for each channel, None where there is none."""
        values = self.columns.get(name)
        return None if values is None else values[self.rows]

    def sites(self) -> tuple[npt.NDArray[np.intp], tuple[int, int], tuple[float, float] | None]:
        """Return (row, column) of each channel, rows and columns of the grid, and its pitch in mm (dy, dx).

        Positions (``row`` and ``column``, else ``rel_y`` and ``rel_x``) are taken where they make a grid; else the
        channels are one column, and the pitch is None.
        """
        if "grid" in self.said:
            rows, columns = self.columns["row"][self.rows], self.columns["column"][self.rows]
            grid, pitch = self.said["grid"], self.said["pitch_mm"]
            return (
                np.stack([rows, columns], axis=1),
                (grid[0], grid[1]),
                None if pitch is None else (pitch[0], pitch[1]),
            )
        return self._sites_of_others()

    def _sites_of_others(self) -> tuple[npt.NDArray[np.intp], tuple[int, int], tuple[float, float] | None]:
        rows, columns = self.column("row"), self.column("column")
        x, y = self.column("rel_x"), self.column("rel_y")
        along_x, along_y = (None if values is None else places_on_axis(values) for values in (x, y))
        pitch = None if along_x is None or along_y is None else (along_y[1] / 1000, along_x[1] / 1000)
        if rows is not None and columns is not None and rows.dtype.kind in "iu" and columns.dtype.kind in "iu":
            places = np.stack([rows, columns], axis=1).astype(np.intp)
        elif along_x is not None and along_y is not None:
            places = np.stack([along_y[0], along_x[0]], axis=1)
        else:
            places = np.stack([np.arange(len(self.rows)), np.zeros(len(self.rows), dtype=np.intp)], axis=1)
            pitch = None
        grid = tuple(int(n) + 1 for n in places.max(axis=0))
        is_grid = len(np.unique(places, axis=0)) == len(places) and grid[0] * grid[1] <= _MOST_GRID_SITES * len(places)
        if places.min() < 0 or not is_grid:
            column = np.stack([np.arange(len(self.rows)), np.zeros(len(self.rows), dtype=np.intp)], axis=1)
            return column, (len(self.rows), 1), None
        return places, (grid[0], grid[1]), pitch


def is_nwb(file: h5py.File) -> bool:
    """Return whether an HDF5 file is an NWB file."""
    return bool(file.attrs.get(_KIND) == "NWBFile") and "nwb_version" in file.attrs


def read_nwb_signals(path: Path, series: str | None = None) -> NwbSignals:
    """Read what an NWB file says of its signals.

    Parameters
    ----------
    path
        The file.
    series
        Name, or path in the file, of the ElectricalSeries; it may be left out where there is one.

    Raises
    ------
    FormatError
        If there is none, there are several and none is named, or it cannot be used: compound or external samples,
        timestamps in place of a rate, channels that differ in their conversion.
    """
    with open_hdf5(path) as file:
        if not is_nwb(file):
            raise FormatError(f"{path}: is not an NWB file; name one, or a file of ecogpipe.")
        try:
            return _read(path, file, series)
        except (KeyError, OSError, RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise FormatError(
                f"{path}: lacks something that NWB files have, or it cannot be read ({first_line(error)}); check it "
                "with pynwb-validate, and get it again from where it was written."
            ) from error


def _read(path: Path, file: h5py.File, series: str | None) -> NwbSignals:
    names = _chosen(path, _electrical_series(file), series, file)
    first = file[names[0]]
    for name in names:
        _check(path, file[name])
    rate = _rate(path, first)
    conversion, offset = _scale(path, first)
    rows = first["electrodes"][()].astype(np.intp)
    table = file[_ELECTRODES]
    said = _said(first)
    return NwbSignals(
        path=path,
        datasets=tuple(f"{name}/data" for name in names),
        shape=(sum(len(file[f"{name}/data"]) for name in names), int(first["data"].shape[1])),
        dtype=first["data"].dtype,
        rate=Fraction(said["rate"]) if "rate" in said else rate,
        conversion=conversion,
        offset=offset,
        start_time=str(file["session_start_time"].asstr()[()]) if "session_start_time" in file else "",
        rows=rows,
        stretches=tuple(_stretches([file[name] for name in names])),
        columns={name: _values(table[name]) for name in table if _is_plain_column(table[name], len(table["id"]))},
        said=said,
    )


def _electrical_series(file: h5py.File) -> list[str]:
    found: list[str] = []

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and item.attrs.get(_KIND) == "ElectricalSeries":
            found.append(name)

    file.visititems(note)
    return found


def _chosen(path: Path, names: list[str], wanted: str | None, file: h5py.File) -> list[str]:
    """Return the series that is wanted; those of stretches between gaps belong together."""
    if not names:
        raise FormatError(f"{path}: holds no ElectricalSeries, so there are no signals to read.")
    stretches: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda each: _starting_time(file[each])):
        stem, _, number = name.rpartition("_")
        is_stretch = number.isdigit() and "settling_samples" in _said(file[name])
        stretches.setdefault(stem if is_stretch else name, []).append(name)
    if wanted is not None:
        for stem, own in stretches.items():
            if wanted in (stem, stem.rpartition("/")[2]):
                return own
        if wanted in names:
            return [wanted]
        raise FormatError(f"{path}: has no ElectricalSeries {wanted!r}. {nearest(wanted, stretches)}")
    if len(stretches) > 1:
        listed = f"{len(stretches)} ElectricalSeries ({', '.join(stretches)})"
        raise FormatError(f"{path}: holds {listed}; name the one to read, as series=.")
    return next(iter(stretches.values()))


def _stretches(series: list[h5py.Group]) -> Iterator[tuple[int, int, float]]:
    first = 0
    for each in series:
        yield first, first + len(each["data"]), _starting_time(each)
        first += len(each["data"])


def _starting_time(series: h5py.Group) -> float:
    return float(series["starting_time"][()]) if "starting_time" in series else 0.0


def _check(path: Path, series: h5py.Group) -> None:
    where = f"{path}: {series.name}"
    if "data" not in series or "external_file" in series:
        raise FormatError(f"{where} holds no samples here, but names another file; open that one.")
    data = series["data"]
    if data.dtype.kind not in "iuf":
        raise FormatError(f"{where} holds samples of the type {data.dtype}; signals are single numbers.")
    if data.ndim != 2:
        raise FormatError(f"{where} has samples of shape {data.shape}; signals need two axes, (time, channels).")
    n_electrodes = len(series["electrodes"])
    if data.shape[1] != n_electrodes:
        turned = "; they may be turned round, (channels, time)" if data.shape[0] == n_electrodes else ""
        raise FormatError(
            f"{where} has samples of shape {data.shape}, (time, channels), but names {n_electrodes} electrodes"
            f"{turned}; correct the file where it was written."
        )
    if (unit := data.attrs.get("unit", "volts")) not in ("volts", "V", "volt"):
        raise FormatError(f"{where} is in {unit!r}; NWB has electrical signals in volts: correct the file.")


def _rate(path: Path, series: h5py.Group) -> Fraction:
    if "starting_time" not in series:
        raise FormatError(
            f"{path}: {series.name} has a time for each sample (timestamps) in place of a sampling rate, so that "
            "samples may be irregular; write it with a rate."
        )
    rate = float(series["starting_time"].attrs["rate"])
    if not np.isfinite(rate) or rate <= 0:
        raise FormatError(f"{path}: {series.name} has a sampling rate of {rate} Hz; correct the file.")
    return Fraction(rate).limit_denominator(10**6) if rate != int(rate) else Fraction(int(rate))


def _scale(path: Path, series: h5py.Group) -> tuple[float, float]:
    data = series["data"]
    conversion, offset = float(data.attrs.get("conversion", 1.0)), float(data.attrs.get("offset", 0.0))
    if "channel_conversion" in series:
        factors = np.unique(series["channel_conversion"][()])
        if len(factors) != 1:
            raise FormatError(
                f"{path}: {series.name} has a conversion for each channel ({factors.min()} to {factors.max()}); "
                "write it with one for all."
            )
        conversion *= float(factors[0])
    return conversion, offset


def _said(series: h5py.Group) -> dict[str, Any]:
    """Return what ecogpipe wrote into the comments of a series."""
    with suppress(ValueError):
        said = json.loads(str(series.attrs.get("comments", "")))
        return said if isinstance(said, dict) else {}
    return {}


def _is_plain_column(column: Any, length: int) -> bool:
    is_read = isinstance(column, h5py.Dataset) and column.shape == (length,)
    return is_read and (column.dtype.kind in "iufb" or h5py.check_string_dtype(column.dtype) is not None)


def _values(column: h5py.Dataset) -> npt.NDArray[Any]:
    if h5py.check_string_dtype(column.dtype) is not None:
        return np.asarray(column.asstr()[()], dtype=object)
    return np.asarray(column[()])
