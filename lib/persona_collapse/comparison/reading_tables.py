"""Tables of two studies side by side, for reading."""

import numpy as np
import pandas as pd

from persona_collapse.comparison.build import StudyTables
from persona_collapse.comparison.differences import CHANGE, EFFECT, EXCESS, LEVEL
from persona_collapse.comparison.pair import Pair
from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.change_sentences import whole
from persona_collapse.study.scopes import OVERALL
from persona_collapse.vocabulary import METRICS, PUBLISHED, RECOMMENDED, twin

_KEYS = ["family", "variant", "variant_b"]


@exhibit.table(
    "levels",
    lambda metric: (
        f"{METRICS[metric].heading} of every run in both studies, each on its own personas and items, with 95 % intervals for "
        "other personas; the difference on what both have in common; and the paper's formula in both."
    ),
    by="metric",
)
def levels(tables: StudyTables, pair: Pair, metric: str) -> pd.DataFrame:
    """A metric of every run in both studies, the difference, and the published values; over all items."""
    return _table(tables.levels, tables, pair, metric, (LEVEL, ".2f", "", " %"))


@exhibit.table(
    "changes",
    lambda metric: (
        f"{METRICS[metric].heading}: change against the base in both studies, each on its own personas and items, with 95 % "
        "intervals; how much larger the ratio of variant to base is in the second (of means over families, the difference in "
        "points); and the changes by the paper's formula."
    ),
    by="metric",
)
def changes(tables: StudyTables, pair: Pair, metric: str) -> pd.DataFrame:
    """A change against the base in both studies, how much larger the effect is in the second, and the published changes."""
    rows = tables.changes[tables.changes["quantity"] == "change_pct"]
    return _table(rows, tables, pair, metric, (EFFECT, "whole", " %", " %"))


@exhibit.table(
    "excesses",
    lambda metric: (
        f"{METRICS[metric].heading}: excess over the matched control in both studies, in points of the base, with 95 % "
        "intervals; the difference; and the excesses by the paper's formula."
    ),
    by="metric",
)
def excesses(tables: StudyTables, pair: Pair, metric: str) -> pd.DataFrame:
    """The excess over the control in both studies, the difference between them, and the published ones."""
    rows = tables.changes[tables.changes["quantity"] == "excess_pp"]
    return _table(rows, tables, pair, metric, (EXCESS, "whole", " pp", " pp"))


def scopes(tables: StudyTables, pair: Pair, metric: str, method: str) -> pd.DataFrame:
    """A metric of every run in every scope, one row a run and study."""
    rows = tables.levels[(tables.levels["metric"] == metric) & (tables.levels["method"] == method)]
    parts = []
    for name, side in zip(pair.names, "ab", strict=True):
        own = rows[[*_KEYS, "scope", *(f"{number}_{side}" for number in ("value", "lo", "hi"))]]
        own = own.set_axis([*_KEYS, "scope", "value", "lo", "hi"], axis=1)
        parts.append(own[own["value"].notna()].assign(study=name))
    found = pd.concat(parts, ignore_index=True)
    found["text"] = [_text(r.value, r.lo, r.hi, ".2f", "") for r in found.itertuples()]
    found["scope"] = found["scope"].map(pair.studies[0].instrument.short)
    wide = found.pivot_table(index=[*_KEYS, "study"], columns="scope", values="text", aggfunc="first", sort=False)
    keys = [match.key for match in pair.matches]
    wide = wide.loc[sorted(wide.index, key=lambda key: (keys.index(key[:3]), pair.names.index(key[3])))].rename_axis(columns=None)
    wide.insert(0, "study", [key[3] for key in wide.index])
    return wide.set_axis(pd.Index([pair.name_of(*key[:3]) for key in wide.index], name="run")).reset_index()


@exhibit.table(
    "foundations",
    lambda metric: (
        f"{METRICS[metric].heading}: difference between the studies over all items and by group of items, with 95 % "
        f"intervals for "
        "other personas; recommended estimator."
    ),
    by="metric",
)
def foundations(tables: StudyTables, pair: Pair, metric: str) -> pd.DataFrame:
    """The difference of a metric in every foundation, one column each."""
    rows = tables.differences[(tables.differences["quantity"] == LEVEL) & (tables.differences["method"] == RECOMMENDED)]
    rows = rows[rows["metric"] == metric]
    texts = [_text(row.value, row.lo, row.hi, "whole", " %") for row in rows.itertuples()]
    named = rows.assign(text=texts, scope=rows["scope"].map(pair.studies[0].instrument.short))
    wide = named.pivot_table(index=_KEYS, columns="scope", values="text", aggfunc="first", sort=False)
    return _named(wide.rename_axis(columns=None), pair)


