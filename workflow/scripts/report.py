"""Write the report of the study."""

from pathlib import Path

from ecogpipe.joblog import job
from ecogpipe.steps.report import report

with job(snakemake.rule, snakemake.log[0], threads=snakemake.threads, mem_mb=snakemake.resources.mem_mb):
    folders = [Path(table).parent for table in snakemake.input.channels]
    report(
        {"/".join(folder.parts[-3:]): folder for folder in folders},
        Path(snakemake.output.page),
        mirrors=snakemake.params.mirrors,
        title="Recordings of the study",
    )
