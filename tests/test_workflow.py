"""The workflow as a person runs it: whole, again, after a change, and on input that cannot be used."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from nptdms import TdmsFile

from ecogpipe import open_recording
from ecogpipe.study.config import config_folder, workflow_folder
from ecogpipe.synthetic import SyntheticRecording

SET_UP = ("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64")
HEADER = "subject\tsession\trecording\tfiles\tdaq\theadstage\telectrode\tbnc\toverrides"
RATE = 2000


PLAIN = ("snakemake", "--snakefile", str(workflow_folder() / "Snakefile"))
OURS = ("ecogpipe.cli", "run")


def run_snakemake(study: Path, *arguments: str, by: tuple[str, ...] = PLAIN) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *by]
    return subprocess.run(
        [*command, "--directory", str(study), "--cores", "2", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def row(session: str, recording: str, files: str, electrode: str = SET_UP[2], overrides: str = "") -> str:
    cells = ("s1", session, recording, files, *SET_UP[:2], electrode, "10:ttl_high, 11:analog", overrides)
    return "\t".join(cells)


def write_study(folder: Path, *rows: str, rate: float = RATE / 4) -> Path:
    """Write a config with one mirror and a table; raw files are another matter."""
    config = yaml.safe_load((config_folder() / "config.yaml").read_text())
    config["mirrors"] = {"low": {**config["mirrors"]["Fs1000"], "rate": rate, "bandpass": [2, 50]}}
    (folder / "config").mkdir()
    (folder / "raw").mkdir()
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "config" / "recordings.tsv").write_text("\n".join([HEADER, *rows]) + "\n")
    return folder


def write_tdms(study: Path, name: str) -> None:
    SyntheticRecording(*SET_UP, rate=RATE, seconds=2, seed=1, n_bncs=2).write_tdms([study / "raw" / name])


def write_copied_and_linked(folder: Path) -> Path:
    """Write a study of one recording that ingest copies, and one that it links."""
    study = write_study(folder, row("a", "copied", "raw/a.tdms"), row("a", "linked", "raw/b.mat"))
    write_tdms(study, "a.tdms")
    SyntheticRecording(*SET_UP, rate=RATE, seconds=2, seed=3, n_bncs=2).write_mat73(study / "raw" / "b.mat")
    return study


def edit(study: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = study / "config" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))


def planned(study: Path, *arguments: str) -> set[str]:
    """Return the jobs that a dry run plans, as 'rule count'."""
    run = run_snakemake(study, *arguments, "--dry-run")
    assert run.returncode == 0, run.stdout
    return jobs_in(run.stdout)


def jobs_in(screen: str) -> set[str]:
    table = screen.partition("Job stats:")[2].partition("total")[0]
    return {f"{rule} {count}" for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


# Snakemake shows what jobs ask for only where they have no message, but its log holds it.
ASK = """
import json, sys
from snakemake.cli import main
from snakemake.logging import logger

def show(record):
    if hasattr(record, "rule_name"):
        print("asked", record.rule_name, json.dumps(dict(record.resources.items())))
    return True

logger.addFilter(show)
main(sys.argv[1:])
"""


def asked(study: Path, *arguments: str) -> dict[str, dict[str, int]]:
    """Return megabytes and minutes that the job of each rule asks for."""
    command = [sys.executable, "-c", ASK, *PLAIN[1:], "--directory", str(study), "--dry-run", *arguments]
    screen = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
    jobs = {rule: json.loads(text) for rule, text in re.findall(r"^asked (\w+) (.*)$", screen, re.MULTILINE)}
    return {
        rule: {key: job[key] for key in ("mem_mb", "disk_mb", "runtime") if key in job}
        for rule, job in jobs.items()
        if rule != "all"
    }


def run_demo(study: Path) -> str:
    command = [sys.executable, "-m", "ecogpipe.cli", "demo", str(study), "--cores", "2", "--seconds", "3"]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout
    return run.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo's study after its first run, and what the run said."""
    study = tmp_path_factory.mktemp("demo") / "study"
    return study, run_demo(study)


@pytest.fixture
def study(demo: tuple[Path, str]) -> Path:
    return demo[0]


