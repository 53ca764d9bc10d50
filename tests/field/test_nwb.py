"""NWB files pass the checks of the archives, hold what the results hold, and come back as they were."""

import contextlib
import getpass
import json
import random
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pytest

from field_packages import need

need("pynwb", "nwbinspector", "spikeinterface")

import pynwb  # noqa: E402
from nwbinspector import Importance, inspect_nwbfile, load_config  # noqa: E402
from spikeinterface.extractors import read_nwb_recording  # noqa: E402

import finished_study  # noqa: E402
from ecogpipe import open_recording  # noqa: E402
from ecogpipe.errors import EcogpipeError, FormatError  # noqa: E402
from ecogpipe.formats.reading import read_header  # noqa: E402
from ecogpipe.results.channels import read_channels  # noqa: E402
from ecogpipe.runtime.params import override  # noqa: E402
from ecogpipe.steps.export_nwb import export_nwb  # noqa: E402
from ecogpipe.steps.ingest import ingest  # noqa: E402
from ecogpipe.steps.map_channels import map_channels  # noqa: E402
from ecogpipe.steps.mirror import mirror_recording  # noqa: E402
from finished_study import Faults, finished_recording, interrupted_recording, write_raw  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    # hdmf and pynwb warn of what they themselves will change; and SpikeInterface of its own imports.
    "ignore::FutureWarning",
    "ignore::DeprecationWarning",
    "ignore::PendingDeprecationWarning",
)

START = "2018-01-01T10:00:00+01:00"
METADATA = {
    "subject": {"species": "Rattus norvegicus", "sex": "M", "date_of_birth": "2017-09-01", "weight": "0.31 kg"},
    "session": {
        "session_description": "Rest with triggers.",
        "location": "auditory cortex",
        "reference": "skull screw",
        "experimenter": "Doe, Jane; Roe, R. R.",
    },
    "study": {
        "lab": "Lab",
        "institution": "University",
        "experiment_description": "Synthetic recordings.",
        "keywords": ["ECoG", "rat"],
        "electrode_manufacturer": "Foundry",
    },
}
FAULTS = Faults(dead_sites=((1, 2),), noisy_sites=((5, 5),))


def say_start(done):
    with h5py.File(done.raw, "r+") as file:
        file.attrs["start_time"] = START
    return done


def exported(done, name="x.nwb", *, has_raw=False, compression="none", mirrors=None, metadata=METADATA):
    inputs = done.raw, done.channels, done.mask, done.events, mirrors or [done.mirror]
    settings = {"recording": "s1/a/test_001", "metadata": metadata, "has_raw": has_raw, "compression": compression}
    return export_nwb(*inputs, done.folder / name, **settings)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("SECRET_person") / "s1" / "a" / "test_001"
    return say_start(finished_recording(folder, seconds=12, faults=FAULTS))


@pytest.fixture(scope="module", params=["none", "gzip"])
def nwb(request, done):
    return exported(done, f"{request.param}.nwb", compression=request.param)


@pytest.fixture(scope="module")
def with_raw(done):
    return exported(done, "raw.nwb", has_raw=True)


def complaints(path):
    found = inspect_nwbfile(nwbfile_path=path, config=load_config("dandi"))
    return [message for message in found if message.importance.value >= Importance.BEST_PRACTICE_VIOLATION.value]


def test_the_checkers_of_the_archive_find_nothing(nwb, with_raw):
    for path in (nwb, with_raw):
        assert complaints(path) == []
        assert pynwb.validate(path=str(path)) == []


def test_signals_are_those_of_the_mirror_bit_for_bit(done, nwb):
    with h5py.File(done.mirror) as mirror, pynwb.NWBHDF5IO(nwb, "r") as io:
        series = io.read().processing["ecephys"]["LFP"]["Fs200"]
        expected = mirror["data"][()][mirror["electrode_channels"][()]]
        assert np.array_equal(series.data[:], expected.T)
        assert (series.data.dtype, series.conversion, series.rate, series.unit) == (np.float32, 1e-6, 200.0, "volts")
        assert "2 to 80 Hz" in series.filtering
        assert json.loads(series.comments)["rate"] == "200"
        assert np.array_equal(io.read().processing["ecephys"]["Fs200_bnc"].data[:], mirror["bnc"][()].T)


