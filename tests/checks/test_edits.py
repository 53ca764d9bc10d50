"""What a person edits in a study of five recordings and two mirrors, and the jobs that follow."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import pytest

from ecogpipe.checks.verify import verify_recording
from ecogpipe.results.mask import read_mask
from ecogpipe.results.mirror import holds_mask
from test_workflow import OURS, PLAIN, RATE, edit, jobs_in, planned, row, run_snakemake, write_study, write_tdms


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


@pytest.fixture
def edited(grown: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(grown, tmp_path / "study"))


def test_nothing_makes_nothing(edited: Path) -> None:
    assert planned(edited) == set()


@pytest.mark.parametrize("written", ["r1", "*"])
def test_a_site_makes_masks_and_pages_and_the_mirror_that_goes_by_them(edited: Path, written: str) -> None:
    write_manual_mask(edited, f"{written}\tsite\t2,5\tdrop\tloose")
    n = 1 if written == "r1" else 4
    assert planned(edited) == {f"mask_channels {n}", f"mirror {n}", f"qc {2 * n}", "report 1", "all 1"}


def test_a_comment_or_the_time_of_a_manual_mask_makes_nothing(edited: Path) -> None:
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


def test_a_threshold_that_changes_no_mask_makes_no_mirror(edited: Path) -> None:
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


def test_a_threshold_that_changes_masks_makes_the_mirrors_that_go_by_them(edited: Path) -> None:
    edit(edited, lambda config: config["masks"]["automatic"].update(stuck_fraction=1e-9, noisy_ratio=1.01))
    assert planned(edited) == {"mask_channels 5", "mirror 5", "qc 10", "report 1", "run_config 1", "all 1"}
    assert run_snakemake(edited, "results/s1/a/r1/r1_half.h5", by=OURS).returncode == 0
    assert planned(edited) == {"mask_channels 4", "mirror 4", "qc 10", "report 1", "run_config 1", "all 1"}
    own = edited / "results" / "s1" / "a" / "r1"
    assert holds_mask(own / "r1_half.h5", read_mask(own / "mask.tsv"))


def test_a_mask_that_is_taken_back_leaves_no_mirror_of_another(edited: Path) -> None:
    """The mirror was not made again in between, and is now: what mask.tsv will hold is not known for sure."""
    path = write_manual_mask(edited, "r1\tsite\t2,5\tdrop\tloose")
    own = "results/s1/a/r1"
    assert run_snakemake(edited, f"{own}/mask.tsv", by=OURS).returncode == 0
    assert planned(edited) >= {"mirror 1"}
    path.unlink()
    assert planned(edited) == {"mask_channels 1", "mirror 1", "qc 2", "report 1", "all 1"}
    assert run_snakemake(edited, by=OURS).returncode == 0
    assert [found for found in verify_recording(edited / own, ["low", "half"]) if found.is_fault] == []


def test_a_mask_that_was_edited_by_hand_makes_its_mirror_again(edited: Path) -> None:
    mask = edited / "results" / "s1" / "a" / "r1" / "mask.tsv"
    text = mask.read_text()
    changed = re.sub(r"^(5\t\d+\t\d+)\t1\t", r"\1\t0\t", text, flags=re.MULTILINE)
    assert changed != text
    mask.write_text(changed)
    assert planned(edited) == {"mirror 1", "qc 2", "report 1", "all 1"}


@pytest.mark.parametrize("damaged", ["r0_half.h5", "channels.tsv", "mask.tsv"])
def test_a_damaged_file_of_one_recording_holds_up_no_other(edited: Path, damaged: str) -> None:
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


def test_a_mask_that_is_made_by_force_makes_its_mirror_with_it(edited: Path) -> None:
    mask = edited / "results" / "s1" / "a" / "r1" / "mask.tsv"
    edited_by_hand = re.sub(r"^(5\t\d+\t\d+)\t1\t", r"\1\t0\t", mask.read_text(), flags=re.MULTILINE)
    mask.write_text(edited_by_hand)
    mirror = "results/s1/a/r1/r1_half.h5"
    assert run_snakemake(edited, mirror, by=OURS).returncode == 0
    assert holds_mask(mask.with_name("r1_half.h5"), read_mask(mask))
    assert run_snakemake(edited, mirror, "--forcerun", "mask_channels", by=OURS).returncode == 0
    assert mask.read_text() != edited_by_hand
    assert holds_mask(mask.with_name("r1_half.h5"), read_mask(mask))


def test_a_mask_edited_by_hand_and_other_times_leave_no_mirror_of_another(edited: Path) -> None:
    mask = edited / "results" / "s1" / "a" / "r1" / "mask.tsv"
    mask.write_text(re.sub(r"^(5\t\d+\t\d+)\t1\t", r"\1\t0\t", mask.read_text(), flags=re.MULTILINE))
    (mask.parent / "channels.tsv").touch()
    assert run_snakemake(edited, by=OURS).returncode == 0
    assert holds_mask(mask.with_name("r1_half.h5"), read_mask(mask))


def test_a_mirror_whose_scan_or_mask_cannot_be_read_is_made_again(edited: Path) -> None:
    own = edited / "results" / "s1" / "a" / "r1"
    edit(edited, lambda config: config["masks"]["automatic"].update(dead_ratio=0.11))
    (own / "scan.h5").unlink()
    with h5py.File(edited / "results" / "s1" / "a" / "r2" / "r2_half.h5", "r+") as file:
        del file["channel_mask"]
    assert "mirror 2" in planned(edited)


def test_two_edits_at_once_make_what_either_makes(edited: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["masks"]["automatic"]["dead_ratio"] = 0.11
        config["mirrors"]["low"]["bandpass"] = [3, 50]
        config["events"]["debounce"] = 0.001

    edit(edited, change)
    assert planned(edited) == {"mask_channels 5", "mirror 5", "extract_events 5", "qc 10"} | {
        "report 1", "run_config 1", "all 1",
    }  # fmt: skip


def test_a_new_mirror_makes_its_own_files_and_no_other_page(edited: Path) -> None:
    edit(edited, lambda config: config["mirrors"].update(third={**config["mirrors"]["low"], "rate": RATE / 5}))
    jobs = {"mirror 5", "extract_events 5", "qc 5", "report 1", "run_config 1", "all 1"}
    assert planned(edited) == jobs
    assert run_snakemake(edited, by=OURS).returncode == 0
    findings = list(verify_recording(edited / "results" / "s1" / "a" / "r0", ["low", "half", "third"]))
    assert [found for found in findings if found.is_fault] == []
    told = {found.path.name for found in findings if "earlier events.tsv, which changes nothing" in found.text}
    assert told == {f"r0_{mirror}_qc.{suffix}" for mirror in ("low", "half") for suffix in ("html", "json")}


def test_other_colours_of_the_figures_make_pages_and_no_results(edited: Path) -> None:
    """They come with a version, whose step qc has another revision."""
    run = subprocess.run(
        [sys.executable, "-c", WITH_OTHER_PAGES, *PLAIN[1:], "--directory", str(edited), "--dry-run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert jobs_in(run.stdout) == {"qc 10", "report 1", "all 1"}
    assert re.search(r"  qc of 5 recordings, .*: qc makes it otherwise now", run.stdout)


def test_a_new_recording_makes_its_own_files(edited: Path) -> None:
    table = edited / "config" / "recordings.tsv"
    table.write_text(table.read_text() + row("b", "r1", "raw/a.tdms") + "\n")
    own = ("ingest", "scan", "map_channels", "mask_channels", "extract_events", "report", "run_config", "all")
    assert planned(edited) == {f"{name} 1" for name in own} | {"mirror 2", "qc 2"}
