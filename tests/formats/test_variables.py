"""Matlab and HDF5 files: the signals and how they were acquired, read alike, or refused in one sentence."""

import h5py
import numpy as np
import pytest
import scipy.io

from ecogpipe.errors import FormatError, MemoryBlowOutError, SettingsError
from ecogpipe.formats.reading import read_header
from ecogpipe.runtime.params import override
from ecogpipe.storage.canonical import Acquisition, read_acquisition, write_acquisition
from ecogpipe.synthetic import SyntheticRecording

LAB = {"Fs": 1000.0, "sampRate": 8000.0, "numRow": 2.0, "numCol": 3.0, "numChan": 4.0, "OSR": 4.0}
"""Scalars of a recording of 2 * 4 channels."""
COUNTS = {"n_rows": 2, "n_columns": 3, "n_bncs": 1}
SIGNALS = np.arange(8 * 50, dtype="f8").reshape(8, 50)
FORMATS = ["v5", "v7.3", "hdf5"]


@pytest.fixture
def save(tmp_path):
    """Write variables as each program does; arrays are in the axis order that the program shows."""

    def save_as(kind, variables):
        path = tmp_path / f"{kind}.mat"
        if kind == "v5":
            scipy.io.savemat(path, variables, appendmat=False)
            return path
        with h5py.File(path, "w", userblock_size=512 if kind == "v7.3" else 0) as file:
            for name, value in variables.items():
                array = np.atleast_2d(value) if kind == "v7.3" else np.asarray(value)
                file[name] = array.T if kind == "v7.3" else array
                if kind == "v7.3":
                    file[name].attrs["MATLAB_class"] = np.bytes_("double")
        return path

    return save_as


def channels_by_time(header):
    """The signals as the rest of the library will see them, copied or linked."""
    if header.read_blocks is not None:
        return np.concatenate([block.copy() for block in header.read_blocks(7)], axis=1)
    (part,) = header.parts
    with h5py.File(part.path, "r", locking=False) as file:
        values = file[part.dataset][()]
    return values.T if part.time_first else values


@pytest.mark.parametrize("kind", FORMATS)
class TestOrientation:
    @pytest.mark.parametrize("transposed", [False, True])
    def test_the_channel_count_tells_which_axis_is_time(self, save, kind, transposed):
        header = read_header(save(kind, LAB | {"data": SIGNALS.T if transposed else SIGNALS}))
        assert header.n_samples == 50
        assert np.array_equal(channels_by_time(header), SIGNALS)

    def test_a_square_array_is_refused_until_its_orientation_is_declared(self, save, kind):
        path = save(kind, LAB | {"data": SIGNALS[:, :8]})
        with pytest.raises(FormatError, match="8 x 8.* fits both axes; declare 'orientation: channels_by_time'"):
            read_header(path)
        by_time = read_header(path, {"orientation": "channels_by_time"})
        assert np.array_equal(channels_by_time(by_time), SIGNALS[:, :8])
        by_channel = read_header(path, {"orientation": "time_by_channels"})
        assert np.array_equal(channels_by_time(by_channel), SIGNALS[:, :8].T)

    def test_a_channel_count_that_fits_no_axis_is_refused_with_the_shape(self, save, kind):
        path = save(kind, LAB | {"data": SIGNALS[:7]})
        with pytest.raises(
            FormatError, match="data is 7 x 50, and 2 rows of 3 .* make 8 channels, or 4 .* fits no axis"
        ):
            read_header(path)

    def test_a_declared_orientation_that_the_channel_count_contradicts_is_refused(self, save, kind):
        with pytest.raises(FormatError, match="fits no axis in the declared orientation time_by_channels"):
            read_header(save(kind, LAB | {"data": SIGNALS}), {"orientation": "time_by_channels"})

    def test_a_recording_of_one_channel(self, save, kind):
        path = save(kind, {"data": SIGNALS[:1]})
        one = {"n_rows": 1, "n_columns": 1, "n_bncs": 0, "units": "uV", "sampling_rate": 100}
        assert np.array_equal(channels_by_time(read_header(path, one)), SIGNALS[:1])


