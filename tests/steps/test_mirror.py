"""The mirror step against the textbook: exact, whatever the blocks, the memory, the workers and the files."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import signal

from ecogpipe.electrodes.channels import BncLine
from ecogpipe.errors import FilterError, FormatError, MaskError, RateError, SettingsError
from ecogpipe.loader import open_recording
from ecogpipe.results.channels import read_channels
from ecogpipe.results.mask import read_mask, write_mask
from ecogpipe.results.provenance import provenance_of
from ecogpipe.runtime.params import override
from ecogpipe.signal.decimate import decimation_fir
from ecogpipe.signal.filters import FilterSettings, design_fir, design_sos
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.map_channels import map_channels
from ecogpipe.steps.mask_channels import mask_channels
from ecogpipe.steps.mirror import mirror_recording
from ecogpipe.steps.scan import scan
from ecogpipe.storage import canonical
from ecogpipe.synthetic import SyntheticRecording
from shipped import AUTOMATIC

ACTV_64 = ("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64")
SETTINGS = {"rate": 200, "bandpass": [2, 80], "order": 3}


@pytest.fixture(scope="module")
def recording():
    return SyntheticRecording(*ACTV_64, rate=1000.0, seconds=6.0, seed=3)


def mapped(raw):
    """Write channels.tsv beside raw.h5."""
    daq, headstage, electrode = ACTV_64
    return map_channels(
        raw, raw.with_name("channels.tsv"), daq=daq, headstage=headstage, electrode=electrode,
        bnc=(BncLine(10, "ttl_high"), BncLine(11, "analog")), declared={},
    )  # fmt: skip


def prepared(folder, files, declared=None):
    """Run the steps that a mirror needs; return raw.h5, channels.tsv and mask.tsv."""
    folder.mkdir(exist_ok=True)
    raw, mask = folder / "raw.h5", folder / "mask.tsv"
    ingest(files, raw, declared=declared or {})
    channels = mapped(raw)
    scan(raw, folder / "scan.h5")
    mask_channels(folder / "scan.h5", channels, mask, recording="rec", manual=None, automatic=AUTOMATIC)
    return raw, channels, mask


@pytest.fixture(scope="module")
def inputs(recording, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirror")
    recording.write_mat73(folder / "rec.mat")
    return prepared(folder / "rec", [folder / "rec.mat"])


def mirrored(inputs, name="rec_Fs200.h5", **settings):
    path = inputs[0].with_name(name)
    return mirror_recording(*inputs, path, name="Fs200", settings=SETTINGS | settings)


def data_of(path):
    with h5py.File(path) as file:
        return file["data"][()]


def textbook(recording, channels, ratio=5, band=(2.0, 80.0)):
    """Electrode rows in microvolts: decimated by the one FIR, filtered by sosfiltfilt, over the whole at once."""
    volts = recording.block(0, recording.n_samples)[channels.electrode_channels]
    taps = decimation_fir(ratio)
    padded = np.pad(volts * 1e6 / channels.gain, ((0, 0), (len(taps) // 2,) * 2), "reflect", reflect_type="odd")
    decimated = np.array([np.convolve(row, taps, "valid")[::ratio] for row in padded])
    return signal.sosfiltfilt(design_sos(FilterSettings(band), recording.rate / ratio), decimated)


def test_a_mirror_is_the_textbook(recording, inputs):
    channels = read_channels(inputs[1])
    expected = textbook(recording, channels)
    found = data_of(mirrored(inputs))[channels.electrode_channels]
    assert found.dtype == np.float32
    assert (np.abs(found - expected).max(axis=1) <= 1e-6 * np.abs(expected).max(axis=1)).all()


@pytest.fixture(scope="module")
def with_gap(recording, tmp_path_factory):
    """The recording in three parts, of which the last one follows a gap; and where it begins."""
    folder = tmp_path_factory.mktemp("gap")
    inputs = prepared(folder / "rec", recording.write_tdms([folder / f"p{number}.tdms" for number in range(3)]))
    with h5py.File(inputs[0], "r+") as file:
        segments = file["segments"][()]
        segments["after_gap"][2], segments["start_time"][2] = True, "2020-01-01T00:00:00+00:00"
        file["segments"][...] = segments
    return inputs, int(segments["first_sample"][2])


@pytest.mark.parametrize("limit", [2_000_000_000, 2_000_000])
def test_rec3_each_side_of_a_gap_is_a_recording_of_its_own_on_the_grid_of_the_whole(recording, with_gap, limit):
    inputs, border = with_gap
    channels, ratio = read_channels(inputs[1]), 7
    with override(memory_limit=limit):
        path = mirror_recording(
            *inputs, inputs[0].with_name("gap.h5"), name="gap", settings={"ratio": ratio, "bandpass": [2, 50]}
        )
    volts, found = recording.block(0, recording.n_samples)[channels.electrode_channels], data_of(path)
    assert border % ratio
    first = -(-border // ratio)
    assert found.shape[1] == -(-recording.n_samples // ratio)
    sos = design_sos(FilterSettings((2.0, 50.0)), recording.rate / ratio)
    for part, offset, outputs in (
        (volts[:, :border], 0, slice(0, first)),
        (volts[:, border:], first * ratio - border, slice(first, None)),
    ):
        taps = decimation_fir(ratio)
        padded = np.pad(part * 1e6 / channels.gain, ((0, 0), (len(taps) // 2,) * 2), "reflect", reflect_type="odd")
        low = np.array([np.convolve(row, taps, "valid")[offset::ratio] for row in padded])
        expected = signal.sosfiltfilt(sos, low)
        electrodes = found[channels.electrode_channels][:, outputs]
        assert (np.abs(electrodes - expected).max(axis=1) <= 1e-6 * np.abs(expected).max(axis=1)).all()
    with h5py.File(path) as file:
        *_, last = canonical.read_segments(file)
    assert (last.first_sample, last.n_samples, last.after_gap) == (first, found.shape[1] - first, True)
    assert last.start_time == f"2020-01-01T00:00:00.{(first * ratio - border) * 1000:06d}+00:00"


def test_rec3_a_stretch_too_short_for_the_filter_is_named(with_gap, tmp_path):
    inputs, border = with_gap
    with pytest.raises(FilterError, match=f"Samples {border} to 5999 of .*, between gaps: .* samples at the new rate"):
        mirror_recording(*inputs, tmp_path / "m.h5", name="m", settings={"ratio": 100, "bandpass": [0.1, 2]})
    assert not (tmp_path / "m.h5").exists()


def test_other_rows_are_decimated_in_volts_and_never_filtered(recording, inputs):
    channels = read_channels(inputs[1])
    whole = recording.block(0, recording.n_samples)
    found = data_of(mirrored(inputs))
    taps = decimation_fir(5)
    padded = np.pad(whole, ((0, 0), (len(taps) // 2,) * 2), "reflect", reflect_type="odd")
    for row in channels.diagnostic_channels:
        np.testing.assert_allclose(found[row], np.convolve(padded[row], taps, "valid")[::5], rtol=2e-6)
    ttl, sine = channels.bnc_channels[10], channels.bnc_channels[11]
    np.testing.assert_array_equal(found[ttl], whole[ttl].reshape(8, -1, 5).max(axis=2).astype("f4"))
    np.testing.assert_array_equal(found[sine], whole[sine][:, ::5].astype("f4"))
    with h5py.File(inputs[0].with_name("rec_Fs200.h5")) as file:
        np.testing.assert_array_equal(file["bnc"][()], found[file["bnc_channels"][()]])


def test_aux1_pulses_survive_a_negative_slope(recording, tmp_path):
    path = tmp_path / "counts.h5"
    recording.write_hdf5(path)
    plain = prepared(tmp_path / "plain", [path])
    counts = prepared(tmp_path / "counts", [path])
    with h5py.File(counts[0], "r+") as raw, h5py.File(path, "r+") as file:
        file["data"][...] = -2 * file["data"][()]
        raw.attrs["slope"] = -0.5
    turned = data_of(mirrored(counts))
    with h5py.File(path, "r+") as file:
        file["data"][...] = file["data"][()] / -2
    np.testing.assert_allclose(turned, data_of(mirrored(plain)), atol=1e-5)


def test_a_mirror_says_what_it_is(inputs):
    with h5py.File(mirrored(inputs)) as file:
        channels = read_channels(inputs[1])
        assert canonical.read_acquisition(file).rate == 200
        assert (file["Fs"][()], file.attrs["ratio"], file.attrs["ecogpipe_format"]) == (200.0, 5, 1)
        np.testing.assert_array_equal(file["electrode_channels"], channels.electrode_channels)
        assert "channel_mask" not in file, "it would stay as it is when the mask changes"
        units = np.array(canonical.read_texts(file["row_units"]))
        assert set(units[channels.electrode_channels]) == {"uV"}
        assert set(units[channels.diagnostic_channels]) == {"V"}
        made_of = provenance_of(file)
        assert made_of["settings"]["bandpass"] == [2, 80]
        assert [entry["name"] for entry in made_of["inputs"]] == ["raw.h5", "channels.tsv", "mask.tsv"]
        assert 0 < file.attrs["settling_samples"] < 1200


@pytest.mark.parametrize("limit", [1_500_000, 4_000_000, 2_000_000_000])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_flt1_the_bytes_depend_on_no_execution_setting(inputs, limit, workers):
    expected = hashlib.sha256(data_of(mirrored(inputs)).tobytes()).hexdigest()
    with override(memory_limit=limit, workers=workers):
        found = hashlib.sha256(data_of(mirrored(inputs, "again.h5")).tobytes()).hexdigest()
    assert found == expected


def test_flt1_nor_on_how_the_recording_was_cut_into_files(recording, inputs, tmp_path):
    cuts = [0, 777, 778, 2500, 5999, recording.n_samples]
    parts = [tmp_path / f"part{number}.mat" for number in range(5)]
    for part, start, stop in zip(parts, cuts, cuts[1:], strict=False):
        recording.write_mat73(part, start, stop)
    np.testing.assert_array_equal(data_of(mirrored(prepared(tmp_path / "cut", parts))), data_of(mirrored(inputs)))


@pytest.mark.parametrize("threads", ["1", "2"])
def test_flt1_nor_on_the_threads_of_blas(inputs, threads):
    expected = data_of(mirrored(inputs))
    program = (
        "import sys; from pathlib import Path; from ecogpipe.steps.mirror import mirror_recording as m;"
        f"p = [Path(a) for a in sys.argv[1:]]; m(*p, name='Fs200', settings={SETTINGS!r})"
    )
    target = inputs[0].with_name("blas.h5")
    paths = [str(path) for path in (*inputs, target)]
    subprocess.run([sys.executable, "-c", program, *paths], check=True, env={"OPENBLAS_NUM_THREADS": threads})
    np.testing.assert_array_equal(data_of(target), expected)


def test_a_mirror_without_filter_and_at_the_full_rate_is_the_recording(recording, inputs):
    path = mirror_recording(*inputs, inputs[0].with_name("full.h5"), name="full", settings={"ratio": 1})
    channels = read_channels(inputs[1])
    volts = recording.block(0, recording.n_samples)[channels.electrode_channels]
    np.testing.assert_allclose(data_of(path)[channels.electrode_channels], volts * 1e6 / channels.gain, rtol=1e-6)


def test_ref1_a_common_average_takes_off_what_all_active_sites_share(inputs):
    channels, keep = read_channels(inputs[1]), read_mask(inputs[2]).keep
    plain = data_of(mirrored(inputs))[channels.electrode_channels]
    referenced = data_of(mirrored(inputs, "car.h5", reference="average"))[channels.electrode_channels]
    np.testing.assert_allclose(referenced, plain - plain[keep].mean(axis=0), atol=1e-4 * np.abs(plain).max())


def test_nan1_gaps_are_recorded_and_stay_gaps(recording, tmp_path):
    path = tmp_path / "gap.h5"
    recording.write_hdf5(path)
    channel = 4 * 8
    with h5py.File(path, "r+") as file:
        file["data"][channel, 3000:3100] = np.nan
    inputs = prepared(tmp_path / "gap", [path])
    found = data_of(mirrored(inputs))
    bad = np.flatnonzero(np.isnan(found[channel]))
    assert (bad[0], bad[-1], len(bad)) == (587, 632, 46)
    assert np.isfinite(np.delete(found, channel, axis=0)).all()
    with h5py.File(inputs[0].with_name("rec_Fs200.h5")) as file:
        assert file["non_finite"][()].tolist() == [[channel, 587, 633]]


def test_flt1_what_is_recorded_of_gaps_does_not_depend_on_the_memory_either(recording, tmp_path):
    path = tmp_path / "gaps.h5"
    recording.write_hdf5(path)
    with h5py.File(path, "r+") as file:
        file["data"][4 * 8, 300:400] = np.nan
        file["data"][8, 5000:5050] = np.nan
    inputs = prepared(tmp_path / "gaps", [path])
    recorded = []
    for limit in (2_000_000_000, 2_000_000):
        with override(memory_limit=limit), h5py.File(mirrored(inputs, f"{limit}.h5")) as file:
            recorded.append((file["non_finite"][()].tolist(), file.attrs["sha256"]))
    assert recorded[0] == recorded[1]
    assert [row for row, _, _ in recorded[0][0]] == [8, 32]


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"rate": 300}, RateError, "300 Hz cannot be reached from 1000 Hz by an integer ratio"),
        ({"rate": 200, "ratio": 5}, SettingsError, "one of the two"),
        ({"rate": 200, "bandpas": [2, 80]}, SettingsError, "Did you mean 'bandpass'"),
        ({"rate": 200, "bandpass": [2, 100]}, FilterError, "100 Hz is not between 0 and the Nyquist frequency"),
        ({"rate": 200, "notches": [120]}, FilterError, "notch at 120 Hz"),
        ({"rate": 200, "masked": "drop"}, SettingsError, "masked is 'drop'"),
        ({"rate": 200, "bandpass": [2]}, FilterError, "is not a pair"),
        ({"rate": 200, "design": "fir", "bandpass": [5, 80]}, FilterError, "transition of a FIR is None"),
        ({"ratio": 500, "bandpass": [0.1, 0.5]}, FilterError, "has 12 samples at the new rate"),
    ],
)
def test_settings_that_cannot_be_are_refused_and_leave_nothing(inputs, settings, error, sentence):
    target = inputs[0].with_name("refused.h5")
    with pytest.raises(error, match=sentence):
        mirror_recording(*inputs, target, name="x", settings=settings)
    assert not list(inputs[0].parent.glob("*refused*"))


@pytest.mark.parametrize("n_samples", [0, 1, 2, 105, 106, 999])
def test_flt3_any_length_gives_a_defined_result_or_a_sentence(inputs, tmp_path, n_samples):
    """The padding of the filter takes 21 samples of the mirror, 105 of the recording."""
    with (
        h5py.File(inputs[0].parents[1] / "rec.mat", "r", locking=False) as whole,
        h5py.File(tmp_path / "short.mat", "w", userblock_size=512) as file,
    ):
        samples = whole["data"][:n_samples]
        file.create_dataset("data", data=samples)
        for name in ("Fs", "numRow", "numCol", "numChan", "OSR", "sampRate"):
            file[name] = whole[name][()]
    with (tmp_path / "short.mat").open("r+b") as file, (inputs[0].parents[1] / "rec.mat").open("rb") as whole:
        file.write(whole.read(128))
    raw = tmp_path / "raw.h5"
    if not n_samples:
        with pytest.raises(FormatError, match="sample"):
            ingest([tmp_path / "short.mat"], raw)
        return
    ingest([tmp_path / "short.mat"], raw)
    channels = mapped(raw)
    plain = mirror_recording(raw, channels, None, tmp_path / "plain.h5", name="p", settings={"ratio": 5})
    assert data_of(plain).shape == (96, -(-n_samples // 5))
    assert np.isfinite(data_of(plain)).all()
    if n_samples <= 105:
        with pytest.raises(FilterError, match="needs more than 21 of them"):
            mirror_recording(raw, channels, None, tmp_path / "filtered.h5", name="f", settings=SETTINGS)
        assert not list(tmp_path.glob("*filtered*"))
    else:
        filtered = mirror_recording(raw, channels, None, tmp_path / "filtered.h5", name="f", settings=SETTINGS)
        electrodes = read_channels(channels).electrode_channels
        unfiltered, sos = data_of(plain)[electrodes].astype("f8"), design_sos(FilterSettings((2.0, 80.0)), 200)
        expected = signal.sosfiltfilt(sos, unfiltered)
        np.testing.assert_allclose(data_of(filtered)[electrodes], expected, atol=1e-4 * np.abs(unfiltered).max())


def test_prov2_a_recording_that_has_moved_away_from_its_files_says_so(recording, tmp_path):
    recording.write_hdf5(tmp_path / "rec.h5")
    inputs = prepared(tmp_path / "rec", [tmp_path / "rec.h5"])
    (tmp_path / "rec.h5").rename(tmp_path / "moved.h5")
    with pytest.raises(FormatError, match="rec.h5, which is not there; a study folder moves together"):
        mirrored(inputs)


def test_a_causal_filter_never_looks_ahead(recording, inputs):
    channels = read_channels(inputs[1])
    path = mirror_recording(
        *inputs, inputs[0].with_name("causal.h5"), name="c", settings=SETTINGS | {"phase": "causal"}
    )
    unfiltered = mirror_recording(*inputs, inputs[0].with_name("plain.h5"), name="p", settings={"rate": 200})
    sos = design_sos(FilterSettings((2.0, 80.0)), 200)
    plain = data_of(unfiltered)[channels.electrode_channels].astype("f8")
    start = signal.sosfilt_zi(sos)[:, None, :] * plain[None, :, :1]
    expected, _ = signal.sosfilt(sos, plain, zi=start)
    np.testing.assert_allclose(data_of(path)[channels.electrode_channels], expected, atol=1e-5 * np.abs(plain).max())


def test_a_fir_is_the_textbook(recording, inputs):
    channels, wanted = read_channels(inputs[1]), {"design": "fir", "transition": 4.0, "bandpass": [5, 80]}
    path = mirror_recording(*inputs, inputs[0].with_name("fir.h5"), name="f", settings={"rate": 200} | wanted)
    unfiltered = mirror_recording(*inputs, inputs[0].with_name("plain.h5"), name="p", settings={"rate": 200})
    taps = design_fir(FilterSettings((5.0, 80.0), design="fir", transition=4.0), 200)
    plain = data_of(unfiltered)[channels.electrode_channels].astype("f8")
    padded = np.pad(plain, ((0, 0), (len(taps) // 2,) * 2), "reflect", reflect_type="odd")
    expected = np.array([np.convolve(row, taps, "valid") for row in padded])
    np.testing.assert_allclose(data_of(path)[channels.electrode_channels], expected, atol=2e-6 * np.abs(plain).max())
    with h5py.File(path) as file:
        assert file.attrs["settling_samples"] == len(taps) // 2


def test_masked_rows_keep_their_signal_unless_nan_is_asked_for(inputs, tmp_path):
    channels, table = read_channels(inputs[1]), read_mask(inputs[2])
    table.keep[[3, 40]] = False
    reasons = tuple("by hand" if not keep else "" for keep in table.keep)
    origins = tuple("manual" if not keep else "" for keep in table.keep)
    mask = write_mask(tmp_path / "mask.tsv", replace(table, reasons=reasons, origins=origins))
    kept = data_of(mirror_recording(*inputs[:2], mask, tmp_path / "keep.h5", name="k", settings=SETTINGS))
    np.testing.assert_array_equal(kept, data_of(mirrored(inputs)))
    wanted = SETTINGS | {"masked": "nan"}
    emptied = data_of(mirror_recording(*inputs[:2], mask, tmp_path / "nan.h5", name="n", settings=wanted))
    rows = channels.electrode_channels[[3, 40]]
    assert np.isnan(emptied[rows]).all()
    np.testing.assert_array_equal(np.delete(emptied, rows, axis=0), np.delete(kept, rows, axis=0))


@pytest.mark.parametrize("reference", ["average", "median"])
@pytest.mark.parametrize("n_kept", [0, 1])
def test_a_reference_of_a_mask_that_keeps_fewer_than_two_sites_is_refused(inputs, tmp_path, reference, n_kept):
    table = read_mask(inputs[2])
    table.keep[:] = np.arange(len(table)) < n_kept
    mask = write_mask(tmp_path / "mask.tsv", table)
    wanted = SETTINGS | {"reference": reference}
    with pytest.raises(MaskError, match=f"mask.tsv: {n_kept} of 64 electrode channels are active, and mirror 'm'"):
        mirror_recording(*inputs[:2], mask, tmp_path / "m.h5", name="m", settings=wanted)
    assert not (tmp_path / "m.h5").exists()


@pytest.mark.parametrize("ratio", [1, 5])
def test_mux1_with_skew_correction_a_plane_wave_keeps_its_direction_and_speed(ratio, tmp_path):
    """A wave that all rows meet at once: the slots of the multiplexer tilt it, and the correction takes that off."""
    rate, n_rows, n_columns, hz = 1000, 16, 6, 40.0
    frames = np.arange(8000) + (np.arange(n_rows * n_columns) % n_rows)[:, None] / n_rows
    phases = 0.3 * (np.arange(n_rows * n_columns) // n_rows)[:, None]
    raw, channels = tmp_path / "raw.h5", tmp_path / "channels.tsv"
    with h5py.File(tmp_path / "wave.h5", "w") as file:
        file["data"] = np.sin(2 * np.pi * hz / rate * frames - phases)
    declared = {"n_rows": n_rows, "n_columns": n_columns, "n_bncs": 0, "units": "V", "sampling_rate": rate}
    ingest([tmp_path / "wave.h5"], raw, declared=declared)
    map_channels(raw, channels, daq="passthru", headstage="", electrode="", declared={"gain": 1})

    def phase_of_each_site(correct_skew):
        wanted = {"ratio": ratio, "correct_skew": correct_skew}
        path = mirror_recording(raw, channels, None, tmp_path / f"{correct_skew}.h5", name="x", settings=wanted)
        with h5py.File(path) as file:
            np.testing.assert_array_equal(file["slots"], np.tile(np.arange(n_rows), n_columns))
        inner = data_of(path)[:, 200 // ratio : -200 // ratio]
        turns = np.exp(-2j * np.pi * hz / rate * ratio * np.arange(inner.shape[1]))
        return np.angle(inner @ turns).reshape(n_columns, n_rows)

    skewed, corrected = phase_of_each_site(False), phase_of_each_site(True)
    per_row = 2 * np.pi * hz / rate / n_rows
    np.testing.assert_allclose(np.diff(np.unwrap(skewed, axis=1), axis=1), per_row, rtol=0.01)
    np.testing.assert_allclose(np.diff(np.unwrap(corrected, axis=1), axis=1), 0, atol=0.01 * per_row)
    np.testing.assert_allclose(np.diff(np.unwrap(corrected, axis=0), axis=0), -0.3, rtol=0.01)


MEASURE = """
import sys, threading, time
from pathlib import Path
import ecogpipe.steps.mirror as step
from ecogpipe.results.provenance import provenance_of
from ecogpipe.runtime.params import override

