"""map_channels puts a recording's channels on their array, or says in one sentence why it cannot."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ecogpipe.electrodes.channels import BncLine
from ecogpipe.electrodes.wiring import known_wirings
from ecogpipe.errors import EcogpipeError, FormatError, SettingsError, WiringError
from ecogpipe.results.channels import read_channels
from ecogpipe.steps.map_channels import map_channels
from ecogpipe.storage.canonical import Acquisition, write_acquisition

ACTV = {"daq": "2t-as daq v2", "headstage": "zif26 to 2x uhdmi", "electrode": "actv_64"}
PASSTHRU = {"daq": "passthru", "headstage": "", "electrode": ""}


def write_raw(folder: Path, n_rows: int = 8, n_columns: int = 10, n_bncs: int = 2) -> Path:
    path = folder / "raw.h5"
    with h5py.File(path, "w") as file:
        write_acquisition(file, Acquisition(Fraction(1000), n_rows, n_columns, n_bncs, units="V"))
    return path


def refused(folder: Path, raw: Path, **settings: Any) -> str:
    channels = folder / "channels.tsv"
    with pytest.raises(EcogpipeError) as refusal:
        map_channels(raw, channels, **settings)
    assert sorted(path.name for path in folder.iterdir()) == ["raw.h5"], "a refusal leaves no output"
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("wiring", known_wirings(), ids=lambda wiring: "/".join(wiring.names))
def test_every_known_set_up_is_put_on_its_array(tmp_path: Path, wiring) -> None:
    raw = write_raw(tmp_path, wiring.n_rows, wiring.acquisition_columns, n_bncs=2)
    daq, headstage, electrode = wiring.names
    path = map_channels(raw, tmp_path / "channels.tsv", daq=daq, headstage=headstage, electrode=electrode)
    table = read_channels(path)
    assert len(table) == wiring.n_rows * (wiring.acquisition_columns + 2)
    for position, channel in enumerate(table.electrode_channels):
        row, column = table.chan_map.rlookup(position)
        assert channel == (wiring.array_column_to_daq_column[column] * wiring.n_rows + wiring.array_row_to_daq_row[row])
    assert (table.gain, table.pitch_mm, table.grid) == (wiring.gain, wiring.pitch_mm, wiring.grid)


def test_the_table_says_what_made_it(tmp_path: Path) -> None:
    raw = write_raw(tmp_path)
    path = map_channels(
        raw, tmp_path / "channels.tsv", **ACTV, bnc=[BncLine(11, "ttl_low")], declared={"gain": -20, "units": "mV"}
    )
    table = read_channels(path)
    assert table.gain == -20
    assert table.bnc_kinds == {10: "analog", 11: "ttl_low"}
    assert table.header["overrides"] == {"gain": -20}
    assert table.header["undeclared_bnc_columns"] == {"columns": [10], "taken_as": "analog"}
    assert table.header["wiring"]["array_column_to_daq_column"] == [4, 5, 2, 8, 9, 0, 1, 7]
    made_by = table.header["provenance"]
    assert made_by["step"] == "map_channels"
    assert made_by["inputs"][0]["name"] == "raw.h5"
    assert str(tmp_path) not in path.read_text(encoding="utf-8"), "no absolute path inside a result"


def test_two_runs_give_the_same_bytes_and_the_raw_file_is_left_alone(tmp_path: Path) -> None:
    raw = write_raw(tmp_path)
    before = raw.read_bytes(), raw.stat().st_mtime_ns
    one, two = (map_channels(raw, tmp_path / name, **ACTV).read_bytes() for name in ("one.tsv", "two.tsv"))
    assert one == two
    assert (raw.read_bytes(), raw.stat().st_mtime_ns) == before


def test_passthru_is_file_order_with_declared_gain_and_pitch(tmp_path: Path) -> None:
    raw = write_raw(tmp_path, n_rows=4, n_columns=2, n_bncs=1)
    table = read_channels(
        map_channels(raw, tmp_path / "channels.tsv", **PASSTHRU, declared={"gain": -1, "pitch_mm": [0.2, 0.3]})
    )
    np.testing.assert_array_equal(table.electrode_channels, range(8))
    assert [table.chan_map.rlookup(channel) for channel in (0, 1, 4, 7)] == [(0, 0), (1, 0), (0, 1), (3, 1)]
    assert (table.grid, table.gain, table.pitch_mm, table.chan_map.pitch) == ((4, 2), -1, (0.2, 0.3), (0.2, 0.3))


def test_a_pitch_may_stay_unknown_but_a_gain_may_not(tmp_path: Path) -> None:
    raw = write_raw(tmp_path, n_rows=1, n_columns=1, n_bncs=0)
    assert "declare it in the recording's overrides" in refused(tmp_path, raw, **PASSTHRU)
    table = read_channels(map_channels(raw, tmp_path / "channels.tsv", **PASSTHRU, declared={"gain": 1}))
    assert table.pitch_mm is None
    assert table.chan_map.pitch is None
    assert table.bnc_channels == {}


@pytest.mark.parametrize("field", ["headstage", "electrode"])
def test_passthru_has_no_headstage_and_no_electrode(tmp_path: Path, field: str) -> None:
    raw = write_raw(tmp_path)
    map_channels(raw, tmp_path / "channels.tsv", **{**PASSTHRU, field: "Passthru"}, declared={"gain": 1}).unlink()
    message = refused(tmp_path, raw, **{**PASSTHRU, field: "actv_64"}, declared={"gain": 1})
    assert f"there is no {field}, but it is 'actv_64'" in message


def test_lines_counted_after_the_electrodes(tmp_path: Path) -> None:
    raw = write_raw(tmp_path)
    lines = [BncLine(0, "ttl_high")]
    table = read_channels(
        map_channels(raw, tmp_path / "channels.tsv", **ACTV, bnc=lines, declared={"bnc_numbering": "after_electrodes"})
    )
    assert table.bnc_kinds == {10: "ttl_high", 11: "analog"}
    assert table.header["undeclared_bnc_columns"]["columns"] == [11]


def test_a_bnc_column_that_is_none_is_refused_by_file_and_number(tmp_path: Path) -> None:
    raw = write_raw(tmp_path)
    message = refused(tmp_path, raw, **ACTV, bnc=[BncLine(12, "analog")])
    assert message.startswith(f"{raw}: BNC column 12 is declared, but the recording's BNC columns are 10 to 11")
    assert "after_electrodes" in refused(tmp_path, raw, **ACTV, bnc=[BncLine(0, "analog")])


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "fitting"),
    [
        (22, 20, "Known set-ups that fit: 2t-as daq v1 / zif to 50mil / cardiac v1."),
        (36, 30, "active_1008ch_sp_v2."),
        (8, 12, "No known set-up fits"),
        (16, 10, "No known set-up fits"),
    ],
)
def test_a_wiring_that_does_not_fit_is_refused_with_those_that_do(
    tmp_path: Path, n_rows: int, n_columns: int, fitting: str
) -> None:
    raw = write_raw(tmp_path, n_rows, n_columns)
    message = refused(tmp_path, raw, **ACTV)
    assert message.startswith(f"{raw}: The recording has {n_rows} DAQ rows and {n_columns} electrode DAQ columns")
    assert "has 8 rows and 10 columns" in message
    assert fitting in message


def test_an_unknown_wiring_is_refused_by_file_with_the_nearest(tmp_path: Path) -> None:
    raw = write_raw(tmp_path)
    message = refused(tmp_path, raw, **{**ACTV, "electrode": "actv_46"})
    assert message.startswith(f"{raw}: No wiring is known for electrode 'actv_46'")
    assert "Did you mean 'actv_64'?" in message


def test_a_users_own_table_is_found_and_offered(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    tables = tmp_path / "wiring"
    tables.mkdir()
    (tables / "mine.yaml").write_text(
        "daq: mine\nheadstage: mine\nelectrode: mine\ngrid: [2, 1]\npitch_mm: null\ngain: null\n"
        "acquisition_columns: 2\narray_column_to_daq_column: [1]\narray_row_to_daq_row: [1, 0]\n"
        "diagnostic_columns: [0]\nprovenance: test\n",
        encoding="utf-8",
    )
    raw = write_raw(tmp_path / "study", n_rows=2, n_columns=2, n_bncs=0)
    assert "mine / mine / mine" in refused(tmp_path / "study", raw, **ACTV, user_tables=tables)
    mine = {"daq": "Mine", "headstage": "mine", "electrode": "mine"}
    assert "No gain is known" in refused(tmp_path / "study", raw, **mine, user_tables=tables)
    path = map_channels(raw, tmp_path / "channels.tsv", **mine, declared={"gain": 5}, user_tables=tables)
    assert read_channels(path).electrode_channels.tolist() == [2, 3]
    assert list(read_channels(path).chan_map) == [1, 0]


@pytest.mark.parametrize(
    ("declared", "error", "message"),
    [
        ({"gain": 0}, WiringError, "gain of 0"),
        ({"gain": "high"}, WiringError, "gain of 'high'"),
        ({"pitch_mm": [1, 2, 3]}, WiringError, "pitch of"),
        ({"bnc_numbering": "relative"}, SettingsError, "bnc_numbering is 'relative'"),
    ],
)
def test_declared_values_that_make_no_sense_are_refused(
    tmp_path: Path, declared: dict[str, Any], error: type[EcogpipeError], message: str
) -> None:
    raw = write_raw(tmp_path)
    with pytest.raises(error):
        map_channels(raw, tmp_path / "channels.tsv", **ACTV, declared=declared)
    assert message in refused(tmp_path, raw, **ACTV, declared=declared)


def test_what_is_no_ingested_recording_is_refused(tmp_path: Path) -> None:
    raw = tmp_path / "raw.h5"
    with pytest.raises(FormatError, match=r"raw\.h5: .*ingest the recording first"):
        map_channels(raw, tmp_path / "channels.tsv", **ACTV)
    raw.write_text("no HDF5", encoding="utf-8")
    assert "ingest the recording first" in refused(tmp_path, raw, **ACTV)
