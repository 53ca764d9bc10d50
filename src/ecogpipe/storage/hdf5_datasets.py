"""What HDF5 stores of a dataset, and where: its type, the filters of its chunks, and the files that hold its samples.

HDF5 itself reads missing samples as the fill value, and raises no error: here they are looked for.
"""

from collections.abc import Iterator, Sequence
from math import prod
from operator import le
from pathlib import Path
from typing import Any

import h5py

from ecogpipe.errors import FormatError

_ADVICE = "put the file back as it was, or copy the signals into one plain dataset (h5repack, h5py)"
_LONGEST_NUMBER = 8
_DEEPEST = 8
"""Datasets of which one is a view of the next."""


def is_as_in_memory(dataset: h5py.Dataset) -> bool:
    """Return whether the bytes of the dataset are those of an array: type, size, order, precision and offset."""
    # Long doubles of NumPy know no byte order.
    is_known = dataset.dtype.kind in "iuf" and dataset.dtype.itemsize <= _LONGEST_NUMBER
    return is_known and bool(dataset.id.get_type().equal(h5py.h5t.py_create(dataset.dtype)))


def check_filters(dataset: h5py.Dataset) -> None:
    """Refuse a dataset whose chunks are packed by a filter that is not installed; `hdf5plugin` is used where it is.

    Raises
    ------
    FormatError
        With the file, and the name and number of the filter.
    """
    creation = dataset.id.get_create_plist()
    for place in range(creation.get_nfilters()):
        number, *_, name = creation.get_filter(place)
        if not _is_available(number):
            raise FormatError(
                f"{dataset.file.filename}: the samples of {dataset.name} are packed by the filter "
                f"{name.decode(errors='replace') or 'without a name'} (number {number}), which is not installed; "
                "install it with `pip install hdf5plugin`, or repack the file with gzip (h5repack -f GZIP=4)."
            )


def _is_available(number: int) -> bool:
    if h5py.h5z.filter_avail(number):
        return True
    try:
        import hdf5plugin  # type: ignore[import-not-found]  # noqa: F401  # it registers its filters
    except ImportError:
        return False
    return bool(h5py.h5z.filter_avail(number))


def unwritten_note(dataset: h5py.Dataset) -> str:
    """Say how much of a dataset was never written, and so reads as its fill value; '' where all was."""
    if dataset.is_virtual or dataset.external or not dataset.size:
        return ""
    fill = f"and reads as {dataset.fillvalue}"
    if dataset.chunks is None:
        return "" if dataset.id.get_storage_size() else f"{dataset.name} was never written, {fill}"
    n_chunks = prod(-(-length // chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    missing = n_chunks - dataset.id.get_num_chunks()
    return f"{missing} of {n_chunks} chunks of {dataset.name} were never written, {fill}" if missing > 0 else ""


def find_sources(dataset: h5py.Dataset) -> list[Path]:
    """Return the other files that hold samples of a dataset, after a look at each.

    These are the sources of a virtual dataset, those of its sources, and external raw storage.

    Raises
    ------
    FormatError
        If one is missing or too short, or a part of the dataset is in none; with its name.
    """
    return list(dict.fromkeys(_sources(dataset, 0)))


def _sources(dataset: h5py.Dataset, depth: int) -> Iterator[Path]:
    here = Path(dataset.file.filename)
    if depth > _DEEPEST:
        raise _refused(dataset, "is a view of a view of itself")
    if dataset.external:
        yield from _external(dataset, here)
    if not dataset.is_virtual:
        return
    n_mapped = 0
    for view in dataset.virtual_sources():
        n_mapped += view.vspace.get_select_npoints()
        if "%" in view.file_name or "%" in view.dset_name:
            raise _refused(dataset, f"takes its samples from files of a pattern, {view.file_name}")
        if view.file_name == ".":
            yield from _source(dataset, dataset.file, here, view, depth)
            continue
        path = _found_beside(here, view.file_name)
        if path is None:
            raise _refused(dataset, f"takes samples from {view.file_name}, which is not there")
        yield path
        with h5py.File(path, "r", locking=False) as file:
            yield from _source(dataset, file, path, view, depth)
    if n_mapped < dataset.size:
        raise _refused(dataset, f"has no source for {dataset.size - n_mapped} of its {dataset.size} samples")


def _source(dataset: h5py.Dataset, file: h5py.File, path: Path, view: Any, depth: int) -> Iterator[Path]:
    """Check that the dataset of a source reaches as far as is taken from it."""
    source = file.get(view.dset_name)
    if not isinstance(source, h5py.Dataset):
        raise _refused(dataset, f"takes samples from {view.dset_name} of {path}, which has none of that name")
    if view.src_space.get_select_type() == h5py.h5s.SEL_ALL:
        first, last = view.vspace.get_select_bounds()
        taken = tuple(int(stop) + 1 - int(start) for start, stop in zip(first, last, strict=True))
        is_there = source.size == view.vspace.get_select_npoints()
    else:
        taken = tuple(int(last) + 1 for last in view.src_space.get_select_bounds()[1])
        is_there = len(taken) == source.ndim and all(map(le, taken, source.shape))
    if not is_there:
        raise _refused(dataset, f"takes {_times(taken)} samples from {path}, which has {_times(source.shape)} of them")
    yield from _sources(source, depth + 1)


def _external(dataset: h5py.Dataset, here: Path) -> Iterator[Path]:
    needed = dataset.size * dataset.id.get_type().get_size()
    for name, offset, size in dataset.external:
        # HDF5 takes a relative name from the folder that the program runs in.
        path = Path(name)
        if not path.is_file():
            raise _refused(dataset, f"keeps samples in {name}, which is not there")
        wanted = min(needed, size) if size < h5py.h5f.UNLIMITED else needed
        if path.stat().st_size < offset + wanted:
            raise _refused(
                dataset, f"keeps samples in {name}, which ends after {path.stat().st_size} of {offset + wanted} bytes"
            )
        needed -= wanted
        yield path
    if needed:
        raise _refused(dataset, f"has no file for the last {needed} bytes of its samples")


def _found_beside(here: Path, name: str) -> Path | None:
    """Return the file of a source as HDF5 finds it: by its whole path, or beside the file that names it."""
    candidates = [Path(name), here.parent / Path(name).name] if Path(name).is_absolute() else [here.parent / name]
    return next((path for path in candidates if path.is_file()), None)


def _refused(dataset: h5py.Dataset, found: str) -> FormatError:
    return FormatError(f"{dataset.file.filename}: {dataset.name} {found}; {_ADVICE}.")


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
