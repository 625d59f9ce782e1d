"""Persona variance, pooled S and ICC that exist at zero, and what is said of the personas."""

import numpy as np
import pytest

from building import SCALE, counts_of, random_counts
from persona_collapse.statistics import persona_jackknife
from persona_collapse.statistics.presence import (
    GONE,
    NOTHING,
    TOLD_APART,
    UNKNOWN,
    Limits,
    Presence,
    change,
    presence,
    variances,
    verdict,
)
from persona_collapse.statistics.recommended_estimators import leave_one_out


def run_of(counts, categories=SCALE):
    items = counts.shape[1]
    return leave_one_out(counts, categories, np.full((items, 1), 1 / items))


STEADY = [[[0, 0]], [[1, 1]], [[2, 2]]]


def test_three_steady_personas_by_hand():
    found = presence(run_of(counts_of(STEADY)))
    # Means 0, 1, 2: V = 1, no noise. Without a persona .5, 2, .5, mean 1: centre 3 - 2 = 1, SE^2 = 2/3 (.25 + 1 + .25) = 1.
    # t(2, .975) = 4.30265, so 1 -+ 4.30265; the root of what lies above 0.
    assert found.variance == pytest.approx((1, -3.30265, 5.30265), abs=1e-5)
    assert found.pooled == pytest.approx((1, 0, np.sqrt(5.30265)), abs=1e-5)
    assert found.icc == pytest.approx((1, 1, 1))


def test_personas_alike_have_a_variance_below_zero_with_an_interval():
    found = presence(run_of(counts_of([[[0, 2]], [[0, 2]], [[0, 2]]])))
    # Means 1, 1, 1: V = 0; v = 2, u = 1: theta = -1, whoever is left out; theta / (theta + W) = -1 / (-1 + 2).
    assert found.variance == pytest.approx((-1, -1, -1))
    assert found.pooled == (0, 0, 0)
    assert found.icc == pytest.approx((-1, -1, -1))


def test_the_point_of_the_null_limits_pooled_s_where_the_interval_lies_below_it():
    run = run_of(counts_of(STEADY))
    assert presence(run, null_95=9).pooled.hi == 3
    assert presence(run, null_95=4).pooled.hi == pytest.approx(np.sqrt(5.30265), abs=1e-5)


def test_one_rating_a_cell_and_no_personas_have_no_presence():
    single = presence(run_of(counts_of([[[0]], [[1]], [[2]]])))
    assert np.isnan([*single.variance, *single.pooled, *single.icc]).all()
    assert presence(run_of(counts_of(STEADY)[:0])) == (NOTHING, NOTHING, NOTHING)


def test_two_personas_have_a_value_and_no_interval():
    found = presence(run_of(counts_of(STEADY)[:2])).variance
    assert found.value == 0.5  # means 0 and 1
    assert np.isnan([found.lo, found.hi]).all()


def test_order_of_personas_and_where_the_scale_begins_change_nothing():
    counts = random_counts(np.random.default_rng(3))
    expected = presence(run_of(counts))
    for other in (presence(run_of(counts[::-1])), presence(run_of(counts, range(1, 7)))):
        np.testing.assert_allclose(np.concatenate(other), np.concatenate(expected), rtol=1e-12)


def test_the_interval_holds_a_true_zero_in_about_95_percent():
    """200 runs of 25 personas who all answer alike: binomial, SE 1.5 points."""
    rng = np.random.default_rng(0)
    share, held = [0.1, 0.2, 0.4, 0.2, 0.05, 0.05], 0
    values = []
    for _ in range(200):
        found = presence(run_of(rng.multinomial(4, share, size=(25, 5)))).variance
        held += found.lo <= 0 <= found.hi
        values.append(found.value)
    assert 180 <= held <= 199
    # v = 1.33 and u = .33: an item's theta has an SD of about .33 sqrt(2/24), the mean of 1000 of them one of .003
    assert np.mean(values) == pytest.approx(0, abs=0.01)


# --- changes ---------------------------------------------------------------------------------------------------------


def test_a_run_against_itself_and_against_one_of_half_its_steps():
    # On 0, 2, 4 all variances are four times those on 0, 1, 2, without whomever: S doubles, exactly.
    half, full = (
        run_of(counts_of([[[k * p, k * p], [k * q, k * q]] for p, q in ((0, 1), (1, 2), (2, 0), (2, 2), (0, 0), (1, 1))]))
        for k in (1, 2)
    )
    # t(5) SE of theta is below theta here, so that there is a ratio
    assert change(half, half) == pytest.approx((0, 0, 0), abs=1e-4)
    assert change(full, half) == pytest.approx((100, 100, 100), abs=1e-4)


def test_fiellers_limits_are_the_ratios_that_can_just_not_be_told():
    """At a limit r, the interval of theta - r theta_base by interval A begins or ends at 0."""
    rng = np.random.default_rng(5)
    one, base = run_of(random_counts(rng)), run_of(random_counts(rng))
    found = change(one, base)
    assert found.lo < found.value < found.hi
    for limit, end in ((found.lo, 0), (found.hi, 1)):
        z = variances(one) - (1 + limit / 100) ** 2 * variances(base)
        assert persona_jackknife.limits(persona_jackknife.estimate(z[:, None]))[end] == pytest.approx(0, abs=1e-9)


def test_without_a_persona_effect_the_change_is_near_minus_100_percent_and_the_logarithm_of_contrasts_has_none():
    rng = np.random.default_rng(1)
    gone = run_of(rng.multinomial(5, [0.2, 0.3, 0.3, 0.2, 0, 0], size=(20, 6)))
    found = change(gone, run_of(random_counts(rng)))
    assert found.lo == -100
    assert -100 <= found.value < found.hi < -50


def test_a_base_whose_own_interval_holds_zero_gives_no_ratio():
    rng = np.random.default_rng(2)
    gone, there = run_of(rng.multinomial(5, [0.5, 0.5, 0, 0, 0, 0], size=(20, 6))), run_of(random_counts(rng))
    assert presence(gone).variance.lo <= 0
    assert np.isnan(change(there, gone)[1:]).all()


# --- what is said ----------------------------------------------------------------------------------------------------


def of(lo, upper):
    return Presence(Limits(0.5, lo, 0.9), Limits(0.7, 0, upper), NOTHING)


@pytest.mark.parametrize(
    ("lo", "upper", "p", "half", "expected"),
    [
        (0.1, 0.3, 0.5, 0.5, TOLD_APART),  # by its interval
        (-0.1, 0.3, 0.05, 0.5, TOLD_APART),  # by the permutation test
        (-0.1, 0.49, 0.06, 0.5, GONE),  # below half of a base of 1
        (-0.1, 0.5, 0.06, 0.5, UNKNOWN),  # not being significant is not enough
        (-0.1, 0.5, 0.06, 0.6, GONE),
        (-0.1, 0.49, np.nan, 0.5, GONE),  # exact probabilities have no test
        (np.nan, np.nan, np.nan, 0.5, UNKNOWN),
    ],
)
def test_gone_needs_an_upper_limit_and_not_only_a_large_p(lo, upper, p, half, expected):
    assert verdict(of(lo, upper), p, 1, half) == expected


def test_without_a_base_to_compare_with_nothing_is_gone():
    assert verdict(of(-0.1, 0.1), 0.5, np.nan) == UNKNOWN
