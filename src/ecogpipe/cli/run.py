"""``ecogpipe run``: the workflow on the study in the current folder."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote

from ecogpipe.errors import EcogpipeError, SettingsError
from ecogpipe.results.names import REPORT
from ecogpipe.runtime.job import read_failures
from ecogpipe.runtime.progress import VIEW
from ecogpipe.study.config import read_config_file, workflow_folder
from ecogpipe.study.lock import MARK, hold_study

_LOOKS_ONLY = frozenset((
    "-n", "-np", "-pn", "--dry-run", "--dryrun", "-h", "--help", "-v", "--version", "-l", "--list", "-t",
    "--list-target-rules", "-D", "--detailed-summary", "-S", "--summary", "--dag", "--rulegraph", "--filegraph",
    "--lint", "--report", "--unlock",
))  # fmt: skip
"""Arguments with which Snakemake makes nothing of a study, and may do so while another run is at work."""

_WHOLE_LOG = "--verbose"
"""Brings Snakemake's own log to the terminal; Snakemake has a word of the same name for much more."""

_LEAST_COLUMNS = 60

_ALWAYS = ("--keep-going", "--rerun-incomplete")
"""One broken recording must not hold up the others; what a killed run may have left incomplete is made again."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it does, to its parser."""
    parser.usage = "ecogpipe run [--directory FOLDER] [arguments of snakemake]"
    parser.description = (
        "Runs the workflow on the study in the current folder, or in --directory FOLDER. All other "
        "arguments go to Snakemake, e.g. --cores 2, --dry-run; `snakemake --help` lists them. On a terminal, one line "
        "says how far it is; --verbose shows Snakemake's log in its place."
    )
    parser.set_defaults(execute=lambda arguments: run_snakemake(arguments.rest), takes_rest=True)


def run_snakemake(arguments: Sequence[str]) -> int:
    """Run Snakemake on the workflow with these arguments; returns its exit status.

    A run that makes something holds the study meanwhile, and ends with a sentence for each job that failed.

    Raises
    ------
    SettingsError
        If the study folder does not exist.
    StudyBusyError
        If another run is at work in it.
    """
    if arguments and (Path(arguments[0]) / "config").is_dir():
        raise SettingsError(
            f"{arguments[0]} is a study folder; write --directory {quote(arguments[0])} for the study in it."
        )
    study = _study_folder(arguments)
    if not study.is_dir():
        raise SettingsError(
            f"{study}: there is no such folder; `ecogpipe init {quote(str(study))}` begins a study in it."
        )
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(workflow_folder() / "Snakefile"), *arguments]
    environment = _with_cache(os.environ, study)
    for file in _config_files(study, arguments):
        read_config_file(file)
    if _LOOKS_ONLY.intersection(arguments):
        return _wait_for(command, environment)[0]
    if not (study / "config" / "config.yaml").is_file() and not _names_config(arguments):
        raise SettingsError(
            f"{study}: there is no study here, as config/config.yaml is missing; begin one with "
            f"`ecogpipe init {quote(str(study))}`, or give another folder with --directory."
        )
    calm = _shows_calm_view(arguments)
    view = ["--logger", "ecogpipe"] if calm else []
    own = [argument for argument in command if argument != _WHOLE_LOG]
    with hold_study(study) as held:
        marked = {**environment, MARK: held.run.mark, **({VIEW: "1"} if calm else {})}
        status, interrupted = _wait_for([*own, *_ALWAYS, *view], marked)
        if status < 0:
            # Its jobs may be at work still; as this is not an end in order, the next run will find its name, and them.
            raise EcogpipeError(f"{study}: the run was killed (signal {-status}); run again to go on.")
        if status and not interrupted:
            _print_failures(study, held.started)
        elif calm and not status:
            _print_end(study, held.started)
    return status


def _shows_calm_view(arguments: Sequence[str]) -> bool:
    """Return whether one line is shown in place of Snakemake's log: on a terminal that is wide enough for it."""
    of_the_log = "--verbose", "--logger", "--quiet", "--print", "--debug", "-p", "-q"
    is_asked_for_more = any(argument.startswith(of_the_log) for argument in arguments)
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return is_terminal and not is_asked_for_more and shutil.get_terminal_size().columns >= _LEAST_COLUMNS


def _print_end(study: Path, since: float) -> None:
    """Say what was made, and where to look."""
    results = study / "results"
    made = [path for path in results.rglob("*") if path.is_file() and path.stat().st_mtime >= since]
    megabytes = sum(path.stat().st_size for path in made) / 1e6
    if made:
        print(f"Made {len(made)} files, {megabytes:.3g} MB, in {time.time() - since:.0f} s.", file=sys.stderr)
    else:
        print("Nothing to be done: everything is made.", file=sys.stderr)
    print(f"Report: {results / REPORT}", file=sys.stderr)


def _with_cache(environment: Mapping[str, str], study: Path) -> dict[str, str]:
    """Return an environment in which Snakemake can keep its cache: in the study where the home cannot be written to."""
    usual = Path(environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "/"), ".cache"))
    try:
        (usual / "snakemake").mkdir(parents=True, exist_ok=True)
        is_usable = os.access(usual / "snakemake", os.W_OK)
    except OSError:
        is_usable = False
    return (
        {**environment}
        if is_usable
        else {**environment, "XDG_CACHE_HOME": str(study.absolute() / ".snakemake" / "cache")}
    )


def _config_files(study: Path, arguments: Sequence[str]) -> list[Path]:
    """Return the config files that Snakemake will read, which says no sentence where one cannot be."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", type=Path, default=[])
    named: list[Path] = parser.parse_known_args(arguments)[0].configfile
    own = study / "config" / "config.yaml"
    return [*([own] if own.is_file() else []), *(file for file in named if file.is_file())]


def _names_config(arguments: Sequence[str]) -> bool:
    return any(argument.startswith("--configfile") for argument in arguments)


def _study_folder(arguments: Sequence[str]) -> Path:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--directory", "-d", type=Path, default=Path())
    folder: Path = parser.parse_known_args(arguments)[0].directory
    return folder


def _wait_for(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, bool]:
    """Run a program; returns its exit status, and whether it was interrupted."""
    process, interrupted = subprocess.Popen(command, env=environment), False
    while True:
        try:
            return process.wait(), interrupted
        except KeyboardInterrupt:
            # Snakemake hears the same Ctrl-C and winds up; its exit status is ours.
            interrupted = True


def _print_failures(study: Path, since: float) -> None:
    """Say what failed and what to do, as the last lines on the screen."""
    failures = read_failures(study / "logs", since)
    if not failures:
        return
    print("\nEverything is made but for what failed here. Do what these lines say, then run again:", file=sys.stderr)
    for failure in failures:
        print(failure, file=sys.stderr)
