"""What TDMS files say of themselves beside their samples: used where sure, told or refused where it contradicts."""

import struct

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nptdms import TdmsFile
from tdms_bytes import (
    META_DATA,
    RAW_DATA,
    RECORDING,
    channel_path,
    head,
    linear_scale,
    plain_index,
    recording,
    segment,
    tdms_object,
)

from ecogpipe.errors import EcogpipeError, FormatError, JoinError, MemoryBlowOutError
from ecogpipe.formats.reading import read_header
from ecogpipe.results.recording import open_raw
from ecogpipe.runtime.params import override
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.scan import scan

SAMPLES = np.random.default_rng(1).integers(-99, 99, (8, 300)).astype("f8")
START = 3_700_000_000
"""Seconds since 1904: 2021-03-31T01:46:40 UTC."""


class Stamp(int):
    """A time of TDMS, in seconds since 1904."""


def channel(number, index, properties=None):
    """A channel object whose properties may be times."""
    properties = dict(properties or {})
    stamps = {name: value for name, value in properties.items() if isinstance(value, Stamp)}
    others = {name: value for name, value in properties.items() if name not in stamps}
    path = channel_path(number) if isinstance(number, int) else f"/'g'/'{number}'"
    plain = tdms_object(path, index, others)
    head_bytes = len(path) + 4 + len(index)
    count = struct.pack("<L", len(properties))
    packed = b"".join(
        struct.pack("<L", len(name)) + name.encode() + struct.pack("<LQq", 0x44, 0, value)
        for name, value in stamps.items()
    )
    return plain[:head_bytes] + count + plain[head_bytes + 4 :] + packed


def waveforms(path, own, samples=SAMPLES, properties=RECORDING):
    """A file of eight channels, each with properties of its own."""
    own = [own] * len(samples) if isinstance(own, dict) else own
    dtype = samples.dtype.str[1:]
    objects = [channel(n, plain_index(dtype, samples.shape[1]), own[n]) for n in range(len(samples))]
    path.write_bytes(head(properties) + segment(objects, samples.astype("<" + dtype).tobytes()))
    return path


def ingested(path, **declared):
    raw = ingest([path], path.with_name("made") / "raw.h5", declared=declared)
    with open_raw(raw) as made:
        acquisition = made.acquisition
        return made.source[:, :] * acquisition.slope + acquisition.intercept, acquisition, "; ".join(acquisition.notes)


class TestUnits:
    @pytest.mark.parametrize(("written", "unit"), [("V", "V"), ("mV", "mV"), ("Millivolts", "mV"), ("µV", "uV")])
    def test_the_unit_of_all_channels_is_used(self, tmp_path, written, unit):
        values, acquisition, _ = ingested(waveforms(tmp_path / "a.tdms", {"unit_string": written}))
        assert acquisition.units == unit
        assert np.array_equal(values, SAMPLES)

    def test_channels_of_several_units_are_brought_to_volts(self, tmp_path):
        own = [{"unit_string": "mV" if number < 4 else "V"} for number in range(8)]
        values, acquisition, notes = ingested(waveforms(tmp_path / "a.tdms", own))
        np.testing.assert_allclose(values, SAMPLES * np.array([1e-3] * 4 + [1] * 4)[:, None], rtol=1e-15)
        assert acquisition.units == "V"
        assert "its channels state the units V, mV: all were brought to V" in notes

    def test_a_unit_that_only_some_state_is_refused_until_it_is_declared(self, tmp_path):
        path = waveforms(tmp_path / "a.tdms", [{"unit_string": "mV"} if number else {} for number in range(8)])
        with pytest.raises(FormatError, match="a.tdms: 1 of its channels state no unit, the others mV"):
            ingested(path)
        _, acquisition, notes = ingested(path, units="uV")
        assert acquisition.units == "uV"
        assert "the unit uV is declared, but unit_string says mV" in notes

    def test_a_unit_that_is_no_voltage_is_noted(self, tmp_path):
        own = [{"unit_string": "degC"} if number == 7 else {} for number in range(8)]
        assert "unit_string is degC for c7: no voltage" in ingested(waveforms(tmp_path / "a.tdms", own))[2]


