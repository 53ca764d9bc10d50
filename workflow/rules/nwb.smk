"""NWB files, where the config asks for them.

In: the tables of a recording and its mirrors, config/subjects.tsv, config/sessions.tsv. Out: <recording>.nwb.
"""

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


@signed
def get_metadata(wildcards) -> dict:
    """Return what is known of the subject and the session of a recording."""
    session = f"{wildcards.subject}/{wildcards.session}"
    return (METADATA or read_metadata([get_recording(wildcards)]))[session]


def get_nwb_files() -> list[str]:
    """Return the NWB files of the recordings that are there, where they are wanted."""
    folders = [Path("<results>", recording.full_name) for recording in PRESENT if NWB["make"]]
    return [str(RecordingFiles(folder).nwb) for folder in folders]


rule export_nwb:
    input:
        raw="<results>/{subject}/{session}/{recording}/raw.h5",
        linked=lambda wildcards: get_linked_files(wildcards) if NWB.get("raw") else [],
        channels="<results>/{subject}/{session}/{recording}/channels.tsv",
        mask="<results>/{subject}/{session}/{recording}/mask.tsv",
        events="<results>/{subject}/{session}/{recording}/events.tsv",
        mirrors=expand(
            "<results>/{{subject}}/{{session}}/{{recording}}/{{recording}}_{mirror}.h5", mirror=NWB.get("mirrors", [])
        ),
    output:
        nwb="<results>/{subject}/{session}/{recording}/{recording}.nwb",
    log:
        "<logs>/{subject}/{session}/{recording}/export_nwb.log",
    benchmark:
        "<benchmarks>/{subject}/{session}/{recording}/export_nwb.tsv"
    threads: 2
    resources:
        **asked_by("export_nwb"),
    params:
        metadata=get_metadata,
        has_raw=NWB.get("raw"),
        compression=NWB.get("compression"),
        revision=REVISIONS["export_nwb"],
    message:
        "Writing the NWB file of {wildcards.subject}/{wildcards.session}/{wildcards.recording}."
    script:
        "../scripts/export_nwb.py"
