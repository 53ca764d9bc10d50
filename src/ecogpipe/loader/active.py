"""Loading a raw file at a prompt, along the same road as the workflow's: nothing is left behind."""

import shutil
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ecogpipe.datasource.array import ArraySource
from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.datasource.scratch import scratch_path
from ecogpipe.datasource.source import ElectrodeDataSource
from ecogpipe.electrodes.channel_map import ChannelMap
from ecogpipe.electrodes.channels import BncLine, ChannelTable, absolute_lines, split_overrides
from ecogpipe.errors import FormatError, SettingsError, nearest
from ecogpipe.formats.kinds import RAW_SUFFIXES
from ecogpipe.loader.dataset import Dataset
from ecogpipe.loader.opening import open_recording
from ecogpipe.results.channels import read_channels
from ecogpipe.results.events import EventsTable, read_events
from ecogpipe.results.names import RecordingFiles
from ecogpipe.signal.filters import checked_band, checked_notches
from ecogpipe.steps.extract_events import extract_events
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.map_channels import map_channels
from ecogpipe.steps.mirror import mirror_recording
from ecogpipe.steps.scan import scan
from ecogpipe.storage.canonical import MICROVOLTS_PER, read_acquisition
from ecogpipe.storage.hdf5_files import open_hdf5

EVENTS_DEFAULTS: Mapping[str, float | None] = {
    "minimum_step": 0.5,
    "threshold": None,
    "debounce": 0,
    "minimum_interval": 0,
    "drift_window": None,
}
"""Settings of the edges where none are given: those of the config that is shipped."""


class ActiveLoader:
    """Loads one recording of an active array from its raw file.

    Parameters
    ----------
    path
        Folder of the file.
    recording
        Its name without suffix.
    electrode, daq, headstage
        The set-up.
    bnc
        BNC lines: `BncLine`, or the DAQ column of a line whose pulses go up.
    trigger_idx
        Which of `bnc` is the trigger.
    mapped
        Whether the signals stay on disk, or are read into memory (within the memory limit); 'r+' for a copy on the
        scratch disk that can be written to.
    units
        Unit that the signals are brought to: 'V', 'mV' or 'uV'.
    resample_rate
        Sampling rate in Hz to bring the signals to; a whole fraction of their own.
    bandpass
        (low, high) corners in Hz of a zero-phase band-pass; None leaves a side open.
    notches
        Centres in Hz of notch filters.
    load_channels
        Channels to load, as numbered on disk; None for every electrode channel.
    bnc_numbering
        'absolute', or 'after_electrodes' where `bnc` counts from the first column after the electrode columns.
    raw_units
        Unit of the numbers in the file, where it does not say that: 'V', 'mV' or 'uV'.
    events
        Settings of the trigger edges, as `events` in the config; those not given are as in the config that is shipped.
    **declared
        Acquisition values that the file does not say or says wrongly, as in the overrides of the recordings table.

    Examples
    --------
    >>> loader = ActiveLoader("raw", "test_001", "actv_64", "2t-as daq v2", "zif26 to 2x uhdmi", bnc=[10])
    ... # doctest: +SKIP
    >>> loader.create_dataset().data.shape  # doctest: +SKIP
    (64, 100000)
    """

    def __init__(
        self,
        path: str | Path,
        recording: str,
        electrode: str,
        daq: str,
        headstage: str,
        bnc: int | BncLine | Sequence[int | BncLine] = (),
        trigger_idx: int = 0,
        mapped: bool | Literal["r+"] = True,
        units: str = "uV",
        resample_rate: float | None = None,
        bandpass: tuple[float | None, float | None] | None = None,
        notches: float | Sequence[float] | None = None,
        load_channels: Sequence[int] | None = None,
        bnc_numbering: str = "absolute",
        raw_units: str | None = None,
        events: Mapping[str, float | None] | None = None,
        **declared: Any,
    ) -> None:
        if units not in MICROVOLTS_PER:
            raise SettingsError(f"units is {units!r}. {nearest(units, MICROVOLTS_PER)}")
        self._file = _find_file(Path(path), recording)
        self._daq, self._headstage, self._electrode = daq, headstage, electrode
        self._lines = _checked_lines(bnc)
        if not _is_whole(trigger_idx):
            raise SettingsError(f"trigger_idx is {trigger_idx!r}; give the place of the trigger in bnc, as in 0.")
        if mapped not in (True, False, "r+"):
            raise SettingsError(f"mapped is {mapped!r}; give True, False, or 'r+' for signals that can be written to.")
        self._trigger_idx, self._mapped, self._units = trigger_idx, mapped, units
        self._events = _events_settings(events or {})
        self._mirror = _mirror_settings(resample_rate, bandpass, notches)
        self._load_channels = _checked_channels(load_channels)
        of_raw = {} if raw_units is None else {"units": raw_units}
        self._declared: Mapping[str, Any] = {"bnc_numbering": bnc_numbering, **of_raw, **declared}

    def make_channel_map(self) -> tuple[ChannelMap, list[int], list[int], list[int]]:
        """Return the map, and which channels are electrode, other (diagnostic) and reference channels."""
        table = self._channels
        others = [int(channel) for channel in table.diagnostic_channels]
        return table.chan_map, [int(channel) for channel in table.electrode_channels], others, []

    def create_dataset(self) -> Dataset:
        """Return the recording with its map and its triggers; triggers are found when they are first asked for."""
        chan_map, positions = self._channels.chan_map, self._positions()
        opened = open_recording(self._raw if self._mirror is None else self._mirrored())
        return replace(
            opened,
            path=self._file,
            data=self._chosen(opened.data, positions),
            full_map=chan_map.subset(positions),
            channel_mask=np.ones(len(positions), dtype=bool),
            trigger=self._trigger(),
            # A bound method: the temporary files of this loader stay for as long as the dataset does.
            find_events=self._find_events,
        )

    @cached_property
    def _files(self) -> RecordingFiles:
        """The results of the steps, in a temporary folder."""
        folder = scratch_path(".loader")
        folder.mkdir()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return RecordingFiles(folder)

    @cached_property
    def _raw(self) -> Path:
        return ingest([self._file], self._files.raw, declared=split_overrides(self._declared)[0])

    @cached_property
    def _channels(self) -> ChannelTable:
        map_channels(
            self._raw,
            self._files.channels,
            daq=self._daq,
            headstage=self._headstage,
            electrode=self._electrode,
            bnc=self._lines,
            declared=split_overrides(self._declared)[1],
        )
        return read_channels(self._files.channels)

    def _mirrored(self) -> Path:
        mirror = self._files.mirror("loader")
        return mirror_recording(
            self._raw, self._files.channels, None, mirror, name="loader", settings=self._mirror or {}
        )

    def _positions(self) -> list[int]:
        """Return positions of the chosen channels among the electrode channels."""
        electrodes = self._channels.electrode_channels.tolist()
        if self._load_channels is None:
            return list(range(len(electrodes)))
        wrong = [channel for channel in self._load_channels if channel not in electrodes]
        if wrong:
            raise SettingsError(f"{self._file}: channel {wrong[0]} of load_channels carries no electrode.")
        return [electrodes.index(channel) for channel in self._load_channels]

    def _chosen(self, data: ElectrodeDataSource, positions: Sequence[int]) -> ElectrodeDataSource:
        channels = [data.electrode_channels[position] for position in positions]
        offset, scale = data.units_scale or (0.0, 1.0)
        in_units = (offset, scale / MICROVOLTS_PER[self._units])
        assert isinstance(data, MappedSource)
        chosen = MappedSource(
            data.data_buffer, channels, units_scale=None if in_units == (0, 1) else in_units, transpose=data.transposed
        )
        if self._mapped == "r+":
            return chosen.mirror(copy="electrode")
        return chosen if self._mapped else ArraySource(np.ascontiguousarray(chosen[:, :]))

    def _trigger(self) -> int | None:
        if not self._lines:
            return None
        if not 0 <= self._trigger_idx < len(self._lines):
            raise SettingsError(f"trigger_idx is {self._trigger_idx}, but bnc names {len(self._lines)} lines.")
        numbering, n_columns = self._declared["bnc_numbering"], self._n_columns()
        return absolute_lines(self._lines, numbering, n_columns)[self._trigger_idx].column

    def _n_columns(self) -> int:
        with open_hdf5(self._raw) as file:
            return read_acquisition(file).n_columns

    def _find_events(self) -> EventsTable:
        scanned, events = self._files.scan, self._files.events
        if not events.exists():
            scan(self._raw, scanned)
            numbering = self._declared["bnc_numbering"]
            channels = self._files.channels
            extract_events(scanned, channels, events, bnc=self._lines, bnc_numbering=numbering, **self._events)
        return read_events(events)


