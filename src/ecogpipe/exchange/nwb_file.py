"""Writing an NWB file: pynwb lays it out without signals, which then go straight into their chunks."""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hdmf.backends.hdf5 import H5DataIO
from hdmf.common import VectorData
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.device import Device, DeviceModel
from pynwb.ecephys import LFP, ElectricalSeries, ElectrodeGroup, ElectrodesTable
from pynwb.event import EventsTable as NwbEvents
from pynwb.event import TimestampVectorData
from pynwb.file import Subject

from ecogpipe.exchange.frames import frame_chunks, write_frames
from ecogpipe.exchange.nwb_content import LFP as LFP_NAME
from ecogpipe.exchange.nwb_content import PROCESSING, NwbContent, Series
from ecogpipe.results.events import FALLING, RISING
from ecogpipe.results.identity import KEY
from ecogpipe.storage.atomic import flushed_early
from ecogpipe.storage.portable import to_json

_GZIP = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
_MICROMETRES = 1000.0
"""Of a millimetre; NWB has positions on an array in micrometres."""


def write_nwb(path: Path, content: NwbContent, *, zipped: bool, advance: Callable[[int], None]) -> None:
    """Write an NWB file.

    Parameters
    ----------
    path
        The file, which is overwritten.
    content
        What it holds.
    zipped
        Whether signals are packed by gzip.
    advance
        Is told how many more bytes of signals are written.
    """
    with h5py.File(path, "w") as file:
        nwb = _laid_out(content, zipped)
        with NWBHDF5IO(file=file, mode="w") as io:
            io.write(nwb)
    with h5py.File(path, "r+", locking=False) as file, flushed_early(file) as flush:

        def written(n_bytes: int) -> None:
            flush()
            advance(n_bytes)

        for series in content.series:
            write_frames(file[f"{series_group(series)}/data"], series.read, written)


def series_group(series: Series) -> str:
    """Return the place of a series in the file."""
    if series.is_raw:
        return f"acquisition/{series.name}"
    lfp = f"/{LFP_NAME}" if series.is_electrical else ""
    return f"processing/{PROCESSING}{lfp}/{series.name}"


def _laid_out(content: NwbContent, zipped: bool) -> NWBFile:
    """Return the file with everything but the signals."""
    nwb = NWBFile(
        identifier=str(uuid.uuid5(uuid.NAMESPACE_URL, to_json([content.recording, content.provenance[KEY]]))),
        session_start_time=content.start,
        session_id=content.recording.partition("/")[2].replace("/", "_"),
        subject=_subject(content),
        notes=to_json(content.provenance),
        was_generated_by=[["ecogpipe", version("ecogpipe")]],
        **_session_texts(content.metadata),
    )
    _add_electrodes(nwb, content)
    if any(not series.is_raw for series in content.series):
        module = nwb.create_processing_module(PROCESSING, "Mirrors: lower rate, referenced and filtered")
        # Series are added to what is in the file already, as their electrodes have to be of the same file.
        module.add(LFP(name=LFP_NAME))
    for series in content.series:
        own = _time_series(nwb, series, zipped)
        if series.is_raw:
            nwb.add_acquisition(own)
        elif series.is_electrical:
            module[LFP_NAME].add_electrical_series(own)
        else:
            module.add(own)
    for column in content.events.rising:
        nwb.add_events_table(_edges(content, column))
    return nwb


def _subject(content: NwbContent) -> Subject:
    texts: dict[str, Any] = dict(content.metadata["subject"])
    texts |= {"age": content.metadata["session"]["age"]} if "age" in content.metadata["session"] else {}
    if "date_of_birth" in texts:
        born = date.fromisoformat(texts["date_of_birth"])
        texts["date_of_birth"] = datetime(born.year, born.month, born.day, tzinfo=content.start.tzinfo or UTC)
    return Subject(subject_id=content.recording.partition("/")[0], **texts)


def _session_texts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    session, study = metadata["session"], metadata["study"]
    texts = {
        name: study[name] for name in ("lab", "institution", "experiment_description", "keywords") if name in study
    }
    people = [person.strip() for person in session["experimenter"].split(";")]
    return texts | {"session_description": session["session_description"], "experimenter": people}


