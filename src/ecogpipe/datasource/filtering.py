"""Filtering what is too long for memory: blocks in, blocks out, in between on the scratch disk."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ecogpipe.datasource.blocks import affordable
from ecogpipe.datasource.scratch import ScratchBlocks
from ecogpipe.datasource.source import ElectrodeDataSource
from ecogpipe.errors import SettingsError
from ecogpipe.params import load_params
from ecogpipe.signal.decimate import Decimator
from ecogpipe.signal.filters import Phase
from ecogpipe.signal.rates import decimated_length
from ecogpipe.signal.stream import GapFinder, bridge, causal, restore, zero_phase

Array: TypeAlias = npt.NDArray[np.float64]


class StreamedFilter:
    """A filter that takes all blocks first, and gives them back filtered.

    Parameters
    ----------
    sos
        Second-order sections; None gives every block back as it comes.
    phase
        'zero' filters forwards and backwards, and gives the last block back first; 'causal' only forwards.
    """

    def __init__(self, sos: Array | None, phase: Phase = "zero") -> None:
        self._sos, self._phase = sos, phase
        self._scratch = ScratchBlocks()
        self._finder = GapFinder()
        self._n_samples = 0

    def push(self, block: Array) -> Iterator[tuple[int, Array]]:
        """Take the next samples, (channels, time); yield (first sample, block) of what is finished already."""
        if not block.shape[1]:
            return
        self._finder.push(block)
        first, self._n_samples = self._n_samples, self._n_samples + block.shape[1]
        if self._sos is None:
            yield first, block
        else:
            self._scratch.append(block)

    def finish(self) -> Iterator[tuple[int, Array]]:
        """Yield (first sample, block) of the rest; runs that were not finite are bridged for the filter, then NaN."""
        if self._sos is None or not self._n_samples:
            return
        gaps = self._finder.finish()
        if gaps:
            for number in range(len(self._scratch)):
                block = self._scratch.read(number)
                bridge(block, self._scratch.first_sample(number), gaps)
                self._scratch.replace(number, block)
        for number, block in self._passes(self._sos, load_params().workers):
            first = self._scratch.first_sample(number)
            restore(block, first, gaps)
            yield first, block

    def _passes(self, sos: Array, workers: int) -> Iterator[tuple[int, Array]]:
        if self._phase == "causal":
            return causal(self._scratch, sos, workers)
        return zero_phase(self._scratch, sos, self._n_samples, workers)

    def gaps(self) -> npt.NDArray[np.int64]:
        """Return the runs of samples that are not finite: (channel, first sample, stop sample)."""
        runs = [(gap.channel, gap.start, gap.stop) for gap in self._finder.finish()]
        return np.array(runs, dtype=np.int64).reshape(-1, 3)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scratch.close()


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
    n_channels = len(source)
    length = affordable(source.n_samples, lambda n: source.block_bytes(n_channels, n) + 24 * n_channels * n)
    with StreamedFilter(sos) as filtering:
        for block in source.iter_blocks(length):
            for _ in filtering.push(np.ascontiguousarray(block, dtype=np.float64)):
                pass
        for first, block in filtering.finish():
            out[:, first : first + block.shape[1]] = block


def decimate_source(source: ElectrodeDataSource, ratio: int, out: Any) -> None:
    """Bring a source to a lower rate, into `out`.

    Parameters
    ----------
    source
        What is decimated.
    ratio
        Integer ratio of the rates.
    out
        A writeable source, or an array, of the source's channels and ceil(n / ratio) samples.
    """
    check_target(out, (len(source), decimated_length(source.n_samples, ratio)))
    n_channels, decimator, first = len(source), Decimator(ratio, source.n_samples), 0
    length = affordable(source.n_samples, lambda n: source.block_bytes(n_channels, n) + 16 * n_channels * n)
    # BLAS on more threads would split its sums, and so change their last bits.
    with threadpool_limits(1, user_api="blas"):
        for block in source.iter_blocks(length):
            low = decimator.push(block)
            out[:, first : first + low.shape[1]] = low
            first += low.shape[1]


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
