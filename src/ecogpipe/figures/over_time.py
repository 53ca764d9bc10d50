"""Numbers of every site over a whole recording: RMS of the raw signal, extremes of the mirror, response to triggers."""

import numpy as np
import numpy.typing as npt

from ecogpipe.figures.levels import to_levels
from ecogpipe.figures.page import OverTime, Response
from ecogpipe.figures.page_inputs import Floats, PageInputs, Signals

_MOST_BINS, _MOST_BIN_NUMBERS = 900, 500_000
"""Bins of the RMS over time, and bins of all sites together."""

_MOST_ENVELOPE_BINS, _MOST_ENVELOPE_NUMBERS = 2_000, 190_000
"""The same of the envelope: its two ends take 0.5 MB at most."""

_LEAST_RMS = 1e-12
"""Microvolts that stand for none, of which there is no logarithm."""

_BEFORE_SECONDS, _AFTER_SECONDS, _MOST_EDGES, _MOST_RESPONSE_POINTS = 0.2, 0.8, 100, 120
_LEAST_EDGES = 3


def over_time(inputs: PageInputs) -> OverTime:
    """Return what the sites do over the whole recording."""
    starts, rms, largest = _rms(inputs)
    after, n_sites = inputs.after, len(inputs.mask)
    n_bins = max(1, min(_MOST_ENVELOPE_BINS, _MOST_ENVELOPE_NUMBERS // max(1, n_sites), after.n_samples))
    length = max(1, -(-after.n_samples // n_bins))
    lowest, highest = after.extremes(length)
    trusted = inputs.mask.keep if inputs.mask.keep.any() else slice(None)
    ends = _ends(rms[trusted], largest[trusted])
    return OverTime(
        starts=starts,
        rms=to_levels(rms, ends=ends),
        largest_rms=to_levels(largest, ends=ends),
        seconds_of_window=float(inputs.windows.seconds),
        bin_seconds=float(length / after.rate),
        lowest=to_levels(lowest),
        highest=to_levels(highest),
    )


def _rms(inputs: PageInputs) -> tuple[Floats, Floats, Floats]:
    """Return the first second of each bin, and the logarithm of the median and of the largest RMS in it."""
    windows, rate = inputs.windows, float(inputs.before.rate)
    n_sites, n_windows = windows.std.shape
    n_bins = max(1, min(_MOST_BINS, _MOST_BIN_NUMBERS // max(1, n_sites), n_windows))
    in_bin = max(1, -(-n_windows // n_bins))
    padded = np.full((n_sites, -(-n_windows // in_bin) * in_bin), np.nan)
    padded[:, :n_windows] = windows.std * abs(inputs.to_microvolts)
    bins = np.sort(padded.reshape(n_sites, -1, in_bin), axis=2)  # NaN goes to the end
    n_finite = np.isfinite(bins).sum(axis=2)
    middle = np.take_along_axis(bins, np.maximum(n_finite - 1, 0)[..., np.newaxis] // 2, axis=2)[..., 0]
    last = np.take_along_axis(bins, np.maximum(n_finite - 1, 0)[..., np.newaxis], axis=2)[..., 0]
    starts = windows.first_sample[::in_bin] / rate
    return starts, np.log10(np.maximum(middle, _LEAST_RMS)), np.log10(np.maximum(last, _LEAST_RMS))


def _ends(*logarithms: Floats) -> tuple[float, float]:
    """Return the 1 and 99 % quantiles of the finite values, a factor of two apart at least."""
    everything = np.concatenate([values[np.isfinite(values)] for values in logarithms])
    if not len(everything):
        return 0.0, 1.0
    low, high = np.quantile(everything, [0.01, 0.99])
    room = max(0.0, (np.log10(2) - (high - low)) / 2)
    return float(low - room), float(high + room)


def largest_deviation(lowest: Floats, highest: Floats, keep: npt.NDArray[np.bool_]) -> int:
    """Return the bin in which a kept site is farthest from zero, by its extremes, (sites, bins)."""
    farthest = np.fmax(np.abs(lowest), np.abs(highest))[keep]
    farthest = np.where(np.isfinite(farthest), farthest, -1.0)
    return int(farthest.max(axis=0, initial=-1.0).argmax()) if farthest.size else 0


def response(inputs: PageInputs) -> Response | None:
    """Return the average of the mirror around the rising edges of the line that has most; None where they are few."""
    rising = {column: edges for column, edges in inputs.events.rising.items() if len(edges) >= _LEAST_EDGES}
    if not rising:
        return None
    column = max(rising, key=lambda each: len(rising[each]))
    after = inputs.after
    edges = rising[column] / float(inputs.before.rate)
    span = np.array([-_BEFORE_SECONDS, min(_AFTER_SECONDS, float(np.median(np.diff(edges))))])
    first, stop = np.rint(span * float(after.rate)).astype(int)
    centres = np.rint(edges * float(after.rate)).astype(int)
    whole = [centre for centre in centres if _is_whole(after, centre + first, centre + stop)]
    if len(whole) < _LEAST_EDGES or stop - first < 2 or first >= 0:
        return None
    chosen = np.unique(np.linspace(0, len(whole) - 1, min(len(whole), _MOST_EDGES)).round().astype(int))
    everything = np.arange(len(inputs.mask))
    total = np.zeros((len(everything), stop - first))
    for number in chosen:
        total += after.read(everything, slice(whole[number] + first, whole[number] + stop))
    average = total / len(chosen)
    average -= average[:, :-first].mean(axis=1, keepdims=True)
    in_point = max(1, -(-(stop - first) // _MOST_RESPONSE_POINTS))
    n_points = (stop - first) // in_point
    points = average[:, : n_points * in_point].reshape(len(everything), n_points, in_point).mean(axis=2)
    seconds = (first + np.arange(n_points) * in_point + (in_point - 1) / 2) / float(after.rate)
    return Response(column, len(edges), len(chosen), seconds, to_levels(points))


def _is_whole(after: Signals, first: int, stop: int) -> bool:
    return any(begin <= first and stop <= end for begin, end in after.gap_free)
