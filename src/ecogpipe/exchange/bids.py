"""What the files of a BIDS-iEEG folder say, beside the NWB files that hold the signals: tables and JSON, no writing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecogpipe.electrodes.channels import ChannelTable
from ecogpipe.errors import SettingsError
from ecogpipe.figures.wording import MirrorFacts
from ecogpipe.results.events import EventsTable
from ecogpipe.results.mask import MaskTable
from ecogpipe.results.recording import RawRecording

VERSION = "1.10.0"
"""Of BIDS."""

_NOT_KNOWN = "n/a"

_WHAT_IS_HERE = (
    "Recordings of active electrode arrays as NWB files, with the tables of BIDS-iEEG beside them. Each file holds the "
    "signals, the sites, the channels that are not to be used and why, and the edges on trigger lines.\n"
)

EVENTS = ("onset", "duration", "trial_type", "sample")
"""Columns of the table of events, which may have no rows."""

Table = list[dict[str, str]]


@dataclass(frozen=True)
class BidsName:
    """The parts of the names of a recording's files.

    Examples
    --------
    >>> BidsName("s1", "a", "rest", "test001").file("events", "tsv")
    'sub-s1_ses-a_task-rest_acq-test001_events.tsv'
    """

    subject: str
    session: str
    task: str
    recording: str

    @property
    def folder(self) -> str:
        """Folder of the files."""
        return f"sub-{self.subject}/ses-{self.session}/ieeg"

    def file(self, suffix: str, extension: str) -> str:
        """Return the name of a file of the recording."""
        entities = f"sub-{self.subject}_ses-{self.session}_task-{self.task}_acq-{self.recording}"
        return f"{entities}_{suffix}.{extension}"

    def file_of_array(self, suffix: str, extension: str) -> str:
        """Return the name of a file that is of the array, not of a task."""
        return f"sub-{self.subject}_ses-{self.session}_acq-{self.recording}_{suffix}.{extension}"


def bids_names(full_names: Sequence[str], task: str) -> dict[str, BidsName]:
    """Return the BIDS names of recordings, by their full names: letters and digits only.

    Raises
    ------
    SettingsError
        If two names become the same, or one is empty.

    Examples
    --------
    >>> bids_names(["s1/2018-01-01_a/test_001"], "rest")["s1/2018-01-01_a/test_001"].session
    '20180101a'
    """
    names: dict[str, BidsName] = {}
    for full_name in full_names:
        subject, session, recording = (_label(part) for part in full_name.split("/"))
        names[full_name] = BidsName(subject, session, _label(task), recording)
    for parts in ("subject", "session", "recording"):
        _check_distinct(names, parts)
    return names


def _check_distinct(names: Mapping[str, BidsName], part: str) -> None:
    depth = ("subject", "session", "recording").index(part) + 1
    owners: dict[tuple[str, ...], str] = {}
    for full_name, name in names.items():
        given = "/".join(full_name.split("/")[:depth])
        labels = (name.subject, name.session, name.recording)[:depth]
        if owners.setdefault(labels, given) != given:
            raise SettingsError(
                f"{owners[labels]} and {given} are both called {'/'.join(labels)} in BIDS, whose names hold "
                "letters and digits only; rename one of them."
            )


def _label(text: str) -> str:
    label = re.sub(r"[^A-Za-z0-9]", "", text)
    if not label:
        raise SettingsError(f"{text!r} has no letter or digit, and names of BIDS hold nothing else; rename it.")
    return label


def dataset_description(name: str, study: Mapping[str, Any], ecogpipe_version: str) -> dict[str, Any]:
    """Return what dataset_description.json says."""
    said = {"Name": name, "BIDSVersion": VERSION, "DatasetType": "raw", "License": "not chosen yet"}
    made_by = [{"Name": "ecogpipe", "Version": ecogpipe_version}]
    words = {"Keywords": study["keywords"]} if study.get("keywords") else {}
    return said | {"GeneratedBy": made_by} | words


def participants(subjects: Mapping[str, Mapping[str, str]]) -> Table:
    """Return the rows of participants.tsv, of subjects by their labels."""
    return [
        {
            "participant_id": f"sub-{label}",
            "species": texts["species"].lower() if texts["species"].startswith("http") else texts["species"],
            "sex": texts["sex"],
            "strain": texts.get("strain", _NOT_KNOWN),
        }
        for label, texts in subjects.items()
    ]


def ieeg(
    task: str,
    facts: MirrorFacts | None,
    raw: RawRecording,
    mask: MaskTable,
    session: Mapping[str, str],
    study: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what _ieeg.json says of a recording; `facts` are of the mirror that its NWB file holds, if any."""
    rate = raw.acquisition.rate if facts is None else facts.rate
    line = mask.header.get("line_frequency")
    filters: Any = _NOT_KNOWN
    if facts is not None:
        filters = {"ecogpipe": {"band-pass": facts.filter_text, "notches": facts.notch_text}}
    said = {
        "TaskName": task,
        "TaskDescription": session["session_description"],
        "InstitutionName": study.get("institution"),
        "Manufacturer": study.get("electrode_manufacturer"),
        "SamplingFrequency": float(rate),
        "PowerLineFrequency": _NOT_KNOWN if line is None else line,
        "SoftwareFilters": filters,
        "iEEGReference": session["reference"],
        "iEEGPlacementScheme": session["location"],
        "ECOGChannelCount": len(mask),
        "RecordingDuration": float(raw.n_samples / raw.acquisition.rate),
        "RecordingType": "discontinuous" if any(each.after_gap for each in raw.segments) else "continuous",
        "SoftwareVersions": _NOT_KNOWN,
    }
    return {name: value for name, value in said.items() if value is not None}


