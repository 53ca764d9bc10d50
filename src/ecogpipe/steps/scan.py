"""One pass over all samples of a recording: their hash, the numbers of every channel, the BNC lines."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ecogpipe import correlation, layout, metrics, outputs
from ecogpipe.datasource.blocks import affordable
from ecogpipe.datasource.buffers import open_hdf5
from ecogpipe.datasource.chunk_writer import shuffled_and_deflated
from ecogpipe.datasource.raw import RawRecording, open_raw
from ecogpipe.errors import FormatError, MemoryBlowOutError
from ecogpipe.identity import read_identity, write_identity
from ecogpipe.params import load_params
from ecogpipe.progress import progress

Samples = npt.NDArray[Any]

NUMBERS = "channels"
"""Group of scan.h5 with one dataset per number, over all channels."""

CORRELATION = "correlation"
"""Matrix of scan.h5: how alike the channels are that are no BNC lines."""

_CHUNK_BYTES = 1_000_000
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
        - ``/channels/<number>`` for each of `metrics.NUMBERS`, float64 over all channels, in the units of the
          acquisition (slope * raw + intercept);
        - ``/correlation``, float32, of the slow changes of the electrode and diagnostic channels with each other, and
          its attribute ``n_changes`` (see `ecogpipe.correlation`);
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
    with open_raw(raw) as recording, outputs.whole_hdf5(scan) as file, threadpool_limits(1, user_api="blas"):
        acquisition = recording.acquisition
        _check_memory(raw, acquisition, recording.source.dtype)
        layout.write_acquisition(file, acquisition)
        file.attrs["n_samples"] = recording.n_samples
        rate, n_compared = float(acquisition.rate), _n_compared(acquisition)
        numbers = metrics.FrameNumbers(acquisition.n_channels, rate, n_compared)
        digest, lines, tail = _Digest(), _BncRows(file, recording), _Tail()
        _feed(recording, numbers, (digest, lines, tail), label=f"scan {raw.parent.name}")
        lines.finish()
        file.attrs["notes"] = outputs.to_json([*acquisition.notes, *tail.notes(rate)])
        file.attrs["sha256"] = digest.result()
        write_identity(file, replace(read_identity(raw), signal=digest.result()))
        # Made by name, as HDF5 would write the time of day into a group that comes to be on the way to a dataset.
        group = file.create_group(NUMBERS)
        for name, values in metrics.in_units(numbers.result(), acquisition.slope, acquisition.intercept).items():
            group[name] = values
        n_changes = numbers.correlation.n_changes
        file[CORRELATION] = numbers.correlation.result()
        file[CORRELATION].attrs["n_changes"] = n_changes
        inputs = [raw, *(part.path for part in recording.parts if part.path.resolve() != raw.resolve())]
        layout.write_provenance(file, outputs.provenance("scan", inputs, {}, scan.parent))
    return scan


def read_numbers(scan: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Read the numbers of all channels from scan.h5, by the names in `metrics.NUMBERS`.

    Raises
    ------
    FormatError
        If the file is missing or is no scan.
    """
    with open_hdf5(scan) as file:
        if NUMBERS not in file:
            raise FormatError(f"{scan}: is not a scan of a recording (scan.h5); run scan for the recording again.")
        return {name: file[NUMBERS][name][()] for name in metrics.NUMBERS}


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
    fixed = metrics.FrameBlocks(n_channels, source.dtype)
    most, fixed_bytes = load_params().memory_limit // _BATCH_SHARE, metrics.FRAMES * n_channels * source.dtype.itemsize
    n_at_once = max(1, min(_BATCH_BYTES, most) // fixed_bytes)

    def held(n_samples: int) -> int:
        """Bytes of a block, the next one, and a batch."""
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


def _n_compared(acquisition: layout.Acquisition) -> int:
    """Count the channels before the BNC lines."""
    return acquisition.n_rows * acquisition.n_columns


def _check_memory(raw: Path, acquisition: layout.Acquisition, dtype: np.dtype[Any]) -> None:
    n_channels = acquisition.n_channels
    for what, needed in (
        (
            f"{metrics.FRAMES} frames of {n_channels} channels at a time",
            metrics.working_bytes(n_channels, dtype, float(acquisition.rate)),
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


class _BncRows:
    """Writes the BNC channels into ``/bnc`` as the frames go by, in chunks of one line, packed by libdeflate.

    The chunks are those of HDF5's own shuffle and gzip filters, but are packed ten times as fast.
    """

    def __init__(self, file: h5py.File, recording: RawRecording) -> None:
        acquisition, dtype = recording.acquisition, recording.source.dtype
        n_rows, n_samples = acquisition.n_rows, recording.n_samples
        self._channels = np.arange(n_rows * acquisition.n_columns, acquisition.n_channels)
        blocks_per_chunk = max(1, _CHUNK_BYTES // (n_rows * dtype.itemsize * metrics.FRAMES))
        length = min(blocks_per_chunk * metrics.FRAMES, n_samples)
        filters = {"chunks": (n_rows, length), "compression": "gzip", "compression_opts": 1, "shuffle": True}
        shape = (len(self._channels), n_samples)
        self._dataset = file.create_dataset(layout.BNC, shape, dtype, **(filters if min(shape) else {}))
        file[layout.BNC_CHANNELS] = self._channels
        self._n_rows, self._written = n_rows, 0
        self._waiting: npt.NDArray[Any] = np.zeros((len(self._channels), length), dtype)
        self._n_waiting = 0

    def update(self, frames: Samples) -> None:
        if not len(self._channels):
            return
        lines, taken = frames[:, self._channels[0] :].T, 0
        while taken < lines.shape[1]:
            end = min(self._n_waiting + lines.shape[1] - taken, self._waiting.shape[1])
            n_new = end - self._n_waiting
            self._waiting[:, self._n_waiting : end] = lines[:, taken : taken + n_new]
            taken, self._n_waiting = taken + n_new, end
            if end == self._waiting.shape[1]:
                self._write()

    def finish(self) -> None:
        """Write the frames that are left, in chunks that are zero beyond the last frame."""
        if self._n_waiting:
            self._waiting[:, self._n_waiting :] = 0
            self._write()

    def _write(self) -> None:
        for row in range(0, len(self._channels), self._n_rows):
            packed = shuffled_and_deflated(self._waiting[row : row + self._n_rows])
            self._dataset.id.write_direct_chunk((row, self._written), packed)
        self._written += self._waiting.shape[1]
        self._n_waiting = 0