class TestDemo:
    def test_it_makes_every_output_and_says_where(self, demo: tuple[Path, str]) -> None:
        study, screen = demo
        assert screen.splitlines()[-1] == f"Report: {study / 'results' / 'report.html'}"
        assert (study / "results" / "report.html").is_file()
        for recording in ("test_001", "test_002"):
            folder = study / "results" / "demo" / "2018-01-01_active" / recording
            assert {path.name for path in folder.iterdir()} == {
                "raw.h5",
                "scan.h5",
                "channels.tsv",
                "mask.tsv",
                "events.tsv",
                f"{recording}_Fs1000.h5",
                f"{recording}_Fs1000_qc.html",
                f"{recording}_Fs1000_qc.json",
            }
            full_name = f"demo/2018-01-01_active/{recording}"
            assert re.search(rf"^{full_name} +raw\.h5 +96 x 15000 +5000 ", screen, re.MULTILINE)
            assert re.search(rf"^{full_name} +{recording}_Fs1000\.h5 +96 x 3000 +1000 ", screen, re.MULTILINE)

    def test_a_second_run_has_nothing_to_do(self, study: Path) -> None:
        screen = run_demo(study)
        assert "Nothing to be done" in screen
        assert "Writing" not in screen

    def test_a_study_can_move(self, study: Path) -> None:
        moved = study.rename(study.with_name("moved"))
        try:
            assert "Nothing to be done" in run_snakemake(moved, by=OURS).stdout
        finally:
            moved.rename(study)

    def test_another_gain_of_one_recording_touches_that_recording_only(self, study: Path) -> None:
        table = study / "config" / "recordings.tsv"
        before = table.read_text()
        *rows, last = before.splitlines()
        table.write_text("\n".join([*rows, last + "gain: 20"]) + "\n")
        try:
            rules = ("map_channels", "mask_channels", "extract_events", "mirror", "qc", "report", "run_config", "all")
            assert planned(study) == {f"{rule} 1" for rule in rules}
        finally:
            table.write_text(before)

    def test_another_recording_leaves_those_that_are_made_alone(self, study: Path) -> None:
        table = study / "config" / "recordings.tsv"
        before = table.read_text()
        table.write_text(before + row("a", "r1", "raw/test_001.mat") + "\n")
        try:
            per_recording = {
                f"{rule} 1" for rule in ("ingest", "scan", "map_channels", "mask_channels", "mirror", "qc")
            }
            assert planned(study) == per_recording | {"extract_events 1", "report 1", "run_config 1", "all 1"}
        finally:
            table.write_text(before)

    def test_another_filter_touches_the_mirrors_only(self, study: Path) -> None:
        config = study / "config" / "config.yaml"
        before = config.read_text()
        config.write_text(before.replace("bandpass: [2, 200]", "bandpass: [1, 200]"))
        try:
            assert planned(study) == {"mirror 2", "qc 2", "report 1", "run_config 1", "all 1"}
        finally:
            config.write_text(before)

    def test_another_threshold_of_a_line_touches_the_events_of_that_recording_only(self, study: Path) -> None:
        table = study / "config" / "recordings.tsv"
        before = table.read_text()
        table.write_text(before.replace("10:ttl_high", "10:ttl_high:1.5", 1))
        try:
            assert planned(study) == {"extract_events 1", "qc 1", "report 1", "run_config 1", "all 1"}
        finally:
            table.write_text(before)

    def test_another_mirror_makes_no_mirror_again(self, study: Path) -> None:
        config = study / "config" / "config.yaml"
        before = config.read_text()
        settings = yaml.safe_load(before)
        settings["mirrors"]["half"] = {**settings["mirrors"]["Fs1000"], "rate": 500}
        config.write_text(yaml.safe_dump(settings, sort_keys=False))
        try:
            again = {"mirror 2", "extract_events 2", "qc 2", "report 1", "run_config 1", "all 1"}
            assert planned(study) == again
        finally:
            config.write_text(before)

    def test_another_mask_makes_no_mirror_again(self, study: Path) -> None:
        mask = study / "config" / "masks" / "demo" / "2018-01-01_active.tsv"
        mask.parent.mkdir(parents=True)
        mask.write_text("recording\twhat\twhich\tkeep\treason\n*\tchannel\t0\tdrop\tby hand\n")
        try:
            assert planned(study) == {"mask_channels 2", "qc 2", "report 1", "all 1"}
            config = study / "config" / "config.yaml"
            before = config.read_text()
            config.write_text(before.replace("masked: keep", "masked: nan"))
            again = {"mask_channels 2", "mirror 2", "qc 2", "report 1", "run_config 1", "all 1"}
            assert planned(study) == again
            config.write_text(before)
        finally:
            shutil.rmtree(mask.parent)


