"""Numbers of every channel within one block of frames, compiled: all of them while the block is near the core.

A block is (frames, channels). It is cut into pieces, at the borders of whatever is summed up over stretches of another
length. Channels go side by side, and every sum runs from the first frame to the last, so that bits depend neither on
the processor nor on what else is in the block.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import boolean, float64, int64, types

from ecogpipe.runtime.compiled import compiled, inlined

Floats = npt.NDArray[np.float64]

RAIL_RUN = 3
"""Equal samples in a row, at a channel's extreme, that count as railed."""

N_WAVES = 4
"""Waves that a block is multiplied with."""

_TILE, _STRIP = 128, 32
"""Channels, and frames of them, that go through all loops before the next ones: a strip stays in the first cache."""


class Blocks(NamedTuple):
    """Numbers of consecutive blocks, each (blocks, channels) in float64, counts too.

    Samples that are NaN or infinite are left out.

    Attributes
    ----------
    n, mean, squares
        Samples, their mean, and their squared deviations from it.
    center
        The mean as it is without the correction for its own rounding: deviations of pieces, and products, are from it.
    n_steps, step_squares, n_flat
        Differences of neighbouring samples (the first one reaches into the block before), their squares, and how many
        of them are 0.
    n_stuck
        Samples of the block where none of them differs from another, 0 elsewhere.
    low, high
        Least and largest sample.
    n_low, low_lead, low_trail
        Samples in runs of at least `RAIL_RUN` at the least one; the length of such a run, however short, that the block
        begins with, and that it ends with.
    n_high, high_lead, high_trail
        The same at the largest one.
    """

    n: Floats
    mean: Floats
    squares: Floats
    center: Floats
    n_steps: Floats
    step_squares: Floats
    n_flat: Floats
    n_stuck: Floats
    low: Floats
    high: Floats
    n_low: Floats
    low_lead: Floats
    low_trail: Floats
    n_high: Floats
    high_lead: Floats
    high_trail: Floats


class Pieces(NamedTuple):
    """Numbers of consecutive pieces, each (pieces, channels) in float64.

    Attributes
    ----------
    total
        Sum of all samples, not finite where one is not.
    n
        Samples that are finite; what follows is of those.
    deviations, squares
        Sum of the deviations from the center of the block, and of their squares.
    low, high
        Least and largest sample.
    """

    total: Floats
    n: Floats
    deviations: Floats
    squares: Floats
    low: Floats
    high: Floats


TABLES = float64[:, :, ::1]
"""Type of tables, (numbers, blocks or pieces, channels): what takes one array is called faster than what takes many."""


@inlined
def as_blocks(table):  # type: ignore[no-untyped-def]
    """Return the numbers of a table by their names."""
    return Blocks(
        table[0], table[1], table[2], table[3], table[4], table[5], table[6], table[7],
        table[8], table[9], table[10], table[11], table[12], table[13], table[14], table[15]
    )  # fmt: skip


@inlined
def as_pieces(table):  # type: ignore[no-untyped-def]
    """Return the numbers of a table by their names."""
    return Pieces(table[0], table[1], table[2], table[3], table[4], table[5])


def _measure_block(
    values: Floats,
    before: Floats,
    has_before: bool,
    waves: Floats,
    cuts: npt.NDArray[np.int64],
    block_table: Floats,
    block: int,
    products: Floats,
    piece_table: Floats,
    first_piece: int,
) -> None:
    blocks, pieces = as_blocks(block_table), as_pieces(piece_table)
    n_channels = values.shape[1]
    for first in range(0, n_channels, _TILE):
        stop = min(first + _TILE, n_channels)
        _measure_tile(
            values, before, has_before, waves, cuts, blocks, block, products, pieces, first_piece, first, stop
        )
    for channel in range(n_channels):
        is_finite = np.isfinite(blocks.center[block, channel]) and (not has_before or np.isfinite(before[channel]))
        if is_finite:
            _measure_runs(values, channel, blocks.low, blocks.n_low, blocks.low_lead, blocks.low_trail, block)
            _measure_runs(values, channel, blocks.high, blocks.n_high, blocks.high_lead, blocks.high_trail, block)
        else:
            _measure_with_gaps(
                values, before, has_before, waves, cuts, blocks, block, products, pieces, first_piece, channel
            )


