"""Step `mirror`: a recording at a lower rate, referenced and filtered, its rows and its wiring unchanged."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ecogpipe import layout
from ecogpipe.datasource.blocks import affordable
from ecogpipe.datasource.raw import RawRecording, open_raw
from ecogpipe.datasource.scratch import ScratchBlocks
from ecogpipe.electrodes.channels import ELECTRODE, ChannelTable, read_channels
from ecogpipe.electrodes.masks import read_mask
from ecogpipe.errors import MaskError, RateError, SettingsError, WiringError, nearest
from ecogpipe.layout import Acquisition
from ecogpipe.outputs import provenance, whole_hdf5
from ecogpipe.params import load_params
from ecogpipe.progress import progress
from ecogpipe.signal.decimate import Decimator, decimate_line
from ecogpipe.signal.filters import FilterSettings, as_settings, design_sos, settling_samples
from ecogpipe.signal.rates import decimated_length, ratio_to
from ecogpipe.signal.reference import Reference, subtract_reference
from ecogpipe.signal.stream import Gap, GapFinder, bridge, restore, zero_phase

REVISION = 1

Array: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]

_KNOWN = ("rate", "ratio", "bandpass", "order", "notches", "notch_width", "reference")


@dataclass(frozen=True)
class MirrorSettings:
    """What a mirror is to be.

    Attributes
    ----------
    rate, ratio
        The new sampling rate in Hz, or the integer ratio to it: one of the two.
    filter : FilterSettings
        Band-pass and notches, zero phase.
    reference : {'none', 'average', 'median'}
        What is taken off each frame before the filter.
    """

    rate: float | None
    ratio: int | None
    filter: FilterSettings
    reference: Reference

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "MirrorSettings":
        """Read the settings as a config holds them.

        Raises
        ------
        SettingsError
            If a name is unknown, or not exactly one of rate and ratio is given.
        """
        for name in values:
            if name not in _KNOWN:
                raise SettingsError(f"A mirror has no setting {name!r}. {nearest(name, _KNOWN)}")
        if (values.get("rate") is None) == (values.get("ratio") is None):
            raise SettingsError("A mirror needs its rate in Hz or an integer ratio, one of the two; give one of them.")
        wanted = as_settings(
            values.get("bandpass"), values.get("order", 3), values.get("notches"), values.get("notch_width", 2.0)
        )
        return cls(values.get("rate"), values.get("ratio"), wanted, values.get("reference", "none"))

    def ratio_from(self, rate: Fraction) -> int:
        """Return the integer ratio for a recording of this rate."""
        return self.ratio if self.ratio is not None else ratio_to(rate, self.rate or 0.0)


def mirror_recording(
    raw: Path, channels: Path, mask: Path | None, mirror: Path, *, name: str, settings: Mapping[str, Any]
) -> Path:
    """Write a mirror of a recording: all its rows at a new rate, the electrode rows in microvolts and filtered.

    Parameters
    ----------
    raw, channels, mask
        What `ingest`, `map_channels` and `mask_channels` wrote for the recording; without a mask every channel is
        active.
    mirror
        The mirror to write.
    name
        Name of this set of mirror settings.
    settings
        ``rate`` or ``ratio``, ``bandpass``, ``order``, ``notches``, ``notch_width``, ``reference``.

    Raises
    ------
    EcogpipeError
        If the settings cannot be used, the rate cannot be reached, or an input does not fit the others.
    """
    wanted = MirrorSettings.from_mapping(settings)
    table = read_channels(channels)
    with open_raw(raw) as recording:
        _check_fits(recording, table, channels)
        keep = _read_keep(mask, table, channels)
        ratio = _ratio(wanted, recording, name)
        new_rate = recording.acquisition.rate / ratio
        sos = None if wanted.filter.does_nothing else design_sos(wanted.filter, new_rate)
        settled = {"name": name, "ratio": ratio, "reference": wanted.reference, **asdict(wanted.filter)}
        inputs = [raw, channels] if mask is None else [raw, channels, mask]
        made_of = provenance("mirror", REVISION, inputs, settled, mirror.parent)
        with whole_hdf5(mirror) as file:
            _write_description(file, recording, ratio, table, keep, sos)
            layout.write_provenance(file, made_of)
            engine = _Engine(file, recording, table, keep, ratio, wanted.reference, sos)
            # BLAS on more threads would split its sums, and so change their last bits.
            with threadpool_limits(1, user_api="blas"), progress(f"mirror {mirror.stem}", _n_bytes(recording)) as done:
                for n_bytes in engine.run():
                    done(n_bytes)
            file[layout.NON_FINITE] = engine.non_finite()
    return mirror


def _ratio(wanted: MirrorSettings, recording: RawRecording, name: str) -> int:
    try:
        return wanted.ratio_from(recording.acquisition.rate)
    except RateError as error:
        raise RateError(f"{recording.path}: mirror {name!r} cannot be made. {error}") from None


class _Engine:
    """One pass over the recording that decimates, and two over the electrode rows that filter."""

    def __init__(
        self,
        file: h5py.File,
        recording: RawRecording,
        table: ChannelTable,
        active: Bools,
        ratio: int,
        reference: Reference,
        sos: Array | None,
    ) -> None:
        self._data, self._bnc = file[layout.DATA], file[layout.BNC]
        self._recording, self._table, self._ratio = recording, table, ratio
        self._active, self._reference, self._sos = active, reference, sos
        self._n_outputs = decimated_length(recording.n_samples, ratio)
        self._gaps = GapFinder()

    def run(self) -> Iterator[int]:
        """Write the mirror's rows; yield the bytes of the recording that each block took."""
        with ScratchBlocks() as scratch:
            for start, electrodes, n_bytes in self._decimated():
                self._gaps.push(electrodes)
                if self._sos is None:
                    self._write(self._table.electrode_channels, start, electrodes)
                else:
                    scratch.append(electrodes)
                yield n_bytes
            if self._sos is not None and self._n_outputs:
                self._filter(scratch, self._sos)

    def non_finite(self) -> npt.NDArray[np.int64]:
        """Return the runs of electrode rows that are not finite: (row, first sample, stop sample)."""
        electrodes = self._table.electrode_channels
        runs = [(electrodes[gap.channel], gap.start, gap.stop) for gap in self._gaps.finish()]
        return np.array(runs, dtype=np.int64).reshape(-1, 3)

    def _decimated(self) -> Iterator[tuple[int, Array, int]]:
        """Decimate block by block; write the other rows, yield (first sample, electrode rows in microvolts, bytes)."""
        source, electrodes = self._recording.source, self._table.electrode_channels
        to_units = _row_scale(self._recording.acquisition, self._table)
        n_filtered = self._recording.acquisition.n_rows * self._recording.acquisition.n_columns
        decimator = Decimator(self._ratio, source.n_samples)
        start = 0
        for block, (_, time) in source.iter_blocks(self._block_length(), return_slice=True):
            low = to_units(decimator.push(block[:n_filtered]), slice(0, n_filtered))
            self._write(self._table.diagnostic_channels, start, low[self._table.diagnostic_channels])
            self._write_lines(to_units, block, time.start)
            yield start, subtract_reference(low[electrodes], self._active, self._reference), block.nbytes
            start += low.shape[1]

    def _block_length(self) -> int:
        """Samples of a block: what the memory limit affords, at whole bins of the BNC lines."""
        source = self._recording.source
        length = affordable(source.n_samples, lambda n: 2 * source.block_bytes(len(source), n))
        return max(self._ratio, length - length % self._ratio)

    def _filter(self, scratch: ScratchBlocks, sos: Array) -> None:
        gaps = self._gaps.finish()
        if gaps:
            _bridge_all(scratch, gaps)
        for number, block in zero_phase(scratch, sos, self._n_outputs, load_params().workers):
            first = scratch.first_sample(number)
            restore(block, first, gaps)
            self._write(self._table.electrode_channels, first, block)

    def _write_lines(self, to_units: "_RowScale", block: npt.NDArray[Any], first_sample: int) -> None:
        row, start = 0, first_sample // self._ratio
        for column, rows in self._table.bnc_channels.items():
            volts = decimate_line(to_units(block[rows], rows), self._ratio, self._table.bnc_kinds[column])
            self._write(rows, start, volts)
            self._bnc[row : row + len(rows), start : start + volts.shape[1]] = volts
            row += len(rows)

    def _write(self, rows: npt.NDArray[np.intp], start: int, values: Array) -> None:
        """Write values of ascending rows, a run of neighbouring rows at a time."""
        stop = start + values.shape[1]
        for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1):
            if len(run) and stop > start:
                self._data[rows[run[0]] : rows[run[-1]] + 1, start:stop] = values[run[0] : run[-1] + 1]


