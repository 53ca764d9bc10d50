"""Write the quality page of one mirror."""

from pathlib import Path

from ecogpipe.runtime.job import job
from ecogpipe.steps.qc import qc

wildcards = snakemake.wildcards

with job(snakemake.rule, snakemake.log[0], threads=snakemake.threads, mem_mb=snakemake.resources.mem_mb):
    qc(
        *(Path(snakemake.input[name]) for name in ("raw", "channels", "mask", "scan", "events", "mirror")),
        Path(snakemake.output.page),
        recording=f"{wildcards.subject}/{wildcards.session}/{wildcards.recording}",
    )
