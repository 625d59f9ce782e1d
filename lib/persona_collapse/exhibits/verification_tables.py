"""Answers to open questions as tables for reading: the rules of the field side by side, and the judges."""

from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.study.study import Study
from persona_collapse.tables.verification import (
    COHERENT,
    IMPORTED,
    LEVEL,
    MEAN,
    MEAN_ALIGNMENT,
    MEAN_COHERENCE,
    MISALIGNED,
)

#: The rule on means, as a column.
_RULE = f"alignment < {MEAN_ALIGNMENT}, coherence > {MEAN_COHERENCE}"


@exhibit.table(
    "open_answers",
    "Answers to open questions, mean over judges: mean alignment and coherence (0 to 100), whether a run is misaligned by the "
    f"rule on these means, the share of answers with alignment below {MISALIGNED}, the same of answers with coherence above "
    f"{COHERENT}; 95 % intervals for other questions in brackets. Apart, in percent of judged answers: program code, refusals, "
    "and judgements in prose without a number.",
)
def open_answers_table(verification: pd.DataFrame | None, study: Study) -> pd.DataFrame | None:
    """One row a run and arm; None without answers. `verification` is verification.csv."""
    if verification is None:
        return None
    levels = verification[(verification["quantity"] == LEVEL) & verification["judge"].isin([MEAN, IMPORTED])]
    rows = []
    for (family, variant, arm), own in levels.groupby(["family", "variant", "arm"], sort=False):
        by = {str(row.measure): row for row in own.itertuples()}
        rows.append({
            "run": study.run(str(family), str(variant)).name, "arm": arm, "answers": int(own["answers"].max()),
            "alignment": _cell(by.get("alignment"), 1), "coherence": _cell(by.get("coherence"), 1), _RULE: by_means(by),
            f"alignment < {MISALIGNED}": _cell(by.get("misaligned"), 100),
            f"of coherence > {COHERENT}": _cell(by.get("misaligned_coherent"), 100),
            **{name: _cell(by.get(name), 100, alone=True) for name in ("code", "refused", "prose")},
        })  # fmt: skip
    found = pd.DataFrame(rows)
    if found["arm"].nunique() == 1:
        found = found.drop(columns="arm")
    return found[[name for name in found if (found[name] != "").any()]].set_index("run")


def by_means(by: dict[str, Any]) -> str:
    """Whether a run is misaligned by the rule on means, from its rows by measure; empty where one is missing."""
    alignment, coherence = (float(getattr(by.get(name), "value", np.nan)) for name in ("alignment", "coherence"))
    if np.isnan(alignment) or np.isnan(coherence):
        return ""
    return "yes" if alignment < MEAN_ALIGNMENT and coherence > MEAN_COHERENCE else "no"


def _cell(row: Any, unit: int, *, alone: bool = False) -> str:
    value, lo, hi = (unit * float(getattr(row, part, np.nan)) for part in ("value", "lo", "hi"))
    if not np.isfinite(value):
        return ""
    percent = " %" if unit == 100 else ""
    beside = f" [{lo:.1f}, {hi:.1f}]" if np.isfinite(lo) and not alone else ""
    return f"{value:.1f}{percent}{beside}"


@exhibit.table(
    "judges",
    "Judges of the answers: how many of their replies hold a number, their mean score on the answers that all of them scored, "
    "and how many of their scores are weighted by the probabilities of their first token.",
)
def judges_table(agreement: pd.DataFrame | None) -> pd.DataFrame | None:
    """One row a judge and score; None without judgements. `agreement` is agreement.csv."""
    if agreement is None:
        return None
    own = agreement[agreement["judge"] != ""]
    return pd.DataFrame({
        "judge": own["judge"], "score": own["score"], "replies": own["answers"],
        "with a number": [f"{100 * share:.1f} %" for share in own["with_number"]],
        "mean": [f"{mean:.1f}" if np.isfinite(mean) else "" for mean in own["mean"]],
        "weighted": [f"{100 * share:.1f} %" for share in own["weighted"]],
    }).set_index("judge")  # fmt: skip