LINES = SIGNALS.reshape(4, 2, 50).swapaxes(1, 2).reshape(4, 100)
"""SIGNALS while multiplexed: the rows of each of the 4 analog lines one after the other."""


@pytest.mark.parametrize("kind", FORMATS)
class TestMultiplexed:
    @pytest.mark.parametrize("transposed", [False, True])
    def test_analog_lines_become_channels(self, save, kind, transposed):
        header = read_header(save(kind, LAB | {"data": LINES.T if transposed else LINES}))
        assert (header.n_samples, header.parts) == (50, ())
        assert header.kind.endswith(", layout B")
        assert header.acquisition.notes == ["demultiplexed: 4 lines of 2 rows each"]
        assert np.array_equal(channels_by_time(header), SIGNALS)

    @pytest.mark.parametrize("transposed", [False, True])
    def test_raw_analog_lines_are_averaged_where_they_are_declared(self, save, kind, transposed):
        raw = np.repeat(LINES, 4, axis=1)
        raw[:, ::4], raw[:, 1::4] = -1e6, raw[:, 1::4] + 1.0
        path = save(kind, LAB | {"data": raw.T if transposed else raw})
        header = read_header(path, {"skip_seconds": 0.0025})
        assert (header.n_samples, header.acquisition.rate, header.parts) == (47, 1000, ())
        assert header.kind.endswith(", layout C")
        assert "the first 3 frames skipped; of the 4 samples" in header.acquisition.notes[0]
        assert np.array_equal(channels_by_time(header), SIGNALS[:, 3:] + 0.5)

    def test_averages_have_the_same_bits_in_either_orientation_and_whatever_the_blocks(self, save, kind):
        raw = np.random.default_rng(0).standard_normal((4, 2 * 30 * 40))
        declared = {"skip_seconds": 0, "oversampling": 30}
        expected = raw.reshape(4, 40, 2, 30)[..., 1:-1].mean(axis=-1).swapaxes(1, 2).reshape(8, 40)
        for stored in (raw, raw.T):
            header = read_header(save(kind, LAB | {"data": stored}), declared)
            for length in (1, 7, 100):
                blocks = [block.copy() for block in header.read_blocks(length)]
                assert np.array_equal(np.concatenate(blocks, axis=1), expected)

    def test_samples_that_are_no_whole_frame_are_left_out_and_said(self, save, kind):
        header = read_header(save(kind, LAB | {"data": LINES[:, :-1]}))
        assert header.acquisition.notes == [
            "demultiplexed: 4 lines of 2 rows each; the last 1 samples do not fill a frame and are left out"
        ]
        assert np.array_equal(channels_by_time(header), SIGNALS[:, :-1])
        averaged = read_header(save(kind, LAB | {"data": LINES[:, :-1]}), {"skip_seconds": 0})
        assert "the last 3 samples do not fill a frame and are left out" in averaged.acquisition.notes[0]

    def test_less_than_a_frame_is_refused(self, save, kind):
        with pytest.raises(FormatError, match="1 samples per line are less than a frame of 2 rows"):
            read_header(save(kind, LAB | {"data": LINES[:, :1]}))

    def test_with_a_single_row_there_is_nothing_to_demultiplex(self, save, kind):
        header = read_header(save(kind, LAB | {"sampRate": 4000.0, "numRow": 1.0, "data": LINES}))
        assert (header.n_samples, header.acquisition.notes) == (100, [])
        assert np.array_equal(channels_by_time(header), LINES)

    def test_lines_on_one_axis_and_channels_on_the_other_are_refused_until_the_orientation_is_declared(
        self, save, kind
    ):
        path = save(kind, LAB | {"data": SIGNALS[:, :4]})
        with pytest.raises(FormatError, match="8 x 4.* 8 channels, or 4 .* fits both axes; declare 'orientation"):
            read_header(path)
        channels = read_header(path, {"orientation": "channels_by_time"})
        assert np.array_equal(channels_by_time(channels), SIGNALS[:, :4])
        lines = read_header(path, {"orientation": "time_by_channels"})
        assert lines.kind.endswith(", layout B")
        assert np.array_equal(channels_by_time(lines)[:2, 0], SIGNALS[:2, 0])
        assert channels_by_time(lines).shape == (8, 4)

    def test_counts_keep_their_dtype_in_the_order_of_the_machine(self, save, kind):
        path = save(kind, LAB | {"data": LINES.astype("i2")})
        if kind != "v5":
            with h5py.File(path, "a") as file:
                stored, attributes = file["data"][()], dict(file["data"].attrs)
                del file["data"]
                file.create_dataset("data", data=stored.astype(">i2"), chunks=True, compression="gzip")
                file["data"].attrs.update(attributes)
        header = read_header(path)
        assert header.dtype == channels_by_time(header).dtype == np.dtype("=i2")
        assert np.array_equal(channels_by_time(header), SIGNALS)

    @pytest.mark.parametrize(
        ("declared", "message"),
        [
            ({}, "8 x 50, and skip_seconds declares the raw analog lines of 3 .* 4 in all, which fits no axis; .* out"),
            ({"n_columns": 6, "n_bncs": 2, "oversampling": 2}, "oversampling of 2, but the first and the last"),
            ({"n_columns": 6, "n_bncs": 2}, "50 samples per line are 6 frames .* takes 1000 of them"),
        ],
    )
    def test_declared_raw_analog_lines_that_do_not_fit_are_refused(self, save, kind, declared, message):
        with pytest.raises(FormatError, match=message):
            read_header(save(kind, LAB | {"data": SIGNALS}), declared | {"skip_seconds": 1})


