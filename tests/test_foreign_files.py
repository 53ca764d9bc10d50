"""Whatever a file holds, what comes of it is right, or a sentence that names the file: in each step, plan, by hand."""

import re
import struct
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nptdms import ChannelObject, GroupObject, RootObject, TdmsFile, TdmsWriter

from ecogpipe import open_recording
from ecogpipe.checks.plan import plan_recording
from ecogpipe.errors import EcogpipeError
from ecogpipe.steps.ingest import ingest
from ecogpipe.steps.map_channels import map_channels
from ecogpipe.steps.scan import scan
from ecogpipe.study.config import config_folder
from ecogpipe.study.recordings import Recording

CONFIG = yaml.safe_load((config_folder() / "config.yaml").read_text())
CONFIG["mirrors"] = {"half": {**CONFIG["mirrors"]["Fs1000"], "ratio": 1, "bandpass": [None, None], "notches": []}}
del CONFIG["mirrors"]["half"]["rate"]

N_CHANNELS, N_SAMPLES = 3, 40
DECLARED = {"n_rows": 1, "n_columns": N_CHANNELS, "n_bncs": 0, "sampling_rate": 1000, "units": "uV"}
MANY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def check_sentence(error: EcogpipeError, path: Path) -> None:
    said = str(error)
    assert path.name in said or "raw.h5" in said, said
    assert "\n" not in said
    assert "Traceback" not in said
    assert len(re.findall(r"(?<![.\d])[.!?] [A-Z]", said)) <= 1, said


def outcome(path: Path, declared: dict[str, Any]) -> np.ndarray | None:
    """Bring a file through the steps; returns the values in its own unit, None where a sentence refused it."""
    folder = path.parent / "made"
    raw, channels = folder / "raw.h5", folder / "channels.tsv"
    recording = Recording("s", "d", "r", (path,), "passthru", "", "", (), {**declared, "gain": 1.0})
    refused = None
    try:
        ingest([path], raw, declared=declared)
        scan(raw, folder / "scan.h5")
        map_channels(raw, channels, daq="passthru", headstage="", electrode="", declared={"gain": 1.0})
        with open_recording(raw) as opened:
            values = np.asarray(opened.data.in_double()[:, :])
    except EcogpipeError as error:
        refused = error
    if refused is not None:
        check_sentence(refused, path)
        assert not raw.with_suffix(".part").exists()
    try:
        plan_recording(recording, CONFIG)
    except EcogpipeError as error:
        check_sentence(error, path)
        return None
    return None if refused else values


# HDF5

TYPES = st.sampled_from(
    ["i2", ">i2", "u1", "i4", "f4", ">f8", "f2", "i8", "u8", "?", "c8", "S3", "O", "ref", "enum", "compound"]
)
SHAPES = st.sampled_from(
    [(3, 40), (40, 3), (3,), (1, 3, 40), (3, 40, 1), (2, 3, 40), (), (0, 40), (3, 0), (40,), (3, 1), (1, 1, 3)]
)
CHUNKED = {"chunks": True}
STORAGES = st.sampled_from(
    [{}, CHUNKED, *(CHUNKED | {name: value} for name, value in
     [("compression", "gzip"), ("compression", "lzf"), ("fletcher32", True), ("scaleoffset", 0)])]
)  # fmt: skip
VALUES = st.one_of(
    *(st.floats(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=5), st.booleans(), st.none()),
    *(st.lists(st.floats(), max_size=3), st.sampled_from([b"\xb5V", b"", "volts", "mV", 1000.0])),
)
NAMES = st.sampled_from(
    [
        "Fs",
        "sampRate",
        "numRow",
        "numCol",
        "numChan",
        "OSR",
        "info",
        "units",
        "conversion",
        "offset",
        "rate",
        "gain",
        "x",
        "é",
        "ELECTRODE",
        "ecogpipe_format",
        "MATLAB_class",
    ]
)


def samples_of(kind: str, shape: tuple[int, ...]) -> np.ndarray | None:
    numbers = (np.arange(int(np.prod(shape))) % 100).reshape(shape)
    if kind in ("ref", "enum", "compound", "O"):
        return None
    return numbers.astype(kind)


