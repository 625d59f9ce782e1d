"""How the parts of every metric would vary if the ratings were drawn again, by leaving out one rating at a time.

Leaving out one of the c_k ratings k of a cell moves a part by D_k, and the cell adds
(n - 1) sum_k (c_k / n) (D_k - mean D)^2 to that part's variance, and the products of two to their covariance.
"""

from itertools import pairwise

import numpy as np

from persona_collapse.moments import Cells, Parts
from persona_collapse.slopes import AT, MOVED


def covariances(counts: np.ndarray, own: Cells, found: Parts, categories: range, other: Cells) -> np.ndarray:
    """Covariances of the parts of each item when the ratings are drawn again and the personas stay.

    Parameters
    ----------
    counts : (persona, item, category) int array
        Ratings of personas that answered every item.
    own, found : Cells, Parts
        Of the same counts.
    categories : range
        Points of the scale.
    other : Cells
        Those of the base, or of the run whose base this is: what ``shared`` is shared with.

    Returns
    -------
    (item, moved, moved) float array
        In the order of `slopes.MOVED`. A cell with one or two ratings, from which none can be left out, enters on the safe side:
        its mean with variance v / n (v of its item if it has one rating), v with variance v^2, its SD with v.
    """
    items = own.mean.shape[1]
    off = own.mean - own.mean.mean(axis=0)
    other_off = other.mean - other.mean.mean(axis=0)
    p, q, k = np.nonzero((counts > 0) & ((own.variance > 0) & (own.n > 2))[..., None])
    moved = np.stack([*_moments(own, off, other_off, categories, (p, q, k)), *_shares(counts, own, (p, q, k))])
    weight, cell = counts[p, q, k] / own.n[p, q], p * items + q
    for one in moved:
        one -= np.bincount(cell, weight * one, minlength=own.mean.size)[cell]
    order = [MOVED.index(name) for name in _MOMENTS + _SHARES]
    total = np.empty((items, len(MOVED), len(MOVED)))
    total[np.ix_(range(items), order, order)] = _by_item(moved * np.sqrt((own.n[p, q] - 1) * weight), q, items)
    return total + _small_cells(counts, own, found, categories, (off, other_off)) if (own.n <= 2).any() else total


_MOMENTS = ("between", "anchor", "noise", "cell_sd", "ceiling", "shared")
_SHARES = ("ends", "entropy", "cell_entropy")


def _moments(
    own: Cells, off: np.ndarray, other_off: np.ndarray, categories: range, at: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, ...]:
    """How far `_MOMENTS` of an item go when one rating k of cell (p, q) is left out, (rating,) each."""
    p, q, k = at
    personas, repeated = len(off), own.repeated.sum(axis=0)[q]
    n, v = own.n[p, q], own.variance[p, q]
    error = np.asarray(categories, dtype=float)[k] - own.mean[p, q]
    step = -error / (n - 1)
    variance = np.maximum((v * (n - 1) - error**2 * n / (n - 1)) / (n - 2), 0)
    between = (2 * off[p, q] * step + step**2) / (personas - 1)
    noise = (variance - v) / repeated
    of_mean = (variance / (n - 1) - v / n + (personas - repeated) * noise) / personas
    cell_sd = (np.sqrt(variance) - np.sqrt(v)) / personas
    ceiling = ((categories[0] + categories[-1] - 2 * own.mean.mean(axis=0)[q]) * step + between) / personas
    return between, between - of_mean, noise, cell_sd, ceiling, step * other_off[p, q] / (personas - 1)


def _shares(counts: np.ndarray, own: Cells, at: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """How far `_SHARES` of an item go when one rating k of cell (p, q) is left out, (rating,) each."""
    p, q, k = at
    personas, n, c = len(counts), own.n[p, q], counts[p, q, k]
    share = counts / own.n[..., None]
    whole = share.mean(axis=0)
    log_whole = np.log(np.where(whole > 0, whole, 1))
    ends = (share[p, q, 0] + share[p, q, -1] - ((k == 0) | (k == counts.shape[-1] - 1))) / (n - 1) / personas
    entropy = (log_whole[q, k] - (share * log_whole).sum(axis=-1)[p, q]) / (n - 1) / personas
    seen, c_log_c = (counts[p, q] > 0).sum(axis=-1), _c_log_c(counts[p, q]).sum(axis=-1)
    before = np.log(n) - c_log_c / n + (seen - 1) / (2 * n)
    after = np.log(n - 1) - (c_log_c - _c_log_c(c) + _c_log_c(c - 1)) / (n - 1) + (seen - (c == 1) - 1) / (2 * (n - 1))
    return ends, entropy, (after - before) / own.repeated.sum(axis=0)[q]


def _small_cells(
    counts: np.ndarray, own: Cells, found: Parts, categories: range, offs: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """What cells with one or two ratings add to the covariances (item, moved, moved)."""
    personas, items = own.mean.shape
    p, q = np.nonzero(own.n <= 2)
    off, other_off = (each[p, q] for each in offs)
    n, v = own.n[p, q], own.variance[p, q]
    of_mean = np.where(n > 1, v / n, found.noise[0, q])
    slope = np.zeros((len(MOVED), len(p)))
    slope[AT["between"]] = slope[AT["anchor"]] = 2 * off / (personas - 1)
    slope[AT["ceiling"]] = (categories[0] + categories[-1] - 2 * own.mean.mean(axis=0)[q] + slope[AT["between"]]) / personas
    slope[AT["shared"]] = other_off / (personas - 1)
    total = _by_item(slope * np.sqrt(of_mean), q, items)

    def add(one: str, other: str, variance: np.ndarray) -> None:
        total[:, AT[one], AT[other]] += np.bincount(q, variance, minlength=items)

    for one in ("between", "anchor"):
        for other in ("between", "anchor"):
            add(one, other, 2 * of_mean**2 / (personas - 1) ** 2)
    ends = (counts[p, q, 0] + counts[p, q, -1]) / n
    repeated = np.maximum(own.repeated.sum(axis=0)[q], 1)
    add("noise", "noise", v**2 / repeated**2)
    add("cell_sd", "cell_sd", v / personas**2)
    add("ends", "ends", ends * (1 - ends) / personas**2)
    # Two ratings that differ have entropy ln 2 + 1/4, and none if they agree: at most half that for an SD.
    add("cell_entropy", "cell_entropy", (v > 0) * (np.log(2) + 1 / 4) ** 2 / 4 / repeated**2)
    return total


def _by_item(moved: np.ndarray, q: np.ndarray, items: int) -> np.ndarray:
    """Sums of products (item, moved, moved) of what was moved (moved, rating) in item q."""
    order = np.argsort(q, kind="stable")
    moved, edges = moved[:, order], np.searchsorted(q[order], np.arange(items + 1))
    return np.stack([moved[:, a:b] @ moved[:, a:b].T for a, b in pairwise(edges)])


def _c_log_c(count: np.ndarray) -> np.ndarray:
    return count * np.log(np.maximum(count, 1))
