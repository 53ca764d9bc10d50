"""``ecogpipe verify``: whether the results of a study are what they claim."""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from ecogpipe.checks.verify import Finding, verify_recording, verify_report
from ecogpipe.cli.commands import Study, add_config_arguments, read_study
from ecogpipe.errors import FormatError
from ecogpipe.results.names import REPORT, RecordingFiles
from ecogpipe.study.lock import find_run
from ecogpipe.study.originals import read_made_of
from ecogpipe.study.recordings import Recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it does, to its parser."""
    parser.description = (
        "Reads all results of a study and the original files. Checks that nothing is missing or damaged, "
        "that everything was made from the files that are there, and that each raw.h5 holds the same samples as its "
        "originals, bit for bit. The exit status is 0 where all of it is so."
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="study folder (default: this one)")
    add_config_arguments(parser)
    parser.set_defaults(execute=lambda arguments: _verify(read_study(arguments.folder, arguments)))


def _verify(study: Study) -> int:
    n_faults = 0
    if run := find_run(study.folder):
        print(f"A run is at work here since {run.since}: what it has not made yet counts as a difference.\n")
    for recording in study.recordings:
        name, mirrors = recording.full_name, recording.mirrors_of(study.config["mirrors"])
        files = RecordingFiles(study.results / name)
        n_faults += _print_findings(
            name, chain(_other_source(files.raw, recording), verify_recording(files.folder, mirrors))
        )
    n_faults += _print_findings("report", verify_report(study.results / REPORT))
    checked = f"{len(study.recordings)} recordings" if len(study.recordings) > 1 else "1 recording"
    print(f"\n{checked} checked, {n_faults or 'no'} {'difference' if n_faults == 1 else 'differences'} found.")
    return 1 if n_faults else 0


def _other_source(raw: Path, recording: Recording) -> Iterator[Finding]:
    """Say how raw.h5 was made otherwise than the table says now; of one that cannot be read, other checks say it."""
    with suppress(FormatError):
        if raw.exists() and (difference := read_made_of(raw).difference(recording)):
            yield Finding(raw, f"{difference}, as the table says now; correct the row, or run the workflow")


def _print_findings(name: str, findings: Iterable[Finding]) -> int:
    """Print what is found as it is found; returns the number of faults."""
    counts: Counter[bool] = Counter()
    print(name, flush=True)
    for finding in findings:
        counts[finding.is_fault] += 1
        print(f"  {'DIFFERS' if finding.is_fault else 'ok'}  {finding.path.name}: {finding.text}", flush=True)
    if not counts[True]:
        print("  ok  all outputs are what they claim", flush=True)
    return counts[True]
