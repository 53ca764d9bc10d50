"""Every override of the recordings table has its effect, and every output shows it as an override."""

import json

import h5py
import numpy as np
import pytest
import scipy.io
from nptdms import ChannelObject, GroupObject, TdmsWriter

from ecogpipe.electrodes.channels import CHANNEL_OVERRIDES, BncLine
from ecogpipe.results.channels import read_channels
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.map_channels import map_channels
from ecogpipe.steps.mirror import mirror_recording
from ecogpipe.steps.report import report
from ecogpipe.steps.scan import scan
from ecogpipe.storage.canonical import read_acquisition
from ecogpipe.storage.tsv import read_tsv
from ecogpipe.study.config import load_schema
from ecogpipe.synthetic import SyntheticRecording
from finished_study import finished_recording, write_page

KEYS = set(load_schema("recordings")["properties"]["overrides"]["properties"])
BARE = {"n_rows": 2, "n_columns": 3, "n_bncs": 1, "units": "V", "sampling_rate": 100}
"""What has to be declared of a file that says nothing but its samples."""
SAMPLES = np.arange(8 * 50, dtype="f8").reshape(8, 50)


@pytest.fixture
def bare(tmp_path):
    """A file of nothing but arrays, and of numbers that say a rate."""
    variables = {"data": SAMPLES, "volts": SAMPLES + 0.5, "square": SAMPLES[:, :8], "srate": 250.0, "si": 4000.0}
    path = tmp_path / "bare.mat"
    scipy.io.savemat(path, variables, appendmat=False)
    return path


def ingested(path, declared):
    raw = ingest([path], path.parent / "raw.h5", declared=declared)
    with h5py.File(raw, "r", locking=False) as file:
        acquisition, data = read_acquisition(file), file["data"][()]
        assert json.loads(file.attrs["overrides"]) == declared
        assert json.loads(file.attrs["provenance"])["settings"]["declared"] == declared
    return acquisition, data


def without(*names):
    return {name: value for name, value in BARE.items() if name not in names}


OF_BARE_FILES = [
    ("sampling_rate", BARE | {"sampling_rate": 512.5}, lambda found, data: found.rate == 512.5),
    (
        "sampling_interval",
        without("sampling_rate") | {"sampling_interval": 2, "sampling_interval_unit": "ms"},
        lambda found, data: found.rate == 500,
    ),
    (
        "sampling_interval_unit",
        without("sampling_rate") | {"sampling_interval": 2, "sampling_interval_unit": "s"},
        lambda found, data: found.rate * 2 == 1,
    ),
    ("rate_variable", without("sampling_rate") | {"rate_variable": "srate"}, lambda found, data: found.rate == 250),
    (
        "interval_variable",
        without("sampling_rate") | {"interval_variable": "si", "sampling_interval_unit": "us"},
        lambda found, data: found.rate == 250,
    ),
    ("n_rows", BARE | {"n_rows": 4, "n_columns": 1}, lambda found, data: found.n_rows == 4),
    ("n_columns", BARE | {"n_columns": 2, "n_bncs": 2}, lambda found, data: found.n_columns == 2),
    ("n_bncs", BARE | {"n_columns": 4, "n_bncs": 0}, lambda found, data: found.n_bncs == 0),
    ("oversampling", BARE | {"oversampling": 12}, lambda found, data: found.oversampling == 12),
    ("units", BARE | {"units": "uV"}, lambda found, data: found.units == "uV"),
    (
        "start_time",
        BARE | {"start_time": "2016-09-01T14:30:00-04:00"},
        lambda found, data: found.start_time == "2016-09-01T14:30:00-04:00",
    ),
    ("variable", BARE | {"variable": "volts"}, lambda found, data: np.array_equal(data, SAMPLES + 0.5)),
    (
        "orientation",
        BARE | {"variable": "square", "orientation": "time_by_channels"},
        lambda found, data: np.array_equal(data, SAMPLES[:, :8].T),
    ),
    ("crop_end_seconds", BARE | {"crop_end_seconds": 0.2}, lambda found, data: data.shape[1] == 30),
    ("line_frequency", BARE | {"line_frequency": 50}, lambda found, data: found.overrides["line_frequency"] == 50),
]


@pytest.mark.parametrize(("key", "declared", "holds"), OF_BARE_FILES, ids=[key for key, *_ in OF_BARE_FILES])
def test_an_override_has_its_effect_and_is_shown(bare, key, declared, holds):
    assert key in declared
    assert holds(*ingested(bare, declared))


def test_the_true_oversampling_gives_the_true_rate(tmp_path):
    rec = SyntheticRecording("passthru", grid=(4, 2), seconds=1)
    (path,) = rec.write_tdms(tmp_path / "a.tdms")
    assert ingested(path, {"oversampling": 2})[0].rate == 2 * rec.rate
    assert ingested(path, {"n_rows": 2, "n_columns": 4, "n_bncs": 4})[0].rate == 2 * rec.rate


