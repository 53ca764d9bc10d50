"""``ecogpipe mask``: shows which sites of a recording are masked and why, and adds a person's own decisions."""

import argparse
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from ecogpipe.cli.commands import add_config_arguments, find_recording, print_columns, print_grid, read_study
from ecogpipe.errors import MaskError
from ecogpipe.results.channels import read_channels
from ecogpipe.results.identity import check_same_signal
from ecogpipe.results.mask import MANUAL, MaskTable, read_mask
from ecogpipe.results.names import RecordingFiles
from ecogpipe.results.provenance import read_provenance
from ecogpipe.study.foreign_masks import read_mask_arrays
from ecogpipe.study.manual_masks import (
    ROWS,
    add_to_manual_mask,
    check_manual_mask,
    decide,
    new_row,
    rows_of_recording,
    take_back,
)
from ecogpipe.study.recordings import Recording, manual_mask_path

_EVERY = "*"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it does, to its parser."""
    parser.description = (
        "Shows which sites of a recording are masked, and why. With --drop or --keep it adds rows to "
        "config/masks/<subject>/<session>.tsv; the next `ecogpipe run` uses them."
    )
    parser.epilog = 'example: ecogpipe mask test_001 --drop "site 3,4" --drop "column 7" --reason "loose cable"'
    parser.add_argument("recording", help="its name in the table, or subject/session/recording")
    for word, meaning in (("drop", "not to be used"), ("keep", "to be used, whatever the automatic rule says")):
        parser.add_argument(
            f"--{word}",
            dest="decisions",
            action="append",
            default=[],
            type=partial(_decision, word),
            metavar="WHAT",
            help=f'{meaning}: "site 3,4", "channel 12", "row 2", "column 7", "daq_row 0", "daq_column 5", "file NAME"',
        )
    parser.add_argument(
        "--take-back", action="append", default=[], metavar="WHAT", help="remove the row that was written for it"
    )
    parser.add_argument("--reason", default="", help="why; needed with --drop")
    parser.add_argument("--every", action="store_true", help="of every recording of the session")
    parser.add_argument("--directory", type=Path, default=Path(), help="study folder (default: this one)")
    add_config_arguments(parser)
    parser.set_defaults(execute=_execute)


def _decision(word: str, text: str) -> tuple[str, str]:
    return word, text


def _execute(arguments: argparse.Namespace) -> int:
    study: Path = arguments.directory
    recordings = read_study(study, arguments).recordings
    recording = find_recording(recordings, arguments.recording)
    results = RecordingFiles(study / "results" / recording.full_name)
    manual = manual_mask_path(study / "config" / "masks", recording.subject, recording.session)
    if not (arguments.decisions or arguments.take_back):
        _show(recording.full_name, results)
        _tell_waiting(recording.recording, results.mask, manual)
        return 0
    names = [other.recording for other in recordings if _session(other) == _session(recording)]
    if manual.exists():
        check_manual_mask(manual, names)
    name = _EVERY if arguments.every else recording.recording
    for meant in arguments.take_back:
        print(f"{manual}: {take_back(manual, name, meant)} rows on {meant} of {name} removed")
    if not arguments.decisions:
        return 0
    rows = [new_row(name, text, word, arguments.reason) for word, text in arguments.decisions]
    if results.channels.exists():
        _check_sites(rows, manual, results)
    add_to_manual_mask(manual, rows)
    print(f"{manual}: added, to be used by the next `ecogpipe run`:")
    print_columns([tuple(row.values()) for row in rows])
    return 0


def _session(recording: Recording) -> tuple[str, str]:
    return recording.subject, recording.session


def _check_sites(rows: list[dict[str, str]], manual: Path, results: RecordingFiles) -> None:
    """Refuse rows that name what is not on the array, before they are written."""
    table = read_channels(results.channels)
    for row in rows:
        decide(f"{row['what']} {row['which']}", row, table, manual.parent, read_mask_arrays)


def _show(name: str, results: RecordingFiles) -> None:
    path = results.mask
    if not path.exists():
        raise MaskError(f"{path}: {name} has no mask yet; run `ecogpipe run` first.")
    mask, table = read_mask(path), read_channels(results.channels)
    check_same_signal(path, results.channels)
    print(f"{name}: {mask.keep.sum()} of {len(mask)} sites in use\n")
    signs = np.full(table.grid, " ")
    signs[mask.site_row, mask.site_column] = [_sign(*decided) for decided in zip(mask.keep, mask.origins, strict=True)]
    print_grid(signs.tolist())
    print("\n.  in use   x  dropped by the automatic rule   X  dropped by a person   K  kept by a person\n")
    told = list(_reasons(mask))
    if told:
        print_columns(told)


def _tell_waiting(name: str, mask: Path, manual: Path) -> None:
    """Say where the manual mask has changed since the mask was made."""
    now = rows_of_recording(manual, name) if manual.exists() else []
    if now != read_provenance(mask)["settings"].get(ROWS, []):
        print(f"\n{manual} was changed since: the next `ecogpipe run` makes this mask again.")


def _sign(keep: bool, origin: str) -> str:
    if origin == MANUAL:
        return "K" if keep else "X"
    return "." if keep else "x"


def _reasons(mask: MaskTable) -> Iterator[tuple[str, str, str]]:
    """Yield sites, origin and reason, sites of one row or column fault together."""
    decided = [position for position in range(len(mask)) if mask.origins[position]]
    heads = [mask.reasons[position].partition(":")[0] for position in range(len(mask))]
    decided.sort(key=lambda position: (mask.origins[position], heads[position], mask.site_row[position]))
    for _, group in groupby(decided, key=lambda position: (mask.origins[position], heads[position])):
        members = list(group)
        if len(members) > 1 and (heads[members[0]].split()[-2:-1] in (["row"], ["column"])):
            yield f"{len(members)} sites", mask.origins[members[0]], heads[members[0]]
            continue
        for position in members:
            site = f"site {mask.site_row[position]},{mask.site_column[position]} (channel {mask.channel[position]})"
            yield site, mask.origins[position], mask.reasons[position]
