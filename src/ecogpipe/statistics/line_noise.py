"""How much of each channel is at the frequencies of the mains, 50 and 60 Hz."""

from math import ceil

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MAINS_HZ = (50, 60)
"""Both are measured in every recording; which one is line noise, a person declares (`line_frequency`)."""

_TILE_SECONDS = 1.0


class Mains:
    """Rms of every channel at each of `MAINS_HZ`, averaged as power over tiles of one to two seconds.

    A tile is a whole number of blocks under one Hann window, so that a slow change of the line's phase or frequency
    costs nothing, and its mean is taken off. Frames after the last whole tile are left out.

    Parameters
    ----------
    n_channels : int
        Channels of the recording.
    rate : float
        Frames per second.
    block : int
        Frames of a block.
    """

    def __init__(self, n_channels: int, rate: float, block: int) -> None:
        self._block, self._rate = block, rate
        self._n_blocks = blocks_per_tile(rate, block)
        frames = np.arange(self._n_blocks * block)
        window = np.sin(np.pi * (frames + 0.5) / len(frames)) ** 2
        turns = 2 * np.pi / rate * np.outer(MAINS_HZ, frames)
        basis = window * np.concatenate([np.cos(turns), np.sin(turns)])
        self._to_power = 2 / window.sum() ** 2
        self._waves: Floats = basis.reshape(len(basis), self._n_blocks, block).swapaxes(0, 1).copy()
        self._constants: Floats = self._waves.sum(axis=2)
        self._products: Floats = np.zeros((len(basis), n_channels))
        self._means: Floats = np.zeros((self._n_blocks, n_channels))
        self._power: Floats = np.zeros((len(MAINS_HZ), n_channels))
        self._in_tile, self._n_tiles = 0, 0

    def waves(self, block: int) -> Floats:
        """Return the cosines, then the sines of each frequency that a block, counted from 0, is multiplied with."""
        waves: Floats = self._waves[block % self._n_blocks]
        return waves

    def update(self, values: Floats, mean: Floats) -> None:
        """Take the next block, (frames, channels) without gaps, and its mean."""
        if len(values) == self._block:
            self.take(self._waves[self._in_tile] @ (values - mean), mean)

    def take(self, products: Floats, mean: Floats) -> None:
        """Take the products of the `waves` with the next block, less its mean, and the mean."""
        self._products += products
        self._means[self._in_tile] = mean
        self._in_tile += 1
        if self._in_tile == self._n_blocks:
            self._finish_tile()

    def result(self) -> Floats:
        """Return the rms, (frequencies, channels); NaN without a whole tile, and from half the rate on."""
        if not self._n_tiles:
            return np.full(self._power.shape, np.nan)
        carried = np.array(MAINS_HZ)[:, np.newaxis] < self._rate / 2
        return np.where(carried, np.sqrt(self._power / self._n_tiles), np.nan)

    def _finish_tile(self) -> None:
        from_mean = self._means - self._means.mean(axis=0)
        cosines, sines = np.split(self._products + np.einsum("bw,bc->wc", self._constants, from_mean), 2)
        self._power += self._to_power * (cosines**2 + sines**2)
        self._products[:] = 0
        self._in_tile, self._n_tiles = 0, self._n_tiles + 1


def wave_bytes(rate: float, block: int) -> int:
    """Return the bytes of the waves that `Mains` holds."""
    return 2 * len(MAINS_HZ) * blocks_per_tile(rate, block) * block * np.dtype(np.float64).itemsize


def blocks_per_tile(rate: float, block: int) -> int:
    """Return the blocks of a tile: the fewest that last a second."""
    return max(1, ceil(_TILE_SECONDS * rate / block))
