"""What each job asks for: memory by the sizes of its files; on a cluster also disk and minutes, and more at each attempt."""

from functools import cache
from math import ceil

from ecogpipe.runtime.costs import (
    MB,
    Facts,
    job_threads,
    longest_minutes,
    memory_bytes,
    report_bytes,
    report_memory_bytes,
    room_bytes,
    runner_bytes,
)

# Snakemake calls the functions of all jobs before it starts or shows anything. On one machine, nobody reads the disk and
# the minutes, and a number serves where all recordings need the same memory: a third of a dry run is saved.
FOR_CLUSTER = workflow.nodes is not None or workflow.remote_exec


@cache
def get_facts(name: str) -> Facts:
    """Return what the forecast of a recording's costs goes by; sizes of files are all that is looked at."""
    files = [file for file in RECORDINGS[name].files if file.is_file()]
    is_packed = any(is_hdf5(str(file)) for file in files)
    if is_packed:
        kind = "copied" if IS_COPIED & RECORDINGS[name].overrides.keys() else "linked"
    else:
        kind = "loaded" if any(file.suffix == ".mat" for file in files) else "copied"
    return Facts.from_size(kind, sum(file.stat().st_size for file in files), is_packed)


def grown(amount: float, attempt: int) -> int:
    """Return an amount for the first attempt, twice as much for each further one."""
    return ceil(amount * 2 ** (attempt - 1))


def get_megabytes(n_bytes: int, attempt: int) -> int:
    """Return the memory to ask for: on a cluster, a job also holds the Snakemake that runs it there."""
    on_cluster = workflow.non_local_exec and not workflow.remote_exec
    return grown(n_bytes / MB, attempt) + (ceil(runner_bytes() / MB) if on_cluster else 0)


def of_study(amount: float):
    """Return the function that asks for an amount that does not depend on the recordings."""
    return lambda wildcards, attempt: grown(amount, attempt)


def asked_by(step: str) -> dict:
    """Return what a job of a step asks for: megabytes of memory; on a cluster also of disk with scratch, and minutes."""

    @ends_run_on_error
    def memory(wildcards, attempt):
        return get_megabytes(memory_bytes(step, get_facts(get_name(wildcards))), attempt)

    @ends_run_on_error
    def room(wildcards, attempt):
        return grown(room_bytes(step, get_facts(get_name(wildcards))) / MB, attempt)

    @ends_run_on_error
    def minutes(wildcards, attempt):
        return grown(longest_minutes(step, get_facts(get_name(wildcards))), attempt)

    if FOR_CLUSTER:
        return {"mem_mb": memory, "disk_mb": room, "runtime": minutes}
    amounts = {ceil(memory_bytes(step, get_facts(recording.full_name)) / MB) for recording in PRESENT}
    return {"mem_mb": amounts.pop() if len(amounts) == 1 else memory}


def threads_of(step: str):
    """Return the function that gives the cores of a job of a step."""
    return ends_run_on_error(lambda wildcards: job_threads(step, get_facts(get_name(wildcards))))


def asked_by_report() -> dict:
    """Return what the report asks for, by the pages that it holds."""
    size = len(RECORDINGS), len(config["mirrors"])

    def memory(wildcards, attempt):
        return get_megabytes(report_memory_bytes(*size), attempt)

    return {"mem_mb": memory, "disk_mb": of_study(report_bytes(*size) / MB), "runtime": of_study(30)}
