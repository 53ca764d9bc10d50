"""What people decide about channels: the manual mask of a session, and masks that other tools saved."""

import csv
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from ecogpipe.electrodes.channels import ELECTRODE, ChannelTable
from ecogpipe.errors import FormatError, MaskError, nearest
from ecogpipe.storage.atomic import whole_file
from ecogpipe.storage.digests import sha256_of_file
from ecogpipe.storage.tsv import read_tsv

_COLUMNS = ("recording", "what", "which", "keep", "reason")
_EVERY_RECORDING = "*"

_LISTED_AT_MOST = 12

ROWS = "rows"
"""By this name the provenance of a mask keeps the rows that it was made with."""

FILE = "file"
"""The word in `what` for a mask that another tool saved."""

ReadArrays: TypeAlias = Callable[[Path], Mapping[str, npt.NDArray[Any]]]
"""Reads the arrays of a mask file, by name; '' is the name of an array without one."""


class Decision(NamedTuple):
    """What a row of a manual mask says: which electrode channels (their positions) to keep or to drop, and why."""

    positions: npt.NDArray[np.intp]
    keep: bool
    reason: str


def read_manual_mask(
    path: Path, recording: str, channels: ChannelTable, read_arrays: ReadArrays | None = None
) -> list[Decision]:
    """Read the rows of a manual mask that speak of one recording, in their order.

    The table has the columns `recording` (a name, or ``*`` for each of the session), `what` (channel, site,
    daq_column, daq_row, row, column or file), `which` (a number; ``r,c`` for a site; the name of a file), `keep` (keep
    or drop) and `reason`. All numbers count from 0; rows and columns without `daq_` are those of the array.

    A file is named relative to the table, ``name`` or ``name:variable``. It holds one true or false (1 or 0) per
    electrode channel, per channel of the recording, or per site (rows, columns). With `drop`, the true ones are
    dropped; with `keep`, they are kept and all others dropped.

    Parameters
    ----------
    path : Path
        The table, masks/<subject>/<session>.tsv.
    recording : str
        Name of the recording.
    channels : ChannelTable
        Of that recording.
    read_arrays : callable, optional
        Reads the files that the table names.

    Raises
    ------
    MaskError
        If a row names what is not on the array, or says neither keep nor drop, or drops without a reason, or if the
        array of a file fits the recording in no way or in more than one.
    FormatError
        If the file is missing or is not a table.
    """
    decisions: list[Decision] = []
    for place, cells in _rows(path):
        if cells["recording"] in (_EVERY_RECORDING, recording):
            decisions += decide(place, cells, channels, path.parent, read_arrays)
    return decisions


def decide(
    place: str,
    cells: Mapping[str, str],
    channels: ChannelTable,
    folder: Path,
    read_arrays: ReadArrays | None = None,
) -> list[Decision]:
    """Return what one row of a manual mask in `folder` says; `place` names the row in messages."""
    if cells["what"] == FILE:
        return _decide_by_file(place, cells, channels, folder, read_arrays)
    positions = _positions(place, cells["what"], cells["which"], channels)
    return [Decision(positions, cells["keep"] == "keep", cells["reason"])]


def check_manual_mask(path: Path, recordings: Collection[str]) -> None:
    """Refuse a manual mask that is no such table, or names a recording that its session does not have.

    Raises
    ------
    MaskError
        With the row, and the nearest name.
    """
    for place, cells in _rows(path):
        if cells["recording"] not in (_EVERY_RECORDING, *recordings):
            raise MaskError(
                f"{place}: the session has no recording {cells['recording']!r}. "
                f"{nearest(cells['recording'], recordings)} * means each of them."
            )


def rows_of_recording(path: Path, recording: str) -> list[dict[str, str]]:
    """Return the rows of a manual mask that speak of a recording, in their order, with the hash of a file they name.

    Raises
    ------
    MaskError
        If the table is no manual mask.
    """
    rows = [cells for _, cells in _rows(path) if cells["recording"] in (_EVERY_RECORDING, recording)]
    return [
        {name: cell for name, cell in row.items() if name != "recording"} | _hash_of_file(path, row) for row in rows
    ]


def _hash_of_file(path: Path, row: Mapping[str, str]) -> dict[str, str]:
    named = path.parent / _file_and_variable(row["which"])[0]
    return {"sha256": sha256_of_file(named)} if row["what"] == FILE and named.is_file() else {}


def new_row(recording: str, meant: str, keep: str, reason: str) -> dict[str, str]:
    """Return a row of a manual mask; `meant` is what and which in one text.

    Raises
    ------
    MaskError
        If it names nothing that can be meant, or drops without a reason.

    Examples
    --------
    >>> new_row("*", "site 3,4", "drop", "loose")["which"]
    '3,4'
    """
    what, _, which = meant.strip().partition(" ")
    if not which.strip():
        raise MaskError(f"{meant!r} is not two words; write what and which, e.g. 'channel 12' or 'site 3,4'.")
    texts = (recording, what, which, keep, reason)
    row = {name: " ".join(text.split()) for name, text in zip(_COLUMNS, texts, strict=True)}
    _check_words(repr(meant), row)
    return row


