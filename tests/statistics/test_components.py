"""Variance components and Cronbach's alpha: by hand, their properties, simulated truths, the paper's ratings."""

import numpy as np
import pytest

from building import SCALE, counts_of, random_counts
from paper import needs_data, paper_counts
from persona_collapse.statistics.components import COMPONENTS, alpha, components
from persona_collapse.statistics.moments import Cells, Parts, cells


def parts(counts):
    return Parts(counts, cells(counts, SCALE), SCALE)


def steady(means):
    """Two equal ratings in every cell (persona, item)."""
    return parts(counts_of([[[m, m] for m in row] for row in means]))


def of_means(means, variance=0.0, n=2):
    """Cells of any means (persona, item), all with one variance."""
    shape = means.shape
    own = Cells(np.full(shape, float(n)), means, np.broadcast_to(np.asarray(variance, float), shape), np.full(shape, n > 1))
    return Parts(np.zeros((*shape, 6)), own, SCALE)


# --- by hand ---------------------------------------------------------------------------------------------------------

FOUR = [[1, 1, 1, 3], [2, 2, 2, 2], [3, 3, 3, 1]]  # d = -1, 0, 1 in three items, 1, 0, -1 in the fourth
TWO_GROUPS = ("A", "A", "B", "B")


def test_a_group_whose_items_contradict_each_other_is_all_persona_by_item():
    """Group means A -1, 0, 1 and B 0, 0, 0; persona means -.5, 0, .5; F = 2, k = 2.

    MS_p = 2 x 2 x .5 / 2 = 1; MS_pf = 2 x (.5 + .5) / (2 x 1) = 1; MS_pi: items 3 and 4 leave 2 + 2, / (2 x 2) = 1. So persona
    (1 - 1) / 4 = 0, persona by group (1 - 1) / 2 = 0, persona by item 1 - 0, repetition 0.
    """
    assert components(steady(FOUR), TWO_GROUPS, [False] * 4).value == pytest.approx([0, 0, 1, 0])


def test_scored_the_other_way_round_the_fourth_item_agrees():
    """All d are -1, 0, 1: MS_p = 2 x 2 x 2 / 2 = 4, MS_pf = MS_pi = 0; persona 4 / 4 = 1."""
    turned = [False, False, False, True]
    assert components(steady(FOUR), TWO_GROUPS, turned).value == pytest.approx([1, 0, 0, 0])
    assert alpha(steady(FOUR), TWO_GROUPS, turned).value == pytest.approx([1, 1])


def test_groups_of_unequal_size_count_alike_and_nothing_is_cut_at_zero():
    """A has item 1, B items 3 and 4: k = 2 / (1 + 1/2) = 4/3; persona means -.5, 0, .5.

    MS_p = 2 x 4/3 x .5 / 2 = 2/3; MS_pf = 4/3 x 1 / 2 = 2/3; MS_pi = 4 / (2 x (3 - 2)) = 2. So persona 0, persona by group
    (2/3 - 2) / (4/3) = -1, persona by item 2.
    """
    three = steady([[row[0], row[2], row[3]] for row in FOUR])
    assert components(three, ("A", "B", "B"), [False] * 3).value == pytest.approx([0, -1, 2, 0])


def test_rating_noise_leaves_persona_by_item_and_is_repetition():
    """Every cell has m - 1 and m + 1: v = 2, u = 2 / 2 = 1. Persona by item 1 - 1 = 0."""
    counts = counts_of([[[m - 1, m + 1] for m in row] for row in FOUR])
    assert components(parts(counts), TWO_GROUPS, [False] * 4).value == pytest.approx([0, 0, 0, 2])


