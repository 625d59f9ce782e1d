"""Where another fine-tune of the same data would lie: by hand, and how often it does."""

import numpy as np
import pytest
from scipy.stats import t

from frames import answered, ratings_of
from persona_collapse.statistics import persona_jackknife
from persona_collapse.statistics.another_finetune import another, hidden, of_changes
from persona_collapse.tables.run_statistics import Analysis


def test_two_fine_tunes_by_hand():
    """Ratios 1.2 and 1.8: mean log = log 1.469694, variance (log 1.5)^2 / 2 = .0822, t with one degree of freedom 12.7062."""
    found = of_changes(np.log([1.2, 1.8]), 0, 0, 30)
    assert found.value == pytest.approx(46.9694, abs=1e-4)
    assert found.seen == found.between == pytest.approx(33.2026, abs=1e-3) and found.sampling == 0
    # 12.7062 sqrt(.0822 x 1.5) = 4.4617, and 1.469694 e^-+4.4617 = .016964 and 127.33
    assert (found.lo, found.hi) == pytest.approx((-98.3036, 12633), rel=1e-3)


def test_what_ratings_and_personas_bring_about_leaves_the_spread_but_not_the_interval():
    """Of a variance of .0822 among them .05 is sampling: root of .0322 is .17944. The mean has .03, of which .025 is in it."""
    found = of_changes(np.log([1.2, 1.8]), 0.05, 0.03, 30)
    assert found.between == pytest.approx(100 * np.expm1(0.17944), rel=1e-3)
    assert found.sampling == pytest.approx(100 * np.expm1(np.sqrt(0.05)))
    half = np.sqrt(12.7062**2 * 0.0822 * 1.5 + 2.0423**2 * 0.005)
    assert np.log1p(found.hi / 100) - np.log1p(found.value / 100) == pytest.approx(half, rel=1e-4)


def test_no_more_spread_than_sampling_is_none_between():
    found = of_changes(np.array([0.1, 0.2]), 0.05, 0.05, 30)
    assert found.between == 0 and found.seen > 0


@pytest.mark.parametrize("number", [2, 3, 6])
@pytest.mark.parametrize("between", [0, 1, 5])
def test_the_interval_holds_another_fine_tune(number, between):
    """Drawn with a sampling variance of 1 in each and 1 in the base that they share: 95 % or more, up to chance in 4,000 draws."""
    rng = np.random.default_rng(number)
    true = rng.normal(0, between, (4000, number + 1))
    seen = true[:, :number] + rng.normal(0, 1, (4000, number)) - rng.normal(0, 1, (4000, 1))
    held = []
    for own, wanted in zip(0.01 * seen, 0.01 * true[:, -1], strict=True):  # small, so that percent are logarithms
        found = of_changes(own, 1e-4, 1e-4 * (1 / number + 1), 99)
        held.append(np.log1p(found.lo / 100) <= wanted <= np.log1p(found.hi / 100))
    assert np.mean(held) >= 0.94


def test_what_means_by_recipe_hide_by_hand():
    """.1 and .3 by one recipe: variance .02 with one degree of freedom; 12.7062^2 x .02 x (1 - (1/2 + 1) / 2) = .80724."""
    assert hidden(np.array([0.1, 0.8, 0.3]), [[0, 2], [1]]) == pytest.approx(0.80724, rel=1e-4)
    assert hidden(np.array([0.1, 0.8]), [[0], [1]]) == 0
    found = of_changes(np.array([0.2, 0.8]), 0, 0, 30, 0.80724)
    # the variance of .2 and .8 is .18: 161.447 x .18 x 1.5 = 43.5906, with .80724 the square of 6.66316
    assert np.log1p(found.hi / 100) - 0.5 == pytest.approx(6.66316, rel=1e-4)