@inlined
def _channels(first, stop):  # type: ignore[no-untyped-def]
    # Unsigned: for others, it would be asked each time whether they count from the end, and no loop be vectorized.
    return range(np.uintp(first), np.uintp(stop))


@inlined
def _measure_tile(values, before, has_before, waves, cuts, blocks, block, products, pieces, first_piece, first, stop):  # type: ignore[no-untyped-def]
    """Measure channels all of whose samples are finite; the center of others comes out as not finite."""
    n_frames, n_pieces = len(values), len(cuts) - 1
    center, low, high = blocks.center[block], blocks.low[block], blocks.high[block]
    for c in _channels(first, stop):
        center[c], low[c], high[c] = 0.0, np.inf, -np.inf
    _begin_steps(values, before, has_before, blocks, block, first, stop)
    for number in range(n_pieces):
        total, least, largest = (
            pieces.total[first_piece + number], pieces.low[first_piece + number], pieces.high[first_piece + number]
        )  # fmt: skip
        for c in _channels(first, stop):
            total[c], least[c], largest[c] = 0.0, np.inf, -np.inf
        for start in range(cuts[number], cuts[number + 1], _STRIP):
            end = min(start + _STRIP, cuts[number + 1])
            _add_totals(values, start, end, first, stop, total)
            _widen_extremes(values, start, end, first, stop, least, largest)
            _add_steps(values, max(1, start), end, first, stop, blocks.step_squares[block], blocks.n_flat[block])
        for c in _channels(first, stop):
            center[c] += total[c]
            low[c] = min(low[c], least[c])
            high[c] = max(high[c], largest[c])
    _end_steps(values, before, has_before, blocks, block, first, stop)
    for c in _channels(first, stop):
        center[c] /= n_frames
    _measure_deviations(values, waves, cuts, blocks, block, products, pieces, first_piece, first, stop)


@inlined
def _measure_deviations(values, waves, cuts, blocks, block, products, pieces, first_piece, first, stop):  # type: ignore[no-untyped-def]
    """Measure all that goes by the center or the extremes of the block."""
    n_frames, center, low, high = len(values), blocks.center[block], blocks.low[block], blocks.high[block]
    squares, rest, n_low, n_high = blocks.squares[block], blocks.n[block], blocks.n_low[block], blocks.n_high[block]
    for c in _channels(first, stop):
        squares[c], rest[c], n_low[c], n_high[c] = 0.0, 0.0, 0.0, 0.0
        for wave in range(N_WAVES):
            products[block, wave, c] = 0.0
    for number in range(len(cuts) - 1):
        piece = first_piece + number
        for c in _channels(first, stop):
            pieces.n[piece, c] = cuts[number + 1] - cuts[number]
            pieces.deviations[piece, c], pieces.squares[piece, c] = 0.0, 0.0
        for start in range(cuts[number], cuts[number + 1], _STRIP):
            end = min(start + _STRIP, cuts[number + 1])
            _add_deviations(values, center, start, end, first, stop, pieces.deviations[piece], pieces.squares[piece])
            _count_extremes(values, low, high, start, end, first, stop, n_low, n_high)
            _add_products(
                values, center, waves, start, end, first, stop,
                products[block, 0], products[block, 1], products[block, 2], products[block, 3],
            )  # fmt: skip
        for c in _channels(first, stop):
            rest[c] += pieces.deviations[piece, c]
            squares[c] += pieces.squares[piece, c]
    for c in _channels(first, stop):
        blocks.mean[block, c] = center[c] + rest[c] / n_frames
        squares[c] -= rest[c] * (rest[c] / n_frames)
        rest[c] = n_frames