class _RowScale:
    """Turns raw numbers of rows into the units of the mirror: microvolts at electrodes, volts elsewhere."""

    def __init__(self, slope: float, intercept: float, factors: Array) -> None:
        self._slope, self._intercept, self._factors = slope, intercept, factors

    def __call__(self, raw: npt.NDArray[Any], rows: slice | npt.NDArray[np.intp]) -> Array:
        values = raw * np.float64(self._slope)
        if self._intercept:
            values += self._intercept
        values *= self._factors[rows, None]
        return np.asarray(values)


def _row_scale(acquisition: Acquisition, table: ChannelTable) -> _RowScale:
    volts = layout.MICROVOLTS_PER[acquisition.units] / 1e6
    factors = np.full(len(table), volts)
    factors[table.electrode_channels] = layout.MICROVOLTS_PER[acquisition.units] / table.gain
    return _RowScale(acquisition.slope, acquisition.intercept, factors)


def _bridge_all(scratch: ScratchBlocks, gaps: list[Gap]) -> None:
    for number in range(len(scratch)):
        block = scratch.read(number)
        bridge(block, scratch.first_sample(number), gaps)
        scratch.replace(number, block)


def _write_description(
    file: h5py.File, recording: RawRecording, ratio: int, table: ChannelTable, keep: Bools, sos: Array | None
) -> None:
    """Write everything but the signals, and make room for them."""
    acquisition, n_samples = recording.acquisition, decimated_length(recording.n_samples, ratio)
    layout.write_acquisition(
        file, replace(acquisition, rate=acquisition.rate / ratio, units="uV", slope=1.0, intercept=0.0)
    )
    file.attrs["orientation"] = layout.CHANNELS_BY_TIME
    file.attrs["ratio"] = ratio
    file.attrs["geometry"] = table.grid
    if table.pitch_mm is not None:
        file.attrs["pitch_mm"] = table.pitch_mm
    file.attrs["settling_samples"] = 0 if sos is None else settling_samples(sos)
    electrodes = table.electrode_channels
    file[layout.ELECTRODE_CHANNELS] = electrodes
    file[layout.CHANNEL_MASK] = keep
    file[layout.SITES] = np.stack([table.site_row[electrodes], table.site_column[electrodes]], axis=1)
    layout.write_texts(file, layout.ROW_UNITS, np.where(table.role == ELECTRODE, "uV", "V").tolist())
    lines = [row for rows in table.bnc_channels.values() for row in rows]
    file.create_dataset(layout.DATA, (len(table), n_samples), "f4")
    file.create_dataset(layout.BNC, (len(lines), n_samples), "f4")
    file[layout.BNC_CHANNELS] = np.array(lines, dtype=np.intp)
    layout.write_texts(file, layout.BNC_KINDS, table.bnc_kind[lines].tolist())


def _n_bytes(recording: RawRecording) -> int:
    rows, length = recording.source.shape
    return rows * length * recording.source.dtype.itemsize


def _check_fits(recording: RawRecording, table: ChannelTable, channels: Path) -> None:
    if len(table) != len(recording.source):
        raise WiringError(
            f"{channels}: has {len(table)} channels, {recording.path} has {len(recording.source)}; "
            "run map_channels again."
        )


def _read_keep(mask: Path | None, table: ChannelTable, channels: Path) -> Bools:
    if mask is None:
        return np.ones(len(table.electrode_channels), dtype=bool)
    masked = read_mask(mask)
    if not np.array_equal(masked.channel, table.electrode_channels):
        raise MaskError(f"{mask}: is not the mask of {channels}; run mask_channels again.")
    return masked.keep
