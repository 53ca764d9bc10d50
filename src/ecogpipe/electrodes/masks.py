"""Channel masks: which electrode channels to use, why not the others, and who says so: a person or the rule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from ecogpipe.electrodes.channels import ELECTRODE, ChannelTable
from ecogpipe.errors import FormatError, MaskError, nearest
from ecogpipe.tsv import read_tsv, write_tsv

MANUAL, AUTOMATIC = "manual", "automatic"

_COLUMNS = ("channel", "site_row", "site_column", "keep", "reason", "origin")
_HEADER = ("recording", "thresholds", "signal_sha256", "provenance")
_MANUAL_COLUMNS = ("recording", "what", "which", "keep", "reason")
_EVERY_RECORDING = "*"


@dataclass(frozen=True, eq=False)
class MaskTable:
    """A channel mask: one element per electrode channel, in the order of channels.tsv.

    Attributes
    ----------
    channel, site_row, site_column : array of int
        Which channel, and where it sits.
    keep : array of bool
        False: not to be used.
    reasons : tuple of str
        Why a channel is dropped, or kept by hand; '' where there is nothing to say.
    origins : tuple of str
        Who decided: 'automatic', 'manual', or '' where nobody objected.
    numbers : dict
        The numbers that the automatic rule went by, arrays by name.
    header : dict
        Thresholds, hash of the signal, provenance.
    """

    channel: npt.NDArray[np.intp]
    site_row: npt.NDArray[np.intp]
    site_column: npt.NDArray[np.intp]
    keep: npt.NDArray[np.bool_]
    reasons: tuple[str, ...]
    origins: tuple[str, ...]
    numbers: dict[str, npt.NDArray[np.float64]]
    header: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.channel)


class Decision(NamedTuple):
    """What a row of a manual mask says: which electrode channels (their positions) to keep or to drop, and why."""

    positions: npt.NDArray[np.intp]
    keep: bool
    reason: str


def read_manual_mask(path: Path, recording: str, channels: ChannelTable) -> list[Decision]:
    """Read the rows of a manual mask that speak of one recording, in their order.

    The table has the columns `recording` (a name, or ``*`` for each of the session), `what` (channel, site,
    daq_column, daq_row, row or column), `which` (a number; ``r,c`` for a site), `keep` (keep or drop) and `reason`.
    All numbers count from 0; rows and columns without `daq_` are those of the array.

    Parameters
    ----------
    path : Path
        The table, masks/<subject>/<session>.tsv.
    recording : str
        Name of the recording.
    channels : ChannelTable
        Of that recording.

    Raises
    ------
    MaskError
        If a row names what is not on the array, or says neither keep nor drop, or drops without a reason.
    FormatError
        If the file is missing or is no table.
    """
    table = read_tsv(path)
    _check_manual_columns(path, table.columns)
    decisions = []
    for number, row in enumerate(table.rows, start=1):
        cells = {name: cell.strip() for name, cell in row.items()}
        place = f"{path}: row {number}"
        _check_words(place, cells)
        if cells["recording"] in (_EVERY_RECORDING, recording):
            positions = _positions(place, cells["what"], cells["which"], channels)
            decisions.append(Decision(positions, cells["keep"] == "keep", cells["reason"]))
    return decisions


def combine(
    channels: ChannelTable,
    automatic: Sequence[str],
    manual: Sequence[Decision],
    numbers: Mapping[str, npt.NDArray[np.float64]],
    header: Mapping[str, Any],
) -> MaskTable:
    """Return the mask that follows from the automatic reasons and the manual decisions.

    Parameters
    ----------
    channels : ChannelTable
        Of the recording.
    automatic : sequence of str
        One reason per electrode channel to drop it; '' to keep it.
    manual : sequence of Decision
        They win over the automatic reasons, and later ones over earlier ones.
    numbers, header : mapping
        Kept in the mask.
    """
    keep = np.array([not reason for reason in automatic], dtype=bool)
    reasons = list(automatic)
    origins = [AUTOMATIC if reason else "" for reason in automatic]
    for decision in manual:
        for position in decision.positions:
            keep[position] = decision.keep
            origins[position] = MANUAL
            reasons[position] = _manual_reason(decision, automatic[position])
    electrodes = channels.electrode_channels
    return MaskTable(
        channel=electrodes,
        site_row=channels.site_row[electrodes],
        site_column=channels.site_column[electrodes],
        keep=keep,
        reasons=tuple(reasons),
        origins=tuple(origins),
        numbers=dict(numbers),
        header=dict(header),
    )


def write_mask(path: Path, mask: MaskTable) -> Path:
    """Write a channel mask; its `header` goes on top of it."""
    rows = zip(
        mask.channel,
        mask.site_row,
        mask.site_column,
        mask.keep.astype(int),
        mask.reasons,
        mask.origins,
        *(values.tolist() for values in mask.numbers.values()),
        strict=True,
    )
    return write_tsv(path, mask.header, (*_COLUMNS, *mask.numbers), rows)


def read_mask(path: Path) -> MaskTable:
    """Read a mask that `mask_channels` wrote.

    Raises
    ------
    FormatError
        If the file is missing or is no channel mask.
    """
    table = read_tsv(path)
    missing = [name for name in _HEADER if name not in table.header]
    if table.columns[: len(_COLUMNS)] != _COLUMNS or missing:
        raise FormatError(f"{path}: is not a channel mask (mask.tsv); run mask_channels for the recording again.")
    cells = {name: [row[name] for row in table.rows] for name in table.columns}
    return MaskTable(
        channel=np.array(cells["channel"], dtype=np.intp),
        site_row=np.array(cells["site_row"], dtype=np.intp),
        site_column=np.array(cells["site_column"], dtype=np.intp),
        keep=np.array(cells["keep"]) == "1",
        reasons=tuple(cells["reason"]),
        origins=tuple(cells["origin"]),
        numbers={name: np.array(cells[name], dtype=np.float64) for name in table.columns[len(_COLUMNS) :]},
        header=table.header,
    )


def _manual_reason(decision: Decision, automatic: str) -> str:
    if decision.keep and automatic:
        return "; ".join(filter(None, (decision.reason, f"kept against: {automatic}")))
    return decision.reason


def _check_manual_columns(path: Path, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in _MANUAL_COLUMNS:
            raise MaskError(f"{path}: there is no column {name!r} in a manual mask. {nearest(name, _MANUAL_COLUMNS)}")
    missing = [name for name in _MANUAL_COLUMNS if name not in columns]
    if missing:
        raise MaskError(f"{path}: the column {missing[0]!r} is missing; the first line must name it.")


def _check_words(place: str, cells: Mapping[str, str]) -> None:
    if not cells["recording"]:
        raise MaskError(f"{place}: names no recording; write its name, or * for each of the session.")
    if cells["what"] not in _FIND:
        raise MaskError(f"{place}: what is {cells['what']!r}. {nearest(cells['what'], _FIND)}")
    if cells["keep"] not in ("keep", "drop"):
        raise MaskError(f"{place}: keep is {cells['keep']!r}; write keep or drop.")
    if cells["keep"] == "drop" and not cells["reason"]:
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
