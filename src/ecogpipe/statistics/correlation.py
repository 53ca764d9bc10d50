"""How alike the slow changes of channels are: the correlation of each with every other, in one streaming pass."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WINDOWS_PER_SECOND = 20
"""Windows whose means are compared. The difference of two that are one apart holds neither 50 nor 60 Hz, nor any of
their harmonics: line noise, which all channels share, makes no two of them alike."""

TILE = 64
"""Differences of windows that are normalised and multiplied at once, 3.2 s of them."""

_ROUNDING = 1e-13


def window_length(rate: float) -> int:
    """Return the frames of a window; windows are counted from frame 0."""
    return max(1, round(rate / WINDOWS_PER_SECOND))


class Correlation:
    """Correlation of the slow changes (1 to 9 Hz) of channels, from the sums of their windows.

    A change is the difference between a window and the one before the last. It is normalised in every tile, so that
    an artefact counts no more than the tile that it is in; tiles are averaged. Changes that are not finite count
    as none.

    Parameters
    ----------
    n_channels : int
        Channels to compare.
    """

    def __init__(self, n_channels: int) -> None:
        self._last: Floats = np.empty((0, n_channels))
        self._changes: Floats = np.zeros((TILE, n_channels))
        self._sizes: Floats = np.zeros(n_channels)
        self._n_waiting, self._n_changes = 0, 0
        self._products: Floats = np.zeros((n_channels, n_channels))

    def update(self, sums: Floats) -> None:
        """Take the sums of the next windows, (windows, channels)."""
        known = np.concatenate([self._last, sums])
        self._last = known[-2:].copy()
        with np.errstate(invalid="ignore", over="ignore"):
            changes = known[2:] - known[:-2]
        usable = np.isfinite(changes)
        changes, sizes = np.where(usable, changes, 0), np.where(usable, np.abs(known[2:]), 0)
        while len(changes):
            n = min(len(changes), TILE - self._n_waiting)
            self._changes[self._n_waiting : self._n_waiting + n] = changes[:n]
            np.maximum(self._sizes, sizes[:n].max(axis=0), out=self._sizes)
            changes, sizes, self._n_waiting = changes[n:], sizes[n:], self._n_waiting + n
            if self._n_waiting == TILE:
                self._finish_tile()

    def result(self) -> npt.NDArray[np.float32]:
        """Return the matrix, (channels, channels); NaN where a channel never changes. To be called once."""
        if self._n_waiting:
            self._changes[self._n_waiting :] = 0
            self._finish_tile()
        size = np.sqrt(np.diagonal(self._products))
        size[size == 0] = np.nan
        self._products /= size
        self._products /= size[:, np.newaxis]
        return self._products.astype(np.float32)

    @property
    def n_changes(self) -> int:
        """Changes that the matrix is made of."""
        return self._n_changes + self._n_waiting

    def _finish_tile(self) -> None:
        norms = np.sqrt((self._changes**2).sum(axis=0))
        changing = norms > _ROUNDING * self._sizes
        unit = np.zeros_like(self._changes)
        np.divide(self._changes, norms, out=unit, where=changing)
        product = unit.T @ unit
        product *= self._n_waiting
        self._products += product
        self._n_changes += self._n_waiting
        self._n_waiting = 0
        self._sizes[:] = 0


def working_bytes(n_channels: int) -> int:
    """Return the bytes that `Correlation` holds at once."""
    return np.dtype(np.float64).itemsize * n_channels * (3 * n_channels + 3 * TILE)
