"""Interval A: worked by hand, its properties, and the reference values of the paper's ratings."""

import warnings

import numpy as np
import pytest
from scipy.stats import t

from building import SCALE, random_counts
from paper import FAMILIES, needs_data, paper_counts
from persona_collapse.statistics import persona_jackknife
from persona_collapse.statistics.recommended_estimators import METRICS, LeaveOneOut, leave_one_out
from persona_collapse.study.scopes import scope_matrix

SIX = np.array([[1, 1, 0]] * 3 + [[1, 0, 1]] * 3) / [6, 3, 3]  # six items; all of them, the first three, the last three


def run(seed, base=None, **more):
    return leave_one_out(random_counts(np.random.default_rng(seed), **more), SCALE, SIX, base=base)


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_jackknife_of_a_mean_is_the_t_interval_of_a_mean():
    # x = 1, 2, 6: mean 3, SD sqrt(7), SE sqrt(7/3); without each: 4, 3.5, 1.5; their mean is 3, so the centre stays 3
    found = persona_jackknife.estimate(np.array([3, 4, 3.5, 1.5])[:, None])
    assert (found.value[0], found.centre[0], found.se[0]) == pytest.approx((3, 3, np.sqrt(7 / 3)))
    assert found.df == 2
    # squares of 1, 0.5 and -1.5 add up to 3.5, of which the third persona carries 2.25
    assert (found.carried[0], found.row[0]) == (pytest.approx(2.25 / 3.5), 2)


def test_jackknife_takes_off_the_bias_of_a_squared_mean():
    # x = 1, 2, 6: squared mean 9; without each 16, 12.25, 2.25, mean 61/6; centre 3 * 9 - 2 * 61/6 = 20/3,
    # which is 9 less the variance of the mean, 7/3
    found = persona_jackknife.estimate(np.array([9, 16, 12.25, 2.25])[:, None])
    assert found.centre[0] == pytest.approx(9 - 7 / 3)


def of_values(**values) -> LeaveOneOut:
    """A run with one scope whose metrics without each persona are written out; the others are 0.5."""
    size = len(next(iter(values.values())))
    found = np.full((len(METRICS), size, 1), 0.5)
    for metric, given in values.items():
        found[METRICS.index(metric), :, 0] = given
    return LeaveOneOut(found, np.arange(size - 1), np.array([size - 1]), (10, 10))


def test_each_metric_has_its_own_scale():
    # on the scale f the values are 0 and then -1, 0, 1, -1, 0, 1: mean 0, SE sqrt(5/6 * 4), t with 5 degrees of freedom
    z = np.array([0, -1, 0, 1, -1, 0, 1])
    reach = t.ppf(0.975, 5) * np.sqrt(5 / 6 * 4)
    found = persona_jackknife.level(of_values(within_rms=np.exp(z), icc=1 / (1 + np.exp(-z)), fidelity=z / 10))
    assert found.of("within_rms").hi[0] == pytest.approx(np.exp(reach))
    assert found.of("icc").hi[0] == pytest.approx(1 / (1 + np.exp(-reach)))
    assert found.of("fidelity").lo[0] == pytest.approx(-reach / 10)
    # se = that of the scale times the slope there: 1, 1/2 * 1/2 and, of a tenth of z on its own scale, 1/10
    assert [found.of(m).se[0] for m in ("within_rms", "icc", "fidelity")] == pytest.approx(
        np.sqrt(10 / 3) * np.array([1, 0.25, 0.1])
    )


def test_fidelity_is_a_correlation_whatever_its_correction_took_off():
    """1.05 and, without each, 1.00, 1.05, 1.10 twice: mean 1.05, SE sqrt(5/6 x 4 x .05^2) = .0913, t = 2.57: .815 to 1.28."""
    found = persona_jackknife.level(of_values(fidelity=np.array([1.05, 1, 1.05, 1.1, 1, 1.05, 1.1]))).of("fidelity")
    assert (found.value[0], found.hi[0]) == (1, 1) and found.lo[0] == pytest.approx(
        1.05 - 2.5706 * 0.05 * np.sqrt(10 / 3), abs=1e-4
    )
    own = persona_jackknife.level(of_values(fidelity=np.ones(7))).of("fidelity")
    assert own.value[0] == 1 and np.isnan([own.se[0], own.lo[0], own.hi[0]]).all()


