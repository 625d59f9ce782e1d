"""What stands in place of an interval when ratings hardly vary."""

from math import log, sqrt

import numpy as np
import pytest

from building import SCALE
from persona_collapse.statistics import noise_bounds
from persona_collapse.statistics.recommended_estimators import leave_one_out

ALL = np.full((30, 1), 1 / 30)


def constant(personas=100, repetitions=10, items=30):
    counts = np.zeros((personas, items, 6), int)
    counts[np.arange(personas)[:, None], np.arange(items), np.random.default_rng(1).integers(0, 6, (personas, items))] = (
        repetitions
    )
    return counts


def slips(counts, cells, step):
    """One rating of each of so many cells, of different personas, moved by `step`."""
    for p in range(cells):
        k = int(counts[p, 0].argmax())
        counts[p, 0, k] -= 1
        counts[p, 0, k + step if k + step < 6 else k - step] += 1
    return counts


def test_no_variation_bounds_robustness_instead_of_making_it_infinite():
    (found,) = noise_bounds.noise_bounds(constant(), SCALE, ALL)
    assert (found.off, found.ratings, found.step) == (0, 30_000, 1)
    # -ln(.05) / 30000 = 3.0 / 30000 = 1e-4, so within_rms <= .01 and R >= 100; with steps of 5 R >= 20
    assert found.off_share == pytest.approx(-log(0.05) / 30_000)
    assert (found.robustness_at_least, found.assumption_free) == pytest.approx((100, 20), rel=0.001)
    # published: at most 3 ratings off, each an SD of 1/sqrt(10) in one of 3000 cells: 3.16e-4, R >= 3162
    assert 1 / found.within_sd_at_most == pytest.approx(3162, rel=0.002)
    # up to 3 % of other personas may be noisy: 1 / (sqrt(.03) 2.5) = 2.3
    assert found.others_robustness_at_least == pytest.approx(2.31, abs=0.01)
    assert found.note.startswith("No rating varies in 30000 ratings; no interval, but a bound: robustness is at least 100 ")


def test_the_noisiest_cell_is_half_the_scale_wide():
    """On a scale of 1 to 7 no cell has an SD above 3: 1 / (sqrt(.03) 3) = 1.9 in place of 2.3."""
    wider = np.pad(constant(), ((0, 0), (0, 0), (0, 1)))
    (found,) = noise_bounds.noise_bounds(wider, range(1, 8), ALL)
    assert found.others_robustness_at_least == pytest.approx(2.31 * 2.5 / 3, abs=0.01)


@pytest.mark.parametrize(("varying", "bounded"), [(1, True), (4, True), (5, False)])
def test_a_bound_stands_where_fewer_than_five_personas_vary(varying, bounded):
    (found,) = noise_bounds.noise_bounds(slips(constant(), varying, 1), SCALE, ALL)
    assert (found is not None) == bounded


def test_the_step_is_the_largest_seen():
    (found,) = noise_bounds.noise_bounds(slips(slips(constant(), 3, 1), 1, 2), SCALE, ALL)
    assert (found.off, found.step) == (4, 2)  # persona 0 slipped twice, once by 1 and once by 2
    assert found.within_rms_at_most == pytest.approx(found.step * sqrt(found.off_share))


@pytest.mark.parametrize("step", [1, 3])
def test_the_bound_lies_above_what_was_found(step):
    counts = slips(constant(), 4, step)
    (found,) = noise_bounds.noise_bounds(counts, SCALE, ALL)
    level = leave_one_out(counts, SCALE, ALL)
    assert level.of("within_rms")[0, 0] < found.within_rms_at_most
    assert level.of("within_sd")[0, 0] < found.within_sd_at_most
    assert "Only 4 of 100 personas vary at all (4 ratings off)" in found.note


@pytest.mark.parametrize(("events", "limit"), [(0, 2.996), (1, 4.744), (2, 6.296)])
def test_limits_of_rare_events(events, limit):
    """Upper 95 % limits of a Poisson mean, from tables."""
    assert 1000 * noise_bounds.limit(events, 1000) == pytest.approx(limit, abs=1e-3)


def test_no_probability_is_above_one():
    """3.0 / 2 ratings, and 6.3 / 4: the limit says nothing."""
    assert noise_bounds.limit(0, 2) == noise_bounds.limit(2, 4) == 1


def test_one_rating_a_cell_bounds_nothing():
    """A single rating is always its cell's most frequent: "robustness is at least ..." would be made of nothing."""
    assert noise_bounds.noise_bounds(constant(repetitions=1), SCALE, ALL) == [None]


def test_single_ratings_among_others_are_not_counted():
    """Half of the cells have ten ratings, the others one: N is 50 x 30 x 10, and 50 personas say something about others."""
    counts = constant()
    counts[50:] //= 10
    (found,) = noise_bounds.noise_bounds(counts, SCALE, ALL)
    (half,) = noise_bounds.noise_bounds(counts[:50], SCALE, ALL)
    assert (found.off, found.ratings) == (0, 15_000)
    assert found.robustness_at_least == half.robustness_at_least
    assert found.others_robustness_at_least == half.others_robustness_at_least
    # published within_sd counts single ratings as 0: the mean is over twice as many cells
    assert found.within_sd_at_most == pytest.approx(half.within_sd_at_most / 2)


@pytest.mark.parametrize(("personas", "said"), [(0, False), (1, True), (4, True), (5, False)])
def test_fewer_than_five_personas_are_too_few_and_nobody_says_that_they_hardly_vary(personas, said):
    assert noise_bounds.too_few(personas) == (
        f"Too few personas: {personas} of at least 5 that an interval of noise needs." if said else ""
    )
    if said:
        assert noise_bounds.noise_bounds(constant(personas), SCALE, ALL) == [None]


def test_the_bound_grows_with_what_was_seen_and_shrinks_with_more_ratings():
    found = [noise_bounds.limit(k, n) for k, n in ((0, 1000), (1, 1000), (5, 1000), (5, 2000))]
    assert found[0] < found[1] < found[2] > found[3]
    few, many = (noise_bounds.noise_bounds(constant(repetitions=n), SCALE, ALL)[0] for n in (5, 10))
    assert few.robustness_at_least < many.robustness_at_least


def test_it_holds_in_ninety_five_of_a_hundred_runs():
    """One cell of 300 slips with a probability that makes 3.0 slips likely: none is seen in 5 %, and the bound is then exact."""
    rng = np.random.default_rng(2)
    probability = 0.03  # ten ratings in each of ten noisy cells among 300: on average 3 slips of 3000
    slipped = rng.binomial(10, probability, size=(4000, 10)).sum(axis=1)
    held = [noise_bounds.limit(int(k), 3000) >= probability * 10 / 300 for k in slipped]
    assert 0.94 < np.mean(held) < 0.97


def test_a_change_against_such_a_base_is_one_sided():
    (bound,) = noise_bounds.noise_bounds(constant(), SCALE, ALL)
    # within_rms of the variant at least .05, of the base at most .01
    assert noise_bounds.change_at_least(0.05, bound) == pytest.approx(400, rel=0.01)
    assert noise_bounds.change_sentence(400.2).startswith("Noise rises by at least 400 %")
    assert noise_bounds.change_sentence(-10).startswith("No lower limit above zero")


def test_each_scope_has_its_own():
    scope = np.zeros((30, 2))
    scope[:, 0], scope[15:, 1] = 1 / 30, 1 / 15
    overall, part = noise_bounds.noise_bounds(slips(constant(), 5, 1), SCALE, scope)
    assert overall is None
    assert (part.off, part.ratings) == (0, 15_000)
