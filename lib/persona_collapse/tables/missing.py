"""How far the missing ratings of a run could move its numbers, and a change between two runs."""

from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.statistics.missing_bounds import Bounds, missing_bounds
from persona_collapse.study.scopes import keyed
from persona_collapse.study.study import Run
from persona_collapse.tables.run_statistics import Analysis

#: Columns of missing.csv.
COLUMNS = ("family", "variant", "metric", "missing", "slots", "value", "least", "most")


def missing_table(analysis: Analysis) -> pd.DataFrame | None:
    """Bounds of mean, S and noise over all items of every run with missing ratings: missing.csv.

    None where no rating is missing, and of a study by logprobs, whose cells have no slots. A run without any rating is left out:
    nothing is known of it.
    """
    if analysis.study.by_logprobs:
        return None
    rows = [row for run in analysis.study.runs for row in _of_run(analysis, run)]
    return pd.DataFrame(rows, columns=list(COLUMNS)) if rows else None


def _of_run(analysis: Analysis, run: Run) -> list[tuple[Any, ...]]:
    counts = keyed(analysis.counts(run)[analysis.here(run)], analysis.study.instrument)
    n, slots = counts.sum(axis=-1), analysis.slots(run)
    if not n.any() or not (n < slots).any():
        return []
    found, loo = missing_bounds(counts, analysis.categories, slots), analysis.alone(run).loo[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nanmean(counts @ np.asarray(analysis.categories, dtype=float) / n)
    values = {"mean": mean} | {metric: loo.of(metric)[0, 0] for metric in ("susceptibility", "within_rms")}
    return [
        (*run.keys, metric, found.missing, found.slots, float(value), *getattr(found, metric)) for metric, value in values.items()
    ]


def change_bounds(variant: Bounds, base: Bounds, control: Bounds | None = None) -> Bounds:
    """The least and the most of a change in percent of the base, or beyond a control in points of the base.

    Each run's missing ratings may be anything, whatever those of the others are. Infinite where the base may have nothing.
    """
    low, high = (Bounds(0, 0) if control is None else control), base
    with np.errstate(invalid="ignore", divide="ignore"):
        less, more = np.float64(variant.least - low.most), np.float64(variant.most - low.least)
        if control is None:
            return Bounds(100 * (less / high.most - 1), 100 * (more / high.least - 1))
        # What is below nothing is the least in points of the smallest base, what is above in those of the largest.
        return Bounds(
            100 * less / (high.least if less < 0 else high.most), 100 * more / (high.most if more < 0 else high.least)
        )  # fmt: skip
