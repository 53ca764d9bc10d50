"""What is made again after a change: exactly what the page of the config says, and never what is no longer possible."""

import copy
import os
import re
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from nptdms import ChannelObject, TdmsWriter

from ecogpipe import open_recording
from ecogpipe.checks.verify import verify_recording
from ecogpipe.cli import main
from ecogpipe.results.names import STEPS
from ecogpipe.study.recordings import read_recordings
from ecogpipe.synthetic import SyntheticRecording
from test_front_door import PAGE, SETTINGS
from test_workflow import (
    OURS,
    RATE,
    SET_UP,
    edit,
    planned,
    row,
    run_snakemake,
    write_copied_and_linked,
    write_study,
    write_tdms,
)

DATA = Path(__file__).parents[1] / "data"
MIRROR = "mirrors.<name>."
RULES_OF = {
    key: set(re.findall(r"`(\w+)`", cells.rpartition("|")[2]))
    for key, cells in re.findall(r"^\| `([^`]+)` \|(.*) \|$", PAGE, re.MULTILINE)
    if key in SETTINGS and not key.startswith("nwb.")
}
OTHER = {
    "recordings": "config/other.tsv",
    f"{MIRROR}rate": RATE / 2,
    f"{MIRROR}ratio": 4,
    f"{MIRROR}bandpass": [3, 50],
    f"{MIRROR}notches": [60],
    f"{MIRROR}transition": 1.0,
    "events.threshold": 1.5,
    "events.drift_window": 20.0,
}
"""Values to change a setting to, where its schema alone does not say one that can be used."""


