"""``ecogpipe demo``: a small study with a known truth, and the workflow run on it."""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import h5py

from ecogpipe.cli.commands import print_columns
from ecogpipe.cli.run import run_snakemake
from ecogpipe.results.names import REPORT
from ecogpipe.storage.atomic import whole_file
from ecogpipe.storage.canonical import signal_parts
from ecogpipe.storage.tsv import read_tsv
from ecogpipe.study.config import config_folder
from ecogpipe.study.recordings import Recording, read_recordings
from ecogpipe.synthetic import Faults, SyntheticRecording

_DEMO_RATE_HZ = 5000
_DEMO_SEGMENTS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it does, to its parser."""
    parser.add_argument("folder", nargs="?", type=Path, default=Path("demo"), help="study folder (default: demo)")
    parser.add_argument("--cores", default="all", help="cores to use (default: all)")
    parser.add_argument(
        "--seconds", type=float, default=20, help="length of each recording that has to be written (default: 20)"
    )
    parser.set_defaults(execute=lambda arguments: _run_demo(arguments.folder, arguments.cores, arguments.seconds))


def _run_demo(study: Path, cores: str, seconds: float) -> int:
    write_demo_study(study, seconds)
    status = run_snakemake(["--directory", str(study), "--cores", cores])
    if status == 0:
        print()
        print_columns([("recording", "file", "rows x columns", "Hz", "MB"), *_describe_outputs(study)])
        print(f"\nReport: {study / 'results' / REPORT}")
    return status


def write_demo_study(study: Path, seconds: float) -> None:
    """Write the demo's config and raw recordings into a folder, each file only where it is absent."""
    for file in sorted(config_folder().rglob("*")):
        target = study / "config" / file.relative_to(config_folder())
        if file.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    for recording in read_recordings(config_folder() / "recordings.tsv", study):
        if not all(file.exists() for file in recording.files):
            print(f"Writing {' and '.join(map(str, recording.files))}", flush=True)
            _write_synthetic(recording, seconds)


def _write_synthetic(recording: Recording, seconds: float) -> None:
    """Write a recording with planted faults to the files that its row of the table names."""
    in_parts = len(recording.files) > 1
    synthetic = SyntheticRecording(
        recording.daq,
        recording.headstage,
        recording.electrode,
        rate=_DEMO_RATE_HZ,
        seconds=seconds,
        seed=2 if in_parts else 1,
        faults=Faults(dead_columns=(3,), saturated=((1, 6),))
        if in_parts
        else Faults(dead_sites=((2, 5),), noisy_sites=((6, 1),)),
        n_bncs=len(recording.bnc),
    )
    with ExitStack() as stack:
        parts = [stack.enter_context(whole_file(file)) for file in recording.files]
        for part in parts:
            part.parent.mkdir(parents=True, exist_ok=True)
        if in_parts:
            synthetic.write_tdms(parts, n_segments=_DEMO_SEGMENTS)
        else:
            synthetic.write_mat73(parts[0])


def _describe_outputs(study: Path) -> Iterator[tuple[str, ...]]:
    """Yield recording, file, shape, rate and megabytes of every result."""
    results = study / "results"
    for recording in read_recordings(study / "config" / "recordings.tsv"):
        for path in sorted((results / recording.full_name).iterdir()):
            if path.suffix == ".h5":
                shape, rate = _describe_signals(path)
            elif path.suffix == ".tsv":
                table = read_tsv(path)
                shape, rate = f"{len(table.rows)} x {len(table.columns)}", ""
            else:
                shape, rate = "", ""
            yield recording.full_name, path.name, shape, rate, f"{path.stat().st_size / 1e6:.2f}"


def _describe_signals(path: Path) -> tuple[str, str]:
    with h5py.File(path, "r", locking=False) as file:
        if "orientation" not in file.attrs:
            return "", ""
        rate = f"{float(file['Fs'][()]):g}"
        shapes = []
        for part in signal_parts(file):
            with h5py.File(part.path, "r", locking=False) as source:
                shape = source[part.dataset].shape
                shapes.append(shape[::-1] if part.time_first else shape)
    return f"{shapes[0][0]} x {sum(samples for _, samples in shapes)}", rate
