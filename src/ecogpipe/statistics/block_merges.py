"""From numbers of blocks and pieces to those of a recording and of its stretches: merged in order, compiled.

Means and deviations are merged by the formulas of Chan, Golub and LeVeque (1979), so that a large offset costs no
precision.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import boolean, float64, int64, types

from ecogpipe.runtime.compiled import compiled, inlined
from ecogpipe.statistics.block_numbers import RAIL_RUN, TABLES, as_blocks, as_pieces
from ecogpipe.statistics.stretches import Stretches

Floats = npt.NDArray[np.float64]


class Totals(NamedTuple):
    """Numbers of all blocks so far, each (channels,) in float64, counts too.

    Attributes
    ----------
    n, mean, squares
        Finite samples, their mean, their squared deviations from it.
    time, times, products
        Of the means of the blocks over time: the mean time, in frames, squared deviations from it, and products of both
        deviations.
    n_steps, step_squares, n_flat, n_stuck
        As in `Blocks`.
    low, n_low, low_run, high, n_high, high_run
        The least and the largest sample; samples in long runs there; the length of the run that the last block ends
        with.
    """

    n: Floats
    mean: Floats
    squares: Floats
    time: Floats
    times: Floats
    products: Floats
    n_steps: Floats
    step_squares: Floats
    n_flat: Floats
    n_stuck: Floats
    low: Floats
    n_low: Floats
    low_run: Floats
    high: Floats
    n_high: Floats
    high_run: Floats


@inlined
def _as_totals(table):  # type: ignore[no-untyped-def]
    return Totals(
        table[0], table[1], table[2], table[3], table[4], table[5], table[6], table[7],
        table[8], table[9], table[10], table[11], table[12], table[13], table[14], table[15]
    )  # fmt: skip


@inlined
def _as_stretches(table):  # type: ignore[no-untyped-def]
    return Stretches(table[0], table[1], table[2], table[3], table[4])


def _merge_blocks(total_table: Floats, block_table: Floats, lengths: npt.NDArray[np.int64], first_frame: int) -> None:
    totals, blocks = _as_totals(total_table), as_blocks(block_table)
    start = float(first_frame)
    for block in range(len(lengths)):
        middle = start + lengths[block] / 2
        for c in range(len(totals.n)):
            _merge_moments(totals, blocks, block, c, middle)
            totals.n_steps[c] += blocks.n_steps[block, c]
            totals.step_squares[c] += blocks.step_squares[block, c]
            totals.n_flat[c] += blocks.n_flat[block, c]
            totals.n_stuck[c] += blocks.n_stuck[block, c]
            if totals.low[c] >= blocks.low[block, c]:
                _join_runs(
                    totals.low, totals.n_low, totals.low_run, blocks.low, blocks.n_low, blocks.low_lead,
                    blocks.low_trail, block, c, lengths[block],
                )  # fmt: skip
            else:
                totals.low_run[c] = 0.0
            if totals.high[c] <= blocks.high[block, c]:
                _join_runs(
                    totals.high, totals.n_high, totals.high_run, blocks.high, blocks.n_high, blocks.high_lead,
                    blocks.high_trail, block, c, lengths[block],
                )  # fmt: skip
            else:
                totals.high_run[c] = 0.0
        start += lengths[block]


@inlined
def _merge_moments(totals, blocks, block, c, middle):  # type: ignore[no-untyped-def]
    n, before = blocks.n[block, c], totals.n[c]
    if n == 0:
        return
    share = n / (before + n)
    higher, later = blocks.mean[block, c] - totals.mean[c], middle - totals.time[c]
    totals.squares[c] += blocks.squares[block, c] + higher * higher * share * before
    totals.times[c] += later * later * share * before
    totals.products[c] += later * higher * share * before
    totals.mean[c] += higher * share
    totals.time[c] += later * share
    totals.n[c] = before + n


@inlined
def _join_runs(extreme, count, run, extremes, counts, leads, trails, block, c, length):  # type: ignore[no-untyped-def]
    """Merge the runs at an extreme that a block goes beyond, or reaches; a run may go on from the block before."""
    lead, trail = leads[block, c], trails[block, c]
    if extreme[c] != extremes[block, c]:
        extreme[c], count[c], run[c] = extremes[block, c], counts[block, c], trail
        return
    joined = run[c] + lead
    count[c] += counts[block, c]
    if joined >= RAIL_RUN:
        count[c] += joined - (run[c] if run[c] >= RAIL_RUN else 0.0) - (lead if lead >= RAIL_RUN else 0.0)
    run[c] = joined if lead == length else trail


merge_blocks = compiled(types.void(float64[:, ::1], TABLES, int64[::1], int64))(_merge_blocks)
"""Merge consecutive blocks into the totals: ``merge_blocks(total_table, block_table, lengths, first_frame)``.