class TestBadInputBeforeAnyJob:
    """A mistake that shows before any job ends the run with one sentence as the last line."""

    @staticmethod
    def sentence_of(study: Path) -> str:
        run = run_snakemake(study)
        assert run.returncode != 0
        assert "Traceback" not in run.stdout
        assert 'File "' not in run.stdout
        assert not (study / "results").exists()
        return run.stdout.strip().splitlines()[-1]

    def test_a_wiring_that_does_not_exist(self, tmp_path: Path) -> None:
        study = write_study(tmp_path, row("a", "r1", "raw/r1.tdms", electrode="actv_46"))
        sentence = self.sentence_of(study)
        assert sentence.startswith("config/recordings.tsv, recording s1/a/r1: ")
        assert "'actv_46'" in sentence
        assert "Did you mean 'actv_64'?" in sentence

    def test_an_empty_table(self, tmp_path: Path) -> None:
        assert self.sentence_of(write_study(tmp_path)) == (
            "config/recordings.tsv: the table holds no recordings; add one row for each."
        )

    def test_an_unknown_key_of_the_config(self, tmp_path: Path) -> None:
        study = write_study(tmp_path, row("a", "r1", "raw/r1.tdms"))
        config = study / "config" / "config.yaml"
        config.write_text(config.read_text().replace("bandpass:", "bandpas:"))
        assert self.sentence_of(study) == (
            "config/config.yaml: there is no key 'bandpas' in mirrors.low. Did you mean 'bandpass'?"
        )

    def test_an_unknown_override(self, tmp_path: Path) -> None:
        study = write_study(tmp_path, row("a", "r1", "raw/r1.tdms", overrides="gian: 10"))
        assert self.sentence_of(study) == (
            "config/recordings.tsv, line 2: there is no key 'gian' in overrides. Did you mean 'gain'?"
        )


