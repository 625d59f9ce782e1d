"""Tables for reading of how robust conclusions are: one row a headline, one row a choice, one row a foundation."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.change_sentences import whole
from persona_collapse.study.study import Study
from persona_collapse.tables.headlines import ABOUT, CONTRARY, HOLDS, OPPOSITE, SAME
from persona_collapse.vocabulary import METRICS

#: Of a group with more choices than this, the extremes are shown.
_MANY = 8
_UNITS = {"%": " %", "pp": " pp", "logit": ""}


@exhibit.table(
    "headlines",
    "Every headline under every defensible choice of estimator, base, persona, item, repetition and family: the "
    "recommended value with its 95 % interval, and under how many choices the claim holds.",
)
def overview_table(validity: pd.DataFrame, study: Study) -> pd.DataFrame:
    """One row a headline: how many choices bear it out, and how many families where there are several."""
    rows = []
    for claim, own in by_claim(validity):
        counted = counted_choices(own)
        families = own[(own["group"] == "recommended") & (own["family"] != "mean")]
        first = recommended_row(own)
        number = {verdict: int((counted["verdict"] == verdict).sum()) for verdict in (HOLDS, SAME, OPPOSITE, CONTRARY)}
        agree = f"{int(families['agrees'].sum())} of {len(families)}"
        rows.append((claim, with_interval(first), len(counted), *number.values(), agree))
    columns = ["claim", "recommended", "choices", *(HOLDS, SAME, OPPOSITE, CONTRARY), "families"]
    table = pd.DataFrame(rows, columns=columns).set_index("claim")
    return table if len(study.file.families) > 1 else table.drop(columns="families")


def shown(rows: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The rows of one claim that a figure or a table shows, with a column Choice in words, the recommended one first.

    Means over families, then each family by the recommended estimator; of a group with many choices the two extremes.
    """
    parts = []
    for group, own in averaged(rows).groupby("group", sort=False):
        if len(own) > _MANY:
            known = own[np.isfinite(own["value"])]
            ends = [known["value"].idxmin(), known["value"].idxmax()] if len(known) else []
            extremes = own.loc[list(dict.fromkeys(ends))]
            words = [f"{c} ({w} of {len(own)})" for c, w in zip(extremes["choice"], ("lowest", "highest"), strict=False)]
            own = extremes.assign(choice=words)
        parts.append(own.assign(Choice=[choice_in_words(group, choice) for choice in own["choice"]]))
    families = rows[(rows["group"] == "recommended") & (rows["family"] != "mean")]
    names = {f.key: f.name for f in study.file.families}
    if len(families) > 1:
        parts.insert(1, families.assign(Choice=[f"{names.get(f, f)} alone" for f in families["family"]]))
    found = pd.concat(parts, ignore_index=True)
    if len(families) == 1 and len(names) > 1:  # the others cannot make this claim
        found.loc[0, "Choice"] += f", {names[families['family'].iloc[0]]} alone"
    served = rows[(rows["group"] == "serving stack") & (rows["family"] != "mean")] if len(families) > 1 else rows[:0]
    if len(served):
        words = [f"serving stack: {names.get(f, f)} alone" for f in served["family"]]
        found = pd.concat([found, served.assign(Choice=words)], ignore_index=True)
    return found.drop_duplicates("Choice", ignore_index=True)


@exhibit.table(
    "choices",
    lambda kind: (
        f"Choice by choice: {ABOUT[kind]}, in the mean over families where there are several, with 95 % intervals and what "
        "becomes of the claim."
    ),
    by="kind",
)
def choices_table(validity: pd.DataFrame, study: Study, kind: str) -> pd.DataFrame:
    """The headlines of one kind under every choice that the figure shows, for reading."""
    parts = []
    for claim, rows in by_claim(validity[validity["kind"] == kind]):
        found = shown(rows, study)
        number = [with_interval(row) for row in found.itertuples()]
        parts.append(pd.DataFrame({"claim": claim, "choice": found["Choice"], "value": number, "verdict": found["verdict"]}))
    if not parts:
        return pd.DataFrame(columns=["choice", "value", "verdict"])
    table = pd.concat(parts, ignore_index=True)
    return table.set_index(["claim", "choice"]) if len(parts) > 1 else table.drop(columns="claim").set_index("choice")


@exhibit.table(
    "single_foundations",
    lambda metric: (
        f"Change of {METRICS[metric].inside} against the base by group of items, in percent of the base; recommended "
        f"estimator. A "
        "star: clear after Holm's adjustment for all claims made."
    ),
    by="metric",
)
def foundations_table(foundation_claims: pd.DataFrame, study: Study, metric: str) -> pd.DataFrame:
    """Changes by foundation in percent, with a star where they remain after Holm's adjustment, for reading."""
    own = foundation_claims[foundation_claims["metric"] == metric]
    text = [
        f"{whole(row.value, '+')} %{' *' if row.p_holm < 0.05 else ''}" if np.isfinite(row.value) else ""
        for row in own.itertuples()
    ]
    named = own.assign(text=text, run=[study.run(f, v).name for f, v in zip(own["family"], own["variant"], strict=True)])
    wide = named.pivot_table(index="run", columns="scope", values="text", aggfunc="first", sort=False)
    return wide.rename_axis(columns=None)


def choice_in_words(group: str, choice: str) -> str:
    return choice if group == "recommended" else f"{group}: {choice}"


def by_claim(validity: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    return validity.groupby("claim", sort=False)


def averaged(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a claim that are means over families; those of its one family where only one can make it."""
    mean = rows[rows["family"] == "mean"]
    return mean if len(mean) else rows


def recommended_row(rows: pd.DataFrame) -> pd.Series:
    own = averaged(rows)
    return own[own["group"] == "recommended"].iloc[0]


def counted_choices(rows: pd.DataFrame) -> pd.DataFrame:
    """Choices that a verdict is about: those with an interval."""
    found = averaged(rows)
    return found[np.isfinite(found["lo"])]


def with_interval(row: object) -> str:
    """A value with its interval and unit, as prose shows them."""
    value, lo, hi, unit = (getattr(row, name) for name in ("value", "lo", "hi", "quantity"))
    if np.isnan(value):
        return "not available"
    show = (lambda number, sign="": f"{number:{sign}.2f}") if unit == "logit" else whole
    interval = f" [{show(lo)}, {show(hi)}]" if np.isfinite(lo) else " (no interval)"
    return f"{show(value, '+')}{_UNITS[unit]}{interval}"