@pytest.mark.parametrize("sizes", [(5, 1), (2, 2), (3, 3, 3), (8, 1, 1)])
@pytest.mark.parametrize(("between", "within"), [(5, 1), (1, 3), (0, 0)])
def test_the_interval_over_recipes_holds_a_fine_tune_by_another_recipe(sizes, between, within):
    """Drawn as above, with a variance between recipes too; each fine-tune as a draw would hold 62 % of those of (5, 1)."""
    rng, ends = np.random.default_rng(5), np.cumsum(sizes)
    places = [range(end - size, end) for size, end in zip(sizes, ends, strict=True)]
    held = []
    for _ in range(4000):
        changes = np.repeat(rng.normal(0, between, len(sizes)), sizes) + rng.normal(0, np.hypot(within, 1), ends[-1])
        changes = 0.001 * (changes + rng.normal())  # small, so that percent are logarithms; the base is shared
        sampling = 1e-6 * np.mean([1 / size for size in sizes])
        means = np.array([changes[own].mean() for own in map(list, places)])
        found = of_changes(means, sampling, sampling / len(sizes) + 1e-6, 99, hidden(changes, places))
        wanted = 0.001 * rng.normal(0, np.hypot(between, within))
        held.append(np.log1p(found.lo / 100) <= wanted <= np.log1p(found.hi / 100))
    assert np.mean(held) >= 0.94


def test_a_recipe_counts_once():
    """Two copies by one recipe and one by another are two draws: all is as with one of each."""
    counts = sides(base=(1, 0.4), bad=(1.1, 0.6), worse=(1.2, 0.5))
    (bad, worse, again), base = loos(counts | {"again": counts["bad"]})
    found = another([bad, worse, again], base, "susceptibility", ["x", "y", "x"])
    assert found == pytest.approx(another([bad, worse], base, "susceptibility"))
    assert found.value != pytest.approx(another([bad, worse, again], base, "susceptibility").value)
    with pytest.raises(ValueError, match="recipes: found 1; a spread over recipes needs two at least"):
        another([bad, again], base, "susceptibility", ["x", "x"])


def sides(**noise):
    rng = np.random.default_rng(3)
    means = rng.uniform(1, 4, (30, 1)) + rng.uniform(-0.5, 0.5, (30, 6))
    return {key: answered(rng, np.clip(means * scale, 0, 5), noise=spread) for key, (scale, spread) in noise.items()}


def loos(counts):
    analysis = Analysis(ratings_of(counts))
    runs = list(analysis.study.runs)
    base, *tuned = analysis.together(*runs).loo
    return tuned, base


def test_two_copies_differ_in_nothing_and_have_the_interval_of_personas():
    counts = sides(base=(1, 0.4), bad=(1.1, 0.6))
    tuned, base = loos(counts | {"again": counts["bad"]})
    found = another(tuned, base, "susceptibility")
    own = persona_jackknife.change(tuned[0], base).of("susceptibility").at(0)
    assert (found.seen, found.sampling, found.between) == pytest.approx((0, 0, 0), abs=1e-9)
    assert found.value == pytest.approx(own.value)
    se = own.se / (100 + own.value)
    half = t.ppf(0.975, len(base.units) - 1) * se
    assert np.log1p(found.hi / 100) - np.log1p(found.value / 100) == pytest.approx(half)


def test_two_draws_of_one_fine_tune_differ_about_as_far_as_sampling_brings_about():
    """U is about the variance among draws of one model: means over 40 pairs of draws agree within a factor of two."""
    seen, sampling = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        means = rng.uniform(1, 4, (20, 6))
        draws = {key: answered(rng, means, noise=0.6) for key in ("base", "bad", "again")}
        found = another(*loos(draws), "within_rms")
        seen.append(np.log1p(found.seen / 100) ** 2)
        sampling.append(np.log1p(found.sampling / 100) ** 2)
    assert 0.5 < np.mean(seen) / np.mean(sampling) < 2


def test_one_fine_tune_is_refused_and_one_without_an_interval_leaves_nothing():
    counts = sides(base=(1, 0.4), bad=(1.1, 0.6))
    tuned, base = loos(counts)
    with pytest.raises(ValueError, match="finetunes: found 1; a spread needs two at least"):
        another(tuned, base, "susceptibility")
    steady = counts["bad"] * 0
    steady[np.arange(30)[:, None], np.arange(6), 3] = 4  # never varies, and nobody differs from anybody
    tuned, base = loos(counts | {"flat": steady})
    assert np.isnan(another(tuned, base, "within_rms")).all()
