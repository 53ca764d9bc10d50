"""Seconds that the workflow takes to see what there is to do, in a large study and in one that is finished.

python benchmarks/start.py [--recordings 1000] [--finished 100]

The large study is planned beside a bare workflow of as many jobs. Of the finished one, one recording is really made;
the others are copies of it, which Snakemake is told to take for its own.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from ecogpipe.study.config import config_folder, workflow_folder
from ecogpipe.study.recordings import COLUMNS
from ecogpipe.synthetic import SyntheticRecording

SET_UP = ("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64")
ROUNDS = 3
PLAN_TARGET = "1.5, and under 30 s"
NOTHING_TARGET = "15 s"

TOY = """
RECORDINGS = [f"r{{number:04d}}" for number in range({n_recordings})]
RULES = [f"rule{{number}}" for number in range({n_rules})]

rule all:
    input: expand("results/{{recording}}/rule{last}", recording=RECORDINGS)

rule rule0:
    input: "raw/{{recording}}.mat"
    output: "results/{{recording}}/rule0"
    shell: "cp {{input}} {{output}}"
"""

TOY_RULE = """
rule rule{number}:
    input: "results/{{recording}}/rule{before}"
    output: "results/{{recording}}/rule{number}"
    shell: "cp {{input}} {{output}}"
"""


def write_study(folder: Path, n_recordings: int) -> list[str]:
    """Write a study of one small recording under many names; returns the names."""
    names = [f"r{number:04d}" for number in range(n_recordings)]
    shutil.copytree(config_folder(), folder / "config")
    (folder / "raw").mkdir()
    first, *others = (folder / "raw" / f"{name}.mat" for name in names)
    SyntheticRecording(*SET_UP, rate=2000, seconds=2, n_bncs=2).write_mat73(first)
    for other in others:
        os.link(first, other)
    write_table(folder, names)
    config = yaml.safe_load((config_folder() / "config.yaml").read_text())
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    return names


def write_table(study: Path, names: list[str]) -> None:
    rows = [("s1", "day1", name, f"raw/{name}.mat", *SET_UP, "10:ttl_high, 11:analog", "") for name in names]
    (study / "config" / "recordings.tsv").write_text("\n".join("\t".join(row) for row in (COLUMNS, *rows)) + "\n")


def write_toy(folder: Path, n_recordings: int, n_rules: int) -> None:
    """Write a workflow of as many jobs as it can be written with the fewest words."""
    chain = [TOY_RULE.format(number=number, before=number - 1) for number in range(1, n_rules)]
    text = TOY.format(n_recordings=n_recordings, n_rules=n_rules, last=n_rules - 1)
    (folder / "Toy").write_text("\n".join((text, *chain)))


def snakemake(study: Path, snakefile: Path, *arguments: str) -> tuple[float, str]:
    """Run Snakemake; returns the seconds and what it said."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--directory", study, "--cores", "2"]
    start = time.perf_counter()
    run = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = time.perf_counter() - start
    if run.returncode:
        sys.exit(run.stdout[-4000:])
    return seconds, run.stdout


def n_jobs(screen: str) -> int:
    return int(re.search(r"^total +(\d+)$", screen, re.MULTILINE)[1])


def bench_plan(folder: Path, n_recordings: int) -> None:
    """A dry run of a large study beside one of a bare workflow."""
    write_study(folder, n_recordings)
    ours = workflow_folder() / "Snakefile"
    jobs = n_jobs(snakemake(folder, ours, "--dry-run", "--quiet", "rules")[1])
    write_toy(folder, n_recordings, round(jobs / n_recordings))
    toys, plans = [], []
    for _ in range(ROUNDS):
        toys.append(snakemake(folder, folder / "Toy", "--dry-run", "--quiet", "rules"))
        plans.append(snakemake(folder, ours, "--dry-run", "--quiet", "rules"))
    toy, plan = min(seconds for seconds, _ in toys), min(seconds for seconds, _ in plans)
    print(f"\nDry run of a study of {n_recordings} recordings, best of {ROUNDS}")
    print(f"    bare workflow of {n_jobs(toys[0][1]):5} jobs  {toy:6.2f} s")
    print(f"    ecogpipe, {jobs:5} jobs         {plan:6.2f} s")
    print(f"    ecogpipe / bare               {plan / toy:6.2f}   (target: at most {PLAN_TARGET})")


def bench_finished(folder: Path, n_recordings: int) -> None:
    """A second run of a finished study."""
    names = write_study(folder, n_recordings)
    ours = workflow_folder() / "Snakefile"
    write_table(folder, names[:1])
    snakemake(folder, ours)
    made = folder / "results" / "s1" / "day1"
    for name in names[1:]:
        (made / name).mkdir()
        for file in sorted((made / names[0]).iterdir()):
            shutil.copy2(file, made / name / file.name.replace(names[0], name))
    write_table(folder, names)
    snakemake(folder, ours, "--touch")
    runs = [snakemake(folder, ours) for _ in range(ROUNDS)]
    assert all("Nothing to be done" in screen for _, screen in runs), runs[0][1]
    print(f"\nSecond run of a finished study of {n_recordings} recordings, best of {ROUNDS}")
    print(f"    nothing to do                 {min(runs)[0]:6.2f} s (target: under {NOTHING_TARGET})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=1000, help="of the large study (default: 1000)")
    parser.add_argument("--finished", type=int, default=100, help="recordings of the finished study (default: 100)")
    arguments = parser.parse_args()
    for bench, n_recordings in ((bench_plan, arguments.recordings), (bench_finished, arguments.finished)):
        with tempfile.TemporaryDirectory() as name:
            bench(Path(name), n_recordings)


if __name__ == "__main__":
    main()
