"""Numbers of every channel of a recording, and of each second of it, from windows that are measured in any threads.

Windows are measured side by side and merged in their order. Results do not depend on where windows begin and end: each
is cut into the blocks of `FRAMES` frames, counted from frame 0, that end in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ecogpipe.statistics.block_merges import Totals, merge_blocks, merge_pieces
from ecogpipe.statistics.block_numbers import N_WAVES, Blocks, Pieces, measure_block
from ecogpipe.statistics.channel_statistics import FRAMES, Floats, ratio
from ecogpipe.statistics.correlation import Correlation, window_length
from ecogpipe.statistics.line_noise import Mains
from ecogpipe.statistics.stretches import Stretches

HISTORY = FRAMES
"""Frames before a window that measuring it needs: a block may begin there, and its first step reaches one further."""

_PER_HOUR = 3600

_FLOAT64 = np.dtype(np.float64).itemsize

Samples = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]


def blocks_ending_in(samples: Samples, start: int, stop: int, n_samples: int) -> Iterator[tuple[Samples, Samples]]:
    """Yield the blocks that end in a window, and the frame before each, (frames, channels).

    Parameters
    ----------
    samples
        The window, (channels, time), after as many of the frames before it as there are, up to `HISTORY`.
    start, stop
        Its frames in the recording, [start, stop).
    n_samples
        Frames of the recording; its last block is shorter.
    """
    begin = stop - samples.shape[1]
    for first in range(start - start % FRAMES, stop, FRAMES):
        end = min(first + FRAMES, n_samples)
        if start < end <= stop:
            before = max(0, first - 1 - begin)
            yield samples[:, first - begin : end - begin].T, samples[:, before : first - begin].T


@dataclass(frozen=True)
class Measured:
    """Numbers of the blocks that end in a window.

    Attributes
    ----------
    first_frame, lengths
        Where the first block begins, and the frames of each.
    blocks, products
        `Blocks`, (numbers, blocks, channels), and products with the waves of the mains, (blocks, waves, channels).
    borders, block_of
        Where pieces begin, and where the last one ends; the block of each piece.
    pieces
        `Pieces`, (numbers, pieces, channels).
    """

    first_frame: int
    lengths: Ints
    blocks: Floats
    products: Floats
    borders: Ints
    block_of: Ints
    pieces: Floats


class RecordingNumbers:
    """Numbers of the channels of a recording.

    Means and deviations do not lose precision by a large offset. Samples that are NaN or infinite are counted, and left
    out of everything else.

    Parameters
    ----------
    n_channels, n_samples
        Size of the recording.
    rate
        Frames per second.
    n_compared
        Of the first so many channels, the `correlation` is found too.
    stretch_starts
        First frames of the stretches that have numbers of their own, ascending from 0.
    """

    def __init__(
        self,
        n_channels: int,
        n_samples: int,
        rate: Fraction,
        n_compared: int = 0,
        stretch_starts: npt.ArrayLike = (0,),
    ) -> None:
        self._n_channels, self._n_samples, self._rate = n_channels, n_samples, float(rate)
        self._stretch_ends: Ints = np.array([*np.asarray(stretch_starts)[1:], n_samples], np.int64)
        self._sum_length = window_length(self._rate)
        self._total_table: Floats = np.zeros((len(Totals._fields), n_channels))
        self._totals = Totals(*self._total_table)
        self._totals.low[:], self._totals.high[:] = np.inf, -np.inf
        self._mains = Mains(n_channels, self._rate, FRAMES)
        self._open_sum: Floats = np.zeros(n_channels)
        self._open_table: Floats = np.zeros((len(Stretches._fields), 1, n_channels))
        open_stretch = Stretches(*self._open_table)
        open_stretch.low[:], open_stretch.high[:] = np.inf, -np.inf
        self._n_compared = n_compared
        self.correlation = Correlation(n_compared)

    def measure(self, blocks: Iterator[tuple[Samples, Samples]], start: int, stop: int) -> Measured:
        """Measure the blocks that end in a window [start, stop); to be called in any thread.

        Parameters
        ----------
        blocks
            As `blocks_ending_in` yields them.
        """
        measured = self._empty(start, stop)
        firsts = np.searchsorted(measured.block_of, np.arange(len(measured.lengths) + 1))
        for number, (frames, before) in enumerate(blocks):
            values = np.ascontiguousarray(frames, np.float64)
            last = np.ascontiguousarray(before[-1] if len(before) else values[0], np.float64)
            first_frame = measured.first_frame + number * FRAMES
            measure_block(
                values,
                last,
                len(before) > 0,
                self._mains.waves(first_frame // FRAMES),
                measured.borders[firsts[number] : firsts[number + 1] + 1] - first_frame,
                measured.blocks,
                number,
                measured.products,
                measured.pieces,
                firsts[number],
            )
        return measured

    def merge(self, measured: Measured) -> Stretches:
        """Take what was measured of the next window; returns the numbers of the stretches that end in it."""
        merge_blocks(self._total_table, measured.blocks, measured.lengths, measured.first_frame)
        centers = measured.blocks[Blocks._fields.index("center")]
        for length, products, center in zip(measured.lengths, measured.products, centers, strict=True):
            if length == FRAMES:
                self._mains.take(products, center)
        ends = measured.borders[1:]
        ends_sum = ends % self._sum_length == 0
        ends_stretch = self._stretch_ends[np.searchsorted(self._stretch_ends, ends)] == ends
        sums = np.empty((np.count_nonzero(ends_sum), self._n_channels))
        stretches = np.empty((len(Stretches._fields), np.count_nonzero(ends_stretch), self._n_channels))
        merge_pieces(
            measured.pieces,
            centers,
            measured.block_of,
            ends_sum,
            ends_stretch,
            self._open_sum,
            self._open_table,
            sums,
            stretches,
        )
        self.correlation.update(sums[:, : self._n_compared])
        return Stretches(*stretches)

    def result(self) -> dict[str, Floats]:
        """Return the numbers of all windows, in raw units; NaN where a channel has no finite sample."""
        totals = self._totals
        none = totals.n == 0
        railed = totals.n_high + np.where(totals.low == totals.high, 0, totals.n_low)
        line50, line60 = np.where(none, np.nan, self._mains.result())
        return {
            "mean": np.where(none, np.nan, totals.mean),
            "std": np.sqrt(ratio(totals.squares, totals.n)),
            "min": np.where(none, np.nan, totals.low),
            "max": np.where(none, np.nan, totals.high),
            "drift": np.where(none, np.nan, ratio(totals.products, totals.times, empty=0.0) * self._rate * _PER_HOUR),
            "n_nonfinite": self._n_samples - totals.n,
            "flat_fraction": ratio(totals.n_flat, totals.n_steps),
            "stuck_fraction": np.where(none, np.nan, ratio(totals.n_stuck, self._n_samples)),
            "rail_fraction": ratio(railed, totals.n),
            "hf_rms": np.sqrt(ratio(totals.step_squares, totals.n_steps)),
            "line50_rms": line50,
            "line60_rms": line60,
        }

    def _empty(self, start: int, stop: int) -> Measured:
        """Return places for the numbers of the blocks that end in a window, and the borders that cut them."""
        first = start - start % FRAMES
        end = stop if stop == self._n_samples else max(first, stop - stop % FRAMES)
        block_borders = np.unique([*range(first, end, FRAMES), end])
        of_sums = np.arange(first - first % self._sum_length, end, self._sum_length)
        stretches = self._stretch_ends[slice(*np.searchsorted(self._stretch_ends, (first, end)))]
        borders = np.unique(np.concatenate([block_borders, of_sums[1:] if len(of_sums) else of_sums, stretches]))
        borders = borders[(borders >= first) & (borders <= end)]
        n_blocks, n_pieces = len(block_borders) - 1, len(borders) - 1
        return Measured(
            first,
            np.diff(block_borders),
            np.empty((len(Blocks._fields), n_blocks, self._n_channels)),
            np.empty((n_blocks, N_WAVES, self._n_channels)),
            borders,
            np.searchsorted(block_borders, borders[:-1], side="right") - 1,
            np.empty((len(Pieces._fields), n_pieces, self._n_channels)),
        )


def working_bytes(n_channels: int, item_bytes: int, rate: float, n_frames: int) -> int:
    """Return the bytes that measuring a window of so many frames takes beside its samples.

    That is a block in float64, and as it is in the file where it lies otherwise there, and the numbers of its blocks.
    """
    rows_of_block = len(Blocks._fields) + N_WAVES
    n_blocks = n_frames // FRAMES + 2
    n_pieces = 2 * n_blocks + 2 * (n_frames + FRAMES) // window_length(rate)
    numbers = (n_blocks * rows_of_block + n_pieces * (len(Pieces._fields) + 1)) * _FLOAT64
    return n_channels * (FRAMES * (item_bytes + _FLOAT64) + numbers)
