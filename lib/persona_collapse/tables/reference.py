"""Human respondents beside the runs of a study: S among them, their means by group of items, and Cronbach's alpha."""

from typing import TYPE_CHECKING

import pandas as pd

from persona_collapse.store.ratings import Ratings
from persona_collapse.tables.saturation import profile

if TYPE_CHECKING:
    from persona_collapse.tables.build import Tables

#: Columns of reference.csv, and the metrics of runs that it has of the respondents.
COLUMNS = ("scope", "metric", "method", "value", "se", "lo", "hi", "personas", "items", "ratings", "note")
_METRICS = ("susceptibility", "robustness")


def once(people: Ratings) -> bool:
    """Whether no respondent rated an item more than once: then rating noise cannot be told from differences between people."""
    return bool((people.counts(people.runs[0]).sum(axis=-1) <= 1).all())


def reference_table(people: "Tables") -> pd.DataFrame:
    """Rows of reference.csv, from the tables of the respondents' own ratings (`Ratings.reference`).

    S, and R where there are several ratings a cell, as in metrics.csv; then the mean and the SD over respondents (mean,
    between_sd) of each group of items, over everybody who rated one of them; then Cronbach's alpha of each group (alpha).
    """
    ratings, instrument = people.ratings, people.study.instrument
    wanted = _METRICS[:1] if once(ratings) else _METRICS
    levels = people.metrics[people.metrics["metric"].isin(wanted)]
    profiles = people.profiles.set_index("foundation")
    answered = profile(ratings.counts(ratings.runs[0]), instrument).dropna(subset=["mean"]).groupby("foundation").size()
    rows = []
    for group in instrument.foundations:
        items = sum(item.foundation == group for item in instrument.items)
        number, total = answered.get(group, 0), profiles.at[group, "ratings"]
        for metric in ("mean", "between_sd"):
            rows.append((group, metric, "", profiles.at[group, metric], None, None, None, number, items, total, ""))
    of_scope = levels.drop_duplicates("scope").set_index("scope")
    for row in people.reliability.itertuples():
        sizes = of_scope.loc[row.group, ["personas", "items", "ratings"]]
        rows.append((row.group, "alpha", "", row.value, None, row.lo, row.hi, *sizes, row.note))
    described = pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(("value", "se", "lo", "hi"), float))
    return pd.concat([levels[list(COLUMNS)], described], ignore_index=True)
