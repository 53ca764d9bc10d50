"""HDF5 files as the world writes them: the values that h5py gives, or a sentence that names the file and the fault."""

import os
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from ecogpipe.checks.verify import verify_recording
from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.errors import EcogpipeError, FormatError, SettingsError
from ecogpipe.formats.reading import read_header
from ecogpipe.results.recording import open_raw
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.scan import scan

X = np.random.default_rng(1).integers(-99, 99, (4, 300)).astype("i2")


def declared(n_columns=4, **more):
    return {"n_rows": 1, "n_columns": n_columns, "n_bncs": 0, "sampling_rate": 1000, "units": "uV"} | more


def ingested(path, **more):
    """The samples as the steps after ingest see them, and the notes."""
    raw = ingest([path], path.with_name("made") / "raw.h5", declared=declared(**more))
    with open_raw(raw) as recording:
        acquisition = recording.acquisition
        values = recording.source[:, :] * acquisition.slope + acquisition.intercept
        return values, "; ".join(acquisition.notes)


def typed(kind, base):
    """A stored type that is not the one that its numbers have in memory."""
    stored = base.copy()
    if kind == "precision":
        stored.set_precision(6 * stored.get_size())
    elif kind == "offset":
        stored.set_precision(6 * stored.get_size())
        stored.set_offset(2 * stored.get_size())
    return stored


class TestStoredTypes:
    @pytest.mark.parametrize("chunks", [None, (4, 100)], ids=["contiguous", "chunked"])
    @pytest.mark.parametrize(
        ("kind", "base"),
        [
            ("precision", h5py.h5t.STD_I16LE),
            ("offset", h5py.h5t.STD_I16LE),
            ("precision", h5py.h5t.STD_I32BE),
            ("offset", h5py.h5t.STD_U32LE),
            ("plain", h5py.h5t.STD_I16BE),
            ("plain", h5py.h5t.NATIVE_LDOUBLE),
        ],
    )
    def test_samples_are_those_that_h5py_reads(self, tmp_path, chunks, kind, base):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            if chunks:
                creation.set_chunk(chunks)
            space = h5py.h5s.create_simple(X.shape)
            dataset = h5py.h5d.create(file.id, b"data", typed(kind, base), space, creation)
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.abs(X) if base.equal(h5py.h5t.STD_U32LE) else X)
        with h5py.File(tmp_path / "a.h5") as file:
            expected = file["data"][()]
        with MappedSource.from_hdf_sources(tmp_path / "a.h5", "data") as source:
            np.testing.assert_array_equal(source[1:, 7:250], expected[1:, 7:250])
        np.testing.assert_array_equal(ingested(tmp_path / "a.h5")[0], expected)

    def test_a_float_with_fields_of_its_own_is_read_by_hdf5(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            short = h5py.h5t.IEEE_F32LE.copy()
            short.set_fields(31, 23, 8, 7, 16)
            dataset = h5py.h5d.create(file.id, b"data", short, h5py.h5s.create_simple(X.shape))
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, X.astype("f4"))
        np.testing.assert_array_equal(ingested(tmp_path / "a.h5")[0], X)


