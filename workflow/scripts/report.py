"""Write the report of the study."""

from pathlib import Path

from ecogpipe.joblog import job
from ecogpipe.steps.report import report

with job(snakemake.rule, snakemake.log[0], threads=snakemake.threads, mem_mb=snakemake.resources.mem_mb):
    folders = {"/".join(table.parts[-4:-1]): table.parent for table in map(Path, snakemake.input.channels)}
    jobs = ["ingest", "scan", "map_channels", "mask_channels", "extract_events"]
    jobs += [f"{rule}_{mirror}" for rule in ("mirror", "qc") for mirror in snakemake.params.mirrors]
    benchmarks = Path(snakemake.log[0]).parent
    report(
        folders,
        Path(snakemake.output.page),
        mirrors=snakemake.params.mirrors,
        title="Recordings of the study",
        benchmarks={name: [benchmarks / name / f"{done}.tsv" for done in jobs] for name in folders},
    )