@pytest.fixture(scope="module")
def broken_study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study whose recordings fail in four ways, each in a job of its own, after a run; and what the run said."""
    study = write_study(
        tmp_path_factory.mktemp("broken"),
        row("text", "r1", "raw/text.tdms"),
        row("mask", "r1", "raw/good.tdms"),
        row("rate", "r1", "raw/good.tdms"),
        row("gone", "r1", "raw/absent.tdms"),
        rate=450,
    )
    write_tdms(study, "good.tdms")
    (study / "raw" / "text.tdms").write_text("These are my notes.\n")
    masks = study / "config" / "masks" / "s1"
    masks.mkdir(parents=True)
    (masks / "mask.tsv").write_text("recording\twhat\twhich\tkeep\treason\nr1\tchannel\t96\tdrop\tone too many\n")
    run = run_snakemake(study, by=OURS)
    assert run.returncode != 0
    return study, run.stdout


class TestBadInputInAJob:
    """A mistake that only a job can see is the last line of its log, which is brought to the screen."""

    @staticmethod
    def check(broken_study: tuple[Path, str], log: str, output: str, *parts: str) -> None:
        study, screen = broken_study
        text = (study / "logs" / "s1" / log).read_text()
        last = text.splitlines()[-1]
        assert " ERROR " in last
        assert all(part in last for part in parts), last
        assert last in screen
        assert "Traceback" not in text
        assert not (study / "results" / "s1" / output).exists()

    def test_a_text_file_named_tdms(self, broken_study: tuple[Path, str]) -> None:
        self.check(broken_study, "text/r1/ingest.log", "text/r1/raw.h5", "raw/text.tdms")

    def test_a_mask_that_is_longer_than_the_array(self, broken_study: tuple[Path, str]) -> None:
        self.check(broken_study, "mask/r1/mask_channels.log", "mask/r1/mask.tsv", "mask.tsv", "channel 96", "0 to 95")

    def test_a_rate_that_is_no_divisor(self, broken_study: tuple[Path, str]) -> None:
        self.check(broken_study, "rate/r1/mirror_low.log", "rate/r1/r1_low.h5", "raw.h5", "450 Hz", "500 Hz (ratio 4)")

    def test_a_file_that_is_missing(self, broken_study: tuple[Path, str]) -> None:
        self.check(broken_study, "../missing_files.log", "gone/r1/raw.h5", "raw/absent.tdms of recording s1/gone/r1")

    def test_the_run_makes_the_rest_and_ends_with_a_sentence_for_each(self, broken_study: tuple[Path, str]) -> None:
        study, screen = broken_study
        heading, *sentences = screen.splitlines()[-5:]
        assert heading.startswith("Everything is made but for what failed here.")
        assert [sentence.partition(": ")[0] for sentence in sentences] == [
            "config/recordings.tsv",
            "s1/mask/r1 (mask_channels)",
            "s1/rate/r1 (mirror_low)",
            "s1/text/r1 (ingest)",
        ]
        assert (study / "results" / "s1" / "rate" / "r1" / "mask.tsv").is_file()
        assert (study / "results" / "run_config.yaml").is_file()

    def test_plain_snakemake_says_it_near_its_end(self, tmp_path: Path) -> None:
        study = write_study(tmp_path, row("a", "r1", "raw/absent.tdms"))
        run = run_snakemake(study)
        assert run.returncode != 0
        sentence = (
            f"config/recordings.tsv: the file raw/absent.tdms of recording s1/a/r1 does not exist below {study}; "
            "correct the column files, or put the file there."
        )
        assert sentence in run.stdout.splitlines()[-6:]

    @pytest.mark.parametrize("by", [PLAIN, OURS])
    def test_a_run_up_to_a_rule_fails_as_well(self, tmp_path: Path, by: tuple[str, ...]) -> None:
        run = run_snakemake(write_study(tmp_path, row("a", "r1", "raw/absent.tdms")), "--until", "ingest", by=by)
        assert run.returncode != 0
        assert "the file raw/absent.tdms of recording s1/a/r1 does not exist" in run.stdout
        assert "Traceback" not in run.stdout

    def test_no_traceback_on_the_screen_and_no_leftovers(self, broken_study: tuple[Path, str]) -> None:
        study, screen = broken_study
        assert "Traceback" not in screen
        assert list((study / "results").rglob("*.part")) == []


def test_real_files_of_other_labs_go_through_as_passthru(shared: Path, tmp_path: Path) -> None:
    """Their acquisition values are declared in the table: one file says a sample interval, the other nothing at all."""
    matlab, tdms = "hentschke__wrat04_enf0000.mat", "owilab__good_tdms_1.tdms"
    declared = {
        matlab: "variable: d; interval_variable: si; sampling_interval_unit: us; units: mV; gain: 1",
        tdms: "sampling_rate: 30; n_rows: 8; n_columns: 1; n_bncs: 0; units: V; gain: -100; pitch_mm: 0.5",
    }
    names = {matlab: "one", tdms: "eight"}
    rows = [
        "\t".join(("other", "labs", names[file], f"raw/{file}", "passthru", "", "", "", overrides))
        for file, overrides in declared.items()
    ]
    study = write_study(tmp_path, *rows)
    config = yaml.safe_load((study / "config" / "config.yaml").read_text())
    config["mirrors"] = {"half": {**config["mirrors"]["low"], "ratio": 2, "bandpass": [1, 7]}}
    del config["mirrors"]["half"]["rate"]
    (study / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    for file in declared:
        shutil.copy(shared / "data" / Path(file).suffix[1:] / file, study / "raw")
    run = run_snakemake(study)
    assert run.returncode == 0, run.stdout
    one, eight = (study / "results" / "other" / "labs" / name for name in ("one", "eight"))
    with open_recording(one / "raw.h5") as raw, open_recording(one / "one_half.h5") as mirror:
        assert (raw.Fs, mirror.Fs, raw.data.shape, mirror.data.shape) == (2000, 1000, (1, 120_000), (1, 60_000))
        with h5py.File(study / "raw" / matlab, locking=False) as file:
            np.testing.assert_allclose(raw.data[:, :], file["d"][()] * 1e3, rtol=1e-6)
    with (
        open_recording(eight / "raw.h5") as raw,
        open_recording(eight / "eight_half.h5") as mirror,
    ):
        assert (raw.Fs, mirror.Fs, raw.data.shape, mirror.data.shape) == (30, 15, (8, 18_000), (8, 9_000))
        channels = TdmsFile.read(study / "raw" / tdms).groups()[0].channels()
        expected = np.array([channel[:] for channel in channels]) * 1e6 / -100
        np.testing.assert_allclose(raw.data[:, :], expected, rtol=1e-6)
        assert raw.chan_map.geometry == (8, 1)


def test_jobs_ask_for_memory_and_on_a_cluster_for_disk_and_time_and_for_more_at_each_attempt(tmp_path: Path) -> None:
    study = write_study(tmp_path, row("a", "copied", "raw/a.tdms"))
    write_tdms(study, "a.tdms")
    here, there = asked(study, "--cores", "1"), asked(study, "--cores", "1", "--jobs", "5")
    third = asked(study, "--cores", "1", "--jobs", "5", "--attempt", "3")
    steps = {"ingest", "scan", "map_channels", "mask_channels", "extract_events", "mirror", "qc"}
    assert set(here) == set(there) == set(third) == steps | {"run_config", "report"}
    for step in steps:
        assert here[step] == {"mem_mb": there[step]["mem_mb"]}
        assert set(there[step]) == {"mem_mb", "disk_mb", "runtime"}
        assert all(3 * first < third[step][key] for key, first in there[step].items() if first > 2), step


def test_snakemake_has_nothing_to_say_of_the_rules_but_that_they_name_no_environment() -> None:
    run = subprocess.run(
        [sys.executable, "-m", *PLAIN, "--lint"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    found = set(re.findall(r"^ +\* (.+)$", run.stdout, re.MULTILINE))
    assert found == {"Specify a conda environment or container for each rule.:"}, run.stdout
