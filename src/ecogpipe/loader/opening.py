"""Opening a recording, or a mirror of one, with the tables that stand beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe import layout
from ecogpipe.datasource.buffers import open_hdf5
from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.datasource.raw import open_raw
from ecogpipe.electrodes.channel_map import ChannelMap
from ecogpipe.electrodes.channels import ChannelTable, read_channels
from ecogpipe.electrodes.masks import read_mask
from ecogpipe.errors import FormatError
from ecogpipe.identity import check_one_recording
from ecogpipe.loader.dataset import Dataset
from ecogpipe.steps.extract_events import EventsTable, read_events

CHANNELS, MASK, EVENTS = "channels.tsv", "mask.tsv", "events.tsv"
"""Names of the tables that stand beside a recording and its mirrors."""


def open_recording(path: str | Path) -> Dataset:
    """Open a recording (raw.h5) or a mirror of one, with the map, the mask and the triggers that belong to it.

    Parameters
    ----------
    path
        A file that `ingest` or `mirror_recording` wrote. A recording needs its channels.tsv beside it; a mirror
        carries its map and mask. Where mask.tsv and events.tsv stand beside the file, they are read.

    Raises
    ------
    FormatError
        If the file is missing or is none of ours, or a table that it needs is not there.
    IdentityError
        If a table beside it is of another recording.

    Examples
    --------
    ``open_recording("results/rat/day1/test_001/test_001_Fs1000.h5").data[:, :1000]``
    """
    path = Path(path)
    with open_hdf5(path) as file:
        layout.check_canonical(file)
        check_one_recording(path, *_tables_beside(path))
        is_mirror = layout.ELECTRODE_CHANNELS in file
        return _open_mirror(path, file) if is_mirror else _open_raw(path)


def _open_mirror(path: Path, file: h5py.File) -> Dataset:
    sites, geometry = file[layout.SITES][()], tuple(int(n) for n in file.attrs["geometry"])
    pitch = tuple(float(d) for d in file.attrs["pitch_mm"]) if "pitch_mm" in file.attrs else None
    electrodes = [int(channel) for channel in file[layout.ELECTRODE_CHANNELS]]
    acquisition = layout.read_acquisition(file)
    columns = tuple(int(channel) // acquisition.n_rows for channel in file[layout.BNC_CHANNELS])
    kinds = layout.read_texts(file[layout.BNC_KINDS])
    mask, reasons = _mask_beside(path, file[layout.CHANNEL_MASK][()])
    return Dataset(
        path=path,
        data=MappedSource.from_hdf_sources(path, layout.DATA, electrodes),
        rate=acquisition.rate,
        ratio=int(file.attrs["ratio"]),
        channel_mask=mask,
        mask_reasons=reasons,
        bnc=MappedSource.from_hdf_sources(path, layout.BNC),
        bnc_columns=columns,
        trigger=_first_digital(columns, kinds),
        full_map=ChannelMap((sites[:, 0] * geometry[1] + sites[:, 1]).tolist(), geometry, pitch=pitch),
        find_events=_events_beside(path),
    )


def _open_raw(path: Path) -> Dataset:
    table = _channels_beside(path)
    rows = [int(row) for channels in table.bnc_channels.values() for row in channels]
    columns = tuple(int(table.daq_column[row]) for row in rows)
    electrodes = [int(channel) for channel in table.electrode_channels]
    with open_raw(path) as recording:
        acquisition = recording.acquisition
    microvolts = layout.MICROVOLTS_PER[acquisition.units]
    mask, reasons = _mask_beside(path, np.ones(len(electrodes), dtype=bool))

    def source(channels: list[int], units_per_value: float) -> MappedSource:
        scale = (acquisition.intercept / acquisition.slope, acquisition.slope * units_per_value)
        return open_raw(path, electrode_channels=channels, units_scale=scale).source

    return Dataset(
        path=path,
        data=source(electrodes, microvolts / table.gain),
        rate=acquisition.rate,
        ratio=1,
        channel_mask=mask,
        mask_reasons=reasons,
        bnc=source(rows, microvolts / layout.MICROVOLTS_PER["V"]),
        bnc_columns=columns,
        trigger=_first_digital(columns, [table.bnc_kinds[column] for column in columns]),
        full_map=table.chan_map,
        find_events=_events_beside(path),
    )


def _tables_beside(path: Path) -> list[Path]:
    return [path.with_name(name) for name in (CHANNELS, MASK, EVENTS) if path.with_name(name).exists()]


def _channels_beside(path: Path) -> ChannelTable:
    if not path.with_name(CHANNELS).exists():
        raise FormatError(
            f"{path}: {CHANNELS} is not beside it; run map_channels, or open a mirror, which carries its map."
        )
    return read_channels(path.with_name(CHANNELS))


def _mask_beside(path: Path, stored: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """Return the mask and reasons of mask.tsv where it is there, as it is newer than what a mirror has stored."""
    if not path.with_name(MASK).exists():
        return stored, ()
    table = read_mask(path.with_name(MASK))
    return table.keep, table.reasons


def _events_beside(path: Path) -> Callable[[], EventsTable]:
    def find() -> EventsTable:
        if not path.with_name(EVENTS).exists():
            raise FormatError(f"{path}: {EVENTS} is not beside it; run extract_events, or put the table back.")
        return read_events(path.with_name(EVENTS))

    return find


def _first_digital(columns: Sequence[int], kinds: Sequence[str]) -> int | None:
    return next((column for column, kind in zip(columns, kinds, strict=True) if kind != "analog"), None)