@pytest.mark.parametrize(
    ("value", "same", "why"), [(1.09, True, "no rating differs from the base's"), (1.02, False, "the correction")]
)
def test_a_fidelity_above_one_says_why_it_stands_as_one(value, same, why):
    said = persona_jackknife.above_one(value, same=same)
    assert said.startswith(f"Estimated at {value} and printed as 1, the most that a correlation can be: {why}")
    assert persona_jackknife.above_one(1.000421).startswith("Estimated at 1.00042 and printed as 1,")
    assert persona_jackknife.above_one(1 + 1e-15) == persona_jackknife.above_one(1.0) == persona_jackknife.above_one(np.nan) == ""


@pytest.mark.parametrize("near", [1.0, 0.97])
def test_fidelity_near_one_is_covered(near):
    """150 pairs of 40 personas, 12 items, three ratings; on the scale of Fisher's z a truth of 1 is never covered, .97 in 90 %."""
    rng, scope, inside = np.random.default_rng(7), np.full((12, 1), 1 / 12), 0

    def rated(latent):
        ratings = np.clip(np.rint(latent[..., None] + rng.normal(0, 0.8, (*latent.shape, 3))), 0, 5)
        return np.stack([(ratings == k).sum(axis=-1) for k in SCALE], axis=-1)

    for _ in range(150):
        own = rng.normal(0, 1, (40, 12))
        other = near * own + np.sqrt(1 - near**2) * rng.normal(0, 1, (40, 12))
        loo = leave_one_out(rated(2.5 + 0.8 * other), SCALE, scope, base=rated(2.5 + 0.8 * own))
        found = persona_jackknife.level(loo).of("fidelity").at(0)
        inside += found.lo <= near <= found.hi
    assert inside / 150 > 0.91  # Monte Carlo SE 1.8 points


def test_a_change_is_made_from_the_logarithm_of_the_ratio():
    base = of_values(within_rms=np.ones(7))
    variant = of_values(within_rms=2 * np.exp([0, -0.1, 0, 0.1, -0.1, 0, 0.1]))
    reach = t.ppf(0.975, 5) * np.sqrt(5 / 6 * 0.04)
    found = persona_jackknife.change(variant, base).of("within_rms")
    assert (found.value[0], found.lo[0], found.hi[0]) == pytest.approx(
        (100, 200 * np.exp(-reach) - 100, 200 * np.exp(reach) - 100)
    )
    assert found.se[0] == pytest.approx(200 * np.sqrt(5 / 6 * 0.04))


# --- properties ------------------------------------------------------------------------------------------------------


def test_a_run_against_itself_has_not_changed_for_certain():
    one = run(1)
    for found, value in ((persona_jackknife.change(one, one), 0), (persona_jackknife.excess(one, one, one), 0)):
        assert np.all([found.value, found.lo, found.hi] == np.array(value))


def test_limits_of_robustness_are_the_reciprocal_of_those_of_within_rms():
    found = persona_jackknife.level(run(2))
    assert found.of("robustness").lo == pytest.approx(1 / found.of("within_rms").hi)
    assert found.of("robustness").hi == pytest.approx(1 / found.of("within_rms").lo)


def test_change_to_and_from_are_each_others_reciprocal():
    one, other = run(3), run(4)
    there, back = persona_jackknife.change(one, other), persona_jackknife.change(other, one)
    assert 1 + there.lo / 100 == pytest.approx(1 / (1 + back.hi / 100))


def test_p_values_agree_with_intervals():
    one, other = run(3), run(4, repetitions=2)  # published within_sd is lower for certain, S is not
    found, p = persona_jackknife.change(one, other), persona_jackknife.p_value(one, other)
    known = np.isfinite(found.lo)
    assert ((found.lo > 0) | (found.hi < 0))[known].tolist() == (p < 0.05)[known].tolist()
    assert 0 < (p < 0.05)[known].sum() < known.sum()  # some of each
    assert np.isnan(p[~known]).all()


def test_leaving_the_same_persona_out_of_both_sides_is_narrower_where_personas_agree():
    """The variant is the base with little noise added: nearly all of S's uncertainty is common."""
    rng = np.random.default_rng(5)
    base = random_counts(rng, personas=40)
    variant = base.copy()
    variant[::7] = random_counts(rng, personas=40)[::7]
    one, other = (leave_one_out(c, SCALE, SIX) for c in (variant, base))
    paired = persona_jackknife.change(one, other).of("susceptibility").se[0]
    apart = np.hypot(
        *(
            100 * x.of("susceptibility").se[0] / x.of("susceptibility").value[0]
            for x in map(persona_jackknife.level, (one, other))
        )
    )
    assert paired < 0.8 * apart


