"""TDMS files as recordings: which channels, in which order, in which of the lab's layouts, in which units.

Layout A holds one TDMS channel for each channel of the array; layouts B and C one for each analog line.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import FormatError, nearest
from ecogpipe.formats.acquisition import Found, number, number_or_none, settle, whole
from ecogpipe.formats.header import Header
from ecogpipe.formats.multiplexed import advice_on_counts, describe_counts, layouts_by_count, take_lines
from ecogpipe.formats.tdms.index import StoredChannel, TdmsIndex, index_tdms
from ecogpipe.formats.tdms.metadata import RAW_SOURCE, split_path
from ecogpipe.formats.tdms.samples import raw_blocks
from ecogpipe.formats.tdms.scaling import Polynomial, apply_scales, as_line, channel_scales
from ecogpipe.layout import Acquisition

_ORDER = "NI_ArrayColumn"
_NO_TIME = "1904-01-01"
_NAMED_AT_MOST = 5


def read_tdms(path: Path, declared: Mapping[str, Any]) -> Header:
    """Read what a TDMS file holds.

    Raises
    ------
    FormatError
        If it is damaged, its channels are not a recording, or something that is needed is neither in it nor declared.
    """
    index = index_tdms(path)
    notes = []
    group = _choose_group(index, declared.get("group"))
    channels, skipped = _numeric_channels(index, group)
    if skipped:
        notes.append(f"skipped {len(skipped)} channels that are no samples: {_listed(skipped)}")
    channels, order_note = _in_order(index, channels)
    notes.append(order_note)
    dtype = _common_dtype(path, channels)
    n_values, length_note = _common_length(index, channels, declared)
    notes += [length_note] if length_note else []
    cropped = _cropped(index, channels, n_values)
    scales = [_scales(index, channel) for channel in channels]
    holds = f"{len(channels)} channels of {n_values} samples"
    found = replace(_found(index, group, channels, holds, declared), notes=notes, cropped=cropped)
    line = as_line(scales[0]) if len(set(scales)) == 1 else None
    if line is not None:
        found = replace(found, slope=line[0], intercept=line[1])
    acquisition = settle(path, found, declared)
    lines = _Lines(index, [channel.path for channel in channels], n_values, dtype, () if line else tuple(scales))
    return _in_layout(lines, acquisition, declared)


@dataclass(frozen=True)
class _Lines:
    """The chosen channels of a file, with the scales to apply to each; none where the raw values are kept."""

    index: TdmsIndex
    paths: list[str]
    n_values: int
    raw_dtype: np.dtype[Any]
    scales: tuple[tuple[Polynomial, ...], ...]

    @property
    def path(self) -> Path:
        return self.index.path

    @property
    def n_lines(self) -> int:
        return len(self.paths)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float64) if self.scales else self.raw_dtype

    def blocks(self, n_values: int, stop: int, start: int = 0) -> Iterator[npt.NDArray[Any]]:
        """Yield samples [start, stop) of each channel in blocks of `n_values`, (channels, time)."""
        index = self.index
        for raw in raw_blocks(index.path, index.runs, self.paths, stop, n_values, self.raw_dtype, start):
            yield self._scaled(raw) if self.scales else raw

    def _scaled(self, raw: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        scaled = np.empty(raw.shape, np.float64)
        for row, scales in enumerate(self.scales):
            scaled[row] = apply_scales(raw[row], scales)
        return scaled


def _choose_group(index: TdmsIndex, declared: str | None) -> str:
    """Return the declared group, else the one with the acquisition properties, else the only one with samples."""
    groups: dict[str, int] = {}
    for channel in index.channels.values():
        name = split_path(channel.path)[0]
        groups[name] = groups.get(name, 0) + _has_numbers(channel)
    if declared is not None and declared not in groups:
        raise FormatError(f"{index.path}: has no group {declared!r} of channels. {nearest(declared, groups)}")
    candidates = [name for name, n_channels in groups.items() if n_channels and declared in (None, name)]
    if not candidates:
        where = declared or _listed(groups) or "any group"
        cut = f" and is truncated: {index.truncated}" if index.truncated else ""
        others = sorted({channel.raw_index.type_name for channel in index.channels.values() if channel.raw_index})
        instead = f" but channels of {_listed(others)}" if others else ""
        raise FormatError(
            f"{index.path}: is no recording, it has no channel of numbers in {where}{instead}{cut}; name another file "
            "or group."
        )
    acquired = [name for name in candidates if _says_acquisition(index.group_properties(name))]
    for choice in (acquired, candidates):
        if len(choice) == 1:
            return choice[0]
    described = _listed([f"{name!r} with {groups[name]} channels" for name in acquired or candidates])
    raise FormatError(
        f"{index.path}: has several groups of samples: {described}; declare 'group: <name>' in the overrides of the "
        "recording."
    )


def _says_acquisition(properties: Mapping[str, Any]) -> bool:
    return "nrRows" in properties and "SamplingRate" in properties


def _has_numbers(channel: StoredChannel) -> bool:
    return channel.raw_index is not None and channel.raw_index.dtype is not None and channel.n_expected > 0


def _numeric_channels(index: TdmsIndex, group: str) -> tuple[list[StoredChannel], list[str]]:
    """Return the group's channels of numbers in file order, and what else it holds."""
    members = [channel for channel in index.channels.values() if split_path(channel.path)[0] == group]
    skipped = [
        f"{split_path(channel.path)[1]} ({channel.raw_index.type_name if channel.raw_index else 'no data'})"
        for channel in members
        if not _has_numbers(channel)
    ]
    return [channel for channel in members if _has_numbers(channel)], skipped


