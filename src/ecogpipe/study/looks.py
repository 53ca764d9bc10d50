"""Who looked at which mirror of a recording, when, and at which mask: the table config/looks.tsv."""

import csv
import io
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path

from ecogpipe.errors import FormatError, SettingsError
from ecogpipe.storage.atomic import whole_file
from ecogpipe.storage.tsv import read_tsv

LOOKS = Path("config", "looks.tsv")

_COLUMNS = ("recording", "mirror", "who", "when", "mask")
_MOST_NAME_CHARACTERS = 100


@dataclass(frozen=True)
class Look:
    """A row of the table.

    Attributes
    ----------
    recording, mirror : str
        Full name of the recording, and name of the mirror.
    who : str
        As the person typed it.
    when : str
        Local time, to the minute.
    mask : str
        Digest of the decisions of the mask that was looked at, of `MaskTable.decisions_digest`.
    """

    recording: str
    mirror: str
    who: str
    when: str
    mask: str

    def text(self, mask: str) -> str:
        """Say who looked and when, and whether the mask was changed since.

        Examples
        --------
        >>> Look("s/a/r", "low", "Ann", "2026-01-02 10:00", "x").text("y")
        'Ann, 2026-01-02 10:00, before the last change of the mask'
        """
        return f"{self.who}, {self.when}" + ("" if mask == self.mask else ", before the last change of the mask")


def new_look(recording: str, mirror: str, who: str, mask: str) -> Look:
    """Return the look of a person at a mirror now.

    Raises
    ------
    SettingsError
        If the person has no name, or one that is too long.
    """
    name = " ".join(who.split())
    if not name or len(name) > _MOST_NAME_CHARACTERS or name.startswith(("#", "=", "+", "-", "@")):
        raise SettingsError(
            f"The name {name[:_MOST_NAME_CHARACTERS]!r} cannot be written down; type one that begins with a letter and "
            f"has at most {_MOST_NAME_CHARACTERS} characters."
        )
    return Look(recording, mirror, name, datetime.now().isoformat(" ", "minutes"), mask)


def add_look(path: Path, look: Look) -> Path:
    """Add a row to the table, which changes whole or not at all; it is made where it is absent."""
    there = path.read_bytes() if path.exists() else "\t".join(_COLUMNS).encode() + b"\n"
    if path.exists():
        _check_columns(path, read_tsv(path).columns)
    added = io.StringIO()
    csv.writer(added, delimiter="\t", lineterminator="\n").writerow(astuple(look))
    with whole_file(path) as part:
        part.write_bytes(there + (b"" if there.endswith(b"\n") else b"\n") + added.getvalue().encode())
    return path


def read_looks(path: Path) -> Mapping[tuple[str, str], Look]:
    """Read who looked last at each mirror, by names of recording (in full) and mirror; nothing where absent.

    Raises
    ------
    FormatError
        If the file is not such a table.
    """
    if not path.exists():
        return {}
    table = read_tsv(path)
    _check_columns(path, table.columns)
    looks = (Look(**{name: row[name] for name in _COLUMNS}) for row in table.rows)
    return {(look.recording, look.mirror): look for look in looks}


def _check_columns(path: Path, columns: tuple[str, ...]) -> None:
    if columns != _COLUMNS:
        raise FormatError(f"{path}: has the columns {', '.join(columns)}; they have to be {', '.join(_COLUMNS)}.")
