"""Read every sample of a recording once: numbers per channel, BNC lines."""

from pathlib import Path

from ecogpipe.runtime.job import job
from ecogpipe.steps.scan import scan

with job(snakemake.rule, snakemake.log[0], threads=snakemake.threads, mem_mb=snakemake.resources.mem_mb):
    scan(Path(snakemake.input.raw), Path(snakemake.output.scan))
