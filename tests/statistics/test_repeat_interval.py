"""Interval B: against leaving out every single rating by hand, its special cases, and the range on the paper's ratings."""

import numpy as np
import pytest

from building import SCALE, counts_of, random_counts
from paper import needs_data, paper_counts
from persona_collapse.statistics import repeat_interval
from persona_collapse.statistics.recommended_estimators import METRICS, leave_one_out
from persona_collapse.study.scopes import scope_matrix

SIX = np.array([[1, 1, 0]] * 3 + [[1, 0, 1]] * 3) / [6, 3, 3]  # six items; all of them, the first three, the last three


def drawn(counts, base=None, **more):
    run = leave_one_out(counts, SCALE, SIX, base=base, **more)
    return repeat_interval.redrawn(run)


def by_hand(counts, base):
    """Variance of the logarithm of every metric, from metrics computed anew without one rating of one cell."""
    total = np.zeros((len(METRICS), SIX.shape[1]))
    for source in (counts, base):
        # The base's ratings move nothing but fidelity: the other metrics do not look at them.
        for cell in np.ndindex(counts.shape[:2]):
            seen, n = np.flatnonzero(source[cell]), source[cell].sum()
            if len(seen) < 2:
                continue
            found = []
            for k in seen:
                source[(*cell, k)] -= 1
                found.append(np.log(leave_one_out(counts, SCALE, SIX, base=base).full))
                source[(*cell, k)] += 1
            share = (source[cell][seen] / n)[:, None, None]
            total += (n - 1) * (share * (found - (share * found).sum(axis=0)) ** 2).sum(axis=0)
    return total


def test_variance_is_that_of_leaving_out_one_rating_at_a_time():
    """To 3 % of the SE: the formulae are first-order, and the mean over personas stays where it is."""
    rng = np.random.default_rng(1)
    counts, base = (random_counts(rng, personas=40, repetitions=6) for _ in range(2))
    base[::2] = counts[::2]  # so that there is a pattern to be faithful to
    found = np.sqrt(drawn(counts, base).variance)
    assert found == pytest.approx(np.sqrt(by_hand(counts, base)), rel=0.03)


def test_two_ratings_in_one_noisy_cell_by_hand():
    # cells: {1, 3} with v = 2 and four constant ones; one item, so W = 2/5 and within_rms = sqrt(2/5)
    # n = 2: Var(v) = v^2 = 4, so Var(W) = 4/25 and Var(log within_rms) = 4/25 / (2 * 2/5)^2 = 1/4
    # SD: Var = v / 25 = 2/25, within_sd = sqrt(2)/5, so Var(log) = (2/25) / (2/25) = 1
    counts = counts_of([[[1, 3]], [[2, 2]], [[3, 3]], [[4, 4]], [[5, 5]]])
    run = leave_one_out(counts, SCALE, np.ones((1, 1)))
    run.varying[:] = 5  # so that the rule for few varying personas does not speak first
    found = repeat_interval.redrawn(run)
    assert found.variance[METRICS.index("within_rms")] == pytest.approx([1 / 4])
    assert found.variance[METRICS.index("within_sd")] == pytest.approx([1])


def test_limits_of_each_kind():
    run = drawn(random_counts(np.random.default_rng(2)))
    found = repeat_interval.level(run)
    s, r, icc = (found.of(metric) for metric in ("susceptibility", "robustness", "icc"))
    assert s.hi - s.value == pytest.approx(1.96 * s.se)
    assert 1 / r.lo == pytest.approx(found.of("within_rms").hi)  # robustness by its inverse
    assert np.log(icc.hi / (1 - icc.hi)) + np.log(icc.lo / (1 - icc.lo)) == pytest.approx(2 * np.log(icc.value / (1 - icc.value)))


def test_contrasts_add_the_variances_of_their_runs():
    one, other = (drawn(random_counts(np.random.default_rng(seed))) for seed in (3, 4))
    found = repeat_interval.change(one, other)
    assert np.log1p(found.hi / 100) - np.log1p(found.value / 100) == pytest.approx(1.96 * np.sqrt(one.variance + other.variance))
    # base twice over: harmful - control = X_1 - X_0 and the base is X_0 again, drawn independently
    excess = repeat_interval.excess(one, other, other)
    ratio = one.value / other.value
    expected = 100 * np.sqrt(ratio**2 * one.variance + other.variance + (ratio - 1) ** 2 * other.variance)
    assert excess.se == pytest.approx(expected)
    assert repeat_interval.mean_excess([(one, other, other)] * 4).se == pytest.approx(expected / 2)
    assert repeat_interval.mean_change([(one, other)] * 4).se == pytest.approx(found.se / 2)


