"""Real recordings of others: each equals what npTDMS, h5py or SciPy read whole, or is refused in one sentence."""

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from nptdms import TdmsFile

from ecogpipe.errors import EcogpipeError, FormatError
from ecogpipe.formats.tdms.index import index_tdms
from ecogpipe.formats.tdms.samples import raw_blocks
from ecogpipe.steps.ingest import ingest
from ecogpipe.storage.canonical import read_acquisition, signal_parts

DATA = Path(__file__).parents[2] / "../shared/data"
FILES = sorted(path.relative_to(DATA).as_posix() for path in DATA.glob("*/*"))
TDMS_FILES = [name for name in FILES if name.endswith(".tdms")]

pytestmark = pytest.mark.skipif(not FILES, reason="the folder of real recordings is not here")

logging.getLogger("nptdms").setLevel(logging.CRITICAL)

AS_RECORDINGS = {
    "tdms/crtomir__DAQ-sim.tdms": ("analog", 3),
    "tdms/dasdae__sample_tdms_file_v4713.tdms": ("Measurement", 2432),
    "tdms/ecg__test.tdms": ("Untitled", 1),
    "tdms/mikeobrien__IncrementalMetaInformationInterleavedData.tdms": ("Time Domain", 11),
    "tdms/ni__basic.tdms": ("b-ni-crio-9064-030dbfed", 4),
    "tdms/ni__version1.tdms": ("Frequency Sweep", 6),
    "tdms/owilab__good_tdms_1.tdms": ("acceleration", 8),
    "tdms/qats__data.tdms": ("Wagon 55", 4),
    "tdms/totonga__example.tdms": ("M002A", 4),
}
"""TDMS files whose group holds as many channels of numbers, all of one dtype and length."""

MATLAB = {
    "mat/hentschke__d02.mat": ("d", 4, False),
    "mat/hentschke__lfp.mat": ("d", 4, True),
    "mat/hentschke__wrat04_enf0000.mat": ("d", 1, True),
    "mat/kramer__ECoG-1.mat": ("E2", 100, False),
    "mat/kramer__LFP-3.mat": ("LFP", 1, False),
}
"""Matlab files with the variable of their signals, its channels, and whether Matlab shows time first."""


def columns(n_channels, **declared):
    return {"n_rows": 1, "n_columns": n_channels, "n_bncs": 0, "units": "V", "sampling_rate": 100} | declared


def read_raw(raw):
    """Values in units, (channels, time), and the acquisition."""
    with h5py.File(raw, "r", locking=False) as file:
        acquisition, (part,) = read_acquisition(file), signal_parts(file)
    with h5py.File(part.path, "r", locking=False) as file:
        values = file[part.dataset][()]
    return acquisition.slope * (values.T if part.time_first else values) + acquisition.intercept, acquisition


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("declared", [{}, columns(8), columns(1, variable="t")], ids=["nothing", "columns", "variable"])
def test_a_file_is_ingested_or_refused_and_leaves_nothing_else(name, declared, tmp_path):
    try:
        ingest([DATA / name], tmp_path / "raw.h5", declared=declared)
        outcome, left = "", ["raw.h5"]
    except EcogpipeError as error:
        outcome, left = str(error), []
    assert [path.name for path in tmp_path.iterdir()] == left
    assert "\n" not in outcome
    assert Path(name).name in outcome or left


@pytest.mark.parametrize("name", TDMS_FILES)
def test_every_channel_of_numbers_and_every_property_equal_those_of_nptdms(name):
    path = DATA / name
    index = index_tdms(path)
    with path.open("rb") as file:
        channels = [channel for group in TdmsFile.read(file).groups() for channel in group.channels()]
    assert channels
    for channel in channels:
        assert_same_properties(index.properties[channel.path], channel.properties)
        stored = index.channels[channel.path]
        assert stored.n_values == len(channel)
        if stored.raw_index is None or stored.raw_index.dtype is None or not len(channel):
            continue
        scalers = stored.raw_index.scalers
        raw = channel.raw_scaler_data[scalers[0].scale_id] if scalers else channel.raw_data
        for block_length in (997, len(channel)):
            dtype = np.dtype(stored.raw_index.dtype)
            blocks = raw_blocks(path, index.runs, [channel.path], len(channel), block_length, dtype)
            found = np.concatenate([block[0].copy() for block in blocks])
            assert found.dtype == raw.dtype
            assert np.array_equal(found, raw, equal_nan=raw.dtype.kind == "f")


