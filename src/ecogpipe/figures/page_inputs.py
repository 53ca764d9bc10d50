"""What a quality page is made from: the results of a recording and one of its mirrors, and windows of their signals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ecogpipe.electrodes.channels import ChannelTable
from ecogpipe.figures.wording import MirrorFacts
from ecogpipe.results.events import EventsTable
from ecogpipe.results.mask import MaskTable
from ecogpipe.results.recording import RawRecording, units_per, values_of
from ecogpipe.results.scan import Scan, Windows
from ecogpipe.runtime.params import load_params
from ecogpipe.statistics import psd
from ecogpipe.statistics.line_noise import MAINS_HZ, Mains, blocks_per_tile
from ecogpipe.storage.canonical import gap_free_ranges

N_WINDOWS = 8
"""Windows, spread over the recording, that spectra and the numbers of the mirror are taken from."""

_LEAST_WINDOWS = 2

_WINDOW_SECONDS, _SEGMENT_SECONDS, _LONGEST_SEGMENT_SECONDS = 4, 1, 10

_MOST_SAMPLES = 30_000_000
"""Of all electrodes, that spectra are taken of: of very many electrodes, fewer windows."""

_COPIES, _SHARE = 12, 4

_BLOCK_BYTES = 64_000_000
"""Of a block that extremes are taken of."""

_LEAST_WINDOW, LEAST_SEGMENT = 64, 32
"""Samples of a window and of a segment, where seconds hold fewer: of mirrors at the rate of slow drifts."""

_BLOCK = 256
"""Frames that line noise is summed over at once; part of what it is, to the last bit."""

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]


def line_frequencies(mask: MaskTable) -> tuple[int, ...]:
    """Return the frequency of the mains that the mask goes by, in Hz; both that there are where none is declared."""
    declared = mask.header.get("line_frequency")
    return MAINS_HZ if declared is None else (declared,)


def line_name(hertz: int) -> str:
    """Name the line noise at a frequency, as the scan and the mask do."""
    return f"line{hertz}_rms"


class Signals:
    """The electrode rows of an open recording, in microvolts."""

    def __init__(self, recording: RawRecording, rows: Positions, to_microvolts: float) -> None:
        self._recording, self._rows, self._to_microvolts = recording, rows, to_microvolts
        self.rate: Fraction = recording.acquisition.rate
        self.n_samples, self.segments = recording.n_samples, recording.segments
        self.gap_free = gap_free_ranges(recording.segments)

    def read(self, positions: Positions, window: slice) -> Floats:
        """Read some electrodes, by their positions among all, (electrodes, time)."""
        acquisition = self._recording.acquisition
        raw = self._recording.source[self._rows[positions].tolist(), window]
        values = values_of(raw, acquisition)
        return values * self._to_microvolts

    def extremes(self, bin_length: int) -> tuple[Floats, Floats]:
        """Return the least and largest value of each bin of `bin_length` samples, (electrodes, bins), of all samples.

        NaN where a bin has no finite sample.
        """
        n_bins = -(-self.n_samples // bin_length)
        found: Floats = np.full((2, len(self._rows), n_bins), np.nan)
        bytes_of_bin = bin_length * len(self._recording.source) * self._recording.source.dtype.itemsize
        at_once = max(1, min(load_params().memory_limit // _SHARE, _BLOCK_BYTES) // max(1, bytes_of_bin))
        for first in range(0, n_bins, at_once):
            window = slice(first * bin_length, min((first + at_once) * bin_length, self.n_samples))
            raw = self._recording.source[:, window]
            for place, (low, high) in enumerate(_extremes(raw, bin_length), first):
                # The rows are chosen of the extremes: of all samples it would be a copy.
                found[:, :, place] = low[self._rows], high[self._rows]
        low, high = (values_of(end, self._recording.acquisition) * self._to_microvolts for end in found)
        return np.fmin(low, high), np.fmax(low, high)

    def segments_over_time(self, segment_seconds: int, count: int) -> list[slice]:
        """Return up to `count` single segments that are spread over the recording, none with a gap in it."""
        length = max(LEAST_SEGMENT, round(segment_seconds * self.rate))
        spread = psd.spread_windows(self.n_samples, length, count)
        return [
            window
            for window in spread
            if window.stop - window.start == length
            and any(first <= window.start and window.stop <= stop for first, stop in self.gap_free)
        ]

    def windows(self, segment_seconds: int) -> list[slice]:
        """Return windows that are spread over the recording; none with a gap in it, as far as there are others.

        Each holds two segments of a spectrum or more.
        """
        length = max(_LEAST_WINDOW, round(max(_WINDOW_SECONDS, 2 * segment_seconds) * self.rate))
        affordable = _MOST_SAMPLES // (length * max(1, len(self._rows)))
        spread = psd.spread_windows(self.n_samples, length, min(N_WINDOWS, max(_LEAST_WINDOWS, affordable)))
        whole = [
            window
            for window in spread
            if any(first <= window.start and window.stop <= stop for first, stop in self.gap_free)
        ]
        return whole or spread


def _extremes(raw: npt.NDArray[Any], bin_length: int) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Yield the least and the largest of each row, of bins of a block, (rows, time); the last bin may be shorter."""
    n_whole = raw.shape[1] // bin_length
    whole = raw[:, : n_whole * bin_length].reshape(len(raw), n_whole, bin_length)
    yield from zip(np.fmin.reduce(whole, axis=2).T, np.fmax.reduce(whole, axis=2).T, strict=True)
    if rest := raw.shape[1] - n_whole * bin_length:
        yield np.fmin.reduce(raw[:, -rest:], axis=1), np.fmax.reduce(raw[:, -rest:], axis=1)