class TestTimes:
    def test_the_offset_belongs_to_the_start(self, tmp_path):
        own = {"wf_start_time": Stamp(START), "wf_start_offset": 100.25}
        assert ingested(waveforms(tmp_path / "a.tdms", own))[1].start_time == "2021-03-31T01:48:20.250000+00:00"

    @pytest.mark.parametrize(("offset", "gap"), [(0.3, None), (5.0, 4.7), (0.1, -0.2)])
    def test_parts_are_joined_by_start_and_offset(self, tmp_path, offset, gap):
        parts = [
            waveforms(tmp_path / f"{n}.tdms", {"wf_start_time": Stamp(START), "wf_start_offset": shift})
            for n, shift in enumerate((0.0, offset))
        ]
        if gap is None:
            ingest(parts, tmp_path / "raw.h5")
        else:
            with pytest.raises(JoinError, match=f"1.tdms starts {abs(gap):.6f} s"):
                ingest(parts, tmp_path / "raw.h5")

    @pytest.mark.parametrize("start", ["2016-09-01 14:30:00", "09/01/2016 2:30 PM", 3.7e9, 12])
    def test_a_start_that_is_no_time_with_a_zone_is_noted(self, tmp_path, start):
        _, acquisition, notes = ingested(waveforms(tmp_path / "a.tdms", {"wf_start_time": start}))
        assert acquisition.start_time == ""
        assert f"wf_start_time is {start!r}, which is not a time with a zone" in notes or "no time with a zone" in notes

    def test_channels_that_start_at_different_times_are_noted(self, tmp_path):
        own = [{"wf_start_time": Stamp(START + (number == 3))} for number in range(8)]
        assert "start at different times, 1 s apart" in ingested(waveforms(tmp_path / "a.tdms", own))[2]

    def test_channels_of_different_rates_are_refused_and_cropping_is_not_advised(self, tmp_path):
        own = [{"wf_increment": 0.001 if number else 0.002} for number in range(8)]
        with pytest.raises(FormatError, match=r"differ in wf_increment \(7 of 0.001 s, 1 of 0.002 s\)") as caught:
            read_header(waveforms(tmp_path / "a.tdms", own))
        assert "crop" not in str(caught.value)
        header = read_header(tmp_path / "a.tdms", {"skip_channels": "c0", "n_rows": 1, "n_columns": 7, "n_bncs": 0})
        assert header.acquisition.n_channels == 7

    @pytest.mark.parametrize("increment", [1 / 1000, 1 / 2000, 1 / 8000, 1.0])
    def test_an_increment_of_frames_lines_or_the_converter_is_none_of_note(self, tmp_path, increment):
        assert "wf_increment" not in ingested(waveforms(tmp_path / "a.tdms", {"wf_increment": increment}))[2]

    def test_an_increment_that_contradicts_the_sampling_rate_is_noted(self, tmp_path):
        notes = ingested(waveforms(tmp_path / "a.tdms", {"wf_increment": 1 / 750}))[2]
        assert "wf_increment says 750 Hz, which is not the sampling rate of 1000 Hz" in notes

    def test_the_increment_is_the_rate_where_nothing_else_says_it(self, tmp_path):
        path = waveforms(tmp_path / "a.tdms", {"wf_increment": 0.0004}, properties={})
        declared = {"n_rows": 2, "n_columns": 3, "n_bncs": 1, "units": "V"}
        _, acquisition, notes = ingested(path, **declared)
        assert acquisition.rate == 2500
        assert "the sampling rate is that of wf_increment" in notes
        declared = {"n_rows": 2, "n_columns": 7, "n_bncs": 1, "units": "V"}
        assert ingested(path, **declared)[1].rate == 1250


class TestChanges:
    @pytest.mark.parametrize(("name", "value"), [("nrRows", 4), ("OverSampling", 8)])
    def test_a_count_that_changes_within_the_file_is_refused(self, tmp_path, name, value):
        (tmp_path / "a.tdms").write_bytes(recording(SAMPLES) + head({name: value}) + recording(SAMPLES))
        with pytest.raises(FormatError, match=f"a.tdms: its {name} changes within the file"):
            read_header(tmp_path / "a.tdms")

    def test_a_sampling_rate_that_changes_is_noted(self, tmp_path):
        second = recording(SAMPLES, properties=RECORDING | {"SamplingRate": 4000.0})
        (tmp_path / "a.tdms").write_bytes(recording(SAMPLES) + second)
        assert "SamplingRate from 8000.0 to 4000.0 within the file" in ingested(tmp_path / "a.tdms")[2]

    def test_a_scale_that_changes_is_refused(self, tmp_path):
        counts = SAMPLES.astype("i2")
        pieces = [recording(counts, channel_properties=[linear_scale(slope)] * 8) for slope in (1e-3, 2e-3)]
        (tmp_path / "a.tdms").write_bytes(b"".join(pieces))
        with pytest.raises(FormatError, match=r"its NI_Scale\[0\]_Linear_Slope changes within the file"):
            read_header(tmp_path / "a.tdms")

    def test_a_start_that_every_strip_repeats_is_no_change(self, tmp_path):
        strips = [
            recording(SAMPLES, channel_properties=[{"wf_start_offset": float(number)}] * 8) for number in range(3)
        ]
        (tmp_path / "a.tdms").write_bytes(b"".join(strips))
        assert read_header(tmp_path / "a.tdms").n_samples == 900


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    numbers=st.lists(st.integers(0, 4), max_size=4, unique=True),
    count=st.one_of(st.none(), st.integers(0, 5)),
    slopes=st.lists(st.sampled_from([0.0, 1e-3, -2.5, 1e30]), min_size=5, max_size=5),
)
def test_scales_with_any_numbers_and_count_are_those_of_nptdms_or_refused(tmp_path_factory, numbers, count, slopes):
    path = tmp_path_factory.mktemp("scales") / "a.tdms"
    own = {}
    previous = 0xFFFFFFFF
    for number in sorted(numbers):
        own |= linear_scale(slopes[number], 0.5, number, previous)
        previous = number
    own.pop("NI_Number_Of_Scales", None)
    own |= {} if count is None else {"NI_Number_Of_Scales": count}
    counts = SAMPLES.astype("i2")
    path.write_bytes(recording(counts, channel_properties=[own] * 8))
    try:
        values = ingested(path)[0]
    except EcogpipeError as error:
        said = str(error)
        assert "a.tdms" in said
        return
    expected = np.array([each[:] for each in TdmsFile.read(path)["g"].channels()])
    np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.parametrize("slope", [float("nan"), float("inf")])
