"""The engine of the step `mirror`: read, scale, decimate, reference, filter, write, in one pass over the recording."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe import layout
from ecogpipe.datasource.blocks import affordable
from ecogpipe.datasource.contiguous import ContiguousWriter
from ecogpipe.datasource.filtering import StreamedFilter
from ecogpipe.datasource.raw import RawRecording
from ecogpipe.datasource.slicing import as_run
from ecogpipe.electrodes.channels import BncKind, ChannelTable
from ecogpipe.layout import Acquisition
from ecogpipe.params import load_params
from ecogpipe.signal.decimate import Decimator, decimate_line, skewed_fir
from ecogpipe.signal.filters import design_fir, design_sos
from ecogpipe.signal.rates import decimated_length
from ecogpipe.signal.reference import subtract_reference
from ecogpipe.steps.mirror_settings import MirrorSettings

Array: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Lines: TypeAlias = tuple[int, list[npt.NDArray[Any]]]


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
        self._to_units = _row_scale(recording.acquisition, table)

    def run(self) -> Iterator[int]:
        """Write the mirror's rows; yield the bytes of the recording that each block took."""
        wanted = self._settings.filter
        sos = None if wanted.does_nothing or wanted.design == "fir" else design_sos(wanted, self._new_rate)
        with (
            StreamedFilter(sos, self._write_electrodes, wanted.phase) as filtering,
            ThreadPoolExecutor(load_params().workers, thread_name_prefix="decimate") as pool,
            ThreadPoolExecutor(1, thread_name_prefix="write_behind") as behind,
        ):
            fir, writing = self._fir(pool), None
            for low, lines, start, n_bytes in self._decimated(pool):
                if writing is not None:
                    writing.result()
                writing = behind.submit(self._pass_on, low, lines, start, fir, filtering)
                yield n_bytes
            if writing is not None:
                writing.result()
            filtering.finish()
            self._gaps = filtering.gaps()

    def non_finite(self) -> npt.NDArray[np.int64]:
        """Return the runs of electrode rows that are not finite: (row, first sample, stop sample)."""
        runs = self._gaps.copy()
        runs[:, 0] = self._table.electrode_channels[runs[:, 0]]
        return runs

    def _fir(self, pool: Executor) -> Decimator:
        """Return the windowed FIR at the new rate, or one that does nothing."""
        wanted = self._settings.filter
        taps = design_fir(wanted, self._new_rate) if wanted.design == "fir" and not wanted.does_nothing else None
        return Decimator(1, self._n_outputs, taps, pool)

    def _decimated(self, pool: Executor) -> Iterator[tuple[Array, Lines, int, int]]:
        """Decimate block by block; yield the rows that are no BNC, the BNC lines, their first sample, and the bytes."""
        decimators, acquisition, start = self._decimators(pool), self._recording.acquisition, 0
        n_filtered = acquisition.n_rows * acquisition.n_columns
        for block, (_, time) in self._recording.source.iter_blocks(self._block_length(), return_slice=True):
            low, n_bytes = _push(decimators, block[:n_filtered]), block.nbytes
            yield low, self._decimated_lines(block, time.start), start, n_bytes
            start += low.shape[1]

    def _pass_on(self, low: Array, lines: Lines, start: int, fir: Decimator, filtering: StreamedFilter) -> None:
        """Bring decimated rows to their units; write those that are no electrodes, and pass on the electrodes."""
        values = self._to_units(low, slice(0, len(low)))
        self._write(self._table.diagnostic_channels, start, values[self._table.diagnostic_channels])
        self._write_lines(lines)
        electrodes = values[as_run(self._table.electrode_channels)]
        filtering.push(fir.push(subtract_reference(electrodes, self._active, self._settings.reference)))

    def _decimators(self, pool: Executor) -> list[Decimator]:
        """One for all rows, or one for each multiplexer slot that also takes off the slot's time within the frame."""
        n_rows, n_samples = self._recording.acquisition.n_rows, self._recording.n_samples
        if not self._settings.correct_skew:
            return [Decimator(self._ratio, n_samples, pool=pool)]
        delays = [slot / n_rows for slot in range(n_rows)]
        return [Decimator(self._ratio, n_samples, skewed_fir(self._ratio, delay), pool) for delay in delays]

    def _block_length(self) -> int:
        """Samples of a block: what the memory limit affords, at whole bins of the BNC lines."""
        source = self._recording.source
        frame_bytes = len(source) * source.dtype.itemsize
        length = affordable(source.n_samples, lambda n: source.block_bytes(len(source), n) + n * frame_bytes)
        return max(self._ratio, length - length % self._ratio)

    def _write_electrodes(self, rows: slice, start: int, values: Array) -> None:
        if self._settings.masked == "nan":
            values[~self._active[rows]] = np.nan
        self._write(self._table.electrode_channels[rows], start, values)

    def _decimated_lines(self, block: npt.NDArray[Any], first_sample: int) -> Lines:
        """Return the decimated copies of each BNC line, in raw numbers, and the sample that they begin at."""
        lines = [
            decimate_line(block[rows[0] : rows[-1] + 1], self._ratio, self._raw_kind(column))
            for column, rows in self._table.bnc_channels.items()
        ]
        return first_sample // self._ratio, lines

    def _write_lines(self, lines: Lines) -> None:
        start, copies_of_lines = lines
        row = 0
        for rows, copies in zip(self._table.bnc_channels.values(), copies_of_lines, strict=True):
            volts = self._to_units(copies, slice(rows[0], rows[-1] + 1))
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
        values = raw if self._slope == 1 else raw * np.float64(self._slope)
        if self._intercept:
            values = values + np.float64(self._intercept)
        return np.asarray(values * self._factors[rows, None])


def _row_scale(acquisition: Acquisition, table: ChannelTable) -> _RowScale:
    volts = layout.MICROVOLTS_PER[acquisition.units] / 1e6
    factors = np.full(len(table), volts)
    factors[table.electrode_channels] = layout.MICROVOLTS_PER[acquisition.units] / table.gain
    return _RowScale(acquisition.slope, acquisition.intercept, factors)