@inlined
def _add_totals(values, start, end, first, stop, total):  # type: ignore[no-untyped-def]
    t = start
    while t + 4 <= end:
        for c in _channels(first, stop):
            total[c] = (((total[c] + values[t, c]) + values[t + 1, c]) + values[t + 2, c]) + values[t + 3, c]
        t += 4
    while t < end:
        for c in _channels(first, stop):
            total[c] += values[t, c]
        t += 1


@inlined
def _widen_extremes(values, start, end, first, stop, low, high):  # type: ignore[no-untyped-def]
    t = start
    while t + 4 <= end:
        for c in _channels(first, stop):
            v0, v1, v2, v3 = values[t, c], values[t + 1, c], values[t + 2, c], values[t + 3, c]
            least, largest = low[c], high[c]
            least = v0 if v0 < least else least
            least = v1 if v1 < least else least
            least = v2 if v2 < least else least
            low[c] = v3 if v3 < least else least
            largest = v0 if v0 > largest else largest
            largest = v1 if v1 > largest else largest
            largest = v2 if v2 > largest else largest
            high[c] = v3 if v3 > largest else largest
        t += 4
    while t < end:
        for c in _channels(first, stop):
            low[c] = values[t, c] if values[t, c] < low[c] else low[c]
            high[c] = values[t, c] if values[t, c] > high[c] else high[c]
        t += 1


@inlined
def _add_deviations(values, center, start, end, first, stop, deviations, squares):  # type: ignore[no-untyped-def]
    t = start
    while t + 4 <= end:
        for c in _channels(first, stop):
            m = center[c]
            d0, d1, d2, d3 = values[t, c] - m, values[t + 1, c] - m, values[t + 2, c] - m, values[t + 3, c] - m
            deviations[c] = (((deviations[c] + d0) + d1) + d2) + d3
            squares[c] = (((squares[c] + d0 * d0) + d1 * d1) + d2 * d2) + d3 * d3
        t += 4
    while t < end:
        for c in _channels(first, stop):
            deviation = values[t, c] - center[c]
            deviations[c] += deviation
            squares[c] += deviation * deviation
        t += 1


@inlined
def _count_extremes(values, low, high, start, end, first, stop, n_low, n_high):  # type: ignore[no-untyped-def]
    """Count the samples that are the least or the largest, for `_measure_runs`."""
    t = start
    while t + 4 <= end:
        for c in _channels(first, stop):
            v0, v1, v2, v3 = values[t, c], values[t + 1, c], values[t + 2, c], values[t + 3, c]
            least, largest = low[c], high[c]
            n_low[c] += (_one_if(v0 == least) + _one_if(v1 == least)) + (_one_if(v2 == least) + _one_if(v3 == least))
            n_high[c] += (_one_if(v0 == largest) + _one_if(v1 == largest)) + (
                _one_if(v2 == largest) + _one_if(v3 == largest)
            )
        t += 4
    while t < end:
        for c in _channels(first, stop):
            n_low[c] += _one_if(values[t, c] == low[c])
            n_high[c] += _one_if(values[t, c] == high[c])
        t += 1


@inlined
def _add_products(values, center, waves, start, end, first, stop, product0, product1, product2, product3):  # type: ignore[no-untyped-def]
    t = start
    while t + 2 <= end:
        wave0, wave1, wave2, wave3 = waves[0, t], waves[1, t], waves[2, t], waves[3, t]
        next0, next1, next2, next3 = waves[0, t + 1], waves[1, t + 1], waves[2, t + 1], waves[3, t + 1]
        for c in _channels(first, stop):
            d0, d1 = values[t, c] - center[c], values[t + 1, c] - center[c]
            product0[c] = (product0[c] + wave0 * d0) + next0 * d1
            product1[c] = (product1[c] + wave1 * d0) + next1 * d1
            product2[c] = (product2[c] + wave2 * d0) + next2 * d1
            product3[c] = (product3[c] + wave3 * d0) + next3 * d1
        t += 2
    if t < end:
        for c in _channels(first, stop):
            deviation = values[t, c] - center[c]
            product0[c] += waves[0, t] * deviation
            product1[c] += waves[1, t] * deviation
            product2[c] += waves[2, t] * deviation
            product3[c] += waves[3, t] * deviation


