"""Tables of ours on disk: tab-separated values below ``# key: JSON`` lines that say what made them."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from ecogpipe.errors import FormatError
from ecogpipe.outputs import to_json, whole_file


@dataclass(frozen=True)
class Table:
    """A table as read: its header values, its column names, and one dict of strings per row."""

    path: Path
    header: dict[str, Any]
    columns: tuple[str, ...]
    rows: list[dict[str, str]]


def write_tsv(
    path: str | Path, header: Mapping[str, Any], columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> Path:
    """Write a table; it appears whole or not at all. ``None`` becomes an empty cell."""
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"# {key}: {to_json(value)}\n" for key, value in header.items())
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    return Path(path)


def read_tsv(path: str | Path) -> Table:
    """Read a table that `write_tsv` wrote, or one written by hand without header lines.

    Raises
    ------
    FormatError
        If the file does not exist, is not text, has no columns, a row has more cells than there are columns, or
        quotes that do not match.
    """
    path = Path(path)
    with _refused(path):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    header: dict[str, Any] = {}
    body = []
    for line in lines:
        if line.startswith("#"):
            if ": " in line:
                header |= [_header_entry(line)]
        elif line.strip():
            body.append(line)
    if not body:
        raise FormatError(f"{path}: the table is empty; its first line must name the columns, separated by tabs.")
    columns, *rows = (_cells(line, path) for line in body)
    for number, row in enumerate(rows, start=1):
        if len(row) > len(columns):
            raise FormatError(
                f"{path}: row {number} has {len(row)} cells for {len(columns)} columns; separate cells by one tab."
            )
    padded = [dict(zip(columns, row + [""] * (len(columns) - len(row)), strict=True)) for row in rows]
    return Table(path, header, tuple(columns), padded)


def read_header(path: str | Path) -> dict[str, Any]:
    """Read the values above the columns of a table that `write_tsv` wrote, and nothing of its rows.

    Raises
    ------
    FormatError
        If the file does not exist, or is not text.
    """
    path = Path(path)
    with _refused(path), path.open(encoding="utf-8-sig") as file:
        return dict(_header_entry(line) for line in takewhile(lambda line: line.startswith("#"), file) if ": " in line)


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a table is read into a sentence."""
    try:
        yield
    except FileNotFoundError:
        raise FormatError(f"{path}: there is no such table; check the name.") from None
    except UnicodeDecodeError:
        raise FormatError(f"{path}: is not a text file in UTF-8; save it as tab-separated text.") from None


def _header_entry(line: str) -> tuple[str, Any]:
    key, _, value = line.removeprefix("#").partition(": ")
    return key.strip(), _from_json(value)


def _cells(line: str, path: Path) -> list[str]:
    """Split one line; quotes are understood, as spreadsheets write them, but no cell reaches into the next line."""
    try:
        return next(csv.reader([line], delimiter="\t", strict=True))
    except csv.Error:
        raise FormatError(f"{path}: the quotes in the line {line!r} do not match; correct or remove them.") from None


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