@exhibit.table(
    "matches",
    "Runs of both studies: what was matched with what, on how many personas and items differences are taken, and what else "
    "differs.",
)
def matches(tables: StudyTables, pair: Pair) -> pd.DataFrame:
    """Which runs were matched, and on how many personas and items their difference is taken."""
    rows = []
    for row in tables.matches.itertuples():
        both = bool(row.variant and row.variant_b)
        where = "both" if both else pair.names[0] if row.variant else pair.names[1]
        personas = f"{row.personas_a} the same" if row.paired else f"{row.personas_a} and {row.personas_b} others"
        taken = (personas, str(row.items)) if row.items else ("not compared" if both else "", "")
        roles = dict.fromkeys(role for role in (row.role, row.role_b) if role)
        rows.append((where, row.matched_by, " / ".join(roles), *taken))
    index = pd.MultiIndex.from_frame(tables.matches[_KEYS])
    return _named(pd.DataFrame(rows, index=index, columns=["stands in", "matched by", "role", "personas", "items"]), pair)


def _table(rows: pd.DataFrame, tables: StudyTables, pair: Pair, metric: str, how: tuple[str, str, str, str]) -> pd.DataFrame:
    """Both studies by the recommended method, the difference between them, and both by the published method."""
    between, form, unit, unit_between = how
    rows = rows[rows["scope"] == OVERALL]
    own, printed = (
        rows[(rows["metric"] == name) & (rows["method"] == method)].set_index(_KEYS)
        for name, method in ((metric, RECOMMENDED), (twin(metric), PUBLISHED))
    )
    found = _studies(own, pair, "", form, unit)
    differences = _differences(tables, between, metric, unit_between)
    if between == EFFECT:  # means over families differ in points
        differences = pd.concat([differences, _differences(tables, CHANGE, metric, " pp")])
    found["difference"] = differences.reindex(own.index).fillna("")
    if len(printed):
        found = found.join(_studies(printed, pair, " (the paper's formula)", form, unit, intervals=False)).fillna("")
    return _named(found, pair)


def _studies(rows: pd.DataFrame, pair: Pair, suffix: str, form: str, unit: str, *, intervals: bool = True) -> pd.DataFrame:
    """One column a study: value with interval, or the value alone."""
    found = pd.DataFrame(index=rows.index)
    for name, side in zip(pair.names, "ab", strict=True):
        limits = [rows[f"{number}_{side}"].astype(float) for number in ("value", "lo", "hi")]
        if not intervals:
            limits[1:] = [limits[0] * np.nan] * 2
        found[name + suffix] = [_text(value, lo, hi, form, unit) for value, lo, hi in zip(*limits, strict=True)]
    return found


def _differences(tables: StudyTables, quantity: str, metric: str, unit: str) -> pd.Series:
    rows = tables.differences[(tables.differences["quantity"] == quantity) & (tables.differences["metric"] == metric)]
    rows = rows[(rows["scope"] == OVERALL) & (rows["method"] == RECOMMENDED)].set_index(_KEYS)
    texts = [_text(r.value, r.lo, r.hi, "whole", unit) if np.isfinite(r.value) else "not compared" for r in rows.itertuples()]
    return pd.Series(texts, index=rows.index, dtype=object)


def _text(value: float, lo: float, hi: float, form: str, unit: str) -> str:
    """A number with its interval; `form` is a format, or `whole` for signed percentages and points."""
    if np.isnan(value):
        return ""
    first = f"{whole(value, '+')}{unit}" if form == "whole" else f"{value:{form}}{unit}"
    if np.isnan(lo):
        return first
    return f"{first} [{', '.join(whole(limit) if form == 'whole' else f'{limit:{form}}' for limit in (lo, hi))}]"


def _named(found: pd.DataFrame, pair: Pair) -> pd.DataFrame:
    """With runs named for readers in place of keys."""
    return found.set_axis(pd.Index([pair.name_of(*key) for key in found.index], name="run"))
