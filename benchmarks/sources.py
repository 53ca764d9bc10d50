"""Reading through a source beside the best hand-written read: ratios of one run.

python benchmarks/sources.py FOLDER      (with the recordings of recording.py)
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

from ecogpipe import MappedSource
from recording import CHANNELS_FIRST, N_CHANNELS, TIME_FIRST
from timing import cost_of, fastest

BLOCK = 65_536
WINDOWS = {samples: slice(100_000, 100_000 + samples) for samples in (10_000, 50_000)}


def bench_channel_lists(folder: Path) -> None:
    """A window of 64 of 96 channels, in any order on disk: at most 1.3 times the best read by hand."""
    channels = sorted(np.random.default_rng(0).choice(N_CHANNELS, 64, replace=False).tolist())
    print("\n(a) source[64 of 96 channels, window] beside the best read by hand (target: at most 1.3)")
    for label, path, transpose in stored_both_ways(folder):
        with h5py.File(path, "r", locking=False) as file:
            for samples, window in WINDOWS.items():
                ours, *hands = fastest(*reads(file, transpose, channels, window), rounds=15)
                print(
                    f"    {label:28} {samples} samples {ours * 1e3:7.2f} ms, by hand {min(hands) * 1e3:7.2f} ms: ratio "
                    f"{ours / min(hands):.2f}"
                )


def reads(file: h5py.File, transpose: bool, channels: list[int], window: slice) -> list[Callable[[], object]]:
    """Return ways to read the window: through a source first, then by hand."""
    data, source = file["data"], MappedSource.from_hdf_sources(file, "data", transpose=transpose)
    by_hand: list[Callable[[], object]] = (
        [lambda: np.take(data[window], channels, axis=1), lambda: data[window][:, channels]]
        if transpose
        else [lambda: data[channels, window], lambda: data[:, window][channels]]
    )
    return [lambda: source[channels, window], *by_hand]


def stored_both_ways(folder: Path) -> Iterator[tuple[str, Path, bool]]:
    """Write a piece of the recording with either axis first, chunked and contiguous."""
    with h5py.File(folder / CHANNELS_FIRST) as file:
        piece = file["data"][:, : 4 * BLOCK]
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for transpose in (True, False):
            for chunks in (None, (2048, N_CHANNELS) if transpose else (N_CHANNELS, 2048)):
                order = "(time, channel)" if transpose else "(channel, time)"
                path = Path(name) / f"{transpose}_{chunks is None}.h5"
                with h5py.File(path, "w") as file:
                    file.create_dataset("data", data=piece.T if transpose else piece, chunks=chunks)
                yield f"{order}, {'chunked' if chunks else 'contiguous'}", path, transpose


def bench_gzip_read(folder: Path) -> None:
    """A full read of the gzip recording in blocks: at least 3 times faster than h5py."""

    def with_h5py() -> None:
        with h5py.File(folder / TIME_FIRST, "r", locking=False) as file:
            for start in range(0, len(file["data"]), BLOCK):
                file["data"][start : start + BLOCK]

    def with_ours() -> None:
        with MappedSource.from_hdf_sources(folder / TIME_FIRST, "data", transpose=True) as source:
            for start in range(0, source.n_samples, BLOCK):
                source[:, start : start + BLOCK]

    h5py_seconds, ours = fastest(with_h5py, with_ours, rounds=3)
    print("\n(b) full read of the gzip recording in blocks (target: at least 3 times faster than h5py)")
    print(f"    h5py {h5py_seconds:.2f} s, source {ours:.2f} s: {h5py_seconds / ours:.2f} times faster")


def busy(seconds: float) -> None:
    """Keep one core busy, without the interpreter's lock for most of the time, as filters and products do."""
    matrix, end = np.ones((200, 200)), time.perf_counter() + seconds
    while time.perf_counter() < end:
        np.sin(matrix, out=matrix)


def bench_background(folder: Path) -> None:
    """Reading behind the caller's back: within 1.25 of the larger of the longer part and half of all CPU time."""
    with MappedSource.from_hdf_sources(folder / TIME_FIRST, "data", transpose=True) as source:
        key = np.s_[:, : 4 * BLOCK]
        with source.big_slices():
            reading = fastest(lambda: source[key], rounds=3)[0]

            def cached() -> None:
                source.cache_slice(key)
                busy(reading)
                source.get_cached_slice()

            call = fastest(lambda: source.cache_slice(key), lambda: source.get_cached_slice(), rounds=3)[0]
            print(f"\n(c) cache_slice returned after {call * 1e3:.1f} ms of a read of {reading * 1e3:.0f} ms")
            report_overlap(cached, reading, reading)

        length, offset = BLOCK // 2, source.n_samples - 16 * (BLOCK // 2)

        def read_only() -> None:
            blocks = source.iter_blocks(length, start_offset=offset)
            for number in range(len(blocks)):
                blocks.block(number)

        def iterated() -> None:
            for _ in source.iter_blocks(length, start_offset=offset):
                busy(reading / 16)

        reading = fastest(read_only, rounds=3)[0]
        print("(d) iter_blocks over 16 blocks, with as much work on each as reading it takes")
        report_overlap(iterated, reading, reading)


def report_overlap(job: Callable[[], None], reading: float, working: float) -> None:
    cost = min((cost_of(job) for _ in range(5)), key=lambda cost: cost.seconds)
    bound = max(reading, working, cost.cpu_seconds / 2)
    print(
        f"    together {cost.seconds * 1e3:.0f} ms; the longer part {max(reading, working) * 1e3:.0f} ms, half of the "
        f"CPU time {cost.cpu_seconds / 2 * 1e3:.0f} ms: ratio {cost.seconds / bound:.2f} (target: at most 1.25)"
    )


def main(folder: Path) -> None:
    bench_channel_lists(folder)
    bench_gzip_read(folder)
    bench_background(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
