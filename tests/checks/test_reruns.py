"""What is made again after a change: exactly what the page of the config says, and never what is no longer possible."""

import copy
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
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
from ecogpipe.results.mask import read_mask
from ecogpipe.results.mirror import holds_mask
from ecogpipe.results.names import STEPS
from ecogpipe.study.recordings import read_recordings
from ecogpipe.synthetic import SyntheticRecording
from test_front_door import PAGE, SETTINGS
from test_workflow import (
    OURS,
    PLAIN,
    RATE,
    SET_UP,
    jobs_in,
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


def edit(study: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = study / "config" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of five recordings and two mirrors, of which `half` goes by the mask, after its run."""
    rows = [row("a", f"r{number}", "raw/a.tdms") for number in range(4)] + [row("b", "r0", "raw/a.tdms")]
    study = write_study(tmp_path_factory.mktemp("edits"), *rows)
    write_tdms(study, "a.tdms")
    half = {"rate": RATE / 2, "reference": "median"}
    edit(study, lambda config: config["mirrors"].update(half={**config["mirrors"]["low"], **half}))
    run = run_snakemake(study, by=OURS)
    assert run.returncode == 0, run.stdout
    return study


WITH_OTHER_PAGES = """
import sys
from snakemake.cli import main
from ecogpipe.results.revisions import REVISIONS

REVISIONS["qc"] += 1
main(sys.argv[1:])
"""


def write_manual_mask(study: Path, *rows: str) -> Path:
    path = study / "config" / "masks" / "s1" / "a.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(["recording\twhat\twhich\tkeep\treason", *rows]) + "\n")
    return path


class TestEdits:
    """What a person edits in a study of five recordings and two mirrors, and the jobs that follow."""

    @pytest.fixture
    def edited(self, grown: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(grown, tmp_path / "study"))

    def test_nothing_makes_nothing(self, edited: Path) -> None:
        assert planned(edited) == set()

    @pytest.mark.parametrize("written", ["r1", "*"])
    def test_a_site_makes_masks_and_pages_and_the_mirror_that_goes_by_them(self, edited: Path, written: str) -> None:
        write_manual_mask(edited, f"{written}\tsite\t2,5\tdrop\tloose")
        n = 1 if written == "r1" else 4
        assert planned(edited) == {f"mask_channels {n}", f"mirror {n}", f"qc {2 * n}", "report 1", "all 1"}

    def test_a_comment_or_the_time_of_a_manual_mask_makes_nothing(self, edited: Path) -> None:
        path = write_manual_mask(edited, "r1\tsite\t2,5\tdrop\tloose")
        table = path.read_text()
        assert run_snakemake(edited, by=OURS).returncode == 0
        path.write_text("# looked at again\n" + table)
        assert planned(edited) == set()
        for recording in ("r0", "r1"):
            findings = verify_recording(edited / "results" / "s1" / "a" / recording, ["low", "half"])
            assert [found for found in findings if found.is_fault] == []
        path.write_text(table.replace("2,5", "2,6"))
        faults = [found for found in verify_recording(edited / "results" / "s1" / "a" / "r1", []) if found.is_fault]
        assert [fault.text for fault in faults if fault.path.name == "mask.tsv"] == [
            "was made from other rows of ../../../../config/masks/s1/a.tsv than those that are there"
        ]

    def test_a_threshold_that_changes_no_mask_makes_no_mirror(self, edited: Path) -> None:
        edit(edited, lambda config: config["masks"]["automatic"].update(dead_ratio=0.11))
        mirrors = sorted((edited / "results" / "s1").rglob("*_half.h5"))
        before = [mirror.stat().st_mtime_ns for mirror in mirrors]
        assert planned(edited) == {"mask_channels 5", "qc 10", "report 1", "run_config 1", "all 1"}
        assert run_snakemake(edited, by=OURS).returncode == 0
        assert [mirror.stat().st_mtime_ns for mirror in mirrors] == before
        assert planned(edited) == set()
        for mirror in mirrors:
            findings = list(verify_recording(mirror.parent, ["low", "half"]))
            assert [found for found in findings if found.is_fault] == []
            assert [found.text for found in findings if found.path == mirror] == [
                "was made with an earlier mask.tsv, which changes nothing in it"
            ]

    def test_a_threshold_that_changes_masks_makes_the_mirrors_that_go_by_them(self, edited: Path) -> None:
        edit(edited, lambda config: config["masks"]["automatic"].update(stuck_fraction=1e-9, noisy_ratio=1.01))
        assert planned(edited) == {"mask_channels 5", "mirror 5", "qc 10", "report 1", "run_config 1", "all 1"}
        assert run_snakemake(edited, "results/s1/a/r1/r1_half.h5", by=OURS).returncode == 0
        assert planned(edited) == {"mask_channels 4", "mirror 4", "qc 10", "report 1", "run_config 1", "all 1"}
        own = edited / "results" / "s1" / "a" / "r1"
        assert holds_mask(own / "r1_half.h5", read_mask(own / "mask.tsv"))

    def test_a_mask_that_is_taken_back_leaves_no_mirror_of_another(self, edited: Path) -> None:
        """The mirror was not made again in between, and is now: what mask.tsv will hold is not known for sure."""
        path = write_manual_mask(edited, "r1\tsite\t2,5\tdrop\tloose")
        own = "results/s1/a/r1"
        assert run_snakemake(edited, f"{own}/mask.tsv", by=OURS).returncode == 0
        assert planned(edited) >= {"mirror 1"}
        path.unlink()
        assert planned(edited) == {"mask_channels 1", "mirror 1", "qc 2", "report 1", "all 1"}
        assert run_snakemake(edited, by=OURS).returncode == 0
        assert [found for found in verify_recording(edited / own, ["low", "half"]) if found.is_fault] == []

    def test_a_mask_that_was_edited_by_hand_makes_its_mirror_again(self, edited: Path) -> None:
        mask = edited / "results" / "s1" / "a" / "r1" / "mask.tsv"
        text = mask.read_text()
        changed = re.sub(r"^(5\t\d+\t\d+)\t1\t", r"\1\t0\t", text, flags=re.MULTILINE)
        assert changed != text
        mask.write_text(changed)
        assert planned(edited) == {"mirror 1", "qc 2", "report 1", "all 1"}

    @pytest.mark.parametrize("damaged", ["r0_half.h5", "channels.tsv", "mask.tsv"])
    def test_a_damaged_file_of_one_recording_holds_up_no_other(self, edited: Path, damaged: str) -> None:
        """Snakemake takes a mirror whose inputs cannot be told for one of a person's files: nothing was to be done."""
        path = edited / "results" / "s1" / "a" / "r0" / damaged
        content = path.read_bytes()
        cut = re.sub(rb"\n5\t", b"\nfive\t", content) if path.suffix == ".tsv" else content[: len(content) // 2]
        assert cut != content
        path.write_bytes(cut)
        edit(edited, lambda config: config["mirrors"]["low"].update(bandpass=[3, 50]))
        screen = run_snakemake(edited, "--dry-run", by=OURS).stdout
        for recording in ("a/r0", "a/r1", "a/r2", "a/r3", "b/r0"):
            assert f"Mirroring s1/{recording} as low." in screen

    def test_a_mask_that_is_made_by_force_makes_its_mirror_with_it(self, edited: Path) -> None:
        mask = edited / "results" / "s1" / "a" / "r1" / "mask.tsv"
        edited_by_hand = re.sub(r"^(5\t\d+\t\d+)\t1\t", r"\1\t0\t", mask.read_text(), flags=re.MULTILINE)
        mask.write_text(edited_by_hand)
        mirror = "results/s1/a/r1/r1_half.h5"
        assert run_snakemake(edited, mirror, by=OURS).returncode == 0
        assert holds_mask(mask.with_name("r1_half.h5"), read_mask(mask))
        assert run_snakemake(edited, mirror, "--forcerun", "mask_channels", by=OURS).returncode == 0
        assert mask.read_text() != edited_by_hand
        assert holds_mask(mask.with_name("r1_half.h5"), read_mask(mask))

    def test_a_mask_edited_by_hand_and_other_times_leave_no_mirror_of_another(self, edited: Path) -> None:
        mask = edited / "results" / "s1" / "a" / "r1" / "mask.tsv"
        mask.write_text(re.sub(r"^(5\t\d+\t\d+)\t1\t", r"\1\t0\t", mask.read_text(), flags=re.MULTILINE))
        (mask.parent / "channels.tsv").touch()
        assert run_snakemake(edited, by=OURS).returncode == 0
        assert holds_mask(mask.with_name("r1_half.h5"), read_mask(mask))

    def test_a_mirror_whose_scan_or_mask_cannot_be_read_is_made_again(self, edited: Path) -> None:
        own = edited / "results" / "s1" / "a" / "r1"
        edit(edited, lambda config: config["masks"]["automatic"].update(dead_ratio=0.11))
        (own / "scan.h5").unlink()
        with h5py.File(edited / "results" / "s1" / "a" / "r2" / "r2_half.h5", "r+") as file:
            del file["channel_mask"]
        assert "mirror 2" in planned(edited)

    def test_two_edits_at_once_make_what_either_makes(self, edited: Path) -> None:
        def change(config: dict[str, Any]) -> None:
            config["masks"]["automatic"]["dead_ratio"] = 0.11
            config["mirrors"]["low"]["bandpass"] = [3, 50]
            config["events"]["debounce"] = 0.001

        edit(edited, change)
        assert planned(edited) == {"mask_channels 5", "mirror 5", "extract_events 5", "qc 10"} | {
            "report 1", "run_config 1", "all 1",
        }  # fmt: skip

    def test_a_new_mirror_makes_its_own_files_and_no_other_page(self, edited: Path) -> None:
        edit(edited, lambda config: config["mirrors"].update(third={**config["mirrors"]["low"], "rate": RATE / 5}))
        jobs = {"mirror 5", "extract_events 5", "qc 5", "report 1", "run_config 1", "all 1"}
        assert planned(edited) == jobs
        assert run_snakemake(edited, by=OURS).returncode == 0
        findings = list(verify_recording(edited / "results" / "s1" / "a" / "r0", ["low", "half", "third"]))
        assert [found for found in findings if found.is_fault] == []
        told = {found.path.name for found in findings if "earlier events.tsv, which changes nothing" in found.text}
        assert told == {f"r0_{mirror}_qc.{suffix}" for mirror in ("low", "half") for suffix in ("html", "json")}

    def test_other_colours_of_the_figures_make_pages_and_no_results(self, edited: Path) -> None:
        """They come with a version, whose step qc has another revision."""
        run = subprocess.run(
            [sys.executable, "-c", WITH_OTHER_PAGES, *PLAIN[1:], "--directory", str(edited), "--dry-run"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert jobs_in(run.stdout) == {"qc 10", "report 1", "all 1"}
        assert re.search(r"  qc of 5 recordings, .*: qc makes it otherwise now", run.stdout)

    def test_a_new_recording_makes_its_own_files(self, edited: Path) -> None:
        table = edited / "config" / "recordings.tsv"
        table.write_text(table.read_text() + row("b", "r1", "raw/a.tdms") + "\n")
        own = ("ingest", "scan", "map_channels", "mask_channels", "extract_events", "report", "run_config", "all")
        assert planned(edited) == {f"{name} 1" for name in own} | {"mirror 2", "qc 2"}


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
