"""Seconds, CPU seconds and private memory of a job."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

# Where the environment names a processor, OpenBLAS takes this one for that, and its kernels for slower ones.
for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_name, None)


@dataclass(frozen=True)
class Cost:
    """What a job took: seconds on the wall, seconds of CPU of the whole process, peak private bytes above the start."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int = 0


def cost_of(job: Callable[[], Any]) -> Cost:
    """Run a job once and measure its time."""
    wall, cpu = time.perf_counter(), time.process_time()
    job()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def alone(job: Callable[..., Any], *arguments: Any) -> Cost:
    """Measure the time of a job in a new process of its own, which imports the job's module before the clock starts."""
    return _in_new_process(_timed, job, arguments)


def peak_alone(job: Callable[..., Any], *arguments: Any) -> int:
    """Return the peak private bytes of a job in a new process of its own; watching them takes time from the job."""
    return _in_new_process(_watched, job, arguments)


def in_turns(*jobs: tuple[Any, ...], rounds: int = 3, watched_rounds: int = 1) -> list[Cost]:
    """Measure jobs, a function and its arguments each, `alone` and in turns; return what the fastest run of each took.

    The peak is the largest of further runs.
    """
    costs = [[alone(*job) for job in jobs] for _ in range(rounds)]
    peaks = [[peak_alone(*job) for job in jobs] for _ in range(watched_rounds)]
    return [
        replace(min(runs, key=lambda cost: cost.seconds), peak_bytes=max(peaks_of_job))
        for runs, peaks_of_job in zip(zip(*costs, strict=True), zip(*peaks, strict=True), strict=True)
    ]


def blas_kernels() -> str:
    """Name the kernels that NumPy's products run on."""
    return _in_new_process(_blas_kernels)


def fastest(*jobs: Callable[[], Any], rounds: int = 5) -> list[float]:
    """Return the shortest seconds of each job; they take turns, so that a busy moment hits all of them."""
    best = [float("inf")] * len(jobs)
    for _ in range(rounds):
        for number, job in enumerate(jobs):
            start = time.perf_counter()
            job()
            best[number] = min(best[number], time.perf_counter() - start)
    return best


def _in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def _timed(job: Callable[..., Any], arguments: tuple[Any, ...]) -> Cost:
    return cost_of(lambda: job(*arguments))


def _watched(job: Callable[..., Any], arguments: tuple[Any, ...]) -> int:
    with _PeakMemory() as memory:
        job(*arguments)
    return memory.peak - memory.start


def _blas_kernels() -> str:
    import_module("numpy")
    return " and ".join(sorted({info["architecture"] for info in threadpool_info() if info["user_api"] == "blas"}))


class _PeakMemory:
    """Watches the private memory of this process (RssAnon); mapped files do not count."""

    def __enter__(self) -> "_PeakMemory":
        self.start = self.peak = _private_bytes()
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.005):
            self.peak = max(self.peak, _private_bytes())


def _private_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024
