"""The beginning of a study: a first recordings table, filled from the names of raw files as far as names can tell."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ecogpipe.electrodes.channels import split_overrides
from ecogpipe.electrodes.wiring import PASSTHRU, known_wirings
from ecogpipe.errors import EcogpipeError, SettingsError
from ecogpipe.formats.acquisition import is_of_one_row
from ecogpipe.formats.kinds import RAW_SUFFIXES
from ecogpipe.formats.listing import suggested_cell
from ecogpipe.formats.reading import read_header
from ecogpipe.storage.tsv import BLANK, Table
from ecogpipe.study.recordings import COLUMNS, parse_overrides

_PART = re.compile(r"(?P<stem>.+?)[ _.-]+(?:part|chunk|split|segment|seg)[ _.-]*(?P<number>\d{1,4})", re.IGNORECASE)
"""A file that says that it is a part, by a whole word: ``attempt1`` and ``ecog_pt1`` (a patient) are none.

A bare number at the end may as well be that of a recording, and is its name.
"""

_NOT_RAW = {"results", "logs", "config"}
_PASSTHRU = {"daq": PASSTHRU, "headstage": "", "electrode": "", "bnc": ""}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Draft:
    """A row of the table as far as the files' names and folders tell it; what they do not tell is `BLANK`."""

    subject: str
    session: str
    recording: str
    files: tuple[str, ...]
    suggested: Mapping[str, str] = field(default_factory=dict)
    why: str = ""

    def lines(self, columns: Sequence[str] = COLUMNS) -> list[str]:
        """Return the row for a table with these columns, below a comment on what is suggested in it."""
        known = {
            "subject": self.subject,
            "session": self.session,
            "recording": self.recording,
            "files": "; ".join(self.files),
            "overrides": "",
            "mirrors": "",
        }
        cells = {**known, **self.suggested}
        row = "\t".join(cells.get(column, BLANK) for column in columns)
        return [f"# {self.recording}: {self.why}", row] if self.why else [row]


def draft_recordings(raw: Path, study: Path) -> list[Draft]:
    """Return a row for each recording among the files below a folder, in natural order of their names.

    Files that call themselves parts (``x_part1.tdms``, ``x_part2.tdms``) become one recording; the place of a part that
    is not there is left blank. Files in ``<subject>/<session>/`` take both names from their folders.

    Parameters
    ----------
    raw
        Folder of raw files; folders in it are searched too.
    study
        The study folder, which the files are named relative to.

    Raises
    ------
    SettingsError
        If the folder does not exist or holds no raw files, or a file's name cannot stand in the table.
    """
    if not raw.is_dir():
        raise SettingsError(f"{raw}: there is no such folder; give the folder that holds the raw files.")
    files = sorted(_raw_files(raw, study), key=lambda file: natural_key(file.relative_to(raw).as_posix()))
    if not files:
        raise SettingsError(f"{raw}: holds no raw files ({', '.join(RAW_SUFFIXES)}); give the folder that does.")
    drafts = [_draft(stem, parts, raw, study) for stem, parts in _recordings(files)]
    return [_with_suggestions(draft, study) for draft in _with_own_names(drafts)]


def new_drafts(drafts: Sequence[Draft], table: Table) -> list[Draft]:
    """Return the drafts none of whose files stands in a table, named apart from its recordings."""
    known = {Path(os.path.normpath(name.strip())) for row in table.rows for name in row.get("files", "").split(";")}
    names = ("subject", "session", "recording")
    taken = {tuple(row.get(name, "").strip().casefold() for name in names) for row in table.rows}
    fresh = [draft for draft in drafts if known.isdisjoint(Path(os.path.normpath(file)) for file in draft.files)]
    return [_numbered(draft, taken) for draft in fresh]


