"""Mark the bad channels of a recording."""

from pathlib import Path

from ecogpipe.runtime.job import job
from ecogpipe.steps.mask_channels import mask_channels

wildcards = snakemake.wildcards

with job(snakemake.rule, snakemake.log[0], threads=snakemake.threads, mem_mb=snakemake.resources.mem_mb):
    mask_channels(
        Path(snakemake.input.scan),
        Path(snakemake.input.channels),
        Path(snakemake.output.mask),
        recording=f"{wildcards.subject}/{wildcards.session}/{wildcards.recording}",
        manual=Path(snakemake.input.manual[0]) if snakemake.input.manual else None,
        automatic={name: value for name, value in snakemake.params.decided_by.items() if name != "rows"},
    )
