"""Snakemake's executor ``ecogpipe``: the local one, but jobs of Python scripts are forked, which saves their start.

For each script there is a process that has run its imports, and that forks a process for each of its jobs; see
`ecogpipe.runtime.fork_server`. Whatever is no plain Python script runs as Snakemake runs it.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from signal import Signals
from threading import Lock
from typing import Any

from snakemake.benchmark import benchmarked
from snakemake.exceptions import SpawnedJobError, WorkflowError
from snakemake.executors import local
from snakemake.iocontainers import Snakemake
from snakemake.sourcecache import LocalSourceFile

from ecogpipe.runtime.fork_server import ForkServer, Job

__all__ = ["Executor", "common_settings"]

common_settings = local.common_settings

_CAN_FORK = sys.platform.startswith("linux")
"""Elsewhere, libraries of the system need not work in a process that was forked, or there are none."""


class Executor(local.Executor):  # type: ignore[misc]  # Snakemake has no types
    """Runs jobs on this machine."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._servers: dict[Path, ForkServer] = {}
        self._lock = Lock()

    def run_single_job(self, job: Any) -> Any:
        """Run a job in a thread that waits for its process; returns the thread's future."""
        script = _plain_script(job)
        if script is None:
            return super().run_single_job(job)
        rule, *arguments = self.job_args_and_prepare(job)
        forking = _ForkingRule(rule.name, rule.script, self._forking(rule.run_func, script, self.workflow.config))
        return self.pool.submit(self.cached_or_run, job, local.run_wrapper, forking, *arguments)

    def shutdown(self) -> None:
        """Wait for the jobs, and end the processes that forked them."""
        super().shutdown()
        self._close_servers()

    def cancel(self) -> None:
        """Do the same."""
        super().cancel()
        self._close_servers()

    def _forking(self, run: Callable[..., None], script: Path, config: dict[str, Any]) -> Callable[..., None]:
        """Return a function that runs a script as the one of its rule does, but in a process that is forked."""
        names = signature(run)

        def fork(*arguments: Any) -> None:
            server = self._server(script)
            try:
                process = server.fork()
            except (EOFError, OSError):
                # The server has ended: an import of the script failed, or something killed it.
                self._forget(script, server)
                run(*arguments)
                return
            of_job = names.bind(*arguments).arguments
            with _measured(process.pid, of_job["bench_record"]):
                status = process.run(_job_of(of_job, script, config))
            _check(status)

        return fork

    def _server(self, script: Path) -> ForkServer:
        with self._lock:
            if script not in self._servers:
                self._servers[script] = ForkServer(script)
            return self._servers[script]

    def _forget(self, script: Path, server: ForkServer) -> None:
        """Let the next job of a script begin with a new server."""
        with self._lock:
            if self._servers.get(script) is server:
                self._servers.pop(script).close()

    def _close_servers(self) -> None:
        while self._servers:
            self._servers.popitem()[1].close()


@dataclass(frozen=True)
class _ForkingRule:
    """What Snakemake asks of a rule when it runs it."""

    name: str
    script: str
    run_func: Callable[..., None]
    shellcmd: None = None
    wrapper: None = None
    cwl: None = None


def _plain_script(job: Any) -> Path | None:
    """Return the Python script of a job that needs no environment of its own; None where it is something else."""
    rule = job.rule
    if not _CAN_FORK:
        return None
    if not str(rule.script or "").endswith(".py") or job.is_shadow:
        return None
    if any((job.conda_env, job.container_img_path, job.env_modules)):
        return None
    source = rule.basedir.join(rule.script)
    return Path(source.get_path_or_uri(secret_free=True)).resolve() if isinstance(source, LocalSourceFile) else None


def _check(status: int) -> None:
    """Raise an error for a job that failed; what its log says already is not said again."""
    if status < 0:
        raise WorkflowError(f"The job was ended by signal {-status} ({Signals(-status).name}).")
    if status:
        raise SpawnedJobError


def _measured(pid: int, record: Any) -> AbstractContextManager[Any]:
    """Measure a process, where a record of it is asked for."""
    return nullcontext() if record is None else benchmarked(pid, record)


def _job_of(arguments: dict[str, Any], script: Path, config: dict[str, Any]) -> Job:
    names = ("input", "output", "params", "wildcards", "threads", "resources", "log")
    found = Snakemake(
        *(arguments[name] for name in names),
        config,
        arguments["rule"],
        arguments["bench_iteration"],
        str(script.parent),
    )
    folder = arguments["resources"].get("tmpdir")
    temporary = dict.fromkeys(("TMPDIR", "TMP", "TEMPDIR", "TEMP"), folder) if folder else {}
    return Job({"snakemake": found}, temporary)
