"""One run at a time in a study, and order after one that was killed."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ecogpipe.cli import main
from ecogpipe.errors import StudyBusyError
from ecogpipe.runtime.job import read_failures
from ecogpipe.storage.atomic import sweep
from ecogpipe.study.lock import MARK, hold_study, is_locked_by_snakemake

HOLD = "import sys, time; from pathlib import Path; from ecogpipe.study.lock import hold_study\n" \
    "with hold_study(Path(sys.argv[1])): print('holding', flush=True); time.sleep(60)"  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").touch()
    return tmp_path


def holder(study: Path) -> subprocess.Popen[str]:
    """Return another process that holds a study."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(study)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


class TestTwoRuns:
    def test_the_second_gets_one_sentence(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        first = holder(study)
        try:
            assert main(["run", "--directory", str(study), "--cores", "1"]) == 1
        finally:
            end(first)
        [sentence] = capsys.readouterr().err.splitlines()
        assert sentence.startswith(f"{study}: another run is at work there since 20")
        assert sentence.endswith(
            f"(process {first.pid} on {socket.gethostname()}); wait until it has ended, or stop it, then run again."
        )

    def test_a_killed_run_gives_the_study_back(self, study: Path) -> None:
        end(holder(study))
        with hold_study(study):
            pass

    def test_a_plain_snakemake_is_noticed(self, study: Path) -> None:
        with hold_study(study):
            pass
        lock_of_snakemake(study)
        with pytest.raises(StudyBusyError, match="a plain `snakemake` is at work there, or was killed there"):
            hold_study(study).__enter__()


def lock_of_snakemake(study: Path) -> None:
    locks = study / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/report.html\n")


class TestAfterAKill:
    def test_nothing_of_the_killed_run_goes_on(self, study: Path) -> None:
        """Its jobs end, Snakemake's lock goes, and so do parts of outputs, but for those of others."""
        end(holder(study))
        mark = json.loads((study / ".snakemake" / "ecogpipe.lock").read_text())["mark"]
        job = subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: mark})
        while mark.encode() not in Path(f"/proc/{job.pid}/environ").read_bytes():
            time.sleep(0.01)  # the system tells it only when the program has begun
        other = subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: "another"})
        lock_of_snakemake(study)
        try:
            with hold_study(study):
                assert job.wait(5) < 0
                assert other.poll() is None
                assert not is_locked_by_snakemake(study)
        finally:
            other.kill()
            other.wait()

    def test_parts_are_swept_but_for_those_of_processes_that_may_run(self, tmp_path: Path) -> None:
        ended = subprocess.Popen(["true"])
        ended.wait()
        host, folder = socket.gethostname(), tmp_path / "s1" / "a"
        folder.mkdir(parents=True)
        gone = [folder / f".raw.h5.{host}.{ended.pid}.part", folder / ".raw.h5.elsewhere.1.part"]
        kept = [
            folder / f".raw.h5.{host}.{os.getppid()}.part",
            folder / ".scan.h5.elsewhere.1.part",
            folder / "raw.part",
        ]
        for path in [*gone, *kept]:
            path.touch()
        os.utime(gone[1], (time.time() - 100_000,) * 2)
        sweep(tmp_path)
        assert sorted(folder.iterdir()) == sorted(kept)


def test_the_end_of_a_run_says_of_each_job_what_failed(tmp_path: Path) -> None:
    """The logs of jobs that said an error, that did not foresee it, that were killed, that went well, and of old."""
    logs = {
        "s1/a/r1/ingest.log": "2026-01-01 10:00:00 INFO begun\n2026-01-01 10:00:01 ERROR raw/r1.tdms: is text.\n",
        "s1/a/r2/scan.log": "2026-01-01 10:00:00 ERROR unexpected error; please report it with this log\n"
        "Traceback (most recent call last):\nKeyError: 'x'\n",
        "s1/a/r3/mirror_low.log": "2026-01-01 10:00:00 INFO mirror: 50 % done\n",
        "s1/a/r4/scan.log": "2026-01-01 10:00:00 INFO done\n",
        "s1/a/r5/scan.log": "2026-01-01 10:00:00 ERROR of an earlier run\n",
        "missing_files.log": "2026-01-01 10:00:00 ERROR one\n2026-01-01 10:00:00 ERROR two\n",
    }
    for name, text in logs.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    os.utime(tmp_path / "s1/a/r5/scan.log", (0, 0))
    assert read_failures(tmp_path, since=1) == [
        "one",
        "two",
        "s1/a/r1 (ingest): raw/r1.tdms: is text.",
        f"s1/a/r2 (scan): KeyError: 'x'; this was not foreseen: please report it with {tmp_path}/s1/a/r2/scan.log.",
        "s1/a/r3 (mirror_low): the job ended without an error message: it was probably killed or out of memory; its "
        f"log is {tmp_path}/s1/a/r3/mirror_low.log.",
    ]


@pytest.mark.parametrize(("folder", "words"), [("absent", "there is no such folder"), ("", "there is no study here")])
def test_a_folder_without_a_study_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str, words: str
) -> None:
    assert main(["run", "--directory", str(tmp_path / folder)]) == 1
    [sentence] = capsys.readouterr().err.splitlines()
    assert words in sentence
    assert "ecogpipe init" in sentence
