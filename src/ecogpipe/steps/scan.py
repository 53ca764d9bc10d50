"""One pass over all samples of a recording: their hash, the numbers of every channel, the BNC lines."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ecogpipe.datasource.blocks import affordable
from ecogpipe.datasource.windows import RESULTS_AHEAD
from ecogpipe.errors import MemoryBlowOutError
from ecogpipe.results.identity import read_identity, write_identity
from ecogpipe.results.provenance import provenance, write_provenance
from ecogpipe.results.recording import RawRecording, open_raw
from ecogpipe.results.scan import LineWriter, WindowWriter, window_starts, write_facts, write_numbers
from ecogpipe.runtime.params import load_params
from ecogpipe.runtime.progress import progress
from ecogpipe.statistics import channel_statistics, correlation
from ecogpipe.statistics.channel_statistics import FRAMES
from ecogpipe.statistics.line_noise import wave_bytes
from ecogpipe.statistics.recording_numbers import (
    HISTORY,
    Measured,
    RecordingNumbers,
    blocks_ending_in,
    working_bytes,
)
from ecogpipe.storage import canonical
from ecogpipe.storage.atomic import whole_hdf5
from ecogpipe.storage.digests import digest_of_frames, signal_hash

Samples = npt.NDArray[Any]

_SHORTEST_TAIL = 16
"""Frames in which all channels may be zero by chance."""

_WINDOW_BYTES = 32_000_000
"""Of a window, with all that is found in it: few enough to stay near the core that reads and measures it."""

_HISTORIES = 3
"""What comes before a window is held in its array, and passed on to it and by it."""


def scan(raw: Path, scan: Path) -> Path:
    """Read every sample of a recording once, and write what has to be known of all of them.

    Parameters
    ----------
    raw : Path
        The ingested recording, raw.h5.
    scan : Path
        The HDF5 file to write. It holds the acquisition values of the recording, and

        - root attributes ``signal_hash`` (`ecogpipe.storage.digests.signal_hash` of the blocks of 1,024 frames, as
          frames x channels in the dtype of the file, little-endian), ``n_samples``, ``provenance``;
        - ``/channels/<number>`` for each of `channel_statistics.NUMBERS`, float64 over all channels, in the units of
          the acquisition (slope * raw + intercept);
        - ``/correlation``, float32, of the slow changes of the electrode and diagnostic channels with each other, and
          its attribute ``n_changes`` (see `ecogpipe.statistics.correlation`);
        - ``/windows/std``, ``low``, ``high``, float32, (channels, windows), in the same units: standard deviation about
          the window's own mean, least and largest sample of each second; ``first_sample`` and ``n_finite`` (see
          `ecogpipe.results.scan.WindowWriter`);
        - ``/bnc``, the raw samples of the BNC columns (rows, time) at the full rate, and ``/bnc_channels``.

    Returns
    -------
    Path
        `scan`.

    Raises
    ------
    FormatError
        If `raw` is not an ingested recording.
    MemoryBlowOutError
        If the memory limit does not hold the blocks that the numbers are made from.
    """
    with open_raw(raw) as recording, whole_hdf5(scan) as file, threadpool_limits(1, user_api="blas"):
        acquisition, rate = recording.acquisition, recording.acquisition.rate
        canonical.write_acquisition(file, acquisition)
        longest, n_at_once = _windows_at_once(recording)
        starts, seconds = window_starts(recording)
        numbers = RecordingNumbers(acquisition.n_channels, recording.n_samples, rate, _n_compared(acquisition), starts)
        windows, digests, n_alive = WindowWriter(file, recording, starts, seconds), list[bytes](), 0
        with LineWriter(file, recording) as lines, progress(f"scan {raw.parent.name}", recording.n_bytes) as advance:
            for look in _looks(recording, numbers, longest, n_at_once):
                windows.update(numbers.merge(look.measured))
                lines.update(look.lines)
                digests += look.digests
                n_alive = max(n_alive, look.n_alive)
                advance(look.n_bytes)
            lines.finish()
        windows.finish()
        signal = signal_hash(digests)
        notes = [*acquisition.notes, *_notes_of_tail(recording.n_samples, n_alive, float(rate)), *windows.notes]
        write_facts(file, recording.n_samples, signal, notes)
        write_identity(file, replace(read_identity(raw), signal=signal))
        in_units = channel_statistics.in_units(numbers.result(), acquisition.slope, acquisition.intercept)
        write_numbers(file, in_units, numbers.correlation)
        inputs = [raw, *(part.path for part in recording.parts if part.path.resolve() != raw.resolve())]
        write_provenance(file, provenance("scan", inputs, {}, scan.parent))
    return scan


@dataclass(frozen=True)
class _Look:
    """What one window of a recording shows.

    Attributes
    ----------
    measured
        Numbers of the blocks that end in it.
    digests
        Hashes of these blocks.
    lines
        Its samples of the BNC rows, (rows, time).
    n_alive
        Frames of the recording up to the last one in it that is not zero or NaN in all channels; 0 without one.
    n_bytes
        Bytes of its samples.
    """

    measured: Measured
    digests: list[bytes]
    lines: Samples
    n_alive: int
    n_bytes: int


def _looks(recording: RawRecording, numbers: RecordingNumbers, longest: int, n_at_once: int) -> Iterator[_Look]:
    """Look at a recording window by window, in threads; windows have so many samples at most."""
    first_line = _n_compared(recording.acquisition)

    def look(samples: Samples, start: int, stop: int) -> _Look:
        new, digests = samples[:, samples.shape[1] - (stop - start) :], list[bytes]()

        def hashed() -> Iterator[tuple[Samples, Samples]]:
            for block, before in blocks_ending_in(samples, start, stop, recording.n_samples):
                frames = np.ascontiguousarray(block)
                digests.append(digest_of_frames(frames))
                yield frames, before

        measured = numbers.measure(hashed(), start, stop)
        return _Look(measured, digests, new[first_line:].copy(), _n_alive(new, start), new.nbytes)

    begins_with_block = all(start % FRAMES == 0 for start, _ in recording.window_borders(longest))
    return recording.in_windows(look, 1 if begins_with_block else HISTORY, longest, n_at_once)


def _windows_at_once(recording: RawRecording) -> tuple[int, int]:
    """Return the samples of a window, and how many windows at once: what the memory limit affords.

    Raises
    ------
    MemoryBlowOutError
        If the memory limit does not hold a window of one block.
    """
    params, cost = load_params(), partial(_held_bytes, recording)
    least = max(FRAMES, recording.chunk_length)
    n_windows = next((n for n in range(params.workers, 0, -1) if cost(least, n) <= params.memory_limit), 0)
    if not n_windows:
        needed = cost(least, 1)
        raise MemoryBlowOutError(
            f"{recording.path}: scanning holds {least} frames of {len(recording.source)} channels and their numbers, "
            f"which are {needed} bytes: more than the memory limit of {params.memory_limit} bytes. Raise the limit to "
            f"{needed} bytes, or give the job more memory."
        )
    most = n_windows * _WINDOW_BYTES
    length = affordable(recording.n_samples, lambda length: cost(length, n_windows), 1, most)
    return max(least, length - length % FRAMES), n_windows


def _held_bytes(recording: RawRecording, length: int, n_windows: int) -> int:
    """Return all that is held of signals while so many windows of a length are looked at."""
    acquisition, frame_bytes = recording.acquisition, recording.frame_bytes
    n_channels, item_bytes = len(recording.source), int(recording.source.dtype.itemsize)
    samples = (length + _HISTORIES * HISTORY) * frame_bytes
    found = working_bytes(n_channels, item_bytes, float(acquisition.rate), length)
    found += length * (n_channels - _n_compared(acquisition)) * item_bytes
    reading = recording.source.block_bytes(n_channels, length) - min(length, recording.n_samples) * frame_bytes
    merged = correlation.working_bytes(_n_compared(acquisition)) + wave_bytes(float(acquisition.rate), FRAMES)
    return n_windows * (samples + (1 + RESULTS_AHEAD) * found) + reading + merged


def _n_compared(acquisition: canonical.Acquisition) -> int:
    """Count the channels before the BNC lines."""
    return acquisition.n_rows * acquisition.n_columns


def _n_alive(samples: Samples, start: int) -> int:
    """Return the frames of the recording up to the last one that is not zero or NaN in all channels, 0 without one."""
    if _is_alive(samples[:, -1:]).any():
        return start + int(samples.shape[1])
    alive = np.flatnonzero(_is_alive(samples).any(axis=0))
    return start + int(alive[-1]) + 1 if alive.size else 0


def _is_alive(samples: Samples) -> npt.NDArray[np.bool_]:
    return np.asarray((samples != 0) & (samples == samples))


def _notes_of_tail(n_samples: int, n_alive: int, rate: float) -> list[str]:
    """Say in a sentence where the end of a recording is dead, as of a file that was not filled to its end."""
    n_dead = n_samples - n_alive
    if n_dead < _SHORTEST_TAIL:
        return []
    seconds = n_dead / rate
    advice = f"declare 'crop_end_seconds: {seconds:.6g}' to leave it out" if n_alive else "nothing was recorded"
    return [f"every channel is zero or NaN in the last {seconds:.6g} s ({n_dead} frames): {advice}"]
