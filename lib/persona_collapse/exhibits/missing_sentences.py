"""What missing ratings leave open, as sentences computed from missing.csv: bounds of every run, and changes without a sign."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.change_sentences import whole
from persona_collapse.statistics.missing_bounds import Bounds
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Study
from persona_collapse.tables.contrast import CHANGE
from persona_collapse.tables.missing import change_bounds
from persona_collapse.text import safe
from persona_collapse.vocabulary import CLAIMED, METRICS, RECOMMENDED

_UNITS = {True: " %", False: " pp"}


@exhibit.finding("missing")
def missing(missing: pd.DataFrame | None, metrics: pd.DataFrame, contrasts: pd.DataFrame, study: Study) -> str:
    """Between which bounds S, noise and the mean of a run lie whatever its missing ratings were; which changes lose their sign.

    `missing` is missing.csv.
    """
    if study.by_logprobs:
        return "Each cell was asked once for its whole distribution, so single ratings cannot be missing."
    if missing is None:
        return "No rating is missing."
    lines = [_of_run(rows, study) for _, rows in missing.groupby(["family", "variant"], sort=False)]
    clear = list(_clear(missing, metrics, contrasts, study))
    turned = [_sign(row, bounds, study) for row, bounds in clear if bounds.least <= 0 <= bounds.most]
    if clear and not turned:
        turned = ["- No clear change of S or noise of these runs could lose its sign with these ratings."]
    return "\n".join(lines + turned)


def turned(missing: pd.DataFrame | None, metrics: pd.DataFrame, contrasts: pd.DataFrame, study: Study) -> str:
    """The changes whose sign depends on missing ratings; nothing where there are none."""
    if study.by_logprobs or missing is None:
        return ""
    clear = _clear(missing, metrics, contrasts, study)
    return "\n".join(_sign(row, bounds, study) for row, bounds in clear if bounds.least <= 0 <= bounds.most)


def _of_run(rows: pd.DataFrame, study: Study) -> str:
    first = rows.iloc[0]
    name, number = safe(study.run(first["family"], first["variant"]).name), first["missing"]
    them = "is missing ({}). Whatever it" if number == 1 else "are missing ({}). Whatever they"
    said = (
        f"- **{name}**: {number:,} of {first['slots']:,} ratings {them.format(_share(number / first['slots']))} would have been"
    )
    known = [
        f"{'the mean' if row.metric == 'mean' else METRICS[row.metric].name} lies between {row.least:.3f} and {row.most:.3f}"
        for row in rows.itertuples()
        if np.isfinite(row.least)
    ]
    return f"{said}, {', '.join(known)}."


def _share(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"


def _clear(missing: pd.DataFrame, metrics: pd.DataFrame, contrasts: pd.DataFrame, study: Study) -> Iterator[tuple[Any, Bounds]]:
    """Changes and excesses of runs that lack ratings whose interval lies on one side of zero, with their bounds."""
    known = metrics[(metrics["scope"] == OVERALL) & (metrics["method"] == RECOMMENDED) & metrics["metric"].isin(CLAIMED)]
    at = {(r.family, r.variant, r.metric): Bounds(r.value, r.value) for r in known.itertuples()}
    at |= {(r.family, r.variant, r.metric): Bounds(r.least, r.most) for r in missing.itertuples()}
    lacking = set(zip(missing["family"], missing["variant"], strict=True))
    rows = contrasts[(contrasts["scope"] == OVERALL) & (contrasts["method"] == RECOMMENDED) & contrasts["metric"].isin(CLAIMED)]
    base = {family.key: family.base.key for family in study.file.families}
    for row in rows[rows["family"] != "mean"].itertuples():
        runs = [row.variant, base[row.family], *([row.control] if row.control else [])]
        if not lacking & {(row.family, key) for key in runs} or not (row.lo > 0 or row.hi < 0):
            continue
        yield row, change_bounds(*(at[row.family, key, row.metric] for key in runs))


def _sign(row: Any, bounds: Bounds, study: Study) -> str:
    unit, name = _UNITS[row.quantity == CHANGE], safe(study.run(row.family, row.variant).name)
    what = f"change of {METRICS[row.metric].name} under {name}" + (f" beyond {safe(row.control)}" if row.control else "")
    return (
        f"- **The sign of the {what} depends on the missing ratings**: {whole(row.value, '+')}{unit} [{whole(row.lo)}, "
        f"{whole(row.hi)}] without them, and anywhere between {whole(bounds.least, '+')}{unit} and "
        f"{whole(bounds.most, '+')}{unit} with them."
    )
