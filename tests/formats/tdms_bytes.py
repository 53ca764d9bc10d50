"""TDMS written byte by byte, in every way of storing samples that the format knows."""

import struct

import numpy as np

META_DATA, NEW_OBJECTS, RAW_DATA, INTERLEAVED, BIG_ENDIAN, DAQMX = 2, 4, 8, 32, 64, 128
NO_DATA, AS_BEFORE, DAQMX_SCALER = 0xFFFFFFFF, 0, 0x1269

TYPE_CODES = {"i1": 1, "i2": 2, "i4": 3, "i8": 4, "u1": 5, "u2": 6, "u4": 7, "u8": 8, "f4": 9, "f8": 10}
DAQMX_CODES = {"u1": 0, "i1": 1, "u2": 2, "i2": 3, "u4": 4, "i4": 5}

RECORDING = {"SamplingRate": 8000.0, "nrRows": 2, "nrColumns": 3, "nrBNCs": 1, "OverSampling": 4}
"""Properties of a group of 2 * (3 + 1) channels at 1000 frames per second."""


def segment(objects, raw=b"", *, flags=META_DATA | NEW_OBJECTS | RAW_DATA, order="<", length=None):
    """A segment; `length` is what its lead-in says of its own length where that is to be wrong."""
    if order == ">":
        flags |= BIG_ENDIAN
    metadata = struct.pack(order + "L", len(objects)) + b"".join(objects) if flags & META_DATA else b""
    length = len(metadata) + len(raw) if length is None else length
    return b"TDSm" + struct.pack("<l", flags) + struct.pack(order + "lQQ", 4713, length, len(metadata)) + metadata + raw


NO_INDEX = struct.pack("<L", NO_DATA)


def tdms_object(path, index=NO_INDEX, properties=None, order="<"):
    packed = [_property(name, value, order) for name, value in (properties or {}).items()]
    return _text(path, order) + index + struct.pack(order + "L", len(packed)) + b"".join(packed)


def plain_index(dtype, n_values, order="<"):
    return struct.pack(order + "LLLQ", 20, TYPE_CODES[dtype], 1, n_values)


def daqmx_index(dtype, n_values, byte_offset, width):
    scaler = struct.pack("<LLLLL", DAQMX_CODES[dtype], 0, byte_offset, 0, 0)
    return struct.pack("<LLLQL", DAQMX_SCALER, 0xFFFFFFFF, 1, n_values, 1) + scaler + struct.pack("<LL", 1, width)


def channel_path(number):
    return f"/'g'/'c{number}'"


def linear_scale(slope, intercept=0.0, number=0, source=0xFFFFFFFF):
    prefix = f"NI_Scale[{number}]_"
    return {
        "NI_Scaling_Status": "unscaled",
        "NI_Number_Of_Scales": number + 1,
        prefix + "Scale_Type": "Linear",
        prefix + "Linear_Slope": slope,
        prefix + "Linear_Y_Intercept": intercept,
        prefix + "Linear_Input_Source": source,
    }


def head(properties=RECORDING, order="<"):
    """A segment without data that names the root and the group 'g'."""
    index = struct.pack(order + "L", NO_DATA)
    return segment([tdms_object("/", index, order=order), tdms_object("/'g'", index, properties, order)], order=order)


def recording(samples, kind="contiguous", *, n_segments=3, properties=RECORDING, channel_properties=None):
    """TDMS of one group 'g' that holds `samples`, (channels, time), stored as `kind` says."""
    dtype = samples.dtype.str[1:]
    order = ">" if kind == "big_endian" else "<"
    pieces = np.array_split(samples, samples.shape[1] if kind == "one_value" else n_segments, axis=1)
    content = head(properties, order)
    for number, piece in enumerate(pieces):
        content += _data_segment(piece, dtype, kind, order, channel_properties if not number else None)
    return content


def _data_segment(piece, dtype, kind, order, channel_properties):
    n_channels, n_samples = piece.shape
    raw = piece.astype(order + dtype).tobytes()
    flags = META_DATA | RAW_DATA | NEW_OBJECTS
    indices = [plain_index(dtype, n_samples, order)] * n_channels
    if kind == "interleaved":
        raw, flags = piece.T.astype("<" + dtype).tobytes(), flags | INTERLEAVED
    elif kind == "daqmx":
        size = np.dtype(dtype).itemsize
        raw, flags = piece.T.astype("<" + dtype).tobytes(), flags | INTERLEAVED | DAQMX
        indices = [daqmx_index(dtype, n_samples, number * size, n_channels * size) for number in range(n_channels)]
    elif kind == "chunks" and n_samples % 5 == 0:
        indices = [plain_index(dtype, 5)] * n_channels
        raw = b"".join(piece[:, start : start + 5].astype("<" + dtype).tobytes() for start in range(0, n_samples, 5))
    own = channel_properties or [None] * n_channels
    objects = [tdms_object(channel_path(c), indices[c], own[c], order) for c in range(n_channels)]
    return segment(objects, raw, flags=flags, order=order)


def _text(text, order):
    return struct.pack(order + "L", len(text.encode())) + text.encode()


def _property(name, value, order):
    if isinstance(value, str):
        return _text(name, order) + struct.pack(order + "L", 0x20) + _text(value, order)
    if isinstance(value, int):
        return _text(name, order) + struct.pack(order + "Lq", 4, value)
    return _text(name, order) + struct.pack(order + "Ld", 10, value)
