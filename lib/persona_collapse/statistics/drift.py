"""Did answers without a persona move towards the ceiling? Change of the distance to it, with intervals."""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from persona_collapse.statistics.published_estimators import Moments


class Drift(NamedTuple):
    """Change of the distance to the ceiling against the base, in scale points: below 0 is nearer.

    Limits are NaN where there is no interval.
    """

    value: float
    lo: float  #: 95 % interval for the same requests again
    hi: float
    lo_items: float  #: 95 % interval for other items like these, within their groups
    hi_items: float


def drift(variant: Moments, base: Moments, groups: np.ndarray, top: int, *, exact: bool = False) -> Drift:
    """Change of the root mean square over groups of items of how far the group's mean lies below the top of the scale.

    Parameters
    ----------
    variant, base : Moments
        Of the answers without a persona, each (item,), reversed items turned.
    groups : (item, group) array
        Weights that average over the items of each group.
    top : int
        Upper end of the scale.
    exact : bool
        The answers are distributions (method logprobs), which asking again would not move.

    Returns
    -------
    Drift
        All NaN where an item has no rating; without an interval for the same requests where one has a single rating, and
        without one for other items where a group has one item alone.

    References
    ----------
    First order: the distance D moves with the mean m of a group by -(top - m) / (G D), and m with each of its k items by 1 / k.
    """
    sides = [_side(one, groups, top) for one in (variant, base)]
    (own, each), (other, each_other) = sides
    value = float(own - other)
    if not np.isfinite(value):
        return Drift(*[np.nan] * 5)
    noise, free = 0.0, 0.0
    for one, slope in ((variant, each), (base, each_other)):
        noise += 0.0 if exact else float((slope**2 * one.variance / one.n).sum())
        free += float((one.n - 1).sum())
    reach = 0.0 if exact else stdtrit(max(free, 1), 0.975) * np.sqrt(noise)
    items = _over_items(each * variant.mean - each_other * base.mean, groups)
    return Drift(value, value - reach, value + reach, value - items, value + items)


def _side(one: Moments, groups: np.ndarray, top: int) -> tuple[float, np.ndarray]:
    """Distance to the ceiling, and how much it moves with the mean of each item (item,); 0 at the ceiling itself."""
    below = top - one.mean @ groups
    distance = float(np.sqrt(np.mean(below**2)))
    if not distance > 0:
        return distance, np.zeros(len(one.mean))
    return distance, -(groups @ below) / (groups.shape[1] * distance)


def _over_items(each: np.ndarray, groups: np.ndarray) -> float:
    """Half of the 95 % interval of a sum of what each item contributes, items being a sample within their groups."""
    sizes = (groups > 0).sum(axis=0)
    if sizes.min() < 2:
        return np.nan
    variance = sum(len(own) * own.var(ddof=1) for own in (each[groups[:, place] > 0] for place in range(groups.shape[1])))
    return float(stdtrit(sizes.sum() - len(sizes), 0.975) * np.sqrt(variance))
