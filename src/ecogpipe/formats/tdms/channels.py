"""Which channels of a TDMS file are those of the recording, and in which order."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ecogpipe.errors import FormatError, nearest
from ecogpipe.formats.multiplexed import names_of_multiplexer
from ecogpipe.formats.tdms.index import StoredChannel, TdmsIndex
from ecogpipe.formats.tdms.metadata import BOOLEANS, split_path

_ORDER = "NI_ArrayColumn"
_NAMED_AT_MOST = 5
CONVERTER_RATE = "SamplingRate"


def choose_groups(index: TdmsIndex, declared: str | Sequence[str] | None) -> list[str]:
    """Return the declared groups, else the one with the acquisition properties, else the only one with samples.

    Raises
    ------
    FormatError
        If a declared group is not there, or there is none or more than one to choose from.
    """
    if isinstance(declared, list | tuple):
        return [_choose_group(index, str(name)) for name in declared]
    return [_choose_group(index, None if declared is None else str(declared))]


def group_properties(index: TdmsIndex, groups: Sequence[str]) -> dict[str, Any]:
    """Return the properties of the root and of groups; of several, those of the first count."""
    properties = dict(index.properties.get("/", {}))
    for group in reversed(groups):
        properties |= index.group_properties(group)
    return properties


def choose_channels(
    index: TdmsIndex, groups: Sequence[str], skip: str | Sequence[str] | None, expected: Iterable[int]
) -> tuple[list[StoredChannel], list[str]]:
    """Return the channels of samples in file order, and what else the groups hold, each with the reason.

    Booleans are samples where the recording is only complete with them.

    Parameters
    ----------
    index
        Of the file.
    groups
        Their names.
    skip
        Names of channels that are declared to be left out.
    expected
        How many there can be, empty where that is not known.

    Raises
    ------
    FormatError
        If a channel that is to be left out is not there, or none remains.
    """
    members = [c for group in groups for c in index.channels.values() if split_path(c.path)[0] == group]
    unwanted = [skip] if isinstance(skip, str) else [str(name) for name in skip or ()]
    names = [split_path(channel.path)[1] for channel in members]
    for name in unwanted:
        if name not in names:
            raise FormatError(f"{index.path}: has no channel {name!r} to skip. {nearest(name, names)}")
    reasons = {c.path: _reason(c, unwanted) for c in members}
    numbers = [c for c in members if not reasons[c.path]]
    plain = [c for c in numbers if not _is_boolean(c)]
    if plain and (len(plain) in expected or len(numbers) not in expected):
        reasons |= {c.path: BOOLEANS for c in numbers if _is_boolean(c)}
        numbers = plain
    if not numbers:
        raise FormatError(f"{index.path}: no channel of numbers is left; take some out of skip_channels.")
    return numbers, [f"{split_path(c.path)[1]} ({reasons[c.path]})" for c in members if reasons[c.path]]


def _reason(channel: StoredChannel, unwanted: Sequence[str]) -> str:
    """Say why a channel holds no samples of the recording; '' where it does."""
    if split_path(channel.path)[1] in unwanted:
        return "declared"
    if _has_numbers(channel):
        return ""
    return channel.raw_index.type_name if channel.raw_index else "no data"


def _is_boolean(channel: StoredChannel) -> bool:
    return channel.raw_index is not None and channel.raw_index.type_name == BOOLEANS


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
        where = declared or listed(groups) or "any group"
        cut = f" and is truncated: {index.truncated}" if index.truncated else ""
        others = sorted({channel.raw_index.type_name for channel in index.channels.values() if channel.raw_index})
        instead = f" but channels of {listed(others)}" if others else ""
        raise FormatError(
            f"{index.path}: is not a recording, it has no channel of numbers in {where}{instead}{cut}; name another "
            "file or group."
        )
    acquired = [name for name in candidates if says_acquisition(index.group_properties(name))]
    for choice in (acquired, candidates):
        if len(choice) == 1:
            return choice[0]
    described = listed([f"{name!r} with {groups[name]} channels" for name in acquired or candidates])
    raise FormatError(
        f"{index.path}: has several groups of samples: {described}; declare 'group: <name>' in the overrides of the "
        "recording, or 'group: [<name>, <name>]' where they are one recording."
    )


def says_acquisition(properties: Mapping[str, Any]) -> bool:
    """Return whether properties say how the lab's array was read."""
    return "nrRows" in properties and CONVERTER_RATE in properties


def said_of_multiplexer(index: TdmsIndex, properties: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of properties that recordings of a multiplexer have, wherever in the file.

    A ``SamplingRate`` counts as one among the properties of the signals, as the lab's is that of the converter.
    """
    names = names_of_multiplexer(name for of_one in index.properties.values() for name in of_one)
    return names or tuple({CONVERTER_RATE} & properties.keys())


def _has_numbers(channel: StoredChannel) -> bool:
    return channel.raw_index is not None and channel.raw_index.dtype is not None and channel.n_expected > 0


def in_order(index: TdmsIndex, channels: list[StoredChannel]) -> tuple[list[StoredChannel], str]:
    """Order channels by NI_ArrayColumn where it counts them all from 0, else leave them as in the file; say which."""
    columns = [index.properties[channel.path].get(_ORDER) for channel in channels]
    n_missing = columns.count(None)
    if n_missing:
        return channels, f"channels are in the order of the file: {n_missing} of {len(channels)} have no {_ORDER}"
    by_column = dict(zip(columns, channels, strict=True))
    if set(by_column) != set(range(len(channels))):
        return channels, f"channels are in the order of the file: {_ORDER} does not count them from 0 on"
    return [by_column[column] for column in range(len(channels))], f"channels are in the order of {_ORDER}"


def listed(names: Iterable[str]) -> str:
    """List names, the first ones where they are many."""
    names = list(names)
    more = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
