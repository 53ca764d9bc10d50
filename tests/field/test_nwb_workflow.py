"""NWB files of a study: asked for in its config, made again where what they say has changed, and by no other edit."""

import subprocess
import sys

import pytest
import yaml

from field_packages import need

need("pynwb", "nwbinspector")

from ecogpipe import open_recording  # noqa: E402
from ecogpipe.cli import main  # noqa: E402
from test_workflow import planned, row, run_snakemake, write_study, write_tdms  # noqa: E402

OF_STUDY = {"lab": "Lab", "institution": "", "experiment_description": "", "keywords": [], "electrode_manufacturer": ""}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study = write_study(
        tmp_path_factory.mktemp("nwb"),
        row("a", "one", "raw/a.tdms", overrides="start_time: 2018-01-01T10:00:00+01:00"),
        row("b", "two", "raw/a.tdms", overrides="start_time: 2018-01-02T10:00:00+01:00"),
    )
    write_tdms(study, "a.tdms")
    fill_in(study)
    run = run_snakemake(study)
    assert run.returncode == 0, run.stdout
    return study


def fill_in(study):
    path = study / "config" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["nwb"] = config["nwb"] | OF_STUDY | {"make": True, "mirrors": ["low"]}
    path.write_text(yaml.safe_dump(config))
    assert main(["init", str(study)]) == 0
    for name, blanks, cells in (
        ("subjects", "s1\tFILL_IN\tFILL_IN\t\t", "s1\tRattus norvegicus\tM\t\tP90D"),
        ("sessions", "FILL_IN\tFILL_IN\tFILL_IN\tFILL_IN", "Rest.\tauditory cortex\tskull screw\tDoe, Jane"),
    ):
        table = study / "config" / f"{name}.tsv"
        table.write_text(table.read_text().replace(blanks, cells))


def test_each_recording_has_a_file_that_opens_as_its_mirror(study):
    for session, recording in (("a", "one"), ("b", "two")):
        folder = study / "results" / "s1" / session / recording
        assert (
            open_recording(folder / f"{recording}.nwb").data[:]
            == open_recording(folder / f"{recording}_low.h5").data[:]
        ).all()
    assert "Nothing to be done" in run_snakemake(study).stdout


def test_what_one_session_says_makes_its_files_again_and_no_others(study):
    table = study / "config" / "sessions.tsv"
    kept = table.read_text()
    table.write_text(kept.replace("Rest.", "Sleep.", 1))
    assert planned(study) == {"export_nwb 1", "all 1"}
    table.write_text(kept)
    assert planned(study) == set()


@pytest.mark.parametrize("key", ["raw", "compression", "lab", "institution", "experiment_description", "keywords"])
def test_each_key_makes_all_files_again_and_nothing_else(study, key):
    other = {"raw": True, "compression": "none", "keywords": ["rat"]}
    path = study / "config" / "config.yaml"
    kept = path.read_text()
    config = yaml.safe_load(kept)
    config["nwb"][key] = other.get(key, "other words")
    path.write_text(yaml.safe_dump(config))
    assert planned(study) == {"export_nwb 2", "run_config 1", "all 1"}
    path.write_text(kept)


def test_a_site_that_is_dropped_makes_the_file_again_and_no_mirror(study):
    masks = study / "config" / "masks" / "s1"
    masks.mkdir(parents=True)
    (masks / "a.tsv").write_text("recording\twhat\twhich\tkeep\treason\none\tsite\t2,5\tdrop\tloose\n")
    plan = planned(study)
    assert "export_nwb 1" in plan
    assert not any(job.startswith(("mirror", "ingest", "scan")) for job in plan)
    (masks / "a.tsv").unlink()


def test_check_says_what_leaves_the_lab_and_what_the_inspector_finds(study):
    command = [sys.executable, "-m", "ecogpipe.cli", "nwb", "--check", "--directory", str(study)]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout
    for told in ("Rattus norvegicus", "Doe, Jane", "auditory cortex", "results/s1/a/one/one.nwb", "one_low.h5"):
        assert told in run.stdout
    assert "CRITICAL" not in run.stdout


def test_a_study_without_the_key_makes_none_and_is_told_where_to_find_it(tmp_path, capsys):
    study = write_study(tmp_path, row("a", "one", "raw/a.tdms"))
    write_tdms(study, "a.tdms")
    path = study / "config" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    del config["nwb"]
    path.write_text(yaml.safe_dump(config))
    assert not any(job.startswith("export_nwb") for job in planned(study))
    assert main(["nwb", "--directory", str(study)]) == 1
    assert "has no key nwb" in capsys.readouterr().err
