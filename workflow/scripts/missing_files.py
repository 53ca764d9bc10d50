"""Say which recordings have no files."""

from ecogpipe.runtime.job import job
from ecogpipe.steps.missing_files import missing_files

with job(snakemake.rule, snakemake.log[0], threads=snakemake.threads, mem_mb=snakemake.resources.mem_mb):
    missing_files(snakemake.params.sentences)