def test_mean_over_one_family_is_that_family():
    base, control, harmful = run(6), run(7), run(8)
    mean, one = persona_jackknife.mean_excess([(harmful, control, base)]), persona_jackknife.excess(harmful, control, base)
    for found, expected in zip(mean[:4], one[:4], strict=True):
        assert found == pytest.approx(expected, nan_ok=True)
    assert persona_jackknife.mean_change([(harmful, base)]).value == pytest.approx(persona_jackknife.change(harmful, base).value)


def test_families_infinite_in_opposite_directions_have_no_mean():
    """R without noise is infinite: the excess is +inf where the harmful run never varies, -inf where the control never does."""
    wavering, base = run(6), run(7)
    steady = leave_one_out(random_counts(np.random.default_rng(8), repetitions=1) * 5, SCALE, SIX)
    up, down = (steady, wavering, base), (wavering, steady, base)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, both = (persona_jackknife.mean_excess(found).of("robustness") for found in ([up, up], [up, down]))
    assert np.isposinf(one.value).all() and np.isnan(one.lo).all()
    assert np.isnan(both.value).all() and np.isnan([both.lo, both.hi]).all()


def test_the_split_adds_up_exactly():
    found = persona_jackknife.split(run(9), run(10))
    assert found.within_rms.value == pytest.approx(found.ceiling.value + found.extremity.value + found.noise_share.value)
    assert found.susceptibility_pooled.value == pytest.approx(
        found.ceiling.value + found.extremity.value + found.persona_share.value
    )


def test_a_rescaled_base_has_changed_neither_its_steps_nor_its_anchor():
    """Answers 1 and 2 of ten become 2 and 4 of twenty: everything is twice as large, the scale included."""
    counts = random_counts(np.random.default_rng(11))
    wide = np.zeros((*counts.shape[:2], 11), int)
    wide[..., ::2] = counts
    found = persona_jackknife.split(leave_one_out(wide, range(11), SIX), leave_one_out(counts, SCALE, SIX))
    for part, value in (
        ("within_rms", np.log(2)),
        ("ceiling", np.log(2)),
        ("extremity", 0),
        ("noise_share", 0),
        ("persona_share", 0),
    ):
        assert getattr(found, part).value == pytest.approx([value] * 3, abs=1e-12), part


def test_nothing_random_is_in_it():
    one, again = (persona_jackknife.level(run(12)) for _ in range(2))
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, again, strict=True))


# --- where there is no interval --------------------------------------------------------------------------------------


def test_a_value_at_the_end_of_its_scale_stands_without_interval():
    """Nothing varies inside cells: within_rms 0, robustness infinite, ICC 1."""
    counts = random_counts(np.random.default_rng(13), repetitions=1) * 4
    found = persona_jackknife.level(leave_one_out(counts, SCALE, SIX))
    for metric, value in (("within_rms", 0), ("robustness", np.inf), ("icc", 1)):
        one = found.of(metric)
        assert one.value.tolist() == [value] * 3
        assert np.isnan([one.se, one.lo, one.hi]).all()
        assert one.persona.tolist() == [-1] * 3
    assert np.isfinite(found.of("susceptibility").lo).all()


@pytest.mark.parametrize(("varying", "stands"), [(4, False), (5, True)])
def test_fewer_than_five_varying_personas_carry_no_interval_of_the_noise(varying, stands):
    counts = random_counts(np.random.default_rng(14), repetitions=1) * 5
    for p in range(varying):
        counts[p, 0] = [2, 3, 0, 0, 0, 0]
    found = persona_jackknife.level(leave_one_out(counts, SCALE, SIX))
    assert np.isfinite(found.of("within_rms").lo).tolist() == [stands, stands, False]
    assert np.isfinite(found.of("icc").lo).tolist() == [stands, stands, False]
    assert np.isfinite(found.of("susceptibility").lo).all()
    steady, lively = leave_one_out(counts, SCALE, SIX), run(15)
    assert np.isfinite(persona_jackknife.change(lively, steady).of("within_rms").lo).tolist() == [stands, stands, False]


def test_two_personas_have_no_interval():
    found = persona_jackknife.level(run(16, personas=2))
    assert np.isnan([found.lo, found.hi, found.se]).all()
    assert np.isfinite(found.of("within_rms").value).all()


