"""The content of the quality page of a recording and one of its mirrors: numbers and words, for a browser to draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ecogpipe.figures.levels import Levels
from ecogpipe.statistics.psd import Spectrum

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sites:
    """The electrode channels, one element per channel: where they are, and the mask.

    Attributes
    ----------
    channels, rows, columns, daq_rows, daq_columns : array of int
        Channel; place on the array; place at the DAQ.
    grid : (int, int)
        Rows and columns of the array.
    pitch_mm : (float, float) or None
        Distance between rows and between columns.
    keep : array of bool
        The mask.
    kinds : sequence of str
        Why a site is masked, in a word or two; '' where it is kept.
    reasons, origins : sequence of str
        The whole reason, and who decided: 'automatic', 'manual' or ''.
    colours : mapping of str to str
        A colour for each of `kinds`.
    numbers : mapping of str to array
        Numbers of each site that no map shows.
    """

    channels: Ints
    rows: Ints
    columns: Ints
    daq_rows: Ints
    daq_columns: Ints
    grid: tuple[int, int]
    pitch_mm: tuple[float, float] | None
    keep: Bools
    kinds: Sequence[str]
    reasons: Sequence[str]
    origins: Sequence[str]
    colours: Mapping[str, str]
    numbers: Mapping[str, Floats]


@dataclass(frozen=True)
class SiteMap:
    """One number per site: its title, what the colours are in which unit, their map, and the values at their ends."""

    title: str
    label: str
    values: Floats
    colours: str
    limits: tuple[float, float]


@dataclass(frozen=True)
class Spectra:
    """Spectra before and after; `nyquist` (Hz) of both; the band's corners (None is open) and the notches in Hz.

    `of_sites_before` and `of_sites_after` are (sites, `frequencies_of_sites`), in decibels about 1 µV²/Hz.
    """

    before: Spectrum
    after: Spectrum
    nyquist_before: float
    nyquist_after: float
    band: tuple[float | None, float | None]
    notches: tuple[float, ...]
    frequencies_of_sites: Floats
    of_sites_before: Levels
    of_sites_after: Levels


@dataclass(frozen=True)
class Traces:
    """A stretch of some sites' signals.

    Attributes
    ----------
    title : str
        Which signals, and when.
    first_second, seconds_each : float
        Time of the first sample in the recording, and from one sample to the next.
    microvolts : Levels
        (sites, time).
    sites : array of int
        Which of the sites.
    rising, falling : ndarray
        Seconds of the trigger edges in the stretch.
    settling : tuple of (float, float)
        Seconds from and until which the filter's padding shows, where they reach into the stretch.
    gaps : tuple of float
        Seconds at which the signal does not go on from what is before, in the stretch.
    """

    title: str
    first_second: float
    seconds_each: float
    microvolts: Levels
    sites: Ints
    rising: Floats
    falling: Floats
    settling: tuple[tuple[float, float], ...]
    gaps: tuple[float, ...] = ()


@dataclass(frozen=True)
class Line:
    """A BNC line: its DAQ column, what it says of itself, and its rising edges in seconds (None: not looked for)."""

    column: int
    note: str
    rising: Floats | None


@dataclass(frozen=True)
class Timeline:
    """A whole recording: its length in seconds, its BNC lines, where its parts begin, and where the filter settles."""

    seconds: float
    lines: Sequence[Line]
    parts: Sequence[tuple[float, str]]
    settling: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class OverTime:
    """RMS of the raw sites over the whole recording, and least and largest values of the mirror.

    Attributes
    ----------
    starts : ndarray
        Seconds at which the bins of the RMS begin; the last ends with the recording.
    rms, largest_rms : Levels
        (sites, bins): decimal logarithm of the microvolts, of the median window of a bin and of the largest.
    seconds_of_window : float
        Seconds of the windows of which a bin holds one or more.
    bin_seconds : float
        Length of the bins of the envelope.
    lowest, highest : Levels
        (sites, bins): least and largest values of the mirror in microvolts.
    """

    starts: Floats
    rms: Levels
    largest_rms: Levels
    seconds_of_window: float
    bin_seconds: float
    lowest: Levels
    highest: Levels


@dataclass(frozen=True)
class Spectrogram:
    """Power of the mirror over time: the median over some kept sites, of one segment at each time.

    Attributes
    ----------
    seconds : ndarray
        Middle of each segment.
    frequencies : ndarray
        In Hz, ascending.
    decibels : Levels
        (times, frequencies), about 1 µV²/Hz.
    n_sites : int
        Sites that the median is over.
    """

    seconds: Floats
    frequencies: Floats
    decibels: Levels
    n_sites: int


@dataclass(frozen=True)
class Response:
    """The average of the mirror around the rising edges of a line.

    Attributes
    ----------
    column : int
        DAQ column of the line.
    n_edges, n_averaged : int
        Its rising edges, and of how many the average is.
    seconds : ndarray
        Time about the edge.
    microvolts : Levels
        (sites, time), about the mean before the edge.
    """

    column: int
    n_edges: int
    n_averaged: int
    seconds: Floats
    microvolts: Levels


@dataclass(frozen=True)
class Page:
    """Everything that the quality page of one mirror shows.

    Attributes
    ----------
    recording, mirror : str
        Full name of the recording, and name of the mirror.
    subtitle : str
        How the mirror was made, in short.
    warnings : sequence of str
        Sentences on what a person should know first, as of a mirror that is all zero.
    sites : Sites
        Where the electrode channels sit.
    shown_sites : array of int
        The sites whose traces are shown before a person chooses: kept and masked ones, spread over the array.
    maps : sequence of SiteMap
        Numbers per site.
    spectra : Spectra
        Of the kept sites.
    traces : sequence of Traces
        Stretches of the same sites, before and after.
    timeline : Timeline
        Triggers over the whole recording.
    over_time : OverTime
        All sites over the whole recording.
    spectrogram : Spectrogram or None
        None where no site is kept, or no segment is whole.
    response : Response or None
        None where no line has edges enough.
    facts : sequence of (str, str)
        Names and what is to be said of them.
    captions : mapping of str to str
        What is to be said of each figure, by the names that `web/page.js` has.
    """

    recording: str
    mirror: str
    subtitle: str
    warnings: Sequence[str]
    sites: Sites
    shown_sites: Ints
    maps: Sequence[SiteMap]
    spectra: Spectra
    traces: Sequence[Traces]
    timeline: Timeline
    over_time: OverTime
    spectrogram: Spectrogram | None
    response: Response | None
    facts: Sequence[tuple[str, str]]
    captions: Mapping[str, str]