def test_it_is_the_spread_over_repetitions_of_the_same_requests():
    """300 times ten ratings of the same cells, so that spreads are known to 4 %: the SE is right, or up to a quarter too large.

    The jackknife of a variance is too large, the more so the fewer ratings a cell has.
    """
    rng = np.random.default_rng(5)
    probabilities = (random_counts(rng, personas=60, repetitions=8) + 0.05) / 8.3
    again = [drawn(rng.multinomial(10, probabilities)) for _ in range(300)]
    spread = np.std([np.log(run.value) for run in again], axis=0)
    typical = np.sqrt(np.mean([run.variance for run in again], axis=0))
    rows = [row for row, metric in enumerate(METRICS) if metric != "fidelity"]
    ratio = typical[rows] / spread[rows]
    assert (ratio.min() > 0.92, ratio.max() < 1.25) == (True, True)


def test_an_item_on_which_personas_hardly_differ_does_not_blow_it_up():
    """With noise alone the debiased variance of an item is 0 give or take, where the slope of its root has no limit."""
    rng = np.random.default_rng(10)
    probabilities = (random_counts(rng, personas=60, repetitions=8) + 0.05) / 8.3
    probabilities[:, 0] = np.full(6, 1 / 6)
    again = [drawn(rng.multinomial(10, probabilities)) for _ in range(200)]
    row = METRICS.index("susceptibility")
    spread = np.std([np.log(run.value[row]) for run in again], axis=0)
    typical = np.sqrt([run.variance[row] for run in again])
    assert typical.max() < 2 * spread[1]
    assert np.median(typical, axis=0) == pytest.approx(spread, rel=0.25)


def test_without_repetitions_there_is_none():
    counts = random_counts(np.random.default_rng(6), repetitions=1)
    assert np.isnan(drawn(counts).variance).all()


def test_known_distributions_reproduce_exactly():
    rng = np.random.default_rng(7)
    run = drawn(rng.dirichlet(np.ones(6), size=(20, 6)), exact=True)
    assert (run.variance == 0).all()


def test_few_varying_personas_have_none_for_the_noise():
    counts = random_counts(np.random.default_rng(8), repetitions=1) * 5
    counts[:4, 0] = [2, 3, 0, 0, 0, 0]
    found = drawn(counts)
    assert np.isnan(found.variance[METRICS.index("within_rms")]).all()
    assert np.isfinite(found.variance[METRICS.index("susceptibility")]).all()


def test_the_sentence_names_what_the_interval_is_for():
    assert repeat_interval.sentence(100, 30, (9, 10)).endswith("the same 100 personas and 30 items (n = 9-10 ratings a cell).")
    assert "(n = 10 ratings a cell)" in repeat_interval.sentence(100, 30, (10, 10))


@needs_data
@pytest.mark.parametrize(
    ("metric", "least", "most"),
    [
        ("susceptibility", 0.11, 0.66),
        ("susceptibility_pooled", 0.10, 0.63),
        ("within_sd", 1.2, 2.8),
        ("within_rms", 0.8, 1.8),
    ],
)
def test_range_of_the_standard_error_over_the_papers_runs(mfq30, metric, least, most):
    """In percent of the value, overall."""
    scope, found = scope_matrix(mfq30), []
    for (_, variant), counts in paper_counts().items():
        if variant != "base-tinker":
            run = repeat_interval.redrawn(leave_one_out(counts, SCALE, scope))
            found.append(100 * np.sqrt(run.variance[METRICS.index(metric), 0]))
    assert (min(found), max(found)) == pytest.approx((least, most), abs=0.006 if least < 0.5 else 0.05)


@pytest.mark.filterwarnings("error")
def test_where_a_limit_does_not_exist_there_is_no_interval():
    one = (1, 1)
    steady = repeat_interval.Redrawn(np.full(one, np.inf), np.full(one, np.nan))  # R of a base that never varies
    plain, wild = (repeat_interval.Redrawn(np.full(one, 2.0), np.full(one, variance)) for variance in (0.01, 1e6))
    for found in (
        repeat_interval.change(plain, steady), repeat_interval.change(wild, plain), repeat_interval.mean_change([(plain, plain), (steady, plain)]),
        repeat_interval.mean_excess([(steady, plain, plain), (plain, steady, plain)]),
    ):  # fmt: skip
        assert np.isnan([found.se, found.lo, found.hi]).all()
    assert np.isfinite([field for field in repeat_interval.change(plain, plain)]).all()
