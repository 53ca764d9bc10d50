"""Signals that leave as plain arrays are those of the recording, in NumPy, in Matlab's format, as text."""

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

from ecogpipe import open_recording
from ecogpipe.cli import main
from ecogpipe.runtime.params import override
from finished_study import Faults, finished_recording
from test_workflow import row, write_study

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = write_study(tmp_path_factory.mktemp("export"), row("a", "test_001", "raw/a.tdms"))
    done = finished_recording(
        study / "results" / "s1" / "a" / "test_001", seconds=12, faults=Faults(dead_sites=((1, 2),))
    )
    done.mirror.rename(done.mirror.with_name("test_001_low.h5"))
    return study


def exported(study: Path, name: str, *arguments: str) -> Path:
    path = study / name
    assert main(["export", "test_001", str(path), "--directory", str(study), "--overwrite", *arguments]) == 0
    return path


def recording_of(study: Path, name: str = "test_001_low.h5"):
    return open_recording(study / "results" / "s1" / "a" / "test_001" / name)


@pytest.mark.parametrize("limit", [2_000_000, 2_000_000_000])
def test_numpy_gets_the_samples_and_what_they_are(study: Path, limit: int) -> None:
    recording = recording_of(study)
    with override(memory_limit=limit):
        found = np.load(exported(study, "a.npy"))
    with override(memory_limit=2_000_000_000):
        assert np.array_equal(found, recording.data[:])
    said = json.loads((study / "a.json").read_text())
    assert (said["units"], said["sampling_rate"], said["first_sample"]) == ("uV", 200.0, 0)
    assert said["channels"] == recording.site_names
    assert said["good"] == recording.channel_mask.tolist()


def test_a_window_of_some_sites_of_the_recording_itself(study: Path) -> None:
    recording = recording_of(study, "raw.h5")
    window = "--from", "1.5", "--until", "2"
    found = np.load(exported(study, "b.npy", "--mirror", "raw", "--channels", "2,5", "0,0", *window))
    rows = [row for row, name in enumerate(recording.site_names) if name in ("2,5", "0,0")]
    assert np.array_equal(found, recording.data[rows, 1500:2000])


def test_matlab_gets_channels_by_samples_and_numbers_for_bools(study: Path) -> None:
    recording = recording_of(study)
    with h5py.File(exported(study, "c.mat", "--good")) as file:
        kept = np.flatnonzero(recording.channel_mask)
        assert np.array_equal(file["data"][()].T, recording.data[kept.tolist(), :])
        assert (file["data"].attrs["MATLAB_class"], file["good"].attrs["MATLAB_class"]) == (b"single", b"uint8")
        assert file["Fs"][()].item() == 200
        assert file["data"].shape[1] == 63
    assert (study / "c.mat").read_bytes().startswith(b"MATLAB 7.3 MAT-file")


def test_text_has_a_column_for_each_site(study: Path) -> None:
    recording = recording_of(study)
    with exported(study, "d.csv", "--channels", "3,4", "--until", "1").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["seconds", "uV at 3,4"]
    expected = recording.data[[recording.site_names.index("3,4")], :200]
    assert np.allclose([float(cells[1]) for cells in rows], expected, rtol=1e-6)
    assert [float(cells[0]) for cells in rows[:3]] == [0, 0.005, 0.01]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["x.npy", "--mirror", "lwo"], "Did you mean 'low'"),
        (["x.npy", "--channels", "3"], "takes sites as row,column, e.g. "),
        (["x.npy", "--channels", "9,9"], "There is no site '9,9'"),
        (["x.npy", "--channels", "1,2", "--good"], "No channel is left"),
        (["x.npy", "--from", "20"], "From 20 s on there are no samples; the recording has 12 s"),
        (["x.npz"], "Did you mean 'npy'"),
        (["x.json", "--to", "npy"], "is where the facts on the array go; name it .npy"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    study: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *rest = arguments
    assert main(["export", "test_001", str(study / name), "--directory", str(study), *rest]) == 1
    assert told in capsys.readouterr().err
    assert not (study / name).exists()


@pytest.mark.parametrize("command", [["export", "test_001"], ["report", "--single"]])
def test_no_file_that_is_there_is_replaced_unasked_and_none_of_the_study_ever(
    study: Path, tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    raw, mail, alias = study / "raw" / "a.tdms", tmp_path / "mine.csv", tmp_path / "alias.csv"
    raw.write_bytes(b"raw")
    mail.write_bytes(b"mine")
    alias.hardlink_to(raw)
    where = [str(study)] if command[0] == "report" else ["--to", "csv", "--directory", str(study)]
    table = study / "config" / "recordings.tsv"
    owned = [raw, alias, table, study / "results" / "s1" / "a" / "test_001" / "mask.tsv"]
    before = [path.read_bytes() for path in owned]
    for path in [*owned, study / "results" / "new.csv"]:
        assert main([*command, str(path), *where, "--overwrite"]) == 1
        told = (
            "is in a folder that only the study writes into"
            if path in (table, *owned[3:])
            else "is a file of the study"
        )
        assert f"{path}: {told if path.name != 'new.csv' else 'is in a folder'}" in capsys.readouterr().err
    assert not (study / "results" / "new.csv").exists()
    assert main([*command, str(mail), *where]) == 1
    assert f"{mail}: is there already; choose another name" in capsys.readouterr().err
    assert ([path.read_bytes() for path in owned], mail.read_bytes()) == (before, b"mine")
    assert main([*command, str(mail), *where, "--overwrite"]) == 0
    assert mail.read_bytes() != b"mine"


def test_the_facts_beside_an_array_replace_no_file_either(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (study / "notes.json").write_text("{}")
    assert main(["export", "test_001", str(study / "notes.npy"), "--directory", str(study)]) == 1
    assert "notes.json: is there already" in capsys.readouterr().err
    assert ((study / "notes.json").read_text(), (study / "notes.npy").exists()) == ("{}", False)


@pytest.mark.skipif(shutil.which("octave") is None, reason="GNU Octave is not here")
def test_the_code_of_the_page_on_matlab_runs_in_octave(study: Path) -> None:
    recording = recording_of(study)
    exported(study, "part.mat", "--good", "--from", "1", "--until", "3")
    codes = re.findall(r"```matlab\n(.*?)```", (ROOT / "docs" / "matlab.md").read_text("utf-8"), re.DOTALL)
    reading, function, tables, _ = codes
    program = f"1;\n{function}\n{reading}\n{tables}\n"
    program += "printf('%d ', size(part.data), sum(here), sum(keep), numel(seconds));\n"
    program += "printf('%.9g ', trace(1:3), seconds(1:2));\n"
    (study / "page.m").write_text(program)
    for table in ("mask.tsv", "events.tsv"):
        shutil.copy(recording.path.with_name(table), study)
    run = subprocess.run(["octave", "--quiet", "--no-gui", "page.m"], cwd=study, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    channels, samples, here, kept, n_edges, *values = (float(text) for text in run.stdout.split()[-10:])
    assert (channels, samples, here, kept) == (63, 400, 1, 63)
    trace = recording.data[[recording.site_names.index("3,4")], 200:203][0]
    assert np.allclose(values[:3], trace, rtol=1e-6)
    assert n_edges == len(recording.pos_edge)
    assert np.allclose(values[3:], recording.pos_edge_time[:2])
