"""Time and memory of each step on one recording, beside a plain h5py read of the same file.

    python benchmarks/run.py [--seconds 60] [--folder FOLDER]

Compare ratios of one run only: seconds depend on the machine and on what else it does.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py

from ecogpipe.electrodes.channels import BncLine
from ecogpipe.electrodes.faults import AUTOMATIC_DEFAULTS
from ecogpipe.steps.extract_events import extract_events
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.map_channels import map_channels
from ecogpipe.steps.mask_channels import mask_channels
from ecogpipe.steps.mirror import mirror_recording
from ecogpipe.steps.scan import scan
from ecogpipe.synthetic import SyntheticRecording

SET_UP = {"daq": "2t-as daq v2", "headstage": "zif26 to 2x uhdmi", "electrode": "actv_64"}
MIRROR = {"rate": 1000, "bandpass": [2, 200], "order": 3, "notches": [], "notch_width": 2.0, "reference": "none"}
RATE = 5000


def read_with_h5py(folder: Path) -> None:
    with h5py.File(folder / "recording.mat", "r", locking=False) as file:
        data = file["data"]
        for start in range(0, data.shape[0], RATE):
            data[start : start + RATE]


def run_ingest(folder: Path) -> None:
    ingest([folder / "recording.mat"], folder / "raw.h5")


def run_scan(folder: Path) -> None:
    scan(folder / "raw.h5", folder / "scan.h5")


def run_tables(folder: Path) -> None:
    channels, scanned = folder / "channels.tsv", folder / "scan.h5"
    map_channels(folder / "raw.h5", channels, **SET_UP, bnc=[BncLine(10, "ttl_high"), BncLine(11, "analog")])
    mask_channels(
        scanned, channels, folder / "mask.tsv", recording="recording", manual=None, automatic=AUTOMATIC_DEFAULTS
    )
    extract_events(scanned, channels, folder / "events.tsv", minimum_step=0.5)


def run_mirror(folder: Path) -> None:
    inputs = (folder / name for name in ("raw.h5", "channels.tsv", "mask.tsv"))
    mirror_recording(*inputs, folder / "mirror.h5", name="Fs1000", settings=MIRROR)


def measured(job: Callable[[Path], None], folder: Path) -> tuple[float, float]:
    """Return seconds, and peak memory in MB of the process that did the job."""
    start = time.perf_counter()
    job(folder)
    return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="length of the recording (default: 60)")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        recording = SyntheticRecording(**SET_UP, rate=RATE, seconds=arguments.seconds, n_bncs=2)
        recording.write_mat73(folder / "recording.mat")
        megabytes = recording.n_channels * recording.n_samples * 8 / 1e6
        print(f"{recording.n_channels} channels, {recording.n_samples} samples, {megabytes:.0f} MB of float64 in gzip")
        print(f"{'job':16}{'seconds':>9}{'MB/s':>8}{'of h5py':>9}{'peak MB':>9}")
        reading = None
        for job in (read_with_h5py, run_ingest, run_scan, run_tables, run_mirror):
            # A process of its own, as the memory that a step gives back may not return to the system.
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
                seconds, peak = process.submit(measured, job, folder).result()
            reading = reading or seconds
            print(f"{job.__name__:16}{seconds:9.2f}{megabytes / seconds:8.0f}{seconds / reading:9.2f}{peak:9.0f}")


if __name__ == "__main__":
    main()
