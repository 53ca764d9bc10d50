"""Sharing work among threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from threading import Event
from types import TracebackType
from typing import Protocol, Self, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


class Each(Protocol):
    """A way to go through items."""

    def __call__(self, function: Callable[[Item], None], items: Iterable[Item], /) -> None:
        """Call a function with each item, in whatever order; return when all calls have returned."""
        ...


def one_by_one(function: Callable[[Item], None], items: Iterable[Item], /) -> None:
    """Call a function with each item, in this thread."""
    for item in items:
        function(item)


def read_ahead(blocks: Iterator[Item]) -> Iterator[Item]:
    """Yield blocks, the next one being read in a thread meanwhile.

    A block has to stay valid until the one after the next is asked for; that is when its reader may fill it anew.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="read") as reader:
        reading = reader.submit(next, blocks, end)
        while (block := reading.result()) is not end:
            reading = reader.submit(next, blocks, end)
            yield block  # type: ignore[misc]  # it is not the end


def ahead(pool: Executor, calls: Iterable[Callable[[], Made]], n: int) -> Iterator[Made]:
    """Yield what calls return, in order; so many of them go ahead of the caller in the threads of a pool."""
    running: deque[Future[Made]] = deque()
    for call in calls:
        running.append(pool.submit(call))
        if len(running) > n:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


class Threads:
    """Threads that share work, kept from one call to the next: starting them takes as long as a small read.

    Parameters
    ----------
    n
        How many.
    name
        What they are called.
    """

    def __init__(self, n: int, name: str) -> None:
        self.n = n
        self._pool = ThreadPoolExecutor(n, thread_name_prefix=name)

    def each(self, function: Callable[[Item], None], items: Iterable[Item], /) -> None:
        """Call a function with each item; a thread takes the next one when it has done one.

        After an error, items that nobody has begun with are left, and the error is raised.
        """
        left, failed = deque(items), Event()

        def work() -> None:
            while not failed.is_set():
                try:
                    item = left.popleft()
                except IndexError:
                    return
                try:
                    function(item)
                except BaseException:
                    failed.set()
                    raise

        # One future for a thread: one for each item would cost more than many an item.
        running = [self._pool.submit(work) for _ in range(min(self.n, len(left)))]
        wait(running)
        for done in running:
            done.result()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
