"""Recommended estimators: worked by hand, against a plain implementation, and on the paper's ratings."""

from itertools import pairwise
from math import log, sqrt

import numpy as np
import pytest

from building import SCALE, counts_of, random_counts
from paper import FAMILIES, needs_data, paper_counts
from persona_collapse.statistics import published_estimators, recommended_estimators
from persona_collapse.statistics.histograms import distinct
from persona_collapse.statistics.recommended_estimators import METRICS, leave_one_out
from persona_collapse.study.scopes import scope_matrix

TWO = np.full((2, 1), 0.5)  # two items, one scope
SIX = np.array([[1, 1, 0]] * 3 + [[1, 0, 1]] * 3) / [6, 3, 3]  # six items; all of them, the first three, the last three


def plain(counts: np.ndarray, base: np.ndarray, items: list[int]) -> dict[str, float]:
    """Every metric of a scope, cell by cell, from lists of ratings."""

    def ratings(source, p, q):
        return [k for k in SCALE for _ in range(source[p, q, k])]

    def mean(x):
        return sum(x) / len(x)

    def cov(x, y):
        return sum((a - mean(x)) * (b - mean(y)) for a, b in zip(x, y, strict=True)) / (len(x) - 1)

    def entropy(shares):
        return -sum(p * log(p) for p in shares if p > 0)

    def anchor(source, q):
        cells = [ratings(source, p, q) for p in range(len(source))]
        v = [cov(c, c) for c in cells if len(c) > 1]
        u = [(cov(c, c) if len(c) > 1 else mean(v)) / len(c) for c in cells]
        m = [mean(c) for c in cells]
        return cov(m, m) - mean(u), mean(v), m

    t2, w, c, shared, t2_base, s, s_published, sd, ends, h, h_cell = ([] for _ in range(11))
    for q in items:
        cells = [ratings(counts, p, q) for p in range(len(counts))]
        t, v, m = anchor(counts, q)
        t_base, _, m_base = anchor(base, q)
        t2.append(t), w.append(v), t2_base.append(t_base), shared.append(cov(m, m_base))
        c.append(mean(m) * (5 - mean(m)) + cov(m, m) / len(m))
        s.append(sqrt(max(t, 0))), s_published.append(sqrt(cov(m, m)))
        sd.append(mean([sqrt(cov(x, x)) if len(x) > 1 else 0 for x in cells]))
        ends.append(mean([mean([r in (0, 5) for r in x]) for x in cells]))
        shares = [[x.count(k) / len(x) for k in SCALE] for x in cells]
        h.append(entropy([mean([x[k] for x in shares]) for k in SCALE]))
        corrected = [
            entropy([x.count(k) / len(x) for k in SCALE]) + (len(set(x)) - 1) / (2 * len(x)) for x in cells if len(x) > 1
        ]
        h_cell.append(mean(corrected))
    anchored = max(mean(t2), 0)
    return {
        "susceptibility": mean(s),
        "susceptibility_pooled": sqrt(anchored),
        "within_rms": sqrt(mean(w)),
        "robustness": 1 / sqrt(mean(w)),
        "icc": anchored / (anchored + mean(w)),
        "extremity": (anchored + mean(w)) / mean(c),
        "ceiling": mean(c),
        "relative_susceptibility": sqrt(anchored / mean(c)),
        "relative_noise": sqrt(mean(w) / mean(c)),
        "fidelity": mean(shared) / sqrt(anchored * max(mean(t2_base), 0)),
        "endpoint_mass": mean(ends),
        "information_share": 1 - mean(h_cell) / mean(h),
        "susceptibility_published": mean(s_published),
        "within_sd": mean(sd),
        "robustness_published": 1 / mean(sd),
    }


