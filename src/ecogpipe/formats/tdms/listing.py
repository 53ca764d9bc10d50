"""What is in a TDMS file whose signals were not found: for a person to declare them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ecogpipe.errors import FormatError
from ecogpipe.formats.acquisition import number_or_none
from ecogpipe.formats.tdms.channels import group_properties, said_of_multiplexer, says_acquisition
from ecogpipe.formats.tdms.index import StoredChannel, TdmsIndex, index_tdms
from ecogpipe.formats.tdms.metadata import split_path
from ecogpipe.formats.tdms.waveforms import common_increment, common_units
from ecogpipe.storage.strict_yaml import quoted
from ecogpipe.storage.tsv import BLANK


class ChannelSet(NamedTuple):
    """Channels of one group that are alike: their number, values and dtype, and what the file says of them all.

    `overrides` is a cell for the column overrides that takes them as channels in a row, with daq passthru.
    """

    group: str
    n_channels: int
    n_values: int
    dtype: str
    properties: dict[str, Any]
    overrides: str


def list_channel_sets(path: Path) -> list[ChannelSet]:
    """Return the channels of numbers in a TDMS file, by group, length and dtype, the largest set first.

    Raises
    ------
    FormatError
        If the file cannot be read as TDMS.
    """
    index = index_tdms(path)
    numbers = sorted((c for c in index.channels.values() if c.n_values and _dtype(c)), key=_likeness)
    sets = [list(alike) for _, alike in groupby(numbers, key=_likeness)]
    several = len({_group(channels[0]) for channels in sets}) > 1
    listed = [
        ChannelSet(
            *(_group(channels[0]), len(channels), channels[0].n_values, _dtype(channels[0])),
            _shared_properties(index, channels),
            "; ".join(_overrides(index, channels, numbers, several)),
        )
        for channels in sets
    ]
    return sorted(listed, key=lambda each: -each.n_channels * each.n_values)


def _likeness(channel: StoredChannel) -> tuple[str, int, str]:
    return _group(channel), channel.n_values, _dtype(channel)


def _group(channel: StoredChannel) -> str:
    return split_path(channel.path)[0]


def _dtype(channel: StoredChannel) -> str:
    """Return the name of a channel's dtype; '' where it holds no numbers."""
    stored = None if channel.raw_index is None else channel.raw_index.dtype
    return "" if stored is None else np.dtype(stored).name


def _shared_properties(index: TdmsIndex, channels: Sequence[StoredChannel]) -> dict[str, Any]:
    """Return the properties of the file, the group, and those that all channels have with one value."""
    first, *others = (index.properties.get(channel.path, {}) for channel in channels)
    shared = {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}
    return index.properties.get("/", {}) | index.group_properties(_group(channels[0])) | shared


def _overrides(
    index: TdmsIndex, channels: Sequence[StoredChannel], numbers: Sequence[StoredChannel], several: bool
) -> Iterator[str]:
    group = _group(channels[0])
    taken = {channel.path for channel in channels}
    others = [split_path(c.path)[1] for c in numbers if _group(c) == group and c.path not in taken]
    if several:
        yield f"group: {quoted(group)}"
    if others:
        yield f"skip_channels: [{', '.join(map(quoted, others))}]"
    properties = group_properties(index, [group])
    of_multiplexer = said_of_multiplexer(index, properties)
    counts_fit = _counts_fit(properties, len(channels))
    if of_multiplexer and not counts_fit:
        yield f"n_rows: 1; n_columns: {len(channels)}; n_bncs: 0"
    # The rate of a converter is that of frames only by counts that are true of the channels.
    says_frames = counts_fit and says_acquisition(properties) and "OverSampling" in properties
    if not (says_frames if of_multiplexer else _states_rate(index, channels)):
        yield f"sampling_rate: {BLANK}"
    if not says_acquisition(properties) and not _states_units(index, channels):
        yield f"units: {BLANK}"
    yield f"gain: {BLANK}"


def _counts_fit(properties: Mapping[str, Any], n_channels: int) -> bool:
    """Return whether the counts are there, and are those of so many channels or analog lines."""
    n_rows, n_columns, n_bncs = (number_or_none(properties.get(name)) for name in ("nrRows", "nrColumns", "nrBNCs"))
    if n_rows is None or n_columns is None or n_bncs is None:
        return False
    return n_channels in (n_columns + n_bncs, n_rows * (n_columns + n_bncs))


def _states_rate(index: TdmsIndex, channels: Sequence[StoredChannel]) -> bool:
    try:
        return common_increment(index, channels) is not None
    except FormatError:
        return False


def _states_units(index: TdmsIndex, channels: Sequence[StoredChannel]) -> bool:
    try:
        return common_units(index, channels, {}, [])[0] is not None
    except FormatError:
        return False
