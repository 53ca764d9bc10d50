"""The quality page shows what is in the recording: RMS, spectra, traces, triggers and masked sites are true."""

import json
from dataclasses import asdict

import h5py
import numpy as np
import pytest

from ecogpipe.errors import FormatError
from ecogpipe.figures.page_file import read_page_file
from ecogpipe.figures.page_numbers import read_page_numbers
from ecogpipe.results.mask import read_mask, write_mask
from ecogpipe.results.provenance import read_provenance
from ecogpipe.runtime.params import override
from ecogpipe.steps.qc import page_of
from finished_study import Faults, finished_recording, interrupted_recording, write_page

FAULTS = Faults(dead_sites=((1, 2),), noisy_sites=((5, 5),), saturated=((3, 6),))
MASKED = {(1, 2), (5, 5), (3, 6)}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "test_001"
    return finished_recording(folder, seconds=20, faults=FAULTS, notes=["cropped to the common length"])


def content_of(done):
    return page_of(done.raw, done.channels, done.mask, done.scan, done.events, done.mirror, recording="s1/a/test_001")


@pytest.fixture(scope="module")
def content(recording):
    return content_of(recording)


def test_rms_of_the_raw_sites_is_that_of_all_samples_in_microvolts(recording, content):
    truth = recording.truth
    volts = truth.block(0, truth.n_samples)[truth.site_channels]
    expected = (volts.std(axis=1) * 1e6 / truth.wiring.gain).reshape(truth.wiring.grid)
    found = np.full(truth.wiring.grid, np.nan)
    found[content.sites.rows, content.sites.columns] = content.maps[0].values
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_rms_of_the_mirror_is_that_of_its_rows(recording, content):
    with h5py.File(recording.mirror) as file:
        rows = file["data"][()][file["electrode_channels"][()]]
    windows = rows.reshape(len(rows), 5, -1)  # 20 s are 5 windows of 4 s
    expected = np.sqrt(windows.astype(np.float64).var(axis=2).mean(axis=1))
    np.testing.assert_allclose(content.maps[1].values, expected, rtol=1e-6)
    assert "5 windows of 4 s" in content.captions["maps"]


def test_raw_maps_show_the_numbers_that_the_mask_goes_by(recording, content):
    numbers, to_microvolts = read_mask(recording.mask).numbers, 1e6 / recording.truth.gain
    raw = [shown for shown in content.maps if shown.title.endswith("raw")]
    names = ["std", "neighbour_correlation", "line50_rms", "line60_rms"]
    assert len(raw) == len(names)
    for shown, name, scale in zip(raw, names, [to_microvolts, 1, to_microvolts, to_microvolts], strict=True):
        np.testing.assert_array_equal(shown.values, numbers[name] * scale)
    assert "those that the automatic rule goes by (mask.tsv)" in content.captions["maps"]
    places = list(zip(content.sites.rows.tolist(), content.sites.columns.tolist(), strict=True))
    correlation = content.maps[2].values
    assert np.isnan(correlation[places.index((1, 2))])  # a dead site is like no other
    assert correlation[places.index((5, 5))] < 0.5 * np.nanmedian(correlation)  # nor is one that is noise


def test_line_noise_is_what_was_planted_and_no_frequency_is_guessed(recording, content):
    at_50, at_60 = content.maps[3:]
    assert ["50 Hz" in at_50.title, "60 Hz" in at_60.title] == [True, True]
    assert "no line_frequency is declared, so both are shown" in content.captions["maps"]
    assert np.median(at_60.values) == pytest.approx(20 / np.sqrt(2), rel=0.01)
    assert np.median(at_50.values) < 0.5