class TestSamplesElsewhere:
    @pytest.fixture
    def virtual(self, tmp_path):
        view = h5py.VirtualLayout(X.shape, dtype="i2")
        for number in range(3):
            times = slice(100 * number, 100 * number + 100)
            with h5py.File(tmp_path / f"s{number}.h5", "w") as file:
                file["d"] = X[:, times]
            view[:, times] = h5py.VirtualSource(f"s{number}.h5", "d", shape=(4, 100))
        with h5py.File(tmp_path / "v.h5", "w", libver="latest") as file:
            file.create_virtual_dataset("data", view)
        return tmp_path / "v.h5"

    def write_source(self, path, values, name="d"):
        with h5py.File(path, "w") as file:
            file[name] = values

    def test_a_whole_virtual_dataset_is_read_and_its_sources_are_inputs(self, virtual):
        assert np.array_equal(ingested(virtual)[0], X)
        with h5py.File(virtual.with_name("made") / "raw.h5") as file:
            assert all(f"s{number}.h5" in file.attrs["provenance"] for number in range(3))
        scan(virtual.with_name("made") / "raw.h5", virtual.with_name("made") / "scan.h5")
        findings = verify_recording(virtual.with_name("made"), [])
        assert not [found.text for found in findings if found.is_fault and "is missing" not in found.text]

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            (lambda self, path: path.unlink(), "takes samples from s1.h5, which is not there"),
            (lambda self, path: self.write_source(path, X[:, 100:200], "e"), "takes samples from d of .*s1.h5"),
            (lambda self, path: self.write_source(path, X[:, 100:150]), "takes 4 x 100 samples .* has 4 x 50 of them"),
        ],
        ids=["gone", "another name", "short"],
    )
    def test_a_source_that_is_not_as_it_was_is_refused_by_every_step(self, virtual, change, found):
        raw = ingest([virtual], virtual.with_name("made") / "raw.h5", declared=declared())
        change(self, virtual.with_name("s1.h5"))
        with pytest.raises(FormatError, match=f"v.h5: .*{found}"):
            ingested(virtual)
        with pytest.raises(FormatError, match=found):
            scan(raw, raw.with_name("scan.h5"))
        assert any(finding.is_fault for finding in verify_recording(raw.parent, []) if finding.path == raw)

    def test_a_virtual_dataset_of_a_virtual_dataset_is_followed(self, virtual):
        view = h5py.VirtualLayout(X.shape, dtype="i2")
        view[:] = h5py.VirtualSource("v.h5", "data", shape=X.shape)
        with h5py.File(virtual.with_name("w.h5"), "w", libver="latest") as file:
            file.create_virtual_dataset("data", view)
        assert np.array_equal(ingested(virtual.with_name("w.h5"))[0], X)
        virtual.with_name("s2.h5").unlink()
        with pytest.raises(FormatError, match="takes samples from s2.h5"):
            read_header(virtual.with_name("w.h5"), declared())

    def test_what_has_no_source_is_refused(self, virtual, tmp_path):
        view = h5py.VirtualLayout((4, 400), dtype="i2")
        view[:, :100] = h5py.VirtualSource("s0.h5", "d", shape=(4, 100))
        with h5py.File(tmp_path / "part.h5", "w", libver="latest") as file:
            file.create_virtual_dataset("data", view)
        with pytest.raises(FormatError, match="has no source for 1200 of its 1600 samples"):
            read_header(tmp_path / "part.h5", declared())

    @pytest.mark.parametrize(
        ("kept", "found"), [(None, "which is not there"), (1000, "which ends after 1000 of 2400 bytes")]
    )
    def test_external_storage_that_is_gone_or_cut_is_refused(self, tmp_path, kept, found):
        binary = tmp_path / "samples.bin"
        binary.write_bytes(X.tobytes())
        with h5py.File(tmp_path / "a.h5", "w") as file:
            place = [(str(binary), 0, h5py.h5f.UNLIMITED)]
            file.create_dataset("data", X.shape, "<i2", external=place)
        assert np.array_equal(ingested(tmp_path / "a.h5")[0], X)
        if kept is None:
            binary.unlink()
        else:
            os.truncate(binary, kept)
        with pytest.raises(FormatError, match=f"a.h5: .*samples.bin, {found}"):
            read_header(tmp_path / "a.h5", declared())

    @pytest.mark.parametrize("chunks", [None, (4, 100)])
    def test_samples_that_were_never_written_are_noted(self, tmp_path, chunks):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            dataset = file.create_dataset("data", X.shape, "i2", chunks=chunks)
            if chunks:
                dataset[:, :100] = X[:, :100]
        assert ("2 of 3 chunks" if chunks else "data was never written") in ingested(tmp_path / "a.h5")[1]

    @pytest.mark.parametrize("link", ["soft", "hard", "external"])
    def test_signals_behind_a_link_are_read(self, tmp_path, link):
        with h5py.File(tmp_path / "other.h5", "w") as other:
            other["x"] = X
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["group/signals"] = X
            links = {"soft": h5py.SoftLink("/group/signals"), "external": h5py.ExternalLink("other.h5", "x")}
            file["data"] = file["group/signals"] if link == "hard" else links[link]
            file["nowhere"], file["self"] = h5py.SoftLink("/absent"), h5py.SoftLink("/self")
            file["group/above"] = file["/"]
        assert np.array_equal(ingested(tmp_path / "a.h5")[0], X)


