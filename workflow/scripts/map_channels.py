"""Put the channels of a recording on their array."""

from pathlib import Path

from ecogpipe.electrodes.channels import BncLine
from ecogpipe.runtime.job import job
from ecogpipe.steps.map_channels import map_channels

set_up = dict(snakemake.params.set_up)
tables = snakemake.input.tables

with job(snakemake.rule, snakemake.log[0], threads=snakemake.threads, mem_mb=snakemake.resources.mem_mb):
    map_channels(
        Path(snakemake.input.raw),
        Path(snakemake.output.channels),
        bnc=[BncLine(column, kind) for column, kind in set_up.pop("bnc")],
        user_tables=Path(tables[0]).parent if tables else None,
        **set_up,
    )
