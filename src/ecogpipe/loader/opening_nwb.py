"""Opening an NWB file: of ecogpipe with all that a mirror has, of others with what they say."""

from collections.abc import Callable
from itertools import starmap
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.binder import BufferBinder
from ecogpipe.datasource.buffers import HDF5Buffer
from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.electrodes.channel_map import ChannelMap
from ecogpipe.exchange.nwb_content import BNC, PROCESSING
from ecogpipe.formats.nwb import NwbSignals, read_nwb_signals
from ecogpipe.loader.dataset import Dataset, Stretch
from ecogpipe.results.events import FALLING, RISING, EventsTable
from ecogpipe.storage.canonical import MICROVOLTS_PER
from ecogpipe.storage.hdf5_files import open_hdf5

_NUMBERS = ("frame", "fine_frame")


def open_nwb(path: Path, series: str | None = None) -> Dataset:
    """Open an ElectricalSeries of an NWB file with its sites, its bad channels and, of our files, its triggers.

    Parameters
    ----------
    path
        The file.
    series
        Name, or path in the file, of the series; it may be left out where there is one.

    Raises
    ------
    FormatError
        If there is none, there are several and none is named, or it cannot be used.
    """
    signals = read_nwb_signals(path, series)
    places, grid, pitch = signals.sites()
    keep, reasons = _mask(signals)
    columns = tuple(int(column) for column in signals.said.get("bnc_columns", ()))
    kinds = signals.said.get("bnc_kinds", ())
    return Dataset(
        path=path,
        data=MappedSource(_joined(path, signals.datasets), units_scale=_scale(signals), transpose=True),
        rate=signals.rate,
        ratio=int(signals.said.get("ratio", 1)),
        channel_mask=keep,
        mask_reasons=reasons,
        bnc=_bnc(signals, has_lines=bool(columns)),
        bnc_columns=columns,
        trigger=next((column for column, kind in zip(columns, kinds, strict=True) if kind != "analog"), None),
        full_map=ChannelMap((places[:, 0] * grid[1] + places[:, 1]).tolist(), grid, pitch=pitch),
        find_events=_events(signals),
        start_time=signals.start_time,
        stretches=tuple(starmap(Stretch, signals.stretches)),
        sample_delays=_delays(signals),
        series=series,
    )


def _delays(signals: NwbSignals) -> npt.NDArray[np.float64] | None:
    """Return what our files say of the multiplexer; 0 where the series was corrected for it, None of others."""
    delays = signals.column("sample_delay") if signals.said else None
    if delays is None:
        return None
    return np.zeros(len(delays)) if signals.said.get("settings", {}).get("correct_skew") else delays


def _joined(path: Path, datasets: tuple[str, ...]) -> HDF5Buffer | BufferBinder:
    buffers = [HDF5Buffer.open(path, name) for name in datasets]
    return buffers[0] if len(buffers) == 1 else BufferBinder(buffers, axis=0)


def _scale(signals: NwbSignals) -> tuple[float, float] | None:
    """Return the (offset, scale) that brings samples to microvolts; None where they are microvolts."""
    scale = signals.conversion * MICROVOLTS_PER["V"]
    return None if (scale, signals.offset) == (1.0, 0.0) else (signals.offset / signals.conversion, scale)


def _mask(signals: NwbSignals) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """Return which channels are kept, and why others are not."""
    bad, reasons = signals.column("bad_channel"), signals.column("bad_channel_reason")
    keep = np.ones(len(signals.rows), dtype=bool) if bad is None else ~bad.astype(bool)
    return keep, () if reasons is None else tuple(map(str, reasons))


def _bnc(signals: NwbSignals, *, has_lines: bool) -> MappedSource:
    """Return the BNC rows; a source without rows where there are none."""
    if not has_lines:
        return MappedSource(_joined(signals.path, signals.datasets), [], transpose=True)
    return MappedSource(_joined(signals.path, tuple(map(_bnc_name, signals.datasets))), transpose=True)


def _bnc_name(dataset: str) -> str:
    """Return the dataset of the BNC rows beside one of a mirror."""
    name, number = dataset.split("/")[-2], ""
    stem, _, last = name.rpartition("_")
    if last.isdigit():
        name, number = stem, f"_{last}"
    return f"processing/{PROCESSING}/{name}_{BNC}{number}/data"


def _events(signals: NwbSignals) -> Callable[[], EventsTable]:
    """Return the function that reads the edges of our tables; there are none in files of others."""

    def find() -> EventsTable:
        found: dict[tuple[str, str], dict[int, npt.NDArray[np.int64]]] = {
            (edge, name): {} for edge in (RISING, FALLING) for name in _NUMBERS
        }
        facts: dict[int, dict[str, Any]] = {}
        with open_hdf5(signals.path) as file:
            for table in file["events"].values() if "events" in file else ():
                column = _column_of(table)
                if column is not None:
                    facts[column] = {"kind": str(table.attrs["description"]).partition("(")[2].partition(")")[0]}
                    edges = table["edge"].asstr()[()] if len(table["edge"]) else np.array([], dtype=object)
                    for edge, name in found:
                        found[edge, name][column] = table[name][()][edges == edge].astype(np.int64)
        return EventsTable(
            rising=found[RISING, "frame"],
            falling=found[FALLING, "frame"],
            fine_rising=found[RISING, "fine_frame"],
            fine_falling=found[FALLING, "fine_frame"],
            n_rows=int(signals.said.get("n_rows", 1)),
            facts=facts,
        )

    return find


def _column_of(table: h5py.Group) -> int | None:
    """Return the DAQ column whose edges a table of ours holds; None for tables of others."""
    name = str(table.name).rpartition("/")[2].removeprefix(f"{BNC}_")
    has_all = all(column in table for column in ("edge", *_NUMBERS))
    return int(name) if has_all and name.isdigit() else None
