"""Where a group of items no longer measures personas, as sentences computed from reliability.csv and contrasts.csv."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.contrast import CHANGE
from persona_collapse.text import safe
from persona_collapse.vocabulary import RECOMMENDED

#: A group whose alpha has its upper limit below the first measures nobody; below the second, the usual least of a scale, it
#: does not either where its ratio of signal to noise, alpha / (1 - alpha), has also fallen below `_HALF` of the base's.
_NOBODY, _USUAL, _HALF = 0.5, 0.7, 0.5


@exhibit.finding("reliability")
def reliability(reliability: pd.DataFrame, contrasts: pd.DataFrame, study: Study) -> str:
    """Where a group of items measured personas at the base and no longer does under a variant, and why S falls there."""
    at = {(row.family, row.variant, row.group): row for row in reliability.itertuples()}
    changes = contrasts[(contrasts["quantity"] == CHANGE) & (contrasts["method"] == RECOMMENDED)]
    changed = {(row.family, row.variant, row.scope, row.metric): row for row in changes.itertuples()}
    lines, compared = [], 0
    for run in study.runs:
        if run.variant.role == "base":
            continue
        of_base = (run.family.key, run.family.base.key)
        pairs = [(at[(*run.keys, group)], at[(*of_base, group)]) for group in study.instrument.foundations]
        compared += sum(np.isfinite(own.hi) and np.isfinite(base.lo) for own, base in pairs)
        lost = [(own, base) for own, base in pairs if _lost(own, base)]
        if lost:
            lines.append(f"- {_said(run, lost, study)}{_ceiling(run, [own.group for own, _ in lost], changed, study)}")
    if lines:
        return "\n".join(lines)
    what = study.instrument.group
    if not compared:
        return f"No {what} has a Cronbach's alpha, with its interval, both at a base and under a variant of it."
    return (
        f"Every {what} that measures personas at a base still does under its variants: in none of {compared} comparisons does "
        f"Cronbach's alpha fall clearly below the base's, with its upper limit below {_short(_NOBODY)}, or below "
        f"{_short(_USUAL)} and with less than half of the base's signal-to-noise ratio."
    )


def _lost(own: Any, base: Any) -> bool:
    """Whether alpha fell, beyond both intervals, to where a group does not measure personas; never without intervals."""
    if not own.hi < base.lo:
        return False
    return bool(own.hi < _NOBODY or (own.hi < _USUAL and _signal(own.hi) < _HALF * _signal(base.value)))


def _signal(alpha: float) -> float:
    """The ratio of signal to noise in a group's mean; see Cronbach and Gleser, Educ. Psychol. Meas. 24 (1964) 467."""
    return alpha / (1 - alpha)


def _said(run: Run, lost: list[tuple[Any, Any]], study: Study) -> str:
    groups = _listed(safe(study.instrument.short(own.group)) for own, _ in lost)
    alphas = _listed(f"{_short(own.value)} [{_short(own.lo)}, {_short(own.hi)}]" for own, _ in lost)
    verb = "no longer measures" if len(lost) == 1 else "no longer measure"
    return (
        f"**Under {safe(run.name)}, {groups} {verb} personas reliably**: Cronbach's alpha {alphas}, against "
        f"{_listed(_short(base.value) for _, base in lost)} at the base."
    )


def _ceiling(run: Run, groups: list[str], changed: dict[tuple[str, str, str, str], Any], study: Study) -> str:
    """In which of these groups S falls because answers have less room, and not because personas differ less in it."""
    found, smaller = [], []
    for group in groups:
        s, room, relative = (
            changed.get((*run.keys, group, metric)) for metric in ("susceptibility", "ceiling", "relative_susceptibility")
        )
        if s is None or room is None or relative is None:
            continue
        if s.hi < 0 and room.hi < 0 and not relative.hi < 0:
            found.append(safe(study.instrument.short(group)))
            smaller.append(f"{-room.value:.0f} %")
    if not found:
        return ""
    return (
        f" S of {_listed(found)} falls with the ceiling: item means near an end of the scale allow {_listed(smaller)} less "
        "variance, and as a share of what they allow S does not clearly fall; its fall is no evidence that characters are lost."
    )


def _short(alpha: float) -> str:
    """Alpha as psychometrics prints it: two digits, without the zero in front."""
    text = f"{round(alpha, 2) + 0:.2f}"  # never -0
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def _listed(parts: Iterable[str]) -> str:
    """Words with commas and an "and"."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
