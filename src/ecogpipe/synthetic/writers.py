"""The raw formats of the lab, as its acquisition and its converters leave them, for synthetic recordings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
import scipy
from nptdms import ChannelObject, GroupObject, RootObject, TdmsWriter

from ecogpipe.errors import SettingsError
from ecogpipe.storage import mat73

if TYPE_CHECKING:
    from ecogpipe.synthetic.recording import SyntheticRecording

LabLayout: TypeAlias = Literal["A", "B", "C"]

OVERSAMPLING = 4
TDMS_GROUP = "ecog"
VOLTS_PER_COUNT = 10.0 / 2**15

_NOTE = "synthetic recording"
_STRIP_SECONDS = 1.0
_VISIT_VOLTS = np.array([0.5, -(2.0**-20), 2.0**-20, -0.25])
"""What the samples of a visit of a row differ by from its signal, one for each of `OVERSAMPLING`."""
_MATLAB_CHUNK_BYTES = 2**20
_GZIP_LEVEL = 3


def as_paths(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return one path or several as a list."""
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]


def write_tdms(
    rec: SyntheticRecording, paths: Sequence[Path], n_segments: int | None, dtype: np.dtype[Any], layout: LabLayout
) -> list[Path]:
    """Write consecutive parts of a recording as TDMS files."""
    if dtype not in (np.float64, np.float32, np.int16):
        raise SettingsError(f"TDMS of dtype {dtype} cannot be written; choose float64, float32 or int16.")
    for path, (start, stop) in zip(paths, _cuts(0, rec.n_samples, len(paths)), strict=True):
        pieces = n_segments or max(1, round((stop - start) / rec.rate / _STRIP_SECONDS))
        _write_tdms_part(rec, path, _cuts(start, stop, pieces), dtype, layout)
    return list(paths)


def _write_tdms_part(
    rec: SyntheticRecording, path: Path, segments: Iterator[tuple[int, int]], dtype: np.dtype[Any], layout: LabLayout
) -> None:
    group = GroupObject(TDMS_GROUP, _group_properties(rec))
    with TdmsWriter(str(path), version=4713) as writer:
        writer.write_segment([RootObject({"name": "synthetic"}), group])
        for number, (start, stop) in enumerate(segments):
            samples = _as_stored(_lines(rec.block(start, stop), rec.n_rows, layout), dtype)
            writer.write_segment(
                ChannelObject(
                    TDMS_GROUP,
                    f"{channel // rec.n_rows}_{channel % rec.n_rows}" if layout == "A" else f"{channel}",
                    row,
                    _channel_properties(channel, dtype) if number == 0 else None,
                )
                for channel, row in enumerate(samples)
            )


def _lines(volts: npt.NDArray[np.float64], n_rows: int, layout: LabLayout) -> npt.NDArray[np.float64]:
    """Return the samples of the analog lines from which `volts`, (channels, time), come in a layout."""
    if layout == "A":
        return volts
    lines = volts.reshape(-1, n_rows, volts.shape[1]).swapaxes(1, 2)
    if layout == "C":
        lines = lines[..., None] + _VISIT_VOLTS
    return lines.reshape(len(lines), -1)


def _shape_of_frame(rec: SyntheticRecording, layout: LabLayout) -> tuple[int, int]:
    """Return how many lines a layout has, and samples of each to a frame."""
    if layout == "A":
        return rec.n_channels, 1
    return rec.n_columns + rec.n_bncs, rec.n_rows * (OVERSAMPLING if layout == "C" else 1)


def _group_properties(rec: SyntheticRecording) -> dict[str, Any]:
    return {
        "SamplingRate": _sampling_rate(rec),
        "nrRows": rec.n_rows,
        "nrColumns": rec.n_columns,
        "nrBNCs": rec.n_bncs,
        "OverSampling": OVERSAMPLING,
        "SampleStripLength": float(_STRIP_SECONDS),
        "Note": _NOTE,
    }


