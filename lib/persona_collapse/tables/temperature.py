"""R(T) and S(T) of a study asked by logprobs: what the same models would give at every sampling temperature."""

from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.statistics import published_estimators
from persona_collapse.statistics.published_errors import published_se
from persona_collapse.store.ratings import Ratings
from persona_collapse.study import first_token
from persona_collapse.study.scopes import scope_matrix
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.published_contrasts import NORMAL_95

#: Temperatures of every curve, beside the one of the protocol.
GRID = tuple(step / 10 for step in range(1, 16))
#: Columns of temperature.csv.
COLUMNS = ("family", "variant", "temperature", "metric", "value", "lo", "hi", "bound_lo", "bound_hi")


def temperature_curves(ratings: Ratings) -> pd.DataFrame:
    """Rows of temperature.csv: S, R and within_sd of every run, over all items, on a grid of temperatures.

    ``value`` takes a category outside the returned alternatives at the smallest returned logprob, as published; ``lo, hi`` are
    value -+ 1.96 times its published persona SE; ``bound_lo, bound_hi`` hold wherever the logprobs of such categories lie,
    and equal the value where every category was returned.
    """
    rows = [row for run in ratings.runs for row in _of_run(ratings, run)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def temperatures(study: Study) -> list[float]:
    """The temperatures of a study's curves, ascending."""
    return sorted({*GRID, study.file.protocol.temperature})


def _of_run(ratings: Ratings, run: Run) -> list[tuple[Any, ...]]:
    study, offered = ratings.study, ratings.of(run).offered
    if offered is None:
        return []
    categories = study.instrument.categories
    # Every scope, of which the first is overall: the same sums as metrics.csv, to the last digit.
    scope = scope_matrix(study.instrument)
    rows = []
    for temperature in temperatures(study):
        cells = first_token.probabilities(offered, temperature)
        level = published_estimators.published(cells, categories, scope)
        se = published_se(cells, categories, scope)
        limits = level_bounds(first_token.bounds(offered, temperature, categories))
        for metric in ("susceptibility", "robustness", "within_sd"):
            value, error = float(getattr(level, metric)[0]), float(getattr(se, metric)[0])
            low, high = limits[metric]
            # Where nothing is missing they are the same number, but for the last digit of another order of sums.
            bound = np.fmin(low, value), np.fmax(high, value)
            if not offered.missing.any():
                bound = value, value
            interval = value - NORMAL_95 * error, value + NORMAL_95 * error
            rows.append((run.family.key, run.variant.key, temperature, metric, value, *interval, *bound))
    return rows


def level_bounds(cells: first_token.Bounds) -> dict[str, tuple[float, float]]:
    """Limits of S, within_sd and R over all items, from those of every cell; personas with a cell not used are left out.

    Cell means lie within h of the middle m of their limits, and the SD over personas of m + d differs from that of m by no
    more than sqrt(sum d^2 / (P - 1)): the SD is a norm of the centred values. NaN as in `published_estimators.published`.
    """
    whole = ~np.isnan(cells.mean_lo).any(axis=1)
    low, high, sd_low, sd_high = (limit[whole] for limit in cells)
    personas = len(low)
    if not personas:
        return dict.fromkeys(("susceptibility", "within_sd", "robustness"), (np.nan, np.nan))
    between = (np.nan, np.nan)
    if personas > 1:
        middle, half = (low + high) / 2, (high - low) / 2
        spread, slack = middle.std(axis=0, ddof=1), np.sqrt((half**2).sum(axis=0) / (personas - 1))
        between = float(np.maximum(spread - slack, 0).mean()), float((spread + slack).mean())
    within = float(sd_low.mean()), float(sd_high.mean())
    with np.errstate(divide="ignore"):
        robust = float(np.divide(1, within[1])), float(np.divide(1, within[0]))
    return {"susceptibility": between, "within_sd": within, "robustness": robust}
