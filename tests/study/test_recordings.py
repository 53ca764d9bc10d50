"""The recordings table: what a person writes in a cell arrives as a value, or is refused by row and reason."""

from pathlib import Path

import pytest

from ecogpipe.electrodes.channels import BncLine
from ecogpipe.errors import EcogpipeError
from ecogpipe.study.recordings import (
    COLUMNS,
    check_masks,
    check_wirings,
    find_shared,
    manual_mask_path,
    parse_overrides,
    read_recordings,
)

GOOD = {
    "subject": "16011",
    "session": "2016-09-01_active",
    "recording": "test_001",
    "files": "raw/a.tdms; raw/b.tdms",
    "daq": "2T-AS DAQ v2",
    "headstage": "zif26 to 2x uhdmi",
    "electrode": "actv_64",
    "bnc": "10:ttl_high, 11:analog",
    "overrides": "gain: -10; pitch_mm: [0.4, 0.5]; start_time: 2016-09-01T14:30:00-04:00; sampling_rate: 5e3",
}


def write_table(folder: Path, *rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> Path:
    path = folder / "config" / "recordings.tsv"
    path.parent.mkdir()
    lines = ["# a comment", "\t".join(columns)]
    for number, row in enumerate(rows):
        own = {"files": f"raw/a{number or ''}.tdms; raw/b{number or ''}.tdms"}
        lines.append("\t".join((GOOD | own | row).get(column, "") for column in columns))
    path.write_text("\n".join(lines) + "\n")
    return path


def sentence_of(path: Path) -> str:
    with pytest.raises(EcogpipeError) as refusal:
        read_recordings(path)
    sentence = str(refusal.value)
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    return sentence.removeprefix(str(path))


def test_a_row_arrives_as_values(tmp_path: Path) -> None:
    [recording] = read_recordings(write_table(tmp_path, {}))
    assert recording.full_name == "16011/2016-09-01_active/test_001"
    assert recording.files == (tmp_path / "raw/a.tdms", tmp_path / "raw/b.tdms")
    assert recording.bnc == (BncLine(10, "ttl_high"), BncLine(11, "analog"))
    assert recording.overrides == {
        "gain": -10,
        "pitch_mm": [0.4, 0.5],
        "start_time": "2016-09-01T14:30:00-04:00",
        "sampling_rate": 5000.0,
    }


def test_overrides_part_into_those_of_the_acquisition_and_those_of_the_channels(tmp_path: Path) -> None:
    [recording] = read_recordings(write_table(tmp_path, {}))
    assert set(recording.channel_overrides) == {"gain", "pitch_mm"}
    assert set(recording.acquisition_overrides) == {"start_time", "sampling_rate"}


def test_a_line_can_declare_its_threshold(tmp_path: Path) -> None:
    [recording] = read_recordings(write_table(tmp_path, {"bnc": "10:ttl_high:1.5, 11 : ttl_low : -2e-1"}))
    assert recording.bnc == (BncLine(10, "ttl_high", 1.5), BncLine(11, "ttl_low", -0.2))


def test_files_stay_relative_to_the_study(tmp_path: Path) -> None:
    [recording] = read_recordings(write_table(tmp_path, {}), study=Path())
    assert recording.files[0] == Path("raw/a.tdms")


def test_order_of_columns_and_empty_cells_do_not_matter(tmp_path: Path) -> None:
    row = {"daq": "passthru", "headstage": "", "electrode": "", "bnc": "", "overrides": ""}
    [recording] = read_recordings(write_table(tmp_path, row, columns=COLUMNS[::-1]))
    assert (recording.daq, recording.bnc, recording.overrides) == ("passthru", (), {})


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ({"overrides": "gian: 10"}, ", line 3: there is no key 'gian' in overrides. Did you mean 'gain'?"),
        ({"overrides": "gain: ten"}, ", line 3: overrides.gain is 'ten'; give a number."),
        ({"overrides": "gain:"}, ", line 3: overrides.gain is None; give a number."),
        (
            {"overrides": "gain 10"},
            ", line 3: overrides holds 'gain 10'; give key: value, separated by semicolons: gain: 10; units: V.",
        ),
        ({"overrides": "gain: 1; gain: 2"}, ", line 3: overrides declares 'gain' twice; keep one."),
        (
            {"overrides": "pitch_mm: [1"},
            ", line 3: overrides.pitch_mm is '[1', which is not a value in YAML; put quotes around the text.",
        ),
        (
            {"bnc": "10"},
            ", line 3: bnc holds '10'; give each line as column:kind, separated by commas: 10:ttl_high, 11:analog.",
        ),
        (
            {"overrides": "sampling_rate: 1000, units: V"},
            ", line 3: overrides.sampling_rate holds '1000, units: V', a key and a value once more; separate "
            "them by a semicolon.",
        ),
        (
            {"bnc": "10:ttl"},
            ", line 3: bnc[0].kind is 'ttl'; give 'ttl_high', 'ttl_low' or 'analog'.",
        ),
        (
            {"bnc": "10:ttl_high:two"},
            ", line 3: bnc holds '10:ttl_high:two', whose threshold 'two' is not a number; give volts, as in "
            "10:ttl_high:1.5.",
        ),
        (
            {"bnc": "11:analog:1.5"},
            ", line 3: bnc declares a threshold for analog line 11; take it away.",
        ),
        ({"files": " ; "}, ", line 3: files holds 0 values; give at least 1."),
        (
            {"headstage": ""},
            ", line 3: daq is '2T-AS DAQ v2', headstage '', electrode 'actv_64'; name all three, "
            "or give daq 'passthru' "
            "for channels that are on no known array.",
        ),
    ],
)
def test_a_cell_that_cannot_be_used(tmp_path: Path, cells: dict[str, str], sentence: str) -> None:
    assert sentence_of(write_table(tmp_path, cells)) == sentence


