"""Published estimators as if every cell had fewer ratings, so that runs of different repetitions can be compared."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import comb

from persona_collapse.moments import cells, distinct, parts


class Rarefied(NamedTuple):
    """Published estimators at n ratings a cell, each (1 + persona, scope): all personas, then without each one."""

    susceptibility: np.ndarray
    within_sd: np.ndarray
    robustness: np.ndarray
    short: int  #: cells with fewer than n ratings, which keep what they have
    note: str


def rarefied(counts: np.ndarray, categories: range, scope: np.ndarray, n: int) -> Rarefied:
    """S, within_sd and R by the published estimators as expected from n ratings a cell, drawn from those there are.

    Parameters
    ----------
    counts : (persona, item, category) int array
        Ratings of personas that answered every item.
    categories : range
        Points of the scale.
    scope : (item, scope) array
        Weights from `metrics.scope_matrix`.
    n : int
        Ratings a cell; at least 2.

    Returns
    -------
    Rarefied
        within_sd is exact: the mean sample SD over all ways to draw n ratings of a cell without replacement. S takes the
        exact expectation of the variance over personas, V - mean v/n_cell + mean v/n, and its root.

    Raises
    ------
    ValueError
        If n is below 2.
    """
    if n < 2:
        raise ValueError(f"rarefaction: {n} ratings a cell; expected 2 or more, for one rating has no SD")
    own = cells(counts, categories)
    within_sd = _means(expected_sd(counts, categories, n)) @ scope
    between = parts(counts, own, categories).anchor + _means(own.variance / np.minimum(own.n, n))
    susceptibility = np.sqrt(np.maximum(between, 0)) @ scope
    short = int((own.n < n).sum())
    note = f"Published estimators at n = {n}" + (f"; {short} cells have fewer ratings and keep them." if short else ".")
    with np.errstate(divide="ignore"):
        return Rarefied(susceptibility, within_sd, 1 / within_sd, short, note)


def smallest_common(counts: Sequence[np.ndarray]) -> int:
    """Number of ratings a cell at which runs can be compared: the smallest of what half of their cells have at least."""
    return min(int(np.median(one.sum(axis=-1))) for one in counts)


def expected_sd(counts: np.ndarray, categories: range, n: int) -> np.ndarray:
    """Mean sample SD (persona, item) over all ways to draw n of the ratings of each cell; all of them where it has fewer."""
    histograms, place = distinct(counts)
    points = tuple(categories)
    return np.array([_expected_sd(tuple(one), points, n) for one in histograms.tolist()])[place]


def _means(values: np.ndarray) -> np.ndarray:
    """Means over personas, then without each one (1 + persona, item)."""
    total = values.sum(axis=0)
    return np.concatenate([total[None] / len(values), (total - values) / (len(values) - 1)])


@lru_cache(maxsize=100_000)
def _expected_sd(histogram: tuple[int, ...], points: tuple[int, ...], n: int) -> float:
    seen = [k for k, count in enumerate(histogram) if count]
    count, value = np.array([histogram[k] for k in seen]), np.array([points[k] for k in seen], dtype=float)
    n = min(n, int(count.sum()))
    if len(seen) < 2 or n < 2:
        return 0.0
    # Every way to take some of each category (way, category), then those that take n in all.
    ways = np.indices(count + 1).reshape(len(count), -1).T
    ways = ways[ways.sum(axis=1) == n]
    weight = comb(count, ways).prod(axis=1)
    one, two = ways @ value, ways @ value**2
    sd = np.sqrt((n * two - one**2) / (n * (n - 1)))
    return float(weight @ sd / weight.sum())
