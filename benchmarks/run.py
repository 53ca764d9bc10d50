"""Speed and memory, side by side with others: a study, the mirror of a recording, its sources, ingest and scan.

python benchmarks/run.py [--seconds 300] [--folder bench]

Compare ratios of one run only: seconds depend on the machine and on what else it does.
"""

import argparse
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import mirror_reads
import nwb
import sources
import steps
import study
from floor import read_fastest, read_with_h5py
from mirror import make_mirror
from recording import CHANNELS_FIRST, N_CHANNELS, RATE, TIME_FIRST, write_recordings
from timing import blas_kernels, in_turns

H5PY_TARGET = "0.5, at the very most 0.7"
PEER_TARGET = "0.25"
SHORTEST = 120
"""Seconds; the windows that are read from the sources lie in a recording of this length."""


def bench_mirror(path: Path, megabytes: float) -> None:
    """The whole mirror beside reads of the same file and the mirror by SpikeInterface."""
    with tempfile.TemporaryDirectory(dir=path.parent) as name:
        jobs = [(read_with_h5py, path), (read_fastest, path), (make_mirror, path, Path(name)), *peer_job(path, name)]
        reading, floor, mirror, *peer = in_turns(*jobs)
    print(f"\n{path.name}, {path.stat().st_size / 1e6:.0f} MB on disk")
    print(f"    plain h5py read            {reading.seconds:7.2f} s")
    print(f"    fastest known read         {floor.seconds:7.2f} s")
    print(
        f"    mirror by ecogpipe         {mirror.seconds:7.2f} s{megabytes / mirror.seconds:7.0f} MB/s   "
        f"peak {mirror.peak_bytes / 1e6:.0f} MB private   {mirror.cpu_seconds / mirror.seconds:.2f} cores busy"
    )
    for cost in peer:
        print(f"    mirror by SpikeInterface   {cost.seconds:7.2f} s{megabytes / cost.seconds:7.0f} MB/s")
    if path.name == TIME_FIRST:
        print(f"    ecogpipe / h5py read       {mirror.seconds / reading.seconds:7.2f}   (target: {H5PY_TARGET})")
    for cost in peer:
        print(f"    ecogpipe / SpikeInterface  {mirror.seconds / cost.seconds:7.2f}   (target: {PEER_TARGET})")


def peer_job(path: Path, folder: str) -> list[tuple]:
    if not find_spec("spikeinterface"):
        return []
    from peer_spikeinterface import save_mirror

    return [(save_mirror, path, Path(folder))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300, help="length of the recording (default: 300)")
    parser.add_argument("--folder", type=Path, default=Path("bench"), help="where to work (default: bench)")
    arguments = parser.parse_args()
    if arguments.seconds < SHORTEST:
        parser.error(f"--seconds {arguments.seconds} is too short; give {SHORTEST} or more")
    folder = arguments.folder / f"{arguments.seconds}_s"
    folder.mkdir(parents=True, exist_ok=True)
    write_recordings(folder, arguments.seconds)
    megabytes = N_CHANNELS * arguments.seconds * RATE * 8 / 1e6
    print(f"{N_CHANNELS} channels, {arguments.seconds} s at {RATE} Hz, {megabytes:.0f} MB of float64; ", end="")
    print(f"{os.cpu_count()} cores, {blas_kernels()} kernels; 64 channels to 1 kHz and 2 to 200 Hz; best of 3 rounds")
    if not find_spec("spikeinterface"):
        print("SpikeInterface is not installed (pip install -e '.[bench]'): its rows are left out")
    for name in (TIME_FIRST, CHANNELS_FIRST):
        bench_mirror(folder / name, megabytes)
    sources.main(folder)
    mirror_reads.main(folder)
    nwb.main(folder / CHANNELS_FIRST)
    steps.main(folder)
    study.bench(arguments.folder.absolute() / "study", study.ROUNDS)


if __name__ == "__main__":
    main()