def _channel_properties(channel: int, dtype: np.dtype[Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {"NI_ArrayColumn": channel}
    if dtype == np.int16:
        properties |= {
            "NI_Scaling_Status": "unscaled",
            "NI_Number_Of_Scales": 1,
            "NI_Scale[0]_Scale_Type": "Linear",
            "NI_Scale[0]_Linear_Slope": VOLTS_PER_COUNT,
            "NI_Scale[0]_Linear_Y_Intercept": 0.0,
            "NI_Scale[0]_Linear_Input_Source": 0xFFFFFFFF,
        }
    return properties


def _as_stored(volts: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if dtype == np.int16:
        return np.clip(np.rint(volts / VOLTS_PER_COUNT), -(2**15), 2**15 - 1).astype(np.int16)
    return volts.astype(dtype)


def write_mat73(rec: SyntheticRecording, path: Path, start: int, stop: int, layout: LabLayout) -> Path:
    """Write frames [start, stop) as Matlab's v7.3 does."""
    n_lines, per_frame = _shape_of_frame(rec, layout)
    frames = max(1, min(stop - start, _MATLAB_CHUNK_BYTES // (8 * n_lines * per_frame)))
    with h5py.File(path, "w", userblock_size=mat73.USER_BLOCK) as file:
        data = file.create_dataset(
            "data",
            ((stop - start) * per_frame, n_lines),
            "f8",
            chunks=(frames * per_frame, n_lines),
            compression="gzip",
            compression_opts=_GZIP_LEVEL,
        )
        mat73.set_class(data)
        for first, volts in _blocks(rec, start, stop, frames):
            lines = _lines(volts, rec.n_rows, layout)
            data[first * per_frame : first * per_frame + lines.shape[1]] = lines.T
        for name, value in _scalars(rec).items():
            mat73.write_value(file, name, value)
        info = file.create_group("info")
        info.attrs["MATLAB_class"] = np.bytes_("struct")
        for name, value in _info(rec).items():
            mat73.write_value(info, name, value)
    mat73.write_header(path)
    return path


def write_mat5(rec: SyntheticRecording, path: Path, layout: LabLayout) -> Path:
    """Write a whole recording as a Matlab 5 file."""
    variables: dict[str, Any] = {"data": _lines(rec.block(0, rec.n_samples), rec.n_rows, layout)}
    variables |= _scalars(rec) | {"info": _info(rec)}
    scipy.io.savemat(path, variables, appendmat=False)
    return path


def write_hdf5(rec: SyntheticRecording, path: Path, layout: LabLayout) -> Path:
    """Write a whole recording as the lab's Python converter does."""
    n_lines, per_frame = _shape_of_frame(rec, layout)
    frames = max(1, _MATLAB_CHUNK_BYTES // (8 * n_lines * per_frame))
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (n_lines, rec.n_samples * per_frame), "f8")
        for first, volts in _blocks(rec, 0, rec.n_samples, frames):
            lines = _lines(volts, rec.n_rows, layout)
            data[:, first * per_frame : first * per_frame + lines.shape[1]] = lines
        for name, value in _scalars(rec).items():
            file[name] = value
        info = file.create_group("info")
        for name, text in _info(rec).items():
            info[name] = text
    return path


def _scalars(rec: SyntheticRecording) -> dict[str, float | str]:
    return {
        "Fs": rec.rate,
        "sampRate": _sampling_rate(rec),
        "numRow": float(rec.n_rows),
        "numCol": float(rec.n_columns),
        "numChan": float(rec.n_columns + rec.n_bncs),
        "OSR": float(OVERSAMPLING),
    }


def _info(rec: SyntheticRecording) -> dict[str, float | str]:
    return {"nrBNCs": float(rec.n_bncs), "SampleStripLength": float(_STRIP_SECONDS), "Note": _NOTE}


def _sampling_rate(rec: SyntheticRecording) -> float:
    return rec.rate * rec.n_rows * OVERSAMPLING


def _blocks(
    rec: SyntheticRecording, start: int, stop: int, frames: int
) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Yield blocks of `frames` frames with their position after `start`."""
    for first in range(start, stop, frames):
        yield first - start, rec.block(first, min(first + frames, stop))


def _cuts(start: int, stop: int, n_pieces: int) -> Iterator[tuple[int, int]]:
    return pairwise(np.linspace(start, stop, n_pieces + 1).round().astype(int).tolist())
