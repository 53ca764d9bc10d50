"""Hypothesis strategies: recordings on disk in every layout, and keys of every kind that NumPy and a source share."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from hypothesis import strategies as st

STORAGES = ("contiguous", "chunked", "gzip", "shuffled gzip", "lzf")
DTYPES = ("f8", "f4", "i2", ">i4", "u1")


@dataclass(frozen=True)
class Layout:
    """How a recording is cut and stored."""

    n_rows: int
    part_lengths: tuple[int, ...]
    dtype: str
    transpose: bool
    storage: str
    chunks: tuple[int, int]
    electrode_channels: tuple[int, ...]
    mask: tuple[bool, ...]
    units_scale: float | tuple[float, float] | None
    memory_limit: int
    seed: int


@st.composite
def layouts(draw):
    n_rows = draw(st.integers(1, 9))
    channels = draw(st.lists(st.integers(0, n_rows - 1), min_size=1, max_size=n_rows, unique=True))
    return Layout(
        n_rows=n_rows,
        part_lengths=tuple(draw(st.lists(st.integers(0, 30), min_size=1, max_size=4))),
        dtype=draw(st.sampled_from(DTYPES)),
        transpose=draw(st.booleans()),
        storage=draw(st.sampled_from(STORAGES)),
        chunks=(draw(st.integers(1, 9)), draw(st.integers(1, 30))),
        electrode_channels=tuple(channels),
        mask=tuple(draw(st.lists(st.booleans(), min_size=len(channels), max_size=len(channels)))),
        units_scale=draw(st.sampled_from((None, None, 2.5, (3.0, -0.5)))),
        memory_limit=draw(st.sampled_from((100_000, 10_000_000))),
        seed=draw(st.integers(0, 1000)),
    )


def write_parts(folder: Path, layout: Layout) -> tuple[list[Path], np.ndarray]:
    """Write the files of a recording; return their paths and the whole of it, (channels, time)."""
    rng, paths, parts = np.random.default_rng(layout.seed), [], []
    for number, length in enumerate(layout.part_lengths):
        part = (rng.standard_normal((layout.n_rows, length)) * 50).astype("i2").astype(layout.dtype)
        parts.append(part)
        paths.append(folder / f"part{number}.h5")
        with h5py.File(paths[-1], "w") as file:
            stored = part.T if layout.transpose else part
            file.create_dataset("data", data=stored, **_storage(layout, stored.shape))
    return paths, np.concatenate(parts, axis=1)


def _storage(layout: Layout, shape: tuple[int, ...]) -> dict:
    if layout.storage == "contiguous" or 0 in shape:
        return {}
    wanted = layout.chunks[::-1] if layout.transpose else layout.chunks
    chunks = {"chunks": tuple(min(one, most) for one, most in zip(wanted, shape, strict=True))}
    filters = {
        "chunked": {},
        "gzip": {"compression": "gzip"},
        "shuffled gzip": {"compression": "gzip", "shuffle": True},
        "lzf": {"compression": "lzf"},
    }
    return chunks | filters[layout.storage]


def ints(length):
    return st.integers(-length, length - 1)


def slices(length):
    bound = st.none() | st.integers(-length - 3, length + 3)
    step = st.none() | st.integers(-4, 4).filter(bool) | st.sampled_from((-50, 50))
    return st.builds(slice, bound, bound, step)


def lists(length):
    """Lists with repeats and in any order, int arrays, and bool masks."""
    mask = st.lists(st.booleans(), min_size=length, max_size=length)
    masks = st.one_of(mask, mask.map(lambda values: np.array(values, dtype=bool)))
    if length == 0:
        return masks | st.just([])
    indices = st.lists(ints(length), max_size=6)
    return st.one_of(indices, indices.map(lambda values: np.array(values, dtype=np.int64)), masks)


@st.composite
def keys(draw, shape):
    """Keys of ints, slices, one Ellipsis and at most one list, for two axes; shorter keys too."""
    with_list = draw(st.sampled_from((None, 0, 1)))

    def part(axis):
        if axis == with_list:
            return draw(lists(shape[axis]))
        options = [slices(shape[axis])] + ([ints(shape[axis])] if shape[axis] else [])
        return draw(st.one_of(*options))

    rows, time = part(0), part(1)
    if with_list == 0 and draw(st.booleans()):
        return rows
    forms = [(rows, time), (rows, time, ...), (..., rows, time), (rows, ..., time), (rows, ...), (..., time), ..., ()]
    return draw(st.sampled_from(forms))
