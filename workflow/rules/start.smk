"""What makes starts of Snakemake shorter or fewer, and lets it see every change of settings."""

import gc
import sys
from collections import deque
from functools import cache
from os.path import exists

from snakemake import sourcecache
from snakemake.dag import DAG

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


def descend(dag, direction, *jobs, stop=lambda job: False):
    """Go through a DAG from jobs on, as Snakemake does, but not over files that are ancient and there.

    Snakemake takes every job that it finds in this way for one that runs because of those before, and does not look
    whether its own settings have changed. One that only reads ancient files of them would be left as it is.
    """
    queue = deque(jobs)
    visited = set(queue)
    while queue:
        job = queue.popleft()
        if stop(job):
            continue
        yield job
        for other, files in direction[job].items():
            over_ancient = direction is dag.depending and all(file.is_ancient and exists(file) for file in files)
            if other not in visited and not over_ancient:
                visited.add(other)
                queue.append(other)


DAG.bfs = descend
