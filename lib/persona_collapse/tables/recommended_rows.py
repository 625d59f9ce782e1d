"""Rows of the tables by the recommended method: levels, contrasts and companions, each with both intervals and a plain note."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.statistics import (
    persona_jackknife,
    recommended_estimators,
    repeat_interval,
)
from persona_collapse.study.study import Run
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.notes import ContrastNotes, MeanNotes, Note, level_note, without_families
from persona_collapse.tables.published_contrasts import COLUMNS as CONTRASTS
from persona_collapse.tables.published_contrasts import as_numbers
from persona_collapse.tables.run_statistics import Analysis, of_role

METHOD = "recommended"
#: Metrics of the recommended method, in the order of the tables; the last three of all are published ones.
METRICS = recommended_estimators.METRICS[:12]
#: Columns of metrics.csv.
LEVELS = (
    "family", "variant", "scope", "metric", "method", "value", "se", "lo", "hi", "personas", "items", "ratings",
    "lo_repeat", "hi_repeat", "note",
)  # fmt: skip
#: Columns of companions.csv.
COMPANIONS = ("family", "variant", "against", "scope", "part", "value", "se", "lo", "hi")
_AT = [recommended_estimators.METRICS.index(metric) for metric in METRICS]
_Row = tuple[Any, ...]
#: What rows of one contrast share: family, variant and control; quantity; families; what else differs.
_About = tuple[tuple[str, str, str | None], str, int | None, str]


def levels(analysis: Analysis, run: Run) -> pd.DataFrame:
    """Rows of metrics.csv for one run, method recommended; fidelity is empty where the base has no ratings yet."""
    alone, base = analysis.alone(run), analysis.base(run)
    side, fidelity = alone.sides[0], None
    if run != base and len(analysis.counts(base)):
        together = analysis.together(run, base)
        pair = together.sides[0]
        fidelity = persona_jackknife.level(pair.loo).of("fidelity"), repeat_interval.level(pair.redrawn).of("fidelity")
        if together.common.same(alone.common):
            side = pair  # the same ratings, so but for fidelity the same numbers
    a, b = persona_jackknife.level(side.loo), repeat_interval.level(side.redrawn)
    ratings = side.counts.sum(axis=(0, 2))
    notes = level_note(analysis, run, alone)
    rows = []
    for metric in METRICS:
        interval, again = a.of(metric), b.of(metric)
        if metric == "fidelity" and run != base:
            unknown = np.full(len(analysis.scopes), np.nan)
            interval, again = fidelity or (persona_jackknife.Interval(*[unknown] * 6), repeat_interval.Repeat(*[unknown] * 4))
        for column, scope in enumerate(analysis.scopes):
            own = alone.common.scope[:, column] > 0
            note = notes(metric, column, interval.at(column))
            numbers = (field[column] for field in interval[:4])
            sizes = len(alone.common.personas), int(own.sum()), round(float(ratings[own].sum()))
            limits = again.lo[column], again.hi[column]
            rows.append((run.family.key, run.variant.key, scope, metric, METHOD, *numbers, *sizes, *limits, note))
    return pd.DataFrame(rows, columns=list(LEVELS))


def contrasts(analysis: Analysis, guard: Guard) -> pd.DataFrame:
    """Rows of contrasts.csv, method recommended: changes, excesses, and their means over these families.

    A contrast whose sides cannot be compared has no number, and the reason in its note; a mean leaves such a family out and
    says so.
    """
    rows = [row for run in analysis.study.runs if run.variant.role != "base" for row in _of_run(analysis, guard, run)]
    for variant in of_role(analysis.study, "control", "harmful"):
        rows += _means(analysis, guard, variant)
    return as_numbers(pd.DataFrame(rows, columns=list(CONTRASTS)))


def _of_run(analysis: Analysis, guard: Guard, run: Run) -> Iterator[_Row]:
    base, control = analysis.base(run), analysis.control(run)
    for quantity, others in (("change_pct", (base,)), ("excess_pp", (control, base))):
        if others[0] is None:
            continue
        key = run.family.key, run.variant.key, "" if quantity == "change_pct" else run.variant.control
        differs = guard.differs(run, base, None if quantity == "change_pct" else control)
        refused = guard.refusal(run, *others)
        if refused:
            for metric in METRICS:
                for scope in analysis.scopes:
                    yield *key, scope, metric, quantity, METHOD, *[np.nan] * 4, None, np.nan, np.nan, differs, refused
            continue
        yield from _rows(analysis, (key, quantity, None, differs), *_compared(analysis, (run, *others)))


def _compared(
    analysis: Analysis, runs: tuple[Run, ...], also: str = ""
) -> tuple[persona_jackknife.Interval, repeat_interval.Repeat, Note]:
    """Both intervals of a change (variant, base) or an excess (variant, control, base), and what stands beside it."""
    together = analysis.together(*runs)
    excess = len(runs) == 3
    a = (persona_jackknife.excess if excess else persona_jackknife.change)(*together.loo)
    b = (repeat_interval.excess if excess else repeat_interval.change)(*together.redrawn)
    return a, b, ContrastNotes(analysis, runs, together, also).of


def _rows(
    analysis: Analysis, about: _About, a: persona_jackknife.Interval, b: repeat_interval.Repeat, note: Note
) -> Iterator[_Row]:
    key, quantity, families, differs = about
    for metric, at in zip(METRICS, _AT, strict=True):
        for column, scope in enumerate(analysis.scopes):
            numbers = (field[at, column] for field in a[:4])
            limits = b.lo[at, column], b.hi[at, column]
            said = note(metric, column, a.of(metric).at(column))
            yield *key, scope, metric, quantity, METHOD, *numbers, families, *limits, differs, said


def _means(analysis: Analysis, guard: Guard, variant: str) -> Iterator[_Row]:
    """Means over these families of a variant's changes, and of its excesses for each control that it names."""
    own = [run for run in analysis.study.runs if run.variant.key == variant and run.variant.role in ("control", "harmful")]
    controls = dict.fromkeys(run.variant.control for run in own if run.variant.control)
    for quantity, control in (("change_pct", None), *(("excess_pp", name) for name in controls)):
        chosen = [run for run in own if control is None or run.variant.control == control]
        sides = [_sides(analysis, run, over_control=control is not None) for run in chosen]
        usable = [runs for runs in sides if not guard.refusal(*runs)]
        left = [runs[0].family.name for runs in sides if runs not in usable]
        if not usable:
            continue
        about = ("mean", variant, control or ""), quantity, len(usable), _differ(guard, usable)
        if len(usable) == 1:  # that family's own row: two intervals for one number would be one too many
            yield from _rows(analysis, about, *_compared(analysis, usable[0], without_families(left)))
        else:
            yield from _rows(analysis, about, *_averaged(analysis, usable, left))


