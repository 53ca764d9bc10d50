"""TDMS files, however they are stored, scaled, ordered or damaged: the samples of npTDMS, or one clear sentence."""

import logging
import struct

import h5py
import numpy as np
import pytest
from nptdms import ChannelObject, GroupObject, TdmsFile, TdmsWriter
from tdms_bytes import (
    DAQMX,
    DAQMX_SCALER,
    INTERLEAVED,
    META_DATA,
    NEW_OBJECTS,
    RAW_DATA,
    RECORDING,
    channel_path,
    daqmx_index,
    head,
    linear_scale,
    plain_index,
    recording,
    segment,
    tdms_object,
)

from ecogpipe.errors import EcogpipeError, FormatError, MemoryBlowOutError
from ecogpipe.formats.reading import read_header
from ecogpipe.formats.tdms.index import index_tdms
from ecogpipe.formats.tdms.samples import raw_blocks
from ecogpipe.runtime.params import override
from ecogpipe.steps.ingest import ingest
from ecogpipe.storage.canonical import read_acquisition

KINDS = ["contiguous", "interleaved", "daqmx", "big_endian", "chunks", "one_value"]
DTYPES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"]

logging.getLogger("nptdms").setLevel(logging.CRITICAL)


@pytest.fixture
def write(tmp_path):
    def write_bytes(content, name="a.tdms"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write_bytes


def samples_of(n_samples=60, dtype="f8", n_channels=8, seed=0):
    return np.random.default_rng(seed).integers(0, 100, (n_channels, n_samples)).astype(dtype)


def scales(kind, n_channels=8):
    """DAQmx data need a scaling; this one keeps the numbers."""
    return [linear_scale(1.0, number=1, source=0)] * n_channels if kind == "daqmx" else None


def whole(header, block_length=7):
    return np.concatenate([block.copy() for block in header.read_blocks(block_length)], axis=1)


def ingest_or_refuse(path, folder):
    """Samples and acquisition of the file's raw.h5, or None where it was refused in a sentence and left nothing."""
    folder.mkdir(exist_ok=True)
    try:
        raw = ingest([path], folder / "raw.h5")
    except EcogpipeError as refusal:
        sentence = str(refusal)
    else:
        sentence = ""
    if sentence:
        assert path.name in sentence
        assert "\n" not in sentence
        assert not list(folder.iterdir())
        return None
    assert list(folder.iterdir()) == [raw]
    with h5py.File(raw, "r", locking=False) as file:
        found, acquisition = file["data"][()], read_acquisition(file)
    raw.unlink()
    return found, acquisition


def notes_of(header):
    return " ".join(header.acquisition.notes)


class TestStorage:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("block_length", [1, 7, 20, 1000])
    def test_every_kind_of_storage_gives_the_same_samples_in_blocks_of_any_length(self, write, kind, block_length):
        samples = samples_of(dtype="i2" if kind == "daqmx" else "f8")
        header = read_header(write(recording(samples, kind, channel_properties=scales(kind))))
        blocks = [block.copy() for block in header.read_blocks(block_length)]
        assert all(block.shape[1] == block_length for block in blocks[:-1])
        assert np.array_equal(np.concatenate(blocks, axis=1), samples)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("kind", ["contiguous", "interleaved", "big_endian"])
    def test_the_dtype_of_the_file_is_kept(self, write, kind, dtype):
        header = read_header(write(recording(samples_of(dtype=dtype), kind)))
        assert header.dtype == np.dtype(dtype)
        assert whole(header).dtype == np.dtype(dtype)
        assert np.array_equal(whole(header), samples_of(dtype=dtype))

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_memory_limit_smaller_than_a_segment_changes_nothing(self, write, kind):
        samples = samples_of(6000, dtype="i2" if kind == "daqmx" else "f8")
        path = write(recording(samples, kind, n_segments=2, channel_properties=scales(kind)))
        with override(memory_limit=2e5):
            assert np.array_equal(whole(read_header(path), 500), samples)

    def test_segments_of_changing_length_and_other_groups_between_them(self, write):
        samples, others = samples_of(70), samples_of(70, n_channels=2, seed=1)
        content = head()
        for start, stop in ((0, 3), (3, 10), (10, 17), (17, 50), (50, 70)):
            objects = [tdms_object(channel_path(c), plain_index("f8", stop - start)) for c in range(8)]
            content += segment(objects, samples[:, start:stop].tobytes())
            objects = [tdms_object(f"/'other'/'{c}'", plain_index("f8", stop - start)) for c in range(2)]
            content += segment(objects, others[:, start:stop].tobytes())
        path = write(content)
        assert np.array_equal(whole(read_header(path)), samples)

    def test_a_segment_per_channel(self, write):
        samples = samples_of(50)
        content = head()
        for number, row in enumerate(samples):
            content += segment([tdms_object(channel_path(number), plain_index("f8", 50))], row.tobytes())
        assert np.array_equal(whole(read_header(write(content))), samples)

    def test_segments_without_metadata_and_objects_like_before(self, write):
        samples = samples_of(60)
        content = recording(samples[:, :20], n_segments=1)
        content += segment([], samples[:, 20:40].tobytes(), flags=RAW_DATA)
        as_before = [tdms_object(channel_path(0), b"\x00" * 4)]
        content += segment(as_before, samples[:, 40:].tobytes(), flags=META_DATA | RAW_DATA)
        assert np.array_equal(whole(read_header(write(content))), samples)

    def test_the_index_of_many_even_segments_stays_small(self, write):
        index = index_tdms(write(recording(samples_of(3000), "one_value")))
        assert len(index.runs) == 1
        assert index.runs[0].n_chunks == 3000

    def test_a_stale_index_file_beside_it_is_not_believed(self, write):
        samples = samples_of()
        path = write(recording(samples))
        write(recording(samples_of(20)).replace(b"TDSm", b"TDSh"), "a.tdms_index")
        assert np.array_equal(whole(read_header(path)), samples)

    def test_numbers_beside_text_and_times_are_read_and_the_others_listed(self, write):
        samples = samples_of(10)
        words = b"".join((4 * n).to_bytes(4, "little") for n in range(1, 11)) + b"word" * 10
        text_index = b"\x1c\x00\x00\x00" + (0x20).to_bytes(4, "little") + plain_index("f8", 10)[8:]
        objects = [tdms_object("/'g'/'remarks'", text_index + len(words).to_bytes(8, "little"))]
        time_index = plain_index("f8", 10)[:4] + (0x44).to_bytes(4, "little") + plain_index("f8", 10)[8:]
        objects += [tdms_object("/'g'/'clock'", time_index)]
        objects += [tdms_object(channel_path(c), plain_index("f8", 10)) for c in range(8)]
        content = head() + segment(objects, words + bytes(160) + samples.tobytes())
        header = read_header(write(content))
        assert np.array_equal(whole(header), samples)
        assert "skipped 2 channels that are not samples: remarks (text), clock (timestamps)" in notes_of(header)

    @pytest.mark.parametrize(
        ("beside", "listed"),
        [
            (np.arange(10) + 1j, "z (complex numbers)"),
            (["a", "ü"] * 5, "z (text)"),
            (np.arange(10).astype("datetime64[us]"), "z (timestamps)"),
            (np.array([True, False] * 5), "z (booleans)"),
            (np.array([], "f8"), "z (f8)"),
        ],
        ids=["complex", "text", "times", "booleans", "nothing"],
    )
    def test_channels_that_are_no_samples_beside_the_data(self, tmp_path, beside, listed):
        samples, path = samples_of(10), tmp_path / "a.tdms"
        with TdmsWriter(str(path), index_file=True) as writer:
            channels = [ChannelObject("it's", f'c/{number}"', row) for number, row in enumerate(samples)]
            empty = GroupObject("first of all")
            writer.write_segment([empty, GroupObject("it's", RECORDING), ChannelObject("it's", "z", beside), *channels])
        header = read_header(path)
        assert np.array_equal(whole(header), samples)
        assert f"skipped 1 channels that are not samples: {listed}" in notes_of(header)

    def test_interleaved_channels_of_other_widths_between_the_data_of_another_group(self, write):
        frames = np.zeros(10, [("x", "<i2"), *((f"c{c}", "<f8") for c in range(8)), ("y", "u1")])
        samples = samples_of(10)
        for number, row in enumerate(samples):
            frames[f"c{number}"] = row
        objects = [tdms_object("/'other'/'x'", plain_index("i2", 10))]
        objects += [tdms_object(channel_path(c), plain_index("f8", 10)) for c in range(8)]
        objects += [tdms_object("/'other'/'y'", plain_index("u1", 10))]
        flags = META_DATA | NEW_OBJECTS | RAW_DATA | INTERLEAVED
        assert np.array_equal(
            whole(read_header(write(head() + segment(objects, frames.tobytes(), flags=flags)))), samples
        )

    @pytest.mark.parametrize(("n_scalers", "digital"), [(2, False), (1, True)])
    def test_daqmx_channels_that_are_no_numbers_are_named(self, write, n_scalers, digital):
        scalers = b"".join(
            struct.pack("<LLLBL" if digital else "<LLLLL", 0 if digital else 3, 0, 2 * number, 0, number)
            for number in range(n_scalers)
        )
        kind = DAQMX_SCALER + digital
        index = struct.pack("<LLLQL", kind, 0xFFFFFFFF, 1, 10, n_scalers) + scalers + struct.pack("<LL", 1, 4)
        flags = META_DATA | NEW_OBJECTS | RAW_DATA | INTERLEAVED | DAQMX
        path = write(head() + segment([tdms_object(channel_path(0), index)], bytes(40), flags=flags))
        what = "digital lines" if digital else "several raw values per sample"
        with pytest.raises(FormatError, match=f"no channel of numbers in g but channels of {what}"):
            read_header(path)


class TestOrderAndLayout:
    def test_channels_follow_ni_array_column_where_it_counts_them_all(self, write):
        samples, order = samples_of(), np.random.default_rng(1).permutation(8)
        columns = [{"NI_ArrayColumn": int(column)} for column in order]
        header = read_header(write(recording(samples, channel_properties=columns)))
        assert np.array_equal(whole(header)[order], samples)
        assert "in the order of NI_ArrayColumn" in notes_of(header)

    @pytest.mark.parametrize(
        "columns", [[0, 1, 2, 3, 0, 1, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8], [7, 6, 5, 4, 3, 2, 1, None]]
    )
    def test_channels_keep_the_order_of_the_file_where_it_repeats_or_is_missing(self, write, columns):
        properties = [{} if column is None else {"NI_ArrayColumn": column} for column in columns]
        header = read_header(write(recording(samples_of(), channel_properties=properties)))
        assert np.array_equal(whole(header), samples_of())
        assert "in the order of the file" in notes_of(header)

    def test_a_multiplexed_file_becomes_the_demultiplexed_one(self, write):
        samples = samples_of(30)
        lines = samples.reshape(4, 2, 30).swapaxes(1, 2).reshape(4, 60)
        header = read_header(write(recording(lines)))
        assert header.n_samples == 30
        assert np.array_equal(whole(header), samples)
        demultiplexed = read_header(write(recording(samples))).acquisition
        assert header.acquisition.rate == demultiplexed.rate == 1000
        assert header.acquisition.n_channels == demultiplexed.n_channels == 8
        assert "demultiplexed: 4 lines of 2 rows each" in notes_of(header)

    def test_samples_of_a_multiplexed_file_that_are_no_whole_frame_are_left_out_and_said(self, write):
        header = read_header(write(recording(samples_of(61, n_channels=4))))
        assert header.n_samples == 30
        assert "the last 1 samples do not fill a frame" in notes_of(header)

    def test_a_channel_count_that_fits_no_layout_is_refused_with_the_counts(self, write):
        with pytest.raises(FormatError, match="has 7 channels of samples, but 2 rows of 3 electrode and 1 BNC columns"):
            read_header(write(recording(samples_of(n_channels=7))))


class TestGroups:
    def with_second_group(self, samples, properties=None):
        objects = [tdms_object("/'second'", properties=properties)]
        objects += [tdms_object(f"/'second'/'{c}'", plain_index("f8", 5)) for c in range(8)]
        return recording(samples) + segment(objects, np.zeros((8, 5)).tobytes())

    def test_the_group_with_the_acquisition_properties_is_taken(self, write):
        content = segment([tdms_object("/'Default'")]) + self.with_second_group(samples_of())
        assert np.array_equal(whole(read_header(write(content))), samples_of())

    def test_several_such_groups_are_listed_and_one_can_be_declared(self, write):
        path = write(self.with_second_group(samples_of(), RECORDING))
        with pytest.raises(
            FormatError, match=r"'g' with 8 channels, 'second' with 8 channels; declare 'group: <name>'"
        ):
            read_header(path)
        assert read_header(path, {"group": "second"}).n_samples == 5
        with pytest.raises(FormatError, match=r"has no group 'secnd' of channels. Did you mean 'second'\?"):
            read_header(path, {"group": "secnd"})


class TestScaling:
    def test_a_line_common_to_all_is_kept_beside_the_raw_numbers(self, write):
        counts = samples_of(dtype="i2")
        header = read_header(write(recording(counts, channel_properties=[linear_scale(0.25, -3.0)] * 8)))
        assert header.dtype == np.int16
        assert np.array_equal(whole(header), counts)
        assert (header.acquisition.slope, header.acquisition.intercept) == (0.25, -3.0)

    @pytest.mark.parametrize("kind", ["contiguous", "daqmx"])
    def test_lines_that_differ_are_applied_as_nptdms_applies_them(self, write, kind):
        number, source = (1, 0) if kind == "daqmx" else (0, 0xFFFFFFFF)
        own = [linear_scale(0.1 * (c + 1), 0.3, number, source) for c in range(8)]
        path = write(recording(samples_of(dtype="i2"), kind, channel_properties=own))
        header = read_header(path)
        assert header.dtype == np.float64
        assert (header.acquisition.slope, header.acquisition.intercept) == (1.0, 0.0)
        assert np.array_equal(whole(header), [channel[:] for channel in TdmsFile.read(path)["g"].channels()])

    def test_a_polynomial_is_applied_as_nptdms_applies_it(self, write):
        scale = {"NI_Number_Of_Scales": 1, "NI_Scale[0]_Scale_Type": "Polynomial"}
        scale |= {f"NI_Scale[0]_Polynomial_Coefficients[{power}]": 0.1 + power for power in range(4)}
        path = write(recording(samples_of(dtype="i2"), channel_properties=[scale] * 8))
        expected = [channel[:] for channel in TdmsFile.read(path)["g"].channels()]
        assert np.array_equal(whole(read_header(path)), expected)

    def test_data_that_were_scaled_before_they_were_written_are_left_alone(self, write):
        scaled = linear_scale(0.25) | {"NI_Scaling_Status": "scaled"}
        header = read_header(write(recording(samples_of(), channel_properties=[scaled] * 8)))
        assert header.acquisition.slope == 1.0

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"NI_Scale[0]_Scale_Type": "Thermocouple"}, "a scale of type 'Thermocouple', which is not supported"),
            ({"NI_Scale[0]_Linear_Input_Source": 0}, "takes its input from scale 0, which has none"),
            ({"NI_Scale[0]_Linear_Slope": "steep"}, "a property that should be a number and is not"),
        ],
    )
    def test_a_scaling_that_cannot_be_computed_is_refused_not_dropped(self, write, change, message):
        own = linear_scale(0.25) | change
        with pytest.raises(FormatError, match=f"channel 'c0': .*{message}"):
            read_header(write(recording(samples_of(), channel_properties=[own] * 8)))

    def test_daqmx_counts_without_a_scaling_are_refused(self, write):
        with pytest.raises(FormatError, match="'c0' holds counts without a scaling"):
            read_header(write(recording(samples_of(dtype="i2"), "daqmx")))