def with_rows(text: str, drafts: Sequence[Draft], columns: Sequence[str]) -> str:
    """Return the text of a table with rows for drafts at its end; what is there stays as it is."""
    lines = [line for draft in drafts for line in draft.lines(columns)]
    return text + ("" if text.endswith("\n") or not text else "\n") + "".join(f"{line}\n" for line in lines)


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts names as a person would: by their numbers where they have some.

    Examples
    --------
    >>> sorted(["part10", "part9"], key=natural_key)
    ['part9', 'part10']
    """
    return [(int(piece), "") if piece.isdigit() else (-1, piece.casefold()) for piece in re.split(r"(\d+)", name)]


def _raw_files(raw: Path, study: Path) -> Iterator[Path]:
    for file in raw.rglob("*"):
        inside = file.relative_to(raw).parts
        own = file.is_relative_to(study) and file.relative_to(study).parts[0] in _NOT_RAW
        if file.suffix.lower() in RAW_SUFFIXES and file.is_file() and not own and not _any_hidden(inside):
            yield file


def _any_hidden(names: Iterable[str]) -> bool:
    """Return whether a file or a folder above it is hidden, as macOS's ``._name``, but not ``..``."""
    return any(name.startswith(".") and not name.startswith("..") for name in names)


def _recordings(files: Sequence[Path]) -> list[tuple[str, dict[int, Path] | Path]]:
    """Group files into recordings: the stem of its name, and one file, or parts by their number."""
    groups: dict[tuple[Path, str, str], list[tuple[int, Path]]] = defaultdict(list)
    for file in files:
        part = _PART.fullmatch(file.stem)
        if part:
            groups[file.parent, part["stem"], file.suffix.lower()].append((int(part["number"]), file))
        else:
            groups[file.parent, file.stem, file.suffix.lower()].append((-1, file))
    recordings: list[tuple[str, dict[int, Path] | Path]] = []
    for (_, stem, _), members in groups.items():
        numbers = [number for number, _ in members]
        if len(set(numbers)) == len(numbers) and -1 not in numbers and _are_parts(numbers):
            recordings.append((stem, dict(members)))
        else:
            recordings += [(file.stem, file) for _, file in members]
    return recordings


def _are_parts(numbers: Sequence[int]) -> bool:
    """Return whether numbers count parts from 0 or 1 on, fewer missing than there: not dates or times of day.

    Examples
    --------
    >>> _are_parts([0, 1]), _are_parts([1, 3]), _are_parts([1530])
    (True, True, False)
    """
    n_expected = max(numbers) - min(1, *numbers) + 1
    return n_expected - len(numbers) < len(numbers)


def _draft(stem: str, found: dict[int, Path] | Path, raw: Path, study: Path) -> Draft:
    if isinstance(found, Path):
        folder, files = found.parent, [_in_table(found, study)]
    else:
        folder = next(iter(found.values())).parent
        numbers = range(min(1, *found), max(found) + 1)
        files = [_in_table(found[number], study) if number in found else BLANK for number in numbers]
    subject, session = (BLANK, BLANK, *(_name(part) for part in folder.relative_to(raw).parts))[-2:]
    if len(folder.relative_to(raw).parts) > 2:
        subject, session = BLANK, BLANK
    return Draft(subject, session, _name(stem), tuple(files))


