"""Filtering what is too long for memory: blocks in, blocks out, in between on the scratch disk."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from threading import Event, Lock
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
from ecogpipe.signal.stream import Gap, GapFinder, SosPasses, bridge, restore
from ecogpipe.threads import Threads

Array: TypeAlias = npt.NDArray[np.float64]

_GROUPS_OF_WORKER = 2
"""Runs of channels that a worker filters one after the other: what is copied of each is small beside the blocks."""


class StreamedFilter:
    """A filter that takes all blocks first, then writes them filtered; channels go side by side in threads.

    Parameters
    ----------
    sos
        Second-order sections; None writes every block as it comes.
    write
        Takes what is finished: (rows, first sample, block). It is called from several threads, each with rows of its
        own.
    phase
        'zero' filters forwards and backwards, and writes the last block first; 'causal' only forwards.
    """

    def __init__(self, sos: Array | None, write: Callable[[slice, int, Array], None], phase: Phase = "zero") -> None:
        self._sos, self._write, self._phase = sos, write, phase
        self._groups: list[_Rows] = []
        self._threads = Threads(load_params().workers, "filter")
        self._finder = GapFinder()
        self._n_samples = 0
        self._given_up = Event()

    def push(self, block: Array) -> None:
        """Take the next samples, (channels, time)."""
        if not block.shape[1]:
            return
        self._finder.push(block)
        if self._sos is None:
            self._write(slice(0, len(block)), self._n_samples, block)
        else:
            self._groups = self._groups or [_Rows(rows, self._sos, self._phase) for rows in _groups(len(block))]
            self._threads.each(lambda group: group.push(block[group.rows], self._finder.has_found), self._groups)
        self._n_samples += block.shape[1]

    def finish(self) -> None:
        """Write the rest; runs that were not finite are bridged for the filter, then NaN."""
        gaps = self._finder.finish()
        self._threads.each(partial(self._finish_rows, gaps), self._groups)

    def _finish_rows(self, gaps: Sequence[Gap], group: "_Rows") -> None:
        try:
            for first, block in group.finish(gaps):
                if self._given_up.is_set():
                    return
                self._write(group.rows, first, block)
        except BaseException:
            self._given_up.set()
            raise

    def gaps(self) -> npt.NDArray[np.int64]:
        """Return the runs of samples that are not finite: (channel, first sample, stop sample)."""
        runs = [(gap.channel, gap.start, gap.stop) for gap in self._finder.finish()]
        return np.array(runs, dtype=np.int64).reshape(-1, 3)

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        """Give the scratch disk back; what still runs stops."""
        self._given_up.set()
        self._threads.close()
        for group in self._groups:
            group.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Rows:
    """Channels that one thread filters: on the scratch disk until all of their samples have come."""

    def __init__(self, rows: slice, sos: Array, phase: Phase) -> None:
        self.rows = rows
        self._blocks = ScratchBlocks()
        self._passes = SosPasses(self._blocks, sos, phase)

    def push(self, block: Array, waits: bool) -> None:
        """Take the next samples, which may wait until their gaps are bridged."""
        self._passes.push(block, waits)

    def finish(self, gaps: Sequence[Gap]) -> Iterator[tuple[int, Array]]:
        """Yield the first sample of each finished block, and the block."""
        own = [
            replace(gap, channel=gap.channel - self.rows.start)
            for gap in gaps
            if self.rows.start <= gap.channel < self.rows.stop
        ]
        self._bridge(own)
        for number, block in self._passes.finish():
            first = self._blocks.first_sample(number)
            restore(block, first, own)
            yield first, block

    def _bridge(self, gaps: Sequence[Gap]) -> None:
        for number in range(len(self._blocks)) if gaps else ():
            block = self._blocks.read(number)
            bridge(block, self._blocks.first_sample(number), gaps)
            self._blocks.replace(number, block)

    def close(self) -> None:
        """Give the scratch disk back."""
        self._blocks.close()


def _groups(n_channels: int) -> list[slice]:
    """Cut channels into runs, some for each worker; a channel's result does not depend on its neighbours."""
    n_groups = min(n_channels, _GROUPS_OF_WORKER * load_params().workers)
    borders = np.linspace(0, n_channels, n_groups + 1).astype(int).tolist()
    return [slice(*border) for border in pairwise(borders)]


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
    one_at_a_time = Lock()

    def write(rows: slice, first: int, block: Array) -> None:
        # Rows of the one thread may lie between rows of the other in the file, in windows that both write back.
        with one_at_a_time:
            out[rows, first : first + block.shape[1]] = block

    with StreamedFilter(sos, write) as filtering:
        for block in source.iter_blocks(length):
            filtering.push(np.ascontiguousarray(block, dtype=np.float64))
        filtering.finish()


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
    n_channels, first = len(source), 0
    length = affordable(source.n_samples, lambda n: source.block_bytes(n_channels, n) + 16 * n_channels * n)
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