def _sides(analysis: Analysis, run: Run, *, over_control: bool) -> tuple[Run, ...]:
    """A variant with its base, or with the control that it names and its base."""
    if not over_control:
        return run, analysis.base(run)
    control = analysis.control(run)
    assert control is not None  # a study file that names one has it
    return run, control, analysis.base(run)


def _averaged(
    analysis: Analysis, usable: list[tuple[Run, ...]], left: list[str]
) -> tuple[persona_jackknife.Interval, repeat_interval.Repeat, Note]:
    """Both intervals of the mean over families of changes or excesses, as `_compared` has them of one family."""
    every = list(dict.fromkeys(run for runs in usable for run in runs))
    together = analysis.together(*every)
    at = {run: place for place, run in enumerate(every)}
    loo = [tuple(together.loo[at[run]] for run in runs) for runs in usable]
    redrawn = [tuple(together.redrawn[at[run]] for run in runs) for runs in usable]
    excess = len(usable[0]) == 3
    a = (persona_jackknife.mean_excess if excess else persona_jackknife.mean_change)(loo)
    b = (repeat_interval.mean_excess if excess else repeat_interval.mean_change)(redrawn)
    return a, b, MeanNotes(analysis, together, [x[:2] for x in loo], left).of


def _differ(guard: Guard, usable: list[tuple[Run, ...]]) -> str:
    """In how many families the sides differ; of a single family how, and nothing where they do in none."""
    each = [guard.differs(runs[0], runs[-1], runs[1] if len(runs) == 3 else None) for runs in usable]
    if len(each) == 1:
        return each[0]
    differing = sum(map(bool, each))
    return f"{differing} of {len(each)} families have sides that differ" if differing else ""


def companions(analysis: Analysis, guard: Guard) -> pd.DataFrame:
    """Rows of companions.csv: what the changes of noise and pooled S are made of, and how near personas stay to the base's.

    Parts are differences of logarithms, of the logit for `icc` and plain ones for `fidelity`, against the base, and against
    the control where a variant names one.
    """
    rows = []
    for run in analysis.study.runs:
        for other in (analysis.base(run), analysis.control(run)):
            if run.variant.role == "base" or other is None or guard.refusal(run, other, analysis.base(run)):
                continue
            runs = list(dict.fromkeys((run, other, analysis.base(run))))
            own, against = analysis.together(*runs).loo[:2]
            found = persona_jackknife.split(own, against)._asdict()
            found["icc"] = persona_jackknife.shift(own, against).of("icc")
            found["fidelity"] = persona_jackknife.difference(own, against).of("fidelity")
            rows += [
                (run.family.key, run.variant.key, other.variant.key, scope, part, *(field[column] for field in interval[:4]))
                for part, interval in found.items()
                for column, scope in enumerate(analysis.scopes)
            ]
    return as_numbers(pd.DataFrame(rows, columns=list(COMPANIONS)))
