"""Rows of style.csv: how much of a variant's differences between personas a monotone recoding of its base explains."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.statistics.style import FOLDS, Share, ceiling, folds, predictable, style_share
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.contrast import CHANGE, Contrast
from persona_collapse.tables.run_statistics import Analysis


class StyleRow(NamedTuple):
    """A row of style.csv; shares of 1."""

    family: str
    variant: str
    against: str
    share: float
    lo: float
    hi: float
    ceiling: float
    why: str = ""


def style_table(analysis: Analysis, guard: Guard) -> pd.DataFrame:
    """The style share of every variant against its base, and that of an unchanged base at as many ratings; overall."""
    rows = [
        _row(analysis, contrast, guard.refusal(*contrast.runs)) for contrast in analysis.contrasts if contrast.quantity == CHANGE
    ]
    return pd.DataFrame(rows, columns=list(StyleRow._fields))


def _row(analysis: Analysis, contrast: Contrast, refused: str) -> StyleRow:
    about = *contrast.key[:2], contrast.base.variant.key
    together = analysis.together(*contrast.runs)
    if refused or any(run.means is None for run in together.loo):
        why = refused or "No style share: no persona has a rating for every item on both sides."
        return StyleRow(*about, np.nan, np.nan, np.nan, np.nan, why)
    if np.array_equal(together.sides[0].counts, together.sides[1].counts):
        return StyleRow(*about, np.nan, np.nan, np.nan, np.nan, "No style share: no rating differs from the base's.")
    own, base = (run.parts for run in together.loo)
    answers = analysis.ratings.of(contrast.base)
    fold = folds([answers.persona_id(row) for row in range(answers.shape[0])])[together.common.personas]
    found = style_share(own, base, fold)
    most = ceiling(base, own.own.n, fold, exact=analysis.study.by_logprobs)
    return StyleRow(*about, *found, most, _why(found, min(run.repetitions[1] for run in together.loo), fold))


def _why(found: Share, repetitions: int, fold: np.ndarray) -> str:
    """Why there is no share, or no interval of it."""
    if np.isfinite(found).all():
        return ""
    if not predictable(fold):
        return f"No style share: {len(fold)} common personas do not fill {FOLDS} folds with two each."
    if repetitions == 1:
        return "No style share: with one rating a cell the noise in it is not known."
    if np.isnan(found.value):
        return "No style share: the personas of the variant do not differ by more than rating noise."
    return "No interval: without some persona the others do not differ by more than rating noise."
