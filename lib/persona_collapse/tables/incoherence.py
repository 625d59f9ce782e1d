"""Does a variant that answers less steadily also speak less coherently? Excess of noise beside excess of incoherence."""

from math import factorial

import numpy as np
import pandas as pd

from persona_collapse.statistics.question_jackknife import clustered, ratios
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Study
from persona_collapse.vocabulary import RECOMMENDED


def incoherence_table(
    study: Study, contrasts: pd.DataFrame, questions: pd.DataFrame | None
) -> pd.DataFrame | None:  # fmt: skip
    """One row a harmful variant with a matched control: both excesses over the control; None without such or without answers.

    `contrasts` is contrasts.csv, `questions` is open_questions.csv. Noise is in percentage points of the base, with the interval
    for other personas; incoherence is a difference of shares in points, mean over judges, with that for other questions.
    """
    if questions is None:
        return None
    noise = contrasts[(contrasts["metric"] == "within_rms") & (contrasts["quantity"] == "excess_pp")
                      & (contrasts["scope"] == OVERALL) & (contrasts["method"] == RECOMMENDED)]  # fmt: skip
    rows = []
    arms = set(questions["arm"])
    plain = questions[questions["arm"] == ("plain" if "plain" in arms else min(arms))]
    for run in study.runs:
        own = noise[(noise["family"] == run.family.key) & (noise["variant"] == run.variant.key)]
        mine, theirs = (_share(plain, run.family.key, key) for key in (run.variant.key, run.variant.control or ""))
        if mine is not None and theirs is not None and len(own) == 1:
            excess = clustered(mine - theirs, -1, 1)
            row = own.iloc[0]
            rows.append((*run.keys, run.variant.control, row["value"], row["lo"], row["hi"], 100 * excess.value, 100 * excess.lo,
                         100 * excess.hi))  # fmt: skip
    names = ["family", "variant", "control", "noise", "noise_lo", "noise_hi", "incoherence", "incoherence_lo", "incoherence_hi"]
    return pd.DataFrame(rows, columns=names) if rows else None


def _share(questions: pd.DataFrame, family: str, variant: str) -> np.ndarray | None:
    """Share of incoherent answers of a run, over all questions and without each, mean over judges."""
    own = questions[(questions["family"] == family) & (questions["variant"] == variant)]
    each = [ratios(rows["incoherent"].to_numpy(), rows["with_coherence"].to_numpy()) for _, rows in own.groupby("judge")]
    return np.mean(each, axis=0) if each else None


def least_p(points: int) -> float:
    """The smallest two-sided p value that a rank correlation of so many points can have: 2 / n!."""
    return min(1.0, 2 / factorial(points))