def channels(facts: MirrorFacts | None, raw: RawRecording, mask: MaskTable, session: Mapping[str, str]) -> Table:
    """Return the rows of _channels.tsv; in BIDS `low_cutoff` is that of the low-pass."""
    low, high = (None, None) if facts is None else facts.band
    rate = raw.acquisition.rate if facts is None else facts.rate
    notches = "n/a" if facts is None or not facts.notches else ", ".join(f"{notch:g}" for notch in facts.notches)
    return [
        {
            "name": name,
            "type": "ECOG",
            "units": "V",
            "low_cutoff": _NOT_KNOWN if high is None else f"{high:g}",
            "high_cutoff": _NOT_KNOWN if low is None else f"{low:g}",
            "reference": session["reference"],
            "sampling_frequency": f"{float(rate):.12g}",
            "notch": notches,
            "status": "good" if keep else "bad",
            "status_description": " ".join(reason.split()) or _NOT_KNOWN,
        }
        for name, keep, reason in zip(_names(mask), mask.keep, mask.reasons, strict=True)
    ]


def events(found: EventsTable, seconds: Any, ratio: int) -> Table:
    """Return the rows of _events.tsv: the rising edges of all lines in order of time, `seconds` being of frames."""
    rows = [
        (float(onset), column, int(frame))
        for column, frames in found.rising.items()
        for onset, frame in zip(seconds(np.asarray(frames)), frames, strict=True)
    ]
    return [
        {
            "onset": f"{onset:.9g}",
            "duration": _NOT_KNOWN,
            "trial_type": f"bnc_{column}",
            "sample": str(frame // ratio),
        }
        for onset, column, frame in sorted(rows)
    ]


def event_columns() -> dict[str, dict[str, str]]:
    """Return what _events.json says of the columns."""
    return {
        "trial_type": {"Description": "bnc_<n>: rising edge on the BNC line in DAQ column n"},
        "sample": {"Description": "Sample of the signals in the NWB file at which the line became active, from 0"},
    }


def electrodes(table: ChannelTable, mask: MaskTable) -> Table:
    """Return the rows of _electrodes.tsv, in mm on the plane of the array."""
    dy, dx = table.pitch_mm or (None, None)
    return [
        {
            "name": name,
            "x": _NOT_KNOWN if dx is None else f"{column * dx:.6g}",
            "y": _NOT_KNOWN if dy is None else f"{row * dy:.6g}",
            "z": _NOT_KNOWN if dx is None else "0",
            "size": _NOT_KNOWN,
        }
        for name, row, column in zip(_names(mask), mask.site_row.tolist(), mask.site_column.tolist(), strict=True)
    ]


def coordinate_system() -> dict[str, str]:
    """Return what _coordsystem.json says."""
    return {
        "iEEGCoordinateSystem": "Other",
        "iEEGCoordinateUnits": "mm",
        "iEEGCoordinateSystemDescription": (
            "The plane of the array: x along its columns, y along its rows, from site 0,0; not registered to the brain."
        ),
    }


def readme(name: str, study: Mapping[str, Any]) -> str:
    """Return the text of README.md."""
    about = study.get("experiment_description", "")
    return f"# {name}\n\n{about}\n\n{_WHAT_IS_HERE}"


def _names(mask: MaskTable) -> list[str]:
    """Return the name of each channel: its site."""
    sites = zip(mask.site_row.tolist(), mask.site_column.tolist(), strict=True)
    return [f"{row},{column}" for row, column in sites]
