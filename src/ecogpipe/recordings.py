"""The recordings table: one row per recording, read and checked; the files themselves are not opened."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from ecogpipe.electrodes.channels import BncLine
from ecogpipe.electrodes.manual_masks import check_manual_mask
from ecogpipe.electrodes.wiring import is_passthru, load_wiring
from ecogpipe.errors import MaskError, SettingsError, WiringError, nearest
from ecogpipe.settings import check_row, load_schema
from ecogpipe.tsv import read_tsv

COLUMNS = ("subject", "session", "recording", "files", "daq", "headstage", "electrode", "bnc", "overrides")

BLANK = "FILL_IN"
"""What stands in a cell that only a person can fill; a table that still holds it is refused."""

CHANNEL_OVERRIDES = ("gain", "pitch_mm", "bnc_numbering")
"""Overrides that the step map_channels uses; all others are for ingest."""


@dataclass(frozen=True)
class Recording:
    """A row of the recordings table.

    Attributes
    ----------
    subject, session, recording : str
        Its names; together they are its full name.
    files : tuple of Path
        Its parts in order, below the study folder.
    daq, headstage, electrode : str
        Its set-up.
    bnc : tuple of BncLine
        The declared BNC lines.
    overrides : dict
        Acquisition values that a person declared, by name.
    """

    subject: str
    session: str
    recording: str
    files: tuple[Path, ...]
    daq: str
    headstage: str
    electrode: str
    bnc: tuple[BncLine, ...]
    overrides: dict[str, Any]

    @property
    def full_name(self) -> str:
        """Its name in the study: subject/session/recording."""
        return f"{self.subject}/{self.session}/{self.recording}"

    @property
    def acquisition_overrides(self) -> dict[str, Any]:
        """The overrides that say how it was acquired and how its files are to be read."""
        return {key: value for key, value in self.overrides.items() if key not in CHANNEL_OVERRIDES}

    @property
    def channel_overrides(self) -> dict[str, Any]:
        """The overrides that say what its channels are; a change of them needs no new reading of the files."""
        return {key: value for key, value in self.overrides.items() if key in CHANNEL_OVERRIDES}

    def as_row(self) -> dict[str, Any]:
        """Return the row as values that YAML and JSON can hold."""
        lines = [(line.column, line.kind, line.threshold) for line in self.bnc]
        return asdict(self) | {
            "files": [file.as_posix() for file in self.files],
            "bnc": [":".join(str(part) for part in line if part is not None) for line in lines],
        }


def read_recordings(path: str | Path, study: str | Path | None = None) -> list[Recording]:
    """Read the recordings table of a study.

    Parameters
    ----------
    path
        The table: tab-separated, lines that start with ``#`` are comments.
    study
        The study folder, which the table's ``files`` are relative to; by default the folder above the table's own.

    Returns
    -------
    list of Recording
        In the order of the table.

    Raises
    ------
    FormatError
        If there is no such table, or it is not tab-separated text.
    SettingsError
        If a column or a cell cannot be used, a recording is there twice, or there is none.
    """
    table = read_tsv(path)
    _check_columns(table.columns, table.path)
    if not table.rows:
        raise SettingsError(f"{path}: the table holds no recordings; add one row for each.")
    folder = Path(path).parent.parent if study is None else Path(study)
    recordings = [_parse_row(row, folder, f"{path}, row {number}") for number, row in enumerate(table.rows, start=1)]
    _check_unique(recordings, table.path)
    return recordings


def check_wirings(recordings: Iterable[Recording], path: str | Path, user_tables: Path | None = None) -> None:
    """Refuse a recording of the table `path` whose set-up has no wiring, in the package or in `user_tables`.

    Raises
    ------
    WiringError
        With the recording, the name that is not known, and the nearest one.
    """
    known: set[tuple[str, str, str]] = set()
    for recording in recordings:
        set_up = recording.daq, recording.headstage, recording.electrode
        if set_up in known or is_passthru(recording.daq):
            continue
        try:
            load_wiring(*set_up, user_tables=user_tables)
        except WiringError as error:
            raise WiringError(f"{path}, recording {recording.full_name}: {error}") from None
        known.add(set_up)


def check_masks(recordings: Iterable[Recording], folder: Path) -> None:
    """Refuse a manual mask in `folder`, <subject>/<session>.tsv, of no session, or with a recording it has not.

    Raises
    ------
    MaskError
        With the file or its row, and the nearest name.
    """
    sessions: dict[Path, list[str]] = {}
    for recording in recordings:
        path = manual_mask_path(folder, recording.subject, recording.session)
        sessions.setdefault(path, []).append(recording.recording)
    for path in sorted(folder.rglob("*.tsv")):
        if path not in sessions:
            name, known = path.relative_to(folder).as_posix(), [one.relative_to(folder).as_posix() for one in sessions]
            raise MaskError(
                f"{path}: is the mask of no session in the recordings table. {nearest(name, known)} Rename it, or move "
                f"it out of {folder}."
            )
    for path, names in sessions.items():
        if path.exists():
            check_manual_mask(path, names)


def manual_mask_path(folder: Path, subject: str, session: str) -> Path:
    """Return where the manual mask of a session is, or would be."""
    return folder / subject / f"{session}.tsv"


def _check_columns(columns: tuple[str, ...], path: Path) -> None:
    for column in columns:
        if column not in COLUMNS:
            raise SettingsError(f"{path}: there is no column {column!r}. {nearest(column, COLUMNS)}")
        if columns.count(column) > 1:
            raise SettingsError(f"{path}: the column {column!r} is there twice; keep one.")
    missing = [column for column in COLUMNS if column not in columns]
    if missing:
        raise SettingsError(
            f"{path}: the column {missing[0]!r} is missing; its first line must name, separated by tabs: "
            f"{', '.join(COLUMNS)}."
        )


def _check_unique(recordings: list[Recording], path: Path) -> None:
    rows: dict[str, int] = {}
    for number, recording in enumerate(recordings, start=1):
        first = rows.setdefault(recording.full_name, number)
        if first != number:
            raise SettingsError(
                f"{path}: rows {first} and {number} both name the recording {recording.full_name}; rename one."
            )


def _parse_row(row: dict[str, str], study: Path, where: str) -> Recording:
    cells = {column: cell.strip() for column, cell in row.items()}
    _refuse_blanks(cells, where)
    parsed: dict[str, Any] = cells | {
        "files": list(_split(cells["files"], ";")),
        "bnc": [_parse_bnc_line(line, where) for line in _split(cells["bnc"], ",")],
        "overrides": parse_overrides(cells["overrides"], where),
    }
    check_row(parsed, where)
    if not is_passthru(parsed["daq"]) and not (parsed["headstage"] and parsed["electrode"]):
        raise SettingsError(
            f"{where}: daq is {parsed['daq']!r}, headstage {parsed['headstage']!r}, electrode {parsed['electrode']!r}; "
            "name all three, or give daq 'passthru' for channels that are on no known array."
        )
    parsed["files"] = tuple(study / file for file in parsed["files"])
    parsed["bnc"] = tuple(BncLine(**line) for line in parsed["bnc"])
    return Recording(**parsed)


def _refuse_blanks(cells: dict[str, str], where: str) -> None:
    for column, cell in cells.items():
        if BLANK in cell:
            meaning = load_schema("recordings")["properties"][column]["description"]
            raise SettingsError(f"{where}: {column} holds {BLANK}, a blank that only you can fill. {meaning}")


def _split(cell: str, separator: str) -> Iterator[str]:
    return (part.strip() for part in cell.split(separator) if part.strip())


def _parse_bnc_line(line: str, where: str) -> dict[str, Any]:
    column, *rest = (part.strip() for part in line.split(":"))
    if len(rest) not in (1, 2) or not column.isdecimal():
        raise SettingsError(
            f"{where}: bnc holds {line!r}; give each line as column:kind, separated by commas: 10:ttl_high, 11:analog."
        )
    kind, *threshold = rest
    declared = {"threshold": _parse_volts(threshold[0], line, where)} if threshold else {}
    return {"column": int(column), "kind": kind} | declared


def _parse_volts(text: str, line: str, where: str) -> float:
    try:
        volts = float(text)
    except ValueError:
        volts = math.nan
    if not math.isfinite(volts):
        raise SettingsError(
            f"{where}: bnc holds {line!r}, whose threshold {text!r} is no number; give volts, as in 10:ttl_high:1.5."
        )
    return volts


def parse_overrides(cell: str, where: str) -> dict[str, Any]:
    """Read ``key: value; key: value``; `where` names the place in messages."""
    overrides: dict[str, Any] = {}
    for part in _split(cell, ";"):
        key, separator, value = (text.strip() for text in part.partition(":"))
        if not separator:
            raise SettingsError(
                f"{where}: overrides holds {part!r}; give key: value, separated by semicolons: gain: 10; units: V."
            )
        if key in overrides:
            raise SettingsError(f"{where}: overrides declares {key!r} twice; keep one.")
        overrides[key] = _parse_value(value, f"{where}: overrides.{key}")
    return overrides


def _parse_value(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_ValueLoader)
    except yaml.YAMLError:
        raise SettingsError(f"{where} is {text!r}, which is no value in YAML; put quotes around the text.") from None


class _ValueLoader(yaml.SafeLoader):
    """YAML in which a time stays text, so that its zone is kept, and 1e3 is a number."""


_ValueLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_ValueLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
