"""The frame around one job of the workflow: its log, its share of memory and cores, its errors in one sentence."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecogpipe.errors import EcogpipeError
from ecogpipe.runtime.costs import MB, memory_limit
from ecogpipe.runtime.params import override

logger = logging.getLogger(__name__)

_DONE = "done"
"""The last line of the log of a job that went well."""

_UNEXPECTED = "unexpected error; please report it with this log"


@contextmanager
def job(step: str, log: str | Path, threads: int, mem_mb: int) -> Iterator[None]:
    """Run a job with its own log file, memory limit and workers; an error of ours ends it with one sentence.

    Parameters
    ----------
    step
        Name of the step; the memory that its program takes is not there for signals.
    log
        File for the job's log; its last line after a failure is the error's sentence.
    threads
        Cores that the job may use.
    mem_mb
        Megabytes that the job may use in all.
    """
    handler = logging.FileHandler(log, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    try:
        logger.info("%s begins", step)
        with _peak_logged(mem_mb), override(memory_limit=memory_limit(step, mem_mb * MB), workers=threads):
            yield
        logger.info(_DONE)
    except EcogpipeError as error:
        logger.error("%s", error)
        sys.exit(1)
    except Exception:
        logger.exception(_UNEXPECTED)
        raise


def read_failures(logs: Path, since: float) -> list[str]:
    """Return a sentence for each job that failed, from the logs that were written since a moment.

    Parameters
    ----------
    logs
        Folder of the logs: ``<subject>/<session>/<recording>/<job>.log``, and ``<job>.log`` for the whole study.
    since
        Seconds since the epoch, by the clock of the disk that holds the logs.
    """
    changed = [log for log in sorted(logs.rglob("*.log")) if log.stat().st_mtime >= since]
    return [f"{_place(log.relative_to(logs))}{sentence}" for log in changed for sentence in _sentences(log, logs)]


def failed_recordings(logs: Path, since: float) -> dict[str, str]:
    """Say what failed in the jobs of each recording that was at work after `since`, by its full name."""
    said: dict[str, list[str]] = {}
    for log in sorted(logs.glob("*/*/*/*.log")):
        if log.stat().st_mtime >= since and (sentences := _sentences(log, logs)):
            said.setdefault(log.parent.relative_to(logs).as_posix(), []).extend(
                f"{log.stem}: {sentence}" for sentence in sentences
            )
    return {name: " ".join(sentences) for name, sentences in said.items()}


def sentences_of(log: Path) -> list[str]:
    """Return the errors at the end of the log of a job."""
    return _sentences(log, log.parent)


def _place(log: Path) -> str:
    return f"{log.parent.as_posix()} ({log.stem}): " if log.parent.name else ""


def _sentences(log: Path, logs: Path) -> list[str]:
    """Return the errors at the end of a log; of a job that could not say anything at its end, where it stopped."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line[1] for text in lines if (line := re.match(r"[\d-]+ [\d:]+ ERROR (.+)", text))]
    if errors == [_UNEXPECTED]:
        return [f"{lines[-1]}; this was not foreseen: please report it with {log}."]
    if errors or (lines and lines[-1].endswith(f"INFO {_DONE}")):
        return errors
    if not lines:
        return [f"the job did not begin{_refusal(log, logs)}."]
    return [f"the job ended without an error message: it was probably killed or out of memory; its log is {log}."]


def _refusal(log: Path, logs: Path) -> str:
    """Say why a job did not begin: in the words of the cluster, which Snakemake has in its log of the run."""
    runs = sorted((logs.parent / ".snakemake" / "log").glob("*.log"), key=lambda run: run.stat().st_mtime)
    said = re.findall(r"sbatch: error: ([^\n']+)", runs[-1].read_text("utf-8", "replace")) if runs else []
    if said:
        return f", as SLURM refused it: {'; '.join(dict.fromkeys(said))}"
    return f"; what Snakemake said of it is above, and {log} is empty"


@contextmanager
def _peak_logged(mem_mb: int) -> Iterator[None]:
    """Log what the job took, before its error where it has one: that is the last line of the log."""
    try:
        yield
    finally:
        logger.info("peak memory %.0f MB of %d MB", peak_memory() / MB, mem_mb)


def peak_memory() -> float:
    """Return the most bytes that this process held at any time; NaN where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return float("nan")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
