"""What a quality page shows of a recording and one of its mirrors: numbers and words for each of its figures."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ecogpipe.figures import wording
from ecogpipe.figures.colours import mask_colours
from ecogpipe.figures.levels import to_levels
from ecogpipe.figures.over_time import largest_deviation, over_time, response
from ecogpipe.figures.page import Line, OverTime, Page, Response, SiteMap, Sites, Timeline, Traces
from ecogpipe.figures.page_inputs import (
    LEAST_SEGMENT,
    Floats,
    PageInputs,
    Positions,
    Signals,
    Survey,
    line_frequencies,
    line_name,
    line_noise,
    segment_seconds,
    survey,
)
from ecogpipe.figures.spectra_content import SPECTROGRAM_SITES, spectra, spectrogram
from ecogpipe.figures.wording import MirrorFacts
from ecogpipe.results.events import EventsTable
from ecogpipe.results.mask import MANUAL, MaskTable
from ecogpipe.statistics.line_noise import MAINS_HZ

_TRACE_SECONDS = 2
_BEFORE_TRIGGER_SECONDS = 0.5
_BEGINNING_SECONDS = 1
_KEPT_TRACES, _MASKED_TRACES = 10, 3
_MOST_TRACE_SAMPLES = 150_000
_LEAST_SPAN = 0.1
_ON_CARD = ("flat_fraction", "stuck_fraction", "rail_fraction", "nonfinite_fraction")

Bools = npt.NDArray[np.bool_]
Intervals = Sequence[tuple[float, float]]


def page_content(inputs: PageInputs, recording: str) -> Page:
    """Return what a quality page shows; it does not depend on the memory limit."""
    facts = inputs.facts
    before, after, everything = inputs.before, inputs.after, np.arange(len(inputs.mask))
    seconds = segment_seconds(facts)
    surveys = survey(before, everything, seconds), survey(after, everything, seconds)
    whole, shown = over_time(inputs), _shown_sites(inputs)
    averaged = response(inputs)
    return Page(
        recording=recording,
        mirror=facts.name,
        subtitle=f"mirror {facts.name}: {wording.rate_text(facts.rate)}, band {facts.filter_text}",
        warnings=_warnings(inputs, whole),
        sites=_sites(inputs),
        shown_sites=shown,
        maps=_maps(inputs, surveys[1], seconds),
        spectra=spectra(surveys, inputs.mask.keep, facts),
        traces=_traces(inputs, whole, shown),
        timeline=_timeline(inputs),
        over_time=whole,
        spectrogram=spectrogram(after, shown[inputs.mask.keep[shown]], seconds),
        response=averaged,
        facts=_facts(inputs),
        captions=_captions(surveys, inputs, whole, averaged),
    )


def _sites(inputs: PageInputs) -> Sites:
    mask, table = inputs.mask, inputs.table
    kinds = wording.mask_kinds(mask)
    masked_kinds = sorted({kind for kind in kinds if kind})
    return Sites(
        channels=mask.channel,
        rows=mask.site_row,
        columns=mask.site_column,
        daq_rows=table.daq_row[mask.channel],
        daq_columns=table.daq_column[mask.channel],
        grid=table.grid,
        pitch_mm=table.pitch_mm,
        keep=mask.keep,
        kinds=kinds,
        reasons=mask.reasons,
        origins=mask.origins,
        colours=dict(zip(masked_kinds, mask_colours(masked_kinds), strict=True)),
        numbers={name: values for name, values in mask.numbers.items() if name in _ON_CARD},
    )


def _warnings(inputs: PageInputs, whole: OverTime) -> list[str]:
    """Say what a person should know before trusting the figures."""
    mask = inputs.mask
    found = []
    lowest, highest = (levels.values()[mask.keep] for levels in (whole.lowest, whole.highest))
    finite = np.isfinite(lowest)
    if lowest.size and not finite.any():
        found.append("No kept site of the mirror has a finite sample.")
    elif lowest.size and not (np.any(lowest[finite]) or np.any(highest[finite])):
        found.append("The kept sites of the mirror are zero everywhere.")
    if not mask.keep.any():
        found.append("Every site is masked.")
    if not inputs.facts.n_settled:
        found.append(wording.UNSETTLED)
    if cropped := wording.cropped_text(inputs.recording.acquisition.cropped):
        found.append(f"The recording is truncated: {cropped}.")
    return found


def _maps(inputs: PageInputs, mirrored: Survey, seconds: int) -> list[SiteMap]:
    numbers, mask, name = inputs.mask.numbers, inputs.mask, inputs.facts.name
    trusted = mask.keep & ~_kept_against_the_rule(mask)
    raw, after = numbers["std"] * abs(inputs.to_microvolts), mirrored.rms
    correlation = numbers["neighbour_correlation"]
    return [
        SiteMap("RMS, raw", "RMS (µV)", raw, "viridis", colour_limits(raw, trusted, from_zero=True)),
        SiteMap(f"RMS, mirror {name}", "RMS (µV)", after, "viridis", colour_limits(after, trusted, from_zero=True)),
        SiteMap(
            "Correlation with neighbours, raw",
            "median correlation",
            correlation,
            "cividis",
            colour_limits(correlation, trusted),
        ),
        *_line_maps(mask, abs(inputs.to_microvolts), inputs.after, name, seconds, trusted),
    ]


def _kept_against_the_rule(mask: MaskTable) -> Bools:
    by_hand: Bools = np.array([origin == MANUAL for origin in mask.origins], bool)
    return mask.keep & by_hand


def _line_maps(
    mask: MaskTable, to_microvolts: float, after: Signals, mirror: str, seconds: int, trusted: Bools
) -> list[SiteMap]:
    """Return the line noise at the declared frequency, raw and mirrored; or of the raw signal at each that there is."""
    hertz = line_frequencies(mask)
    cases = [(f"{frequency} Hz, raw", mask.numbers[line_name(frequency)] * to_microvolts) for frequency in hertz]
    if len(hertz) == 1:
        cases.append((f"{hertz[0]} Hz, {mirror}", line_noise(after, len(mask), seconds)[MAINS_HZ.index(hertz[0])]))
    highest = max(colour_limits(noise, trusted, from_zero=True)[1] for _, noise in cases)
    return [SiteMap(f"Line noise at {case}", "RMS (µV)", noise, "magma", (0.0, highest)) for case, noise in cases]


def colour_limits(values: Floats, trusted: Bools, from_zero: bool = False) -> tuple[float, float]:
    """Return the values at the ends of the colours: the 2 and 98 % quantiles of the sites that are trusted.

    They are apart by a tenth of the larger at least, so that small differences look small.
    """
    shown = values[trusted & np.isfinite(values)]
    if not len(shown):
        shown = values[np.isfinite(values)]
    if not len(shown):
        return 0.0, 1.0
    low, high = (float(end) for end in np.quantile(shown, [0.02, 0.98], method="nearest"))
    if from_zero:
        return 0.0, high if high > 0 else 1.0
    least = _LEAST_SPAN * max(abs(low), abs(high)) or 1.0
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    return low, high


def _traces(inputs: PageInputs, whole: OverTime, shown: Positions) -> list[Traces]:
    """Return sites raw and mirrored around a trigger; mirrored also at the beginning and at the largest deviation."""
    before, after, mask, facts = inputs.before, inputs.after, inputs.mask, inputs.facts
    rising, falling = (_all_seconds(edges, before.rate) for edges in (inputs.events.rising, inputs.events.falling))
    settling = _settling(after, facts)
    gaps = [float(first / before.rate) for first, _ in before.gap_free[1:]]

    def stretch(title: str, signals: Signals, window: slice, sites: Positions, shaded: Intervals) -> Traces:
        begin, end = float(window.start / signals.rate), float(window.stop / signals.rate)
        return Traces(
            title=title,
            first_second=begin,
            seconds_each=float(1 / signals.rate),
            microvolts=to_levels(signals.read(sites, window), bits=16),
            sites=sites,
            rising=rising[(rising >= begin) & (rising < end)],
            falling=falling[(falling >= begin) & (falling < end)],
            settling=_overlaps(shaded, begin, end),
            gaps=tuple(gap for gap in gaps if begin < gap < end),
        )

    window = _stretch(rising, after.rate, after.n_samples)
    raw_window = slice(window.start * facts.ratio, min(window.stop * facts.ratio, before.n_samples))
    first = max(LEAST_SEGMENT, round(_BEGINNING_SECONDS * after.rate))
    beginning = slice(0, min(after.n_samples, max(first, 2 * facts.settling_samples)))
    farthest = largest_deviation(whole.lowest.values(), whole.highest.values(), mask.keep)
    middle = Fraction((farthest + 0.5) * whole.bin_seconds).limit_denominator(10**6)
    deviation = _around(round(middle * after.rate), after.rate, after.n_samples)
    held = _held(shown, len(mask), window)
    return [
        stretch("Raw", before, raw_window, shown, ()),
        stretch(f"Mirror {facts.name}", after, window, held, settling),
        stretch(f"Mirror {facts.name}, from the beginning", after, beginning, held, settling),
        stretch(f"Mirror {facts.name}, where a kept site is farthest from zero", after, deviation, held, settling),
    ]


def _shown_sites(inputs: PageInputs) -> Positions:
    return _spread_over_array(inputs.mask, inputs.table.pitch_mm or (1.0, 1.0))


def _held(shown: Positions, n_sites: int, window: slice) -> Positions:
    """Return the sites whose traces of the mirror the page holds: all, where those are few numbers, else the shown."""
    return np.arange(n_sites) if n_sites * (window.stop - window.start) <= _MOST_TRACE_SAMPLES else shown


def _around(middle: int, rate: Fraction, n_samples: int) -> slice:
    length = min(n_samples, max(LEAST_SEGMENT, round(_TRACE_SECONDS * rate)))
    first = min(max(0, middle - length // 2), n_samples - length)
    return slice(first, first + length)


def _settling(after: Signals, facts: MirrorFacts) -> list[tuple[float, float]]:
    """Return the seconds from and until which the padding of the filter shows: at both ends of what has no gap."""
    settling = facts.settling_samples
    ends = [
        interval
        for first, stop in after.gap_free
        for interval in ((first, min(first + settling, stop)), (max(first, stop - settling), stop))
    ]
    return [(float(begin / after.rate), float(end / after.rate)) for begin, end in ends if begin < end]


def lines_of(events: EventsTable, rate: Fraction) -> list[Line]:
    """Return what a page shows of the BNC lines of a recording with this sampling rate."""
    return [
        Line(column, found["note"], events.rising[column] / float(rate) if column in events.rising else None)
        for column, found in events.facts.items()
    ]


def _timeline(inputs: PageInputs) -> Timeline:
    before, after, events = inputs.before, inputs.after, inputs.events
    length = float(before.n_samples / before.rate)
    return Timeline(
        seconds=length,
        lines=lines_of(events, before.rate),
        parts=[(float(segment.first_sample / before.rate), segment.part) for segment in before.segments],
        settling=_overlaps(_settling(after, inputs.facts), 0.0, length),
    )


def _captions(
    surveys: tuple[Survey, Survey], inputs: PageInputs, whole: OverTime, averaged: Response | None
) -> dict[str, str]:
    """Say of each figure what it shows, with the settings that were used."""
    mask, table, facts = inputs.mask, inputs.table, inputs.facts
    made = f"{facts.rate_text}, band-pass {facts.filter_text}, notches {facts.notch_text}, reference "
    made += f"{facts.reference_text}, {facts.row_text}"
    thresholds = ", ".join(f"{name} {value:g}" for name, value in mask.header["thresholds"].items())
    hertz = line_frequencies(mask)
    lines = " and ".join(f"{frequency}" for frequency in hertz)
    declared = f"as declared; mirror of {surveys[1].windows}"
    if len(hertz) > 1:
        declared = "no line_frequency is declared, so both are shown, and no site is masked by them"
    rows, columns = table.grid
    return {
        "maps": (
            f"The {rows} x {columns} array, row 0 on top; masked sites are crossed, sites a person kept have a ring, "
            "and colours span 2 to 98 % of the kept sites but for those. Raw numbers are of all samples, and are those "
            "that the automatic rule goes by (mask.tsv). RMS about the mean: mirror "
            f"{facts.name} of {surveys[1].windows}. Line noise: RMS at {lines} Hz ({declared}), without harmonics, "
            "averaged over tiles of 1 to 2 s. Correlation: median over "
            "the up to eight sites around a site, of changes at 1 to 9 Hz. "
            f"Mask: {wording.sites_text(mask)}; automatic rule with {thresholds}."
        ),
        "spectra": (
            f"Power density of the {int(mask.keep.sum())} kept sites before (raw, {surveys[0].windows}) and after "
            f"(mirror {facts.name}, {surveys[1].windows}): median and 10 to 90 % of sites; Welch, Hann segments of "
            f"{segment_seconds(facts)} s. Below: the median over up to {SPECTROGRAM_SITES} kept sites of the "
            f"mirror, in single segments spread over the recording. Mirror: {made}."
        ),
        "over_time": (
            f"Above: RMS of each raw site in windows of {whole.seconds_of_window:g} s, the median or the largest "
            f"window of each of {len(whole.starts)} bins, on a logarithmic scale; triggers above, gaps dashed. Below: "
            f"least and largest value of the mirror in bins of {whole.bin_seconds:.3g} s, of all samples, of the "
            "chosen site."
        ),
        "response": _response_caption(averaged),
        "traces": (
            f"Sites spread over the array, each about its median, raw in microvolts (gain {table.gain:g}) and mirrored "
            f"({made}). The stretch is around the trigger nearest to the middle of the recording, or the middle "
            f"where there is none; then the beginning of the mirror, and where a kept site is farthest from zero. The "
            "filter settles within "
            f"{facts.settling_text}, shaded. Masked sites are in red."
        ),
        "triggers": (
            "Rising edges of the BNC lines, found at the recording's full rate "
            f"({wording.rate_text(facts.rate * facts.ratio)}) before any filter; dashed: where a part of the "
            "recording ends and the next begins; shaded: where the filter of the mirror settles, at both ends of the "
            "recording and on both sides of a gap."
        ),
    }


def _response_caption(averaged: Response | None) -> str:
    if averaged is None:
        return "No digital line has three rising edges or more with samples on both sides."
    return (
        f"Mirror around the rising edges of line {averaged.column}, about the mean of the "
        f"{-averaged.seconds[0]:.2g} s before: average of {averaged.n_averaged} of {averaged.n_edges} edges."
    )


def _all_seconds(edges: dict[int, npt.NDArray[np.int64]], rate: Fraction) -> Floats:
    return np.sort(np.concatenate([np.array([], np.int64), *edges.values()]) / float(rate))


def _stretch(rising: Floats, rate: Fraction, n_samples: int) -> slice:
    """Choose the samples to show: around the trigger that is nearest to the middle of the recording, or the middle."""
    length = min(n_samples, max(LEAST_SEGMENT, round(_TRACE_SECONDS * rate)))
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


def _reference_text(facts: MirrorFacts, mask: MaskTable) -> str:
    if facts.settings["reference"] == "none":
        return facts.reference_text
    return f"{facts.reference_text}, {int(mask.keep.sum())} of {len(mask)}"


def _facts(inputs: PageInputs) -> list[tuple[str, str]]:
    recording, mask, facts = inputs.recording, inputs.mask, inputs.facts
    acquisition = recording.acquisition
    length = wording.length_text(recording.n_samples, acquisition.rate)
    optional = [
        ("gaps", wording.gaps_text(recording.segments, acquisition.rate)),
        ("cropped", wording.cropped_text(acquisition.cropped)),
        ("bad samples", wording.bad_samples_text(inputs.scan.numbers["n_nonfinite"])),
        ("overrides", wording.overrides_text(acquisition.overrides | inputs.table.overrides)),
        ("notes", "; ".join([*inputs.scan.acquisition.notes, *mask.notes, *wording.diagnostics_texts(mask)])),
    ]
    return [
        ("raw", f"{wording.rate_text(acquisition.rate)}, {length}, {acquisition.n_channels} channels"),
        ("array", wording.array_text(inputs.table)),
        ("mirror", facts.rate_text),
        ("band", facts.filter_text),
        ("notches", facts.notch_text),
        ("reference", _reference_text(facts, mask)),
        ("rows", facts.row_text),
        ("settling", facts.settling_text),
        ("sites", wording.sites_text(mask)),
        ("masked", wording.masked_text(mask)),
        ("triggers", wording.lines_text(inputs.events)),
        *((name, text) for name, text in optional if text),
    ]
