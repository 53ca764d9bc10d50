"""Speed of the steps that copy and scan a recording.

python benchmarks/steps.py FOLDER      (with the recordings of recording.py)
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ecogpipe import load_params
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.scan import scan
from ecogpipe.synthetic import SyntheticRecording
from floor import read_with_h5py
from mirror import SET_UP
from recording import CHANNELS_FIRST, RATE, TIME_FIRST
from timing import alone, in_turns

TDMS_SECONDS = 60
TIMES_LONGER = (1, 9)
SEGMENTS = {"1 s": (1, 0.3), "20 ms": (50, 0.05)}
"""Length of a segment; how many a second, and the share of the speed of `cp` that is aimed at."""


def copy_with_cp(path: Path, folder: Path) -> None:
    subprocess.run(["cp", "--reflink=never", path, folder / "copy"], check=True)


def copy_and_flush(path: Path, folder: Path) -> None:
    copy_with_cp(path, folder)
    with (folder / "copy").open("rb") as copy:
        os.fsync(copy.fileno())


def ingest_one(path: Path, folder: Path) -> None:
    ingest([path], folder / "raw.h5")


def scan_one(raw: Path, folder: Path) -> None:
    scan(raw, folder / "scan.h5")


def bench_tdms(folder: Path) -> None:
    """Ingest of TDMS, which copies the samples, beside `cp` of the same file."""
    print(f"\nIngest of TDMS, {TDMS_SECONDS} s of 96 channels, as a share of the speed of cp")
    truth = SyntheticRecording(**SET_UP, rate=RATE, seconds=TDMS_SECONDS)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for label, (per_second, target) in SEGMENTS.items():
            path = truth.write_tdms(Path(name) / "recording.tdms", n_segments=TDMS_SECONDS * per_second)[0]
            jobs = [(job, path, Path(name)) for job in (copy_with_cp, copy_and_flush, ingest_one)]
            copying, flushing, ingesting = in_turns(*jobs)
            print(
                f"    segments of {label:6} cp {copying.seconds:6.2f} s   cp and flush {flushing.seconds:6.2f} s   "
                f"ingest, which flushes {ingesting.seconds:6.2f} s"
                f"{path.stat().st_size / 1e6 / ingesting.seconds:7.0f} MB/s{ingesting.peak_bytes / 1e6:6.0f} MB   "
                f"share of cp {copying.seconds / ingesting.seconds:.2f} (target: at least {target}), "
                f"of cp and flush {flushing.seconds / ingesting.seconds:.2f}"
            )


def bench_memory_of_tdms(folder: Path) -> None:
    """Peak private memory of the ingest of TDMS as the file grows: the same segments are appended again and again."""
    print(f"\nIngest of TDMS of growing size, segments of 1 s, memory limit {load_params().memory_limit / 1e6:.0f} MB")
    truth = SyntheticRecording(**SET_UP, rate=RATE, seconds=TDMS_SECONDS)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        path = truth.write_tdms(Path(name) / "recording.tdms", n_segments=TDMS_SECONDS)[0]
        segments = path.read_bytes()
        for n_times in TIMES_LONGER:
            with path.open("wb") as file:
                file.writelines(segments for _ in range(n_times))
            [cost] = in_turns((ingest_one, path, Path(name)), rounds=1)
            print(f"    {path.stat().st_size / 1e9:5.2f} GB   {cost.seconds:6.2f} s{cost.peak_bytes / 1e6:6.0f} MB")


def bench_scan(folder: Path) -> None:
    """Ingest by a link, and the scan, beside a plain read of the recording."""
    print("\nIngest (by a link) and scan of the recording, beside a plain h5py read")
    for path in (folder / TIME_FIRST, folder / CHANNELS_FIRST):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            linking = alone(ingest_one, path, Path(name))
            reading, scanning = in_turns((read_with_h5py, path), (scan_one, Path(name) / "raw.h5", Path(name)))
        print(
            f"    {path.name:18} ingest {linking.seconds:5.2f} s   h5py {reading.seconds:5.2f} s   scan "
            f"{scanning.seconds:5.2f} s{scanning.peak_bytes / 1e6:6.0f} MB   "
            f"scan / h5py {scanning.seconds / reading.seconds:.2f}"
        )


def main(folder: Path) -> None:
    bench_tdms(folder)
    bench_memory_of_tdms(folder)
    bench_scan(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
