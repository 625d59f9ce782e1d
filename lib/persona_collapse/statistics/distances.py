"""How far a profile lies from another, and from which of two it lies further, with intervals.

A profile is the mean rating of every group of items; its distance to another is the root mean square difference over groups. To
first order a distance D moves with the mean a of a group by (a - b) / (G D), and a with each of its k items by 1 / k: what the
requests' noise and the choice of items do to a distance, or to a difference of two, follows from that. A distance that is nearly
0 has no such slope, and rating noise makes all distances a little longer.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

_HALF = 0.975


class Answers(NamedTuple):
    """Mean answers to every item, and how uncertain repeating the same requests leaves them, each (item,)."""

    mean: np.ndarray
    error: np.ndarray  #: variance of the mean
    free: float  #: degrees of freedom behind it; 0 where it is known exactly, or not known at all


class Far(NamedTuple):
    """A distance, or a difference of two, in scale points, with 95 % intervals; NaN where there is none."""

    value: float
    lo: float  #: for the same requests again
    hi: float
    lo_items: float  #: for other items like these, within their groups
    hi_items: float


def fixed(profile: np.ndarray, groups: np.ndarray) -> Answers:
    """A profile over groups (group,) that is known and does not vary, such as the ceiling or a printed one."""
    mean = (groups > 0) @ np.asarray(profile, float)
    return Answers(mean, np.zeros(len(mean)), 0.0)


def answers(mean: np.ndarray, variance: np.ndarray, n: np.ndarray, *, exact: bool = False) -> Answers:
    """Mean answers over personas, of cells with these means, variances and numbers of ratings, each (persona, item)."""
    people = len(mean)
    if exact:
        return Answers(mean.mean(axis=0), np.zeros(mean.shape[1]), 0.0)
    return Answers(mean.mean(axis=0), (variance / n).sum(axis=0) / people**2, float((n - 1).sum()))


def distance(own: Answers, other: Answers, groups: np.ndarray) -> Far:
    """Distance of two profiles.

    Parameters
    ----------
    own, other : Answers
        Of the same items, reversed ones turned.
    groups : (item, group) array
        Weights that average over the items of each group.
    """
    value, slope = _side(own, other, groups)
    return _far(value, [(own, slope), (other, -slope)], groups)


def further(own: Answers, one: Answers, other: Answers, groups: np.ndarray) -> Far:
    """How much further a profile lies from one than from another; below 0 it is nearer to the first."""
    first, slope = _side(own, one, groups)
    second, less = _side(own, other, groups)
    return _far(first - second, [(own, slope - less), (one, -slope), (other, less)], groups)


def _side(own: Answers, other: Answers, groups: np.ndarray) -> tuple[float, np.ndarray]:
    """The distance, and how much it moves with the mean of each item of `own` (item,); 0 where they are the same."""
    apart = (own.mean - other.mean) @ groups
    value = float(np.sqrt(np.mean(apart**2)))
    if not value > 0:
        return value, np.zeros(len(own.mean))
    return value, groups @ apart / (groups.shape[1] * value)


def _far(value: float, sides: list[tuple[Answers, np.ndarray]], groups: np.ndarray) -> Far:
    if not np.isfinite(value):
        return Far(*[np.nan] * 5)
    noise = float(sum((slope**2 * one.error).sum() for one, slope in sides))
    free = sum(one.free for one, _ in sides)
    reach = stdtrit(max(free, 1), _HALF) * np.sqrt(noise)
    items = _over_items(np.sum([slope * one.mean for one, slope in sides], axis=0), groups)
    return Far(value, value - reach, value + reach, value - items, value + items)


def _over_items(each: np.ndarray, groups: np.ndarray) -> float:
    """Half of the 95 % interval of a sum of what each item contributes, items being a sample within their groups."""
    sizes = (groups > 0).sum(axis=0)
    if sizes.min() < 2:
        return np.nan
    variance = sum(len(own) * own.var(ddof=1) for own in (each[groups[:, place] > 0] for place in range(groups.shape[1])))
    return float(stdtrit(sizes.sum() - len(sizes), _HALF) * np.sqrt(variance))
