"""Trigger edges of recordings with a known truth: each one, to the sample, and the table says how it was found."""

from fractions import Fraction

import h5py
import numpy as np
import pytest

import ecogpipe
from ecogpipe.electrodes.channels import BncLine
from ecogpipe.errors import FormatError, MemoryBlowOutError, SettingsError
from ecogpipe.results.events import read_events
from ecogpipe.runtime.params import override
from ecogpipe.steps.extract_events import extract_events
from ecogpipe.steps.scan import scan
from ecogpipe.storage.tsv import read_tsv
from ecogpipe.synthetic import SyntheticRecording
from finished_study import MIRROR, SET_UP, mapped_recording


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return mapped_recording(tmp_path_factory.mktemp("study") / "test_001", rate=2777, seconds=12)


def change_line(recording, folder, change):
    """Rewrite the samples of the trigger line and scan again."""
    with h5py.File(recording.raw) as source, h5py.File(folder / "raw.h5", "w") as file:
        for name in source:
            source.copy(name, file)
        file.attrs.update(source.attrs)
        rows = slice(10 * 8, 11 * 8)
        file["data"][rows] = change(file["data"][rows])
    return scan(folder / "raw.h5", folder / "scan.h5")


def events_of(recording, folder, change, **settings):
    """Return what is found on the trigger line after a change of its samples."""
    path = change_line(recording, folder, change)
    wanted = {"minimum_step": 1.0, **settings}
    return read_events(extract_events(path, recording.channels, folder / "events.tsv", **wanted))


def truth_of(recording):
    return recording.truth.trigger_samples.tolist(), recording.truth.trigger_ends.tolist()


def found_on(events, column=10):
    return events.rising[column].tolist(), events.falling[column].tolist()


def test_every_edge_is_found_to_the_sample(recording, tmp_path):
    found = read_events(extract_events(recording.scan, recording.channels, tmp_path / "events.tsv", minimum_step=1.0))
    assert len(recording.truth.trigger_samples) > 5
    assert found.rising[10].tolist() == recording.truth.trigger_samples.tolist()
    assert found.falling[10].tolist() == recording.truth.trigger_ends.tolist()
    assert list(found.rising) == [10]


def test_rows_are_in_order_of_time_with_exact_seconds(recording, tmp_path):
    table = read_tsv(extract_events(recording.scan, recording.channels, tmp_path / "events.tsv", minimum_step=1.0))
    assert table.columns == ("line", "edge", "sample", "seconds", "fine_sample", "fine_seconds")
    samples = [int(row["sample"]) for row in table.rows]
    assert samples == sorted(samples)
    for row in table.rows:
        assert abs(Fraction(row["seconds"]) - Fraction(int(row["sample"]), 2777)) <= Fraction(1, 2 * 10**9)
        assert abs(Fraction(row["fine_seconds"]) - Fraction(int(row["fine_sample"]), 2777 * 8)) <= Fraction(
            1, 2 * 10**9
        )


def test_the_header_tells_levels_and_threshold(recording, tmp_path):
    facts = read_events(
        extract_events(recording.scan, recording.channels, tmp_path / "events.tsv", minimum_step=1.0)
    ).facts
    assert facts[10]["low_volts"] == pytest.approx(0.0, abs=0.01)
    assert facts[10]["high_volts"] == pytest.approx(5.0, abs=0.01)
    assert facts[10]["threshold_volts"] == (facts[10]["low_volts"] + facts[10]["high_volts"]) / 2
    assert "edges" in facts[10]["note"]
    assert "analog" in facts[11]["note"]


def test_bytes_do_not_depend_on_the_memory_limit(recording, tmp_path):
    tables = []
    for limit in (2e9, 1e5):
        with override(memory_limit=limit):
            extract_events(recording.scan, recording.channels, tmp_path / "events.tsv", minimum_step=1.0)
        tables.append((tmp_path / "events.tsv").read_bytes())
    assert tables[0] == tables[1]


def test_an_active_low_line_is_active_where_any_copy_is_low(tmp_path):
    low = mapped_recording(tmp_path / "test_002", seconds=6, bnc=(BncLine(10, "ttl_low"),))
    path = change_line(low, tmp_path, lambda volts: 5.0 - volts)
    found = read_events(extract_events(path, low.channels, tmp_path / "events.tsv", minimum_step=1.0))
    assert found.rising[10].tolist() == low.truth.trigger_samples.tolist()
    assert found.falling[10].tolist() == low.truth.trigger_ends.tolist()


