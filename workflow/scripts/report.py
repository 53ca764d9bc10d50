"""Write the report of the study."""

from pathlib import Path

from ecogpipe.results.names import RecordingFiles
from ecogpipe.runtime.job import job
from ecogpipe.steps.report import report

mirrors, benchmarks = snakemake.params.mirrors, Path(snakemake.log[0]).parent

with job(snakemake.rule, snakemake.log[0], threads=snakemake.threads, mem_mb=snakemake.resources.mem_mb):
    folders = {"/".join(path.parts[-4:-1]): path.parent for path in map(Path, snakemake.input)}
    report(
        folders,
        Path(snakemake.output.page),
        mirrors=mirrors,
        title="Recordings of the study",
        benchmarks={
            name: [
                benchmarks / name / f"{job}.tsv"
                for job in dict.fromkeys(output.job for output in RecordingFiles(folder).outputs(mirrors))
            ]
            for name, folder in folders.items()
        },
    )
