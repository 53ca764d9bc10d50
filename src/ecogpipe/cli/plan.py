"""``ecogpipe plan``: what a study will take of disk, memory and time, and whether it fits."""

import argparse
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from pathlib import Path

from ecogpipe.checks.plan import RecordingPlan, plan_recording
from ecogpipe.checks.reruns import describe, find_reruns
from ecogpipe.cli.commands import Study, add_config_arguments, print_columns, read_study
from ecogpipe.errors import EcogpipeError
from ecogpipe.results.names import REPORT, RUN_CONFIG
from ecogpipe.runtime import costs
from ecogpipe.runtime.params import load_params, scratch_setting
from ecogpipe.study.originals import find_copies_alone, find_missing

_COLUMNS = ("recording", "MB in", "MB out", "MB to write", "MB scratch", "MB memory", "minutes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it does, to its parser."""
    parser.description = (
        "Reads the headers of all raw files, and forecasts for each recording and for the study what comes "
        "in, what goes out, scratch, peak memory, and minutes on an ordinary workstation, generously. The exit status "
        "is 0 where all of it fits."
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="study folder (default: this one)")
    parser.add_argument("--cores", type=int, default=load_params().workers, help="cores to use (default: all)")
    add_config_arguments(parser)
    parser.set_defaults(
        execute=lambda arguments: _plan(read_study(arguments.folder, arguments), max(1, arguments.cores))
    )


def _plan(study: Study, cores: int) -> int:
    wirings = study.folder / "config" / "wiring"
    plans, refusals = [], []
    missing = find_missing(study.recordings, study.results, study.config["recordings"])
    alone = set(find_copies_alone(study.recordings)) - missing.keys()
    for recording in study.recordings:
        if recording.full_name in alone:
            print(f"{recording.full_name}: its files are gone; the copy in raw.h5 is used, and is not counted here.")
            continue
        try:
            plans.append(plan_recording(recording, study.config, wirings if wirings.is_dir() else None))
        except EcogpipeError as error:
            refusals.append(f"{recording.full_name} cannot be made: {error}")
    if plans:
        _print_plans(study, plans, cores)
        refusals += _refusals(study, plans, cores)
    masks = study.folder / "config" / "masks"
    again = list(describe(find_reruns(study.recordings, study.results, masks, study.config)))
    for line in again:
        print(line)
    if plans and not again and not refusals and not _bytes_to_write(study, plans):
        print("Nothing is left to make, unless settings, the table or the masks were changed since the last run.")
    for refusal in refusals:
        print(refusal, file=sys.stderr)
    return 1 if refusals else 0


def _print_plans(study: Study, plans: Sequence[RecordingPlan], cores: int) -> None:
    rows = [
        (
            plan.name,
            _megabytes(plan.bytes_in),
            _megabytes(plan.bytes_out),
            _megabytes(plan.missing_bytes(study.results / plan.name)),
            _megabytes(plan.scratch_bytes),
            _megabytes(plan.peak_memory),
            f"{sum(plan.seconds.values()) / 60:.1f}",
        )
        for plan in plans
    ]
    total = (
        f"in all, on {cores} cores" if cores > 1 else "in all, on 1 core",
        _megabytes(sum(plan.bytes_in for plan in plans)),
        _megabytes(sum(plan.bytes_out for plan in plans) + sum(_bytes_of_study(study).values())),
        _megabytes(_bytes_to_write(study, plans)),
        _megabytes(_scratch_at_once(plans, cores)),
        _megabytes(_memory_at_once(study, plans, cores)),
        f"{_minutes(plans, cores):.1f}",
    )
    print_columns([_COLUMNS, *rows, total])


def _extent(study: Study) -> tuple[int, int]:
    """Return how many recordings and mirrors of each there are."""
    return len(study.recordings), len(study.config["mirrors"])


def _bytes_of_study(study: Study) -> dict[str, int]:
    """Return the size of each output that is of no recording, by file name."""
    return {
        RUN_CONFIG: costs.run_config_bytes(len(study.recordings)),
        REPORT: costs.report_bytes(*_extent(study)),
    }


def _bytes_to_write(study: Study, plans: Sequence[RecordingPlan]) -> int:
    missing = sum(plan.missing_bytes(study.results / plan.name) for plan in plans)
    return missing + sum(size for name, size in _bytes_of_study(study).items() if not (study.results / name).exists())


def _at_once(needs: Iterable[tuple[int, int]], cores: int) -> int:
    """Return the most that jobs need which run at the same time, of what each needs and the cores that it takes."""
    total, left = 0.0, cores
    for need, threads in sorted(needs, key=lambda job: job[0] / job[1], reverse=True):
        total += need * min(1, left / threads)
        left = max(0, left - threads)
    return ceil(total)


def _scratch_at_once(plans: Sequence[RecordingPlan], cores: int) -> int:
    """Return the scratch of the mirrors that run at the same time."""
    return _at_once([(plan.scratch_bytes, min(cores, plan.threads["mirror"])) for plan in plans], cores)


def _memory_at_once(study: Study, plans: Sequence[RecordingPlan], cores: int) -> int:
    """Return the memory of as many jobs of a step as run at the same time, of the step that needs most."""
    needs = [costs.report_memory_bytes(*_extent(study))]
    for step in plans[0].memory:
        needs.append(_at_once([(plan.memory[step], min(cores, plan.threads[step])) for plan in plans], cores))
    return max(needs)


def _minutes(plans: Sequence[RecordingPlan], cores: int) -> float:
    """Return the minutes of the whole study: the work over the cores, but no less than the longest recording."""
    work = sum(seconds * min(cores, plan.threads[step]) for plan in plans for step, seconds in plan.seconds.items())
    return max(work / cores, *(sum(plan.seconds.values()) for plan in plans)) / 60


def _refusals(study: Study, plans: Sequence[RecordingPlan], cores: int) -> Iterator[str]:
    """Say what will not fit."""
    to_write, scratch = _bytes_to_write(study, plans), _scratch_at_once(plans, cores)
    results, scratch_dir = _existing(study.results), _existing(load_params().scratch_dir)
    if results.stat().st_dev == scratch_dir.stat().st_dev:
        to_write, scratch = to_write + scratch, 0
    for what, folder, needed in (("results", results, to_write), ("scratch", scratch_dir, scratch)):
        free = shutil.disk_usage(folder).free
        print(f"{folder.resolve()}: {_megabytes(free)} MB free for {what}, {_megabytes(needed)} MB needed")
        if needed > free:
            move = f"set {scratch_setting()}" if what == "scratch" else "move the study"
            yield (
                f"{folder.resolve()} has {_megabytes(free)} MB free, but {what} need {_megabytes(needed)} MB; make "
                f"room, or {move} to a larger disk."
            )
    memory, there = _memory_at_once(study, plans, cores), _physical_memory()
    print(f"memory: {_megabytes(there)} MB in this machine, {_megabytes(memory)} MB needed")
    if memory > there:
        yield (
            f"This machine has {_megabytes(there)} MB of memory, but {cores} cores at work need {_megabytes(memory)} "
            "MB; give `ecogpipe run` fewer --cores, or take a larger machine."
        )


def _existing(folder: Path) -> Path:
    """Return a folder, or the one above it that exists."""
    return next(place for place in (folder, *folder.absolute().parents) if place.is_dir())


def _physical_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _megabytes(n_bytes: float) -> str:
    """Write bytes in whole megabytes, of which anything is at least one."""
    return f"{max(1, round(n_bytes / costs.MB)) if n_bytes else 0:,}"
