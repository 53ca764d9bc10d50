"""Runs of samples at a channel's own extreme, counted while the extreme is still being found."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

RAIL_RUN = 3
"""Equal samples in a row, at a channel's extreme, that count as railed."""


class Rail:
    """Counts the samples of every channel in runs of at least `RAIL_RUN` at its lowest, or at its highest value.

    Attributes
    ----------
    count : ndarray of int64
        Railed samples of each channel so far.
    """

    def __init__(self, n_channels: int) -> None:
        self.count: Counts = np.zeros(n_channels, np.int64)
        self._extreme: Floats = np.full(n_channels, -np.inf)
        self._run: Counts = np.zeros(n_channels, np.int64)

    def update(self, values: Floats, extremes: Floats, sign: int) -> None:
        """Take a block and its extremes: the lowest with sign -1, the highest with sign 1."""
        heights = sign * extremes
        farther = heights > self._extreme
        self._extreme[farther] = heights[farther]
        self.count[farther] = 0
        self._run[farther] = 0
        there = np.flatnonzero((heights == self._extreme) & np.isfinite(heights))
        run_before = self._run[there]
        self._run[:] = 0
        if len(there):
            at_extreme = np.ascontiguousarray(values[:, there].T) == extremes[there, np.newaxis]
            self.count[there] += _railed(at_extreme, run_before)
            self._run[there] = _trailing_run(at_extreme, run_before)


def _railed(at_extreme: Bools, run_before: Counts) -> Counts:
    """Count the samples in long runs, per row; a short run before the block counts once it becomes long in it."""
    ahead = RAIL_RUN - 1
    before = run_before[:, np.newaxis] >= np.arange(ahead, 0, -1)
    extended = np.concatenate([before, at_extreme], axis=1)
    n_begins = extended.shape[1] - ahead
    begins = np.logical_and.reduce([extended[:, offset : offset + n_begins] for offset in range(RAIL_RUN)])
    within: Bools = np.zeros(extended.shape, np.bool_)
    for offset in range(RAIL_RUN):
        within[:, offset : offset + n_begins] |= begins
    already_counted = run_before >= RAIL_RUN
    within[already_counted, :ahead] = False
    counts: Counts = within.sum(axis=1)
    return counts


def _trailing_run(at_extreme: Bools, run_before: Counts) -> Counts:
    """Return the length of the run at the end of each row, which goes on before the block if the row is all run."""
    from_end = ~at_extreme[:, ::-1]
    run: Counts = np.where(from_end.any(axis=1), from_end.argmax(axis=1), at_extreme.shape[1] + run_before)
    return run.clip(max=RAIL_RUN)