def test_a_group_can_be_declared(tmp_path):
    path = tmp_path / "a.tdms"
    with TdmsWriter(str(path)) as writer:
        properties = {"SamplingRate": 100.0, "nrRows": 1, "nrColumns": 1, "nrBNCs": 0, "OverSampling": 1}
        for name, values in (("first", np.arange(5.0)), ("second", np.arange(5.0) + 0.5)):
            writer.write_segment([GroupObject(name, properties), ChannelObject(name, "c", values)])
    assert ingested(path, {"group": "second"})[1].tolist() == [[0.5, 1.5, 2.5, 3.5, 4.5]]


def test_channels_can_be_skipped(tmp_path):
    with TdmsWriter(str(tmp_path / "a.tdms")) as writer:
        properties = {"SamplingRate": 100.0, "nrRows": 1, "nrColumns": 1, "nrBNCs": 0, "OverSampling": 1}
        channels = [ChannelObject("g", name, np.arange(5.0)) for name in ("c", "Time")]
        writer.write_segment([GroupObject("g", properties), *channels])
    assert ingested(tmp_path / "a.tdms", {"skip_channels": "Time"})[1].shape == (1, 5)


def test_overrides_of_channels_have_their_effect_and_are_shown(tmp_path):
    rec = SyntheticRecording("passthru", grid=(4, 2), seconds=1, n_bncs=1)
    raw, channels = ingest(rec.write_tdms(tmp_path / "a.tdms"), tmp_path / "raw.h5"), tmp_path / "channels.tsv"
    declared = {"gain": -20.0, "pitch_mm": [0.4, 0.5], "bnc_numbering": "after_electrodes"}
    assert set(declared) == set(CHANNEL_OVERRIDES)
    lines = (BncLine(0, "ttl_low"),)
    map_channels(raw, channels, daq="passthru", headstage="", electrode="", bnc=lines, declared=declared)
    table = read_channels(channels)
    assert (table.gain, table.pitch_mm, table.bnc_kinds) == (-20.0, (0.4, 0.5), {2: "ttl_low"})
    assert read_tsv(channels).header["overrides"] == declared


def test_declared_gain_and_pitch_are_shown_wherever_a_person_looks(tmp_path):
    done = finished_recording(tmp_path / "s1" / "a" / "test_001", seconds=4, declared={"gain": -20.0})
    page = write_page(done)
    index = report({"s1/a/test_001": done.folder}, tmp_path / "report.html", mirrors=["Fs200"], title="Study")
    assert "gain = -20.0" in page.with_suffix(".json").read_text(encoding="utf-8")
    assert "gain = -20.0" in index.read_text(encoding="utf-8")
    with h5py.File(done.mirror) as file:
        assert json.loads(file.attrs["overrides"]) == {"gain": -20.0}


ELSEWHERE = {
    *("skip_channels", "group", "skip_seconds", "truncated", "unequal_lengths", "still_written", "gaps"),
    *CHANNEL_OVERRIDES,
}
"""Overrides that another test of this file, or one of ingest, is about."""


def test_no_override_is_without_a_test():
    assert {key for key, *_ in OF_BARE_FILES} | ELSEWHERE == KEYS


def test_a_mirror_is_a_recording_at_its_own_rate(tmp_path):
    rec = SyntheticRecording("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64", seconds=2)
    raw, channels, mirror = tmp_path / "raw.h5", tmp_path / "channels.tsv", tmp_path / "rec_Fs500.h5"
    set_up = {"daq": "2t-as daq v2", "headstage": "zif26 to 2x uhdmi", "electrode": "actv_64"}
    lines = (BncLine(10, "ttl_high"), BncLine(11, "analog"))
    nothing = {"ratio": 1, "bandpass": [None, None]}
    ingest(rec.write_tdms(tmp_path / "rec.tdms"), raw)
    map_channels(raw, channels, **set_up, bnc=lines)
    mirror_recording(raw, channels, None, mirror, name="Fs500", settings=nothing | {"ratio": 2})
    again, mapped, copy = tmp_path / "again.h5", tmp_path / "again.tsv", tmp_path / "again_mirror.h5"
    ingest([mirror], again)
    map_channels(again, mapped, **set_up, bnc=lines)
    mirror_recording(again, mapped, None, copy, name="same", settings=nothing)
    scan(again, tmp_path / "scan.h5")
    with h5py.File(mirror, "r") as one, h5py.File(copy, "r") as two, h5py.File(again, "r") as ingested_mirror:
        np.testing.assert_allclose(two["data"], one["data"], rtol=2e-7, atol=0)
        assert one["Fs"][()] == two["Fs"][()] == 500
        assert any("is a mirror, already decimated" in note for note in read_acquisition(ingested_mirror).notes)
