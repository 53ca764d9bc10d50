"""Write the index of the study."""

from pathlib import Path

from ecogpipe.runtime.job import job
from ecogpipe.steps.report import TITLE, report
from ecogpipe.study.looks import LOOKS

params, page = snakemake.params, Path(snakemake.output.page)

with job(snakemake.rule, snakemake.log[0], threads=snakemake.threads, mem_mb=snakemake.resources.mem_mb):
    report(
        {name: page.parent / name for name in params.recordings},
        page,
        mirrors=params.mirrors,
        other_mirrors=params.other_mirrors,
        title=TITLE,
        absent=params.absent,
        logs=Path(snakemake.log[0]).parent,
        looks=LOOKS,
    )