def test_a_scale_that_is_not_finite_is_refused(tmp_path, slope):
    own = [linear_scale(slope)] * 8
    (tmp_path / "a.tdms").write_bytes(recording(SAMPLES.astype("i2"), channel_properties=own))
    with pytest.raises(FormatError, match="a.tdms: channel 'c0': its scaling has the coefficients .*not all finite"):
        read_header(tmp_path / "a.tdms")


class TestChannels:
    def write(self, path, *extra, n_samples=300):
        """A recording with further channels: (name, dtype)."""
        objects = [channel(number, plain_index("f8", n_samples)) for number in range(8)]
        raw = SAMPLES[:, :n_samples].tobytes()
        for name, dtype in extra:
            index = plain_index(dtype, n_samples) if dtype != "?" else struct.pack("<LLLQ", 20, 0x21, 1, n_samples)
            objects.append(channel(name, index))
            raw += (np.arange(n_samples) % 2).astype("<" + dtype).tobytes()
        path.write_bytes(head(RECORDING) + segment(objects, raw))
        return path

    def test_a_time_channel_can_be_left_out(self, tmp_path):
        path = self.write(tmp_path / "a.tdms", ("Time", "f8"))
        with pytest.raises(FormatError, match="has 9 channels of samples, .*'skip_channels: <names>'"):
            read_header(path)
        values, _, notes = ingested(path, skip_channels="Time")
        assert np.array_equal(values, SAMPLES)
        assert "Time (declared)" in notes
        with pytest.raises(FormatError, match="no channel 'Tim' to skip. Did you mean 'Time'"):
            read_header(path, {"skip_channels": ["Tim"]})

    @pytest.mark.parametrize("dtype", ["?", "u1", "i2", "f4"])
    def test_a_line_of_another_dtype_beside_the_signals(self, tmp_path, dtype):
        properties = RECORDING | {"nrRows": 1, "nrColumns": 8, "nrBNCs": 1, "OverSampling": 8}
        path = self.write(tmp_path / "a.tdms", ("trigger", dtype))
        path.write_bytes(head(properties) + path.read_bytes()[len(head(RECORDING)) :])
        values = ingested(path)[0]
        assert np.array_equal(values, np.vstack([SAMPLES, np.arange(300) % 2]))

    def test_booleans_beside_a_whole_recording_are_left_out_and_named(self, tmp_path):
        values, _, notes = ingested(self.write(tmp_path / "a.tdms", ("ok", "?")))
        assert np.array_equal(values, SAMPLES)
        assert "ok (booleans)" in notes

    def test_one_recording_over_several_groups(self, tmp_path):
        objects = [tdms_object(f"/'{'ab'[n // 4]}'/'c{n}'", plain_index("f8", 300)) for n in range(8)]
        declared = {"n_rows": 2, "n_columns": 3, "n_bncs": 1, "units": "V", "sampling_rate": 1000}
        (tmp_path / "a.tdms").write_bytes(segment([tdms_object("/")]) + segment(objects, SAMPLES.tobytes()))
        with pytest.raises(FormatError, match=r"several groups of samples: .*'group: \[<name>, <name>\]'"):
            read_header(tmp_path / "a.tdms", declared)
        assert np.array_equal(ingested(tmp_path / "a.tdms", **declared, group=["a", "b"])[0], SAMPLES)

    def test_channels_left_out_are_named_where_a_count_is_told(self, tmp_path):
        path = self.write(tmp_path / "a.tdms")
        text = tdms_object("/'g'/'comment'", struct.pack("<LLLQQ", 28, 0x20, 1, 1, 9))
        path.write_bytes(
            path.read_bytes() + segment([text], struct.pack("<L", 5) + b"hello", flags=META_DATA | RAW_DATA)
        )
        with pytest.raises(FormatError, match=r"has 8 channels of samples \(without comment \(text\)\), but 1 rows"):
            read_header(path, {"n_rows": 1, "n_columns": 1, "n_bncs": 0})