@pytest.mark.parametrize("kind", FORMATS)
class TestAcquisition:
    def test_the_values_of_the_lab_are_read(self, save, kind):
        acquisition = read_header(save(kind, LAB | {"data": SIGNALS})).acquisition
        assert (acquisition.n_rows, acquisition.n_columns, acquisition.n_bncs) == (2, 3, 1)
        assert (acquisition.rate, acquisition.oversampling, acquisition.sampling_rate) == (1000, 4, 8000.0)
        assert acquisition.units == "V"

    def test_a_scalar_may_have_any_number_of_axes(self, save, kind):
        shaped = LAB | {"Fs": np.array([[1000.0]]), "OSR": np.array([4.0]), "data": SIGNALS}
        assert read_header(save(kind, shaped)).acquisition.rate == 1000

    def test_what_is_missing_is_named_with_the_overrides_to_write(self, save, kind):
        path = save(kind, {"data": SIGNALS})
        with pytest.raises(
            FormatError, match=r"holds data \(8 x 50\), but does not say sampling_rate, units, orientation; .*units: <V"
        ):
            read_header(path)
        declared = COUNTS | {"units": "mV", "sampling_rate": 1200}
        acquisition = read_header(path, declared).acquisition
        assert (acquisition.rate, acquisition.units, acquisition.n_channels) == (1200, "mV", 8)
        assert acquisition.overrides == declared

    def test_channels_without_a_multiplexer_are_one_row_in_the_declared_orientation(self, save, kind):
        path, known = save(kind, {"data": SIGNALS}), {"units": "mV", "sampling_rate": 1200}
        with pytest.raises(
            FormatError, match="does not say orientation; declare .* 'orientation: <channels_by_time or"
        ):
            read_header(path, known)
        header = read_header(path, known | {"orientation": "channels_by_time"})
        acquisition = header.acquisition
        assert (acquisition.n_rows, acquisition.n_columns, acquisition.n_bncs, header.n_samples) == (1, 8, 0, 50)
        assert np.array_equal(channels_by_time(header), SIGNALS)
        [note] = acquisition.notes
        assert note == "says nothing of a multiplexer: 8 channels in one row, in the order of the file"
        turned = read_header(path, known | {"orientation": "time_by_channels"})
        assert (turned.acquisition.n_columns, turned.n_samples) == (50, 8)
        assert np.array_equal(channels_by_time(turned), SIGNALS.T)

    def test_the_last_channels_of_a_row_can_be_declared_bnc_lines(self, save, kind):
        declared = {"units": "mV", "sampling_rate": 1200, "orientation": "channels_by_time"}
        path = save(kind, {"data": SIGNALS})
        acquisition = read_header(path, declared | {"n_bncs": 2}).acquisition
        assert (acquisition.n_rows, acquisition.n_columns, acquisition.n_bncs) == (1, 6, 2)
        with pytest.raises(FormatError, match="does not say n_rows, n_columns"):
            read_header(path, declared | {"n_bncs": 8})

    @pytest.mark.parametrize("shape", [(1, 50), (50, 1), (50,)])
    def test_a_vector_is_one_channel(self, save, kind, shape):
        signal = np.arange(50.0).reshape(shape)
        header = read_header(save(kind, {"data": signal}), {"units": "mV", "sampling_rate": 1200})
        assert (header.acquisition.n_channels, header.n_samples) == (1, 50)
        assert np.array_equal(channels_by_time(header), np.arange(50.0)[np.newaxis])

    @pytest.mark.parametrize(
        "name", [*sorted(set(LAB) - {"Fs"}), "n_columns", "n_rows", "oversampling", "skip_seconds"]
    )
    def test_a_word_of_a_multiplexer_asks_for_all_counts(self, save, kind, name):
        """Half of them would leave rows of a multiplexer that follow one another as one channel."""
        declared = {"units": "V", "sampling_rate": 1200, "orientation": "channels_by_time"}
        in_file = {name: LAB[name]} if name in LAB else {}
        path = save(kind, in_file | {"data": SIGNALS})
        with pytest.raises(FormatError, match="does not say n_"):
            read_header(path, declared | ({} if in_file else {name: 2}))

    @pytest.mark.parametrize("inside", ["info", "acq", ""])
    @pytest.mark.parametrize("name", ["numRow", "NUMCOL", "nrRows", "OverSampling", "osr"])
    def test_a_word_of_a_multiplexer_counts_wherever_it_stands(self, tmp_path, kind, name, inside):
        path, declared = tmp_path / "a.mat", {"units": "V", "sampling_rate": 1200, "orientation": "channels_by_time"}
        if kind == "v5":
            scipy.io.savemat(path, {"data": SIGNALS, "b": 1.0} | ({inside: {name: 2.0}} if inside else {name: "2"}))
        else:
            with h5py.File(path, "w") as file:
                file["data"] = SIGNALS.T if kind == "v7.3" else SIGNALS
                if kind == "v7.3":
                    file["data"].attrs["MATLAB_class"] = np.bytes_("double")
                (file.create_group(inside) if inside == "info" else file["data"] if inside else file).attrs[name] = 2
        with pytest.raises(FormatError, match=f"it names {name}, as recordings of a multiplexer do"):
            read_header(path, declared)

    def test_a_word_of_a_multiplexer_counts_in_structs_of_many_and_behind_links(self, tmp_path, kind):
        path, declared = tmp_path / "a.mat", {"units": "V", "sampling_rate": 1200, "orientation": "channels_by_time"}
        if kind == "v5":
            several = np.empty(2, dtype=object)
            several[:] = [{"of": {"numRow": 2.0}}, {"of": {"numRow": 3.0}}]
            scipy.io.savemat(path, {"data": SIGNALS, "cells": several})
        else:
            with h5py.File(tmp_path / "other.h5", "w") as other:
                other["set_up/numRow"] = "2"
            with h5py.File(path, "w") as file:
                file["data"] = SIGNALS
                file["beside"] = h5py.ExternalLink("other.h5", "set_up")
        with pytest.raises(FormatError, match="it names numRow, as recordings of a multiplexer do"):
            read_header(path, declared)

    @pytest.mark.parametrize("name", ["sampRate", "OSR", "numChan"])
    def test_the_name_by_which_a_file_is_not_taken_for_one_row_is_told(self, save, kind, name):
        path = save(kind, {name: LAB[name], "data": SIGNALS})
        declared = {"units": "V", "sampling_rate": 1200, "orientation": "channels_by_time"}
        told = f"it names {name}, as .*: if none read these channels, declare 'n_rows: 1; n_columns: 8; n_bncs: 0'"
        with pytest.raises(FormatError, match=told):
            read_header(path, declared)

    def test_units_are_not_guessed_from_half_of_the_acquisition_properties(self, save, kind):
        without = {name: value for name, value in LAB.items() if name != "sampRate"}
        with pytest.raises(FormatError, match="does not say units"):
            read_header(save(kind, without | {"data": SIGNALS}))

    @pytest.mark.parametrize(("unit", "interval"), [("s", 0.001), ("ms", 1.0), ("us", 1000.0)])
    def test_a_rate_can_be_an_interval_in_a_variable_with_its_unit_declared(self, save, kind, unit, interval):
        declared = COUNTS | {"units": "V", "interval_variable": "si", "sampling_interval_unit": unit}
        assert read_header(save(kind, {"data": SIGNALS, "si": interval}), declared).acquisition.rate == 1000

    def test_a_rate_can_be_in_any_variable(self, save, kind):
        path = save(kind, LAB | {"data": SIGNALS, "srate": 777.5})
        assert float(read_header(path, {"rate_variable": "srate"}).acquisition.rate) == 777.5
        with pytest.raises(FormatError, match=r"no variable 'srte' of numbers. Did you mean 'srate'\?"):
            read_header(path, {"rate_variable": "srte"})
        with pytest.raises(FormatError, match="data holds 400 values where one number is needed"):
            read_header(path, {"rate_variable": "data"})

    def test_a_rate_that_contradicts_the_others_is_refused_until_the_true_one_is_declared(self, save, kind):
        path = save(kind, LAB | {"data": SIGNALS, "Fs": 500.0})
        with pytest.raises(FormatError, match=r"says a rate of 500 Hz, but 8000 Hz over 2 rows .* make 1000 Hz"):
            read_header(path)
        acquisition = read_header(path, {"sampling_rate": 500}).acquisition
        assert acquisition.rate == 500
        assert acquisition.overrides == {"sampling_rate": 500}
        assert acquisition.sampling_rate == 8000.0

    def test_a_declared_oversampling_corrects_the_rate(self, save, kind):
        assert read_header(save(kind, LAB | {"data": SIGNALS}), {"oversampling": 2}).acquisition.rate == 2000

    @pytest.mark.parametrize(("name", "value"), [("numRow", 2.5), ("numRow", np.nan), ("numChan", 2.0), ("OSR", 0.0)])
    def test_impossible_counts_are_refused(self, save, kind, name, value):
        with pytest.raises(FormatError, match="declare"):
            read_header(save(kind, LAB | {"data": SIGNALS, name: value}))

    def test_columns_that_were_reordered_off_line_are_noted(self, save, kind):
        header = read_header(save(kind, LAB | {"data": SIGNALS, "ELECTRODE": np.arange(3.0)}))
        assert "reordered off-line" in header.acquisition.notes[0]


