"""Profiles, shares and distances by hand."""

import numpy as np
import pandas as pd
import pytest

from building import counts_of
from persona_collapse.study.instrument import Instrument, Item
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
