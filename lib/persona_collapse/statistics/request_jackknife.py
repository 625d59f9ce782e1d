"""How the parts of every metric would vary if the requests were asked again, by leaving out one request at a time.

For runs whose cells were asked in several requests, as ratings of one request may share noise. With D_j the move of a part when
request j of R is left out, a cell adds (R - 1)/R sum_j (D_j - mean D)^2 to that part's variance, and the products of two to
their covariance. One request says nothing about shared noise: where two were asked, leaving out one keeps what the cell had
found, and its square, which is at least as much as its variance, is added.
"""

import numpy as np

from persona_collapse.statistics.moments import Parts, entropy
from persona_collapse.statistics.rating_jackknife import of_parts, safe_side
from persona_collapse.statistics.request_noise import Split, split
from persona_collapse.statistics.slopes import AT, MOVED


def covariances(parts: Parts, other: Parts, *, fidelity: bool = False) -> np.ndarray:
    """As `rating_jackknife.covariances`, of parts that know which rating came with which request."""
    by_request, own = parts.by_request, parts.own
    assert by_request is not None
    found = split(by_request, parts.categories)
    several = found.requests > 1
    p, q, j = np.nonzero((by_request.sum(axis=-1) > 0) & (several & (own.variance > 0))[..., None])
    left = _without(found, by_request, parts, (p, q, j))
    moved = np.stack([*_moments(parts, other, (p, q), left), *(() if fidelity else _shares(parts, (p, q), left))])
    requests = found.requests[p, q]
    starts = np.flatnonzero(np.diff(p * own.mean.shape[1] + q, prepend=-1))  # the requests of a cell stand together
    if len(starts):
        mean = np.add.reduceat(moved / requests, starts, axis=1)
        moved -= np.repeat(mean, np.diff(starts, append=len(p)), axis=1)
    total = of_parts(moved * np.sqrt((requests - 1) / requests), q, own.mean.shape[1])
    total += _two_requests(parts, found)
    return total if several.all() else total + safe_side(parts, other, ~several)


class _Left:
    """Cells without one of their requests, (request,) each."""

    counts: np.ndarray  #: (request, category)
    n: np.ndarray
    mean: np.ndarray
    variance: np.ndarray  #: of all ratings that are left, unbiased; 0 of a single one
    noise: np.ndarray
    of_mean: np.ndarray


def _without(found: Split, by_request: np.ndarray, parts: Parts, at: tuple[np.ndarray, ...]) -> _Left:
    p, q, j = at
    points = np.asarray(parts.categories, dtype=float)
    gone = by_request[p, q, j].astype(float)
    left = _Left()
    left.counts = parts.counts[p, q] - gone
    left.n = left.counts @ np.ones_like(points)
    left.mean = left.counts @ points / left.n
    sums = left.counts @ points**2 - left.n * left.mean**2
    left.variance = np.where(left.n > 1, np.maximum(sums, 0) / np.maximum(left.n - 1, 1), 0)
    c = gone @ np.ones_like(points)
    within = found.within[p, q] - (gone @ points**2 - (gone @ points) ** 2 / c)
    rest = Split(left.n, found.requests[p, q] - 1, found.squares[p, q] - c**2, within, np.maximum(sums - within, 0))
    # A request with one choice says nothing about the others' spread, and a single one nothing about what it shares.
    msw = np.where(rest.n > rest.requests, np.maximum(rest.msw, 0), found.msw[p, q])
    shared = np.where(rest.requests > 1, rest.shared, found.shared[p, q])
    left.noise = msw + shared
    left.of_mean = msw / left.n + shared * rest.squares / left.n**2
    return left


def _moments(parts: Parts, other: Parts, at: tuple[np.ndarray, ...], left: _Left) -> tuple[np.ndarray, ...]:
    """How far `rating_jackknife.MOMENTS` of an item go when a request of cell (p, q) is left out, (request,) each."""
    p, q = at
    own, spread, (low, *_, high) = parts.own, parts.spread, parts.categories
    personas, repeated = len(own.mean), own.repeated.sum(axis=0)[q]
    step = left.mean - own.mean[p, q]
    between = (2 * parts.deviation[p, q] * step + step**2) / (personas - 1)
    noise = (left.noise - spread.rating[p, q]) / repeated
    of_mean = (left.of_mean - spread.of_mean[p, q] + (personas - repeated) * noise) / personas
    cell_sd = (np.sqrt(left.variance) - np.sqrt(own.variance[p, q])) / personas
    ceiling = ((low + high - 2 * own.mean.mean(axis=0)[q]) * step + between) / personas
    return between, between - of_mean, noise, cell_sd, ceiling, step * other.deviation[p, q] / (personas - 1)


def _shares(parts: Parts, at: tuple[np.ndarray, ...], left: _Left) -> tuple[np.ndarray, ...]:
    """How far `rating_jackknife.SHARES` of an item go when a request of cell (p, q) is left out, (request,) each."""
    p, q = at
    personas, share = len(parts.counts), left.counts / left.n[:, None]
    step = share - parts.share[p, q]
    whole = parts.share.mean(axis=0)
    log_whole = np.log(np.where(whole > 0, whole, 1))
    ends = (step[:, 0] + step[:, -1]) / personas
    before = _corrected(parts.share[p, q], parts.own.n[p, q])
    return ends, -(step * log_whole[q]).sum(axis=1) / personas, (
        (_corrected(share, left.n) - before) / parts.own.repeated.sum(axis=0)[q]
    )  # fmt: skip


def _corrected(share: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Entropy with Miller and Madow's correction, (request,)."""
    return entropy(share) + ((share > 0).sum(axis=-1) - 1) / (2 * n)


def _two_requests(parts: Parts, found: Split) -> np.ndarray:
    """What cells with two requests add (item, moved, moved): the square of what they share, and that of the cell mean."""
    personas, items = parts.own.mean.shape
    p, q = np.nonzero(found.requests == 2)
    slope = np.zeros((len(MOVED), len(p)))
    n = found.n[p, q]
    slope[AT["anchor"]] = -found.squares[p, q] / n**2 / personas
    slope[AT["noise"]] = 1 / np.maximum(parts.own.repeated.sum(axis=0)[q], 1)
    moved = slope * found.shared[p, q]
    squared = 2 * parts.spread.of_mean[p, q] ** 2 / (personas - 1) ** 2
    total = np.zeros((items, len(MOVED), len(MOVED)))
    for one in ("anchor", "noise"):
        for two in ("anchor", "noise"):
            total[:, AT[one], AT[two]] += np.bincount(q, moved[AT[one]] * moved[AT[two]], minlength=items)
    for one in ("between", "anchor"):
        for two in ("between", "anchor"):
            total[:, AT[one], AT[two]] += np.bincount(q, squared, minlength=items)
    return total
