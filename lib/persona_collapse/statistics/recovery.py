"""How much of what a fine-tune did does a treatment undo? Recovery, with an interval that is refused where there is nothing.

With f a number of a run on the scale on which differences are taken, b the base, h the harmful fine-tune and m the same treated,
recovery is rho = (f_m - f_h)/(f_b - f_h): 0 where nothing is undone, 1 where all is, above 1 where more is, below 0 where it
got worse. The three move together, as the same personas (of a rate of answers: the same questions) answer in all of them. So
numerator a and denominator d are jackknifed as a pair, and the interval is the set of rho for which a - rho d cannot be told
from 0 (Fieller):

    (a - rho d)^2 <= t^2 (Var a - 2 rho Cov(a, d) + Var d rho^2).

That set is bounded exactly where d itself can be told from 0 at the same level. Where it cannot, there is nothing to recover,
and no number is given: a ratio to nothing says nothing.

References
----------
E. C. Fieller, J. R. Stat. Soc. B 16 (1954) 175. The jackknife of a pair as in `persona_jackknife`, whose centres a and d are.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from persona_collapse.statistics.persona_jackknife import estimate, limits
from persona_collapse.statistics.presence import NOTHING, Limits

#: Units (personas, clusters, questions) below which no interval is given.
FEWEST_UNITS = 5
_HALF = 0.975


class Recovered(NamedTuple):
    """A share of a gap with its 95 % interval, and the gap itself; NaN where there is none."""

    share: Limits
    gap: Limits  #: d, from the harmful fine-tune to what it is measured by, on the scale of the numbers
    why: str = ""  #: why there is no share


def share_of(moved: np.ndarray, gap: np.ndarray, *, corrected: bool = True) -> Recovered:
    """A difference as a share of another: numerator and denominator of all units, then without each (1 + unit,).

    Parameters
    ----------
    moved, gap : (1 + unit,) float arrays
        Of the same units, on the scale on which differences are taken.
    corrected : bool
        Whether centres are corrected for bias, as interval A is; the style share is judged uncorrected (`style.Share`).

    Returns
    -------
    Recovered
        Without a share where the gap cannot be told from 0 at the level of the interval, a number is not finite, or there are
        fewer than `FEWEST_UNITS` units; the interval always lies about the share of the centres, and is bounded.
    """
    units = len(gap) - 1
    if units < FEWEST_UNITS:
        return Recovered(NOTHING, NOTHING, f"{units} are too few to tell; it takes {FEWEST_UNITS}")
    if not (np.isfinite(moved).all() and np.isfinite(gap).all()):
        return Recovered(NOTHING, NOTHING, "it does not exist on some side")
    found = estimate(np.stack([moved, gap])[..., None], carried=False)
    centre = (found.centre if corrected else found.value)[:, 0]
    lo, hi = (limit[1, 0] for limit in limits(found if corrected else found._replace(centre=found.value)))
    between = Limits(float(gap[0]), float(lo), float(hi))
    if lo <= 0 <= hi:
        return Recovered(NOTHING, between, "nothing to recover: the gap cannot be told from none")
    return Recovered(Limits(float(moved[0] / gap[0]), *_fieller(centre, moved, gap, float(stdtrit(units - 1, _HALF)))), between)


def _fieller(centre: np.ndarray, moved: np.ndarray, gap: np.ndarray, reach: float) -> tuple[float, float]:
    """Both ends of the set, of a denominator that can be told from 0."""
    units = len(gap) - 1
    off = np.stack([moved[1:] - moved[1:].mean(), gap[1:] - gap[1:].mean()])
    (of_moved, both), (_, of_gap) = reach**2 * (units - 1) / units * (off @ off.T)
    a, d = centre
    square, middle = d**2 - of_gap, a * d - both
    under = np.sqrt(max(middle**2 - square * (a**2 - of_moved), 0))
    return float((middle - under) / square), float((middle + under) / square)


def logit_rates(flagged: np.ndarray, answered: np.ndarray) -> np.ndarray:
    """Logit of a rate of answers, over all questions, then without each one (1 + question,).

    Parameters
    ----------
    flagged, answered : (question,) arrays
        Answers that count, and all of them. Half an answer is added on either side, spread evenly over the questions, so that the
        logit exists at none and all, and that of none is the same without any question.
    """
    half = 0.5 / len(flagged)
    yes, no = (np.asarray(of, float) + half for of in (flagged, answered - flagged))
    yes, no = (np.concatenate([[of.sum()], of.sum() - of]) for of in (yes, no))
    return np.asarray(np.log(yes / no))
