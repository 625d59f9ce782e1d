"""No change, shown and not assumed: two one-sided tests beside the test of no change, both by interval A of the log ratio.

An interval that holds zero says only that no change was found. Equivalence is shown where the 90 % interval lies within the
smallest change worth caring about, on both sides, which tests at 5 % that the change is not beyond either.
"""

from typing import NamedTuple

import numpy as np

from persona_collapse.statistics import persona_jackknife
from persona_collapse.statistics.recommended_estimators import METRICS, LeaveOneOut

EQUIVALENT, CHANGED, SMALL, UNDECIDED = "equivalent", "changed", "small change", "undecided"
#: Probability below the upper limit of a 90 % interval.
_UPTO = 0.95


class Equivalence(NamedTuple):
    """A change against the base in percent, with the interval of each test, and what both say."""

    value: float
    lo90: float
    hi90: float
    lo: float
    hi: float
    verdict: str


def equivalence(variant: LeaveOneOut, base: LeaveOneOut, metric: str, smallest: float, column: int = 0) -> Equivalence:
    """Whether a metric changed against the base, stayed the same within the smallest change that matters, both or neither.

    Parameters
    ----------
    variant, base : LeaveOneOut
        Of the same personas.
    metric : str
        One with an interval on the log scale, such as susceptibility or robustness.
    smallest : float
        The smallest change worth caring about, as a share: with .1, ratios from 1/1.1 to 1.1 are equivalent.
    column : int
        Which scope.

    Returns
    -------
    Equivalence
        Undecided, with NaN limits, where interval A does not exist.

    References
    ----------
    D. J. Schuirmann (1987): two one-sided tests at 5 % are a 90 % interval inside the margin.
    """
    at = METRICS.index(metric)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = persona_jackknife.estimate((variant.logs - base.logs)[at, :, column : column + 1], carried=False)
    lo90, hi90 = (float(limit[0]) for limit in persona_jackknife.limits(found, _UPTO))
    change = persona_jackknife.change(variant, base).of(metric).at(column)
    if np.isnan(change.lo):  # the rules of interval A: too few personas vary, or a logarithm does not exist
        return Equivalence(float(change.value), np.nan, np.nan, np.nan, np.nan, UNDECIDED)
    value, lo, hi = (float(number) for number in (change.value, change.lo, change.hi))
    margin = np.log1p(smallest)
    same, other = -margin <= lo90 and hi90 <= margin, lo > 0 or hi < 0
    verdict = {(True, False): EQUIVALENT, (False, True): CHANGED, (True, True): SMALL}.get((same, other), UNDECIDED)
    return Equivalence(value, 100 * float(np.expm1(lo90)), 100 * float(np.expm1(hi90)), lo, hi, verdict)
