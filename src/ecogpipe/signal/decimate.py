"""Lowering the rate by an integer ratio: a linear-phase FIR with zero delay, and levels of digital lines.

The FIR runs as a batch of small matrix products: a banded matrix of taps times a strided view of the block. Every
product has one shape, its tile of outputs anchored at output sample 0, so that a result's bits do not depend on how
the samples arrive.
"""

from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy
from numpy.lib.stride_tricks import as_strided

from ecogpipe.errors import RateError
from ecogpipe.runtime.threads import Each, one_by_one
from ecogpipe.signal.rates import decimated_length

Array: TypeAlias = npt.NDArray[np.float64]
Order: TypeAlias = Literal["C", "F"]
LineKind: TypeAlias = Literal["ttl_high", "ttl_low", "analog"]

_STOP_BAND_DB = 82.0
"""Attenuation that the window is designed for; what is measured stays above 80 dB for every ratio."""

_TRANSITION = 0.4
"""Width of the transition band, 0.8 to 1.2 of the new Nyquist frequency."""

TILE_OUTPUTS = 16
"""Outputs of one matrix product: fewer waste calls, more waste products with the zeros of the band."""

_RUN_TILES = 64
"""Tiles that a thread takes at a time."""


@lru_cache
def decimation_fir(ratio: int) -> Array:
    """Return the taps of the anti-alias filter for an integer ratio, an odd number of them, with a DC gain of 1.

    A Kaiser window: flat to 0.01 dB up to 0.8 of the new Nyquist frequency, at least 80 dB down from 1.2 of it on,
    6 dB down at it. For ratio 1 the one tap is 1.

    References
    ----------
    Kaiser (1974), Nonrecursive digital filter design using the I0-sinh window function, Proc. IEEE ISCAS.
    """
    if ratio < 1:
        raise RateError(f"A ratio of {ratio} does not lower a rate; give an integer of 1 or more.")
    if ratio == 1:
        return np.ones(1)
    taps = scipy.signal.firwin(_n_taps(ratio), 1 / ratio, window=("kaiser", _beta()))
    return np.asarray(taps / taps.sum(), dtype=np.float64)


def skewed_fir(ratio: int, delay: float) -> Array:
    """Return the taps of `decimation_fir` that also interpolate at `delay` samples earlier, with a DC gain of 1.

    Output k stands for the signal at sample ``k * ratio - delay``: the same filter, sampled between its taps.

    Parameters
    ----------
    ratio
        Integer ratio of the rates; for 1 the filter is flat to 0.8 of the Nyquist frequency.
    delay
        Fraction of a sample, 0 to 1; 0 gives a filter that does not shift.
    """
    half = _n_taps(ratio) // 2
    distance = half - np.arange(2 * half + 1) - delay
    window = np.i0(_beta() * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, None)))
    taps = np.sinc(distance / ratio) * np.where(np.abs(distance) <= half, window, 0)
    return np.asarray(taps / taps.sum(), dtype=np.float64)


def _n_taps(ratio: int) -> int:
    return int(scipy.signal.kaiserord(_STOP_BAND_DB, _TRANSITION / ratio)[0]) | 1


def _beta() -> float:
    return float(scipy.signal.kaiser_beta(_STOP_BAND_DB))


