"""Means over items in strata, their differences and ratios, and how far answers to one item differ: by hand, and in simulation."""

import numpy as np
import pytest
from scipy.stats import t

from persona_collapse.statistics import answer_spread
from persona_collapse.statistics.item_means import Effect, Sums, at_the_end, beyond, difference, level, log_ratio


def sums(values, numbers=None, strata=None):
    values = np.array(values, float)
    return Sums(
        values, np.ones(len(values)) if numbers is None else np.array(numbers, float), np.array(strata or [0] * len(values))
    )


def test_a_mean_in_one_stratum_has_the_plain_standard_error():
    # 0, 1, 1, 1, 0: mean .6, sample variance .3, SE = sqrt(.3 / 5), 4 degrees of freedom.
    found = level(sums([0, 1, 1, 1, 0]))
    assert (found.value, found.se, found.df) == (pytest.approx(0.6), pytest.approx(np.sqrt(0.06)), pytest.approx(4))
    reach = t.ppf(0.975, 4) * np.sqrt(0.06)
    assert found.limits() == pytest.approx((0.6 - reach, 0.6 + reach)) and found.limits(0, 1)[1] == 1


def test_what_groups_differ_in_is_no_error():
    """Groups 0, 0.2 and 1, 0.8: parts e = (x - .5) / 4 = -.125, -.075, .125, .075. Within each group the squared distances from
    their mean add up to 2 x .025^2; n / (n - 1) = 2: each term is .0025, the sum .005, and Satterthwaite's df are 2."""
    found = level(sums([0, 0.2, 1, 0.8], strata=["a", "a", "b", "b"]))
    assert (found.se, found.df) == (pytest.approx(np.sqrt(0.005)), pytest.approx(2))
    assert found.se < level(sums([0, 0.2, 1, 0.8])).se


def test_groups_of_one_item_are_taken_together():
    pooled = level(sums([0, 0.2, 1, 0.5], strata=["a", "a", "b", "c"]))
    assert pooled.se == pytest.approx(level(sums([0, 0.2, 1, 0.5], strata=["a", "a", "b", "b"])).se)
    alone = level(sums([0, 0.2, 1], strata=["a", "a", "b"]))  # a single one joins the largest
    assert alone.se == pytest.approx(level(sums([0, 0.2, 1])).se)


def test_a_mean_over_replies_weighs_items_by_their_replies():
    """3 of 3, 0 of 1: 3/4 of the replies, not half of the items. e = (3 - .75 x 3)/4, (0 - .75)/4 = .1875, -.1875: their mean is
    0, the squares add up to .0703, twice that is the variance."""
    found = level(sums([3, 0], numbers=[3, 1]))
    assert found.value == 0.75 and found.se == pytest.approx(np.sqrt(2 * 2 * 0.1875**2))


def test_a_difference_is_paired_and_a_ratio_is_on_the_log_scale():
    one, base = sums([1, 1, 0.5, 0.5]), sums([0.5, 0.5, 0.25, 0.25])
    # Differences .5, .5, .25, .25: mean .375, variance of the sample .0208, over 4.
    assert difference(one, base).value == 0.375 and difference(one, base).se == pytest.approx(np.sqrt(0.0625 / 3 / 4))
    # Twice everywhere: the ratio is 2 without error.
    assert (log_ratio(one, base).value, log_ratio(one, base).se) == (pytest.approx(np.log(2)), 0)
    assert np.isnan(log_ratio(one, sums([0, 0, 0, 0])).value)


def test_the_same_items_alike_differ_by_nothing():
    found = difference(sums([1, 0, 1]), sums([1, 0, 1]))
    assert (found.value, found.se, found.p) == (0, 0, 1) and np.isnan(found.limits()).all()


def test_beyond_adds_variances_and_degrees_of_freedom():
    # SE 3 and 4: 5; df = 25^2 / (81/9 + 256/16) = 625 / 25 = 25.
    found = beyond(Effect(10, 3, 9), Effect(4, 4, 16))
    assert found == (6, 5, pytest.approx(25))
    assert np.isnan(beyond(Effect(1), Effect(0, 1, 5)).se)


def test_all_of_many_units_at_an_end_bound_the_share():
    assert at_the_end(59) == pytest.approx(0.0495, abs=1e-4)  # the rule of three: 3/59 = .051


def test_shares_of_unlike_answers_by_hand():
    counts = np.array([[4, 0, 0], [2, 2, 0], [2, 1, 1]])
    # 1 - sum p^2: 0, .5, 1 - (.25 + .0625 + .0625) = .625; at n = 4 these are the plain ones.
    assert answer_spread.gini(counts, 4) == pytest.approx([0, 0.5, 0.625])
    # Two of four: pairs that differ 0, 4/6, 5/6, of which n0 = 2 keeps half.
    assert answer_spread.gini(counts, 2) == pytest.approx([0, 1 / 3, 5 / 12])
    assert answer_spread.not_alike(counts, 4) == pytest.approx([0, 1, 1])
    assert answer_spread.not_alike(counts, 2) == pytest.approx([0, 4 / 6, 5 / 6])
    assert np.isnan(answer_spread.gini(counts, 5)).all() and np.isnan(answer_spread.not_alike(counts, 1)).all()
    assert answer_spread.common_repetitions([counts, np.array([[3, 0], [2, 1], [0, 0]])]) == 3


def test_more_repetitions_raise_the_plain_measures_and_not_those_at_a_common_number():
    rng = np.random.default_rng(1)
    p = rng.dirichlet([8, 1, 1], 4000)
    few, many = (rng.multinomial(n, p) for n in (4, 12))
    for measure in (answer_spread.gini, answer_spread.not_alike):
        assert measure(many, 12).mean() - measure(few, 4).mean() > 0.04
        assert measure(many, 4).mean() == pytest.approx(measure(few, 4).mean(), abs=0.015)


@pytest.mark.slow
@pytest.mark.parametrize(("share", "least"), [(0.5, 93), (0.8, 93), (0.93, 88)])
def test_intervals_of_an_accuracy_and_of_a_difference_hold_their_truth(share, least):
    """40 items in 5 groups, 5 replies each, the chance of a right reply beta distributed by item; other items each time."""
    rng, held, paired = np.random.default_rng(7), 0, 0
    strata, many = np.repeat(np.arange(5), 8), 1000
    for _ in range(many):
        chance = rng.beta(2 * share, 2 * (1 - share), 40)
        base = Sums(rng.binomial(5, chance).astype(float), np.full(40, 5.0), strata)
        other = Sums(rng.binomial(5, chance * 0.9).astype(float), np.full(40, 5.0), strata)
        lo, hi = level(base).limits(0, 1)
        held += lo <= share <= hi
        lo, hi = difference(other, base).limits(-1, 1)
        paired += lo <= -0.1 * share <= hi
    assert least <= 100 * held / many <= 97.5 and 93 <= 100 * paired / many <= 97
