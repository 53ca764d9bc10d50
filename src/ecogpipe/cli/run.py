"""``ecogpipe run``: the workflow on the study in the current folder."""

import subprocess
import sys
from collections.abc import Sequence

from ecogpipe.cli.commands import Commands
from ecogpipe.settings import workflow_folder


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "run",
        help="run the workflow on the study in the current folder",
        usage="ecogpipe run [arguments of snakemake]",
        description="Runs the workflow on the study in the current folder. All arguments go to Snakemake, e.g. "
        "--cores 2, --dry-run, --directory FOLDER; `snakemake --help` lists them.",
    )
    parser.set_defaults(execute=lambda arguments: run_snakemake(arguments.rest), takes_rest=True)


def run_snakemake(arguments: Sequence[str]) -> int:
    """Run Snakemake on the workflow with these arguments; returns its exit status."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(workflow_folder() / "Snakefile"), *arguments]
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # Snakemake hears the same Ctrl-C and winds up; its exit status is ours.
            continue
