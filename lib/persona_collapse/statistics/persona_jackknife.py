"""Interval A: how far numbers would move with other personas drawn like these; no random numbers, no assumed shape.

Every persona is left out once, the same one on all sides of a contrast. On the scale f of a metric, with z the value and
z_p the value without persona p: SE^2 = (P - 1)/P sum (z_p - mean z_p)^2, centre P z - (P - 1) mean z_p, limits
f^-1(centre -+ t SE) with P - 1 degrees of freedom. f is the logarithm; the logit for ICC, endpoint mass and information
share; none for excess, means over families and fidelity: Fisher's z has no place for 1, which is the truth of a base asked
again, nor for the half of its estimates that lie above.

Where personas come in clusters, such as households, clusters were drawn and not personas: each is left out whole, and P is their
number. Clusters of unequal size need no weights, as what a cluster says and how large it is are drawn together (JK1: Rust and
Rao, Statistical Methods in Medical Research 5 (1996) 283; Wolter, Introduction to Variance Estimation, 2007, ch. 4). The delete-m
jackknife for unequal m of Busing, Meijer and van der Leeden (Statistics and Computing 9 (1999) 3) is for blocks of independent
draws: it weighs large blocks down, and is too short where the personas of a cluster are alike (simulated, 40 clusters of one and
10 of 16 alike to .8: it holds the true S in 71 % of studies, JK1 in 90 %).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit, stdtr, stdtrit

from persona_collapse import vocabulary
from persona_collapse.statistics.recommended_estimators import METRICS, LeaveOneOut

#: With fewer personas that vary at all, metrics of the noise have no interval (`bounds` has what takes its place).
FEWEST_VARYING = 5
#: A persona that carries more of an interval's variance than this is named where the interval stands.
CARRIES = 0.5
#: Up to so many personas, or clusters, the page says what share of these intervals held the truth in simulation.
FEW = 50

#: A standard error below this, beside the value or beside 1, is rounding: nobody carries it.
_ROUNDING = 1e-9
#: In percent, by number of personas: how many simulated studies had an interval that held the true S, and the true noise; then
#: the same where one persona in twenty answers the other way round. Means over 12 populations of simulated respondents, 400
#: studies of each, 5 ratings a cell, all items (`small_studies` in benchmarks/hard_populations.py). Of populations like the
#: published ratings S has 92, 92, 94 and 95 % without outlying personas, 75, 77, 82 and 90 % with them.
MEASURED = {10: (96, 94, 61, 94), 20: (95, 94, 68, 95), 30: (96, 95, 79, 94), 50: (95, 95, 91, 95)}

#: Places of the metrics whose interval is made on the logit scale, and on that of the metric itself.
LOGIT, _PLAIN = (
    [place for place, key in enumerate(METRICS) if vocabulary.METRICS[key].scale == scale] for scale in ("logit", "plain")
)
_FIDELITY = METRICS.index("fidelity")
#: A fidelity above 1, or a ratio beside 1, by less than this is rounding.
_DUST = 1e-9
#: Metrics that hang on variation inside cells: with few varying personas they have a bound in place of an interval.
NOISE = np.array([vocabulary.METRICS[key].noise for key in METRICS])
#: Metrics that are 0 where no persona effect is left, so that their logarithm or logit does not exist there, or divide by it.
ANCHORED = np.isin(METRICS, ("susceptibility", "susceptibility_pooled", "relative_susceptibility", "icc", "fidelity"))
_HALF = 0.975
#: Standard errors beyond which chance goes in 5 % of draws, on one side.
_ONE_SIDED = 1.645


class Interval(NamedTuple):
    """A value with its 95 % interval; arrays of one shape, usually (metric, scope).

    The value is what the ratings say; limits are bias-corrected and need not lie symmetrically about it. ``se``, ``lo`` and
    ``hi`` are NaN where the interval does not exist.
    """

    value: np.ndarray
    se: np.ndarray  #: on the transformed scale, brought to the unit of the value
    lo: np.ndarray
    hi: np.ndarray
    carried: np.ndarray  #: share of the jackknife variance that comes from the one persona with the largest
    persona: np.ndarray  #: that persona, as a row of the counts that were given, or cluster; -1 where there is no interval

    def of(self, metric: str) -> "Interval":
        """One metric, (scope,) each."""
        return Interval(*(field[METRICS.index(metric)] for field in self))

    def at(self, column: int) -> "Interval":
        """One scope of one metric, as numbers."""
        return Interval(*(field[column].item() for field in self))


class Split(NamedTuple):
    """What a change of noise and of susceptibility is made of, in differences of logarithms, each (scope,).

    within_rms = ceiling + extremity + noise_share and susceptibility_pooled = ceiling + extremity + persona_share, exactly.
    """

    within_rms: Interval
    susceptibility_pooled: Interval
    ceiling: Interval  #: half the change of log C: item means moved away from, or towards, an end of the scale
    extremity: Interval  #: half the change of log X: larger steps
    noise_share: Interval  #: half the change of log (1 - ICC): a weaker anchor raises it
    persona_share: Interval  #: half the change of log ICC


class Estimate(NamedTuple):
    """Jackknife of a statistic on the scale it is averaged on; see `Interval` for the last two."""

    value: np.ndarray
    centre: np.ndarray
    se: np.ndarray
    df: int | np.ndarray  #: degrees of freedom of its t quantile
    carried: np.ndarray
    row: np.ndarray


def level(run: LeaveOneOut) -> Interval:
    """Every metric of a run, (metric, scope)."""
    found = estimate(transformed(run))
    value = run.full
    lo, hi = map(back, limits(found))
    interval = Interval(value, found.se * slope(value), lo, hi, found.carried, who(run.units, found.row))
    return masked(_correlation(interval, near_zero(run)), run)


def _correlation(interval: Interval, near: np.ndarray) -> Interval:
    """Fidelity brought inside -1 and 1: a correlation, after a correction for noise that can take off more than there was.

    That of a run which is its own base is 1 without an interval. There is none where S is `near` zero: nobody has a place there.
    """
    fields = [field.copy() for field in interval]
    fields[1][_FIDELITY] = np.where(fields[1][_FIDELITY] > 0, fields[1][_FIDELITY], np.nan)
    for field in (fields[0], fields[2], fields[3]):  # value, lo, hi
        field[_FIDELITY] = np.where(near, np.nan, np.clip(field[_FIDELITY], -1, 1))
    return Interval(*fields)


def change(variant: LeaveOneOut, base: LeaveOneOut) -> Interval:
    """Relative change 100 (X / X_base - 1) in percent, (metric, scope), from the logarithm of the ratio."""
    same_personas(variant, base)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = estimate(variant.logs - base.logs)
        ratio = variant.full / base.full
        ratio = np.where(np.abs(ratio - 1) < _DUST, 1, ratio)  # the same sum, added up in another order
        lo, hi = (100 * np.expm1(limit) for limit in limits(found))
        interval = Interval(100 * (ratio - 1), 100 * ratio * found.se, lo, hi, found.carried, who(base.units, found.row))
        most = 100 * (1 / base.full[_FIDELITY] - 1)  # 0 where the base is the one that fidelity is to
        for field in (interval.value, interval.lo, interval.hi):
            field[_FIDELITY] = np.minimum(field[_FIDELITY], most)
    return masked(interval, variant, base)


def shift(variant: LeaveOneOut, other: LeaveOneOut) -> Interval:
    """Difference on the metric's own scale (log, logit, plain), (metric, scope)."""
    same_personas(variant, other)
    with np.errstate(invalid="ignore"):
        return masked(_plain(transformed(variant) - transformed(other), other.units), variant, other)