class Decimation:
    """The decimation of a signal of known length, from any stretch of its samples; odd-reflected at its ends.

    Parameters
    ----------
    ratio
        Integer ratio of the rates.
    n_samples
        Samples of the signal.
    taps
        Taps to use in place of `decimation_fir`, an odd number of them, the last one for the newest sample.
    first
        Sample that output 0 stands for, less than `ratio`.
    each
        Goes through the runs of products, perhaps in threads, which do not change the result.

    Notes
    -----
    The reference is ``np.convolve(np.pad(x, (L - 1) // 2, "reflect", reflect_type="odd"), taps, "valid")[::ratio]``.
    A sample that is not finite makes NaN of the outputs within the filter's reach, and of no others.

    Examples
    --------
    >>> decimation = Decimation(ratio=2, n_samples=100)
    >>> ones = np.ones((1, 100))
    >>> early, late = decimation.completed(ones[:, :60], 0, 60, "C"), decimation.completed(ones, 60, 100, "C")
    >>> np.concatenate([early, late], axis=1).shape
    (1, 50)
    """

    def __init__(
        self, ratio: int, n_samples: int, taps: Array | None = None, first: int = 0, each: Each = one_by_one
    ) -> None:
        self._taps = decimation_fir(ratio) if taps is None else taps
        self._ratio, self._n_samples, self._first, self._each = ratio, n_samples, first, each
        self._half, self._hop = len(self._taps) // 2, TILE_OUTPUTS * ratio
        self._reach = self._hop - ratio + len(self._taps)
        self._band = _banded(self._taps.tobytes(), ratio)
        self._n_outputs = decimated_length(max(0, n_samples - first), ratio)

    @property
    def history(self) -> int:
        """How many samples before a new stretch its outputs reach back to, at the most."""
        return self._reach - 1

    def completed(self, samples: npt.NDArray[Any], start: int, stop: int, order: Order) -> Array:
        """Return the outputs, (channels, time), that are complete with sample `stop` - 1, and were not before `start`.

        Parameters
        ----------
        samples
            (channels, time): those before `stop`, at least `history` of them before `start`, or all that there are.
        start, stop
            The stretch that is new.
        order
            What the samples are brought to: channels (F) or time (C) next to each other in memory. Products of the one
            and of the other may differ in their last bits.
        """
        if len(self._taps) == 1:
            return samples[:, samples.shape[1] - (stop - start) :].astype(np.float64)
        first_tile, stop_tile = self._n_tiles(start), self._n_tiles(stop)
        first_output = first_tile * TILE_OUTPUTS
        n_outputs = min(stop_tile * TILE_OUTPUTS, self._n_outputs) - first_output
        if n_outputs <= 0:
            return np.empty((len(samples), 0))
        wanted_from = first_output * self._ratio + self._first - self._half
        known = samples[:, max(0, wanted_from) - stop :].astype(np.float64, copy=False)
        padded = known
        if wanted_from < 0 or stop == self._n_samples:
            padded = self._padded(known, wanted_from, stop, (stop_tile - first_tile - 1) * self._hop + self._reach)
        return self._filter(self._tiles(_in_order(padded, order), stop_tile - first_tile))[:, :n_outputs]

    def _n_tiles(self, n_arrived: int) -> int:
        """Return tiles whose samples, reflected ones included, are known when so many samples are."""
        if n_arrived == self._n_samples:
            return -(-self._n_outputs // TILE_OUTPUTS)
        return max(0, (n_arrived + self._half - self._reach - self._first) // self._hop + 1)

    def _padded(self, known: Array, wanted_from: int, stop: int, length: int) -> Array:
        """Return what is known with the ends of the signal reflected, and zeros behind, in `length` samples."""
        before, after = self._half * (wanted_from < 0), self._half * (stop == self._n_samples)
        if known.shape[1] <= self._half:
            pieces = [_reflected(known, before, after)]
        else:
            head = _reflected(known[:, : self._half + 1], before, 0)[:, :before]
            tail = _reflected(known[:, -self._half - 1 :], 0, after)[:, self._half + 1 :]
            pieces = [head, known, tail]
        pieces[0] = pieces[0][:, wanted_from + before if before else 0 :]
        missing = max(0, length - sum(piece.shape[1] for piece in pieces))
        return np.concatenate([*pieces, np.zeros((len(known), missing))], axis=1)[:, :length]

    def _tiles(self, samples: Array, n_tiles: int) -> Array:
        """View samples as tiles that overlap by the filter's length, (tiles, channels, reach)."""
        channel_stride, time_stride = samples.strides
        shape, strides = (n_tiles, len(samples), self._reach), (self._hop * time_stride, channel_stride, time_stride)
        return as_strided(samples, shape, strides, writeable=False)

    def _filter(self, tiles: Array) -> Array:
        """Return the outputs of tiles that follow one another, (channels, time)."""
        n_tiles, n_channels, _ = tiles.shape
        outputs = np.empty((n_channels, n_tiles * TILE_OUTPUTS))
        by_tile = outputs.reshape(n_channels, n_tiles, TILE_OUTPUTS).transpose(1, 0, 2)
        runs = [slice(start, start + _RUN_TILES) for start in range(0, n_tiles, _RUN_TILES)]
        self._each(lambda run: _multiply(tiles[run], by_tile[run], self._band, self._ratio, len(self._taps)), runs)
        return outputs


def _reflected(samples: Array, before: int, after: int) -> Array:
    return np.pad(samples, ((0, 0), (before, after)), "reflect", reflect_type="odd")


class Decimator:
    """A `Decimation` of samples that arrive in blocks.

    Parameters
    ----------
    ratio, n_samples, taps, each
        As of `Decimation`; so many samples will arrive in all.
    order
        As of `Decimation.completed`; that of the first block, where it is not given.

    Examples
    --------
    >>> decimator = Decimator(ratio=2, n_samples=100)
    >>> outputs = [decimator.push(np.ones((1, 60))), decimator.push(np.ones((1, 40)))]
    >>> np.concatenate(outputs, axis=1).shape
    (1, 50)
    """

    def __init__(
        self,
        ratio: int,
        n_samples: int,
        taps: Array | None = None,
        each: Each = one_by_one,
        order: Order | None = None,
    ) -> None:
        self._decimation, self._order = Decimation(ratio, n_samples, taps, each=each), order
        self._n_samples, self._arrived = n_samples, 0
        self._before: Array | None = None

    @property
    def history(self) -> int:
        """Samples that are kept for the next block, at the most."""
        return self._decimation.history

    def push(self, block: npt.NDArray[Any]) -> Array:
        """Take the next samples, (channels, time) of any length; return the outputs that are complete.

        After the last sample every remaining output is returned. Outputs share no memory with the block.
        """
        start, stop = self._arrived, self._arrived + block.shape[1]
        if stop > self._n_samples:
            raise ValueError(f"{stop} samples have arrived, {self._n_samples} were announced.")
        self._order = self._order or _memory_order(block)
        before = block[:, :0] if self._before is None else self._before
        samples = np.concatenate([before, block], axis=1, dtype=np.float64)
        self._arrived = stop
        self._before = samples[:, max(0, samples.shape[1] - self.history) :].copy(order="K")
        return self._decimation.completed(samples, start, stop, self._order)


def decimate_line(samples: npt.NDArray[Any], ratio: int, kind: LineKind) -> npt.NDArray[Any]:
    """Lower the rate of BNC lines without a filter: output k stands for samples [k * ratio, (k + 1) * ratio).

    Parameters
    ----------
    samples
        (channels, time), beginning at a multiple of `ratio`; the last bin may be short.
    ratio
        Integer ratio of the rates.
    kind
        'ttl_high' keeps the maximum of a bin, 'ttl_low' the minimum, 'analog' its first sample.
    """
    if kind == "analog":
        return samples[:, ::ratio].copy()
    keep = np.fmax if kind == "ttl_high" else np.fmin
    kept = samples[:, ::ratio].copy(order="K")
    # Sample k of every bin at once: several times faster than reducing bin by bin.
    for k in range(1, ratio):
        others = samples[:, k::ratio]
        keep(kept[:, : others.shape[1]], others, out=kept[:, : others.shape[1]])
    return kept


@lru_cache(maxsize=64)
def _banded(taps_bytes: bytes, ratio: int) -> Array:
    """Return the (reach, outputs) matrix that turns a tile of samples into its outputs; stretches share it."""
    taps = np.frombuffer(taps_bytes)
    reach = (TILE_OUTPUTS - 1) * ratio + len(taps)
    band = np.zeros((reach, TILE_OUTPUTS))
    for output in range(TILE_OUTPUTS):
        band[output * ratio : output * ratio + len(taps), output] = taps
    return band


def _multiply(tiles: Array, outputs: Array, band: Array, ratio: int, n_taps: int) -> None:
    """Multiply tiles, (tiles, channels, reach), by the band, into (tiles, channels, outputs)."""
    with np.errstate(invalid="ignore"):
        np.matmul(tiles, band, out=outputs)
    if not np.isfinite(outputs).all():
        _multiply_finite(tiles, outputs, band, ratio, n_taps)


def _multiply_finite(tiles: Array, outputs: Array, band: Array, ratio: int, n_taps: int) -> None:
    """Do as `_multiply`, but a sample that is not finite reaches only the outputs whose taps cover it."""
    firsts = np.arange(TILE_OUTPUTS) * ratio
    for tile, output in zip(tiles, outputs, strict=True):
        bad, clean = ~np.isfinite(tile), tile.copy(order="K")
        clean[bad] = 0
        np.matmul(clean, band, out=output)
        counts = np.concatenate([np.zeros((len(bad), 1), dtype=np.intp), np.cumsum(bad, axis=1)], axis=1)
        output[counts[:, firsts + n_taps] > counts[:, firsts]] = np.nan


def _memory_order(samples: npt.NDArray[Any]) -> Order:
    return "F" if samples.strides[0] < samples.strides[1] else "C"


def _in_order(samples: Array, order: Order) -> Array:
    """Return the samples with channels (F) or time (C) next to each other in memory, copied only where they are not."""
    # Of a single channel, NumPy's product depends on the step from sample to sample.
    unit = 0 if order == "F" and len(samples) > 1 else 1
    return samples if samples.strides[unit] == samples.itemsize else np.array(samples, order=order)