def add_to_manual_mask(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """Add rows at the end of a manual mask, where they win over those before; what is there stays as it is.

    Parameters
    ----------
    path : Path
        The table; it is made where it is absent, and changes whole or not at all.
    rows : sequence of mapping
        As `new_row` makes them.

    Raises
    ------
    MaskError
        If the table that is there lacks a column.
    """
    there = path.read_bytes() if path.exists() else "\t".join(_COLUMNS).encode() + b"\n"
    columns = read_tsv(path).columns if path.exists() else _COLUMNS
    _check_manual_columns(path, columns)
    line_end = "\r\n" if b"\r\n" in there else "\n"
    added = io.StringIO()
    writer = csv.writer(added, delimiter="\t", lineterminator=line_end)
    for row in rows:
        writer.writerow(row[name] for name in columns)
    with whole_file(path) as part:
        ended = there if there.endswith(b"\n") else there + line_end.encode()
        part.write_bytes(ended + added.getvalue().encode())
    return path


def take_back(path: Path, recording: str, meant: str) -> int:
    """Remove the rows of a manual mask that name a recording and something on its array, and nothing else.

    Parameters
    ----------
    path
        The table; it changes whole or not at all. Comments, other rows and their order stay.
    recording
        As the rows have it: a name, or ``*``.
    meant
        What and which in one text, as in ``site 3,4``.

    Returns
    -------
    int
        How many rows are gone.

    Raises
    ------
    MaskError
        If there is no such row.
    """
    what, _, which = meant.strip().partition(" ")
    wanted = {"recording": recording, "what": what, "which": "".join(which.split())}
    table = read_tsv(path)
    gone = {
        line
        for line, row in zip(table.lines, table.rows, strict=True)
        if {name: "".join(row[name].split()) for name in wanted} == wanted
    }
    if not gone:
        raise MaskError(f"{path}: has no row on {meant!r} of {recording}; look at it, and write it as it stands there.")
    lines = path.read_bytes().decode("utf-8").splitlines(keepends=True)
    with whole_file(path) as part:
        part.write_bytes("".join(line for n, line in enumerate(lines, start=1) if n not in gone).encode())
    return len(gone)


def _rows(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Return the rows of a manual mask, checked as far as they can be without an array, and where each stands."""
    table = read_tsv(path)
    _check_manual_columns(path, table.columns)
    rows = []
    for line, row in zip(table.lines, table.rows, strict=True):
        place, cells = f"{path}, line {line}", {name: cell.strip() for name, cell in row.items()}
        _check_words(place, cells)
        rows.append((place, cells))
    return rows


def _check_manual_columns(path: Path, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in _COLUMNS:
            raise MaskError(f"{path}: there is no column {name!r} in a manual mask. {nearest(name, _COLUMNS)}")
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise MaskError(f"{path}: the column {missing[0]!r} is missing; the first line must name it.")


def _check_words(place: str, cells: Mapping[str, str]) -> None:
    if not cells["recording"]:
        raise MaskError(f"{place}: names no recording; write its name, or * for each of the session.")
    if cells["what"] not in (*_FIND, FILE):
        raise MaskError(f"{place}: what is {cells['what']!r}. {nearest(cells['what'], (*_FIND, FILE))}")
    if cells["keep"] not in ("keep", "drop"):
        raise MaskError(f"{place}: keep is {cells['keep']!r}; write keep or drop.")
    if (cells["keep"] == "drop" or cells["what"] == FILE) and not cells["reason"]:
        raise MaskError(f"{place}: drops {cells['what']} {cells['which']} without a reason; write why.")


def _positions(place: str, what: str, which: str, channels: ChannelTable) -> npt.NDArray[np.intp]:
    """Find the electrode channels that a row means: their positions among the electrode channels."""
    wanted = 2 if what == "site" else 1
    try:
        numbers = [int(number) for number in which.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != wanted:
        form = "row,column as two whole numbers" if wanted == 2 else "one whole number"
        raise MaskError(f"{place}: which is {which!r}; write {form} for what {what!r}.")
    meant = _FIND[what](channels, numbers)
    electrodes = channels.electrode_channels
    if not meant[electrodes].any():
        _refuse(place, what, which, meant, channels)
    return np.flatnonzero(meant[electrodes])


def _refuse(place: str, what: str, which: str, meant: npt.NDArray[np.bool_], channels: ChannelTable) -> NoReturn:
    """Say why no electrode channel is meant: there is no such thing, or it carries something else."""
    roles = sorted(set(channels.role[meant].tolist()) - {ELECTRODE})
    if roles:
        raise MaskError(f"{place}: {what} {which} carries {roles[0]} signals, no site; correct the number.")
    rows, columns = channels.grid
    limits = {
        "channel": f"the recording's channels are 0 to {len(channels) - 1}",
        "daq_column": f"the recording's DAQ columns are 0 to {channels.daq_column.max()}",
        "daq_row": f"the recording's DAQ rows are 0 to {channels.daq_row.max()}",
        "site": f"the array has rows 0 to {rows - 1} and columns 0 to {columns - 1}",
        "row": f"the array's rows are 0 to {rows - 1}",
        "column": f"the array's columns are 0 to {columns - 1}",
    }
    raise MaskError(f"{place}: there is no {what} {which}; {limits[what]}, so the mask does not fit this array.")


def _decide_by_file(
    place: str, cells: Mapping[str, str], channels: ChannelTable, folder: Path, read_arrays: ReadArrays | None
) -> list[Decision]:
    """Return what a mask of another tool says, as the row asks for."""
    if read_arrays is None:
        raise MaskError(f"{place}: names a mask file, but nothing here reads such files; write its channels as rows.")
    name, variable = _file_and_variable(cells["which"])
    try:
        arrays = read_arrays(folder / name)
    except FormatError as error:
        raise MaskError(f"{place}: {error}") from error
    marked = _marked(f"{place}: {name}", arrays, variable, channels)
    reason = cells["reason"]
    if cells["keep"] == "drop":
        return [Decision(np.flatnonzero(marked), False, reason)]
    return [Decision(np.flatnonzero(~marked), False, reason), Decision(np.flatnonzero(marked), True, reason)]


def _file_and_variable(which: str) -> tuple[str, str]:
    name, _, variable = which.partition(":")
    return name.strip(), variable.strip()


def _marked(
    place: str, arrays: Mapping[str, npt.NDArray[Any]], variable: str, channels: ChannelTable
) -> npt.NDArray[np.bool_]:
    """Return which electrode channels the one array that fits them marks."""
    if variable and variable not in arrays:
        raise MaskError(f"{place} has no array {variable!r}. {nearest(variable, arrays or ['none'])}")
    asked = {variable: arrays[variable]} if variable else arrays
    fitting = {name: readings for name, values in asked.items() if (readings := _readings(values, channels))}
    found = ", ".join(f"{name or 'an array'} {values.shape}" for name, values in list(asked.items())[:_LISTED_AT_MOST])
    if not fitting:
        raise MaskError(
            f"{place} holds {found or 'no array'}, but a mask of this recording has true or false (1 or 0) for each of "
            f"{len(channels.electrode_channels)} electrode channels, {len(channels)} channels, "
            f"or {channels.grid} sites."
        )
    if len(fitting) > 1:
        raise MaskError(f"{place} holds {found}, several of which fit; write which one after a colon: file:variable.")
    [readings] = fitting.values()
    if any((reading != readings[0]).any() for reading in readings[1:]):
        raise MaskError(f"{place} fits this recording both per channel and per site; write its channels as rows.")
    return readings[0]


def _readings(values: npt.NDArray[Any], channels: ChannelTable) -> list[npt.NDArray[np.bool_]]:
    """Return every way to take an array as one bool per electrode channel; none where it is not a mask of them."""
    shapes = {channels.grid, (len(channels.electrode_channels),), (len(channels),)}
    in_line = values.reshape(-1) if values.ndim <= 2 and max(values.shape, default=0) == values.size else None
    if not {values.shape, () if in_line is None else in_line.shape} & shapes or not np.isin(values, (0, 1)).all():
        return []
    readings: list[npt.NDArray[np.bool_]] = []
    if values.shape == channels.grid:
        readings.append(channels.chan_map.as_channels(values.astype(bool)))
    if in_line is not None and in_line.size == len(channels.electrode_channels):
        readings.append(in_line.astype(bool))
    elif in_line is not None and in_line.size == len(channels):
        readings.append(in_line[channels.electrode_channels].astype(bool))
    return readings


_FIND: dict[str, Callable[[ChannelTable, list[int]], npt.NDArray[np.bool_]]] = {
    "channel": lambda channels, wanted: np.arange(len(channels)) == wanted[0],
    "site": lambda channels, wanted: (
        _on_array(channels) & (channels.site_row == wanted[0]) & (channels.site_column == wanted[1])
    ),
    "daq_column": lambda channels, wanted: channels.daq_column == wanted[0],
    "daq_row": lambda channels, wanted: channels.daq_row == wanted[0],
    "row": lambda channels, wanted: _on_array(channels) & (channels.site_row == wanted[0]),
    "column": lambda channels, wanted: _on_array(channels) & (channels.site_column == wanted[0]),
}
"""For each word in `what`: which channels of the recording it means."""


def _on_array(channels: ChannelTable) -> npt.NDArray[np.bool_]:
    on_array: npt.NDArray[np.bool_] = channels.role == ELECTRODE
    return on_array
