"""How fast this machine is: the steps that take long, timed on a small synthetic recording."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from ecogpipe.forecast import Rates
from ecogpipe.outputs import to_json, whole_file
from ecogpipe.params import override
from ecogpipe.settings import config_folder
from ecogpipe.steps.extract_events import extract_events
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.map_channels import map_channels
from ecogpipe.steps.mask_channels import mask_channels
from ecogpipe.steps.mirror import mirror_recording
from ecogpipe.steps.qc import qc
from ecogpipe.steps.report import report
from ecogpipe.steps.scan import scan

_N_ROWS, _N_COLUMNS, _RATE, _SECONDS, _RATIO = 8, 12, 5000, 15, 5
_GRID = 20 / 2**16
_NAME = "calibration"
_THREADS = 2
"""Of the rules that take long."""

_MIRROR: dict[str, Any] = {"ratio": _RATIO, "reference": "none"}
_BAND = [2, 200]
_MEGABYTES_TO_READ = 64


def calibrate(path: Path) -> Rates:
    """Return how fast this machine is: as `path` says where it was written on such a machine, else measured anew.

    Parameters
    ----------
    path
        A small JSON file beside the results. Some ten seconds of measuring go into it; the folder's disk is the one
        that is timed.
    """
    known = _read(path)
    if known is not None and known["machine"] == _machine():
        return Rates(**known["rates"])
    rates = measure(path.parent)
    with whole_file(path) as part:
        part.write_text(to_json({"machine": _machine(), "rates": asdict(rates)}) + "\n", encoding="utf-8")
    return rates


def measure(folder: Path) -> Rates:
    """Time the steps on a recording of 58 MB that is written to `folder` for the while."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".calibration.") as name, override(workers=_THREADS):
        place = Path(name)
        plain, packed = place / "plain.h5", place / "packed.h5"
        for path, filters in ((plain, {}), (packed, {"compression": "gzip", "compression_opts": 3})):
            _write_recording(path, filters)
        n_values = _N_ROWS * _N_COLUMNS * _RATE * _SECONDS
        n_bytes = n_values * 8
        scanned, low, filtered = _time_steps(plain, place / "a")
        scanned_packed, low_packed, _ = _time_steps(packed, place / "b")
        drawn, shown = _time_drawing(place / "a")
        return Rates(
            start=_seconds(_start_python),
            read=_seconds_to_read(place / "file", _MEGABYTES_TO_READ) / (_MEGABYTES_TO_READ * 1e6),
            copy=_seconds(lambda: _copy(plain, place / "copy.h5")) / n_bytes,
            scan=scanned / n_bytes,
            scan_packed=scanned_packed / n_bytes,
            decimate=low / n_bytes,
            decimate_packed=low_packed / n_bytes,
            filter=max(0.0, filtered - low) / (n_values / _RATIO),
            draw=drawn,
            show=shown,
        )


def _time_steps(path: Path, folder: Path) -> tuple[float, float, float]:
    """Return the seconds of a scan, of a mirror without a filter, and of one with."""
    raw, channels = folder / "raw.h5", folder / "channels.tsv"
    ingest([path], raw)
    map_channels(raw, channels, daq="passthru", headstage="", electrode="", declared={"gain": 10.0})

    def mirror(name: str, band: list[int] | None) -> Callable[[], Any]:
        settings = {**_MIRROR, "bandpass": band}
        path = folder / f"{_NAME}_{name}.h5"
        return lambda: mirror_recording(raw, channels, None, path, name=name, settings=settings)

    scan(raw, folder / "warm.h5")
    return (
        _seconds(lambda: scan(raw, folder / "scan.h5")),
        _seconds(mirror("low", None)),
        _seconds(mirror("band", _BAND)),
    )


def _time_drawing(folder: Path) -> tuple[float, float]:
    """Return the seconds of a quality page, and of a report that holds it, of what `_time_steps` made."""
    config = yaml.safe_load((config_folder() / "config.yaml").read_text(encoding="utf-8"))
    raw, channels, mask, scanned, events = (
        folder / name for name in ("raw.h5", "channels.tsv", "mask.tsv", "scan.h5", "events.tsv")
    )
    mask_channels(scanned, channels, mask, recording=_NAME, manual=None, automatic=config["masks"]["automatic"])
    extract_events(scanned, channels, events, **config["events"])
    mirror, page = folder / f"{_NAME}_band.h5", folder / f"{_NAME}_band_qc.png"
    return (
        _seconds(lambda: qc(raw, channels, mask, scanned, events, mirror, page, title=_NAME)),
        _seconds(lambda: report({_NAME: folder}, folder / "report.html", mirrors=["band"], title=_NAME)),
    )


def _write_recording(path: Path, filters: dict[str, Any]) -> None:
    n_channels, n_samples = _N_ROWS * _N_COLUMNS, _RATE * _SECONDS
    noise = np.random.default_rng(0).standard_normal((n_samples, n_channels))
    noise += np.sin(np.linspace(0, 30 * _SECONDS, n_samples))[:, np.newaxis]
    with h5py.File(path, "w") as file:
        chunks = {"chunks": (2048, n_channels)} if filters else {}
        file.create_dataset("data", data=np.round(noise / 10 / _GRID) * _GRID, **chunks, **filters)
        scalars = {"numRow": _N_ROWS, "numCol": _N_COLUMNS, "numChan": _N_COLUMNS, "OSR": 1, "Fs": _RATE}
        for name, value in (scalars | {"sampRate": _RATE * _N_ROWS}).items():
            file[name] = float(value)


def _copy(path: Path, copy: Path) -> None:
    """Copy and flush samples, in the pieces in which ingest does."""
    with h5py.File(path, "r") as file, whole_file(copy) as part, h5py.File(part, "w") as copied:
        data = file["data"]
        out = copied.create_dataset("data", data.shape[::-1], data.dtype, chunks=(_N_COLUMNS, 8192))
        for start in range(0, len(data), 8192):
            out[:, start : start + 8192] = data[start : start + 8192].T


def _start_python() -> None:
    subprocess.run([sys.executable, "-c", "import ecogpipe.steps.mirror, ecogpipe.steps.scan"], check=True)


def _seconds_to_read(path: Path, megabytes: int) -> float:
    """Time reading a file that the system does not hold in memory, as far as it lets go of it."""
    path.write_bytes(os.urandom(1_000_000) * megabytes)
    with path.open("rb", buffering=0) as file:
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return _seconds(lambda: [None for _ in iter(lambda: file.read(2**20), b"")])


def _seconds(job: Callable[[], Any]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def _machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine()}


def _read(path: Path) -> dict[str, Any] | None:
    """Return what a calibration says; None where there is none, or it is of another version."""
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        Rates(**known["rates"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return known