@pytest.mark.parametrize("kind", FORMATS)
class TestVariable:
    def test_any_variable_can_be_declared_and_the_candidates_are_listed(self, save, kind):
        path = save(kind, LAB | {"lfp": SIGNALS, "t": SIGNALS[0]})
        with pytest.raises(FormatError, match=r"no variable 'data'. It holds lfp \(8 x 50\)"):
            read_header(path)
        assert np.array_equal(channels_by_time(read_header(path, {"variable": "lfp"})), SIGNALS)
        with pytest.raises(FormatError, match=r"no variable 'lpf'. Did you mean 'lfp'\?"):
            read_header(path, {"variable": "lpf"})

    def test_what_cannot_be_signals_is_refused(self, save, kind):
        for values in (SIGNALS.reshape(2, 4, 50), SIGNALS + 1j):
            with pytest.raises(FormatError, match="data has shape|data is not an array of real numbers"):
                channels_by_time(read_header(save(kind, LAB | {"data": values})))

    def test_no_samples_are_refused(self, save, kind):
        with pytest.raises(FormatError):
            read_header(save(kind, LAB | {"data": SIGNALS[:, :0]}))


class TestEachFormat:
    def test_integers_in_matlab_5_keep_the_dtype_that_they_have_in_matlab(self, save):
        counts = save("v5", LAB | {"data": SIGNALS.astype("i2")})
        assert read_header(counts).dtype == np.int16
        packed = save("v5", LAB | {"data": np.ones((8, 50))})
        assert read_header(packed).dtype == np.float64
        assert channels_by_time(read_header(packed)).dtype == np.float64

    def test_matlab_5_that_does_not_fit_the_memory_limit_is_refused_before_loading(self, save):
        path = save("v5", LAB | {"data": np.zeros((8, 50_000))})
        with (
            override(memory_limit=4e6),
            pytest.raises(MemoryBlowOutError, match=r"8 x 50000 of float64\) takes 6400000"),
        ):
            read_header(path)

    def test_a_file_is_read_by_what_it_is_not_by_its_name(self, save, tmp_path):
        old = save("v5", LAB | {"data": SIGNALS}).rename(tmp_path / "v73.h5")
        new = save("v7.3", LAB | {"data": SIGNALS}).rename(tmp_path / "old.tdms")
        assert (read_header(old).kind, read_header(new).kind) == ("Matlab 5", "Matlab v7.3")

    def test_info_of_each_format_is_kept(self, tmp_path):
        rec = SyntheticRecording("passthru", grid=(2, 3), seconds=1)
        for path in (rec.write_mat73(tmp_path / "a"), rec.write_mat5(tmp_path / "b"), rec.write_hdf5(tmp_path / "c")):
            info = read_header(path).acquisition.info
            assert info == {"nrBNCs": 2.0, "SampleStripLength": 1.0, "Note": "synthetic recording"}

    @pytest.mark.parametrize("kind", FORMATS)
    def test_a_damaged_file_is_refused_in_one_sentence(self, save, kind):
        path = save(kind, LAB | {"data": SIGNALS})
        content = path.read_bytes()
        for cut in range(520, len(content), 400):
            path.write_bytes(content[:cut])
            with pytest.raises(FormatError) as caught:
                channels_by_time(read_header(path))
            assert "\n" not in str(caught.value)

    def test_a_matlab_file_with_overwritten_bytes_ends_in_no_error_of_another_kind(self, save):
        rng = np.random.default_rng(0)
        for kind in FORMATS:
            content = save(kind, LAB | {"data": SIGNALS}).read_bytes()
            for _ in range(40):
                bad = bytearray(content)
                place = int(rng.integers(0, len(bad) - 4))
                bad[place : place + 4] = rng.bytes(4)
                path = save(kind, {"data": SIGNALS})
                path.write_bytes(bad)
                try:
                    read_header(path)
                except (FormatError, MemoryBlowOutError):
                    continue


