"""Rows of normalisation.csv: of every change of S and of noise, what a recoding of the scale makes, and what is left of it."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.statistics import persona_jackknife
from persona_collapse.statistics.presence import NOTHING, Limits
from persona_collapse.statistics.recoding import made_by_recoding
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.contrast import CHANGE, Contrast
from persona_collapse.tables.run_statistics import Analysis

#: Parts of a change: as it is measured, what recoding makes, what is left, and the change relative to the room that
#: item means leave (S_rel, and noise likewise).
MEASURED, RECODING, LEFT, ROOM = "measured", "recoding", "left", "relative"
#: Metrics, and what is relative to the room of each.
NORMALISED = {"susceptibility": "relative_susceptibility", "within_rms": "relative_noise"}


class NormalisationRow(NamedTuple):
    """A row of normalisation.csv, in percent of the base."""

    family: str
    variant: str
    metric: str
    part: str
    value: float
    lo: float
    hi: float
    why: str = ""


def normalisation_table(analysis: Analysis, guard: Guard) -> pd.DataFrame:
    """Every change of S and noise against the base, overall, and its parts."""
    rows = [
        row
        for contrast in analysis.contrasts
        if contrast.quantity == CHANGE
        for row in _rows(analysis, contrast, guard.refusal(*contrast.runs))
    ]
    return pd.DataFrame(rows, columns=list(NormalisationRow._fields))


def _rows(analysis: Analysis, contrast: Contrast, refused: str) -> list[NormalisationRow]:
    about = contrast.key[:2]
    together = analysis.together(*contrast.runs)
    if refused or any(run.means is None for run in together.loo):
        why = refused or "No persona has a rating for every item on both sides."
        return [NormalisationRow(*about, metric, part, *NOTHING, why) for metric in NORMALISED for part in (MEASURED, LEFT)]
    variant, base = together.loo
    change = persona_jackknife.change(variant, base)
    alone = made_by_recoding(base.parts, variant.parts, exact=analysis.study.by_logprobs)
    found = []
    for metric, relative in NORMALISED.items():
        with np.errstate(divide="ignore", invalid="ignore"):
            whole = np.log(variant.of(metric)[:, 0]) - np.log(base.of(metric)[:, 0])
            made = getattr(alone, metric)
            rest = whole - made
        for part, limits in (
            (MEASURED, _of(change, metric)), (RECODING, _percent(made)), (LEFT, _percent(rest)),
            (ROOM, _of(change, relative)),
        ):  # fmt: skip
            why = "" if np.isfinite(limits.value) else "It does not exist, as personas do not differ or no rating varies."
            found.append(NormalisationRow(*about, metric, part, *limits, why))
    return found


def _of(change: persona_jackknife.Interval, metric: str) -> Limits:
    at = change.of(metric).at(0)
    return Limits(float(at.value), float(at.lo), float(at.hi))


def _percent(logs: np.ndarray) -> Limits:
    """A log ratio (1 + unit,) as a change in percent, with interval A."""
    with np.errstate(invalid="ignore"):
        found = persona_jackknife.estimate(logs[:, None], carried=False)
        lo, hi = (float(limit[0]) for limit in persona_jackknife.limits(found))
    if not np.isfinite(logs).all():
        return Limits(float(100 * np.expm1(logs[0])) if np.isfinite(logs[0]) else np.nan, np.nan, np.nan)
    return Limits(*(float(100 * np.expm1(number)) for number in (logs[0], lo, hi)))