def _add_electrodes(nwb: NWBFile, content: NwbContent) -> None:
    table, mask, session = content.table, content.mask, content.metadata["session"]
    model = DeviceModel(
        name=table.electrode or "array",
        manufacturer=content.metadata["study"].get("electrode_manufacturer", "not known"),
        description=f"Active electrode array of {table.grid[0]} x {table.grid[1]} sites",
    )
    nwb.add_device_model(model)
    device = Device(name="array", description=f"Headstage {table.headstage}, DAQ {table.daq}".strip(), model=model)
    nwb.add_device(device)
    group = ElectrodeGroup(
        name="array", description="All sites of the array", location=session["location"], device=device
    )
    nwb.add_electrode_group(group)
    n_sites, texts = len(mask), {name: session[name] for name in ("location", "reference")}
    columns = [
        VectorData(name="location", description="Area of the brain", data=[texts["location"]] * n_sites),
        VectorData(name="group", description="The array", data=[group] * n_sites),
        VectorData(name="group_name", description="Name of the array", data=[group.name] * n_sites),
        VectorData(name="reference", description="What it was measured against", data=[texts["reference"]] * n_sites),
        *(
            VectorData(name=name, description=description, data=values)
            for name, (description, values) in (_positions(content) | _own_columns(content)).items()
        ),
    ]
    # Columns at once: to add row after row takes a time that grows with the square of their number.
    nwb.set_electrode_table(ElectrodesTable(columns=columns))


def _positions(content: NwbContent) -> dict[str, tuple[str, list[float]]]:
    """Return the descriptions and values of the positions on the array; nothing where its pitch is not known."""
    if content.table.pitch_mm is None:
        return {}
    y, x = content.table.pitch_mm
    return {
        "rel_x": ("Micrometres from column 0 of the array", (content.mask.site_column * x * _MICROMETRES).tolist()),
        "rel_y": ("Micrometres from row 0 of the array", (content.mask.site_row * y * _MICROMETRES).tolist()),
    }


def _own_columns(content: NwbContent) -> dict[str, tuple[str, list[Any]]]:
    """Return the description and the values of the columns that NWB has not of itself."""
    table, mask = content.table, content.mask
    sites = list(zip(mask.site_row.tolist(), mask.site_column.tolist(), strict=True))
    return {
        "channel_name": ("Site on the array, as row,column", [f"{row},{column}" for row, column in sites]),
        "row": ("Row of the site, from 0", [row for row, _ in sites]),
        "column": ("Column of the site, from 0", [column for _, column in sites]),
        "acquisition_channel": (
            "Channel of the acquisition: DAQ column * multiplexer rows + row slot",
            [int(channel) for channel in table.electrode_channels],
        ),
        "bad_channel": ("True where the channel is not to be used", (~mask.keep).tolist()),
        "bad_channel_reason": (
            "Why it is not, or why it was kept against the rule; empty otherwise",
            list(mask.reasons),
        ),
        "sample_delay": (
            "Seconds by which the multiplexer samples the site after the first one of its frame",
            content.sample_delays.tolist(),
        ),
    }


def _time_series(nwb: NWBFile, series: Series, zipped: bool) -> TimeSeries:
    chunks = frame_chunks(series.shape[1], series.shape[0], series.dtype.itemsize)
    packing: dict[str, Any] = _GZIP if zipped else {}
    common = {
        "name": series.name,
        "data": H5DataIO(shape=series.shape, dtype=series.dtype, chunks=chunks, **packing),
        "rate": float(series.rate),
        "starting_time": series.starting_time,
        "conversion": series.conversion,
        "offset": series.offset,
        "description": series.description,
        "comments": series.comments,
    }
    if not series.is_electrical:
        return TimeSeries(unit="volts", **common)
    region = nwb.create_electrode_table_region(
        region=list(range(series.shape[1])), description="The electrodes, in the order of the columns"
    )
    return ElectricalSeries(electrodes=region, filtering=series.filtering or None, **common)


def _edges(content: NwbContent, column: int) -> NwbEvents:
    """Return the table of the edges of a line, in order of time."""
    events = content.events
    frames = np.concatenate([events.rising[column], events.falling[column]])
    fine = np.concatenate([events.fine_rising[column], events.fine_falling[column]])
    edges = np.repeat([RISING, FALLING], [len(events.rising[column]), len(events.falling[column])])
    order = np.lexsort((edges, frames))
    facts = events.facts[column]
    threshold = facts.get("threshold_volts")
    found = f"; beyond {threshold:.4g} V" if isinstance(threshold, float) else ""
    seconds = content.edge_seconds(frames[order])
    finer = content.edge_seconds(fine[order] / events.n_rows)
    columns = [
        TimestampVectorData(name="timestamp", description="Seconds from the start of the recording", data=seconds),
        VectorData(
            name="edge", description="rising: the line became active; falling: it ended to be", data=edges[order]
        ),
        VectorData(name="frame", description="Frame of the recording at its full rate, from 0", data=frames[order]),
        VectorData(
            name="fine_frame",
            description="First row copy of the line in the new state, numbered through, n_rows to a frame",
            data=fine[order],
        ),
        VectorData(
            name="fine_timestamp",
            description="Seconds, by the row copies of the line, which are sampled in turn",
            data=finer,
        ),
    ]
    return NwbEvents(
        name=f"bnc_{column}",
        description=f"Edges on the BNC line in DAQ column {column} ({facts['kind']}), at the first frame of each",
        source_description=f"Acquisition system{found}",
        columns=columns,
    )