class TestStated:
    """Attributes beside the data."""

    def write(self, tmp_path, **attributes):
        with h5py.File(tmp_path / "a.nwb", "w") as file:
            file["acquisition/series/data"] = X.T
            for name, value in attributes.items():
                file["acquisition/series/data"].attrs[name] = value
        return tmp_path / "a.nwb"

    def values(self, path, **more):
        wanted = declared(variable="acquisition/series/data", **more)
        wanted = {name: value for name, value in wanted.items() if value is not None}
        raw = ingest([path], path.with_name("made") / "raw.h5", declared=wanted)
        with open_raw(raw) as recording:
            acquisition = recording.acquisition
            values = recording.source[:, :] * acquisition.slope + acquisition.intercept
            return values, acquisition.units, "; ".join(acquisition.notes), acquisition.rate

    def test_nwb_conversion_and_offset_are_used(self, tmp_path):
        path = self.write(tmp_path, conversion=1.95e-7, offset=0.5, unit="volts")
        values, units, notes, _ = self.values(path, units=None)
        np.testing.assert_allclose(values, X * 1.95e-7 + 0.5, rtol=1e-12)
        assert units == "V"
        assert "conversion = 1.95e-07" in notes

    def test_a_scale_to_another_unit_than_the_declared_one_is_refused(self, tmp_path):
        path = self.write(tmp_path, conversion=1.95e-7, unit="volts")
        with pytest.raises(SettingsError, match="a.nwb: .*conversion = 1.95e-07 .* to V, but units: uV is declared"):
            self.values(path)

    @pytest.mark.parametrize("name", ["scale", "gain", "slope", "add_offset", "conversion", "resolution"])
    def test_what_nothing_uses_is_pointed_at(self, tmp_path, name):
        notes = self.values(self.write(tmp_path, **{name: 0.195}))[2]
        assert f"data.{name} = 0.195 is not used" in notes

    def test_rate_and_units_are_used_or_their_contradiction_is_told(self, tmp_path):
        path = self.write(tmp_path, sampling_rate=500.0, units="mV", conversion=1.0, gain=1.0)
        _, units, notes, rate = self.values(path, units=None, sampling_rate=None)
        assert (units, rate, notes) == ("mV", 500, "")
        notes = self.values(path)[2]
        assert "units: uV is declared, but an attribute of the samples says mV" in notes
        assert "a sampling rate of 1000 Hz is declared, an attribute says 500 Hz" in notes

    def test_the_rate_of_the_starting_time_is_found(self, tmp_path):
        path = self.write(tmp_path)
        with h5py.File(path, "r+") as file:
            file["acquisition/series/starting_time"] = 0.0
            file["acquisition/series/starting_time"].attrs["rate"] = 250.0
        assert self.values(path, sampling_rate=None)[3] == 250


