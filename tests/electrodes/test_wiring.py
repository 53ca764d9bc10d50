"""Wiring tables carry the known set-ups, are found by name, and are checked before they are used."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ecogpipe.electrodes.channels import channel_table
from ecogpipe.electrodes.wiring import known_wirings, load_wiring, passthru_wiring, read_wiring
from ecogpipe.errors import WiringError

ROOT = Path(__file__).parents[2]
FACTS = ROOT / "../shared/wiring/facts.yaml"
SET_UPS = [wiring.names for wiring in known_wirings()]

MINIMAL: dict[str, Any] = {
    "daq": "my daq",
    "headstage": "my headstage",
    "electrode": "my array",
    "grid": [2, 3],
    "pitch_mm": {"dy": 0.5, "dx": 0.4},
    "gain": -20,
    "acquisition_columns": 4,
    "array_column_to_daq_column": [3, 0, 2],
    "array_row_to_daq_row": [1, 0],
    "diagnostic_columns": [1],
    "provenance": "drawn for this test",
}


def write_table(folder: Path, name: str = "mine.yaml", **changes: Any) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump({**MINIMAL, **changes}), encoding="utf-8")
    return path


@pytest.mark.skipif(not FACTS.exists(), reason="the shared facts are not here")
def test_packaged_tables_are_the_known_facts() -> None:
    facts = yaml.safe_load(FACTS.read_text(encoding="utf-8"))
    assert len(facts) == len(SET_UPS) == 5
    for fact in facts:
        wiring = load_wiring(fact["daq"], fact["headstage"], fact["electrode"])
        pitch = fact.pop("pitch_mm")
        assert wiring.pitch_mm == (pitch and (pitch["dy"], pitch["dx"]))
        for name, value in fact.items():
            assert getattr(wiring, name) == (tuple(value) if isinstance(value, list) else value), name
        assert "2b6af88" in wiring.provenance


@pytest.mark.parametrize("names", SET_UPS, ids="/".join)
def test_every_site_has_one_channel_by_the_rule_of_the_demultiplexer(names: tuple[str, str, str]) -> None:
    wiring = load_wiring(*names)
    channels, rows, columns = wiring.sites()
    assert np.all(np.diff(channels) > 0)
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == set(np.ndindex(wiring.grid))
    for channel, row, column in zip(channels.tolist(), rows, columns, strict=True):
        daq_column, daq_row = divmod(channel, wiring.n_rows)
        assert daq_column == wiring.array_column_to_daq_column[column]
        assert daq_row == wiring.array_row_to_daq_row[row]


def test_names_compare_without_regard_to_case_and_spaces() -> None:
    wiring = load_wiring(" 2T-AS  DAQ V2", "ZIF26to2xUHDMI", "Actv_64 ")
    assert wiring.names == ("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("2t-as daq v3", "zif26 to 2x uhdmi", "actv_64"), "daq '2t-as daq v3'. Did you mean '2t-as daq v"),
        (("pasthru", "", ""), "Did you mean 'passthru'"),
        (("2t-as daq v2", "zif26 to 2x uhdm", "actv_64"), "Did you mean 'zif26 to 2x uhdmi'"),
        (("2t-as daq v2", "zif26 to 2x uhdmi", "actv64"), "Did you mean 'actv_64'"),
        (("2t-as daq v2", "zif to 50mil", "cardiac v1"), "headstage 'zif to 50mil' with daq '2t-as daq v2'"),
        (("2t-as daq v2", "", ""), "Known are: "),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(names: tuple[str, str, str], message: str) -> None:
    with pytest.raises(WiringError, match=re.escape(message)):
        load_wiring(*names)


def test_passthru_takes_columns_and_rows_in_file_order() -> None:
    wiring = passthru_wiring(2, 3, gain=-4, pitch_mm=0.2)
    channels, rows, columns = wiring.sites()
    np.testing.assert_array_equal(channels, range(6))
    np.testing.assert_array_equal(rows, [0, 1] * 3)
    np.testing.assert_array_equal(columns, [0, 0, 1, 1, 2, 2])
    assert (wiring.gain, wiring.pitch_mm, wiring.diagnostic_columns) == (-4, (0.2, 0.2), ())
    with pytest.raises(WiringError, match="passthru_wiring"):
        load_wiring("PassThru", "", "")


def test_a_users_table_stands_beside_those_of_the_package(tmp_path: Path) -> None:
    write_table(tmp_path)
    wiring = load_wiring("My DAQ", "myheadstage", "my array", user_tables=tmp_path)
    assert (wiring.grid, wiring.pitch_mm, wiring.gain) == ((2, 3), (0.5, 0.4), -20)
    np.testing.assert_array_equal(wiring.sites()[0], [0, 1, 4, 5, 6, 7])
    assert len(known_wirings(tmp_path)) == len(SET_UPS) + 1


def test_two_tables_for_one_set_up_are_refused(tmp_path: Path) -> None:
    daq, headstage, electrode = SET_UPS[0]
    write_table(tmp_path, daq=daq.upper(), headstage=headstage, electrode=electrode)
    with pytest.raises(WiringError, match=r"mine\.yaml: is for the same set-up as the package's .*\.yaml"):
        known_wirings(tmp_path)


def test_a_folder_of_tables_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WiringError, match="no such folder"):
        known_wirings(tmp_path / "wiring")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"array_column_to_daq_column": [3, 0, 3]}, "lacks 2 and repeats 3"),
        ({"array_column_to_daq_column": [3, 0, 1]}, "lacks 2 and repeats 1"),
        ({"array_column_to_daq_column": [4, 0, 2]}, "lacks 3 and has, out of range, 4"),
        ({"diagnostic_columns": []}, "lacks 1"),
        ({"array_row_to_daq_row": [1, 2]}, "array_row_to_daq_row must use each of 0 to 1 exactly once"),
        ({"array_row_to_daq_row": [1, 0, 2]}, "3 entries for a grid of 2 rows"),
        ({"array_column_to_daq_column": [3, 0]}, "2 entries for a grid of 2 rows and 3 columns"),
        ({"array_column_to_daq_column": 3}, "give a list"),
        ({"array_row_to_daq_row": [1, "0"]}, "whole number"),
        ({"acquisition_columns": "4"}, "acquisition_columns"),
        ({"grid": [2]}, "pair of rows and columns"),
        ({"grid": 6}, "pair of rows and columns"),
        ({"gain": 0}, "gain of 0"),
        ({"gain": "10"}, "gain of '10'"),
        ({"pitch_mm": {"dx": 0.4}}, "dy"),
        ({"pitch_mm": -1}, "pitch of -1"),
        ({"provenance": ""}, "provenance"),
        ({"electrode": None}, "electrode is None"),
        ({"diagnostic_colums": [1]}, "Did you mean 'diagnostic_columns'"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_by_file_name(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(WiringError, match=r"mine\.yaml: .*" + re.escape(message)):
        read_wiring(write_table(tmp_path, **changes))


def test_a_table_must_say_every_key(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in MINIMAL.items() if key != "gain"}), encoding="utf-8")
    with pytest.raises(WiringError, match="lacks gain"):
        read_wiring(path)


@pytest.mark.parametrize("text", ["", "just words", "- 1\n- 2", "grid: [1, 2", "\x00"])
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WiringError, match=r"odd\.yaml") as refused:
        read_wiring(path)
    assert "\n" not in str(refused.value)


def test_declared_gain_and_pitch_replace_those_of_the_table() -> None:
    wiring = passthru_wiring(1, 2, gain=None, pitch_mm=None)
    declared = wiring.with_declared({"gain": -3.5, "pitch_mm": [0.1, 0.2], "units": "mV"})
    assert (declared.gain, declared.pitch_mm) == (-3.5, (0.1, 0.2))
    assert wiring.with_declared({}) == wiring
    for values, message in (({"gain": "ten"}, "ten"), ({"gain": None}, "empty"), ({"pitch_mm": [1]}, "pitch")):
        with pytest.raises(WiringError, match=message):
            wiring.with_declared(values)


def test_the_example_of_the_documentation_is_a_table_that_works(tmp_path: Path) -> None:
    text = (ROOT / "docs/wiring.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert example is not None
    (tmp_path / "example.yaml").write_text(example[1], encoding="utf-8")
    table = channel_table(read_wiring(tmp_path / "example.yaml"), n_bncs=1)
    grid = str(table.chan_map.embed(table.electrode_channels, fill=-1))
    assert " ".join(grid.split()) in " ".join(text.split())


@pytest.mark.parametrize("names", SET_UPS, ids="/".join)
def test_the_documentation_lists_every_set_up(names: tuple[str, str, str]) -> None:
    wiring = load_wiring(*names)
    row = f"| {' | '.join(names)} | {wiring.grid[0]} x {wiring.grid[1]} | {wiring.acquisition_columns} |"
    assert row in (ROOT / "docs/wiring.md").read_text(encoding="utf-8")
