"""What the modules of the commands share: the study, tables on the screen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ecogpipe.errors import SettingsError
from ecogpipe.recordings import Recording, read_recordings
from ecogpipe.settings import check_config


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


def read_study(folder: Path) -> Study:
    """Read the settings and the recordings table of a study.

    Raises
    ------
    EcogpipeError
        If the folder is no study, or something in its config cannot be used.
    """
    path = folder / "config" / "config.yaml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such file, so {folder} is no study; name the study folder.") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: is no YAML ({' '.join(str(error).split())}); correct it.") from None
    check_config(config or {}, where=str(path))
    return Study(folder, config, read_recordings(folder / config["recordings"], folder))
