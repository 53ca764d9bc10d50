"""Where the time of a mirror goes: each stage alone, on as much data as in the mirror, then the mirror itself.

python benchmarks/stages.py RECORDING      (a recording of recording.py)
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from threadpoolctl import threadpool_limits

from ecogpipe.datasource.filtering import StreamedFilter
from ecogpipe.datasource.plain import PlainWriter, create_plain, plain_chunks
from ecogpipe.results.recording import RawRecording, open_raw
from ecogpipe.runtime.params import load_params
from ecogpipe.runtime.threads import Threads
from ecogpipe.signal.decimate import Decimation
from ecogpipe.signal.filters import FilterSettings, design_sos
from ecogpipe.steps.ingest import ingest
from ecogpipe.storage.atomic import whole_hdf5
from ecogpipe.storage.digests import sha256_of_rows
from mirror import SETTINGS, make_mirror
from recording import N_CHANNELS, N_COLUMNS, N_ROWS, RATE
from timing import Cost, alone, cost_of

N_ELECTRODES = 64
RATIO = RATE // SETTINGS["rate"]
ROUNDS = 3
WINDOW = 10_240
"""Samples of a window, as the mirror takes them of these recordings."""


def stages_of(raw: RawRecording, folder: Path) -> dict[str, Callable[[], None]]:
    """Return the stages by name; what a stage works on is in memory before it starts."""
    decimation, workers = Decimation(RATIO, raw.n_samples), load_params().workers
    order = "F" if raw.source.transposed else "C"
    window = np.asarray(raw.source[: N_ROWS * N_COLUMNS, : decimation.history + WINDOW], order=order)
    decimated = np.random.default_rng(0).standard_normal((N_CHANNELS, WINDOW // RATIO))
    n_windows = raw.n_samples // WINDOW

    def read() -> None:
        for _ in raw.in_windows(lambda samples, start, stop: None, decimation.history, WINDOW, workers):
            pass

    def decimate() -> None:
        starts = range(window.shape[1] - WINDOW, raw.n_samples - WINDOW, WINDOW)
        with threadpool_limits(1, user_api="blas"), Threads(workers, "decimate") as threads:
            threads.each(lambda start: decimation.completed(window, start, start + WINDOW, order), starts)

    def filter_both_ways() -> None:
        settings = FilterSettings(tuple(SETTINGS["bandpass"]), SETTINGS["order"])
        with StreamedFilter(design_sos(settings, SETTINGS["rate"]), lambda first, block: None) as filtering:
            for _ in range(n_windows):
                filtering.push(decimated[:N_ELECTRODES].copy(order="F"))
            filtering.finish()

    def write() -> None:
        length = decimated.shape[1]
        with whole_hdf5(folder / "stage.h5") as file:
            shape = N_CHANNELS, n_windows * length
            data = PlainWriter(create_plain(file, "data", shape, "f4", plain_chunks(shape, 4)))
            for number in range(n_windows):
                data.write(0, number * length, decimated)

    def hash_rows() -> None:
        with h5py.File(folder / "stage.h5", "r", locking=False) as file:
            sha256_of_rows(file["data"])

    return {
        "read, inflate": read,
        "decimate 80 rows": decimate,
        "filter 64 rows forwards and backwards": filter_both_ways,
        "write 96 rows, flush to the disk": write,
        "hash 96 rows": hash_rows,
    }


def print_stages(recording: Path, folder: Path) -> None:
    with open_raw(ingest([recording], folder / "stages_raw.h5")) as raw:
        costs = {name: _cheapest(stage) for name, stage in stages_of(raw, folder).items()}
    costs["all of it: the mirror"] = _cheapest(lambda: make_mirror(recording, folder))
    print(f"    {'stage':40}{'seconds':>9}{'CPU':>9}{'cores busy':>12}")
    for name, cost in costs.items():
        print(f"    {name:40}{cost.seconds:9.2f}{cost.cpu_seconds:9.2f}{cost.cpu_seconds / cost.seconds:12.2f}")


def _cheapest(job: Callable[[], object]) -> Cost:
    return min((cost_of(job) for _ in range(ROUNDS)), key=lambda cost: cost.seconds)


def main(recording: Path) -> None:
    with h5py.File(recording, "r", locking=False) as file:
        print(f"{recording.name}: {file['data'].size * 8 / 1e6:.0f} MB of samples")
    with tempfile.TemporaryDirectory(dir=recording.parent) as folder:
        alone(print_stages, recording, Path(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
