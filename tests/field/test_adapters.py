"""A recording in SpikeInterface, MNE and xarray holds what `data` holds, on the disk, and gives bad channels back."""

import pickle
import tracemalloc
import warnings

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from field_packages import need

need("spikeinterface", "mne", "xarray", "dask", "probeinterface")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mne
    import spikeinterface
    import spikeinterface.preprocessing as preprocessing

from ecogpipe import ActiveLoader, open_recording  # noqa: E402
from ecogpipe.errors import EcogpipeError, MaskError  # noqa: E402
from ecogpipe.loader.mask_rows import mask_rows  # noqa: E402
from ecogpipe.results.mask import read_mask  # noqa: E402
from ecogpipe.steps.mask_channels import mask_channels  # noqa: E402
from ecogpipe.study.manual_masks import add_to_manual_mask  # noqa: E402
from finished_study import MIRROR, Faults, finished_recording, interrupted_recording  # noqa: E402
from shipped import AUTOMATIC  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    # Of the packages that are asked, about what they themselves will change.
    "ignore::FutureWarning",
    "ignore::DeprecationWarning",
    "ignore::PendingDeprecationWarning",
)

FAULTS = Faults(dead_sites=((1, 2),), noisy_sites=((5, 5),))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    done = finished_recording(tmp_path_factory.mktemp("a") / "s1" / "a" / "test_001", seconds=15, faults=FAULTS)
    for path in (done.raw, done.mirror):
        with h5py.File(path, "r+") as file:
            file.attrs["start_time"] = "2018-01-01T10:00:00+01:00"
    return done


@pytest.fixture(scope="module")
def mirror(done):
    return done.mirror


@pytest.fixture(scope="module")
def with_gaps(tmp_path_factory):
    return interrupted_recording(tmp_path_factory.mktemp("gaps") / "s1" / "a" / "test_001")


@pytest.fixture(params=["mirror", "raw"])
def dataset(request, done):
    with open_recording(getattr(done, request.param)) as dataset:
        yield dataset


windows = st.tuples(st.integers(0, 2999), st.integers(1, 500)).map(lambda pair: (pair[0], min(sum(pair), 3000)))
channel_lists = st.one_of(st.none(), st.lists(st.integers(0, 63), min_size=1, max_size=20, unique=True))


@settings(max_examples=40, deadline=None)
@given(windows, channel_lists)
def test_every_window_of_each_is_that_of_data(mirror, window, channels):
    start, stop = window
    with open_recording(mirror) as dataset:
        rows = list(range(64)) if channels is None else channels
        expected = dataset.data[rows, start:stop]
        recording, raw, array = dataset.to_spikeinterface(), dataset.to_mne(), dataset.to_xarray()
        ids = None if channels is None else [dataset.site_names[row] for row in rows]
        traces = recording.get_traces(start_frame=start, end_frame=stop, channel_ids=ids, return_in_uV=True)
        assert np.array_equal(traces.T, expected)
        assert np.allclose(raw.get_data(picks=rows, start=start, stop=stop) * 1e6, expected, rtol=1e-12)
        assert np.array_equal(array[rows, start:stop].to_numpy(), expected)


def test_of_the_recording_itself_too(dataset):
    recording, raw, array = dataset.to_spikeinterface(), dataset.to_mne(), dataset.to_xarray()
    expected = dataset.data[:]
    assert np.array_equal(recording.get_traces(return_in_uV=True).T, expected)
    assert np.allclose(raw.get_data(picks="ecog") * 1e6, expected, rtol=1e-12)
    assert np.array_equal(array.to_numpy(), expected)
    assert array.dims == ("channel", "time")
    assert recording.get_sampling_frequency() == raw.info["sfreq"] == array.attrs["sampling_rate"] == dataset.Fs


def test_channels_that_are_left_out_are_left_out_of_each(done):
    with open_recording(done.mirror) as dataset:
        dataset.set_channel_mask(dataset.channel_mask)
        recording, raw, array = dataset.to_spikeinterface(), dataset.to_mne(), dataset.to_xarray()
        assert recording.get_num_channels() == len(array.channel) == len(dataset.data) == 62
        assert list(recording.channel_ids) == raw.ch_names[:62] == array.channel.to_numpy().tolist()
        assert np.array_equal(recording.get_traces().T, dataset.data[:])
        assert np.array_equal(recording.get_traces(channel_ids=["2,5"]).T, array.sel(channel=["2,5"]).to_numpy())
        assert raw.info["bads"] == []


