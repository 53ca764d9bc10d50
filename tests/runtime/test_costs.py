"""The arithmetic of forecasts: what grows with what, and how a job's memory becomes the library's limit."""

from dataclasses import replace

import pytest

from ecogpipe.errors import SettingsError
from ecogpipe.runtime import costs
from ecogpipe.runtime.costs import MB, Facts, MirrorPlan, Packing

STEPS = ("ingest", "scan", "map_channels", "mask_channels", "extract_events", "mirror", "qc")
HOUR = Facts("copied", 3_456 * MB, n_channels=96, n_electrodes=64, n_lines=16, n_samples=18_000_000, item_bytes=2)
MIRROR = MirrorPlan(ratio=5, uses_scratch=True)


class TestMemory:
    @pytest.mark.parametrize("step", STEPS)
    def test_it_does_not_grow_with_a_long_recording(self, step: str) -> None:
        longer = Facts.from_size("copied", 100_000 * MB, is_packed=False)
        assert costs.memory_bytes(step, longer) <= 1.4 * costs.memory_bytes(step, HOUR)

    def test_a_file_that_is_loaded_as_a_whole_counts_as_a_whole(self) -> None:
        loaded = Facts.from_size("loaded", 1_000 * MB, is_packed=False)
        job = costs.memory_bytes("ingest", loaded)
        assert costs.memory_limit("ingest", job) >= 2 * 1_000 * MB

    def test_raw_lines_that_are_loaded_count_as_long_as_they_are(self) -> None:
        facts = Facts("loaded", 800 * MB, 96, 64, 16, n_samples=260_000, item_bytes=8, loaded_bytes=800 * MB)
        assert costs.memory_bytes("ingest", facts) > 2 * 800 * MB

    def test_a_file_of_which_only_the_size_is_known_may_be_multiplexed_and_copied(self) -> None:
        guessed = Facts.from_size("linked", 10_000 * MB, is_packed=True)
        known = Facts("linked", 10_000 * MB, 96, 64, 16, guessed.n_samples // 96, item_bytes=8)
        assert costs.memory_bytes("ingest", guessed) > costs.memory_bytes("ingest", known)
        assert costs.longest_minutes("ingest", guessed) > costs.longest_minutes("ingest", known)

    @pytest.mark.parametrize("step", STEPS)
    def test_the_limit_fits_into_the_memory_of_a_job_of_a_long_recording(self, step: str) -> None:
        if step in ("scan", "mirror"):
            job = costs.memory_bytes(step, HOUR)
            assert costs.memory_limit(step, job) < job - 80 * MB

    def test_a_mirror_takes_the_same_at_any_rate_as_its_windows_get_shorter(self) -> None:
        assert costs.memory_bytes("mirror", HOUR, ratio=1) == costs.memory_bytes("mirror", HOUR, ratio=5)

    def test_where_only_sizes_are_known_samples_count_as_the_short_ones_that_take_most(self) -> None:
        guessed = Facts.from_size("copied", HOUR.file_bytes, is_packed=False)
        doubles = Facts("copied", HOUR.file_bytes, 96, 64, 16, HOUR.n_samples // 4, item_bytes=8)
        known = [costs.memory_bytes("mirror", facts) for facts in (HOUR, doubles)]
        assert known[1] <= known[0] == pytest.approx(costs.memory_bytes("mirror", guessed), rel=0.01)

    def test_the_report_grows_by_rows_and_holds_no_page(self) -> None:
        assert costs.report_memory_bytes(1000, 1) < costs.report_memory_bytes(1, 1) + 200 * MB

    def test_more_memory_for_a_job_raises_the_limit(self) -> None:
        assert costs.memory_limit("mirror", 4_000 * MB) > 2_000 * MB


class TestDisk:
    def test_a_linked_recording_is_not_copied(self) -> None:
        linked = Facts("linked", *(getattr(HOUR, name) for name in list(HOUR.__dataclass_fields__)[1:]))
        assert costs.output_bytes(linked, {}, Packing())["ingest"] < MB
        assert costs.output_bytes(HOUR, {}, Packing())["ingest"] > HOUR.signal_bytes

    def test_a_mirror_is_float32_of_all_rows_and_the_lines_again(self) -> None:
        size = costs.output_bytes(HOUR, {"low": MIRROR}, Packing())["mirror low"]
        assert size == pytest.approx((96 + 16) * 3_600_000 * 4, rel=0.001)

    def test_a_scan_holds_how_alike_all_channels_are_that_are_no_lines(self) -> None:
        without_lines = Facts("copied", HOUR.file_bytes, 1080, 1008, 0, n_samples=10, item_bytes=2)
        numbers = 16 * 8 * 1080
        assert costs.output_bytes(without_lines, {}, Packing())["scan"] == pytest.approx(
            1080**2 * 4 + numbers, rel=0.01
        )

    def test_an_edge_has_a_column_for_every_mirror(self) -> None:
        pulses = Facts("copied", HOUR.file_bytes, 96, 64, 16, HOUR.n_samples, item_bytes=2, n_edges=1000)
        few, many = (
            costs.output_bytes(pulses, {str(number): MIRROR for number in range(n)}, Packing())["extract_events"]
            for n in (1, 3)
        )
        assert 10_000 < many - few < 20_000

    def test_the_report_of_300_recordings_has_less_than_2_mb(self) -> None:
        assert costs.report_bytes(12, 2) < costs.report_bytes(300, 1) < 2 * MB

    @pytest.mark.parametrize(("n_sites", "n_seconds", "rate"), [(1, 1, 1), (64, 20, 5000), (1008, 3600, 1000)])
    def test_a_page_has_at_most_3_mb(self, n_sites: int, n_seconds: int, rate: int) -> None:
        facts = Facts("linked", 0, n_sites, n_sites, 0, n_seconds * rate, 2, n_seconds=n_seconds)
        assert costs.output_bytes(facts, {"low": MIRROR}, Packing())["qc low"] < 3 * MB

    def test_scratch_is_float64_of_the_electrodes_where_a_filter_runs_twice(self) -> None:
        assert costs.scratch_bytes(HOUR, MIRROR) == 64 * 3_600_000 * 8
        assert costs.scratch_bytes(HOUR, MirrorPlan(5, uses_scratch=False)) == 0


class TestTime:
    def test_a_job_may_take_ten_times_as_long_as_expected(self) -> None:
        assert costs.longest_minutes("mirror", HOUR) > 10 * costs.seconds("mirror", HOUR) / 60

    def test_a_linked_file_is_not_read_by_ingest(self) -> None:
        linked = replace(HOUR, storage="linked")
        assert costs.seconds("ingest", linked) < 10 < costs.seconds("ingest", HOUR)


def test_a_rule_that_nothing_is_known_of_is_refused_in_a_sentence() -> None:
    with pytest.raises(SettingsError, match="The step 'mirrors' has no memory .* Did you mean 'mirror'?"):
        costs.memory_bytes("mirrors", HOUR)
