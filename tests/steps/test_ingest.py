"""The first step: the same samples from every format, whole or not at all, with what was declared and noticed."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from math import isnan
from pathlib import Path

import h5py
import numpy as np
import pytest
from nptdms import ChannelObject, GroupObject, TdmsFile, TdmsWriter

from ecogpipe.datasource.binder import BufferBinder
from ecogpipe.datasource.buffers import HDF5Buffer
from ecogpipe.errors import FormatError, JoinError, MemoryBlowOutError, SettingsError
from ecogpipe.results.provenance import provenance_of
from ecogpipe.runtime.params import override
from ecogpipe.steps.ingest import ingest
from ecogpipe.storage.canonical import gap_free_ranges, read_acquisition, read_segments, signal_parts
from ecogpipe.synthetic import SyntheticRecording


def samples_of(raw):
    """All samples of a canonical file as (channels, time), read as the library reads them."""
    with h5py.File(raw, "r", locking=False) as file:
        parts = signal_parts(file)
    buffers = [HDF5Buffer.open(part.path, part.dataset) for part in parts]
    binder = BufferBinder(buffers, axis=0 if parts[0].time_first else 1)
    samples = binder[:, :]
    binder.close()
    return samples.T if parts[0].time_first else samples


def acquisition_of(raw):
    with h5py.File(raw, "r", locking=False) as file:
        return read_acquisition(file)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def rec():
    return SyntheticRecording("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64", seconds=3)


@pytest.fixture(scope="module")
def truth(rec):
    return rec.block(0, rec.n_samples)


def write_files(rec, kind, folder, layout="A"):
    """Files of a whole recording, of the kind that the name says."""
    if kind == "tdms":
        return rec.write_tdms(folder / "a.tdms")
    if kind == "tdms in 3 parts":
        return rec.write_tdms([folder / f"p{number}.tdms" for number in range(3)], n_segments=2)
    if kind == "v7.3 in 2 parts":
        middle = rec.n_samples // 2 + 7
        return [
            rec.write_mat73(folder / "p0.mat", 0, middle, layout=layout),
            rec.write_mat73(folder / "p1.mat", middle, layout=layout),
        ]
    writers = {"v7.3": rec.write_mat73, "v5": rec.write_mat5, "hdf5": rec.write_hdf5}
    return [writers[kind](folder / "a.bin", layout=layout)]


KINDS = ["tdms", "tdms in 3 parts", "v7.3", "v7.3 in 2 parts", "v5", "hdf5"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_samples_and_acquisition(rec, truth, tmp_path, kind):
    files = write_files(rec, kind, tmp_path)
    raw = ingest(files, tmp_path / "results" / "test_001" / "raw.h5")
    assert np.array_equal(samples_of(raw), truth)
    acquisition = acquisition_of(raw)
    assert (acquisition.rate, acquisition.units, acquisition.slope) == (Fraction(1000), "V", 1.0)
    assert (acquisition.n_rows, acquisition.n_columns, acquisition.n_bncs) == (8, 10, 2)
    with h5py.File(raw, "r", locking=False) as file:
        assert file["Fs"][()] == 1000
        assert file["segments"]["part"].astype("T").tolist() == [path.name for path in files]
        lengths = np.diff(file["segments"]["first_sample"], append=rec.n_samples)
        assert lengths.sum() == rec.n_samples
        assert (lengths > 0).all()
        assert file["info/Note"].asstr()[()] == "synthetic recording"


@pytest.mark.parametrize("kind", ["v7.3", "v7.3 in 2 parts", "hdf5"])
def test_matlab_7_3_and_hdf5_are_linked_by_relative_paths_and_never_written_to(rec, truth, tmp_path, kind):
    study = tmp_path / "study"
    (study / "data").mkdir(parents=True)
    files = write_files(rec, kind, study / "data")
    before = [digest(path) for path in files]
    raw = ingest(files, study / "results" / "raw.h5")
    assert raw.stat().st_size < 200_000
    assert [digest(path) for path in files] == before
    study.rename(tmp_path / "moved")
    assert np.array_equal(samples_of(tmp_path / "moved" / "results" / "raw.h5"), truth)


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("kind", ["tdms in 3 parts", "v5"])
def test_copied_samples_do_not_depend_on_the_memory_limit_or_the_compression(rec, truth, tmp_path, compression, kind):
    files = write_files(rec, kind, tmp_path)
    shapes = set()
    for limit in (6e6 if kind == "v5" else 3e5, 2e9):
        with override(memory_limit=limit):
            raw = ingest(files, tmp_path / "raw.h5", compression=compression)
        assert np.array_equal(samples_of(raw), truth)
        with h5py.File(raw, "r") as file:
            shapes.add((file["data"].chunks, file["data"].compression))
    assert len(shapes) == 1


def test_int16_counts_stay_int16_with_the_line_that_makes_them_volts(rec, truth, tmp_path):
    raw = ingest(rec.write_tdms(tmp_path / "a.tdms", dtype=np.int16), tmp_path / "raw.h5")
    counts, acquisition = samples_of(raw), acquisition_of(raw)
    assert counts.dtype == np.int16
    volts = acquisition.slope * counts.astype(np.float64) + acquisition.intercept
    np.testing.assert_allclose(volts, truth, rtol=0, atol=10 / 2**16 * 1.001)


def test_a_truncated_part_is_cropped_and_the_output_says_so(rec, truth, tmp_path):
    first, second = rec.write_tdms([tmp_path / "p0.tdms", tmp_path / "p1.tdms"])
    content = second.read_bytes()
    second.write_bytes(content[: len(content) // 2])
    raw = ingest([first, second], tmp_path / "raw.h5")
    found = samples_of(raw)
    assert 1500 < found.shape[1] < rec.n_samples
    assert np.array_equal(found, truth[:, : found.shape[1]])
    assert any(note.startswith("p1.tdms: truncated") for note in acquisition_of(raw).notes)


def test_what_was_declared_wins_and_is_shown(rec, tmp_path):
    declared = {"sampling_rate": 500, "units": "mV", "start_time": "2016-09-01T14:30:00-04:00", "gain": -10}
    raw = ingest(rec.write_tdms(tmp_path / "a.tdms"), tmp_path / "raw.h5", declared=declared)
    acquisition = acquisition_of(raw)
    assert (acquisition.rate, acquisition.units) == (500, "mV")
    assert acquisition.start_time == "2016-09-01T14:30:00-04:00"
    assert acquisition.overrides == declared
    with h5py.File(raw, "r") as file:
        provenance = provenance_of(file)
        assert json.loads(file.attrs["overrides"]) == declared
    assert provenance["settings"]["declared"] == declared
    assert provenance["inputs"][0]["name"] == "a.tdms"
    assert provenance["inputs"][0]["sha256"] == digest(tmp_path / "a.tdms")


class TestJoining:
    @pytest.fixture
    def two(self, tmp_path):
        def write(**changed):
            same = {"daq": "passthru", "grid": (4, 3), "seconds": 1}
            first = SyntheticRecording(**same).write_tdms(tmp_path / "p0.tdms")
            return first + SyntheticRecording(**same | changed).write_tdms(tmp_path / "p1.tdms")

        return write

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"rate": 500}, "its rate in Hz is 500, not 1000"),
            ({"grid": (2, 6)}, "its number of rows is 2, not 4"),
            ({"n_bncs": 1}, "its number of BNC columns is 1, not 2"),
        ],
    )
    def test_files_that_are_not_of_one_recording_are_refused_with_both_names(self, two, tmp_path, changed, message):
        with pytest.raises(JoinError, match=f"p1.tdms cannot follow .*p0.tdms: {message}"):
            ingest(two(**changed), tmp_path / "raw.h5")
        assert not (tmp_path / "raw.h5").exists()

    def test_dtypes_and_formats_must_agree(self, tmp_path):
        rec = SyntheticRecording("passthru", grid=(4, 3), seconds=1)
        double = rec.write_tdms(tmp_path / "double.tdms")
        single = rec.write_tdms(tmp_path / "single.tdms", dtype=np.float32)
        with pytest.raises(JoinError, match="its dtype is float32, not float64"):
            ingest(double + single, tmp_path / "raw.h5")
        with pytest.raises(JoinError, match="its format is HDF5, not TDMS"):
            ingest([*double, rec.write_hdf5(tmp_path / "a.h5")], tmp_path / "raw.h5")


class TestGaps:
    @pytest.fixture
    def write(self, tmp_path):
        """Write parts of 100 samples at 100 Hz, each with its start in seconds after midnight, or None."""

        def write_parts(*starts):
            properties = {"SamplingRate": 100.0, "nrRows": 1, "nrColumns": 1, "nrBNCs": 0, "OverSampling": 1}
            files = [tmp_path / f"p{number}.tdms" for number in range(len(starts))]
            for path, start in zip(files, starts, strict=True):
                moment = np.datetime64("2020-01-01T00:00:00.000000") + np.timedelta64(round((start or 0) * 1e6), "us")
                started = {} if start is None else {"wf_start_time": moment}
                with TdmsWriter(str(path)) as writer:
                    samples = ChannelObject("g", "c", np.arange(100.0), started)
                    writer.write_segment([GroupObject("g", properties), samples])
            return files

        return write_parts

    @pytest.mark.parametrize(
        ("start", "gap"), [(1.75, "0.750000 s after"), (0.5, "0.500000 s before"), (2, "1.000000 s after")]
    )
    def test_a_gap_or_an_overlap_is_refused_unless_allowed_and_then_kept(self, write, tmp_path, start, gap):
        files, raw = write(0, start), tmp_path / "raw.h5"
        with pytest.raises(JoinError, match=f"p1.tdms starts {gap} the end of p0.tdms.*declare 'gaps: allow'"):
            ingest(files, raw, clock_tolerance_ppm=100)
        assert not raw.exists()
        ingest(files, raw, declared={"gaps": "allow"})
        acquisition = acquisition_of(raw)
        assert f"p1.tdms starts {gap} the end of p0.tdms: a new segment begins" in acquisition.notes
        assert acquisition.start_time == "2020-01-01T00:00:00+00:00"
        with h5py.File(raw, "r") as file:
            assert gap_free_ranges(read_segments(file)) == [(0, 100), (100, 200)]
            first, second = read_segments(file)
        assert (first.first_sample, first.n_samples, first.part, first.after_gap) == (0, 100, "p0.tdms", False)
        assert (second.first_sample, second.gap_seconds, second.after_gap) == (100, pytest.approx(start - 1), True)
        assert isnan(first.gap_seconds)
        assert first.start_time == "2020-01-01T00:00:00+00:00"

    def test_what_the_resolution_and_the_clock_explain_is_no_gap_but_reported(self, write, tmp_path):
        files, raw = write(0, 1 + 9 / 2**17), tmp_path / "raw.h5"
        with pytest.raises(JoinError, match=r"0.000068 s after .* explain no more than 0.000051 s"):
            ingest(files, raw, clock_tolerance_ppm=50)
        ingest(files, raw, clock_tolerance_ppm=100)
        assert "p1.tdms starts 0.000068 s after the end of p0.tdms" in acquisition_of(raw).notes
        with h5py.File(raw, "r") as file:
            assert gap_free_ranges(read_segments(file)) == [(0, 200)]
            assert read_segments(file)[1].gap_seconds == pytest.approx(6.8e-5)

    def test_where_a_start_is_not_known_nothing_is_said(self, write, tmp_path):
        raw = ingest(write(0, None, 7), tmp_path / "raw.h5")
        assert not any("starts" in note for note in acquisition_of(raw).notes)
        with h5py.File(raw, "r") as file:
            assert gap_free_ranges(read_segments(file)) == [(0, 300)]

    def test_the_segments_of_a_canonical_file_are_kept_when_it_is_ingested_again(self, write, tmp_path):
        first = ingest(write(0, 1.5, 2.5), tmp_path / "first" / "raw.h5", declared={"gaps": "allow"})
        again = ingest([first], tmp_path / "again" / "raw.h5")
        for raw in (first, again):
            with h5py.File(raw, "r") as file:
                assert gap_free_ranges(read_segments(file)) == [(0, 100), (100, 300)]
                assert [segment.part for segment in read_segments(file)] == ["p0.tdms", "p1.tdms", "p2.tdms"]
        assert np.array_equal(samples_of(again), samples_of(first))


class TestCropping:
    def test_a_truncated_file_says_what_was_expected_and_found_and_is_refused_on_request(self, rec, truth, tmp_path):
        (file,) = rec.write_tdms(tmp_path / "a.tdms", n_segments=3)
        file.write_bytes(file.read_bytes()[: -8 * 1500])
        (entry,) = acquisition_of(ingest([file], tmp_path / "raw.h5")).cropped
        assert (entry["part"], entry["reason"], entry["samples_kept"]) == ("a.tdms", "truncated", 2000)
        assert entry["samples_expected"] == [3000] * rec.n_channels
        assert entry["samples_found"] == [3000] * 94 + [2500, 2000]
        assert np.array_equal(samples_of(tmp_path / "raw.h5"), truth[:, :2000])
        with pytest.raises(FormatError, match="a.tdms: is truncated: .*declare 'truncated: crop'"):
            ingest([file], tmp_path / "refused.h5", declared={"truncated": "refuse"})
        assert not (tmp_path / "refused.h5").exists()

    def test_a_whole_file_was_not_cropped(self, rec, tmp_path):
        raw = ingest(rec.write_tdms(tmp_path / "a.tdms"), tmp_path / "raw.h5", declared={"truncated": "refuse"})
        assert acquisition_of(raw).cropped == []

    def test_unequal_lengths_are_refused_or_cropped_on_request(self, tmp_path):
        properties = {"SamplingRate": 100.0, "nrRows": 1, "nrColumns": 2, "nrBNCs": 0, "OverSampling": 1}
        file = tmp_path / "a.tdms"
        with TdmsWriter(str(file)) as writer:
            longer, shorter = (ChannelObject("g", name, np.arange(n) + 0.5) for name, n in (("c0", 9), ("c1", 7)))
            writer.write_segment([GroupObject("g", properties), longer, shorter])
        with pytest.raises(FormatError, match=r"1 of 7 samples, 1 of 9 samples.*'unequal_lengths: crop'"):
            ingest([file], tmp_path / "raw.h5")
        raw = ingest([file], tmp_path / "raw.h5", declared={"unequal_lengths": "crop"})
        assert np.array_equal(samples_of(raw), np.tile(np.arange(7) + 0.5, (2, 1)))
        (entry,) = acquisition_of(raw).cropped
        assert (entry["reason"], entry["samples_found"], entry["samples_kept"]) == ("unequal lengths", [9, 7], 7)
        assert any(
            "unequal lengths (1 of 7 samples, 1 of 9 samples), cropped to 7" in n for n in acquisition_of(raw).notes
        )


class TestLayouts:
    @pytest.mark.parametrize("n_parts", [1, 3])
    @pytest.mark.parametrize("limit", [3e5, 2e9])
    def test_layout_b_is_layout_a_after_demultiplexing(self, rec, truth, tmp_path, n_parts, limit):
        files = rec.write_tdms([tmp_path / f"p{number}.tdms" for number in range(n_parts)], layout="B")
        with override(memory_limit=limit):
            assert np.array_equal(samples_of(ingest(files, tmp_path / "raw.h5")), truth)

    @pytest.mark.parametrize("n_parts", [1, 3])
    @pytest.mark.parametrize("limit", [3e5, 2e9])
    def test_layout_c_is_layout_a_of_the_averaged_samples_without_those_skipped(self, rec, tmp_path, n_parts, limit):
        files = rec.write_tdms([tmp_path / f"p{number}.tdms" for number in range(n_parts)], layout="C")
        with override(memory_limit=limit):
            raw = ingest(files, tmp_path / "raw.h5", declared={"skip_seconds": 0.5})
        lines = np.concatenate([[line[:] for line in TdmsFile.read(file)["ecog"].channels()] for file in files], axis=1)
        averaged = lines.reshape(12, rec.n_samples, 8, 4)[..., 1:-1].mean(axis=-1)[:, 500:]
        assert np.array_equal(samples_of(raw), averaged.swapaxes(1, 2).reshape(96, -1))
        acquisition = acquisition_of(raw)
        assert (acquisition.rate, acquisition.oversampling) == (1000, 4)
        assert acquisition.overrides == {"skip_seconds": 0.5}
        assert any("the first 500 frames skipped" in note for note in acquisition.notes)

    def test_layout_c_has_the_truth_of_the_recording(self, rec, truth, tmp_path):
        raw = ingest(rec.write_tdms(tmp_path / "a.tdms", layout="C"), tmp_path / "raw.h5", declared={"skip_seconds": 0})
        np.testing.assert_allclose(samples_of(raw), truth, rtol=0, atol=1e-14)

    def test_layout_c_of_counts_keeps_their_line(self, rec, truth, tmp_path):
        files = rec.write_tdms(tmp_path / "a.tdms", layout="C", dtype=np.int16)
        raw = ingest(files, tmp_path / "raw.h5", declared={"skip_seconds": 1.0003})
        counts, acquisition = samples_of(raw), acquisition_of(raw)
        assert counts.dtype == np.float64
        np.testing.assert_allclose(counts * acquisition.slope, truth[:, 1001:], rtol=0, atol=10 / 2**15)

    @pytest.mark.parametrize(
        ("layout", "declared", "message"),
        [
            (
                "A",
                {"skip_seconds": 1},
                "96 channels of samples, but skip_seconds declares the raw analog lines of 10 .* 12 in all",
            ),
            ("C", {"skip_seconds": 1, "oversampling": 2}, "an oversampling of 2, but"),
            ("C", {"skip_seconds": 3}, "are 3000 frames .* takes 3000 of them"),
        ],
    )
    def test_a_declared_layout_c_that_does_not_fit_is_refused(self, rec, tmp_path, layout, declared, message):
        with pytest.raises(FormatError, match=message):
            ingest(rec.write_tdms(tmp_path / "a.tdms", layout=layout), tmp_path / "raw.h5", declared=declared)

    @pytest.mark.parametrize(("layout", "declared"), [("B", {}), ("C", {"skip_seconds": 0})])
    @pytest.mark.parametrize("kind", ["v5", "v7.3", "v7.3 in 2 parts", "hdf5"])
    def test_multiplexed_matlab_and_hdf5_files_are_copied(self, rec, truth, tmp_path, kind, layout, declared):
        files = write_files(rec, kind, tmp_path, layout)
        for limit in (3e7 if kind == "v5" else 1e6, 2e9):
            with override(memory_limit=limit):
                raw = ingest(files, tmp_path / "raw.h5", declared=declared)
            np.testing.assert_allclose(samples_of(raw), truth, rtol=0, atol=1e-14 if layout == "C" else 0)
        with h5py.File(raw, "r", locking=False) as file:
            assert (file["data"].shape, file.attrs["orientation"]) == (truth.shape, "channels_by_time")
        note = "demultiplexed: 12 lines of 8 rows each" if layout == "B" else "raw analog lines: the first 0 frames"
        notes = acquisition_of(raw).notes
        assert len(notes) == len(files)
        assert all(note in found for found in notes)
        assert acquisition_of(raw).overrides == declared

    def test_multiplexed_and_demultiplexed_parts_are_not_joined(self, rec, tmp_path):
        files = [rec.write_mat73(tmp_path / "a.mat"), rec.write_mat73(tmp_path / "b.mat", layout="B")]
        with pytest.raises(JoinError, match="its format is Matlab v7.3, layout B, not Matlab v7.3;"):
            ingest(files, tmp_path / "raw.h5")


class TestRefusals:
    def refused(self, error, message, tmp_path, files, **options):
        before = set(tmp_path.rglob("*"))
        with pytest.raises(error, match=message):
            ingest(files, tmp_path / "raw.h5", **options)
        assert set(tmp_path.rglob("*")) == before

    def test_what_cannot_be_ingested_leaves_nothing_behind(self, rec, tmp_path):
        (file,) = rec.write_tdms(tmp_path / "a.tdms")
        text = tmp_path / "notes.tdms"
        text.write_text("not a recording")
        self.refused(FormatError, "notes.tdms: begins with", tmp_path, [text])
        self.refused(FormatError, "no such file", tmp_path, [tmp_path / "absent.tdms"])
        self.refused(SettingsError, "there are no files", tmp_path, [])
        self.refused(SettingsError, "named twice", tmp_path, [file, file])
        self.refused(SettingsError, "'gzp'. Did you mean 'gzip'", tmp_path, [file], compression="gzp")
        self.refused(SettingsError, "no acquisition value 'rate'", tmp_path, [file], declared={"rate": 1})
        no_zone = {"start_time": "2016-09-01 14:30"}
        self.refused(SettingsError, "start_time is '2016-09-01 14:30'", tmp_path, [file], declared=no_zone)

    def test_an_input_is_not_replaced_by_the_output(self, rec, tmp_path):
        raw = rec.write_hdf5(tmp_path / "raw.h5")
        self.refused(SettingsError, "both a file to ingest and the output", tmp_path, [raw])

    def test_a_limit_below_one_frame_says_so(self, rec, tmp_path):
        files = rec.write_tdms(tmp_path / "a.tdms")
        with override(memory_limit=5000):
            self.refused(MemoryBlowOutError, "one frame of 96 channels|metadata", tmp_path, files)

    def test_a_file_that_is_still_being_written_is_refused(self, rec, tmp_path):
        (file,) = rec.write_tdms(tmp_path / "a.tdms")
        finished = threading.Event()

        def keep_touching():
            while not finished.wait(0.001):
                os.utime(file)

        with ThreadPoolExecutor(1) as recorder:
            recorder.submit(keep_touching)
            try:
                self.refused(FormatError, "a.tdms: changed while it was read", tmp_path, [file])
                raw = ingest([file], tmp_path / "raw.h5", declared={"still_written": "accept"})
            finally:
                finished.set()
        assert "a.tdms: changed while it was read; what was there at first was taken" in acquisition_of(raw).notes


INGEST_ALONE = """
import resource, sys
from ecogpipe.runtime.params import override
from ecogpipe.steps.ingest import ingest
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with override(memory_limit=2e7):
    ingest([sys.argv[1]], sys.argv[2], declared={"skip_seconds": 0} if "layout_C" in sys.argv[1] else {})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


