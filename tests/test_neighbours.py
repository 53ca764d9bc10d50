"""Correlation with the neighbours is Pearson's, over all samples, however they arrive."""

import numpy as np
import pytest

from ecogpipe.neighbours import mean_over_neighbours, neighbour_pairs, pair_correlations

GRID = np.divmod(np.arange(6), 3)
PAIRS = {(0, 1), (1, 2), (3, 4), (4, 5), (0, 3), (1, 4), (2, 5)}


def test_pairs_are_the_sites_next_to_each_other_in_rows_and_columns():
    assert set(map(tuple, neighbour_pairs(*GRID).tolist())) == PAIRS
    order = np.array([5, 0, 3, 1, 4, 2])
    pairs = neighbour_pairs(GRID[0][order], GRID[1][order])
    assert {tuple(sorted(order[pair])) for pair in pairs} == PAIRS
    assert neighbour_pairs(np.array([0, 5]), np.array([0, 5])).shape == (0, 2)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_correlations_are_those_of_numpy_over_all_pieces(offset):
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(6, 900)).cumsum(axis=1) + offset
    pairs = neighbour_pairs(*GRID)
    expected = np.corrcoef(samples)[pairs[:, 0], pairs[:, 1]]
    found = pair_correlations(np.array_split(samples, 7, axis=1), pairs)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_flat_or_broken_site_has_no_correlation_and_leaves_the_others_theirs():
    samples = np.random.default_rng(0).normal(size=(6, 100))
    samples[0], samples[5, 3] = 7.0, np.nan
    pairs = neighbour_pairs(*GRID)
    found = dict(zip(map(tuple, pairs.tolist()), pair_correlations([samples], pairs), strict=True))
    assert {pair for pair, value in found.items() if np.isnan(value)} == {(0, 1), (0, 3), (2, 5), (4, 5)}
    assert np.isnan(pair_correlations([], pairs)).all()


def test_the_mean_is_over_neighbours_that_are_kept():
    pairs = neighbour_pairs(np.zeros(4, int), np.arange(4))
    keep = np.array([True, True, False, True])
    means = mean_over_neighbours(pairs, np.array([0.5, 0.25, 0.75]), keep)
    np.testing.assert_array_equal(means, [0.5, 0.5, 0.5, np.nan])
