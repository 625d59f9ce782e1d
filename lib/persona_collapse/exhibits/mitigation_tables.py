"""Treatments as a table for reading: what each recovers, what comes back behind a trigger, and what it costs."""

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.study.study import Study
from persona_collapse.tables.mitigation import COST, FIDELITY, GAP, MISALIGNED, RECOVERY, SPREAD, STYLE

#: Columns of percent by the metric of a share; `SPREAD` is a cost.
_SHARES = {"S": "susceptibility", "noise": "within_rms", "style share": STYLE, "misaligned": MISALIGNED}


@exhibit.table(
    "mitigation",
    "What each treatment recovers, towards the base and towards the control, in percent of the change that the harmful fine-tune "
    "made, and what of that change is back behind a trigger. Beside it what is left of the characters: the spread of personas "
    "(pooled S) in percent of the base's, and the correlation with the base's persona pattern. 95 % intervals for other personas "
    "in brackets; a dash: nothing to recover, or it does not exist.",
)
def table(mitigation: pd.DataFrame | None, study: Study) -> pd.DataFrame | None:
    """One row a treatment and what it is set beside; None for a study without treatments. `mitigation` is mitigation.csv."""
    if mitigation is None or mitigation.empty:
        return None
    rows = []
    shares = mitigation[mitigation["quantity"] != COST]
    several = len(study.file.families) > 1
    for (family, variant, quantity, against), own in shares.groupby(["family", "variant", "quantity", "against"], sort=False):
        run, of = study.run(str(family), str(variant)), study.run(str(family), str(own["of"].iloc[0]))
        to = study.run(str(family), str(against))
        by = {str(row.metric): row for row in own.itertuples()}
        first = quantity == RECOVERY and to.variant.role == "base"
        cost = mitigation[(mitigation["family"] == family) & (mitigation["variant"] == variant) & first]
        costs = {str(row.metric): row for row in cost[cost["quantity"] == COST].itertuples()}
        rows.append({
            "treatment": run.name if several else run.variant.name, "of": of.variant.name,
            "share": "back behind the trigger" if quantity == GAP else f"recovered, to {to.variant.name}",
            **{name: _percent(by.get(metric)) for name, metric in _SHARES.items()},
            "spread": _percent(costs.get(SPREAD)), "pattern": _plain(costs.get(FIDELITY)),
        })  # fmt: skip
    found = pd.DataFrame(rows)
    kept = [name for name in found if (found[name] != "").any() and (name != "of" or found[name].nunique() > 1)]
    return found[kept].set_index("treatment")


def _percent(row: object) -> str:
    if row is None:
        return ""
    value, lo, hi = (100 * float(getattr(row, part)) for part in ("value", "lo", "hi"))
    if not np.isfinite(value):
        return "–"
    value, lo, hi = (round(number) + 0 if np.isfinite(number) else number for number in (value, lo, hi))  # no -0
    return f"{value} [{lo}, {hi}]" if np.isfinite(lo) else f"{value}"


def _plain(row: object) -> str:
    if row is None:
        return ""
    value, lo, hi = (float(getattr(row, part)) for part in ("value", "lo", "hi"))
    if not np.isfinite(value):
        return "–"
    return f"{value:.2f} [{lo:.2f}, {hi:.2f}]" if np.isfinite(lo) else f"{value:.2f}"
