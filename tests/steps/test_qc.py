"""The quality page shows what is in the recording: RMS, spectra, traces, triggers and masked sites are true."""

import json
import struct

import h5py
import numpy as np
import pytest
from finished_study import Faults, draw_page, finished_recording
from PIL import Image

from ecogpipe.errors import FormatError
from ecogpipe.params import override
from ecogpipe.steps.qc import page_content

FAULTS = Faults(dead_sites=((1, 2),), noisy_sites=((5, 5),), saturated=((3, 6),))
MASKED = {(1, 2), (5, 5), (3, 6)}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "test_001"
    return finished_recording(folder, seconds=20, faults=FAULTS, notes=["cropped to the common length"])


def content_of(done):
    return page_content(done.raw, done.channels, done.mask, done.scan, done.events, done.mirror, title="s1/a/test_001")


@pytest.fixture(scope="module")
def content(recording):
    return content_of(recording)


def test_rms_of_the_raw_sites_is_that_of_all_samples_in_microvolts(recording, content):
    truth = recording.truth
    volts = truth.block(0, truth.n_samples)[truth.site_channels]
    expected = (volts.std(axis=1) * 1e6 / truth.wiring.gain).reshape(truth.wiring.grid)
    found = np.full(truth.wiring.grid, np.nan)
    found[content.sites.rows, content.sites.columns] = content.rms_before
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_rms_of_the_mirror_is_that_of_its_rows(recording, content):
    with h5py.File(recording.mirror) as file:
        rows = file["data"][()][file["electrode_channels"][()]]
    windows = rows.reshape(len(rows), 5, -1)  # 20 s are 5 windows of 4 s
    expected = np.sqrt(windows.astype(np.float64).var(axis=2).mean(axis=1))
    np.testing.assert_allclose(content.rms_after, expected, rtol=1e-6)
    assert content.windows == "5 windows of 4 s"


def test_masked_sites_are_marked_on_the_array_and_among_the_traces(content):
    sites = content.sites
    assert set(zip(sites.rows[~sites.keep], sites.columns[~sites.keep], strict=True)) == MASKED
    shown = dict(zip(content.traces.labels, content.traces.keep, strict=True))
    assert {label for label, keep in shown.items() if not keep} == {"1, 2", "5, 5", "3, 6"}
    assert sum(shown.values()) == 12


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
    traces = content.traces
    first = round(traces.seconds[0] * 200)
    with h5py.File(recording.mirror) as file:
        electrodes = file["electrode_channels"][()]
        sites = [f"{row}, {column}" for row, column in file["sites"][()]]
        rows = file["data"][()][electrodes][[sites.index(label) for label in traces.labels]]
    np.testing.assert_array_equal(traces.microvolts, rows[:, first : first + 400])
    truth = recording.truth.trigger_samples / 1000
    inside = truth[(truth >= traces.seconds[0]) & (truth < traces.seconds[0] + 2)]
    assert len(inside) > 0
    np.testing.assert_allclose(traces.rising, inside)


def test_facts_quote_settings_counts_and_notes(content):
    facts = dict(content.facts)
    assert facts["mirror"] == "200 Hz (1000 Hz / 5)"
    assert "2 to 80 Hz" in facts["band"]
    assert facts["notches"] == "60 Hz, 2 Hz wide"
    assert facts["sites"] == "61 of 64 kept"
    assert set(facts["masked"].split(", ")) == {"dead (1)", "noisy (1)", "railed (1)"}
    assert facts["notes"] == "cropped to the common length"
    assert "bad samples" not in facts


def test_settling_is_shaded_where_a_short_recording_shows_it(tmp_path):
    short = content_of(finished_recording(tmp_path / "short", seconds=2))
    (begin, until), (since, end) = short.traces.settling
    assert (begin, end) == (0.0, 2.0)
    assert until > 0.1
    assert since == pytest.approx(2.0 - until)


def test_the_page_is_a_landscape_picture_that_says_what_made_it(recording):
    page = draw_page(recording)
    with Image.open(page) as picture:
        assert picture.size == (1820, 1170)
        assert picture.text["Title"] == "s1/a/test_001"
        made_by = json.loads(picture.text["provenance"])
    assert made_by["step"] == "qc"
    assert [described["name"] for described in made_by["inputs"]][-1] == "test_001_Fs200.h5"


def test_bytes_do_not_depend_on_the_memory_limit(recording):
    pages = []
    for limit in (2e9, 8e6):
        with override(memory_limit=limit):
            pages.append(draw_page(recording).read_bytes())
    assert pages[0] == pages[1]


@pytest.mark.parametrize("seconds", [0.3, 1.5])
def test_short_recordings_get_a_page(tmp_path, seconds):
    page = draw_page(finished_recording(tmp_path / "short", seconds=seconds))
    assert page.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", page.read_bytes()[16:24]) == (1820, 1170)


def test_a_recording_with_every_site_masked_gets_a_page(tmp_path):
    done = finished_recording(tmp_path / "test_001", seconds=3, faults=Faults(dead_columns=tuple(range(8))))
    assert not content_of(done).sites.keep.any()
    assert draw_page(done).stat().st_size > 10_000


def test_a_mask_of_another_recording_is_refused(recording, tmp_path):
    lines = recording.mask.read_text().splitlines(keepends=True)
    (tmp_path / "mask.tsv").write_text("".join(lines[:-1]))
    with pytest.raises(FormatError, match="is not the mask of"):
        page_content(
            recording.raw,
            recording.channels,
            tmp_path / "mask.tsv",
            recording.scan,
            recording.events,
            recording.mirror,
            title="",
        )


def test_a_recording_in_place_of_its_mirror_is_refused(recording):
    with pytest.raises(FormatError, match="is not a mirror"):
        page_content(
            recording.raw,
            recording.channels,
            recording.mask,
            recording.scan,
            recording.events,
            recording.raw,
            title="",
        )
