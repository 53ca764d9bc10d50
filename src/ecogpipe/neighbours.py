"""How alike the signals of neighbouring sites are: a site that is like none of its neighbours is suspect."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]


def neighbour_pairs(rows: Ints, columns: Ints) -> Ints:
    """Return the pairs of sites that are next to each other in a row or in a column, (pairs, 2), as positions.

    Examples
    --------
    >>> neighbour_pairs(np.array([0, 0, 1]), np.array([0, 1, 0])).tolist()
    [[0, 1], [0, 2]]
    """
    position_of = {place: position for position, place in enumerate(zip(rows.tolist(), columns.tolist(), strict=True))}
    pairs = [
        (position, position_of[other])
        for (row, column), position in position_of.items()
        for other in ((row, column + 1), (row + 1, column))
        if other in position_of
    ]
    return np.array(sorted(pairs), dtype=np.intp).reshape(-1, 2)


def pair_correlations(pieces: Iterable[Samples], pairs: Ints) -> Floats:
    """Return Pearson's correlation of each pair over all samples of some pieces, each (sites, time).

    Every site is counted from its mean in the first piece, so that an offset costs no precision. NaN where a sample
    of the pair is not finite, or one of the two does not change.
    """
    first, second = pairs.T
    n, start = 0, np.empty(0)
    total = squares = products = np.zeros(1)
    for piece in pieces:
        values = np.asarray(piece, np.float64)
        if n == 0:
            start = values.mean(axis=1, keepdims=True)
            total, squares, products = np.zeros(len(values)), np.zeros(len(values)), np.zeros(len(pairs))
        values = values - start
        n += values.shape[1]
        total = total + values.sum(axis=1)
        squares = squares + np.einsum("ij,ij->i", values, values)
        products = products + np.einsum("ij,ij->i", values[first], values[second])
    if n == 0:
        return np.full(len(pairs), np.nan)
    variances = squares - total**2 / n
    covariances = products - total[first] * total[second] / n
    both = variances[first] * variances[second]
    correlations: Floats = np.full(len(pairs), np.nan)
    np.divide(covariances, np.sqrt(both, where=both > 0, out=np.ones(len(pairs))), out=correlations, where=both > 0)
    return correlations


def mean_over_neighbours(pairs: Ints, correlations: Floats, keep: Bools) -> Floats:
    """Return the mean correlation of each site with those of its neighbours that are kept; NaN where there is none.

    Parameters
    ----------
    pairs, correlations : ndarray
        As `neighbour_pairs` and `pair_correlations` return them; a correlation of NaN is left out.
    keep : ndarray of bool
        The mask, one per site.
    """
    total, count = np.zeros(len(keep)), np.zeros(len(keep))
    for site, neighbour in (pairs.T, pairs.T[::-1]):
        counts = keep[neighbour] & np.isfinite(correlations)
        np.add.at(total, site[counts], correlations[counts])
        np.add.at(count, site[counts], 1)
    means: Floats = np.full(len(keep), np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means
