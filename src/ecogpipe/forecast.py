"""What the jobs of a recording will cost: bytes on the disk, memory, seconds. Arithmetic only; no file is opened.

Memory is that of the interpreter with the libraries of a step, and the signals that the step holds; the constants are
measured, and a test holds them against real jobs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Literal

Storage = Literal["linked", "copied", "loaded"]
"""What ingest does with the files: link them, copy them block by block, or load them as a whole to copy them."""

MB = 1_000_000

THREADS = {"scan": 2, "mirror": 2}
"""Cores that a job takes; one where a step is not named."""

_PROGRAM = {
    "run_config": 95 * MB,
    "missing_files": 95 * MB,
    "ingest": 110 * MB,
    "map_channels": 95 * MB,
    "mask_channels": 95 * MB,
    "extract_events": 150 * MB,
    "scan": 150 * MB,
    "mirror": 150 * MB,
    "qc": 200 * MB,
    "report": 200 * MB,
}
"""The interpreter and the libraries that each step imports."""

_MOST_SIGNALS = 200 * MB
"""Larger blocks make no step faster."""

_LEAST_LIMIT = 144 * MB
"""Memory limit that every job has: it holds blocks of any known array, and small recordings do not fill it."""

_LIMIT_SHARE = 0.8
"""Of the memory that is not the program's; the rest is for buffers of the codecs and what NumPy does in between."""

_UNPACKED = 3
"""Bytes of signals in a byte of a packed file, where nobody has looked."""

_LOADED_COPIES = 2.6
_PAGE_COPIES_BYTES = 3 * MB
_RUNNER = 300 * MB
"""The Snakemake that a cluster starts in each job, and the one that starts it."""

_PATIENCE = 10
_FLOAT32, _FLOAT64 = 4, 8
_NUMBERS = 8
_PAGE_BYTES = 650_000
_IN_BASE64 = 4 / 3


@dataclass(frozen=True)
class Facts:
    """What a recording's costs follow from.

    Attributes
    ----------
    storage : {'linked', 'copied', 'loaded'}
        What ingest does with its files.
    file_bytes : int
        Size of its files.
    n_channels, n_electrodes, n_lines : int
        Rows of the recording; those that are electrodes; those that are BNC rows.
    n_samples : int
        Frames.
    item_bytes : int
        Of a sample.
    """

    storage: Storage
    file_bytes: int
    n_channels: int
    n_electrodes: int
    n_lines: int
    n_samples: int
    item_bytes: int

    @property
    def n_values(self) -> int:
        """Samples of all channels."""
        return self.n_channels * self.n_samples

    @property
    def signal_bytes(self) -> int:
        """Bytes of all samples in memory."""
        return self.n_values * self.item_bytes

    @classmethod
    def from_size(cls, storage: Storage, file_bytes: int, is_packed: bool) -> "Facts":
        """Guess from the size of the files alone, as if all of it were one electrode in float64."""
        n_samples = file_bytes * (_UNPACKED if is_packed else 1) // _FLOAT64
        return cls(storage, file_bytes, 1, 1, 0, n_samples, _FLOAT64)


@dataclass(frozen=True)
class Packing:
    """Bytes on the disk for a byte of signals: of all rows as raw.h5 stores them, of the BNC rows as scan.h5 does."""

    raw: float = 1.0
    lines: float = 1.0


@dataclass(frozen=True)
class Rates:
    """Seconds that a machine takes, measured by `ecogpipe.calibration`.

    Attributes
    ----------
    start : float
        To start a job.
    read : float
        For a byte from the disk.
    copy, scan, scan_packed, decimate, decimate_packed : float
        For a byte of signals: to ingest a copy; to scan; to bring to a lower rate; where the file is packed, too.
    filter : float
        For a sample of an electrode at the lower rate.
    draw : float
        To draw a quality page.
    """

    start: float = 2.0
    read: float = 1e-9
    copy: float = 2e-9
    scan: float = 2e-9
    scan_packed: float = 3e-9
    decimate: float = 2e-9
    decimate_packed: float = 3e-9
    filter: float = 4e-8
    draw: float = 3.0


@dataclass(frozen=True)
class MirrorPlan:
    """What a mirror's costs follow from: its integer ratio, and whether its filter goes over the scratch disk."""

    ratio: int
    uses_scratch: bool


def memory_bytes(step: str, facts: Facts) -> int:
    """Return the memory that the job of a step needs; at least what it takes, and not twice as much."""
    return _PROGRAM[step] + _held_bytes(step, facts)


def report_memory_bytes(n_pages: int) -> int:
    """Return the memory that the report of so many quality pages needs."""
    return _PROGRAM["report"] + n_pages * _PAGE_COPIES_BYTES


def runner_bytes() -> int:
    """Return the memory that a job takes in addition on a cluster."""
    return _RUNNER