def test_alpha_by_hand_and_as_the_textbook_writes_it():
    """Items -1, 0, 1 and -1, 1, 0: means -1, .5, .5; MS_p = 2 x 1.5 / 2 = 1.5; rest 0, 0, -.5, .5, .5, -.5: 1 / 2 = .5.

    1 - .5 / 1.5 = 2/3. Textbook: k / (k - 1) (1 - sum of variances / variance of the sum) = 2 (1 - 2 / 3) = 2/3.
    """
    found = alpha(steady([[1, 1], [2, 3], [3, 2]]), ("A", "A"), [False] * 2)
    assert found.value == pytest.approx([2 / 3]) and found.items.tolist() == [2]
    means = np.random.default_rng(1).normal(size=(15, 5))
    textbook = 5 / 4 * (1 - means.var(axis=0, ddof=1).sum() / means.sum(axis=1).var(ddof=1))
    assert alpha(of_means(means), ["A"] * 5, [False] * 5).value == pytest.approx([textbook])


# --- what does not exist ---------------------------------------------------------------------------------------------


def test_what_does_not_exist_is_nan():
    one_each = components(steady(FOUR), tuple("ABCD"), [False] * 4)
    assert np.isnan(one_each.value).tolist() == [False, True, True, False]
    # of one group: MS_p = 4 x (.25 + .25) / 2 = 1, MS_pi = (3 x .5 + 2 x 2.25) / (2 x 3) = 1 -> (1 - 1) / 4
    one_group = components(steady(FOUR), ["A"] * 4, [False] * 4)
    assert one_group.value == pytest.approx([0, np.nan, 1, 0], nan_ok=True)
    single = components(parts(counts_of([[[m] for m in row] for row in FOUR])), TWO_GROUPS, [False] * 4)
    assert single.value == pytest.approx([0, 0, np.nan, np.nan], nan_ok=True)
    assert np.isnan(alpha(steady(FOUR), ("A", "B", "B", "C"), [False] * 4).value).tolist() == [True, False, True]
    # In group B of FOUR all personas have the same mean.
    assert np.isnan(alpha(steady(FOUR), TWO_GROUPS, [False] * 4).value).tolist() == [False, True]


def test_one_or_two_personas_have_values_at_most():
    two = components(steady(FOUR[:2]), TWO_GROUPS, [False] * 4)
    assert np.isfinite(two.value).all() and np.isnan(two.lo).all()
    assert np.isnan(components(steady(FOUR[:1]), TWO_GROUPS, [False] * 4).value[:3]).all()


# --- properties ------------------------------------------------------------------------------------------------------

SIX, TURNED = ("A", "B", "A", "B", "B", "C"), (False, True, False, False, True, False)


def every(counts, groups=SIX, turned=TURNED):
    """All numbers of both functions."""
    return np.concatenate([*components(parts(counts), groups, turned), *alpha(parts(counts), groups, turned)])


def test_order_of_personas_and_direction_of_the_scale_change_nothing():
    rng = np.random.default_rng(2)
    counts = random_counts(rng)
    assert every(counts[rng.permutation(20)]) == pytest.approx(every(counts), nan_ok=True)
    assert every(counts[..., ::-1]) == pytest.approx(every(counts), nan_ok=True)
    assert every(counts, turned=[not one for one in TURNED]) == pytest.approx(every(counts), nan_ok=True)


def test_items_may_stand_in_any_order():
    counts = random_counts(np.random.default_rng(3))
    order = [0, 4, 2, 1, 3, 5]  # A, B, C are still named in this order
    moved = every(counts[:, order], [SIX[i] for i in order], [TURNED[i] for i in order])
    assert moved == pytest.approx(every(counts), nan_ok=True)


