"""Step `mirror`: a recording at a lower rate, referenced and filtered, its rows and its wiring unchanged."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ecogpipe import layout
from ecogpipe.datasource.contiguous import create_in_one_piece
from ecogpipe.datasource.raw import RawRecording, open_raw
from ecogpipe.digests import sha256_of_hashes, sha256_of_rows
from ecogpipe.electrodes.channels import ELECTRODE, ChannelTable, read_channels
from ecogpipe.electrodes.masks import MaskTable, read_mask
from ecogpipe.errors import MaskError, RateError, WiringError
from ecogpipe.identity import check_one_recording, write_identity
from ecogpipe.outputs import flushed_early, provenance, whole_hdf5
from ecogpipe.progress import progress
from ecogpipe.signal.rates import decimated_length
from ecogpipe.signal.reference import LEAST_ACTIVE
from ecogpipe.steps.mirror_engine import MirrorEngine
from ecogpipe.steps.mirror_settings import MirrorSettings

Bools: TypeAlias = npt.NDArray[np.bool_]


def mirror_recording(
    raw: Path, channels: Path, mask: Path | None, mirror: Path, *, name: str, settings: Mapping[str, Any]
) -> Path:
    """Write a mirror of a recording: all its rows at a new rate, the electrode rows in microvolts and filtered.

    Parameters
    ----------
    raw, channels, mask
        What `ingest`, `map_channels` and `mask_channels` wrote for the recording; without a mask every channel is
        active.
    mirror
        The mirror to write.
    name
        Name of this set of mirror settings.
    settings
        ``rate`` or ``ratio``, ``bandpass``, ``order``, ``notches``, ``notch_width``, ``design``, ``phase``,
        ``transition``, ``reference``, ``correct_skew``, ``masked``: see `MirrorSettings`.

    Raises
    ------
    EcogpipeError
        If the settings cannot be used, the rate cannot be reached, or an input does not fit the others.
    """
    wanted = MirrorSettings.from_mapping(settings)
    table = read_channels(channels)
    inputs = [raw, channels] if mask is None else [raw, channels, mask]
    with open_raw(raw) as recording:
        _check_fits(recording, table, channels)
        masked = None if mask is None else _read_mask_of(mask, table, channels)
        keep = np.ones(len(table.electrode_channels), dtype=bool) if masked is None else masked.keep
        identity = check_one_recording(*inputs)
        _check_reference(wanted, keep, mask or channels, name)
        ratio = _ratio(wanted, recording, name)
        new_rate = recording.acquisition.rate / ratio
        settling = wanted.settling_samples(new_rate)
        settled = {**asdict(wanted), **asdict(wanted.filter), "name": name, "ratio": ratio}
        del settled["filter"]
        made_of = provenance("mirror", inputs, settled, mirror.parent)
        if masked is not None:
            made_of["signal_sha256"] = masked.header["signal_sha256"]
        with whole_hdf5(mirror) as file, flushed_early(file) as flush:
            _write_description(file, recording, ratio, table, keep, settling)
            write_identity(file, identity)
            layout.write_provenance(file, made_of)
            engine = MirrorEngine(file, recording, table, keep, ratio, wanted, flush)
            # BLAS on more threads would split its sums, and so change their last bits.
            with threadpool_limits(1, user_api="blas"), progress(f"mirror {mirror.stem}", recording.n_bytes) as done:
                for n_bytes in engine.run():
                    done(n_bytes)
            file[layout.NON_FINITE] = engine.non_finite()
            flush()
            hashes = sha256_of_rows(file[layout.DATA])
            layout.write_texts(file, layout.ROW_SHA256, hashes)
            file.attrs["sha256"] = sha256_of_hashes(hashes)
    return mirror


def _ratio(wanted: MirrorSettings, recording: RawRecording, name: str) -> int:
    try:
        return wanted.ratio_from(recording.acquisition.rate)
    except RateError as error:
        raise RateError(f"{recording.path}: mirror {name!r} cannot be made. {error}") from None


def _check_reference(wanted: MirrorSettings, keep: Bools, where: Path, name: str) -> None:
    if wanted.reference != "none" and keep.sum() < LEAST_ACTIVE:
        raise MaskError(
            f"{where}: {keep.sum()} of {keep.size} electrode channels are active, and mirror {name!r} takes the "
            f"{wanted.reference} of at least {LEAST_ACTIVE} as its reference; keep more channels in the mask of the "
            "session, or choose the reference 'none' for this mirror."
        )


def _write_description(
    file: h5py.File, recording: RawRecording, ratio: int, table: ChannelTable, keep: Bools, settling: int
) -> None:
    """Write everything but the signals, and make room for them."""
    acquisition, n_samples = recording.acquisition, decimated_length(recording.n_samples, ratio)
    layout.write_acquisition(
        file, replace(acquisition, rate=acquisition.rate / ratio, units="uV", slope=1.0, intercept=0.0)
    )
    file.attrs["orientation"] = layout.CHANNELS_BY_TIME
    file.attrs["ratio"] = ratio
    file.attrs["gain"] = table.gain
    file.attrs["geometry"] = table.grid
    if table.pitch_mm is not None:
        file.attrs["pitch_mm"] = table.pitch_mm
    file.attrs["settling_samples"] = settling
    electrodes = table.electrode_channels
    file[layout.ELECTRODE_CHANNELS] = electrodes
    file[layout.SLOTS] = table.daq_row
    file[layout.CHANNEL_MASK] = keep
    file[layout.SITES] = np.stack([table.site_row[electrodes], table.site_column[electrodes]], axis=1)
    layout.write_texts(file, layout.ROW_UNITS, np.where(table.role == ELECTRODE, "uV", "V").tolist())
    layout.write_segments(file, [_at_new_rate(segment, acquisition.rate, ratio) for segment in recording.segments])
    lines = [row for rows in table.bnc_channels.values() for row in rows]
    create_in_one_piece(file, layout.DATA, (len(table), n_samples), "f4")
    create_in_one_piece(file, layout.BNC, (len(lines), n_samples), "f4")
    file[layout.BNC_CHANNELS] = np.array(lines, dtype=np.intp)
    layout.write_texts(file, layout.BNC_KINDS, table.bnc_kind[lines].tolist())


def _at_new_rate(segment: layout.Segment, rate: Fraction, ratio: int) -> layout.Segment:
    """Return where a stretch begins and ends among the samples of the mirror, and when its first one was taken."""
    first = decimated_length(segment.first_sample, ratio)
    stop = decimated_length(segment.first_sample + segment.n_samples, ratio)
    later, start_time = (first * ratio - segment.first_sample) / rate, segment.start_time
    if start_time and later:
        start_time = (datetime.fromisoformat(start_time) + timedelta(seconds=float(later))).isoformat()
    return replace(segment, first_sample=first, n_samples=stop - first, start_time=start_time)


def _check_fits(recording: RawRecording, table: ChannelTable, channels: Path) -> None:
    if len(table) != len(recording.source):
        raise WiringError(
            f"{channels}: has {len(table)} channels, {recording.path} has {len(recording.source)}; "
            "run map_channels again."
        )


def _read_mask_of(mask: Path, table: ChannelTable, channels: Path) -> MaskTable:
    masked = read_mask(mask)
    if not np.array_equal(masked.channel, table.electrode_channels):
        raise MaskError(f"{mask}: is not the mask of {channels}; run mask_channels again.")
    return masked
