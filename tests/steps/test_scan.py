"""The scan: one hash, the numbers of every channel and the BNC lines, whatever the file and the memory limit."""

from fractions import Fraction
from math import ceil

import h5py
import numpy as np
import pytest
from blake3 import blake3

from ecogpipe.errors import FormatError, MemoryBlowOutError
from ecogpipe.results.provenance import provenance_of
from ecogpipe.results.scan import read_scan
from ecogpipe.runtime.params import override
from ecogpipe.statistics.channel_statistics import NUMBERS
from ecogpipe.steps.scan import scan
from ecogpipe.storage import canonical
from finished_study import write_raw

N_ROWS, N_BNCS, N_SAMPLES = 4, 2, 40_000
N_CHANNELS = N_ROWS * (1 + N_BNCS)
BNC_CHANNELS = np.arange(N_ROWS, N_CHANNELS)


def samples_of(dtype):
    return (1000 * np.random.default_rng(3).normal(size=(N_CHANNELS, N_SAMPLES))).astype(dtype)


def contents(path):
    with h5py.File(path) as file:
        numbers = {name: file["channels"][name][()].tobytes() for name in NUMBERS}
        return (
            numbers
            | {"signal_hash": file.attrs["signal_hash"], "bnc": file["bnc"][()].tobytes()}
            | {"correlation": file["correlation"][()].tobytes()}
            | {f"windows/{name}": values[()].tobytes() for name, values in file["windows"].items()}
        )


def hash_of(frames):
    """The definition: of the blocks of 1,024 frames, then of their hashes one after the other."""
    blocks = [frames[start : start + 1024].tobytes() for start in range(0, len(frames), 1024)]
    return "blake3:" + blake3(b"".join(blake3(block).digest() for block in blocks)).hexdigest()


