"""``ecogpipe init``: a folder becomes a study, with a commented config and a first recordings table."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ecogpipe.electrodes.wiring import known_wirings
from ecogpipe.errors import SettingsError
from ecogpipe.storage.atomic import whole_file
from ecogpipe.storage.tsv import read_tsv
from ecogpipe.study.config import config_folder
from ecogpipe.study.draft import Draft, draft_recordings
from ecogpipe.study.nwb_metadata import SESSIONS, SUBJECTS, blank_sessions, blank_subjects
from ecogpipe.study.recordings import BLANK, COLUMNS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it does, to its parser."""
    parser.description = (
        "Writes a commented config, a recordings table and a folder for masks into FOLDER/config. A file "
        "that is there already stays as it is."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="study folder; made where it does not exist")
    parser.add_argument(
        "--raw", type=Path, metavar="FOLDER_OF_FILES", help="folder of raw files, which become rows of the table"
    )
    parser.set_defaults(execute=lambda arguments: _init(arguments.folder, arguments.raw))


def _init(study: Path, raw: Path | None) -> int:
    config = study / "config"
    table = config / "recordings.tsv"
    if raw is not None and table.exists():
        raise SettingsError(
            f"{table} is there already, and init overwrites nothing; move it away, or add rows by hand."
        )
    drafts = [] if raw is None else draft_recordings(raw.resolve(), study.resolve())
    for folder in ("masks", "wiring"):
        (config / folder).mkdir(parents=True, exist_ok=True)
    for name in ("config.yaml", "README.md"):
        _write_new(config / name, (config_folder() / name).read_text(encoding="utf-8"))
    _write_new(table, _table_text(drafts))
    sessions = _sessions(table)
    _write_new(study / SUBJECTS, blank_subjects(sessions))
    _write_new(study / SESSIONS, blank_sessions(sessions))
    print(f"\n{_next_step(drafts, table)}\nThen: ecogpipe run --directory {study} --dry-run")
    return 0


def _sessions(table: Path) -> list[tuple[str, str]]:
    """Return subject and session of each row of a table, which may still hold blanks."""
    return [(row["subject"], row["session"]) for row in read_tsv(table).rows]


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
        f"# A cell with {BLANK} is refused until you fill it in; leave bnc empty where there are no BNC lines.",
        "# Set-ups that are known (daq | headstage | electrode); any other needs a table in the folder wiring:",
        *set_ups,
        "\t".join(COLUMNS),
        *("\t".join(draft.cells()) for draft in drafts),
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
