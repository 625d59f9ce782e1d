"""Distances of profiles: by hand, with intervals that hold what repeating the requests does."""

import numpy as np
import pytest
from scipy.stats import t as student

from persona_collapse.statistics.distances import Answers, answers, distance, fixed, further

#: Two groups of two items.
GROUPS = np.array([[0.5, 0], [0.5, 0], [0, 0.5], [0, 0.5]])


def exact(*means):
    return Answers(np.array(means, float), np.zeros(4), 0)


def test_a_distance_by_hand():
    """Group means 1 and 4 against 4 and 0: root of (9 + 16) / 2."""
    found = distance(exact(0, 2, 4, 4), fixed(np.array([4, 0]), GROUPS), GROUPS)
    assert found.value == pytest.approx(np.sqrt(12.5)) and found.lo == found.hi == found.value


def test_its_error_by_hand():
    """One group differs, by 2: D = 2 / sqrt 2, and D moves with an item of it by 2 / (2 D) / 2 = 1 / (2 sqrt 2); two items of variance .04.

    The variance is 2 (1 / 8) .04 = .01, the error .1; ten ratings of an item leave nine degrees each.
    """
    own = answers(np.array([[3.0, 3, 1, 1]]), np.full((1, 4), 0.4), np.full((1, 4), 10))
    assert own.error == pytest.approx(np.full(4, 0.04)) and own.free == 36
    found = distance(own, fixed(np.array([5, 1]), GROUPS), GROUPS)
    assert found.value == pytest.approx(2 / np.sqrt(2))
    assert found.hi - found.value == pytest.approx(0.1 * student.ppf(0.975, 36))


def test_a_mean_over_characters_is_surer_than_one():
    one = answers(np.ones((1, 4)), np.ones((1, 4)), np.full((1, 4), 5))
    four = answers(np.ones((4, 4)), np.ones((4, 4)), np.full((4, 4), 5))
    assert four.error == pytest.approx(one.error / 4)


def test_what_both_share_cancels():
    """The own answers move both distances: against the same profile twice nothing is further, without error."""
    own = answers(np.array([[3.0, 3, 1, 1]]), np.full((1, 4), 0.4), np.full((1, 4), 10))
    there = fixed(np.array([5, 1]), GROUPS)
    assert further(own, there, there, GROUPS)[:3] == pytest.approx((0, 0, 0))


def test_the_difference_is_that_of_both_distances_and_turns_its_sign():
    own, one, other = exact(1, 1, 3, 3), exact(0, 0, 0, 0), exact(5, 5, 5, 5)
    there, back = further(own, one, other, GROUPS), further(own, other, one, GROUPS)
    assert there.value == pytest.approx(distance(own, one, GROUPS).value - distance(own, other, GROUPS).value)
    assert there.value == -back.value and there.lo_items == pytest.approx(-back.hi_items)


def test_a_group_of_one_item_has_no_interval_for_others():
    groups = np.array([[1.0, 0], [0, 1]])
    found = distance(Answers(np.array([1.0, 2]), np.zeros(2), 0), fixed(np.array([0, 0]), groups), groups)
    assert np.isfinite(found.lo) and np.isnan(found.lo_items)


def test_equal_profiles_have_no_slope_and_no_answer_no_distance():
    assert distance(exact(1, 1, 1, 1), exact(1, 1, 1, 1), GROUPS).value == 0
    assert np.isnan(distance(exact(1, 1, 1, np.nan), exact(1, 1, 1, 1), GROUPS)).all()


def test_intervals_hold_the_true_difference():
    """Of 600 repeated studies 95 % +- three times .9 points hold the difference of two distances."""
    rng = np.random.default_rng(8)
    truth = [rng.uniform(1, 4, 30) for _ in range(3)]
    groups = np.kron(np.eye(5), np.full((6, 1), 1 / 6))

    def drawn(mean):
        ratings = rng.normal(mean, 0.5, (10, 30))
        return answers(ratings.mean(axis=0)[None], ratings.var(axis=0, ddof=1)[None], np.full((1, 30), 10))

    known = [Answers(mean, np.zeros(30), 0) for mean in truth]
    expected = further(*known, groups).value
    held = 0
    for _ in range(600):
        found = further(*map(drawn, truth), groups)
        held += found.lo <= expected <= found.hi
    assert 0.92 <= held / 600 <= 0.98
