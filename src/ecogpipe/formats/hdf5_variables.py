"""The datasets of an open HDF5 file as named arrays, Matlab's v7.3 among them."""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ecogpipe.errors import FormatError
from ecogpipe.formats.stated import Stated, read_stated, text_of
from ecogpipe.formats.variables import MOST_INFO_BYTES, bounded, left_out, plain
from ecogpipe.storage import canonical

_MATLAB_CLASS = "MATLAB_class"
_DEEPEST = 32
"""Groups in groups that are looked through."""

_LISTED = 8


class HDF5Variables:
    """The datasets of an open file; Matlab's have their axes reversed on disk."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self._file = path, file
        self.reversed = any(
            _MATLAB_CLASS in item.attrs for item in (_member(file, name) for name in file) if item is not None
        )

    def names(self) -> list[str]:
        """Return the names at the root."""
        return list(self._file)

    def all_names(self) -> Iterator[str]:
        """Yield the last part of the name of everything in the file, attributes included."""
        yield from _all_names(self._file)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every array of real numbers, as its program shows it, and of groups of channels."""
        return self._shapes

    @cached_property
    def _numeric(self) -> dict[str, h5py.Dataset]:
        return dict(_numeric_datasets(self._file))

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        shapes = {name: item.shape[::-1] if self.reversed else item.shape for name, item in self._numeric.items()}
        # A channel may be a row or a column.
        return shapes | {group: (len(names), max(shapes[names[0]])) for group, names in self._channel_groups.items()}

    @cached_property
    def _channel_groups(self) -> dict[str, list[str]]:
        """Groups that hold nothing but vectors of one length and dtype, a channel each, with their members."""
        members: dict[str, dict[str, h5py.Dataset]] = {}
        for name, item in self._numeric.items():
            members.setdefault(name.rpartition("/")[0], {})[name] = item
        return {
            group: sorted(datasets, key=natural_order)
            for group, datasets in members.items()
            if group and _are_channels(self._file[group], list(datasets.values()))
        }

    def is_group(self, name: str) -> bool:
        """Return whether an array is that of a group of vectors, a channel each."""
        return name in self._channel_groups

    def datasets(self, name: str) -> list[str]:
        """Return the datasets that hold a variable."""
        return self._channel_groups.get(name, [name])

    def stated(self, name: str) -> Stated:
        """Return what the attributes of an array, or of the channels in a group, say."""
        members = self._channel_groups.get(name)
        stated = read_stated(self._file[self.datasets(name)[0]], self.datasets(name)[0])
        if members:
            others = [read_stated(self._file[each], each) for each in members[1:]]
            if any((other.units, other.slope, other.intercept, other.rate)
                   != (stated.units, stated.slope, stated.intercept, stated.rate) for other in others):  # fmt: skip
                raise FormatError(
                    f"{self.path}: the channels in {name} state different units, scales or rates; bring them to one."
                )
            shown = ", ".join(each.rpartition("/")[2] for each in members[:_LISTED])
            note = (
                f"its channels are the datasets in {name}, in this order: {shown}{', ...' * (len(members) > _LISTED)}"
            )
            stated.notes.append(note)
        return stated

    def values(self, name: str) -> npt.NDArray[Any]:
        """Return a small array."""
        return np.asarray(self._file[name][()])

    def first_values(self, name: str, stop: int) -> npt.NDArray[Any]:
        """Return the values of a vector up to `stop`."""
        dataset = self._numeric[name]
        return np.asarray(dataset[tuple(slice(stop) for _ in dataset.shape)]).reshape(-1)

    def info(self) -> dict[str, Any]:
        """Return the datasets in ``info`` as numbers and text."""
        group = self._file.get(canonical.INFO)
        if not isinstance(group, h5py.Group):
            return {}
        items = {name: group.get(name) for name in group}
        return bounded({name: partial(_plain_info, item) for name, item in items.items() if _is_dataset(item)})


def _numeric_datasets(
    group: h5py.Group, prefix: str = "", above: frozenset[int] = frozenset()
) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield the datasets of real numbers below a group, by every name that they have, but for what is Matlab's own."""
    here = above | {h5py.h5o.get_info(group.id).addr}
    for name in group:
        if name.startswith("#"):
            continue
        item = _member(group, name)
        if isinstance(item, h5py.Group):
            if h5py.h5o.get_info(item.id).addr not in here and len(here) < _DEEPEST:
                yield from _numeric_datasets(item, f"{prefix}{name}/", here)
        elif isinstance(item, h5py.Dataset) and item.shape is not None and _is_numbers(item):
            yield prefix + name, item


def _all_names(group: h5py.Group, above: frozenset[int] = frozenset()) -> Iterator[str]:
    """Yield the names in a group, at any depth and through every link, and those of attributes."""
    here = above | {h5py.h5o.get_info(group.id).addr}
    yield from group.attrs
    for name in group:
        yield name
        item = _member(group, name)
        if isinstance(item, h5py.Group):
            if h5py.h5o.get_info(item.id).addr not in here and len(here) < _DEEPEST:
                yield from _all_names(item, here)
        elif item is not None:
            yield from item.attrs


def _member(group: h5py.Group, name: str) -> Any:
    """Return a member of a group; None where it is a link that leads nowhere."""
    try:
        return group.get(name)
    except (KeyError, OSError, RuntimeError):
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise
        return None


def _are_channels(group: h5py.Group, datasets: Sequence[h5py.Dataset]) -> bool:
    sizes = {(item.size, item.dtype) for item in datasets}
    return (
        len(sizes) == 1
        and len(datasets) > 1
        and "MATLAB_sparse" not in group.attrs
        and len(datasets) == len(group)
        and datasets[0].size > 1
        and all(max(item.shape) == item.size for item in datasets)
    )


def natural_order(name: str) -> list[tuple[int, str]]:
    """Return what to sort names by so that 2 comes before 10."""
    return [(int(digits or 0), text) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def _is_dataset(item: Any) -> bool:
    return isinstance(item, h5py.Dataset)


def _is_numbers(dataset: h5py.Dataset) -> bool:
    try:
        kind = dataset.dtype.kind
    except (TypeError, ValueError):
        # A type that NumPy does not know, as of times or of integers of three bytes.
        return False
    named_otherwise = _matlab_class(dataset) in ("char", "cell", "struct") or dataset.attrs.get("MATLAB_empty")
    return kind in "fiu" and not named_otherwise


def _matlab_class(dataset: h5py.Dataset) -> str:
    name = dataset.attrs.get(_MATLAB_CLASS, "")
    return name.decode() if isinstance(name, bytes) else str(name)


def _plain_info(dataset: h5py.Dataset) -> Any:
    """Return a dataset of ``info`` as number or text; '' for what is neither."""
    try:
        dtype = dataset.dtype
    except (TypeError, ValueError):
        return ""
    if dataset.shape is None:
        return ""
    if (n_bytes := dataset.size * dtype.itemsize) > MOST_INFO_BYTES:
        return left_out(dataset.shape, n_bytes)
    if h5py.check_string_dtype(dtype):
        values = np.asarray(dataset[()]).reshape(-1)
        return text_of(values[0]) if values.size == 1 else str([text_of(value) for value in values])
    if _matlab_class(dataset) == "char":
        return np.asarray(dataset[()]).astype("<u2").tobytes().decode("utf-16-le", errors="replace")
    return plain(np.asarray(dataset[()])) if _is_numbers(dataset) else ""
