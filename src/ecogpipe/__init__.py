"""From raw recordings of active electrode arrays to mapped, masked, mirrored and filtered HDF5."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ecogpipe.runtime.moved import keep_old_places

if TYPE_CHECKING:
    from ecogpipe.datasource.array import ArraySource
    from ecogpipe.datasource.binder import BufferBinder
    from ecogpipe.datasource.buffers import HDF5Buffer
    from ecogpipe.datasource.mapped import MappedSource
    from ecogpipe.datasource.source import ElectrodeDataSource
    from ecogpipe.electrodes.channel_map import ChannelMap
    from ecogpipe.electrodes.wiring import load_wiring
    from ecogpipe.errors import EcogpipeError, MemoryBlowOutError
    from ecogpipe.loader import ActiveLoader, Dataset, open_recording, session_info
    from ecogpipe.runtime.params import OVERRIDE, load_params, override
    from ecogpipe.steps.extract_events import extract_events
    from ecogpipe.steps.ingest import ingest
    from ecogpipe.steps.map_channels import map_channels
    from ecogpipe.steps.mask_channels import mask_channels
    from ecogpipe.steps.mirror import mirror_recording
    from ecogpipe.steps.process_recording import process_recording
    from ecogpipe.steps.qc import qc
    from ecogpipe.steps.report import report
    from ecogpipe.steps.scan import scan

__all__ = [
    "OVERRIDE",
    "ActiveLoader",
    "ArraySource",
    "BufferBinder",
    "ChannelMap",
    "Dataset",
    "EcogpipeError",
    "ElectrodeDataSource",
    "HDF5Buffer",
    "MappedSource",
    "MemoryBlowOutError",
    "extract_events",
    "ingest",
    "load_params",
    "load_wiring",
    "map_channels",
    "mask_channels",
    "mirror_recording",
    "open_recording",
    "override",
    "process_recording",
    "qc",
    "report",
    "scan",
    "session_info",
]

_HOMES = {
    "ActiveLoader": "loader",
    "ArraySource": "datasource.array",
    "BufferBinder": "datasource.binder",
    "ChannelMap": "electrodes.channel_map",
    "Dataset": "loader",
    "EcogpipeError": "errors",
    "ElectrodeDataSource": "datasource.source",
    "HDF5Buffer": "datasource.buffers",
    "MappedSource": "datasource.mapped",
    "MemoryBlowOutError": "errors",
    "OVERRIDE": "runtime.params",
    "extract_events": "steps.extract_events",
    "ingest": "steps.ingest",
    "load_params": "runtime.params",
    "load_wiring": "electrodes.wiring",
    "map_channels": "steps.map_channels",
    "mask_channels": "steps.mask_channels",
    "mirror_recording": "steps.mirror",
    "open_recording": "loader",
    "override": "runtime.params",
    "process_recording": "steps.process_recording",
    "qc": "steps.qc",
    "report": "steps.report",
    "scan": "steps.scan",
    "session_info": "loader",
}
"""The module of each public name. A name is imported when it is first asked for, as all of them together take seconds,
which every job and every start of the workflow would pay."""


keep_old_places()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
