"""``ecogpipe init``: the beginning of a study, in which nothing is guessed and nothing overwritten."""

import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import yaml
from nptdms import ChannelObject, TdmsWriter

from ecogpipe.cli import main
from ecogpipe.electrodes.wiring import known_wirings
from ecogpipe.errors import SettingsError
from ecogpipe.formats.reading import read_header
from ecogpipe.storage.tsv import read_tsv
from ecogpipe.study.config import check_config
from ecogpipe.study.draft import draft_recordings
from ecogpipe.study.recordings import read_recordings
from ecogpipe.synthetic import SyntheticRecording


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_a_new_study_has_a_config_that_can_be_used_an_empty_table_and_folders(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path / "study")]) == 0
    config = tmp_path / "study" / "config"
    check_config(yaml.safe_load((config / "config.yaml").read_text()), where="config.yaml")
    assert "# Corners of the zero-phase band-pass" in (config / "config.yaml").read_text()
    assert read_tsv(config / "recordings.tsv").rows == []
    assert (config / "masks").is_dir()
    with pytest.raises(SettingsError, match="the table holds no recordings"):
        read_recordings(config / "recordings.tsv")


def test_init_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    touch(tmp_path / "raw", "a.tdms")
    (tmp_path / "config").mkdir()
    mine = {tmp_path / "config" / name: f"my {name}" for name in ("config.yaml", "recordings.tsv", "README.md")}
    for path, text in mine.items():
        path.write_text(text)
    assert main(["init", str(tmp_path)]) == 0
    assert main(["init", str(tmp_path), "--raw", str(tmp_path / "raw")]) == 1
    assert "has no column 'subject', so that no row can be added" in capsys.readouterr().err
    assert {path: path.read_text() for path in mine} == mine


def test_rows_come_from_the_files_parts_in_natural_order(tmp_path: Path) -> None:
    study = tmp_path / "study"
    long = [f"long_part{number}.tdms" for number in range(1, 11)]
    touch(study / "raw" / "16011" / "2016-09-01_active", *long, "test_002.mat", "test_001.mat", ".hidden.mat", "x.txt")
    touch(study / "results" / "s1", "raw.h5")
    assert main(["init", str(study), "--raw", str(study)]) == 0
    folder = "raw/16011/2016-09-01_active"
    shutil.rmtree(study / "config")
    assert main(["init", str(study), "--raw", str(study / "raw")]) == 0
    rows = read_tsv(study / "config" / "recordings.tsv").rows
    assert [(row["subject"], row["session"], row["recording"], row["files"]) for row in rows] == [
        ("16011", "2016-09-01_active", "long", "; ".join(f"{folder}/{name}" for name in long)),
        ("16011", "2016-09-01_active", "test_001", f"{folder}/test_001.mat"),
        ("16011", "2016-09-01_active", "test_002", f"{folder}/test_002.mat"),
    ]


def test_what_the_names_do_not_tell_is_left_blank(tmp_path: Path) -> None:
    raw = touch(tmp_path / "raw", "a_part1.tdms", "a_part3.tdms", "b.tdms", "b.mat", "my test.h5")
    assert [(draft.recording, draft.files) for draft in draft_recordings(raw, tmp_path)] == [
        ("a", ("raw/a_part1.tdms", "FILL_IN", "raw/a_part3.tdms")),
        ("b_mat", ("raw/b.mat",)),
        ("b_tdms", ("raw/b.tdms",)),
        ("my_test", ("raw/my test.h5",)),
    ]


def test_a_blank_is_refused_by_its_name(tmp_path: Path) -> None:
    touch(tmp_path / "raw" / "s1" / "day1", "a.tdms")
    main(["init", str(tmp_path), "--raw", str(tmp_path / "raw")])
    table = tmp_path / "config" / "recordings.tsv"
    with pytest.raises(SettingsError) as refusal:
        read_recordings(table)
    assert str(refusal.value) == (
        f"{table}: holds FILL_IN, a blank that only you can fill, in line 12: daq, headstage, electrode, bnc. "
        "The first of them, daq: Name of the DAQ, e.g. '2t-as daq v2', or 'passthru' for channels that are on no known "
        "array."
    )


def test_all_blanks_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    touch(tmp_path / "raw", "a.tdms", "day1/b.tdms")
    main(["init", str(tmp_path), "--raw", str(tmp_path / "raw")])
    with pytest.raises(SettingsError) as refusal:
        read_recordings(tmp_path / "config" / "recordings.tsv")
    assert "line 12: subject, session, daq" in str(refusal.value)
    assert "line 13: subject, daq" in str(refusal.value), "the folder is the session"


