"""No change, shown: two one-sided tests beside the test of no change."""

import numpy as np
import pytest

from building import SCALE, counts_of, random_counts
from paper import needs_data, paper_counts
from persona_collapse.statistics.equivalence import CHANGED, EQUIVALENT, SMALL, UNDECIDED, equivalence
from persona_collapse.statistics.recommended_estimators import leave_one_out


def run_of(counts):
    items = counts.shape[1]
    return leave_one_out(counts, SCALE, np.full((items, 1), 1 / items))


def test_a_run_is_equivalent_to_itself():
    run = run_of(random_counts(np.random.default_rng(0)))
    for metric in ("susceptibility", "robustness"):
        assert equivalence(run, run, metric, 0.01) == (0, 0, 0, 0, 0, EQUIVALENT)


STEPS = [[[p, p], [q, q]] for p, q in ((0, 1), (1, 2), (2, 0), (2, 2), (0, 0))]


@pytest.mark.parametrize(("smallest", "expected"), [(0.1, CHANGED), (0.99, CHANGED), (1.01, SMALL)])
def test_twice_the_steps_are_a_change_of_100_percent_and_a_small_one_only_if_that_is_small(smallest, expected):
    base = run_of(counts_of(STEPS))
    twice = run_of(counts_of([[[2 * r for r in cell] for cell in row] for row in STEPS]))
    found = equivalence(twice, base, "susceptibility", smallest)
    assert found[:5] == pytest.approx((100, 100, 100, 100, 100))
    assert found.verdict == expected


def test_half_the_steps_are_within_the_margin_that_twice_the_steps_are_within():
    """Margins are of ratios: from 1 / 2.02 to 2.02."""
    base = run_of(counts_of([[[2 * r for r in cell] for cell in row] for row in STEPS]))
    found = equivalence(run_of(counts_of(STEPS)), base, "susceptibility", 1.02)
    assert found.value == pytest.approx(-50)
    assert found.verdict == SMALL


def test_few_personas_leave_it_undecided_and_the_90_percent_interval_lies_within_that_of_95():
    rng = np.random.default_rng(1)
    found = equivalence(run_of(random_counts(rng, 8)), run_of(random_counts(rng, 8)), "susceptibility", 0.1)
    assert found.verdict == UNDECIDED
    assert found.lo < found.lo90 < 0 < found.hi90 < found.hi


def test_robustness_and_noise_are_one_test():
    """Both are the same log ratio, with the other sign: what ends at x % for R ends at 1 / (1 + x) for noise."""
    rng = np.random.default_rng(2)
    one, base = run_of(random_counts(rng)), run_of(random_counts(rng))
    r, noise = (equivalence(one, base, metric, 0.1) for metric in ("robustness", "within_rms"))
    assert (1 + r.lo90 / 100) * (1 + noise.hi90 / 100) == pytest.approx(1)
    assert r.verdict == noise.verdict


def test_without_an_interval_it_is_undecided():
    steady = run_of(counts_of(STEPS))
    found = equivalence(steady, steady, "robustness", 0.1)  # nobody varies
    assert found.verdict == UNDECIDED
    assert np.isnan(found[:5]).all()


@needs_data
@pytest.mark.parametrize(
    ("family", "variant", "value", "lo90", "hi90", "expected"),
    [
        ("qwen3-235b", "base-tinker", -0.2, -1.2, 0.8, EQUIVALENT),
        ("qwen3-235b", "secure", 1.0, -2.4, 4.9, EQUIVALENT),
        ("gpt-4o", "secure", -9.8, -13.0, -5.2, CHANGED),
    ],
)
def test_changes_of_s_in_the_published_ratings(family, variant, value, lo90, hi90, expected):
    counts = paper_counts()
    found = equivalence(run_of(counts[family, variant]), run_of(counts[family, "base"]), "susceptibility", 0.1)
    assert [round(number, 1) for number in found[:3]] == [value, lo90, hi90]
    assert found.verdict == expected


@needs_data
def test_secure_keeps_s_within_ten_percent_in_one_of_four_families():
    counts = paper_counts()
    found = [
        equivalence(run_of(counts[family, "secure"]), run_of(counts[family, "base"]), "susceptibility", 0.1).verdict
        for family in ("gpt-4o", "gpt-4.1", "deepseek-v3.1", "qwen3-235b")
    ]
    assert found == [CHANGED, CHANGED, UNDECIDED, EQUIVALENT]