def test_a_declared_line_is_shown_before_and_after(tmp_path):
    content = content_of(finished_recording(tmp_path / "test_001", seconds=5, overrides={"line_frequency": 60}))
    before, after = content.maps[3:]
    assert (before.title, after.title) == ("Line noise at 60 Hz, raw", "Line noise at 60 Hz, Fs200")
    assert before.limits == after.limits
    assert np.median(before.values) == pytest.approx(20 / np.sqrt(2), rel=0.01)
    assert np.median(after.values) < 0.05 * np.median(before.values)
    assert "at 60 Hz (as declared; mirror of 1 window of 4 s)" in content.captions["maps"]


def test_line_noise_that_no_filter_took_off_is_the_same_in_the_mirror(tmp_path):
    no_filter = {"ratio": 5, "bandpass": [None, None]}
    settings = {"seconds": 5, "overrides": {"line_frequency": 60}}
    before, after = content_of(finished_recording(tmp_path / "test_001", mirror=no_filter, **settings)).maps[3:]
    close = np.abs(after.values / before.values - 1) < 0.02
    assert close.sum() >= 62  # but for those whose tone is beside the line, of which tiles of other lengths see more


def test_triggers_of_the_whole_recording_are_on_their_lines(recording, content):
    pulses, analog = content.timeline.lines
    np.testing.assert_allclose(pulses.rising, recording.truth.trigger_samples / 1000)
    assert (pulses.column, analog.column, analog.rising) == (10, 11, None)
    assert content.timeline.seconds == 20


def test_the_mask_says_why(content):
    kinds = dict(zip(zip(content.sites.rows, content.sites.columns, strict=True), content.sites.kinds, strict=True))
    assert {place: kind for place, kind in kinds.items() if kind} == {
        (1, 2): "dead",
        (5, 5): "noisy",
        (3, 6): "railed",
    }


def test_masked_sites_are_marked_on_the_array_and_among_the_traces(content):
    sites = content.sites
    assert set(zip(sites.rows[~sites.keep], sites.columns[~sites.keep], strict=True)) == MASKED
    shown = content.shown_sites
    masked = shown[~sites.keep[shown]]
    assert set(zip(sites.rows[masked], sites.columns[masked], strict=True)) == MASKED
    assert len(shown) == 13
    for traces in content.traces:
        assert set(shown) <= set(traces.sites)


def test_spectra_hold_the_planted_line_noise_before_and_not_after(content):
    before, after = content.spectra.before, content.spectra.after
    at_60 = np.flatnonzero(before.frequencies == 60)[0]
    assert before.median[at_60] > 100 * before.median[at_60 + 5]
    assert after.median[at_60] < before.median[at_60] / 1000
    assert before.frequencies[-1] == content.spectra.nyquist_before == 500
    assert after.frequencies[-1] == content.spectra.nyquist_after == 100


def test_power_in_the_band_is_the_same_before_and_after(content):
    band = slice(10, 40)
    before, after = content.spectra.before.median[band], content.spectra.after.median[band]
    np.testing.assert_allclose(after, before, rtol=0.05)


def test_faulty_sites_are_not_in_the_spectra(content):
    assert content.spectra.before.high[200:].max() < 1.0  # 500 microvolts of noise would be 500


def test_traces_are_samples_of_the_mirror_and_triggers_are_on_time(recording, content):
    raw, traces, beginning, deviation = content.traces
    assert traces.seconds_each == 1 / 200
    first = round(traces.first_second * 200)
    with h5py.File(recording.mirror) as file:
        rows = file["data"][()][file["electrode_channels"][()]][traces.sites]
    steps = np.ptp(rows, axis=1).max() / 2**16
    np.testing.assert_allclose(traces.microvolts.values(), rows[:, first : first + 400], atol=steps)
    truth = recording.truth.trigger_samples / 1000
    inside = truth[(truth >= traces.first_second) & (truth < traces.first_second + 2)]
    assert len(inside) > 0
    np.testing.assert_allclose(traces.rising, inside)
    np.testing.assert_array_equal(raw.rising, traces.rising)
    volts = recording.truth.block(first * 5, (first + 400) * 5)[recording.truth.site_channels]
    expected = volts[_order(content, recording.truth)[raw.sites]] * 1e6 / recording.truth.gain
    np.testing.assert_allclose(raw.microvolts.values(), expected, atol=np.ptp(expected, axis=1).max() / 2**16 + 1e-6)
    assert raw.first_second == traces.first_second
    assert beginning.first_second == 0
    assert beginning.settling[0][0] == 0
    kept = np.abs(rows[content.sites.keep[traces.sites]])
    when = np.unravel_index(kept.argmax(), kept.shape)[1] / 200
    assert deviation.first_second - 0.1 <= when <= deviation.first_second + 2.1