def test_sites_and_bad_channels_and_words_are_those_of_the_results(done, nwb):
    dataset = open_recording(done.mirror)
    with pynwb.NWBHDF5IO(nwb, "r") as io:
        file = io.read()
        table = file.electrodes.to_dataframe()
        sites = [
            dataset.full_map.geometry[1] * row + column for row, column in zip(table.row, table.column, strict=True)
        ]
        assert sites == list(dataset.full_map)
        assert np.allclose(table.rel_x, table.column * 400)
        assert np.array_equal(~table.bad_channel.to_numpy(), dataset.channel_mask)
        assert tuple(table.bad_channel_reason) == dataset.mask_reasons
        assert (~dataset.channel_mask).sum() == 2
        assert file.session_start_time == datetime.fromisoformat(START)
        assert (file.subject.subject_id, file.session_id) == ("s1", "a_test_001")
        assert file.experimenter == ("Doe, Jane", "Roe, R. R.")
        assert np.array_equal(table.sample_delay * 1000 * 8, table.acquisition_channel % 8)


def test_every_edge_is_a_row(done, nwb):
    dataset = open_recording(done.mirror)
    with pynwb.NWBHDF5IO(nwb, "r") as io:
        table = io.read().events["bnc_10"].to_dataframe()
        rising = table[table.edge == "rising"]
        assert np.array_equal(rising.frame, dataset.pos_edge_full)
        assert np.allclose(rising.timestamp, dataset.pos_edge_time, atol=1e-12)
        assert np.allclose(rising.fine_timestamp, dataset.pos_edge_fine_time, atol=1e-12)
        assert len(table) == len(rising) + len(dataset.events.falling[10]) > 20
        assert table.timestamp.is_monotonic_increasing


def test_it_opens_again_as_the_mirror_it_was_made_of(done, nwb, with_raw):
    mirror = open_recording(done.mirror)
    for path, series in ((nwb, None), (with_raw, "Fs200"), (with_raw, "processing/ecephys/LFP/Fs200")):
        back = open_recording(path, series)
        assert np.array_equal(back.data[:], mirror.data[:])
        assert np.array_equal(back.data[[5, 3], 100:1500:7], mirror.data[[5, 3], 100:1500:7])
        assert back.full_map == mirror.full_map
        assert (back.rate, back.ratio, back.bnc_columns, back.trigger) == (200, 5, mirror.bnc_columns, 10)
        assert np.array_equal(back.channel_mask, mirror.channel_mask)
        assert back.mask_reasons == mirror.mask_reasons
        assert np.array_equal(back.bnc[:], mirror.bnc[:])
        for edges in ("pos_edge", "pos_edge_full", "pos_edge_time", "pos_edge_fine_time"):
            assert np.array_equal(getattr(back, edges), getattr(mirror, edges))


def test_spikeinterface_reads_the_same_microvolts_probe_and_bad_channels(done, nwb):
    mirror, recording = open_recording(done.mirror), read_nwb_recording(str(nwb))
    assert np.array_equal(recording.get_traces(return_in_uV=True), mirror.data[:].T)
    assert np.array_equal(recording.get_property("bad_channel"), ~mirror.channel_mask)
    rows, columns = np.divmod(np.array(list(mirror.full_map)), mirror.full_map.geometry[1])
    assert np.allclose(recording.get_channel_locations(), np.stack([columns, rows], axis=1) * 400)
    assert recording.get_sampling_frequency() == 200


