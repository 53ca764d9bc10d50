"""Opening files of a lower rate that the lab's ecogdata made, ``<recording>_Fs<rate>.h5``: microvolts and `/bnc`."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.electrodes.channels import BncLine, ChannelTable, channel_table
from ecogpipe.electrodes.wiring import Wiring, is_passthru, known_wirings, load_wiring, passthru_wiring
from ecogpipe.errors import FormatError, WiringError
from ecogpipe.loader.dataset import Dataset, Stretch
from ecogpipe.results.events import EventsTable
from ecogpipe.signal.edges import NO_CHANGES, ChangeFinder, Changes
from ecogpipe.signal.levels import LevelHistogram
from ecogpipe.signal.rates import exact_rate
from ecogpipe.storage.canonical import BNC, DATA
from ecogpipe.storage.hdf5_files import open_hdf5

logger = logging.getLogger(__name__)

_NEEDED = (DATA, "Fs", "numRow", "numCol", "numChan")
_MINIMUM_STEP = 0.5
"""Volts between the two levels of a trigger line, as in the config that is shipped."""


def is_lab_mirror(file: h5py.File) -> bool:
    """Return whether a file is one that ecogdata wrote at a lower rate: the names of a recording, and `/bnc`."""
    return all(name in file for name in (*_NEEDED, BNC)) and "ecogpipe_format" not in file.attrs


def open_lab_mirror(
    path: Path, set_up: tuple[str, str, str] | None, bnc: Sequence[BncLine], user_tables: Path | None = None
) -> Dataset:
    """Open a file of a lower rate with the wiring of its set-up.

    Parameters
    ----------
    path
        The file.
    set_up
        Names of daq, headstage and electrode, which such a file does not say.
    bnc
        The lines that ``/bnc`` holds, in its order, by DAQ column.
    user_tables
        A folder with wiring tables of the user's own.

    Raises
    ------
    FormatError
        If its signals are not those of all channels, or `bnc` does not say what ``/bnc`` holds.
    WiringError
        If the set-up is not given, not known, or does not fit.
    """
    with open_hdf5(path) as file:
        n_rows, n_columns, n_all = (int(np.squeeze(file[name][()])) for name in ("numRow", "numCol", "numChan"))
        rate = exact_rate(float(np.squeeze(file["Fs"][()])))
        shape, n_lines = file[DATA].shape, file[BNC].shape[0] // n_rows
    if shape[0] != n_rows * n_all:
        raise FormatError(f"{path}: {DATA} has {shape[0]} rows, and not one for each of {n_rows} x {n_all} channels.")
    table = _table(path, set_up, n_rows, n_columns, n_all - n_columns, user_tables)
    if len(bnc) != n_lines:
        raise FormatError(
            f"{path}: {BNC} holds {n_lines} lines, and {len(bnc)} are named; name each, as in bnc=[BncLine(10, "
            "'ttl_high')], in the order in which they were given when the file was made."
        )
    logger.warning(
        "%s: was made by ecogdata, some versions of which took every n-th sample without a low-pass; what was above "
        "half of %g Hz may lie folded into its band, which cannot be told from the file",
        path,
        float(rate),
    )
    lines = MappedSource.from_hdf_sources(path, BNC)
    digital = [line.column for line in bnc if line.kind != "analog"]
    return Dataset(
        path=path,
        data=MappedSource.from_hdf_sources(path, DATA, table.electrode_channels.tolist()),
        rate=rate,
        ratio=1,
        channel_mask=np.ones(len(table.electrode_channels), dtype=bool),
        mask_reasons=(),
        bnc=lines,
        bnc_columns=tuple(line.column for line in bnc for _ in range(n_rows)),
        trigger=digital[0] if digital else None,
        full_map=table.chan_map,
        find_events=_events(lines, bnc, n_rows),
        stretches=(Stretch(0, int(shape[1]), 0.0),),
    )


def _table(
    path: Path,
    set_up: tuple[str, str, str] | None,
    n_rows: int,
    n_columns: int,
    n_bncs: int,
    user_tables: Path | None,
) -> ChannelTable:
    fitting = [" / ".join(known.names) for known in known_wirings(user_tables) if known.fits(n_rows, n_columns)]
    if set_up is None:
        raise WiringError(
            f"{path}: does not say on which array its {n_rows} x {n_columns} channels are; give set_up=(daq, "
            f"headstage, electrode). These fit: {'; '.join(fitting) or 'none that is known'}; or ('passthru', '', '')."
        )
    wiring = _wiring(set_up, n_rows, n_columns, user_tables)
    if not wiring.fits(n_rows, n_columns):
        raise WiringError(
            f"{path}: has {n_rows} x {n_columns} channels, and {' / '.join(set_up)} {wiring.n_rows} x "
            f"{wiring.acquisition_columns}. These fit: {'; '.join(fitting) or 'none that is known'}."
        )
    return channel_table(replace(wiring, gain=1.0), n_bncs)


def _wiring(set_up: tuple[str, str, str], n_rows: int, n_columns: int, user_tables: Path | None) -> Wiring:
    if is_passthru(set_up[0]):
        return passthru_wiring(n_rows, n_columns, gain=None, pitch_mm=None)
    return load_wiring(*set_up, user_tables=user_tables)


def _events(lines: MappedSource, bnc: Sequence[BncLine], n_rows: int) -> Callable[[], EventsTable]:
    """Return the function that finds the edges of the digital lines, in samples of the file."""

    def find() -> EventsTable:
        found = {
            line.column: _changes(lines, range(number * n_rows, (number + 1) * n_rows), line)
            for number, line in enumerate(bnc)
            if line.kind != "analog"
        }
        return EventsTable(
            rising={column: changes.rising.frames for column, changes in found.items()},
            falling={column: changes.falling.frames for column, changes in found.items()},
            fine_rising={column: changes.rising.fine for column, changes in found.items()},
            fine_falling={column: changes.falling.fine for column, changes in found.items()},
            n_rows=n_rows,
            facts={line.column: {"kind": line.kind} for line in bnc},
        )

    return find


def _changes(lines: MappedSource, rows: range, line: BncLine) -> Changes:
    """Find where a line changes; nowhere if it has no two levels."""
    windows = partial(lines.of_rows(list(rows)).iter_blocks, return_slice=False)
    threshold = line.threshold
    if threshold is None:
        ends = [(float(np.nanmin(block)), float(np.nanmax(block))) for block in windows()]
        histogram = LevelHistogram(min(low for low, _ in ends), max(high for _, high in ends))
        for block in windows():
            histogram.update(block)
        levels = histogram.levels(_MINIMUM_STEP, len(rows))
        if levels is None:
            return NO_CHANGES
        threshold = (levels.low + levels.high) / 2
    finder = ChangeFinder(threshold, active_low=line.kind == "ttl_low")
    for block in windows():
        finder.update(block)
    return finder.result()
