"""Whether the results of a study are what they claim: complete, made from what is there, holding the same samples."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.blocks import affordable
from ecogpipe.errors import EcogpipeError
from ecogpipe.figures.page_content import lines_of
from ecogpipe.figures.page_file import read_page_file
from ecogpipe.figures.page_numbers import as_numbers, read_page_numbers
from ecogpipe.formats.joined import find_segments, joined_blocks, read_headers
from ecogpipe.results.channels import read_channels
from ecogpipe.results.events import read_events
from ecogpipe.results.identity import KEY, read_identity, signal_hash_of
from ecogpipe.results.mask import MANUAL, read_mask
from ecogpipe.results.mirror import holds_mask, read_mirror, read_row_hashes, signals_of
from ecogpipe.results.names import EVENTS, MASK, NUMBERS_SUFFIX, RecordingFiles
from ecogpipe.results.provenance import older_changes, read_provenance
from ecogpipe.results.recording import RawRecording, open_raw
from ecogpipe.results.scan import read_signal_hash
from ecogpipe.runtime.params import load_params
from ecogpipe.runtime.progress import progress
from ecogpipe.signal.rates import decimated_length
from ecogpipe.steps.scan import scan
from ecogpipe.storage.digests import are_of_one_kind, little_endian, sha256_of_dataset, sha256_of_file, sha256_of_rows
from ecogpipe.storage.hdf5_files import open_hdf5
from ecogpipe.study.config import uses_mask
from ecogpipe.study.manual_masks import ROWS, rows_of_recording

_HELD_AT_ONCE = 8
_BLOCK_BYTES = 32_000_000
_ACQUIRED = ("rate", "n_rows", "n_columns", "n_bncs", "units", "slope", "intercept", "start_time")


@dataclass(frozen=True)
class Finding:
    """What was found about one output.

    Attributes
    ----------
    path : Path
        The output.
    text : str
        What was found, in a sentence.
    is_fault : bool
        Whether it differs from what it claims.
    """

    path: Path
    text: str
    is_fault: bool = True


def verify_recording(folder: Path, mirrors: Sequence[str]) -> Iterator[Finding]:
    """Check the results of a recording, and yield what is found; what is only good to know is not a fault.

    Every sample is read: of the original files beside those of raw.h5, of raw.h5 by the scan that is made again, and
    of the mirrors.

    Parameters
    ----------
    folder
        The results of the recording.
    mirrors
        Names of its mirrors.
    """
    for output in RecordingFiles(folder).outputs(mirrors):
        yield from _checked(output.path, _CHECKS.get(output.step, _check_inputs_of))
        yield from _older(output.path)
        if output.step not in ("ingest", "qc"):
            yield from _checked_identity(output.path)
    if RecordingFiles(folder).nwb.exists():
        yield from _checked(RecordingFiles(folder).nwb, _check_inputs_of)
        yield from _older(RecordingFiles(folder).nwb)
    for old in filter(Path.exists, map(RecordingFiles(folder).old_page, mirrors)):
        yield Finding(
            old, "is of an older version, and may be removed: the .html beside it took its place", is_fault=False
        )


def verify_report(page: Path) -> Iterator[Finding]:
    """Check the report of a study in the manner of `verify_recording`."""
    return _checked(page, _check_inputs_of)


def _checked(path: Path, check: Callable[[Path], Iterator[Finding]]) -> Iterator[Finding]:
    """Run one check; what cannot even be read is a finding, not the end of the others."""
    if not path.exists():
        yield Finding(path, "is missing; run the workflow")
        return
    try:
        yield from check(path)
    except (EcogpipeError, OSError, KeyError, ValueError, SyntaxError) as error:
        yield Finding(path, f"cannot be read: {str(error) or type(error).__name__}")


def _older(path: Path) -> Iterator[Finding]:
    """Say what the step of an output makes otherwise by now; an older output is not a fault."""
    with suppress(EcogpipeError, KeyError):
        if changes := older_changes(read_provenance(path)["step"], path):
            yield Finding(path, f"was made by an older version, before this change: {changes}", is_fault=False)


def _checked_identity(path: Path) -> Iterator[Finding]:
    """Compare of which recording a result is with raw.h5 beside it, where both can be read."""
    with suppress(EcogpipeError, OSError, KeyError):
        found = read_identity(RecordingFiles(path.parent).raw).contradiction(read_identity(path))
        if found:
            yield Finding(path, f"is of another recording than raw.h5 ({found})")


def _check_raw(path: Path) -> Iterator[Finding]:
    made_by = read_provenance(path)
    yield from _check_inputs(path, made_by)
    files = [_file_of(path, described) for described in made_by["inputs"] if "source_of" not in described]
    if not all(file.exists() for file in files):
        return
    with open_raw(path) as recording:
        yield from _compare_with_files(recording, files, made_by["settings"])


def _compare_with_files(
    recording: RawRecording, files: Sequence[Path], settings: Mapping[str, Any]
) -> Iterator[Finding]:
    path, names = recording.path, " and ".join(file.name for file in files)
    headers = read_headers(files, settings["declared"])
    acquired = headers[0].acquisition
    for name in _ACQUIRED:
        ours, theirs = getattr(recording.acquisition, name), getattr(acquired, name)
        if ours != theirs:
            yield Finding(path, f"says that {name} is {ours}, but {names} say {theirs}")
    if recording.acquisition.cropped != [entry for header in headers for entry in header.acquisition.cropped]:
        yield Finding(path, f"says otherwise than {names} what was cropped")
    segments = find_segments(headers, settings["clock_tolerance_ppm"], gaps_allowed=True)
    if list(map(repr, recording.segments)) != list(map(repr, segments)):
        yield Finding(path, f"its /segments and the gaps between them are not those of {names}")
    shape = acquired.n_channels, sum(header.n_samples for header in headers)
    text = f"{shape[0]} channels x {shape[1]} samples"
    if recording.source.shape != shape or recording.source.dtype != headers[0].dtype:
        found = f"{recording.source.shape[0]} channels x {recording.source.shape[1]} samples"
        yield Finding(path, f"holds {found} of {recording.source.dtype}, {names} {text} of {headers[0].dtype}")
    elif headers[0].parts:
        yield Finding(path, f"links to {names}, which must stay: {text}", is_fault=False)
    else:
        frame_bytes = shape[0] * headers[0].dtype.itemsize
        length = max(1, min(_BLOCK_BYTES, load_params().memory_limit // _HELD_AT_ONCE) // frame_bytes)
        with progress(f"compare {path.parent.name}", shape[1] * frame_bytes) as advance:
            difference = _first_difference(recording, joined_blocks(headers, length), advance)
        if difference:
            yield Finding(path, f"does not hold the samples of {names}: {difference}")
        else:
            yield Finding(path, f"the same samples as {names}: {text}", is_fault=False)


def _first_difference(
    recording: RawRecording, blocks: Iterator[npt.NDArray[Any]], advance: Callable[[int], None]
) -> str:
    """Describe the first block in which not all bits are the same; '' where there is none."""
    start = 0
    for theirs in blocks:
        ours = recording.source[:, start : start + theirs.shape[1]]
        unequal = _bits(ours) != _bits(theirs)
        if unequal.any():
            channel, sample = (int(index) for index in np.argwhere(unequal)[0])
            return (
                f"channel {channel}, sample {start + sample} is {ours[channel, sample]!r} in place of "
                f"{theirs[channel, sample]!r}; {int(unequal.sum())} of samples {start} to "
                f"{start + theirs.shape[1] - 1} differ"
            )
        start += theirs.shape[1]
        advance(theirs.nbytes)
    return ""


def _bits(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def _check_scan(path: Path) -> Iterator[Finding]:
    """Make the scan again, and compare: the hash of all samples, the numbers, the BNC lines."""
    yield from _check_inputs(path, read_provenance(path))
    raw = RecordingFiles(path.parent).raw
    with tempfile.TemporaryDirectory(dir=load_params().scratch_dir) as folder:
        again = scan(raw, Path(folder) / path.parent.name / path.name)
        claimed, found = read_signal_hash(path), read_signal_hash(again)
        if not are_of_one_kind((claimed, found)):
            found = _sha256_of_frames(raw)
        if claimed != found:
            yield Finding(raw, "its samples are not those that were scanned: their hash is another")
        with open_hdf5(path) as theirs, open_hdf5(again) as ours:
            for name in [] if older_changes("scan", path) else _differing(theirs, ours):
                yield Finding(path, f"{name} is not what a scan of raw.h5 gives")


def _sha256_of_frames(raw: Path) -> str:
    """Return the hash that version 0.1 had of all samples: SHA-256 of frames x channels, little-endian."""
    digest = hashlib.sha256()
    with open_raw(raw) as recording:
        length = affordable(
            recording.n_samples, lambda n: _HELD_AT_ONCE * recording.source.block_bytes(len(recording.source), n)
        )
        for _, block in recording.blocks(length):
            digest.update(little_endian(block.T))
    return digest.hexdigest()


def _differing(claimed: h5py.File, found: h5py.File) -> Iterator[str]:
    """Yield the names of what differs between two scans."""
    names: set[str] = set()
    for file in (claimed, found):
        file.visititems(lambda name, item: names.add(name) if isinstance(item, h5py.Dataset) else None)
    yield from (name for name in sorted(names) if not _same_values(claimed.get(name), found.get(name)))
    attributes = (set(claimed.attrs) | set(found.attrs)) - {"provenance", "signal_hash", KEY}
    yield from (name for name in sorted(attributes) if claimed.attrs.get(name) != found.attrs.get(name))


def _same_values(one: h5py.Dataset | None, other: h5py.Dataset | None) -> bool:
    if one is None or other is None or (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    if one.ndim == 2:
        return sha256_of_dataset(one) == sha256_of_dataset(other)
    values, others = np.asarray(one[()]), np.asarray(other[()])
    return values.tolist() == others.tolist() if values.dtype.hasobject else values.tobytes() == others.tobytes()


def _check_table(path: Path, read: Callable[[Path], Any]) -> Iterator[Finding]:
    read(path)
    yield from _check_inputs(path, read_provenance(path))


def _check_mask(path: Path) -> Iterator[Finding]:
    yield from _check_table(path, read_mask)
    settings = read_provenance(path)["settings"]
    if MANUAL in settings:
        manual, name = _file_of(path, {"name": settings[MANUAL]}), settings["recording"].rpartition("/")[2]
        if not manual.exists():
            yield Finding(path, f"was made with rows of {settings[MANUAL]}, which is missing; put it back")
        elif rows_of_recording(manual, name) != settings[ROWS]:
            yield Finding(path, f"was made from other rows of {settings[MANUAL]} than those that are there")
    yield from _check_signal(path, read_mask(path).signal_hash)


def _check_mirror(path: Path) -> Iterator[Finding]:
    made_by = read_provenance(path)
    settings = made_by["settings"]
    yield from _check_inputs(path, made_by, unused=MASK if _is_as_masked_now(path, settings) else "")
    if signal := signal_hash_of(made_by):
        yield from _check_signal(path, signal)
    mirror = read_mirror(path)
    with open_hdf5(path) as file, open_raw(RecordingFiles(path.parent).raw) as recording:
        (data, bnc), ratio = signals_of(file), mirror.ratio
        expected = (len(recording.source), decimated_length(recording.n_samples, ratio))
        if data.shape != expected or bnc.shape[1] != expected[1]:
            yield Finding(path, f"holds {data.shape} values; raw.h5 at a ratio of {ratio} makes {expected}")
            return
        stretches = [(each.part, each.first_sample, each.after_gap) for each in mirror.segments]
        if stretches != [
            (each.part, decimated_length(each.first_sample, ratio), each.after_gap) for each in recording.segments
        ]:
            yield Finding(path, "its /segments are not those of raw.h5 at its rate")
        with progress(f"verify {path.stem}", data.size * data.dtype.itemsize) as advance:
            yield from _check_rows(path, file, sha256_of_rows(data, advance))
        for row, channel in enumerate(mirror.bnc_channels):
            if not np.array_equal(bnc[row], data[channel], equal_nan=True):
                yield Finding(path, f"row {row} of /bnc is not channel {channel} of /data")


def _is_as_masked_now(path: Path, settings: Mapping[str, Any]) -> bool:
    """Return whether a mirror is the same with the mask that is there now, be it another file than at its time."""
    mask = RecordingFiles(path.parent).mask
    return not uses_mask(settings) or (mask.exists() and holds_mask(path, read_mask(mask)))


def _check_rows(path: Path, file: h5py.File, hashes: Sequence[str]) -> Iterator[Finding]:
    """Compare the hashes of the rows of a mirror with those that were written down with them."""
    written = read_row_hashes(file)
    if written is None or len(written) != len(hashes):
        yield Finding(path, "its hashes of rows are not those that were written")
        return
    changed = [str(row) for row, (ours, theirs) in enumerate(zip(hashes, written, strict=True)) if ours != theirs]
    if changed:
        rows = f"row{'s' * (len(changed) > 1)} {', '.join(changed)}"
        yield Finding(path, f"its samples are not those that were written: another hash of {rows}")


def _check_inputs_of(path: Path) -> Iterator[Finding]:
    yield from _check_inputs(path, read_provenance(path))


def _check_page(path: Path) -> Iterator[Finding]:
    numbers = read_page_numbers(path.with_suffix(NUMBERS_SUFFIX))
    if path.suffix != NUMBERS_SUFFIX and read_page_file(path) != numbers:
        yield Finding(path, "shows other numbers than those in the file beside it; run qc again")
    unused = EVENTS if _shows_edges(numbers, RecordingFiles(path.parent)) else ""
    yield from _check_inputs(path, read_provenance(path), unused)


def _shows_edges(numbers: Mapping[str, Any], files: RecordingFiles) -> bool:
    """Return whether a page shows the edges that are there now: with another mirror, events.tsv gets a column."""
    if not (files.events.exists() and files.raw.exists()):
        return False
    with open_raw(files.raw) as recording:
        lines = lines_of(read_events(files.events), recording.acquisition.rate)
    return bool(numbers["timeline"]["lines"] == as_numbers(lines))


def _check_inputs(path: Path, made_by: Mapping[str, Any], unused: str = "") -> Iterator[Finding]:
    """Compare the inputs that an output names with those that are there.

    `unused` names one whose change changes nothing in the output: the workflow does not make it again.
    """
    for described in made_by["inputs"]:
        file = _file_of(path, described)
        if not file.exists():
            yield Finding(path, f"was made from {described['name']}, which is missing; put it back")
        elif not _is_unchanged(file, described):
            if file.name == unused:
                text = f"was made with an earlier {unused}, which changes nothing in it"
                yield Finding(path, text, is_fault=False)
            else:
                yield Finding(path, f"was made from another {described['name']} than the one that is there")


def _file_of(path: Path, described: Mapping[str, Any]) -> Path:
    return Path(os.path.normpath(path.parent.resolve() / described["name"]))


def _is_unchanged(file: Path, described: Mapping[str, Any]) -> bool:
    """Return whether size and hash are as written down; large files have no hash, their samples have one."""
    if file.stat().st_size != described["bytes"]:
        return False
    return "sha256" not in described or sha256_of_file(file) == described["sha256"]


def _check_signal(path: Path, signal: str) -> Iterator[Finding]:
    scanned = read_signal_hash(RecordingFiles(path.parent).scan)
    if are_of_one_kind((scanned, signal)) and scanned != signal:
        yield Finding(path, "was made from other samples than those that scan.h5 is of")


_CHECKS: Mapping[str, Callable[[Path], Iterator[Finding]]] = {
    "ingest": _check_raw,
    "scan": _check_scan,
    "map_channels": lambda path: _check_table(path, read_channels),
    "mask_channels": _check_mask,
    "extract_events": lambda path: _check_table(path, read_events),
    "mirror": _check_mirror,
    "qc": _check_page,
}
"""How the output of each step is checked; of others, the inputs are compared."""
