"""``ecogpipe report``: writes the index of a study again, or as one file that can be mailed."""

import argparse
from pathlib import Path

from ecogpipe.cli.commands import add_config_arguments, add_overwrite_argument, check_new_file, read_study
from ecogpipe.steps.report import TITLE, report
from ecogpipe.study.looks import LOOKS
from ecogpipe.study.originals import find_missing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it does, to its parser."""
    parser.description = (
        "Writes the index of a study into one file that can be mailed: the table of recordings with the small pictures "
        "of their masks, without links to the pages."
    )
    parser.add_argument("study", nargs="?", type=Path, default=Path(), help="study folder (default: this one)")
    parser.add_argument("--single", required=True, type=Path, metavar="FILE", help="the HTML file to write")
    add_overwrite_argument(parser)
    add_config_arguments(parser)
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    study = read_study(arguments.study, arguments)
    check_new_file(study, arguments.single, overwrite=arguments.overwrite)
    report(
        {recording.full_name: study.results / recording.full_name for recording in study.recordings},
        arguments.single,
        mirrors=list(study.config["mirrors"]),
        other_mirrors={each.full_name: each.mirrors for each in study.recordings if each.mirrors},
        title=TITLE,
        absent=find_missing(study.recordings, study.results, study.config["recordings"]),
        logs=study.folder / "logs",
        looks=study.folder / LOOKS,
        has_links=False,
    )
    print(arguments.single)
    return 0