def difference(variant: LeaveOneOut, other: LeaveOneOut) -> Interval:
    """Difference in the metric's own unit, (metric, scope)."""
    same_personas(variant, other)
    with np.errstate(invalid="ignore"):
        return masked(_plain(variant.values - other.values, other.units), variant, other)


def p_value(variant: LeaveOneOut, base: LeaveOneOut) -> np.ndarray:
    """Two-sided p value of no change (metric, scope): below .05 where the interval of `change` leaves out 0, NaN without one."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = estimate(variant.logs - base.logs)
        p = 2 * stdtr(found.df, -np.abs(found.centre / found.se))
    return np.where(np.isnan(change(variant, base).lo), np.nan, p)


def excess(harmful: LeaveOneOut, control: LeaveOneOut, base: LeaveOneOut) -> Interval:
    """Excess 100 (X_harmful - X_control) / X_base in points of base, (metric, scope)."""
    same_personas(harmful, control, base)
    return masked(_plain(_excess(harmful, control, base), base.units), harmful, control, base)


def mean_change(pairs: Sequence[tuple[LeaveOneOut, ...]]) -> Interval:
    """Mean over these families of the change in percent of (variant, base), (metric, scope)."""
    runs = [run for pair in pairs for run in pair]
    same_personas(*runs)
    with np.errstate(invalid="ignore", divide="ignore"):
        changes = [100 * (variant.values / base.values - 1) for variant, base in pairs]
    return masked(_plain(average(changes), runs[0].units), *runs)


def mean_excess(triples: Sequence[tuple[LeaveOneOut, ...]]) -> Interval:
    """Mean over these families of the excess of (harmful, control, base), (metric, scope)."""
    runs = [run for triple in triples for run in triple]
    same_personas(*runs)
    return masked(_plain(average([_excess(*triple) for triple in triples]), runs[0].units), *runs)


def difference_of_changes(
    pairs: Sequence[tuple[LeaveOneOut, LeaveOneOut]], others: Sequence[tuple[LeaveOneOut, LeaveOneOut]]
) -> Interval:
    """Mean over families of the change of (variant, base) in percent, less that of `others`, overall, (metric, 1).

    Of the same personas, and it may be of different items and scales: a change in percent of its base has no unit. There are no
    limits where one of the changes has none.
    """
    runs = [run for pair in (*pairs, *others) for run in pair]
    same_personas(*runs)
    with np.errstate(invalid="ignore", divide="ignore"):
        own, other = (
            average([100 * (variant.values / base.values - 1)[..., :1] for variant, base in side]) for side in (pairs, others)
        )
        found = _plain(own - other, runs[0].units)
    gone = np.any([np.isnan(change(*pair).lo[:, :1]) for pair in (*pairs, *others)], axis=0)
    se, lo, hi = (np.where(gone, np.nan, field) for field in found[1:4])
    return found._replace(se=se, lo=lo, hi=hi)


def average(families: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Mean over families, NaN where two are infinite in opposite directions (a variant, or a control, that never varies)."""
    with np.errstate(invalid="ignore"):
        return np.mean(families, axis=0)


