"""Write down the settings and the recordings of the run."""

from pathlib import Path

from ecogpipe.runtime.job import job
from ecogpipe.steps.run_config import run_config

with job(snakemake.rule, snakemake.log[0], threads=snakemake.threads, mem_mb=snakemake.resources.mem_mb):
    run_config(snakemake.params.used["config"], snakemake.params.used["recordings"], Path(snakemake.output.config))
