"""The step that draws the quality page of a recording and one of its mirrors."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ecogpipe import layout, outputs, spectra
from ecogpipe.datasource.raw import RawRecording, open_raw
from ecogpipe.electrodes.channels import ChannelTable, read_channels
from ecogpipe.electrodes.masks import MaskTable, read_mask
from ecogpipe.errors import FormatError
from ecogpipe.figures.array import Sites
from ecogpipe.figures.page import Page, qc_figure
from ecogpipe.figures.spectrum import Spectra
from ecogpipe.figures.style import own_style, save_png
from ecogpipe.figures.traces import Traces
from ecogpipe.params import load_params
from ecogpipe.steps import descriptions
from ecogpipe.steps.descriptions import MirrorFacts, read_mirror_facts
from ecogpipe.steps.extract_events import EventsTable, read_events
from ecogpipe.steps.scan import read_numbers

REVISION: int = 2

N_WINDOWS = 8
"""Windows, spread over the recording, that spectra and the mirror's RMS are taken from."""

_WINDOW_SECONDS = 4
_SEGMENT_SECONDS = 1
_TRACE_SECONDS = 2
_BEFORE_TRIGGER_SECONDS = 0.5
_KEPT_TRACES, _MASKED_TRACES = 12, 4
_COPIES, _SHARE = 12, 4

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]


def qc(
    raw: Path, channels: Path, mask: Path, scan: Path, events: Path, mirror: Path, page: Path, *, title: str
) -> Path:
    """Draw what a person looks at to judge a recording and one of its mirrors.

    RMS of every site on the array, raw and mirrored, with the masked sites crossed; the spectrum of the active sites
    before and after; a stretch of traces with trigger edges; settings, counts and notes.

    Parameters
    ----------
    raw, channels, mask, scan, events, mirror : Path
        What the steps of these names wrote for the recording.
    page : Path
        The picture to write, a PNG of 1820 x 1170 pixels.
    title : str
        Name of the recording on the page.

    Returns
    -------
    Path
        `page`.

    Raises
    ------
    FormatError
        If the inputs are not of one recording.
    """
    content = page_content(raw, channels, mask, scan, events, mirror, title=title)
    inputs = [raw, channels, mask, scan, events, mirror]
    made_by = outputs.provenance("qc", REVISION, inputs, {"title": title}, page.parent)
    with own_style(), outputs.whole_file(page) as part:
        save_png(qc_figure(content), part, {"Title": title, "provenance": outputs.to_json(made_by)})
    return page


def page_content(raw: Path, channels: Path, mask: Path, scan: Path, events: Path, mirror: Path, *, title: str) -> Page:
    """Return what `qc` draws from these files; it does not depend on the memory limit."""
    table, masked = read_channels(channels), read_mask(mask)
    if not np.array_equal(masked.channel, table.electrode_channels):
        raise FormatError(f"{mask}: is not the mask of {channels}; run mask_channels again.")
    found, numbers, facts = read_events(events), read_numbers(scan), read_mirror_facts(mirror)
    with open_raw(raw) as recording, open_raw(mirror) as made:
        to_microvolts = layout.MICROVOLTS_PER[recording.acquisition.units] / table.gain
        before = _Signals(recording, table.electrode_channels, to_microvolts)
        after = _Signals(made, table.electrode_channels, 1.0)
        survey = _survey(after, np.arange(len(masked)))
        return Page(
            title=title,
            subtitle=f"mirror {facts.name}: {descriptions.rate_text(facts.rate)}, band {facts.filter_text}",
            sites=Sites(masked.site_row, masked.site_column, table.grid, table.pitch_mm, masked.keep),
            rms_before=numbers["std"][table.electrode_channels] * abs(to_microvolts),
            rms_after=survey.rms,
            windows=survey.windows,
            spectra=_spectra(before, survey, masked, facts),
            traces=_traces(after, masked, table, found, facts),
            facts=_facts(recording, table, masked, found, facts, numbers["n_nonfinite"]),
        )


