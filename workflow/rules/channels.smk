"""What each channel is: its site on the array, whether it is good, and the edges on its trigger lines.

In: raw.h5, scan.h5, the masks of config/masks. Out: channels.tsv, mask.tsv, events.tsv.
"""


rule map_channels:
    input:
        raw="<results>/{subject}/{session}/{recording}/raw.h5",
        tables=WIRING_TABLES,
    output:
        channels="<results>/{subject}/{session}/{recording}/channels.tsv",
    log:
        "<logs>/{subject}/{session}/{recording}/map_channels.log",
    benchmark:
        "<benchmarks>/{subject}/{session}/{recording}/map_channels.tsv"
    threads: 1
    resources:
        **asked_by("map_channels"),
    params:
        set_up=get_set_up,
        revision=REVISIONS["map_channels"],
    message:
        "Putting the channels of {wildcards.subject}/{wildcards.session}/{wildcards.recording} on their array."
    script:
        "../scripts/map_channels.py"


rule mask_channels:
    input:
        scan="<results>/{subject}/{session}/{recording}/scan.h5",
        channels="<results>/{subject}/{session}/{recording}/channels.tsv",
        manual=get_manual_mask,
    output:
        mask="<results>/{subject}/{session}/{recording}/mask.tsv",
    log:
        "<logs>/{subject}/{session}/{recording}/mask_channels.log",
    benchmark:
        "<benchmarks>/{subject}/{session}/{recording}/mask_channels.tsv"
    threads: 1
    resources:
        **asked_by("mask_channels"),
    params:
        decided_by=get_mask_rule,
        revision=REVISIONS["mask_channels"],
    message:
        "Marking the bad channels of {wildcards.subject}/{wildcards.session}/{wildcards.recording}."
    script:
        "../scripts/mask_channels.py"


rule extract_events:
    input:
        scan="<results>/{subject}/{session}/{recording}/scan.h5",
        channels="<results>/{subject}/{session}/{recording}/channels.tsv",
    output:
        events="<results>/{subject}/{session}/{recording}/events.tsv",
    log:
        "<logs>/{subject}/{session}/{recording}/extract_events.log",
    benchmark:
        "<benchmarks>/{subject}/{session}/{recording}/extract_events.tsv"
    threads: 1
    resources:
        **asked_by("extract_events"),
    params:
        settings=config["events"],
        lines=get_lines,
        mirrors=get_mirror_rates,
        revision=REVISIONS["extract_events"],
    message:
        "Finding the trigger edges of {wildcards.subject}/{wildcards.session}/{wildcards.recording}."
    script:
        "../scripts/extract_events.py"
