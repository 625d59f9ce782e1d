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
    found = people.metrics[people.metrics["method"] == RECOMMENDED]
    sizes = found.drop_duplicates("scope").set_index("scope")[["personas", "items", "ratings"]]
    # Also by the paper's formula on these respondents and items: its own code needs every item of the instrument. What notes of
    # metrics.csv say is left out, as they name personas by their ids.
    intervals = persona_jackknife.level(people.analysis.alone(run).loo[0])
    rows: list[tuple[Any, ...]] = []
    for key in _LEVELS[: 2 if single else 4]:
        metric = METRICS[key]
        for column, scope in enumerate(people.analysis.scopes):
            numbers, note = intervals.of(key).at(column)[:4], _SINGLE[metric.method] if single else ""
            rows.append((scope, metric.written or key, metric.method, *numbers, *sizes.loc[scope], note))
    for row in people.reliability.itertuples():
        rows.append((row.group, "alpha", "", row.value, None, row.lo, row.hi, *sizes.loc[row.group], row.note))
    profiles = people.profiles.set_index("foundation")
    answered = profile(ratings.counts(run), instrument).dropna(subset=["mean"]).groupby("foundation").size()
    for group in instrument.foundations:
        beside = answered.get(group, 0), sizes.at[group, "items"], profiles.at[group, "ratings"], ""
        rows += [(group, name, "", profiles.at[group, name], None, None, None, *beside) for name in ("mean", "between_sd")]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(("value", "se", "lo", "hi"), float))
