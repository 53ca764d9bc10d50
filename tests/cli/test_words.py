"""What the screen says in passing: versions, pipes that close, Ctrl-C, runs at work, objects at the prompt."""

import re
import shlex
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from ecogpipe import MappedSource, open_recording
from ecogpipe.cli import main
from ecogpipe.errors import FormatError
from ecogpipe.study.lock import find_run, hold_study
from ecogpipe.study.recordings import read_recordings
from finished_study import Faults, finished_recording
from test_workflow import row, write_study, write_tdms

CLI = [sys.executable, "-m", "ecogpipe.cli"]


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"ecogpipe {version('ecogpipe')}\n"


def test_a_pipe_that_closes_is_not_complained_about(tmp_path: Path) -> None:
    study = write_study(tmp_path, *(row("a", f"r{number}", "raw/a.tdms") for number in range(3)))
    write_tdms(study, "a.tdms")
    command = " ".join([*CLI, "plan", str(study), "|", "true"])
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert run.stderr == ""


def test_ctrl_c_ends_with_one_sentence(tmp_path: Path) -> None:
    program = "import ecogpipe.cli.plan as plan, time, sys\n"
    program += "plan._plan = lambda *_: (print('begun', flush=True), time.sleep(60))\n"
    program += "from ecogpipe.cli import main\nsys.exit(main(['plan', sys.argv[1]]))"
    study = write_study(tmp_path, row("a", "r", "raw/a.tdms"))
    run = subprocess.Popen(
        [sys.executable, "-c", program, str(study)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert run.stdout
    run.stdout.readline()
    run.send_signal(signal.SIGINT)
    _, told = run.communicate(timeout=30)
    assert (run.returncode, told) == (130, "Stopped by Ctrl-C.\n")


def test_a_run_at_work_is_found_and_told_by_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path, row("a", "r", "raw/a.tdms"))
    write_tdms(study, "a.tdms")
    assert find_run(study) is None
    with hold_study(study) as held:
        assert find_run(study) == held.run
        assert main(["verify", str(study)]) == 1
        assert capsys.readouterr().out.startswith(f"A run is at work here since {held.run.since}")
    assert find_run(study) is None
    assert main(["verify", str(study)]) == 1
    assert "at work" not in capsys.readouterr().out


def test_printed_commands_can_be_pasted_for_a_folder_with_a_space(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "my study"
    assert main(["init", str(study)]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Then: ")]
    assert shlex.split(line)[1:] == ["ecogpipe", "run", "--directory", str(study), "--dry-run"]
    assert main(["run", "--directory", str(tmp_path / "no such")]) == 1
    assert f"ecogpipe init '{tmp_path / 'no such'}'" in capsys.readouterr().err


def test_a_table_of_commas_is_said_to_be_one(tmp_path: Path) -> None:
    for separator, word in ((",", "commas"), (";", "semicolons")):
        (tmp_path / "t.tsv").write_text(separator.join(("subject", "session", "recording")) + "\n")
        with pytest.raises(FormatError, match=f"is separated by {word}.*save the table as tab-separated"):
            read_recordings(tmp_path / "t.tsv")


@pytest.mark.parametrize("key", [0.5, np.float32(2), slice(0, 1.5), slice(None, None, 2.0)])
def test_an_index_that_is_a_fraction_is_called_one(tmp_path: Path, key: object) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((4, 10))
    with (
        MappedSource.from_hdf_sources(path, "data") as source,
        pytest.raises(IndexError, match="is not a whole number"),
    ):
        source[:, key]


@pytest.mark.parametrize("kind", ["mat", "h5"])
def test_inspect_lists_what_is_there_and_a_cell_that_declares_it(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    signals, path = np.random.default_rng(0).normal(size=(1000, 5)), tmp_path / f"x.{kind}"
    if kind == "mat":
        scipy.io.savemat(path, {"lfp": signals, "si": 500, "words": "abc"})
        rate = "interval_variable: si; sampling_interval_unit: FILL_IN"
    else:
        with h5py.File(path, "w") as file:
            file["lfp"], file["fs"] = signals, 2000.0
        rate = "rate_variable: fs"
    assert main(["inspect", str(path)]) == 1
    told = capsys.readouterr()
    assert "lfp" in told.out
    assert "1000 x 5" in told.out
    assert "= 500" in told.out or "= 2000.0" in told.out
    [cell] = [line.strip() for line in told.out.splitlines() if line.strip().startswith("variable:")]
    assert cell == f"variable: lfp; {rate}; orientation: time_by_channels; units: FILL_IN; gain: FILL_IN"
    filled = cell.replace("unit: FILL_IN", "unit: us").replace("units: FILL_IN; gain: FILL_IN", "units: mV; gain: 1")
    assert main(["inspect", str(path), "--declare", filled]) == 0
    told = capsys.readouterr().out
    assert "2000 Hz" in told
    assert "passthru: grid 1 x 5, gain 1, pitch not known" in told


def test_inspect_tells_times_from_signals_and_declares_a_single_channel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signal, times = np.random.default_rng(0).normal(size=(1, 900)), np.arange(900)[np.newaxis] * 0.004 + 0.004
    scipy.io.savemat(tmp_path / "x.mat", {"a_time": times, "lfp": signal})
    assert main(["inspect", str(tmp_path / "x.mat")]) == 1
    told = capsys.readouterr().out
    assert re.search(r"a_time +1 x 900 +evenly spaced by 0.004\n", told)
    cell = "variable: lfp; sampling_rate: FILL_IN; units: FILL_IN; gain: FILL_IN"
    assert f"  {cell}\n" in told
    filled = cell.replace("rate: FILL_IN", "rate: 250").replace("units: FILL_IN; gain: FILL_IN", "units: mV; gain: 1")
    assert main(["inspect", str(tmp_path / "x.mat"), "--declare", filled]) == 0


@pytest.mark.parametrize("beside", [{"numRow": 4.0}, {"OSR": 2.0}, {"info": {"sampRate": 8.0}}, {"fs": -1.0}])
def test_a_cell_works_once_its_blanks_are_filled(
    tmp_path: Path, beside: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    scipy.io.savemat(tmp_path / "x.mat", {"lfp": np.zeros((900, 5)), **beside})
    assert main(["inspect", str(tmp_path / "x.mat")]) == 1
    [cell] = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip().startswith("variable:")]
    filled = cell.replace("units: FILL_IN", "units: mV").replace("FILL_IN", "20")
    assert main(["inspect", str(tmp_path / "x.mat"), "--declare", filled]) == 0
    assert "channels  5 = 1 row x" in capsys.readouterr().out


@pytest.mark.parametrize("n_lines", [20, 160])
def test_a_file_of_the_lab_with_another_name_of_its_signals_is_read_by_its_counts(
    tmp_path: Path, n_lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = {"numRow": 8.0, "numCol": 18.0, "numChan": 20.0, "OSR": 1.0, "sampRate": 8000.0, "Fs": 1000.0}
    scipy.io.savemat(tmp_path / "x.mat", {"signals": np.zeros((n_lines, 4000)), **lab})
    assert main(["inspect", str(tmp_path / "x.mat")]) == 1
    assert "\n  variable: signals\n" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "x.mat"), "--declare", "variable: signals"]) == 0
    assert "160 = 8 rows x (18 DAQ columns of the electrode + 2 BNC)" in capsys.readouterr().out


def test_a_vector_whose_samples_are_gone_hides_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["lfp"] = np.zeros((900, 5))
        file.create_dataset("t", (900,), "f8", external=[("absent.bin", 0, 7200)])
    assert main(["inspect", str(tmp_path / "x.h5")]) == 1
    assert "lfp" in capsys.readouterr().out


def test_more_channels_than_samples_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scipy.io.savemat(tmp_path / "x.mat", {"lfp": np.zeros((900, 5))})
    declared = "variable: lfp; sampling_rate: 250; units: V; orientation: channels_by_time"
    assert main(["inspect", str(tmp_path / "x.mat"), "--declare", declared]) == 0
    assert "has more channels (900) than samples of each (5): check its orientation" in capsys.readouterr().out


def test_a_recording_says_at_the_prompt_what_it_is(tmp_path: Path) -> None:
    done = finished_recording(tmp_path / "s1" / "a" / "test_001", seconds=10, faults=Faults(dead_sites=((1, 2),)))
    with open_recording(done.mirror) as recording:
        assert repr(recording) == "<Dataset 64 channels x 2000 samples, 200 Hz, 10 s, 63 of 64 good, test_001_Fs200.h5>"
        recording.set_channel_mask(recording.channel_mask)
        assert repr(recording).startswith("<Dataset 63 channels x 2000 samples, 200 Hz, 10 s, 63 of 63 good,")


def test_a_study_folder_in_place_of_a_target_is_called_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path)]) == 0
    assert main(["run", str(tmp_path), "--dry-run"]) == 1
    assert f"{tmp_path} is a study folder; write --directory {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--dry-run"]])
def test_a_tab_in_the_config_is_told_with_its_line(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path)]) == 0
    config = tmp_path / "config" / "config.yaml"
    config.write_text("recordings: config/recordings.tsv\nstorage:\n\tcompression: none\n")
    assert main(["run", "--directory", str(tmp_path), *words]) == 1
    assert f"{config}, line 3" in capsys.readouterr().err
