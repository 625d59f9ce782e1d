"""Whether two runs answer alike, from their counts."""

import numpy as np
import pytest

from persona_collapse.statistics.alike import apart


def drawn(rng, chances, ratings):
    return rng.multinomial(ratings, chances)


def test_a_cell_by_hand():
    """One cell, thirty times: counts 2, 0 against 1, 1 of two categories.

    p = (1, 0), q = (.5, .5): squared differences .25 + .25 = .5; noise of p 0, of q (.25 + .25) / (2 - 1) = .5; d = 0. With
    counts 2, 0 against 0, 2 d = 1 + 1 = 2 in each: 30 x 2 / sqrt(30 x 4) = sqrt(30).
    """
    one, other = np.tile([2, 0], (5, 6, 1)), np.tile([1, 1], (5, 6, 1))
    assert apart(one, other) == 0
    assert apart(one, one[..., ::-1]) == pytest.approx(np.sqrt(30))


def test_runs_that_answer_alike_lie_as_far_apart_as_chance_says():
    """400 pairs drawn from the same cells: mean 0, SD 1, none beyond 4."""
    rng = np.random.default_rng(1)
    chances = rng.dirichlet(np.full(6, 0.3), size=(10, 30))
    found = np.array([apart(drawn(rng, chances, 5), drawn(rng, chances, 5)) for _ in range(400)])
    assert abs(found.mean()) < 0.2 and abs(found.std() - 1) < 0.15 and found.max() < 4


def test_a_fine_tune_that_moves_a_tenth_of_the_answers_is_far_apart():
    rng = np.random.default_rng(2)
    chances = rng.dirichlet(np.full(6, 0.3), size=(20, 30))
    moved = 0.8 * chances + 0.2 * np.eye(6)[5]
    assert apart(drawn(rng, moved, 10), drawn(rng, chances, 10)) > 5


def test_order_and_side_change_nothing():
    rng = np.random.default_rng(3)
    one, other = (rng.integers(0, 4, size=(4, 30, 6)) for _ in range(2))
    order = rng.permutation(4)
    assert apart(one, other) == pytest.approx(apart(other, one), abs=1e-12)
    assert apart(one[order], other[order]) == pytest.approx(apart(one, other), abs=1e-12)


def test_steady_answers_of_both_are_alike_and_few_cells_say_nothing():
    steady = np.zeros((2, 30, 6), dtype=int)
    steady[..., 3] = 10
    assert apart(steady, steady) == 0
    assert np.isnan(apart(steady[:1, :29], steady[:1, :29]))
    single = steady // 10
    assert np.isnan(apart(single, single))
    # A run of more personas is compared on those that both have: here 30 cells.
    assert apart(steady, steady[:1]) == 0
