"""What each channel of a recording carries, and on which site it sits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from ecogpipe.electrodes.channel_map import ChannelMap
from ecogpipe.electrodes.grid import Pitch
from ecogpipe.electrodes.wiring import Wiring
from ecogpipe.errors import SettingsError, WiringError, nearest

Ints = npt.NDArray[np.intp]

BncKind = Literal["ttl_high", "ttl_low", "analog"]
BncNumbering = Literal["absolute", "after_electrodes"]

ELECTRODE, DIAGNOSTIC, BNC = "electrode", "diagnostic", "bnc"

NO_SITE = -1

CHANNEL_OVERRIDES = ("gain", "pitch_mm", "bnc_numbering")
"""Overrides that say what the channels of a recording are; all others say how it was acquired."""


@dataclass(frozen=True)
class BncLine:
    """A BNC line: its DAQ column, and whether its pulses go up (`ttl_high`), down (`ttl_low`), or it is `analog`.

    `threshold` is in volts; where a digital line declares none, it is found.
    """

    column: int
    kind: BncKind
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(BncKind):
            raise SettingsError(
                f"BNC column {self.column} has the kind {self.kind!r}. {nearest(str(self.kind), get_args(BncKind))}"
            )
        if self.kind == "analog" and self.threshold is not None:
            raise SettingsError(f"BNC column {self.column} is analog, which has no threshold; take it away.")


@dataclass(frozen=True, eq=False)
class ChannelTable:
    """What each channel of a recording carries; all arrays have one element per channel, in the order on disk.

    Attributes
    ----------
    daq, headstage, electrode : str
        Names of the set-up.
    grid : (int, int)
        Rows and columns of the array.
    pitch_mm : (float, float) or None
        Distance between sites, (dy between rows, dx between columns).
    gain : float
        Signed: microvolts = volts * 1e6 / gain.
    role : array of str
        'electrode', 'diagnostic' or 'bnc'.
    daq_column, daq_row : array of int
        Where the DAQ reads the channel; the row is its multiplexer slot.
    site_row, site_column : array of int
        Where the channel sits on the array; -1 where it carries no site.
    bnc_kind : array of str
        'ttl_high', 'ttl_low' or 'analog'; '' where the channel is not a BNC line.
    header : dict
        What else the table on disk says of itself: wiring, overrides, provenance.
    """

    daq: str
    headstage: str
    electrode: str
    grid: tuple[int, int]
    pitch_mm: Pitch | None
    gain: float
    role: npt.NDArray[np.str_]
    daq_column: Ints
    daq_row: Ints
    site_row: Ints
    site_column: Ints
    bnc_kind: npt.NDArray[np.str_]
    header: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.role)

    @cached_property
    def electrode_channels(self) -> Ints:
        """Channels that carry a site, ascending."""
        return np.flatnonzero(self.role == ELECTRODE)

    @cached_property
    def diagnostic_channels(self) -> Ints:
        """Channels that carry leakage or supply signals, ascending."""
        return np.flatnonzero(self.role == DIAGNOSTIC)

    @cached_property
    def bnc_channels(self) -> dict[int, Ints]:
        """The channels of each BNC line, by its DAQ column: copies at successive rows."""
        columns = np.unique(self.daq_column[self.role == BNC])
        return {int(column): np.flatnonzero(self.daq_column == column) for column in columns}

    @cached_property
    def bnc_kinds(self) -> dict[int, BncKind]:
        """The kind of each BNC line, by its DAQ column."""
        return {
            column: cast(BncKind, str(self.bnc_kind[channels[0]])) for column, channels in self.bnc_channels.items()
        }

    @property
    def overrides(self) -> dict[str, Any]:
        """What a person declared of the array and its lines, by name, such as the gain."""
        return dict(self.header.get("overrides", {}))

    @cached_property
    def chan_map(self) -> ChannelMap:
        """The site of each electrode channel, in the order of `electrode_channels`."""
        channels = self.electrode_channels
        sites = self.site_row[channels] * self.grid[1] + self.site_column[channels]
        return ChannelMap(sites.tolist(), self.grid, pitch=self.pitch_mm)


def split_overrides(overrides: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the overrides that say how a recording was acquired, and those that say what its channels are.

    Examples
    --------
    >>> split_overrides({"units": "mV", "gain": 10})
    ({'units': 'mV'}, {'gain': 10})
    """
    of_channels = {name: value for name, value in overrides.items() if name in CHANNEL_OVERRIDES}
    return {name: value for name, value in overrides.items() if name not in CHANNEL_OVERRIDES}, of_channels


