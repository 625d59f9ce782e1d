"""What a run whose ratings hardly vary still says: a bound on its noise where an interval does not exist."""

from typing import NamedTuple

import numpy as np
from scipy.special import chdtri

from persona_collapse.statistics.persona_jackknife import FEWEST_VARYING

_RISK = 0.05


class NoiseBound(NamedTuple):
    """One-sided 95 % bounds for a scope in which at most a few personas vary; scale points, or their inverse."""

    off: int  #: ratings that differ from the most frequent of their cell, k
    ratings: int  #: all ratings of cells with two or more, N
    step: int  #: largest distance of such a rating from that most frequent one, at least 1
    off_share: float  #: upper bound of the mean probability of such a rating, for these personas
    within_rms_at_most: float  #: for these personas, if steps are not larger than `step`
    robustness_at_least: float
    assumption_free: float  #: the same with steps as large as the scale
    within_sd_at_most: float  #: published estimator at this number of repetitions
    others_robustness_at_least: float  #: for other personas drawn like these
    note: str


def noise_bounds(counts: np.ndarray, categories: range, scope: np.ndarray) -> list[NoiseBound | None]:
    """Bounds of the noise for every scope in which fewer than five personas vary; None where an interval exists.

    None, too, where there are fewer than five personas at all, of whom nobody can say that they hardly vary, and where no cell
    has two ratings: a single one is always its cell's most frequent and says nothing about noise.

    Parameters
    ----------
    counts : (persona, item, category) int array
        Ratings of personas that answered every item.
    categories : range
        Points of the scale.
    scope : (item, scope) array
        Weights from `scopes.scope_matrix`.

    References
    ----------
    Clopper and Pearson's limit in Garwood's form for rare events: k ratings off the mode among N bound their mean probability
    by U = chi2(.95; 2k + 2) / 2N, whatever the cells it is concentrated in. Then within_rms <= d sqrt(U) for steps of at
    most d. The same limit for personas bounds the share of other personas who may be noisy.
    """
    if len(counts) < FEWEST_VARYING:
        return [None] * scope.shape[1]
    told = np.where((counts.sum(axis=-1) > 1)[..., None], counts, 0)
    varies = ((told > 0).sum(axis=-1) > 1) @ (scope > 0).astype(float) > 0
    few = varies.sum(axis=0) < FEWEST_VARYING
    return [
        _bound(told[:, own], categories, int(varies[:, column].sum())) if few[column] and told[:, own].any() else None
        for column, own in enumerate((scope > 0).T)
    ]


def too_few(number: int, what: str = "personas") -> str:
    """What stands beside the noise of fewer than five personas, or clusters; nothing for more, or for none."""
    if not 0 < number < FEWEST_VARYING:
        return ""
    return f"Too few {what}: {number} of at least {FEWEST_VARYING} that an interval of noise needs."


def limit(events: int, trials: int) -> float:
    """Upper 95 % limit of a rare event's mean probability: chi2(.95; 2k + 2) / 2N, 3/N for none, and at most 1."""
    return min(_most(events) / trials, 1.0) if trials else float("nan")


def _most(events: int) -> float:
    """Upper 95 % limit of the expected number of events of which so many were seen."""
    return float(chdtri(2 * events + 2, _RISK) / 2)


def change_at_least(variant_lo: float, bound: NoiseBound) -> float:
    """How much more within_rms a variant has at least than a base that only has a bound, in percent.

    Parameters
    ----------
    variant_lo : float
        Lower limit of the variant's within_rms.
    bound : NoiseBound
        The base's. Both limits hold with 95 % or more, so that the statement holds with 90 % at the least.
    """
    return 100 * (variant_lo / bound.within_rms_at_most - 1)


def change_sentence(at_least: float) -> str:
    """What a one-sided change says."""
    if not at_least > 0:
        return "No lower limit above zero: the base hardly varies, and neither side says by how much noise rose."
    return f"Noise rises by at least {at_least:.0f} %; how much more cannot be said, because the base hardly varies."


def _bound(counts: np.ndarray, categories: range, varying: int) -> NoiseBound:
    personas, items, size = counts.shape
    told = counts.sum(axis=-1) > 0
    total, mode = int(counts.sum()), counts.argmax(axis=-1)
    off = total - int(counts.max(axis=-1).sum()) if total else 0
    distance = np.abs(np.arange(size) - mode[..., None])
    step = max(int((distance * (counts > 0)).max(initial=0)), 1)
    widest = categories[-1] - categories[0]
    share = limit(off, total)
    least, free = (1 / (d * np.sqrt(share)) for d in (step, widest))
    repetitions = total / told.sum()
    # One rating off in n gives a cell an SD of d / sqrt(n), the largest per rating that is off.
    within_sd = _most(off) * step / (np.sqrt(repetitions) * personas * items)
    noisiest = widest / 2  # no cell has a larger SD
    others = 1 / (np.sqrt(limit(varying, int((told.sum(axis=1) > 0).sum()))) * noisiest)
    what = "No rating varies" if not off else f"Only {varying} of {personas} personas vary at all ({off} ratings off)"
    note = (
        f"{what} in {total} ratings; no interval, but a bound: robustness is at least {least:.3g} for these personas if "
        f"slips are no larger than {step}, {free:.3g} without that assumption, and {others:.2g} for other personas drawn "
        "like these."
    )
    return NoiseBound(off, total, step, share, step * np.sqrt(share), least, free, within_sd, others, note)
