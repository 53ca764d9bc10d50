"""What the jobs of a recording ask for: memory, minutes, and the disk that their outputs take. No file is opened.

Memory is that of the interpreter with the libraries of a step, and the signals that the step holds; the constants are
measured, and a test holds them against real jobs. Times are generous.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Literal

from ecogpipe.errors import SettingsError, nearest

Storage = Literal["linked", "copied", "loaded"]
"""What ingest does with the files: link them, copy them block by block, or load them as a whole to copy them."""

MB = 1_000_000

_SHARED_STEPS = frozenset(("scan", "mirror"))
_WORTH_SHARING_BYTES = 250 * MB
"""Of the files of a recording: short ones are sooner done side by side, on one core each, than one after the other."""

_ALONE_LESS_BYTES = {"scan": 20 * MB, "mirror": 14 * MB}
"""What a job on one core holds less, as it works on one window at a time."""

_PROGRAM = {
    "run_config": 70 * MB,
    "missing_files": 70 * MB,
    "ingest": 55 * MB,
    "map_channels": 95 * MB,
    "mask_channels": 100 * MB,
    "extract_events": 99 * MB,
    "scan": 183 * MB,
    "mirror": 181 * MB,
    "qc": 168 * MB,
    "export_nwb": 245 * MB,
    "report": 100 * MB,
}
"""The interpreter and the libraries that each step imports, and what a step holds whatever the recording is."""

_MOST_WINDOWS_BYTES = 95 * MB
"""Of the scan: windows and what is found in them; larger ones make it no faster."""

_LEAST_LIMIT = 144 * MB
"""Memory limit that every job has: it holds blocks of any known array, and small recordings do not fill it."""

_LIMIT_SHARE = 0.9
"""Of the memory that is not the program's; the rest is for buffers of the codecs and what NumPy does in between."""

_UNPACKED = 3
"""Bytes of signals in a byte of a packed file, where nobody has looked."""

_LOADED_COPIES = 2.3

_AT_ONCE_BYTES, _AT_NEW_RATE = 110 * MB, 6
"""Of the mirror: windows and what waits to be written; in float64, and so many copies at the new rate."""

_STAGES_BYTES, _STAGES_BYTES_OF_CHANNEL = 25 * MB, 25_000
"""What else the mirror holds, and what its stages keep of each channel from window to window."""

_BLOCKS_OF_LINES_BYTES = 35 * MB
"""Of a file that can be linked, unless it is multiplexed, which its size does not tell: less than other copies take."""

_COUNT_BYTES = 2
"""Of a sample that is a count of the converter: the shortest ones, which grow most in float64."""

_ROW_COPIES_BYTES = 100_000
_MOST_PAGE_BYTES, _PAGE_SHARE = 150 * MB, 0.25
"""Of the numbers of a quality page and the blocks that they are taken of: at most, and of the signals."""

_MOST_NWB_BYTES = 110 * MB
"""Of an NWB file: blocks that are read, and the chunks that are made of them."""

_RUNNER = 300 * MB
"""The Snakemake that a cluster starts in each job, and the one that starts it."""

_USUAL_RATIO = 5

_SECONDS_PER_VALUE = {"ingest": 2e-8, "scan": 2e-8, "extract_events": 1e-8, "mirror": 4e-8, "export_nwb": 4e-8}
"""For a sample of a channel; other steps do not read them all."""

_START_SECONDS = {"qc": 8.0, "report": 8.0}

_PATIENCE = 10
_FLOAT32, _FLOAT64 = 4, 8
_NUMBERS = 16
"""Of each channel in scan.h5, with what HDF5 needs for each."""

_WINDOW_BYTES = 16
"""Of each channel and window in scan.h5."""

_PAGE_BYTES = 92_000
"""Of the scripts and the style of a quality page."""

_SHOWN_TRACES, _TRACE_SECONDS, _TRACES_OF_MIRROR, _MOST_TRACE_SAMPLES = 13, 2, 2.5, 150_000
_SITE_BYTES, _LEVEL_BYTES, _FINE_LEVEL_BYTES, _FREQUENCY_BYTES = 130, 4 / 3, 8 / 3, 48
"""Of a quality page: of a site, of a coded number of 8 and of 16 bits, and of a frequency of the median spectra."""

_ROW_BYTES, _LINK_BYTES = 2_200, 500
"""Of a recording in the index of a study, and of each of its mirrors."""

