"""Are the personas still there? The persona variance, not cut at zero, with an interval that exists at zero.

The persona variance theta is the mean over items of V - mean u, with V the variance over personas of the cell mean and u the
variance of a cell mean by rating noise. Its interval is A (`persona_jackknife`) on the identity scale: logarithms and logits do
not exist where no persona effect is left.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from persona_collapse.statistics import persona_jackknife
from persona_collapse.statistics.recommended_estimators import LeaveOneOut

TOLD_APART, GONE, UNKNOWN = "told apart", "gone", "cannot be told"
#: Personas are gone only where pooled S is below this share of the base's: a judgement.
HALF = 0.5
#: Largest p value at which answers are taken to depend on the persona.
LEVEL = 0.05


class Limits(NamedTuple):
    """A value with its 95 % interval for other personas; NaN limits where there is none."""

    value: float
    lo: float
    hi: float


NOTHING = Limits(np.nan, np.nan, np.nan)


class Presence(NamedTuple):
    """How much of a run's answers is the persona's, over all of its items."""

    variance: Limits  #: theta, in squared scale points; may be below 0
    pooled: Limits  #: S_pool, its root, in scale points; at least 0
    icc: Limits  #: theta / (theta + W), not cut at zero


def variances(run: LeaveOneOut, column: int = 0) -> np.ndarray:
    """theta of all personas, then without each one of them (1 + persona,), for one scope of a run."""
    return run.persona_variance[:, column]


def presence(run: LeaveOneOut, null_95: float = np.nan, column: int = 0) -> Presence:
    """Persona variance, pooled S and ICC of one run, with intervals on the identity scale.

    Parameters
    ----------
    run : LeaveOneOut
        All NaN where it has no personas or no cell with two ratings.
    null_95 : float
        95 % point of theta where answers do not depend on the persona (`permutation`). Where the upper limit of theta lies below
        it, that point is the upper limit of pooled S.
    column : int
        Which scope.
    """
    if run.means is None:
        return Presence(NOTHING, NOTHING, NOTHING)
    theta = variances(run, column)
    variance = _identity(theta)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = theta / (theta + run.means.over(run.parts.noise)[:, column])
    return Presence(variance, _root(variance, null_95), _identity(share))


def change(variant: LeaveOneOut, base: LeaveOneOut, column: int = 0) -> Limits:
    """Change of pooled S against the base in percent, by Fieller's interval for theta / theta_base: also where theta is near 0.

    Parameters
    ----------
    variant, base : LeaveOneOut
        Of the same personas.

    Returns
    -------
    Limits
        -100 where theta, or a limit, is not above 0; without limits where the base's theta cannot be told from 0, as there
        is no ratio then.

    References
    ----------
    E. C. Fieller (1954): the ratios r for which a - r b cannot be told from 0, a and b being jackknife centres.
    """
    persona_jackknife.same_personas(variant, base)
    if variant.means is None or base.means is None:
        return NOTHING
    own, other = variances(variant, column), variances(base, column)
    found = persona_jackknife.estimate(np.stack([own, other])[..., None], carried=False)
    reach = stdtrit(found.df, 0.975)
    (a, b), (se, se_base) = found.centre[:, 0], found.se[:, 0]
    ratio = own[0] / other[0] if other[0] > 0 else np.nan
    square = b**2 - (reach * se_base) ** 2
    if not np.isfinite(a + b + se + se_base) or square <= 0 or b <= 0:
        return Limits(_percent(ratio), np.nan, np.nan)
    personas = len(own) - 1
    off, off_base = own[1:] - own[1:].mean(), other[1:] - other[1:].mean()
    covariance = (personas - 1) / personas * (off @ off_base)
    middle = a * b - reach**2 * covariance
    under = max(middle**2 - square * (a**2 - (reach * se) ** 2), 0)
    return Limits(*(_percent(value) for value in (ratio, *((middle + sign * under**0.5) / square for sign in (-1, 1)))))


def verdict(found: Presence, p: float, base_pooled: float, half: float = HALF) -> str:
    """Whether the personas of a run are told apart, gone, or neither can be said.

    Parameters
    ----------
    found : Presence
    p : float
        Of the permutation test; NaN by logprobs, whose distributions have no noise to permute, and with one rating a cell.
    base_pooled : float
        Pooled S of the base; NaN where there is no base to compare with.
    half : float
        Gone means that the upper limit of pooled S lies below this share of the base's: not being significant is not enough.
    """
    if found.variance.lo > 0 or p <= LEVEL:
        return TOLD_APART
    return GONE if found.pooled.hi < half * base_pooled else UNKNOWN


def _identity(values: np.ndarray) -> Limits:
    """Interval A of (1 + persona,) values on their own scale."""
    found = persona_jackknife.estimate(values[:, None], carried=False)
    return Limits(float(values[0]), *(float(limit[0]) for limit in persona_jackknife.limits(found)))


def _root(variance: Limits, null_95: float) -> Limits:
    """Pooled S of a persona variance."""
    hi = null_95 if variance.hi < null_95 else variance.hi
    return Limits(*(float(np.sqrt(np.maximum(value, 0))) for value in (variance.value, variance.lo, hi)))


def _percent(ratio: float) -> float:
    """Change of the root of a ratio, in percent."""
    return float(100 * (np.sqrt(np.maximum(ratio, 0)) - 1))
