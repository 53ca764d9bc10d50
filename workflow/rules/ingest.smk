"""From the files of a recording to its canonical form, and one pass over all of its samples.

In: the files that the recordings table names. Out: raw.h5, scan.h5.
"""


rule ingest:
    input:
        files=get_files,
    output:
        raw="<results>/{subject}/{session}/{recording}/raw.h5",
    log:
        "<logs>/{subject}/{session}/{recording}/ingest.log",
    benchmark:
        "<benchmarks>/{subject}/{session}/{recording}/ingest.tsv"
    threads: 1
    resources:
        **asked_by("ingest"),
    params:
        files=get_all_files,
        declared=get_acquisition,
        storage=config["storage"],
        parts=config["parts"],
        revision=REVISIONS["ingest"],
    message:
        "Bringing the files of {wildcards.subject}/{wildcards.session}/{wildcards.recording} into one raw.h5."
    script:
        "../scripts/ingest.py"


rule scan:
    input:
        raw="<results>/{subject}/{session}/{recording}/raw.h5",
        linked=get_linked_files,
    output:
        scan="<results>/{subject}/{session}/{recording}/scan.h5",
    log:
        "<logs>/{subject}/{session}/{recording}/scan.log",
    benchmark:
        "<benchmarks>/{subject}/{session}/{recording}/scan.tsv"
    threads: threads_of("scan")
    resources:
        **asked_by("scan"),
    params:
        revision=REVISIONS["scan"],
    message:
        "Reading every sample of {wildcards.subject}/{wildcards.session}/{wildcards.recording} once."
    script:
        "../scripts/scan.py"
