"""How time and peak memory of a mirror grow with the number of channels and with the length of the recording.

python benchmarks/growth.py [--folder bench]

The recordings are contiguous float64 whose samples were never written: zeros that take no room on the disk.
"""

import argparse
import tempfile
from pathlib import Path

import h5py
import numpy as np

from ecogpipe import override
from ecogpipe.datasource.plain import create_plain
from mirror import make_mirror
from timing import Cost, in_turns

RATE = 5000
MEMORY_LIMIT = 128_000_000
GRIDS = ((8, 8), (8, 16), (16, 16), (16, 32), (28, 36))
"""Rows and columns: 64 to 1,008 channels."""

CHANNELS_GIGABYTES = 1
GIGABYTES = (1, 4, 10)
WATCHED_GIGABYTES = 10
"""What waits for the disk now and then adds to the peak: every size is watched for as long, short ones in more runs."""

PASSTHRU = {"daq": "passthru", "headstage": "", "electrode": ""}


def write_empty(path: Path, grid: tuple[int, int], gigabytes: float) -> None:
    """Write a recording of zeros."""
    n_channels = grid[0] * grid[1]
    n_samples = int(gigabytes * 1e9 / 8 / n_channels)
    scalars = {"numRow": grid[0], "numCol": grid[1], "numChan": grid[1], "OSR": 1, "Fs": RATE}
    with h5py.File(path, "w") as file:
        create_plain(file, "data", (n_channels, n_samples), "f8")
        for name, value in (scalars | {"sampRate": RATE * grid[0]}).items():
            file[name] = np.array([[float(value)]])


def mirror_within_limit(path: Path, folder: Path) -> None:
    with override(memory_limit=MEMORY_LIMIT):
        make_mirror(path, folder, PASSTHRU, (), {"gain": 10.0})


def cost_of_mirror(folder: Path, grid: tuple[int, int], gigabytes: float) -> Cost:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        path = Path(name) / "recording.h5"
        write_empty(path, grid, gigabytes)
        return in_turns((mirror_within_limit, path, Path(name)), watched_rounds=round(WATCHED_GIGABYTES / gigabytes))[0]


def print_row(label: str, gigabytes: float, cost: Cost) -> None:
    print(
        f"    {label:>16}{cost.seconds:9.2f} s{cost.seconds / gigabytes:9.2f} s/GB"
        f"{cost.cpu_seconds / gigabytes:9.2f} CPU s/GB{cost.peak_bytes / 1e6:8.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("bench"), help="where to work (default: bench)")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    print(f"Mirror at a memory limit of {MEMORY_LIMIT / 1e6:.0f} MB: seconds of the fastest of 3 runs, ", end="")
    print(f"largest peak of as many as read {WATCHED_GIGABYTES} GB")
    print(f"\nFrom 64 to 1,008 channels, {CHANNELS_GIGABYTES} GB each")
    for grid in GRIDS:
        cost = cost_of_mirror(folder, grid, CHANNELS_GIGABYTES)
        print_row(f"{grid[0] * grid[1]:,} channels", CHANNELS_GIGABYTES, cost)
    print("\nFrom 1 to 10 GB, 64 channels")
    for gigabytes in GIGABYTES:
        print_row(f"{gigabytes} GB", gigabytes, cost_of_mirror(folder, GRIDS[0], gigabytes))


if __name__ == "__main__":
    main()
