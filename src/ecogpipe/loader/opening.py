"""Opening a recording, or a mirror of one, with the tables that stand beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.electrodes.channels import BncLine, ChannelTable
from ecogpipe.errors import FormatError
from ecogpipe.formats.nwb import is_nwb
from ecogpipe.loader.dataset import Dataset, Stretch
from ecogpipe.loader.opening_lab import is_lab_mirror, open_lab_mirror
from ecogpipe.loader.opening_nwb import open_nwb
from ecogpipe.results.channels import read_channels
from ecogpipe.results.events import EventsTable, read_events
from ecogpipe.results.identity import check_same_signal
from ecogpipe.results.mask import read_mask
from ecogpipe.results.mirror import Mirror, is_mirror, read_mirror
from ecogpipe.results.names import CHANNELS, EVENTS, MASK
from ecogpipe.results.recording import offset_and_scale, open_raw, units_per
from ecogpipe.signal.rates import slot_seconds
from ecogpipe.storage import canonical
from ecogpipe.storage.canonical import Segment
from ecogpipe.storage.hdf5_files import open_hdf5


def open_recording(
    path: str | Path,
    series: str | None = None,
    *,
    set_up: tuple[str, str, str] | None = None,
    bnc: Sequence[BncLine] = (),
) -> Dataset:
    """Open a recording (raw.h5), a mirror of one, or an NWB file, with the map, the mask and the triggers of it.

    Parameters
    ----------
    path
        A file that `ingest` or `mirror_recording` wrote. A recording needs its channels.tsv beside it; a mirror
        carries its map, and a mask only where its signals depend on it. Where mask.tsv and events.tsv stand beside the
        file, they are read; where there is no mask, all channels are kept. Or an NWB file, of
        ecogpipe or others, which is read by itself: electrodes that make a grid are its sites.
    series
        Of an NWB file: name, or path in the file, of the ElectricalSeries; needed where there are several.
    set_up, bnc
        Of a file of a lower rate that ecogdata made: daq, headstage and electrode, and the BNC lines that it holds, in
        their order. Files of ecogpipe and NWB files say both.

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
        if is_nwb(file):
            return open_nwb(path, series)
        if is_lab_mirror(file):
            return open_lab_mirror(path, set_up, bnc)
        canonical.check_canonical(file)
        check_same_signal(path, *_tables_beside(path))
        opens_mirror = is_mirror(file)
    return _open_mirror(path) if opens_mirror else _open_raw(path)


def _open_mirror(path: Path) -> Dataset:
    mirror = read_mirror(path)
    columns = tuple(int(channel) // mirror.acquisition.n_rows for channel in mirror.bnc_channels)
    everything = np.ones(len(mirror.electrode_channels), dtype=bool)
    mask, reasons = _mask_beside(path, everything if mirror.channel_mask is None else mirror.channel_mask)
    return Dataset(
        path=path,
        data=MappedSource.from_hdf_sources(path, canonical.DATA, mirror.electrode_channels.tolist()),
        rate=mirror.acquisition.rate,
        ratio=mirror.ratio,
        channel_mask=mask,
        mask_reasons=reasons,
        bnc=MappedSource.from_hdf_sources(path, canonical.BNC),
        bnc_columns=columns,
        trigger=_first_digital(columns, mirror.bnc_kinds),
        full_map=mirror.chan_map,
        find_events=_events_beside(path),
        start_time=mirror.acquisition.start_time,
        stretches=_stretches_of(mirror.segments),
        sample_delays=_delays(path, mirror),
    )


def _delays(path: Path, mirror: Mirror) -> npt.NDArray[np.float64]:
    """Return the seconds by which each electrode is sampled after the first of its frame; 0 if that was corrected."""
    if mirror.settings.get("correct_skew", False):
        return np.zeros(len(mirror.electrode_channels))
    slots = mirror.electrode_channels % mirror.acquisition.n_rows
    return slot_seconds(slots, mirror.acquisition.n_rows, mirror.acquisition.rate * mirror.ratio)


def _open_raw(path: Path) -> Dataset:
    table = _channels_beside(path)
    rows = [int(row) for channels in table.bnc_channels.values() for row in channels]
    columns = tuple(int(table.daq_column[row]) for row in rows)
    electrodes = [int(channel) for channel in table.electrode_channels]
    with open_raw(path) as recording:
        acquisition, segments = recording.acquisition, recording.segments
    mask, reasons = _mask_beside(path, np.ones(len(electrodes), dtype=bool))

    def source(channels: list[int], units_per_value: float) -> MappedSource:
        scale = offset_and_scale(acquisition, units_per_value)
        return open_raw(path, electrode_channels=channels, units_scale=scale).source

    return Dataset(
        path=path,
        data=source(electrodes, units_per(acquisition, "uV") / table.gain),
        rate=acquisition.rate,
        ratio=1,
        channel_mask=mask,
        mask_reasons=reasons,
        bnc=source(rows, units_per(acquisition, "V")),
        bnc_columns=columns,
        trigger=_first_digital(columns, [table.bnc_kinds[column] for column in columns]),
        full_map=table.chan_map,
        find_events=_events_beside(path),
        start_time=acquisition.start_time,
        stretches=_stretches_of(segments),
        sample_delays=slot_seconds(table.daq_row[table.electrode_channels], acquisition.n_rows, acquisition.rate),
    )


def _stretches_of(segments: Sequence[Segment]) -> tuple[Stretch, ...]:
    """Return the stretches of a recording between its gaps."""
    ranges, seconds = canonical.gap_free_ranges(segments), canonical.stretch_seconds(segments)
    return tuple(Stretch(*ends, later) for ends, later in zip(ranges, seconds, strict=True))


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
