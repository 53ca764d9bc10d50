"""The same channels at another rate, referenced and filtered; one mirror for each entry of the config's mirrors.

In: raw.h5, channels.tsv, mask.tsv. Out: <recording>_<mirror>.h5.
"""


rule mirror:
    input:
        raw="<results>/{subject}/{session}/{recording}/raw.h5",
        linked=get_linked_files,
        channels="<results>/{subject}/{session}/{recording}/channels.tsv",
        mask=get_mask_of_mirror,
    output:
        mirror="<results>/{subject}/{session}/{recording}/{recording}_{mirror}.h5",
    log:
        "<logs>/{subject}/{session}/{recording}/mirror_{mirror}.log",
    benchmark:
        "<benchmarks>/{subject}/{session}/{recording}/mirror_{mirror}.tsv"
    threads: threads_of("mirror")
    resources:
        **asked_by("mirror"),
    params:
        settings=lookup(dpath="mirrors/{mirror}", within=config),
        revision=REVISIONS["mirror"],
    message:
        "Mirroring {wildcards.subject}/{wildcards.session}/{wildcards.recording} as {wildcards.mirror}."
    script:
        "../scripts/mirror.py"
