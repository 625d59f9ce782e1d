"""Interval B: how far numbers would move if the same requests were repeated, from counts, without random numbers.

Metrics are functions of a few means over cells. How those vary together comes from leaving out one rating of one cell at a
time (`rating_jackknife`), or one request where ratings of one may share noise (`request_jackknife`), once for every item; a
metric's variance follows from how much it moves with each of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from persona_collapse.statistics import rating_jackknife, request_jackknife
from persona_collapse.statistics.moments import Parts
from persona_collapse.statistics.persona_jackknife import FEWEST_VARYING, LOGIT, NOISE
from persona_collapse.statistics.recommended_estimators import METRICS, LeaveOneOut, Means
from persona_collapse.statistics.slopes import slopes

#: Half the width of a 95 % interval, in standard errors.
NORMAL_95 = 1.96


class Repeat(NamedTuple):
    """A value with its 95 % interval for the same requests repeated, (metric, scope) each; NaN where there is none."""

    value: np.ndarray
    se: np.ndarray
    lo: np.ndarray
    hi: np.ndarray

    def of(self, metric: str) -> "Repeat":
        """One metric, (scope,) each."""
        return Repeat(*(field[METRICS.index(metric)] for field in self))


class Redrawn(NamedTuple):
    """Every metric of a run, and the variance of its logarithm when only the ratings are drawn again, (metric, scope)."""

    value: np.ndarray
    variance: np.ndarray


def redrawn(run: LeaveOneOut) -> Redrawn:
    """Variance of every metric of a run from its ratings alone; exact probabilities have no such variance."""
    means, fidelity = run.means, METRICS.index("fidelity")
    if means is None or run.repetitions[1] == 1:  # nothing says how ratings of one cell would differ
        return Redrawn(run.full, np.full(run.full.shape, np.nan))
    if not run.repetitions[1]:
        return Redrawn(run.full, np.where(np.isfinite(run.full), 0.0, np.nan))
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = _variance(means, run.full, _covariances(means.parts, means.base or means.parts))
        if means.base is None:
            variance[fidelity] = 0
        else:  # the base is asked again too
            other = Means(means.base, means.scope, means.parts)
            moves = _covariances(means.base, means.parts, fidelity=True)
            variance[fidelity] += _variance(other, run.full, moves, only=("fidelity",))[fidelity]
        few = NOISE[:, None] & (run.varying < FEWEST_VARYING)
        return Redrawn(run.full, np.where(few | ~np.isfinite(variance) | ~np.isfinite(run.full), np.nan, variance))


def level(run: Redrawn) -> Repeat:
    """Every metric of a run: value -+ 1.96 se, on the logit scale for metrics between 0 and 1; robustness by its inverse."""
    value, relative = run.value, np.sqrt(run.variance)
    with np.errstate(invalid="ignore", divide="ignore"):
        lo, hi = value * (1 - NORMAL_95 * relative), value * (1 + NORMAL_95 * relative)
        for row in LOGIT:
            reach = NORMAL_95 * relative[row] / (1 - value[row])
            lo[row], hi[row] = expit(logit(value[row]) - reach), expit(logit(value[row]) + reach)
        for metric in ("robustness", "robustness_published"):
            row = METRICS.index(metric)
            inverse = 1 / value[row]
            most = inverse * (1 + NORMAL_95 * relative[row])
            least = np.maximum(inverse * (1 - NORMAL_95 * relative[row]), 0)
            lo[row], hi[row] = 1 / most, 1 / least
    value, row = value.copy(), METRICS.index("fidelity")
    for limit in (value, lo, hi):  # a correlation, whatever its correction for noise
        limit[row] = np.minimum(limit[row], 1)
    return Repeat(value, np.abs(value) * relative, lo, hi)


def change(variant: Redrawn, base: Redrawn) -> Repeat:
    """Relative change 100 (X / X_base - 1) in percent; the two runs were drawn independently."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ratio = variant.value / base.value
        se = np.sqrt(variant.variance + base.variance)
        lo, hi = (100 * (ratio * np.exp(sign * NORMAL_95 * se) - 1) for sign in (-1, 1))
        return _known(Repeat(100 * (ratio - 1), 100 * ratio * se, lo, hi))


def excess(harmful: Redrawn, control: Redrawn, base: Redrawn) -> Repeat:
    """Excess 100 (X_harmful - X_control) / X_base in points of base."""
    return _mean([_excess(harmful, control, base)])


def mean_change(pairs: Sequence[tuple[Redrawn, ...]]) -> Repeat:
    """Mean over these families of the change in percent of (variant, base)."""
    changes = [change(*pair) for pair in pairs]
    return _mean([(found.value, found.se) for found in changes])


def mean_excess(triples: Sequence[tuple[Redrawn, ...]]) -> Repeat:
    """Mean over these families of the excess of (harmful, control, base)."""
    return _mean([_excess(*triple) for triple in triples])


def sentence(personas: int | str, items: int, repetitions: tuple[int, int]) -> str:
    """What interval B is an interval for; `personas` are how many, in words where there are two decks."""
    least, most = repetitions
    n = f"n = {least}" if least == most else f"n = {least}-{most}"
    return (
        f"95 % interval for repeating the same requests with the same {personas} personas and {items} items ({n} ratings a cell)."
    )


def _excess(harmful: Redrawn, control: Redrawn, base: Redrawn) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = (harmful.value - control.value) / base.value
        apart = (harmful.value**2 * harmful.variance + control.value**2 * control.variance) / base.value**2
        return 100 * difference, 100 * np.sqrt(apart + difference**2 * base.variance)


def _mean(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> Repeat:
    """Mean of independent (value, se) pairs."""
    with np.errstate(invalid="ignore", over="ignore"):  # a base that never varies has an infinite robustness
        value = np.mean([one for one, _ in found], axis=0)
        se = np.sqrt(np.sum([se**2 for _, se in found], axis=0)) / len(found)
        return _known(Repeat(value, se, value - NORMAL_95 * se, value + NORMAL_95 * se))


def _known(found: Repeat) -> Repeat:
    """Without limits where one of them does not exist."""
    there = np.isfinite(found.lo) & np.isfinite(found.hi)
    return Repeat(found.value, *(np.where(there, field, np.nan) for field in found[1:]))


def _covariances(parts: Parts, other: Parts, *, fidelity: bool = False) -> np.ndarray:
    """Of the parts of each item: what a repetition draws anew are requests where it is known which there were."""
    drawn = rating_jackknife if parts.by_request is None else request_jackknife
    return drawn.covariances(parts, other, fidelity=fidelity)


def _variance(means: Means, value: np.ndarray, moves: np.ndarray, *, only: Sequence[str] = METRICS) -> np.ndarray:
    """Variance (metric, scope) of the logarithm of every metric from the covariances (item, moved, moved) of its parts."""
    errors = np.sqrt(np.diagonal(moves, axis1=1, axis2=2))
    gradients = slopes(means, value, errors, only=only)
    return ((gradients @ moves) * gradients).sum(axis=(1, 3))