def test_facts_quote_settings_counts_and_notes(content):
    facts = dict(content.facts)
    assert facts["mirror"] == "200 Hz (1000 Hz / 5)"
    assert "2 to 80 Hz" in facts["band"]
    assert facts["notches"] == "60 Hz, 2 Hz wide"
    assert facts["sites"] == "61 of 64 kept"
    assert set(facts["masked"].split(", ")) == {"dead (1)", "noisy (1)", "railed (1)"}
    notes = facts["notes"].split("; ")
    assert [note.partition(":")[0] for note in notes] == [
        "cropped to the common length",
        "diagnostic column 3",
        "diagnostic column 6",
    ]
    assert "level 0.0267 V" in notes[1]
    assert "bad samples" not in facts


def test_settling_is_shaded_where_a_short_recording_shows_it(tmp_path):
    short = content_of(finished_recording(tmp_path / "short", seconds=2))
    (begin, until), (since, end) = short.traces[1].settling
    assert (begin, end) == (0.0, 2.0)
    assert until > 0.1
    assert since == pytest.approx(2.0 - until)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    return content_of(interrupted_recording(tmp_path_factory.mktemp("study") / "test_002"))


def test_settling_is_shaded_on_both_sides_of_a_gap(interrupted):
    (_, length), *_ = interrupted.timeline.settling
    assert 0.3 < length < 1
    edges = [(0, length), (7 - length, 7), (7, 7 + length), (11 - length, 11), (11, 11 + length), (15 - length, 15)]
    np.testing.assert_allclose(interrupted.timeline.settling, edges)
    stretch = interrupted.traces[1]
    begin, end = stretch.first_second, stretch.first_second + 2
    assert begin < 7 < end
    np.testing.assert_allclose(stretch.settling, np.clip([edge for edge in edges if edge[1] > begin][:2], begin, end))
    assert [when for when, _ in interrupted.timeline.parts] == [0, 7, 11]
    assert [traces.gaps for traces in interrupted.traces[:3]] == [(7,), (7,), ()]


def test_no_window_has_a_gap_in_it(interrupted):
    assert "2 windows of 4 s" in interrupted.captions["spectra"]  # not the one from 5.5 to 9.5 s


def test_notes_tell_of_gaps_overlaps_and_what_was_cropped(interrupted):
    facts = dict(interrupted.facts)
    assert facts["gaps"] == "at 7 s a gap of 10 s, at 11 s an overlap of 0.5 s"
    assert facts["cropped"] == "p2.tdms to 4000 samples (truncated)"
    notes = facts["notes"]
    assert "p1.tdms starts 10.000000 s after the end of p0.tdms: a new segment begins" in notes
    assert "p2.tdms starts 0.500000 s before the end of p1.tdms: a new segment begins" in notes
    assert "p2.tdms: truncated" in notes
    assert "cropped to 4000" in notes


def test_the_page_and_the_file_beside_it_hold_the_same_and_say_what_made_them(recording):
    page = write_page(recording)
    written = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert read_page_file(page) == written == read_page_numbers(page.with_suffix(".json"))
    made_by = written["provenance"]
    assert made_by["step"] == "qc"
    assert [described["name"] for described in made_by["inputs"]][-1] == "test_001_Fs200.h5"
    assert read_provenance(page) == made_by
    assert written["sites"]["keep"] == content_of(recording).sites.keep.tolist()
    assert written["captions"].keys() == {"maps", "over_time", "spectra", "traces", "response", "triggers"}
    assert not any("{" in caption for caption in written["captions"].values())
    assert "band-pass 2 to 80 Hz" in written["captions"]["spectra"]