def assert_same_properties(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if isinstance(value, np.datetime64):
            assert np.datetime64(found[key].removesuffix("+00:00")) == value
        else:
            assert found[key] == value or value != value


@pytest.mark.parametrize("name", AS_RECORDINGS)
def test_a_tdms_file_with_declared_values_is_ingested_to_what_nptdms_reads(name, tmp_path):
    group, n_channels = AS_RECORDINGS[name]
    raw = ingest([DATA / name], tmp_path / "raw.h5", declared=columns(n_channels, group=group))
    with (DATA / name).open("rb") as file:
        channels = [channel for channel in TdmsFile.read(file)[group].channels() if channel.dtype.kind in "fiu"]
    found, acquisition = read_raw(raw)
    assert acquisition.n_channels == len(channels)
    assert np.array_equal(found, np.array([channel[:] for channel in channels]), equal_nan=True)
    truncated = "dasdae" in name
    assert any("30000 samples expected, 216 to 216 found" in note for note in acquisition.notes) == truncated


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tdms/aoa__10deg.tdms", "differ in dtype"),
        ("tdms/mikeobrien__AdditionalProperties.tdms", r"differ in length \(1 of 1 samples, 3 of 321 samples\)"),
        ("tdms/ni__multiple_groups.tdms", "several groups of samples: 'Noise Tolerance'"),
        ("tdms/ecg__test.tdms_index", "is the index of a TDMS file"),
        ("mat/matjl__v7.3_struct.mat", "has no variable 'data'"),
    ],
)
def test_what_is_no_recording_is_refused_by_what_was_found(name, message, tmp_path):
    with pytest.raises(FormatError, match=message):
        ingest([DATA / name], tmp_path / "raw.h5", declared=columns(1))


@pytest.mark.parametrize("name", MATLAB)
def test_a_matlab_file_with_declared_values_is_ingested_to_what_its_library_reads(name, tmp_path):
    variable, n_channels, time_first = MATLAB[name]
    raw = ingest([DATA / name], tmp_path / "raw.h5", declared=columns(n_channels, variable=variable))
    found, _ = read_raw(raw)
    if h5py.is_hdf5(DATA / name):
        with h5py.File(DATA / name, "r", locking=False) as file:
            expected = file[variable][()].T
    else:
        expected = scipy.io.loadmat(DATA / name)[variable]
    assert np.array_equal(found, expected.T if time_first else expected)


def test_a_sample_interval_in_microseconds_is_read_from_its_variable(tmp_path):
    declared = {"n_rows": 1, "n_columns": 1, "n_bncs": 0, "units": "mV", "variable": "d"}
    declared |= {"interval_variable": "si", "sampling_interval_unit": "us"}
    raw = ingest([DATA / "mat/hentschke__wrat04_enf0000.mat"], tmp_path / "raw.h5", declared=declared)
    found, acquisition = read_raw(raw)
    with h5py.File(DATA / "mat/hentschke__wrat04_enf0000.mat", "r", locking=False) as file:
        interval = file["si"][0, 0]
    assert found.shape == (1, 120_000)
    assert float(acquisition.rate) == pytest.approx(1e6 / interval, rel=1e-12)
    assert raw.stat().st_size < 50_000


def test_the_start_of_a_recording_is_read_where_it_is_said_and_not_where_it_is_of_1904(tmp_path):
    started = ingest([DATA / "tdms/owilab__good_tdms_1.tdms"], tmp_path / "raw.h5", declared=columns(8))
    assert read_raw(started)[1].start_time == "2020-04-09T22:00:00+00:00"
    unknown = ingest([DATA / "tdms/ni__basic.tdms"], tmp_path / "raw.h5", declared=columns(4))
    assert read_raw(unknown)[1].start_time == ""