def _in_order(index: TdmsIndex, channels: list[StoredChannel]) -> tuple[list[StoredChannel], str]:
    """Order channels by NI_ArrayColumn where it counts them all from 0, else leave them as in the file; say which."""
    columns = [index.properties[channel.path].get(_ORDER) for channel in channels]
    n_missing = columns.count(None)
    if n_missing:
        return channels, f"channels are in the order of the file: {n_missing} of {len(channels)} have no {_ORDER}"
    by_column = dict(zip(columns, channels, strict=True))
    if set(by_column) != set(range(len(channels))):
        return channels, f"channels are in the order of the file: {_ORDER} does not count them from 0 on"
    return [by_column[column] for column in range(len(channels))], f"channels are in the order of {_ORDER}"


def _common_dtype(path: Path, channels: Sequence[StoredChannel]) -> np.dtype[Any]:
    names = [channel.raw_index.dtype for channel in channels if channel.raw_index]
    if len(set(names)) > 1:
        found = ", ".join(f"{names.count(name)} of {np.dtype(name)}" for name in dict.fromkeys(names))
        raise FormatError(
            f"{path}: its channels differ in dtype ({found}); a recording has one, name a group whose channels do."
        )
    return np.dtype(names[0])


def _common_length(index: TdmsIndex, channels: Sequence[StoredChannel], declared: Mapping[str, Any]) -> tuple[int, str]:
    """Return the length to which all channels are cropped, where they may be, and what was cropped in words."""
    path, found = index.path, sorted(channel.n_values for channel in channels)
    expected = sorted({channel.n_expected for channel in channels})
    lengths = ", ".join(f"{sum(c.n_expected == n for c in channels)} of {n} samples" for n in expected)
    if len(expected) > 1 and declared.get("unequal_lengths") != "crop":
        raise FormatError(
            f"{path}: its channels differ in length ({lengths}), so they are not of one recording; declare "
            "'group: <name>' if those of another group are, or 'unequal_lengths: crop' to keep what all of them have."
        )
    if not found[0]:
        raise FormatError(f"{path}: holds no sample that all its channels have; record or copy it again.")
    if not index.truncated:
        return found[0], f"unequal lengths ({lengths}), cropped to {found[0]}" if len(expected) > 1 else ""
    described = (
        f"truncated: {index.truncated}; {_span(expected)} samples expected, {found[0]} to {found[-1]} found per channel"
    )
    if declared.get("truncated") == "refuse":
        raise FormatError(
            f"{path}: is {described}; get it again from where it was recorded, or declare 'truncated: crop' to keep "
            f"the {found[0]} samples that all channels have."
        )
    return found[0], f"{described}, cropped to {found[0]}"


def _span(numbers: Sequence[int]) -> str:
    return f"{numbers[0]}" if numbers[0] == numbers[-1] else f"{numbers[0]} to {numbers[-1]}"


def _cropped(index: TdmsIndex, channels: Sequence[StoredChannel], n_kept: int) -> list[dict[str, Any]]:
    """Describe what was cropped, in numbers; empty where the file is whole and all channels have one length."""
    found = [channel.n_values for channel in channels]
    if not index.truncated and set(found) == {n_kept}:
        return []
    return [
        {
            "part": index.path.name,
            "reason": "truncated" if index.truncated else "unequal lengths",
            "samples_expected": [channel.n_expected for channel in channels],
            "samples_found": found,
            "samples_kept": n_kept,
        }
    ]


def _scales(index: TdmsIndex, channel: StoredChannel) -> tuple[Polynomial, ...]:
    group, name = split_path(channel.path)
    own = [index.properties[channel.path], index.group_properties(group), index.properties.get("/", {})]
    source = channel.raw_index.source if channel.raw_index else RAW_SOURCE
    try:
        scales = channel_scales(own, source)
    except FormatError as error:
        raise FormatError(f"{index.path}: channel {name!r}: {error}; export the channel in volts.") from None
    if source != RAW_SOURCE and not scales:
        raise FormatError(f"{index.path}: channel {name!r} holds counts without a scaling to volts; export it again.")
    return scales


def _found(
    index: TdmsIndex, group: str, channels: Sequence[StoredChannel], holds: str, declared: Mapping[str, Any]
) -> Found:
    path, root = index.path, index.properties.get("/", {})
    properties = root | index.group_properties(group)
    counts: dict[str, Any] = {
        name: whole(path, key, properties[key])
        for name, key in (
            ("n_rows", "nrRows"),
            ("n_columns", "nrColumns"),
            ("n_bncs", "nrBNCs"),
            ("oversampling", "OverSampling"),
        )
        if key in properties and name not in declared
    }
    by_channel = {split_path(channel.path)[1]: index.properties[channel.path] for channel in channels}
    rate = properties.get("SamplingRate")
    needed = rate is not None and "sampling_rate" not in declared
    start = str(index.properties[channels[0].path].get("wf_start_time", ""))
    return Found(
        holds,
        daq_rate=number(path, "SamplingRate", rate) if needed else number_or_none(rate),
        **counts,
        units="V" if _says_acquisition(properties) else None,
        start_time="" if start.startswith(_NO_TIME) else start,
        info={**properties, "channel_properties": json.dumps(by_channel, ensure_ascii=False)},
    )


def _in_layout(lines: _Lines, acquisition: Acquisition, declared: Mapping[str, Any]) -> Header:
    """Tell the layout by the number of lines, and take them to be in it."""
    layout = layouts_by_count(acquisition, declared).get(lines.n_lines)
    if layout is None:
        raise FormatError(
            f"{lines.path}: has {lines.n_lines} channels of samples, but {describe_counts(acquisition, declared)}; "
            f"{advice_on_counts(declared)}"
        )
    return take_lines("TDMS, layout A" if layout == "A" else "TDMS", layout, lines, acquisition, declared)


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
