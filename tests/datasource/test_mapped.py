import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import h5py
import numpy as np
import pytest

from ecogpipe.datasource.array import ArraySource
from ecogpipe.datasource.binder import BufferBinder
from ecogpipe.datasource.buffers import HDF5Buffer
from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.errors import FormatError, JoinError, MaskError, MemoryBlowOutError, SettingsError
from ecogpipe.runtime.params import override

WHOLE = np.random.default_rng(0).standard_normal((12, 400))
ELECTRODES = [3, 1, 7, 8, 9]


@pytest.fixture(params=[False, True], ids=["channels first", "time first"])
def source(request, tmp_path):
    path = tmp_path / "recording.h5"
    with h5py.File(path, "w") as file:
        file["data"] = WHOLE.T if request.param else WHOLE
        file["temperature"] = WHOLE[:1].T if request.param else WHOLE[:1]
    with MappedSource.from_hdf_sources(
        path, "data", ELECTRODES, transpose=request.param, aligned_arrays=("temperature", ("bnc", [10, 11]))
    ) as source:
        yield source


def test_a_mask_chooses_the_active_channels_and_leaves_the_buffer_alone(source):
    before = source.data_buffer.shape
    mask = source.binary_channel_mask
    assert mask.all()
    mask[:2] = False
    assert source.active_channels == ELECTRODES, "the mask is a copy"
    source.set_channel_mask(mask)
    assert (source.active_channels, source._active_channels) == (ELECTRODES[2:], ELECTRODES[2:])
    assert source.shape == (3, 400)
    assert source.electrode_channels == source._electrode_channels == ELECTRODES
    assert source.data_buffer.shape == before
    np.testing.assert_array_equal(source[:, 5:9], WHOLE[ELECTRODES[2:], 5:9])
    source.set_channel_mask(None)
    assert source.shape == (5, 400)


@pytest.mark.parametrize("mask", [[True] * 6, [1, 1, 1, 1, 0], [[True] * 5]])
def test_a_mask_that_does_not_fit_is_refused(source, mask):
    with pytest.raises(MaskError, match="one bool for each of the 5 electrode channels"):
        source.set_channel_mask(mask)


@pytest.mark.parametrize(
    ("key", "channels", "time"),
    [
        (np.s_[1:3, 10:20], [1, 7], np.s_[10:20]),
        (np.s_[[0, 4], 10:20], [3, 9], np.s_[10:20]),
        (np.s_[2, 10:20], 7, np.s_[10:20]),
        (np.s_[::2], [3, 7, 9], np.s_[:]),
        (np.s_[..., [5, 6]], ELECTRODES, [5, 6]),
    ],
)
def test_slice_logic_gives_the_key_of_the_buffer(source, key, channels, time):
    assert source._slice_logic(key) == ((time, channels) if source.transposed else (channels, time))


def test_mem2_a_slice_over_the_limit_is_refused_before_reading(source, monkeypatch):
    reads = []
    monkeypatch.setattr(HDF5Buffer, "read_into", lambda *arguments: reads.append(arguments))
    with override(memory_limit=10_000):
        assert source._check_slice_size(source._slice_logic(np.s_[:, :100])) is None
        for refused in (lambda: source[:, :], lambda: np.asarray(source), lambda: source.cache_slice(np.s_[:])):
            with pytest.raises(MemoryBlowOutError, match=r"\(5, 400\).*10,000.*iter_blocks.*OVERRIDE"):
                refused()
    assert reads == []


def test_big_slices_are_allowed_on_request(source):
    with override(memory_limit=10_000):
        with source.big_slices():
            assert source[:, :].shape == (5, 400)
        with pytest.raises(MemoryBlowOutError):
            source[:, :]
        relaxed = MappedSource(source.data_buffer, transpose=source.transposed, raise_on_big_slices=False)
        assert relaxed[:, :].shape == (12, 400)


def test_a_cached_slice_is_the_slice(source):
    source.cache_slice(np.s_[1:3, :50])
    np.testing.assert_array_equal(source.get_cached_slice(), WHOLE[[1, 7], :50])
    with pytest.raises(LookupError, match="call cache_slice"):
        source.get_cached_slice()


def test_channels_are_maps_share_the_buffer(source):
    with source.channels_are_maps():
        pair = source[0:2]
    assert isinstance(pair, MappedSource)
    assert pair.data_buffer is source.data_buffer
    np.testing.assert_array_equal(pair[:, :], WHOLE[ELECTRODES[:2]])
    with source.channels_are_maps(), pytest.raises(IndexError, match="only channels"):
        source[0:2, :10]


def test_aligned_arrays_are_sources_of_their_own(source):
    assert source.aligned_arrays == ("temperature", "bnc")
    np.testing.assert_array_equal(source.temperature[:, :], WHOLE[:1])
    np.testing.assert_array_equal(source.bnc[1, 7:9], WHOLE[11, 7:9])
    with pytest.raises(AttributeError, match="no attribute 'humidity'"):
        _ = source.humidity


def test_an_aligned_array_of_another_length_is_refused(tmp_path):
    with h5py.File(tmp_path / "recording.h5", "w") as file:
        file["data"], file["short"] = WHOLE, WHOLE[:, :7]
    with (
        MappedSource.from_hdf_sources(tmp_path / "recording.h5", "data", aligned_arrays=["short"]) as source,
        pytest.raises(FormatError, match="does not share the 400 samples"),
    ):
        _ = source.short