class TestDamage:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_file_cut_anywhere_is_ingested_to_a_flagged_prefix_or_refused(self, write, tmp_path, kind):
        """200 places in all, among those of a whole frame, of a segment's head and of every kind of storage."""
        samples = samples_of(dtype="i2" if kind == "daqmx" else "f8")
        content = recording(samples, kind, channel_properties=scales(kind))
        borders = {place for place in range(len(content)) if content[place : place + 4] == b"TDSm"}
        n_read = 0
        for cut in np.random.default_rng(KINDS.index(kind)).integers(0, len(content), 34).tolist():
            path = write(content[:cut])
            outcome = ingest_or_refuse(path, tmp_path / "out")
            if outcome is None:
                continue
            found, acquisition = outcome
            assert np.array_equal(found, samples[:, : found.shape[1]])
            assert (len(acquisition.cropped) == 1) == (cut not in borders)
            assert any("truncated" in note for note in acquisition.notes) == (cut not in borders)
            n_read += 1
        assert n_read

    def test_a_truncated_file_says_what_was_expected_and_found(self, write):
        content = recording(samples_of(60), n_segments=3)
        header = read_header(write(content[: -8 * 30]))
        assert header.n_samples == 40
        assert "60 samples expected, 40 to 60 found per channel, cropped to 40" in notes_of(header)

    def test_a_file_that_ends_after_the_first_of_many_chunks_says_what_was_expected(self, write):
        content = recording(samples_of(60), "chunks", n_segments=1)
        header = read_header(write(content[: -8 * 8 * 55]))
        assert header.n_samples == 5
        assert header.acquisition.cropped[0]["samples_expected"] == [60] * 8

    def test_a_last_segment_that_was_left_open_is_read_to_the_end_and_said(self, write):
        content = recording(samples_of(40), n_segments=2)
        objects = [tdms_object(channel_path(c), plain_index("f8", 20)) for c in range(8)]
        content += segment(objects, samples_of(20, seed=5).tobytes(), length=0xFFFFFFFFFFFFFFFF)
        header = read_header(write(content))
        assert header.n_samples == 60
        assert "the length of its last segment" in notes_of(header)

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_file_with_overwritten_bytes_is_ingested_to_what_nptdms_reads_or_refused(self, write, tmp_path, kind):
        """300 copies in all."""
        rng = np.random.default_rng(KINDS.index(kind))
        good = recording(samples_of(dtype="i2" if kind == "daqmx" else "f8"), kind, channel_properties=scales(kind))
        n_read = 0
        for _ in range(50):
            bad = bytearray(good)
            for place in rng.integers(0, len(bad) - 4, rng.integers(1, 4)).tolist():
                bad[place : place + 4] = rng.bytes(int(rng.integers(1, 5)))
            path = write(bytes(bad))
            outcome = ingest_or_refuse(path, tmp_path / "out")
            if outcome is None:
                continue
            found, acquisition = outcome
            channels = TdmsFile.read(path)["g"].channels()
            lines = [channel[: found.shape[1]] for channel in channels if len(channel)]
            volts = found * acquisition.slope + acquisition.intercept
            assert all(any(np.array_equal(row, line, equal_nan=True) for line in lines) for row in volts)
            n_read += 1
        assert n_read

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"TDSm", "is not a recording"),
            (b"TDSm" + b"\xff\xd8\xff\xe0" * 40, "damaged|not a recording"),
            (segment([], b"", flags=RAW_DATA), "data before any metadata"),
            (segment([]), "is not a recording"),
            (recording(samples_of())[:300], "is truncated: it ends inside the metadata"),
            (recording(samples_of()).replace(b"/'g'/'c0'", b"?'g'/'c0'"), "none of TDMS; the file is damaged"),
            (recording(samples_of()) + b"JUNKJUNKJUNKJUNKJUNKJUNKJUNKJUNK", "damaged in the middle"),
            (head(), "has no channel of numbers in any group"),
            (recording(samples_of(0)), "has no channel of numbers in g"),
            (segment([tdms_object("/'g'"), tdms_object("/'g'")]), "listed twice"),
            (segment([tdms_object("nonsense")]), "none of TDMS"),
            (segment([tdms_object(channel_path(0), b"\x00" * 4)]), "like before, but had none before"),
            (segment([tdms_object("/'g'", plain_index("f8", 1))], bytes(8)), "is not a channel, has data"),
        ],
    )
    def test_what_is_no_recording_is_refused_in_one_sentence(self, write, content, message):
        with pytest.raises(FormatError, match=message) as caught:
            read_header(write(content))
        assert "a.tdms" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_unequal_lengths_that_are_no_truncation_are_refused(self, write):
        objects = [tdms_object(channel_path(c), plain_index("f8", 5 + (c == 7))) for c in range(8)]
        content = head() + segment(objects, bytes(8 * 41))
        with pytest.raises(FormatError, match=r"differ in length \(7 of 5 samples, 1 of 6 samples\)"):
            read_header(write(content))

    def test_channels_of_dtypes_that_none_holds_exactly_are_refused(self, write):
        objects = [tdms_object(channel_path(c), plain_index("i8" if c else "f8", 5)) for c in range(8)]
        content = head() + segment(objects, bytes(5 * 64))
        with pytest.raises(FormatError, match=r"differ in dtype \(1 of float64, 7 of int64\), and no dtype holds all"):
            read_header(write(content))

    def test_a_channel_that_changes_its_type_is_refused(self, write):
        content = recording(samples_of()) + recording(samples_of(dtype="f4"))
        with pytest.raises(FormatError, match=r"holds f4, but f8 before"):
            read_header(write(content))

    def test_metadata_larger_than_the_memory_limit_are_not_loaded(self, write):
        path = write(segment([tdms_object("/", properties={"essay": "x" * 100_000})]))
        with override(memory_limit=2e5), pytest.raises(MemoryBlowOutError, match="metadata"):
            read_header(path)

    def test_a_file_that_becomes_shorter_while_it_is_read_is_refused(self, write):
        path = write(recording(samples_of()))
        header = read_header(path)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(FormatError, match="became shorter while it was read"):
            whole(header)