@inlined
def _one_if(condition):  # type: ignore[no-untyped-def]
    return 1.0 if condition else 0.0


@inlined
def _begin_steps(values, before, has_before, blocks, block, first, stop):  # type: ignore[no-untyped-def]
    """Take the step into the block."""
    for c in _channels(first, stop):
        step = values[0, c] - before[c]
        blocks.step_squares[block, c] = step * step if has_before else 0.0
        blocks.n_flat[block, c] = 0.0


@inlined
def _add_steps(values, start, end, first, stop, squares, n_flat):  # type: ignore[no-untyped-def]
    t = start
    while t + 4 <= end:
        for c in _channels(first, stop):
            v0, v1, v2, v3 = values[t, c], values[t + 1, c], values[t + 2, c], values[t + 3, c]
            d0, d1, d2, d3 = v0 - values[t - 1, c], v1 - v0, v2 - v1, v3 - v2
            squares[c] = (((squares[c] + d0 * d0) + d1 * d1) + d2 * d2) + d3 * d3
            n_flat[c] += (_one_if(d0 == 0.0) + _one_if(d1 == 0.0)) + (_one_if(d2 == 0.0) + _one_if(d3 == 0.0))
        t += 4
    while t < end:
        for c in _channels(first, stop):
            step = values[t, c] - values[t - 1, c]
            squares[c] += step * step
            n_flat[c] += _one_if(step == 0.0)
        t += 1


@inlined
def _end_steps(values, before, has_before, blocks, block, first, stop):  # type: ignore[no-untyped-def]
    """Count the steps, and the step into the block with them."""
    n_frames, n_flat = len(values), blocks.n_flat[block]
    for c in _channels(first, stop):
        blocks.n_stuck[block, c] = n_frames if n_frames > 1 and n_flat[c] == n_frames - 1 else 0.0
        blocks.n_steps[block, c] = n_frames if has_before else n_frames - 1
        n_flat[c] += _one_if(has_before and values[0, c] == before[c])


@inlined
def _measure_runs(values, channel, extreme, n_railed, lead, trail, block):  # type: ignore[no-untyped-def]
    """Turn the count of samples at an extreme into that of samples in long runs."""
    n_frames, there = len(values), extreme[block, channel]
    lead[block, channel], trail[block, channel] = 0.0, 0.0
    if n_railed[block, channel] == n_frames:
        lead[block, channel], trail[block, channel] = n_frames, n_frames
        n_railed[block, channel] = n_frames if n_frames >= RAIL_RUN else 0.0
        return
    is_at_end = values[0, channel] == there or values[n_frames - 1, channel] == there
    if n_railed[block, channel] < RAIL_RUN and not is_at_end:
        n_railed[block, channel] = 0.0
        return
    run, railed, is_lead = 0, 0, True
    for t in range(n_frames):
        if values[t, channel] == there:
            run += 1
            continue
        if is_lead:
            lead[block, channel] = run
            is_lead = False
        if run >= RAIL_RUN:
            railed += run
        run = 0
    if is_lead:
        lead[block, channel] = run
    if run >= RAIL_RUN:
        railed += run
    trail[block, channel] = run
    n_railed[block, channel] = railed


