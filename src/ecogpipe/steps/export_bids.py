"""A BIDS-iEEG folder around the NWB files of a study."""

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ecogpipe.errors import OutputError, SettingsError
from ecogpipe.exchange import bids
from ecogpipe.exchange.nwb_content import seconds_of_frames
from ecogpipe.figures.wording import read_mirror_facts
from ecogpipe.results.channels import read_channels
from ecogpipe.results.events import read_events
from ecogpipe.results.identity import check_same_signal
from ecogpipe.results.mask import read_mask
from ecogpipe.results.names import RecordingFiles
from ecogpipe.results.recording import open_raw
from ecogpipe.runtime.progress import progress
from ecogpipe.storage.atomic import whole_file


def export_bids(
    folders: Mapping[str, Path],
    target: Path,
    *,
    mirrors: Sequence[str],
    metadata: Mapping[str, Any],
    task: str,
    name: str,
) -> Path:
    """Write a BIDS-iEEG folder: the NWB file of each recording, copied, and the tables beside it.

    Parameters
    ----------
    folders
        The results of each recording, by its full name; each has its NWB file.
    target
        The folder to write, which must not hold anything yet.
    mirrors
        Names of the mirrors that the NWB files hold; the tables are of the first one.
    metadata
        What `find_metadata` returned.
    task
        What the subject did, e.g. ``rest``: BIDS has it in every name.
    name
        Of the dataset.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    SettingsError
        If two recordings get the same name, or an NWB file is missing.
    OutputError
        If the folder holds something already.
    IdentityError
        If the results of a recording are of several.
    """
    names = bids.bids_names(list(folders), task)
    files = {full_name: RecordingFiles(folder) for full_name, folder in folders.items()}
    if lost := [own.nwb for own in files.values() if not own.nwb.exists()]:
        raise SettingsError(f"{lost[0]}: is not there, and {len(lost)} are missing in all; run `ecogpipe nwb` first.")
    if target.exists() and any(target.iterdir()):
        raise OutputError(f"{target}: holds something already; name a new folder, or empty this one.")
    n_bytes = sum(own.nwb.stat().st_size for own in files.values())
    with progress("BIDS", n_bytes) as advance:
        for full_name, own in files.items():
            _write_recording(target, names[full_name], own, mirrors, metadata[full_name.rpartition("/")[0]])
            advance(own.nwb.stat().st_size)
    subjects = {names[full_name].subject: metadata[full_name.rpartition("/")[0]]["subject"] for full_name in folders}
    study = next(iter(metadata.values()))["study"]
    _write_table(target / "participants.tsv", bids.participants(subjects))
    _write_text(target / "README.md", bids.readme(name, study))
    # Last: a folder without it is none of BIDS, so that one that was left half is not taken for one.
    _write_json(target / "dataset_description.json", bids.dataset_description(name, study, version("ecogpipe")))
    return target


def _write_recording(
    target: Path, name: bids.BidsName, files: RecordingFiles, mirrors: Sequence[str], said: Mapping[str, Any]
) -> None:
    folder, mirror = target / name.folder, files.mirror(mirrors[0]) if mirrors else None
    table, mask, found = read_channels(files.channels), read_mask(files.mask), read_events(files.events)
    check_same_signal(files.raw, files.channels, files.mask, files.events, *([mirror] if mirror else []))
    facts = None if mirror is None else read_mirror_facts(mirror)
    with open_raw(files.raw) as raw:
        session = said["session"]
        seconds = seconds_of_frames(raw.segments, raw.acquisition.rate, files.raw)
        ratio = 1 if facts is None else facts.ratio
        _write_json(folder / name.file("ieeg", "json"), bids.ieeg(name.task, facts, raw, mask, session, said["study"]))
        _write_table(folder / name.file("channels", "tsv"), bids.channels(facts, raw, mask, session))
        _write_table(folder / name.file("events", "tsv"), bids.events(found, seconds, ratio), bids.EVENTS)
    _write_json(folder / name.file("events", "json"), bids.event_columns())
    _write_table(folder / name.file_of_array("electrodes", "tsv"), bids.electrodes(table, mask))
    _write_json(folder / name.file_of_array("coordsystem", "json"), bids.coordinate_system())
    with whole_file(folder / name.file("ieeg", "nwb")) as part:
        shutil.copyfile(files.nwb, part)


def _write_table(path: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str] = ()) -> None:
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    _write_text(path, json.dumps(value, indent=2) + "\n")


def _write_text(path: Path, text: str) -> None:
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")
