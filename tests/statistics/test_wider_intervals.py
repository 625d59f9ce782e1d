"""Items and families as a sample: worked by hand, and on the paper's ratings."""

from math import sqrt

import numpy as np
import pytest
from scipy.stats import t

from building import SCALE, random_counts
from paper import FAMILIES, needs_data, paper_counts
from persona_collapse.statistics import persona_jackknife, wider_intervals
from persona_collapse.statistics.moments import Parts, cells
from persona_collapse.statistics.recommended_estimators import METRICS, leave_one_out
from persona_collapse.study.scopes import scope_matrix

SIX = np.array([[1, 1, 0]] * 3 + [[1, 0, 1]] * 3) / [6, 3, 3]  # six items; all of them, the first three, the last three


def run(seed, scope=SIX, **more):
    counts = random_counts(np.random.default_rng(seed), **more)
    found = leave_one_out(counts, SCALE, scope)
    return counts, found, wider_intervals.contributions(found)


def test_contributions_are_shares_of_the_metric():
    counts, _, each = run(1)
    found = Parts(counts, cells(counts, SCALE), SCALE)
    s, w, t2 = np.sqrt(np.maximum(found.anchor[0], 0)), found.noise[0], found.anchor[0]
    assert each[METRICS.index("susceptibility"), :, 0] == pytest.approx(s / s.sum())
    assert each[METRICS.index("within_rms"), :, 0] == pytest.approx(w / (2 * w.sum()))
    assert each[METRICS.index("robustness"), :, 0] == pytest.approx(-w / (2 * w.sum()))
    icc = t2.sum() / (t2 + w).sum()
    assert each[METRICS.index("icc"), :, 0] / (1 - icc) == pytest.approx(t2 / t2.sum() - w / w.sum())
    assert not each[:, :3, 2].any()  # an item outside a scope contributes nothing to it


def over_items(logs, each, scope):
    """Estimate of logarithms for other personas and other items, and the quantile of its t, as the validity page has it."""
    return wider_intervals.widened(persona_jackknife.estimate(logs), wider_intervals.between_items(each, scope), scope)


def change_over_items(variant, base, own, of_base, scope):
    """The logarithm of a change, the same personas and items on both sides, and its lower limit."""
    found, times = over_items(variant.logs - base.logs, own - of_base, scope)
    return found, found.centre - times * found.se


def test_variance_over_items_is_added_within_foundations():
    _, found, each = run(2)
    (wide, times), narrow = over_items(found.logs, each, SIX), persona_jackknife.estimate(found.logs)
    row = METRICS.index("within_rms")
    # Var = SE^2 + sum over foundations of Q_f var_f(contribution), df by Satterthwaite with 19 and 6 - 2
    persona = narrow.se[row, 0] ** 2
    item = sum(3 * np.var(each[row, own, 0], ddof=1) for own in (slice(0, 3), slice(3, 6)))
    df = (persona + item) ** 2 / (persona**2 / 19 + item**2 / 4)
    assert wide.se[row, 0] == pytest.approx(sqrt(persona + item))
    assert times[row, 0] == pytest.approx(t.ppf(0.975, df))


def test_items_that_all_behave_alike_widen_nothing():
    one = random_counts(np.random.default_rng(3), items=1)
    counts = np.repeat(one, 6, axis=1)
    found = leave_one_out(counts, SCALE, SIX)
    each = wider_intervals.contributions(found)
    (wide, times), narrow = over_items(found.logs, each, SIX), persona_jackknife.estimate(found.logs)
    for row in map(METRICS.index, ("susceptibility", "within_rms", "icc")):
        assert wide.se[row] == pytest.approx(narrow.se[row])
        assert times[row] == pytest.approx(np.full(3, t.ppf(0.975, len(found.personas) - 1)))


def test_a_change_that_is_the_same_for_every_item_is_not_widened():
    (_, found, each), (_, other, of_other) = run(4), run(5)
    assert (change_over_items(found, found, each, each, SIX)[0].se == 0).all()
    wide, _ = change_over_items(found, other, each, of_other, SIX)
    narrow = persona_jackknife.estimate(found.logs - other.logs)
    noise = METRICS.index("within_rms")
    assert (wide.se[noise] > narrow.se[noise]).all()
    assert wide.value == pytest.approx(narrow.value, nan_ok=True)


