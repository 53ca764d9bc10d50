"""What a person looks at: a page of each mirror, and the index of the study.

In: everything made so far. Out: <recording>_<mirror>_qc.html and .json, report.html.
"""


rule qc:
    input:
        raw="<results>/{subject}/{session}/{recording}/raw.h5",
        linked=get_linked_files,
        channels="<results>/{subject}/{session}/{recording}/channels.tsv",
        mask="<results>/{subject}/{session}/{recording}/mask.tsv",
        scan="<results>/{subject}/{session}/{recording}/scan.h5",
        events=ancient("<results>/{subject}/{session}/{recording}/events.tsv"),
        mirror="<results>/{subject}/{session}/{recording}/{recording}_{mirror}.h5",
    output:
        page=report(
            "<results>/{subject}/{session}/{recording}/{recording}_{mirror}_qc.html",
            caption="../report/qc.rst",
            category="{subject}",
            subcategory="{session}",
            labels={"recording": "{recording}", "mirror": "{mirror}"},
        ),
        numbers="<results>/{subject}/{session}/{recording}/{recording}_{mirror}_qc.json",
    log:
        "<logs>/{subject}/{session}/{recording}/qc_{mirror}.log",
    benchmark:
        "<benchmarks>/{subject}/{session}/{recording}/qc_{mirror}.tsv"
    threads: 1
    resources:
        **asked_by("qc"),
    params:
        # All that the edges follow from besides other inputs; another mirror adds a column to events.tsv, and no edge.
        edges=get_edges_rule,
        revision=REVISIONS["qc"],
    message:
        "Writing the quality page of {wildcards.subject}/{wildcards.session}/{wildcards.recording}, mirror {wildcards.mirror}."
    script:
        "../scripts/qc.py"


rule report:
    input:
        results=get_all_results(),
        looks=[str(LOOKS)] if LOOKS.exists() else [],
    output:
        page="<results>/report.html",
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    threads: 1
    resources:
        **asked_by_report(),
    params:
        recordings=list(RECORDINGS),
        mirrors=list(config["mirrors"]),
        other_mirrors=OTHER_MIRRORS,
        absent=MISSING,
        revision=REVISIONS["report"],
    message:
        "Writing the index of the study."
    script:
        "../scripts/report.py"
