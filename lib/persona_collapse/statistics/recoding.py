"""What of a change of S and of noise would a monotone recoding of the scale make by itself? Equating, item by item.

A fine-tune that only uses the scale otherwise, such as its ends where the base used what lies beside them, changes S and noise
without another cast and without holding anybody less well. Item by item each point of the base's scale is given the mean of the
variant's ratings over the same share of all ratings: what lies from the 30th to the 60th percentile under the base gets the mean
of what lies there under the variant. That is the increasing recoding which brings the base's ratings of an item as near to the
variant's as a recoding can. It cannot split a point, and so takes off some of S and of noise; recoding the variant to the base
takes off as much on the other side. What the recoding makes is the mean of both, on the logarithm, and the rest is left.

References
----------
Equipercentile equating: M. J. Kolen and R. L. Brennan, Test Equating, Scaling, and Linking (2014), chapter 2.
"""

from typing import NamedTuple

import numpy as np

from persona_collapse.statistics.moments import Parts


class Recoded(NamedTuple):
    """Logarithms of how many times as large S and noise get by the recoding alone, each (1 + unit,)."""

    susceptibility: np.ndarray
    within_rms: np.ndarray


def equated(base: np.ndarray, variant: np.ndarray, points: np.ndarray) -> np.ndarray:
    """What each point of the base's scale is recoded to.

    Parameters
    ----------
    base, variant : (..., category) arrays
        How often every category was given, or with what probability; totals of the two may differ.
    points : (category,) array
        Points of the scale.

    Returns
    -------
    (..., category) float array
        Increasing where it is used; a point that the base does not use has the mean of the variant's at that place.
    """
    edges, others = (_cumulated(of) for of in (base, variant))
    starts, ends = edges[..., :-1, None], edges[..., 1:, None]
    overlap = np.minimum(ends, others[..., None, 1:]) - np.maximum(starts, others[..., None, :-1])
    overlap = np.maximum(overlap, 0)
    total = overlap.sum(axis=-1)
    # A point without ratings is no band but a place: that of the variant's rating there.
    at = (starts > others[..., None, 1:-1]).sum(axis=-1)
    return np.where(total > 0, (overlap @ points) / np.where(total > 0, total, 1), points[at])


def _cumulated(of: np.ndarray) -> np.ndarray:
    """Cumulated shares, from 0 to 1, (..., category + 1)."""
    with np.errstate(invalid="ignore"):
        shares = np.cumsum(of, axis=-1) / of.sum(axis=-1, keepdims=True)
    return np.concatenate([np.zeros_like(shares[..., :1]), shares], axis=-1)


def made_by_recoding(base: Parts, variant: Parts, *, exact: bool = False) -> Recoded:
    """What of the change from base to variant another use of the scale makes: half of each way of recoding one to the other.

    Parameters as in `recoded`.
    """
    there, back = recoded(base, variant, exact=exact), recoded(variant, base, exact=exact)
    return Recoded(*((one - other) / 2 for one, other in zip(there, back, strict=True)))


def recoded(base: Parts, variant: Parts, *, exact: bool = False) -> Recoded:
    """How S and noise of the base change by recoding its ratings to the variant's use of the scale.

    Parameters
    ----------
    base, variant : Parts
        Of the same personas and items; the recoding is found anew without each unit.
    exact : bool
        Counts are probabilities (method logprobs).
    """
    points = np.asarray(base.categories, dtype=float)
    kept = _kept(base)
    before, after = (np.zeros((2, len(kept))) for _ in range(2))
    items = base.counts.shape[1]
    for item in range(items):
        own, other = base.counts[:, item].astype(float), variant.counts[:, item].astype(float)
        map_of = equated(kept @ own, kept @ other, points)  # (1 + unit, category)
        for found, values in ((before, np.broadcast_to(points, map_of.shape)), (after, map_of)):
            spread, noise = _of_item(own, values, kept, exact=exact)
            found += np.stack([np.sqrt(np.maximum(spread, 0)), noise]) / items
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.log(after) - np.log(before)
    return Recoded(moved[0], moved[1] / 2)


def _kept(parts: Parts) -> np.ndarray:
    """Which personas are there: all of them, then without each unit (1 + unit, persona)."""
    members = parts.units.of_personas[None, :] == parts.units.labels[:, None]
    return np.concatenate([np.ones((1, len(parts.counts))), ~members]).astype(float)


def _of_item(counts: np.ndarray, values: np.ndarray, kept: np.ndarray, *, exact: bool) -> tuple[np.ndarray, np.ndarray]:
    """Persona variance and noise of an item whose points have these values, each (1 + unit,).

    A cell with one rating says nothing of noise, and has that of the item.
    """
    n = counts.sum(axis=-1)
    share = counts / n[:, None]
    mean, square = values @ share.T, values**2 @ share.T  # (1 + unit, persona)
    variance = np.maximum(square - mean**2, 0)
    repeated = np.full(len(n), True) if exact else n > 1
    if not exact:
        variance = np.where(repeated, variance * n / np.maximum(n - 1, 1), 0)
    told = kept * repeated
    with np.errstate(invalid="ignore", divide="ignore"):
        noise = (told * variance).sum(axis=1) / told.sum(axis=1)
    known = np.where(repeated, variance, noise[:, None])
    taken = 0.0 if exact else (kept * known / n).sum(axis=1) / kept.sum(axis=1)
    people = kept.sum(axis=1)
    middle = (kept * mean).sum(axis=1) / people
    with np.errstate(invalid="ignore", divide="ignore"):  # of one persona
        between = (kept * (mean - middle[:, None]) ** 2).sum(axis=1) / (people - 1)
    return between - taken, noise
