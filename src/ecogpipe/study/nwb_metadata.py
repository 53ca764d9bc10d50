"""What an NWB file says that no raw file knows: of subjects and sessions in tables, of the study in its config."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ecogpipe.errors import EcogpipeError, nearest
from ecogpipe.storage.tsv import BLANK, Table, read_tsv
from ecogpipe.study.recordings import Recording

SUBJECTS, SESSIONS = Path("config", "subjects.tsv"), Path("config", "sessions.tsv")

_DURATION = r"P(?=.)(\d+(\.\d+)?Y)?(\d+(\.\d+)?M)?(\d+(\.\d+)?W)?(\d+(\.\d+)?D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?"
_AGE = re.compile(rf"{_DURATION}(/({_DURATION})?)?")
_SPECIES = re.compile(r"[A-Z][a-z]+ [a-z-]+( [a-z-]+)?|http://purl\.obolibrary\.org/obo/NCBITaxon_\d+")
_WEIGHT = re.compile(r"\d+(\.\d+)? (kg|g|mg)")
_PERSON = re.compile(r"[^,;]+, [^,;]+")

_AGE_WORDS = "an ISO 8601 duration such as P90D, or a range P90D/P120D"


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class _Column:
    """A column of a table: which texts it may hold, in a test and in words; whether its cells may be empty."""

    holds: Callable[[str], object] = bool
    words: str = "a text"
    may_be_empty: bool = False


_SUBJECT_COLUMNS: Mapping[str, _Column] = {
    "species": _Column(_SPECIES.fullmatch, "a Latin name such as Rattus norvegicus, or an NCBI taxonomy link"),
    "sex": _Column(frozenset("MFOU").__contains__, "M, F, O (other) or U (unknown)"),
    "date_of_birth": _Column(_is_day, "a day such as 2018-01-31", may_be_empty=True),
    "age": _Column(_AGE.fullmatch, _AGE_WORDS, may_be_empty=True),
    "strain": _Column(may_be_empty=True),
    "genotype": _Column(may_be_empty=True),
    "weight": _Column(_WEIGHT.fullmatch, "a number and its unit such as 0.31 kg", may_be_empty=True),
    "description": _Column(may_be_empty=True),
}

_SESSION_COLUMNS: Mapping[str, _Column] = {
    "session_description": _Column(words="what was done, in a sentence"),
    "location": _Column(words="the area of the brain under the array"),
    "reference": _Column(words="what the electrodes were measured against"),
    "experimenter": _Column(
        lambda text: all(_PERSON.fullmatch(person.strip()) for person in text.split(";")),
        "names as 'Last, First', several of them separated by semicolons",
    ),
    "age": _Column(_AGE.fullmatch, _AGE_WORDS, may_be_empty=True),
}

_STUDY_TEXTS = ("lab", "institution", "experiment_description", "electrode_manufacturer")


def find_metadata(
    study: Path, config: Mapping[str, Any], recordings: Iterable[Recording]
) -> tuple[dict[str, Any], list[str]]:
    """Find what the NWB files of a study say besides their signals, and everything that is wrong with it.

    Parameters
    ----------
    study
        The study folder.
    config
        Its checked settings, of which ``nwb`` and ``mirrors`` are used.
    recordings
        Those that get an NWB file.

    Returns
    -------
    metadata : dict
        By ``subject/session``: ``subject``, ``session`` and ``study``, texts by name; texts that are empty are left
        out.
    faults : list of str
        What is missing or malformed, each with its file and its cell.
    """
    recordings = list(recordings)
    wanted = sorted({(recording.subject, recording.session) for recording in recordings})
    faults: list[str] = []
    for recording in recordings:
        nwb = config["nwb"]
        if nwb["mirrors"] and not nwb["raw"] and not recording.mirrors_of(nwb["mirrors"]):
            faults.append(f"{config['recordings']}: {recording.full_name} has none of the mirrors of nwb.mirrors")
    of_study = _study_texts(config, faults)
    subjects = _rows(study / SUBJECTS, ("subject",), {(subject,) for subject, _ in wanted}, _SUBJECT_COLUMNS, faults)
    sessions = _rows(study / SESSIONS, ("subject", "session"), wanted, _SESSION_COLUMNS, faults)
    for subject, session in wanted:
        about = subjects.get((subject,))
        in_session = sessions.get((subject, session), {})
        if about is not None and not ({"date_of_birth", "age"} & about.keys() or "age" in in_session):
            faults.append(f"{SUBJECTS}: {subject} has neither date_of_birth nor age; fill in one")
    metadata = {
        f"{subject}/{session}": {
            "subject": subjects.get((subject,), {}),
            "session": sessions.get((subject, session), {}),
            "study": of_study,
        }
        for subject, session in wanted
    }
    return metadata, faults


def blank_subjects(sessions: Iterable[tuple[str, str]]) -> str:
    """Return the table of subjects with a row for each and blanks to fill in, of (subject, session)."""
    names = dict.fromkeys((subject,) for subject, _ in sessions)
    return _blank_table(("subject",), names, _SUBJECT_COLUMNS)


def blank_sessions(sessions: Iterable[tuple[str, str]]) -> str:
    """Return the table of sessions, (subject, session), with a row for each and blanks to fill in."""
    return _blank_table(("subject", "session"), dict.fromkeys(sessions), _SESSION_COLUMNS)


def _blank_table(keys: tuple[str, ...], names: Iterable[tuple[str, ...]], columns: Mapping[str, _Column]) -> str:
    blanks = ["" if column.may_be_empty else BLANK for column in columns.values()]
    notes = (f"# {name}: {column.words}{_optional(column)}" for name, column in columns.items())
    lines = [
        "# For NWB files (nwb.make in config.yaml); cells are separated by one tab.",
        *notes,
        "\t".join((*keys, *columns)),
        *("\t".join((*name, *blanks)) for name in names),
    ]
    return "\n".join(lines) + "\n"


def _optional(column: _Column) -> str:
    return ", or nothing" if column.may_be_empty else ""


def _study_texts(config: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    settings = config["nwb"]
    for name in _STUDY_TEXTS:
        if settings[name] == BLANK:
            faults.append(f"config.yaml: nwb.{name} is {BLANK}; write it, or '' to leave it out")
    if BLANK in settings["keywords"]:
        faults.append(f"config.yaml: nwb.keywords holds {BLANK}; write words to find the study by, or []")
    if not settings["mirrors"] and not settings["raw"]:
        faults.append("config.yaml: nwb.mirrors is empty and nwb.raw is false; name a mirror")
    for mirror in settings["mirrors"]:
        if mirror not in config["mirrors"]:
            faults.append(
                f"config.yaml: nwb.mirrors names {mirror!r}. {nearest(mirror, config['mirrors'])}".rstrip(".")
            )
    texts: dict[str, Any] = {name: settings[name] for name in (*_STUDY_TEXTS, "keywords") if settings[name]}
    return texts


def _rows(
    path: Path,
    keys: tuple[str, ...],
    wanted: Collection[tuple[str, ...]],
    columns: Mapping[str, _Column],
    faults: list[str],
) -> dict[tuple[str, ...], dict[str, str]]:
    """Return the filled cells of each row that is wanted; what is wrong with them is added to `faults`."""
    name = Path("config", path.name)
    try:
        table = read_tsv(path)
    except EcogpipeError as error:
        missing = f"{name}: is missing; `ecogpipe init` writes it with blanks to fill in"
        faults.append(str(error) if path.exists() else missing)
        return {}
    known = (*keys, *columns)
    if lost := [column for column in (*keys, *columns) if column not in table.columns and _is_needed(column, columns)]:
        faults.append(f"{name}: has no column {', '.join(lost)}; add it")
    for column in table.columns:
        if column not in known:
            faults.append(f"{name}: has a column {column!r} that is not known. {nearest(column, known)}".rstrip("."))
    return _checked_rows(name, table, keys, wanted, columns, faults)


def _is_needed(column: str, columns: Mapping[str, _Column]) -> bool:
    return column not in columns or not columns[column].may_be_empty


def _checked_rows(
    name: Path,
    table: Table,
    keys: tuple[str, ...],
    wanted: Collection[tuple[str, ...]],
    columns: Mapping[str, _Column],
    faults: list[str],
) -> dict[tuple[str, ...], dict[str, str]]:
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for row in table.rows:
        key = tuple(row.get(column, "").strip() for column in keys)
        if key not in wanted:
            continue
        if key in rows:
            faults.append(f"{name}: {'/'.join(key)} has two rows; keep one")
        rows[key] = {column: row[column].strip() for column in columns if row.get(column, "").strip()}
        for column, rule in columns.items():
            if fault := _fault(row.get(column, "").strip(), rule):
                faults.append(f"{name}: {column} of {'/'.join(key)} {fault}")
    faults += [f"{name}: has no row for {'/'.join(key)}; add one" for key in wanted if key not in rows]
    return rows


def _fault(cell: str, column: _Column) -> str:
    """Say what is wrong with a cell; '' where nothing is."""
    if cell == BLANK or not cell:
        return "" if not cell and column.may_be_empty else f"is {cell or 'empty'}; write {column.words}"
    return "" if column.holds(cell) else f"is {cell!r}; write {column.words}"
