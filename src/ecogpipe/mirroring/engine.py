"""The engine of the step `mirror`: read, scale, decimate, reference, filter, write, in one pass over the recording."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.filtering import StreamedFilter
from ecogpipe.datasource.plain import PlainWriter
from ecogpipe.datasource.slicing import as_run
from ecogpipe.electrodes.channels import BncKind, ChannelTable
from ecogpipe.errors import FilterError
from ecogpipe.mirroring.memory import Reach, batch_bytes, windows_at_once
from ecogpipe.mirroring.settings import MirrorSettings
from ecogpipe.results.mirror import signals_of
from ecogpipe.results.recording import RawRecording, units_per
from ecogpipe.runtime.params import load_params
from ecogpipe.runtime.threads import Each, Threads
from ecogpipe.signal.decimate import Decimation, Decimator, Order, decimate_line, decimation_fir, skewed_fir
from ecogpipe.signal.filters import design_fir, design_sos
from ecogpipe.signal.rates import decimated_length
from ecogpipe.signal.reference import subtract_reference
from ecogpipe.storage.canonical import Acquisition, gap_free_ranges

Array: TypeAlias = npt.NDArray[np.float64]
Float32s: TypeAlias = npt.NDArray[np.float32]
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
        self._data, self._bnc = (PlainWriter(dataset) for dataset in signals_of(file))
        self._recording, self._table, self._ratio = recording, table, ratio
        self._active, self._settings, self._written = active, settings, written
        self._new_rate = recording.acquisition.rate / ratio
        self._in_units = _RowUnits(recording.acquisition, table)
        self._non_finite: list[npt.NDArray[np.int64]] = []

    def run(self) -> Iterator[int]:
        """Write the mirror's rows; yield the bytes of the recording that went into each batch of rows."""
        with (
            Threads(load_params().workers, "filter") as threads,
            ExitStack() as opened,
        ):
            stretches = [self._stretch(*samples, threads.each) for samples in gap_free_ranges(self._recording.segments)]
            for stretch in stretches:
                opened.enter_context(stretch.filtering)
            behind = opened.enter_context(ThreadPoolExecutor(1, thread_name_prefix="write_behind"))
            lows = opened.enter_context(closing(self._decimated(stretches)))
            writing = None
            for batch in self._batches(lows):
                if writing is not None:
                    writing.result()
                writing = behind.submit(self._pass_on, batch)
                yield (batch[-1].stop - batch[0].start) * self._recording.frame_bytes
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
        fir = Decimator(1, end - start, design_fir(wanted, self._new_rate), each, "F") if is_fir else None
        sos = None if is_fir or wanted.does_nothing else design_sos(wanted, self._new_rate)
        return _Stretch(
            first,
            stop,
            start,
            [Decimation(ratio, stop - first, own, start * ratio - first) for own in self._taps()],
            "F" if self._recording.source.transposed else "C",
            fir,
            StreamedFilter(sos, partial(self._write_electrodes, start), wanted.phase),
        )

    def _taps(self) -> list[Array]:
        """Return one filter for all rows, or one for each multiplexer slot that takes off its time within the frame."""
        n_rows = self._recording.acquisition.n_rows
        if not self._settings.correct_skew:
            return [decimation_fir(self._ratio)]
        return [skewed_fir(self._ratio, slot / n_rows) for slot in range(n_rows)]

    def _decimated(self, stretches: Sequence["_Stretch"]) -> Generator["_Low"]:
        """Decimate window by window, in threads."""
        acquisition = self._recording.acquisition
        n_filtered = acquisition.n_rows * acquisition.n_columns

        def lower(samples: npt.NDArray[Any], start: int, stop: int) -> _Low:
            pieces = [
                self._piece(stretch, stretch.decimate(samples[:n_filtered], start, stop))
                for stretch in stretches
                if stretch.first < stop and stretch.stop > start
            ]
            return _Low(start, stop, pieces, self._decimated_lines(samples, start, stop))

        history = max(self._ratio, stretches[0].history)
        reach = Reach(self._ratio, history, stretches[0].fir_history, len(self._table.electrode_channels))
        return self._recording.in_windows(lower, history, *windows_at_once(self._recording, reach))

    def _piece(self, stretch: "_Stretch", rows: Array) -> "_Piece":
        """Bring decimated rows to their units, and the electrodes to their reference."""
        values = self._in_units(rows)
        electrodes = subtract_reference(
            values[as_run(self._table.electrode_channels)], self._active, self._settings.reference
        )
        return _Piece(
            stretch, values[self._table.diagnostic_channels].astype(np.float32), np.asfortranarray(electrodes)
        )

    def _batches(self, lows: Iterable["_Low"]) -> Iterator[list["_Low"]]:
        """Put together windows that follow one another, as many as are written at a time."""
        batch, n_bytes, most = list[_Low](), 0, batch_bytes()
        for low in lows:
            batch.append(low)
            n_bytes += low.n_bytes
            if n_bytes >= most:
                yield batch
                batch, n_bytes = [], 0
        if batch:
            yield batch

    def _pass_on(self, batch: Sequence["_Low"]) -> None:
        """Write the rows that are not electrodes, and filter the electrodes."""
        self._write_lines(batch)
        for stretch, group in groupby((piece for low in batch for piece in low.pieces), attrgetter("stretch")):
            pieces = list(group)
            diagnostics = np.concatenate([piece.diagnostics for piece in pieces], axis=1)
            self._write(self._table.diagnostic_channels, stretch.next_output, diagnostics)
            for piece in pieces:
                stretch.pass_on(piece.electrodes)
            if stretch.stop <= batch[-1].stop:
                self._non_finite.append(self._finished(stretch))
        self._written()

    def _finished(self, stretch: "_Stretch") -> npt.NDArray[np.int64]:
        try:
            return stretch.finish()
        except FilterError as error:
            if stretch.stop - stretch.first == self._recording.n_samples:
                raise
            between = f"Samples {stretch.first} to {stretch.stop - 1} of {self._recording.path}, between gaps"
            raise FilterError(f"{between}: {error}") from None

    def _write_electrodes(self, stretch_start: int, start: int, values: Array) -> None:
        if self._settings.masked == "nan":
            values[~self._active] = np.nan
        self._write(self._table.electrode_channels, stretch_start + start, values)
        self._written()

    def _decimated_lines(self, samples: npt.NDArray[Any], start: int, stop: int) -> list[npt.NDArray[Any]]:
        """Return the copies of each BNC line, decimated, from the bin on that sample `start` is in."""
        begin, from_sample = stop - samples.shape[1], start - start % self._ratio
        to_sample = stop if stop == self._recording.n_samples else stop - stop % self._ratio
        bins = samples[:, from_sample - begin : to_sample - begin]
        return [
            self._volts(decimate_line(bins[rows[0] : rows[-1] + 1], self._ratio, self._raw_kind(column)), int(rows[0]))
            for column, rows in self._table.bnc_channels.items()
        ]

    def _write_lines(self, batch: Sequence["_Low"]) -> None:
        row, first_output = 0, batch[0].start // self._ratio
        for number, rows in enumerate(self._table.bnc_channels.values()):
            volts = np.concatenate([low.lines[number] for low in batch], axis=1)
            self._write(rows, first_output, volts)
            self._bnc.write(row, first_output, volts)
            row += len(rows)

    def _volts(self, copies: npt.NDArray[Any], first_row: int) -> Float32s:
        return self._in_units(copies.astype(np.float64, copy=False), first_row).astype(np.float32)

    def _raw_kind(self, column: int) -> BncKind:
        """Return the kind of a line in raw numbers: a negative slope turns its pulses over."""
        kind = self._table.bnc_kinds[column]
        return kind if self._recording.acquisition.slope > 0 else _TURNED_OVER[kind]

    def _write(self, rows: npt.NDArray[np.intp], start: int, values: Array | Float32s) -> None:
        """Write values of ascending rows, a run of neighbouring rows at a time."""
        for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1):
            if len(run):
                self._data.write(int(rows[run[0]]), start, values[run[0] : run[-1] + 1])