def put(place: Any, name: str, value: Any, as_attribute: bool) -> None:
    stored = h5py.Empty("f4") if value is None else value
    try:
        if as_attribute:
            place.attrs[name] = stored
        elif name not in place:
            place[name] = stored
    except (ValueError, TypeError, OSError, OverflowError, RuntimeError):
        return


@MANY
@given(
    kind=TYPES,
    shape=SHAPES,
    storage=STORAGES,
    beside=st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=4),
    link=st.sampled_from(["none", "soft", "hard", "dangling", "external", "self"]),
    declares=st.lists(st.sampled_from(sorted(DECLARED)), unique=True),
    cut=st.sampled_from([None, 100, 1000]),
)
def test_hdf5(tmp_path_factory, kind, shape, storage, beside, link, declares, cut):
    path = tmp_path_factory.mktemp("hdf5") / "ünusual name.h5"
    with h5py.File(path, "w") as file:
        samples = samples_of(kind, shape)
        name = "data" if link == "none" else "elsewhere"
        if samples is not None:
            try:
                file.create_dataset(name, data=samples, **(storage if samples.ndim else {}))
            except (ValueError, TypeError):
                file[name] = samples
        elif kind == "ref":
            file.create_dataset(name, shape, h5py.ref_dtype)
        elif kind == "compound":
            file.create_dataset(name, shape, np.dtype([("a", "i4"), ("b", "f8")]))
        elif kind == "enum":
            file.create_dataset(name, shape, h5py.enum_dtype({"A": 0, "B": 1}))
        else:
            file.create_dataset(name, shape, h5py.string_dtype())
        links = {
            "soft": h5py.SoftLink("/elsewhere"),
            "dangling": h5py.SoftLink("/nowhere"),
            "external": h5py.ExternalLink("absent.h5", "x"),
            "self": h5py.SoftLink("/data"),
        }
        if link == "hard":
            file["data"] = file["elsewhere"]
        elif link != "none":
            file["data"] = links[link]
        for key, value, as_attribute in beside:
            put(file[name] if as_attribute else file, key, value, as_attribute)
    if cut:
        path.write_bytes(path.read_bytes()[:-cut])
    declared = {key: DECLARED[key] for key in {*declares, "n_rows", "n_columns", "n_bncs"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = outcome(path, declared)
    if values is not None and samples is not None and kind not in ("?", "c8", "S3"):
        expected = np.atleast_2d(samples.astype("f8").squeeze())
        expected = expected if expected.shape == values.shape else expected.T
        # A conversion or an offset that the file states is one for all samples.
        finite = np.isfinite(values) & np.isfinite(expected)
        if finite.any() and np.ptp(expected[finite]):
            slope, offset = np.polyfit(expected[finite], values[finite], 1)
            np.testing.assert_allclose(
                values[finite], slope * expected[finite] + offset, rtol=1e-6, atol=1e-6 * abs(slope)
            )
            assert slope


# TDMS

PROPERTIES = st.dictionaries(
    st.sampled_from(
        [
            "SamplingRate",
            "nrRows",
            "nrColumns",
            "nrBNCs",
            "OverSampling",
            "NI_ArrayColumn",
            "unit_string",
            "wf_increment",
            "wf_start_time",
            "wf_start_offset",
            "NI_Number_Of_Scales",
            "NI_Scale[0]_Scale_Type",
            "NI_Scaling_Status",
            "NI_Scale[0]_Linear_Slope",
            "NI_Scale[0]_Linear_Y_Intercept",
            "ö",
        ]
    ),
    st.one_of(
        *(st.floats(), st.integers(-5, 5), st.booleans(), st.just(np.datetime64("2020-01-01T00:00:00")), st.just(1e3)),
        st.sampled_from(["", "mV", "V", "Linear", "Table", "unscaled", "12", "ü"]),
    ),
    max_size=5,
)
CHANNEL_TYPES = st.sampled_from(["i1", "u2", "i4", "i8", "f4", "f8", "text", "times", "?"])
LETTERS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=4)


@MANY
@given(
    groups=st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=4),
        min_size=1,
        max_size=2,
        unique=True,
    ),
    kinds=st.lists(CHANNEL_TYPES, min_size=1, max_size=4),
    of_group=PROPERTIES,
    of_channel=PROPERTIES,
    n_segments=st.integers(1, 3),
    changes=PROPERTIES,
    cut=st.sampled_from([None, 0, 7, 40, 300]),
    declares=st.lists(st.sampled_from(sorted(DECLARED)), unique=True),
)
def test_tdms(tmp_path_factory, groups, kinds, of_group, of_channel, n_segments, changes, cut, declares):
    path = tmp_path_factory.mktemp("tdms") / "a.tdms"
    columns = {"text": [f"{number}" for number in range(N_SAMPLES)], "?": np.arange(N_SAMPLES) % 2 == 0}
    columns["times"] = np.datetime64("2020-01-01", "us") + np.arange(N_SAMPLES).astype("m8[s]")
    try:
        with TdmsWriter(str(path)) as writer:
            for segment in range(n_segments):
                own = of_channel if segment == 0 else changes
                objects = [RootObject(), *(GroupObject(name, of_group) for name in groups)]
                for group in groups:
                    for number, kind in enumerate(kinds):
                        data = columns[kind] if kind in columns else (np.arange(N_SAMPLES) % 90).astype(kind)
                        objects.append(ChannelObject(group, f"c{number}", data, own))
                writer.write_segment(objects)
    except (TypeError, ValueError, struct.error, OverflowError, AttributeError):
        return
    if cut is not None:
        content = path.read_bytes()
        path.write_bytes(content + bytes(100) if cut == 0 else content[:-cut])
    declared = {key: DECLARED[key] for key in {*declares, "n_rows", "n_bncs"}} | {"n_columns": len(kinds)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = outcome(path, declared)
        if (
            values is not None
            and not any(kind in columns for kind in kinds)
            and len(groups) == 1
            and not of_group
            and cut is None
        ):
            try:
                read = np.array([channel[:] for channel in TdmsFile.read(path)[groups[0]].channels()], dtype="f8")
            except (KeyError, TypeError, ValueError, OverflowError):
                return
            factor = {"V": 1e6, "mV": 1e3, "uV": 1.0}
            allowed = [read * scale for scale in factor.values()]
            assert any(np.allclose(values, each, rtol=1e-6, equal_nan=True) for each in allowed)


# Matlab


BESIDE = st.sampled_from([{"a": 1, "b": "c"}, np.array([1, "x"], "O"), np.zeros((0, 3))])


@MANY
@given(
    shape=SHAPES,
    kind=st.sampled_from(["i2", "f8", "?", "c16", "u1", "S3"]),
    beside=st.dictionaries(
        st.sampled_from(["Fs", "numRow", "info", "x", "data", "ELECTRODE", "OSR"]),
        st.one_of(st.floats(), st.text(max_size=3), BESIDE),
        max_size=3,
    ),
    cut=st.sampled_from([None, 10, 100]),
    version=st.sampled_from(["5", "4"]),
)
def test_matlab(tmp_path_factory, shape, kind, beside, cut, version):
    path = tmp_path_factory.mktemp("matlab") / "a.mat"
    samples = samples_of(kind, shape)
    try:
        scipy.io.savemat(path, {**beside, "data": samples}, format=version)
    except (TypeError, ValueError, NotImplementedError):
        return
    if cut:
        path.write_bytes(path.read_bytes()[:-cut])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome(path, DECLARED)


@MANY
@given(
    content=st.binary(max_size=200),
    head=st.sampled_from([b"TDSm", b"\x89HDF\r\n\x1a\n", b"MATLAB 5.0 MAT-file" + bytes(105) + b"\x00\x01IM", b""]),
)
def test_bytes_of_any_kind(tmp_path_factory, content, head):
    path = tmp_path_factory.mktemp("bytes") / "a.dat"
    path.write_bytes(head + content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome(path, DECLARED)