def test_the_line_is_that_of_the_file_below_comments_and_empty_lines(tmp_path: Path) -> None:
    path = write_table(tmp_path, {}, {"recording": "test_002", "overrides": "gain: 010"})
    *above, last = path.read_text().splitlines()
    path.write_text("\n".join([*above, "", "# the second day", last]) + "\n")
    assert sentence_of(path) == ", line 6: overrides.gain: 010 is 8 in YAML 1.1 and 10 in YAML 1.2; write 10"


def test_an_unknown_column_gets_the_nearest(tmp_path: Path) -> None:
    path = write_table(tmp_path, {}, columns=(*COLUMNS[:-1], "override"))
    assert sentence_of(path) == ": there is no column 'override'. Did you mean 'overrides'?"


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    assert ": the column 'overrides' is missing;" in sentence_of(write_table(tmp_path, {}, columns=COLUMNS[:-1]))


def test_a_recording_that_is_there_twice(tmp_path: Path) -> None:
    path = write_table(tmp_path, {}, {"recording": "test_002"}, {})
    assert sentence_of(path) == (
        ": lines 3 and 5 both name the recording 16011/2016-09-01_active/test_001; rename one."
    )


def test_names_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    path = write_table(tmp_path, {}, {"recording": "Test_001"})
    assert "lines 3 and 4 name 16011/2016-09-01_active/test_001 and 16011/2016-09-01_active/Test_001" in sentence_of(
        path
    )


def test_a_file_of_two_recordings_is_told(tmp_path: Path) -> None:
    recordings = read_recordings(write_table(tmp_path, {}, {"recording": "test_002", "files": "raw/b.tdms"}))
    [sentence] = find_shared(recordings, "recordings.tsv")
    assert sentence.startswith("recordings.tsv: the recordings 16011/2016-09-01_active/test_001 and ")


