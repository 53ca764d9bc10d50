"""ATOM-1, WF-5: whatever ends a run, no output is incomplete under its final name, and the next run finishes alone.

ECOGPIPE_KILLS says how many runs are killed; the seed of the moments is ECOGPIPE_KILLS_SEED.
"""

import hashlib
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from test_workflow import write_copied_and_linked

logger = logging.getLogger(__name__)

N_KILLS = int(os.environ.get("ECOGPIPE_KILLS", "3"))
SEED = int(os.environ.get("ECOGPIPE_KILLS_SEED", "1"))
COMMAND = [sys.executable, "-m", "ecogpipe.cli", "run", "--cores", "2", "--directory"]
TINY_MB, ROOMY_MB = 8, 64


def start(study: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, str(study)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def finish(study: Path) -> str:
    """Run without a disturbance; returns what the run said."""
    run = subprocess.run([*COMMAND, str(study)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout
    return run.stdout


def hashes(study: Path) -> dict[str, str]:
    """Return the hash of every file that stands under a final name; of the report, which tells times, its wholeness."""
    return {str(path.relative_to(study)): _hash(path) for path in outputs(study)}


def _hash(path: Path) -> str:
    content = path.read_bytes()
    if path.name == "report.html":
        return "whole" if content.rstrip().endswith(b"</html>") else "half"
    return hashlib.sha256(content).hexdigest()


def outputs(study: Path) -> list[Path]:
    return [path for path in (study / "results").rglob("*") if path.is_file() and not path.name.startswith(".")]


def parts(study: Path) -> list[Path]:
    return list((study / "results").rglob(".*.part"))


def kill_something(run: subprocess.Popen[bytes], choose: random.Random) -> str:
    """Kill the whole run, or one process of it; returns which."""
    if choose.random() < 0.4 and run.poll() is None:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        return "all of it"
    try:
        tree = psutil.Process(run.pid)
        victim = choose.choice([tree, *tree.children(recursive=True)])
        role = next(
            (role for role in ("scripts/tmp", "snakemake", "ecogpipe.cli") if role in " ".join(victim.cmdline())), ""
        )
        what = f"{victim.name()} {role}"
        victim.kill()
    except psutil.NoSuchProcess:
        what = "nothing"
    # The next run has to cope with what goes on without the victim; only a run that can still end in order is awaited.
    run.wait()
    return what


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study before its first run."""
    return write_copied_and_linked(tmp_path_factory.mktemp("pristine"))


@pytest.fixture(scope="module")
def undisturbed(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The hashes of a run that nothing disturbed."""
    study = tmp_path_factory.mktemp("undisturbed") / "study"
    shutil.copytree(pristine, study)
    finish(study)
    return hashes(study)


def wait_for_moment(run: subprocess.Popen[bytes], study: Path, choose: random.Random, n_outputs: int) -> str:
    """Wait until a run has made a random number of further outputs, and a moment more; returns the moment."""
    n_wanted = choose.randint(len(outputs(study)), n_outputs - 1)
    while len(outputs(study)) < n_wanted and run.poll() is None:
        time.sleep(0.05)
    if choose.random() < 0.5:
        while not parts(study) and run.poll() is None:
            time.sleep(0.002)
        return f"{n_wanted} outputs, in the middle of the next"
    seconds = choose.uniform(0, 5)
    time.sleep(seconds)
    return f"{n_wanted} outputs and {seconds:.1f} s"


def test_atom1_runs_that_are_killed_leave_nothing_half_and_the_next_run_needs_no_help(
    pristine: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    choose = random.Random(SEED)
    study = tmp_path / "study"
    shutil.copytree(pristine, study)
    for number in range(N_KILLS):
        if (study / "results" / "report.html").exists():
            shutil.rmtree(study / "results")
        run = start(study)
        moment = wait_for_moment(run, study, choose, len(undisturbed))
        what = kill_something(run, choose)
        found = hashes(study)
        logger.info("kill %d after %s: %s; %d files, %d parts", number + 1, moment, what, len(found), len(parts(study)))
        assert found.items() <= undisturbed.items()
    finish(study)
    assert hashes(study) == undisturbed
    assert parts(study) == []
    assert "Nothing to be done" in finish(study)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TINY_MB}m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_atom1_a_full_disk_leaves_nothing_half(pristine: Path, undisturbed: dict[str, str], tiny_disk: Path) -> None:
    study = tiny_disk / "study"
    shutil.copytree(pristine, study)
    run = subprocess.run([*COMMAND, str(study)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode != 0
    assert hashes(study).items() <= undisturbed.items()
    assert "No space left on device" in run.stdout
    logger.info("%d of %d files, then: %s", len(hashes(study)), len(undisturbed), run.stdout[-2000:])
    subprocess.run(["mount", "-o", f"remount,size={ROOMY_MB}m", str(tiny_disk)], check=True)
    finish(study)
    assert hashes(study) == undisturbed
    assert parts(study) == []
