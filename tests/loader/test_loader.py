import gc

import h5py
import numpy as np
import pytest
import yaml

import ecogpipe
from ecogpipe import ActiveLoader, MappedSource, override, session_info
from ecogpipe.datasource.array import ArraySource
from ecogpipe.electrodes.channels import BncLine
from ecogpipe.errors import EcogpipeError, FormatError, SettingsError
from ecogpipe.loader.active import EVENTS_DEFAULTS
from ecogpipe.study.config import config_folder
from ecogpipe.synthetic import SyntheticRecording

DAQ, HEADSTAGE, ELECTRODE = "2t-as daq v2", "zif26 to 2x uhdmi", "actv_64"


@pytest.fixture(scope="module")
def recording():
    return SyntheticRecording(DAQ, HEADSTAGE, ELECTRODE, rate=1000.0, seconds=5.0)


@pytest.fixture(scope="module")
def folder(recording, tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    recording.write_mat73(folder / "test_001.mat")
    recording.write_tdms(folder / "test_002.tdms")
    return folder


@pytest.fixture(autouse=True)
def scratch(tmp_path):
    with override(scratch_dir=tmp_path):
        yield tmp_path


def loader(folder, name="test_001", **settings):
    return ActiveLoader(folder, name, ELECTRODE, DAQ, HEADSTAGE, bnc=[10], **settings)


def microvolts(recording, channels):
    return recording.block(0, recording.n_samples)[channels] * 1e6 / recording.gain


@pytest.mark.parametrize("name", ["test_001", "test_002"])
def test_a_raw_file_is_loaded_with_its_map_and_its_triggers(recording, folder, name):
    one = loader(folder, name)
    chan_map, electrodes, others, references = one.make_channel_map()
    assert (len(chan_map), len(electrodes), len(others), references) == (64, 64, 16, [])
    with one.create_dataset() as dataset:
        assert isinstance(dataset.data, MappedSource)
        assert (dataset.data.shape, dataset.Fs, dataset.trigger) == ((64, 5000), 1000.0, 10)
        np.testing.assert_allclose(dataset.data[:, :], microvolts(recording, electrodes), rtol=1e-6)
        np.testing.assert_array_equal(dataset.pos_edge, recording.trigger_samples)
        np.testing.assert_array_equal(dataset.pos_edge_full, recording.trigger_samples)
        assert dataset.trig_chan.shape == (8, 5000)
        assert list(dataset.chan_map) == list(chan_map)


def test_it_is_resampled_and_filtered_as_the_workflow_would(recording, folder):
    with loader(folder, resample_rate=200, bandpass=(2, 80)).create_dataset() as dataset:
        assert (dataset.data.shape, dataset.Fs) == ((64, 1000), 200.0)
        np.testing.assert_array_equal(dataset.pos_edge, recording.trigger_samples // 5)


def test_chosen_channels_come_in_the_order_and_the_units_asked_for(recording, folder):
    one = loader(folder, load_channels=[34, 32], units="mV", mapped=False)
    dataset = one.create_dataset()
    assert isinstance(dataset.data, ArraySource)
    np.testing.assert_allclose(dataset.data[:, :], microvolts(recording, [34, 32]) / 1e3, rtol=1e-6)
    chan_map, electrodes, *_ = one.make_channel_map()
    assert list(dataset.chan_map) == [chan_map[electrodes.index(channel)] for channel in (34, 32)]


def test_a_mask_goes_to_signals_and_map_at_once(folder):
    dataset = loader(folder).create_dataset()
    mask = dataset.channel_mask.copy()
    mask[:8] = False
    whole = list(dataset.chan_map)
    dataset.set_channel_mask(mask)
    assert dataset.data.shape[0] == len(dataset.chan_map) == 56
    assert list(dataset.chan_map) == whole[8:]
    dataset.set_channel_mask(None)
    assert list(dataset.chan_map) == whole


def test_tmp1_nothing_is_left_when_loader_and_dataset_are_gone(folder, scratch):
    dataset = loader(folder, "test_002", resample_rate=200).create_dataset()
    gc.collect()
    assert len(list(scratch.iterdir())) == 1
    assert np.isfinite(dataset.data[:, :]).all()
    dataset.close()
    del dataset
    gc.collect()
    assert list(scratch.iterdir()) == []


def test_the_triggers_of_the_loader_are_found_as_those_of_the_shipped_config():
    shipped = yaml.safe_load((config_folder() / "config.yaml").read_text())["events"]
    assert shipped == EVENTS_DEFAULTS


def test_triggers_are_found_as_asked_for_with_their_fine_times(recording, folder):
    with loader(folder, resample_rate=200).create_dataset() as dataset:
        in_turns = (recording.block(0, recording.n_samples)[80:88] > 2.5).T.ravel()
        rises = np.flatnonzero(in_turns[1:] & ~in_turns[:-1]) + 1
        np.testing.assert_allclose(dataset.pos_edge_fine_time, rises / 8000.0, rtol=1e-12)
        np.testing.assert_array_equal(dataset.events.fine_rising[10], rises)
    with loader(folder, events={"minimum_interval": 10.0}).create_dataset() as dataset:
        assert dataset.pos_edge.tolist() == recording.trigger_samples[:1].tolist()
    line = BncLine(10, "ttl_high", 7.0)
    with ActiveLoader(folder, "test_001", ELECTRODE, DAQ, HEADSTAGE, bnc=[line]).create_dataset() as dataset:
        assert (dataset.pos_edge.tolist(), dataset.pos_edge_fine_time.tolist()) == ([], [])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": "test_01"}, "has no recording 'test_01'. Did you mean 'test_001'"),
        ({"units": "V/m"}, "units is 'V/m'"),
        ({"load_channels": [24]}, "channel 24 of load_channels carries no electrode"),
        ({"trigger_idx": 1}, "trigger_idx is 1, but bnc names 1 lines"),
        ({"samplingrate": 3}, "sampling_rate"),
        ({"events": {"debounse": 1}}, "events has no setting 'debounse'. Did you mean 'debounce'"),
        ({"resample_rate": 300}, "300 Hz cannot be reached"),
    ],
)
def test_what_cannot_be_loaded_is_refused(folder, settings, sentence):
    with pytest.raises(EcogpipeError, match=sentence):
        loader(folder, **settings).create_dataset()


