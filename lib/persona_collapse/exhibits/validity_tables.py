"""Tables for reading of how robust conclusions are: one row a headline, one row a choice, one row a foundation."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.change_sentences import whole
from persona_collapse.study.study import Study
from persona_collapse.tables.choices import CONSTRUCT, ESTIMATOR, REPEATED
from persona_collapse.tables.headlines import ABOUT
from persona_collapse.tables.validity import WIDER
from persona_collapse.vocabulary import METRICS, RECOMMENDED

#: Of a group with more choices than this, the extremes are shown.
_MANY = 8
_UNITS = {"%": " %", "pp": " pp", "logit": ""}


#: What the recommended analysis is called among the others.
RECOMMENDED_ANALYSIS = "recommended"
#: For each group of choices what it varies; other groups of choices are of items.
_VARIES = {
    ESTIMATOR: "estimator", REPEATED: "estimator", "group of personas left out": "personas", "temperature": "temperature",
    "serving stack": "base", "family left out": "families",
}  # fmt: skip
#: What an analysis that leaves something as it is has there.
_AS_IT_IS = {
    "estimator": "recommended", "personas": "all", "items": "all", "temperature": "as sampled", "base": "as asked",
    "families": "all",
}  # fmt: skip


@exhibit.table(
    "headlines",
    "Every headline: the recommended value with its 95 % interval, how many of all other analyses reach the same verdict, their "
    "median, the p value of the joint test over all of them, and the recommended p adjusted by Holm over all headlines.",
)
def overview_table(headlines: pd.DataFrame) -> pd.DataFrame:
    """One row a headline; p values alone and together."""
    rows = [
        (
            row.headline, with_interval(row), row.verdict, f"{row.agree} of {row.choices}",
            with_unit(row.median, row.quantity), p_text(row.p_joint), p_text(row.p_holm),
        )
        for row in headlines.itertuples()
    ]  # fmt: skip
    columns = ["headline", "recommended", "verdict", "same verdict", "median", "joint p", "p (Holm)"]
    return pd.DataFrame(rows, columns=columns).set_index("headline")


def analyses(rows: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The analyses of one headline that have a value, the recommended one first, with columns Analysis, Varies and Option.

    Means over families; of those that leave out one item after the other, or another group with many, the extremes.
    """
    parts = []
    for group, own in averaged(rows).groupby("group", sort=False):
        if group in (WIDER, CONSTRUCT):
            continue
        own = own[np.isfinite(own["value"])]
        if group == RECOMMENDED:
            parts.append(own.assign(Varies="", Option="", Analysis=RECOMMENDED_ANALYSIS))
            continue
        if len(own) > _MANY:
            extremes = own.loc[list(dict.fromkeys([own["value"].idxmin(), own["value"].idxmax()]))]
            words = [f"{c} ({w} of {len(own)})" for c, w in zip(extremes["choice"], ("lowest", "highest"), strict=False)]
            own = extremes.assign(choice=words)
        parts.append(own.assign(Varies=_VARIES.get(str(group), "items"), Option=own["choice"], Analysis=own["choice"]))
    found = pd.concat(parts, ignore_index=True)
    own, names = rows[rows["group"] == RECOMMENDED]["family"].unique(), {f.key: f.name for f in study.file.families}
    if len(own) == 1 and len(names) > 1:  # the other families cannot make this claim
        found["Analysis"] = found["Analysis"].replace(RECOMMENDED_ANALYSIS, f"{RECOMMENDED_ANALYSIS}, {names[own[0]]} alone")
    return found


def grid(found: pd.DataFrame) -> pd.DataFrame:
    """Which choice each of the `analyses` makes in everything that is varied: Analysis, Choice, and whether it is changed."""
    varied = [name for name in _AS_IT_IS if (found["Varies"] == name).any()]
    rows = []
    for name in varied:
        as_it_is = f"{name}: {_AS_IT_IS[name]}"
        rows += [(row.Analysis, as_it_is, "no") for row in found.itertuples() if row.Varies != name]
        rows += [(row.Analysis, f"{name}: {row.Option}", "yes") for row in found.itertuples() if row.Varies == name]
    return pd.DataFrame(rows, columns=["Analysis", "Choice", "changed"])


def no_choices(rows: pd.DataFrame, study: Study) -> pd.DataFrame:
    """What stands beside the choices of one headline, with a column Beside: each family, other populations, another construct."""
    names = {f.key: f.name for f in study.file.families}
    families = rows[(rows["group"] == RECOMMENDED) & (rows["family"] != "mean")]
    parts = [families.assign(Beside=[f"{names.get(f, f)} alone" for f in families["family"]])] if len(families) > 1 else []
    own = averaged(rows)
    own = own[own["group"].isin((WIDER, CONSTRUCT))]
    parts.append(own.assign(Beside=own["choice"]))
    served = rows[(rows["group"] == "serving stack") & (rows["family"] != "mean")] if len(families) > 1 else rows[:0]
    parts.append(
        served.assign(
            Beside=[f"{names.get(f, f)} alone, {c.split(' base ')[-1]}" for f, c in served[["family", "choice"]].to_numpy()]
        )
    )
    found = pd.concat(parts, ignore_index=True)
    return found[np.isfinite(found["value"])]


@exhibit.table(
    "choices",
    lambda kind: (
        f"Analysis by analysis: {ABOUT[kind]}, in the mean over families where there are several, with 95 % intervals and "
        "verdicts; then what is no choice of the same question."
    ),
    by="kind",
)
def choices_table(validity: pd.DataFrame, study: Study, kind: str) -> pd.DataFrame:
    """The headlines of one kind in every analysis that the figure shows, for reading."""
    parts = []
    for headline, rows in by_headline(validity[validity["kind"] == kind]):
        found, beside = analyses(rows, study), no_choices(rows, study)
        shown = pd.concat([found.rename(columns={"Analysis": "in"}), beside.rename(columns={"Beside": "in"})], ignore_index=True)
        number = [with_interval(row) for row in shown.itertuples()]
        parts.append(pd.DataFrame({"headline": headline, "analysis": shown["in"], "value": number, "verdict": shown["verdict"]}))
    if not parts:
        return pd.DataFrame(columns=["analysis", "value", "verdict"])
    table = pd.concat(parts, ignore_index=True)
    return table.set_index(["headline", "analysis"]) if len(parts) > 1 else table.drop(columns="headline").set_index("analysis")


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


def by_headline(validity: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    return validity.groupby("headline", sort=False)


def averaged(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a claim that are means over families; those of its one family where only one can make it."""
    mean = rows[rows["family"] == "mean"]
    return mean if len(mean) else rows


def with_unit(value: float, unit: str) -> str:
    """A value with its sign and unit, as prose shows it."""
    shown = f"{value:+.2f}" if unit == "logit" else whole(value, "+")
    return f"{shown}{_UNITS[unit]}" if np.isfinite(value) else "-"


def p_text(p: float) -> str:
    """A p value as tables print it."""
    return "-" if np.isnan(p) else "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def with_interval(row: object) -> str:
    """A value with its interval and unit, as prose shows them."""
    value, lo, hi, unit = (getattr(row, name) for name in ("value", "lo", "hi", "quantity"))
    if not np.isfinite(value):
        return "not available"
    show = (lambda number, sign="": f"{number:{sign}.2f}") if unit == "logit" else whole
    interval = f" [{show(lo)}, {show(hi)}]" if np.isfinite(lo) else " (no interval)"
    return f"{with_unit(value, unit)}{interval}"
