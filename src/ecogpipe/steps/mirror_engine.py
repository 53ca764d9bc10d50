"""The engine of the step `mirror`: read, scale, decimate, reference, filter, write, in one pass over the recording."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
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
from ecogpipe.errors import FilterError
from ecogpipe.layout import Acquisition, gap_free_ranges
from ecogpipe.params import load_params
from ecogpipe.signal.decimate import TILE_OUTPUTS, Decimator, decimate_line, decimation_fir, skewed_fir
from ecogpipe.signal.filters import design_fir, design_sos
from ecogpipe.signal.rates import decimated_length
from ecogpipe.signal.reference import subtract_reference
from ecogpipe.steps.mirror_settings import MirrorSettings
from ecogpipe.threads import Each, Threads

Array: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Lines: TypeAlias = tuple[int, list[npt.NDArray[Any]]]


_LOW_COPIES = 5
"""Copies of a block at the new rate, in float64: as decimated, in its units, filtered, and of the block before."""

_MOST_HELD = 256_000_000
"""Bytes of all that a block takes. Larger blocks save little more of the milliseconds that each one costs by itself."""

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
    written
        Called, in any thread, when rows have been written.
    """

    def __init__(
        self,
        file: h5py.File,
        recording: RawRecording,
        table: ChannelTable,
        active: Bools,
        ratio: int,
        settings: MirrorSettings,
        written: Callable[[], None],
    ) -> None:
        self._data, self._bnc = ContiguousWriter(file[layout.DATA]), ContiguousWriter(file[layout.BNC])
        self._recording, self._table, self._ratio = recording, table, ratio
        self._active, self._settings, self._written = active, settings, written
        self._new_rate = recording.acquisition.rate / ratio
        self._to_units = _row_scale(recording.acquisition, table)
        self._non_finite: list[npt.NDArray[np.int64]] = []

    def run(self) -> Iterator[int]:
        """Write the mirror's rows; yield the bytes of the recording that each block took."""
        with (
            Threads(load_params().workers, "decimate") as threads,
            ThreadPoolExecutor(1, thread_name_prefix="write_behind") as behind,
            ExitStack() as open_filters,
        ):
            stretches = [self._stretch(*samples, threads.each) for samples in gap_free_ranges(self._recording.segments)]
            for stretch in stretches:
                open_filters.enter_context(stretch.filtering)
            writing = None
            for pieces, lines, n_bytes in self._decimated(stretches):
                if writing is not None:
                    writing.result()
                writing = behind.submit(self._pass_on, pieces, lines)
                yield n_bytes
            if writing is not None:
                writing.result()

    def non_finite(self) -> npt.NDArray[np.int64]:
        """Return the runs of electrode rows that are not finite: (row, first sample, stop sample)."""
        runs = np.concatenate([np.empty((0, 3), dtype=np.int64), *self._non_finite])
        runs[:, 0] = self._table.electrode_channels[runs[:, 0]]
        return runs

    def _stretch(self, first: int, stop: int, each: Each) -> "_Stretch":
        """Return the stages that samples [first, stop) go through, between which there is no gap."""
        wanted, ratio = self._settings.filter, self._ratio
        start, end = decimated_length(first, ratio), decimated_length(stop, ratio)
        is_fir = wanted.design == "fir" and not wanted.does_nothing
        fir = Decimator(1, end - start, design_fir(wanted, self._new_rate), each) if is_fir else None
        sos = None if is_fir or wanted.does_nothing else design_sos(wanted, self._new_rate)
        return _Stretch(
            first,
            stop,
            start,
            [Decimator(ratio, stop - first, own, each, start * ratio - first) for own in self._taps()],
            fir,
            StreamedFilter(sos, partial(self._write_electrodes, start), wanted.phase),
        )

    def _taps(self) -> list[Array]:
        """One filter for all rows, or one for each multiplexer slot that also takes off its time within the frame."""
        n_rows = self._recording.acquisition.n_rows
        if not self._settings.correct_skew:
            return [decimation_fir(self._ratio)]
        return [skewed_fir(self._ratio, slot / n_rows) for slot in range(n_rows)]

    def _decimated(self, stretches: Sequence["_Stretch"]) -> Iterator[tuple[list["_Piece"], Lines, int]]:
        """Decimate block by block; yield the rows that are no BNC, the BNC lines, and the bytes of the block."""
        acquisition = self._recording.acquisition
        n_filtered = acquisition.n_rows * acquisition.n_columns
        for start, block in self._recording.blocks(self._block_length()):
            stop = start + block.shape[1]
            pieces = [
                _Piece(stretch, stretch.decimate(block[:n_filtered], start), is_last=stretch.stop <= stop)
                for stretch in stretches
                if stretch.first < stop and stretch.stop > start
            ]
            yield pieces, self._decimated_lines(block, start), block.nbytes

    def _pass_on(self, pieces: Sequence["_Piece"], lines: Lines) -> None:
        """Bring decimated rows to their units; write those that are no electrodes, and pass on the electrodes."""
        self._write_lines(lines)
        self._written()
        for piece in pieces:
            stretch, values = piece.stretch, self._to_units(piece.low, slice(0, len(piece.low)))
            self._write(self._table.diagnostic_channels, stretch.next_output, values[self._table.diagnostic_channels])
            electrodes = values[as_run(self._table.electrode_channels)]
            stretch.pass_on(subtract_reference(electrodes, self._active, self._settings.reference))
            if piece.is_last:
                self._non_finite.append(self._finished(stretch))

    def _finished(self, stretch: "_Stretch") -> npt.NDArray[np.int64]:
        try:
            return stretch.finish()
        except FilterError as error:
            if stretch.stop - stretch.first == self._recording.n_samples:
                raise
            between = f"Samples {stretch.first} to {stretch.stop - 1} of {self._recording.path}, between gaps"
            raise FilterError(f"{between}: {error}") from None

    def _block_length(self) -> int:
        """Samples of a block: what the memory limit affords of all that is held, at whole bins of the BNC lines.

        Whole tiles, where there is room for one, so that every block yields as many outputs: they find room where those
        of the block before were, and memory stays what it is however long the recording.
        """
        source = self._recording.source
        in_float64 = 0 if source.dtype == np.float64 else 8
        beside = source.dtype.itemsize + in_float64 + _LOW_COPIES * 8 / self._ratio

        def held(n: int) -> int:
            return source.block_bytes(len(source), n) + n * round(len(source) * beside)

        length, tile = affordable(source.n_samples, held, 1, _MOST_HELD), TILE_OUTPUTS * self._ratio
        return max(self._ratio, length - length % (tile if length > tile else self._ratio))

    def _write_electrodes(self, stretch_start: int, rows: slice, start: int, values: Array) -> None:
        if self._settings.masked == "nan":
            values[~self._active[rows]] = np.nan
        self._write(self._table.electrode_channels[rows], stretch_start + start, values)
        self._written()

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