def another(key: str, value: Any) -> Any:
    """Return a value of a setting that is not the present one and can be used."""
    schema = SETTINGS[key]
    if key in OTHER:
        return OTHER[key]
    if "enum" in schema:
        return next(choice for choice in schema["enum"] if choice != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if value + 1 <= schema.get("maximum", value + 1) else value / 2
    raise AssertionError(f"{key} needs a value in OTHER")


def changed(config: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the config with another value of one setting."""
    config = copy.deepcopy(config)
    *parents, last = key.replace(MIRROR, "mirrors.low.").split(".")
    mapping = config
    for parent in parents:
        mapping = mapping[parent]
    mapping[last] = another(key, mapping.get(last))
    if last == "ratio":
        del mapping["rate"]
    return config


def made_again(rules: set[str]) -> set[str]:
    """Return the rules that the page names, and those that read what they write."""
    for step in STEPS:
        rules = rules | ({step.name} if rules.intersection(step.reads) else set())
    return rules


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one recording that is copied and one that is linked, after its run."""
    study = write_copied_and_linked(tmp_path_factory.mktemp("finished"))
    shutil.copy(study / "config" / "recordings.tsv", study / "config" / "other.tsv")
    run = run_snakemake(study, by=OURS)
    assert run.returncode == 0, run.stdout
    return study


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, which is to be as good as the study itself."""
    return Path(shutil.copytree(finished, tmp_path / "study"))


class TestConfig:
    def test_each_key_makes_again_what_the_page_says(self, finished: Path, tmp_path: Path) -> None:
        """Real dry runs, one for each key, on copies of the study."""
        config = yaml.safe_load((finished / "config" / "config.yaml").read_text())

        def rules_after_change(key: str) -> set[str]:
            copied = Path(shutil.copytree(finished, tmp_path / key.replace("<name>", "low")))
            (copied / "config" / "config.yaml").write_text(yaml.safe_dump(changed(config, key)))
            rules = {job.split()[0] for job in planned(copied)}
            shutil.rmtree(copied)
            return rules

        with ThreadPoolExecutor(2) as executor:
            found = dict(zip(RULES_OF, executor.map(rules_after_change, RULES_OF), strict=True))
        assert set(RULES_OF) == {key for key in SETTINGS if not key.startswith("nwb.")}
        assert found == {key: made_again(rules) | {"run_config", "all"} for key, rules in RULES_OF.items()}

    def test_the_run_writes_down_what_it_used(self, finished: Path) -> None:
        text = (finished / "results" / "run_config.yaml").read_text()
        used = yaml.safe_load(text)
        assert used["config"] == yaml.safe_load((finished / "config" / "config.yaml").read_text())
        assert [(line["recording"], line["files"]) for line in used["recordings"]] == [
            ("copied", ["raw/a.tdms"]),
            ("linked", ["raw/b.mat"]),
        ]
        assert len(used["recordings"]) == len(read_recordings(finished / "config" / "recordings.tsv"))
        assert str(finished) not in text


class TestMirrorsOfSomeRecordings:
    """A slow recording beside fast ones, with mirrors of its own."""

    @pytest.fixture
    def study(self, tmp_path: Path) -> Path:
        fast, slow = row("a", "fast", "raw/a.tdms"), row("a", "slow", "raw/b.tdms", overrides="")
        study = write_study(tmp_path, fast, slow)
        write_tdms(study, "a.tdms")
        SyntheticRecording(*SET_UP, rate=150, seconds=8, seed=1, n_bncs=2).write_tdms([study / "raw" / "b.tdms"])
        other = {"rate": 50, "bandpass": [2, 20]}
        edit(study, lambda config: config["mirrors"].update(slow={**config["mirrors"]["low"], **other}))
        return study

    def say(self, study: Path, fast: str, slow: str) -> None:
        table = study / "config" / "recordings.tsv"
        header, *rows = table.read_text().splitlines()
        cells = dict(zip(("fast", "slow"), (fast, slow), strict=True))
        lines = [f"{line}\t{cells[line.split(chr(9))[2]]}" for line in rows]
        table.write_text("\n".join([f"{header}\tmirrors", *lines]) + "\n")

    def test_a_mirror_that_cannot_be_is_named_at_the_dry_run(self, study: Path) -> None:
        told = run_snakemake(study, "--dry-run").stdout
        assert "The mirror 'low' cannot be made of s1/a/slow." in told
        assert "'slow' cannot be made" not in told

    def test_each_has_its_own_and_the_study_is_whole(self, study: Path) -> None:
        self.say(study, "low", "slow")
        run = run_snakemake(study, by=OURS)
        assert run.returncode == 0, run.stdout
        names = {path.name for path in (study / "results" / "s1" / "a").rglob("*_*.h5")}
        assert names == {"fast_low.h5", "slow_slow.h5"}
        assert planned(study) == set()
        assert "cannot be made" not in run_snakemake(study, "--dry-run").stdout
        for recording, mirror in (("fast", "low"), ("slow", "slow")):
            findings = verify_recording(study / "results" / "s1" / "a" / recording, [mirror])
            assert [found for found in findings if found.is_fault] == []
        assert "not made yet" not in (study / "results" / "report.html").read_text().partition("<tbody>")[2]

    def test_a_name_that_is_none_is_refused(self, study: Path) -> None:
        self.say(study, "all", "slwo")
        run = run_snakemake(study, "--dry-run")
        assert run.returncode == 1
        assert "recording s1/a/slow: mirrors names 'slwo'. Did you mean 'slow'?" in run.stdout


def test_channels_that_cannot_be_mapped_are_named_at_the_dry_run(tmp_path: Path) -> None:
    """Before a long file is ingested: a line on a column of electrodes, another array, counts that no file says."""
    cells = row("a", "line", "raw/a.tdms").split("\t")
    cells[7] = "2:ttl_high"
    rows = ["\t".join(cells), row("a", "good", "raw/a.tdms"), row("a", "uncounted", "raw/b.tdms")]
    study = write_study(tmp_path, *rows)
    write_tdms(study, "a.tdms")
    waveform = {"wf_increment": 1 / RATE, "unit_string": "V"}
    with TdmsWriter(study / "raw" / "b.tdms") as file:
        file.write_segment([ChannelObject("g", f"c{n}", np.zeros(9), properties=waveform) for n in range(20)])
    told = run_snakemake(study, "--dry-run").stdout
    named = re.findall(r"The channels of (.*) cannot be mapped\. (.*)", told)
    assert {names for names, _ in named} == {"s1/a/line", "s1/a/uncounted"}
    why = dict(named)
    assert "column 2" in why["s1/a/line"]
    assert "A file that says nothing of a multiplexer is taken for channels in one row" in why["s1/a/uncounted"]


class TestWhatTheDryRunTells:
    """Its last lines are what headers tell to be impossible, by what the table says now."""

    def told(self, study: Path, overrides: str) -> list[str]:
        table = study / "config" / "recordings.tsv"
        heading, line = table.read_text().splitlines()[:2]
        cells = line.split("\t")
        cells[8] = overrides
        table.write_text(f"{heading}\n" + "\t".join(cells) + "\n")
        screen = run_snakemake(study, "--dry-run", by=OURS).stdout.splitlines()
        return [line for line in screen[-3:] if "cannot be" in line]

    @pytest.fixture
    def study(self, tmp_path: Path) -> Path:
        study = write_study(tmp_path, row("a", "r1", "raw/a.tdms"))
        write_tdms(study, "a.tdms")
        return study

    def test_a_file_that_cannot_be_read_as_the_table_says(self, study: Path) -> None:
        [told] = self.told(study, "group: absent")
        assert told.startswith("s1/a/r1 cannot be ingested. ")
        assert "has no group 'absent'" in told

    def test_a_filter_that_the_rate_does_not_allow(self, study: Path) -> None:
        path = study / "config" / "config.yaml"
        path.write_text(path.read_text().replace(f"rate: {RATE / 4}", "ratio: 4"))
        [told] = self.told(study, "sampling_rate: 100")
        assert told.startswith("The mirror 'low' cannot be made of s1/a/r1. The band-pass corner of ")

    @pytest.mark.parametrize(
        ("mirror", "why"),
        [
            (
                {"reference": "median", "least_active": 200},
                "Its reference is the median of at least 200 active",
            ),
            ({"design": "fir", "transition": 50.0}, "The transition of a FIR is 50.0 Hz wide"),
            ({"notches": [60], "notch_width": 70.0}, "The notch at 60 Hz cannot be 70 Hz wide"),
        ],
    )
    def test_a_mirror_that_no_rate_allows(self, study: Path, mirror: dict[str, Any], why: str) -> None:
        edit(study, lambda config: config["mirrors"]["low"].update(mirror))
        [told] = self.told(study, "")
        assert told.startswith(f"The mirror 'low' cannot be made of s1/a/r1. {why}")

    def test_a_finished_recording_is_judged_by_what_is_declared_now(self, study: Path) -> None:
        assert run_snakemake(study, by=OURS).returncode == 0
        [told] = self.told(study, "n_columns: 11; n_bncs: 1")
        assert told.startswith(
            "The channels of s1/a/r1 cannot be mapped. The recording has 8 DAQ rows and 11 electrode"
        )
        assert self.told(study, "") == []

    def test_a_finished_recording_is_judged_by_the_file_that_is_named_now(self, study: Path) -> None:
        other = study / "raw" / "other.tdms"
        with TdmsWriter(other) as file:
            file.write_segment([ChannelObject("g", f"c{n}", np.zeros(9)) for n in range(20)])
        os.utime(other, (1e9, 1e9))
        assert run_snakemake(study, by=OURS).returncode == 0
        table = study / "config" / "recordings.tsv"
        table.write_text(table.read_text().replace("raw/a.tdms", "raw/other.tdms"))
        assert run_snakemake(study, "-np", by=OURS).stdout.splitlines()[-1].startswith("s1/a/r1 cannot be ingested. ")

    def test_a_job_that_failed_is_not_taken_for_an_older_version(self, study: Path) -> None:
        assert run_snakemake(study, by=OURS).returncode == 0
        (study / "results" / "s1" / "a" / "r1" / "channels.tsv").unlink()
        assert "older version" not in run_snakemake(study, "--dry-run", by=OURS).stdout

    def test_plan_says_the_same_of_a_mirror_that_the_study_has_not(self, study: Path, capsys) -> None:
        table = study / "config" / "recordings.tsv"
        heading, line = table.read_text().splitlines()
        table.write_text(f"{heading}\tmirrors\n{line}\tlwo\n")
        assert main(["plan", str(study)]) == 1
        assert "mirrors names 'lwo'. Did you mean 'low'?" in capsys.readouterr().err


class TestStudyOfAnOlderVersion:
    """A small study as version 0.1.0 finished it; the raw files of one of its recordings are gone."""

    @pytest.fixture
    def older(self, tmp_path: Path) -> Path:
        with tarfile.open(DATA / "study_of_0.1.0.tar.xz") as archive:
            archive.extractall(tmp_path, filter="data")
        return tmp_path / "study"

    def test_its_results_open_and_verify(self, older: Path, caplog: pytest.LogCaptureFixture) -> None:
        results = older / "results" / "s1" / "a"
        for file in ("copied/raw.h5", "linked/raw.h5", "gone/gone_low.h5"):
            with open_recording(results / file) as recording:
                assert (recording.data.shape[0], len(recording.pos_edge)) == (12, 2)
        assert "a version that did not say of which recording it is" in caplog.text
        findings = [found for name in ("copied", "linked") for found in verify_recording(results / name, ["low"])]
        # Steps that came later have nothing there yet.
        assert [found for found in findings if found.is_fault and found.path.exists()] == []
        assert len([found for found in findings if "was made by an older version, before this" in found.text]) == 12
        pictures = [found.path.name for found in findings if "may be removed" in found.text]
        assert pictures == ["copied_low_qc.png", "linked_low_qc.png"]

    def test_all_that_is_made_again_is_told_before_it_begins(self, older: Path) -> None:
        told = run_snakemake(older, "--dry-run", by=OURS).stdout.partition("Building DAG")[0]
        assert "Results of 3 recordings are made again, as an older version of ecogpipe made them" in told
        for step in ("ingest", "scan", "map_channels", "mask_channels", "extract_events", "mirror", "qc"):
            assert re.search(rf"^  {step} of 3 recordings, [\d.]+ MB: \w+", told, re.MULTILINE), step
        assert re.search(r"^  report, [\d.]+ MB: .*\n  In all 0.51\d* MB are written anew", told, re.MULTILINE)

    def test_a_copy_whose_originals_are_gone_stays_and_is_named_at_every_run(self, older: Path) -> None:
        (older / "raw" / "c.tdms").unlink()
        mask = older / "config" / "masks" / "s1" / "a.tsv"
        mask.parent.mkdir(parents=True)
        mask.write_text("recording\twhat\twhich\tkeep\treason\n*\tchannel\t5\tdrop\tloose\n")
        kept = older / "results" / "s1" / "a" / "gone" / "raw.h5"
        before = kept.read_bytes()
        first, second = (run_snakemake(older, by=OURS) for _ in range(2))
        named = "results/s1/a/gone/raw.h5: was made by an older version, before this change: "
        assert first.returncode == second.returncode == 0
        assert "ingest of 2 recordings" in first.stdout
        assert "scan of 3 recordings" in first.stdout
        assert "Nothing to be done" in second.stdout
        assert "are made again" not in second.stdout
        for run in (first, second):
            assert re.search(rf"{named}.*it stays as it is, since raw/c.tdms is gone: put", run.stdout)
        assert (kept.read_bytes(), mask.read_text().count("loose")) == (before, 1)
        assert "raw.h5 was made by an older version, before" in (older / "results" / "report.html").read_text()
        texts = [found.text for found in verify_recording(kept.parent, ["low"]) if found.path == kept]
        assert any("was made by an older version, before this change: " in text for text in texts)
        with open_recording(kept) as recording:
            assert not recording.channel_mask[5]


def last_lines(study: Path) -> list[str]:
    run = run_snakemake(study, by=OURS)
    assert run.returncode != 0
    return run.stdout.strip().splitlines()[-2:]


def times(study: Path) -> dict[Path, int]:
    """Return when each result of a recording was written."""
    return {path: path.stat().st_mtime_ns for path in (study / "results" / "s1").rglob("*") if path.is_file()}


class TestResultsThatAreGone:
    """A result that was removed is made again, be it one that nothing newer waits for."""

    def test_each_is_planned(self, study: Path) -> None:
        own = study / "results" / "s1" / "a"
        for name in ("copied/mask.tsv", "copied/copied_low_qc.json", "linked/events.tsv", "linked/linked_low.h5"):
            (own / name).unlink()
        assert planned(study) == {"mask_channels 1", "extract_events 1", "mirror 2", "qc 2", "report 1", "all 1"}

    def test_a_run_makes_the_study_whole(self, study: Path) -> None:
        own = study / "results" / "s1" / "a" / "copied"
        for name in ("raw.h5", "mask.tsv", "events.tsv"):
            (own / name).unlink()
        assert run_snakemake(study, by=OURS).returncode == 0
        assert [found for found in verify_recording(own, ["low"]) if found.is_fault] == []


class TestFilesThatAreGone:
    """A disk that is not connected, or an original that was removed: no result is lost over it."""

    def test_a_copy_is_worked_with_when_its_original_is_gone(self, study: Path) -> None:
        before = times(study)
        (study / "raw" / "a.tdms").unlink()
        screen = run_snakemake(study, by=OURS).stdout
        assert "Nothing to be done" in screen
        assert "The copies in raw.h5 are used, as files are gone: s1/a/copied." in screen
        assert main(["plan", str(study)]) == 0
        table = study / "config" / "recordings.tsv"
        table.write_text(re.sub(r"(?m)^(s1\ta\tcopied.*)$", r"\1sampling_rate: 1000", table.read_text()))
        [heading, sentence] = last_lines(study)
        assert "Everything is made but for what failed here" in heading
        assert "raw/a.tdms of recording s1/a/copied does not exist" in sentence
        assert '{}, not {"sampling_rate": 1000}: put the file there' in sentence
        assert times(study) == before

    def test_a_copy_of_another_file_is_not_taken_for_that_in_the_table(self, study: Path, capsys) -> None:
        before, table = times(study), study / "config" / "recordings.tsv"
        (study / "raw" / "a.tdms").unlink()
        table.write_text(table.read_text().replace("raw/a.tdms", "raw/c.tdms"))
        told = "raw/c.tdms of recording s1/a/copied does not exist.*raw.h5 is of a.tdms, not of c.tdms"
        assert re.search(told, last_lines(study)[-1])
        assert times(study) == before
        assert re.search(told, run_snakemake(study, "--dry-run", by=OURS).stdout.splitlines()[-1])
        assert main(["verify", str(study)]) == 1
        assert "raw.h5: is of a.tdms, not of c.tdms, as the table says now" in capsys.readouterr().out

    def test_a_recording_that_is_linked_is_left_alone_and_named(self, study: Path) -> None:
        before = times(study)
        (study / "raw" / "b.mat").rename(study / "elsewhere.mat")
        sentence = last_lines(study)[-1]
        assert sentence == (
            f"config/recordings.tsv: the file raw/b.mat of recording s1/a/linked does not exist below {study}; correct "
            "the column files, or put the file there."
        )
        assert times(study) == before
        (study / "elsewhere.mat").rename(study / "raw" / "b.mat")
        assert planned(study) == {"report 1", "all 1"}

    def test_a_matlab_file_that_was_still_multiplexed_is_a_copy(self, tmp_path: Path) -> None:
        study = write_study(tmp_path, row("a", "lines", "raw/lines.mat"))
        recording = SyntheticRecording(*SET_UP, rate=RATE, seconds=2, seed=3, n_bncs=2)
        recording.write_mat73(study / "raw" / "lines.mat", layout="B")
        run_snakemake(study, by=OURS)
        made = study / "results" / "s1" / "a" / "lines"
        raw, mirror = made / "raw.h5", next(made.glob("lines_*.h5"))
        copied, digest = raw.stat().st_mtime_ns, digest_of(mirror)
        assert planned(study) == set()
        (study / "raw" / "lines.mat").unlink()
        for _ in range(2):
            assert run_snakemake(study, by=OURS).returncode == 0
        assert planned(study) == set()
        assert (raw.stat().st_mtime_ns, digest_of(mirror)) == (copied, digest)


def digest_of(mirror: Path) -> str:
    with h5py.File(mirror) as file:
        return str(file.attrs["sha256"])
