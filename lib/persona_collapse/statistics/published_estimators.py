"""Susceptibility S and robustness R of one run, from counts, by the published estimators."""

from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Moments of every cell, each of shape (persona, item); NaN where a cell has too few ratings for it."""

    n: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


class Levels(NamedTuple):
    """The published metrics, each of shape (scope,): overall first, then the foundations in the instrument's order."""

    susceptibility: np.ndarray
    within_sd: np.ndarray
    robustness: np.ndarray


def moments(counts: np.ndarray, categories: range) -> Moments:
    """Number, mean and unbiased variance (ddof = 1) of the ratings in every cell.

    Parameters
    ----------
    counts : (persona, item, category) int or float array
        How often each category was given in each cell. Floats are probabilities, as method logprobs gives them: mean and
        variance are then those of the distribution itself, without ddof, and ``n`` is 1, or 0 in a cell without any.
    categories : range
        The points of the scale that the last axis stands for.

    Returns
    -------
    Moments
        ``mean`` is NaN in a cell without ratings, ``variance`` (in squared scale points) in one with fewer than two.
    """
    points = np.asarray(categories, dtype=float)
    n = ratings(counts)
    if is_exact(counts):
        n = (n > 0).astype(int)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = counts @ points / n
        # Centred on the cell mean: a difference of large sums would leave 1e-17 where nothing varies.
        spread = (counts * (points - mean[..., None]) ** 2) @ np.ones(len(points))
        variance = np.where(n > 0, spread, np.nan) if is_exact(counts) else np.where(n > 1, spread / (n - 1), np.nan)
    return Moments(n, mean, variance)


def is_exact(counts: np.ndarray) -> bool:
    """Whether the cells are distributions (floats) and not counts of ratings (integers)."""
    return bool(np.issubdtype(counts.dtype, np.floating))


def answered(counts: np.ndarray) -> np.ndarray:
    """Which personas (persona,) have a rating in every cell; the published method leaves the others out."""
    return np.all(ratings(counts) > 0, axis=1)


def ratings(counts: np.ndarray) -> np.ndarray:
    """Number of ratings in each cell (persona, item), or the whole probability."""
    # A product with ones: numpy adds up a short last axis far more slowly.
    return counts @ np.ones(counts.shape[-1], counts.dtype)


def cell_sd(cells: Moments) -> np.ndarray:
    """SD of the ratings of each cell (persona, item); 0 with a single rating, as the published code has it."""
    return np.sqrt(np.where((cells.n == 1) & np.isnan(cells.variance), 0.0, cells.variance))


def published(counts: np.ndarray, categories: range, scope: np.ndarray) -> Levels:
    """S, within_sd and R as the paper's code computes them, for every scope at once.

    S is the SD over personas (ddof = 1) of the cell mean, averaged over the items of a scope; within_sd is the SD over
    repetitions (ddof = 1, 0 with one rating), averaged over every cell; R = 1 / within_sd.

    Parameters
    ----------
    counts : (persona, item, category) int or float array
        Ratings, or probabilities; personas with an empty cell are left out.
    categories : range
        Points of the scale.
    scope : (item, scope) array
        Weights from `scope_matrix`.

    Returns
    -------
    Levels
        Scale points for S and within_sd, their inverse for R. R is ``inf`` where no rating varies; S is NaN with fewer
        than two personas; everything is NaN when no persona answered every item.

    References
    ----------
    arXiv:2605.12850 and arXiv:2511.08565 (definitions); the sample SD is what their code uses.
    """
    used = counts[answered(counts)]
    if not len(used):
        nothing = np.full(scope.shape[1], np.nan)
        return Levels(nothing, nothing, nothing)
    cells = moments(used, categories)
    between = cells.mean.std(axis=0, ddof=1) if len(used) > 1 else np.full(scope.shape[0], np.nan)
    within_sd = cell_sd(cells).mean(axis=0) @ scope
    with np.errstate(divide="ignore"):
        return Levels(between @ scope, within_sd, 1 / within_sd)
