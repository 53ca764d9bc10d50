"""`ecogpipe inspect` says what a file is and which wirings fit, or one sentence why not; never a traceback."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from nptdms import ChannelObject, GroupObject, TdmsWriter

from ecogpipe.cli import main
from ecogpipe.electrodes.channels import split_overrides
from ecogpipe.formats.listing import list_content, suggest_overrides
from ecogpipe.formats.reading import read_header
from ecogpipe.formats.tdms.listing import list_channel_sets
from ecogpipe.steps.ingest import ingest
from ecogpipe.storage.canonical import read_acquisition
from ecogpipe.study.recordings import parse_overrides
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


def write_foreign_tdms(path: Path) -> np.ndarray:
    """Write two groups, the larger of them with a channel of another length and one of text; return its signals."""
    signals = np.random.default_rng(1).normal(size=(4, 50))
    waveform = {"wf_increment": 0.002, "unit_string": "mV"}
    channels = [
        *(ChannelObject("all; of it", f"ch{row}", signals[row], properties=waveform) for row in range(4)),
        ChannelObject("all; of it", "gains", np.arange(3.0)),
        ChannelObject("all; of it", "names", ["a", "b"]),
        ChannelObject("rest", "ch0", np.zeros(9)),
    ]
    with TdmsWriter(path) as file:
        file.write_segment([GroupObject("all; of it", properties={"electrode": "grid 4"}), *channels])
    return signals


def test_a_tdms_file_of_others_is_listed_with_a_cell_that_declares_its_largest_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signals = write_foreign_tdms(tmp_path / "foreign.tdms")
    assert main(["inspect", str(tmp_path / "foreign.tdms")]) == 1
    told = capsys.readouterr()
    for said in ("electrode: grid 4", "wf_increment: 0.002", "4 channels  50 float64", "1 channel   3 float64"):
        assert said in told.out
    [cell] = [line.strip() for line in told.out.splitlines() if "skip_channels:" in line]
    assert 'group: "all; of it"; skip_channels: ["gains"]' in cell
    assert "sampling_rate" not in cell
    assert "n_rows" not in cell
    assert "units" not in cell
    ingest(
        [tmp_path / "foreign.tdms"],
        tmp_path / "raw.h5",
        declared=split_overrides(parse_overrides(cell.replace("FILL_IN", "20"), "the cell"))[0],
    )
    with h5py.File(tmp_path / "raw.h5") as file:
        acquisition = read_acquisition(file)
        assert (acquisition.rate, acquisition.units, acquisition.n_channels) == (500, "mV", 4)
        assert np.array_equal(file["data"], signals)


@pytest.mark.parametrize(
    "said",
    [
        {"SamplingRate": 9000.0},
        {"SamplingRate": 9000.0, "OverSampling": 2},
        {"SamplingRate": 9000.0, "nrRows": 4},
        {"SamplingRate": 9000.0, "OverSampling": 2, "nrRows": 4, "nrColumns": 4, "nrBNCs": 0},
    ],
)
@pytest.mark.parametrize("waveform", [{}, {"wf_increment": 0.002, "unit_string": "mV"}])
def test_the_cell_for_a_file_that_says_half_of_a_multiplexer_works(
    tmp_path: Path, said: dict[str, float], waveform: dict[str, Any]
) -> None:
    path = tmp_path / "half.tdms"
    with TdmsWriter(path) as file:
        channels = [ChannelObject("g", f"c{n}", np.arange(50.0), properties=waveform) for n in range(3)]
        file.write_segment([GroupObject("g", properties=said), *channels])
    filled = list_channel_sets(path)[0].overrides.replace("units: FILL_IN", "units: mV").replace("FILL_IN", "20")
    acquisition = read_header(path, split_overrides(parse_overrides(filled, "the cell"))[0]).acquisition
    assert (acquisition.n_rows, acquisition.n_columns) == (1, 3)


def test_names_in_a_file_do_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b[31mred\x9b"
    with TdmsWriter(tmp_path / "a.tdms") as file:
        file.write_segment([ChannelObject(name, f"{name}{row}", np.zeros(row + 2)) for row in range(2)])
        file.write_segment([ChannelObject("other", "x", np.zeros(1))])
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5[name] = np.zeros((3, 4))
    for path in (tmp_path / "a.tdms", tmp_path / "a.h5"):
        assert main(["inspect", str(path)]) == 1
        printed = capsys.readouterr()
        assert "red" in printed.out
        assert not {"\x1b", "\x9b"} & set(printed.out + printed.err)
    assert parse_overrides(list_channel_sets(tmp_path / "a.tdms")[0].overrides, "the cell")["group"] == name
    cell = suggest_overrides(list_content(tmp_path / "a.h5"))
    assert parse_overrides(cell, "the cell")["variable"] == name


def test_the_cell_for_a_file_of_others_declares_all_that_is_missing(
    shared: Path,
) -> None:
    """With the blanks filled, each real file is read as the set of channels that was listed first."""
    for path in sorted((shared / "data" / "tdms").glob("*.tdms")):
        for largest in list_channel_sets(path)[:1]:
            filled = largest.overrides.replace("units: FILL_IN", "units: mV").replace("FILL_IN", "20")
            acquisition = read_header(path, split_overrides(parse_overrides(filled, path.name))[0]).acquisition
            assert acquisition.n_channels == largest.n_channels, path.name
