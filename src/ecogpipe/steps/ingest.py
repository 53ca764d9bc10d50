"""The first step: the files of a recording become one raw.h5 in the canonical format."""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from ecogpipe.datasource.chunk_writer import ChunkWriter, chunk_shape, create_in_chunks
from ecogpipe.errors import FormatError, MemoryBlowOutError, SettingsError, nearest
from ecogpipe.formats.header import Header
from ecogpipe.formats.joined import check_joinable, find_segments, joined_acquisition, joined_blocks, read_headers
from ecogpipe.results.identity import Identity, write_identity
from ecogpipe.results.provenance import provenance, write_provenance
from ecogpipe.runtime.params import load_params
from ecogpipe.runtime.progress import progress
from ecogpipe.storage import canonical
from ecogpipe.storage.atomic import flushed_early, whole_hdf5

logger = logging.getLogger(__name__)

_COMPRESSIONS = ("none", "gzip")

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
            canonical.link_parts(file, [part for header in headers for part in header.parts], raw.parent)
        else:
            _copy_samples(file, headers, compression, raw)
        grown = _check_unchanged(paths, looks, declared)
        canonical.write_acquisition(file, joined_acquisition(headers, segments, grown))
        canonical.write_segments(file, segments)
        write_identity(file, _identity(paths, headers))
        write_provenance(file, _made_by(paths, headers, settings, raw.parent))
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
    data = create_in_chunks(file, canonical.DATA, shape, dtype, chunks.shape, zipped=zipped)
    file.attrs["orientation"] = canonical.CHANNELS_BY_TIME
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
