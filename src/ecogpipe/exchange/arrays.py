"""Signals as plain arrays for programs that read nothing of the field: NumPy, Matlab, text; block by block."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.source import ElectrodeDataSource
from ecogpipe.errors import SettingsError, nearest
from ecogpipe.runtime.params import load_params
from ecogpipe.storage import mat73
from ecogpipe.storage.atomic import whole_file

Kind = Literal["npy", "mat", "csv"]
KINDS = get_args(Kind)

_BLOCK_BYTES = 16_000_000
_SHARE = 16
"""A block takes this fraction of the memory limit at most, as it is read, turned round and written."""


@dataclass(frozen=True)
class Extract:
    """What is written: samples [first, stop) of the active channels of a source, in microvolts.

    Attributes
    ----------
    source : ElectrodeDataSource
        The signals.
    first, stop : int
        The samples.
    rate : float
        Sampling rate in Hz.
    sites : ndarray of int
        (row, column) of each channel.
    good : ndarray of bool
        True where a channel is kept.
    """

    source: ElectrodeDataSource
    first: int
    stop: int
    rate: float
    sites: npt.NDArray[np.intp]
    good: npt.NDArray[np.bool_]

    @property
    def names(self) -> list[str]:
        """The site of each channel as "row,column"."""
        return [f"{row},{column}" for row, column in self.sites.tolist()]

    def blocks(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Yield blocks, (channels, time), with the place of their first sample in what is written."""
        bytes_of_sample = max(1, len(self.source) * int(self.source.dtype.itemsize))
        length = max(1, min(_BLOCK_BYTES, load_params().memory_limit // _SHARE) // bytes_of_sample)
        for start in range(self.first, self.stop, length):
            yield start - self.first, self.source[:, start : min(start + length, self.stop)]


def files_of_extract(path: Path, kind: str) -> list[Path]:
    """Return the files that `write_extract` writes, the one with the signals first.

    Raises
    ------
    SettingsError
        If they would be one file.

    Examples
    --------
    >>> [file.name for file in files_of_extract(Path("part.npy"), "npy")]
    ['part.npy', 'part.json']
    """
    if kind != "npy":
        return [path]
    facts = path.with_suffix(".json")
    if facts == path:
        raise SettingsError(f"{path}: is where the facts on the array go; name it .npy.")
    return [path, facts]


def write_extract(path: Path, extract: Extract, kind: str) -> Path:
    """Write signals as a plain array; the file appears whole or not at all.

    Parameters
    ----------
    path
        The file.
    extract
        What is written.
    kind
        'npy': (channels, time) for NumPy, and a JSON file of the same name with rate, sites and good channels;
        'mat': a v7.3 file with data (channels x time in Matlab), Fs, site_row, site_column, good and first_seconds;
        'csv': a row for each sample, with its seconds, and a column for each site.

    Raises
    ------
    SettingsError
        If the kind is not known.
    """
    writers = {"npy": _write_npy, "mat": _write_mat, "csv": _write_csv}
    if kind not in writers:
        raise SettingsError(f"There is no format {kind!r} to write. {nearest(kind, KINDS)}")
    signals, *facts = files_of_extract(path, kind)
    with whole_file(signals) as part:
        writers[kind](part, extract)
    for file in facts:
        with whole_file(file) as part:
            part.write_text(json.dumps(_facts(extract), indent=2) + "\n", encoding="utf-8")
    return path


def _facts(extract: Extract) -> dict[str, Any]:
    return {
        "units": "uV",
        "sampling_rate": extract.rate,
        "first_sample": extract.first,
        "channels": extract.names,
        "good": extract.good.tolist(),
    }


def _shape(extract: Extract) -> tuple[int, int]:
    return len(extract.source), extract.stop - extract.first


def _write_npy(part: Path, extract: Extract) -> None:
    array = np.lib.format.open_memmap(part, "w+", extract.source.dtype, _shape(extract))
    for start, block in extract.blocks():
        array[:, start : start + block.shape[1]] = block
    array.flush()


def _write_mat(part: Path, extract: Extract) -> None:
    n_channels, n_samples = _shape(extract)
    with h5py.File(part, "w", userblock_size=mat73.USER_BLOCK) as file:
        data = file.create_dataset("data", (n_samples, n_channels), extract.source.dtype)
        mat73.set_class(data)
        for start, block in extract.blocks():
            data[start : start + block.shape[1]] = block.T
        mat73.write_value(file, "Fs", extract.rate)
        mat73.write_value(file, "units", "uV")
        mat73.write_value(file, "first_seconds", extract.first / extract.rate)
        for name, values in (("site_row", extract.sites[:, 0]), ("site_column", extract.sites[:, 1])):
            mat73.set_class(file.create_dataset(name, data=values[np.newaxis].astype("f8")))
        # Of bools HDF5 has enumerations, which Matlab reads as texts.
        mat73.set_class(file.create_dataset("good", data=extract.good[np.newaxis].astype("u1")))
    mat73.write_header(part)


def _write_csv(part: Path, extract: Extract) -> None:
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["seconds", *(f"uV at {name}" for name in extract.names)])
        for start, block in extract.blocks():
            writer.writerows(_rows(start + extract.first, block, extract.rate))


def _rows(first: int, block: npt.NDArray[Any], rate: float) -> Iterator[Sequence[str]]:
    for sample, values in enumerate(block.T.tolist(), start=first):
        yield [f"{sample / rate:.9g}", *(f"{value:.7g}" for value in values)]
