"""``ecogpipe review``: opens the pages of a study in a browser, where decisions can be saved."""

import argparse
import os
import socket
import sys
import webbrowser
from pathlib import Path

from ecogpipe.cli.commands import add_config_arguments, read_study
from ecogpipe.errors import FormatError, SettingsError
from ecogpipe.results.names import REPORT
from ecogpipe.review.server import HOST, ReviewedStudy, ReviewServer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it does, to its parser."""
    parser.description = (
        "Opens the pages of a study in the browser. What is decided there is saved into config/masks, and the next "
        "`ecogpipe run` uses it. A small server on this machine alone serves the pages until Ctrl-C."
    )
    parser.add_argument("study", nargs="?", type=Path, default=Path(), help="study folder (default: this one)")
    parser.add_argument("--port", type=int, default=0, help="port of the server (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="print the address, open no browser")
    add_config_arguments(parser)
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    study = read_study(arguments.study, arguments)
    if not (study.results / REPORT).is_file():
        raise FormatError(f"{study.results / REPORT}: does not exist yet; run `ecogpipe run` first.")
    server = _server(ReviewedStudy(study.folder, study.recordings, study.config["mirrors"]), arguments.port)
    try:
        print(f"Review of {study.folder.resolve()}, until Ctrl-C: {server.first_address}", flush=True)
        if "SSH_CONNECTION" in os.environ:
            port, host = server.server_port, socket.gethostname()
            print(f"From your own machine, first: ssh -N -L {port}:{HOST}:{port} {host}", flush=True)
        elif not arguments.no_browser:
            webbrowser.open(server.first_address)
        server.serve_until_idle()
        print("Nobody has looked for 8 hours; the review has ended.")
    except KeyboardInterrupt:
        print("\nThe review has ended.", file=sys.stderr)
    finally:
        server.server_close()
    return 0


def _server(study: ReviewedStudy, port: int) -> ReviewServer:
    try:
        return ReviewServer(study, port)
    except (OSError, OverflowError) as error:
        raise SettingsError(f"Port {port} of {HOST} cannot be used ({error}); give another, or none.") from error
