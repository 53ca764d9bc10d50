"""The metadata at the head of a TDMS segment: its objects, their properties, and how their raw data are indexed."""

import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ecogpipe.errors import FormatError

META_DATA = 1 << 1
NEW_OBJECT_LIST = 1 << 2
INTERLEAVED = 1 << 5
BIG_ENDIAN = 1 << 6

RAW_SOURCE = 0xFFFFFFFF
"""What scales call the raw values of a channel that is not DAQmx's."""

_NO_DATA = 0xFFFFFFFF
_AS_BEFORE = 0x00000000
_DAQMX_FORMAT_CHANGING = 0x00001269
_DAQMX_DIGITAL_LINE = 0x0000126A

_VOID, _STRING, _BOOLEAN, _TIMESTAMP, _DAQMX_RAW = 0, 0x20, 0x21, 0x44, 0xFFFFFFFF

_NUMBERS = {1: "i1", 2: "i2", 3: "i4", 4: "i8", 5: "u1", 6: "u2", 7: "u4", 8: "u8", 9: "f4", 10: "f8"}
_WITH_UNIT = {0x19: "f4", 0x1A: "f8"}
_NUMBERS |= _WITH_UNIT
_DAQMX_NUMBERS = dict(enumerate(["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]))
_STRUCT_CODES = {
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "f4": "f",
    "f8": "d",
}

_OTHER_SIZES = {_VOID: 0, _BOOLEAN: 1, _TIMESTAMP: 16, 0x08000C: 8, 0x10000D: 16}
_TYPE_NAMES = {_VOID: "nothing", _STRING: "text", _TIMESTAMP: "timestamps"}
_TYPE_NAMES |= {0x08000C: "complex numbers", 0x10000D: "complex numbers"}

BOOLEANS = "booleans"

_NAME = re.compile(r"/'((?:[^']|'')*)'")
_PATH = re.compile(rf"(?:{_NAME.pattern}){{1,2}}")

_EPOCH = datetime(1904, 1, 1, tzinfo=UTC)


class NotSupportedError(FormatError):
    """The file holds what this reader does not know, which is not damage."""


@dataclass(frozen=True)
class Scaler:
    """Where a DAQmx channel is in the frames of the device's raw buffer, and the scale that its values are input of.

    `dtype` is None where the values are not numbers.
    """

    dtype: str | None
    buffer: int
    byte_offset: int
    scale_id: int


@dataclass(frozen=True)
class RawIndex:
    """How the raw data of one channel are stored in a chunk.

    Attributes
    ----------
    dtype : str or None
        NumPy's name of the numeric type; None where the values are not numbers.
    type_name : str
        What the values are.
    n_values : int
        Values per chunk.
    item_bytes : int or None
        Bytes of one value; None where values differ in size.
    n_bytes : int
        Bytes per chunk, 0 for DAQmx data, whose buffers several channels share.
    scalers, widths
        Of DAQmx data: where the channel is in the buffers, and bytes per frame of each buffer.
    source : int
        What scales call these values when they are their input.
    """

    dtype: str | None
    type_name: str
    n_values: int
    item_bytes: int | None
    n_bytes: int
    scalers: tuple[Scaler, ...] = ()
    widths: tuple[int, ...] = ()
    source: int = RAW_SOURCE


@dataclass(frozen=True)
class SegmentObject:
    """A root, group or channel as a segment names it.

    `raw_index` is None where it has no data in the segment; `as_before` where it has data like those before.
    """

    path: str
    raw_index: RawIndex | None
    as_before: bool
    properties: tuple[tuple[str, Any], ...]


def parse_metadata(metadata: bytes, big_endian: bool) -> list[SegmentObject]:
    """Parse the metadata block of a segment.

    Raises
    ------
    FormatError
        If it ends too early or holds what TDMS does not define.
    """
    cursor = _Cursor(metadata, ">" if big_endian else "<")
    try:
        return [_read_object(cursor) for _ in range(cursor.u32())]
    except (struct.error, OverflowError):
        raise FormatError("the metadata of a segment end in the middle of an object") from None


def split_path(path: str) -> tuple[str, ...]:
    """Return the names in an object's path: () for the root, (group,), or (group, channel).

    Raises
    ------
    FormatError
        If the path is not written as TDMS writes paths.

    Examples
    --------
    >>> split_path("/'group'/'it''s a channel'")
    ('group', "it's a channel")
    """
    if path == "/":
        return ()
    if not _PATH.fullmatch(path):
        raise FormatError(f"an object has the path {path!r}, which is none of TDMS")
    return tuple(name.replace("''", "'") for name in _NAME.findall(path))


def group_path(name: str) -> str:
    """Return the path of a group.

    Examples
    --------
    >>> group_path("it's")
    "/'it''s'"
    """
    quoted = name.replace("'", "''")
    return f"/'{quoted}'"


class _Cursor:
    """Reads values one after another from bytes."""

    def __init__(self, data: bytes, order: str) -> None:
        self._data, self._order, self._position = data, order, 0

    def unpack(self, layout: str) -> tuple[Any, ...]:
        layout = self._order + layout
        values = struct.unpack_from(layout, self._data, self._position)
        self._position += struct.calcsize(layout)
        return values

    def u32(self) -> int:
        return int(self.unpack("L")[0])

    def u64(self) -> int:
        return int(self.unpack("Q")[0])

    def text(self) -> str:
        length = self.u32()
        content = self._data[self._position : self._position + length]
        if len(content) < length:
            raise struct.error
        self._position += length
        return content.decode("utf-8", errors="replace")

    def timestamp(self) -> str:
        if self._order == "<":
            fraction, seconds = self.unpack("Qq")
        else:
            seconds, fraction = self.unpack("qQ")
        return _iso_time(seconds, fraction)


def _iso_time(seconds: int, fraction: int) -> str:
    """Write seconds and 2^-64 fractions since 1904, UTC, as ISO 8601; '' where they are not a time of this calendar."""
    try:
        moment = _EPOCH + timedelta(seconds=seconds, microseconds=fraction * 1_000_000 >> 64)
    except OverflowError:
        return ""
    return moment.isoformat()


def _read_object(cursor: _Cursor) -> SegmentObject:
    path, header = cursor.text(), cursor.u32()
    raw_index = None
    if header in (_DAQMX_FORMAT_CHANGING, _DAQMX_DIGITAL_LINE):
        raw_index = _read_daqmx_index(cursor, header)
    elif header not in (_NO_DATA, _AS_BEFORE):
        raw_index = _read_index(cursor)
    properties = tuple(_read_property(cursor) for _ in range(cursor.u32()))
    return SegmentObject(path, raw_index, header == _AS_BEFORE, properties)


def _read_index(cursor: _Cursor) -> RawIndex:
    code, dimension, n_values = cursor.unpack("LLQ")
    _check_dimension(dimension)
    if code in _NUMBERS:
        size = np.dtype(_NUMBERS[code]).itemsize
        name = _NUMBERS[code] + (" with unit" if code in _WITH_UNIT else "")
        return RawIndex(_NUMBERS[code], name, n_values, size, n_values * size)
    if code == _STRING:
        return RawIndex(None, _TYPE_NAMES[code], n_values, None, cursor.u64())
    if code == _BOOLEAN:
        return RawIndex("u1", BOOLEANS, n_values, 1, n_values)
    if code not in _OTHER_SIZES or (code == _VOID and n_values):
        raise NotSupportedError(f"a channel has data of type 0x{code:X}, which cannot be read")
    size = _OTHER_SIZES[code]
    return RawIndex(None, _TYPE_NAMES[code], n_values, size, n_values * size)


def _read_daqmx_index(cursor: _Cursor, header: int) -> RawIndex:
    code, dimension, n_values, n_scalers = cursor.unpack("LLQL")
    _check_dimension(dimension)
    digital = header == _DAQMX_DIGITAL_LINE
    scalers = tuple(_read_scaler(cursor, digital) for _ in range(n_scalers))
    widths = tuple(cursor.u32() for _ in range(cursor.u32()))
    if code not in (_DAQMX_RAW, _TIMESTAMP) and [_NUMBERS.get(code)] != [scaler.dtype for scaler in scalers]:
        raise FormatError(f"a DAQmx channel has data of type 0x{code:X}, which its raw buffer has not")
    if not scalers or any(scaler.buffer >= len(widths) for scaler in scalers):
        raise FormatError("a DAQmx channel names a raw buffer that is not there")
    if any(s.byte_offset + _size_of(s, code) > widths[s.buffer] for s in scalers):
        raise FormatError("a DAQmx channel reaches past the end of its raw buffer's frames")
    dtype = scalers[0].dtype if len(scalers) == 1 and not digital and code != _TIMESTAMP else None
    name = f"DAQmx {dtype}" if dtype else "digital lines" if digital else "several raw values per sample"
    name = _TYPE_NAMES[code] if code == _TIMESTAMP else name
    item_bytes = _size_of(scalers[0], code)
    source = scalers[0].scale_id if code == _DAQMX_RAW else RAW_SOURCE
    return RawIndex(dtype, name, n_values, item_bytes, 0, scalers, widths, source)


def _read_scaler(cursor: _Cursor, digital: bool) -> Scaler:
    code, buffer, offset, _, scale_id = cursor.unpack("LLLBL" if digital else "LLLLL")
    if code not in _DAQMX_NUMBERS and code != _DAQMX_RAW:
        raise NotSupportedError(f"a DAQmx channel has raw data of type {code}, which cannot be read")
    return Scaler(_DAQMX_NUMBERS.get(code), buffer, offset // 8 if digital else offset, scale_id)


def _size_of(scaler: Scaler, code: int) -> int:
    return _OTHER_SIZES.get(code, 0) if scaler.dtype is None else np.dtype(scaler.dtype).itemsize


def _check_dimension(dimension: int) -> None:
    if dimension != 1:
        raise NotSupportedError(f"a channel has data in {dimension} dimensions, TDMS knows one")


def _read_property(cursor: _Cursor) -> tuple[str, Any]:
    name, code = cursor.text(), cursor.u32()
    if code == _STRING:
        return name, cursor.text()
    if code == _TIMESTAMP:
        return name, cursor.timestamp()
    if code == _BOOLEAN:
        return name, bool(cursor.unpack("b")[0])
    if code in _NUMBERS:
        return name, cursor.unpack(_STRUCT_CODES[_NUMBERS[code]])[0]
    raise NotSupportedError(f"the property {name!r} is of type 0x{code:X}, which cannot be read")
