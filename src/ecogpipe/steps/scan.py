"""One pass over all samples of a recording: their hash, the numbers of every channel, the BNC lines."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ecogpipe.datasource.blocks import affordable
from ecogpipe.errors import MemoryBlowOutError
from ecogpipe.results.identity import read_identity, write_identity
from ecogpipe.results.provenance import provenance, write_provenance
from ecogpipe.results.recording import RawRecording, open_raw
from ecogpipe.results.scan import LineWriter, write_facts, write_numbers
from ecogpipe.runtime.params import load_params
from ecogpipe.runtime.progress import progress
from ecogpipe.statistics import channel_statistics, correlation
from ecogpipe.storage import canonical
from ecogpipe.storage.atomic import whole_hdf5

Samples = npt.NDArray[Any]

_SHARE = 2

_SHORTEST_TAIL = 16
"""Frames in which all channels may be zero by chance."""

_BATCH_BYTES, _BATCH_SHARE = 8_000_000, 16
"""Blocks that two threads take at a time hold at most so many bytes, and this fraction of the memory limit: for each
block alone, the one would wait for the other too often."""


def scan(raw: Path, scan: Path) -> Path:
    """Read every sample of a recording once, and write what has to be known of all of them.

    Parameters
    ----------
    raw : Path
        The ingested recording, raw.h5.
    scan : Path
        The HDF5 file to write. It holds the acquisition values of the recording, and

        - root attributes ``sha256`` (of the samples as frames x channels in the dtype of the file, little-endian),
          ``n_samples``, ``provenance``;
        - ``/channels/<number>`` for each of `channel_statistics.NUMBERS`, float64 over all channels, in the units of
          the acquisition (slope * raw + intercept);
        - ``/correlation``, float32, of the slow changes of the electrode and diagnostic channels with each other, and
          its attribute ``n_changes`` (see `ecogpipe.statistics.correlation`);
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
        acquisition = recording.acquisition
        _check_memory(raw, acquisition, recording.source.dtype)
        canonical.write_acquisition(file, acquisition)
        rate = float(acquisition.rate)
        numbers = channel_statistics.FrameNumbers(acquisition.n_channels, rate, _n_compared(acquisition))
        digest, lines, tail = _Digest(), LineWriter(file, recording), _Tail()
        _feed(recording, numbers, (digest, lines, tail), label=f"scan {raw.parent.name}")
        lines.finish()
        write_facts(file, recording.n_samples, digest.result(), [*acquisition.notes, *tail.notes(rate)])
        write_identity(file, replace(read_identity(raw), signal=digest.result()))
        in_units = channel_statistics.in_units(numbers.result(), acquisition.slope, acquisition.intercept)
        write_numbers(file, in_units, numbers.correlation)
        inputs = [raw, *(part.path for part in recording.parts if part.path.resolve() != raw.resolve())]
        write_provenance(file, provenance("scan", inputs, {}, scan.parent))
    return scan


class _Taker(Protocol):
    """Takes the fixed blocks of a recording, (frames, channels), one after the other."""

    def update(self, frames: Samples) -> None: ...


def _feed(recording: RawRecording, taker: _Taker, takers_beside: Sequence[_Taker], label: str) -> None:
    """Hand every block to one taker, and to the others in a second thread: arithmetic and hashing take a core each."""

    def take_beside(batch: Sequence[Samples]) -> None:
        for frames in batch:
            for other in takers_beside:
                other.update(frames)

    with (
        ThreadPoolExecutor(1, thread_name_prefix="scan") as executor,
        progress(label, prod(recording.source.shape) * recording.source.dtype.itemsize) as advance,
    ):
        for batch in _batches(recording):
            beside = executor.submit(take_beside, batch)
            for frames in batch:
                taker.update(frames)
            beside.result()
            advance(sum(frames.nbytes for frames in batch))


def _batches(recording: RawRecording) -> Iterator[list[Samples]]:
    """Yield the fixed blocks, some at a time; they are valid until the next ones are asked for."""
    source = recording.source
    n_channels = len(source)
    fixed = channel_statistics.FrameBlocks(n_channels, source.dtype)
    most = load_params().memory_limit // _BATCH_SHARE
    fixed_bytes = channel_statistics.FRAMES * n_channels * source.dtype.itemsize
    n_at_once = max(1, min(_BATCH_BYTES, most) // fixed_bytes)

    def held(n_samples: int) -> int:
        """Return the bytes of a block, the next one, and a batch."""
        return 2 * source.block_bytes(n_channels, n_samples) + n_at_once * fixed_bytes

    length = affordable(source.n_samples, held, at_once=1)
    for _, block in recording.blocks(length):
        completed = fixed.push(block)
        while batch := list(islice(completed, n_at_once)):
            yield batch
    if rest := list(fixed.rest()):
        yield rest


class _Digest:
    """The hash of all samples, little-endian."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, frames: Samples) -> None:
        self._hash.update(frames.astype(frames.dtype.newbyteorder("<"), copy=False).data)

    def result(self) -> str:
        return self._hash.hexdigest()


def _n_compared(acquisition: canonical.Acquisition) -> int:
    """Count the channels before the BNC lines."""
    return acquisition.n_rows * acquisition.n_columns


def _check_memory(raw: Path, acquisition: canonical.Acquisition, dtype: np.dtype[Any]) -> None:
    n_channels = acquisition.n_channels
    for what, needed in (
        (
            f"{channel_statistics.FRAMES} frames of {n_channels} channels at a time",
            channel_statistics.working_bytes(n_channels, dtype, float(acquisition.rate)),
        ),
        ("the correlations of all channels", correlation.working_bytes(_n_compared(acquisition))),
    ):
        limit = load_params().memory_limit
        if needed > limit // _SHARE:
            raise MemoryBlowOutError(
                f"{raw}: scanning takes {what}, which is {needed} bytes: more than half of the memory limit of {limit} "
                f"bytes. Raise the limit to {_SHARE * needed} bytes, or give the job more memory."
            )


class _Tail:
    """The end of a recording in which every channel is zero or NaN, as of a file that was not filled to its end."""

    def __init__(self) -> None:
        self._n_frames, self._n_alive = 0, 0

    def update(self, frames: Samples) -> None:
        if _is_alive(frames[-1:]).any():
            self._n_alive = self._n_frames + len(frames)
        elif (alive := np.flatnonzero(_is_alive(frames).any(axis=1))).size:
            self._n_alive = self._n_frames + int(alive[-1]) + 1
        self._n_frames += len(frames)

    def notes(self, rate: float) -> list[str]:
        """Return a sentence where the tail is longer than a few frames."""
        n_dead = self._n_frames - self._n_alive
        if n_dead < _SHORTEST_TAIL:
            return []
        seconds = n_dead / rate
        advice = (
            f"declare 'crop_end_seconds: {seconds:.6g}' to leave it out" if self._n_alive else "nothing was recorded"
        )
        return [f"every channel is zero or NaN in the last {seconds:.6g} s ({n_dead} frames): {advice}"]


def _is_alive(frames: Samples) -> npt.NDArray[np.bool_]:
    return np.asarray((frames != 0) & (frames == frames))
