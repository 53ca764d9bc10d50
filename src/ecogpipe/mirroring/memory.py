"""What a mirror holds at once: the samples of a window, how many windows, the rows of a batch. Arithmetic only."""

from dataclasses import dataclass
from functools import partial
from math import lcm

from ecogpipe.datasource.blocks import affordable
from ecogpipe.datasource.filtering import finishing_bytes
from ecogpipe.datasource.windows import RESULTS_AHEAD
from ecogpipe.results.recording import RawRecording
from ecogpipe.runtime.params import load_params
from ecogpipe.signal.decimate import TILE_OUTPUTS

_WINDOW_BYTES = 30_000_000
"""Of a window, with all that is made of it: few enough to stay near the core that reads and decimates it."""

_FIR_COPIES = 4
"""Of what a windowed FIR at the new rate takes and reaches back to: kept, joined, padded, brought to an order."""

_HISTORIES = 3
"""What comes before a window is held in its array, and passed on to it and by it."""

_BATCH_BYTES = 8_000_000
"""Rows at the new rate that are written at a time: fewer would be many short writes."""

_BATCHES_AT_ONCE = 3
"""Being gathered, waiting, being written."""

_BATCH_SHARE = 12
"""All batches together take at most this fraction of the memory limit, the windows what is left."""

_FLOAT64 = 8


@dataclass(frozen=True)
class Reach:
    """How far the filters of a mirror reach back.

    Attributes
    ----------
    ratio
        Integer ratio of the rates.
    history
        Samples before a window that decimating it needs.
    fir_history
        Outputs that the windowed FIR at the new rate reaches back to, 0 without one.
    n_electrodes
        Rows that go through that FIR.
    """

    ratio: int
    history: int
    fir_history: int
    n_electrodes: int


def batch_bytes() -> int:
    """Return the bytes of the rows that are written at a time."""
    return min(_BATCH_BYTES, load_params().memory_limit // (_BATCH_SHARE * _BATCHES_AT_ONCE))


def windows_at_once(recording: RawRecording, reach: Reach) -> tuple[int, int]:
    """Return the samples of a window, and how many windows at once: what the memory limit affords.

    Whole chunks, and where there is room for them, whole tiles: each window yields as many outputs, which find room
    where those of the ones before were, so that memory stays what it is however long the recording.

    Raises
    ------
    MemoryBlowOutError
        If the memory limit does not hold a window of a single sample.
    """
    params, chunk_length, cost = load_params(), recording.chunk_length, partial(_held_bytes, recording, reach)
    least = max(reach.history, chunk_length)
    n_windows = next((n for n in range(params.workers, 0, -1) if cost(least, n) <= params.memory_limit), 0)
    if not n_windows:
        return affordable(recording.n_samples, lambda length: cost(length, 1), 1), 1
    most = n_windows * _WINDOW_BYTES
    length = affordable(recording.n_samples, lambda length: cost(length, n_windows), 1, most)
    whole = lcm(TILE_OUTPUTS * reach.ratio, chunk_length)
    return max(least, length - length % whole if length > whole else length), n_windows


def _held_bytes(recording: RawRecording, reach: Reach, length: int, n_windows: int) -> int:
    """Return all that is held of signals while so many windows of a length are worked on."""
    n_channels, frame_bytes = len(recording.source), recording.frame_bytes
    in_float64 = _FLOAT64 + (2 + RESULTS_AHEAD) * _FLOAT64 / reach.ratio
    window = (length + _HISTORIES * reach.history) * frame_bytes
    window += round((length + reach.history) * n_channels * in_float64)
    reading = recording.source.block_bytes(n_channels, length) - min(length, recording.n_samples) * frame_bytes
    held = n_windows * window + reading + finishing_bytes() + _BATCHES_AT_ONCE * batch_bytes()
    if reach.fir_history:
        held += _FIR_COPIES * _FLOAT64 * reach.n_electrodes * (reach.fir_history + length // reach.ratio)
    return held