class TestStrangeFiles:
    """What Matlab users keep beside, or in place of, signals."""

    @pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "i8", "f4"])
    def test_v5_keeps_the_dtype(self, save, dtype):
        header = read_header(save("v5", LAB | {"data": SIGNALS.astype("i1").astype(dtype)}))
        assert header.dtype == np.dtype(dtype)
        assert np.array_equal(channels_by_time(header), SIGNALS.astype("i1").astype(dtype))

    def test_a_file_of_matlab_4_is_read(self, tmp_path):
        path = tmp_path / "old.mat"
        scipy.io.savemat(path, LAB | {"data": SIGNALS}, format="4", appendmat=False)
        assert np.array_equal(channels_by_time(read_header(path)), SIGNALS)

    def test_structs_in_the_info_are_kept_by_their_path(self, save):
        cells = np.array([[1, "x"]], dtype=object)
        info = {"amplifier": {"name": "A", "gain": 10.0}, "cells": cells, "note": "n"}
        kept = read_header(save("v5", LAB | {"data": SIGNALS, "info": info})).acquisition.info
        assert kept == {"amplifier.name": "A", "amplifier.gain": 10.0, "cells": "2 cells", "note": "n"}

    @pytest.mark.parametrize(
        "data",
        [
            scipy.sparse.csc_matrix(SIGNALS),
            np.array([[SIGNALS, SIGNALS]], dtype=object),
            {"a": SIGNALS},
            SIGNALS > 3,
            SIGNALS + 1j,
            "text",
        ],
        ids=["sparse", "cells", "struct", "logical", "complex", "char"],
    )
    def test_what_is_no_array_of_real_numbers_is_refused(self, save, data):
        with pytest.raises(FormatError, match="v5.mat: data is not an array of real numbers"):
            channels_by_time(read_header(save("v5", LAB | {"data": data})))

    @pytest.mark.parametrize("kind", ["complex", "bool", "empty", "broken link", "sparse", "ragged"])
    def test_what_is_no_array_of_real_numbers_in_hdf5_is_refused(self, save, kind):
        path = save("v7.3", LAB)
        with h5py.File(path, "a") as file:
            if kind == "sparse":
                file["data/ir"] = np.arange(3)
            elif kind == "ragged":
                file.create_dataset("data", (3,), h5py.vlen_dtype("f8"))
            else:
                file["data"] = {
                    "complex": np.zeros((50, 8), [("real", "f8"), ("imag", "f8")]),
                    "bool": SIGNALS.T > 3,
                    "empty": h5py.Empty("f8"),
                    "broken link": h5py.ExternalLink("absent.h5", "/data"),
                }[kind]
        with pytest.raises(FormatError, match="data is not an array of real numbers"):
            read_header(path)


