"""One run at a time in a study folder: a lock of the operating system, and order after a run that was killed."""

import fcntl
import json
import os
import shutil
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import IO

from ecogpipe.errors import StudyBusyError
from ecogpipe.storage.atomic import sweep

MARK = "ECOGPIPE_RUN"
"""Environment variable that every process of a run carries, so that those that outlive it are found."""

_LOCK = Path(".snakemake", "ecogpipe.lock")
_LOCKS_OF_SNAKEMAKE = Path(".snakemake", "locks")


@dataclass(frozen=True)
class Run:
    """Who holds a study: the mark of its processes, and what a person needs to find it."""

    mark: str
    pid: int
    host: str
    since: str


@dataclass(frozen=True)
class Held:
    """A study that this process holds: its run, and the time of its start by the clock of the study's disk."""

    run: Run
    started: float


_ENDED_AFTER_SECONDS = 30.0
"""Within which the system ends a process that it can end."""


@contextmanager
def hold_study(study: Path) -> Iterator[Held]:
    """Hold a study folder for one run; what a killed run left there is ended, unlocked and swept first.

    The operating system gives the lock back however the process ends. The file of the lock holds the run's name until
    the run has ended in order.

    Raises
    ------
    StudyBusyError
        If another run is at work there, or a plain ``snakemake`` has locked the folder.
    """
    path = study / _LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        _lock(file, study)
        killed = _read_run(file)
        if killed is not None:
            _clear_up(study, killed)
        elif is_locked_by_snakemake(study):
            raise StudyBusyError(
                f"{study}: a plain `snakemake` is at work there, or was killed there; wait until it has ended. If none "
                "is at work, free the folder with `snakemake --unlock`: "
                f"ecogpipe run --directory {quote(str(study))} --unlock."
            )
        sweep(study / "results")
        run = Run(uuid.uuid4().hex, os.getpid(), socket.gethostname(), datetime.now().isoformat(" ", "seconds"))
        _write(file, json.dumps(asdict(run)))
        yield Held(run, os.fstat(file.fileno()).st_mtime)
        _write(file, "")


def find_run(study: Path) -> Run | None:
    """Return the run that is at work in a study, None where there is none; nothing is locked or changed."""
    path = study / _LOCK
    if not path.is_file():
        return None
    with path.open("r", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_run(file)
        except OSError:
            return None
    return None


def is_locked_by_snakemake(study: Path) -> bool:
    """Tell whether Snakemake's own lock is on a study, held or left behind."""
    return any((study / _LOCKS_OF_SNAKEMAKE).glob("*.lock"))


def _lock(file: IO[str], study: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _read_run(file)
        who = f"since {holder.since} (process {holder.pid} on {holder.host})" if holder else "since a moment ago"
        raise StudyBusyError(
            f"{study}: another run is at work there {who}; wait until it has ended, or stop it, then run again."
        ) from None
    except OSError as error:
        raise StudyBusyError(
            f"{study}: its disk cannot lock files ({error.strerror}), so that two runs would not notice each other; "
            "put the study on another disk, or run plain `snakemake` there, one at a time."
        ) from error


def _read_run(file: IO[str]) -> Run | None:
    """Return the run that the file names; none where the last run ended in order, or named itself only in part."""
    file.seek(0)
    try:
        return Run(**json.loads(file.read()))
    except (json.JSONDecodeError, TypeError):
        return None


def _write(file: IO[str], text: str) -> None:
    file.truncate(0)
    file.write(text)
    file.flush()


def _clear_up(study: Path, killed: Run) -> None:
    """End what is left of a killed run, and take away Snakemake's lock, which it can no longer give back."""
    if killed.host == socket.gethostname():
        _end_survivors(study, killed.mark)
    shutil.rmtree(study / _LOCKS_OF_SNAKEMAKE, ignore_errors=True)


def _end_survivors(study: Path, mark: str) -> None:
    """Kill the processes of a run: its jobs could still replace what the next run makes."""
    latest, n_looks_without = time.monotonic() + _ENDED_AFTER_SECONDS, 0
    # A process that is just being started shows no environment for a moment: one look that finds none is not enough.
    while n_looks_without < 2:
        survivors = [pid for pid in _processes() if _carries(pid, mark)]
        n_looks_without = 0 if survivors else n_looks_without + 1
        if survivors and time.monotonic() > latest:
            raise StudyBusyError(
                f"{study}: process {survivors[0]} of a run that was killed cannot be ended, as it waits for a disk or "
                "another user owns it; end it, or restart the machine, then run again."
            )
        for pid in survivors:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _processes() -> list[int]:
    return [int(process.name) for process in Path("/proc").glob("[0-9]*")]


def _carries(pid: int, mark: str) -> bool:
    try:
        return f"{MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