class TestSpikeInterface:
    def test_probe_bad_channels_and_shifts_are_there(self, dataset):
        recording = dataset.to_spikeinterface()
        rows, columns = dataset.full_map.to_mat()
        assert np.allclose(recording.get_channel_locations(), np.stack([columns, rows], axis=1) * 400)
        assert np.array_equal(recording.get_property("is_bad"), ~dataset.channel_mask)
        assert recording.get_property("is_bad").sum() == 2
        assert (
            np.flatnonzero(recording.get_property("bad_reason") != "").tolist()
            == np.flatnonzero(recording.get_property("is_bad")).tolist()
        )
        slots = np.asarray(dataset.data.electrode_channels) % 8
        assert np.allclose(recording.get_property("inter_sample_shift"), slots / (8 * dataset.ratio))

    def test_it_is_pickled_dumped_and_saved_by_two_processes(self, dataset, tmp_path):
        recording = dataset.to_spikeinterface()
        expected = recording.get_traces()
        assert np.array_equal(pickle.loads(pickle.dumps(recording)).get_traces(), expected)
        recording.dump(tmp_path / "dumped.json")
        assert np.array_equal(spikeinterface.load(tmp_path / "dumped.json").get_traces(), expected)
        saved = recording.save(folder=tmp_path / "saved", n_jobs=2, chunk_duration="1s", progress_bar=False)
        assert np.array_equal(saved.get_traces(), expected)
        assert np.array_equal(saved.get_property("is_bad"), recording.get_property("is_bad"))

    def test_its_preprocessing_runs(self, done):
        recording = open_recording(done.mirror).to_spikeinterface()
        bad = recording.channel_ids[recording.get_property("is_bad")]
        filled = preprocessing.interpolate_bad_channels(recording, bad)
        referenced = preprocessing.common_reference(preprocessing.phase_shift(filled), dtype="float32")
        assert np.isfinite(referenced.get_traces(end_frame=100)).all()

    def test_stretches_between_gaps_are_segments_at_their_times(self, with_gaps):
        with open_recording(with_gaps.mirror) as dataset:
            recording = dataset.to_spikeinterface()
            assert [recording.get_num_samples(number) for number in range(3)] == [1400, 800, 800]
            assert [recording.get_start_time(number) for number in range(3)] == [0.0, 17.0, 20.5]
            assert np.array_equal(recording.get_traces(1, 10, 50).T, dataset.data[:, 1410:1450])

    def test_a_recording_that_has_no_file_of_its_own_is_refused(self, done):
        done.truth.write_mat73(done.folder / "test_001.mat")
        loader = ActiveLoader(done.folder, "test_001", "actv_64", "2t-as daq v2", "zif26 to 2x uhdmi", bnc=[10])
        with loader.create_dataset() as dataset:
            assert dataset.to_mne(bnc=False).n_times == dataset.data.n_samples
            with pytest.raises(EcogpipeError, match="by its name alone"):
                dataset.to_spikeinterface()


