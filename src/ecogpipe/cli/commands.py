"""What the modules of the commands share: the study, tables on the screen."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecogpipe.errors import SettingsError, nearest
from ecogpipe.storage.strict_yaml import load_value
from ecogpipe.study.config import read_config
from ecogpipe.study.recordings import Recording, read_recordings


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of cells, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_grid(cells: Sequence[Sequence[str]]) -> None:
    """Print one cell per site, row 0 on top, with the numbers of rows and columns beside them."""
    header = ["", *map(str, range(len(cells[0])))]
    table = [header, *([str(number), *row] for number, row in enumerate(cells))]
    width = max(len(cell) for row in table for cell in row)
    for row in table:
        print(" ".join(cell.rjust(width) for cell in row))


@dataclass(frozen=True)
class Study:
    """A study folder: its checked settings and the rows of its recordings table."""

    folder: Path
    config: dict[str, Any]
    recordings: list[Recording]

    @property
    def results(self) -> Path:
        """Folder of its results."""
        return self.folder / "results"


def read_study(folder: Path, arguments: argparse.Namespace | None = None) -> Study:
    """Read the settings and the recordings table of a study, as a run with the same arguments for settings does.

    Raises
    ------
    EcogpipeError
        If the folder is not a study, or something in its config cannot be used.
    """
    files, changes = ((), {}) if arguments is None else (arguments.configfile, _changes(arguments.config))
    config = read_config(folder, files, changes)
    return Study(folder, config, read_recordings(folder / config["recordings"], folder))


def find_recording(recordings: Sequence[Recording], name: str) -> Recording:
    """Return the recording of this name, given in full or by its last part.

    Raises
    ------
    SettingsError
        If there is none, or several.
    """
    found = [recording for recording in recordings if name in (recording.recording, recording.full_name)]
    if len(found) == 1:
        return found[0]
    full_names = [recording.full_name for recording in found or recordings]
    if found:
        raise SettingsError(f"Several recordings are called {name!r}; write one of {', '.join(full_names)}.")
    known = [*full_names, *(recording.recording for recording in recordings)]
    raise SettingsError(f"There is no recording {name!r} in the study. {nearest(name, known)}")


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments by which a run changes settings, as Snakemake has them."""
    parser.add_argument(
        "--configfile", nargs="+", type=Path, default=[], metavar="FILE", help="further settings, as for `ecogpipe run`"
    )
    parser.add_argument(
        "--config", nargs="+", default=[], metavar="KEY=VALUE", help="single settings, as for `ecogpipe run`"
    )


def _changes(pairs: Sequence[str]) -> dict[str, Any]:
    """Return the values that are given as KEY=VALUE."""
    changes = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise SettingsError(f"--config holds {pair!r}; give KEY=VALUE.")
        changes[key] = load_value(value, f"--config {key}")
    return changes