def split(variant: LeaveOneOut, other: LeaveOneOut) -> Split:
    """Exact split of a change into ceiling, larger steps and anchor, each part with its interval (scope,).

    References
    ----------
    W = C X (1 - ICC) and t2 = C X ICC, so log within_rms is half the sum of three logarithms, and so is log pooled S.
    """
    same_personas(variant, other)

    def half(values: np.ndarray, others: np.ndarray, factor: float = 0.5) -> Interval:
        with np.errstate(invalid="ignore", divide="ignore"):
            return _plain(factor * (np.log(values) - np.log(others)), other.units)

    return Split(
        within_rms=half(variant.of("within_rms"), other.of("within_rms"), 1),
        susceptibility_pooled=half(variant.of("susceptibility_pooled"), other.of("susceptibility_pooled"), 1),
        ceiling=half(variant.of("ceiling"), other.of("ceiling")),
        extremity=half(variant.of("extremity"), other.of("extremity")),
        noise_share=half(1 - variant.of("icc"), 1 - other.of("icc")),
        persona_share=half(variant.of("icc"), other.of("icc")),
    )


def estimate(z: np.ndarray, *, carried: bool = True) -> Estimate:
    """Jackknife of values (..., 1 + unit, scope) on any scale; NaN wherever one of them is not finite.

    A unit is a persona or a cluster of them. Without `carried` nobody is looked for who carries the variance.
    """
    full, without = z[..., 0, :], z[..., 1:, :]
    personas = without.shape[-2]
    if personas < 3:
        nothing = np.full(full.shape, np.nan)
        return Estimate(full, nothing, nothing, personas - 1, nothing, np.full(full.shape, -1))
    ones = np.ones(personas)  # sums over personas are products with ones: numpy adds up along a middle axis slowly
    with np.errstate(invalid="ignore", divide="ignore"):
        # Less the value itself, so that equal values leave exactly nothing.
        off = without - full[..., None, :]
        mean = ones @ off / personas
        square = (off - mean[..., None, :]) ** 2
        total = ones @ square
        se = np.sqrt((personas - 1) / personas * total)
        centre = full - (personas - 1) * mean
        if not carried:
            return Estimate(full, centre, se, personas - 1, np.full(se.shape, np.nan), np.full(se.shape, -1))
        row = square.argmax(axis=-2)
        share = np.take_along_axis(square, row[..., None, :], axis=-2)[..., 0, :] / total
    return Estimate(full, centre, se, personas - 1, share, np.where(np.isfinite(se), row, -1))


