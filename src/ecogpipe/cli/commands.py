"""What the modules of the commands share: the study, tables on the screen."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecogpipe.errors import SettingsError, nearest
from ecogpipe.formats.kinds import sidecars_of
from ecogpipe.storage.strict_yaml import load_value
from ecogpipe.study.config import read_config
from ecogpipe.study.recordings import Recording, check_mirrors, read_recordings


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
    recordings = read_recordings(folder / config["recordings"], folder)
    check_mirrors(recordings, folder / config["recordings"], config["mirrors"])
    return Study(folder, config, recordings)


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


def add_overwrite_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument without which no file that is there is written anew."""
    parser.add_argument("--overwrite", action="store_true", help="replace the file where it is there already")


def check_new_file(study: Study, file: Path, *, overwrite: bool) -> None:
    """Refuse to write a file that is there, unless it may be replaced; and any that is the study's own.

    Raises
    ------
    SettingsError
        With the file, and what to do.
    """
    owned = [study.results, *(study.folder / name for name in ("config", "logs"))]
    if any(file.resolve().is_relative_to(folder.resolve()) for folder in owned):
        raise SettingsError(f"{file}: is in a folder that only the study writes into; choose another place.")
    if not file.exists():
        return
    raw = [each for recording in study.recordings for each in recording.files]
    files = [study.folder / study.config["recordings"], *raw, *(each for one in raw for each in sidecars_of(one))]
    in_raw = file.resolve().is_relative_to((study.folder / "raw").resolve())
    if in_raw or any(each.exists() and file.samefile(each) for each in files):
        raise SettingsError(f"{file}: is a file of the study, and is not replaced; choose another name.")
    if not overwrite:
        raise SettingsError(f"{file}: is there already; choose another name, or add --overwrite to replace it.")


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
