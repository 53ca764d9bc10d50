"""The channel table, channels.tsv: what each channel of a recording carries, and on which site it sits."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecogpipe.electrodes.channels import NO_SITE, ChannelTable, Ints
from ecogpipe.errors import FormatError
from ecogpipe.storage.tsv import read_tsv, write_tsv

_COLUMNS = ("channel", "role", "daq_column", "daq_row", "site_row", "site_column", "bnc_kind")
_HEADER = ("daq", "headstage", "electrode", "grid", "pitch_mm", "gain", "provenance")


def write_channels(path: Path, table: ChannelTable) -> Path:
    """Write a channel table; its `header` goes on top of it."""
    named = {name: getattr(table, name) for name in _HEADER if name != "provenance"}
    rows = zip(
        range(len(table)),
        table.role,
        table.daq_column,
        table.daq_row,
        _blank_no_site(table.site_row),
        _blank_no_site(table.site_column),
        table.bnc_kind,
        strict=True,
    )
    return write_tsv(path, named | table.header, _COLUMNS, rows)


def read_channels(path: Path) -> ChannelTable:
    """Read a table that `map_channels` wrote.

    Raises
    ------
    FormatError
        If the file is missing or is not a channel table.
    """
    table = read_tsv(path)
    missing = [name for name in _HEADER if name not in table.header]
    if table.columns != _COLUMNS or missing:
        raise FormatError(f"{path}: is not a channel table (channels.tsv); run map_channels for the recording again.")
    cells = {name: [row[name] for row in table.rows] for name in _COLUMNS}
    pitch = table.header["pitch_mm"]
    return ChannelTable(
        daq=table.header["daq"],
        headstage=table.header["headstage"],
        electrode=table.header["electrode"],
        grid=(table.header["grid"][0], table.header["grid"][1]),
        pitch_mm=None if pitch is None else (pitch[0], pitch[1]),
        gain=float(table.header["gain"]),
        role=np.array(cells["role"]),
        daq_column=np.array(cells["daq_column"], dtype=np.intp),
        daq_row=np.array(cells["daq_row"], dtype=np.intp),
        site_row=_site_indices(cells["site_row"]),
        site_column=_site_indices(cells["site_column"]),
        bnc_kind=np.array(cells["bnc_kind"]),
        header={name: value for name, value in table.header.items() if name not in _HEADER or name == "provenance"},
    )


def _blank_no_site(indices: Ints) -> list[int | None]:
    return [None if index == NO_SITE else int(index) for index in indices]


def _site_indices(cells: Sequence[str]) -> Ints:
    return np.array([NO_SITE if cell == "" else int(cell) for cell in cells], dtype=np.intp)
