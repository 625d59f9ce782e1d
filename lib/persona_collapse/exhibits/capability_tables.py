"""Tasks with a right answer, and instability by condition, as tables for reading."""

from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.theme import DIFFERS
from persona_collapse.study.study import Study
from persona_collapse.tables.capability import DIFFERENCE, LEVEL, RATIO
from persona_collapse.tables.instability import PERSONA, SELF, TASKS

#: What conditions are called; tasks go by their names.
NAMES = {PERSONA: "as personas", SELF: "without a persona", TASKS: "all tasks"}


@exhibit.table(
    "tasks",
    "Tasks with a right answer: accuracy, its difference from the base on the same items, replies in the form that was asked "
    "for, in percent and points; the share of items whose repetitions are not all alike, and the mean Gini impurity of an item's "
    f"answers; 95 % intervals for other items in brackets. {DIFFERS}: the sides differ in more than fine-tuning.",
)
def tasks_table(capability: pd.DataFrame | None, study: Study) -> pd.DataFrame | None:
    """One row a run and task; None where no task was given. `capability` is capability.csv."""
    if capability is None:
        return None
    rows = []
    for (family, variant, task), own in capability.groupby(["family", "variant", "task"], sort=False):
        level = {str(row.measure): row for row in own[own["quantity"] == LEVEL].itertuples()}
        change = {str(row.measure): row for row in own[own["quantity"] == DIFFERENCE].itertuples()}.get("accuracy")
        rows.append({
            "run": study.run(str(family), str(variant)).name, "task": task, "items": level["accuracy"].items,
            "replies": level["accuracy"].replies, "accuracy": _cell(level["accuracy"], 100, 1),
            "against the base": _cell(change, 100, 1, sign="+") + (DIFFERS if change is not None and change.differs else ""),
            "in form": _cell(level["format_validity"], 100, 1), "not alike": _cell(level["non_unanimity"], 100, 1),
            "Gini": _cell(level["gini"], 1, 3),
        })  # fmt: skip
    found = pd.DataFrame(rows)
    return found[[name for name in found if (found[name] != "").any()]].set_index("run")


@exhibit.table(
    "instability",
    "Mean Gini impurity of repeated answers, as personas, without a persona and on tasks, at the same number of answers a cell; "
    "its difference from the base and its ratio to it on the same cells, with 95 % intervals for other personas, or other items.",
)
def instability_table(instability: pd.DataFrame | None, study: Study) -> pd.DataFrame | None:
    """One row a run and condition; None without. `instability` is instability.csv."""
    if instability is None:
        return None
    rows = []
    chosen = instability[instability["measure"] == "gini"]
    for (family, variant, condition), own in chosen.groupby(["family", "variant", "condition"], sort=False):
        by = {str(row.quantity): row for row in own.itertuples()}
        rows.append({
            "run": study.run(str(family), str(variant)).name, "condition": NAMES.get(str(condition), condition),
            "answers a cell": by[LEVEL].repetitions, "Gini": _cell(by[LEVEL], 1, 3),
            "difference": _cell(by.get(DIFFERENCE), 1, 3, sign="+"), "ratio": _cell(by.get(RATIO), 1, 2),
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("run")


def _cell(row: Any, unit: int, digits: int, sign: str = "") -> str:
    value, lo, hi = (unit * float(getattr(row, part, np.nan)) for part in ("value", "lo", "hi"))
    if not np.isfinite(value):
        return ""
    return f"{value:{sign}.{digits}f}" + (f" [{lo:.{digits}f}, {hi:.{digits}f}]" if np.isfinite(lo) else "")
