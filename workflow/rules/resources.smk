"""What each job asks for: memory, disk and minutes, by the sizes of its files, and more at each attempt."""

from functools import cache
from math import ceil

from ecogpipe.forecast import (
    MB,
    Facts,
    longest_minutes,
    memory_bytes,
    report_bytes,
    report_memory_bytes,
    room_bytes,
    runner_bytes,
)


@cache
def get_facts(name: str) -> Facts:
    """Return what the forecast of a recording's costs goes by; sizes of files are all that is looked at."""
    files = [file for file in RECORDINGS[name].files if file.is_file()]
    is_packed = any(is_linked(str(file)) for file in files)
    kind = "linked" if is_packed else "loaded" if any(file.suffix == ".mat" for file in files) else "copied"
    return Facts.from_size(kind, sum(file.stat().st_size for file in files), is_packed)


def grown(amount: float, attempt: int) -> int:
    """Return an amount for the first attempt, twice as much for each further one."""
    return ceil(amount * 2 ** (attempt - 1))


def get_megabytes(n_bytes: int, attempt: int) -> int:
    """Return the memory to ask for: on a cluster, a job also holds the Snakemake that runs it there."""
    on_cluster = workflow.non_local_exec and not workflow.remote_exec
    return grown(n_bytes / MB, attempt) + (ceil(runner_bytes() / MB) if on_cluster else 0)


def memory_of(step: str):
    """Return the function that tells a job of a step how many megabytes to ask for."""
    return lambda wildcards, attempt: get_megabytes(memory_bytes(step, get_facts(get_name(wildcards))), attempt)


def of_study(amount: int):
    """Return the function that asks for an amount that does not depend on the recordings."""
    return lambda wildcards, attempt: grown(amount, attempt)


def get_memory_of_report(wildcards, attempt) -> int:
    return get_megabytes(report_memory_bytes(len(RECORDINGS), len(config["mirrors"])), attempt)


def get_room_of_report(wildcards, attempt) -> int:
    return grown(report_bytes(len(RECORDINGS), len(config["mirrors"])) / MB, attempt)


def get_minutes_of_report(wildcards, attempt) -> int:
    return grown(30, attempt)


def room_of(step: str):
    """Return the function that tells a job of a step how many megabytes of disk it needs, scratch included."""
    return lambda wildcards, attempt: grown(room_bytes(step, get_facts(get_name(wildcards))) / MB, attempt)


def minutes_of(step: str):
    """Return the function that tells a job of a step how many minutes it may take."""
    return lambda wildcards, attempt: grown(longest_minutes(step, get_facts(get_name(wildcards))), attempt)
