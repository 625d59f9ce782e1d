"""Published standard errors: exact parts by hand, agreement with plain resampling, degenerate cases."""

from itertools import product

import numpy as np
import pytest

from building import SCALE, counts_of, random_counts
from persona_collapse.statistics import published_errors, published_estimators
from persona_collapse.statistics.histograms import Recurring

ALL = np.full((2, 1), 0.5)  # two items, one scope


def sd_variance(histogram):
    """Of one cell on the scale 0, 1, 2, ..."""
    points = np.arange(len(histogram), dtype=float)
    return Recurring(np.array([histogram])).each(lambda group: published_errors._sd_variance(group, points))[0]


def test_sd_variance_of_two_different_ratings():
    # Resamples of {0, 2}: 00, 02, 20, 22 -> SDs 0, sqrt2, sqrt2, 0; mean sqrt2/2, variance 1 - 1/2 = 1/2.
    found = sd_variance([1, 0, 1, 0, 0, 0])
    assert found == pytest.approx(0.5)


def test_sd_variance_equals_every_resample_written_out():
    ratings = [0, 1, 1, 3]
    sds = [np.std(draw, ddof=1) for draw in product(ratings, repeat=4)]  # all 256 equally likely resamples
    assert sd_variance([1, 2, 0, 1, 0, 0]) == pytest.approx(np.var(sds))


def test_a_cell_that_never_varies_adds_nothing():
    assert sd_variance([0, 10, 0, 0, 0, 0]) == 0


def test_many_ratings_are_resampled_at_random_near_the_exact_value():
    """100 ratings in 6 categories have 96 million resamples; a two-category cell of 100 is exact and must agree."""
    exact = sd_variance([50, 50])
    drawn = np.random.default_rng(0).binomial(100, 0.5, 200_000)
    sd = np.sqrt(drawn * (100 - drawn) / 100 / 99)
    assert exact == pytest.approx(sd.var(), rel=0.02)
    spread = sd_variance([17, 17, 16, 16, 17, 17])
    assert 0 < spread < 0.05


def plain_bootstrap(counts, draws=3000):
    """The published recipe, draw by draw: persona part and response part added in quadrature."""
    rng = np.random.default_rng(9)
    cells = published_estimators.moments(counts, SCALE)
    sd = published_estimators.cell_sd(cells)
    personas = len(counts)
    persona = []
    for _ in range(draws):
        pick = rng.integers(personas, size=personas)
        persona.append((cells.mean[pick].std(axis=0, ddof=1).mean(), sd[pick].mean()))
    response = []
    for _ in range(draws // 5):
        n = counts.sum(axis=-1)
        again = rng.multinomial(n, counts / n[..., None])
        level = published_estimators.published(again, SCALE, np.full((counts.shape[1], 1), 1 / counts.shape[1]))
        response.append((level.susceptibility[0], level.within_sd[0]))
    return np.hypot(np.std(persona, axis=0, ddof=1), np.std(response, axis=0, ddof=1))


def test_agrees_with_plain_resampling():
    counts = random_counts(np.random.default_rng(6), personas=30)
    se = published_errors.published_se(counts, SCALE, np.full((6, 1), 1 / 6))
    expected_s, expected_sd = plain_bootstrap(counts)
    assert se.susceptibility[0] == pytest.approx(expected_s, rel=0.06)
    assert se.within_sd[0] == pytest.approx(expected_sd, rel=0.06)


def test_se_of_r_is_that_of_within_sd_over_its_square():
    counts = random_counts(np.random.default_rng(7))
    weights = np.full((6, 1), 1 / 6)
    se, level = published_errors.published_se(counts, SCALE, weights), published_estimators.published(counts, SCALE, weights)
    assert se.robustness == pytest.approx(se.within_sd / level.within_sd**2)


def test_the_same_counts_give_the_same_bytes():
    counts = random_counts(np.random.default_rng(8))
    weights = np.full((6, 1), 1 / 6)
    first, second = (published_errors.published_se(counts, SCALE, weights) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


def test_four_times_the_same_personas_halve_the_error():
    counts = random_counts(np.random.default_rng(10), personas=100)
    weights = np.full((6, 1), 1 / 6)
    small, large = (published_errors.published_se(c, SCALE, weights) for c in (counts, np.tile(counts, (4, 1, 1))))
    assert small.susceptibility / large.susceptibility == pytest.approx(2, rel=0.05)
    assert small.within_sd / large.within_sd == pytest.approx(2, rel=0.05)


def test_no_variation_leaves_r_without_an_error():
    se = published_errors.published_se(counts_of([[[1, 1], [2, 2]], [[5, 5], [0, 0]]]), SCALE, ALL)
    assert np.isnan(se.robustness[0])
    assert se.within_sd[0] == 0


@pytest.mark.parametrize("counts", [np.zeros((3, 2, 6), int), counts_of([[[0, 2], [4, 4]]])])
def test_fewer_than_two_personas_have_no_error(counts):
    assert np.isnan(published_errors.published_se(counts, SCALE, ALL)).all()


def test_identical_personas_have_an_s_error_of_zero_from_personas():
    counts = counts_of([[[1, 1], [2, 2]]] * 5)
    assert published_errors.published_se(counts, SCALE, ALL).susceptibility[0] == 0
