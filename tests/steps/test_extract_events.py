"""Trigger edges of recordings with a known truth: each one, to the sample, and the table says how it was found."""

from fractions import Fraction

import h5py
import numpy as np
import pytest
from finished_study import mapped_recording

from ecogpipe.electrodes.channels import BncLine
from ecogpipe.errors import FormatError, SettingsError
from ecogpipe.params import override
from ecogpipe.steps.extract_events import extract_events, read_events
from ecogpipe.steps.scan import scan
from ecogpipe.tsv import read_tsv


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


def test_every_edge_is_found_to_the_sample(recording, tmp_path):
    found = read_events(extract_events(recording.scan, recording.channels, tmp_path / "events.tsv", minimum_step=1.0))
    assert len(recording.truth.trigger_samples) > 5
    assert found.rising[10].tolist() == recording.truth.trigger_samples.tolist()
    assert found.falling[10].tolist() == recording.truth.trigger_ends.tolist()
    assert list(found.rising) == [10]


def test_rows_are_in_order_of_time_with_exact_seconds(recording, tmp_path):
    table = read_tsv(extract_events(recording.scan, recording.channels, tmp_path / "events.tsv", minimum_step=1.0))
    assert table.columns == ("line", "edge", "sample", "seconds")
    samples = [int(row["sample"]) for row in table.rows]
    assert samples == sorted(samples)
    for row in table.rows:
        assert abs(Fraction(row["seconds"]) - Fraction(int(row["sample"]), 2777)) <= Fraction(1, 2 * 10**9)


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


@pytest.mark.parametrize("minimum_step", [0, -1.0, float("nan")])
def test_a_step_that_makes_no_sense_is_refused(recording, tmp_path, minimum_step):
    with pytest.raises(SettingsError, match="minimum_step"):
        extract_events(recording.scan, recording.channels, tmp_path / "events.tsv", minimum_step=minimum_step)


def test_tables_of_another_recording_are_refused(recording, tmp_path):
    lines = recording.channels.read_text().splitlines(keepends=True)
    (tmp_path / "channels.tsv").write_text("".join(lines[:-8]))
    with pytest.raises(FormatError, match=r"has 88 channels, but .* has 96"):
        extract_events(recording.scan, tmp_path / "channels.tsv", tmp_path / "events.tsv", minimum_step=1.0)
    assert not (tmp_path / "events.tsv").exists()


def test_what_is_no_scan_is_refused(recording, tmp_path):
    with pytest.raises(FormatError, match="run scan"):
        extract_events(recording.raw, recording.channels, tmp_path / "events.tsv", minimum_step=1.0)