_EVENT_BYTES, _EVENT_BYTES_OF_MIRROR = 50, 8


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
    n_edges : int
        Edges to expect on its trigger lines.
    is_guess : bool
        Whether nothing but the size of the files is known.
    n_seconds : int
        Seconds, rounded up.
    loaded_bytes : int
        Of what is loaded as a whole, where that is more than the signals: several samples are averaged to one.
    """

    storage: Storage
    file_bytes: int
    n_channels: int
    n_electrodes: int
    n_lines: int
    n_samples: int
    item_bytes: int
    n_edges: int = 0
    is_guess: bool = False
    n_seconds: int = 0
    loaded_bytes: int = 0

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
        return cls(storage, file_bytes, 1, 1, 0, n_samples, _FLOAT64, is_guess=True)


@dataclass(frozen=True)
class Packing:
    """Bytes on the disk for a byte of signals: of all rows as raw.h5 stores them, of the BNC rows as scan.h5 does."""

    raw: float = 1.0
    lines: float = 1.0


@dataclass(frozen=True)
class MirrorPlan:
    """What a mirror's costs follow from.

    Its integer ratio, whether its filter goes over the scratch disk, and whether it is packed, from a file there.
    """

    ratio: int
    uses_scratch: bool
    is_packed: bool = False


def memory_bytes(step: str, facts: Facts, ratio: int = _USUAL_RATIO) -> int:
    """Return the memory that the job of a step needs; at least what it takes, and not twice as much.

    `ratio` is that of a mirror.
    """
    held = _held_by_mirror(facts, ratio) if step == "mirror" else _held_bytes(step, facts)
    return program_bytes(step) + held - (_ALONE_LESS_BYTES.get(step, 0) if job_threads(step, facts) == 1 else 0)


def job_threads(step: str, facts: Facts) -> int:
    """Return the cores that the job of a step takes; its result does not depend on them."""
    return 2 if step in _SHARED_STEPS and facts.file_bytes >= _WORTH_SHARING_BYTES else 1


def program_bytes(step: str) -> int:
    """Return the memory of the interpreter and the libraries of a step.

    Raises
    ------
    SettingsError
        If nothing is known of the step.
    """
    if step not in _PROGRAM:
        raise SettingsError(
            f"The step {step!r} has no memory in ecogpipe.runtime.costs; measure what its program takes (the last line "
            f"but one of its log), and write it there. {nearest(step, _PROGRAM)}"
        )
    return _PROGRAM[step]


def report_memory_bytes(n_recordings: int, n_mirrors: int) -> int:
    """Return the memory that the report of so many recordings needs."""
    return _PROGRAM["report"] + n_recordings * n_mirrors * _ROW_COPIES_BYTES


def runner_bytes() -> int:
    """Return the memory that a job takes in addition on a cluster."""
    return _RUNNER


def memory_limit(step: str, job_bytes: float) -> int:
    """Return the bytes of signals that the library may hold in a job of so much memory."""
    return int(max(_LEAST_LIMIT, _LIMIT_SHARE * (job_bytes - program_bytes(step))))


def _held_bytes(step: str, facts: Facts) -> int:
    """Return what a step holds beside its program."""
    if step == "ingest":
        if facts.storage == "linked":
            return _BLOCKS_OF_LINES_BYTES if facts.is_guess else 10 * MB
        loaded = _LOADED_COPIES * max(facts.signal_bytes, facts.loaded_bytes) if facts.storage == "loaded" else 0
        blocks = min(75 * MB, 20 * MB + 0.6 * facts.file_bytes)
        return round(blocks + min(50 * MB, facts.file_bytes / 100) + loaded)
    if step == "scan":
        return round(min(_MOST_WINDOWS_BYTES, 20 * MB + 0.85 * facts.signal_bytes))
    if step == "qc":
        return round(min(_MOST_PAGE_BYTES, _PAGE_SHARE * facts.signal_bytes))
    if step == "export_nwb":
        return round(min(_MOST_NWB_BYTES, facts.signal_bytes))
    return 0


def _held_by_mirror(facts: Facts, ratio: int) -> int:
    """Return the bytes that the mirror holds beside its program; samples of unknown length count as short."""
    item_bytes = _COUNT_BYTES if facts.is_guess and facts.storage == "copied" else facts.item_bytes
    in_float64 = 0 if item_bytes == _FLOAT64 else _FLOAT64
    of_sample = 2 * item_bytes + in_float64 + _AT_NEW_RATE * _FLOAT64 / ratio
    stages = _STAGES_BYTES + _STAGES_BYTES_OF_CHANNEL * facts.n_channels
    return round(stages + min(_AT_ONCE_BYTES, facts.signal_bytes // item_bytes * of_sample))


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
    correlation = (facts.n_channels - facts.n_lines) ** 2 * _FLOAT32
    of_channel = _NUMBERS * _FLOAT64 + _WINDOW_BYTES * facts.n_seconds
    sizes = {
        "ingest": copied + 12_000,
        "scan": lines * packing.lines + correlation + 25_000 + of_channel * facts.n_channels,
        "map_channels": 900 + 25 * facts.n_channels,
        "mask_channels": 1_600 + 220 * facts.n_electrodes,
        "extract_events": 1_600 + facts.n_edges * (_EVENT_BYTES + len(mirrors) * _EVENT_BYTES_OF_MIRROR),
    }
    for name, mirror in mirrors.items():
        low = ceil(facts.n_samples / mirror.ratio)
        sizes[f"mirror {name}"] = low * (facts.n_channels + facts.n_lines) * _FLOAT32 + 20_000 + 50 * facts.n_channels
        sizes[f"numbers {name}"] = _page_numbers_bytes(facts, mirror.ratio)
        sizes[f"qc {name}"] = _PAGE_BYTES + sizes[f"numbers {name}"]
    return {step: round(size) for step, size in sizes.items()}


def _page_numbers_bytes(facts: Facts, ratio: int) -> float:
    """Return the size of what a quality page shows: of samples, of all sites over time, and of the spectra."""
    sites, seconds = facts.n_electrodes, max(1, facts.n_seconds)
    rate, stretch = facts.n_samples / seconds, min(_TRACE_SECONDS, seconds)
    shown = min(_SHOWN_TRACES, sites)
    held = sites if sites * stretch * rate / ratio <= _MOST_TRACE_SAMPLES else shown
    samples = stretch * rate * (shown + _TRACES_OF_MIRROR * held / ratio)
    bins = min(2_000, 190_000 // max(1, sites), facts.n_samples // ratio) + min(900, 500_000 // max(1, sites), seconds)
    coded = 2 * bins + 2 * 120 + 120
    frequencies = rate * (1 + 1 / ratio) / 2
    return (
        6_000
        + min(200, seconds) * 160
        + samples * _FINE_LEVEL_BYTES
        + sites * (_SITE_BYTES + coded * _LEVEL_BYTES)
        + frequencies * _FREQUENCY_BYTES
    )


def report_bytes(n_recordings: int, n_mirrors: int) -> int:
    """Return the size of the index of so many recordings."""
    return 7_400 + n_recordings * (_ROW_BYTES + n_mirrors * _LINK_BYTES)


def run_config_bytes(n_recordings: int) -> int:
    """Return the size of the copy of the settings and of so many rows of the recordings table."""
    return 1_000 + 250 * n_recordings


def scratch_bytes(facts: Facts, mirror: MirrorPlan) -> int:
    """Return what a mirror keeps on the scratch disk: the electrodes of its filter, and itself before it is packed."""
    samples = ceil(facts.n_samples / mirror.ratio)
    of_filter = facts.n_electrodes * samples * _FLOAT64 if mirror.uses_scratch else 0
    return of_filter + ((facts.n_channels + facts.n_lines) * samples * _FLOAT32 if mirror.is_packed else 0)


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
    if step == "export_nwb":
        return 2 * sizes["mirror "]
    return sizes["qc "] if step == "qc" else sizes[step]


def seconds(step: str, facts: Facts) -> float:
    """Return how long the job of a step takes on an ordinary workstation, generously."""
    reads_all = step != "ingest" or facts.storage != "linked" or facts.is_guess
    n_values = max(facts.n_values, facts.file_bytes // _FLOAT64) if reads_all else 0
    return _START_SECONDS.get(step, 3.0) + n_values * _SECONDS_PER_VALUE.get(step, 0.0)


def longest_minutes(step: str, facts: Facts) -> int:
    """Return how long the job of a step may take: ten minutes, and ten times what it takes on an ordinary machine."""
    return ceil(10 + _PATIENCE * seconds(step, facts) / 60)
