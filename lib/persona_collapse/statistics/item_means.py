"""Means over units in strata, such as the items of a task by group, and what two runs differ in on the same units.

A unit u has a sum s_u and a number m_u (of an item: right replies, and replies); the mean is S / M with S = sum s_u and
M = sum m_u. With e_u = (s_u - mean m_u) / M, or for two runs on the same units the difference of their e_u, and for the log of
their ratio that of their e_u M / S,

    SE^2 = sum over strata of n_g / (n_g - 1) sum (e_u - mean_g e)^2

with n_g units in stratum g: replies to one item are not independent, and what groups of items differ in is no error, as they were
chosen. A stratum of one unit has no spread of its own: such strata are taken together. Intervals are value -+ t SE with
Satterthwaite's degrees of freedom, (sum v_g)^2 / sum (v_g^2 / (n_g - 1)), v_g being the term of a stratum.

References
----------
W. G. Cochran, Sampling Techniques (1977), sections 5.4, 5A.12 (strata of one unit) and 6.3 (ratios). F. E. Satterthwaite,
Biometrics Bulletin 2 (1946) 110.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

_LEVEL = 0.975


class Sums(NamedTuple):
    """Units of a run: sum and number of each, and the number of its stratum; arrays (unit,)."""

    sums: np.ndarray
    numbers: np.ndarray
    strata: np.ndarray

    @property
    def mean(self) -> float:
        """Over all units; NaN without any."""
        number = float(self.numbers.sum())
        return float(self.sums.sum()) / number if number else float("nan")


class Effect(NamedTuple):
    """A value with standard error and degrees of freedom; NaN where there is none."""

    value: float
    se: float = float("nan")
    df: float = float("nan")

    def limits(self, low: float = -np.inf, high: float = np.inf) -> tuple[float, float]:
        """The 95 % interval, cut where a value can go no further; NaN where nothing varies, as there is none then."""
        if not self.se > 0:
            return float("nan"), float("nan")
        reach = float(stdtrit(self.df, _LEVEL)) * self.se
        return max(low, self.value - reach), min(high, self.value + reach)

    @property
    def p(self) -> float:
        """Of no difference, two-sided; 1 where nothing differs at all."""
        if self.value == 0 and self.se == 0:
            return 1.0
        return float(2 * stdtr(self.df, -abs(self.value) / self.se)) if self.se > 0 else float("nan")


NONE = Effect(float("nan"))


def level(run: Sums) -> Effect:
    """The mean of a run over its units."""
    return _of(run.mean, _parts(run), run.strata)


def difference(run: Sums, base: Sums) -> Effect:
    """The mean of a run less that of another on the same units, paired."""
    return _of(run.mean - base.mean, _parts(run) - _parts(base), run.strata)


def log_ratio(run: Sums, base: Sums) -> Effect:
    """The log of the mean of a run over that of another on the same units, paired; NaN where either mean is 0."""
    if not (run.mean > 0 and base.mean > 0):
        return NONE
    return _of(float(np.log(run.mean / base.mean)), _parts(run) / run.mean - _parts(base) / base.mean, run.strata)


def beyond(one: Effect, other: Effect) -> Effect:
    """How far an effect lies beyond another one of other units, independent of it."""
    parts = np.array([one.se, other.se]) ** 2
    if not np.isfinite(parts).all():
        return Effect(one.value - other.value)
    own = parts > 0
    df = parts.sum() ** 2 / (parts[own] ** 2 / np.array([one.df, other.df])[own]).sum() if own.any() else np.nan
    return Effect(one.value - other.value, float(np.sqrt(parts.sum())), float(df))


def at_the_end(units: int) -> float:
    """How far a share of units may lie from 0 or 1, at 95 %, where all of so many units lie there: 1 - 0.05^(1/units)."""
    return float(1 - 0.05 ** (1 / units)) if units else float("nan")


def _parts(run: Sums) -> np.ndarray:
    number = run.numbers.sum()
    return (run.sums - run.mean * run.numbers) / number if number else np.full(len(run.sums), np.nan)


def _of(value: float, parts: np.ndarray, strata: np.ndarray) -> Effect:
    if len(parts) < 2 or not np.isfinite(value):
        return Effect(value)
    _, place = np.unique(_pooled(strata), return_inverse=True)
    n = np.bincount(place)
    off = parts - (np.bincount(place, parts) / n)[place]
    terms = n / (n - 1) * np.bincount(place, off**2)
    terms[terms < 1e-24] = 0  # dust of equal parts
    total = float(terms.sum())
    df = total**2 / float((terms**2 / (n - 1)).sum()) if total else float("nan")
    return Effect(value, float(np.sqrt(total)), df)


def _pooled(strata: np.ndarray) -> np.ndarray:
    """Strata with those of one unit taken together; a single one of them joins the largest."""
    names, place, n = np.unique(strata, return_inverse=True, return_counts=True)
    alone = n == 1
    if not alone.any():
        return place
    joined = np.arange(len(names))
    joined[alone] = np.flatnonzero(alone)[0] if alone.sum() > 1 else int(n.argmax())
    return joined[place]
