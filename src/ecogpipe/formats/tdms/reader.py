"""TDMS files as recordings: which channels, in which order, in which of the lab's layouts, in which units.

Layout A holds one TDMS channel for each channel of the array; layouts B and C one for each analog line.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import FormatError
from ecogpipe.formats.acquisition import Found, number, number_or_none, settle, whole
from ecogpipe.formats.header import Header
from ecogpipe.formats.multiplexed import (
    advice_on_counts,
    describe_counts,
    layouts_by_count,
    take_lines,
)
from ecogpipe.formats.tdms.channels import (
    CONVERTER_RATE,
    choose_channels,
    choose_groups,
    group_properties,
    in_order,
    listed,
    said_of_multiplexer,
    says_acquisition,
)
from ecogpipe.formats.tdms.index import StoredChannel, TdmsIndex, index_tdms
from ecogpipe.formats.tdms.metadata import RAW_SOURCE, split_path
from ecogpipe.formats.tdms.samples import raw_blocks
from ecogpipe.formats.tdms.scaling import Polynomial, apply_scales, as_line, channel_scales
from ecogpipe.formats.tdms.waveforms import (
    changes_noted,
    common_increment,
    common_units,
    increment_note,
    start_of,
)
from ecogpipe.storage.canonical import Acquisition

_LONGEST = 8


def read_tdms(path: Path, declared: Mapping[str, Any]) -> Header:
    """Read what a TDMS file holds.

    Raises
    ------
    FormatError
        If it is damaged, its channels are not a recording, or something that is needed is neither in it nor declared.
    """
    index = index_tdms(path)
    groups = choose_groups(index, declared.get("group"))
    counts = _counts(index, groups, declared)
    channels, skipped = choose_channels(index, groups, declared.get("skip_channels"), _expected(counts, declared))
    notes = [f"skipped {len(skipped)} channels that are not samples: {listed(skipped)}"] if skipped else []
    channels, order_note = in_order(index, channels)
    notes.append(order_note)
    notes += changes_noted(index, channels)
    increment = common_increment(index, channels)
    dtype = _common_dtype(path, channels)
    n_values, length_note = _common_length(index, channels, declared)
    notes += [length_note] if length_note else []
    cropped = _cropped(index, channels, n_values)
    units, factors = common_units(index, channels, declared, notes)
    scales = [_scales(index, channel, factor) for channel, factor in zip(channels, factors, strict=True)]
    holds = f"{len(channels)} channels of {n_values} samples" + (f" (without {listed(skipped)})" if skipped else "")
    found = replace(_found(index, groups, channels, holds, declared, counts), notes=notes, cropped=cropped)
    found = replace(found, units=units or found.units, start_time=start_of(index, channels, notes))
    if found.daq_rate is None and increment:
        found = replace(found, rate=_frame_rate(increment, len(channels), counts, declared))
        notes.append("the sampling rate is that of wf_increment")
    line = as_line(scales[0]) if len(set(scales)) == 1 else None
    if line is not None:
        found = replace(found, slope=line[0], intercept=line[1])
    acquisition = settle(path, found, declared)
    if increment and (contradiction := increment_note(increment, acquisition)):
        acquisition.notes.append(contradiction)
    lines = _Lines(index, [channel.path for channel in channels], n_values, dtype, () if line else tuple(scales))
    return _in_layout(lines, acquisition, declared, skipped)


def _counts(index: TdmsIndex, groups: Sequence[str], declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the counts that the file says and nobody declares."""
    properties = group_properties(index, groups)
    return {
        name: whole(index.path, key, properties[key])
        for name, key in (
            ("n_rows", "nrRows"),
            ("n_columns", "nrColumns"),
            ("n_bncs", "nrBNCs"),
            ("oversampling", "OverSampling"),
        )
        if key in properties and name not in declared
    }


def _expected(counts: Mapping[str, int], declared: Mapping[str, Any]) -> set[int]:
    """Return how many channels or analog lines there are, as far as that is known."""
    known = {**counts, **declared}
    if not {"n_rows", "n_columns", "n_bncs"} <= known.keys():
        return set()
    n_lines = known["n_columns"] + known["n_bncs"]
    return {n_lines, known["n_rows"] * n_lines}