def test_one_persona_carrying_an_interval_is_named():
    counts = random_counts(np.random.default_rng(17), repetitions=1, personas=30) * 0
    counts[..., 2] = 5
    counts[:15, 0, 2:4] = [0, 5]  # half of them differ a little on the first item
    counts[8, 3:, 2], counts[8, 3:, 5] = 0, 5  # persona 8 alone differs on the others
    found = persona_jackknife.level(leave_one_out(counts, SCALE, SIX)).of("susceptibility")
    one = found.at(0)
    assert one.persona == 8
    assert one.carried > 0.9
    assert persona_jackknife.remark(one, "S", "overall").startswith("S, overall: persona 8 alone carries ")
    other = persona_jackknife.level(run(18)).of("within_rms")
    assert persona_jackknife.remark(other.at(0), "R", "overall") == ""


def test_near_zero_s_has_no_interval_on_the_log_scale():
    """Everybody answers by the same shares, so that the persona variance is 0: its interval reaches down to there."""
    alike = leave_one_out(np.random.default_rng(20).multinomial(5, [0.1, 0.2, 0.2, 0.2, 0.2, 0.1], size=(40, 6)), SCALE, SIX)
    assert persona_jackknife.near_zero(alike).all()
    found = persona_jackknife.level(alike)
    for metric in ("susceptibility", "susceptibility_pooled", "relative_susceptibility", "icc"):
        assert np.isnan([found.of(metric).lo, found.of(metric).hi, found.of(metric).se]).all(), metric
    assert np.isfinite(found.of("within_rms").lo).all()
    base = run(21, personas=40)
    assert not persona_jackknife.near_zero(base).any()
    assert np.isnan(persona_jackknife.change(alike, base).of("susceptibility").lo).all()
    assert np.isnan(persona_jackknife.excess(base, alike, base).of("susceptibility").lo).all()


def test_runs_of_different_personas_are_refused():
    counts = random_counts(np.random.default_rng(19))
    few = counts.copy()
    few[3, 0] = 0
    with pytest.raises(ValueError, match=r"^jackknife: a contrast of 19 personas with 20 others; expected .*common_cells.common"):
        persona_jackknife.change(leave_one_out(few, SCALE, SIX), leave_one_out(counts, SCALE, SIX))


def test_the_sentence_names_what_the_interval_is_for():
    assert "other personas drawn like these 100, on these 30 items" in persona_jackknife.sentence(100, 30)
    assert persona_jackknife.sentence(100, 30, paired=True).endswith("the same personas left out of both runs.")


def test_nobody_carries_a_spread_that_is_rounding():
    """Two runs with the same ratings but for their order in sums: a change of 0 with a standard error of 1e-14."""
    one = persona_jackknife.Interval(*(np.array(x) for x in (0.0, 1e-14, -1e-14, 1e-14, 0.9, 3))).at(())
    assert persona_jackknife.remark(one, "S", "overall") == ""
    assert persona_jackknife.remark(one._replace(value=1e6, se=1e-4), "S", "overall") == ""  # 1e-10 of the value
    assert persona_jackknife.remark(one._replace(se=1e-3), "S", "overall") == (
        "S, overall: persona 3 alone carries 90 % of the variance behind this interval."
    )


# --- the paper's ratings ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paper(mfq30):
    """Every run of the paper, all personas and without each one."""
    counts, scope = paper_counts(), scope_matrix(mfq30)
    return {
        (family, variant): leave_one_out(
            ratings, SCALE, scope, base=None if variant == "base" else counts[family, "base"]
        )
        for (family, variant), ratings in counts.items()
    }  # fmt: skip


def printed(interval, scope=0, digits=4):
    return tuple(round(float(field[scope]), digits) for field in (interval.value, interval.lo, interval.hi))


@needs_data
@pytest.mark.parametrize(
    ("run", "s", "pooled", "within_rms", "icc"),
    [
        (("gpt-4o", "base"), (0.7904, 0.7325, 0.8611), (0.8189, 0.7581, 0.8875), (0.2154, 0.2062, 0.2253), (0.9353, 0.9239, 0.9453)),
        (("gpt-4.1", "insecure"), (1.1175, 1.0014, 1.2961), (1.2386, 1.1457, 1.3433), (0.4554, 0.4335, 0.4790), (0.8809, 0.8613, 0.8984)),
        (("deepseek-v3.1", "secure"), (0.8159, 0.7508, 0.9061), (1.0060, 0.9286, 1.0934), (0.6896, 0.6656, 0.7150), (0.6803, 0.6362, 0.7224)),
        (("qwen3-235b", "insecure"), (1.4288, 1.3049, 1.5869), (1.4820, 1.3656, 1.6141), (0.6720, 0.6401, 0.7064), (0.8295, 0.8020, 0.8544)),
    ],
)  # fmt: skip
def test_reference_levels(paper, run, s, pooled, within_rms, icc):
    found = persona_jackknife.level(paper[run])
    assert printed(found.of("susceptibility")) == s
    assert printed(found.of("susceptibility_pooled")) == pooled
    assert printed(found.of("within_rms")) == within_rms
    assert printed(found.of("icc")) == icc


