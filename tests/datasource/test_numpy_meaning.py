"""A source means what NumPy means: `source[key]` is `np.asarray(whole)[key]`, for reading and for writing."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import keys, layouts, write_parts

from ecogpipe.datasource.binder import BufferBinder
from ecogpipe.datasource.buffers import HDF5Buffer
from ecogpipe.datasource.mapped import MappedSource
from ecogpipe.runtime.params import override

EXAMPLES = settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))


def truth(whole, layout):
    """What a source of this layout holds, as an array in memory."""
    active = [channel for channel, keep in zip(layout.electrode_channels, layout.mask, strict=True) if keep]
    values = whole[active]
    if layout.units_scale is None:
        return values
    offset, scale = layout.units_scale if isinstance(layout.units_scale, tuple) else (0.0, layout.units_scale)
    return ((values.astype(np.float64) + offset) * scale).astype(np.float32)


def assert_same(found, expected):
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_array_equal(found, expected)


@EXAMPLES
@given(layout=layouts(), data=st.data())
def test_view1_reading(layout, data):
    with tempfile.TemporaryDirectory(dir=os.environ.get("PYTEST_TMPDIR")) as folder:
        paths, whole = write_parts(Path(folder), layout)
        expected = truth(whole, layout)
        with (
            override(memory_limit=layout.memory_limit, workers=2),
            MappedSource.from_hdf_sources(
                paths if len(paths) > 1 else paths[0],
                "data",
                layout.electrode_channels,
                layout.mask,
                units_scale=layout.units_scale,
                transpose=layout.transpose,
            ) as source,
        ):
            assert source.shape == expected.shape
            assert source.dtype == (np.float32 if layout.units_scale else np.dtype(layout.dtype))
            for _ in range(4):
                key = data.draw(keys(expected.shape), label="key")
                assert_same(source[key], expected[key])


@EXAMPLES
@given(layout=layouts(), data=st.data())
def test_view1_writing(layout, data):
    with tempfile.TemporaryDirectory(dir=os.environ.get("PYTEST_TMPDIR")) as folder:
        storage = "chunked" if layout.storage == "lzf" else layout.storage
        layout = replace(layout, transpose=False, units_scale=None, storage=storage)
        paths, whole = write_parts(Path(folder), layout)
        active = np.flatnonzero(layout.mask)
        rows = np.array(layout.electrode_channels)[active]
        expected = whole[rows].astype(layout.dtype)
        buffer = BufferBinder([HDF5Buffer.open(path, "data", writeable=True) for path in paths])
        with (
            override(memory_limit=layout.memory_limit),
            MappedSource(buffer, layout.electrode_channels, layout.mask) as source,
        ):
            for _ in range(3):
                key = data.draw(keys(expected.shape), label="key")
                values = data.draw(new_values(expected[key]), label="values")
                expected[key] = values
                source[key] = values
            assert_same(source[:, :], expected)
        whole[rows] = expected
        assert_same(np.concatenate([h5py.File(path)["data"][()] for path in paths], axis=1), whole)


def new_values(selected):
    """A number, or an array of the selected shape."""
    array = np.arange(np.size(selected)).reshape(np.shape(selected)) % 100
    return st.one_of(st.integers(0, 100), st.just(array))


@pytest.fixture
def source(tmp_path):
    with h5py.File(tmp_path / "recording.h5", "w") as file:
        file["data"] = np.arange(60.0).reshape(6, 10)
    with MappedSource.from_hdf_sources(tmp_path / "recording.h5", "data") as source:
        yield source


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ((None, 1), "newaxis"),
        (([0, 1], [0, 1]), "Only one axis may be indexed by a list"),
        (np.ones((6, 10), dtype=bool), "must have one dimension"),
        (([0, 1], np.ones(10, dtype=bool)), "Only one axis"),
        (6, "Index 6 is out of range for axis 0 of length 6"),
        ((0, -11), "Index -11 is out of range for axis 1 of length 10"),
        ([0, 7], "Index 7 is out of range"),
        (np.ones(5, dtype=bool), "5 values for axis 0 of length 6"),
        ((0, 0, 0), "Too many indices: 3"),
        ((..., ...), "only one Ellipsis"),
        (1.5, "not a whole number"),
        ([1.5], "must be integers"),
        (True, "True and False are not indices"),
        ("data", "must"),
    ],
)
def test_what_numpy_means_otherwise_is_refused_with_a_reason(source, key, sentence):
    with pytest.raises(IndexError, match=sentence):
        source[key]


def test_a_source_becomes_an_array(source):
    np.testing.assert_array_equal(np.asarray(source), np.arange(60.0).reshape(6, 10))
    assert np.asarray(source, dtype="f4").dtype == np.float32
    with pytest.raises(ValueError, match="without a copy"):
        np.array(source, copy=False)