def _frame_rate(
    increment: Fraction, n_lines: int, counts: Mapping[str, int], declared: Mapping[str, Any]
) -> Fraction | None:
    """Return frames per second where the samples of each line are `increment` seconds apart."""
    known = {**counts, **declared}
    n_rows, oversampling = int(known.get("n_rows", 1)), int(known.get("oversampling", 1))
    is_multiplexed = n_rows > 1 and n_lines == known.get("n_columns", 0) + known.get("n_bncs", 0)
    if "skip_seconds" in declared:
        return 1 / increment / (n_rows * oversampling)
    return 1 / increment / (n_rows if is_multiplexed else 1)


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


def _common_dtype(path: Path, channels: Sequence[StoredChannel]) -> np.dtype[Any]:
    """Return the dtype that holds the values of all channels exactly."""
    names = [channel.raw_index.dtype for channel in channels if channel.raw_index]
    dtypes = {np.dtype(name) for name in names}
    dtype = np.result_type(*dtypes)
    if dtype.kind == "f" and any(each.kind in "iu" and each.itemsize == _LONGEST for each in dtypes):
        found = ", ".join(f"{names.count(name)} of {np.dtype(name)}" for name in dict.fromkeys(names))
        raise FormatError(
            f"{path}: its channels differ in dtype ({found}), and no dtype holds all of them exactly; name a group "
            "whose channels do not differ, or leave some out by 'skip_channels: <names>'."
        )
    return dtype


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


def _scales(index: TdmsIndex, channel: StoredChannel, factor: float) -> tuple[Polynomial, ...]:
    """Return the scales of a channel; the last one, by `factor`, to the common unit."""
    group, name = split_path(channel.path)
    own = [index.properties[channel.path], index.group_properties(group), index.properties.get("/", {})]
    source = channel.raw_index.source if channel.raw_index else RAW_SOURCE
    try:
        scales = channel_scales(own, source)
    except FormatError as error:
        raise FormatError(
            f"{index.path}: channel {name!r}: {error}; export the channel in volts, or leave it out by "
            f"'skip_channels: {name}'."
        ) from None
    if source != RAW_SOURCE and not scales:
        raise FormatError(f"{index.path}: channel {name!r} holds counts without a scaling to volts; export it again.")
    return scales if factor == 1 else (*scales, (0.0, factor))


def _found(
    index: TdmsIndex,
    groups: Sequence[str],
    channels: Sequence[StoredChannel],
    holds: str,
    declared: Mapping[str, Any],
    counts: Mapping[str, Any],
) -> Found:
    path, properties = index.path, group_properties(index, groups)
    by_channel = {split_path(channel.path)[1]: index.properties[channel.path] for channel in channels}
    rate = properties.get(CONVERTER_RATE)
    needed = rate is not None and "sampling_rate" not in declared
    return Found(
        holds,
        n_lines=len(channels),
        of_multiplexer=said_of_multiplexer(index, properties),
        daq_rate=number(path, CONVERTER_RATE, rate) if needed else number_or_none(rate),
        **counts,
        units="V" if says_acquisition(properties) else None,
        info={**properties, "channel_properties": json.dumps(by_channel, ensure_ascii=False)},
    )


def _in_layout(lines: _Lines, acquisition: Acquisition, declared: Mapping[str, Any], skipped: Sequence[str]) -> Header:
    """Tell the layout by the number of lines, and take them to be in it."""
    layout = layouts_by_count(acquisition, declared).get(lines.n_lines)
    if layout is None:
        raise FormatError(
            f"{lines.path}: has {lines.n_lines} channels of samples"
            f"{f' (without {listed(skipped)})' if skipped else ''}, but {describe_counts(acquisition, declared)}; "
            f"{advice_on_counts(declared)[:-1]}, or leave channels out by 'skip_channels: <names>'."
        )
    return take_lines("TDMS, layout A" if layout == "A" else "TDMS", layout, lines, acquisition, declared)