class TestCanonical:
    def canonical(self, path, **extra):
        acquisition = Acquisition(1000, 2, 3, 1, "mV", slope=0.5, sampling_rate=8000.0, overrides={"gain": 7}, **extra)
        with h5py.File(path, "w") as file:
            write_acquisition(file, acquisition)
            file.attrs["orientation"] = "channels_by_time"
            file["data"] = SIGNALS
        return path

    def test_our_own_file_is_read_as_it_says(self, tmp_path):
        path = self.canonical(tmp_path / "raw.h5", notes=["a note"])
        header = read_header(path)
        with h5py.File(path, "r", locking=False) as file:
            assert header.acquisition == read_acquisition(file)
        assert np.array_equal(channels_by_time(header), SIGNALS)

    def test_nothing_is_multiplexed_in_it_any_more(self, tmp_path):
        path = self.canonical(tmp_path / "raw.h5")
        with pytest.raises(SettingsError, match="nothing is multiplexed any more"):
            read_header(path, {"skip_seconds": 1})

    def test_declared_values_join_those_declared_before(self, tmp_path):
        header = read_header(self.canonical(tmp_path / "raw.h5"), {"sampling_rate": 250})
        assert header.acquisition.rate == 250
        assert header.acquisition.overrides == {"gain": 7, "sampling_rate": 250}

    def test_a_mirror_that_does_not_say_its_gain_is_refused(self, tmp_path):
        path = self.canonical(tmp_path / "rec_Fs500.h5")
        with h5py.File(path, "a") as file:
            file["electrode_channels"] = np.arange(6)
        with pytest.raises(FormatError, match="is a mirror"):
            read_header(path)
