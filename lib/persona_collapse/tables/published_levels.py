"""Rows of metrics.csv by the paper's formulas."""

import pandas as pd

from persona_collapse.statistics import published_estimators
from persona_collapse.statistics.published_errors import published_se
from persona_collapse.statistics.recommended_estimators import at_n
from persona_collapse.study.study import Run
from persona_collapse.tables.published_contrasts import NORMAL_95
from persona_collapse.tables.recommended_rows import LevelRow
from persona_collapse.tables.run_statistics import Analysis
from persona_collapse.vocabulary import OF_PUBLISHED, PUBLISHED

#: Beside published S where every cell has one rating.
_UPPER_BOUND = "an upper bound at n = 1: rating noise is part of it"


def published_levels(analysis: Analysis, run: Run) -> pd.DataFrame:
    """S, R and within_sd by the published estimators, with published SE and interval."""
    instrument = analysis.study.instrument
    ratings = analysis.counts(run)
    weights = analysis.scope
    level = published_estimators.published(ratings, instrument.categories, weights)
    se = published_se(ratings, instrument.categories, weights)
    used = ratings[published_estimators.answered(ratings)]
    per_item = published_estimators.moments(used, instrument.categories).n.sum(axis=0)
    loo = analysis.alone(run).loo[0]
    at, above = at_n(loo), _UPPER_BOUND if loo.repetitions[1] == 1 else ""
    rows = []
    for metric in OF_PUBLISHED:
        for column, scope in enumerate(analysis.scopes):
            value, error = getattr(level, metric)[column], getattr(se, metric)[column]
            own = weights[:, column] > 0
            interval = value - NORMAL_95 * error, value + NORMAL_95 * error
            sizes = len(used), int(own.sum()), int(per_item[own].sum())
            note = above if metric == "susceptibility" else at
            rows.append(LevelRow(*run.keys, scope, metric, PUBLISHED, value, error, *interval, *sizes, note=note))
    return pd.DataFrame(rows, columns=list(LevelRow._fields))
