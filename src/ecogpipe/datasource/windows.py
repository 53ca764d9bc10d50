"""Going through a recording window by window, each worked on by one thread while it is still in that core's cache."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

import numpy.typing as npt

from ecogpipe.runtime.threads import ahead

Array: TypeAlias = npt.NDArray[Any]
Made = TypeVar("Made")

Work: TypeAlias = Callable[[Array, int, int], Made]
"""What is done with a window: called with its samples after those of its history, (channels, time), start and stop."""

RESULTS_AHEAD = 2
"""Windows for each thread that may be begun before the caller has taken the results of earlier ones."""


def window_borders(parts: Sequence[tuple[int, int]], longest: int) -> list[tuple[int, int]]:
    """Cut the time axis of joined parts into windows, [start, stop), that end at borders of parts and of chunks.

    Parameters
    ----------
    parts
        Samples of each part, and of its chunks.
    longest
        Samples of a window, at the most; longer chunks are cut all the same.

    Examples
    --------
    >>> window_borders([(10, 4), (3, 1)], longest=9)
    [(0, 8), (8, 10), (10, 13)]
    """
    windows, first = list[tuple[int, int]](), 0
    for n_samples, chunk_length in parts:
        length, end = longest - longest % chunk_length or longest, first + n_samples
        windows += [(start, min(start + length, end)) for start in range(first, end, length)]
        first = end
    return windows


def in_windows(
    windows: Sequence[tuple[int, int]],
    read: Callable[[int, int, Array], None],
    new_array: Callable[[int], Array],
    history: int,
    n_at_once: int,
    work: Work[Made],
) -> Generator[Made]:
    """Yield what `work` makes of each window, in order; windows are read and worked on in threads, ahead of the caller.

    Parameters
    ----------
    windows
        The first sample of each window, and the one after its last; each begins where the one before ends.
    read
        Reads samples [start, stop) into an array, (channels, time).
    new_array
        Makes an array of all channels and so many samples; each thread fills one again and again.
    history
        Samples before a window that `work` gets with it, fewer near the beginning.
    n_at_once
        How many windows are worked on at once; `RESULTS_AHEAD` times as many may wait for the caller.
    """
    longest = max((stop - start for start, stop in windows), default=0)
    arrays: SimpleQueue[Array] = SimpleQueue()
    for _ in range(n_at_once):
        arrays.put(new_array(history + longest))

    def take(start: int, stop: int, before: Future[Array], after: Future[Array]) -> Made:
        array = arrays.get()
        try:
            n_before = min(history, start)
            samples = array[:, history - n_before : history + stop - start]
            try:
                read(start, stop, samples[:, n_before:])
                samples[:, :n_before] = before.result()
                after.set_result(samples[:, max(0, samples.shape[1] - history) :].copy(order="K"))
            except BaseException as error:
                after.set_exception(error)
                raise
            return work(samples, start, stop)
        finally:
            arrays.put(array)

    def calls() -> Iterator[Callable[[], Made]]:
        before: Future[Array] = Future()
        before.set_result(new_array(0))
        for start, stop in windows:
            after: Future[Array] = Future()
            yield partial(take, start, stop, before, after)
            before = after

    pool = ThreadPoolExecutor(n_at_once, thread_name_prefix="window")
    try:
        yield from ahead(pool, calls(), RESULTS_AHEAD * n_at_once)
    finally:
        pool.shutdown(cancel_futures=True)
