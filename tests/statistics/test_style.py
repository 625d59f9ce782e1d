"""Isotonic regression, and the style share that is made of it."""

import numpy as np
import pytest
from scipy.optimize import isotonic_regression

from building import SCALE, random_counts
from paper import needs_data, paper_counts
from persona_collapse.statistics.isotonic import between, isotonic
from persona_collapse.statistics.moments import Parts, cells
from persona_collapse.statistics.style import ceiling, folds, style_share

# --- isotonic regression ---------------------------------------------------------------------------------------------


def test_neighbors_that_decrease_are_pooled_into_their_weighted_mean():
    y, weight = np.array([[1.0, 3, 2, 5], [1, 3, 2, 5]]), np.array([[1.0, 1, 1, 1], [1, 3, 1, 1]])
    assert isotonic(y, weight).tolist() == [[1, 2.5, 2.5, 5], [1, 2.75, 2.75, 5]]


def test_many_problems_at_once_are_what_scipy_finds_of_each():
    rng = np.random.default_rng(0)
    y, weight = rng.normal(size=(50, 12)), rng.integers(1, 4, (50, 12)).astype(float)
    expected = [isotonic_regression(a, weights=w).x for a, w in zip(y, weight, strict=True)]
    np.testing.assert_allclose(isotonic(y, weight), expected, atol=1e-12)


def test_points_without_responses_do_not_count_and_lie_on_the_line_between_the_others_flat_outside():
    y, weight = np.array([[9.0, 1, -7, 4, 2, 8]]), np.array([[0.0, 1, 0, 0, 1, 0]])
    x = np.array([[0.0, 1, 2, 3, 5, 6]])
    # fitted at x = 1 and 5 as 1 and 2; at 2 and 3 a quarter and a half of the way
    assert between(isotonic(y, weight), weight, x).tolist() == [[1, 1, 1.25, 1.5, 2, 2]]


# --- folds -----------------------------------------------------------------------------------------------------------


def test_folds_go_by_the_rank_of_natural_ids():
    assert folds(["p10", "p2", "p1", "q", "p3", "p20"]).tolist() == [3, 1, 0, 0, 2, 4]
    assert folds([str(number) for number in range(12)]).tolist() == [number % 5 for number in range(12)]


def test_a_fold_belongs_to_an_id_wherever_it_stands():
    ids = ["b7", "b30", "7", "", "a", "b7x"]
    assert folds(ids[::-1]).tolist() == folds(ids)[::-1].tolist()


# --- the share -------------------------------------------------------------------------------------------------------


def parts(counts, categories=SCALE):
    return Parts(counts, cells(counts, categories), categories)


def of(ratings):
    """Counts of ratings (persona, item, repetition), rounded and cut to the scale."""
    return np.stack([(np.clip(ratings, 0, 5).round() == k).sum(axis=-1) for k in SCALE], axis=-1)


def by_the_book(y, x, noise, fold, who):
    """The share of some personas alone, fit by fit with scipy: y, x and noise v/n are (persona, item)."""
    error = anchor = 0.0
    for q in range(y.shape[1]):
        anchor += y[who, q].var(ddof=1) - noise[who, q].mean()
        squared = []
        for held in range(5):
            train = who[fold[who] != held]
            at, place = np.unique(x[train, q], return_inverse=True)
            weight = np.bincount(place)
            fit = isotonic_regression(np.bincount(place, y[train, q]) / weight, weights=weight).x
            out = who[fold[who] == held]
            squared += list((y[out, q] - np.interp(x[out, q], at, fit)) ** 2)
        error += np.mean(squared) - noise[who, q].mean()
    return 1 - error / anchor


def test_the_share_and_its_interval_are_those_of_the_definition():
    rng = np.random.default_rng(1)
    base = random_counts(rng, 14, 3, 4)
    variant = np.where(rng.random((14, 3, 1)) < 0.6, base, random_counts(rng, 14, 3, 4))
    fold = folds(range(14))
    own, other = parts(variant), parts(base)
    args = own.own.mean, other.own.mean, own.own.variance / 4, fold
    everybody = np.arange(14)
    expected = np.array([by_the_book(*args, everybody)] + [by_the_book(*args, np.delete(everybody, p)) for p in range(14)])
    found = style_share(own, other, fold)
    assert found.value == pytest.approx(expected[0], abs=1e-12)
    # SE^2 = 13/14 of the squares about the mean of the shares without a persona; t(13, .975) = 2.160369
    reach = 2.160369 * np.sqrt(13 / 14 * ((expected[1:] - expected[1:].mean()) ** 2).sum())
    assert found[1:] == pytest.approx((expected[0] - reach, expected[0] + reach), abs=1e-6)


def populations(seed, personas=60, items=10, n=6):
    """Cell means of a base, wide enough for its personas, and how its ratings are drawn."""
    rng = np.random.default_rng(seed)
    means = np.clip(rng.normal(2.5, 0.9, (personas, items)), 0.3, 4.7)
    return rng, means, lambda m: of(m[..., None] + rng.normal(0, 0.5, (*m.shape, n)))


def share_and_ceiling(variant, base, seed=None):
    fold = folds(range(len(base)))
    own, other = parts(variant), parts(base)
    return style_share(own, other, fold), ceiling(other, own.own.n, fold)


