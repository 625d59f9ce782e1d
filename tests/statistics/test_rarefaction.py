"""Published estimators at fewer ratings a cell: worked by hand, by enumeration, and on the paper's ratings."""

from itertools import combinations
from statistics import stdev

import numpy as np
import pytest

from building import SCALE, counts_of, random_counts
from paper import needs_data, paper_counts
from persona_collapse.statistics import rarefaction
from persona_collapse.statistics.moments import Parts, cells
from persona_collapse.statistics.recommended_estimators import leave_one_out
from persona_collapse.study.scopes import scope_matrix

SIX = np.array([[1, 1, 0]] * 3 + [[1, 0, 1]] * 3) / [6, 3, 3]  # six items; all of them, the first three, the last three


def parts(counts):
    return Parts(counts, cells(counts, SCALE), SCALE)


def expected_sd(counts, n):
    return rarefaction.expected_sd(parts(counts), n)


def rarefied(counts, scope, n):
    return rarefaction.rarefied(parts(counts), scope, n)


def test_two_of_three_ratings_by_hand():
    # {1, 1, 3}: three pairs, SDs 0, sqrt 2, sqrt 2
    found = expected_sd(counts_of([[[1, 1, 3]]]), 2)
    assert found == pytest.approx(np.array([[2 * np.sqrt(2) / 3]]))


def test_it_is_the_mean_over_all_subsets():
    rng = np.random.default_rng(1)
    ratings = rng.integers(0, 6, size=(4, 3, 8)).tolist()
    found = expected_sd(counts_of(ratings), 5)
    expected = [[np.mean([stdev(some) for some in combinations(cell, 5)]) for cell in row] for row in ratings]
    assert found == pytest.approx(np.array(expected))


def test_fifteen_ratings_over_the_whole_scale():
    cell = [0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5]
    expected = np.mean([stdev(some) for some in combinations(cell, 3)])
    assert expected_sd(counts_of([[cell]]), 3) == pytest.approx(np.array([[expected]]))


def test_at_all_ratings_it_is_the_published_estimator():
    counts = random_counts(np.random.default_rng(2))
    found, run = rarefied(counts, SIX, 5), leave_one_out(counts, SCALE, SIX)
    assert found.within_sd == pytest.approx(run.of("within_sd"))
    assert found.susceptibility == pytest.approx(run.of("susceptibility_published"))
    assert found.robustness == pytest.approx(run.of("robustness_published"))


def test_without_a_persona_it_is_that_of_the_others():
    counts = random_counts(np.random.default_rng(3))
    found = rarefied(counts, SIX, 3)
    for p in (0, 11):
        without = rarefied(np.delete(counts, p, axis=0), SIX, 3)
        assert found.within_sd[1 + p] == pytest.approx(without.within_sd[0], rel=1e-12)
        assert found.susceptibility[1 + p] == pytest.approx(without.susceptibility[0], rel=1e-12)


def test_fewer_ratings_look_steadier_and_more_spread_out():
    counts = random_counts(np.random.default_rng(4), repetitions=10)
    few, some, many = (rarefied(counts, SIX, n) for n in (2, 5, 10))
    assert few.within_sd[0, 0] < some.within_sd[0, 0] < many.within_sd[0, 0]
    assert few.susceptibility[0, 0] > some.susceptibility[0, 0] > many.susceptibility[0, 0]


def test_a_cell_with_fewer_ratings_keeps_them_and_is_counted():
    found = rarefied(counts_of([[[1, 3]], [[2, 2, 2, 5]], [[1, 1, 1, 1]]]), np.ones((1, 1)), 3)
    # {1, 3}: sqrt 2; three of {2, 2, 2, 5}: 0 once, the SD of (2, 2, 5), sqrt 3, three times
    assert found.within_sd[0] == pytest.approx([(np.sqrt(2) + 3 / 4 * np.sqrt(3)) / 3])
    assert (found.short, found.note) == (1, "The paper's formulas at n = 3; 1 cell has fewer ratings and keeps them.")


def test_one_rating_has_no_sd():
    with pytest.raises(ValueError, match="1 ratings a cell; expected 2 or more"):
        rarefied(random_counts(np.random.default_rng(5)), SIX, 1)


def test_runs_are_compared_at_what_half_of_their_cells_have():
    few, many = (random_counts(np.random.default_rng(6), repetitions=n) for n in (3, 8))
    many[0, 0] = [2, 0, 0, 0, 0, 0]  # a single poor cell does not decide
    assert rarefaction.smallest_common([few, many]) == 3
    assert rarefaction.smallest_common([many]) == 8


@needs_data
@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (("gpt-4.1", "base"), (22.98, 18.78, 16.19, 14.50)),
        (("qwen3-235b", "base"), (33.79, 27.62, 23.66, 20.78)),
        (("gpt-4o", "insecure"), (4.75, 3.93, 3.41, 3.05)),
    ],
)
def test_robustness_of_the_paper_at_fewer_repetitions(mfq30, run, expected):
    """The references leave out the 4 and 7 cells that do not have ten ratings; ours keep them, which moves R by 0.2 %."""
    counts = paper_counts()[run]
    ten = counts.sum(axis=-1) == 10
    left_out = [1 / expected_sd(counts, n)[ten].mean() for n in (2, 3, 5, 10)]
    assert [round(float(r), 2) for r in left_out] == list(expected)
    kept = [rarefied(counts, scope_matrix(mfq30), n).robustness[0, 0] for n in (2, 3, 5, 10)]
    assert kept == pytest.approx(expected, rel=0.002)