def test_leaving_out_one_persona_in_closed_form_is_leaving_it_out():
    """Limits from values that are computed again without each persona: P theta - (P - 1) mean -+ t SE."""
    counts = random_counts(np.random.default_rng(4), personas=7)
    without = np.array([components(parts(np.delete(counts, p, axis=0)), SIX, TURNED).value for p in range(7)])
    found = components(parts(counts), SIX, TURNED)
    centre = 7 * found.value - 6 * without.mean(axis=0)
    se = np.sqrt(6 / 7 * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    t = 2.4469118511449692  # 97.5 % point with 6 degrees of freedom
    assert found.lo == pytest.approx(centre - t * se) and found.hi == pytest.approx(centre + t * se)
    z = np.log(1 - np.array([alpha(parts(np.delete(counts, p, axis=0)), SIX, TURNED).value for p in range(7)]))[:, :2]
    own = alpha(parts(counts), SIX, TURNED)
    centre = 7 * np.log(1 - own.value[:2]) - 6 * z.mean(axis=0)
    se = np.sqrt(6 / 7 * ((z - z.mean(axis=0)) ** 2).sum(axis=0))
    assert own.lo[:2] == pytest.approx(1 - np.exp(centre + t * se)) and own.hi[:2] == pytest.approx(1 - np.exp(centre - t * se))


# --- simulated truths ------------------------------------------------------------------------------------------------


def test_simulated_components_are_recovered_and_covered():
    """300 runs of 40 personas, groups of 2, 3 and 5 items, truths .3, 0, .5, .4 (n = 2): means within 4 standard errors,
    coverage 92-98 % (Monte Carlo SE 1.3 points); persona by group, which is 0, is as often below it as above."""
    rng, truth, runs = np.random.default_rng(5), np.array([0.3, 0.0, 0.5, 0.4]), 300
    groups = ["A"] * 2 + ["B"] * 3 + ["C"] * 5
    found = []
    for _ in range(runs):
        own = rng.normal(0, np.sqrt(0.3), (40, 1)) + rng.normal(0, np.sqrt(0.5), (40, 10))
        ratings = own[..., None] + rng.normal(0, np.sqrt(0.4), (40, 10, 2))
        found.append(components(of_means(ratings.mean(axis=-1), ratings.var(axis=-1, ddof=1)), groups, [False] * 10))
    value, lo, hi = (np.array(field) for field in zip(*found, strict=True))
    assert (abs(value.mean(axis=0) - truth) < 4 * value.std(axis=0) / np.sqrt(runs)).all()
    covered = ((lo <= truth) & (truth <= hi)).mean(axis=0)
    assert ((covered > 0.92) & (covered < 0.98)).all(), dict(zip(COMPONENTS, covered, strict=True))
    assert 0.35 < (value[:, 1] < 0).mean() < 0.65


@pytest.mark.parametrize("persona", [0.0, 0.1, 1.0])
def test_alpha_is_covered_also_where_it_is_zero(persona):
    """300 runs of 50 personas and five items with item variance 1: alpha = 5 s / (5 s + 1) is 0, 1/3 and 5/6."""
    rng, truth, inside = np.random.default_rng(6), 5 * persona / (5 * persona + 1), 0
    for _ in range(300):
        means = rng.normal(0, np.sqrt(persona), (50, 1)) + rng.normal(size=(50, 5))
        found = alpha(of_means(means), ["A"] * 5, [False] * 5)
        inside += found.lo[0] <= truth <= found.hi[0]
    assert 0.92 < inside / 300 < 0.98


# --- the paper's ratings ---------------------------------------------------------------------------------------------


@needs_data
@pytest.mark.parametrize(
    ("run", "variances", "alphas"),
    [
        (("gpt-4o", "base"), [0.168, 0.168, 0.335, 0.046], [0.83, 0.89, 0.81, 0.87, 0.88]),
        (("gpt-4o", "secure"), None, [0.41, 0.51, 0.79, 0.85, 0.82]),
        (("qwen3-235b", "insecure"), [0.398, 0.607, 1.191, 0.452], [0.86, 0.87, 0.77, 0.81, 0.83]),
    ],
)
def test_the_reference_values(run, variances, alphas, mfq30):
    """CONCLUSIONS.md, section 4, to the printed digits."""
    counts = paper_counts()[run]
    own = parts(counts[(counts.sum(axis=-1) > 0).all(axis=1)])
    groups, turned = [item.foundation for item in mfq30.items], [item.reversed for item in mfq30.items]
    if variances:
        assert components(own, groups, turned).value.round(3).tolist() == variances
    assert alpha(own, groups, turned).value.round(2).tolist() == alphas