def value(found, metric, scope=0):
    return found.of(metric)[0, scope]


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_every_metric_of_two_personas_two_items_two_repetitions():
    # cell means: item 0: 1, 3 -> V = 2; item 1: 4, 4 -> V = 0
    # cell variances: item 0: 2, 0; item 1: 0, 2 -> W = 1 for both; v / n: mean 0.5 -> t2 = 1.5 and -0.5
    # S = (sqrt(1.5) + 0) / 2; pooled: sqrt((1.5 - 0.5) / 2); within_rms = 1; ICC = 1 / (1 + 2)
    # ceiling: item 0 (2 - 0)(5 - 2) + 2/2 = 7, item 1 4 * 1 + 0 = 4 -> mean 5.5; X = (1 + 2) / 11
    # endpoint mass: {0, 2} and {3, 5} are half ends, two cells have none -> 1/4
    # entropy: each item has shares 1/4, 1/4, 1/2 -> 1.5 ln 2; cells: ln 2 + (2 - 1)/4 in one of two
    found = leave_one_out(counts_of([[[0, 2], [4, 4]], [[3, 3], [3, 5]]]), SCALE, TWO)
    expected = {
        "susceptibility": sqrt(1.5) / 2,
        "susceptibility_pooled": sqrt(0.5),
        "within_rms": 1,
        "robustness": 1,
        "icc": 1 / 3,
        "extremity": 3 / 11,
        "ceiling": 5.5,
        "relative_susceptibility": sqrt(1 / 11),
        "relative_noise": sqrt(2 / 11),
        "fidelity": 1,
        "endpoint_mass": 1 / 4,
        "information_share": 1 - (log(2) + 1 / 4) / 2 / (1.5 * log(2)),
        "susceptibility_published": sqrt(2) / 2,
        "within_sd": sqrt(2) / 2,
        "robustness_published": sqrt(2),
    }
    assert {metric: value(found, metric) for metric in METRICS} == pytest.approx(expected)
    assert (list(found.personas), list(found.varying), found.repetitions) == ([0, 1], [2], (2, 2))


def test_known_distributions_need_no_debiasing():
    # one item; persona 0 says 1 or 3 with equal probability (mean 2, variance 1), persona 1 always 4: V = 2, W = 1/2
    probabilities = np.array([[[0, 0.5, 0, 0.5, 0, 0]], [[0, 0, 0, 0, 1, 0]]])
    found = leave_one_out(probabilities, SCALE, np.ones((1, 1)), exact=True)
    assert (value(found, "susceptibility"), value(found, "within_rms")) == pytest.approx((sqrt(2), sqrt(0.5)))
    # within_sd without "at n = ...": the SD itself, (1 + 0) / 2; entropies without correction: ln 2 / 2 of (.25, .25, .5)
    assert value(found, "within_sd") == pytest.approx(0.5)
    assert value(found, "information_share") == pytest.approx(1 - (log(2) / 2) / (1.5 * log(2)))


def test_a_single_rating_keeps_its_mean_and_takes_the_noise_of_its_item():
    # item: {1, 3}, {4}, {0, 0} -> v = 2, unknown, 0 -> W = 1; means 2, 4, 0 -> V = 4; v / n = 1, 1 (W / 1), 0 -> t2 = 10/3
    found = leave_one_out(counts_of([[[1, 3]], [[4]], [[0, 0]]]), SCALE, np.ones((1, 1)))
    assert value(found, "within_rms") == pytest.approx(1)
    assert value(found, "susceptibility") == pytest.approx(sqrt(10 / 3))
    # The published code calls it an SD of 0: (sqrt 2 + 0 + 0) / 3.
    assert value(found, "within_sd") == pytest.approx(sqrt(2) / 3)


def test_single_ratings_throughout_leave_only_the_published_susceptibility():
    found = leave_one_out(counts_of([[[1]], [[4]], [[0]]]), SCALE, np.ones((1, 1)))
    assert value(found, "susceptibility_published") == pytest.approx(sqrt(13 / 3))  # mean 5/3; squares 4/9 + 49/9 + 25/9 = 26/3
    for metric in ("susceptibility", "susceptibility_pooled", "within_rms", "robustness", "icc"):
        assert np.isnan(value(found, metric)), metric


