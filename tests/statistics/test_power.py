"""The power of a design: formulas by hand, their limits, and how often simulated studies show what they should."""

from math import inf, log, sqrt

import numpy as np
import pytest
from scipy.stats import norm

from building import SCALE
from hard_populations import Truth, probabilities
from persona_collapse.statistics import permutation, power, presence
from persona_collapse.statistics.equivalence import EQUIVALENT, SMALL, equivalence
from persona_collapse.statistics.power import Margin, Signal
from persona_collapse.statistics.recommended_estimators import leave_one_out
from persona_collapse.statistics.sample_size import TABLES, Spread

ALL = np.full((30, 1), 1 / 30)


def test_with_many_personas_the_noncentral_t_is_the_normal():
    # log 1.1 = .0953 is 3.177 standard errors of .03: 1 - 2 Phi(1.645 - 3.177)
    assert power.equivalence(0.03, 10**6, 0.1) == pytest.approx(1 - 2 * norm.cdf(1.6449 - log(1.1) / 0.03), abs=1e-4)


def test_power_of_equivalence_at_its_limits():
    assert power.equivalence(0.2, 50, 0.1) == 0  # the 90 % interval alone is wider than the margin
    assert power.equivalence(0, 50, 0.1) == power.equivalence(1e-6, 50, 0.1) == 1
    assert power.equivalence(0.01, 1, 0.1) == 0
    with_less = [power.equivalence(0.03, 30, share) for share in (0.06, 0.1, 0.2)]
    assert with_less == sorted(with_less) and with_less[0] < with_less[-1]


def test_the_fewest_personas_reach_the_power_and_one_less_does_not():
    margins = [Margin(TABLES[metric, "change"], 0.1) for metric in ("susceptibility", "within_rms")]
    found = power.personas_for(margins, 3)
    assert power.of_design(margins, found, 3) >= 0.8 > power.of_design(margins, found - 1, 3)
    # noise decides: sqrt(.23 / P) must be log 1.1 / (1.645 + 1.282), P = 216 by the normal distribution
    assert found == pytest.approx(0.23 * ((1.6449 + 1.2816) / log(1.1)) ** 2, abs=4)
    assert power.personas_for([Margin(Spread(0, 0, degrees=False), 0.1)], 3) == 3


def test_gone_by_hand():
    # W / n = .25 / 5; tau = .05 sqrt(2 / 30 (1/19 + 1/80)) = .003293; H = (.5 S)^2
    signal, tau = Signal(0.2, 0.5, 1, 30), 0.05 * sqrt(2 / 30 * (1 / 19 + 1 / 80))
    room = 0.01 / tau  # 3.04; t_.975 with 19 degrees is 2.093
    assert power.gone(signal, 20, 5, 0.5) == pytest.approx(norm.cdf(room - 2.0930), abs=1e-4)
    assert power.gone(signal._replace(pooled=2), 20, 5, 0.5) == pytest.approx(0.95)  # but for the test's own 5 %
    assert power.gone(signal._replace(pooled=0.1), 20, 5, 0.5) == 0  # H / tau = .76: below the 95 % point of no effect
    assert (power.gone(signal, 20, inf, 0.5), power.gone(signal, 20, 1, 0.5), power.gone(signal, 2, 5, 0.5)) == (1, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("smallest", [0.06, 0.1])
def test_equivalence_is_shown_as_often_as_the_formula_says(smallest):
    """300 studies of 40 personas whose item effects are drawn anew for the variant, so that nothing changed in truth."""
    logs, shown = [], 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        truth = Truth("", 80, (2,), 0.9)  # pairs of personas, alike by .9: one is the base's, the other the variant's
        chances, _ = probabilities(truth, rng, 80)
        base, variant = (leave_one_out(rng.multinomial(4, chances[side::2]), SCALE, ALL) for side in (0, 1))
        logs.append(variant.logs[0, 0, 0] - base.logs[0, 0, 0])
        shown += equivalence(variant, base, "susceptibility", smallest).verdict in (EQUIVALENT, SMALL)
    expected = power.equivalence(float(np.std(logs)), 39, smallest)
    assert 0.1 < expected < 0.95
    assert shown / 300 == pytest.approx(expected, abs=0.08)


@pytest.mark.slow
@pytest.mark.parametrize("pooled", [0.16, 0.2, 0.6])
def test_personas_are_called_gone_as_often_as_the_formula_says(pooled):
    """200 studies of 20 personas and 5 repetitions, of one character whoever is asked for."""
    rng = np.random.default_rng(1)
    chances, _ = probabilities(Truth("", 1, strength=0), rng, 20)
    counts = [rng.multinomial(5, chances) for _ in range(200)]
    tested = permutation.permutations([permutation.single_ratings(one) for one in counts], 20, 30, draws=199)
    runs = [leave_one_out(one, SCALE, ALL) for one in counts]
    called = [presence.verdict(presence.presence(run, one.null_95), one.p, pooled) for run, one in zip(runs, tested, strict=True)]
    noise = np.sqrt(np.mean([run.of("within_rms")[0, 0] ** 2 for run in runs]))
    expected = power.gone(Signal(pooled, noise, 1, 30), 20, 5, 0.5)
    assert called.count(presence.GONE) / 200 == pytest.approx(expected, abs=0.08)