def channel_table(wiring: Wiring, n_bncs: int, bnc: Sequence[BncLine] = ()) -> ChannelTable:
    """Return what each channel carries in a recording with this wiring.

    Parameters
    ----------
    wiring : Wiring
        The set-up, its gain known.
    n_bncs : int
        DAQ columns after those of the wiring; they carry BNC lines.
    bnc : sequence of BncLine
        The lines that are declared, by absolute DAQ column; the others are 'analog'.

    Raises
    ------
    WiringError
        If the gain is not known, or a BNC line is declared twice or on a column that carries none.
    """
    if wiring.gain is None:
        raise WiringError(
            f"No gain is known for electrode {wiring.electrode!r} on {wiring.daq!r}; declare it in the recording's "
            "overrides, e.g. gain: 10, negative where the polarity is inverted."
        )
    kinds = _bnc_kinds(bnc, wiring.acquisition_columns, n_bncs)
    n_columns = wiring.acquisition_columns + n_bncs
    daq_column, daq_row = np.divmod(np.arange(n_columns * wiring.n_rows), wiring.n_rows)
    role = np.where(daq_column < wiring.acquisition_columns, DIAGNOSTIC, BNC).astype("<U10")
    site_row, site_column = np.full((2, daq_column.size), NO_SITE)
    channels, rows, columns = wiring.sites()
    role[channels], site_row[channels], site_column[channels] = ELECTRODE, rows, columns
    return ChannelTable(
        *wiring.names,
        grid=wiring.grid,
        pitch_mm=wiring.pitch_mm,
        gain=float(wiring.gain),
        role=role,
        daq_column=daq_column,
        daq_row=daq_row,
        site_row=site_row,
        site_column=site_column,
        bnc_kind=np.array([kinds.get(column, "") for column in daq_column.tolist()]),
    )


def absolute_lines(bnc: Sequence[BncLine], numbering: str, n_columns: int) -> list[BncLine]:
    """Return BNC lines by absolute DAQ column.

    Parameters
    ----------
    bnc : sequence of BncLine
        Lines as declared.
    numbering : {'absolute', 'after_electrodes'}
        Whether their columns count from the first DAQ column, or from the first one after the electrode columns.
    n_columns : int
        DAQ columns before the BNC columns.
    """
    if numbering not in get_args(BncNumbering):
        raise SettingsError(f"bnc_numbering is {numbering!r}. {nearest(str(numbering), get_args(BncNumbering))}")
    offset = n_columns if numbering == "after_electrodes" else 0
    return [replace(line, column=line.column + offset) for line in bnc]


def _bnc_kinds(bnc: Sequence[BncLine], first: int, n_bncs: int) -> Mapping[int, str]:
    kinds: dict[int, str] = dict.fromkeys(range(first, first + n_bncs), "analog")
    declared: set[int] = set()
    for line in bnc:
        if line.column not in kinds:
            raise WiringError(_no_bnc_column(line.column, bnc, first, n_bncs))
        if line.column in declared:
            raise WiringError(f"BNC column {line.column} is declared twice; give each line one kind.")
        declared.add(line.column)
        kinds[line.column] = line.kind
    return kinds


def _no_bnc_column(column: int, bnc: Sequence[BncLine], first: int, n_bncs: int) -> str:
    if not n_bncs:
        return f"BNC column {column} is declared, but the recording has none; empty its bnc cell, or declare n_bncs."
    last = first + n_bncs - 1
    message = f"BNC column {column} is declared, but the recording's BNC columns are {first} to {last}"
    if all(0 <= line.column < n_bncs for line in bnc):
        return message + "; if the number counts from the first BNC column, declare bnc_numbering: after_electrodes."
    return message + ", counted from 0; correct its bnc cell."
