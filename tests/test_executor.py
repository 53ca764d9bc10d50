"""Snakemake's executor of ecogpipe: what a run makes and says is what it is with Snakemake's own."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

SNAKEFILE = """
rule all:
    input: expand("made/{number}", number=range(4)), "shell"

rule numbered:
    output: "made/{number}"
    log: "logs/{number}.log"
    benchmark: "logs/{number}.tsv"
    params: number=lambda wildcards: wildcards.number
    script: "numbered.py"

rule shell:
    output: "shell"
    shell: "touch {output}"
"""
SCRIPT = """
import os
import sys
import time
from pathlib import Path

from ecogpipe.steps.map_channels import map_channels

number = int(snakemake.params.number)
said = [os.getpid(), os.getppid(), os.environ["TMPDIR"], snakemake.rule, snakemake.threads]
Path(snakemake.log[0]).write_text(" ".join(map(str, said)))
if Path(f"fails_{number}").exists():
    sys.exit(f"number {number} cannot be made")
if Path(f"waits_{number}").exists():
    Path(f"waits_{number}").rename(f"waiting_{number}")
    time.sleep(60)
Path(snakemake.output[0]).write_text(f"made of {number}")
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "numbered.py").write_text(SCRIPT)
    return tmp_path


Start = Callable[[Path], subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a run of a study; a run that a failing test leaves behind is ended."""
    runs: list[subprocess.Popen[str]] = []

    def started(study: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "snakemake", "--directory", str(study)]
        run = subprocess.Popen(
            [
                *command,
                "--snakefile",
                str(study / "Snakefile"),
                "--cores",
                "2",
                "--executor",
                "ecogpipe",
                "--keep-going",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        runs.append(run)
        return run

    yield started
    for run in runs:
        if run.poll() is None:
            run.kill()
            run.communicate()


def made(study: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((study / "made").iterdir())}


def test_jobs_are_forked_from_one_process_and_measured(study: Path, start: Start) -> None:
    run = start(study)
    screen = run.communicate()[0]
    assert run.returncode == 0, screen
    assert made(study) == {str(number): f"made of {number}" for number in range(4)}
    said = [(study / "logs" / f"{number}.log").read_text().split() for number in range(4)]
    assert len({parent for _, parent, *_ in said}) == 1
    assert {tuple(rest) for _, _, _, *rest in said} == {("numbered", "1")}
    assert all(Path(folder).is_dir() for _, _, folder, *_ in said)
    for number in range(4):
        header, values = (line.split("\t") for line in (study / "logs" / f"{number}.tsv").read_text().splitlines())
        assert float(values[header.index("s")]) >= 0
    assert (study / "shell").exists()


def test_a_job_that_fails_stops_no_other_and_says_nothing_but_its_own_words(study: Path, start: Start) -> None:
    (study / "fails_2").touch()
    run = start(study)
    screen = run.communicate()[0]
    assert run.returncode != 0
    assert sorted(made(study)) == ["0", "1", "3"]
    assert "number 2 cannot be made" in screen
    assert "Error in rule numbered" in screen
    assert "Traceback" not in screen


def waiting(study: Path) -> tuple[psutil.Process, psutil.Process]:
    """Wait until a job sleeps; returns it, and the process that forked it."""
    deadline = time.monotonic() + 60
    while not list(study.glob("waiting_*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    job, server = (study / "logs" / "1.log").read_text().split()[:2]
    return psutil.Process(int(job)), psutil.Process(int(server))


def test_a_job_that_is_killed_is_told_by_its_signal(study: Path, start: Start) -> None:
    (study / "waits_1").touch()
    run = start(study)
    job, _ = waiting(study)
    job.kill()
    screen = run.communicate()[0]
    assert run.returncode != 0
    assert "The job was ended by signal 9 (SIGKILL)" in screen
    assert "1" not in made(study)


def test_jobs_go_on_where_the_process_that_forks_is_killed(study: Path, start: Start) -> None:
    """The job that it has just forked is lost; the next ones find another process."""
    (study / "waits_1").touch()
    run = start(study)
    job, server = waiting(study)
    server.kill()
    job.kill()
    screen = run.communicate()[0]
    assert run.returncode != 0, screen
    assert sorted(made(study)) in (["0", "2", "3"], ["2", "3"], ["0", "3"], ["0", "2"])


def test_nothing_is_left_after_ctrl_c(study: Path, start: Start) -> None:
    (study / "waits_1").touch()
    run = start(study)
    everyone = waiting(study)
    for process in (psutil.Process(run.pid), *everyone):
        process.send_signal(signal.SIGINT)
    screen = run.communicate()[0]
    assert run.returncode != 0
    _, alive = psutil.wait_procs(everyone, timeout=20)
    assert not alive, screen
    assert not re.search(r"Traceback .*fork_server", screen)
