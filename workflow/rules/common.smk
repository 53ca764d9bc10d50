"""What the rules ask for: the checked settings, the rows of the recordings table, and files and slices of both.

A mistake in them ends the run with one sentence, before any job. A recording whose files are missing is left out.
"""

import sys
from functools import cache, wraps
from inspect import signature
from pathlib import Path

from snakemake.logging import logger

from ecogpipe.errors import EcogpipeError, nearest
from ecogpipe.formats.kinds import sidecars_of
from ecogpipe.study.originals import find_future, find_missing, is_hdf5
from ecogpipe.study.recordings import (
    Recording,
    check_masks,
    check_mirrors,
    check_wirings,
    manual_mask_path,
    read_recordings,
)
from ecogpipe.results.names import RecordingFiles
from ecogpipe.results.revisions import REVISIONS
from ecogpipe.study.config import check_config, read_config_file

MASKS = Path("config", "masks")
IS_COPIED = {"skip_seconds", "crop_end_seconds"}
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
        for file in workflow.configfiles:
            read_config_file(Path(file))
        check_config(config, where=" with ".join(map(str, workflow.configfiles)))
        recordings = read_recordings(table, study=Path())
        check_wirings(recordings, table, WIRINGS if WIRING_TABLES else None)
        check_mirrors(recordings, table, config["mirrors"])
        check_masks(recordings, MASKS)
    except EcogpipeError as error:
        stop(str(error))
    return {recording.full_name: recording for recording in recordings}


RECORDINGS = read_study()
MIRROR_RATES = {
    name: {key: settings[key] for key in ("rate", "ratio") if key in settings}
    for name, settings in config["mirrors"].items()
}
OTHER_MIRRORS = {name: list(recording.mirrors) for name, recording in RECORDINGS.items() if recording.mirrors}
MISSING = find_missing(RECORDINGS.values(), Path("results"), config["recordings"])
PRESENT = [recording for name, recording in RECORDINGS.items() if name not in MISSING]
OF_THE_FUTURE = find_future(PRESENT)


wildcard_constraints:
    subject="[^/]+",
    session="[^/]+",
    recording="[^/]+",
    mirror="[^/.]+",


def ends_run_on_error(function):
    """End the run where a function of wildcards fails: Snakemake would leave out its job, and all that follow, silently.

    Its signature is kept with it, as Snakemake asks for it several times for each job.
    """

    @wraps(function)
    def call(wildcards, **more):
        try:
            return function(wildcards, **more)
        except EcogpipeError as error:
            stop(str(error))
        except Exception as error:
            stop(f"{function.__name__} of {'/'.join(wildcards)} raised {type(error).__name__}: {error}")

    call.__signature__ = signature(function)
    return call


def get_mirrors(recording: Recording) -> list[str]:
    return recording.mirrors_of(config["mirrors"])


def get_name(wildcards) -> str:
    return f"{wildcards.subject}/{wildcards.session}/{wildcards.recording}"


def get_recording(wildcards) -> Recording:
    name = get_name(wildcards)
    if name not in RECORDINGS:
        stop(f"{config['recordings']}: there is no recording {name!r}. {nearest(name, RECORDINGS)}")
    return RECORDINGS[name]


@ends_run_on_error
def get_all_files(wildcards) -> list[str]:
    """Return the files of a recording, which may be gone where raw.h5 holds a copy."""
    return [str(file) for file in get_recording(wildcards).files]


@ends_run_on_error
def get_files(wildcards) -> list[str]:
    """Return the files whose times Snakemake compares: of a recording, and beside them; none that is of the future."""
    files = [file for file in get_recording(wildcards).files if file not in OF_THE_FUTURE]
    return [str(file) for file in files] + [str(beside) for file in files for beside in sidecars_of(file)]


@ends_run_on_error
def get_linked_files(wildcards) -> list[str]:
    """Return the files that are read wherever raw.h5 of a recording is read.

    An HDF5 file counts as one even if it is still multiplexed, so that raw.h5 holds a copy of it: to open all of them
    would double the time of a start.
    """
    return (
        []
        if IS_COPIED & get_recording(wildcards).overrides.keys()
        else [file for file in get_files(wildcards) if is_hdf5(file)]
    )


@ends_run_on_error
def get_acquisition(wildcards) -> dict:
    return get_recording(wildcards).acquisition_overrides


@ends_run_on_error
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


@ends_run_on_error
def get_lines(wildcards) -> dict:
    """Return the BNC lines of a recording as its row declares them."""
    recording = get_recording(wildcards)
    return {
        "bnc": [(line.column, line.kind, line.threshold) for line in recording.bnc],
        "bnc_numbering": recording.overrides.get("bnc_numbering", "absolute"),
    }


def get_all_results() -> list[str]:
    """Return every file that the steps make of the recordings that are there."""
    return [
        str(output.path)
        for recording in PRESENT
        for output in RecordingFiles(Path("<results>", recording.full_name)).outputs(get_mirrors(recording))
    ]
