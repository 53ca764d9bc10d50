"""Write a recording as an NWB file."""

from pathlib import Path

from ecogpipe.runtime.job import job
from ecogpipe.steps.export_nwb import export_nwb

wildcards = snakemake.wildcards

with job(snakemake.rule, snakemake.log[0], threads=snakemake.threads, mem_mb=snakemake.resources.mem_mb):
    export_nwb(
        *(Path(snakemake.input[name]) for name in ("raw", "channels", "mask", "events")),
        [Path(mirror) for mirror in snakemake.input.mirrors],
        Path(snakemake.output.nwb),
        recording=f"{wildcards.subject}/{wildcards.session}/{wildcards.recording}",
        metadata=snakemake.params.metadata,
        has_raw=snakemake.params.has_raw,
        compression=snakemake.params.compression,
    )
