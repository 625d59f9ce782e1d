"""S, R and within_sd by the published estimators: worked examples, degenerate cases, properties."""

import numpy as np
import pytest

from building import SCALE, counts_of, random_counts
from persona_collapse.statistics import published_estimators
from persona_collapse.study.scopes import scope_matrix, scopes

ALL = np.full((2, 1), 0.5)  # two items, one scope


def test_s_and_r_of_two_personas_two_items_two_repetitions():
    # cell means: persona 0: 1, 4; persona 1: 3, 4
    # S: item 0 SD(1, 3) = sqrt(2), item 1 SD(4, 4) = 0 -> mean sqrt(2)/2
    # cell SDs (ddof 1): {0,2} sqrt(2), {4,4} 0, {3,3} 0, {3,5} sqrt(2) -> mean sqrt(2)/2 -> R = sqrt(2)
    counts = counts_of([[[0, 2], [4, 4]], [[3, 3], [3, 5]]])
    level = published_estimators.published(counts, SCALE, ALL)
    assert level.susceptibility == pytest.approx([np.sqrt(2) / 2])
    assert level.within_sd == pytest.approx([np.sqrt(2) / 2])
    assert level.robustness == pytest.approx([np.sqrt(2)])


def test_moments_of_a_cell():
    # {1, 1, 4}: mean 2, squared deviations 1 + 1 + 4 = 6, over n - 1 = 2 -> 3
    cells = published_estimators.moments(counts_of([[[1, 1, 4]]]), SCALE)
    assert (cells.n[0, 0], cells.mean[0, 0], cells.variance[0, 0]) == (3, 2.0, 3.0)


def test_scale_that_starts_at_one():
    cells = published_estimators.moments(np.array([[[1, 0, 0, 0, 1]]]), range(1, 6))
    assert (cells.mean[0, 0], cells.variance[0, 0]) == (3.0, 8.0)


def test_scopes_are_overall_and_each_foundation(mfq30):
    weights = scope_matrix(mfq30)
    assert scopes(mfq30) == ("overall", *mfq30.foundations)
    assert weights.shape == (30, 6)
    assert weights.sum(axis=0) == pytest.approx(np.ones(6))
    # Item 1 is the first Harm item: a thirtieth of overall, a sixth of Harm, nothing elsewhere.
    assert weights[0] == pytest.approx([1 / 30, 1 / 6, 0, 0, 0, 0])


def test_no_variation_between_repetitions_makes_r_infinite():
    level = published_estimators.published(counts_of([[[1, 1], [2, 2]], [[5, 5], [0, 0]]]), SCALE, ALL)
    assert level.within_sd == pytest.approx([0])
    assert level.robustness == [np.inf]


def test_within_sd_is_exactly_zero_where_nothing_varies():
    # 0.1-like dust from sums of squares would make R huge but finite.
    level = published_estimators.published(counts_of([[[5] * 7, [3] * 7], [[1] * 7, [2] * 7]]), SCALE, ALL)
    assert level.within_sd[0] == 0.0


def test_one_repetition_counts_as_sd_zero():
    level = published_estimators.published(counts_of([[[1], [2]], [[3], [2]]]), SCALE, ALL)
    assert level.within_sd == [0.0]
    assert level.susceptibility == pytest.approx([np.sqrt(2) / 2])


def test_a_persona_with_an_empty_cell_is_left_out():
    with_gap = counts_of([[[0, 2], [4, 4]], [[3, 3], [3, 5]], [[1, 1], []]])
    assert list(published_estimators.answered(with_gap)) == [True, True, False]
    assert published_estimators.published(with_gap, SCALE, ALL) == published_estimators.published(with_gap[:2], SCALE, ALL)


def test_a_run_that_never_gave_a_rating_has_no_metric():
    level = published_estimators.published(np.zeros((3, 2, 6), int), SCALE, ALL)
    assert np.isnan(level).all()


def test_one_persona_has_r_but_no_s():
    level = published_estimators.published(counts_of([[[0, 2], [4, 4]]]), SCALE, ALL)
    assert np.isnan(level.susceptibility[0])
    assert level.within_sd[0] == pytest.approx(np.sqrt(2) / 2)


@pytest.mark.parametrize("axis", [0, 1])
def test_order_of_personas_and_items_does_not_matter(axis):
    rng = np.random.default_rng(1)
    counts = random_counts(rng)
    weights = np.full((6, 1), 1 / 6)
    shuffled = np.take(counts, rng.permutation(counts.shape[axis]), axis=axis)
    assert np.allclose(
        published_estimators.published(counts, SCALE, weights),
        published_estimators.published(shuffled, SCALE, weights),
        rtol=1e-12,
    )


def test_turning_the_scale_round_changes_nothing():
    counts = random_counts(np.random.default_rng(2))
    weights = np.full((6, 1), 1 / 6)
    turned = published_estimators.published(counts[:, :, ::-1], SCALE, weights)
    assert np.allclose(published_estimators.published(counts, SCALE, weights), turned, rtol=1e-12)


def test_copying_every_rating_leaves_s():
    counts = random_counts(np.random.default_rng(3))
    weights = np.full((6, 1), 1 / 6)
    once, twice = (published_estimators.published(c, SCALE, weights).susceptibility for c in (counts, 2 * counts))
    assert np.allclose(once, twice, rtol=1e-12)


def test_within_sd_adds_up_over_foundations_and_r_does_not(mfq30):
    counts = random_counts(np.random.default_rng(4), items=30)
    level = published_estimators.published(counts, SCALE, scope_matrix(mfq30))
    assert level.within_sd[0] == pytest.approx(level.within_sd[1:].mean())
    assert level.robustness[0] != pytest.approx(level.robustness[1:].mean(), rel=1e-6)


def test_recovers_the_spread_that_was_put_in():
    """Persona means spread by 0.8 and ratings by 0.5 on a wide scale: S near 0.8, within_sd near 0.5."""
    rng = np.random.default_rng(5)
    ratings = (50 + 8 * rng.normal(size=(400, 30, 1)) + 5 * rng.normal(size=(400, 30, 20))).round().astype(int)
    counts = np.stack([(ratings == k).sum(axis=-1) for k in range(101)], axis=-1)
    level = published_estimators.published(counts, range(101), np.full((30, 1), 1 / 30))
    # SD of cell means: sqrt(8^2 + 5^2/20) = 8.08; mean sample SD of 20 draws = 5 * 0.987
    assert level.susceptibility[0] == pytest.approx(8.08, rel=0.02)
    assert level.within_sd[0] == pytest.approx(4.93, rel=0.01)
