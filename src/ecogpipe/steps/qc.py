"""The step that draws the quality page of a recording and one of its mirrors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ecogpipe import layout, outputs, spectra
from ecogpipe.datasource.buffers import open_hdf5
from ecogpipe.datasource.raw import RawRecording, open_raw
from ecogpipe.electrodes.channels import ChannelTable, read_channels
from ecogpipe.electrodes.masks import MaskTable, read_mask
from ecogpipe.errors import FormatError
from ecogpipe.figures.array import SiteMap, Sites, colour_limits
from ecogpipe.figures.page import Page, save_page
from ecogpipe.figures.spectrum import Spectra
from ecogpipe.figures.style import own_style
from ecogpipe.figures.traces import Traces
from ecogpipe.figures.triggers import Line, Timeline
from ecogpipe.identity import KEY, check_one_recording
from ecogpipe.mains import MAINS_HZ, Mains, blocks_per_tile
from ecogpipe.params import load_params
from ecogpipe.steps import descriptions
from ecogpipe.steps.descriptions import MirrorFacts, read_mirror_facts
from ecogpipe.steps.extract_events import EventsTable, read_events
from ecogpipe.steps.scan import read_numbers

N_WINDOWS = 8
"""Windows, spread over the recording, that spectra and the numbers of the mirror are taken from."""

_WINDOW_SECONDS = 4
_SEGMENT_SECONDS = 1
_TRACE_SECONDS = 2
_BEFORE_TRIGGER_SECONDS = 0.5
_BEGINNING_SECONDS = 1
_KEPT_TRACES, _MASKED_TRACES = 10, 3
_COPIES, _SHARE = 12, 4
_LEAST_WINDOW, _LEAST_SEGMENT = 64, 32
"""Samples of a window and of a segment, where seconds hold fewer: of mirrors at the rate of slow drifts."""

_BLOCK = 256
"""Frames that line noise is summed over at once; part of what it is, to the last bit."""

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]


def qc(
    raw: Path, channels: Path, mask: Path, scan: Path, events: Path, mirror: Path, page: Path, *, title: str
) -> Path:
    """Draw what a person looks at to judge a recording and one of its mirrors.

    RMS of every site on the array, raw and mirrored, line noise, correlation with the neighbours, and the mask with its
    reasons; what is raw of these is what the mask goes by. The spectrum of the kept sites before and after; traces
    before and after, with trigger edges and with the settling of the filter; triggers over the whole recording;
    settings, counts and notes.

    Parameters
    ----------
    raw, channels, mask, scan, events, mirror : Path
        What the steps of these names wrote for the recording.
    page : Path
        The picture to write, a PNG 2,400 pixels wide. It holds where each figure is and what is to be said of it, for
        the report.
    title : str
        Name of the recording on the page.

    Returns
    -------
    Path
        `page`.

    Raises
    ------
    FormatError
        If an input is not what it should be.
    IdentityError
        If the inputs are not of one recording.
    """
    content = page_content(raw, channels, mask, scan, events, mirror, title=title)
    inputs = [raw, channels, mask, scan, events, mirror]
    made_by = outputs.provenance("qc", inputs, {"title": title}, page.parent)
    made_by[KEY] = check_one_recording(*inputs).as_json()
    with own_style(), outputs.whole_file(page) as part:
        save_page(content, part, {"Title": title, "provenance": outputs.to_json(made_by)})
    return page


def page_content(raw: Path, channels: Path, mask: Path, scan: Path, events: Path, mirror: Path, *, title: str) -> Page:
    """Return what `qc` draws from these files; it does not depend on the memory limit."""
    table, masked = read_channels(channels), read_mask(mask)
    if not np.array_equal(masked.channel, table.electrode_channels):
        raise FormatError(f"{mask}: is not the mask of {channels}; run mask_channels again.")
    hertz = _line_frequencies(masked)
    if missing := {"std", "neighbour_correlation", *map(_line_name, hertz)} - masked.numbers.keys():
        raise FormatError(f"{mask}: lacks the column {min(missing)}; run mask_channels again.")
    found, numbers, facts = read_events(events), read_numbers(scan), read_mirror_facts(mirror)
    with open_hdf5(scan) as file:
        scanned = layout.read_acquisition(file)
    with open_raw(raw) as recording, open_raw(mirror) as made:
        to_microvolts = layout.MICROVOLTS_PER[recording.acquisition.units] / table.gain
        before = _Signals(recording, table.electrode_channels, to_microvolts)
        after = _Signals(made, table.electrode_channels, 1.0)
        everything = np.arange(len(masked))
        surveys = _survey(before, everything), _survey(after, everything)
        return Page(
            title=title,
            subtitle=f"mirror {facts.name}: {descriptions.rate_text(facts.rate)}, band {facts.filter_text}",
            sites=Sites(
                masked.site_row,
                masked.site_column,
                table.grid,
                table.pitch_mm,
                masked.keep,
                descriptions.mask_kinds(masked),
            ),
            maps=[
                SiteMap("RMS, raw", "RMS (µV)", masked.numbers["std"] * abs(to_microvolts)),
                SiteMap(f"RMS, mirror {facts.name}", "RMS (µV)", surveys[1].rms),
                SiteMap(
                    "Correlation with neighbours, raw",
                    "median correlation",
                    masked.numbers["neighbour_correlation"],
                    colours="cividis",
                ),
                *_line_maps(masked, abs(to_microvolts), after, facts.name),
            ],
            spectra=_spectra(surveys, masked, facts),
            traces=_traces(before, after, masked, table, found, facts),
            timeline=_timeline(before, after, found, facts),
            facts=_facts(recording, scanned.notes, table, masked, found, facts, numbers["n_nonfinite"]),
            captions=_captions(surveys, masked, table, facts),
        )


def _line_frequencies(mask: MaskTable) -> tuple[int, ...]:
    """Return the frequency of the mains that the mask goes by, in Hz; both that there are where none is declared."""
    declared = mask.header.get("line_frequency")
    return MAINS_HZ if declared is None else (declared,)


def _line_name(hertz: int) -> str:
    """Name the line noise at a frequency, as the scan and the mask do."""
    return f"line{hertz}_rms"


class _Signals:
    """The electrode rows of an open recording, in microvolts."""

    def __init__(self, recording: RawRecording, rows: Positions, to_microvolts: float) -> None:
        self._recording, self._rows, self._to_microvolts = recording, rows, to_microvolts
        self.rate: Fraction = recording.acquisition.rate
        self.n_samples, self.segments = recording.n_samples, recording.segments
        self.gap_free = layout.gap_free_ranges(recording.segments)

    def read(self, positions: Positions, window: slice) -> Floats:
        """Read some electrodes, by their positions among all, (electrodes, time)."""
        acquisition = self._recording.acquisition
        raw = self._recording.source[self._rows[positions].tolist(), window]
        values: Floats = acquisition.slope * raw.astype(np.float64) + acquisition.intercept
        return values * self._to_microvolts

    def windows(self) -> list[slice]:
        """Windows that are spread over the recording, without those that a gap lies in as far as there are others."""
        length = max(_LEAST_WINDOW, round(_WINDOW_SECONDS * self.rate))
        spread = spectra.spread_windows(self.n_samples, length, N_WINDOWS)
        whole = [
            window
            for window in spread
            if any(first <= window.start and window.stop <= stop for first, stop in self.gap_free)
        ]
        return whole or spread


@dataclass(frozen=True)
class _Survey:
    """What some windows say of each electrode: its power density at each frequency (Hz), and its RMS."""

    frequencies: Floats
    densities: Floats
    rms: Floats
    windows: str


def _survey(signals: _Signals, positions: Positions) -> _Survey:
    """Go through the windows, as many electrodes at a time as the memory limit holds."""
    windows, segment = signals.windows(), max(_LEAST_SEGMENT, round(_SEGMENT_SECONDS * signals.rate))
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
    return _Survey(surveyed[0][0], densities, rms, f"{plural} of {length / float(signals.rate):.3g} s")


def _survey_group(
    signals: _Signals, group: Positions, windows: Sequence[slice], segment: int
) -> tuple[Floats, Floats, Floats]:
    """Return the frequencies, and averages over the windows: density and variance of each electrode."""
    averaged: list[tuple[Floats, Floats]] = []
    for window in windows:
        microvolts = signals.read(group, window)
        frequencies, power = spectra.density(microvolts, float(signals.rate), segment)
        averaged.append((power, microvolts.var(axis=1)))
    powers, variances = zip(*averaged, strict=True)
    return frequencies, np.mean(powers, axis=0), np.mean(variances, axis=0)


def _line_maps(mask: MaskTable, to_microvolts: float, after: _Signals, mirror: str) -> list[SiteMap]:
    """Return the line noise at the declared frequency, raw and mirrored; or of the raw signal at each that there is."""
    hertz = _line_frequencies(mask)
    cases = [(f"{frequency} Hz, raw", mask.numbers[_line_name(frequency)] * to_microvolts) for frequency in hertz]
    if len(hertz) == 1:
        cases.append((f"{hertz[0]} Hz, {mirror}", _line_noise(after, len(mask))[MAINS_HZ.index(hertz[0])]))
    highest = max(colour_limits(noise, mask.keep, (0.0, None))[1] for _, noise in cases)
    return [
        SiteMap(f"Line noise at {case}", "RMS (µV)", noise, colours="magma", limits=(0.0, highest))
        for case, noise in cases
    ]


def _line_noise(signals: _Signals, n_sites: int) -> Floats:
    """Return the RMS of each site at each of `MAINS_HZ` over the windows, measured as the scan does."""
    mains = Mains(n_sites, float(signals.rate), _BLOCK)
    # BLAS on more threads could split its sums, and so change their last bits.
    with threadpool_limits(1, user_api="blas"):
        for frames in _blocks(signals, n_sites):
            mains.update(frames, frames.mean(axis=0))
    return mains.result()


def _blocks(signals: _Signals, n_sites: int) -> Iterator[Floats]:
    """Yield the windows of all sites, (frames, sites) in blocks of `_BLOCK`, as many as fill whole tiles of `Mains`.

    They are read as many at a time as the memory limit holds.
    """
    everything, tile = np.arange(n_sites), blocks_per_tile(float(signals.rate), _BLOCK) * _BLOCK
    bytes_each = _BLOCK * n_sites * np.dtype(np.float64).itemsize * _COPIES
    at_once = max(1, load_params().memory_limit // _SHARE // max(1, bytes_each)) * _BLOCK
    for window in signals.windows():
        stop = window.stop - (window.stop - window.start) % tile
        for start in range(window.start, stop, at_once):
            microvolts = signals.read(everything, slice(start, min(start + at_once, stop)))
            for first in range(0, microvolts.shape[1], _BLOCK):
                yield np.ascontiguousarray(microvolts[:, first : first + _BLOCK].T)


def _spectra(surveys: tuple[_Survey, _Survey], mask: MaskTable, facts: MirrorFacts) -> Spectra:
    before, after = (spectra.over_sites(survey.frequencies, survey.densities[mask.keep]) for survey in surveys)
    return Spectra(
        before=before,
        after=after,
        nyquist_before=float(facts.rate * facts.ratio / 2),
        nyquist_after=float(facts.rate / 2),
        band=facts.band,
        notches=facts.notches,
    )


def _traces(
    before: _Signals,
    after: _Signals,
    mask: MaskTable,
    table: ChannelTable,
    events: EventsTable,
    facts: MirrorFacts,
) -> list[Traces]:
    """Return the same sites raw and mirrored around a trigger, and mirrored where the recording begins."""
    rising, falling = (_all_seconds(edges, before.rate) for edges in (events.rising, events.falling))
    shown = _spread_over_array(mask, table.pitch_mm or (1.0, 1.0))
    labels = tuple(f"{mask.site_row[site]}, {mask.site_column[site]}" for site in shown)
    settling = _settling(after, facts)
    gaps = [float(first / before.rate) for first, _ in before.gap_free[1:]]

    def stretch(title: str, signals: _Signals, window: slice, shaded: Sequence[tuple[float, float]]) -> Traces:
        begin, end = float(window.start / signals.rate), float(window.stop / signals.rate)
        return Traces(
            title=title,
            seconds=np.arange(window.start, window.stop) / float(signals.rate),
            microvolts=signals.read(shown, window),
            labels=labels,
            keep=mask.keep[shown],
            rising=rising[(rising >= begin) & (rising < end)],
            falling=falling[(falling >= begin) & (falling < end)],
            settling=_overlaps(shaded, begin, end),
            gaps=tuple(gap for gap in gaps if begin < gap < end),
        )

    window = _stretch(rising, after.rate, after.n_samples)
    raw_window = slice(window.start * facts.ratio, min(window.stop * facts.ratio, before.n_samples))
    first = max(_LEAST_SEGMENT, round(_BEGINNING_SECONDS * after.rate))
    beginning = slice(0, min(after.n_samples, max(first, 2 * facts.settling_samples)))
    return [
        stretch("Raw", before, raw_window, ()),
        stretch(f"Mirror {facts.name}", after, window, settling),
        stretch(f"Mirror {facts.name}, from the beginning", after, beginning, settling),
    ]


def _settling(after: _Signals, facts: MirrorFacts) -> list[tuple[float, float]]:
    """Return the seconds from and until which the padding of the filter shows: at both ends of what has no gap."""
    settling = facts.settling_samples
    ends = [
        interval
        for first, stop in after.gap_free
        for interval in ((first, min(first + settling, stop)), (max(first, stop - settling), stop))
    ]
    return [(float(begin / after.rate), float(end / after.rate)) for begin, end in ends if begin < end]


def _timeline(before: _Signals, after: _Signals, events: EventsTable, facts: MirrorFacts) -> Timeline:
    length = float(before.n_samples / before.rate)
    return Timeline(
        seconds=length,
        lines=[
            Line(column, found["note"], events.rising[column] / float(before.rate) if column in events.rising else None)
            for column, found in events.facts.items()
        ],
        parts=[(float(segment.first_sample / before.rate), segment.part) for segment in before.segments],
        settling=_overlaps(_settling(after, facts), 0.0, length),
    )


def _captions(
    surveys: tuple[_Survey, _Survey], mask: MaskTable, table: ChannelTable, facts: MirrorFacts
) -> dict[str, str]:
    """Say of each figure what it shows, with the settings that were used."""
    made = f"{facts.rate_text}, band-pass {facts.filter_text}, notches {facts.notch_text}, reference "
    made += f"{facts.reference_text}, {facts.row_text}"
    thresholds = ", ".join(f"{name} {value:g}" for name, value in mask.header["thresholds"].items())
    hertz = _line_frequencies(mask)
    lines = " and ".join(f"{frequency}" for frequency in hertz)
    declared = f"as declared; mirror of {surveys[1].windows}"
    if len(hertz) > 1:
        declared = "no line_frequency is declared, so both are shown, and no site is masked by them"
    rows, columns = table.grid
    return {
        "maps": (
            f"The {rows} x {columns} array, row 0 on top; masked sites are crossed, places without a channel hatched, "
            "and colours span the kept sites. Raw numbers are of all samples, and are those that the automatic rule "
            f"goes by (mask.tsv). RMS about the mean: mirror {facts.name} of {surveys[1].windows}. Line noise: RMS at "
            f"{lines} Hz ({declared}), without harmonics, averaged over tiles of 1 to 2 s. Correlation: median over "
            "the up to eight sites around a site, of changes at 1 to 9 Hz. "
            f"Mask: {descriptions.sites_text(mask)}; automatic rule with {thresholds}."
        ),
        "spectra": (
            f"Power density of the {int(mask.keep.sum())} kept sites before (raw, {surveys[0].windows}) and after "
            f"(mirror {facts.name}, {surveys[1].windows}): median and 10 to 90 % of sites; Welch, Hann segments of "
            f"{_SEGMENT_SECONDS} s. Mirror: {made}."
        ),
        "traces": (
            f"Sites spread over the array, each about its median, raw in microvolts (gain {table.gain:g}) and mirrored "
            f"({made}). The stretch is around the trigger nearest to the middle of the recording, or the middle "
            f"where there is none; on the right the beginning of the mirror. The filter settles within "
            f"{facts.settling_text}, shaded. Masked sites are in red."
        ),
        "triggers": (
            "Rising edges of the BNC lines, found at the recording's full rate "
            f"({descriptions.rate_text(facts.rate * facts.ratio)}) before any filter; dashed: where a part of the "
            "recording ends and the next begins; shaded: where the filter of the mirror settles, at both ends of the "
            "recording and on both sides of a gap."
        ),
    }


def _all_seconds(edges: dict[int, npt.NDArray[np.int64]], rate: Fraction) -> Floats:
    return np.sort(np.concatenate([np.array([], np.int64), *edges.values()]) / float(rate))


def _stretch(rising: Floats, rate: Fraction, n_samples: int) -> slice:
    """Choose the samples to show: around the trigger that is nearest to the middle of the recording, or the middle."""
    length = min(n_samples, max(_LEAST_SEGMENT, round(_TRACE_SECONDS * rate)))
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
    notes: Sequence[str],
    table: ChannelTable,
    mask: MaskTable,
    events: EventsTable,
    facts: MirrorFacts,
    n_nonfinite: Floats,
) -> list[tuple[str, str]]:
    acquisition = recording.acquisition
    length = descriptions.length_text(recording.n_samples, acquisition.rate)
    optional = [
        ("gaps", descriptions.gaps_text(recording.segments, acquisition.rate)),
        ("cropped", descriptions.cropped_text(acquisition.cropped)),
        ("bad samples", descriptions.bad_samples_text(n_nonfinite)),
        ("overrides", descriptions.overrides_text(acquisition.overrides)),
        ("notes", "; ".join([*notes, *mask.notes, *descriptions.diagnostics_texts(mask)])),
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