def test_a_line_that_begins_active_has_no_edge_there(recording, tmp_path):
    def begin_active(volts):
        volts[:, :7] = 5.0
        return volts

    path = change_line(recording, tmp_path, begin_active)
    found = read_events(extract_events(path, recording.channels, tmp_path / "events.tsv", minimum_step=1.0))
    assert found.rising[10].tolist() == recording.truth.trigger_samples.tolist()
    assert found.falling[10][0] == 7
    assert found.facts[10]["begins_active"] is True


def test_a_line_without_pulses_has_no_edges_and_says_so(recording, tmp_path):
    path = change_line(recording, tmp_path, lambda volts: 0.01 * volts)
    events = extract_events(path, recording.channels, tmp_path / "events.tsv", minimum_step=1.0)
    assert read_tsv(events).rows == []
    assert "no pulses" in read_events(events).facts[10]["note"]


def test_a_line_of_nan_has_no_edges(recording, tmp_path):
    path = change_line(recording, tmp_path, lambda volts: np.full_like(volts, np.nan))
    found = read_events(extract_events(path, recording.channels, tmp_path / "events.tsv", minimum_step=1.0))
    assert found.rising[10].tolist() == []
    assert found.facts[10]["lowest_volts"] is None


def noisy(volts):
    return volts + np.random.default_rng(0).normal(scale=0.3, size=volts.shape)


def drifting(volts):
    return volts + np.linspace(0, 1.5, volts.shape[1])


def bouncing(volts):
    """Add bounces in the frames before a state settles: off-on-off-on in place of on, and the same when it ends."""
    high = (volts > 2.5).any(axis=0)
    begins = np.flatnonzero(high[1:] & ~high[:-1]) + 1
    ends = np.flatnonzero(~high[1:] & high[:-1]) + 1
    volts[:, begins + 1], volts[:, ends + 1] = 0.0, 5.0
    return volts


def one_sample(volts):
    volts[:] = 0.02 * np.random.default_rng(0).normal(size=volts.shape)
    volts[5, 7000] = 5.0
    return volts


class TestLinesThatAreNotClean:
    @pytest.mark.parametrize("change", [noisy, drifting, lambda volts: 0.05 * volts + 2.0, lambda volts: volts - 30.0])
    def test_noise_drift_and_other_levels_move_no_edge(self, recording, tmp_path, change):
        assert found_on(events_of(recording, tmp_path, change, minimum_step=0.2)) == truth_of(recording)

    def test_bounces_are_left_out_and_counted(self, recording, tmp_path):
        assert len(events_of(recording, tmp_path, bouncing).rising[10]) == 3 * len(recording.truth.trigger_samples)
        found = events_of(recording, tmp_path, bouncing, debounce=0.0015)
        assert found_on(found) == truth_of(recording)
        assert found.facts[10]["edges_left_out_by_debounce"] == 4 * len(recording.truth.trigger_samples)
        assert "shorter than 0.0015 s left out" in found.facts[10]["note"]

    def test_one_pulse_that_one_copy_saw_in_one_frame_is_found(self, recording, tmp_path):
        found = events_of(recording, tmp_path, one_sample)
        assert found_on(found) == ([7000], [7001])
        assert found.fine_rising[10].tolist() == [7000 * 8 + 5]
        assert found.fine_falling[10].tolist() == [7000 * 8 + 6]

    def test_pulses_in_the_first_and_the_last_frame(self, recording, tmp_path):
        def at_both_ends(volts):
            volts[:] = 0.0
            volts[:, [0, -1]] = 5.0
            return volts

        found = events_of(recording, tmp_path, at_both_ends, debounce=0.01)
        assert found_on(found) == ([recording.truth.n_samples - 1], [1])

    def test_samples_that_are_nan_make_no_edges(self, recording, tmp_path):
        def with_gaps(volts):
            first, end = recording.truth.trigger_samples[3], recording.truth.trigger_ends[3]
            volts[:, first + 2 : end - 2] = np.nan
            volts[:7, 100:200] = np.nan
            return volts

        assert found_on(events_of(recording, tmp_path, with_gaps)) == truth_of(recording)

    def test_noise_without_pulses_is_no_pulse_and_a_warning(self, recording, tmp_path, caplog):
        found = events_of(recording, tmp_path, lambda volts: noisy(0.0 * volts), minimum_step=0.5)
        assert found_on(found) == ([], [])
        assert "no two clear levels 0.5 V apart" in found.facts[10]["note"]
        assert [record.levelname for record in caplog.records if "line 10" in record.message] == ["WARNING"]

    def test_a_drift_beyond_the_step_is_refused_and_followed_on_request(self, recording, tmp_path):
        def drifting_far(volts):
            return volts + np.linspace(0, 30, volts.shape[1])

        found = events_of(recording, tmp_path, drifting_far)
        assert found_on(found) == ([], [])
        assert "drift_window" in found.facts[10]["note"]
        found = events_of(recording, tmp_path, drifting_far, drift_window=3.0)
        assert found_on(found) == truth_of(recording)
        assert found.facts[10]["high_volts"] - found.facts[10]["low_volts"] == pytest.approx(5.0, abs=0.2)

    def test_pulses_that_come_too_early_are_left_out_and_counted(self, recording, tmp_path):
        rising, _ = truth_of(recording)
        expected, last = [], -np.inf
        for sample in rising:
            if sample - last >= 2777:
                expected.append(sample)
                last = sample
        assert len(expected) < len(rising)
        path = tmp_path / "events.tsv"
        extract_events(recording.scan, recording.channels, path, minimum_step=1.0, minimum_interval=1.0)
        found = read_events(path)
        assert found.rising[10].tolist() == expected
        assert len(found.falling[10]) == len(expected)
        assert found.facts[10]["pulses_left_out_by_minimum_interval"] == len(rising) - len(expected)


