"""`ecogpipe inspect` says what a file is and which wirings fit, or one sentence why not; never a traceback."""

from pathlib import Path

import pytest

from ecogpipe.cli import main
from ecogpipe.synthetic import SyntheticRecording

SET_UP = ("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64")


def inspected(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["inspect", *map(str, arguments)]) == 0
    return capsys.readouterr().out


@pytest.fixture
def recording() -> SyntheticRecording:
    return SyntheticRecording(*SET_UP, rate=1000, seconds=2, n_bncs=2)


def test_it_says_what_the_file_holds(
    tmp_path: Path, recording: SyntheticRecording, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, kind in (
        (recording.write_tdms(tmp_path / "a.tdms")[0], "TDMS"),
        (recording.write_mat73(tmp_path / "a73.mat"), "Matlab v7.3"),
        (recording.write_mat5(tmp_path / "a5.mat"), "Matlab 5"),
        (recording.write_hdf5(tmp_path / "a.h5"), "HDF5"),
    ):
        told = inspected(capsys, path)
        facts = dict(line.split(None, 1) for line in told.split("\n\n")[0].splitlines())
        assert facts["format"].startswith(kind)
        assert facts["channels"].startswith("96 = 8 rows x (10 DAQ columns")
        assert facts["samples"].startswith("2,000 of float64")
        assert (facts["rate"], facts["duration"]) == ("1000 Hz", "2.000 s")
        assert facts["units"].startswith("V, ")
        assert "2t-as daq v2 / zif26 to 2x uhdmi / actv_64" in told
        assert "cardiac" not in told


def test_it_says_that_a_file_is_still_multiplexed(
    tmp_path: Path, recording: SyntheticRecording, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, kind in (
        (recording.write_mat73(tmp_path / "a73.mat", layout="B"), "Matlab v7.3"),
        (recording.write_mat5(tmp_path / "a5.mat", layout="B"), "Matlab 5"),
        (recording.write_hdf5(tmp_path / "a.h5", layout="B"), "HDF5"),
    ):
        told = inspected(capsys, path)
        facts = dict(line.split(None, 1) for line in told.split("\n\n")[0].splitlines())
        assert facts["format"] == f"{kind}, layout B, copied by ingest"
        assert facts["samples"] == "2,000 of float64, channels x time"
        assert "demultiplexed: 12 lines of 8 rows each" in told
    told = inspected(capsys, recording.write_hdf5(tmp_path / "c.h5", layout="C"), "--declare", "skip_seconds: 0.5")
    assert "HDF5, layout C, copied by ingest" in told
    assert "1,500 of float64, channels x time" in told


def test_it_shows_the_map_of_a_wiring(
    tmp_path: Path, recording: SyntheticRecording, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recording.write_hdf5(tmp_path / "a.h5")
    told = inspected(capsys, path, "--daq", SET_UP[0], "--electrode", "ACTV_64")
    grid = [line.split()[1:] for line in told.splitlines()[-8:]]
    assert [int(cell) for row in grid for cell in row] == recording.site_channels.tolist()
    told = inspected(capsys, path, "--daq", "passthru")
    assert told.splitlines()[-1].split() == ["7", *(str(8 * column + 7) for column in range(10))]


def test_a_name_that_does_not_fit_gets_the_nearest(
    tmp_path: Path, recording: SyntheticRecording, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recording.write_hdf5(tmp_path / "a.h5")
    assert main(["inspect", str(path), "--electrode", "actv_46"]) == 1
    assert "Did you mean 'actv_64'?" in capsys.readouterr().err


def test_declared_values_take_precedence_and_show(
    tmp_path: Path, recording: SyntheticRecording, capsys: pytest.CaptureFixture[str]
) -> None:
    told = inspected(capsys, recording.write_hdf5(tmp_path / "a.h5"), "--declare", "sampling_rate: 500; gain: 20")
    assert "500 Hz" in told
    assert "sampling_rate: 500" in told


def test_a_file_that_was_cut_off_says_so(
    tmp_path: Path, recording: SyntheticRecording, capsys: pytest.CaptureFixture[str]
) -> None:
    [path] = recording.write_tdms(tmp_path / "a.tdms")
    path.write_bytes(path.read_bytes()[:-5000])
    told = inspected(capsys, path)
    assert "notes" in told
    assert "2,000 of" not in told


@pytest.mark.parametrize(
    "content", [b"", b"TDSm", b"not a recording", b"\x89HDF\r\n\x1a\n" + bytes(100), b"TDSm" + bytes(200)]
)
def test_odd_files_end_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    path = tmp_path / "odd.tdms"
    path.write_bytes(content)
    assert main(["inspect", str(path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_files_of_others_end_in_a_description_or_one_sentence(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted((shared / "data").rglob("*.*")):
        status = main(["inspect", str(path)])
        printed = capsys.readouterr()
        assert printed.out if status == 0 else printed.err.count("\n") == 1
