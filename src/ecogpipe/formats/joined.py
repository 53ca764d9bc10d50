"""The files of a recording as its parts: read and checked together, their samples joined, the gaps between them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import JoinError
from ecogpipe.formats.header import Header
from ecogpipe.formats.reading import read_header
from ecogpipe.runtime.threads import read_ahead
from ecogpipe.storage import canonical
from ecogpipe.storage.canonical import Segment

_RESOLUTION = Fraction(1, 1_000_000)
"""Seconds to which start times are kept; what is below is cut off."""


def find_segments(headers: Sequence[Header], clock_tolerance_ppm: float, *, gaps_allowed: bool) -> list[Segment]:
    """Put the stretches that the files hold one after another.

    Between two of them there is a gap, or an overlap, where the resolution of their start times and the tolerance of
    the clock over the first of them explain less than what is between its end and the start of the second.

    Raises
    ------
    JoinError
        If there is a gap and none is allowed.
    """
    segments: list[Segment] = []
    for header in headers:
        first, *others = _own_segments(header)
        if segments and segments[-1].start_time and first.start_time:
            rate = header.acquisition.rate
            explained = _RESOLUTION + _seconds(segments[-1], rate) * Fraction(str(clock_tolerance_ppm)) / 1_000_000
            gap = _gap(segments[-1], first, rate)
            first = replace(first, gap_seconds=float(gap), after_gap=abs(gap) > explained)
            if first.after_gap and not gaps_allowed:
                raise _refused(header, segments[-1], first, explained)
        n_before = sum(segment.n_samples for segment in segments)
        segments += [replace(own, first_sample=n_before + own.first_sample) for own in (first, *others)]
    return segments


def describe_gap(before: Segment, after: Segment) -> str:
    """Say how far a stretch is from the one before it."""
    side = "after" if after.gap_seconds >= 0 else "before"
    described = f"{after.part} starts {abs(after.gap_seconds):.6f} s {side} the end of {before.part}"
    return f"{described}: a new segment begins" if after.after_gap else described


def _own_segments(header: Header) -> tuple[Segment, ...]:
    """Return the stretches that a file holds; the first starts with its recording, as that may be declared."""
    started = header.acquisition.start_time
    if not header.segments:
        return (Segment(0, header.n_samples, started, header.path.name),)
    return replace(header.segments[0], start_time=started), *header.segments[1:]


def _gap(before: Segment, after: Segment, rate: Fraction) -> Fraction:
    between = datetime.fromisoformat(after.start_time) - datetime.fromisoformat(before.start_time)
    return Fraction(between // timedelta(microseconds=1), 1_000_000) - _seconds(before, rate)


def _seconds(segment: Segment, rate: Fraction) -> Fraction:
    return segment.n_samples / rate


def _refused(header: Header, before: Segment, after: Segment, explained: Fraction) -> JoinError:
    gap = describe_gap(before, replace(after, after_gap=False))
    return JoinError(
        f"{header.path}: {gap}, while the resolution of the start times and the tolerance of the clock explain no more "
        f"than {float(explained):.6f} s; check the files and their order, or declare 'gaps: allow' in the overrides of "
        "the recording where it was interrupted."
    )


def read_headers(paths: Sequence[Path], declared: Mapping[str, Any]) -> list[Header]:
    """Read what the files of a recording hold; what is declared of its beginning or end is of the first or last."""
    later = {name: value for name, value in declared.items() if name != "start_time"}
    later |= {"skip_seconds": 0} if "skip_seconds" in declared else {}
    declared_of = [declared, *[later] * (len(paths) - 1)]
    whole = [{key: value for key, value in each.items() if key != "crop_end_seconds"} for each in declared_of[:-1]]
    return [read_header(path, each) for path, each in zip(paths, [*whole, declared_of[-1]], strict=True)]


def check_joinable(headers: Sequence[Header]) -> None:
    """Refuse files that are not parts of one recording.

    Raises
    ------
    JoinError
        With both files and the values in which they differ.
    """
    first = headers[0]
    for other in headers[1:]:
        for (what, one), (_, two) in zip(_must_agree(first), _must_agree(other), strict=True):
            if one != two:
                raise JoinError(
                    f"{other.path} cannot follow {first.path}: its {what} is {two}, not {one}; only files of one "
                    "recording can be joined, give each recording its own row."
                )


def _must_agree(header: Header) -> list[tuple[str, Any]]:
    acquisition = header.acquisition
    time_first = header.parts[0].time_first if header.parts else False
    return [
        ("format", header.kind),
        ("number of rows", acquisition.n_rows),
        ("number of columns", acquisition.n_columns),
        ("number of BNC columns", acquisition.n_bncs),
        ("rate in Hz", acquisition.rate),
        ("dtype", header.dtype),
        ("units", acquisition.units),
        ("scaling (slope, intercept)", (acquisition.slope, acquisition.intercept)),
        ("orientation", canonical.TIME_BY_CHANNELS if time_first else canonical.CHANNELS_BY_TIME),
    ]


def joined_blocks(headers: Sequence[Header], block_length: int) -> Iterator[npt.NDArray[Any]]:
    """Yield the samples of all files, joined, in blocks of `block_length` frames; the last may be shorter."""
    joint = np.empty((headers[0].acquisition.n_channels, block_length if len(headers) > 1 else 0), headers[0].dtype)
    filled = 0
    readers = [header.read_blocks for header in headers if header.read_blocks]
    for block in (block for read in readers for block in read_ahead(read(block_length))):
        if len(headers) == 1 or (not filled and block.shape[1] == block_length):
            yield block
            continue
        missing = block_length - filled
        for piece in (block[:, :missing], block[:, missing:]):
            joint[:, filled : filled + piece.shape[1]] = piece
            filled += piece.shape[1]
            if filled == block_length:
                yield joint
                filled = 0
    if filled:
        yield joint[:, :filled]


def joined_acquisition(
    headers: Sequence[Header], segments: Sequence[Segment], grown: Sequence[str]
) -> canonical.Acquisition:
    """Return how the recording was acquired: as its first file says, with the notes and the gaps of all."""
    first = headers[0].acquisition
    notes = list(first.notes)
    if len(headers) > 1:
        notes = [f"{header.path.name}: {note}" for header in headers for note in header.acquisition.notes]
        notes += [describe_gap(*pair) for pair in pairwise(segments) if not isnan(pair[1].gap_seconds)]
    cropped = [entry for header in headers for entry in header.acquisition.cropped]
    return replace(first, notes=[*notes, *grown], cropped=cropped)
