"""The same mirror as SpikeInterface makes it: a recording class of its own, lazy preprocessing, save in processes.

python benchmarks/peer_spikeinterface.py RECORDING...      (recordings of recording.py, or raw.h5 of such)
"""

import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from spikeinterface.core import BaseRecording, BaseRecordingSegment
from spikeinterface.preprocessing import bandpass_filter, resample

from mirror import SETTINGS
from recording import RATE

N_CHANNELS = 64
PROCESSES = 2


class Hdf5Recording(BaseRecording):
    """A dataset ``data`` with time or channels first; every process opens the file for itself."""

    def __init__(self, path: str) -> None:
        with h5py.File(path, "r", locking=False) as file:
            shape = file["data"].shape
        super().__init__(RATE, np.arange(min(shape)), "float32")
        self.add_recording_segment(_Segment(path, max(shape), time_first=shape[0] > shape[1]))
        self._kwargs = {"path": path}


class _Segment(BaseRecordingSegment):
    def __init__(self, path: str, n_samples: int, time_first: bool) -> None:
        super().__init__(sampling_frequency=RATE)
        self._path, self._n_samples, self._time_first = path, n_samples, time_first
        self._data: h5py.Dataset | None = None

    def get_num_samples(self) -> int:
        return self._n_samples

    def get_traces(self, start_frame=None, end_frame=None, channel_indices=None) -> np.ndarray:
        if self._data is None:
            self._data = h5py.File(self._path, "r", locking=False)["data"]
        frames = slice(start_frame, end_frame)
        traces = self._data[frames] if self._time_first else self._data[:, frames].T
        return traces[:, slice(None) if channel_indices is None else channel_indices].astype("float32")


def save_mirror(recording: Path, folder: Path) -> None:
    """Save 64 channels at 1 kHz, band-passed at 2 to 200 Hz with zero phase, as float32."""
    # It would like longer margins, at the price of more work; these are what its users take.
    warnings.filterwarnings("ignore", "The provided margin_ms")
    low, high = SETTINGS["bandpass"]
    chosen = Hdf5Recording(str(recording)).select_channels(np.arange(N_CHANNELS))
    slower = resample(chosen, SETTINGS["rate"], margin_ms=100)
    filtered = bandpass_filter(
        slower,
        freq_min=low,
        freq_max=high,
        filter_order=SETTINGS["order"],
        margin_ms=1500,
        ignore_low_freq_error=True,
        dtype="float32",
    )
    filtered.save(
        folder=folder / "saved",
        overwrite=True,
        n_jobs=PROCESSES,
        mp_context="fork",
        chunk_duration="10s",
        progress_bar=False,
    )


def main(recordings: Sequence[Path]) -> None:
    start = time.perf_counter()
    for recording in recordings:
        with tempfile.TemporaryDirectory(dir=recording.parent) as folder:
            save_mirror(recording, Path(folder))
    print(f"{time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
