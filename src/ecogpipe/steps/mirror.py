"""Step `mirror`: a recording at a lower rate, referenced and filtered, its rows and its wiring unchanged."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ecogpipe.datasource.scratch import scratch_path
from ecogpipe.electrodes.channels import ChannelTable
from ecogpipe.errors import MaskError, RateError, WiringError
from ecogpipe.mirroring.engine import MirrorEngine
from ecogpipe.mirroring.settings import Compression, MirrorSettings
from ecogpipe.results.channels import read_channels
from ecogpipe.results.identity import check_same_signal, write_identity
from ecogpipe.results.mask import MaskTable, read_mask
from ecogpipe.results.mirror import create_mirror, finish_mirror, write_packed
from ecogpipe.results.provenance import provenance, write_provenance
from ecogpipe.results.recording import RawRecording, open_raw
from ecogpipe.runtime.progress import progress
from ecogpipe.storage.atomic import flushed_early, whole_hdf5

Bools: TypeAlias = npt.NDArray[np.bool_]

IMPORTS_LATER = ("scipy.signal",)
"""Modules that a mirror always comes to need, and that importing this one does not load."""


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
        identity = check_same_signal(*inputs)
        _check_reference(wanted, keep, mask or channels, name)
        ratio = _ratio(wanted, recording, name)
        new_rate = recording.acquisition.rate / ratio
        settling = wanted.settling_samples(new_rate)
        settled = {**asdict(wanted), **asdict(wanted.filter), "name": name, "ratio": ratio}
        del settled["filter"]
        made_of = provenance("mirror", inputs, settled, mirror.parent)
        if masked is not None:
            made_of["signal_hash"] = masked.signal_hash
        with _new_mirror(mirror, wanted.compression) as file, flushed_early(file) as flush:
            create_mirror(file, recording, ratio, table, keep if wanted.uses_mask else None, settling)
            write_identity(file, identity)
            write_provenance(file, made_of)
            engine = MirrorEngine(file, recording, table, keep, ratio, wanted, flush)
            # BLAS on more threads would split its sums, and so change their last bits.
            with threadpool_limits(1, user_api="blas"), progress(f"mirror {mirror.stem}", recording.n_bytes) as done:
                for n_bytes in engine.run():
                    done(n_bytes)
            flush()
            finish_mirror(file, engine.non_finite())
    return mirror


@contextmanager
def _new_mirror(mirror: Path, compression: Compression) -> Iterator[h5py.File]:
    """Yield the file to write, which appears as `mirror` at the end; until it is packed it is on the scratch disk."""
    if compression == "none":
        with whole_hdf5(mirror) as file:
            yield file
        return
    unpacked = scratch_path(".h5")
    try:
        with h5py.File(unpacked, "w", locking=False) as file:
            yield file
        with h5py.File(unpacked, "r", locking=False) as file, whole_hdf5(mirror) as packed:
            write_packed(file, packed)
    finally:
        unpacked.unlink(missing_ok=True)


def _ratio(wanted: MirrorSettings, recording: RawRecording, name: str) -> int:
    try:
        return wanted.ratio_from(recording.acquisition.rate)
    except RateError as error:
        raise RateError(f"{recording.path}: mirror {name!r} cannot be made. {error}") from None


def _check_reference(wanted: MirrorSettings, keep: Bools, where: Path, name: str) -> None:
    if keep.sum() < wanted.needed_active:
        raise MaskError(
            f"{where}: {keep.sum()} of {keep.size} electrode channels are active, and mirror {name!r} takes the "
            f"{wanted.reference} of at least {wanted.needed_active} as its reference; keep more channels in the mask "
            "of the session, lower least_active, or choose the reference 'none' for this mirror."
        )


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
