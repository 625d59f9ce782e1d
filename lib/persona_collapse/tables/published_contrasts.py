"""What fine-tuning changed: variants against their base, and harmful ones against their matched control."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.study.study import Study
from persona_collapse.study.study_file import Family
from persona_collapse.tables.contrast import CHANGE, EXCESS

#: Half the width of a 95 % interval, in standard errors.
NORMAL_95 = 1.96


class ContrastRow(NamedTuple):
    """A row of contrasts.csv."""

    family: str
    variant: str
    control: str
    scope: str
    metric: str
    quantity: str
    method: str
    value: float = np.nan
    se: float = np.nan
    lo: float = np.nan
    hi: float = np.nan
    families: int | None = None
    lo_repeat: float = np.nan
    hi_repeat: float = np.nan
    differs: str = ""
    note: str = ""


class Estimate(NamedTuple):
    """A number and its standard error, in the same unit."""

    value: float
    se: float


def change_pct(variant: Estimate, base: Estimate) -> Estimate:
    """Relative change 100 (X - X_base) / X_base in percent; its SE takes the two runs as independent, as published.

    NaN where a side is not finite or the base is zero.
    """
    if not (np.isfinite(variant.value) and np.isfinite(base.value) and base.value != 0):
        return Estimate(np.nan, np.nan)
    value = 100 * (variant.value - base.value) / base.value
    se = 100 * np.hypot(variant.se / base.value, variant.value * base.se / base.value**2)
    return Estimate(value, float(se))


def excess_pp(harmful: Estimate, control: Estimate, base: Estimate) -> Estimate:
    """Excess 100 (X_harmful - X_control) / X_base in percentage points of base; SE as for `change_pct`."""
    if not (np.isfinite([harmful.value, control.value, base.value]).all() and base.value != 0):
        return Estimate(np.nan, np.nan)
    difference = harmful.value - control.value
    value = 100 * difference / base.value
    se = 100 * np.sqrt((harmful.se**2 + control.se**2) / base.value**2 + (difference * base.se / base.value**2) ** 2)
    return Estimate(value, float(se))


def contrasts(study: Study, metrics: pd.DataFrame) -> pd.DataFrame:
    """Every change against base and excess over control by the published method, and their plain averages over families.

    Parameters
    ----------
    study : Study
        Says which variant is the base, and which control belongs to which harmful variant.
    metrics : DataFrame
        metrics.csv.

    Returns
    -------
    DataFrame
        Columns as in `ContrastRow`. Rows of family ``mean`` average the families that have that variant (their number in
        ``families``); alternates, checkpoints and treatments enter no average; averages carry no published SE. What the
        published method does not have (limits for repeated requests, ``differs``, ``note``) is empty.
    """
    at = {(r.family, r.variant, r.scope, r.metric, r.method): Estimate(r.value, r.se) for r in metrics.itertuples(index=False)}
    kinds = metrics[["scope", "metric", "method"]].drop_duplicates().itertuples(index=False)
    rows = [
        row
        for scope, metric, method in kinds
        for family in study.file.families
        for row in _of_family(family, at, (scope, metric, method))
    ]
    table = as_numbers(pd.DataFrame(rows, columns=list(ContrastRow._fields)))
    if table.empty:
        return table  # bases alone: there is nothing to compare
    aside = {(f.key, v.key) for f in study.file.families for v in f.variants if v.role == "alternate" or v.of}
    kept = table[[(r.family, r.variant) not in aside for r in table.itertuples()]]
    means = kept.groupby(["variant", "control", "scope", "metric", "quantity", "method"], sort=False, as_index=False).agg(
        value=("value", lambda x: x.mean(skipna=False)), families=("value", "size")
    )
    found = as_numbers(pd.concat([table, means.assign(family="mean")], ignore_index=True)[list(ContrastRow._fields)])
    return found.assign(differs="", note="")


def as_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its numbers as numbers, also where it has no rows."""
    numbers = {"value", "se", "lo", "hi", "lo_repeat", "hi_repeat", "p", "p_holm"} & set(table)
    counted = {"families": "Int64"} if "families" in table else {}
    return table.astype(dict.fromkeys(numbers, float) | counted)


def _of_family(
    family: Family, at: dict[tuple[str, str, str, str, str], Estimate], kind: tuple[str, str, str]
) -> list[ContrastRow]:
    scope, metric, method = kind
    base = at[family.key, family.base.key, *kind]
    rows = []
    for variant in family.variants:
        if variant.role == "base":
            continue
        level = at[family.key, variant.key, *kind]
        found = [(CHANGE, "", change_pct(level, base))]
        if variant.control:
            found.append((EXCESS, variant.control, excess_pp(level, at[family.key, variant.control, *kind], base)))
        for quantity, control, (value, se) in found:
            interval = value - NORMAL_95 * se, value + NORMAL_95 * se
            rows.append(ContrastRow(family.key, variant.key, control, scope, metric, quantity, method, value, se, *interval))
    return rows