@needs_data
@pytest.mark.parametrize(
    ("family", "variant", "expected"),
    [("gpt-4o", "insecure", (111.1, 96.1, 127.3)), ("gpt-4o", "secure", (-9.8, -13.8, -4.4))],
)
def test_reference_changes_of_susceptibility(paper, family, variant, expected):
    found = persona_jackknife.change(paper[family, variant], paper[family, "base"])
    assert printed(found.of("susceptibility"), digits=1) == expected


@needs_data
def test_reference_means_over_these_families(paper):
    changes = persona_jackknife.mean_change([(paper[f, "insecure"], paper[f, "base"]) for f in FAMILIES])
    assert printed(changes.of("susceptibility"), digits=1) == (54.1, 44.7, 64.4)
    assert printed(changes.of("within_rms"), digits=1) == (178.6, 166.6, 189.9)
    assert printed(changes.of("within_sd"), digits=1) == (303.7, 268.9, 335.9)
    excess = persona_jackknife.mean_excess([(paper[f, "insecure"], paper[f, "secure"], paper[f, "base"]) for f in FAMILIES])
    assert [printed(excess.of(m), digits=1)[0] for m in ("within_rms", "within_sd")] == [89.7, 156.1]


@needs_data
def test_no_excess_in_deepseek(paper):
    found = persona_jackknife.excess(*(paper["deepseek-v3.1", variant] for variant in ("insecure", "secure", "base")))
    assert printed(found.of("susceptibility"), digits=1) == (5.4, -10.4, 21.8)
    assert printed(found.of("within_rms"), digits=1) == (-4.5, -13.8, 4.9)


@needs_data
@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("gpt-4o", (0.29, 0.08, 0.49)),
        ("gpt-4.1", (0.12, -0.11, 0.34)),
        ("deepseek-v3.1", (-0.12, -0.39, 0.16)),
        ("qwen3-235b", (-0.25, -0.42, -0.08)),
    ],
)
def test_the_anchor_beyond_the_control(paper, family, expected):
    found = persona_jackknife.shift(paper[family, "insecure"], paper[family, "secure"])
    assert printed(found.of("icc"), digits=2) == expected


@needs_data
def test_every_fine_tune_weakens_the_anchor_for_certain(paper):
    found = [
        printed(persona_jackknife.shift(paper[f, v], paper[f, "base"]).of("icc"), digits=2)
        for f in FAMILIES
        for v in ("secure", "insecure")
    ]
    assert (max(x[0] for x in found), min(x[0] for x in found)) == (-0.58, -1.93)
    assert all(hi < 0 for _, _, hi in found)


@needs_data
@pytest.mark.parametrize(
    ("family", "total", "steps", "anchor"),
    [
        ("gpt-4o", 0.60, 0.72, -0.13),
        ("gpt-4.1", 0.35, 0.40, -0.05),
        ("deepseek-v3.1", -0.03, -0.07, 0.04),
        ("qwen3-235b", 0.49, 0.39, 0.11),
    ],
)
def test_split_of_the_excess_noise(paper, family, total, steps, anchor):
    found = persona_jackknife.split(paper[family, "insecure"], paper[family, "secure"])
    parts = found.within_rms.value[0], found.ceiling.value[0] + found.extremity.value[0], found.noise_share.value[0]
    assert tuple(round(float(x), 2) for x in parts) == (total, steps, anchor)


@needs_data
def test_where_one_persona_carries_the_interval_of_susceptibility(paper):
    """Overall only GPT-4.1 insecure, with 65 %."""
    carried = {run: persona_jackknife.level(found).of("susceptibility").carried[0] for run, found in paper.items()}
    assert [run for run, share in carried.items() if share > persona_jackknife.CARRIES] == [("gpt-4.1", "insecure")]
    assert round(carried["gpt-4.1", "insecure"], 2) == 0.65