def test_families_as_a_sample_by_hand():
    # 1, 2, 3, -2: mean 1, squares 0 + 1 + 4 + 9 = 14, SD sqrt(14/3), SE sqrt(14/12)
    found = wider_intervals.over_families(np.array([1.0, 2, 3, -2]))
    assert found.mean == pytest.approx(1)
    assert found.hi - found.mean == pytest.approx(t.ppf(0.975, 3) * sqrt(14 / 12))
    assert found.note() == "3 of 4 families in the same direction. No sign test over 4 families can reach p < .05; 6 are needed."


def test_six_families_can_carry_a_sign_test():
    assert wider_intervals.over_families(-np.arange(1.0, 7)).note() == "6 of 6 families in the same direction."


def test_one_family_is_no_sample():
    found = wider_intervals.over_families(np.array([[0.5, -0.5]]))
    assert np.isnan([found.lo, found.hi]).all()
    assert found.mean.tolist() == [0.5, -0.5]


def test_holm_by_hand():
    # sorted .01 x 4, .02 x 3, .03 x 2, .5 x 1, never smaller than the one before
    assert wider_intervals.holm(np.array([0.02, 0.5, 0.01, 0.03])) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert wider_intervals.holm(np.array([0.02, np.nan, 0.7, 0.9])) == pytest.approx([0.06, np.nan, 1, 1], nan_ok=True)


# --- the paper's ratings ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paper(mfq30):
    scope, found = scope_matrix(mfq30), {}
    for (family, variant), counts in paper_counts().items():
        base = None if variant == "base" else paper_counts()[family, "base"]
        one = leave_one_out(counts, SCALE, scope, base=base)
        found[family, variant] = one, wider_intervals.contributions(one)
    return found


@needs_data
@pytest.mark.parametrize(
    ("variant", "other", "metric", "expected"),
    [
        ("insecure", "secure", "susceptibility", (0.47, -0.05, 1.00)),
        ("insecure", "secure", "within_rms", (0.35, -0.08, 0.79)),
        ("insecure", "secure", "icc", (0.01, -0.37, 0.39)),
        ("insecure", "base", "within_rms", (0.97, 0.35, 1.59)),
        ("insecure", "base", "susceptibility", (0.40, -0.04, 0.84)),
    ],
)
def test_four_families_as_a_sample(paper, variant, other, metric, expected):
    each = np.array([persona_jackknife.shift(paper[f, variant][0], paper[f, other][0]).of(metric).value[0] for f in FAMILIES])
    found = wider_intervals.over_families(each)
    assert tuple(round(float(x), 2) for x in found[:3]) == expected


@needs_data
def test_the_persona_pattern_departs_further_under_insecure_code(paper):
    """Differences of r -.27, -.04, -.12, -.15; over families -.14 [-.29, +.01]."""
    each = np.array(
        [persona_jackknife.difference(paper[f, "insecure"][0], paper[f, "secure"][0]).of("fidelity").value[0] for f in FAMILIES]
    )
    assert [round(float(x), 2) for x in each] == [-0.27, -0.04, -0.12, -0.15]
    assert tuple(round(float(x), 2) for x in wider_intervals.over_families(each)[:3]) == (-0.14, -0.29, 0.01)


@needs_data
def test_over_items_like_these_susceptibility_rises_beyond_the_control_in_three_families(paper, mfq30):
    scope = scope_matrix(mfq30)
    clear = {}
    for family in FAMILIES:
        (one, own), (other, of_other) = paper[family, "insecure"], paper[family, "secure"]
        wide, lo = change_over_items(one, other, own, of_other, scope)
        s = METRICS.index("susceptibility")
        clear[family] = bool(lo[s, 0] > 0)
        assert 1.4 < wide.se[s, 0] / persona_jackknife.estimate(one.logs - other.logs).se[s, 0] < 2.6
    assert clear == {"gpt-4o": True, "gpt-4.1": True, "deepseek-v3.1": False, "qwen3-235b": True}
