"""What the rules ask for: the checked settings, the rows of the recordings table, and files and slices of both.

A mistake in them ends the run with one sentence, before any job.
"""

import re
import sys
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path

import h5py
from snakemake.logging import logger

from ecogpipe.errors import EcogpipeError
from ecogpipe.recordings import Recording, check_wirings, read_recordings
from ecogpipe.settings import check_config

MASKS = Path("config", "masks")
WIRINGS = Path("config", "wiring")
WIRING_TABLES = sorted(str(table) for table in WIRINGS.glob("*.y*ml"))


def stop(sentence: str):
    """End the run with a sentence as the last line on the screen."""
    logger.error(sentence)
    sys.exit(1)


def read_study() -> dict[str, Recording]:
    """Check the settings and the recordings table; returns the recordings by full name."""
    table = config.get("recordings")
    try:
        check_config(config, where=" with ".join(map(str, workflow.configfiles)))
        recordings = read_recordings(table, study=Path())
        check_wirings(recordings, table, WIRINGS if WIRING_TABLES else None)
    except EcogpipeError as error:
        stop(str(error))
    return {recording.full_name: recording for recording in recordings}


RECORDINGS = read_study()


def any_of(names) -> str:
    """Return a pattern that matches these names and nothing else."""
    return "|".join(sorted({re.escape(name) for name in names}))


wildcard_constraints:
    subject=any_of(recording.subject for recording in RECORDINGS.values()),
    session=any_of(recording.session for recording in RECORDINGS.values()),
    recording=any_of(recording.recording for recording in RECORDINGS.values()),
    mirror=any_of(config["mirrors"]),


def get_name(wildcards) -> str:
    return f"{wildcards.subject}/{wildcards.session}/{wildcards.recording}"


def get_recording(wildcards) -> Recording:
    return RECORDINGS[get_name(wildcards)]


def get_files(wildcards) -> list[str]:
    """Return the files of a recording; one that is missing ends the run."""
    recording = get_recording(wildcards)
    for file in recording.files:
        if not file.is_file():
            stop(
                f"{config['recordings']}: the file {file} of recording {recording.full_name} does not exist below "
                f"{Path.cwd()}; correct the column files, or put the file there."
            )
    return [str(file) for file in recording.files]


@cache
def is_linked(file: str) -> bool:
    """Tell whether raw.h5 links to a file in place of holding a copy of its signals."""
    return h5py.is_hdf5(file)


def get_linked_files(wildcards) -> list[str]:
    """Return the files that are read wherever raw.h5 of a recording is read."""
    return [file for file in get_files(wildcards) if is_linked(file)]


def get_manual_mask(wildcards) -> list[str]:
    """Return the masks that a person wrote for a session, if there are any."""
    mask = MASKS / wildcards.subject / f"{wildcards.session}.tsv"
    return [str(mask)] if mask.exists() else []


def get_mask_of_mirror(wildcards) -> str:
    """Return the mask of a recording; a new one makes a mirror again only where masked rows change what it holds."""
    mask = "<results>/{subject}/{session}/{recording}/mask.tsv"
    settings = config["mirrors"][wildcards.mirror]
    return mask if settings["reference"] != "none" or settings["masked"] == "nan" else ancient(mask)


def get_acquisition(wildcards) -> dict:
    return get_recording(wildcards).acquisition_overrides


def get_set_up(wildcards) -> dict:
    """Return what says where the channels of a recording are on its array."""
    recording = get_recording(wildcards)
    return {
        "daq": recording.daq,
        "headstage": recording.headstage,
        "electrode": recording.electrode,
        "bnc": [(line.column, line.kind) for line in recording.bnc],
        "declared": recording.channel_overrides,
    }


def get_revision(step: str) -> int:
    """Return a step's REVISION from its source: importing the steps would add seconds to every start."""
    source = package_files("ecogpipe").joinpath("steps", f"{step}.py").read_text(encoding="utf-8")
    return int(re.search(r"^REVISION\b.*= (\d+)$", source, re.MULTILINE)[1])


def for_all_recordings(*patterns: str) -> list[str]:
    """Return the files of a pattern for every recording, and for every mirror where it names one."""
    names = [recording.full_name.split("/") for recording in RECORDINGS.values()]
    subjects, sessions, recordings = zip(*names)
    per_recording = expand(
        patterns,
        zip,
        subject=subjects,
        session=sessions,
        recording=recordings,
        allow_missing=True,
    )
    return expand(per_recording, mirror=config["mirrors"])
