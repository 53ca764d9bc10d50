"""A synthetic recording is what it says it is, in every format alike."""

from itertools import pairwise

import h5py
import numpy as np
import pytest
import scipy.io
from nptdms import TdmsFile

from ecogpipe.electrodes.wiring import known_wirings
from ecogpipe.errors import SettingsError
from ecogpipe.synthetic import Faults, SyntheticRecording

ACTIVE_64 = ("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64")
SET_UPS = [wiring.names for wiring in known_wirings()]


def amplitudes(rec, signals):
    """Amplitude of every whole frequency of the recording, per channel, with their frequencies in Hz."""
    spectrum = np.abs(np.fft.rfft(signals, axis=1)) * 2 / rec.n_samples
    return spectrum, np.fft.rfftfreq(rec.n_samples, 1 / rec.rate)


@pytest.mark.parametrize("set_up", [*SET_UPS, None], ids=lambda names: names[2] if names else "passthru")
def test_every_site_carries_its_own_tone_on_the_channel_that_the_wiring_says(set_up):
    rec = SyntheticRecording(*set_up) if set_up else SyntheticRecording("passthru", grid=(5, 7), gain=-4.0)
    spectrum, hertz = amplitudes(rec, rec.block(0, rec.n_samples)[rec.site_channels])
    quiet = (hertz > 7) & (np.abs(hertz - 60) > 0.5)
    loudest = hertz[quiet][spectrum[:, quiet].argmax(axis=1)]
    np.testing.assert_allclose(loudest.reshape(rec.wiring.grid), rec.tone_frequencies, rtol=1e-12)
    assert len(np.unique(rec.tone_frequencies)) == rec.tone_frequencies.size
    heard = spectrum[:, quiet].max(axis=1) * 1e6 / abs(rec.gain)
    np.testing.assert_allclose(heard, rec.tone_microvolts, rtol=0.02)


def test_tones_and_lines_of_a_fast_recording_fit_a_mirror_at_1_khz():
    rec = SyntheticRecording(*ACTIVE_64, rate=5000.0, seconds=4)
    assert rec.tone_frequencies.min() >= 8
    assert rec.tone_frequencies.max() <= 180


def test_samples_have_the_same_bits_whatever_blocks_they_are_asked_for_in():
    rec = SyntheticRecording(*ACTIVE_64, seconds=4, faults=Faults(saturated=((1, 1),)))
    whole = rec.block(0, rec.n_samples)
    edges = [0, 1, 2, 700, 1023, 1024, 1025, 3333, rec.n_samples]
    pieces = [rec.block(start, stop) for start, stop in pairwise(edges)]
    assert np.array_equal(np.concatenate(pieces, axis=1), whole)
    again = SyntheticRecording(*ACTIVE_64, seconds=4, faults=Faults(saturated=((1, 1),)))
    assert np.array_equal(again.block(500, 1500), whole[:, 500:1500])
    assert not np.array_equal(SyntheticRecording(*ACTIVE_64, seconds=4, seed=1).block(0, 100), whole[:, :100])


def test_frames_outside_the_recording_are_refused():
    rec = SyntheticRecording("passthru", grid=(2, 2), seconds=1)
    with pytest.raises(IndexError, match="not in a recording of 1000"):
        rec.block(990, 1001)


@pytest.mark.parametrize(("set_up", "seed"), [(SET_UPS[0], 0), (SET_UPS[3], 1), (None, 2)])
def test_trigger_frames_are_those_of_the_or_over_the_row_copies(set_up, seed):
    rec = SyntheticRecording(*(set_up or ("passthru",)), grid=None if set_up else (1, 40), seed=seed)
    first = rec.n_rows * rec.n_columns
    copies = rec.block(0, rec.n_samples)[first : first + rec.n_rows] > 2.5
    edges = np.diff(copies.any(axis=0).astype(int), prepend=0)
    assert np.array_equal(np.flatnonzero(edges == 1), rec.trigger_samples)
    assert np.array_equal(np.flatnonzero(edges == -1), rec.trigger_ends)
    assert len(rec.trigger_samples) == 10