def anonymous():
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024

peak, base = [0], anonymous()
def watch():
    while True:
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.002)
threading.Thread(target=watch, daemon=True).start()
with override(memory_limit=float(sys.argv[1])):
    raw, channels, mirror = map(Path, sys.argv[2:5])
    step.mirror_recording(raw, channels, None, mirror, name="x", settings={"rate": 1000, "bandpass": [2, 200]})
print(peak[0] - base)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="private memory is read from /proc")
@pytest.mark.parametrize(("limit", "allowed"), [(64e6, 250e6), (400e6, 600e6)])
def test_mem1_a_gigabyte_is_mirrored_in_bounded_memory(tmp_path, limit, allowed):
    n_samples, n_channels = 1_310_000, 96
    with h5py.File(tmp_path / "big.h5", "w") as file:
        file.create_dataset("data", (n_channels, n_samples), "f8")
        values = {"Fs": 5000, "numRow": 8, "numCol": 10, "numChan": 12, "OSR": 1, "sampRate": 40_000}
        for name, value in values.items():
            file[name] = np.array([[float(value)]])
    raw = tmp_path / "raw.h5"
    ingest([tmp_path / "big.h5"], raw, declared={})
    arguments = [str(limit), str(raw), str(mapped(raw)), str(tmp_path / "mirror.h5")]
    done = subprocess.run([sys.executable, "-c", MEASURE, *arguments], check=True, capture_output=True, text=True)
    assert int(done.stdout) < allowed


