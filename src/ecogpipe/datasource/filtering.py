"""Filtering what is too long for memory: blocks in, blocks out, in between on the scratch disk."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import Any, Self, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ecogpipe.datasource.blocks import affordable
from ecogpipe.datasource.scratch import ScratchFrames
from ecogpipe.datasource.source import ElectrodeDataSource
from ecogpipe.errors import SettingsError, nearest
from ecogpipe.runtime.params import load_params
from ecogpipe.runtime.threads import Threads, ahead
from ecogpipe.signal.decimate import Decimator, LineKind, decimate_line
from ecogpipe.signal.filters import Phase
from ecogpipe.signal.rates import decimated_length
from ecogpipe.signal.stream import Gap, GapFinder, SosPasses, restore

Array: TypeAlias = npt.NDArray[np.float64]

_BLOCK_BYTES, _BLOCK_SHARE = 8_000_000, 32
"""Of the signals that a filter goes back over, so much at a time, and at most this fraction of the memory limit."""

_BLOCKS_AHEAD = 2
"""Finished blocks that are being written, so that the filter need not wait."""


class StreamedFilter:
    """A filter that takes all blocks first, then writes them filtered.

    Parameters
    ----------
    sos
        Second-order sections; None writes every block as it comes.
    write
        Takes what is finished: (first sample, block). It is called in threads, which do not change the result.
    phase
        'zero' filters forwards and backwards, and writes the last block first; 'causal' only forwards.
    """

    def __init__(self, sos: Array | None, write: Callable[[int, Array], None], phase: Phase = "zero") -> None:
        self._write, self._finder, self._frames = write, GapFinder(), ScratchFrames()
        self._passes = None if sos is None else SosPasses(self._frames, sos, phase)
        self._n_samples = 0

    def push(self, block: Array) -> None:
        """Take the next samples, (channels, time), for good: the filter may work in their place."""
        if not block.shape[1]:
            return
        self._finder.push(block)
        if self._passes is None:
            self._write(self._n_samples, block)
        else:
            self._passes.push(block, waits=self._finder.has_found)
        self._n_samples += block.shape[1]

    def finish(self) -> None:
        """Write the rest; runs that were not finite are bridged for the filter, then NaN."""
        gaps = self._finder.finish()
        if self._passes is None or not self._n_samples:
            return
        length = max(1, _block_bytes() * len(self._frames) // self._frames.n_bytes)
        with ThreadPoolExecutor(load_params().workers, thread_name_prefix="write") as pool:
            writes = (partial(self._restore_and_write, gaps, *block) for block in self._passes.finish(length, gaps))
            for _ in ahead(pool, writes, _BLOCKS_AHEAD):
                pass

    def gaps(self) -> npt.NDArray[np.int64]:
        """Return the runs of samples that are not finite: (channel, first sample, stop sample)."""
        runs = [(gap.channel, gap.start, gap.stop) for gap in self._finder.finish()]
        return np.array(runs, dtype=np.int64).reshape(-1, 3)

    def close(self) -> None:
        """Give the scratch disk back."""
        self._frames.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _restore_and_write(self, gaps: Sequence[Gap], first: int, block: Array) -> None:
        restore(block, first, gaps)
        self._write(first, block)


def finishing_bytes() -> int:
    """Return the bytes that a `StreamedFilter` holds while it finishes: blocks, and their copies to be written."""
    return round(1.5 * (2 + _BLOCKS_AHEAD) * _block_bytes())


def _block_bytes() -> int:
    return min(_BLOCK_BYTES, load_params().memory_limit // _BLOCK_SHARE)


def filter_source(source: ElectrodeDataSource, sos: Array, out: Any) -> None:
    """Filter a source with zero phase into `out`, which may be the source itself.

    Parameters
    ----------
    source
        What is filtered.
    sos
        Second-order sections.
    out
        A writeable source, or an array, of the source's shape.
    """
    check_target(out, source.shape)
    source, n_channels = source.in_double(), len(source)
    length = affordable(source.n_samples, lambda n: source.block_bytes(n_channels, n) + 24 * n_channels * n)
    one_at_a_time = Lock()

    def write(first: int, block: Array) -> None:
        # HDF5 may read and write back what lies between the samples of one block and those of the next.
        with one_at_a_time:
            out[:, first : first + block.shape[1]] = block

    with StreamedFilter(sos, write) as filtering:
        for block in source.iter_blocks(length):
            filtering.push(np.array(block, dtype=np.float64, order="F"))
        filtering.finish()


def decimate_source(
    source: ElectrodeDataSource,
    ratio: int,
    out: Any,
    aligned: LineKind | Mapping[str, LineKind] | None = None,
) -> None:
    """Bring a source to a lower rate, into `out`, and aligned arrays that both have.

    Parameters
    ----------
    source
        What is decimated.
    ratio
        Integer ratio of the rates.
    out
        A writeable source, or an array, of the source's channels and ceil(n / ratio) samples.
    aligned
        How aligned arrays are lowered, for all of them or by name.

    Raises
    ------
    SettingsError
        If `out` does not fit, or it is not said how an aligned array is lowered.
    """
    check_target(out, (len(source), decimated_length(source.n_samples, ratio)))
    for name, kind in _aligned_kinds(source, out, aligned).items():
        _decimate_aligned(getattr(source, name), getattr(out, name), ratio, kind)
    source, n_channels, first = source.in_double(), len(source), 0
    # In float64 with what came before, padded at the ends, and the outputs.
    length = affordable(source.n_samples, lambda n: source.block_bytes(n_channels, n) + 24 * n_channels * n)
    # BLAS on more threads would split its sums, and so change their last bits.
    with (
        threadpool_limits(1, user_api="blas"),
        Threads(load_params().workers, "decimate") as threads,
    ):
        decimator = Decimator(ratio, source.n_samples, each=threads.each)
        for block in source.iter_blocks(length):
            low = decimator.push(block)
            out[:, first : first + low.shape[1]] = low
            first += low.shape[1]


def _aligned_kinds(
    source: ElectrodeDataSource, out: Any, aligned: LineKind | Mapping[str, LineKind] | None
) -> dict[str, LineKind]:
    """Return how each aligned array that the source and the target have is lowered."""
    names = [name for name in source.aligned_arrays if name in getattr(out, "aligned_arrays", ())]
    given: Mapping[str, LineKind] = dict.fromkeys(names, aligned) if isinstance(aligned, str) else aligned or {}
    for name in names:
        if name not in given:
            raise SettingsError(
                f"The source has the aligned array {name!r}, and nothing says how it is brought to the lower rate; "
                f"give aligned={{{name!r}: 'ttl_high'}}, 'ttl_low' or 'analog'."
            )
        if given[name] not in get_args(LineKind):
            raise SettingsError(f"aligned is {given[name]!r}. {nearest(str(given[name]), get_args(LineKind))}")
    return {name: given[name] for name in names}


def _decimate_aligned(source: Any, out: Any, ratio: int, kind: LineKind) -> None:
    """Lower an aligned array, (rows, time), bin by bin, some bins at a time."""
    n_samples = source.shape[-1]
    n_bins = max(1, _block_bytes() // (max(1, len(source)) * 8 * ratio))
    for first in range(0, n_samples, n_bins * ratio):
        low = decimate_line(np.asarray(source[:, first : min(first + n_bins * ratio, n_samples)]), ratio, kind)
        out[:, first // ratio : first // ratio + low.shape[1]] = low


def check_target(out: Any, shape: tuple[int, int]) -> None:
    """Refuse a target that cannot take the result.

    Raises
    ------
    SettingsError
        If it has another shape, or cannot be written to.
    """
    if tuple(out.shape) != shape:
        raise SettingsError(
            f"The result has shape {shape}, where it is to go has {tuple(out.shape)}; make them the same."
        )
    writeable = out.flags.writeable if isinstance(out, np.ndarray) else out.writeable
    if not writeable:
        raise SettingsError(
            "The result would go where nothing can be written; use a writeable mirror, source.mirror()."
        )
