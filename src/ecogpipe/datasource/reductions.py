"""Reductions that stream over a source block by block, with NumPy's meaning of axis, dtype, out and keepdims."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ecogpipe.datasource.source import ElectrodeDataSource

Array: TypeAlias = npt.NDArray[Any]


def extreme(source: "ElectrodeDataSource", ufunc: np.ufunc, axis: int | None, out: Array | None, keepdims: bool) -> Any:
    """Reduce by ``np.minimum`` or ``np.maximum``."""
    _check_not_empty(source, axis)
    return _reduce(source, axis, source.dtype, out, keepdims, lambda block, ax: ufunc.reduce(block, ax), ufunc)


def total(
    source: "ElectrodeDataSource", axis: int | None, dtype: npt.DTypeLike | None, out: Array | None, keepdims: bool
) -> Any:
    """Sum, accumulated in float64 (integers in their widest type)."""
    result = np.dtype(dtype) if dtype is not None else np.sum(np.empty(0, source.dtype)).dtype
    wide = _accumulator(result)
    return _reduce(source, axis, result, out, keepdims, lambda block, ax: np.sum(block, ax, dtype=wide), np.add)


def mean(
    source: "ElectrodeDataSource", axis: int | None, dtype: npt.DTypeLike | None, out: Array | None, keepdims: bool
) -> Any:
    """Mean, accumulated in float64."""
    _, average, _ = _moments(source, axis, squares=False)
    return _finish(average, _floating(source, dtype), axis, out, keepdims)


def variance(
    source: "ElectrodeDataSource",
    axis: int | None,
    dtype: npt.DTypeLike | None,
    out: Array | None,
    ddof: int,
    keepdims: bool,
) -> Any:
    """Return the variance by Chan's pairwise update of the sum of squared deviations, in float64.

    References
    ----------
    Chan, Golub, LeVeque (1983), Algorithms for computing the sample variance, The American Statistician 37(3).
    """
    count, _, deviations = _moments(source, axis, squares=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _finish(deviations / np.float64(max(count - ddof, 0)), _floating(source, dtype), axis, out, keepdims)


def deviation(
    source: "ElectrodeDataSource",
    axis: int | None,
    dtype: npt.DTypeLike | None,
    out: Array | None,
    ddof: int,
    keepdims: bool,
) -> Any:
    """Return the standard deviation: the root of the variance."""
    spread = np.sqrt(variance(source, axis, np.float64, None, ddof, keepdims=False))
    return _finish(spread, _floating(source, dtype), axis, out, keepdims)


def _reduce(
    source: "ElectrodeDataSource",
    axis: int | None,
    dtype: np.dtype[Any],
    out: Array | None,
    keepdims: bool,
    within: Callable[[Array, int | None], Any],
    across: np.ufunc,
) -> Any:
    axis = _checked_axis(axis)
    results = (within(block, axis) for block in _blocks(source))
    if axis == 0:
        parts = list(results)
        value = np.concatenate(parts) if parts else within(np.empty(source.shape, source.dtype), 0)
    else:
        value = next(results, None)
        if value is None:
            value = within(np.empty(source.shape, source.dtype), axis)
        for result in results:
            value = across(value, result)
    return _finish(value, dtype, axis, out, keepdims)


def _moments(source: "ElectrodeDataSource", axis: int | None, squares: bool) -> tuple[int, Any, Any]:
    """Return count, mean and sum of squared deviations over an axis, or over all."""
    axis = _checked_axis(axis)
    if axis == 0:
        parts = [_block_moments(block, 0, squares) for block in _blocks(source)]
        if not parts:
            return len(source), np.empty(0), np.empty(0)
        return len(source), np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts])
    n_kept = len(source) if axis == 1 else 1
    count, average, deviations = 0, np.zeros(n_kept), np.zeros(n_kept)
    for block in _blocks(source):
        n, block_average, block_deviations = _block_moments(block, axis, squares)
        merged = count + n
        delta = block_average - average
        average = average + delta * (n / merged)
        deviations = deviations + block_deviations + delta**2 * (count * n / merged)
        count = merged
    if count == 0:
        average = np.full(n_kept, np.nan)
        deviations = np.full(n_kept, np.nan)
    return count, (average if axis == 1 else average[0]), (deviations if axis == 1 else deviations[0])


def _block_moments(block: Array, axis: int | None, squares: bool) -> tuple[int, Any, Any]:
    n = block.size if axis is None else block.shape[axis]
    if n == 0:
        empty = np.full(block.shape[1 - axis] if axis is not None else 1, np.nan)
        return 0, empty, empty
    average = np.mean(block, axis, dtype=np.float64, keepdims=True)
    deviations = np.sum((block - average) ** 2, axis) if squares else np.zeros_like(np.squeeze(average, axis))
    return n, np.squeeze(average, axis), deviations


def _blocks(source: "ElectrodeDataSource") -> Iterator[Array]:
    """Return blocks that leave room for the float64 temporaries that are held beside them."""
    from ecogpipe.datasource.blocks import affordable

    n_channels = len(source)
    length = affordable(source.n_samples, lambda n: source.block_bytes(n_channels, n) + 16 * n_channels * n)
    return iter(source.iter_blocks(length)) if source.n_samples and n_channels else iter(())


def _finish(value: Any, dtype: np.dtype[Any], axis: int | None, out: Array | None, keepdims: bool) -> Any:
    result = np.asarray(value).astype(dtype)
    if keepdims:
        result = result.reshape(1, 1) if axis is None else np.expand_dims(result, _checked_axis(axis) or 0)
    if out is not None:
        out[...] = result
        return out
    return result if result.ndim else result[()]


def _checked_axis(axis: int | None) -> int | None:
    if axis is None:
        return None
    if not -2 <= axis < 2:
        raise ValueError(f"A source has axes 0 (channels) and 1 (time), not {axis}.")
    return axis % 2


def _check_not_empty(source: "ElectrodeDataSource", axis: int | None) -> None:
    reduced = source.shape if axis is None else (source.shape[axis],)
    if 0 in reduced:
        raise ValueError(f"A source of shape {source.shape} has no smallest or largest value along axis {axis}.")


def _accumulator(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(np.float64) if dtype.kind == "f" and dtype.itemsize < 8 else dtype


def _floating(source: "ElectrodeDataSource", dtype: npt.DTypeLike | None) -> np.dtype[Any]:
    if dtype is not None:
        return np.dtype(dtype)
    return source.dtype if source.dtype.kind == "f" else np.dtype(np.float64)
