"""What a quality page shows of a recording and one of its mirrors: numbers and words for each of its figures."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ecogpipe.figures import wording
from ecogpipe.figures.array import SiteMap, Sites, colour_limits
from ecogpipe.figures.page import Page
from ecogpipe.figures.page_inputs import (
    LEAST_SEGMENT,
    SEGMENT_SECONDS,
    Floats,
    PageInputs,
    Positions,
    Signals,
    Survey,
    line_frequencies,
    line_name,
    line_noise,
    survey,
)
from ecogpipe.figures.spectrum import Spectra
from ecogpipe.figures.traces import Traces
from ecogpipe.figures.triggers import Line, Timeline
from ecogpipe.figures.wording import MirrorFacts
from ecogpipe.results.mask import MaskTable
from ecogpipe.statistics import psd
from ecogpipe.statistics.line_noise import MAINS_HZ

_TRACE_SECONDS = 2
_BEFORE_TRIGGER_SECONDS = 0.5
_BEGINNING_SECONDS = 1
_KEPT_TRACES, _MASKED_TRACES = 10, 3


def page_content(inputs: PageInputs, title: str) -> Page:
    """Return what a quality page shows; it does not depend on the memory limit."""
    masked, table, facts = inputs.mask, inputs.table, inputs.facts
    before, after, everything = inputs.before, inputs.after, np.arange(len(inputs.mask))
    surveys = survey(before, everything), survey(after, everything)
    return Page(
        title=title,
        subtitle=f"mirror {facts.name}: {wording.rate_text(facts.rate)}, band {facts.filter_text}",
        sites=Sites(
            masked.site_row, masked.site_column, table.grid, table.pitch_mm, masked.keep, wording.mask_kinds(masked)
        ),
        maps=_maps(inputs, surveys[1]),
        spectra=_spectra(surveys, masked, facts),
        traces=_traces(inputs),
        timeline=_timeline(inputs),
        facts=_facts(inputs),
        captions=_captions(surveys, inputs),
    )


def _maps(inputs: PageInputs, mirrored: Survey) -> list[SiteMap]:
    numbers, facts = inputs.mask.numbers, inputs.facts
    return [
        SiteMap("RMS, raw", "RMS (µV)", numbers["std"] * abs(inputs.to_microvolts)),
        SiteMap(f"RMS, mirror {facts.name}", "RMS (µV)", mirrored.rms),
        SiteMap(
            "Correlation with neighbours, raw",
            "median correlation",
            numbers["neighbour_correlation"],
            colours="cividis",
        ),
        *_line_maps(inputs.mask, abs(inputs.to_microvolts), inputs.after, facts.name),
    ]


def _line_maps(mask: MaskTable, to_microvolts: float, after: Signals, mirror: str) -> list[SiteMap]:
    """Return the line noise at the declared frequency, raw and mirrored; or of the raw signal at each that there is."""
    hertz = line_frequencies(mask)
    cases = [(f"{frequency} Hz, raw", mask.numbers[line_name(frequency)] * to_microvolts) for frequency in hertz]
    if len(hertz) == 1:
        cases.append((f"{hertz[0]} Hz, {mirror}", line_noise(after, len(mask))[MAINS_HZ.index(hertz[0])]))
    highest = max(colour_limits(noise, mask.keep, (0.0, None))[1] for _, noise in cases)
    return [
        SiteMap(f"Line noise at {case}", "RMS (µV)", noise, colours="magma", limits=(0.0, highest))
        for case, noise in cases
    ]


def _spectra(surveys: tuple[Survey, Survey], mask: MaskTable, facts: MirrorFacts) -> Spectra:
    before, after = (psd.over_sites(survey.frequencies, survey.densities[mask.keep]) for survey in surveys)
    return Spectra(
        before=before,
        after=after,
        nyquist_before=float(facts.rate * facts.ratio / 2),
        nyquist_after=float(facts.rate / 2),
        band=facts.band,
        notches=facts.notches,
    )


def _traces(inputs: PageInputs) -> list[Traces]:
    """Return the same sites raw and mirrored around a trigger, and mirrored where the recording begins."""
    before, after, mask, facts = inputs.before, inputs.after, inputs.mask, inputs.facts
    rising, falling = (_all_seconds(edges, before.rate) for edges in (inputs.events.rising, inputs.events.falling))
    shown = _spread_over_array(mask, inputs.table.pitch_mm or (1.0, 1.0))
    labels = tuple(f"{mask.site_row[site]}, {mask.site_column[site]}" for site in shown)
    settling = _settling(after, facts)
    gaps = [float(first / before.rate) for first, _ in before.gap_free[1:]]

    def stretch(title: str, signals: Signals, window: slice, shaded: Sequence[tuple[float, float]]) -> Traces:
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
    first = max(LEAST_SEGMENT, round(_BEGINNING_SECONDS * after.rate))
    beginning = slice(0, min(after.n_samples, max(first, 2 * facts.settling_samples)))
    return [
        stretch("Raw", before, raw_window, ()),
        stretch(f"Mirror {facts.name}", after, window, settling),
        stretch(f"Mirror {facts.name}, from the beginning", after, beginning, settling),
    ]


def _settling(after: Signals, facts: MirrorFacts) -> list[tuple[float, float]]:
    """Return the seconds from and until which the padding of the filter shows: at both ends of what has no gap."""
    settling = facts.settling_samples
    ends = [
        interval
        for first, stop in after.gap_free
        for interval in ((first, min(first + settling, stop)), (max(first, stop - settling), stop))
    ]
    return [(float(begin / after.rate), float(end / after.rate)) for begin, end in ends if begin < end]


def _timeline(inputs: PageInputs) -> Timeline:
    before, after, events = inputs.before, inputs.after, inputs.events
    length = float(before.n_samples / before.rate)
    return Timeline(
        seconds=length,
        lines=[
            Line(column, found["note"], events.rising[column] / float(before.rate) if column in events.rising else None)
            for column, found in events.facts.items()
        ],
        parts=[(float(segment.first_sample / before.rate), segment.part) for segment in before.segments],
        settling=_overlaps(_settling(after, inputs.facts), 0.0, length),
    )


def _captions(surveys: tuple[Survey, Survey], inputs: PageInputs) -> dict[str, str]:
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
            f"The {rows} x {columns} array, row 0 on top; masked sites are crossed, places without a channel hatched, "
            "and colours span the kept sites. Raw numbers are of all samples, and are those that the automatic rule "
            f"goes by (mask.tsv). RMS about the mean: mirror {facts.name} of {surveys[1].windows}. Line noise: RMS at "
            f"{lines} Hz ({declared}), without harmonics, averaged over tiles of 1 to 2 s. Correlation: median over "
            "the up to eight sites around a site, of changes at 1 to 9 Hz. "
            f"Mask: {wording.sites_text(mask)}; automatic rule with {thresholds}."
        ),
        "spectra": (
            f"Power density of the {int(mask.keep.sum())} kept sites before (raw, {surveys[0].windows}) and after "
            f"(mirror {facts.name}, {surveys[1].windows}): median and 10 to 90 % of sites; Welch, Hann segments of "
            f"{SEGMENT_SECONDS} s. Mirror: {made}."
        ),
        "traces": (
            f"Sites spread over the array, each about its median, raw in microvolts (gain {table.gain:g}) and mirrored "
            f"({made}). The stretch is around the trigger nearest to the middle of the recording, or the middle "
            f"where there is none; on the right the beginning of the mirror. The filter settles within "
            f"{facts.settling_text}, shaded. Masked sites are in red."
        ),
        "triggers": (
            "Rising edges of the BNC lines, found at the recording's full rate "
            f"({wording.rate_text(facts.rate * facts.ratio)}) before any filter; dashed: where a part of the "
            "recording ends and the next begins; shaded: where the filter of the mirror settles, at both ends of the "
            "recording and on both sides of a gap."
        ),
    }


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


def _facts(inputs: PageInputs) -> list[tuple[str, str]]:
    recording, mask, facts = inputs.recording, inputs.mask, inputs.facts
    acquisition = recording.acquisition
    length = wording.length_text(recording.n_samples, acquisition.rate)
    optional = [
        ("gaps", wording.gaps_text(recording.segments, acquisition.rate)),
        ("cropped", wording.cropped_text(acquisition.cropped)),
        ("bad samples", wording.bad_samples_text(inputs.scan.numbers["n_nonfinite"])),
        ("overrides", wording.overrides_text(acquisition.overrides)),
        ("notes", "; ".join([*inputs.scan.acquisition.notes, *mask.notes, *wording.diagnostics_texts(mask)])),
    ]
    return [
        ("raw", f"{wording.rate_text(acquisition.rate)}, {length}, {acquisition.n_channels} channels"),
        ("array", wording.array_text(inputs.table)),
        ("mirror", facts.rate_text),
        ("band", facts.filter_text),
        ("notches", facts.notch_text),
        ("reference", facts.reference_text),
        ("rows", facts.row_text),
        ("settling", facts.settling_text),
        ("sites", wording.sites_text(mask)),
        ("masked", wording.masked_text(mask)),
        ("triggers", wording.lines_text(inputs.events)),
        *((name, text) for name, text in optional if text),
    ]
