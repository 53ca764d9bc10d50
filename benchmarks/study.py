"""A study of 12 recordings, from raw files to mirrors, masks, events and the report, beside a plain loop of mirrors.

python benchmarks/study.py [--folder bench] [--rounds 3] [--beside PROGRAM]

Each recording has 96 channels at 5 kHz and 40 s, 154 MB of float64: four in each of the layouts that labs have. The
loop is that of SpikeInterface: the mirrors alone, one after the other, each in two processes; its imports and the
starts of its processes count, as those of the workflow do. PROGRAM is the `ecogpipe` of another version, which takes
turns with this one; each runs on a study folder of its own.
"""

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import yaml

from ecogpipe.study.config import config_folder
from ecogpipe.study.recordings import COLUMNS
from ecogpipe.synthetic import SyntheticRecording
from mirror import SET_UP
from recording import CHANNELS_FIRST, N_BNCS, RATE, TIME_FIRST, write_recordings

SECONDS, COPIES, CORES, ROUNDS = 40, 4, 2, 3
TDMS = "recording.tdms"
OWN_PROGRAM = Path(sys.executable).with_name("ecogpipe")
WITHOUT_PAGES = ("--until", "mirror", "extract_events")
PEER_TARGET, PEER_AIM = 3.5, 2.0


@dataclass(frozen=True)
class Cost:
    """Seconds on the wall, and of CPU of all processes."""

    seconds: float
    cpu_seconds: float


def write_raw(folder: Path) -> dict[str, Path]:
    """Write a recording in each layout, and copy it; returns the files by the names of their recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    write_recordings(folder, SECONDS)
    if not (folder / TDMS).exists():
        SyntheticRecording(**SET_UP, rate=RATE, seconds=SECONDS, n_bncs=N_BNCS).write_tdms(folder / TDMS)
    files = {}
    for kind in (TIME_FIRST, TDMS, CHANNELS_FIRST):
        for number in range(COPIES):
            copy = folder / "raw" / f"{Path(kind).stem}_{number}{Path(kind).suffix}"
            copy.parent.mkdir(exist_ok=True)
            if not copy.exists():
                shutil.copyfile(folder / kind, copy)
            files[copy.stem] = copy
    return files


def write_study(study: Path, files: dict[str, Path]) -> None:
    """Write the config of a study of these files."""
    shutil.rmtree(study, ignore_errors=True)
    shutil.copytree(config_folder(), study / "config")
    config = yaml.safe_load((config_folder() / "config.yaml").read_text())
    (study / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    rows = [
        ("s1", "day1", name, os.path.relpath(file, study), *SET_UP.values(), "10:ttl_high, 11:analog", "")
        for name, file in files.items()
    ]
    (study / "config" / "recordings.tsv").write_text("\n".join("\t".join(row) for row in (COLUMNS, *rows)) + "\n")


def cost_of(command: list[str | Path]) -> Cost:
    """Run a program to its end and measure it with all processes that it started."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode:
        sys.exit(run.stdout[-4000:])
    return Cost(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def run_workflow(program: Path, study: Path, *arguments: str) -> Cost:
    """Run the workflow."""
    return cost_of([program, "run", "--directory", study, "--cores", str(CORES), *arguments])


def print_rules(study: Path) -> None:
    """Print how long the jobs of each rule took, by their benchmarks."""
    jobs: dict[str, list[float]] = {}
    for benchmark in sorted((study / "logs").rglob("*.tsv")):
        header, values = (line.split("\t") for line in benchmark.read_text().splitlines()[:2])
        rule = re.sub(r"_Fs\d+$", "", benchmark.stem)
        jobs.setdefault(rule, []).append(float(values[header.index("s")]))
    print(f"\n    {'job':16}{'jobs':>6}{'median s':>10}{'sum s':>8}")
    for rule, seconds in sorted(jobs.items(), key=lambda item: -sum(item[1])):
        print(f"    {rule:16}{len(seconds):6}{statistics.median(seconds):10.2f}{sum(seconds):8.1f}")


def print_costs(label: str, costs: list[Cost]) -> None:
    seconds, cpu = ([getattr(cost, name) for cost in costs] for name in ("seconds", "cpu_seconds"))
    print(
        f"    {label:38}{statistics.median(seconds):8.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"
        f"{statistics.median(cpu):8.1f} s of CPU"
    )


def ratio(costs: list[Cost], others: list[Cost], name: str = "seconds") -> float:
    """Return the ratio of the medians."""
    return statistics.median(getattr(cost, name) for cost in costs) / statistics.median(
        getattr(cost, name) for cost in others
    )


def bench(folder: Path, rounds: int, beside: Path | None = None) -> None:
    files = write_raw(folder)
    programs = {"ecogpipe": OWN_PROGRAM} | ({"the other version": beside} if beside else {})
    studies = {label: folder / f"study_of_{label.replace(' ', '_')}" for label in programs}
    bare: dict[str, list[Cost]] = {label: [] for label in programs}
    whole: dict[str, list[Cost]] = {label: [] for label in programs}
    peer: list[Cost] = []
    has_peer = find_spec("spikeinterface") is not None
    for _ in range(rounds):
        for label, program in programs.items():
            write_study(studies[label], files)
            mirrors = run_workflow(program, studies[label], *WITHOUT_PAGES)
            pages = run_workflow(program, studies[label])
            bare[label].append(mirrors)
            whole[label].append(Cost(mirrors.seconds + pages.seconds, mirrors.cpu_seconds + pages.cpu_seconds))
        if has_peer:
            # It reads no TDMS of this kind: of these, it gets the HDF5 that ingest made.
            made = studies["ecogpipe"] / "results" / "s1" / "day1"
            inputs = [made / name / "raw.h5" if file.suffix == ".tdms" else file for name, file in files.items()]
            peer.append(cost_of([sys.executable, Path(__file__).with_name("peer_spikeinterface.py"), *inputs]))
    print(f"\nA study of {len(files)} recordings of {SECONDS} s, {CORES} cores, median of {rounds} rounds in turns")
    for label in programs:
        print_costs(f"{label}, without pages", bare[label])
        print_costs(f"{label}, with pages and report", whole[label])
    if has_peer:
        print_costs("SpikeInterface, the mirrors alone", peer)
        print(f"    without pages / SpikeInterface  {ratio(bare['ecogpipe'], peer):6.2f}   "
              f"(target: {PEER_TARGET}, then {PEER_AIM})")  # fmt: skip
        print(f"    everything / SpikeInterface     {ratio(whole['ecogpipe'], peer):6.2f}")
    for label in programs.keys() - {"ecogpipe"}:
        for what, costs in (("without pages", bare), ("everything", whole)):
            print(
                f"    {what} / {label}: {ratio(costs['ecogpipe'], costs[label]):.2f} of the time, "
                f"{ratio(costs['ecogpipe'], costs[label], 'cpu_seconds'):.2f} of the CPU"
            )
    print_rules(studies["ecogpipe"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("bench"), help="where to work (default: bench)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each is run (default: 3)")
    parser.add_argument("--beside", type=Path, help="the program `ecogpipe` of another version to take turns with")
    arguments = parser.parse_args()
    bench(arguments.folder.absolute() / "study", arguments.rounds, arguments.beside)


if __name__ == "__main__":
    main()
