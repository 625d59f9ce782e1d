"""What a comparison can use when ratings are missing: items leave first, then personas, and warnings say what it means."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from building import SCALE, random_counts
from persona_collapse.statistics import common_cells

SIX = np.array([[1, 1, 0]] * 3 + [[1, 0, 1]] * 3) / [6, 3, 3]  # six items; all of them, the first three, the last three


def runs(count=2):
    return [random_counts(np.random.default_rng(seed)) for seed in range(count)]


def test_complete_runs_stay_as_they_are():
    given = runs()
    found = common_cells.common(given, SIX)
    assert all(np.array_equal(a, b) for a, b in zip(found.counts, given, strict=True))
    assert np.array_equal(found.scope, SIX)
    assert (list(found.personas), list(found.items), found.note) == (list(range(20)), list(range(6)), "")


def test_a_persona_with_an_empty_cell_on_one_side_leaves_both():
    one, other = runs()
    one[3, 2] = 0
    found = common_cells.common([one, other], SIX)
    assert list(found.personas) == [p for p in range(20) if p != 3]
    assert np.array_equal(found.counts[1], np.delete(other, 3, axis=0))
    assert found.note == "For the 19 common personas: 1 of 20 left, without a rating somewhere."


def test_an_item_that_most_did_not_answer_leaves_before_any_persona_does():
    one, other = runs()
    one[:11, 1] = 0  # 11 of 20; with 10 the item would stay and ten personas go
    found = common_cells.common([one, other], SIX)
    assert (list(found.items), len(found.personas)) == ([0, 2, 3, 4, 5], 20)
    # five items overall, two in the first foundation, three in the second
    assert found.scope == pytest.approx(np.array([[1, 1, 0]] * 2 + [[1, 0, 1]] * 3) / [5, 2, 3])
    assert found.note == "Item 2 left on all sides: more than half of the personas have no rating there."
    one[10, 1] = other[10, 1]
    assert (len(common_cells.common([one, other], SIX).items), len(common_cells.common([one, other], SIX).personas)) == (6, 10)


def test_a_foundation_that_lost_all_its_items_has_no_weight():
    one, other = runs()
    one[:, :3] = 0
    found = common_cells.common([one, other], SIX)
    assert found.scope.sum(axis=0).tolist() == pytest.approx([1, 0, 1])
    assert found.note.startswith("Items 1, 2, 3 left on all sides")


def test_many_lost_personas_come_with_a_warning():
    one, other = runs()
    one[:2, 0] = 0
    assert "more than" not in common_cells.common([one, other], SIX).note  # 2 of 20 are not more than 10 %
    one[2, 0] = 0
    assert common_cells.common([one, other], SIX).note.endswith("the change is too small.")


def test_runs_of_different_shape_are_refused():
    one, other = runs()
    with pytest.raises(ValueError, match=r"^pairing: counts of shapes \(20, 6, 6\), \(19, 6, 6\); expected the same"):
        common_cells.common([one, other[1:]], SIX)


def test_the_base_is_shown_on_the_common_personas_and_on_its_own():
    note = common_cells.base_note(0.75, 80, 0.812)
    assert note == "The base's S is 0.750 for the 80 common personas and 0.812 for all of its own."


def test_missing_at_random_says_nothing():
    counts = random_counts(np.random.default_rng(1), personas=100, repetitions=10)
    counts[0, 0] = [3, 0, 0, 0, 0, 0]
    found = common_cells.missing(counts, SCALE, 10)
    assert found.note == ""
    assert found.share == pytest.approx(7 / 6000)


def test_noisy_cells_with_few_ratings_are_told():
    steady, noisy = [0, 0, 10, 0, 0, 0], [2, 0, 0, 0, 0, 2]
    counts = np.array([[steady, noisy]] * 10)
    found = common_cells.missing(counts, SCALE)
    # ten ratings with SD 0, four with a large one: ranks are exactly opposed; 6 of 20 slots lack a rating
    assert (found.correlation, found.share) == pytest.approx((-1, 0.3))
    assert found.note == (
        "Noisy cells have fewer ratings than steady ones (rank correlation -1.00): the noise of this run is understated, and no "
        "estimator can repair that. 30 % of the slots have no rating."
    )


def test_the_rank_correlation_is_spearmans():
    rng = np.random.default_rng(2)
    counts = rng.multinomial(8, np.ones(6) / 6, size=(10, 4)) - (rng.random((10, 4, 6)) < 0.3)
    counts = np.maximum(counts, 0)
    ratings = [[np.repeat(SCALE, cell) for cell in row] for row in counts]
    n, sd = np.transpose([(len(x), np.std(x, ddof=1)) for row in ratings for x in row if len(x) > 1])
    assert common_cells.missing(counts, SCALE).correlation == pytest.approx(spearmanr(n, sd.round(9)).statistic)


def test_the_rank_correlation_is_scipys_to_the_last_bit():
    """Tables and sentences must not change with who computes it. By hand: ranks 1, 2.5, 2.5, 4 against 2, 2, 2, 4."""
    rng = np.random.default_rng(4)
    for size in rng.integers(2, 300, size=200):
        one, other = rng.integers(0, 9, size) / 7, rng.integers(0, 9, size) / 3
        if len(set(one)) > 1 and len(set(other)) > 1:
            assert common_cells.rank_correlation(one, other) == float(spearmanr(one, other).statistic)
    # Deviations (-1.5, 0, 0, 1.5) and (-0.5, -0.5, -0.5, 1.5): 3 / sqrt(4.5 * 3)
    assert common_cells.rank_correlation(np.array([0, 3, 3, 8]), np.array([1, 1, 1, 2])) == pytest.approx(3 / 13.5**0.5)


def test_equally_many_ratings_have_no_correlation():
    counts = random_counts(np.random.default_rng(3))
    assert np.isnan(common_cells.missing(counts, SCALE).correlation)
