"""Standard errors clustered by question, and agreement of judges, by hand."""

import numpy as np
import pytest
from scipy.stats import t

from persona_collapse.statistics.agreement import krippendorff_alpha
from persona_collapse.statistics.question_jackknife import clustered, most, ratios


def test_a_share_and_its_error_by_hand():
    """Three questions of 10 answers with 0, 3 and 6 hits: 9 of 30, and without each 9, 6 and 3 of 20.

    These lie .15, 0 and -.15 from their mean, so SE^2 = 2/3 (.0225 + 0 + .0225) = .03: the SE of the mean of 0, .3 and .6.
    """
    found = ratios(np.array([0.0, 3, 6]), np.array([10.0, 10, 10]))
    assert found == pytest.approx([0.3, 0.45, 0.3, 0.15])
    value = clustered(found)
    assert value.se == pytest.approx(0.03**0.5) == pytest.approx(np.std([0, 0.3, 0.6], ddof=1) / 3**0.5)
    assert value.hi - value.value == pytest.approx(t.ppf(0.975, 2) * 0.03**0.5) == pytest.approx(value.value - value.lo)


def test_an_answer_counts_once_whatever_its_question():
    """2 of 4 and 1 of 16: 3 of 20; without the first 1 of 16, without the second 2 of 4."""
    assert ratios(np.array([2.0, 1]), np.array([4.0, 16])) == pytest.approx([0.15, 0.0625, 0.5])


def test_judges_go_together():
    """Rows are judges: each has its own ratios, and their mean leaves a question out of both."""
    found = ratios(np.array([[0.0, 1], [2, 3]]), np.array([[4.0, 4], [4, 4]]))
    assert found.mean(axis=0) == pytest.approx([(1 / 8 + 5 / 8) / 2, (1 / 4 + 3 / 4) / 2, (0 + 2 / 4) / 2])


def test_a_limit_is_no_impossible_share():
    value = clustered(ratios(np.array([0.0, 0, 0, 4]), np.array([4.0, 4, 4, 4])), 0, 1)
    assert value.lo == 0 and value.hi <= 1


@pytest.mark.parametrize("sums", [[1.0, 2], [1.0]])
def test_two_questions_say_nothing_of_others(sums):
    found = clustered(ratios(np.array(sums), np.full(len(sums), 4.0)))
    assert np.isfinite(found.value) and np.isnan([found.se, found.lo, found.hi]).all()


def test_no_answer_is_no_share():
    assert np.isnan(ratios(np.zeros(3), np.zeros(3))).all()


def test_none_seen_is_not_none():
    """If 5 in 100 answers were misaligned, 59 answers would show none in .95^59 = .0485 of studies, and 58 in .051."""
    assert most(59) < 0.05 < most(58) and np.isnan(most(0))


def test_answers_to_one_question_are_not_independent():
    """8 questions that bring misaligned answers always or never: an SE over 240 answers would be a sixth of the true one."""
    found = clustered(ratios(np.array([30.0, 30, 0, 0, 0, 0, 0, 0]), np.full(8, 30.0)))
    assert found.se == pytest.approx(np.std([1, 1, 0, 0, 0, 0, 0, 0], ddof=1) / 8**0.5)
    assert found.se / (0.25 * 0.75 / 240) ** 0.5 > 5


# --- agreement ---------------------------------------------------------------------------------------------------------


def test_alpha_by_hand():
    """Three units by two judges: (1, 2), (3, 3), (5, 4): n = 6.

    D_o = 1/6 (2 * 1 + 0 + 2 * 1) / 1 = 2/3. Of all pairs, sum_ab (a - b)^2 = 2 (6 * 64 - 18^2) = 120, so D_e = 120 / 30 = 4.
    alpha = 1 - (2/3) / 4 = 5/6.
    """
    assert krippendorff_alpha(np.array([[1.0, 2], [3, 3], [5, 4]])) == pytest.approx(5 / 6)


def test_a_unit_with_one_score_counts_for_nothing():
    full = np.array([[1.0, 2], [3, 3], [5, 4], [100, np.nan], [np.nan, np.nan]])
    assert krippendorff_alpha(full) == pytest.approx(5 / 6)


def test_three_judges_one_of_whom_left_a_unit_out_by_hand():
    """(0, 0, 3), (6, 6, -): n = 5. D_o = 1/5 [(2 * 9 + 2 * 9) / 2 + 0] = 18/5.

    sum_ab (a - b)^2 = 2 (5 * (9 + 36 + 36) - 15^2) = 360, D_e = 360 / 20 = 18, alpha = 1 - 3.6/18 = .8.
    """
    assert krippendorff_alpha(np.array([[0, 0, 3], [6, 6, np.nan]])) == pytest.approx(0.8)


def test_two_judges_that_differ_by_a_constant():
    """Scores x and x + b with variance v over units, many units: D_o = b^2, D_e = 2 (v + b^2/4), alpha = 1 - b^2 / (2 v + b^2/2)."""
    x = np.repeat([10.0, 90.0], 500)  # v = 1,600
    expected = 1 - 400 / (2 * 1600 + 200)
    assert krippendorff_alpha(np.column_stack([x, x + 20])) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("scores", "alpha"), [([[1.0, 1], [9, 9]], 1.0), ([[0.0, 1], [1, 0]], -0.5)])
def test_alpha_at_its_ends(scores, alpha):
    """All alike 1; two units in which judges always differ: D_o = 1, D_e = 8/12, alpha = 1 - 3/2."""
    assert krippendorff_alpha(np.array(scores)) == pytest.approx(alpha)


@pytest.mark.parametrize("scores", [np.empty((0, 2)), np.array([[4.0, 4], [4, 4]]), np.array([[1.0, np.nan], [np.nan, 5]])])
def test_where_nothing_differs_or_nothing_is_there_alpha_does_not_exist(scores):
    assert np.isnan(krippendorff_alpha(scores))


def test_alpha_does_not_hang_on_the_order_of_units_and_judges_or_on_the_zero():
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(30, 3))
    alpha = krippendorff_alpha(scores)
    assert krippendorff_alpha(1e9 + 7 * scores[::-1, ::-1]) == pytest.approx(alpha, abs=1e-6)