def memory_limit(step: str, job_bytes: float) -> int:
    """Return the bytes of signals that the library may hold in a job of so much memory."""
    return int(max(_LEAST_LIMIT, _LIMIT_SHARE * (job_bytes - _PROGRAM[step])))


def _held_bytes(step: str, facts: Facts) -> int:
    """What a step holds beside its program."""
    if step == "ingest":
        if facts.storage == "linked":
            return 10 * MB
        loaded = _LOADED_COPIES * facts.signal_bytes if facts.storage == "loaded" else 0
        return round(50 * MB + min(50 * MB, facts.file_bytes / 100) + loaded)
    if step in ("scan", "mirror"):
        return round(min(_MOST_SIGNALS, 30 * MB + 1.3 * facts.signal_bytes))
    return {"extract_events": 75 * MB, "qc": 60 * MB}.get(step, 0)


def output_bytes(
    facts: Facts, mirrors: Mapping[str, MirrorPlan], packing: Packing, chunks: tuple[int, int] = (1, 1)
) -> dict[str, int]:
    """Return the size of each output of a recording, by the step that makes it; mirrors as ``mirror <name>``.

    `chunks` are rows and frames of the chunks of copied samples, of which the last ones are stored whole.
    """
    rows, frames = (
        ceil(n / chunk) * chunk for n, chunk in zip((facts.n_channels, facts.n_samples), chunks, strict=True)
    )
    copied = 0 if facts.storage == "linked" else rows * frames * facts.item_bytes * packing.raw
    lines = facts.n_lines * facts.n_samples * facts.item_bytes
    sizes = {
        "ingest": copied + 15_000,
        "scan": lines * packing.lines + 20_000 + _NUMBERS * _FLOAT64 * facts.n_channels,
        "map_channels": 1_500 + 25 * facts.n_channels,
        "mask_channels": 1_500 + 170 * facts.n_electrodes,
        "extract_events": 4_000,
    }
    for name, mirror in mirrors.items():
        low = ceil(facts.n_samples / mirror.ratio)
        sizes[f"mirror {name}"] = low * (facts.n_channels + facts.n_lines) * _FLOAT32 + 20_000 + 50 * facts.n_channels
        sizes[f"qc {name}"] = _PAGE_BYTES
    return {step: round(size) for step, size in sizes.items()}


def report_bytes(n_pages: int) -> int:
    """Return the size of the report of so many quality pages, which it holds."""
    return round(20_000 + n_pages * (_IN_BASE64 * _PAGE_BYTES + 10_000))


def scratch_bytes(facts: Facts, mirror: MirrorPlan) -> int:
    """Return what the filter of a mirror keeps on the scratch disk: its electrodes, in float64 at the new rate."""
    return facts.n_electrodes * ceil(facts.n_samples / mirror.ratio) * _FLOAT64 if mirror.uses_scratch else 0


def room_bytes(step: str, facts: Facts) -> int:
    """Return the disk that the job of a step may take at most, scratch included, where only `Facts.from_size` is known.

    Of a mirror: as if it had the rate of the recording.
    """
    at_full_rate = MirrorPlan(1, uses_scratch=True)
    sizes = output_bytes(facts, {"": at_full_rate}, Packing())
    if step == "scan":
        return facts.signal_bytes // 4
    if step == "mirror":
        return sizes["mirror "] + scratch_bytes(facts, at_full_rate)
    return sizes["qc "] if step == "qc" else sizes[step]


def longest_minutes(step: str, facts: Facts) -> int:
    """Return how long the job of a step may take: ten minutes, and ten times what it takes on an ordinary machine."""
    expected = seconds(step, facts, Rates(), MirrorPlan(1, uses_scratch=True))
    return ceil(10 + _PATIENCE * expected / 60)


def seconds(step: str, facts: Facts, rates: Rates, mirror: MirrorPlan | None = None) -> float:
    """Return how long the job of a step takes; reading from the disk goes on beside the arithmetic."""
    packed = facts.storage == "linked" and facts.file_bytes < 0.97 * facts.signal_bytes
    read_bytes = facts.file_bytes if facts.storage == "linked" else facts.signal_bytes
    work = 0.0
    if step == "ingest" and facts.storage != "linked":
        work = facts.signal_bytes * rates.copy
    elif step == "scan":
        work = facts.signal_bytes * (rates.scan_packed if packed else rates.scan)
    elif step == "mirror" and mirror is not None:
        work = facts.signal_bytes * (rates.decimate_packed if packed else rates.decimate)
        if mirror.uses_scratch:
            work += facts.n_electrodes * facts.n_samples / mirror.ratio * rates.filter
    elif step == "qc":
        work = rates.draw
    reads_all = step in ("scan", "mirror") or (step == "ingest" and facts.storage != "linked")
    return rates.start + max(work, read_bytes * rates.read if reads_all else 0.0)
