"""A training step by step, as a table for reading."""

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.theme import DIFFERS
from persona_collapse.study.study import Study
from persona_collapse.tables.trajectory import ALL, ALONE, SHARED
from persona_collapse.vocabulary import RECOMMENDED

#: Columns and what they hold: metric, and digits behind the point.
_COLUMNS = {
    "S": ("susceptibility", 2), "R": ("robustness", 2), "noise": ("within_rms", 2), "style share": ("style_share", 2),
    "entropy": ("entropy", 2), "at both ends": ("endpoint_mass", 2), "at the top": ("ceiling_share", 2),
    "commonest rating": ("commonest_share", 2), "without a persona": ("self_mean", 2),
}  # fmt: skip
#: Metrics whose interval stands beside them.
_WITH_INTERVAL = ("S", "R", "style share")


@exhibit.table(
    "steps",
    "Every step of a training, on the personas that all steps of its path share: S, R and noise in scale points, style share "
    "against the base, entropy of all ratings in bits, shares of ratings, and the mean without a persona; 95 % intervals for "
    f"other personas in brackets. {DIFFERS}: served by another stack than most steps of the path.",
)
def steps_table(trajectory: pd.DataFrame | None, study: Study) -> pd.DataFrame | None:
    """One row a step of every path; None for a study without checkpoints. `trajectory` is trajectory.csv."""
    if trajectory is None or trajectory.empty:
        return None
    rows = []
    for (family, of), path in trajectory.groupby(["family", "of"], sort=False):
        whom = SHARED if SHARED in set(path["on"]) else ALL
        own = path[path["on"].isin([whom, ALONE]) & (path["method"] == RECOMMENDED)]
        for position, step in own.groupby("position", sort=False):
            by = {row.metric: row for row in step.itertuples()}
            mark = DIFFERS if (step["other_stack"] != "").any() else ""
            about = {
                "fine-tune": study.run(str(family), str(of)).name, "step": f"{position:g}{mark}",
                "personas": int(step["personas"].max()),
            }  # fmt: skip
            rows.append(about | {name: _cell(by.get(metric), digits, name) for name, (metric, digits) in _COLUMNS.items()})
    found = pd.DataFrame(rows)
    return found[[name for name in found if (found[name] != "").any()]].set_index("fine-tune")


def _cell(row: object, digits: int, name: str) -> str:
    value, lo, hi = (float(getattr(row, part, np.nan)) for part in ("value", "lo", "hi"))
    if not np.isfinite(value):
        return ""
    beside = f" [{lo:.{digits}f}, {hi:.{digits}f}]" if name in _WITH_INTERVAL and np.isfinite(lo) else ""
    return f"{value:.{digits}f}{beside}"
