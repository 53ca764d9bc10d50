"""What NWB files say besides signals, looked up only where they are asked for."""

from ecogpipe.checks.nwb_ready import check_nwb_ready

NWB = config.get("nwb", {"make": False})


def read_metadata(recordings: list[Recording]) -> dict:
    """Return what NWB files say of each session; what is missing for them ends the run before it begins."""
    if "mirrors" not in NWB:
        stop(f"{config['recordings']}: the config has no key nwb; copy it from that of a new study (ecogpipe init).")
    try:
        return check_nwb_ready(Path(), config, recordings, looks_into_files=workflow.is_main_process)
    except EcogpipeError as error:
        stop(str(error))


METADATA = read_metadata(PRESENT) if NWB["make"] else {}


@ends_run_on_error
def get_metadata(wildcards) -> dict:
    """Return what is known of the subject and the session of a recording."""
    session = f"{wildcards.subject}/{wildcards.session}"
    return (METADATA or read_metadata([get_recording(wildcards)]))[session]


@ends_run_on_error
def get_nwb_mirrors(wildcards) -> list[str]:
    """Return the mirrors that the NWB file of a recording holds."""
    files = RecordingFiles(Path("<results>", get_name(wildcards)))
    return [str(files.mirror(name)) for name in get_mirrors(get_recording(wildcards)) if name in NWB["mirrors"]]


def get_nwb_files() -> list[str]:
    """Return the NWB files of the recordings that are there, where they are wanted."""
    folders = [Path("<results>", recording.full_name) for recording in PRESENT if NWB["make"]]
    return [str(RecordingFiles(folder).nwb) for folder in folders]
