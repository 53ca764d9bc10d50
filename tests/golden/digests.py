"""Digests of the outputs of every step, of small recordings: run as a program, it prints them as JSON.

Whole numbers and texts are taken as they are, floats rounded to a billionth of the largest one of their row. Texts that
may be reworded (reasons, notes, captions) and provenance are left out.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np

import ecogpipe
from ecogpipe.electrodes.channels import BncLine
from ecogpipe.results.revisions import REVISIONS
from ecogpipe.steps.qc import page_of
from ecogpipe.synthetic import Faults, SyntheticRecording

SET_UP = ("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64")
BNC = (BncLine(10, "ttl_high"), BncLine(11, "analog"))
AUTOMATIC = {
    "dead_ratio": 0.1,
    "noisy_ratio": 2.5,
    "noise_over_signal": 1.2,
    "line_ratio": 1.0,
    "rail_fraction": 0.01,
    "stuck_fraction": 0.05,
    "neighbour_ratio": 0.3,
    "whiteness": 0.5,
    "nonfinite_fraction": 0.01,
}
MIRRORS: dict[str, dict[str, Any]] = {
    "plain": {"ratio": 4, "bandpass": None, "reference": "none"},
    "iir": {"rate": 500, "bandpass": [2, 80], "order": 3, "notches": [60], "reference": "median", "masked": "nan"},
    "fir": {"ratio": 4, "bandpass": [2, 80], "design": "fir", "transition": 1.0, "correct_skew": True},
    "causal": {"ratio": 5, "bandpass": [None, 80], "order": 2, "phase": "causal", "reference": "average"},
}
TEXTS = {"provenance", "identity", "notes", "note", "edges", "reason", "diagnostics", "info", "overrides", "doubtful"}
COPIED = {"channel_mask"}
"""What a mirror repeats of another result, where its signals depend on it."""
"""Entries of headers, columns and attributes that are words, or say what made a file."""


def main() -> None:
    """Print the revision and the digest of every step."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        found = [of_recording(files, folder / kind, declared) for kind, files, declared in recordings(folder)]
    digests = {step: digest([one[step] for one in found]) for step in found[0]}
    json.dump({step: {"revision": REVISIONS[step], "digest": digests[step]} for step in digests}, sys.stdout, indent=1)


def recordings(folder: Path) -> Iterator[tuple[str, list[Path], dict[str, Any]]]:
    """Write a recording whose parts are copied, with a fault of each kind, and one of short samples that is linked."""
    faults = Faults(dead_sites=((0, 0),), noisy_sites=((1, 2),), saturated=((3, 3),), disconnected=((5, 5),))
    copied = SyntheticRecording(*SET_UP, rate=2000, seconds=6, seed=1, n_bncs=2, faults=faults)
    yield "copied", copied.write_tdms([folder / "a_1.tdms", folder / "a_2.tdms"], n_segments=7), {}
    linked = SyntheticRecording(*SET_UP, rate=2000, seconds=5, seed=2, n_bncs=2)
    yield "linked", [linked.write_mat73(folder / "b.mat")], {"line_frequency": 60}


def of_recording(files: list[Path], folder: Path, declared: dict[str, Any]) -> dict[str, str]:
    """Take files through every step; returns a digest of what each wrote."""
    raw, scanned = folder / "raw.h5", folder / "scan.h5"
    channels, mask, events = (folder / f"{name}.tsv" for name in ("channels", "mask", "events"))
    daq, headstage, electrode = SET_UP
    ecogpipe.ingest(files, raw, declared=declared, clock_tolerance_ppm=100)
    ecogpipe.scan(raw, scanned)
    ecogpipe.map_channels(raw, channels, daq=daq, headstage=headstage, electrode=electrode, bnc=BNC)
    ecogpipe.mask_channels(scanned, channels, mask, recording="a", manual=None, automatic=AUTOMATIC)
    rates = {
        name: {key: value for key, value in one.items() if key in ("rate", "ratio")} for name, one in MIRRORS.items()
    }
    ecogpipe.extract_events(scanned, channels, events, minimum_step=1.0, mirrors=rates)
    mirrors = [folder / f"a_{name}.h5" for name in MIRRORS]
    for name, mirror in zip(MIRRORS, mirrors, strict=True):
        ecogpipe.mirror_recording(raw, channels, mask, mirror, name=name, settings=MIRRORS[name])
    pages = [page_of(raw, channels, mask, scanned, events, mirror, recording="a") for mirror in mirrors]
    return {
        "ingest": of_hdf5(raw),
        "scan": of_hdf5(scanned),
        "map_channels": of_table(channels),
        "mask_channels": of_table(mask),
        "extract_events": of_table(events),
        "mirror": digest([of_hdf5(mirror) for mirror in mirrors]),
        "qc": digest([of_numbers(page) for page in pages]),
    }