def test_sources_opened_for_reading_cannot_be_written_to(source):
    assert not source.writeable
    with pytest.raises(ValueError, match="read-only"):
        source[0, 0] = 1


def test_signals_packed_by_lzf_are_not_written_to_as_hdf5_would_damage_them(tmp_path):
    with h5py.File(tmp_path / "recording.h5", "w") as file:
        file.create_dataset("data", data=WHOLE, compression="lzf")
        source = MappedSource(HDF5Buffer(file["data"]))
        with pytest.raises(ValueError, match="packed by lzf"):
            source[0, 0] = 1
        np.testing.assert_array_equal(source[:, :], WHOLE)


def test_a_direct_map_is_told_from_others(tmp_path):
    with h5py.File(tmp_path / "recording.h5", "w") as file:
        file["data"] = WHOLE
        assert MappedSource(HDF5Buffer(file["data"])).is_direct_map
        assert not MappedSource(HDF5Buffer(file["data"]), ELECTRODES).is_direct_map


def test_a_file_handed_over_open_stays_open(tmp_path):
    with h5py.File(tmp_path / "recording.h5", "w") as file:
        file["data"] = WHOLE
        MappedSource.from_hdf_sources(file, "data").close()
        assert file["data"].shape == WHOLE.shape


def test_joined_sources_follow_one_another(source):
    joined = source.join(source).join(source)
    np.testing.assert_array_equal(joined[:, 395:805], np.tile(WHOLE[ELECTRODES], 3)[:, 395:805])
    assert joined.data_buffer.filename == [source.data_buffer.filename] * 3
    np.testing.assert_array_equal(joined.bnc[:, 398:402], np.tile(WHOLE[10:], 2)[:, 398:402])


def test_join1_what_does_not_fit_is_refused_with_the_reason(source, tmp_path):
    def other(**settings):
        return MappedSource(source.data_buffer, **{"transpose": source.transposed, **settings})

    for name, different in {
        "electrode channels": other(),
        "scale": other(electrode_channels=ELECTRODES, units_scale=2.0),
        "aligned": other(electrode_channels=ELECTRODES),
        "channel mask": other(electrode_channels=ELECTRODES, channel_mask=[True] * 4 + [False]),
    }.items():
        with pytest.raises(JoinError, match=name):
            source.join(different)
    with h5py.File(tmp_path / "ints.h5", "w") as file:
        file["data"] = (WHOLE.T if source.transposed else WHOLE).astype("i2")
        with pytest.raises(JoinError, match="dtype is int16, not float64"):
            BufferBinder([source.data_buffer, HDF5Buffer(file["data"])], axis=0 if source.transposed else 1)


def first_value(source):
    return float(source[0, 0])


def test_h53_a_source_reopens_in_a_spawned_process(source):
    source.set_channel_mask([False, True, True, True, True])
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy[:, :], source[:, :])
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(first_value, source).result() == WHOLE[1, 0]


def test_a_dataset_that_is_not_there_is_named_with_the_nearest(tmp_path):
    with h5py.File(tmp_path / "recording.h5", "w") as file:
        file["dats"] = WHOLE
        with pytest.raises(FormatError, match="has no dataset 'data'. Did you mean 'dats'"):
            MappedSource.from_hdf_sources(file, "data")
    with pytest.raises(FormatError, match="no such file"):
        MappedSource.from_hdf_sources(tmp_path / "absent.h5", "data")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(FormatError, match="text.h5: is not an HDF5 file"):
        MappedSource.from_hdf_sources(tmp_path / "text.h5", "data")


def test_an_aligned_array_that_cannot_be_is_refused_at_once(source):
    def with_aligned(name):
        return MappedSource(source.data_buffer, aligned_arrays=[name], transpose=source.transposed)

    with pytest.raises(FormatError, match="no dataset 'temprature'. Did you mean 'temperature'"):
        with_aligned("temprature")
    with pytest.raises(SettingsError, match="cannot be named 'shape'"):
        with_aligned("shape")


def test_a_file_that_is_open_with_locks_says_so(tmp_path):
    with h5py.File(tmp_path / "recording.h5", "w") as file:
        file["data"] = WHOLE
    with h5py.File(tmp_path / "recording.h5"), pytest.raises(FormatError, match="open in this program already"):
        MappedSource.from_hdf_sources(tmp_path / "recording.h5", "data")


def test_a_closed_source_says_that_it_is_closed(tmp_path):
    with h5py.File(tmp_path / "recording.h5", "w") as file:
        file["data"] = WHOLE
    source = MappedSource.from_hdf_sources(tmp_path / "recording.h5", "data")
    source.close()
    with pytest.raises(ValueError, match="is closed; open it again"):
        source[:, :]


def test_a_channel_that_is_not_there_is_refused(source):
    with pytest.raises(IndexError, match="there is no electrode channel 12"):
        MappedSource(source.data_buffer, [12], transpose=source.transposed)


def test_an_array_source_behaves_the_same():
    array = ArraySource(WHOLE.copy(), ELECTRODES, [True, False, True, True, True])
    np.testing.assert_array_equal(array[1:3, [5, 5, 2]], WHOLE[[7, 8]][:, [5, 5, 2]])
    array[:, ::2] = 0
    assert not array[:, ::2].any()
    np.testing.assert_array_equal(array[:, 1::2], WHOLE[[3, 7, 8, 9], 1::2])
    assert array.join(array).shape == (4, 800)
    with pytest.raises(JoinError, match="dtype float32 in place of float64"):
        array.join(ArraySource(WHOLE.astype("f4"), ELECTRODES))
