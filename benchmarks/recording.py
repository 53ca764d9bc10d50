"""The benchmark recording, in the two layouts that converters of the lab leave behind; both hold the same samples.

96 channels (8 rows of 10 electrode and 2 BNC columns) at 5 kHz, float64 volts on the grid of a 16-bit converter.
"""

from pathlib import Path

import h5py
import numpy as np

N_ROWS, N_COLUMNS, N_BNCS, RATE = 8, 10, 2, 5000
N_CHANNELS = N_ROWS * (N_COLUMNS + N_BNCS)
VOLTS_PER_COUNT = 20 / 2**16
TIME_FIRST, CHANNELS_FIRST = "time_first.mat", "channels_first.h5"

_BLOCK = 20 * RATE


def write_recordings(folder: Path, seconds: float) -> None:
    """Write both files, unless they are there: gzip with time first, and contiguous with channels first."""
    if (folder / TIME_FIRST).exists() and (folder / CHANNELS_FIRST).exists():
        return
    n_samples, rng = int(seconds * RATE), np.random.default_rng(0)
    with (
        h5py.File(folder / TIME_FIRST, "w", userblock_size=512) as matlab,
        h5py.File(folder / CHANNELS_FIRST, "w") as converted,
    ):
        gzip = {"chunks": (2048, N_CHANNELS), "compression": "gzip", "compression_opts": 3}
        by_time = matlab.create_dataset("data", (n_samples, N_CHANNELS), "f8", **gzip)
        by_channel = converted.create_dataset("data", (N_CHANNELS, n_samples), "f8")
        for start in range(0, n_samples, _BLOCK):
            block = _volts(start, min(_BLOCK, n_samples - start), rng)
            by_time[start : start + len(block)] = block
            by_channel[:, start : start + len(block)] = block.T
        for file in (matlab, converted):
            _write_scalars(file)


def _volts(start: int, length: int, rng: np.random.Generator) -> np.ndarray:
    seconds = (np.arange(length) + start) / RATE
    volts = np.cumsum(rng.standard_normal((length, N_CHANNELS)), axis=0) * 1e-3
    volts -= np.linspace(0, 1, length)[:, None] * volts[-1]
    volts += 0.05 * np.sin(2 * np.pi * 60 * seconds)[:, None] + 0.01 * rng.standard_normal((length, N_CHANNELS))
    volts[:, N_ROWS * N_COLUMNS :] = 5 * (seconds % 1 < 0.05)[:, None]
    return np.round(volts / VOLTS_PER_COUNT) * VOLTS_PER_COUNT


def _write_scalars(file: h5py.File) -> None:
    scalars = {"numRow": N_ROWS, "numCol": N_COLUMNS, "numChan": N_COLUMNS + N_BNCS, "OSR": 4, "Fs": RATE}
    for name, value in (scalars | {"sampRate": RATE * N_ROWS * 4}).items():
        file[name] = np.array([[float(value)]])
