"""How the parts of every metric would vary if the ratings were drawn again, by leaving out one rating at a time.

Leaving out one of the c_k ratings k of a cell moves a part by D_k, and the cell adds
(n - 1) sum_k (c_k / n) (D_k - mean D)^2 to that part's variance, and the products of two to their covariance.
"""

import numpy as np

from persona_collapse.statistics.moments import Parts
from persona_collapse.statistics.slopes import AT, MOVED


def covariances(parts: Parts, other: Parts, *, fidelity: bool = False) -> np.ndarray:
    """Covariances of the parts of each item when the ratings are drawn again and the personas stay.

    Parameters
    ----------
    parts : Parts
        Of a run.
    other : Parts
        Those of the base, or of the run whose base this is: what ``shared`` is shared with.
    fidelity : bool
        Only those that `fidelity` is made of; the others are 0.

    Returns
    -------
    (item, moved, moved) float array
        In the order of `slopes.MOVED`. A cell with one or two ratings, from which none can be left out, enters on the safe side:
        its mean with variance v / n (v of its item if it has one rating), v with variance v^2, its SD with v.
    """
    counts, own, items = parts.counts, parts.own, parts.own.mean.shape[1]
    at = np.nonzero((counts > 0) & ((own.variance > 0) & (own.n > 2))[..., None])
    p, q, _ = at
    moved = np.stack([*_moments(parts, other, at), *(() if fidelity else _shares(parts, at))])
    n = own.n[p, q]
    weight, cell = counts[at] / n, p * items + q
    starts = np.flatnonzero(np.diff(cell, prepend=-1))  # the ratings of a cell stand together
    if len(cell):
        mean = np.add.reduceat(moved * weight, starts, axis=1)
        moved -= np.repeat(mean, np.diff(starts, append=len(cell)), axis=1)
    total = of_parts(moved * np.sqrt((n - 1) * weight), q, items)
    few = own.n <= 2
    return total + safe_side(parts, other, few) if few.any() else total


#: What leaving out moves, in the order of its first axis; for fidelity alone only the first ones.
MOMENTS = ("between", "anchor", "noise", "cell_sd", "ceiling", "shared")
SHARES = ("ends", "entropy", "cell_entropy")


def of_parts(moved: np.ndarray, q: np.ndarray, items: int) -> np.ndarray:
    """Sums of products (item, moved, moved), in the order of `slopes.MOVED`, of what was moved in item q.

    `moved` (part, ...) is in the order of `MOMENTS` and `SHARES`, or holds those of `MOMENTS` alone.
    """
    order = [AT[name] for name in (MOMENTS + SHARES)[: len(moved)]]
    total = np.zeros((items, len(MOVED), len(MOVED)))
    total[np.ix_(range(items), order, order)] = _by_item(moved, q, items)
    return total


def _moments(parts: Parts, other: Parts, at: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """How far `MOMENTS` of an item go when one rating k of cell (p, q) is left out, (rating,) each."""
    p, q, k = at
    own, (low, *_, high) = parts.own, parts.categories
    personas, repeated = len(own.mean), own.repeated.sum(axis=0)[q]
    n, v = own.n[p, q], own.variance[p, q]
    error = np.asarray(parts.categories, dtype=float)[k] - own.mean[p, q]
    step = -error / (n - 1)
    variance = np.maximum((v * (n - 1) - error**2 * n / (n - 1)) / (n - 2), 0)
    between = (2 * parts.deviation[p, q] * step + step**2) / (personas - 1)
    noise = (variance - v) / repeated
    of_mean = (variance / (n - 1) - v / n + (personas - repeated) * noise) / personas
    cell_sd = (np.sqrt(variance) - np.sqrt(v)) / personas
    ceiling = ((low + high - 2 * own.mean.mean(axis=0)[q]) * step + between) / personas
    return between, between - of_mean, noise, cell_sd, ceiling, step * other.deviation[p, q] / (personas - 1)


def _shares(parts: Parts, at: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """How far `SHARES` of an item go when one rating k of cell (p, q) is left out, (rating,) each."""
    p, q, k = at
    own, counts, share = parts.own, parts.counts, parts.share
    personas, n, c = len(counts), own.n[p, q], counts[p, q, k]
    whole = share.mean(axis=0)
    log_whole = np.log(np.where(whole > 0, whole, 1))
    ends = (share[p, q, 0] + share[p, q, -1] - ((k == 0) | (k == counts.shape[-1] - 1))) / (n - 1) / personas
    entropy = (log_whole[q, k] - np.einsum("pqk,qk->pq", share, log_whole)[p, q]) / (n - 1) / personas
    ones = np.ones(counts.shape[-1])  # sums as products: numpy adds up a short last axis far more slowly
    seen, c_log_c = ((counts > 0) @ ones)[p, q], (_c_log_c(counts) @ ones)[p, q]
    before = np.log(n) - c_log_c / n + (seen - 1) / (2 * n)
    after = np.log(n - 1) - (c_log_c - _c_log_c(c) + _c_log_c(c - 1)) / (n - 1) + (seen - (c == 1) - 1) / (2 * (n - 1))
    return ends, entropy, (after - before) / own.repeated.sum(axis=0)[q]


def safe_side(parts: Parts, other: Parts, which: np.ndarray) -> np.ndarray:
    """What `which` (persona, item) cells, from which nothing can be left out, add to the covariances (item, moved, moved)."""
    own, counts, (low, *_, high) = parts.own, parts.counts, parts.categories
    personas, items = own.mean.shape
    p, q = np.nonzero(which)
    off, other_off = parts.deviation[p, q], other.deviation[p, q]
    n, v = own.n[p, q], parts.spread.rating[p, q]
    of_mean = np.where(n > 1, parts.spread.of_mean[p, q], parts.noise[0, q])
    slope = np.zeros((len(MOVED), len(p)))
    slope[AT["between"]] = slope[AT["anchor"]] = 2 * off / (personas - 1)
    slope[AT["ceiling"]] = (low + high - 2 * own.mean.mean(axis=0)[q] + slope[AT["between"]]) / personas
    slope[AT["shared"]] = other_off / (personas - 1)
    total = _by_item(slope * np.sqrt(of_mean), q, items)

    def add(one: str, other: str, variance: np.ndarray) -> None:
        total[:, AT[one], AT[other]] += np.bincount(q, variance, minlength=items)

    for one in ("between", "anchor"):
        for two in ("between", "anchor"):
            add(one, two, 2 * of_mean**2 / (personas - 1) ** 2)
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
    return np.stack([part @ part.T for part in np.split(moved, edges[1:-1], axis=1)])


def _c_log_c(count: np.ndarray) -> np.ndarray:
    return count * np.log(np.maximum(count, 1))
