"""The command ``ecogpipe``: one module for each thing that it does."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from ecogpipe.errors import EcogpipeError, printable

_COMMANDS = {
    "init": "begin a study in a folder: config, recordings table, masks",
    "demo": "make a small study with a known truth and run the workflow on it",
    "inspect": "say what a file is, and which wirings fit it",
    "plan": "forecast what the study takes of disk, memory and time, and whether it fits",
    "run": "run the workflow on the study in the current folder",
    "review": "look at the pages of a study in a browser, and save which sites to drop or keep",
    "report": "write the index of the study as one file that can be mailed",
    "mask": "show the mask of a recording, drop or keep sites",
    "export": "write signals of a recording as a plain array, for NumPy, Matlab or as text",
    "nwb": "write NWB files for archives and other programs, or check what they would say",
    "bids": "copy the NWB files of a study into a folder in the order of BIDS",
    "verify": "check that the results are what they claim, and hold the samples of the original files",
}
"""In the order of the help. The module of each has add_arguments(parser), which sets the command's arguments, its
`execute` (the parsed arguments in, the exit status out), and `takes_rest` where unknown arguments go on to another
program. Only that of the command in hand is imported, as some take seconds."""


_OF_THE_SYSTEM = {
    errno.EACCES: "may not be read or written (permission denied); ask its owner for the permission.",
    errno.EPERM: "may not be read or written (not permitted); ask its owner for the permission.",
    errno.EROFS: "is on a disk that is read-only; choose another folder.",
    errno.ENOSPC: "could not be written, as the disk is full; make room, then run again.",
    errno.EDQUOT: "could not be written, as the quota is used up; make room, then run again.",
}


_STOPPED, _NOT_READ = 130, 141
"""Exit statuses that shells give programs which Ctrl-C stopped, and whose output nobody read to its end."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, by default those of the program; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="ecogpipe", description="From raw recordings of active electrode arrays to mapped, masked, filtered HDF5."
    )
    parser.add_argument("--version", action="version", version=f"ecogpipe {version('ecogpipe')}")
    parser.set_defaults(takes_rest=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    words = sys.argv[1:] if argv is None else argv
    for name, meaning in _COMMANDS.items():
        command = commands.add_parser(name, help=meaning)
        if name in words[:1]:
            import_module(f"ecogpipe.cli.{name}").add_arguments(command)
    arguments, rest = parser.parse_known_args(words)
    if rest and not arguments.takes_rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    try:
        status: int = arguments.execute(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("Stopped by Ctrl-C.", file=sys.stderr)
        return _STOPPED
    except BrokenPipeError:
        # What reads the output has seen enough, as `| head` does; Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NOT_READ
    except EcogpipeError as error:
        print(printable(str(error)), file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in _OF_THE_SYSTEM or error.filename is None:
            raise
        print(f"{error.filename}: {_OF_THE_SYSTEM[error.errno]}", file=sys.stderr)
        return 1
    return status