def test_two_files_of_one_name_are_refused(recording, tmp_path):
    (tmp_path / "rec.mat").touch()
    (tmp_path / "rec.tdms").touch()
    with pytest.raises(FormatError, match=r"has rec.tdms and rec.mat; keep the one that is meant"):
        loader(tmp_path, "rec")


TABLE = """subject\tsession\trecording\tfiles\tdaq\theadstage\telectrode\tbnc\toverrides
16011\t2016-09-01_active\ttest_001\traw/test_001.mat\t2t-as daq v2\tzif26 to 2x uhdmi\tactv_64\t10:ttl_high\t
16011\t2016-09-01_active\ttest_002\traw/test_002.tdms\t2t-as daq v2\tzif26 to 2x uhdmi\tactv_64\t10:ttl_high\t
16011\tmixed\ttest_001\traw/test_001.mat\t2t-as daq v2\tzif26 to 2x uhdmi\tactv_64\t10:ttl_high\t
16011\tmixed\ttest_002\traw/test_002.tdms\t2t-as daq v1\tzif26 to 2x uhdmi\tactv_64\t\t
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/recordings.tsv").write_text(TABLE)
    return tmp_path / "config/recordings.tsv"


def test_session_info_says_what_the_table_says(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    info = session_info("16011/2016-09-01_active")
    assert (info.daq, info.headstage, info.electrode) == (DAQ, HEADSTAGE, ELECTRODE)
    assert [line.column for line in info.bnc] == [10]
    assert info.nwk_path == tmp_path / "raw"
    assert [one.recording for one in info.recordings] == ["test_001", "test_002"]


def test_a_session_that_is_unknown_or_mixed_is_refused(table):
    with pytest.raises(SettingsError, match="no session '16011/mixd'. Did you mean '16011/mixed'"):
        session_info("16011/mixd", table)
    with pytest.raises(SettingsError, match="load recordings of different set-ups one by one"):
        session_info("16011/mixed", table)


def test_a_recording_is_opened_with_the_tables_beside_it(recording, tmp_path):
    raw = tmp_path / "raw.h5"
    recording.write_hdf5(tmp_path / "rec.h5")
    ecogpipe.ingest([tmp_path / "rec.h5"], raw)
    with pytest.raises(FormatError, match=r"channels.tsv is not beside it; run map_channels"):
        ecogpipe.open_recording(raw)
    ecogpipe.map_channels(raw, tmp_path / "channels.tsv", daq=DAQ, headstage=HEADSTAGE, electrode=ELECTRODE)
    with ecogpipe.open_recording(raw) as opened:
        electrodes = opened.data.electrode_channels
        np.testing.assert_allclose(opened.data[:, :100], microvolts(recording, electrodes)[:, :100], rtol=1e-6)
        bnc = recording.block(0, 100)[80:96]
        np.testing.assert_allclose(opened.bnc[:, :100], bnc, rtol=1e-6)
        assert opened.trigger is None
        assert len(opened.pos_edge_full) == 0
    with pytest.raises(FormatError, match="is not a file of ecogpipe"):
        ecogpipe.open_recording(tmp_path / "rec.h5")


def test_the_unit_of_the_file_is_declared_apart_from_that_of_the_signals(tmp_path):
    samples = np.arange(8.0).reshape(2, 4)
    with h5py.File(tmp_path / "rec.h5", "w") as file:
        file["data"] = samples
    declared = {"n_rows": 2, "n_columns": 1, "n_bncs": 0, "sampling_rate": 100, "gain": 2.0}
    for units, factor in (("uV", 1e3), ("mV", 1.0), ("V", 1e-3)):
        one = ActiveLoader(tmp_path, "rec", "", "passthru", "", units=units, raw_units="mV", **declared)
        with one.create_dataset() as dataset:
            np.testing.assert_allclose(dataset.data[:, :], samples / 2 * factor, rtol=1e-6)


def test_signals_can_be_loaded_to_be_written_to(recording, folder):
    with loader(folder, mapped="r+").create_dataset() as dataset:
        assert dataset.data.writeable
        dataset.data[0, :10] = 7.0
        assert dataset.data[0, :10].tolist() == [7.0] * 10
        np.testing.assert_allclose(dataset.data[1, :], microvolts(recording, [1])[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"trigger_idx": (0,)}, r"trigger_idx is \(0,\)"),
        ({"mapped": "w"}, "mapped is 'w'"),
        ({"notches": "60"}, "notches is '60'"),
        ({"bandpass": (2, 80, 90)}, r"bandpass is \(2, 80, 90\)"),
        ({"load_channels": True}, "load_channels is True"),
        ({"load_channels": [0.5]}, r"load_channels is \[0.5\]"),
        ({"units": 1}, "units is 1"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused_in_a_sentence(folder, settings, found):
    with pytest.raises(EcogpipeError, match=found):
        loader(folder, **settings)


@pytest.mark.parametrize("rate", [0, -5, "much", 2.5e9])
def test_a_rate_that_makes_no_sense_is_refused_in_a_sentence(folder, rate):
    with pytest.raises(EcogpipeError, match="Hz"):
        loader(folder, resample_rate=rate).create_dataset()


def test_a_single_line_and_a_single_notch_may_be_numbers(folder):
    one = ActiveLoader(folder, "test_001", ELECTRODE, DAQ, HEADSTAGE, bnc=10, notches=60)
    with one.create_dataset() as dataset:
        assert dataset.trigger == 10