def test_some_row_copies_see_a_pulse_a_frame_later_than_others():
    rec = SyntheticRecording(*ACTIVE_64)
    copies = rec.block(0, rec.n_samples)[80:88] > 2.5
    seen = copies[:, rec.trigger_samples]
    assert seen.any(axis=0).all()
    assert not seen.all()
    assert copies[:, rec.trigger_samples + 1].all()


def test_the_line_noise_is_the_same_instant_on_every_site_of_a_row():
    rec = SyntheticRecording(*ACTIVE_64)
    spectrum = np.fft.rfft(rec.block(0, rec.n_samples)[rec.site_channels], axis=1)
    line = spectrum[:, round(60 * rec.n_samples / rec.rate)].reshape(rec.wiring.grid)
    np.testing.assert_allclose(np.abs(line) * 2 / rec.n_samples * 1e6 / rec.gain, 20, rtol=0.03)
    assert np.abs(np.angle(line / line[:, :1])).max() < 0.05


def test_the_wave_travels_over_the_grid():
    rec = SyntheticRecording(*ACTIVE_64)
    spectrum = np.fft.rfft(rec.block(0, rec.n_samples)[rec.site_channels], axis=1)
    wave = spectrum[:, round(5 * rec.n_samples / rec.rate)].reshape(rec.wiring.grid)
    steps = np.angle(wave[:, 1:] / wave[:, :-1])
    np.testing.assert_allclose(steps, -2 * np.pi / 24, atol=0.05)


def test_planted_faults_are_where_they_were_asked_for_and_nowhere_else():
    faults = Faults(
        dead_sites=((0, 0),),
        noisy_sites=((3, 2),),
        dead_columns=(5,),
        saturated=((7, 7),),
        dead_rows=(1,),
        disconnected=((4, 4),),
        humming=((6, 3),),
    )
    rec = SyntheticRecording(*ACTIVE_64, faults=faults)
    healthy = SyntheticRecording(*ACTIVE_64).block(0, rec.n_samples)
    volts = rec.block(0, rec.n_samples)
    sites = volts[rec.site_channels].reshape(*rec.wiring.grid, -1)
    assert not sites[0, 0].any()
    assert not sites[:, 5].any()
    assert 450e-6 < (sites[3, 2] / rec.gain).std() < 550e-6
    assert np.mean(sites[7, 7] == 10.0) == pytest.approx(0.2, abs=0.001)
    assert not sites[1].any()
    assert 40e-6 < (sites[4, 4] / rec.gain).std() < 45e-6
    assert (sites[6, 3] / rec.gain).std() > 110e-6
    touched = {(0, 0), (3, 2), (7, 7), (4, 4), (6, 3)} | {(row, 5) for row in range(8)} | {(1, col) for col in range(8)}
    same = (volts == healthy).all(axis=1)[rec.site_channels].reshape(rec.wiring.grid)
    assert {tuple(site) for site in np.argwhere(~same)} == touched


def test_diagnostic_columns_carry_a_small_steady_level():
    rec = SyntheticRecording(*ACTIVE_64)
    volts = rec.block(0, rec.n_samples)
    for column in rec.wiring.diagnostic_columns:
        level = volts[column * 8 : column * 8 + 8]
        assert (level.std(axis=1) < 2e-4).all()
        assert (level.mean(axis=1) > 0.01).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"daq": "passthru"}, "a grid belongs to daq 'passthru'"),
        ({"daq": "2t-as daq v2", "grid": (2, 2)}, "a grid belongs to daq 'passthru'"),
        (
            {"daq": "passthru", "grid": (2, 2), "faults": Faults(dead_sites=((2, 0),))},
            "A fault at 2 is not on the array",
        ),
        ({"daq": "passthru", "grid": (40, 40), "seconds": 1}, "make the recording longer"),
    ],
)
def test_what_cannot_be_made_is_refused(options, message):
    with pytest.raises(SettingsError, match=message):
        SyntheticRecording(**options)