def test_numbers_in_the_file_are_those_of_the_page(recording):
    numbers = read_page_numbers(write_page(recording).with_suffix(".json"))
    expected = content_of(recording)
    for found, shown in zip(numbers["maps"], expected.maps, strict=True):
        np.testing.assert_allclose(np.array(found["values"], float), shown.values, rtol=1e-4)
    assert [tuple(fact) for fact in numbers["facts"]] == expected.facts


def test_rms_over_time_is_that_of_each_second(recording, content):
    truth = recording.truth
    volts = truth.block(0, truth.n_samples)[truth.site_channels]
    seconds = (volts * 1e6 / truth.wiring.gain).reshape(len(volts), 20, 1000)
    found, expected = content.over_time.rms.values(), np.log10(np.maximum(seconds.std(axis=2), 1e-30))
    np.testing.assert_array_equal(content.over_time.starts, np.arange(20))
    low, high = content.over_time.rms.low[0], content.over_time.rms.high[0]
    order = _order(content, truth)
    np.testing.assert_allclose(found, np.clip(expected[order], low, high), atol=(high - low) / 254 + 1e-6)


def _order(content, truth):
    """Return the place in `site_channels` of each site of a page."""
    columns = truth.wiring.grid[1]
    return content.sites.rows * columns + content.sites.columns


def test_the_envelope_holds_every_sample_of_the_mirror(recording, content):
    with h5py.File(recording.mirror) as file:
        rows = file["data"][()][file["electrode_channels"][()]]
    length = round(content.over_time.bin_seconds * 200)
    bins = [rows[:, first : first + length] for first in range(0, rows.shape[1], length)]
    for found, reduce in ((content.over_time.lowest, np.min), (content.over_time.highest, np.max)):
        expected = np.stack([reduce(each, axis=1) for each in bins], axis=1)
        np.testing.assert_allclose(found.values(), expected, atol=np.ptp(expected, axis=1).max() / 254)


def test_the_response_is_the_average_around_the_planted_triggers(recording, content):
    found = content.response
    with h5py.File(recording.mirror) as file:
        rows = file["data"][()][file["electrode_channels"][()]].astype(float)
    centres = np.rint(recording.truth.trigger_samples / 5).astype(int)
    first, stop = round(-0.2 * 200), round(found.seconds[-1] * 200) + 1
    whole = [centre for centre in centres if centre + first >= 0 and centre + stop <= rows.shape[1]]
    assert (found.column, found.n_edges) == (10, len(centres))
    average = np.mean([rows[:, centre + first : centre + stop] for centre in whole], axis=0)
    average -= average[:, :-first].mean(axis=1, keepdims=True)
    values = found.microvolts.values()
    points = average[:, : values.shape[1]] if len(found.seconds) == average.shape[1] else None
    if points is None:
        each = round((found.seconds[1] - found.seconds[0]) * 200)
        points = average[:, : values.shape[1] * each]
        points = np.pad(points, ((0, 0), (0, values.shape[1] * each - points.shape[1])), mode="edge")
        points = points.reshape(len(rows), -1, each).mean(axis=2)
    np.testing.assert_allclose(values[:, :-1], points[:, :-1], atol=np.ptp(points) / 200)


def test_the_spectrogram_shows_a_tone_when_it_sounds(tmp_path):
    """The mirror is given a tone of 40 Hz in its second half."""
    done = finished_recording(tmp_path / "test_001", seconds=20)
    with h5py.File(done.mirror, "r+") as file:
        half = file["data"].shape[1] // 2
        tone = 300 * np.sin(2 * np.pi * 40 * np.arange(half) / 200)
        file["data"][:, half:] = file["data"][:, half:] + tone.astype(np.float32)
    found = content_of(done).spectrogram
    at_40 = np.abs(found.frequencies - 40).argmin()
    levels = found.decibels.values()[:, at_40]
    assert found.n_sites == 8
    assert levels[found.seconds > 10.6].min() > levels[found.seconds < 9.4].max() + 15


