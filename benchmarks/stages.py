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

from ecogpipe.datasource.contiguous import ContiguousWriter, create_in_one_piece
from ecogpipe.datasource.filtering import StreamedFilter
from ecogpipe.datasource.raw import RawRecording, open_raw
from ecogpipe.outputs import whole_hdf5
from ecogpipe.params import load_params
from ecogpipe.signal.decimate import Decimator
from ecogpipe.signal.filters import FilterSettings, design_sos
from ecogpipe.steps.ingest import ingest
from ecogpipe.threads import Threads
from mirror import SETTINGS, make_mirror
from recording import N_CHANNELS, N_COLUMNS, N_ROWS, RATE
from timing import Cost, alone, cost_of

N_ELECTRODES = 64
RATIO = RATE // SETTINGS["rate"]
ROUNDS = 3


def stages_of(raw: RawRecording, folder: Path) -> dict[str, Callable[[], None]]:
    """Return the stages by name; what a stage works on is in memory before it starts."""
    first = next(iter(raw.source.iter_blocks()))[: N_ROWS * N_COLUMNS]
    decimated = np.random.default_rng(0).standard_normal((N_CHANNELS, first.shape[1] // RATIO))
    n_blocks = raw.n_samples // first.shape[1]

    def read() -> None:
        for _ in raw.source.iter_blocks():
            pass

    def decimate() -> None:
        with threadpool_limits(1, user_api="blas"), Threads(load_params().workers, "decimate") as threads:
            decimator = Decimator(RATIO, raw.n_samples, each=threads.each)
            for _ in range(n_blocks):
                decimator.push(first)

    def filter_both_ways() -> None:
        settings = FilterSettings(tuple(SETTINGS["bandpass"]), SETTINGS["order"])
        sos = design_sos(settings, SETTINGS["rate"])
        with StreamedFilter(sos, lambda first, block: None) as filtering:
            for _ in range(n_blocks):
                filtering.push(decimated[:N_ELECTRODES])
            filtering.finish()

    def write() -> None:
        length = decimated.shape[1]
        with whole_hdf5(folder / "stage.h5") as file:
            data = ContiguousWriter(create_in_one_piece(file, "data", (N_CHANNELS, n_blocks * length), "f4"))
            for number in range(n_blocks):
                data.write(0, number * length, decimated)

    return {
        "read, inflate": read,
        "decimate 80 rows": decimate,
        "filter 64 rows forwards and backwards": filter_both_ways,
        "write 96 rows, flush to the disk": write,
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
