"""Rows of equivalence.csv: changes of S and R held against the smallest change worth caring about."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.statistics import presence
from persona_collapse.statistics.equivalence import CHANGED, UNDECIDED, Equivalence, equivalence
from persona_collapse.statistics.persona_jackknife import FEWEST_VARYING
from persona_collapse.statistics.recommended_estimators import LeaveOneOut
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.contrast import CHANGE, Contrast
from persona_collapse.tables.run_statistics import Analysis

_POOLED = "S is too near 0 for an interval: these are numbers of pooled S."


class EquivalenceRow(NamedTuple):
    """A row of equivalence.csv; changes, and the smallest one, are in percent of the base."""

    family: str
    variant: str
    metric: str
    smallest: float
    value: float
    lo90: float
    hi90: float
    lo: float
    hi: float
    verdict: str
    why: str = ""


def equivalence_table(analysis: Analysis, guard: Guard) -> pd.DataFrame:
    """S and R of every variant against its base: equivalent, changed, a small change, or undecided; overall."""
    rows = [
        row
        for contrast in analysis.contrasts
        if contrast.quantity == CHANGE
        for row in _rows(analysis, contrast, guard.refusal(*contrast.runs))
    ]
    return pd.DataFrame(rows, columns=list(EquivalenceRow._fields))


def smallest(analysis: Analysis) -> dict[str, float]:
    """The smallest changes worth caring about, as shares, by metric."""
    given = analysis.study.file.smallest
    return {"susceptibility": given.S, "robustness": given.R}


def _rows(analysis: Analysis, contrast: Contrast, refused: str) -> list[EquivalenceRow]:
    rows = []
    for metric, share in smallest(analysis).items():
        about = partial(EquivalenceRow, *contrast.key[:2], metric, round(100 * share, 10))  # 7 %, not 7.000000000000001
        if refused:
            rows.append(about(np.nan, np.nan, np.nan, np.nan, np.nan, UNDECIDED, refused))
            continue
        variant, base = analysis.together(*contrast.runs).loo
        found, why = equivalence(variant, base, metric, share), ""
        if metric == "susceptibility" and np.isnan(found.lo) and np.isfinite((pooled := presence.change(variant, base)).lo):
            # Near zero S has no logarithm; whether it changed, pooled S tells by Fieller's interval.
            told = CHANGED if pooled.hi < 0 or pooled.lo > 0 else UNDECIDED
            found, why = Equivalence(pooled.value, np.nan, np.nan, pooled.lo, pooled.hi, told), _POOLED
        rows.append(about(*found, why=why or _why(found, variant, base, metric)))
    return rows


def _why(found: Equivalence, variant: LeaveOneOut, base: LeaveOneOut, metric: str) -> str:
    """What an undecided row lacks; nothing where the intervals are just too wide."""
    if not np.isnan(found.lo):
        return ""
    if len(base.personas) < 3:
        return f"No interval: {len(base.personas)} personas in common; it needs three."
    if 1 in (variant.repetitions[1], base.repetitions[1]):
        return "No interval: one rating a cell says nothing about noise."
    few = f", or fewer than {FEWEST_VARYING} personas vary" if metric == "robustness" else ""
    return f"No interval: the logarithm of one side does not exist{few}."
