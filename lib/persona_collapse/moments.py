"""Moments of cells, and what every recommended metric is made of, with and without every single persona."""

from typing import NamedTuple

import numpy as np

#: A variance over personas below this, in squared scale points, is rounding: two cell means that differ do so by more.
_DUST = 1e-12


class Cells(NamedTuple):
    """The ratings of every cell, each (persona, item)."""

    n: np.ndarray  #: ratings; infinite where the distribution itself is known
    mean: np.ndarray
    variance: np.ndarray  #: unbiased, in squared scale points; 0 with a single rating
    repeated: np.ndarray  #: whether there are at least two ratings, so that `variance` says something


class Parts(NamedTuple):
    """What every metric is made of, each (1 + persona, item): all personas first, then without each one of them.

    In squared scale points unless said otherwise; NaN where an item has no cell with two ratings.
    """

    between: np.ndarray  #: V, variance over personas of the cell mean
    anchor: np.ndarray  #: V without rating noise: the variance over personas of the true cell mean
    noise: np.ndarray  #: W, mean over personas of the cell variance
    ceiling: np.ndarray  #: largest variance that the item mean allows
    shared: np.ndarray  #: covariance over personas with the cell means of the base
    base_anchor: np.ndarray  #: `anchor` of the base
    cell_sd: np.ndarray  #: mean over personas of the cell SD, 0 with one rating; scale points
    ends: np.ndarray  #: mean over personas of the share of both ends of the scale
    entropy: np.ndarray  #: entropy of the item's ratings over all personas, in nats
    cell_entropy: np.ndarray  #: mean over personas of the entropy of a cell, in nats


def cells(counts: np.ndarray, categories: range, *, exact: bool = False) -> Cells:
    """Number, mean and unbiased variance of the ratings of every cell; every cell must have one.

    Parameters
    ----------
    counts : (persona, item, category) array
        Ratings, or probabilities where `exact`.
    categories : range
        Points of the scale.
    exact : bool
        Counts are probabilities: the variance is the distribution's own.
    """
    points = np.asarray(categories, dtype=float)
    powers = np.stack([np.ones_like(points), points, points**2]) @ counts.reshape(-1, len(points)).T
    n, one, two = powers.reshape(3, *counts.shape[:-1])
    if exact:
        mean = one / n
        return Cells(np.full_like(n, np.inf), mean, np.maximum(two / n - mean**2, 0), np.full(n.shape, True))
    # Whole numbers, so the numerator is exact: 0 where nothing varies, not the dust of a difference of large sums.
    return Cells(n, one / n, (n * two - one**2) / np.maximum(n * (n - 1), 1), n > 1)


def parts(counts: np.ndarray, own: Cells, categories: range, *, base: Cells | None = None) -> Parts:
    """Parts of every metric in closed form, for all personas and without each one.

    Parameters
    ----------
    counts : (persona, item, category) array
        Ratings of personas that answered every item.
    own, base : Cells
        Of the same counts, and of the base's by the same personas (the run's own without it).
    categories : range
        Points of the scale.

    References
    ----------
    Without persona p the sum of squares loses d^2 P / (P - 1), with d the deviation from the mean over all P.
    """
    size = _sizes(len(counts))
    deviation = own.mean - own.mean.mean(axis=0)
    low, high = categories[0], categories[-1]
    share = counts / (counts @ np.ones(counts.shape[-1]))[..., None]
    with np.errstate(invalid="ignore", divide="ignore"):
        between, anchor, noise = _variances(own, deviation)
        middle, shared, base_anchor = _totals(own.mean) / size, between, anchor
        if base is not None:
            base_deviation = base.mean - base.mean.mean(axis=0)
            shared, base_anchor = _covariance(deviation, base_deviation), _variances(base, base_deviation)[1]
        return Parts(
            between=between,
            anchor=anchor,
            noise=noise,
            ceiling=(middle - low) * (high - middle) + between / size,
            shared=shared,
            base_anchor=base_anchor,
            cell_sd=_totals(np.sqrt(own.variance)) / size,
            ends=_totals(share[..., 0] + share[..., -1]) / size,
            entropy=entropy(_totals(share) / size[..., None]),
            cell_entropy=_totals(np.where(own.repeated, _corrected(share, own.n), 0)) / _totals(own.repeated),
        )


def distinct(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different histograms among cells (..., category), and the place (...) of each cell's own among them."""
    rows = counts.reshape(-1, counts.shape[-1])
    radix = int(rows.max(initial=0)) + 1
    if radix ** rows.shape[1] < 2**62:
        # A histogram written as one number, its counts as digits: rows sort far more slowly than numbers.
        code = rows.astype(np.int64) @ radix ** np.arange(rows.shape[1], dtype=np.int64)
        _, first, place = np.unique(code, return_index=True, return_inverse=True)
        return rows[first], place.reshape(counts.shape[:-1])
    histograms, place = np.unique(rows, axis=0, return_inverse=True)
    return histograms, place.reshape(counts.shape[:-1])


def entropy(share: np.ndarray) -> np.ndarray:
    """Entropy in nats of shares that add up to one over the last axis."""
    # A product with ones: numpy adds up a short last axis far more slowly.
    return -(share * np.log(np.where(share > 0, share, 1))) @ np.ones(share.shape[-1])


def _corrected(share: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Entropy of cells with Miller and Madow's correction (K - 1) / 2n, K being the categories seen among n ratings."""
    return entropy(share) + ((share > 0) @ np.ones(share.shape[-1]) - 1) / (2 * n)


def _variances(own: Cells, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """V, V without rating noise, and W, each (1 + persona, item)."""
    between = _covariance(deviation, deviation)
    between[between < _DUST] = 0
    size, repeated = _sizes(len(deviation)), _totals(own.repeated)
    noise = _totals(own.variance) / repeated
    of_means = _totals(own.variance / own.n)
    if not own.repeated.all():
        # A single rating is kept as a cell mean, as uncertain as the item's other cells are on average.
        of_means = of_means + np.where(repeated < size, (size - repeated) * noise, 0)
    return between, between - of_means / size, noise


def _covariance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Covariance over personas (ddof = 1) of two arrays of deviations, for all and without each (1 + persona, item)."""
    personas = np.float64(len(one))  # so that a division by nothing is NaN
    product = one * other
    total = product.sum(axis=0)
    without = (total - product * (personas / (personas - 1))) / (personas - 2)
    return np.concatenate([total[None] / (personas - 1), without])


def _totals(values: np.ndarray) -> np.ndarray:
    """Sum over personas of all of them, then without each one: (1 + persona, ...)."""
    total = values.sum(axis=0)
    return np.concatenate([total[None], total - values])


def _sizes(personas: int) -> np.ndarray:
    """Number of personas in each row of a leave-one-out array (1 + persona, 1)."""
    return np.array([personas] + [personas - 1] * personas, dtype=float)[:, None]
