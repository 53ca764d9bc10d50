"""Lowering the rate by an integer ratio: a linear-phase FIR with zero delay, and levels of digital lines.

The FIR runs as a batch of small matrix products: a banded matrix of taps times a strided view of the block. Every
product has one shape, its tile of outputs anchored at output sample 0, so that a result's bits do not depend on how
the samples arrive.
"""

from functools import lru_cache, partial
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided
from scipy import signal

from ecogpipe.errors import RateError
from ecogpipe.signal.rates import decimated_length
from ecogpipe.threads import Each, one_by_one

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
    taps = signal.firwin(_n_taps(ratio), 1 / ratio, window=("kaiser", _beta()))
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
    return int(signal.kaiserord(_STOP_BAND_DB, _TRANSITION / ratio)[0]) | 1


def _beta() -> float:
    return float(signal.kaiser_beta(_STOP_BAND_DB))


class Decimator:
    """Decimates signals that arrive in blocks; equal to filtering the whole, odd-reflected at its ends.

    Parameters
    ----------
    ratio
        Integer ratio of the rates.
    n_samples
        Samples that will arrive in all.
    taps
        Taps to use in place of `decimation_fir`, an odd number of them, the last one for the newest sample.
    each
        Goes through the runs of products, perhaps in threads, which do not change the result.
    first
        Sample that output 0 stands for, less than `ratio`.

    Notes
    -----
    The reference is ``np.convolve(np.pad(x, (L - 1) // 2, "reflect", reflect_type="odd"), taps, "valid")[::ratio]``.
    A sample that is not finite makes NaN of the outputs within the filter's reach, and of no others.

    Examples
    --------
    >>> decimator = Decimator(ratio=2, n_samples=100)
    >>> outputs = [decimator.push(np.ones((1, 60))), decimator.push(np.ones((1, 40)))]
    >>> np.concatenate(outputs, axis=1).shape
    (1, 50)
    """

    def __init__(
        self, ratio: int, n_samples: int, taps: Array | None = None, each: Each = one_by_one, first: int = 0
    ) -> None:
        self._taps = decimation_fir(ratio) if taps is None else taps
        self._each = each
        self._ratio, self._n_samples = ratio, n_samples
        self._hop = TILE_OUTPUTS * ratio
        self._reach = self._hop - ratio + len(self._taps)
        self._band = _banded(self._taps, ratio)
        self._ends = _OddReflection(len(self._taps) // 2)
        self._pending: Array | None = None
        self._order: Order = "C"
        self._arrived = 0
        self._outputs_left = decimated_length(max(0, n_samples - first), ratio)
        self._to_skip = first

    def push(self, block: npt.NDArray[Any]) -> Array:
        """Take the next samples, (channels, time) of any length; return the outputs that are complete.

        After the last sample every remaining output is returned. Outputs share no memory with the block.
        """
        if self._arrived == 0:
            self._order = _memory_order(block)
        self._arrived += block.shape[1]
        if self._arrived > self._n_samples:
            raise ValueError(f"{self._arrived} samples have arrived, {self._n_samples} were announced.")
        if len(self._taps) == 1:
            return block.astype(np.float64)
        block = block.astype(np.float64, copy=False)
        last = self._arrived == self._n_samples
        complete = [tiles for piece in self._ends.push(block, last) for tiles in self._consume(self._skipped(piece))]
        if last:
            complete += self._consume_last(len(block))
        outputs = self._filter(complete, len(block))[:, : self._outputs_left]
        self._outputs_left -= outputs.shape[1]
        return outputs

    def _skipped(self, piece: Array) -> Array:
        """Return a piece without what comes before the reach of output 0."""
        n_skipped = min(self._to_skip, piece.shape[1])
        self._to_skip -= n_skipped
        return piece[:, n_skipped:]

    def _consume(self, piece: Array) -> list[Array]:
        """Return the tiles that begin in what is pending, then those that lie inside the piece, uncopied."""
        pending = piece[:, :0] if self._pending is None else self._pending
        n_junction = -(-pending.shape[1] // self._hop)
        junction_length = (n_junction - 1) * self._hop + self._reach if n_junction else 0
        if junction_length > pending.shape[1] + piece.shape[1]:
            self._pending = np.concatenate([pending, piece], axis=1)
            return []
        complete = []
        if n_junction:
            junction = np.concatenate([pending, piece[:, : junction_length - pending.shape[1]]], axis=1)
            complete.append(self._tiles(junction, n_junction))
        inside = piece[:, n_junction * self._hop - pending.shape[1] :]
        n_inside = max(0, (inside.shape[1] - self._reach) // self._hop + 1)
        if n_inside:
            complete.append(self._tiles(inside, n_inside))
        self._pending = inside[:, n_inside * self._hop :].copy()
        return complete

    def _consume_last(self, n_channels: int) -> list[Array]:
        """Return the tiles of what is pending, filled up with zeros."""
        if self._pending is None or not self._pending.shape[1]:
            return []
        n_tiles = -(-self._pending.shape[1] // self._hop)
        missing = (n_tiles - 1) * self._hop + self._reach - self._pending.shape[1]
        filled = np.concatenate([self._pending, np.zeros((n_channels, max(0, missing)))], axis=1)
        return [self._tiles(filled, n_tiles)]

    def _tiles(self, samples: Array, n_tiles: int) -> Array:
        """View samples as tiles that overlap by the filter's length, (tiles, channels, reach)."""
        ordered = _in_order(samples, self._order)
        channel_stride, time_stride = ordered.strides
        shape, strides = (n_tiles, len(ordered), self._reach), (self._hop * time_stride, channel_stride, time_stride)
        return as_strided(ordered, shape, strides, writeable=False)

    def _filter(self, complete: list[Array], n_channels: int) -> Array:
        """Return the outputs of tiles that follow one another, (channels, time)."""
        n_tiles = sum(len(tiles) for tiles in complete)
        outputs = np.empty((n_channels, n_tiles * TILE_OUTPUTS))
        by_tile = outputs.reshape(n_channels, n_tiles, TILE_OUTPUTS).transpose(1, 0, 2)
        runs, first = [], 0
        for tiles in complete:
            for start in range(0, len(tiles), _RUN_TILES):
                run = tiles[start : start + _RUN_TILES]
                runs.append((run, by_tile[first + start : first + start + len(run)]))
            first += len(tiles)
        self._each(partial(_multiply, band=self._band, ratio=self._ratio, n_taps=len(self._taps)), runs)
        return outputs


class _OddReflection:
    """Pads signals that arrive in blocks by `half` samples at both ends, as ``np.pad`` does with odd reflection."""

    def __init__(self, half: int) -> None:
        self._half = half
        self._head: Array | None = None
        self._tail: Array | None = None

    def push(self, block: Array, last: bool) -> list[Array]:
        """Return the pieces of the padded signal that are known when `block` has arrived, in order."""
        if self._tail is None:
            return self._begin(block, last)
        if last or block.shape[1] <= self._half:
            self._tail = np.concatenate([self._tail, block[:, -self._half - 1 :]], axis=1)[:, -self._half - 1 :].copy()
        else:
            self._tail = block[:, -self._half - 1 :].copy()
        return [block, self._pad(self._tail, 0, self._half)[:, -self._half :]] if last else [block]

    def _begin(self, block: Array, last: bool) -> list[Array]:
        head = block if self._head is None else np.concatenate([self._head, block], axis=1)
        if last:
            return [self._pad(head, self._half, self._half)]
        if head.shape[1] <= self._half:
            self._head = head
            return []
        self._head, self._tail = None, head[:, -self._half - 1 :].copy()
        return [self._pad(head[:, : self._half + 1], self._half, 0)[:, : self._half], head]

    @staticmethod
    def _pad(samples: Array, before: int, after: int) -> Array:
        return np.pad(samples, ((0, 0), (before, after)), "reflect", reflect_type="odd")


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
    keep = np.maximum if kind == "ttl_high" else np.minimum
    kept = samples[:, ::ratio].copy(order="K")
    # Sample k of every bin at once: several times faster than reducing bin by bin.
    for k in range(1, ratio):
        others = samples[:, k::ratio]
        keep(kept[:, : others.shape[1]], others, out=kept[:, : others.shape[1]])
    return kept


def _banded(taps: Array, ratio: int) -> Array:
    """Return the (reach, outputs) matrix that turns a tile of samples into its outputs."""
    reach = (TILE_OUTPUTS - 1) * ratio + len(taps)
    band = np.zeros((reach, TILE_OUTPUTS))
    for output in range(TILE_OUTPUTS):
        band[output * ratio : output * ratio + len(taps), output] = taps
    return band


def _multiply(run: tuple[Array, Array], band: Array, ratio: int, n_taps: int) -> None:
    """Multiply tiles, (tiles, channels, reach), by the band, into (tiles, channels, outputs)."""
    tiles, outputs = run
    with np.errstate(invalid="ignore"):
        np.matmul(tiles, band, out=outputs)
    if not np.isfinite(outputs).all():
        _multiply_finite(tiles, outputs, band, ratio, n_taps)


def _multiply_finite(tiles: Array, outputs: Array, band: Array, ratio: int, n_taps: int) -> None:
    """As `_multiply`, but a sample that is not finite reaches only the outputs whose taps cover it."""
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
    unit = 0 if order == "F" else 1
    return samples if samples.strides[unit] == samples.itemsize else np.asarray(samples, order=order)