@dataclass(eq=False)
class _Stretch:
    """The stages of samples [first, stop) without a gap among them: a recording of its own to the filters.

    Attributes
    ----------
    first, stop
        Its samples in the recording.
    start
        Its first output, on the grid of the whole recording.
    decimations
        One for all rows, or one for each multiplexer slot.
    order
        How the samples lie in memory.
    fir
        The windowed FIR at the new rate, if there is one.
    filtering
        The filter that follows it.
    next_output
        The next output to be filtered.
    """

    first: int
    stop: int
    start: int
    decimations: list[Decimation]
    order: Order
    fir: Decimator | None
    filtering: StreamedFilter
    next_output: int = field(init=False)

    def __post_init__(self) -> None:
        self.next_output = self.start

    @property
    def history(self) -> int:
        """Samples before a window that decimating it may need."""
        return self.decimations[0].history

    @property
    def fir_history(self) -> int:
        """Outputs that the FIR at the new rate reaches back to, 0 without one."""
        return 0 if self.fir is None else self.fir.history

    def decimate(self, samples: npt.NDArray[Any], start: int, stop: int) -> Array:
        """Return the outputs that samples [start, stop) of the recording complete; `samples` end with them."""
        begin, end = stop - samples.shape[1], min(stop, self.stop)
        own = samples[:, max(0, self.first - begin) : end - begin]
        new = max(0, start - self.first), end - self.first
        if len(self.decimations) == 1:
            return self.decimations[0].completed(own, *new, self.order)
        n_slots = len(self.decimations)
        outputs = [way.completed(own[slot::n_slots], *new, self.order) for slot, way in enumerate(self.decimations)]
        low = np.empty((len(own), outputs[0].shape[1]))
        for slot, output in enumerate(outputs):
            low[slot::n_slots] = output
        return low

    def pass_on(self, electrodes: Array) -> None:
        """Filter the next decimated samples of the electrodes."""
        self.next_output += electrodes.shape[1]
        self.filtering.push(electrodes if self.fir is None else self.fir.push(electrodes))

    def finish(self) -> npt.NDArray[np.int64]:
        """Filter the rest; return the runs that are not finite: (electrode, first output, stop output)."""
        self.filtering.finish()
        self.filtering.close()
        runs = self.filtering.gaps()
        runs[:, 1:] += self.start
        return runs


