"""Recovery: its interval is Fieller's, bounded where it is given, and refused where there is nothing to recover."""

import numpy as np
import pytest
from scipy.stats import t as student

from known_recoveries import TREATMENTS, simulate
from persona_collapse.statistics.recovery import logit_rates, share_of


def jackknifed(values):
    """A mean of all, then without each unit: its own jackknife centre."""
    values = np.asarray(values, float)
    return np.concatenate([[values.mean()], (values.sum() - values) / (len(values) - 1)])


def test_by_hand_with_a_gap_that_does_not_vary():
    """Ten units move by 1 and 3 alike often, the gap is 4 for all: 2 / 4 = .5, and Fieller's set is that of the numerator over 4.

    The variance of ten numbers of which half is 1 and half 3 is 10/9, that of their mean 1/9, its root 1/3; t(9) is 2.262.
    """
    found = share_of(jackknifed([1, 3] * 5), jackknifed([4] * 10))
    reach = student.ppf(0.975, 9) / 3
    assert found.share == pytest.approx((0.5, (2 - reach) / 4, (2 + reach) / 4))
    assert found.gap == pytest.approx((4, 4, 4)) and found.why == ""


def test_the_ends_are_where_the_difference_cannot_be_told_from_zero():
    """At either end rho of the interval, a - rho d lies exactly t standard errors from 0; between them it lies nearer."""
    rng = np.random.default_rng(4)
    moved, gap = jackknifed(rng.normal(1, 1, 30)), jackknifed(rng.normal(2, 1, 30))
    found = share_of(moved, gap).share

    def distance(rho):
        z = moved[1:] - rho * gap[1:]
        se = np.sqrt(29 / 30 * ((z - z.mean()) ** 2).sum())
        return abs(moved[0] - rho * gap[0]) / se

    reach = student.ppf(0.975, 29)
    assert distance(found.lo) == pytest.approx(reach) and distance(found.hi) == pytest.approx(reach)
    assert distance((found.lo + found.hi) / 2) < reach


def test_nothing_to_recover_is_refused_at_the_level_of_the_interval():
    """A gap whose interval just holds 0 has no share; one whose interval just leaves it out has one, and it is bounded."""
    spread = np.array([-1.0, 1.0] * 10)
    reach = student.ppf(0.975, 19) * np.sqrt(20 / 19 / 20)
    for beside, given in ((0.99, False), (1.01, True)):
        found = share_of(jackknifed(spread[::-1]), jackknifed(spread + beside * reach))
        assert np.isfinite(found.share).all() == given
        assert (found.why == "") == given
        assert np.isfinite(found.gap).all()
    assert share_of(jackknifed(spread), jackknifed(spread)).why == "nothing to recover: the gap cannot be told from none"


def test_a_base_like_the_fine_tune_is_refused():
    """f_b = f_h: the gap is 0 without any spread."""
    found = share_of(jackknifed([1.0] * 20), np.zeros(21))
    assert np.isnan(found.share).all() and found.why.startswith("nothing to recover")


def test_overshoot_stays_above_one_and_worsening_below_zero():
    gap = jackknifed(np.linspace(0.9, 1.1, 20))
    assert share_of(1.5 * gap, gap).share == pytest.approx((1.5, 1.5, 1.5))
    assert share_of(-0.5 * gap, gap).share == pytest.approx((-0.5, -0.5, -0.5))


def test_a_sign_of_the_gap_changes_nothing():
    rng = np.random.default_rng(5)
    moved, gap = jackknifed(rng.normal(1, 1, 30)), jackknifed(rng.normal(2, 1, 30))
    assert share_of(-moved, -gap).share == pytest.approx(share_of(moved, gap).share)


def test_what_does_not_exist_has_no_share():
    gap = jackknifed(np.ones(20))
    assert share_of(np.full(21, -np.inf), gap).why == "it does not exist on some side"
    assert share_of(np.ones(5), np.ones(5)).why == "4 are too few to tell; it takes 5"


def test_logits_of_a_rate_by_hand():
    """Three questions with 1, 0 and 3 of ten answers: 4 of 30, then 3, 4 and 1 of 20; a sixth of an answer a question on either
    side. Of none at all the logit is the same without any question of as many answers."""
    found = logit_rates(np.array([1, 0, 3]), np.array([10, 10, 10]))
    third = 1 / 3
    expected = [4.5 / 26.5, (3 + third) / (17 + third), (4 + third) / (16 + third), (1 + third) / (19 + third)]
    assert found == pytest.approx(np.log(expected))
    none = logit_rates(np.zeros(3), np.full(3, 5))
    assert none == pytest.approx(np.full(4, np.log(0.5 / 15.5)))


@pytest.mark.slow
def test_coverage_of_what_is_undone_and_refusals_of_what_is_not(mfq30):
    """Of 200 studies 93 to 97 % +- three times 1.5 points; of a fine-tune that changed nothing about 5 % are let through."""
    for one in simulate(mfq30, "lost", np.random.default_rng(6), studies=200):
        if one.treatment != "alike":
            assert one.refused == 0 and 0.905 <= one.coverage <= 0.995, one
    for one in simulate(mfq30, "unchanged", np.random.default_rng(7), studies=200):
        assert one.refused >= 0.88 * 200, one
    assert len(TREATMENTS) == 5
