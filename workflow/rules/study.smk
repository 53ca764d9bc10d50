"""What concerns the study as a whole, before any recording: what it is made with, and what cannot be made.

In: the settings and the recordings table. Out: run_config.yaml.
"""


rule run_config:
    output:
        config="<results>/run_config.yaml",
    log:
        "<logs>/run_config.log",
    benchmark:
        "<benchmarks>/run_config.tsv"
    localrule: True
    threads: 1
    resources:
        mem_mb=of_study(70),
        runtime=of_study(10),
    params:
        used={"config": config, "recordings": [recording.as_row() for recording in RECORDINGS.values()]},
        revision=REVISIONS["run_config"],
    message:
        "Writing down the settings and the recordings of the run."
    script:
        "../scripts/run_config.py"


rule missing_files:
    output:
        touch("<results>/missing_files"),
    log:
        "<logs>/missing_files.log",
    localrule: True
    threads: 1
    resources:
        mem_mb=of_study(70),
        runtime=of_study(10),
    params:
        sentences=list(MISSING.values()),
    message:
        "Saying which recordings were left out, as their files are not there."
    script:
        "../scripts/missing_files.py"