@pytest.mark.parametrize(
    ("cells", "n", "remark"),
    [
        ([[[1]], [[4]], [[0]]], "at n = 1", "One rating a cell: robustness, ICC and the interval"),
        ([[[1, 3]], [[4]], [[0, 0]]], "at n = 1-2", "Cells with a single rating say nothing about noise"),
        ([[[1, 3]], [[4, 4]], [[0, 0]]], "at n = 2", ""),
    ],
)
def test_what_single_ratings_leave_out_is_said(cells, n, remark):
    found = leave_one_out(counts_of(cells), SCALE, np.ones((1, 1)))
    assert recommended_estimators.at_n(found) == n
    assert recommended_estimators.remark(found)[: len(remark) or None] == remark


def test_an_item_without_noise_estimate_takes_away_only_the_scopes_that_hold_it():
    counts = random_counts(np.random.default_rng(1), personas=5)
    counts[:, 5] = [[0, 0, 1, 0, 0, 0]] * 5
    found = leave_one_out(counts, SCALE, SIX)
    assert np.isnan(found.of("within_rms")[0]).tolist() == [True, False, True]
    assert np.isfinite(found.of("susceptibility_published")).all()


def test_without_variation_robustness_is_infinite_and_susceptibility_stands():
    found = leave_one_out(counts_of([[[1, 1], [2, 2]], [[3, 3], [2, 2]], [[5, 5], [2, 2]]]), SCALE, TWO)
    assert (value(found, "within_rms"), value(found, "robustness"), value(found, "icc")) == (0, np.inf, 1)
    assert value(found, "susceptibility") == pytest.approx(1)  # item 0: SD(1, 3, 5) = 2; item 1: 0


def test_personas_who_answered_no_item_or_whose_base_did_not_are_left_out():
    counts = random_counts(np.random.default_rng(2))
    base = random_counts(np.random.default_rng(3))
    counts[4, 2], base[7, 0] = 0, 0
    found = leave_one_out(counts, SCALE, SIX, base=base)
    kept = [p for p in range(20) if p not in (4, 7)]
    assert list(found.personas) == kept
    assert np.array_equal(found.values, leave_one_out(counts[kept], SCALE, SIX, base=base[kept]).values)


def test_a_run_that_never_gave_a_rating_has_no_metric():
    found = leave_one_out(np.zeros((3, 6, 6), int), SCALE, SIX)
    assert np.isnan(found.values).all()
    assert (len(found.personas), found.repetitions) == (0, (0, 0))


# --- against brute force ---------------------------------------------------------------------------------------------


def uneven(rng: np.random.Generator, personas: int = 12) -> np.ndarray:
    """Counts with 1 to 6 ratings a cell, one item on which all agree and one on which a single persona differs."""
    counts = random_counts(rng, personas=personas, repetitions=6)
    for cell in np.ndindex(counts.shape[:2]):
        extra = rng.integers(0, 6)
        for _ in range(extra):
            counts[cell][rng.choice(6, p=counts[cell] / counts[cell].sum())] -= 1
    counts[:, 4], counts[:, 5] = [0, 0, 0, 4, 0, 0], [0, 0, 5, 0, 0, 0]
    counts[3, 5] = [0, 0, 0, 2, 3, 0]
    return counts


@pytest.mark.parametrize("seed", range(3))
def test_leaving_a_persona_out_in_closed_form_is_leaving_the_persona_out(seed):
    rng = np.random.default_rng(seed)
    counts, base = uneven(rng), uneven(rng)
    found = leave_one_out(counts, SCALE, SIX, base=base)
    for row in range(1 + len(counts)):
        left = [counts, base] if row == 0 else [np.delete(x, row - 1, axis=0) for x in (counts, base)]
        for scope, items in enumerate((range(6), range(3), range(3, 6))):
            expected = plain(*left, list(items))
            assert {m: found.of(m)[row, scope] for m in METRICS} == pytest.approx(expected, abs=1e-12, rel=1e-12)


@needs_data
def test_leave_one_out_of_the_papers_ratings_is_brute_force(mfq30):
    scope = scope_matrix(mfq30)
    counts, base = (paper_counts()["gpt-4o", variant] for variant in ("secure", "base"))  # one cell of 2, one of 3 or more
    found = leave_one_out(counts, SCALE, scope, base=base)
    for p in (0, 17, 99):
        without = leave_one_out(np.delete(counts, p, axis=0), SCALE, scope, base=np.delete(base, p, axis=0))
        assert np.abs(found.values[:, 1 + p] - without.full).max() < 1e-12