def _checked_lines(bnc: int | BncLine | Sequence[int | BncLine]) -> list[BncLine]:
    """Return the BNC lines, of which a single one may be given by itself."""
    lines: Any = [bnc] if isinstance(bnc, BncLine) or _is_whole(bnc) else bnc
    if not isinstance(lines, Sequence) or not all(isinstance(line, BncLine) or _is_whole(line) for line in lines):
        raise SettingsError(f"bnc is {bnc!r}; give DAQ columns, e.g. [10], or lines, e.g. [BncLine(10, 'ttl_low')].")
    return [line if isinstance(line, BncLine) else BncLine(line, "ttl_high") for line in lines]


def _checked_channels(channels: Sequence[int] | None) -> list[int] | None:
    if channels is None:
        return None
    if not isinstance(channels, Sequence | np.ndarray) or not all(_is_whole(channel) for channel in channels):
        raise SettingsError(f"load_channels is {channels!r}; give numbers of channels, as they are counted on disk.")
    return [int(channel) for channel in channels]


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _events_settings(wanted: Mapping[str, float | None]) -> dict[str, Any]:
    for name in wanted:
        if name not in EVENTS_DEFAULTS:
            raise SettingsError(f"events has no setting {name!r}. {nearest(name, EVENTS_DEFAULTS)}")
    return {**EVENTS_DEFAULTS, **wanted}


def _mirror_settings(
    rate: float | None, bandpass: tuple[float | None, float | None] | None, notches: float | Sequence[float] | None
) -> dict[str, Any] | None:
    """Return the settings of the mirror to make; None where the signals are wanted as they are."""
    band, centres = checked_band(bandpass), checked_notches(notches)
    if rate is None and band == (None, None) and not centres:
        return None
    wanted: dict[str, Any] = {"bandpass": band, "notches": centres}
    return wanted | ({"ratio": 1} if rate is None else {"rate": rate})


def _find_file(folder: Path, recording: str) -> Path:
    found = [path for suffix in RAW_SUFFIXES if (path := folder / f"{recording}{suffix}").is_file()]
    if not found:
        names = [path.stem for path in folder.glob("*") if path.suffix in RAW_SUFFIXES]
        raise FormatError(f"{folder}: has no recording {recording!r}. {nearest(recording, names)}")
    if len(found) > 1:
        raise FormatError(f"{folder}: has {' and '.join(path.name for path in found)}; keep the one that is meant.")
    return found[0]