def test_counts_with_a_negative_gain_and_an_offset_are_the_volts_they_stand_for(tmp_path, monkeypatch):
    done = finished_recording(tmp_path / "s1" / "a" / "test_001", seconds=3)
    volts = done.truth.block(0, done.truth.n_samples)
    counts = np.clip(np.rint(volts / 1e-4), -32000, 32000).astype("i2")
    write_raw(
        done.raw,
        counts,
        n_rows=done.truth.n_rows,
        n_bncs=2,
        units="mV",
        slope=-0.1,
        intercept=12.5,
        start_time=START,
    )
    done = finished_study._finished(
        finished_study._mapped(done, finished_study.BNC, {"gain": -20}), finished_study.MIRROR
    )
    path, dataset = exported(done, has_raw=True), open_recording(done.raw)
    with pynwb.NWBHDF5IO(path, "r") as io:
        series = io.read().acquisition["raw"]
        assert series.data.dtype == np.int16
        found = series.data[:].T * series.conversion + series.offset
    microvolts = (counts * -0.1 + 12.5) * 1e3 / -20
    rows = dataset.data.electrode_channels
    assert np.abs(found * 1e6 - microvolts[rows]).max() <= 1e-6 * np.abs(microvolts).max()
    back = open_recording(path, "raw")
    assert np.abs(back.data[:] - dataset.data[:]).max() <= 1e-6 * np.abs(microvolts).max()


def test_stretches_between_gaps_are_series_of_their_own_at_their_times(tmp_path):
    done = interrupted_recording(tmp_path / "s1" / "a" / "test_001")
    path, mirror = exported(done), open_recording(done.mirror)
    with pynwb.NWBHDF5IO(path, "r") as io:
        file = io.read()
        own = [file.processing["ecephys"]["LFP"][f"Fs200_{number}"] for number in (1, 2, 3)]
        assert [series.starting_time for series in own] == [0.0, 17.0, 20.5]
        assert [len(series.data) for series in own] == [1400, 800, 800]
        assert np.array_equal(np.concatenate([series.data[:] for series in own]).T, mirror.data[:])
        table = file.events["bnc_10"].to_dataframe()
        later = table[table.frame >= 11000]
        assert len(later)
        assert np.allclose(later.timestamp, 20.5 + (later.frame - 11000) / 1000)
    assert complaints(path) == []
    assert np.array_equal(open_recording(path).data[:], mirror.data[:])
    assert np.array_equal(open_recording(path).bnc[:], mirror.bnc[:])


def texts_of(path):
    """Yield every text of the file but the schemas of NWB."""
    with h5py.File(path) as file:
        items = [file]
        file.visititems(lambda name, item: items.append(item) if not name.startswith("specifications") else None)
        for item in items:
            yield from (str(value) for value in item.attrs.values())
            if isinstance(item, h5py.Dataset) and h5py.check_string_dtype(item.dtype):
                yield from np.atleast_1d(item.asstr()[()]).ravel().tolist()


def test_nothing_of_the_machine_is_in_the_file(nwb, with_raw):
    for path in (nwb, with_raw):
        assert b"SECRET_person" not in path.read_bytes()
        texts = list(texts_of(path))
        assert len(texts) > 100
        for named in (socket.gethostname(), str(Path.home()), getpass.getuser()):
            assert not [text for text in texts if re.search(rf"(?<!\w){re.escape(named)}(?!\w)", text)]


def test_no_start_no_file(tmp_path):
    done = finished_recording(tmp_path / "s1" / "a" / "test_001", seconds=2)
    with pytest.raises(FormatError, match="when the recording began"):
        exported(done)
    assert not list(done.folder.glob("*.nwb*"))


def test_the_signals_do_not_depend_on_memory_and_workers(done):
    found = set()
    for workers, limit in ((1, 2_000_000), (2, 2_000_000), (2, 2_000_000_000)):
        with override(workers=workers, memory_limit=limit):
            path = exported(done, "w.nwb", has_raw=True, compression="gzip")
        with h5py.File(path) as file:
            data = [file[f"{place}/data"] for place in ("acquisition/raw", "processing/ecephys/LFP/Fs200")]
            stored = [each.id.read_direct_chunk((0, 0))[1] for each in data]
            found.add((*(each[()].tobytes() for each in data), *stored))
    assert len(found) == 1


EXPORT = """
import json, re, sys
from pathlib import Path
from ecogpipe.runtime.params import override
from ecogpipe.steps.export_nwb import export_nwb
folder, mirror, name, metadata = Path(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
with override(memory_limit=100_000_000):
    export_nwb(*(folder / each for each in ("raw.h5", "channels.tsv", "mask.tsv", "events.tsv")), [folder / mirror],
               folder / name, recording="s1/a/test_001", metadata=metadata, has_raw=True, compression="gzip")
status = Path("/proc/self/status").read_text()
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]))
"""


