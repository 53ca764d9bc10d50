"""The recordings table: one row per recording, read and checked; the files themselves are not opened."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ecogpipe.electrodes.channels import BncLine, split_overrides
from ecogpipe.electrodes.wiring import is_passthru, load_wiring
from ecogpipe.errors import MaskError, SettingsError, WiringError, nearest
from ecogpipe.storage.strict_yaml import load_value
from ecogpipe.storage.tsv import BLANK, Table, read_tsv
from ecogpipe.study.config import check_row, load_schema
from ecogpipe.study.manual_masks import check_manual_mask

_ALL = "all"
"""In the column of mirrors: each of the study."""

_OPTIONAL = ("mirrors",)

COLUMNS = ("subject", "session", "recording", "files", "daq", "headstage", "electrode", "bnc", "overrides")

_TOLD_AT_MOST = 30
"""Lines of a table whose blanks are listed."""

_OF_PATTERNS = frozenset("{}<>")


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
    mirrors : tuple of str
        Names of its mirrors; empty for all of the study.
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
    mirrors: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """Its name in the study: subject/session/recording."""
        return f"{self.subject}/{self.session}/{self.recording}"

    @property
    def acquisition_overrides(self) -> dict[str, Any]:
        """The overrides that say how it was acquired and how its files are to be read."""
        return split_overrides(self.overrides)[0]

    @property
    def channel_overrides(self) -> dict[str, Any]:
        """The overrides that say what its channels are; a change of them needs no new reading of the files."""
        return split_overrides(self.overrides)[1]

    def mirrors_of(self, study: Iterable[str]) -> list[str]:
        """Return the names of its mirrors, of those of the study, in their order."""
        return [name for name in study if not self.mirrors or name in self.mirrors]

    def as_row(self) -> dict[str, Any]:
        """Return the row as values that YAML and JSON can hold."""
        lines = [(line.column, line.kind, line.threshold) for line in self.bnc]
        row = {name: value for name, value in asdict(self).items() if name != "mirrors" or value}
        return row | {
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
    _refuse_blanks(table)
    folder = Path(path).parent.parent if study is None else Path(study)
    recordings = [
        _parse_row(row, folder, f"{path}, line {line}") for line, row in zip(table.lines, table.rows, strict=True)
    ]
    _check_unique(recordings, table)
    return recordings


def check_wirings(recordings: Iterable[Recording], path: str | Path, user_tables: Path | None = None) -> None:
    """Refuse a recording of the table `path` whose set-up has no wiring, in the package or in `user_tables`.

    Raises
    ------
    WiringError
        With the recording, the name that is not known, and the nearest one.
    """
    _check_names([] if user_tables is None else user_tables.glob("*"))
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


def check_mirrors(recordings: Iterable[Recording], path: str | Path, mirrors: Collection[str]) -> None:
    """Refuse a recording of the table `path` that wants a mirror which the study has not.

    Raises
    ------
    SettingsError
        With the recording, and the nearest name.
    """
    for recording in recordings:
        for name in recording.mirrors:
            if name not in mirrors:
                raise SettingsError(
                    f"{path}, recording {recording.full_name}: mirrors names {name!r}. {nearest(name, mirrors)} "
                    f"An empty cell, or {_ALL}, means each."
                )


def check_masks(recordings: Iterable[Recording], folder: Path) -> None:
    """Refuse a manual mask in `folder`, <subject>/<session>.tsv, of no session, or with a recording it has not.

    Raises
    ------
    MaskError
        With the file or its row, and the nearest name.
    """
    _check_names(file for file in folder.rglob("*") if file.is_file())
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


def _check_names(paths: Iterable[Path]) -> None:
    """Refuse files of the config, as wirings and masks, that Snakemake would take for a pattern."""
    for path in paths:
        if found := sorted(set(str(path)) & _OF_PATTERNS):
            raise SettingsError(
                f"{path}: a name with {' or '.join(found)} is taken for a pattern by Snakemake, so rename the file."
            )


def manual_mask_path(folder: Path, subject: str, session: str) -> Path:
    """Return where the manual mask of a session is, or would be."""
    return folder / subject / f"{session}.tsv"


def _check_columns(columns: tuple[str, ...], path: Path) -> None:
    for column in columns:
        if column not in (*COLUMNS, *_OPTIONAL):
            raise SettingsError(f"{path}: there is no column {column!r}. {nearest(column, (*COLUMNS, *_OPTIONAL))}")
        if columns.count(column) > 1:
            raise SettingsError(f"{path}: the column {column!r} is there twice; keep one.")
    missing = [column for column in COLUMNS if column not in columns]
    if missing:
        raise SettingsError(
            f"{path}: the column {missing[0]!r} is missing; its first line must name, separated by tabs: "
            f"{', '.join(COLUMNS)}."
        )


def _check_unique(recordings: list[Recording], table: Table) -> None:
    """Refuse rows of one name, or of names that differ only in case, which some disks take for one."""
    seen: dict[str, tuple[int, str]] = {}
    for line, recording in zip(table.lines, recordings, strict=True):
        first, other = seen.setdefault(recording.full_name.casefold(), (line, recording.full_name))
        if first != line:
            same = "both name the recording" if other == recording.full_name else f"name {other} and"
            only = (
                "" if other == recording.full_name else ", which differ only in case and are one folder on some disks"
            )
            raise SettingsError(
                f"{table.path}: lines {first} and {line} {same} {recording.full_name}{only}; rename one."
            )


def find_shared(recordings: Iterable[Recording], path: str | Path) -> list[str]:
    """Return a sentence for each file that two rows of the table `path` name, which may be meant, or a slip."""
    seen: dict[tuple[Path, str], str] = {}
    sentences = []
    for recording in recordings:
        for file in recording.files:
            # Other arrays or groups of a file are other signals.
            part = repr([recording.overrides.get(name) for name in ("variable", "group", "skip_channels")])
            first = seen.setdefault((file, part), recording.full_name)
            if first != recording.full_name:
                sentences.append(
                    f"{path}: the recordings {first} and {recording.full_name} both name the file {file}: its signals "
                    "are made twice, and are counted twice in the report."
                )
    return sentences


def _check_file_names(files: Iterable[str], where: str) -> None:
    for file in files:
        if found := sorted(set(file) & _OF_PATTERNS):
            raise SettingsError(
                f"{where}: files holds {file!r}; a name with {' or '.join(found)} is taken for a pattern by Snakemake, "
                "so rename the file."
            )
        if "\\" in file:
            raise SettingsError(
                f"{where}: files holds {file!r}; write folders with /, as in {file.replace(chr(92), '/')!r}."
            )
        if file.startswith("~"):
            raise SettingsError(f"{where}: files holds {file!r}; ~ is not understood here, write the whole path.")


def _parse_row(row: dict[str, str], study: Path, where: str) -> Recording:
    cells = {column: cell.strip() for column, cell in row.items()}
    parsed: dict[str, Any] = cells | {
        "files": list(_split(cells["files"], ";")),
        "bnc": [_parse_bnc_line(line, where) for line in _split(cells["bnc"], ",")],
        "overrides": parse_overrides(cells["overrides"], where),
        "mirrors": [name for name in _split(cells.get("mirrors", ""), ",") if name != _ALL],
    }
    check_row(parsed, where)
    _check_file_names(parsed["files"], where)
    if not is_passthru(parsed["daq"]) and not (parsed["headstage"] and parsed["electrode"]):
        raise SettingsError(
            f"{where}: daq is {parsed['daq']!r}, headstage {parsed['headstage']!r}, electrode {parsed['electrode']!r}; "
            "name all three, or give daq 'passthru' for channels that are on no known array."
        )
    parsed["files"] = tuple(study / file for file in parsed["files"])
    parsed["bnc"] = tuple(BncLine(**line) for line in parsed["bnc"])
    parsed["mirrors"] = tuple(parsed["mirrors"])
    return Recording(**parsed)


def _refuse_blanks(table: Table) -> None:
    """Refuse a table that holds blanks, with all of them, by the lines of the file."""
    blanks = {
        line: [column for column, cell in row.items() if BLANK in cell]
        for line, row in zip(table.lines, table.rows, strict=True)
    }
    told = [f"line {line}: {', '.join(columns)}" for line, columns in blanks.items() if columns]
    if not told:
        return
    first = next(columns[0] for columns in blanks.values() if columns)
    meaning = load_schema("recordings")["properties"][first]["description"]
    listed = "; ".join(told[:_TOLD_AT_MOST])
    more = f"; and {len(told) - _TOLD_AT_MOST} lines more" if len(told) > _TOLD_AT_MOST else ""
    raise SettingsError(
        f"{table.path}: holds {BLANK}, a blank that only you can fill, in {listed}{more}. The first of them, {first}: "
        f"{meaning}"
    )


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
            f"{where}: bnc holds {line!r}, whose threshold {text!r} is not a number; give volts, as in 10:ttl_high:1.5."
        )
    return volts


def parse_overrides(cell: str, where: str) -> dict[str, Any]:
    """Read ``key: value; key: value``; `where` names the place in messages.

    A value that is text, as the name of a group, is taken as it stands, in quotes where it holds a semicolon.
    """
    overrides: dict[str, Any] = {}
    for part in _split_unquoted(cell):
        key, separator, value = (text.strip() for text in part.partition(":"))
        if not separator:
            raise SettingsError(
                f"{where}: overrides holds {part!r}; give key: value, separated by semicolons: gain: 10; units: V."
            )
        if key in overrides:
            raise SettingsError(f"{where}: overrides declares {key!r} twice; keep one.")
        is_text = key in _text_keys() and value[:1] not in ("", "'", '"', "[")
        overrides[key] = value if is_text else load_value(value, f"{where}: overrides.{key}")
        if isinstance(overrides[key], dict):
            raise SettingsError(
                f"{where}: overrides.{key} holds {value!r}, a key and a value once more; separate them by a semicolon."
            )
    return overrides


def _split_unquoted(cell: str) -> Iterator[str]:
    """Split at semicolons that stand in no quotes; a quote opens where a value or an entry of a list begins."""
    part, quote, begins = "", "", True
    for character in cell:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"" and begins:
            quote = character
        elif character == ";":
            if part.strip():
                yield part.strip()
            part, begins = "", True
            continue
        begins = character in ":[," or (begins and character.isspace())
        part += character
    if part.strip():
        yield part.strip()


@cache
def _text_keys() -> frozenset[str]:
    """Return the overrides whose values are text."""
    overrides = load_schema("recordings")["properties"]["overrides"]["properties"]
    return frozenset(key for key, about in overrides.items() if _is_text(about))


def _is_text(about: Mapping[str, Any]) -> bool:
    kinds = about.get("type", [])
    return "string" in ([kinds] if isinstance(kinds, str) else kinds) or (
        "enum" in about and all(isinstance(choice, str) for choice in about["enum"])
    )
