"""How far missing ratings could move S, noise and the mean: by hand, against trying every filling, and its properties."""

from itertools import combinations_with_replacement, product

import numpy as np
import pytest

from building import SCALE, counts_of, random_counts
from persona_collapse.statistics.missing_bounds import Bounds, missing_bounds
from persona_collapse.statistics.recommended_estimators import leave_one_out


def levels(counts, points):
    """Mean, S and within_rms of full counts."""
    found = leave_one_out(counts, points, np.full((counts.shape[1], 1), 1 / counts.shape[1]))
    mean = (counts @ np.asarray(points) / counts.sum(axis=-1)).mean()
    return mean, found.of("susceptibility")[0, 0], found.of("within_rms")[0, 0]


def lacking(rng, counts, share):
    """The same counts without about so many of their ratings."""
    return rng.binomial(counts, 1 - share)


def test_one_missing_rating_by_hand():
    """Two personas, one item, two slots: 4, 4 and 1 with one empty slot, on 0-5.

    Mean: (4 + .5) / 2 with 0, (4 + 3) / 2 with 5. Noise: with 1 nothing varies; with 5 v = 8, W = (0 + 8) / 2. S: m is 4 and
    (1 + x) / 2, V = (4 - m)^2 / 2, u = (1 - x)^2 / 4, t2 = V - u / 2: x = 0: 49/8 - 1/8 = 6; 1: 36/8 = 4.5; 2: 25/8 - 1/8 = 3;
    3: 2 - 1/2 = 1.5; 4: 9/8 - 9/8 = 0; 5: 1/2 - 2 = -1.5, which is S = 0.
    """
    found = missing_bounds(counts_of([[[4, 4]], [[1]]]), SCALE, 2)
    assert (found.missing, found.slots) == (1, 4)
    assert found.mean == pytest.approx((2.25, 3.5))
    assert found.within_rms == pytest.approx((0, 2))
    assert found.susceptibility == pytest.approx((0, np.sqrt(6)))


def test_an_empty_cell_may_be_anything():
    """Two personas, one item: 2, 2 and nothing. S is 2.12 = |2 - 5| / sqrt(2) with 5, 5; noise sqrt(12.5 / 2) with 0, 5."""
    found = missing_bounds(counts_of([[[2, 2]], [[]]]), SCALE, 2)
    assert found.susceptibility == pytest.approx((0, 3 / np.sqrt(2))) and found.within_rms == pytest.approx(
        (0, np.sqrt(12.5 / 2))
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_bounds_are_those_of_all_fillings(seed):
    """Four personas, one item, three slots on 1-4, up to six of them empty: every filling is tried."""
    rng, points = np.random.default_rng(seed), range(1, 5)
    full = rng.multinomial(3, [0.25] * 4, size=(4, 1))
    counts = lacking(rng, full, 0.35)
    while not 1 <= (empty := 3 - counts.sum(axis=-1)).sum() <= 6:
        counts = lacking(rng, full, 0.35)
    ways = [
        [cell + np.bincount(np.array(filling, dtype=int), minlength=4) for filling in combinations_with_replacement(range(4), m)]
        for cell, m in zip(counts[:, 0], empty[:, 0], strict=True)
    ]
    every = np.array([levels(np.array(cells)[:, None], points) for cells in product(*ways)])
    found = missing_bounds(counts, points, 3)
    for bounds, tried in zip((found.mean, found.susceptibility, found.within_rms), every.T, strict=True):
        assert bounds == pytest.approx((tried.min(), tried.max()), abs=1e-6)


def test_what_was_lost_lies_inside_and_nothing_lost_moves_nothing():
    rng = np.random.default_rng(1)
    full = random_counts(rng)
    true = levels(full, SCALE)
    found = missing_bounds(lacking(rng, full, 0.1), SCALE, 5)
    for bounds, value in zip((found.mean, found.susceptibility, found.within_rms), true, strict=True):
        assert bounds.least < value < bounds.most
    whole = missing_bounds(full, SCALE, 5)
    assert whole.missing == 0
    for bounds, value in zip((whole.mean, whole.susceptibility, whole.within_rms), true, strict=True):
        assert bounds == pytest.approx((value, value))


def test_more_missing_ratings_widen_and_the_end_of_the_scale_does_not_matter():
    rng = np.random.default_rng(2)
    some = lacking(rng, random_counts(rng), 0.1)
    more = lacking(rng, some, 0.1)
    few, many, turned = (missing_bounds(one, SCALE, 5) for one in (some, more, some[..., ::-1]))
    for bounds, wider in ((few.susceptibility, many.susceptibility), (few.within_rms, many.within_rms)):
        assert wider.least < bounds.least < bounds.most < wider.most
    assert turned.susceptibility == pytest.approx(few.susceptibility) and turned.within_rms == pytest.approx(few.within_rms)
    assert turned.mean == pytest.approx((5 - few.mean.most, 5 - few.mean.least))


def test_one_slot_leaves_only_the_mean():
    found = missing_bounds(counts_of([[[4]], [[]]]), SCALE, 1)
    assert found.mean == Bounds(2, 4.5) and np.isnan([*found.susceptibility, *found.within_rms]).all()
