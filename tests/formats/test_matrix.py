"""The same recording, however its files hold it, makes the same mirror: every format, layout, storage and array."""

from itertools import pairwise, product

import h5py
import numpy as np
import pytest
import scipy.io
from tdms_bytes import linear_scale, recording

from ecogpipe.electrodes.channels import BncLine
from ecogpipe.electrodes.wiring import known_wirings, passthru_wiring
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.map_channels import map_channels
from ecogpipe.steps.mirror import mirror_recording

RATE, N_SAMPLES, VOLTS_PER_COUNT, OVERSAMPLING = 1000, 300, 2.0**-13, 4
SETTINGS = {"rate": 500, "bandpass": [2, 100]}

WIRINGS = [*known_wirings(), passthru_wiring(4, 3, 10.0, None)]
TDMS_KINDS = ["contiguous", "interleaved", "daqmx", "big_endian"]
STORED = [*product("AB", TDMS_KINDS), *product("AB", ["v5", "v7.3", "hdf5"]), ("C", "v7.3")]


def counts_of(wiring):
    """Counts of the converter, (channels, time): a walk of every channel, and pulses on one BNC column."""
    n_rows, n_columns = wiring.grid[0], wiring.acquisition_columns
    counts = np.random.default_rng(0).integers(-300, 300, (n_rows * (n_columns + 1), N_SAMPLES)).cumsum(axis=1)
    counts[n_rows * n_columns :] = np.where(np.arange(N_SAMPLES) % 100 < 20, 20_000, 0)
    return counts.astype(np.int16)


def write(path, counts, wiring, layout, kind):
    n_rows, n_columns = wiring.grid[0], wiring.acquisition_columns
    daq_rate = float(RATE * n_rows * OVERSAMPLING)
    if kind in TDMS_KINDS:
        names = ("SamplingRate", "nrRows", "nrColumns", "nrBNCs", "OverSampling")
        properties = dict(zip(names, (daq_rate, n_rows, n_columns, 1, OVERSAMPLING), strict=True))
        lines = _lines(counts, n_rows, layout)
        number, source = (1, 0) if kind == "daqmx" else (0, 0xFFFFFFFF)
        scales = [linear_scale(VOLTS_PER_COUNT, 0.0, number, source)] * len(lines)
        path.write_bytes(recording(lines, kind, properties=properties, channel_properties=scales))
        return path
    numbers = (RATE, daq_rate, n_rows, n_columns, n_columns + 1, OVERSAMPLING)
    values = dict(zip(("Fs", "sampRate", "numRow", "numCol", "numChan", "OSR"), map(float, numbers), strict=True))
    volts = _lines(counts * VOLTS_PER_COUNT, n_rows, layout)
    if kind == "v5":
        scipy.io.savemat(path, values | {"data": volts}, appendmat=False)
        return path
    with h5py.File(path, "w", userblock_size=512 if kind == "v7.3" else 0) as file:
        for name, value in (values | {"data": volts.T if kind == "v7.3" else volts}).items():
            file[name] = np.atleast_2d(value)
            if kind == "v7.3":
                file[name].attrs["MATLAB_class"] = np.bytes_("double")
    return path


def _lines(values, n_rows, layout):
    """What the analog lines of a layout hold, row after row; in layout C several samples of each, outer ones off."""
    if layout == "A":
        return values
    lines = values.reshape(-1, n_rows, values.shape[1]).swapaxes(1, 2)
    if layout == "C":
        lines = lines[..., None] + np.array([0.5, 0.0, 0.0, -0.25])
    return lines.reshape(len(lines), -1)


def mirrored(files, layout, wiring, folder):
    raw, channels = folder / "raw.h5", folder / "channels.tsv"
    ingest(files, raw, declared={"skip_seconds": 0} if layout == "C" else {})
    daq, headstage, electrode = wiring.names
    declared = {"gain": wiring.gain} if daq == "passthru" else {}
    lines = (BncLine(wiring.acquisition_columns, "ttl_high"),)
    map_channels(raw, channels, daq=daq, headstage=headstage, electrode=electrode, bnc=lines, declared=declared)
    mirror = mirror_recording(raw, channels, None, folder / "mirror.h5", name="Fs500", settings=SETTINGS)
    with h5py.File(mirror, "r") as file:
        return file["data"][()], file["bnc"][()]


@pytest.mark.parametrize("wiring", WIRINGS, ids=lambda wiring: wiring.names[2] or "passthru")
def test_every_way_of_storing_a_recording_makes_the_same_mirror(wiring, tmp_path):
    counts = counts_of(wiring)
    n_made, expected = 0, None
    for (layout, kind), n_parts in product(STORED, (1, 3)):
        cuts = pairwise(np.linspace(0, N_SAMPLES, n_parts + 1).astype(int))
        files = [
            write(tmp_path / f"p{number}.bin", counts[:, start:stop], wiring, layout, kind)
            for number, (start, stop) in enumerate(cuts)
        ]
        data, bnc = mirrored(files, layout, wiring, tmp_path)
        expected = data if expected is None else expected
        largest = np.abs(expected).max(axis=1, keepdims=True)
        assert (np.abs(data - expected) <= 1e-6 * largest).all(), (layout, kind, n_parts)
        assert np.array_equal(bnc > 1, np.tile(np.arange(len(bnc.T)) % 50 < 10, (len(bnc), 1)))
        n_made += 1
    assert n_made == 2 * len(STORED)