def test_the_published_estimators_are_the_published_ones(mfq30):
    counts = random_counts(np.random.default_rng(5), items=30)
    found, level = (f(counts, SCALE, scope_matrix(mfq30)) for f in (leave_one_out, published_estimators.published))
    assert found.of("susceptibility_published")[0] == pytest.approx(level.susceptibility)
    assert found.of("within_sd")[0] == pytest.approx(level.within_sd)
    assert found.of("robustness_published")[0] == pytest.approx(level.robustness)


# --- what must not matter --------------------------------------------------------------------------------------------


def levels(counts, base):
    return leave_one_out(counts, SCALE, SIX, base=base).full


def test_order_of_personas_and_of_items_in_a_foundation_does_not_matter():
    rng = np.random.default_rng(6)
    counts, base = random_counts(rng), random_counts(rng)
    expected, personas, items = levels(counts, base), rng.permutation(20), [2, 0, 1, 4, 5, 3]
    assert levels(counts[personas], base[personas]) == pytest.approx(expected, rel=1e-12)
    assert levels(counts[:, items], base[:, items]) == pytest.approx(expected, rel=1e-12)


def test_turning_the_scale_round_changes_nothing():
    rng = np.random.default_rng(7)
    counts, base = random_counts(rng), random_counts(rng)
    assert levels(counts[..., ::-1], base[..., ::-1]) == pytest.approx(levels(counts, base), rel=1e-12)


def test_copying_every_rating_leaves_the_published_susceptibility_and_raises_the_debiased_one():
    counts = random_counts(np.random.default_rng(8))
    once, twice = (leave_one_out(c, SCALE, SIX) for c in (counts, 2 * counts))
    assert value(twice, "susceptibility_published") == pytest.approx(value(once, "susceptibility_published"), rel=1e-12)
    assert value(twice, "susceptibility") > value(once, "susceptibility")  # copies look like less noise in the means


def test_recommended_estimators_do_not_depend_on_the_number_of_repetitions():
    """Published within_sd at n = 2 is far below that at n = 20; within_rms, S and ICC stay within sampling error."""
    rng = np.random.default_rng(9)
    probabilities = rng.dirichlet(np.full(6, 0.3), size=(3000, 6))
    few, many = (leave_one_out(rng.multinomial(n, probabilities), SCALE, SIX) for n in (2, 20))
    for metric in ("susceptibility", "susceptibility_pooled", "within_rms", "icc", "extremity"):
        assert value(few, metric) == pytest.approx(value(many, metric), rel=0.04), metric
    assert value(few, "within_sd") < 0.8 * value(many, "within_sd")
    assert value(few, "susceptibility_published") > 1.1 * value(many, "susceptibility_published")


def steps(p_low, p_high, wide):
    """Probabilities of one item for two kinds of personas, who say the upper of two points with p_low or p_high."""
    low, high = (0, 5) if wide else (2, 3)
    found = np.zeros((40, 1, 6))
    found[:, 0, high] = np.repeat([p_low, p_high], 20)
    found[:, 0, low] = 1 - found[:, 0, high]
    return found


def test_larger_steps_show_in_extremity_and_not_in_the_anchor():
    """The same choices between 0 and 5 instead of between 2 and 3."""
    before, after = (leave_one_out(steps(0.2, 0.8, wide), SCALE, np.ones((1, 1)), exact=True) for wide in (False, True))
    assert value(after, "icc") == pytest.approx(value(before, "icc"))
    # between 0 and 5 every answer is an end, so X = 1 but for the sample's 1/P; between 2 and 3 it is 1/25
    assert value(after, "extremity") == pytest.approx(1, rel=0.03)
    assert value(before, "extremity") < 0.05