class _Signals:
    """The electrode rows of an open recording, in microvolts."""

    def __init__(self, recording: RawRecording, rows: Positions, to_microvolts: float) -> None:
        self._recording, self._rows, self._to_microvolts = recording, rows, to_microvolts
        self.rate: Fraction = recording.acquisition.rate
        self.n_samples = recording.n_samples

    def read(self, positions: Positions, window: slice) -> Floats:
        """Read some electrodes, by their positions among all, (electrodes, time)."""
        acquisition = self._recording.acquisition
        raw = self._recording.source[self._rows[positions].tolist(), window]
        values: Floats = acquisition.slope * raw.astype(np.float64) + acquisition.intercept
        return values * self._to_microvolts

    def windows(self) -> list[slice]:
        """Windows that are spread over the recording."""
        return spectra.spread_windows(self.n_samples, round(_WINDOW_SECONDS * self.rate), N_WINDOWS)


@dataclass(frozen=True)
class _Survey:
    """What some windows say of each electrode: its power density at each frequency (Hz), and its RMS."""

    frequencies: Floats
    densities: Floats
    rms: Floats
    windows: str


def _survey(signals: _Signals, positions: Positions) -> _Survey:
    """Go through the windows, as many electrodes at a time as the memory limit holds."""
    windows, segment = signals.windows(), round(_SEGMENT_SECONDS * signals.rate)
    if not windows or not len(positions):
        nothing: Floats = np.full((len(positions), 1), np.nan)
        return _Survey(np.ones(1), nothing, nothing[:, 0], "no samples")
    length = windows[0].stop - windows[0].start
    bytes_each = length * np.dtype(np.float64).itemsize * _COPIES
    at_once = max(1, load_params().memory_limit // _SHARE // bytes_each)
    groups = [positions[first : first + at_once] for first in range(0, len(positions), at_once)]
    surveyed = [_survey_group(signals, group, windows, segment) for group in groups]
    densities = np.concatenate([power for _, power, _ in surveyed])
    rms = np.sqrt(np.concatenate([variance for *_, variance in surveyed]))
    plural = f"{len(windows)} windows" if len(windows) > 1 else "1 window"
    text = f"{plural} of {length / float(signals.rate):.3g} s"
    return _Survey(surveyed[0][0], densities, rms, text)


def _survey_group(
    signals: _Signals, group: Positions, windows: Sequence[slice], segment: int
) -> tuple[Floats, Floats, Floats]:
    """Return the frequencies, and the power density and the variance of each electrode: averages over the windows."""
    averaged: list[tuple[Floats, Floats]] = []
    for window in windows:
        microvolts = signals.read(group, window)
        frequencies, power = spectra.density(microvolts, float(signals.rate), segment)
        averaged.append((power, microvolts.var(axis=1)))
    powers, variances = zip(*averaged, strict=True)
    return frequencies, np.mean(powers, axis=0), np.mean(variances, axis=0)


def _spectra(before: _Signals, after: _Survey, mask: MaskTable, facts: MirrorFacts) -> Spectra:
    raw = _survey(before, np.flatnonzero(mask.keep))
    return Spectra(
        before=spectra.over_sites(raw.frequencies, raw.densities),
        after=spectra.over_sites(after.frequencies, after.densities[mask.keep]),
        nyquist_before=float(before.rate / 2),
        nyquist_after=float(facts.rate / 2),
        band=facts.band,
        notches=facts.notches,
    )


def _traces(signals: _Signals, mask: MaskTable, table: ChannelTable, events: EventsTable, facts: MirrorFacts) -> Traces:
    rate = signals.rate
    raw_rate = rate * facts.ratio
    rising, falling = (_all_seconds(edges, raw_rate) for edges in (events.rising, events.falling))
    window = _stretch(rising, rate, signals.n_samples)
    begin, end = float(window.start / rate), float(window.stop / rate)
    shown = _spread_over_array(mask, table.pitch_mm or (1.0, 1.0))
    settling = float(facts.settling_samples / rate)
    length = float(signals.n_samples / rate)
    return Traces(
        seconds=np.arange(window.start, window.stop) / float(rate),
        microvolts=signals.read(shown, window),
        labels=tuple(f"{mask.site_row[site]}, {mask.site_column[site]}" for site in shown),
        keep=mask.keep[shown],
        rising=rising[(rising >= begin) & (rising < end)],
        falling=falling[(falling >= begin) & (falling < end)],
        settling=_overlaps([(0.0, settling), (length - settling, length)], begin, end),
    )


def _all_seconds(edges: dict[int, npt.NDArray[np.int64]], rate: Fraction) -> Floats:
    return np.sort(np.concatenate([np.array([], np.int64), *edges.values()]) / float(rate))


def _stretch(rising: Floats, rate: Fraction, n_samples: int) -> slice:
    """Choose the samples to show: around the trigger that is nearest to the middle of the recording, or the middle."""
    length = min(n_samples, round(_TRACE_SECONDS * rate))
    middle = float(n_samples / rate) / 2
    begin = middle - _TRACE_SECONDS / 2
    if len(rising):
        begin = rising[np.abs(rising - middle).argmin()] - _BEFORE_TRIGGER_SECONDS
    start = min(max(0, round(begin * float(rate))), n_samples - length)
    return slice(start, start + length)


def _overlaps(intervals: Sequence[tuple[float, float]], begin: float, end: float) -> tuple[tuple[float, float], ...]:
    cut = ((max(begin, first), min(end, last)) for first, last in intervals)
    return tuple((first, last) for first, last in cut if first < last)


def _spread_over_array(mask: MaskTable, pitch: tuple[float, float]) -> Positions:
    """Choose electrodes to show, kept and masked ones, each far from the others; in order of their sites."""
    places = np.stack([mask.site_row * pitch[0], mask.site_column * pitch[1]], axis=1)
    groups = (np.flatnonzero(mask.keep), _KEPT_TRACES), (np.flatnonzero(~mask.keep), _MASKED_TRACES)
    chosen = np.concatenate([_far_apart(places, group, count) for group, count in groups])
    return chosen[np.lexsort((mask.site_column[chosen], mask.site_row[chosen]))]


def _far_apart(places: Floats, group: Positions, count: int) -> Positions:
    """Choose `count` of a group, from its first on always the one that is farthest from those already chosen."""
    if len(group) <= count:
        return group
    chosen = [0]
    distance = np.full(len(group), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.hypot(*(places[group] - places[group[chosen[-1]]]).T))
        chosen.append(int(distance.argmax()))
    return group[chosen]


def _facts(
    recording: RawRecording,
    table: ChannelTable,
    mask: MaskTable,
    events: EventsTable,
    facts: MirrorFacts,
    n_nonfinite: Floats,
) -> list[tuple[str, str]]:
    acquisition = recording.acquisition
    length = descriptions.length_text(recording.n_samples, acquisition.rate)
    optional = [
        ("bad samples", descriptions.bad_samples_text(n_nonfinite)),
        ("overrides", descriptions.overrides_text(acquisition.overrides)),
        ("notes", "; ".join(acquisition.notes)),
    ]
    return [
        ("raw", f"{descriptions.rate_text(acquisition.rate)}, {length}, {acquisition.n_channels} channels"),
        ("array", descriptions.array_text(table)),
        ("mirror", facts.rate_text),
        ("band", facts.filter_text),
        ("notches", facts.notch_text),
        ("reference", facts.reference_text),
        ("rows", facts.row_text),
        ("settling", facts.settling_text),
        ("sites", descriptions.sites_text(mask)),
        ("masked", descriptions.masked_text(mask)),
        ("triggers", descriptions.lines_text(events)),
        *((name, text) for name, text in optional if text),
    ]
