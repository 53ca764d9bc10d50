"""Filtering and decimating sources by hand, by the engine of the workflow."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import signal

from ecogpipe.datasource.array import ArraySource
from ecogpipe.datasource.filtering import StreamedFilter
from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.errors import FilterError, RateError, SettingsError
from ecogpipe.runtime.params import override
from ecogpipe.signal.decimate import decimation_fir
from ecogpipe.signal.filters import FilterSettings, design_sos

WHOLE = np.random.default_rng(0).standard_normal((6, 9000)) + 3
ELECTRODES = [4, 1, 2]


@pytest.fixture(autouse=True)
def scratch(tmp_path):
    (tmp_path / "scratch").mkdir()
    with override(scratch_dir=tmp_path / "scratch", memory_limit=600_000, floating_point="double"):
        yield


@pytest.fixture(params=[False, True], ids=["channels first", "time first"])
def source(request, tmp_path):
    with h5py.File(tmp_path / "recording.h5", "w") as file:
        file["data"] = WHOLE.T if request.param else WHOLE
    with MappedSource.from_hdf_sources(
        tmp_path / "recording.h5", "data", ELECTRODES, transpose=request.param
    ) as source:
        yield source


def test_flt1_a_band_pass_is_scipys_to_the_bit(source):
    expected = signal.sosfiltfilt(design_sos(FilterSettings((2.0, 80.0)), 500), WHOLE[ELECTRODES])
    out = np.empty(source.shape)
    assert source.filter_array(500, (2, 80), out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_a_mirror_is_filtered_in_place(source):
    mirror = source.mirror(copy="electrode")
    assert mirror.notch_filter(500, [60, 120], width=3) is mirror
    sos = design_sos(FilterSettings(notches=(60, 120), notch_width=3), 500)
    np.testing.assert_array_equal(mirror[:, :], signal.sosfiltfilt(sos, WHOLE[ELECTRODES]))


def test_a_lower_rate_goes_into_a_new_mirror_or_where_it_is_told(source):
    taps = decimation_fir(4)
    padded = np.pad(WHOLE[ELECTRODES], ((0, 0), (len(taps) // 2,) * 2), "reflect", reflect_type="odd")
    expected = np.array([np.convolve(row, taps, "valid")[::4] for row in padded])
    mirror = source.batch_change_rate(4)
    assert mirror.shape == (3, 2250)
    np.testing.assert_allclose(mirror[:, :], expected, atol=1e-12)
    out = np.empty((3, 2250))
    assert source.batch_change_rate(4, out) is out
    np.testing.assert_array_equal(out, mirror[:, :])


def test_a_joined_source_filters_like_one(source):
    out = np.empty((3, 18_000))
    source.join(source).filter_array(500, (2, 80), out=out)
    sos = design_sos(FilterSettings((2.0, 80.0)), 500)
    np.testing.assert_array_equal(out, signal.sosfiltfilt(sos, np.tile(WHOLE[ELECTRODES], 2)))


def test_an_array_source_filters_in_place_too():
    array = ArraySource(WHOLE.copy())
    array.filter_array(500, (None, 80))
    sos = design_sos(FilterSettings((None, 80.0)), 500)
    np.testing.assert_array_equal(array[:, :], signal.sosfiltfilt(sos, WHOLE))


@pytest.mark.parametrize("phase", ["zero", "causal"])
def test_blocks_without_samples_are_passed_over(phase):
    sos, empty = design_sos(FilterSettings((2.0, 80.0)), 500), np.empty((6, 0))
    found, starts = np.full_like(WHOLE, np.nan), set()

    def write(first, block):
        starts.add(first)
        found[:, first : first + block.shape[1]] = block

    with StreamedFilter(sos, write, phase) as filtering:
        for block in (empty, WHOLE[:, :100], empty, WHOLE[:, 100:], empty):
            filtering.push(block.copy())
        filtering.finish()
    assert 0 in starts
    if phase == "zero":
        np.testing.assert_array_equal(found, signal.sosfiltfilt(sos, WHOLE))
    else:
        start = signal.sosfilt_zi(sos)[:, None, :] * WHOLE[None, :, :1]
        np.testing.assert_array_equal(found, signal.sosfilt(sos, WHOLE, zi=start)[0])


def test_what_cannot_be_is_refused(source):
    with pytest.raises(SettingsError, match="nothing can be written"):
        source.filter_array(500, (2, 80))
    with pytest.raises(SettingsError, match=r"shape \(3, 2250\), where it is to go has \(3, 9000\)"):
        source.batch_change_rate(4, np.empty((3, 9000)))
    with pytest.raises(FilterError, match="300 Hz is not between"):
        source.filter_array(500, (2, 300), out=np.empty((3, 9000)))
    with pytest.raises((RateError, SettingsError), match="0"):
        source.batch_change_rate(0)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
def test_a_filter_takes_a_file_on_the_scratch_disk_only_while_it_has_signals():
    def n_open():
        return len(list(Path("/proc/self/fd").iterdir()))

    sos, before = design_sos(FilterSettings((2.0, 80.0)), 500), n_open()
    filters = [StreamedFilter(sos, lambda first, block: None) for _ in range(50)]
    assert n_open() == before
    filters[0].push(WHOLE.copy())
    assert n_open() == before + 1
    for each in filters:
        each.close()
    assert n_open() == before