Parameters
----------
total_table
    `Totals` of all blocks before, (numbers, channels).
block_table
    `Blocks`, (numbers, blocks, channels).
lengths
    Frames of each.
first_frame
    The frame that the first of them begins with.
"""


def _merge_pieces(
    piece_table: Floats,
    centers: Floats,
    block_of: npt.NDArray[np.int64],
    ends_sum: npt.NDArray[np.bool_],
    ends_stretch: npt.NDArray[np.bool_],
    open_sum: Floats,
    open_table: Floats,
    sums: Floats,
    stretch_table: Floats,
) -> None:
    pieces, open_stretch, stretches = as_pieces(piece_table), _as_stretches(open_table), _as_stretches(stretch_table)
    n_sums, n_stretches = 0, 0
    for piece in range(len(block_of)):
        for c in range(len(open_sum)):
            open_sum[c] += pieces.total[piece, c]
            _add_to_stretch(pieces, piece, centers[block_of[piece], c], open_stretch, c)
        if ends_sum[piece]:
            for c in range(len(open_sum)):
                sums[n_sums, c], open_sum[c] = open_sum[c], 0.0
            n_sums += 1
        if ends_stretch[piece]:
            for c in range(len(open_sum)):
                _end_stretch(open_stretch, stretches, n_stretches, c)
            n_stretches += 1


@inlined
def _add_to_stretch(pieces, piece, center, stretch, c):  # type: ignore[no-untyped-def]
    n, before = pieces.n[piece, c], stretch.n[0, c]
    if n == 0:
        return
    rest = pieces.deviations[piece, c]
    mean, share = center + rest / n, n / (before + n)
    difference = mean - stretch.mean[0, c]
    own = pieces.squares[piece, c] - rest * (rest / n)
    stretch.squares[0, c] += (own if own > 0.0 else 0.0) + difference * difference * share * before
    stretch.mean[0, c] += difference * share
    stretch.n[0, c] = before + n
    stretch.low[0, c] = min(stretch.low[0, c], pieces.low[piece, c])
    stretch.high[0, c] = max(stretch.high[0, c], pieces.high[piece, c])


@inlined
def _end_stretch(stretch, stretches, number, c):  # type: ignore[no-untyped-def]
    stretches.n[number, c], stretch.n[0, c] = stretch.n[0, c], 0.0
    stretches.mean[number, c], stretch.mean[0, c] = stretch.mean[0, c], 0.0
    stretches.squares[number, c], stretch.squares[0, c] = stretch.squares[0, c], 0.0
    stretches.low[number, c], stretch.low[0, c] = stretch.low[0, c], np.inf
    stretches.high[number, c], stretch.high[0, c] = stretch.high[0, c], -np.inf


merge_pieces = compiled(
    types.void(
        TABLES, float64[:, ::1], int64[::1], boolean[::1], boolean[::1], float64[::1], TABLES, float64[:, ::1], TABLES
    )
)(_merge_pieces)
"""Merge consecutive pieces into sums and into stretches.

``merge_pieces(piece_table, centers, block_of, ends_sum, ends_stretch, open_sum, open_table, sums, stretch_table)``

Parameters
----------
piece_table
    `Pieces`, (numbers, pieces, channels).
centers, block_of
    Those of the blocks, (blocks, channels), and the block of each piece.
ends_sum, ends_stretch
    Whether a sum, and whether a stretch ends with a piece.
open_sum, open_table
    What has not ended, kept from call to call: (channels,), and `Stretches` of one, (numbers, 1, channels).
sums, stretch_table
    Where the sums, (sums, channels), and the stretches go that have ended.
"""