@pytest.mark.parametrize("time_first", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", ">i4"])
def test_hash_numbers_and_lines_are_those_of_the_whole_array(tmp_path, dtype, time_first):
    samples = samples_of(dtype)
    raw = write_raw(tmp_path / "raw.h5", samples, n_rows=N_ROWS, n_bncs=N_BNCS, time_first=time_first)
    path = scan(raw, tmp_path / "scan.h5")
    little = samples.T.astype(samples.dtype.newbyteorder("<"))
    values = samples.astype(np.float64)
    with h5py.File(path) as file:
        assert file.attrs["signal_hash"] == hash_of(little)
        assert file.attrs["n_samples"] == N_SAMPLES
        assert file["bnc"].dtype == samples.dtype
        np.testing.assert_array_equal(file["bnc"][()], samples[BNC_CHANNELS])
        np.testing.assert_array_equal(file["bnc_channels"][()], BNC_CHANNELS)
    numbers = read_scan(path).numbers
    np.testing.assert_allclose(numbers["mean"], values.mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(numbers["std"], values.std(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(numbers["min"], values.min(axis=1))
    np.testing.assert_array_equal(numbers["max"], values.max(axis=1))
    np.testing.assert_allclose(numbers["hf_rms"], np.sqrt((np.diff(values) ** 2).mean(axis=1)), rtol=1e-12)


def test_numbers_are_in_the_units_of_the_acquisition(tmp_path):
    samples = samples_of("int16")
    raw = write_raw(tmp_path / "raw.h5", samples, n_rows=N_ROWS, n_bncs=N_BNCS, slope=-0.5, intercept=20.0, units="mV")
    numbers = read_scan(scan(raw, tmp_path / "scan.h5")).numbers
    values = -0.5 * samples.astype(np.float64) + 20.0
    np.testing.assert_allclose(numbers["std"], values.std(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(numbers["min"], values.min(axis=1))
    np.testing.assert_array_equal(numbers["max"], values.max(axis=1))


def test_results_do_not_depend_on_files_or_memory(tmp_path):
    samples = samples_of("float64")
    samples[2, 100:5000] = np.nan
    made = []
    for name, parts, limit in (("a", 0, 2e9), ("b", 1, 2e9), ("c", 3, 2e9), ("d", 0, 3e6), ("e", 3, 5e6)):
        raw = write_raw(
            tmp_path / name / "raw.h5",
            samples,
            n_rows=N_ROWS,
            n_bncs=N_BNCS,
            time_first=parts > 0,
            n_parts=max(1, parts),
        )
        with override(memory_limit=limit):
            made.append(contents(scan(raw, tmp_path / name / "scan.h5")))
    assert all(one == made[0] for one in made[1:])


def test_samples_that_are_not_finite_are_counted(tmp_path):
    samples = samples_of("float64")
    samples[2, 100:5000] = np.nan
    samples[7, 30_000] = -np.inf
    raw = write_raw(tmp_path / "raw.h5", samples, n_rows=N_ROWS, n_bncs=N_BNCS)
    numbers = read_scan(scan(raw, tmp_path / "scan.h5")).numbers
    expected = np.zeros(N_CHANNELS)
    expected[[2, 7]] = 4900, 1
    np.testing.assert_array_equal(numbers["n_nonfinite"], expected)
    assert np.isfinite(numbers["std"]).all()


@pytest.mark.parametrize(("n_bncs", "n_samples"), [(0, 100), (2, 1), (2, 0)])
def test_recordings_without_lines_or_samples_are_scanned_too(tmp_path, n_bncs, n_samples):
    samples = np.ones((N_CHANNELS, n_samples))
    raw = write_raw(tmp_path / "raw.h5", samples, n_rows=N_ROWS, n_bncs=n_bncs)
    with h5py.File(scan(raw, tmp_path / "scan.h5")) as file:
        assert file["bnc"].shape == (N_ROWS * n_bncs, n_samples)
        assert file["channels/mean"].shape == (N_CHANNELS,)


def test_the_scan_says_what_it_was_made_from(tmp_path):
    raw = write_raw(
        tmp_path / "raw.h5",
        samples_of("int16"),
        n_rows=N_ROWS,
        n_bncs=N_BNCS,
        rate=2777,
        time_first=True,
        n_parts=2,
        notes=["a note"],
    )
    with h5py.File(scan(raw, tmp_path / "scan.h5")) as file:
        inputs = [described["name"] for described in provenance_of(file)["inputs"]]
        acquisition = canonical.read_acquisition(file)
    assert inputs == ["raw.h5", "part0.mat", "part1.mat"]
    assert (acquisition.rate, acquisition.notes) == (2777, ["a note"])


def test_too_little_memory_is_said_before_anything_is_written(tmp_path):
    raw = write_raw(tmp_path / "raw.h5", samples_of("float64"), n_rows=N_ROWS, n_bncs=N_BNCS)
    with override(memory_limit=1e5), pytest.raises(MemoryBlowOutError, match="Raise the limit to"):
        scan(raw, tmp_path / "scan.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["raw.h5"]


def test_a_rate_at_which_a_second_cannot_be_held_is_said(tmp_path):
    raw = write_raw(tmp_path / "raw.h5", samples_of("int16"), n_rows=N_ROWS, n_bncs=N_BNCS, rate=10**19)
    with pytest.raises(MemoryBlowOutError, match="more than the memory limit"):
        scan(raw, tmp_path / "scan.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["raw.h5"]


def test_correlation_is_that_of_the_channels_that_are_no_lines(tmp_path):
    samples = samples_of("float64").cumsum(axis=1)
    raw = write_raw(tmp_path / "raw.h5", samples, n_rows=N_ROWS, n_bncs=N_BNCS)
    with h5py.File(scan(raw, tmp_path / "scan.h5")) as file:
        matrix, n_changes = file["correlation"][()], file["correlation"].attrs["n_changes"]
    assert (matrix.shape, matrix.dtype, n_changes) == ((N_ROWS, N_ROWS), np.float32, N_SAMPLES // 50 - 2)
    np.testing.assert_allclose(np.diagonal(matrix), 1, rtol=1e-6)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-6)


@pytest.mark.parametrize(("rate", "slope"), [("1000", 1.0), ("2777.7", -0.5), ("99.9", 2.0)])
def test_windows_are_the_seconds_of_the_recording_and_a_gap_ends_one(tmp_path, rate, slope):
    samples = samples_of("int16")
    segments = [
        canonical.Segment(0, 15_000, "", "a"),
        canonical.Segment(15_000, 9_000, "", "b", gap_seconds=3.0, after_gap=True),
        canonical.Segment(24_000, 16_000, "", "c", gap_seconds=0.0),
    ]
    raw = write_raw(
        tmp_path / "raw.h5",
        samples,
        n_rows=N_ROWS,
        n_bncs=N_BNCS,
        rate=rate,
        slope=slope,
        intercept=3.0,
        segments=segments,
    )
    exact = Fraction(rate)
    starts = sorted({ceil(second * exact) for second in range(ceil(N_SAMPLES / exact))} | {15_000})
    starts = [start for start in starts if start < N_SAMPLES]
    cut = np.split(slope * samples.astype(np.float64) + 3.0, starts[1:], axis=1)
    with h5py.File(scan(raw, tmp_path / "scan.h5")) as file:
        windows = file["windows"]
        assert windows.attrs["seconds"] == 1
        assert windows["first_sample"][()].tolist() == starts
        np.testing.assert_array_equal(windows["n_finite"][()], [[part.shape[1] for part in cut]] * N_CHANNELS)
        for name, function in (("std", np.std), ("low", np.min), ("high", np.max)):
            assert windows[name].dtype == np.float32
            expected = np.stack([function(part, axis=1) for part in cut], axis=1)
            np.testing.assert_allclose(windows[name][()], expected, rtol=1e-6)


def test_windows_of_a_recording_too_long_for_100_mb_are_longer_and_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("ecogpipe.results.scan._MOST_WINDOWS_BYTES", 3_000)
    samples = samples_of("float64")
    raw = write_raw(tmp_path / "raw.h5", samples, n_rows=N_ROWS, n_bncs=N_BNCS)
    with h5py.File(scan(raw, tmp_path / "scan.h5")) as file:
        seconds, shape = int(file["windows"].attrs["seconds"]), file["windows/std"].shape
        assert seconds > 1
        assert shape[0] * shape[1] * 16 <= 3_000
        assert file["windows/first_sample"][()].tolist() == list(range(0, N_SAMPLES, 1000 * seconds))
        low = [samples[:, start : start + 1000 * seconds].min(axis=1) for start in range(0, N_SAMPLES, 1000 * seconds)]
        np.testing.assert_allclose(file["windows/low"][()], np.stack(low, axis=1), rtol=1e-6)
        assert f"the numbers in /windows are of {seconds} s each" in file.attrs["notes"]


def test_what_is_no_recording_is_refused_and_leaves_nothing(tmp_path):
    (tmp_path / "raw.h5").write_text("no HDF5")
    with pytest.raises(FormatError, match=r"raw\.h5"):
        scan(tmp_path / "raw.h5", tmp_path / "scan.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["raw.h5"]
