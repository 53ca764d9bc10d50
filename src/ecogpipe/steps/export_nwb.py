"""Step `export_nwb`: a recording as an NWB file, for archives and for the tools of the field."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ecogpipe.errors import FormatError, SettingsError
from ecogpipe.exchange.nwb_content import NwbContent, Series, mirror_series, raw_series, seconds_of_frames
from ecogpipe.results.channels import read_channels
from ecogpipe.results.events import read_events
from ecogpipe.results.identity import KEY, check_same_signal
from ecogpipe.results.mask import read_mask
from ecogpipe.results.provenance import provenance
from ecogpipe.results.recording import RawRecording, open_raw
from ecogpipe.runtime.progress import progress
from ecogpipe.signal.rates import slot_seconds
from ecogpipe.storage.atomic import whole_file

COMPRESSIONS = ("none", "gzip")


def export_nwb(
    raw: Path,
    channels: Path,
    mask: Path,
    events: Path,
    mirrors: Sequence[Path],
    nwb: Path,
    *,
    recording: str,
    metadata: Mapping[str, Any],
    has_raw: bool,
    compression: str,
) -> Path:
    """Write a recording as one NWB file: its mirrors, its sites and mask, its triggers, and who and what it is of.

    Parameters
    ----------
    raw, channels, mask, events
        What `ingest`, `map_channels`, `mask_channels` and `extract_events` wrote for the recording.
    mirrors
        The mirrors that the file holds, float32 in microvolts, (time, channels), in ``processing/ecephys``.
    nwb
        The file to write. It holds no path, user or machine; names of files are those of results beside it.
    recording
        Full name of the recording: subject/session/recording.
    metadata
        What `read_nwb_metadata` returned for its session.
    has_raw
        Whether the electrodes as acquired are in ``acquisition``, in the numbers of the source.
    compression
        'none', or 'gzip' for packed signals.

    Returns
    -------
    Path
        `nwb`.

    Raises
    ------
    SettingsError
        If pynwb is not installed, or a setting cannot be used.
    FormatError
        If when the recording began is not known, or an input is not what it should be.
    IdentityError
        If the inputs are not of one recording.
    """
    if compression not in COMPRESSIONS:
        raise SettingsError(f"compression is {compression!r}; choose one of {', '.join(COMPRESSIONS)}.")
    write_nwb = _writer()
    inputs = [raw, channels, mask, events, *mirrors]
    settings = {"recording": recording, "metadata": dict(metadata), "has_raw": has_raw, "compression": compression}
    made_by = provenance("export_nwb", inputs, settings, nwb.parent)
    made_by[KEY] = check_same_signal(*inputs).as_json()
    table = read_channels(channels)
    with open_raw(raw) as acquired:
        start = _start_of(acquired)
        acquisition = acquired.acquisition
        slots = table.daq_row[table.electrode_channels]
        series: list[Series] = raw_series(acquired, table) if has_raw else []
        series += [each for mirror in mirrors for each in mirror_series(mirror)]
        content = NwbContent(
            recording=recording,
            start=start,
            metadata=metadata,
            table=table,
            mask=read_mask(mask),
            events=read_events(events),
            sample_delays=slot_seconds(slots, acquisition.n_rows, acquisition.rate),
            edge_seconds=seconds_of_frames(acquired.segments, acquisition.rate, raw),
            series=series,
            provenance=made_by,
        )
        n_bytes = sum(each.shape[0] * each.shape[1] * each.dtype.itemsize for each in series)
        with whole_file(nwb) as part, progress(f"NWB {nwb.stem}", n_bytes) as advance:
            write_nwb(part, content, zipped=compression == "gzip", advance=advance)
    return nwb


def _start_of(acquired: RawRecording) -> datetime:
    if not acquired.acquisition.start_time:
        raise FormatError(
            f"{acquired.path}: says nothing of when the recording began, which NWB has to say; declare start_time in "
            "the overrides of its row, e.g. 2016-09-01T14:30:00-04:00."
        )
    return datetime.fromisoformat(acquired.acquisition.start_time)


def _writer() -> Any:
    try:
        from ecogpipe.exchange.nwb_file import write_nwb
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"NWB files are written by pynwb, and {error.name} is not installed; run: pip install 'ecogpipe[nwb]'"
        ) from error
    return write_nwb
