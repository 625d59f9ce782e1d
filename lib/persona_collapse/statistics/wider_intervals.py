"""Wider claims: items like these, and families like these, instead of just those that were asked."""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from persona_collapse.statistics import persona_jackknife
from persona_collapse.statistics.recommended_estimators import METRICS, LeaveOneOut
from persona_collapse.statistics.slopes import MOVED, slopes

_HALF = 0.975
_ROOTS = ("susceptibility", "susceptibility_published")


class OverFamilies(NamedTuple):
    """Mean over families taken as a sample of families, with its 95 % interval, on the scale of the values."""

    mean: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    same: np.ndarray  #: how many families go in the direction of most
    families: int

    def note(self, *place: int) -> str:
        """How many families agree, as a sentence, for one entry of the arrays."""
        k, f = int(self.same[place]), self.families
        unable = f" No sign test over {f} families can reach p < .05; 6 are needed." if f < 6 else ""
        return f"{k} of {f} families in the same direction.{unable}"


def contributions(run: LeaveOneOut) -> np.ndarray:
    """What each item contributes to the logarithm of every metric (metric, item, scope), weights included.

    References
    ----------
    First order: the share s_q / sum s for susceptibility, W_q / (2 sum W) for within_rms, t2_q / sum t2 - W_q / sum W for
    the logit of ICC (here for its logarithm), and so on.
    """
    means, fidelity = run.means, METRICS.index("fidelity")
    assert means is not None  # a claim is about runs with personas
    with np.errstate(invalid="ignore", divide="ignore"):
        # Undefined for an item without noise estimate: so are then the metrics of every scope that holds it.
        moved = np.nan_to_num(np.stack([means.part(name)[0] for name in MOVED], axis=-1))
        each = (slopes(means, run.full) * moved[:, None]).sum(axis=-1)
        # The slope is that of the root of the anchor; the item's share is the root itself, twice as much.
        each[[METRICS.index(metric) for metric in _ROOTS]] *= 2
        if means.base is None:
            each[fidelity] = 0
        else:
            anchor = means.scope * means.part("base_anchor")[0][:, None]
            each[fidelity] -= anchor / (2 * anchor.sum(axis=0))
    return each


def over_families(differences: np.ndarray) -> OverFamilies:
    """Mean of what each family shows, with the t interval that takes the families as a sample; personas are never pooled.

    Parameters
    ----------
    differences : (family, ...) array
        One number a family on a scale without an end: log ratios, differences of logits (`persona_jackknife.shift`).

    Returns
    -------
    OverFamilies
        Limits NaN with a single family.
    """
    families = len(differences)
    mean = persona_jackknife.average(differences)
    upward = (differences > 0).sum(axis=0)
    same = np.maximum(upward, (differences < 0).sum(axis=0))
    if families < 2:
        nothing = np.full(mean.shape, np.nan)
        return OverFamilies(mean, nothing, nothing, same, families)
    with np.errstate(invalid="ignore"):  # an infinite level, as of a base that never varies
        reach = stdtrit(families - 1, _HALF) * differences.std(axis=0, ddof=1) / np.sqrt(families)
    return OverFamilies(mean, mean - reach, mean + reach, same, families)


def holm(p: np.ndarray) -> np.ndarray:
    """P values of a family of claims, adjusted by Holm's step-down method; NaN stays NaN and is not counted.

    References
    ----------
    S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979) 65-70.
    """
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return adjusted


def between_items(each: np.ndarray, scope: np.ndarray) -> np.ndarray:
    """Variance (metric, scope) of a sum over items that are a sample within their foundations."""
    strata = scope[:, 1:].argmax(axis=1) if scope.shape[1] > 1 else np.zeros(len(scope), int)
    total = np.zeros((len(each), scope.shape[1]))
    for stratum in np.unique(strata):
        own = strata == stratum
        if own.sum() > 1:
            # Items outside a scope have weight 0 and contribute 0 throughout, so they add nothing.
            total += own.sum() * each[:, own].var(axis=1, ddof=1)
    return total


def widened(
    found: persona_jackknife.Estimate, spread: np.ndarray, scope: np.ndarray
) -> tuple[persona_jackknife.Estimate, np.ndarray]:
    """Estimate with the spread over items added, and its t quantiles by Satterthwaite's degrees of freedom."""
    personas = found.se**2
    inside = scope > 0
    foundations = np.maximum((inside[:, 1:].T.astype(int) @ inside > 0).sum(axis=0), 1) if scope.shape[1] > 1 else 1
    free = inside.sum(axis=0) - foundations
    total = personas + spread
    apart = personas**2 / found.df + spread**2 / np.maximum(free, 1)
    df = np.divide(total**2, apart, out=np.full(total.shape, float(found.df)), where=apart > 0)
    return found._replace(se=np.sqrt(total)), stdtrit(df, _HALF)