def test_the_spectrum_of_each_site_is_held(content):
    spectra = content.spectra
    before = spectra.of_sites_before.values()
    assert before.shape == (64, len(spectra.frequencies_of_sites))
    places = list(zip(content.sites.rows.tolist(), content.sites.columns.tolist(), strict=True))
    high = spectra.frequencies_of_sites > 200
    noisy, usual = before[places.index((5, 5))][high], np.nanmedian(before[:, high], axis=0)
    assert np.all(noisy > usual + 10)


def test_what_is_shown_does_not_depend_on_the_memory_limit(tmp_path):
    recording = finished_recording(tmp_path / "test_001", seconds=9, overrides={"line_frequency": 60})
    before = content_of(recording)
    with override(memory_limit=8e6):
        np.testing.assert_equal(asdict(content_of(recording)), asdict(before))


def test_a_recording_shorter_than_any_window_gets_a_page_that_says_so(tmp_path):
    page = write_page(finished_recording(tmp_path / "short", seconds=0.3))
    assert any(
        "No sample of the mirror is free of the filter's settling" in said for said in read_page_file(page)["warnings"]
    )


def test_a_short_recording_with_every_site_masked_gets_a_page(tmp_path):
    done = finished_recording(tmp_path / "test_001", seconds=1.5, faults=Faults(dead_columns=tuple(range(8))))
    content = content_of(done)
    assert not content.sites.keep.any()
    assert "Every site is masked." in content.warnings
    write_page(done)


def test_a_mirror_of_masked_rows_alone_says_that_it_has_no_sample(tmp_path):
    done = finished_recording(tmp_path / "test_001", seconds=3)
    with h5py.File(done.mirror, "r+") as file:
        file["data"][...] = 0
    assert "The kept sites of the mirror are zero everywhere." in content_of(done).warnings
    with h5py.File(done.mirror, "r+") as file:
        file["data"][...] = np.nan
    assert "No kept site of the mirror has a finite sample." in content_of(done).warnings


def test_a_mask_of_another_recording_is_refused(recording, tmp_path):
    lines = recording.mask.read_text().splitlines(keepends=True)
    (tmp_path / "mask.tsv").write_text("".join(lines[:-1]))
    with pytest.raises(FormatError, match="is not the mask of"):
        page_of(
            recording.raw,
            recording.channels,
            tmp_path / "mask.tsv",
            recording.scan,
            recording.events,
            recording.mirror,
            recording="",
        )


def test_a_mask_without_the_numbers_is_refused(recording, tmp_path):
    mask = read_mask(recording.mask)
    del mask.numbers["line60_rms"]
    inputs = recording.scan, recording.events, recording.mirror
    with pytest.raises(FormatError, match="lacks the column line60_rms; run mask_channels again"):
        page_of(recording.raw, recording.channels, write_mask(tmp_path / "mask.tsv", mask), *inputs, recording="")


def test_a_recording_in_place_of_its_mirror_is_refused(recording):
    with pytest.raises(FormatError, match="is not a mirror"):
        page_of(
            recording.raw,
            recording.channels,
            recording.mask,
            recording.scan,
            recording.events,
            recording.raw,
            recording="",
        )


@pytest.mark.parametrize(("ratio", "seconds"), [(1000, 8), (4000, 40), (10_000, 40)])
def test_mirrors_of_slow_drifts_have_a_page(tmp_path, ratio, seconds):
    """Down to a sample in ten seconds."""
    settings = {"ratio": ratio, "bandpass": [None, None], "notches": [], "reference": "none"}
    done = finished_recording(tmp_path / "test_001", seconds=seconds, mirror=settings)
    assert read_page_file(write_page(done))["recording"] == "s1/a/test_001"
