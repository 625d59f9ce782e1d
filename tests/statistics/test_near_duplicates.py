"""Personas that are nearly the same one twice are found, by profiles and by words."""

import numpy as np
import pytest

from building import SCALE, counts_of, random_counts
from paper import FAMILIES, needs_data, paper_counts
from persona_collapse.statistics.near_duplicates import alike_profiles, alike_texts


def test_a_copy_is_found_and_nobody_else():
    counts = random_counts(np.random.default_rng(1), 20, items=30)
    assert alike_profiles(counts, SCALE) == []
    counts[17] = counts[3]
    (found,) = alike_profiles(counts, SCALE)
    assert (found.one, found.other, found.correlation) == (3, 17, pytest.approx(1))


def test_profiles_are_centred_by_item_and_correlated_by_hand():
    # Cell means less item means (2, 2, 3): -2 1 1; 0 1 1; 2 -2 -2. Less their own means 0, 2/3, -2/3: -2 1 1; -2/3 1/3 1/3;
    # 8/3 -4/3 -4/3: the first two correlate 1, the third with either -1.
    counts = counts_of([[[0], [3], [4]], [[2], [3], [4]], [[4], [0], [1]]])
    assert [(near.one, near.other) for near in alike_profiles(counts, SCALE)] == [(0, 1)]


def test_items_that_all_rate_alike_make_nobody_alike():
    """Means of items from 0 to 5 are common to all: raw answers correlate by .9, profiles do not."""
    rng, mean = np.random.default_rng(2), np.repeat([0, 5], 15)
    ratings = np.clip(mean + rng.integers(-1, 2, (12, 30)), 0, 5)
    counts = np.eye(6, dtype=int)[ratings]
    assert np.corrcoef(ratings)[0, 1] > 0.9
    assert alike_profiles(counts, SCALE) == []


def test_those_without_a_profile_are_like_nobody():
    counts = random_counts(np.random.default_rng(3), 6)
    counts[1] = counts[2]
    counts[4, 0] = 0  # a cell without a rating
    flat = np.tile(np.eye(6, dtype=int)[2], (6, 6, 1))
    assert [(near.one, near.other) for near in alike_profiles(counts, SCALE)] == [(1, 2)]
    assert alike_profiles(flat, SCALE) == [] == alike_profiles(counts[:2], SCALE)


def test_texts_are_alike_but_for_case_space_punctuation_and_the_form_of_letters():
    texts = ["A baker, 60.", "a  BAKER 60", "A baker, 61.", "!!", "??", "Ｃafé", "CAFÉ!", "A baker (60)"]
    assert [(near.one, near.other) for near in alike_texts(texts)] == [(0, 1), (5, 6), (0, 7)]


@needs_data
def test_few_pairs_of_the_paper_are_flagged():
    counts = paper_counts()
    assert [len(alike_profiles(counts[family, "base"], SCALE)) for family in FAMILIES] == [0, 1, 4, 0]
