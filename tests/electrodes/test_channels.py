"""The channel table says what each channel carries, and says the same after a round trip through its file."""

from pathlib import Path

import numpy as np
import pytest

from ecogpipe.electrodes.channels import BncLine, absolute_lines, channel_table
from ecogpipe.electrodes.wiring import known_wirings, load_wiring, passthru_wiring
from ecogpipe.errors import FormatError, SettingsError, WiringError
from ecogpipe.results.channels import read_channels, write_channels

ACTV = ("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64")


@pytest.mark.parametrize("wiring", known_wirings(), ids=lambda wiring: "/".join(wiring.names))
def test_every_channel_has_one_role_and_every_site_its_channel(wiring) -> None:
    table = channel_table(wiring, n_bncs=3)
    n_rows, n_columns = wiring.n_rows, wiring.acquisition_columns
    bnc = np.concatenate(list(table.bnc_channels.values()))
    everything = np.concatenate([table.electrode_channels, table.diagnostic_channels, bnc])
    np.testing.assert_array_equal(np.sort(everything), np.arange(n_rows * (n_columns + 3)))
    np.testing.assert_array_equal(bnc, np.arange(n_rows * n_columns, n_rows * (n_columns + 3)))
    for position, channel in enumerate(table.electrode_channels):
        row, column = table.chan_map.rlookup(position)
        expected = wiring.array_column_to_daq_column[column] * n_rows + wiring.array_row_to_daq_row[row]
        assert channel == expected
    assert table.chan_map.geometry == wiring.grid
    assert table.chan_map.pitch == wiring.pitch_mm
    assert set(table.daq_column[table.diagnostic_channels]) == set(wiring.diagnostic_columns)


def test_the_64_sites_of_actv_64_lie_in_the_first_80_channels() -> None:
    table = channel_table(load_wiring(*ACTV), n_bncs=2)
    assert len(table) == 96
    assert len(table.electrode_channels) == 64
    assert table.electrode_channels.max() < 80
    np.testing.assert_array_equal(table.diagnostic_channels, [*range(24, 32), *range(48, 56)])
    # DAQ column 0 carries array column 5; its slots carry array rows 0, 1, 2, 3, 7, 4, 6, 5.
    rows, columns = table.chan_map[:8].to_mat()
    np.testing.assert_array_equal(rows, [0, 1, 2, 3, 7, 4, 6, 5])
    np.testing.assert_array_equal(columns, [5] * 8)


def test_declared_lines_have_their_kind_and_others_are_analog() -> None:
    table = channel_table(load_wiring(*ACTV), 3, [BncLine(11, "ttl_low")])
    assert table.bnc_kinds == {10: "analog", 11: "ttl_low", 12: "analog"}
    np.testing.assert_array_equal(table.bnc_channels[11], range(88, 96))
    assert set(table.bnc_kind[table.electrode_channels]) == {""}


def test_lines_may_be_counted_from_the_first_bnc_column() -> None:
    lines = [BncLine(0, "ttl_high"), BncLine(1, "analog")]
    assert absolute_lines(lines, "after_electrodes", 10) == [BncLine(10, "ttl_high"), BncLine(11, "analog")]
    assert absolute_lines(lines, "absolute", 10) == lines
    with pytest.raises(SettingsError, match="Did you mean 'after_electrodes'"):
        absolute_lines(lines, "after_electrode", 10)


@pytest.mark.parametrize(
    ("lines", "n_bncs", "message"),
    [
        ([BncLine(12, "analog")], 2, "BNC column 12 .* columns are 10 to 11, counted from 0"),
        ([BncLine(9, "analog")], 2, "BNC column 9 .* 10 to 11"),
        ([BncLine(0, "ttl_high")], 2, "bnc_numbering: after_electrodes"),
        ([BncLine(10, "ttl_high")], 0, "the recording has none; empty its bnc cell, or declare n_bncs"),
        ([BncLine(10, "ttl_high"), BncLine(10, "analog")], 2, "twice"),
    ],
)
def test_a_bnc_column_that_is_none_is_refused(lines: list[BncLine], n_bncs: int, message: str) -> None:
    with pytest.raises(WiringError, match=message):
        channel_table(load_wiring(*ACTV), n_bncs, lines)


def test_an_unknown_kind_of_line_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="Did you mean 'ttl_high'"):
        BncLine(10, "tll_high")  # type: ignore[arg-type]


def test_a_gain_is_never_guessed() -> None:
    with pytest.raises(WiringError, match="gain"):
        channel_table(passthru_wiring(1, 2, gain=None, pitch_mm=None), 0)


@pytest.mark.parametrize("pitch", [None, (0.25, 0.3214)])
def test_the_file_says_what_the_table_says(tmp_path: Path, pitch: tuple[float, float] | None) -> None:
    wiring = load_wiring(*ACTV).with_declared({"gain": -12.5, "pitch_mm": pitch})
    table = channel_table(wiring, 2, [BncLine(10, "ttl_high")])
    table.header.update({"provenance": {"step": "test"}, "overrides": {"gain": -12.5}})
    path = write_channels(tmp_path / "channels.tsv", table)
    read = read_channels(path)
    for name in ("role", "daq_column", "daq_row", "site_row", "site_column", "bnc_kind"):
        np.testing.assert_array_equal(getattr(read, name), getattr(table, name), err_msg=name)
    for name in ("daq", "headstage", "electrode", "grid", "pitch_mm", "gain", "chan_map", "header"):
        assert getattr(read, name) == getattr(table, name), name
    assert read.gain == -12.5


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "channels.tsv"
    path.write_text("channel\trole\n0\telectrode\n", encoding="utf-8")
    with pytest.raises(FormatError, match=r"channels\.tsv: is not a channel table"):
        read_channels(path)
    with pytest.raises(FormatError, match="no such table"):
        read_channels(tmp_path / "absent.tsv")
