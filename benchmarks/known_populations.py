"""How often intervals hold what they promise, on ratings drawn from a population whose true values are known."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from persona_collapse.simulated.fitting import expected_sd
from persona_collapse.statistics import persona_jackknife, repeat_interval
from persona_collapse.statistics.moments import cells
from persona_collapse.statistics.recommended_estimators import METRICS, leave_one_out

#: Metrics whose true value in a population is known; within_sd that at the number of repetitions drawn.
KNOWN = ("susceptibility", "susceptibility_pooled", "within_rms", "icc", "extremity", "within_sd")
_ROWS = [METRICS.index(metric) for metric in KNOWN]
#: Weights of the cells' own ratings that a fit tries, in ratings of the typical cell.
_CONCENTRATIONS = np.geomspace(0.05, 50, 121)
#: Draws of the percentile bootstrap.
_DRAWS = 400


class Coverage(NamedTuple):
    """Share of drawn runs in which an interval held the true value, (metric in the order of KNOWN, scope)."""

    persona: np.ndarray  #: interval A for the population of personas
    percentile: np.ndarray  #: percentile bootstrap over personas of susceptibility, (scope,)
    ratings: np.ndarray  #: interval B for the same personas; NaN if personas were drawn
    width: np.ndarray  #: mean width of A, or of B with the same personas, in shares of the true value


def true_values(probabilities: np.ndarray, categories: range, scope: np.ndarray, repetitions: int) -> np.ndarray:
    """Metrics (KNOWN, scope) of a population of which each persona in `probabilities` is an equal share."""
    points = np.asarray(categories, dtype=float)
    mean = probabilities @ points
    noise = np.maximum(probabilities @ points**2 - mean**2, 0).mean(axis=0)
    anchor, middle = mean.var(axis=0), mean.mean(axis=0)
    ceiling = (middle - points[0]) * (points[-1] - middle)
    t2, w = anchor @ scope, noise @ scope
    within_sd = expected_sd(probabilities, repetitions).mean(axis=0) @ scope
    return np.array([np.sqrt(anchor) @ scope, np.sqrt(t2), np.sqrt(w), t2 / (t2 + w), (t2 + w) / (ceiling @ scope), within_sd])


def like(counts: np.ndarray) -> np.ndarray:
    """Probabilities (persona, item, category) from which ratings like those of a run can be drawn.

    Each cell is the Dirichlet posterior mean (c + a T) / (n + a), T the mean shares of the run's cells with the same most
    frequent category, a the weight under which leaving out one rating at a time predicts it best.
    """
    n = counts.sum(axis=-1, keepdims=True)
    share, mode = counts / n, counts.argmax(axis=-1)
    typical = np.zeros((counts.shape[-1], counts.shape[-1]))  # (mode, category)
    for category in np.unique(mode):
        typical[category] = share[mode == category].mean(axis=0)
    p, q, k = np.nonzero(counts * (n > 1))
    without = counts[p, q] - np.eye(counts.shape[-1], dtype=int)[k]  # a cell less one rating k: its mode may be another
    prior, left, given = typical[without.argmax(axis=-1), k], without[np.arange(len(k)), k], counts[p, q, k]
    told = prior + left > 0  # no weight foretells a category that neither the cell nor its like ever had
    prior, left, given, size = (x[told] for x in (prior, left, given, without.sum(axis=-1)))
    fit = [(given * np.log((left + a * prior) / (size + a))).sum() for a in _CONCENTRATIONS]
    a = _CONCENTRATIONS[int(np.argmax(fit))]
    return (counts + a * typical[mode]) / (n + a)


def coverage(
    probabilities: np.ndarray,
    categories: range,
    scope: np.ndarray,
    *,
    personas: int | None,
    repetitions: int,
    runs: int,
    rng: np.random.Generator,
) -> Coverage:
    """Draw runs from a population and count how often each interval holds the true value.

    Parameters
    ----------
    probabilities : (persona, item, category) float array
        The population.
    categories, scope
        As for `recommended_estimators.leave_one_out`.
    personas : int or None
        Personas of a run, drawn with replacement; None takes the population's own, so that only ratings are drawn.
    repetitions, runs : int
        Ratings a cell, and runs.
    rng : Generator
        Source of everything random.
    """
    truth = (true_values if personas else _of_these)(probabilities, categories, scope, repetitions)
    held, width, percentile = [], [], []
    for counts in _drawn(probabilities, personas, repetitions, runs, rng):
        run = leave_one_out(counts, categories, scope)
        interval: repeat_interval.Repeat | persona_jackknife.Interval
        if personas is None:
            interval = repeat_interval.level(repeat_interval.redrawn(run))
        else:
            interval = persona_jackknife.level(run)
            percentile.append(_percentile(counts, categories, scope, rng, truth[0]))
        held.append((interval.lo[_ROWS] <= truth) & (truth <= interval.hi[_ROWS]))
        width.append((interval.hi[_ROWS] - interval.lo[_ROWS]) / truth)
    share, mean_width, unknown = np.mean(held, axis=0), np.nanmean(width, axis=0), np.full(truth.shape, np.nan)
    if personas is None:
        return Coverage(unknown, unknown[0], share, mean_width)
    return Coverage(share, np.mean(percentile, axis=0), unknown, mean_width)


def _of_these(probabilities: np.ndarray, categories: range, scope: np.ndarray, repetitions: int) -> np.ndarray:
    """What the ratings of just these personas estimate: as `true_values`, variances over personas with ddof = 1."""
    exact = leave_one_out(probabilities, categories, scope, exact=True)
    within_sd = true_values(probabilities, categories, scope, repetitions)[-1]
    return np.stack([*(exact.of(metric)[0] for metric in KNOWN[:-1]), within_sd])


def _drawn(
    probabilities: np.ndarray, personas: int | None, repetitions: int, runs: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    for _ in range(runs):
        who = slice(None) if personas is None else rng.integers(len(probabilities), size=personas)
        yield rng.multinomial(repetitions, probabilities[who])


def _percentile(
    counts: np.ndarray, categories: range, scope: np.ndarray, rng: np.random.Generator, truth: np.ndarray
) -> np.ndarray:
    """Whether the percentile bootstrap over personas of susceptibility holds the true value (scope,)."""
    own = cells(counts, categories)
    personas = len(counts)
    weight = rng.multinomial(personas, np.full(personas, 1 / personas), size=_DRAWS).astype(float)
    off = own.mean - own.mean.mean(axis=0)
    between = (weight @ off**2 - (weight @ off) ** 2 / personas) / (personas - 1)
    anchor = between - weight @ (own.variance / own.n) / personas
    lo, hi = np.quantile(np.sqrt(np.maximum(anchor, 0)) @ scope, (0.025, 0.975), axis=0)
    return (lo <= truth) & (truth <= hi)
