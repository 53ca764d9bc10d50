"""Bring the files of a recording into one raw.h5."""

from pathlib import Path

from ecogpipe.runtime.job import job
from ecogpipe.steps.ingest import ingest

with job(snakemake.rule, snakemake.log[0], threads=snakemake.threads, mem_mb=snakemake.resources.mem_mb):
    ingest(
        [Path(file) for file in snakemake.params.files],
        Path(snakemake.output.raw),
        declared=snakemake.params.declared,
        compression=snakemake.params.storage["compression"],
        clock_tolerance_ppm=snakemake.params.parts["clock_tolerance_ppm"],
    )