def transformed(run: LeaveOneOut) -> np.ndarray:
    """Every metric of a run on its own scale (metric, 1 + persona, scope); not finite where that does not exist."""
    z = run.logs.copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        z[LOGIT] -= np.log1p(-run.values[LOGIT])
        z[_PLAIN] = run.values[_PLAIN]
    return z


def remark(interval: Interval, metric: str, place: str, named: Callable[[int], str] = "persona {}".format) -> str:
    """A sentence if one persona, or cluster, carries most of the interval of a metric in one scope, else nothing.

    `interval` holds numbers, see `Interval.at`; `place` names the scope, or the contrast in it, `named` says who `persona` is.
    Nobody carries a spread that is rounding.
    """
    if not interval.carried > CARRIES or not float(interval.se) > _ROUNDING * max(abs(float(interval.value)), 1):
        return ""
    share = f"{100 * interval.carried:.0f} %"
    return f"{metric}, {place}: {named(int(interval.persona))} alone carries {share} of the variance behind this interval."


def above_one(fidelity: float, *, same: bool = False) -> str:
    """Why a fidelity that was estimated above 1 stands as 1; nothing for another. `same`: no rating of the two runs differs."""
    if not fidelity > 1 + _DUST:
        return ""
    why = (
        "no rating differs from the base's, so that both runs share the noise that the correction takes off"
        if same
        else "the correction for rating noise is itself uncertain"
    )
    shown = f"{1 + float(f'{fidelity - 1:.2g}'):.12g}"  # also where it is very near
    return f"Estimated at {shown} and printed as 1, the most that a correlation can be: {why}."


def sentence(
    personas: int, items: int, *, paired: bool = False, model: str = "this fine-tuned model", clusters: int | None = None
) -> str:
    """What interval A is an interval for, and up to `FEW` how often it held in simulation; `model` says for which model.

    `clusters` is the number of clusters, where these are left out whole.
    """
    unit, others = ("persona", f"personas drawn like these {personas}")
    if clusters is not None:
        unit, others = "cluster", f"clusters like these {clusters} (of {personas} personas)"
    how = f"leave-one-{unit}-out on the log scale" + (f", the same {unit}s left out of both runs" if paired else "")
    said = (
        f"95 % interval for other {others}, on these {items} items, for {model}, prompt and serving stack; {how}.",
        few(personas if clusters is None else clusters, unit),
    )
    return " ".join(part for part in said if part)


def few(units: int, unit: str = "persona") -> str:
    """How often intervals of so few personas, or clusters, held the truth in simulation; nothing above `FEW`.

    Of the numbers that were simulated the largest that is not above `units`; the smallest, where there is none.
    """
    if units > FEW:
        return ""
    at = max((number for number in MEASURED if number <= units), default=min(MEASURED))
    s, noise, s_far, noise_far = MEASURED[at]
    fewer = ", and fewer are less sure" if units < at else ""
    return (
        f"Few {unit}s: in simulation, such intervals of {at} {unit}s held the true S in {s} % of studies and the true noise in "
        f"{noise} %; where one {unit} in twenty answers the other way round, in {s_far} % and {noise_far} %{fewer}."
    )


