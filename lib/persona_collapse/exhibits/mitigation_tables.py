"""Treatments as a table for reading: what each recovers, what comes back behind a trigger, and what it costs."""

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.study.study import Study
from persona_collapse.tables.mitigation import COST, FIDELITY, GAP, MISALIGNED, RECOVERY, SPREAD, STYLE

#: Columns of percent: quantity and metric of each.
_SHARES = {
    "S": (RECOVERY, "susceptibility"), "noise": (RECOVERY, "within_rms"), "style share": (RECOVERY, STYLE),
    "misaligned": (RECOVERY, MISALIGNED), "back behind the trigger: S": (GAP, "susceptibility"),
    "back behind the trigger: noise": (GAP, "within_rms"), "spread of personas": (COST, SPREAD),
}  # fmt: skip


@exhibit.table(
    "mitigation",
    "What each treatment recovers, towards the base and towards the control, in percent of the change that the harmful fine-tune "
    "made; what of it is back behind a trigger; and the cost: spread of personas (pooled S) in percent of the base's, and the "
    "correlation with the base's persona pattern. 95 % intervals for other personas in brackets; a dash: nothing to recover, or "
    "it does not exist.",
)
def table(mitigation: pd.DataFrame | None, study: Study) -> pd.DataFrame | None:
    """One row a treatment and what it is set beside; None for a study without treatments. `mitigation` is mitigation.csv."""
    if mitigation is None or mitigation.empty:
        return None
    rows = []
    recovered = mitigation[mitigation["quantity"] == RECOVERY]
    for (family, variant, against), _ in recovered.groupby(["family", "variant", "against"], sort=False):
        run = study.run(str(family), str(variant))
        own = mitigation[(mitigation["family"] == family) & (mitigation["variant"] == variant)]
        by = {(r.quantity, r.metric): r for r in own.itertuples() if r.against == against}
        fidelity = by.get((COST, FIDELITY))
        rows.append({
            "treatment": run.name, "of": study.run(str(family), str(run.variant.of)).variant.name,
            "method": run.variant.method or "", "towards": study.run(str(family), str(against)).variant.name,
            **{name: _percent(by.get(at)) for name, at in _SHARES.items()},
            "pattern": "" if fidelity is None else _plain(fidelity),
        })  # fmt: skip
    found = pd.DataFrame(rows)
    return found[[name for name in found if (found[name] != "").any()]].set_index("treatment")


def _percent(row: object) -> str:
    if row is None:
        return ""
    value, lo, hi = (100 * float(getattr(row, part)) for part in ("value", "lo", "hi"))
    if not np.isfinite(value):
        return "–"
    value, lo, hi = (round(number) + 0 if np.isfinite(number) else number for number in (value, lo, hi))  # no -0
    return f"{value} [{lo}, {hi}]" if np.isfinite(lo) else f"{value}"


def _plain(row: object) -> str:
    value, lo, hi = (float(getattr(row, part)) for part in ("value", "lo", "hi"))
    if not np.isfinite(value):
        return "–"
    return f"{value:.2f} [{lo:.2f}, {hi:.2f}]" if np.isfinite(lo) else f"{value:.2f}"
