"""The demo study through a real SLURM cluster of one node: the same data as without it, also after kills."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import h5py
import numpy as np
import pytest
from cluster import HOME, ClusterError, running_cluster

from ecogpipe.cli.demo import write_demo_study
from ecogpipe.study.config import workflow_folder

REQUIRED = os.environ.get("ECOGPIPE_SLURM_TESTS") == "required"
RESULTS = Path("results", "demo", "2018-01-01_active")
MIRROR = RESULTS / "test_001" / "test_001_Fs1000.h5"
WITHOUT_ACCOUNTING = workflow_folder() / "profiles" / "slurm" / "without_accounting"
LOCAL = ("--latency-wait", "5")
# The profile as it is, but asked about finished jobs as soon as there can be any.
OFTEN = (
    *("--latency-wait", "5"),
    *("--seconds-between-status-checks", "2", "--slurm-init-seconds-before-status-checks", "2"),
)
SLURM, BY_RECORDING = (("--workflow-profile", profile, *OFTEN) for profile in ("slurm", "slurm_by_recording"))


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """The cluster runs during the tests; where it cannot, they are skipped, or fail if they are required."""
    with ExitStack() as stack:
        try:
            if find_spec("snakemake_executor_plugin_slurm") is None:
                raise ClusterError("the executor plugin is not installed; pip install 'ecogpipe[slurm]' brings it.")
            stack.enter_context(running_cluster())
        except ClusterError as error:
            if REQUIRED:
                raise
            pytest.skip(f"no SLURM: {error}")
        yield


def start_snakemake(study: Path, *arguments: str, screen: IO[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(workflow_folder() / "Snakefile")]
    return subprocess.Popen(
        [*command, "--directory", str(study), *arguments],
        env={**os.environ, "PATH": f"{WITHOUT_ACCOUNTING}{os.pathsep}{os.environ['PATH']}"},
        stdout=screen,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_snakemake(study: Path, *arguments: str) -> str:
    """Run to the end, with success; returns what the run said."""
    screen = study / "screen.txt"
    with screen.open("w") as file:
        status = start_snakemake(study, *arguments, screen=file).wait()
    assert status == 0, screen.read_text()
    return screen.read_text()


def asked_of_slurm(screen: str) -> list[dict[str, str]]:
    """Return what the jobs of a run asked for and what became of them, in the order of their submission."""
    [run] = re.findall(r"SLURM run ID: (\S+)", screen)
    fields = {"comment": "%k", "state": "%T", "cores": "%C", "memory": "%m", "time": "%l"}
    command = ["squeue", "--states=all", "--sort=i", "--noheader", "--name", run, "--format", "|".join(fields.values())]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [dict(zip(fields, line.strip().split("|"), strict=True)) for line in lines]


def data_hash(path: Path) -> str:
    """Return a hash of all that a result holds but its provenance, which quotes the files that made it."""
    if path.suffix == ".tsv":
        lines = path.read_text().splitlines()
        return hashlib.sha256("\n".join(line for line in lines if "# provenance" not in line).encode()).hexdigest()

    digest = hashlib.sha256()

    def add(name: str, thing: h5py.Group | h5py.Dataset) -> None:
        attributes = {key: np.asarray(value).tolist() for key, value in thing.attrs.items() if key != "provenance"}
        digest.update(f"{name} {sorted(attributes.items())}".encode())
        if isinstance(thing, h5py.Dataset):
            values = np.asarray(thing[()])
            digest.update(f"{values.shape} {values.dtype}".encode())
            digest.update(repr(values.tolist()).encode() if values.dtype.hasobject else values.tobytes())

    with h5py.File(path, "r", locking=False) as file:
        add("/", file)
        file.visititems(add)
    return digest.hexdigest()


def data_hashes(study: Path) -> dict[str, str]:
    files = [path for path in (study / "results").rglob("*") if path.suffix in {".h5", ".tsv"}]
    return {str(path.relative_to(study)): data_hash(path) for path in files}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The demo's study, made on the cluster in both ways, with one core and with two; the runs share the machine."""
    folder = tmp_path_factory.mktemp("studies")
    write_demo_study(folder / "cluster", seconds=3)
    for name in ("by recording", "one core", "two cores"):
        shutil.copytree(folder / "cluster", folder / name)
    with (folder / "cluster" / "screen.txt").open("w") as screen:
        process = start_snakemake(folder / "cluster", *SLURM, screen=screen)
        try:
            run_snakemake(folder / "one core", "--cores", "1", *LOCAL, "--executor", "local")
            run_snakemake(folder / "two cores", "--cores", "2", *LOCAL)
            run_snakemake(folder / "by recording", *BY_RECORDING)
            status = process.wait()
        finally:
            process.kill()  # where a local run has failed; the cluster ends its jobs when it stops
            process.wait()
    assert status == 0, (folder / "cluster" / "screen.txt").read_text()
    return {name: folder / name for name in ("cluster", "by recording", "one core", "two cores")}