@dataclass(frozen=True)
class _Piece:
    """What a window holds of a stretch at the new rate; electrodes lie frame after frame."""

    stretch: _Stretch
    diagnostics: Float32s
    electrodes: Array


@dataclass(frozen=True)
class _Low:
    """Samples [start, stop) of the recording at the new rate: a piece of each stretch, the copies of each BNC line."""

    start: int
    stop: int
    pieces: list[_Piece]
    lines: list[Float32s]

    @property
    def n_bytes(self) -> int:
        """Bytes of all rows."""
        rows = [*self.lines, *(rows for piece in self.pieces for rows in (piece.diagnostics, piece.electrodes))]
        return sum(each.nbytes for each in rows)


class _RowUnits:
    """Turns raw numbers of rows into the units of the mirror: microvolts at electrodes, volts elsewhere."""

    def __init__(self, acquisition: Acquisition, table: ChannelTable) -> None:
        self._slope, self._intercept = acquisition.slope, acquisition.intercept
        self._factors = np.full(len(table), units_per(acquisition, "V"))
        self._factors[table.electrode_channels] = units_per(acquisition, "uV") / table.gain

    def __call__(self, values: Array, first_row: int = 0) -> Array:
        """Bring the raw numbers of neighbouring rows to their units, in place, and return them."""
        # Most recordings that are linked are in units already: two passes over the values less.
        if self._slope != 1:
            values *= self._slope
        if self._intercept != 0:
            values += self._intercept
        values *= self._factors[first_row : first_row + len(values), None]
        return values
