"""Where the values of every channel are in a TDMS file: one walk over the heads of its segments.

Segments that follow each other evenly with the same layout are held as one run, so that the index of a file stays
small however long it is, and a reader can take many of them at once.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ecogpipe.errors import FormatError, MemoryBlowOutError
from ecogpipe.formats.tdms.layouts import Layout, Run
from ecogpipe.formats.tdms.metadata import (
    BIG_ENDIAN,
    META_DATA,
    NEW_OBJECT_LIST,
    NotSupportedError,
    RawIndex,
    SegmentObject,
    group_path,
    parse_metadata,
    split_path,
)
from ecogpipe.runtime.params import load_params

_LEAD_IN_BYTES = 28
_METADATA_SHARE = 4
_OF_START = ("wf_start_time", "wf_start_offset")
_INDEX_SHARE = 4
_RUN_BYTES, _FIRST_BYTES, _ENTRY_BYTES = 400, 40, 250
"""What the index holds of each run of chunks, of each channel in it, and of each channel in a layout of chunks."""

_ZEROS_AT_ONCE = 2**20
_OPEN_ENDED = 0xFFFFFFFFFFFFFFFF
_LARGEST_CHUNK_BYTES = 2**40
"""No program writes chunks that are larger: such a length is damaged, and what is there of the chunk means nothing."""


@dataclass
class StoredChannel:
    """What a file holds of one channel.

    `n_expected` is how many values the metadata promise; it is larger than `n_values` where the file is truncated.
    """

    path: str
    raw_index: RawIndex | None = None
    n_values: int = 0
    n_expected: int = 0


@dataclass
class TdmsIndex:
    """Everything that a TDMS file says, but for the values themselves.

    `properties` are those of the root, groups and channels by path; `truncated` says how the end of the file is
    damaged, and is empty where it is not; `changes` names, by path, the properties that change after there were values.
    """

    path: Path
    properties: dict[str, dict[str, Any]] = field(default_factory=dict)
    channels: dict[str, StoredChannel] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    truncated: str = ""
    changes: dict[str, list[str]] = field(default_factory=dict)

    def group_properties(self, group: str) -> dict[str, Any]:
        """Return the properties of a group, by its name."""
        return self.properties.get(group_path(group), {})


def index_tdms(path: Path) -> TdmsIndex:
    """Walk over the segments of a file; an index file beside it is not used.

    Raises
    ------
    FormatError
        If the file is damaged elsewhere than at its end, or holds what TDMS does not define.
    """
    with path.open("rb") as file:
        walk = _Walk(path, file, os.fstat(file.fileno()).st_size)
        for segment in walk.segments():
            try:
                walk.take(segment)
            except NotSupportedError as error:
                raise FormatError(
                    f"{path}: in the segment at byte {segment.start}, {error} by this version; write the signals to a "
                    "file of their own."
                ) from None
            except FormatError as error:
                raise FormatError(
                    f"{path}: in the segment at byte {segment.start}, {error}; the file is damaged, get it again from "
                    "where it was recorded."
                ) from None
    walk.settle()
    return walk.index


@dataclass(frozen=True)
class _Segment:
    """The lead-in of a segment: its flags, where its data begin and end in this file, and how long they should be.

    `n_promised` is None where the length was never written.
    """

    start: int
    flags: int
    data_start: int
    data_stop: int
    n_promised: int | None

    @property
    def complete(self) -> bool:
        return self.n_promised == self.data_stop - self.data_start


class _Walk:
    """Builds the index of one file, segment by segment."""

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self.index = TdmsIndex(path)
        self._file, self._size = file, size
        self._objects: list[tuple[str, bool]] = []
        self._last_metadata: tuple[int, bytes] | None = None
        self._metadata_limit = load_params().memory_limit // _METADATA_SHARE
        self._layout = Layout.of([], 0)
        self._known_layouts: dict[Layout, Layout] = {}
        self._last_runs: dict[int, Run] = {}
        self._growing: Run | None = None
        self._n_uncounted = 0
        self._n_bytes = 0

    def segments(self) -> Iterator[_Segment]:
        start = 0
        while start < self._size:
            segment = self._read_lead_in(start)
            if segment is None:
                return
            yield segment
            start = segment.data_stop

    def take(self, segment: _Segment) -> None:
        """Add what one segment says to the index."""
        if segment.data_stop < segment.data_start or (segment.n_promised or 0) < 0:
            raise FormatError("the data begin after their end")
        if segment.flags & META_DATA:
            self._read_metadata(segment)
        elif not self.index.channels:
            raise FormatError("there are data before any metadata")
        self._add_data(segment)

    def _read_lead_in(self, start: int) -> _Segment | None:
        lead_in = self._file.read(_LEAD_IN_BYTES) if self._file.seek(start) == start else b""
        if not any(lead_in) and self._is_zero_from(start):
            n_bytes = self._size - start
            self.index.truncated = f"its last {n_bytes} bytes, from byte {start} on, are zeros that nobody wrote over"
            return None
        if lead_in[:4] != b"TDSm"[: len(lead_in)]:
            raise FormatError(
                f"{self.index.path}: at byte {start} there is {lead_in[:4]!r} where a segment should begin; the file "
                "is damaged in the middle, get it again from where it was recorded."
            )
        if len(lead_in) < _LEAD_IN_BYTES:
            self.index.truncated = f"it ends after {len(lead_in)} bytes of the segment at byte {start}"
            return None
        (flags,) = struct.unpack_from("<l", lead_in, 4)
        next_offset, data_offset = struct.unpack_from(">QQ" if flags & BIG_ENDIAN else "<QQ", lead_in, 12)
        first = start + _LEAD_IN_BYTES
        open_ended = next_offset == _OPEN_ENDED
        stop = self._size if open_ended else first + next_offset
        if stop > self._size or open_ended:
            return self._read_last(start, flags, data_offset, None if open_ended else next_offset - data_offset)
        return _Segment(start, flags, first + data_offset, stop, next_offset - data_offset)

    def _is_zero_from(self, start: int) -> bool:
        self._file.seek(start)
        return not any(any(piece) for piece in iter(lambda: self._file.read(_ZEROS_AT_ONCE), b""))

    def _read_last(self, start: int, flags: int, data_offset: int, n_promised: int | None) -> _Segment | None:
        data_start = start + _LEAD_IN_BYTES + data_offset
        if data_start > self._size:
            self.index.truncated = f"it ends inside the metadata of the segment at byte {start}"
            return None
        if n_promised is None:
            self.index.truncated = f"the length of its last segment, at byte {start}, was never written"
        else:
            self.index.truncated = (
                f"{n_promised - (self._size - data_start)} bytes of its last segment, at byte {start}, are missing"
            )
        return _Segment(start, flags, data_start, self._size, n_promised)

    def _read_metadata(self, segment: _Segment) -> None:
        n_bytes = segment.data_start - segment.start - _LEAD_IN_BYTES
        if n_bytes > self._metadata_limit:
            raise MemoryBlowOutError(
                f"{self.index.path}: the metadata of the segment at byte {segment.start} take {n_bytes} bytes, more "
                f"than 1/{_METADATA_SHARE} of the memory limit; raise memory_limit, or get the file again."
            )
        self._file.seek(segment.start + _LEAD_IN_BYTES)
        metadata = (segment.flags, self._file.read(n_bytes))
        if metadata != self._last_metadata:
            self._take_objects(parse_metadata(metadata[1], bool(segment.flags & BIG_ENDIAN)), segment.flags)
            self._last_metadata = metadata

    def _take_objects(self, objects: list[SegmentObject], flags: int) -> None:
        listed = {} if flags & NEW_OBJECT_LIST else dict(self._objects)
        if len({item.path for item in objects}) < len(objects):
            raise FormatError("an object is listed twice")
        for item in objects:
            self._update_properties(item)
            if len(split_path(item.path)) == 2:
                listed[item.path] = self._update_channel(item)
            elif item.raw_index is not None or item.as_before:
                raise FormatError(f"{item.path}, which is not a channel, has data")
        self._objects = list(listed.items())
        layout = Layout.of([(path, self._raw_index(path)) for path, has_data in self._objects if has_data], flags)
        if layout not in self._known_layouts:
            self._hold(_ENTRY_BYTES * len(layout.entries))
        self._layout = self._known_layouts.setdefault(layout, layout)

    def _update_properties(self, item: SegmentObject) -> None:
        """Keep the last value of each property, but the first start: LabVIEW may write that of every strip."""
        known = self.index.properties.setdefault(item.path, {})
        if self.index.runs:
            changed = [
                f"{name} from {known[name]} to {value}"
                for name, value in item.properties
                if name in known and known[name] != value
            ]
            if changed:
                self.index.changes.setdefault(item.path, []).extend(changed)
        known.update((name, value) for name, value in item.properties if name not in _OF_START or name not in known)

    def _update_channel(self, item: SegmentObject) -> bool:
        """Note how the channel's data are stored from here on; return whether it has data in this segment."""
        channel = self.index.channels.setdefault(item.path, StoredChannel(item.path))
        if item.raw_index is not None:
            _check_same_kind(channel, item.raw_index)
            channel.raw_index = item.raw_index
        if item.as_before and channel.raw_index is None:
            raise FormatError(f"{item.path} has data like before, but had none before")
        return item.raw_index is not None or item.as_before

    def _raw_index(self, path: str) -> RawIndex:
        raw_index = self.index.channels[path].raw_index
        assert raw_index is not None
        return raw_index

    def _add_data(self, segment: _Segment) -> None:
        n_bytes = segment.data_stop - segment.data_start
        if segment.complete and n_bytes == self._layout.chunk_bytes and self._grows(segment.data_start):
            return
        self.settle()
        n_chunks, rest = self._layout.split(n_bytes)
        if n_chunks:
            self._add_run(self._layout, segment.data_start, n_chunks, may_continue=n_chunks == 1)
        if rest:
            if self._layout.chunk_bytes > _LARGEST_CHUNK_BYTES:
                raise FormatError(f"a chunk of data is said to take {self._layout.chunk_bytes} bytes")
            if segment.data_stop < self._size and not self._layout.sequential:
                raise FormatError(f"{n_bytes} bytes of data are not a multiple of {self._layout.chunk_bytes}")
            last = self._layout.shrunk(rest) if segment.complete else self._layout.cut(rest)
            self._add_run(last, segment.data_stop - rest, 1, may_continue=False)
        self._count_promised(segment)

    def _grows(self, position: int) -> bool:
        """Make the last run longer by the chunk at `position`, where that is one more of it; its values count later.

        Between two chunks of a layout that follow each other directly, no channel has got values from elsewhere.
        """
        run = self._growing
        if run is None or run.layout is not self._layout:
            return False
        if run.n_chunks > 1 and position - run.last_chunk != run.stride:
            return False
        run.stride = position - run.last_chunk
        run.n_chunks += 1
        self._n_uncounted += 1
        return True

    def settle(self) -> None:
        """Count the values of the chunks by which the last run grew."""
        if self._growing is not None and self._n_uncounted:
            for entry in self._growing.layout.entries:
                channel = self.index.channels[entry.path]
                channel.n_values += self._n_uncounted * entry.n_values
                channel.n_expected = channel.n_values
        self._growing, self._n_uncounted = None, 0

    def _add_run(self, layout: Layout, position: int, n_chunks: int, may_continue: bool) -> None:
        channels = [self.index.channels[entry.path] for entry in layout.entries]
        firsts = tuple(channel.n_values for channel in channels)
        run = self._last_runs.get(id(layout))
        if may_continue and run is not None and run.continues_at(position, firsts):
            run.stride = position - run.last_chunk
            run.n_chunks += 1
            self._growing = run
        elif firsts:
            single = firsts[:1] if len(set(firsts)) == 1 else firsts
            run = self._last_runs[id(layout)] = Run(layout, position, layout.chunk_bytes, n_chunks, single)
            self.index.runs.append(run)
            self._hold(_RUN_BYTES + _FIRST_BYTES * len(single))
            self._growing = run if may_continue else None
        for channel, entry in zip(channels, layout.entries, strict=True):
            channel.n_values += n_chunks * entry.n_values

    def _hold(self, n_bytes: int) -> None:
        """Count what the index holds, which grows where segments differ."""
        self._n_bytes += n_bytes
        limit = load_params().memory_limit
        if self._n_bytes > limit // _INDEX_SHARE:
            raise MemoryBlowOutError(
                f"{self.index.path}: where its values are takes more than 1/{_INDEX_SHARE} of the memory limit of "
                f"{limit} bytes, as its segments differ; raise memory_limit, or defragment the file (LabVIEW: TDMS "
                "Defragment)."
            )

    def _count_promised(self, segment: _Segment) -> None:
        """Count the values that the segment would hold if it were whole; an open one holds its last chunk at least."""
        channels, layout = self.index.channels, self._layout
        if segment.complete:
            for entry in layout.entries:
                channels[entry.path].n_expected = channels[entry.path].n_values
            return
        n_found, n_promised = segment.data_stop - segment.data_start, segment.n_promised
        n_chunks, rest = layout.split(n_found if n_promised is None else n_promised)
        for entry in layout.entries:
            channels[entry.path].n_expected += n_chunks * entry.n_values
        if rest:
            for entry in (layout if n_promised is None else layout.shrunk(rest)).entries:
                channels[entry.path].n_expected += entry.n_values


def _check_same_kind(channel: StoredChannel, raw_index: RawIndex) -> None:
    known = channel.raw_index
    if known is not None and _kind(known) != _kind(raw_index):
        raise FormatError(f"{channel.path} holds {raw_index.type_name}, but {known.type_name} before")


def _kind(raw_index: RawIndex) -> tuple[str, tuple[tuple[str | None, int], ...]]:
    return raw_index.type_name, tuple((scaler.dtype, scaler.scale_id) for scaler in raw_index.scalers)
