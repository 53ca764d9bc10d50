"""What made an output: described by the step that writes it, and read again from a file of any kind."""

import importlib.metadata
import json
import platform
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import h5py

from ecogpipe.errors import FormatError
from ecogpipe.results.revisions import REVISIONS, changes_since
from ecogpipe.storage import canonical
from ecogpipe.storage.digests import sha256_of_file
from ecogpipe.storage.hdf5_files import open_hdf5
from ecogpipe.storage.portable import relative_name, to_json
from ecogpipe.storage.tsv import read_header

_VERSIONED = ("ecogpipe", "numpy", "scipy", "h5py", "nptdms", "numba", "imagecodecs", "blake3")

_HASHED_UP_TO = 16_000_000
"""Bytes; the samples of larger inputs are hashed by the scan, whose pass reads them anyway."""

_KEY = "provenance"

_REPORT = re.compile(r'<script type="application/json" id="provenance">(.*?)</script>', re.DOTALL)


def provenance(step: str, inputs: Sequence[Path], settings: Mapping[str, Any], relative_to: Path) -> dict[str, Any]:
    """Describe what made an output: the step and its revision, the inputs, the settings, the versions.

    Parameters
    ----------
    step
        Name of the step.
    inputs
        Files that the step read; they are named relative to the output, so that a study folder can move.
    settings
        What the step was asked to do; anything that JSON can hold.
    relative_to
        Folder of the output.
    """
    return {
        "step": step,
        "revision": REVISIONS[step],
        "inputs": [_describe_input(path, relative_to) for path in inputs],
        "settings": dict(settings),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _VERSIONED},
    }


def write_provenance(file: h5py.File, value: Mapping[str, Any]) -> None:
    """Write what made an HDF5 file into its root attribute ``provenance``, as JSON."""
    file.attrs[_KEY] = to_json(value)


def provenance_of(file: h5py.File) -> dict[str, Any]:
    """Return what `write_provenance` wrote.

    Raises
    ------
    KeyError
        If the file does not say what made it.
    """
    value: dict[str, Any] = json.loads(file.attrs[_KEY])
    return value


def read_provenance(output: Path) -> dict[str, Any]:
    """Read what made an output, as `provenance` described it.

    Raises
    ------
    FormatError
        If the file cannot be read, or does not say what made it.
    """
    readers = {".h5": _of_hdf5, ".tsv": _of_table, ".json": _of_numbers, ".html": _of_html, ".nwb": _of_nwb}
    try:
        return readers[output.suffix](output)
    except (KeyError, OSError, ValueError, SyntaxError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{output}: does not say what made it; run the workflow to make it again.") from error


def changes_after(step: str, output: Path) -> str | None:
    """Say what a step makes otherwise than the version that made an output; None where nothing, or where not known."""
    try:
        revision = int(read_provenance(output)["revision"])
    except (FormatError, KeyError):
        return None
    return changes_since(step, revision) if revision < REVISIONS[step] else None


def older_changes(step: str, output: Path) -> str:
    """Say the same as `changes_after`; '' where there is nothing to say."""
    return changes_after(step, output) or ""


def _of_hdf5(path: Path) -> dict[str, Any]:
    with open_hdf5(path) as file:
        canonical.check_canonical(file)
        return provenance_of(file)


def _of_table(path: Path) -> dict[str, Any]:
    made_by: dict[str, Any] = read_header(path)[_KEY]
    return made_by


def _of_numbers(path: Path) -> dict[str, Any]:
    made_by: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))[_KEY]
    return made_by


def _of_html(path: Path) -> dict[str, Any]:
    found = _REPORT.search(path.read_text(encoding="utf-8"))
    if found is None:
        raise KeyError(_KEY)
    made_by: dict[str, Any] = json.loads(found[1])
    return made_by


def _of_nwb(path: Path) -> dict[str, Any]:
    with open_hdf5(path) as file:
        made_by: dict[str, Any] = json.loads(file["general/notes"].asstr()[()])
        return made_by


def _describe_input(path: Path, relative_to: Path) -> dict[str, Any]:
    size = path.stat().st_size
    described: dict[str, Any] = {"name": relative_name(path, relative_to), "bytes": size}
    if size <= _HASHED_UP_TO:
        described["sha256"] = sha256_of_file(path)
    return described


@cache
def _version(package: str) -> str:
    return importlib.metadata.version(package)
