"""Tables of ours on disk: tab-separated values below ``# key: JSON`` lines that say what made them."""

import codecs
import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile, zip_longest
from pathlib import Path
from typing import Any

from ecogpipe.errors import FormatError
from ecogpipe.storage.atomic import whole_file
from ecogpipe.storage.portable import to_json

BLANK = "FILL_IN"
"""What stands in a cell that only a person can fill; a table that still holds it is refused."""


@dataclass(frozen=True)
class Table:
    """A table as read: its header values, its column names, one dict of strings per row, and the line of each."""

    path: Path
    header: dict[str, Any]
    columns: tuple[str, ...]
    rows: list[dict[str, str]]
    lines: tuple[int, ...]


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
    header: dict[str, Any] = {}
    body, numbers = [], []
    for number, line in enumerate(_text_of(path).splitlines(), start=1):
        comment = _comment(line)
        if comment:
            if ": " in comment:
                header |= [_header_entry(comment)]
        elif line.strip():
            body.append(line)
            numbers.append(number)
    if not body:
        raise FormatError(f"{path}: the table is empty; its first line must name the columns, separated by tabs.")
    columns, *rows = (_cells(line, path, number) for line, number in zip(body, numbers, strict=True))
    columns = _without_empty_end([column.strip() for column in columns])
    _refuse_commas(path, columns)
    rows = [row if len(row) <= len(columns) else _without_empty_end(row, len(columns)) for row in rows]
    for number, row in zip(numbers[1:], rows, strict=True):
        if len(row) > len(columns):
            raise FormatError(
                f"{path}: line {number} has {len(row)} cells for {len(columns)} columns; separate cells by one tab."
            )
        if len(row) == 1 < len(columns) and " " in row[0].strip():
            raise FormatError(
                f"{path}: line {number} is one cell, {row[0].strip()!r}, for {len(columns)} columns; separate cells by "
                "one tab, not by spaces."
            )
    # `zip_longest` gives the cells that a short row has not.
    cells = [dict(zip_longest(columns, row, fillvalue="")) for row in rows]
    return Table(path, header, tuple(columns), cells, tuple(numbers[1:]))


def _refuse_commas(path: Path, columns: list[str]) -> None:
    for separator, word in ((",", "commas"), (";", "semicolons")):
        if len(columns) == 1 and separator in columns[0]:
            raise FormatError(
                f"{path}: its first line is separated by {word}, {columns[0]!r}; save the table as tab-separated text."
            )


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


def read_in_rows(path: str | Path) -> tuple[dict[str, Any], tuple[str, ...], Iterator[list[str]]]:
    """Return the header and the columns of a table that `write_tsv` wrote, and its rows one by one as cells.

    Raises
    ------
    FormatError
        If the file does not exist, is not text, or a row has another number of cells than there are columns.
    """
    path = Path(path)
    lines = enumerate(_lines(path), start=1)
    header: dict[str, Any] = {}
    for number, line in lines:
        if not line.startswith("#"):
            columns = tuple(_cells(line, path, number))
            return header, columns, _rows(path, lines, len(columns))
        header |= [_header_entry(line)] if ": " in line else []
    raise FormatError(f"{path}: the table is empty; its first line must name the columns, separated by tabs.")


def _lines(path: Path) -> Iterator[str]:
    with _refused(path), path.open(encoding="utf-8-sig", newline="") as file:
        yield from (line.rstrip("\r\n") for line in file)


def _rows(path: Path, lines: Iterable[tuple[int, str]], n_columns: int) -> Iterator[list[str]]:
    for number, line in lines:
        if not line:
            continue
        cells = line.split("\t")
        if len(cells) != n_columns:
            raise FormatError(f"{path}: line {number} has {len(cells)} cells for {n_columns} columns; make it again.")
        yield cells


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a table is read into a sentence."""
    try:
        yield
    except FileNotFoundError:
        raise FormatError(f"{path}: there is no such table; check the name.") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions.") from None
    except UnicodeError:
        raise FormatError(
            f"{path}: is not a text file in UTF-8; save it as tab-separated text in UTF-8 (Excel: Unicode text)."
        ) from None


def _text_of(path: Path) -> str:
    """Return the text of a table in UTF-8, or in UTF-16 with its mark, as spreadsheets save it."""
    with _refused(path):
        content = path.read_bytes()
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    if "\x00" in text:
        raise FormatError(f"{path}: is not a text file, it holds null characters; save it as tab-separated text.")
    return text


def _comment(line: str) -> str:
    """Return a line that is a comment, without the quotes and empty cells of a spreadsheet; '' where it is none."""
    if "#" not in line:
        return ""
    bare = line.strip()
    if bare.startswith('"#'):
        return next(csv.reader([bare], delimiter="\t"))[0]
    return bare.rstrip("\t") if bare.startswith("#") else ""


def _without_empty_end(cells: list[str], shortest: int = 0) -> list[str]:
    """Leave out empty cells at the right, down to a number of cells."""
    last = len(cells)
    while last > shortest and not cells[last - 1].strip():
        last -= 1
    return cells[:last]


def _header_entry(line: str) -> tuple[str, Any]:
    key, _, value = line.removeprefix("#").partition(": ")
    return key.strip(), _from_json(value)


def _cells(line: str, path: Path, number: int) -> list[str]:
    """Split one line; quotes are understood, as spreadsheets write them, but no cell reaches into the next line."""
    if '"' not in line:
        return line.split("\t")
    try:
        return next(csv.reader([line], delimiter="\t", strict=True))
    except csv.Error:
        raise FormatError(
            f"{path}: the quotes in line {number}, {line!r}, do not match; correct or remove them."
        ) from None


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