@dataclass(frozen=True)
class Survey:
    """What some windows say of each electrode: its power density at each frequency (Hz), and its RMS."""

    frequencies: Floats
    densities: Floats
    rms: Floats
    windows: str


def segment_seconds(facts: MirrorFacts) -> int:
    """Return the length of the segments of spectra: they reach down to half the lowest corner of the mirror."""
    lowest = facts.band[0]
    return min(max(_SEGMENT_SECONDS, ceil(2 / lowest)), _LONGEST_SEGMENT_SECONDS) if lowest else _SEGMENT_SECONDS


def survey(signals: Signals, positions: Positions, segment_seconds: int) -> Survey:
    """Go through the windows, as many electrodes at a time as the memory limit holds."""
    windows, segment = signals.windows(segment_seconds), max(LEAST_SEGMENT, round(segment_seconds * signals.rate))
    if not windows or not len(positions):
        nothing: Floats = np.full((len(positions), 1), np.nan)
        return Survey(np.ones(1), nothing, nothing[:, 0], "no samples")
    length = windows[0].stop - windows[0].start
    bytes_each = length * np.dtype(np.float64).itemsize * _COPIES
    at_once = max(1, load_params().memory_limit // _SHARE // bytes_each)
    groups = [positions[first : first + at_once] for first in range(0, len(positions), at_once)]
    surveyed = [_survey_group(signals, group, windows, segment) for group in groups]
    densities = np.concatenate([power for _, power, _ in surveyed])
    rms = np.sqrt(np.concatenate([variance for *_, variance in surveyed]))
    plural = f"{len(windows)} windows" if len(windows) > 1 else "1 window"
    return Survey(surveyed[0][0], densities, rms, f"{plural} of {length / float(signals.rate):.3g} s")


def _survey_group(
    signals: Signals, group: Positions, windows: Sequence[slice], segment: int
) -> tuple[Floats, Floats, Floats]:
    """Return the frequencies, and averages over the windows: density and variance of each electrode."""
    averaged: list[tuple[Floats, Floats]] = []
    for window in windows:
        microvolts = signals.read(group, window)
        frequencies, power = psd.density(microvolts, float(signals.rate), segment)
        averaged.append((power, microvolts.var(axis=1)))
    powers, variances = zip(*averaged, strict=True)
    return frequencies, np.mean(powers, axis=0), np.mean(variances, axis=0)


def line_noise(signals: Signals, n_sites: int, segment_seconds: int) -> Floats:
    """Return the RMS of each site at each of `MAINS_HZ` over the windows, measured as the scan does."""
    mains = Mains(n_sites, float(signals.rate), _BLOCK)
    # BLAS on more threads could split its sums, and so change their last bits.
    with threadpool_limits(1, user_api="blas"):
        for frames in _blocks(signals, n_sites, segment_seconds):
            mains.update(frames, frames.mean(axis=0))
    return mains.result()


def _blocks(signals: Signals, n_sites: int, segment_seconds: int) -> Iterator[Floats]:
    """Yield the windows of all sites, (frames, sites) in blocks of `_BLOCK`, as many as fill whole tiles of `Mains`.

    They are read as many at a time as the memory limit holds.
    """
    everything, tile = np.arange(n_sites), blocks_per_tile(float(signals.rate), _BLOCK) * _BLOCK
    bytes_each = _BLOCK * n_sites * np.dtype(np.float64).itemsize * _COPIES
    at_once = max(1, load_params().memory_limit // _SHARE // max(1, bytes_each)) * _BLOCK
    for window in signals.windows(segment_seconds):
        stop = window.stop - (window.stop - window.start) % tile
        for start in range(window.start, stop, at_once):
            microvolts = signals.read(everything, slice(start, min(start + at_once, stop)))
            for first in range(0, microvolts.shape[1], _BLOCK):
                yield np.ascontiguousarray(microvolts[:, first : first + _BLOCK].T)


@dataclass(frozen=True)
class PageInputs:
    """What the figures of a quality page are drawn from.

    Attributes
    ----------
    table, mask, events, scan : ChannelTable, MaskTable, EventsTable, Scan
        Results of the recording.
    windows : Windows
        Numbers of each second of the recording.
    facts : MirrorFacts
        How the mirror was made.
    recording, mirror : RawRecording
        Both, open.
    """

    table: ChannelTable
    mask: MaskTable
    events: EventsTable
    scan: Scan
    windows: Windows
    facts: MirrorFacts
    recording: RawRecording
    mirror: RawRecording

    @property
    def to_microvolts(self) -> float:
        """Microvolts at an electrode to one unit of the acquisition; negative where the polarity is inverted."""
        return units_per(self.recording.acquisition, "uV") / self.table.gain

    @property
    def before(self) -> Signals:
        """The electrodes of the recording."""
        return Signals(self.recording, self.table.electrode_channels, self.to_microvolts)

    @property
    def after(self) -> Signals:
        """The electrodes of the mirror."""
        return Signals(self.mirror, self.table.electrode_channels, 1.0)