def test_a_file_that_does_not_say_enough_gets_a_cell_to_fill_in(tmp_path: Path) -> None:
    """But not one that names anything of a multiplexer, nor one that is damaged."""
    raw = tmp_path / "raw" / "s1" / "day1"
    raw.mkdir(parents=True)
    signals = np.random.default_rng(0).normal(size=(900, 5))
    scipy.io.savemat(raw / "a.mat", {"lfp": signals, "fs": 500.0})
    scipy.io.savemat(raw / "b.mat", {"lfp": signals, "fs": 500.0, "OSR": 2.0})
    (raw / "c.mat").write_bytes((raw / "a.mat").read_bytes()[:150])
    with h5py.File(raw / "e.h5", "w") as h5:
        for name in ("lfp", "inside/x", "inside/y"):
            h5[name] = signals
    content = bytearray((raw / "e.h5").read_bytes())
    for start in (match.start() for match in re.finditer(rb"TREE|SNOD|HEAP", bytes(content[200:]))):
        content[200 + start : 204 + start] = b"XXXX"
    (raw / "e.h5").write_bytes(content)
    with TdmsWriter(raw / "d.tdms") as file:
        file.write_segment([ChannelObject('x; "y"', f"c{row}", signals[row]) for row in range(3)])
        file.write_segment([ChannelObject("other", "c", signals[0, :2])])
    assert main(["init", str(tmp_path), "--raw", str(tmp_path / "raw")]) == 0
    table = tmp_path / "config" / "recordings.tsv"
    rows = {row["recording"]: row for row in read_tsv(table).rows}
    cell = "variable: lfp; rate_variable: fs; orientation: time_by_channels; units: FILL_IN; gain: FILL_IN"
    assert (rows["a"]["daq"], rows["a"]["overrides"]) == ("passthru", cell)
    assert [(rows[name]["daq"], rows[name]["overrides"]) for name in "bce"] == [("FILL_IN", "")] * 3
    filled = table.read_text().replace("units: FILL_IN", "units: mV").replace("rate: FILL_IN", "rate: 250")
    kept = [line for line in filled.replace("gain: FILL_IN", "gain: 20").splitlines() if "FILL_IN" not in line]
    table.write_text("\n".join(kept) + "\n")
    found = {recording.recording: recording for recording in read_recordings(table, tmp_path)}
    assert set(found) == {"a", "d"}
    for recording in found.values():
        acquisition = read_header(recording.files[0], recording.acquisition_overrides).acquisition
        assert acquisition.n_channels == {"a": 5, "d": 3}[recording.recording]


def test_raw_files_elsewhere_are_looked_into_before_the_study_is_there(tmp_path: Path) -> None:
    write_recordings(tmp_path / "data" / "s1" / "day1", "a.mat")
    assert main(["init", str(tmp_path / "new" / "study"), "--raw", str(tmp_path / "data")]) == 0
    [row] = read_tsv(tmp_path / "new" / "study" / "config" / "recordings.tsv").rows
    assert row["bnc"] == "10:FILL_IN, 11:FILL_IN"


def test_channels_of_a_file_that_says_all_but_their_gain_are_taken_as_they_are(tmp_path: Path) -> None:
    raw = tmp_path / "raw" / "s1" / "day1"
    raw.mkdir(parents=True)
    waveform = {"wf_increment": 0.002, "unit_string": "mV"}
    with TdmsWriter(raw / "a.tdms") as file:
        file.write_segment([ChannelObject("g", f"c{row}", np.zeros(9), properties=waveform) for row in range(3)])
    assert main(["init", str(tmp_path), "--raw", str(tmp_path / "raw")]) == 0
    [row] = read_tsv(tmp_path / "config" / "recordings.tsv").rows
    cells = [row[name] for name in ("daq", "headstage", "electrode", "bnc", "overrides")]
    assert cells == ["passthru", "", "", "", "gain: FILL_IN"]


