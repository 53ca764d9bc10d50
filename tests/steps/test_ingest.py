"""The first step: the same samples from every format, whole or not at all, with what was declared and noticed."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import h5py
import numpy as np
import pytest
from nptdms import ChannelObject, GroupObject, TdmsWriter

from ecogpipe.datasource.buffers import BufferBinder, HDF5Buffer
from ecogpipe.errors import FormatError, JoinError, MemoryBlowOutError, SettingsError
from ecogpipe.layout import read_acquisition, read_provenance, signal_parts
from ecogpipe.params import override
from ecogpipe.steps.ingest import ingest
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


def write_files(rec, kind, folder):
    """Files of a whole recording, of the kind that the name says."""
    if kind == "tdms":
        return rec.write_tdms(folder / "a.tdms")
    if kind == "tdms in 3 parts":
        return rec.write_tdms([folder / f"p{number}.tdms" for number in range(3)], n_segments=2)
    if kind == "v7.3 in 2 parts":
        middle = rec.n_samples // 2 + 7
        return [rec.write_mat73(folder / "p0.mat", 0, middle), rec.write_mat73(folder / "p1.mat", middle)]
    writers = {"v7.3": rec.write_mat73, "v5": rec.write_mat5, "hdf5": rec.write_hdf5}
    return [writers[kind](folder / "a.bin")]


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
        provenance = read_provenance(file)
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

    @pytest.mark.parametrize(
        ("start", "gap"), [("00:00:01.75", "0.750000 s after"), ("00:00:00.5", "0.500000 s before")]
    )
    def test_the_gap_or_overlap_of_parts_with_known_starts_is_noted(self, tmp_path, start, gap):
        files = [tmp_path / "p0.tdms", tmp_path / "p1.tdms"]
        for path, clock in zip(files, ("00:00:00", start), strict=True):
            group = GroupObject(
                "g", {"SamplingRate": 100.0, "nrRows": 1, "nrColumns": 1, "nrBNCs": 0, "OverSampling": 1}
            )
            started = {"wf_start_time": np.datetime64(f"2020-01-01T{clock}")}
            with TdmsWriter(str(path)) as writer:
                writer.write_segment([group, ChannelObject("g", "c", np.arange(100.0), started)])
        raw = ingest(files, tmp_path / "raw.h5")
        assert f"p1.tdms starts {gap} the end of p0.tdms" in acquisition_of(raw).notes
        assert acquisition_of(raw).start_time == "2020-01-01T00:00:00+00:00"
        with h5py.File(raw, "r") as file:
            assert file["segments"]["start_time"].astype("T")[0] == "2020-01-01T00:00:00+00:00"


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
            finally:
                finished.set()


INGEST_ALONE = """
import resource, sys
from ecogpipe.params import override
from ecogpipe.steps.ingest import ingest
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with override(memory_limit=2e7):
    ingest([sys.argv[1]], sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("n_segments", [1, 300])
def test_memory_does_not_grow_with_the_length_of_a_tdms_file(tmp_path, n_segments):
    grown = {}
    for seconds in (5, 50):
        rec = SyntheticRecording("passthru", grid=(8, 10), seconds=seconds)
        (file,) = rec.write_tdms(tmp_path / f"{seconds}.tdms", n_segments=n_segments)
        command = [sys.executable, "-c", INGEST_ALONE, str(file), str(tmp_path / "raw.h5")]
        grown[seconds] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) * 1024
        assert np.array_equal(samples_of(tmp_path / "raw.h5")[:, -500:], rec.block(rec.n_samples - 500, rec.n_samples))
    assert grown[50] - grown[5] < 5e6
    assert grown[50] < 2e7 + 1e7