def test_a_job_that_slurm_refuses_is_not_told_as_killed(tmp_path: Path) -> None:
    write_demo_study(tmp_path / "study", seconds=2)
    nowhere = ("--default-resources", "slurm_partition=nowhere", "slurm_account=lab")
    run = subprocess.run(
        [sys.executable, "-m", "ecogpipe.cli", "run", "--directory", str(tmp_path / "study"), *SLURM, *nowhere],
        env={**os.environ, "PATH": f"{WITHOUT_ACCOUNTING}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert run.returncode != 0
    for sentence in run.stderr.splitlines()[-2:]:
        assert re.search(
            r"\(ingest\): the job did not begin, as SLURM refused it: invalid partition.*nowhere", sentence
        )
        assert "killed" not in sentence


@pytest.fixture
def without_mirror(studies: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the study from the cluster in which one mirror is missing."""
    study = tmp_path / "study"
    shutil.copytree(studies["cluster"], study)
    (study / MIRROR).unlink()
    return study


def test_data_are_the_same_on_a_cluster_with_one_core_and_with_two(studies: dict[str, Path]) -> None:
    on_cluster = data_hashes(studies["cluster"])
    assert len(on_cluster) == 2 * len(("raw.h5", "scan.h5", "channels.tsv", "mask.tsv", "events.tsv", "mirror.h5"))
    assert on_cluster == data_hashes(studies["by recording"])
    assert on_cluster == data_hashes(studies["one core"])
    assert on_cluster == data_hashes(studies["two cores"])


def test_short_steps_share_a_job_and_each_job_asks_for_memory_and_time(studies: dict[str, Path]) -> None:
    jobs = asked_of_slurm((studies["cluster"] / "screen.txt").read_text())
    kinds = Counter(re.sub("_wildcards_.*", "", job["comment"]) for job in jobs)
    per_recording = ("rule_ingest", "rule_scan", "rule_mirror", "rule_qc")
    short = "rule_channels_extract_events_map_channels_mask_channels"
    assert kinds == dict.fromkeys((*per_recording, short), 2) | {"rule_report": 1}
    assert {job["state"] for job in jobs} == {"COMPLETED"}
    assert {job["time"] for job in jobs}.isdisjoint({"UNLIMITED", "NOT_SET"})
    assert all(re.fullmatch(r"[1-9][\d.]*[MG]", job["memory"]) for job in jobs)


def test_a_recording_can_be_one_job(studies: dict[str, Path]) -> None:
    jobs = asked_of_slurm((studies["by recording"] / "screen.txt").read_text())
    kinds = Counter(re.sub("_wildcards_.*", "", job["comment"]) for job in jobs)
    assert sorted(kinds.values()) == [1, 2]
    assert kinds["rule_report"] == 1
    assert {job["state"] for job in jobs} == {"COMPLETED"}


def wait_for_the_mirror_at_work(study: Path, process: subprocess.Popen[str]) -> tuple[int, Path]:
    """Wait until a mirror has begun to write, and hold it there; returns its process and the file that it writes."""
    pattern = f".{MIRROR.name}.*.part"
    while process.poll() is None:
        for part in (study / MIRROR).parent.glob(pattern):
            pid = int(part.name.split(".")[-2])
            os.kill(pid, signal.SIGSTOP)
            return pid, part
        time.sleep(0.002)
    raise AssertionError((study / "screen.txt").read_text())


@pytest.mark.parametrize("profile", [SLURM, BY_RECORDING], ids=["slurm", "slurm_by_recording"])
def test_a_cancelled_job_leaves_nothing_half_and_is_tried_again_with_more_memory(
    without_mirror: Path, studies: dict[str, Path], profile: tuple[str, ...]
) -> None:
    study = without_mirror
    with (study / "screen.txt").open("w") as screen:
        process = start_snakemake(study, *profile, "--", str(MIRROR), screen=screen)
        pid, part = wait_for_the_mirror_at_work(study, process)
        environment = dict(
            line.split("=", 1) for line in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in line
        )
        job = environment["SLURM_JOB_ID"]
        subprocess.run(["scancel", job], check=True)
        assert part.is_file()
        assert not (study / MIRROR).exists()
        assert process.wait() == 0, (study / "screen.txt").read_text()
    assert environment["TMPDIR"] == str(HOME / "tmp" / job)  # scratch is the job's own
    cancelled, again = asked_of_slurm((study / "screen.txt").read_text())
    assert (cancelled["state"], again["state"]) == ("CANCELLED", "COMPLETED")
    assert as_megabytes(again["memory"]) > as_megabytes(cancelled["memory"])
    assert list((study / "results").rglob("*.part")) == []
    assert data_hash(study / MIRROR) == data_hash(studies["one core"] / MIRROR)


def as_megabytes(memory: str) -> float:
    return float(memory[:-1]) * {"M": 1, "G": 1024}[memory[-1]]


@pytest.mark.parametrize("profile", [SLURM, BY_RECORDING], ids=["slurm", "slurm_by_recording"])
def test_a_job_that_exceeds_its_memory_is_killed_and_succeeds_with_more(
    without_mirror: Path, studies: dict[str, Path], profile: tuple[str, ...]
) -> None:
    study = without_mirror
    too_little = "mirror:mem_mb=130 * 4 ** (attempt - 1)"
    screen = run_snakemake(study, *profile, "--set-resources", too_little, "--", str(MIRROR))
    killed, again = asked_of_slurm(screen)
    assert (killed["memory"], again["memory"]) == ("130M", "520M")
    assert (killed["state"], again["state"]) == ("FAILED", "COMPLETED")
    [log] = (study / ".snakemake" / "slurm_logs").rglob("*.log")  # that of the successful job is gone
    assert "exceeded memory limit" in log.read_text()
    assert data_hash(study / MIRROR) == data_hash(studies["one core"] / MIRROR)
