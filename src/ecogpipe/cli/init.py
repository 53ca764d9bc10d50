"""``ecogpipe init``: a folder becomes a study, with a commented config and a first recordings table."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from ecogpipe.electrodes.wiring import known_wirings
from ecogpipe.errors import SettingsError
from ecogpipe.storage.atomic import whole_file
from ecogpipe.storage.tsv import BLANK, read_tsv
from ecogpipe.study.config import config_folder
from ecogpipe.study.draft import Draft, draft_recordings, new_drafts, with_rows
from ecogpipe.study.nwb_metadata import SESSIONS, SUBJECTS, blank_sessions, blank_subjects
from ecogpipe.study.recordings import COLUMNS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it does, to its parser."""
    parser.description = (
        "Writes a commented config, a recordings table and a folder for masks into FOLDER/config. A file "
        "that is there already stays as it is; rows for files that the table does not name yet are added at its end."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="study folder; made where it does not exist")
    parser.add_argument(
        "--raw", type=Path, metavar="FOLDER_OF_FILES", help="folder of raw files, which become rows of the table"
    )
    parser.set_defaults(execute=lambda arguments: _init(arguments.folder, arguments.raw))


def _init(study: Path, raw: Path | None) -> int:
    config = study / "config"
    table = config / "recordings.tsv"
    drafts = [] if raw is None else draft_recordings(raw.resolve(), study.resolve())
    for folder in ("masks", "wiring"):
        (config / folder).mkdir(parents=True, exist_ok=True)
    for name in ("config.yaml", "README.md"):
        _write_new(config / name, (config_folder() / name).read_text(encoding="utf-8"))
    if table.exists() and raw is not None:
        drafts = _add_rows(table, drafts)
    else:
        _write_new(table, _table_text(drafts))
    sessions = _sessions(table)
    _write_new(study / SUBJECTS, blank_subjects(sessions))
    _write_new(study / SESSIONS, blank_sessions(sessions))
    print(f"\n{_next_step(drafts, table)}\nThen: ecogpipe run --directory {quote(str(study))} --dry-run")
    return 0


def _add_rows(table: Path, drafts: Sequence[Draft]) -> list[Draft]:
    """Add rows for the recordings that a table has not at its end; every line that is there stays."""
    known = read_tsv(table)
    if missing := [column for column in COLUMNS if column not in known.columns]:
        raise SettingsError(f"{table}: has no column {missing[0]!r}, so that no row can be added; name it first.")
    added = new_drafts(drafts, known)
    try:
        text = table.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{table}: is not in UTF-8, so rows are not added to it; save it as UTF-8 text.") from error
    if added:
        with whole_file(table) as part:
            part.write_text(with_rows(text, added, known.columns), encoding="utf-8", newline="")
    print(f"{f'added    {len(added)} rows to' if added else 'kept    '} {table}")
    return added


def _sessions(table: Path) -> list[tuple[str, str]]:
    """Return subject and session of each row of a table, which may still hold blanks."""
    return [(row.get("subject", BLANK), row.get("session", BLANK)) for row in read_tsv(table).rows]


def _write_new(path: Path, text: str) -> None:
    if path.exists():
        print(f"kept     {path}")
        return
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")
    print(f"written  {path}")


def _table_text(drafts: Sequence[Draft]) -> str:
    set_ups = (f"#   {wiring.daq} | {wiring.headstage} | {wiring.electrode}" for wiring in known_wirings())
    lines = [
        "# One row per recording, cells separated by one tab; README.md beside this file explains the columns.",
        "# `ecogpipe inspect FILE` says what a file holds, and where needed what to write into overrides.",
        f"# A cell with {BLANK} is refused until you fill it in; leave bnc empty where there are no BNC lines.",
        "# Set-ups that are known (daq | headstage | electrode); any other needs a table in the folder wiring,",
        "# or the daq passthru, with headstage and electrode empty, which takes the channels as they are in the file:",
        *set_ups,
        "\t".join(COLUMNS),
        *(line for draft in drafts for line in draft.lines()),
    ]
    return "\n".join(lines) + "\n"


def _next_step(drafts: Sequence[Draft], table: Path) -> str:
    if not drafts:
        return f"Next: add a row for each recording to {table}, and say in config.yaml which mirrors you want."
    n_files = sum(file != BLANK for draft in drafts for file in draft.files)
    return (
        f"{len(drafts)} recordings from {n_files} files. Next: fill in each {BLANK} in {table}, and say in config.yaml "
        "which mirrors you want."
    )
