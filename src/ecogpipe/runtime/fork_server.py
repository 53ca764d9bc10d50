"""Processes that have run the imports of a script, and fork a process for each job of it.

Most of the time of a short job goes into the start of Python and into imports; a fork has both already. Each job is a
process of its own all the same: with its own memory, its own log, and an end that touches no other job.

python -m ecogpipe.runtime.fork_server DESCRIPTOR SCRIPT      (as `ForkServer` starts it)
"""

import ast
import gc
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, Pipe, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from threading import Lock
from types import CodeType
from typing import Any

IMPORTS_LATER = "IMPORTS_LATER"
"""Name of the variable in which a step lists the modules that it imports at the moment of use, and always."""

# A fork takes over one thread alone, so the server must not have others: BLAS on one. Its results do not depend on it.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Job:
    """A run of the script.

    Attributes
    ----------
    variables
        Global variables that the script finds.
    environment
        Environment variables that it finds beside those of the server.
    """

    variables: Mapping[str, Any]
    environment: Mapping[str, str]


class Fork:
    """A process that waits for its job.

    Attributes
    ----------
    pid
        The process.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.pid: int = connection.recv()

    def run(self, job: Job) -> int:
        """Run a job in it to the end; returns its exit status, -N where signal N ended it.

        Raises
        ------
        EOFError
            If the server has ended meanwhile, so that nobody knows.
        """
        with self._connection:
            self._connection.send_bytes(pickle.dumps(job))
            status: int = self._connection.recv()
        return status


class ForkServer:
    """The process that forks for the jobs of one script. It ends with `close`, or with the process that started it.

    Parameters
    ----------
    script
        A Python script; its imports are run once, by the server.

    Attributes
    ----------
    pid
        The process of the server.
    """

    def __init__(self, script: Path) -> None:
        self._lock = Lock()
        self._control, control = socket.socketpair()
        with control:
            # Without -P, Python would take modules from the folder of the study.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(control.fileno()), str(script)],
                pass_fds=[control.fileno()],
                env={**os.environ, **_ONE_THREAD},
            )
        self.pid = self._process.pid

    def fork(self) -> Fork:
        """Start a process for a job, as soon as the imports have run.

        Raises
        ------
        OSError, EOFError
            If the server has ended.
        """
        ours, theirs = Pipe()
        with theirs, self._lock:
            socket.send_fds(self._control, [b"f"], [theirs.fileno()])
        return Fork(ours)

    def close(self) -> None:
        """End the server; jobs that are at work go on."""
        self._control.close()
        self._process.wait()


class _Server:
    """The loop of the server: forks when a job comes, tells when one has ended."""

    def __init__(self, control: socket.socket, script: Path, code: CodeType) -> None:
        self._control, self._script, self._code = control, script, code
        self._jobs: dict[int, tuple[ForkProcess, Connection]] = {}

    def serve(self) -> None:
        """Fork for each job that comes, until the other side closes."""
        while True:
            ready = wait([self._control, *self._jobs])
            for sentinel in self._jobs.keys() & ready:
                self._tell_ended(sentinel)
            if self._control in ready and not self._fork():
                return

    def _fork(self) -> bool:
        """Fork for the next job; returns False where there are no more."""
        message, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        if not message:
            return False
        connection = Connection(descriptors[0])
        process = ForkProcess(target=self._run, args=[connection])
        process.start()
        connection.send(process.pid)
        self._jobs[process.sentinel] = process, connection
        return True

    def _tell_ended(self, sentinel: int) -> None:
        process, connection = self._jobs.pop(sentinel)
        process.join()
        with connection, suppress(BrokenPipeError):  # where nobody waits any more
            connection.send(process.exitcode)
        process.close()

    def _run(self, connection: Connection) -> None:
        """Run the script for a job, in its process."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._control.close()
        for _, other in self._jobs.values():
            other.close()
        with connection:
            job: Job = pickle.loads(connection.recv_bytes())
        os.environ.update(job.environment)
        exec(self._code, {"__name__": "__main__", "__file__": str(self._script), **job.variables})


def import_for(script: ast.Module) -> None:
    """Run the imports at the top of a script, and those that its step does at the moment of use."""
    imports: list[ast.stmt] = [node for node in script.body if isinstance(node, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(imports, type_ignores=[]), "<imports>", "exec"), {})
    steps = [module for name, module in sys.modules.items() if name.startswith("ecogpipe.steps.")]
    for name in {name for step in steps for name in getattr(step, IMPORTS_LATER, ())}:
        import_module(name)


def main(descriptor: int, script: Path) -> None:
    """Serve the jobs of a script."""
    # Ctrl-C reaches every process of the terminal. It ends the jobs; the server ends when Snakemake does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source = ast.parse(script.read_text(encoding="utf-8"), str(script))
    import_for(source)
    code = compile(source, str(script), "exec")
    # All that is there stays: the collector of a job need not look through it, and so copy its pages.
    gc.freeze()
    _Server(socket.socket(fileno=descriptor), script, code).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