def test_a_redraw_of_the_base_reaches_the_ceiling():
    _, means, drawn = populations(0)
    found, most = share_and_ceiling(drawn(means), drawn(means))
    assert most < 0.98
    assert found.value == pytest.approx(most, abs=0.05)


def test_the_interval_of_an_unchanged_base_holds_the_ceiling():
    """Also of few personas, from whom a recoding is learned badly: the ceiling is that of as many."""
    for seed in range(5):
        _, means, drawn = populations(seed, personas=20)
        found, most = share_and_ceiling(drawn(means), drawn(means))
        assert found.lo < most < found.hi


def test_a_stretch_and_a_shift_are_another_use_of_the_scale():
    _, means, drawn = populations(1)
    base = drawn(means)
    for variant in (drawn(2.5 + 1.7 * (means - 2.5)), drawn(means + 0.8)):
        found, most = share_and_ceiling(variant, base)
        assert found.value > 0.93 * most
        assert found.lo > 0.85 * most


def test_other_people_are_explained_by_nothing():
    rng, means, drawn = populations(2)
    found, _ = share_and_ceiling(drawn(rng.permuted(means, axis=0)), drawn(means))
    assert found.value < 0.1
    assert found.lo < 0.05


def test_the_ceiling_falls_with_the_number_of_ratings_and_knows_more_than_a_redraw_of_what_was_seen():
    """What an unchanged model reaches, and what the ceiling of its base alone says, at two ratings a cell."""
    _, means, _ = populations(3)
    reached, said = [], []
    for seed in range(5):
        _, means, drawn = populations(seed, n=2)
        found, most = share_and_ceiling(drawn(means), drawn(means))
        reached.append(found.value)
        said.append(most)
    _, means, drawn = populations(3, n=10)
    assert np.mean(said) < share_and_ceiling(drawn(means), drawn(means))[1] - 0.05
    assert np.mean(said) == pytest.approx(np.mean(reached), abs=0.06)


def test_order_of_personas_and_where_the_scale_begins_change_nothing():
    rng, means, drawn = populations(4, personas=20, items=4)
    variant, base, order = drawn(means), drawn(means), rng.permutation(20)
    expected = style_share(parts(variant), parts(base), folds(range(20)))
    moved = style_share(parts(variant[order]), parts(base[order]), folds(order))
    shifted = style_share(parts(variant, range(1, 7)), parts(base, range(1, 7)), folds(range(20)))
    for found in (moved, shifted):
        assert found == pytest.approx(expected, abs=1e-9)


def test_there_is_no_share_of_one_rating_a_cell_few_personas_or_personas_alike():
    _, means, drawn = populations(5, n=1)
    found, most = share_and_ceiling(drawn(means), drawn(means))
    assert np.isnan([*found, most]).all()
    few = random_counts(np.random.default_rng(0), 9)
    assert np.isnan([*share_and_ceiling(few, few)[0], share_and_ceiling(few, few)[1]]).all()
    alike = np.tile(few[:1], (20, 1, 1))  # t2 is below 0
    assert np.isnan(share_and_ceiling(alike, random_counts(np.random.default_rng(0), 20))[0]).all()


def test_of_exact_probabilities_an_unchanged_base_is_nearly_explained_whole():
    rng = np.random.default_rng(6)
    counts = rng.dirichlet(np.ones(6), (40, 5))
    exact = Parts(counts, cells(counts, SCALE, exact=True), SCALE)
    fold = folds(range(40))
    found = style_share(exact, exact, fold)
    assert 0.95 < found.value < 1
    assert ceiling(exact, exact.own.n, fold, exact=True) == pytest.approx(found.value)


# --- the published ratings -------------------------------------------------------------------------------------------


@needs_data
@pytest.mark.parametrize(
    ("family", "variant", "share"),
    [
        ("gpt-4o", "secure", 0.663),
        ("gpt-4o", "insecure", 0.253),
        ("qwen3-235b", "secure", 0.600),
        ("qwen3-235b", "insecure", 0.406),
        ("qwen3-235b", "base-tinker", 0.923),
    ],
)
def test_shares_of_the_published_ratings(family, variant, share):
    counts = paper_counts()
    found = style_share(parts(counts[family, variant]), parts(counts[family, "base"]), folds(range(100)))
    assert round(found.value, 3) == share
    assert found.lo < found.value < found.hi


@needs_data
@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_ceiling_of_a_published_base_is_what_two_parts_of_its_own_ratings_reach(n):
    """DeepSeek's ten ratings a cell, cut at random into parts of n without one in common, five times."""
    counts, rng, fold = paper_counts()["deepseek-v3.1", "base"], np.random.default_rng(0), folds(range(100))
    ratings = (np.arange(10)[:, None] >= counts.cumsum(axis=-1)[..., None, :]).sum(axis=-1)
    reached, said = [], []
    for _ in range(5):
        cut = rng.permuted(ratings, axis=-1)
        one, other = (parts(of(cut[..., part])) for part in (slice(n), slice(n, 2 * n)))
        reached.append(style_share(one, other, fold).value)
        said.append(ceiling(other, one.own.n, fold))
    assert np.mean(said) == pytest.approx(np.mean(reached), abs=0.03)