def _plain(z: np.ndarray, units: np.ndarray) -> Interval:
    """Interval of a statistic that is printed on the scale it is averaged on."""
    found = estimate(z)
    se = np.where(np.isfinite(found.value), found.se, np.nan)
    return Interval(found.value, se, *limits(found), found.carried, who(units, found.row))


def who(units: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Which personas, or clusters, these rows of a run are; -1 for none."""
    return np.where(row < 0, -1, units[row]) if len(units) else np.full(row.shape, -1)


def limits(found: Estimate, upto: float = _HALF) -> tuple[np.ndarray, np.ndarray]:
    """Limits of an estimate on its own scale: centre -+ t SE; `upto` is the probability below the upper limit."""
    reach = stdtrit(found.df, upto) * found.se
    return found.centre - reach, found.centre + reach


def back(z: np.ndarray) -> np.ndarray:
    """Inverse of `transformed`."""
    values = np.exp(z)
    values[LOGIT] = expit(z[LOGIT])
    values[_PLAIN] = z[_PLAIN]
    return values


def slope(value: np.ndarray) -> np.ndarray:
    """How much a metric moves for a small step on its own scale."""
    found = value.copy()
    found[LOGIT] *= 1 - value[LOGIT]
    found[_PLAIN] = 1
    return found


def _excess(harmful: LeaveOneOut, control: LeaveOneOut, base: LeaveOneOut) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return 100 * (harmful.values - control.values) / base.values


def masked(interval: Interval, *runs: LeaveOneOut) -> Interval:
    """Without limits where they do not exist, where too few personas vary for a metric of the noise, or for S near zero."""
    few = np.min([run.varying for run in runs], axis=0) < FEWEST_VARYING
    near = np.any([near_zero(run) for run in runs], axis=0)
    gone = ~np.isfinite(interval.se) | ~np.isfinite(interval.lo) | ~np.isfinite(interval.hi)
    gone |= (NOISE[:, None] & few) | (ANCHORED[:, None] & near)
    se, lo, hi, carried = (np.where(gone, np.nan, field) for field in interval[1:5])
    return Interval(interval.value, se, lo, hi, carried, np.where(gone, -1, interval.persona))


def near_zero(run: LeaveOneOut) -> np.ndarray:
    """Where the interval of the persona variance reaches down to 0, and rating noise alone could give as much (scope,).

    An interval of S on the log scale holds a true 0 in no study, and a little above it seldom; `presence` has one that does. An
    interval that reaches to 0 because of a single persona is another thing, and named where it stands.

    References
    ----------
    Without a persona effect V is u chi2(P - 1) / (P - 1), of variance 2 u^2 / (P - 1), with u the variance of a cell mean; taking
    u off, which n ratings estimate, makes that n / (n - 1) times as large.
    """
    if run.means is None:
        return np.full(run.values.shape[-1], False)
    theta, own, n = run.persona_variance, run.means.parts, max(run.repetitions[0], 2)
    with np.errstate(invalid="ignore"):
        u = (own.between - own.anchor)[0]  # (item,)
        chance = np.sqrt(2 / max(len(run.personas) - 1, 1) * n / (n - 1) * (u**2 @ run.means.scope**2))
        return (limits(estimate(theta, carried=False))[0] <= 0) & ~(theta[0] > _ONE_SIDED * chance)


def same_personas(*runs: LeaveOneOut) -> None:
    for run in runs[1:]:
        if not (np.array_equal(run.personas, runs[0].personas) and np.array_equal(run.units, runs[0].units)):
            raise ValueError(
                f"jackknife: a contrast of {len(runs[0].personas)} personas with {len(run.personas)} others; expected the same "
                "personas on all sides; restrict the counts with common_cells.common first"
            )
