"""Human respondents beside the runs of a study: S among them, their means by group of items, and Cronbach's alpha."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from persona_collapse.statistics import persona_jackknife
from persona_collapse.store.ratings import Ratings
from persona_collapse.tables.saturation import profile
from persona_collapse.vocabulary import METRICS, PUBLISHED, RECOMMENDED

if TYPE_CHECKING:
    from persona_collapse.tables.build import Tables

#: Columns of reference.csv.
COLUMNS = ("scope", "metric", "method", "value", "se", "lo", "hi", "personas", "items", "ratings", "note")
#: Metrics of runs that it has of respondents: of one rating a cell the first by each method, of several also the others.
_LEVELS = ("susceptibility", "susceptibility_published", "robustness", "robustness_published")
#: Beside S where every cell has one rating, by method.
_SINGLE = {
    RECOMMENDED: "one rating a cell, from which noise cannot be told",
    PUBLISHED: "an upper bound: one rating a cell, and rating noise is part of it",
}


def once(people: Ratings) -> bool:
    """Whether no respondent rated an item more than once: then rating noise cannot be told from differences between people."""
    return bool((people.counts(people.runs[0]).sum(axis=-1) <= 1).all())


def reference_table(people: "Tables") -> pd.DataFrame:
    """Rows of reference.csv, from the tables of the respondents' own ratings (`Ratings.reference`).

    S, and R where there are several ratings a cell, of respondents who rated every item that most did, by both methods with
    interval A; Cronbach's alpha of each group (alpha) of the same; then the mean rating of each group of items and its SD over
    respondents (mean, between_sd), over everybody who rated one of its items.
    """
    ratings, instrument = people.ratings, people.study.instrument
    run, single = ratings.runs[0], once(ratings)
    alone, rows = people.analysis.alone(run), list[tuple[Any, ...]]()
    of_item = alone.sides[0].counts.sum(axis=(0, 2))
    sizes = {
        scope: (len(alone.common.personas), int(own.sum()), round(float(of_item[own].sum())))
        for scope, own in zip(people.analysis.scopes, alone.common.scope.T > 0, strict=True)
    }
    # Also by the paper's formula on these respondents and items: its own code needs every item of the instrument. What notes of
    # metrics.csv say is left out, as they name personas by their ids.
    intervals = persona_jackknife.level(alone.loo[0])
    for key in _LEVELS[: 2 if single else 4]:
        metric, interval = METRICS[key], intervals.of(key)
        for column, scope in enumerate(people.analysis.scopes):
            note = _SINGLE[metric.method] if single else ""
            rows.append((scope, metric.written or key, metric.method, *interval.at(column)[:4], *sizes[scope], note))
    for row in people.reliability.itertuples():
        rows.append((row.group, "alpha", "", row.value, None, row.lo, row.hi, *sizes[row.group], row.note))
    each = profile(ratings.counts(run), instrument).groupby("foundation")
    for group in instrument.foundations:
        own = each.get_group(group)
        beside = int(own["mean"].count()), sizes[group][1], int(own["ratings"].sum()), ""
        rows.append((group, "mean", "", own["mean"].mean(), None, None, None, *beside))
        rows.append((group, "between_sd", "", own["mean"].std(), None, None, None, *beside))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(("value", "se", "lo", "hi"), float))
