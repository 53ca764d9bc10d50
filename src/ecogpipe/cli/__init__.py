"""The command ``ecogpipe``: one module for each thing that it does."""

import argparse
import sys
from collections.abc import Sequence

from ecogpipe.cli import demo, init, inspect, mask, plan, run, verify
from ecogpipe.errors import EcogpipeError

# In the order of the help. Each module has add_parser(commands), which adds the command's arguments, its `execute`
# (the parsed arguments in, the exit status out), and `takes_rest` where unknown arguments go on to another program.
_COMMANDS = (init, demo, inspect, plan, run, mask, verify)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, by default those of the program; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="ecogpipe", description="From raw recordings of active electrode arrays to mapped, masked, filtered HDF5."
    )
    parser.set_defaults(takes_rest=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for command in _COMMANDS:
        command.add_parser(commands)
    arguments, rest = parser.parse_known_args(argv)
    if rest and not arguments.takes_rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    try:
        status: int = arguments.execute(arguments)
    except EcogpipeError as error:
        print(error, file=sys.stderr)
        return 1
    return status