class TestMne:
    def test_types_bads_sites_date_and_triggers_are_there(self, done):
        with open_recording(done.mirror) as dataset:
            raw = dataset.to_mne()
            assert set(raw.get_channel_types()[:64]) == {"ecog"}
            assert raw.ch_names[64:] == ["BNC 10", "BNC 11"]
            assert raw.get_channel_types()[64:] == ["misc", "misc"]
            assert sorted(raw.info["bads"]) == ["1,2", "5,5"]
            assert raw.info["meas_date"].isoformat() == "2018-01-01T09:00:00+00:00"
            place = raw.get_montage().get_positions()["ch_pos"]["2,5"]
            assert np.allclose(place, [5 * 0.4e-3, 2 * 0.4e-3, 0])
            events, ids = mne.events_from_annotations(raw, verbose=False)
            assert np.array_equal(events[:, 0] - raw.first_samp, dataset.pos_edge)
            assert list(ids) == ["BNC 10"]
            assert np.allclose(raw.get_data(picks=["BNC 11"])[0], dataset.bnc[8], rtol=1e-12)
            assert dataset.to_mne(bnc=False).ch_names == dataset.site_names

    def test_it_is_picked_projected_cropped_epoched_pickled_and_copied(self, done):
        with open_recording(done.mirror) as dataset:
            raw, expected = dataset.to_mne(), dataset.data[:]
            picked = raw.copy().pick(["3,3", "0,0"])
            rows = [dataset.site_names.index(name) for name in ("3,3", "0,0")]
            assert np.allclose(picked.get_data() * 1e6, expected[rows], rtol=1e-12)
            assert np.allclose(raw.copy().crop(2, 3).get_data("ecog") * 1e6, expected[:, 400:601], rtol=1e-12)
            assert np.allclose(pickle.loads(pickle.dumps(raw)).get_data("ecog") * 1e6, expected, rtol=1e-12)
            referenced = raw.copy().set_eeg_reference("average", projection=True, ch_type="ecog", verbose=False)
            referenced.apply_proj(verbose=False)
            good = np.flatnonzero(dataset.channel_mask)
            average = expected[good].mean(axis=0)
            found = referenced.get_data(picks=good[:3], start=100, stop=200) * 1e6
            assert np.allclose(found, expected[good[:3], 100:200] - average[100:200], atol=1e-3)
            events, _ = mne.events_from_annotations(raw, verbose=False)
            epochs = mne.Epochs(raw, events, tmin=0, tmax=0.1, baseline=None, picks="all", verbose=False)
            edge = dataset.pos_edge[1]
            assert np.allclose(epochs.get_data()[1, :64] * 1e6, expected[:, edge : edge + 21], rtol=1e-12)
            assert not raw.preload

    def test_gaps_are_boundaries(self, with_gaps):
        raw = open_recording(with_gaps.mirror).to_mne()
        found = [(each["description"], each["onset"]) for each in raw.annotations if "boundary" in each["description"]]
        assert sorted(found) == [(word, onset) for word in ("BAD boundary", "EDGE boundary") for onset in (7.0, 11.0)]


class TestXarray:
    def test_coordinates_and_the_grid(self, done):
        with open_recording(done.mirror) as dataset:
            array = dataset.to_xarray()
            assert np.array_equal(array.good, dataset.channel_mask)
            assert array.time[7] == 7 / 200
            assert array.chunks is not None
            grid = array.set_index(channel=["row", "column"]).unstack("channel")
            rows, columns = dataset.full_map.to_mat()
            assert np.array_equal(grid.sel(row=rows[9], column=columns[9]).to_numpy(), dataset.data[9])
            assert np.array_equal(pickle.loads(pickle.dumps(array)).to_numpy(), dataset.data[:])


def test_bad_channels_come_back_as_rows_of_the_mask(done, tmp_path):
    with open_recording(done.mirror) as dataset:
        raw = dataset.to_mne()
        assert mask_rows(dataset, raw.info["bads"], recording="test_001", reason="") == []
        raw.info["bads"] = ["1,2", "4,4", "BNC 11"]
        rows = mask_rows(dataset, raw.info["bads"], recording="test_001", reason="seen in MNE")
        assert [(row["which"], row["keep"]) for row in sorted(rows, key=lambda row: row["which"])] == [
            ("4,4", "drop"),
            ("5,5", "keep"),
        ]
        bad = dataset.to_spikeinterface().get_property("is_bad").copy()
        bad[dataset.site_names.index("4,4")], bad[dataset.site_names.index("5,5")] = True, False
        assert mask_rows(dataset, bad, recording="test_001", reason="seen in MNE") == rows
        with pytest.raises(MaskError, match="no site"):
            mask_rows(dataset, ["9,9"], recording="test_001", reason="x")
        with pytest.raises(MaskError, match="do not fit"):
            mask_rows(dataset, bad[:5], recording="test_001", reason="x")
    manual = add_to_manual_mask(tmp_path / "a.tsv", rows)
    changed = tmp_path / "mask.tsv"
    mask_channels(done.scan, done.channels, changed, recording="test_001", manual=manual, automatic=AUTOMATIC)
    dropped = np.flatnonzero(~read_mask(changed).keep).tolist()
    assert dropped == sorted(dataset.site_names.index(name) for name in ("1,2", "4,4"))


def test_none_of_them_holds_the_file_in_memory(tmp_path):
    folder = tmp_path / "s1" / "a" / "test_001"
    done = finished_recording(folder, seconds=300, mirror=MIRROR | {"rate": 1000})
    with open_recording(done.mirror) as dataset:
        tracemalloc.start()
        recording, raw, array = dataset.to_spikeinterface(), dataset.to_mne(), dataset.to_xarray()
        for start in range(0, 300_000, 50_000):
            recording.get_traces(start_frame=start, end_frame=start + 100)
            raw.get_data(start=start, stop=start + 100)
            array[:, start : start + 100].to_numpy()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < dataset.data.n_samples * len(dataset.data) * 4 / 4