def _with_suggestions(draft: Draft, study: Path) -> Draft:
    """Return a draft with what its first file tells: the one set-up that fits it, its BNC columns, what to declare."""
    if BLANK in draft.files:
        return draft
    # The study folder need not be there yet, so that no .. can lead out of it.
    path = Path(os.path.normpath(study.absolute() / draft.files[0]))
    try:
        acquisition = read_header(path).acquisition
    except (EcogpipeError, OSError):
        return _with_declared(draft, path)
    tables = study / "config" / "wiring"
    fitting = [
        wiring
        for wiring in known_wirings(tables if tables.is_dir() else None)
        if wiring.fits(acquisition.n_rows, acquisition.n_columns)
    ]
    bnc_columns = range(acquisition.n_columns, acquisition.n_columns + acquisition.n_bncs)
    suggested = {"bnc": ", ".join(f"{column}:{BLANK}" for column in bnc_columns)}
    extent = f"{acquisition.n_rows} x {acquisition.n_columns} channels"
    why = f"the file has {extent} and {acquisition.n_bncs} BNC columns"
    if len(fitting) == 1:
        [wiring] = fitting
        suggested |= dict(zip(("daq", "headstage", "electrode"), wiring.names, strict=True))
        why += "; the set-up is a suggestion, as no other that is known fits: check it"
    elif any(map(is_of_one_row, acquisition.notes)):
        suggested |= _PASSTHRU | {"overrides": f"gain: {BLANK}"}
        why += "; it says nothing of a multiplexer, so that they are taken as they are: check it"
    return replace(draft, suggested=suggested, why=why)


def _with_declared(draft: Draft, path: Path) -> Draft:
    """Return a draft that declares the largest signals of a file as channels in one row, where they can be that.

    Of a file that names anything of a multiplexer, they cannot.
    """
    try:
        cell = suggested_cell(path)
        declared = split_overrides(parse_overrides(_filled(cell), str(path)))[0]
        notes = read_header(path, declared).acquisition.notes
    except (EcogpipeError, OSError):
        return draft
    if not cell.isprintable() or not any(map(is_of_one_row, notes)):
        return draft
    why = "the file does not say enough; a suggestion of its largest signals: check it"
    return replace(draft, suggested=_PASSTHRU | {"overrides": cell}, why=why)


def _filled(cell: str) -> str:
    """Return a suggested cell with values in its blanks by which a file can be read."""
    for name, value in (("units", "V"), ("sampling_interval_unit", "s")):
        cell = cell.replace(f"{name}: {BLANK}", f"{name}: {value}")
    return cell.replace(BLANK, "1")


def _in_table(file: Path, study: Path) -> str:
    name = Path(os.path.relpath(file, study)).as_posix()
    if not name.isprintable() and any("\udc80" <= character <= "\udcff" for character in name):
        raise SettingsError(
            f"{os.fsencode(file)!r}: a name that is not in UTF-8 cannot stand in the table; rename the file."
        )
    if re.search(r"[;\t\n\r\"]", name):
        raise SettingsError(
            f"{file}: a name with a semicolon, a quote or a tab cannot stand in the table; rename the file."
        )
    return name


def _name(text: str) -> str:
    """Make a name for the study from one of the file system; blank where nothing is left of it."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")
    return name if _NAME.fullmatch(name) else BLANK


def _with_own_names(drafts: list[Draft]) -> list[Draft]:
    """Tell recordings of one name apart, also where only case differs: by the kind, the folder, or a number."""
    for own_name in (_with_kind, _with_folder):
        count = Counter(map(_folded, drafts))
        drafts = [own_name(draft) if count[_folded(draft)] > 1 else draft for draft in drafts]
    taken: set[tuple[str, ...]] = set()
    return [_numbered(draft, taken) for draft in drafts]


def _folded(draft: Draft) -> tuple[str, ...]:
    return draft.subject.casefold(), draft.session.casefold(), draft.recording.casefold()


def _with_kind(draft: Draft) -> Draft:
    return replace(draft, recording=f"{draft.recording}_{Path(draft.files[-1]).suffix[1:].lower()}")


def _with_folder(draft: Draft) -> Draft:
    folder = _name(Path(draft.files[-1]).parent.name)
    return replace(draft, recording=f"{folder}_{draft.recording}") if folder != BLANK else draft


def _numbered(draft: Draft, taken: set[tuple[str, ...]]) -> Draft:
    """Return a draft with a number after its name where that is taken; its name is taken then."""
    named, number = draft, 1
    while _folded(named) in taken:
        number += 1
        named = replace(draft, recording=f"{draft.recording}_{number}")
    taken.add(_folded(named))
    return named