class TestDeclaredThreshold:
    def two_heights(self, volts):
        volts[:, : volts.shape[1] // 2] *= 0.5
        return volts

    def test_it_is_used_as_it_is(self, recording, tmp_path):
        found = events_of(recording, tmp_path, self.two_heights, threshold=1.0)
        assert found_on(found) == truth_of(recording)
        assert (found.facts[10]["threshold_volts"], found.facts[10]["threshold_origin"]) == (1.0, "declared")
        found = events_of(recording, tmp_path, self.two_heights, threshold=3.0)
        half = recording.truth.n_samples // 2
        assert found.rising[10].tolist() == [sample for sample in truth_of(recording)[0] if sample >= half]

    @pytest.mark.parametrize(("numbering", "column"), [("absolute", 10), ("after_electrodes", 0)])
    def test_a_line_of_its_own_wins(self, recording, tmp_path, numbering, column):
        line = BncLine(column, "ttl_high", 1.0)
        found = events_of(recording, tmp_path, self.two_heights, threshold=3.0, bnc=[line], bnc_numbering=numbering)
        assert found_on(found) == truth_of(recording)

    def test_a_line_that_never_passes_it_has_no_edges_and_says_where_it_lies(self, recording, tmp_path):
        found = events_of(recording, tmp_path, lambda volts: 0.0 * volts + 0.25, threshold=2.5)
        assert found_on(found) == ([], [])
        assert "its samples lie between 0.25 and 0.25 V" in found.facts[10]["note"]

    def test_one_amid_noise_gives_a_warning(self, recording, tmp_path, caplog):
        found = events_of(recording, tmp_path, lambda volts: noisy(0.0 * volts), threshold=0.5)
        assert "is the threshold amid noise?" in found.facts[10]["note"]
        assert [record.levelname for record in caplog.records if "line 10" in record.message] == ["WARNING"]

    def test_a_column_that_carries_no_line_is_refused(self, recording, tmp_path):
        with pytest.raises(SettingsError, match="BNC column 3, but the recording's BNC columns are 10, 11"):
            events_of(recording, tmp_path, self.two_heights, bnc=[BncLine(3, "ttl_low", 1.0)])

    def test_an_analog_line_has_none(self):
        with pytest.raises(SettingsError, match="BNC column 11 is analog, which has no threshold"):
            BncLine(11, "analog", 1.0)


def test_two_lines_of_different_kinds_have_their_own_edges(tmp_path):
    """Pulses that go up on one line; the same ones 100 frames later, going down by half as much, on the other."""
    lines = BncLine(10, "ttl_high"), BncLine(11, "ttl_low")
    two = mapped_recording(tmp_path / "test_003", rate=1000, seconds=8, seed=3, bnc=lines)
    with h5py.File(two.raw, "r+") as file:
        file["data"][88:96] = 3.0 - 0.5 * np.roll(file["data"][80:88], 100, axis=1)
    scan(two.raw, two.scan)
    path = extract_events(two.scan, two.channels, tmp_path / "events.tsv", minimum_step=1.0)
    found, (rising, falling) = read_events(path), truth_of(two)
    assert found_on(found, 10) == (rising, falling)
    assert found_on(found, 11) == ([sample + 100 for sample in rising], [sample + 100 for sample in falling])
    np.testing.assert_array_equal(found.fine_rising[11], found.fine_rising[10] + 800)
    samples = [int(row["sample"]) for row in read_tsv(path).rows]
    assert samples == sorted(samples)


class TestFineTime:
    def test_it_is_that_of_the_copy_that_saw_the_edge(self, recording, tmp_path):
        truth = recording.truth
        found = read_events(
            extract_events(recording.scan, recording.channels, tmp_path / "events.tsv", minimum_step=1.0)
        )
        in_turns = (truth.block(0, truth.n_samples)[80:88] > 2.5).T.ravel()
        changes = np.flatnonzero(np.diff(in_turns.astype(int))) + 1
        np.testing.assert_array_equal(found.fine_rising[10], changes[0::2])
        np.testing.assert_array_equal(found.fine_falling[10], changes[1::2])
        assert found.n_rows == 8


class TestMirrorSamples:
    def test_each_mirror_has_a_column(self, recording, tmp_path):
        mirrors = {"half": {"ratio": 2}, "Fs397": {"rate": 2777 / 7}, "none": {"rate": 1000}}
        path = tmp_path / "events.tsv"
        table = read_tsv(extract_events(recording.scan, recording.channels, path, minimum_step=1.0, mirrors=mirrors))
        assert table.columns[-3:] == ("sample_half", "sample_Fs397", "sample_none")
        assert table.header["mirror_ratios"] == {"half": 2, "Fs397": 7, "none": None}
        for row in table.rows:
            sample = int(row["sample"])
            assert (row["sample_half"], row["sample_Fs397"]) == (str(sample // 2), str(sample // 7))
            assert row["sample_none"] == ""
        assert found_on(read_events(path)) == truth_of(recording)

    def test_it_is_where_the_mirror_shows_the_pulse_and_what_the_loader_says(self, tmp_path):
        done = mapped_recording(tmp_path / "test_004", seconds=8)
        extract_events(done.scan, done.channels, done.events, minimum_step=1.0, mirrors={"Fs200": {"rate": 200}})
        ecogpipe.mirror_recording(done.raw, done.channels, None, done.mirror, name="Fs200", settings=MIRROR)
        rows = [row for row in read_tsv(done.events).rows if row["edge"] == "rising"]
        with ecogpipe.open_recording(done.mirror) as opened:
            assert opened.pos_edge.tolist() == [int(row["sample_Fs200"]) for row in rows]
            high = (opened.trig_chan > 2.5).any(axis=0)
            np.testing.assert_array_equal(np.flatnonzero(high[1:] & ~high[:-1]) + 1, opened.pos_edge)
            fine = [float(row["fine_seconds"]) for row in rows]
            np.testing.assert_allclose(opened.pos_edge_fine_time, fine, rtol=0, atol=1e-9)
            late = opened.pos_edge_fine_time - opened.pos_edge_time
            assert (late >= 0).all()
            assert (late < 1e-3).all()
            assert late.max() > 1e-4


def test_a_line_that_is_analog_stays_in_the_mirror_and_has_no_events(recording, tmp_path):
    events = read_events(extract_events(recording.scan, recording.channels, tmp_path / "events.tsv", minimum_step=0.1))
    assert list(events.rising) == list(events.falling) == [10]
    mirror = tmp_path / "mirror.h5"
    ecogpipe.mirror_recording(
        recording.raw,
        recording.channels,
        None,
        mirror,
        name="m",
        settings={"ratio": 7, "bandpass": [2, 80], "order": 3},
    )
    stimulus = recording.truth.block(0, recording.truth.n_samples)[88:96, ::7]
    with h5py.File(mirror) as file:
        np.testing.assert_allclose(file["data"][88:96], stimulus, atol=1e-6)
        np.testing.assert_array_equal(file["bnc"][8:16], file["data"][88:96])
    with ecogpipe.open_recording(mirror) as opened:
        assert opened.bnc_columns == (10,) * 8 + (11,) * 8
        assert opened.bnc[8:16, :].shape == stimulus.shape


@pytest.mark.parametrize("n_parts", [2, 5])
def test_parts_of_a_recording_have_the_edges_of_the_whole(tmp_path, n_parts):
    truth = SyntheticRecording(*SET_UP, rate=1000, seconds=5, seed=4, n_bncs=2)
    tables = []
    for count in (1, n_parts):
        folder = tmp_path / str(count)
        folder.mkdir()
        files = truth.write_tdms([folder / f"part_{number}.tdms" for number in range(count)])
        raw, scanned, channels = folder / "raw.h5", folder / "scan.h5", folder / "channels.tsv"
        ecogpipe.ingest(files, raw)
        scan(raw, scanned)
        daq, headstage, electrode = SET_UP
        ecogpipe.map_channels(
            raw, channels, daq=daq, headstage=headstage, electrode=electrode, bnc=[BncLine(10, "ttl_high")]
        )
        events = extract_events(
            scanned, channels, folder / "events.tsv", minimum_step=1.0, debounce=0.001, drift_window=0.5
        )
        tables.append(read_tsv(events).rows)
        assert read_events(events).rising[10].tolist() == truth.trigger_samples.tolist()
    assert tables[0] == tables[1]


def test_bytes_do_not_depend_on_the_memory_limit_for_any_setting(recording, tmp_path):
    def spoilt(volts):
        volts = bouncing(drifting(noisy(volts)))
        volts[:, 5000:5100] = np.nan
        return volts

    path, tables = change_line(recording, tmp_path, spoilt), []
    for limit in (2e9, 1e6, 1e5):
        with override(memory_limit=limit):
            extract_events(
                path,
                recording.channels,
                tmp_path / "events.tsv",
                minimum_step=1.0,
                debounce=0.002,
                minimum_interval=0.3,
                drift_window=0.2,
            )
        tables.append((tmp_path / "events.tsv").read_bytes())
    assert tables[0] == tables[1] == tables[2]
    assert tables[0].count(b"rising") > 5


def test_a_drift_window_beyond_the_memory_limit_is_refused(recording, tmp_path):
    with override(memory_limit=1e5), pytest.raises(MemoryBlowOutError, match=r"events.drift_window holds 5554 frames"):
        extract_events(recording.scan, recording.channels, tmp_path / "e.tsv", minimum_step=1.0, drift_window=2.0)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("minimum_step", value) for value in (0, -1.0, float("nan"), float("inf"))),
        ("threshold", float("nan")),
        *(("debounce", value) for value in (-1e-3, float("nan"), float("inf"))),
        *(("minimum_interval", value) for value in (-1e-3, float("nan"))),
        *(("drift_window", value) for value in (0, -1.0, float("inf"))),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(recording, tmp_path, setting, value):
    with pytest.raises(SettingsError, match=f"events.{setting} is "):
        extract_events(
            recording.scan, recording.channels, tmp_path / "events.tsv", **{"minimum_step": 1.0, setting: value}
        )


def test_tables_of_another_recording_are_refused(recording, tmp_path):
    lines = recording.channels.read_text().splitlines(keepends=True)
    (tmp_path / "channels.tsv").write_text("".join(lines[:-8]))
    with pytest.raises(FormatError, match=r"has 88 channels, but .* has 96"):
        extract_events(recording.scan, tmp_path / "channels.tsv", tmp_path / "events.tsv", minimum_step=1.0)
    assert not (tmp_path / "events.tsv").exists()


def test_what_is_no_scan_is_refused(recording, tmp_path):
    with pytest.raises(FormatError, match="run scan"):
        extract_events(recording.raw, recording.channels, tmp_path / "events.tsv", minimum_step=1.0)