STORED = {
    "TDMS in one segment": lambda rec, path: rec.write_tdms(path, n_segments=1),
    "TDMS in many segments": lambda rec, path: rec.write_tdms(path, n_segments=300),
    "layout_B of v7.3": lambda rec, path: rec.write_mat73(path, layout="B"),
    "layout_C of v7.3": lambda rec, path: rec.write_mat73(path, layout="C"),
    "layout_B of HDF5": lambda rec, path: rec.write_hdf5(path, layout="B"),
}


@pytest.mark.parametrize("stored", STORED)
def test_memory_does_not_grow_with_the_length_of_a_file(tmp_path, stored):
    grown = {}
    for seconds in (5, 50):
        rec, file = SyntheticRecording("passthru", grid=(8, 10), seconds=seconds), tmp_path / f"{stored}_{seconds}"
        STORED[stored](rec, file)
        command = [sys.executable, "-c", INGEST_ALONE, str(file), str(tmp_path / "raw.h5")]
        grown[seconds] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) * 1024
        last = rec.block(rec.n_samples - 500, rec.n_samples)
        np.testing.assert_allclose(samples_of(tmp_path / "raw.h5")[:, -500:], last, rtol=0, atol=1e-14)
    assert grown[50] - grown[5] < 5e6
    assert grown[50] < 2e7 + 1e7


def test_a_name_that_is_not_in_utf_8_is_refused(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.h5"))
    with pytest.raises(SettingsError, match="is not in UTF-8 cannot be written down"):
        ingest([path], tmp_path / "raw.h5")