class TestTails:
    def test_a_tail_of_zeros_after_the_last_segment_is_a_truncation(self, tmp_path):
        (tmp_path / "a.tdms").write_bytes(recording(SAMPLES) + bytes(5000))
        values, acquisition, notes = ingested(tmp_path / "a.tdms")
        assert np.array_equal(values, SAMPLES)
        assert acquisition.cropped[0]["samples_kept"] == 300
        assert "its last 5000 bytes" in notes
        with pytest.raises(FormatError, match="zeros that nobody wrote over"):
            read_header(tmp_path / "a.tdms", {"truncated": "refuse"})

    @pytest.mark.parametrize("fill", [0.0, np.nan])
    @pytest.mark.parametrize("linked", [True, False])
    def test_a_tail_in_which_every_channel_is_dead_is_noted_and_can_be_cropped(self, tmp_path, fill, linked):
        samples = np.hstack([SAMPLES, np.full((8, 700), fill)])
        path = tmp_path / ("a.h5" if linked else "a.tdms")
        declared = {"n_rows": 2, "n_columns": 3, "n_bncs": 1, "units": "V", "sampling_rate": 1000}
        if linked:
            with h5py.File(path, "w") as file:
                file["data"] = samples
        else:
            path.write_bytes(recording(samples))
        raw = ingest([path], tmp_path / "raw.h5", declared=declared)
        with h5py.File(scan(raw, tmp_path / "scan.h5")) as file:
            assert "every channel is zero or NaN in the last 0.7 s (700 frames)" in file.attrs["notes"]
            assert "'crop_end_seconds: 0.7'" in file.attrs["notes"]
        raw = ingest([path], tmp_path / "raw.h5", declared=declared | {"crop_end_seconds": 0.7})
        with open_raw(raw) as made:
            assert np.array_equal(made.source[:, :], SAMPLES)
            assert made.acquisition.cropped[0]["samples_kept"] == 300
        with h5py.File(scan(raw, tmp_path / "scan.h5")) as file:
            assert "every channel" not in file.attrs["notes"]

    def test_the_index_counts_towards_the_memory_limit(self, tmp_path):
        pieces = [recording(SAMPLES[:, : 3 + n % 7], n_segments=1) for n in range(200)]
        (tmp_path / "a.tdms").write_bytes(b"".join(pieces))
        with override(memory_limit=1e5), pytest.raises(MemoryBlowOutError, match="a.tdms: where its values are"):
            read_header(tmp_path / "a.tdms")


def test_timestamps_in_a_daqmx_index_are_no_damage(tmp_path):
    """As FlexLogger writes them beside the signals."""

    def index(code, scaler, offset):
        head_bytes = struct.pack("<LLLQL", 0x1269, code, 1, 300, 1)
        return head_bytes + struct.pack("<LLLLL", scaler, 0, offset, 0, 0) + struct.pack("<LL", 1, 80)

    frames = b"".join(struct.pack("<Qq", 0, START + n) + SAMPLES[:, n].tobytes() for n in range(300))
    signals = [tdms_object(channel_path(n), index(10, 9, 16 + 8 * n)) for n in range(8)]
    content = head(RECORDING) + segment([tdms_object("/'g'/'time'", index(0x44, 0xFFFFFFFF, 0)), *signals], frames)
    (tmp_path / "a.tdms").write_bytes(content)
    assert np.array_equal(ingested(tmp_path / "a.tdms")[0], SAMPLES)


def test_a_type_that_is_not_known_is_not_called_damage(tmp_path):
    odd = struct.pack("<LLLQ", 20, 0x47, 1, 5)
    (tmp_path / "a.tdms").write_bytes(head(RECORDING) + segment([tdms_object(channel_path(0), odd)], bytes(40)))
    with pytest.raises(FormatError, match="data of type 0x47, which cannot be read by this version") as caught:
        read_header(tmp_path / "a.tdms")
    assert "damaged" not in str(caught.value)
