"""The arithmetic of forecasts: what grows with what, and how a job's memory becomes the library's limit."""

import pytest

from ecogpipe import forecast
from ecogpipe.forecast import MB, Facts, MirrorPlan, Packing, Rates

STEPS = ("ingest", "scan", "map_channels", "mask_channels", "extract_events", "mirror", "qc")
HOUR = Facts("copied", 3_456 * MB, n_channels=96, n_electrodes=64, n_lines=16, n_samples=18_000_000, item_bytes=2)
MIRROR = MirrorPlan(ratio=5, uses_scratch=True)


class TestMemory:
    @pytest.mark.parametrize("step", STEPS)
    def test_it_does_not_grow_with_a_long_recording(self, step: str) -> None:
        longer = Facts.from_size("copied", 100_000 * MB, is_packed=False)
        assert forecast.memory_bytes(step, longer) <= 1.4 * forecast.memory_bytes(step, HOUR)

    def test_a_file_that_is_loaded_as_a_whole_counts_as_a_whole(self) -> None:
        loaded = Facts.from_size("loaded", 1_000 * MB, is_packed=False)
        job = forecast.memory_bytes("ingest", loaded)
        assert forecast.memory_limit("ingest", job) >= 2 * 1_000 * MB

    @pytest.mark.parametrize("step", STEPS)
    def test_the_limit_fits_into_the_memory_of_a_job_of_a_long_recording(self, step: str) -> None:
        if step in ("scan", "mirror"):
            job = forecast.memory_bytes(step, HOUR)
            assert forecast.memory_limit(step, job) < job - 100 * MB

    def test_more_memory_for_a_job_raises_the_limit(self) -> None:
        assert forecast.memory_limit("mirror", 4_000 * MB) > 2_000 * MB


class TestDisk:
    def test_a_linked_recording_is_not_copied(self) -> None:
        linked = Facts("linked", *(getattr(HOUR, name) for name in list(HOUR.__dataclass_fields__)[1:]))
        assert forecast.output_bytes(linked, {}, Packing())["ingest"] < MB
        assert forecast.output_bytes(HOUR, {}, Packing())["ingest"] > HOUR.signal_bytes

    def test_a_mirror_is_float32_of_all_rows_and_the_lines_again(self) -> None:
        size = forecast.output_bytes(HOUR, {"low": MIRROR}, Packing())["mirror low"]
        assert size == pytest.approx((96 + 16) * 3_600_000 * 4, rel=0.001)

    def test_scratch_is_float64_of_the_electrodes_where_a_filter_runs_twice(self) -> None:
        assert forecast.scratch_bytes(HOUR, MIRROR) == 64 * 3_600_000 * 8
        assert forecast.scratch_bytes(HOUR, MirrorPlan(5, uses_scratch=False)) == 0


class TestTime:
    def test_a_slow_disk_and_slow_arithmetic_both_show(self) -> None:
        usual = forecast.seconds("scan", HOUR, Rates())
        assert forecast.seconds("scan", HOUR, Rates(read=1e-6)) > 10 * usual
        assert forecast.seconds("scan", HOUR, Rates(scan=1e-6)) > 10 * usual

    def test_a_job_may_take_ten_times_as_long_as_expected(self) -> None:
        allowed = forecast.longest_minutes("mirror", HOUR)
        assert allowed > 10 * forecast.seconds("mirror", HOUR, Rates(), MIRROR) / 60
