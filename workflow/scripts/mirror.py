"""Make one mirror of a recording."""

from pathlib import Path

from ecogpipe.runtime.job import job
from ecogpipe.steps.mirror import mirror_recording

with job(snakemake.rule, snakemake.log[0], threads=snakemake.threads, mem_mb=snakemake.resources.mem_mb):
    mirror_recording(
        Path(snakemake.input.raw),
        Path(snakemake.input.channels),
        Path(snakemake.input.mask),
        Path(snakemake.output.mirror),
        name=snakemake.wildcards.mirror,
        settings=snakemake.params.settings,
    )