class _Stretch:
    """The stages of samples [first, stop) without a gap among them: a recording of its own to the filters.

    Parameters
    ----------
    first, stop
        Its samples in the recording.
    start
        Its first output, on the grid of the whole recording.
    decimators
        One for all rows, or one for each multiplexer slot.
    fir
        The windowed FIR at the new rate, if there is one.
    filtering
        What follows it.
    """

    def __init__(
        self,
        first: int,
        stop: int,
        start: int,
        decimators: list[Decimator],
        fir: Decimator | None,
        filtering: StreamedFilter,
    ) -> None:
        self.first, self.stop, self.next_output, self.filtering = first, stop, start, filtering
        self._start, self._decimators, self._fir = start, decimators, fir

    def decimate(self, block: npt.NDArray[Any], first_sample: int) -> Array:
        """Decimate what a block, which begins at `first_sample`, holds of the stretch."""
        own = block[:, max(0, self.first - first_sample) : self.stop - first_sample]
        if len(self._decimators) == 1:
            return self._decimators[0].push(own)
        n_slots = len(self._decimators)
        outputs = [decimator.push(own[slot::n_slots]) for slot, decimator in enumerate(self._decimators)]
        low = np.empty((len(own), outputs[0].shape[1]))
        for slot, output in enumerate(outputs):
            low[slot::n_slots] = output
        return low

    def pass_on(self, electrodes: Array) -> None:
        """Filter the next decimated samples of the electrodes."""
        self.next_output += electrodes.shape[1]
        self.filtering.push(electrodes if self._fir is None else self._fir.push(electrodes))

    def finish(self) -> npt.NDArray[np.int64]:
        """Filter the rest; return the runs that are not finite: (electrode, first output, stop output)."""
        self.filtering.finish()
        self.filtering.close()
        runs = self.filtering.gaps()
        runs[:, 1:] += self._start
        return runs


@dataclass(frozen=True)
class _Piece:
    """The decimated rows of a stretch that a block yields."""

    stretch: _Stretch
    low: Array
    is_last: bool


class _RowScale:
    """Turns raw numbers of rows into the units of the mirror: microvolts at electrodes, volts elsewhere."""

    def __init__(self, slope: float, intercept: float, factors: Array) -> None:
        self._slope, self._intercept, self._factors = slope, intercept, factors

    def __call__(self, raw: npt.NDArray[Any], rows: slice) -> Array:
        """Return the values of raw numbers, in their place where they are float64."""
        values = raw.astype(np.float64, copy=False)
        # Most recordings that are linked are in units already: two passes over the values less.
        if self._slope != 1:
            values *= self._slope
        if self._intercept != 0:
            values += self._intercept
        values *= self._factors[rows, None]
        return values


def _row_scale(acquisition: Acquisition, table: ChannelTable) -> _RowScale:
    volts = layout.MICROVOLTS_PER[acquisition.units] / 1e6
    factors = np.full(len(table), volts)
    factors[table.electrode_channels] = layout.MICROVOLTS_PER[acquisition.units] / table.gain
    return _RowScale(acquisition.slope, acquisition.intercept, factors)