class TestFormats:
    """The same samples in every raw format, read by each format's own library."""

    @pytest.fixture
    def rec(self):
        return SyntheticRecording("passthru", grid=(4, 3), seconds=2, rate=500, n_bncs=2)

    def test_tdms_of_layout_a(self, rec, tmp_path):
        rec.write_tdms(tmp_path / "a.tdms", n_segments=3)
        (group,) = TdmsFile.read(tmp_path / "a.tdms").groups()
        samples = np.array([channel[:] for channel in group.channels()])
        assert np.array_equal(samples, rec.block(0, rec.n_samples))
        assert [channel.properties["NI_ArrayColumn"] for channel in group.channels()] == list(range(20))
        named = {"nrRows": 4, "nrColumns": 3, "nrBNCs": 2, "OverSampling": 4, "SamplingRate": 500 * 4 * 4}
        assert named.items() <= group.properties.items()
        assert {"SampleStripLength", "Note"} <= set(group.properties)

    def test_tdms_in_consecutive_parts(self, rec, tmp_path):
        paths = rec.write_tdms([tmp_path / f"p{number}.tdms" for number in range(3)])
        parts = [np.array([c[:] for c in TdmsFile.read(path).groups()[0].channels()]) for path in paths]
        assert np.array_equal(np.concatenate(parts, axis=1), rec.block(0, rec.n_samples))
        assert len({part.shape[1] for part in parts}) > 1

    def test_tdms_of_the_converters_counts(self, rec, tmp_path):
        rec.write_tdms(tmp_path / "a.tdms", dtype=np.int16)
        channels = TdmsFile.read(tmp_path / "a.tdms").groups()[0].channels()
        assert channels[0].raw_data.dtype == np.int16
        volts = np.array([channel[:] for channel in channels])
        np.testing.assert_allclose(volts, rec.block(0, rec.n_samples), rtol=0, atol=10 / 2**16 * 1.001)

    def test_another_dtype_is_refused(self, rec, tmp_path):
        with pytest.raises(SettingsError, match="float64, float32 or int16"):
            rec.write_tdms(tmp_path / "a.tdms", dtype=np.int64)

    def test_matlab_7_3(self, rec, tmp_path):
        path = rec.write_mat73(tmp_path / "a.mat", start=100, stop=900)
        head = path.read_bytes()[:520]
        assert head.startswith(b"MATLAB 7.3 MAT-file, ")
        assert head[124:128] == b"\x00\x02IM"
        assert head[512:520] == b"\x89HDF\r\n\x1a\n"
        with h5py.File(path, "r") as file:
            assert np.array_equal(file["data"][()].T, rec.block(100, 900))
            assert file["data"].compression == "gzip"
            assert file["data"].attrs["MATLAB_class"] == b"double"
            scalars = {name: file[name][()] for name in ("Fs", "sampRate", "numRow", "numCol", "numChan", "OSR")}
            assert all(value.shape == (1, 1) and value.dtype == np.float64 for value in scalars.values())
            assert [int(value[0, 0]) for value in scalars.values()] == [500, 8000, 4, 3, 5, 4]
            assert file["info"].attrs["MATLAB_class"] == b"struct"

    def test_matlab_5(self, rec, tmp_path):
        loaded = scipy.io.loadmat(rec.write_mat5(tmp_path / "a.mat"))
        assert np.array_equal(loaded["data"], rec.block(0, rec.n_samples))
        assert loaded["numChan"].item() == 5

    def test_hdf5_of_the_python_converter(self, rec, tmp_path):
        with h5py.File(rec.write_hdf5(tmp_path / "a.h5"), "r") as file:
            assert np.array_equal(file["data"][()], rec.block(0, rec.n_samples))
            assert file["data"].chunks is None
            assert file["Fs"][()] == 500
