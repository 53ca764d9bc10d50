"""Find the edges on the trigger lines of a recording."""

from pathlib import Path

from ecogpipe.joblog import job
from ecogpipe.steps.extract_events import extract_events

with job(snakemake.rule, snakemake.log[0], threads=snakemake.threads, mem_mb=snakemake.resources.mem_mb):
    extract_events(
        Path(snakemake.input.scan),
        Path(snakemake.input.channels),
        Path(snakemake.output.events),
        minimum_step=snakemake.params.settings["minimum_step"],
    )
