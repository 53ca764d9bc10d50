"""The stretches of a recording, one for each of its files, and the gaps between them as far as start times tell."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

from ecogpipe.errors import JoinError
from ecogpipe.formats import Header
from ecogpipe.layout import Segment

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
