"""Find the edges on the trigger lines of a recording."""

from pathlib import Path

from ecogpipe.electrodes.channels import BncLine
from ecogpipe.runtime.job import job
from ecogpipe.steps.extract_events import extract_events

lines = snakemake.params.lines

with job(snakemake.rule, snakemake.log[0], threads=snakemake.threads, mem_mb=snakemake.resources.mem_mb):
    extract_events(
        Path(snakemake.input.scan),
        Path(snakemake.input.channels),
        Path(snakemake.output.events),
        bnc=[BncLine(*line) for line in lines["bnc"]],
        bnc_numbering=lines["bnc_numbering"],
        mirrors=snakemake.params.mirrors,
        **snakemake.params.settings,
    )