@inlined
def _measure_with_gaps(  # type: ignore[no-untyped-def]
    values, before, has_before, waves, cuts, blocks, block, products, pieces, first_piece, channel
):
    """Measure a channel of which not all samples are finite, or not the one before the block."""
    n_frames, n, total, low, high = len(values), 0, 0.0, np.inf, -np.inf
    for t in range(n_frames):
        value = values[t, channel]
        if np.isfinite(value):
            n += 1
            total += value
            low, high = min(low, value), max(high, value)
    center = total / n if n else 0.0
    rest, squares = 0.0, 0.0
    for number in range(len(cuts) - 1):
        piece = first_piece + number
        _measure_piece_with_gaps(values, center, cuts[number], cuts[number + 1], pieces, piece, channel)
        rest += pieces.deviations[piece, channel]
        squares += pieces.squares[piece, channel]
    for wave in range(N_WAVES):
        product = 0.0
        for t in range(n_frames):
            if np.isfinite(values[t, channel]):
                product += waves[wave, t] * (values[t, channel] - center)
        products[block, wave, channel] = product
    blocks.n[block, channel], blocks.center[block, channel] = n, center
    blocks.mean[block, channel] = center + rest / n if n else 0.0
    blocks.squares[block, channel] = squares - rest * (rest / n) if n else 0.0
    blocks.low[block, channel], blocks.high[block, channel] = low, high
    _measure_steps_with_gaps(values, before, has_before, blocks, block, channel)
    n_low, n_high = 0, 0
    for t in range(n_frames):
        n_low += values[t, channel] == low
        n_high += values[t, channel] == high
    blocks.n_low[block, channel], blocks.n_high[block, channel] = n_low, n_high
    _measure_runs(values, channel, blocks.low, blocks.n_low, blocks.low_lead, blocks.low_trail, block)
    _measure_runs(values, channel, blocks.high, blocks.n_high, blocks.high_lead, blocks.high_trail, block)
    if n == 0:
        for numbers in (blocks.n_low, blocks.n_high, blocks.low_lead, blocks.low_trail):
            numbers[block, channel] = 0.0
        blocks.high_lead[block, channel], blocks.high_trail[block, channel] = 0.0, 0.0


@inlined
def _measure_piece_with_gaps(values, center, start, end, pieces, piece, channel):  # type: ignore[no-untyped-def]
    n, total, deviations, squares, low, high = 0, 0.0, 0.0, 0.0, np.inf, -np.inf
    for t in range(start, end):
        value = values[t, channel]
        total += value
        if np.isfinite(value):
            n += 1
            deviations += value - center
            squares += (value - center) * (value - center)
            low, high = min(low, value), max(high, value)
    pieces.n[piece, channel], pieces.total[piece, channel] = n, total
    pieces.deviations[piece, channel], pieces.squares[piece, channel] = deviations, squares
    pieces.low[piece, channel], pieces.high[piece, channel] = low, high


@inlined
def _measure_steps_with_gaps(values, before, has_before, blocks, block, channel):  # type: ignore[no-untyped-def]
    n, n_flat, n_flat_within, squares = 0, 0, 0, 0.0
    for t in range(0 if has_before else 1, len(values)):
        step = values[t, channel] - (values[t - 1, channel] if t else before[channel])
        if np.isfinite(step):
            n += 1
            squares += step * step
            n_flat += step == 0.0
            n_flat_within += t > 0 and step == 0.0
    blocks.n_steps[block, channel], blocks.step_squares[block, channel] = n, squares
    blocks.n_flat[block, channel] = n_flat
    is_stuck = len(values) > 1 and n_flat_within == len(values) - 1
    blocks.n_stuck[block, channel] = len(values) if is_stuck else 0.0


measure_block = compiled(
    types.void(
        float64[:, ::1], float64[::1], boolean, float64[:, ::1], int64[::1], TABLES, int64, TABLES, TABLES, int64
    )
)(_measure_block)
"""Measure a block, and write the numbers to its places.

Parameters
----------
values
    The block, (frames, channels).
before, has_before
    The frame before it, and whether there is one.
waves
    (`N_WAVES`, frames): the block, less its center, is multiplied with them.
cuts
    Borders of the pieces of the block, from 0 to its frames.
block_table, block
    Where the numbers of the block go: those of `Blocks`, (numbers, blocks, channels).
products
    (blocks, `N_WAVES`, channels): where the products go.
piece_table, first_piece
    Where the numbers of its pieces go, one after the other: those of `Pieces`, (numbers, pieces, channels).
"""
