"""Progress of long work: a bar on a terminal, plain lines every ten seconds in a log."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

logger = logging.getLogger(__name__)

VIEW = "ECOGPIPE_VIEW"
"""Environment variable of jobs whose run shows how far it is by itself, so that they show no bar of their own."""

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress(label: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many more bytes are done.

    Examples
    --------
    >>> with progress("scan test_001", total_bytes=10) as advance:
    ...     advance(10)
    """
    lines = _LogLines(label, total_bytes)
    terminal = sys.stderr.isatty() and VIEW not in os.environ
    with tqdm(
        total=total_bytes, desc=label, unit="B", unit_scale=True, disable=not terminal, leave=False, dynamic_ncols=True
    ) as bar:

        def advance(n_bytes: int) -> None:
            bar.update(n_bytes)
            lines.advance(n_bytes)

        yield advance
    lines.finish()


class _LogLines:
    """Counts bytes and logs a line when ten seconds have passed since the last one."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total, self._done = label, total, 0
        self._start = self._last = time.monotonic()

    def advance(self, n_bytes: int) -> None:
        self._done += n_bytes
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            rate = self._done / (self._last - self._start)
            left = (self._total - self._done) / rate if rate else float("inf")
            logger.info(
                "%s: %.0f %% done, %.0f MB/s, %.0f s left",
                self._label,
                100 * self._done / self._total,
                rate / 1e6,
                left,
            )

    def finish(self) -> None:
        seconds = max(time.monotonic() - self._start, 1e-9)
        logger.info(
            "%s: %.1f MB in %.1f s, %.0f MB/s", self._label, self._done / 1e6, seconds, self._done / seconds / 1e6
        )
