"""The road from end to end, for every wiring: each planted truth is found again in the mirror, whatever the format."""

import numpy as np
import pytest

import ecogpipe
from ecogpipe.electrodes.channels import BncLine
from ecogpipe.electrodes.wiring import known_wirings
from ecogpipe.synthetic import Faults, SyntheticRecording
from shipped import AUTOMATIC

SET_UPS = [wiring.names for wiring in known_wirings()]
MIRROR = {"rate": 500, "bandpass": [2, 200], "order": 3}
SETTINGS = {
    "storage": {},
    "parts": {},
    "masks": {"automatic": AUTOMATIC},
    "events": {"minimum_step": 1.0},
    "mirrors": {},
}


def processed(folder, files, recording, declared=None):
    """Take the files of a recording along the road; return the opened mirror."""
    daq, headstage, electrode = recording.wiring.names
    first = recording.n_columns
    bnc = (BncLine(first, "ttl_high"), BncLine(first + 1, "analog"))
    made = ecogpipe.process_recording(
        files, folder, daq=daq, headstage=headstage, electrode=electrode, settings=SETTINGS, bnc=bnc, overrides=declared
    )
    mirror = made.mirror("Fs500")
    ecogpipe.mirror_recording(made.raw, made.channels, made.mask, mirror, name="Fs500", settings=MIRROR)
    return ecogpipe.open_recording(mirror)


def loudest_site_of_each_tone(opened, recording):
    """Site, as a flat index, at which each site's own tone is strongest; and how strong it is there, in microvolts."""
    data = opened.data[:, :].astype(np.float64)
    time = np.arange(data.shape[1]) / opened.Fs
    tones = recording.tone_frequencies.ravel()
    amplitudes = np.abs(data @ np.exp(-2j * np.pi * np.outer(time, tones))) * 2 / data.shape[1]
    loudest = amplitudes.argmax(axis=0)
    return np.array(opened.chan_map)[loudest], amplitudes.max(axis=0)


@pytest.mark.parametrize("names", SET_UPS, ids=[" / ".join(names) for names in SET_UPS])
def test_every_tone_is_on_its_site_in_both_formats_and_the_mirrors_agree(names, tmp_path):
    recording = SyntheticRecording(*names, rate=1000.0, seconds=10.0, seed=5)
    recording.write_tdms([tmp_path / "rec_1.tdms", tmp_path / "rec_2.tdms"], n_segments=7)
    recording.write_mat73(tmp_path / "rec.mat")
    gain = {} if recording.wiring.gain else {"gain": recording.gain}
    tdms = processed(tmp_path / "tdms", [tmp_path / "rec_1.tdms", tmp_path / "rec_2.tdms"], recording, gain)
    matlab = processed(tmp_path / "mat", [tmp_path / "rec.mat"], recording, gain)
    n_sites = recording.wiring.grid[0] * recording.wiring.grid[1]
    with tdms, matlab:
        for opened in (tdms, matlab):
            assert opened.data.shape == (n_sites, 5000)
            sites, microvolts = loudest_site_of_each_tone(opened, recording)
            np.testing.assert_array_equal(sites, np.arange(n_sites))
            np.testing.assert_allclose(microvolts, recording.tone_microvolts, rtol=0.05)
            assert opened.channel_mask.all()
            np.testing.assert_array_equal(opened.pos_edge_full, recording.trigger_samples)
            np.testing.assert_array_equal(opened.pos_edge, recording.trigger_samples // 2)
            np.testing.assert_allclose(opened.pos_edge_time, recording.trigger_samples / 1000.0, rtol=1e-12)
            np.testing.assert_array_equal(opened.events.falling[opened.trigger], recording.trigger_ends)
        one, two = tdms.data[:, :], matlab.data[:, :]
        assert (np.abs(one - two).max(axis=1) <= 1e-6 * np.abs(two).max(axis=1)).all()


FAULTS = Faults(
    dead_sites=((1, 2),),
    noisy_sites=((3, 4),),
    dead_columns=(6,),
    saturated=((5, 1),),
    dead_rows=(7,),
    disconnected=((2, 3), (0, 0)),
)


@pytest.mark.parametrize("names", SET_UPS, ids=[" / ".join(names) for names in SET_UPS])
def test_qc1_planted_faults_are_masked_with_a_reason_and_nothing_else_is(names, tmp_path):
    recording = SyntheticRecording(*names, rate=1000.0, seconds=10.0, seed=6, faults=FAULTS)
    recording.write_hdf5(tmp_path / "rec.h5")
    gain = {} if recording.wiring.gain else {"gain": recording.gain}
    with processed(tmp_path / "rec", [tmp_path / "rec.h5"], recording, gain) as opened:
        row, column = np.divmod(np.array(opened.chan_map), recording.wiring.grid[1])
        expected = {(1, 2): "dead", (3, 4): "noisy", (5, 1): "railed"}
        expected |= dict.fromkeys(FAULTS.disconnected, "disconnected: its correlation with its neighbours is")
        expected |= {(7, int(c)): "dead row 7" for c in column[row == 7]}
        expected |= {(int(r), 6): "dead column 6" for r in row[column == 6]}
        found = {
            (int(r), int(c)): reason
            for r, c, keep, reason in zip(row, column, opened.channel_mask, opened.mask_reasons, strict=True)
            if not keep
        }
        assert found.keys() == expected.keys()
        assert all(word in found[site] for site, word in expected.items())
        opened.set_channel_mask(opened.channel_mask)
        assert len(opened.data) == len(opened.chan_map) == opened.channel_mask.sum()
        sites, microvolts = loudest_site_of_each_tone(opened, recording)
        unfaulted = np.setdiff1d(np.arange(row.size), [r * recording.wiring.grid[1] + c for r, c in expected])
        np.testing.assert_array_equal(sites[unfaulted], unfaulted)
        np.testing.assert_allclose(microvolts[unfaulted], recording.tone_microvolts, rtol=0.05)