def write_recordings(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rec = SyntheticRecording("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64", rate=500, seconds=1, n_bncs=2)
    for name in names:
        rec.write_mat73(folder / name)


def test_a_study_grows_and_every_line_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recordings(tmp_path / "raw" / "rat1" / "day1", "a.mat")
    assert main(["init", str(tmp_path), "--raw", str(tmp_path / "raw")]) == 0
    table = tmp_path / "config" / "recordings.tsv"
    mine = table.read_text().replace("10:FILL_IN, 11:FILL_IN", "10:ttl_high, 11:analog") + "# my own note"
    table.write_text(mine)
    capsys.readouterr()
    assert main(["init", str(tmp_path), "--raw", str(tmp_path / "raw")]) == 0
    assert table.read_text() == mine, "nothing is new"
    write_recordings(tmp_path / "raw" / "rat1" / "day2", "a.mat", "b.mat")
    assert main(["init", str(tmp_path), "--raw", str(tmp_path / "raw")]) == 0
    assert "added    2 rows" in capsys.readouterr().out
    assert table.read_text().startswith(mine + "\n")
    rows = read_tsv(table).rows
    assert [(row["subject"], row["session"], row["recording"]) for row in rows] == [
        ("rat1", "day1", "a"), ("rat1", "day2", "a"), ("rat1", "day2", "b"),
    ]  # fmt: skip


def test_what_a_header_tells_is_a_suggestion(tmp_path: Path) -> None:
    write_recordings(tmp_path / "raw" / "rat1" / "day1", "a.mat")
    main(["init", str(tmp_path), "--raw", str(tmp_path / "raw")])
    table = tmp_path / "config" / "recordings.tsv"
    [row] = read_tsv(table).rows
    fitting = [wiring for wiring in known_wirings() if wiring.fits(8, 10)]
    assert len(fitting) > 1
    assert (row["daq"], row["bnc"]) == ("FILL_IN", "10:FILL_IN, 11:FILL_IN"), "several fit: none is guessed"
    set_up = "2t-as daq v2", "zif51_p4-50_demux-14c20r", "active_1008ch_sp_v2"
    large = SyntheticRecording(*set_up, rate=1000, seconds=4)
    large.write_mat73(tmp_path / "raw" / "rat1" / "day1" / "b.mat")
    main(["init", str(tmp_path), "--raw", str(tmp_path / "raw")])
    assert read_tsv(table).rows[1]["electrode"] == "active_1008ch_sp_v2"
    assert "# b: the file has 36 x 30 channels and" in table.read_text()
    assert "the set-up is a suggestion" in table.read_text()


@pytest.mark.parametrize(("name", "words"), [("notes.txt", "holds no raw files"), ("a;b.tdms", "rename the file")])
def test_files_that_cannot_become_rows(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        draft_recordings(touch(tmp_path, name), tmp_path)


@pytest.mark.parametrize(
    ("files", "recordings"),
    [
        (("attempt1.mat", "attempt2.mat"), [1, 1]),
        (("ecog_pt1.mat", "ecog_pt2.mat"), [1, 1]),
        (("script12.mat",), [1]),
        (("rec_part20160901.tdms",), [1]),
        (("rec_split_1530.tdms",), [1]),
        (("rec_part0.tdms", "rec_part1.tdms"), [2]),
        (("rec_part1.tdms", "rec_part3.tdms"), [3]),
        (("rec part 1.tdms", "rec part 2.tdms", "rec part 10.tdms"), [1, 1, 1]),
        (tuple(f"rec_part{number}.tdms" for number in range(1, 12)), [11]),
    ],
)
def test_files_are_parts_only_where_whole_words_and_numbers_from_the_first_on_say_so(
    tmp_path: Path, files: tuple[str, ...], recordings: list[int]
) -> None:
    touch(tmp_path / "raw", *files)
    assert [len(draft.files) for draft in draft_recordings(tmp_path / "raw", tmp_path)] == recordings


@pytest.mark.parametrize(
    "files",
    [
        ("rec 1.mat", "rec_1.mat"),
        ("day1/rec.tdms", "day2/rec.tdms"),
        ("a/b/c/rec.tdms", "a/b/d/rec.tdms"),
        ("Rec.mat", "rec.mat"),
        ("é.mat", "è.mat"),
        ("rec.mat", "rec.tdms", "x/rec.mat"),
        ("-rec.mat", "...mat.mat"),
    ],
)
def test_every_file_is_in_one_row_and_no_two_rows_have_one_name(tmp_path: Path, files: tuple[str, ...]) -> None:
    touch(tmp_path / "raw", *files, "._rec.mat")
    drafts = draft_recordings(tmp_path / "raw", tmp_path)
    assert sorted(file for draft in drafts for file in draft.files) == sorted(f"raw/{file}" for file in files)
    assert len({(d.subject, d.session, d.recording.casefold()) for d in drafts}) == len(files)