def test_other_arrays_of_a_file_are_other_signals(tmp_path: Path) -> None:
    other = {"recording": "test_002", "files": "raw/b.tdms", "overrides": "variable: E2"}
    assert find_shared(read_recordings(write_table(tmp_path, {}, other)), "recordings.tsv") == []


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("raw/{subject}.h5", "a name with { or } is taken for a pattern"),
        ("raw/<results>.h5", "a name with < or > is taken for a pattern"),
        ("raw\\a.h5", "write folders with /, as in 'raw/a.h5'"),
        ("~/a.h5", "~ is not understood here"),
    ],
)
def test_a_file_that_the_table_cannot_hold_is_refused(tmp_path: Path, file: str, found: str) -> None:
    assert found in sentence_of(write_table(tmp_path, {"files": file}))


@pytest.mark.parametrize(
    ("text", "both"),
    [
        ("gain: 010", "010 is 8 in YAML 1.1 and 10 in YAML 1.2; write 10"),
        ("gain: 08", "08 is '08' in YAML 1.1 and 8 in YAML 1.2"),
        ("sampling_rate: 1:30", "1:30 is 90 (to the base of 60) in YAML 1.1 and the text '1:30' in YAML 1.2"),
        ("gain: 1_000", "1_000 is 1000 in YAML 1.1 and the text '1_000' in YAML 1.2"),
        ("gain: 0x10", "0x10 is a number to another base"),
        ("gain: 0b11", "0b11 is a number to another base"),
        ("gain: on", "on is true in YAML 1.1 and the text 'on' in YAML 1.2"),
        ("pitch_mm: [010, 1]", "010 is 8"),
        ("gain: .nan", ".nan is not a finite number"),
        ("gain: -.inf", "-.inf is not a finite number"),
        ("gain: 1e999", "too large for a number"),
    ],
)
def test_what_versions_of_yaml_read_differently_is_refused_with_both_readings(
    tmp_path: Path, text: str, both: str
) -> None:
    assert both in sentence_of(write_table(tmp_path, {"overrides": text}))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("group: Run #2", "Run #2"),
        ("group: 'Time;Volt'", "Time;Volt"),
        ("group: 1", "1"),
        ("group: on", "on"),
        ("group: it's mine", "it's mine"),
        ('group: ["a;b", c]', ["a;b", "c"]),
        ("variable: 2016-09-01", "2016-09-01"),
        ("skip_channels: [Time, 'x']", ["Time", "x"]),
    ],
)
def test_names_are_text_as_they_stand(cell: str, value: object) -> None:
    assert list(parse_overrides(f"{cell}; gain: 10", "row 1").values()) == [value, 10]


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    assert sentence_of(write_table(tmp_path)) == ": the table holds no recordings; add one row for each."


def test_a_mask_that_names_no_recording_of_its_session_gets_the_nearest(tmp_path: Path) -> None:
    recordings = read_recordings(write_table(tmp_path, {}, {"recording": "test_002"}))
    check_masks(recordings, tmp_path / "masks")
    mask = manual_mask_path(tmp_path / "masks", recordings[0].subject, recordings[0].session)
    mask.parent.mkdir(parents=True)
    mask.write_text("recording\twhat\twhich\tkeep\treason\ntest_02\trow\t1\tdrop\tloose\n")
    with pytest.raises(EcogpipeError, match=r"line 2: the session has no recording 'test_02'. Did you mean 'test_002'"):
        check_masks(recordings, tmp_path / "masks")


def test_a_mask_of_no_session_gets_the_nearest(tmp_path: Path) -> None:
    recordings = read_recordings(write_table(tmp_path, {}))
    mask = tmp_path / "masks" / "16011" / "2016-09-01_activ.tsv"
    mask.parent.mkdir(parents=True)
    mask.write_text("recording\twhat\twhich\tkeep\treason\n")
    with pytest.raises(EcogpipeError, match=r"activ.tsv: is the mask of no session .*'16011/2016-09-01_active.tsv'"):
        check_masks(recordings, tmp_path / "masks")


def test_a_set_up_without_wiring_names_recording_and_nearest(tmp_path: Path) -> None:
    path = write_table(tmp_path, {}, {"recording": "test_002", "electrode": "actv_46"})
    with pytest.raises(EcogpipeError, match=r"recording 16011/2016-09-01_active/test_002: .*Did you mean 'actv_64'\?"):
        check_wirings(read_recordings(path), path)