def test_a_channel_that_begins_beyond_4_gb_is_found_where_it_is(tmp_path):
    """Sparse on the disk: 2^31 bytes per channel, the first sample of the last channel is 7."""
    n_samples, path = 2**29, tmp_path / "large.tdms"
    objects = [tdms_object(channel_path(c), plain_index("i4", n_samples)) for c in range(4)]
    lead = segment(objects)
    length = int.from_bytes(lead[20:28], "little") + 16 * n_samples
    lead = head() + lead[:12] + length.to_bytes(8, "little") + lead[20:]
    with path.open("wb") as file:
        file.write(lead)
        file.seek(len(lead) + 12 * n_samples)
        file.write((7).to_bytes(4, "little"))
        file.truncate(len(lead) + 16 * n_samples)
    index = index_tdms(path)
    assert index.channels[channel_path(3)].n_values == n_samples
    assert not index.truncated
    (samples,) = raw_blocks(path, index.runs, [channel_path(3), channel_path(2)], 3, 3, np.dtype("i4"))
    assert samples.tolist() == [[7, 0, 0], [0, 0, 0]]


def test_daqmx_channels_in_one_wide_buffer_with_gaps(write):
    counts = np.arange(80, dtype="i2").reshape(8, 10)
    frames = np.zeros((10, 30), "u1")
    for number, row in enumerate(counts):
        frames[:, 3 * number + 1 : 3 * number + 3] = row.astype("<i2").view("u1").reshape(10, 2)
    own = linear_scale(1.0, number=1, source=0)
    objects = [tdms_object(channel_path(c), daqmx_index("i2", 10, 3 * c + 1, 30), own) for c in range(8)]
    flags = META_DATA | RAW_DATA | NEW_OBJECTS | INTERLEAVED | DAQMX
    path = write(head() + segment(objects, frames.tobytes(), flags=flags))
    assert np.array_equal(whole(read_header(path), 4), counts)


