"""Profiles, shares and distances by hand."""

import numpy as np
import pandas as pd
import pytest

from building import counts_of
from persona_collapse.statistics.drift import drift
from persona_collapse.statistics.published_estimators import Moments, moments
from persona_collapse.study.instrument import Instrument, Item
from persona_collapse.study.scopes import scope_matrix
from persona_collapse.tables import saturation

TWO = Instrument(
    key="two",
    title="Two foundations of two items",
    about={},
    scale=(0, 5),
    templates={"x": "{text}"},
    persona_template="{persona} {item}",
    items=(Item(1, "x", "A", "a"), Item(2, "x", "B", "b"), Item(3, "x", "A", "c"), Item(4, "x", "B", "d")),
)


def test_profile_is_the_mean_of_item_means_and_of_item_sds():
    # A: items 1 {4, 4} and 3 {1, 3}: means 4 and 2 -> 3; SDs 0 and sqrt2 -> sqrt2 / 2.  B: {5, 5}, {0, 0} -> 2.5, 0.
    found = saturation.profile(counts_of([[[4, 4], [5, 5], [1, 3], [0, 0]]]), TWO).set_index("foundation")
    assert found.loc["A", "mean"] == pytest.approx(3)
    assert found.loc["A", "within_sd"] == pytest.approx(np.sqrt(2) / 2)
    assert (found.loc["B", "mean"], found.loc["B", "within_sd"], found.loc["B", "ratings"]) == (2.5, 0, 4)


def test_unequal_repetitions_weigh_items_equally():
    # A: item 1 five times 5, item 3 once 1 -> (5 + 1) / 2, not 26 / 6.
    found = saturation.profile(counts_of([[[5] * 5, [], [1], []]]), TWO).set_index("foundation")
    assert found.loc["A", "mean"] == 3
    assert np.isnan(found.loc["B", "mean"])


def test_between_sd_is_over_personas():
    rows = saturation.profiles(counts_of([[[1], [2], [1], [2]], [[3], [2], [3], [2]]]), TWO, each=True)
    mean = rows[rows["persona"].isna()].set_index("foundation")
    assert len(rows) == 6
    # foundation A: persona means 1 and 3 -> mean 2, SD sqrt2
    assert (mean.loc["A", "mean"], mean.loc["A", "between_sd"]) == (2, pytest.approx(np.sqrt(2)))
    assert mean.loc["B", "between_sd"] == 0
    assert rows[rows["persona"].notna()]["between_sd"].isna().all()


def test_shares_add_up_to_one():
    share = saturation.shares(counts_of([[[0, 5], [5, 5], [2, 2], [3, 3]]]))
    assert share == pytest.approx([1 / 8, 0, 2 / 8, 2 / 8, 0, 3 / 8])


def test_shares_of_no_ratings_are_missing():
    assert np.isnan(saturation.shares(np.zeros((2, 4, 6), int))).all()


def test_distance_is_a_root_mean_square():
    assert saturation.distance([0, 0], [3, 4]) == pytest.approx(np.sqrt(12.5))
    assert saturation.distance([1, 2], [1, 2]) == 0


def test_profiles_do_not_depend_on_the_order_of_personas():
    counts = counts_of([[[1], [2], [1], [2]], [[3], [2], [3], [2]], [[5], [0], [4], [1]]])
    one, other = (saturation.profiles(c, TWO, each=False) for c in (counts, counts[::-1]))
    pd.testing.assert_frame_equal(one, other)


# --- drift to the ceiling --------------------------------------------------------------------------------------------


def moments_of(ratings):
    """Ratings (item, repetition) of one respondent."""
    return Moments(*(field[0] for field in moments(counts_of([ratings]), range(6))))


GROUPS = scope_matrix(TWO)[:, 1:]


def test_drift_is_the_change_of_the_distance_with_the_noise_of_its_slopes():
    """Base means A 2, 2 and B 2, 2: distance 3. Variant A 4, 4, B 4, 4: distance 1; change -2. Each of 4 items moves the
    distance by -below / (2 D) / 2 = -1/4; variances of the variant's items (3, 5) and the base's (1, 3): 2, n = 2, so u = 1
    each: SE^2 = 8 / 16 = 0.5; df = 8."""
    found = drift(moments_of([[3, 5]] * 4), moments_of([[1, 3]] * 4), GROUPS, 5)
    assert found.value == pytest.approx(-2)
    reach = 2.306004 * np.sqrt(0.5)
    assert (found.lo, found.hi) == pytest.approx((-2 - reach, -2 + reach), rel=1e-6)
    assert (found.lo_items, found.hi_items) == pytest.approx((-2, -2))  # all items move alike


def test_drift_of_other_items_is_wider_where_items_move_unlike():
    found = drift(moments_of([[5, 5], [4, 4], [3, 3], [2, 2]]), moments_of([[2, 2]] * 4), GROUPS, 5)
    assert found.lo == found.hi == pytest.approx(found.value)  # no rating varies
    assert found.lo_items < found.value < found.hi_items


def test_drift_has_no_interval_from_single_ratings_and_no_value_without_an_item():
    single = drift(moments_of([[4]] * 4), moments_of([[2]] * 4), GROUPS, 5)
    assert single.value == pytest.approx(-2) and np.isnan([single.lo, single.hi]).all() and np.isfinite(single.hi_items)
    assert np.isnan(drift(moments_of([[4, 4], [], [4, 4], [4, 4]]), moments_of([[2, 2]] * 4), GROUPS, 5)).all()


def test_drift_of_the_same_answers_is_none():
    one = moments_of([[1, 3], [2, 5], [0, 4], [3, 3]])
    assert drift(one, one, GROUPS, 5).value == 0
    assert drift(one, one, GROUPS, 5, exact=True)[:3] == (0, 0, 0)


def test_drift_covers_the_truth_at_nearly_its_level():
    """400 draws of five ratings an item; the true distances are those of the means 4 and 3 of two binomials: 1 and 2."""
    rng, inside = np.random.default_rng(3), 0
    for _ in range(400):
        sides = [moments_of(rng.binomial(5, p, (4, 5)).tolist()) for p in (0.8, 0.6)]
        found = drift(*sides, GROUPS, 5)
        inside += found.lo <= -1 <= found.hi
    assert 0.91 <= inside / 400 <= 0.985