class TestRefusals:
    """What cannot be read is called by its name; damage is claimed only where it was found."""

    def refusal(self, path, **more):
        with pytest.raises(EcogpipeError) as caught:
            ingested(path, **more)
        assert path.name in str(caught.value)
        return str(caught.value)

    def test_types_that_numpy_does_not_know_do_not_matter_beside_the_signals(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["data"] = X
            for name, kind in (("i24", typed("precision", h5py.h5t.STD_I32LE)), ("time", h5py.h5t.UNIX_D32LE)):
                if name == "i24":
                    kind.set_precision(24)
                    kind.set_size(3)
                h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple((5,)))
            file["info/empty"], file["info/text"] = h5py.Empty("f4"), np.bytes_("5 µV".encode("latin-1"))
            file["names"] = ["a", "b"]
            file["table"] = np.zeros(3, [("a", "i4"), ("b", "S3")])
        assert np.array_equal(ingested(tmp_path / "a.h5")[0], X)
        with h5py.File(tmp_path / "made" / "raw.h5") as file:
            assert file["info/text"].asstr()[()] == "5 µV"

    def test_a_file_that_was_left_open_is_not_called_damaged(self, tmp_path):
        path = tmp_path / "a.h5"
        program = (
            "import h5py, os, sys\n"
            "file = h5py.File(sys.argv[1], 'w', libver='latest')\n"
            "file.create_dataset('data', (4, 300), 'i2', chunks=(4, 100), maxshape=(4, None))\n"
            "file.swmr_mode = True\nfile.flush()\nos._exit(0)"
        )
        subprocess.run([sys.executable, "-c", program, str(path)], check=True)
        said = self.refusal(path)
        assert "was not closed by the program that wrote it" in said
        assert "h5clear" in said
        assert "damaged" not in said

    def test_a_filter_that_is_not_installed_is_named(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            creation.set_chunk((4, 300))
            creation.set_filter(32999, h5py.h5z.FLAG_OPTIONAL, (1, 2))
            space = h5py.h5s.create_simple(X.shape)
            dataset = h5py.h5d.create(file.id, b"data", h5py.h5t.STD_I16LE, space, creation)
            dataset.write_direct_chunk((0, 0), X.tobytes(), 0)
        assert "number 32999), which is not installed; install it with `pip install hdf5plugin`" in self.refusal(
            tmp_path / "a.h5"
        )

    def test_a_wrong_checksum_names_the_raw_file_in_every_step(self, tmp_path):
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=X, chunks=(4, 100), fletcher32=True)
            place = file["data"].id.get_chunk_info(1).byte_offset
        content = bytearray(path.read_bytes())
        content[place + 50 : place + 90] = bytes(40)
        path.write_bytes(content)
        raw = ingest([path], tmp_path / "made" / "raw.h5", declared=declared())
        with pytest.raises(FormatError, match="a.h5: samples .* of /data cannot be read .*damaged there"):
            scan(raw, raw.with_name("scan.h5"))

    def test_a_file_that_may_not_be_read_is_not_called_damaged(self, tmp_path):
        path = tmp_path / "a.h5"
        path.write_bytes(b"")
        assert "is empty" in self.refusal(path)
        path.unlink()
        path.mkdir()
        assert "damaged" not in self.refusal(path)

    def test_more_parts_than_may_be_open_at_once(self, tmp_path):
        parts = [tmp_path / f"{number:03d}.h5" for number in range(60)]
        for number, part in enumerate(parts):
            with h5py.File(part, "w") as file:
                file["data"] = np.full((4, 3), number, "i2")
        raw = ingest(parts, tmp_path / "made" / "raw.h5", declared=declared())
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        in_use = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 40, hard))
        try:
            with open_raw(raw) as recording:
                np.testing.assert_array_equal(recording.source[2, :], np.repeat(np.arange(60), 3))
                np.testing.assert_array_equal(recording.source[0, ::-50], np.repeat(np.arange(60), 3)[::-50])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_a_large_info_is_named_and_not_kept(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["data"] = X
            file.create_dataset("info/table", (10_000, 1_000), "f4", chunks=(1000, 1000), compression="gzip")
            file["info/subject"] = "16011"
        ingested(tmp_path / "a.h5")
        assert (tmp_path / "made" / "raw.h5").stat().st_size < 100_000
        with h5py.File(tmp_path / "made" / "raw.h5") as file:
            assert (
                file["info/table"].asstr()[()] == "left out: 10000 x 1000 values, 40000000 bytes, where 100000 are kept"
            )
            assert file["info/subject"].asstr()[()] == "16011"


class TestShapes:
    """Signals in a struct, with axes of length 1, of one channel, or in a dataset for each channel."""

    @pytest.mark.parametrize("shape", [(1, 4, 300), (4, 1, 300), (4, 300, 1)])
    @pytest.mark.parametrize("kind", ["hdf5", "v5"])
    def test_axes_of_length_one_are_left_out(self, tmp_path, shape, kind):
        path = tmp_path / "a.mat"
        if kind == "v5":
            scipy.io.savemat(path, {"data": X.reshape(shape)})
        else:
            with h5py.File(path, "w") as file:
                file["data"] = X.reshape(shape)
        np.testing.assert_array_equal(ingested(path)[0], X)

    def test_time_first_with_an_axis_of_length_one(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["data"] = X.T.reshape(1, 300, 4)
        np.testing.assert_array_equal(ingested(tmp_path / "a.h5")[0], X)

    def test_a_single_channel_has_one_axis(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["data"] = X[0]
        np.testing.assert_array_equal(ingested(tmp_path / "a.h5", n_columns=1)[0], X[:1])

    def test_a_dataset_for_each_channel_in_natural_order(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for number, row in enumerate(np.tile(X, (3, 1))):
                file[f"channels/ch{number}"] = row
        values, notes = ingested(tmp_path / "a.h5", n_columns=12, variable="channels")
        np.testing.assert_array_equal(values, np.tile(X, (3, 1)))
        assert "in this order: ch0, ch1, ch2" in notes

    @pytest.mark.parametrize("name", ["rec/data", "rec.data"])
    def test_a_field_of_a_struct_in_matlab_5(self, tmp_path, name):
        scipy.io.savemat(
            tmp_path / "a.mat", {"rec": {"data": X, "who": "me", "Fs": 1000.0}, "cells": np.array([1, "a"], "O")}
        )
        np.testing.assert_array_equal(ingested(tmp_path / "a.mat", variable=name)[0], X)

    def test_objects_strings_and_tables_beside_the_signals_of_matlab_5(self, tmp_path):
        scipy.io.savemat(
            tmp_path / "a.mat", {"data": X, "names": np.array(["a", "bc"], "O"), "text": "hello", "s": {"a": 1}}
        )
        np.testing.assert_array_equal(ingested(tmp_path / "a.mat")[0], X)


@settings(max_examples=40, deadline=None)
@given(
    precision=st.integers(17, 32),
    offset=st.integers(0, 31),
    signed=st.booleans(),
    big=st.booleans(),
    seed=st.integers(0, 99),
)
def test_integers_of_any_precision_and_offset_are_read_as_h5py_does(
    tmp_path_factory, precision, offset, signed, big, seed
):
    base = {(True, False): h5py.h5t.STD_I32LE, (True, True): h5py.h5t.STD_I32BE,
            (False, False): h5py.h5t.STD_U32LE, (False, True): h5py.h5t.STD_U32BE}[signed, big].copy()  # fmt: skip
    base.set_precision(precision)
    base.set_offset(min(offset, 32 - precision))
    path = tmp_path_factory.mktemp("types") / "a.h5"
    stored = np.random.default_rng(seed).integers(0, 2**31, (3, 50)).astype("u4")
    with h5py.File(path, "w") as file:
        dataset = h5py.h5d.create(file.id, b"data", base, h5py.h5s.create_simple((3, 50)))
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, stored, mtype=base)
        expected = file["data"][()]
    with MappedSource.from_hdf_sources(path, "data") as source:
        assert source.dtype == expected.dtype
        np.testing.assert_array_equal(source[:, 3:40], expected[:, 3:40])


@pytest.mark.parametrize("shapes", [[(40, 1)] * 3, [(1, 40)] * 3, [(40,), (40, 1), (1, 40)], [(3, 1)] * 3])
@pytest.mark.parametrize("is_matlab", [False, True])
def test_a_group_of_vectors_is_a_channel_each_be_they_rows_or_columns(tmp_path, shapes, is_matlab):
    signals = np.random.default_rng(0).normal(size=(3, max(shapes[0])))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number, shape in enumerate(shapes):
            file[f"ch/{number}"] = signals[number].reshape(shape)
            if is_matlab:
                file[f"ch/{number}"].attrs["MATLAB_class"] = np.bytes_("double")
        if is_matlab:
            file["ch"].attrs["MATLAB_class"] = np.bytes_("struct")
    header = read_header(tmp_path / "a.h5", {"variable": "ch", "units": "V", "sampling_rate": 100})
    assert (header.acquisition.n_channels, header.n_samples) == (3, signals.shape[1])
    assert np.array_equal(np.concatenate([block.copy() for block in header.read_blocks(7)], axis=1), signals)
    turned = {"n_rows": 1, "n_columns": 40, "n_bncs": 0} if shapes[0] != (3, 1) else {"orientation": "time_by_channels"}
    with pytest.raises(FormatError, match="each vector of a group is one channel"):
        read_header(tmp_path / "a.h5", {"variable": "ch", "units": "V", "sampling_rate": 100} | turned)