WAVEFORM = {"wf_increment": 0.001, "unit_string": "mV"}


def write_channels(path, properties, n_channels=5):
    signals = np.random.default_rng(0).normal(size=(n_channels, 40))
    with TdmsWriter(path) as file:
        channels = [ChannelObject("g", f"c{row}", signals[row], properties=WAVEFORM) for row in range(n_channels)]
        file.write_segment([GroupObject("g", properties=properties), *channels])
    return signals


def test_channels_of_a_file_that_says_nothing_of_a_multiplexer_are_one_row(tmp_path):
    signals = write_channels(tmp_path / "a.tdms", {"operator": "x"})
    header = read_header(tmp_path / "a.tdms")
    acquisition = header.acquisition
    assert (acquisition.n_rows, acquisition.n_columns, acquisition.n_bncs) == (1, 5, 0)
    assert (acquisition.rate, acquisition.units) == (1000, "mV")
    assert "says nothing of a multiplexer: 5 channels in one row, in the order of the file" in acquisition.notes
    assert np.array_equal(whole(header), signals)


@pytest.mark.parametrize("name", ["nrRows", "numcol", "OSR"])
@pytest.mark.parametrize("place", ["group", "channel"])
def test_a_word_of_a_multiplexer_counts_in_another_group_and_on_a_channel(tmp_path, name, place):
    said = {name: 4}
    with TdmsWriter(tmp_path / "a.tdms") as file:
        properties = WAVEFORM | (said if place == "channel" else {})
        channels = [ChannelObject("g", f"c{row}", np.arange(9.0), properties=properties) for row in range(3)]
        file.write_segment([*([GroupObject("set-up", properties=said)] if place == "group" else []), *channels])
    with pytest.raises(FormatError, match=f"it names {name}, as recordings of a multiplexer do"):
        read_header(tmp_path / "a.tdms")


@pytest.mark.parametrize("name", ["SamplingRate", "OverSampling", "nrRows", "nrColumns", "nrBNCs"])
def test_a_property_of_a_multiplexer_asks_for_all_counts(tmp_path, name):
    write_channels(tmp_path / "a.tdms", {name: 4})
    with pytest.raises(FormatError, match="does not say .*n_"):
        read_header(tmp_path / "a.tdms", {"sampling_rate": 1000})


def test_an_increment_of_some_channels_is_none_of_all(tmp_path):
    with TdmsWriter(tmp_path / "a.tdms") as file:
        properties = [{"wf_increment": 200.0, "unit_string": "V"}, {"unit_string": "V"}]
        file.write_segment([ChannelObject("g", f"c{n}", np.arange(9.0), properties=properties[n]) for n in range(2)])
    with pytest.raises(FormatError, match="does not say sampling_rate"):
        read_header(tmp_path / "a.tdms")
