"""The first step: the files of a recording become one raw.h5 in the canonical format."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isnan
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe import layout
from ecogpipe.datasource.chunk_writer import ChunkWriter, create_in_chunks
from ecogpipe.datasource.read_ahead import read_ahead
from ecogpipe.errors import FormatError, JoinError, MemoryBlowOutError, SettingsError, nearest
from ecogpipe.formats import Header, read_header
from ecogpipe.identity import Identity, write_identity
from ecogpipe.outputs import flushed_early, provenance, whole_hdf5
from ecogpipe.params import load_params
from ecogpipe.progress import progress
from ecogpipe.steps.segments import describe_gap, find_segments

logger = logging.getLogger(__name__)

_COMPRESSIONS = ("none", "gzip")
_CHUNK_BYTES = 2**20
_ROW_BLOCKS = 8
"""Chunks that hold all channels of a stretch of time: a long single row reads this fraction of the file."""

_BLOCK_BYTES = 32_000_000
_BLOCKS_HELD = 8
"""Blocks that fit into the memory limit; a reader and the writer hold half of them at once, loaded files the rest."""


def ingest(
    files: Sequence[str | Path],
    raw: str | Path,
    *,
    declared: Mapping[str, Any] | None = None,
    compression: str = "none",
    clock_tolerance_ppm: float = 0.0,
) -> Path:
    """Bring the files of one recording into the canonical format.

    TDMS and Matlab 5 files, and others that are still multiplexed, are copied to ``/data``, (channels, time), in the
    dtype of the source (averages of raw analog lines in float64); Matlab 7.3 and HDF5 files that are not are linked by
    relative paths and never written to.

    Parameters
    ----------
    files
        The parts of the recording in order of time.
    raw
        The output; it appears whole or not at all.
    declared
        Acquisition values that a person declares (the overrides of the recording); they take precedence over what
        the files say, and the output shows them.
    compression
        Of copied samples: 'none' or 'gzip'.
    clock_tolerance_ppm
        By how many parts per million the clock of the start times may differ from that of the samples, before the
        signal is said not to go on from one part to the next.

    Returns
    -------
    Path
        The output.

    Raises
    ------
    FormatError
        If a file cannot be read as a recording, changes meanwhile, or does not say what is needed.
    SettingsError
        If a declared value or the compression is not known.
    JoinError
        If the files differ in their layout, rate, dtype, units or orientation, or if there is a gap or an overlap
        between two of them and ``gaps`` is not declared as 'allow'.
    MemoryBlowOutError
        If not even one frame fits the memory limit.

    Examples
    --------
    >>> ingest(["test_001.tdms"], "results/16011/day1/test_001/raw.h5")  # doctest: +SKIP
    """
    paths, raw, declared = [Path(file) for file in files], Path(raw), dict(declared or {})
    _check_request(paths, raw, compression)
    looks = [_look(path) for path in paths]
    headers = read_headers(paths, declared)
    check_joinable(headers)
    segments = find_segments(headers, clock_tolerance_ppm, gaps_allowed=declared.get("gaps") == "allow")
    settings = {"declared": declared, "compression": compression, "clock_tolerance_ppm": clock_tolerance_ppm}
    with whole_hdf5(raw) as file:
        if headers[0].parts:
            layout.link_parts(file, [part for header in headers for part in header.parts], raw.parent)
        else:
            _copy_samples(file, headers, compression, raw)
        grown = _check_unchanged(paths, looks, declared)
        layout.write_acquisition(file, _joined_acquisition(headers, segments, grown))
        layout.write_segments(file, segments)
        write_identity(file, _identity(paths, headers))
        layout.write_provenance(file, _made_by(paths, headers, settings, raw.parent))
    return raw


def _made_by(
    paths: Sequence[Path], headers: Sequence[Header], settings: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """Describe what made raw.h5; among its inputs, those that its files take samples from say of which they are."""
    made_by = provenance("ingest", paths, settings, folder)
    sources = {source: header.path.name for header in headers for source in header.sources}
    described = provenance("ingest", list(sources), {}, folder)["inputs"]
    made_by["inputs"] += [entry | {"source_of": name} for entry, name in zip(described, sources.values(), strict=True)]
    return made_by


def _identity(paths: Sequence[Path], headers: Sequence[Header]) -> Identity:
    acquisition = headers[0].acquisition
    n_samples = sum(header.n_samples for header in headers)
    return Identity.of_files(paths, acquisition.n_channels, n_samples, acquisition.rate)


def check_joinable(headers: Sequence[Header]) -> None:
    """Refuse files that are not parts of one recording.

    Raises
    ------
    JoinError
        With both files and the values in which they differ.
    """
    first = headers[0]
    for other in headers[1:]:
        for (what, one), (_, two) in zip(_must_agree(first), _must_agree(other), strict=True):
            if one != two:
                raise JoinError(
                    f"{other.path} cannot follow {first.path}: its {what} is {two}, not {one}; only files of one "
                    "recording can be joined, give each recording its own row."
                )


def _must_agree(header: Header) -> list[tuple[str, Any]]:
    acquisition = header.acquisition
    time_first = header.parts[0].time_first if header.parts else False
    return [
        ("format", header.kind),
        ("number of rows", acquisition.n_rows),
        ("number of columns", acquisition.n_columns),
        ("number of BNC columns", acquisition.n_bncs),
        ("rate in Hz", acquisition.rate),
        ("dtype", header.dtype),
        ("units", acquisition.units),
        ("scaling (slope, intercept)", (acquisition.slope, acquisition.intercept)),
        ("orientation", layout.TIME_BY_CHANNELS if time_first else layout.CHANNELS_BY_TIME),
    ]


def _check_request(paths: Sequence[Path], raw: Path, compression: str) -> None:
    if not paths:
        raise SettingsError(f"{raw}: there are no files to ingest; name at least one.")
    for path in (*paths, raw):
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise SettingsError(
                f"{os.fsencode(path)!r}: a name that is not in UTF-8 cannot be written down in the results; rename it."
            ) from None
    if len({path.resolve() for path in paths}) < len(paths):
        raise SettingsError(f"{raw}: a file is named twice among {', '.join(map(str, paths))}; name each once.")
    if raw.resolve() in {path.resolve() for path in paths}:
        raise SettingsError(f"{raw}: is both a file to ingest and the output; give the output another name.")
    if compression not in _COMPRESSIONS:
        raise SettingsError(f"There is no compression {compression!r}. {nearest(compression, _COMPRESSIONS)}")


def read_headers(paths: Sequence[Path], declared: Mapping[str, Any]) -> list[Header]:
    """Read what the files of a recording hold; what is declared of its beginning or end is of the first or last."""
    later = {name: value for name, value in declared.items() if name != "start_time"}
    later |= {"skip_seconds": 0} if "skip_seconds" in declared else {}
    declared_of = [declared, *[later] * (len(paths) - 1)]
    whole = [{key: value for key, value in each.items() if key != "crop_end_seconds"} for each in declared_of[:-1]]
    return [read_header(path, each) for path, each in zip(paths, [*whole, declared_of[-1]], strict=True)]


def _look(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _check_unchanged(
    paths: Sequence[Path], looks: Sequence[tuple[int, int] | None], declared: Mapping[str, Any]
) -> list[str]:
    """Refuse files that are still being written; where that is accepted, return a note for each."""
    grown = [path for path, look in zip(paths, looks, strict=True) if _look(path) != look]
    if grown and declared.get("still_written") != "accept":
        raise FormatError(
            f"{grown[0]}: changed while it was read, so it is still being written; wait until its recording is "
            "finished, then run again, or declare 'still_written: accept' in its overrides to take what is there."
        )
    return [f"{path.name}: changed while it was read; what was there at first was taken" for path in grown]


@dataclass(frozen=True)
class _Chunks:
    """How copied samples are cut: the chunk shape, fixed by the recording, and frames that are written at once."""

    shape: tuple[int, int]
    block_length: int


def _copy_samples(file: h5py.File, headers: Sequence[Header], compression: str, raw: Path) -> None:
    first = headers[0]
    n_channels, dtype = first.acquisition.n_channels, first.dtype
    n_samples = sum(header.n_samples for header in headers)
    chunks = _choose_chunks(n_channels, n_samples, dtype.itemsize, raw)
    shape, zipped = (n_channels, n_samples), compression == "gzip"
    data = create_in_chunks(file, layout.DATA, shape, dtype, chunks.shape, zipped=zipped)
    file.attrs["orientation"] = layout.CHANNELS_BY_TIME
    written = 0
    with (
        progress(f"ingest {raw.parent.name}", n_channels * n_samples * dtype.itemsize) as advance,
        closing(ChunkWriter(data)) as writer,
        flushed_early(file) as flush,
    ):
        for block in joined_blocks(headers, chunks.block_length):
            writer.write(written, block)
            flush()
            written += block.shape[1]
            advance(block.nbytes)


def chunk_shape(n_channels: int, n_samples: int, item_bytes: int) -> tuple[int, int]:
    """How copied samples are cut into chunks, (channels, time): fixed by the recording alone."""
    rows = -(-n_channels // _ROW_BLOCKS)
    frames = 2 ** max(0, (_CHUNK_BYTES // (rows * item_bytes)).bit_length() - 1)
    return rows, min(frames, n_samples)


def _choose_chunks(n_channels: int, n_samples: int, item_bytes: int, raw: Path) -> _Chunks:
    shape = chunk_shape(n_channels, n_samples, item_bytes)
    frame_bytes = n_channels * item_bytes
    allowed = min(_BLOCK_BYTES, load_params().memory_limit // _BLOCKS_HELD) // frame_bytes
    if not allowed:
        raise MemoryBlowOutError(
            f"{raw}: one frame of {n_channels} channels takes {frame_bytes} bytes, and {_BLOCKS_HELD} must fit; "
            f"raise memory_limit from {load_params().memory_limit}."
        )
    whole_chunks = allowed // shape[1] * shape[1]
    return _Chunks(shape, whole_chunks or allowed)


def joined_blocks(headers: Sequence[Header], block_length: int) -> Iterator[npt.NDArray[Any]]:
    """Yield the samples of all files, joined, in blocks of `block_length` frames; the last may be shorter."""
    joint = np.empty((headers[0].acquisition.n_channels, block_length if len(headers) > 1 else 0), headers[0].dtype)
    filled = 0
    readers = [header.read_blocks for header in headers if header.read_blocks]
    for block in (block for read in readers for block in read_ahead(read(block_length))):
        if len(headers) == 1 or (not filled and block.shape[1] == block_length):
            yield block
            continue
        missing = block_length - filled
        for piece in (block[:, :missing], block[:, missing:]):
            joint[:, filled : filled + piece.shape[1]] = piece
            filled += piece.shape[1]
            if filled == block_length:
                yield joint
                filled = 0
    if filled:
        yield joint[:, :filled]


def _joined_acquisition(
    headers: Sequence[Header], segments: Sequence[layout.Segment], grown: Sequence[str]
) -> layout.Acquisition:
    """How the recording was acquired: as its first file says, with the notes and the gaps of all."""
    first = headers[0].acquisition
    notes = list(first.notes)
    if len(headers) > 1:
        notes = [f"{header.path.name}: {note}" for header in headers for note in header.acquisition.notes]
        notes += [describe_gap(*pair) for pair in pairwise(segments) if not isnan(pair[1].gap_seconds)]
    cropped = [entry for header in headers for entry in header.acquisition.cropped]
    return replace(first, notes=[*notes, *grown], cropped=cropped)
