"""What a recording will cost, from the headers of its files and a look at a few of its samples."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ecogpipe.checks.known_acquisition import read_recording_headers
from ecogpipe.checks.unfit_channels import check_channels
from ecogpipe.datasource.buffers import HDF5Buffer
from ecogpipe.datasource.chunk_writer import chunk_shape, lines_packed, shuffled_and_deflated
from ecogpipe.electrodes.wiring import is_passthru, load_wiring
from ecogpipe.errors import WiringError
from ecogpipe.formats.header import Header
from ecogpipe.mirroring.settings import MirrorSettings
from ecogpipe.results.names import EXPORT, NUMBERS_SUFFIX, Output, RecordingFiles
from ecogpipe.runtime import costs
from ecogpipe.runtime.costs import Facts, MirrorPlan, Packing, Storage
from ecogpipe.study.recordings import Recording

_SAMPLED_FRAMES = 8192
_EDGES_PER_SECOND = 2
"""Of each digital line: a pulse every second, as nobody has looked."""


@dataclass(frozen=True)
class RecordingPlan:
    """What a recording will cost.

    Attributes
    ----------
    name : str
        Its full name.
    bytes_in : int
        Size of its files.
    outputs : dict of str to int
        Size of each output, by file name.
    scratch_bytes : int
        What the largest of its jobs keeps on the scratch disk.
    memory : dict of str to int
        Peak memory in bytes, by step.
    seconds : dict of str to float
        How long its jobs take on an ordinary workstation, by step; generously.
    threads : dict of str to int
        Cores that a job takes, by step.
    """

    name: str
    bytes_in: int
    outputs: dict[str, int]
    scratch_bytes: int
    memory: dict[str, int]
    seconds: dict[str, float]
    threads: dict[str, int]

    @property
    def bytes_out(self) -> int:
        """Size of all outputs."""
        return sum(self.outputs.values())

    @property
    def peak_memory(self) -> int:
        """Memory of the job that needs most."""
        return max(self.memory.values())

    def missing_bytes(self, folder: Path) -> int:
        """Return the size of the outputs that are not in the folder yet."""
        return sum(size for name, size in self.outputs.items() if not (folder / name).exists())


def plan_recording(recording: Recording, config: Mapping[str, Any], user_tables: Path | None = None) -> RecordingPlan:
    """Forecast what a recording will cost.

    Parameters
    ----------
    recording
        A row of the recordings table.
    config
        The settings of the study.
    user_tables
        A folder with wiring tables of the user's own.

    Raises
    ------
    EcogpipeError
        If a file cannot be read as a recording, or a mirror cannot be made of it: as the workflow would.
    """
    headers = read_recording_headers(recording)
    try:
        check_channels(recording, headers[0].acquisition, user_tables)
    except WiringError as error:
        raise WiringError(f"{headers[0].path}: {error}") from None
    facts = _facts(recording, headers, user_tables)
    mirrors = {
        name: _mirror_plan(MirrorSettings.from_mapping(settings), headers[0])
        for name, settings in config["mirrors"].items()
        if name in recording.mirrors_of(config["mirrors"])
    }
    packing = _sample_packing(headers[0], facts, config["storage"]["compression"])
    chunks = chunk_shape(facts.n_channels, facts.n_samples, facts.item_bytes)
    sizes = costs.output_bytes(facts, mirrors, packing, chunks)
    files = RecordingFiles(Path(recording.recording))
    outputs = list(files.outputs(mirrors))
    if (wanted := config.get("nwb", {})).get("make"):
        outputs.append(Output(EXPORT.name, files.nwb))
        sizes[EXPORT.name] = sum(sizes[f"mirror {name}"] for name in wanted["mirrors"] if name in mirrors)
        sizes[EXPORT.name] += facts.n_electrodes * facts.n_samples * facts.item_bytes if wanted["raw"] else 0
    lowest_ratio = min(mirror.ratio for mirror in mirrors.values())
    seconds = defaultdict[str, float](float)
    for step, _ in dict.fromkeys((output.step, output.mirror) for output in outputs):
        seconds[step] += costs.seconds(step, facts)
    return RecordingPlan(
        name=recording.full_name,
        bytes_in=facts.file_bytes,
        outputs={output.path.name: _size_of(output, sizes) for output in outputs},
        scratch_bytes=max(costs.scratch_bytes(facts, mirror) for mirror in mirrors.values()),
        memory={output.step: costs.memory_bytes(output.step, facts, lowest_ratio) for output in outputs},
        seconds=dict(seconds),
        threads={output.step: costs.job_threads(output.step, facts) for output in outputs},
    )


def _size_of(output: Output, sizes: Mapping[str, int]) -> int:
    kind = "numbers" if output.path.suffix == NUMBERS_SUFFIX else output.step
    return sizes.get(f"{kind} {output.mirror}".strip(), 0)


def _facts(recording: Recording, headers: list[Header], user_tables: Path | None) -> Facts:
    acquisition = headers[0].acquisition
    n_electrodes = acquisition.n_rows * acquisition.n_columns
    if not is_passthru(recording.daq):
        set_up = recording.daq, recording.headstage, recording.electrode
        rows, columns = load_wiring(*set_up, user_tables=user_tables).grid
        n_electrodes = rows * columns
    n_samples = sum(header.n_samples for header in headers)
    n_digital = sum(line.kind != "analog" for line in recording.bnc)
    return Facts(
        storage=_storage(headers[0]),
        file_bytes=sum(header.path.stat().st_size for header in headers),
        n_channels=acquisition.n_channels,
        n_electrodes=n_electrodes,
        n_lines=acquisition.n_rows * acquisition.n_bncs,
        n_samples=n_samples,
        item_bytes=headers[0].dtype.itemsize,
        n_edges=round(n_digital * _EDGES_PER_SECOND * n_samples / acquisition.rate),
        n_seconds=ceil(n_samples / acquisition.rate),
        loaded_bytes=sum(header.loaded_bytes for header in headers),
    )


def _storage(header: Header) -> Storage:
    if header.parts:
        return "linked"
    return "loaded" if header.loaded_bytes else "copied"


def _mirror_plan(settings: MirrorSettings, header: Header) -> MirrorPlan:
    uses_scratch = not settings.filter.does_nothing and settings.filter.design != "fir"
    ratio = settings.ratio_from(header.acquisition.rate)
    settings.settling_samples(header.acquisition.rate / ratio)
    return MirrorPlan(ratio, uses_scratch, settings.compression != "none")


def _sample_packing(header: Header, facts: Facts, compression: str) -> Packing:
    """Pack some samples as the steps will; what would have to be loaded as a whole first is taken as not packed."""
    if facts.storage == "loaded":
        return Packing()
    samples = _sample(header)
    lines = samples[facts.n_channels - facts.n_lines :]
    return Packing(
        raw=len(shuffled_and_deflated(samples)) / samples.nbytes if compression == "gzip" else 1.0,
        lines=len(lines_packed(lines)) / lines.nbytes if len(lines) else 1.0,
    )


def _sample(header: Header) -> npt.NDArray[Any]:
    """Read some frames, (channels, time): from the middle of a linked file, from the beginning of one to copy."""
    if header.read_blocks is not None:
        return np.ascontiguousarray(next(header.read_blocks(_SAMPLED_FRAMES)))
    part = header.parts[0]
    with closing(HDF5Buffer.open(part.path, part.dataset)) as buffer:
        start = max(0, buffer.shape[0 if part.time_first else 1] - _SAMPLED_FRAMES) // 2
        frames = slice(start, start + _SAMPLED_FRAMES)
        return np.ascontiguousarray(buffer[frames].T if part.time_first else buffer[:, frames])
