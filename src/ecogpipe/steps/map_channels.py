"""The step that puts the channels of a recording on its electrode array."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ecogpipe.electrodes.channels import BncLine, ChannelTable, absolute_lines, channel_table, split_overrides
from ecogpipe.electrodes.wiring import Wiring, is_passthru, known_wirings, load_wiring, passthru_wiring
from ecogpipe.errors import FormatError, WiringError
from ecogpipe.formats.nwb import SITES
from ecogpipe.results.channels import write_channels
from ecogpipe.results.identity import KEY, read_identity
from ecogpipe.results.provenance import provenance
from ecogpipe.storage.canonical import Acquisition, read_acquisition

logger = logging.getLogger(__name__)

_ADVICE_ON_ONE_ROW = (
    " A file that says nothing of a multiplexer is taken for channels in one row; if one read them, declare n_rows, "
    "n_columns and n_bncs in the overrides of the recording."
)


def map_channels(
    raw: Path,
    channels: Path,
    *,
    daq: str,
    headstage: str,
    electrode: str,
    bnc: Sequence[BncLine] = (),
    declared: Mapping[str, Any] | None = None,
    user_tables: Path | None = None,
) -> Path:
    """Write what each channel of a recording carries and on which site it sits.

    Parameters
    ----------
    raw : Path
        raw.h5 of the recording.
    channels : Path
        The table to write, channels.tsv.
    daq, headstage, electrode : str
        The set-up; daq 'passthru' takes every DAQ column and row as an array column and row.
    bnc : sequence of BncLine
        The BNC lines that are declared; the recording's other BNC columns are written as 'analog'.
    declared : mapping, optional
        Overrides of the recording; `gain`, `pitch_mm` and `bnc_numbering` are used here.
    user_tables : Path, optional
        A folder with wiring tables of the user's own.

    Returns
    -------
    Path
        `channels`.

    Raises
    ------
    WiringError
        If the set-up is not known, does not fit the recording, or its gain is not known; or a BNC line is
        declared on a column that carries none.
    """
    used = _used(declared)
    acquisition = _read_acquisition(raw)
    try:
        set_up = daq, headstage, electrode
        wiring, lines, table = table_of_channels(acquisition, set_up, bnc, declared, user_tables=user_tables)
    except WiringError as error:
        raise WiringError(f"{raw}: {error}") from error
    settings = {"daq": daq, "headstage": headstage, "electrode": electrode, "bnc": _described(bnc), "declared": used}
    made_by = provenance("map_channels", [raw], settings, channels.parent)
    header = _header(wiring, used, table, lines) | {KEY: read_identity(raw).as_json(), "provenance": made_by}
    logger.info("%s: %d electrode channels on %d x %d sites", channels, len(table.chan_map), *table.grid)
    return write_channels(channels, replace(table, header=header))


def table_of_channels(
    acquisition: Acquisition,
    set_up: tuple[str, str, str],
    bnc: Sequence[BncLine],
    declared: Mapping[str, Any] | None,
    *,
    user_tables: Path | None = None,
) -> tuple[Wiring, list[BncLine], ChannelTable]:
    """Return the wiring of a recording, its declared BNC lines by absolute DAQ columns, and the table of its channels.

    Raises
    ------
    WiringError
        If the set-up is not known or does not fit, or a BNC line is declared on a column that carries none.
    """
    used = _used(declared)
    wiring = _wiring(*set_up, acquisition, user_tables).with_declared(used)
    _check_fits(wiring, acquisition, user_tables)
    lines = absolute_lines(bnc, used.get("bnc_numbering", "absolute"), acquisition.n_columns)
    table = channel_table(wiring, acquisition.n_bncs, lines)
    return wiring, lines, _at_own_sites(table, acquisition, used) if is_passthru(set_up[0]) else table


def _at_own_sites(table: ChannelTable, acquisition: Acquisition, used: Mapping[str, Any]) -> ChannelTable:
    """Return the table with the sites that the file itself says, as NWB files do, where it says any."""
    if SITES not in acquisition.info:
        return table
    said = json.loads(acquisition.info[SITES])
    sites, grid, pitch = np.array(said["sites"], dtype=np.intp), said["grid"], said["pitch_mm"]
    if len(sites) != len(table):
        return table
    return replace(
        table,
        grid=(grid[0], grid[1]),
        pitch_mm=table.pitch_mm if "pitch_mm" in used or pitch is None else (pitch[0], pitch[1]),
        site_row=sites[:, 0],
        site_column=sites[:, 1],
    )


def _used(declared: Mapping[str, Any] | None) -> dict[str, Any]:
    return split_overrides(declared or {})[1]


def _read_acquisition(raw: Path) -> Acquisition:
    try:
        with h5py.File(raw, "r", locking=False) as file:
            return read_acquisition(file)
    except OSError as error:
        raise FormatError(f"{raw}: could not be opened as HDF5 ({error}); ingest the recording first.") from error


def _wiring(daq: str, headstage: str, electrode: str, acquisition: Acquisition, user_tables: Path | None) -> Wiring:
    if not is_passthru(daq):
        return load_wiring(daq, headstage, electrode, user_tables=user_tables)
    for name, value in (("headstage", headstage), ("electrode", electrode)):
        if value.strip() and not is_passthru(value):
            raise WiringError(f"With daq 'passthru' there is no {name}, but it is {value!r}; leave it empty.")
    # NWB has the volts at the electrodes.
    gain = 1.0 if SITES in acquisition.info else None
    return passthru_wiring(acquisition.n_rows, acquisition.n_columns, gain=gain, pitch_mm=None)


def _check_fits(wiring: Wiring, acquisition: Acquisition, user_tables: Path | None) -> None:
    n_rows, n_columns = acquisition.n_rows, acquisition.n_columns
    if wiring.fits(n_rows, n_columns):
        return
    fitting = [" / ".join(known.names) for known in known_wirings(user_tables) if known.fits(n_rows, n_columns)]
    raise WiringError(
        f"The recording has {n_rows} DAQ rows and {n_columns} electrode DAQ columns (numRow, numCol), but "
        f"{' / '.join(wiring.names)} has {wiring.n_rows} rows and {wiring.acquisition_columns} columns. "
        + (f"Known set-ups that fit: {'; '.join(fitting)}." if fitting else "No known set-up fits; add a table for it.")
        + (_ADVICE_ON_ONE_ROW if n_rows == 1 else "")
    )


def _described(bnc: Sequence[BncLine]) -> list[dict[str, Any]]:
    return [{"column": line.column, "kind": line.kind} for line in bnc]


def _header(wiring: Wiring, used: Mapping[str, Any], table: ChannelTable, lines: Sequence[BncLine]) -> dict[str, Any]:
    undeclared = sorted(set(table.bnc_channels) - {line.column for line in lines})
    return {
        "wiring": {
            "acquisition_columns": wiring.acquisition_columns,
            "array_column_to_daq_column": wiring.array_column_to_daq_column,
            "array_row_to_daq_row": wiring.array_row_to_daq_row,
            "diagnostic_columns": wiring.diagnostic_columns,
            "provenance": wiring.provenance,
        },
        "overrides": dict(used),
        "undeclared_bnc_columns": {"columns": undeclared, "taken_as": "analog"},
    }
