"""The engine of the step `mirror`: read, scale, decimate, reference, filter, write, in one pass over the recording."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe import layout
from ecogpipe.datasource.blocks import affordable
from ecogpipe.datasource.contiguous import ContiguousWriter
from ecogpipe.datasource.filtering import StreamedFilter
from ecogpipe.datasource.raw import RawRecording
from ecogpipe.electrodes.channels import BncKind, ChannelTable
from ecogpipe.layout import Acquisition
from ecogpipe.signal.decimate import Decimator, decimate_line, skewed_fir
from ecogpipe.signal.filters import design_fir, design_sos
from ecogpipe.signal.rates import decimated_length
from ecogpipe.signal.reference import subtract_reference
from ecogpipe.steps.mirror_settings import MirrorSettings

Array: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]


_TURNED_OVER: dict[BncKind, BncKind] = {"ttl_high": "ttl_low", "ttl_low": "ttl_high", "analog": "analog"}


class MirrorEngine:
    """One pass over the recording that decimates, and passes over the electrode rows that filter.

    Parameters
    ----------
    file
        The mirror, its datasets made.
    recording
        What is mirrored.
    table
        What its channels are.
    active
        One bool per electrode channel.
    ratio
        Integer ratio of the rates.
    settings
        What the mirror is to be.
    """

    def __init__(
        self,
        file: h5py.File,
        recording: RawRecording,
        table: ChannelTable,
        active: Bools,
        ratio: int,
        settings: MirrorSettings,
    ) -> None:
        self._data, self._bnc = ContiguousWriter(file[layout.DATA]), ContiguousWriter(file[layout.BNC])
        self._recording, self._table, self._ratio = recording, table, ratio
        self._active, self._settings = active, settings
        self._new_rate = recording.acquisition.rate / ratio
        self._n_outputs = decimated_length(recording.n_samples, ratio)

    def run(self) -> Iterator[int]:
        """Write the mirror's rows; yield the bytes of the recording that each block took."""
        wanted = self._settings.filter
        sos = None if wanted.does_nothing or wanted.design == "fir" else design_sos(wanted, self._new_rate)
        with StreamedFilter(sos, wanted.phase) as filtering:
            for electrodes, n_bytes in self._decimated():
                for first, block in filtering.push(self._fir.push(electrodes)):
                    self._write_electrodes(first, block)
                yield n_bytes
            for first, block in filtering.finish():
                self._write_electrodes(first, block)
            self._gaps = filtering.gaps()

    def non_finite(self) -> npt.NDArray[np.int64]:
        """Return the runs of electrode rows that are not finite: (row, first sample, stop sample)."""
        runs = self._gaps.copy()
        runs[:, 0] = self._table.electrode_channels[runs[:, 0]]
        return runs

    @cached_property
    def _fir(self) -> Decimator:
        """The windowed FIR at the new rate, or one that does nothing."""
        wanted = self._settings.filter
        taps = design_fir(wanted, self._new_rate) if wanted.design == "fir" and not wanted.does_nothing else None
        return Decimator(1, self._n_outputs, taps)

    def _decimated(self) -> Iterator[tuple[Array, int]]:
        """Decimate, and write the other rows; yield the electrode rows in microvolts, and the bytes of each block."""
        source, electrodes = self._recording.source, self._table.electrode_channels
        to_units = _row_scale(self._recording.acquisition, self._table)
        decimators = self._decimators()
        n_filtered, start = self._recording.acquisition.n_rows * self._recording.acquisition.n_columns, 0
        for block, (_, time) in source.iter_blocks(self._block_length(), return_slice=True):
            low = to_units(_push(decimators, block[:n_filtered]), slice(0, n_filtered))
            self._write(self._table.diagnostic_channels, start, low[self._table.diagnostic_channels])
            self._write_lines(to_units, block, time.start)
            yield subtract_reference(low[electrodes], self._active, self._settings.reference), block.nbytes
            start += low.shape[1]

    def _decimators(self) -> list[Decimator]:
        """One for all rows, or one for each multiplexer slot that also takes off the slot's time within the frame."""
        n_rows, n_samples = self._recording.acquisition.n_rows, self._recording.n_samples
        if not self._settings.correct_skew:
            return [Decimator(self._ratio, n_samples)]
        delays = [slot / n_rows for slot in range(n_rows)]
        return [Decimator(self._ratio, n_samples, skewed_fir(self._ratio, delay)) for delay in delays]

    def _block_length(self) -> int:
        """Samples of a block: what the memory limit affords, at whole bins of the BNC lines."""
        source = self._recording.source
        length = affordable(source.n_samples, lambda n: 2 * source.block_bytes(len(source), n))
        return max(self._ratio, length - length % self._ratio)

    def _write_electrodes(self, start: int, values: Array) -> None:
        if self._settings.masked == "nan":
            values[~self._active] = np.nan
        self._write(self._table.electrode_channels, start, values)

    def _write_lines(self, to_units: "_RowScale", block: npt.NDArray[Any], first_sample: int) -> None:
        row, start = 0, first_sample // self._ratio
        for column, rows in self._table.bnc_channels.items():
            lines = slice(rows[0], rows[-1] + 1)
            volts = to_units(decimate_line(block[lines], self._ratio, self._raw_kind(column)), lines)
            self._write(rows, start, volts)
            self._bnc.write(row, start, volts)
            row += len(rows)

    def _raw_kind(self, column: int) -> BncKind:
        """The kind of a line in raw numbers: a negative slope turns its pulses over."""
        kind = self._table.bnc_kinds[column]
        return kind if self._recording.acquisition.slope > 0 else _TURNED_OVER[kind]

    def _write(self, rows: npt.NDArray[np.intp], start: int, values: Array) -> None:
        """Write values of ascending rows, a run of neighbouring rows at a time."""
        for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1):
            if len(run):
                self._data.write(int(rows[run[0]]), start, values[run[0] : run[-1] + 1])


def _push(decimators: Sequence[Decimator], block: npt.NDArray[Any]) -> Array:
    """Push a block through one decimator, or every n-th row of it through each of n."""
    if len(decimators) == 1:
        return decimators[0].push(block)
    outputs = [decimator.push(block[slot :: len(decimators)]) for slot, decimator in enumerate(decimators)]
    low = np.empty((len(block), outputs[0].shape[1]))
    for slot, output in enumerate(outputs):
        low[slot :: len(decimators)] = output
    return low


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