def test_a_mirror_of_several_chunks_is_the_textbook_and_older_tools_find_what_they_ask_for(tmp_path):
    recording = SyntheticRecording("2t-as daq v2", "zif26 to 2x uhdmi", "actv_64", rate=2000, seconds=50, n_bncs=2)
    recording.write_mat73(tmp_path / "long.mat")
    inputs = prepared(tmp_path / "long", [tmp_path / "long.mat"])
    path = mirrored(inputs, rate=1000)
    channels = read_channels(inputs[1])
    with h5py.File(path) as file:
        n_chunks = -(-file["data"].shape[1] // file["data"].chunks[1])
        assert (n_chunks, file["data"].compression) == (2, None)
        assert file["bnc"].chunks is not None
        texts = [file["row_units"].dtype, file["bnc_kinds"].dtype, file["segments"].dtype["part"]]
        assert all(dtype.kind == "S" for dtype in texts), "PyTables reads texts of one length only"
        assert {file[name].shape for name in ("Fs", "sampRate", "numRow", "numCol", "numChan")} == {()}
        found = file["data"][()][channels.electrode_channels]
        blocks = np.concatenate([file["data"][:, start : start + 7000] for start in range(0, 50_000, 7000)], axis=1)
        assert np.array_equal(blocks, file["data"][()])
    expected = textbook(recording, channels, ratio=2)
    assert (np.abs(found - expected).max(axis=1) <= 1e-6 * np.abs(expected).max(axis=1)).all()
    assert np.array_equal(open_recording(path).data[:, 20_000:30_000], found[:, 20_000:30_000])


def test_a_mirror_that_is_packed_holds_the_same_and_says_so(inputs):
    plain = mirrored(inputs, "plain.h5")
    packed = mirrored(inputs, "packed.h5", compression="gzip")
    with h5py.File(plain) as one, h5py.File(packed) as other:
        assert set(one) == set(other)
        for name in ("data", "bnc", "sites", "row_sha256", "non_finite"):
            assert np.array_equal(one[name][()], other[name][()])
        assert other.attrs["sha256"] == one.attrs["sha256"]
        assert other["data"].compression == other["bnc"].compression == "gzip"
        assert provenance_of(other)["settings"]["compression"] == "gzip"
    assert packed.stat().st_size < plain.stat().st_size
    assert np.array_equal(open_recording(packed).data[:], open_recording(plain).data[:])
    with pytest.raises(SettingsError, match="compression"):
        mirrored(inputs, "other.h5", compression="zip")


@pytest.mark.parametrize("settings", [{"reference": "average"}, {"masked": "nan"}])
def test_a_mirror_whose_signals_depend_on_the_mask_holds_it(inputs, settings):
    path = mirrored(inputs, "used.h5", **settings)
    with h5py.File(path) as file:
        assert np.array_equal(file["channel_mask"][()], read_mask(inputs[2]).keep)


def test_a_mirror_alone_says_no_mask_that_may_be_old(inputs, tmp_path):
    alone = tmp_path / "alone.h5"
    alone.write_bytes(mirrored(inputs).read_bytes())
    assert open_recording(alone).channel_mask.all()
    assert np.array_equal(open_recording(mirrored(inputs)).channel_mask, read_mask(inputs[2]).keep)


def test_a_reference_of_fewer_channels_than_are_asked_for_is_refused(inputs, tmp_path):
    n_active = int(read_mask(inputs[2]).keep.sum())
    mirrored(inputs, "enough.h5", reference="average", least_active=n_active)
    with pytest.raises(MaskError, match=f"{n_active} of .* are active, and .* at least {n_active + 1} .*least_active"):
        mirrored(inputs, "few.h5", reference="average", least_active=n_active + 1)
    assert not inputs[0].with_name("few.h5").exists()
    mirrored(inputs, "none.h5", reference="none", least_active=1000)