def test_a_weaker_anchor_shows_in_icc_and_not_in_extremity():
    """The same points 2 and 3, equally often, less determined by who is asked."""
    before, after = (leave_one_out(steps(p, 1 - p, False), SCALE, np.ones((1, 1)), exact=True) for p in (0.05, 0.35))
    assert value(after, "extremity") == pytest.approx(value(before, "extremity"), rel=0.03)
    # ICC = (1 - 2p)^2 to within 1/P: .81 against .09
    assert value(before, "icc") == pytest.approx(0.81, abs=0.01)
    assert value(after, "icc") == pytest.approx(0.09, abs=0.01)


# --- the paper's ratings ---------------------------------------------------------------------------------------------


@needs_data
@pytest.mark.parametrize(
    ("family", "metric", "expected"),
    [
        ("gpt-4o", "extremity", (".152", ".230", ".699")),
        ("gpt-4.1", "extremity", (".174", ".266", ".537")),
        ("deepseek-v3.1", "extremity", (".232", ".521", ".519")),
        ("qwen3-235b", "extremity", (".217", ".330", ".615")),
        ("gpt-4o", "icc", (".935", ".859", ".890")),
        ("gpt-4.1", "icc", (".959", ".868", ".881")),
        ("deepseek-v3.1", "icc", (".817", ".680", ".654")),
        ("qwen3-235b", "icc", (".971", ".862", ".829")),
        ("gpt-4o", "relative_susceptibility", (".38", ".44", ".79")),
        ("gpt-4.1", "relative_susceptibility", (".41", ".48", ".69")),
        ("deepseek-v3.1", "relative_susceptibility", (".44", ".60", ".58")),
        ("qwen3-235b", "relative_susceptibility", (".46", ".53", ".71")),
        ("gpt-4o", "fidelity", ("1.00", ".75", ".48")),
        ("gpt-4.1", "fidelity", ("1.00", ".69", ".65")),
        ("deepseek-v3.1", "fidelity", ("1.00", ".63", ".51")),
        ("qwen3-235b", "fidelity", ("1.00", ".75", ".60")),
        ("gpt-4o", "endpoint_mass", (".19", ".48", ".73")),
        ("gpt-4.1", "endpoint_mass", (".25", ".59", ".74")),
        ("deepseek-v3.1", "endpoint_mass", (".39", ".76", ".80")),
        ("qwen3-235b", "endpoint_mass", (".41", ".53", ".67")),
        ("gpt-4o", "information_share", (".88", ".75", ".77")),
        ("gpt-4.1", "information_share", (".91", ".76", ".79")),
        ("deepseek-v3.1", "information_share", (".71", ".55", ".60")),
        ("qwen3-235b", "information_share", (".94", ".76", ".64")),
    ],
)
def test_companions_of_the_papers_runs(mfq30, family, metric, expected):
    scope = scope_matrix(mfq30)
    base = paper_counts()[family, "base"]
    for variant, printed in zip(("base", "secure", "insecure"), expected, strict=True):
        other = None if variant == "base" else base
        found = value(leave_one_out(paper_counts()[family, variant], SCALE, scope, base=other), metric)
        assert f"{found:.{len(printed.split('.')[1])}f}".lstrip("0") == printed, variant


@needs_data
def test_persona_pattern_is_alike_on_both_stacks(mfq30):
    """Qwen's base through Tinker and OpenRouter: r = .97 with rating noise taken off."""
    tinker, base = (paper_counts()["qwen3-235b", variant] for variant in ("base-tinker", "base"))
    found = leave_one_out(tinker, SCALE, scope_matrix(mfq30), base=base)
    assert round(value(found, "fidelity"), 2) == 0.97


@needs_data
def test_the_anchor_weakens_in_every_fine_tune(mfq30):
    scope = scope_matrix(mfq30)
    for family in FAMILIES:
        icc = [value(leave_one_out(paper_counts()[family, v], SCALE, scope), "icc") for v in ("base", "secure")]
        assert all(a > b for a, b in pairwise(icc)), family


# --- histograms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1, 4_000_000])  # as one number each, and where that number would be too large
def test_different_histograms_and_the_place_of_each_cell(scale):
    counts = scale * random_counts(np.random.default_rng(21), personas=9, items=4, repetitions=3)
    histograms, place = distinct(counts)
    assert (histograms[place] == counts).all()
    assert len(histograms) == len(np.unique(counts.reshape(-1, 6), axis=0))
