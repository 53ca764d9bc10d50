"""NWB files, where the config asks for them.

In: the tables of a recording and its mirrors, config/subjects.tsv, config/sessions.tsv. Out: <recording>.nwb.
"""


rule export_nwb:
    input:
        raw="<results>/{subject}/{session}/{recording}/raw.h5",
        linked=lambda wildcards: get_linked_files(wildcards) if NWB.get("raw") else [],
        channels="<results>/{subject}/{session}/{recording}/channels.tsv",
        mask="<results>/{subject}/{session}/{recording}/mask.tsv",
        events="<results>/{subject}/{session}/{recording}/events.tsv",
        mirrors=get_nwb_mirrors,
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
