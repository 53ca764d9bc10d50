"""Seconds, CPU seconds and private memory of a job."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cost:
    """What a job took: seconds on the wall, seconds of CPU of the whole process, peak private bytes above the start."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def cost_of(job: Callable[[], Any]) -> Cost:
    """Run a job once and measure it."""
    with _PeakMemory() as memory:
        wall, cpu = time.perf_counter(), time.process_time()
        job()
        return Cost(time.perf_counter() - wall, time.process_time() - cpu, memory.peak - memory.start)


def alone(job: Callable[..., Any], *arguments: Any) -> Cost:
    """Measure a job in a new process of its own, which imports the job's module before the clock starts."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_measured, job, arguments).result()


def in_turns(*jobs: tuple[Any, ...], rounds: int = 3) -> list[Cost]:
    """Measure jobs, a function and its arguments each, `alone` and in turns; return what the fastest run of each took.

    The peak is that of the run that needed most.
    """
    costs = [[alone(*job) for job in jobs] for _ in range(rounds)]
    return [
        replace(min(runs, key=lambda cost: cost.seconds), peak_bytes=max(cost.peak_bytes for cost in runs))
        for runs in zip(*costs, strict=True)
    ]


def fastest(*jobs: Callable[[], Any], rounds: int = 5) -> list[float]:
    """Return the shortest seconds of each job; they take turns, so that a busy moment hits all of them."""
    best = [float("inf")] * len(jobs)
    for _ in range(rounds):
        for number, job in enumerate(jobs):
            start = time.perf_counter()
            job()
            best[number] = min(best[number], time.perf_counter() - start)
    return best


def _measured(job: Callable[..., Any], arguments: tuple[Any, ...]) -> Cost:
    return cost_of(lambda: job(*arguments))


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