def of_hdf5(path: Path) -> str:
    """Return the digest of all datasets, and of all attributes that are not texts."""
    found: dict[str, Any] = {}
    with h5py.File(path, "r") as file:

        def take(name: str, item: h5py.Dataset | h5py.Group) -> None:
            found.update({f"{name}@{key}": plain(value) for key, value in item.attrs.items() if key not in TEXTS})
            if isinstance(item, h5py.Dataset) and name.partition("/")[0] not in TEXTS | COPIED:
                values = item[()]
                is_signal = isinstance(values, np.ndarray) and values.dtype.kind in "iufb"
                found[name] = of_array(values) if is_signal else plain(values)

        take("", file)
        file.visititems(take)
    # Of the hashes, those of samples are of their bits, which another rounding changes.
    return digest({name: value for name, value in found.items() if "sha256" not in name and "hash" not in name})


def of_table(path: Path) -> str:
    """Return the digest of the header and the columns, without texts."""
    lines = path.read_text(encoding="utf-8").splitlines()
    header = [line.removeprefix("# ").partition(": ") for line in lines if line.startswith("#")]
    columns, *rows = (line.split("\t") for line in lines if not line.startswith("#"))
    kept = {name: of_cells([row[place] for row in rows]) for place, name in enumerate(columns) if name not in TEXTS}
    entries = {name: json.loads(value) for name, _, value in header if name not in TEXTS | {"signal_hash"}}
    return digest([kept, without_texts(entries)])


def of_cells(cells: list[str]) -> Any:
    """Return cells as they are, or the digest of their numbers where they are fractions."""
    try:
        return of_array(np.array(cells, dtype=float)) if any("." in cell or "nan" in cell for cell in cells) else cells
    except ValueError:
        return cells


def without_texts(value: Any) -> Any:
    """Return what JSON holds without the entries that are texts, its floats in nine digits."""
    if isinstance(value, dict):
        return {key: without_texts(each) for key, each in value.items() if key not in TEXTS}
    if isinstance(value, list):
        return [without_texts(each) for each in value]
    return f"{value:.9g}" if isinstance(value, float) else value


def of_numbers(value: Any) -> Any:
    """Return the digests of all arrays and numbers of a quality page."""
    if is_dataclass(value):
        return [of_numbers(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, list | tuple):
        return [of_numbers(each) for each in value]
    if isinstance(value, np.ndarray):
        return of_array(value)
    return f"{value:.9g}" if isinstance(value, float) else value if isinstance(value, int | None) else ""


def of_array(values: np.ndarray[Any, Any]) -> str:
    """Return the digest of an array, its floats as multiples of a billionth of the largest one of their row."""
    if values.dtype.kind == "f" and values.size:
        rows = values.astype(np.float64).reshape(len(values) if values.ndim > 1 else 1, -1)
        finite = np.where(np.isfinite(rows), rows, 0.0)
        scale = np.abs(finite).max(axis=1, keepdims=True) * 1e-9
        whole = np.rint(finite / np.where(scale > 0, scale, 1.0)).astype(np.int64)
        odd = np.isnan(rows) + 2 * np.isposinf(rows) + 4 * np.isneginf(rows)
        return digest([f"{each:.8g}" for each in scale.ravel()], whole.tobytes(), odd.astype(np.uint8).tobytes())
    return digest(str(values.dtype), values.tobytes())


def plain(value: Any) -> Any:
    """Return a scalar or small array of an attribute as JSON can hold it."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        return [plain(each) for each in value.tolist()]
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    value = value.item() if isinstance(value, np.generic) else value
    return f"{value:.9g}" if isinstance(value, float) else value


def digest(*values: Any) -> str:
    """Return the first digits of a hash of bytes, or of what JSON can hold."""
    sha = hashlib.sha256()
    for value in values:
        sha.update(value if isinstance(value, bytes) else json.dumps(value, sort_keys=True).encode())
    return sha.hexdigest()[:16]


if __name__ == "__main__":
    main()
