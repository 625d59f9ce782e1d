"""Standard errors of the published method: a persona part and a response part, added in quadrature."""

from functools import lru_cache

import numpy as np
from scipy.special import gammaln

from persona_collapse.statistics import published_estimators
from persona_collapse.statistics.histograms import Alike, Recurring, number_of_ways, sample_sd, ways

#: Draws of the persona bootstrap, as published.
PERSONA_DRAWS = 2000
#: Cells whose resamples are more numerous than this are resampled at random instead of summed exactly.
_MOST_RESAMPLES = 20_000
_SEED = 2605


def published_se(counts: np.ndarray, categories: range, scope: np.ndarray) -> published_estimators.Levels:
    """Published standard errors of S, within_sd and R, for every scope at once.

    Persona part: SD of 2000 draws that resample personas with the observed cells fixed; the same draws for every run, so
    that a table does not depend on which runs stand in it. Response part: the SD to which the published 400 draws that
    resample the ratings inside every cell converge, summed exactly. The two are added in quadrature, which counts the
    rating noise twice; that is the published definition. SE(R) = SE(within_sd) / within_sd^2. Probabilities, as method
    logprobs gives them, have no response part.

    Parameters
    ----------
    counts, categories, scope
        As for `published_estimators.published`.

    Returns
    -------
    published_estimators.Levels
        NaN where the value itself is undefined or, for R, infinite.

    References
    ----------
    arXiv:2605.12850; the exact response part is a property of the multinomial resample of each cell.
    """
    used = counts[published_estimators.answered(counts)]
    if len(used) < 2:
        nothing = np.full(scope.shape[1], np.nan)
        return published_estimators.Levels(nothing, nothing, nothing)
    cells = published_estimators.moments(used, categories)
    persona_s, persona_sd = _persona_part(cells, scope)
    # Probabilities come without sampling noise.
    exact = published_estimators.is_exact(counts)
    response_s, response_sd = (0.0, 0.0) if exact else _response_part(used, cells, categories, scope)
    within_sd = published_estimators.cell_sd(cells).mean(axis=0) @ scope
    se_sd = np.hypot(persona_sd, response_sd)
    with np.errstate(divide="ignore", invalid="ignore"):
        return published_estimators.Levels(
            np.hypot(persona_s, response_s), se_sd, np.where(within_sd > 0, se_sd / within_sd**2, np.nan)
        )


def _persona_part(cells: published_estimators.Moments, scope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SD over draws of S and of within_sd, each (scope,), when personas are drawn with replacement."""
    personas = len(cells.mean)
    weights = _weights(personas)
    # Centred first, so that the difference of two sums below keeps its digits.
    centred = cells.mean - cells.mean.mean(axis=0)
    square = weights @ centred**2 - (weights @ centred) ** 2 / personas
    between = np.sqrt(np.maximum(square, 0) / (personas - 1)) @ scope
    within_sd = weights @ (published_estimators.cell_sd(cells) @ scope) / personas
    return between.std(axis=0, ddof=1), within_sd.std(axis=0, ddof=1)


@lru_cache(maxsize=8)
def _weights(personas: int) -> np.ndarray:
    """How often each persona is drawn (draw, persona); the same for every run of so many personas."""
    draws = np.random.default_rng(_SEED).multinomial(personas, np.full(personas, 1 / personas), size=PERSONA_DRAWS)
    return draws.astype(float)


def _response_part(
    used: np.ndarray, cells: published_estimators.Moments, categories: range, scope: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """SD of S and of within_sd, each (scope,), when the ratings inside every cell are drawn with replacement."""
    personas, items = cells.mean.shape
    # S: variance over personas of cell means that are resampled with w = v (n - 1) / n^2 = plug-in variance / n.
    w = np.where(cells.n > 1, np.nan_to_num(cells.variance) * (cells.n - 1) / cells.n**2, 0)
    deviation = cells.mean - cells.mean.mean(axis=0)
    spread = (deviation**2).sum(axis=0) / (personas - 1)
    variance = (4 * (deviation**2 * w).sum(axis=0) + 2 * (w**2).sum(axis=0)) / (personas - 1) ** 2
    level = 4 * (spread + w.mean(axis=0))
    # An item on which nothing varies contributes nothing: 0/0 stands for 0 here.
    per_item = np.divide(variance, level, out=np.zeros(items), where=level > 0)
    # within_sd: histograms recur, so each distinct one is resampled once.
    points = np.asarray(categories, dtype=float)
    per_cell = Recurring(used).each(lambda group: _sd_variance(group, points)).sum(axis=0) / personas**2
    return np.sqrt(per_item @ scope**2), np.sqrt(per_cell @ scope**2)


def _sd_variance(group: Alike, points: np.ndarray) -> np.ndarray:
    """Variance of the sample SD (ddof = 1) of n ratings drawn with replacement from a cell's n ratings, (histogram,)."""
    n, categories = group.ratings, group.counts.shape[1]
    values, share = points[group.category], group.counts / group.ratings
    if number_of_ways(n, categories) > _MOST_RESAMPLES:
        return np.array([_drawn_sd_variance(n, *one) for one in zip(values, share, strict=True)])
    resamples = ways(n, categories)
    weight = np.exp(_log_orders(n, categories) + np.log(share) @ resamples.T)
    sd = sample_sd(n, values @ resamples.T, values**2 @ resamples.T)
    return np.maximum((weight * sd**2).sum(axis=1) - (weight * sd).sum(axis=1) ** 2, 0)


def _drawn_sd_variance(n: int, values: np.ndarray, share: np.ndarray) -> float:
    resamples = np.random.default_rng(_SEED).multinomial(n, share, size=_MOST_RESAMPLES)
    return float(sample_sd(n, resamples @ values, resamples @ values**2).var())


@lru_cache(maxsize=256)
def _log_orders(n: int, categories: int) -> np.ndarray:
    """Logarithm of the number of orders in which each of the `ways` comes about."""
    return gammaln(n + 1) - gammaln(ways(n, categories) + 1).sum(axis=1)
