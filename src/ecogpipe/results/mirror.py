"""A mirror, <recording>_<name>.h5: the rows of a recording at another rate, in microvolts and volts."""

from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.datasource.buffers import HDF5Buffer
from ecogpipe.datasource.chunk_writer import ChunkWriter, chunk_shape, create_in_chunks
from ecogpipe.datasource.plain import create_plain, plain_chunks
from ecogpipe.electrodes.channel_map import ChannelMap
from ecogpipe.electrodes.channels import ELECTRODE, ChannelTable
from ecogpipe.errors import EcogpipeError, FormatError
from ecogpipe.results.mask import MaskTable
from ecogpipe.results.provenance import provenance_of
from ecogpipe.results.recording import RawRecording
from ecogpipe.signal.rates import decimated_length
from ecogpipe.storage import canonical
from ecogpipe.storage.canonical import Acquisition, Segment
from ecogpipe.storage.digests import sha256_of_hashes, sha256_of_rows
from ecogpipe.storage.hdf5_files import open_hdf5

Bools: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[np.int64]

_ROW_SHA256, _SHA256 = "row_sha256", "sha256"
_NON_FINITE = "non_finite"
_DTYPE = np.dtype("f4")
_SLOTS, _ROW_UNITS = "slots", "row_units"


@dataclass(frozen=True)
class Mirror:
    """What a mirror says of itself.

    Attributes
    ----------
    acquisition : Acquisition
        Of the recording, at the sampling rate of the mirror, in microvolts.
    ratio : int
        Samples of the recording to one of the mirror.
    settling_samples : int
        Samples at each end, and on both sides of a gap, in which the filter's padding shows.
    settings : dict
        What was asked for, and its name.
    electrode_channels, bnc_channels : ndarray of int
        Rows that are electrodes; rows that ``/bnc`` holds again.
    bnc_kinds : tuple of str
        Kind of each of `bnc_channels`.
    channel_mask : ndarray of bool or None
        One element per electrode channel, True where it was kept, where the signals depend on it; None where they do
        not, as the mask may change then and the mirror stay.
    chan_map : ChannelMap
        The site of each electrode channel.
    segments : list of Segment
        The stretches that its files hold, in samples of the mirror.
    """

    acquisition: Acquisition
    ratio: int
    settling_samples: int
    settings: dict[str, Any]
    electrode_channels: npt.NDArray[np.intp]
    bnc_channels: npt.NDArray[np.intp]
    bnc_kinds: tuple[str, ...]
    channel_mask: Bools | None
    chan_map: ChannelMap
    segments: list[Segment]


def is_mirror(file: h5py.File) -> bool:
    """Return whether a canonical file is a mirror, not the recording itself."""
    return canonical.ELECTRODE_CHANNELS in file


def read_mirror(path: Path) -> Mirror:
    """Read what a mirror says of itself.

    Raises
    ------
    FormatError
        If the file is missing or is not a mirror.
    """
    with open_hdf5(path) as file:
        acquisition = canonical.read_acquisition(file)
        if not is_mirror(file) or "ratio" not in file.attrs:
            raise FormatError(f"{path}: is not a mirror of a recording; make it with mirror_recording.")
        return Mirror(
            acquisition=acquisition,
            ratio=int(file.attrs["ratio"]),
            settling_samples=int(file.attrs["settling_samples"]),
            settings=dict(provenance_of(file)["settings"]),
            electrode_channels=file[canonical.ELECTRODE_CHANNELS][()].astype(np.intp),
            bnc_channels=file[canonical.BNC_CHANNELS][()].astype(np.intp),
            bnc_kinds=tuple(canonical.read_texts(file[canonical.BNC_KINDS])),
            channel_mask=file[canonical.CHANNEL_MASK][()] if canonical.CHANNEL_MASK in file else None,
            chan_map=_chan_map(file),
            segments=canonical.read_segments(file),
        )


def read_channel_mask(path: Path) -> tuple[npt.NDArray[np.intp], Bools]:
    """Read the electrode channels of a mirror whose signals depend on the mask, and which of them were kept.

    Raises
    ------
    FormatError
        If the file is missing, or is not a mirror that holds its mask.
    """
    with open_hdf5(path) as file:
        if not is_mirror(file) or canonical.CHANNEL_MASK not in file:
            raise FormatError(f"{path}: is not a mirror that holds a mask; mask.tsv beside it holds that of now.")
        return file[canonical.ELECTRODE_CHANNELS][()].astype(np.intp), file[canonical.CHANNEL_MASK][()]


def holds_mask(mirror: Path, mask: MaskTable) -> bool:
    """Return whether a mirror was made with the same channels kept as in a mask; False where it does not say."""
    try:
        channels, kept = read_channel_mask(mirror)
    except (EcogpipeError, OSError, KeyError, RuntimeError):
        return False
    return np.array_equal(channels, mask.channel) and np.array_equal(kept, mask.keep)