def export_alone(done, name):
    """Export in a process of its own; returns the most memory that it held."""
    return int(subprocess.check_output(_command(done, name), stderr=subprocess.DEVNULL, text=True))


def begin_export(done, name):
    return subprocess.Popen(_command(done, name), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _command(done, name):
    return [sys.executable, "-c", EXPORT, str(done.folder), done.mirror.name, name, json.dumps(METADATA)]


def test_a_long_recording_takes_no_more_memory_than_a_short_one(tmp_path):
    peaks = []
    for seconds in (10, 200):
        folder = tmp_path / str(seconds) / "s1" / "a" / "test_001"
        done = say_start(finished_recording(folder, seconds=seconds, mirror=finished_study.MIRROR | {"rate": 1000}))
        peaks.append(export_alone(done, "m.nwb"))
    assert peaks[1] - peaks[0] < 60_000_000


def test_a_killed_export_leaves_no_half_file(done):
    export_alone(done, "whole.nwb")
    with h5py.File(done.folder / "whole.nwb") as file:
        expected = file["acquisition/raw/data"][()]
    chance, started = random.Random(1), time.monotonic()
    export_alone(done, "timed.nwb")
    seconds = time.monotonic() - started
    for _ in range(10):
        process = begin_export(done, "killed.nwb")
        time.sleep(chance.uniform(0.4, 1.0) * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (done.folder / "killed.nwb").exists():
            with h5py.File(done.folder / "killed.nwb") as file:
                assert np.array_equal(file["acquisition/raw/data"][()], expected)
    export_alone(done, "killed.nwb")
    assert not [path for path in done.folder.iterdir() if path.name.startswith(".killed.nwb")]


class TestFilesOfOthers:
    """NWB files that ecogpipe did not write."""

    def write(self, path, *, data=None, rate=1000.0, positions=True, n_series=1, **series):
        file = pynwb.NWBFile("x", "id", datetime.fromisoformat(START))
        device = file.create_device(name="d")
        group = file.create_electrode_group("g", "a group", "cortex", device)
        for number in range(6):
            place = {"rel_x": 250.0 * (number % 3), "rel_y": 300.0 * (number // 3)} if positions else {}
            file.add_electrode(group=group, location="cortex", **place)
        data = np.arange(600, dtype="i2").reshape(100, 6) if data is None else data
        for number in range(n_series):
            region = file.create_electrode_table_region(list(range(5, -1, -1)), "all, backwards")
            times = {} if rate is None else {"rate": rate}
            own = pynwb.ecephys.ElectricalSeries(name=f"s{number}", data=data, electrodes=region, **times, **series)
            file.add_acquisition(own)
        with pynwb.NWBHDF5IO(path, "w") as io:
            io.write(file)
        return path

    def test_conversion_offset_rate_and_grid_are_used(self, tmp_path):
        dataset = open_recording(self.write(tmp_path / "a.nwb", rate=781.25, conversion=2e-6, offset=1e-3))
        expected = np.arange(600).reshape(100, 6).T * 2.0 + 1000
        assert np.allclose(dataset.data[:], expected, rtol=1e-6)
        assert float(dataset.rate) == 781.25
        assert dataset.full_map.geometry == (2, 3)
        assert list(dataset.full_map) == [5, 4, 3, 2, 1, 0]
        assert dataset.full_map.pitch == (0.3, 0.25)
        assert dataset.channel_mask.all()
        assert len(dataset.bnc) == 0
        assert len(dataset.pos_edge) == 0

    def test_they_are_raw_files_of_a_study(self, tmp_path):
        rng = np.random.default_rng(0)
        counts = rng.integers(-3000, 3000, (4000, 6)).astype("i2")
        path = self.write(tmp_path / "a.nwb", data=counts, conversion=2e-7, offset=1e-4)
        header = read_header(path)
        assert (header.kind, header.acquisition.n_columns, header.acquisition.start_time) == ("NWB", 6, START)
        raw = ingest([path], tmp_path / "r" / "raw.h5")
        folder = raw.parent
        channels = map_channels(raw, folder / "channels.tsv", daq="passthru", headstage="", electrode="", bnc=())
        table = read_channels(channels)
        assert (table.grid, table.pitch_mm, table.gain) == ((2, 3), (0.3, 0.25), 1.0)
        assert [*zip(table.site_row.tolist(), table.site_column.tolist(), strict=True)] == [
            (1, 2), (1, 1), (1, 0), (0, 2), (0, 1), (0, 0),
        ]  # fmt: skip
        settings = finished_study.MIRROR | {"rate": 500, "bandpass": [None, None], "notches": []}
        mirror = mirror_recording(raw, channels, None, folder / "r_m.h5", name="m", settings=settings)
        assert np.allclose(open_recording(raw).data[:], counts.T * 0.2 + 100, rtol=1e-6)
        assert open_recording(mirror).full_map == open_recording(path).full_map
        assert open_recording(mirror).data.shape == (6, 2000)

    def test_a_file_of_ours_is_a_raw_file_too(self, done, nwb, tmp_path):
        raw = ingest([nwb], tmp_path / "r" / "raw.h5")
        channels = map_channels(raw, raw.with_name("channels.tsv"), daq="passthru", headstage="", electrode="", bnc=())
        mirror = open_recording(done.mirror)
        assert read_channels(channels).grid == (8, 8)
        assert np.allclose(open_recording(raw).data[:], mirror.data[:], rtol=1e-6)
        assert open_recording(raw).full_map == mirror.full_map

    @pytest.mark.parametrize(
        "lost",
        [
            "acquisition/s0/data",
            "acquisition/s0/electrodes",
            "general/extracellular_ephys/electrodes",
            "session_start_time",
        ],
    )
    def test_a_file_that_lacks_a_piece_ends_in_a_sentence(self, tmp_path, lost):
        path = self.write(tmp_path / "a.nwb")
        with h5py.File(path, "r+") as file:
            del file[lost]
        for read in (open_recording, read_header):
            try:
                read(path)
            except FormatError as error:
                assert str(path) in str(error)  # noqa: PT017  # what is not needed may be missing
            else:
                assert lost == "session_start_time"

    @pytest.mark.parametrize("seed", range(20))
    def test_a_file_with_other_bytes_ends_in_a_sentence_or_is_read(self, tmp_path, seed):
        content = bytearray(self.write(tmp_path / "a.nwb").read_bytes())
        chance = random.Random(seed)
        for _ in range(40):
            content[chance.randrange(len(content))] = chance.randrange(256)
        (tmp_path / "b.nwb").write_bytes(content[: chance.choice([len(content), len(content) // 2])])
        with contextlib.suppress(EcogpipeError):
            open_recording(tmp_path / "b.nwb").close()

    def test_electrodes_without_positions_are_a_column(self, tmp_path):
        dataset = open_recording(self.write(tmp_path / "a.nwb", positions=False))
        assert (dataset.full_map.geometry, dataset.full_map.pitch) == ((6, 1), None)

    def test_what_cannot_be_read_has_a_sentence(self, tmp_path):
        times = np.cumsum(np.random.default_rng(0).random(100))
        cases = {
            "timestamps": {"rate": None, "timestamps": times},
            "name the one to read": {"n_series": 2},
            "conversion for each channel": {"channel_conversion": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]},
            "turned round": {"data": np.zeros((6, 100))},
        }
        for told, settings in cases.items():
            path = tmp_path / f"{len(told)}.nwb"
            with pytest.warns() if told == "turned round" else _nothing():
                self.write(path, **settings)
            with pytest.raises(FormatError, match=told):
                open_recording(path)
        with pytest.raises(FormatError, match="no ElectricalSeries"):
            open_recording(self.write(tmp_path / "none.nwb", n_series=0))
        compound = self.write(tmp_path / "compound.nwb")
        with h5py.File(compound, "r+") as file:
            del file["acquisition/s0/data"]
            file["acquisition/s0/data"] = np.zeros((100, 6), dtype=[("a", "f4"), ("b", "f4")])
        with pytest.raises(FormatError, match="single numbers"):
            open_recording(compound)
        with h5py.File(compound, "r+") as file:
            del file["acquisition/s0/data"]
            file["acquisition/s0/external_file"] = "other.dat"
        with pytest.raises(FormatError, match="names another file"):
            open_recording(compound)


class _nothing:  # noqa: N801
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None
