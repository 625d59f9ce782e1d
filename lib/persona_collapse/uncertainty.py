"""Standard errors of the published method: a persona part and a response part, added in quadrature."""

from functools import lru_cache
from itertools import combinations_with_replacement
from math import comb, lgamma

import numpy as np

from persona_collapse import metrics
from persona_collapse.moments import distinct

#: Draws of the persona bootstrap, as published.
PERSONA_DRAWS = 2000
#: Cells whose resamples are more numerous than this are resampled at random instead of summed exactly.
_MOST_RESAMPLES = 20_000
_SEED = 2605


def published_se(counts: np.ndarray, categories: range, scope: np.ndarray) -> metrics.Levels:
    """Published standard errors of S, within_sd and R, for every scope at once.

    Persona part: SD of 2000 draws that resample personas with the observed cells fixed; the same draws for every run, so
    that a table does not depend on which runs stand in it. Response part: the SD to which the published 400 draws that
    resample the ratings inside every cell converge, summed exactly. The two are added in quadrature, which counts the
    rating noise twice; that is the published definition. SE(R) = SE(within_sd) / within_sd^2. Probabilities, as method
    logprobs gives them, have no response part.

    Parameters
    ----------
    counts, categories, scope
        As for `metrics.published`.

    Returns
    -------
    metrics.Levels
        NaN where the value itself is undefined or, for R, infinite.

    References
    ----------
    arXiv:2605.12850; the exact response part is a property of the multinomial resample of each cell.
    """
    used = counts[metrics.answered(counts)]
    if len(used) < 2:
        nothing = np.full(scope.shape[1], np.nan)
        return metrics.Levels(nothing, nothing, nothing)
    cells = metrics.moments(used, categories)
    persona_s, persona_sd = _persona_part(cells, scope)
    # Probabilities come without sampling noise.
    exact = metrics.is_exact(counts)
    response_s, response_sd = (0.0, 0.0) if exact else _response_part(used, cells, categories, scope)
    within_sd = metrics.cell_sd(cells).mean(axis=0) @ scope
    se_sd = np.hypot(persona_sd, response_sd)
    with np.errstate(divide="ignore", invalid="ignore"):
        return metrics.Levels(np.hypot(persona_s, response_s), se_sd, np.where(within_sd > 0, se_sd / within_sd**2, np.nan))


def _persona_part(cells: metrics.Moments, scope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SD over draws of S and of within_sd, each (scope,), when personas are drawn with replacement."""
    personas = len(cells.mean)
    weights = _weights(personas)
    # Centred first, so that the difference of two sums below keeps its digits.
    centred = cells.mean - cells.mean.mean(axis=0)
    square = weights @ centred**2 - (weights @ centred) ** 2 / personas
    between = np.sqrt(np.maximum(square, 0) / (personas - 1)) @ scope
    within_sd = weights @ (metrics.cell_sd(cells) @ scope) / personas
    return between.std(axis=0, ddof=1), within_sd.std(axis=0, ddof=1)


@lru_cache(maxsize=8)
def _weights(personas: int) -> np.ndarray:
    """How often each persona is drawn (draw, persona); the same for every run of so many personas."""
    draws = np.random.default_rng(_SEED).multinomial(personas, np.full(personas, 1 / personas), size=PERSONA_DRAWS)
    return draws.astype(float)


def _response_part(
    used: np.ndarray, cells: metrics.Moments, categories: range, scope: np.ndarray
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
    histograms, place = distinct(used)
    points = tuple(float(category) for category in categories)
    sd_variance = np.array([_known_sd_variance(tuple(histogram), points) for histogram in histograms.tolist()])
    per_cell = sd_variance[place].sum(axis=0) / personas**2
    return np.sqrt(per_item @ scope**2), np.sqrt(per_cell @ scope**2)


@lru_cache(maxsize=100_000)
def _known_sd_variance(histogram: tuple[int, ...], points: tuple[float, ...]) -> float:
    """`_sd_variance`, once for each histogram: the runs of a study have most of theirs in common."""
    return _sd_variance(np.array(histogram), np.array(points))


def _sd_variance(histogram: np.ndarray, points: np.ndarray) -> float:
    """Variance of the sample SD (ddof = 1) of n ratings drawn with replacement from one cell's n ratings."""
    seen = histogram > 0
    n, values = int(histogram.sum()), points[seen]
    if seen.sum() < 2:
        return 0.0
    probability = histogram[seen] / n
    if comb(n + len(values) - 1, n) > _MOST_RESAMPLES:
        resamples = np.random.default_rng(_SEED).multinomial(n, probability, size=_MOST_RESAMPLES)
        weight = np.full(len(resamples), 1 / len(resamples))
    else:
        resamples, log_ways = _resamples(n, len(values))
        weight = np.exp(log_ways + resamples @ np.log(probability))
    mean = resamples @ values / n
    sd = np.sqrt(np.maximum(resamples @ values**2 - n * mean**2, 0) / (n - 1))
    return float(max(weight @ sd**2 - (weight @ sd) ** 2, 0))


_cache: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}


def _resamples(n: int, categories: int) -> tuple[np.ndarray, np.ndarray]:
    """Every way in which n ratings fall into so many categories (way, category), and the log of its multinomial factor."""
    if (n, categories) not in _cache:
        # Stars and bars: bars at non-decreasing places 0..n cut n ratings into the categories.
        bars = np.array(list(combinations_with_replacement(range(n + 1), categories - 1)))
        edges = np.hstack([np.zeros((len(bars), 1), int), bars, np.full((len(bars), 1), n)])
        ways = np.diff(edges, axis=1)
        log_factorial = np.array([lgamma(k + 1) for k in range(n + 1)])
        _cache[n, categories] = ways, log_factorial[n] - log_factorial[ways].sum(axis=1)
    return _cache[n, categories]