def create_mirror(
    file: h5py.File,
    recording: RawRecording,
    ratio: int,
    table: ChannelTable,
    used_mask: Bools | None,
    settling_samples: int,
) -> None:
    """Write everything but the signals into a new mirror, and make room for them.

    Parameters
    ----------
    file
        The mirror, empty.
    recording
        What is mirrored.
    ratio
        Integer ratio of the rates.
    table
        What the channels of the recording are.
    used_mask
        One bool per electrode channel, True where it is kept; None where the signals do not depend on it.
    settling_samples
        Samples from each end in which the filter's padding shows.
    """
    acquisition, n_samples = recording.acquisition, decimated_length(recording.n_samples, ratio)
    declared = acquisition.overrides | table.overrides
    of_mirror = replace(acquisition, rate=acquisition.rate / ratio, units="uV", slope=1.0, intercept=0.0)
    canonical.write_acquisition(file, replace(of_mirror, overrides=declared))
    file.attrs["orientation"] = canonical.CHANNELS_BY_TIME
    file.attrs["ratio"] = ratio
    file.attrs["gain"] = table.gain
    file.attrs["geometry"] = table.grid
    if table.pitch_mm is not None:
        file.attrs["pitch_mm"] = table.pitch_mm
    file.attrs["settling_samples"] = settling_samples
    electrodes = table.electrode_channels
    file[canonical.ELECTRODE_CHANNELS] = electrodes
    file[_SLOTS] = table.daq_row
    if used_mask is not None:
        file[canonical.CHANNEL_MASK] = used_mask
    file[canonical.SITES] = np.stack([table.site_row[electrodes], table.site_column[electrodes]], axis=1)
    canonical.write_texts(file, _ROW_UNITS, np.where(table.role == ELECTRODE, "uV", "V").tolist())
    canonical.write_segments(file, [_at_new_rate(segment, acquisition.rate, ratio) for segment in recording.segments])
    lines = [row for rows in table.bnc_channels.values() for row in rows]
    for name, n_rows in ((canonical.DATA, len(table)), (canonical.BNC, len(lines))):
        shape = n_rows, n_samples
        create_plain(file, name, shape, _DTYPE, plain_chunks(shape, _DTYPE.itemsize))
    file[canonical.BNC_CHANNELS] = np.array(lines, dtype=np.intp)
    canonical.write_texts(file, canonical.BNC_KINDS, table.bnc_kind[lines].tolist())


def signals_of(file: h5py.File) -> tuple[h5py.Dataset, h5py.Dataset]:
    """Return the dataset of all rows, (channels, time), and that of the BNC rows."""
    return file[canonical.DATA], file[canonical.BNC]


def finish_mirror(file: h5py.File, non_finite: Ints) -> None:
    """Write the runs of samples that are not finite, (row, first, stop), and the hashes of the rows."""
    file[_NON_FINITE] = non_finite
    hashes = sha256_of_rows(file[canonical.DATA])
    canonical.write_texts(file, _ROW_SHA256, hashes)
    file.attrs[_SHA256] = sha256_of_hashes(hashes)


def write_packed(source: h5py.File, target: h5py.File) -> None:
    """Copy a mirror that is finished into an empty file, its signals packed."""
    for name, value in source.attrs.items():
        target.attrs[name] = value
    for name in source:
        if name not in (canonical.DATA, canonical.BNC) or not source[name].size:
            source.copy(name, target)
            continue
        signals = source[name]
        n_rows, n_samples = signals.shape
        chunks = chunk_shape(n_rows, n_samples, _DTYPE.itemsize)
        writer = ChunkWriter(create_in_chunks(target, name, (n_rows, n_samples), _DTYPE, chunks, zipped=True))
        with closing(writer), closing(HDF5Buffer(signals)) as buffer:
            for start in range(0, n_samples, chunks[1]):
                writer.write(start, buffer[:, start : start + chunks[1]])


def read_row_hashes(file: h5py.File) -> list[str] | None:
    """Return the hash of each row that was written with a mirror; None where they are not those that were written."""
    written = canonical.read_texts(file[_ROW_SHA256]) if _ROW_SHA256 in file else []
    return written if sha256_of_hashes(written) == file.attrs.get(_SHA256) else None


def _at_new_rate(segment: Segment, rate: Fraction, ratio: int) -> Segment:
    """Return where a stretch begins and ends among the samples of the mirror, and when its first one was taken."""
    first = decimated_length(segment.first_sample, ratio)
    stop = decimated_length(segment.first_sample + segment.n_samples, ratio)
    later, start_time = (first * ratio - segment.first_sample) / rate, segment.start_time
    if start_time and later:
        start_time = (datetime.fromisoformat(start_time) + timedelta(seconds=float(later))).isoformat()
    return replace(segment, first_sample=first, n_samples=stop - first, start_time=start_time)


def _chan_map(file: h5py.File) -> ChannelMap:
    sites, geometry = file[canonical.SITES][()], tuple(int(n) for n in file.attrs["geometry"])
    pitch = tuple(float(d) for d in file.attrs["pitch_mm"]) if "pitch_mm" in file.attrs else None
    return ChannelMap((sites[:, 0] * geometry[1] + sites[:, 1]).tolist(), geometry, pitch=pitch)
