"""Rows of the tables by the recommended method: levels, contrasts and companions, each with both intervals and a plain note."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.statistics import (
    persona_jackknife,
    recommended_estimators,
    repeat_interval,
)
from persona_collapse.study.study import Run
from persona_collapse.tables.comparability import Guard, unlike_recipes
from persona_collapse.tables.contrast import HOW, Contrast
from persona_collapse.tables.notes import ContrastNotes, MeanNotes, Note, level_note, without_families
from persona_collapse.tables.published_contrasts import ContrastRow, as_numbers
from persona_collapse.tables.run_statistics import Analysis, of_role
from persona_collapse.vocabulary import OF_RECOMMENDED, RECOMMENDED

_AT = [recommended_estimators.METRICS.index(metric) for metric in OF_RECOMMENDED]


class LevelRow(NamedTuple):
    """A row of metrics.csv."""

    family: str
    variant: str
    scope: str
    metric: str
    method: str
    value: float
    se: float
    lo: float
    hi: float
    personas: int
    items: int
    ratings: int
    lo_repeat: float = np.nan
    hi_repeat: float = np.nan
    note: str = ""


class CompanionRow(NamedTuple):
    """A row of companions.csv."""

    family: str
    variant: str
    against: str
    scope: str
    part: str
    value: float
    se: float
    lo: float
    hi: float


def levels(analysis: Analysis, run: Run) -> pd.DataFrame:
    """Rows of metrics.csv for one run, method recommended; fidelity is empty where the base has no ratings yet."""
    alone, base = analysis.alone(run), analysis.base(run)
    side, fidelity, above = alone.sides[0], None, [""] * len(analysis.scopes)
    if run != base and len(analysis.counts(base)):
        together = analysis.together(run, base)
        pair = together.sides[0]
        fidelity = persona_jackknife.level(pair.loo).of("fidelity"), repeat_interval.level(pair.redrawn).of("fidelity")
        same = np.array_equal(together.sides[0].counts, together.sides[1].counts)
        above = [persona_jackknife.above_one(value, same=same) for value in pair.loo.of("fidelity")[0]]
        if together.common.same(alone.common):
            side = pair  # the same ratings, so but for fidelity the same numbers
    a, b = persona_jackknife.level(side.loo), repeat_interval.level(side.redrawn)
    ratings = side.counts.sum(axis=(0, 2))
    notes = level_note(analysis, run, alone)
    rows = []
    for metric in OF_RECOMMENDED:
        interval, again = a.of(metric), b.of(metric)
        if metric == "fidelity" and run != base:
            unknown = np.full(len(analysis.scopes), np.nan)
            interval, again = fidelity or (persona_jackknife.Interval(*[unknown] * 6), repeat_interval.Repeat(*[unknown] * 4))
        for column, scope in enumerate(analysis.scopes):
            own = alone.common.scope[:, column] > 0
            found = interval.at(column)
            said = [notes(metric, column, found), above[column] if metric == "fidelity" else ""]
            rows.append(
                LevelRow(
                    *run.keys, scope, metric, RECOMMENDED, float(found.value), float(found.se), float(found.lo),
                    float(found.hi),
                    personas=len(alone.common.personas), items=int(own.sum()), ratings=round(float(ratings[own].sum())),
                    lo_repeat=again.lo[column], hi_repeat=again.hi[column], note=" ".join(filter(None, said)),
                )
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(LevelRow._fields))


def contrasts(analysis: Analysis, guard: Guard) -> pd.DataFrame:
    """Rows of contrasts.csv, method recommended: changes, excesses, and their means over these families.

    A contrast whose sides cannot be compared has no number, and the reason in its note; a mean leaves such a family out and
    says so.
    """
    rows = [row for contrast in analysis.contrasts for row in _of_contrast(analysis, guard, contrast)]
    for variant in of_role(analysis.study, "control", "harmful"):
        rows += _means(analysis, guard, variant)
    return as_numbers(pd.DataFrame(rows, columns=list(ContrastRow._fields)))


class _Numbers(NamedTuple):
    """What a contrast, or a mean of contrasts, came to: both intervals, and what stands beside them."""

    interval: persona_jackknife.Interval
    repeat: repeat_interval.Repeat
    note: Note


def _of_contrast(analysis: Analysis, guard: Guard, contrast: Contrast) -> Iterator[ContrastRow]:
    differs, refused = guard.differs(contrast), guard.refusal(*contrast.runs)
    if not refused:
        about = partial(ContrastRow, *contrast.key, quantity=contrast.quantity, method=RECOMMENDED, differs=differs)
        yield from _rows(analysis, about, _compared(analysis, contrast))
        return
    for metric in OF_RECOMMENDED:
        for scope in analysis.scopes:
            yield ContrastRow(*contrast.key, scope, metric, contrast.quantity, RECOMMENDED, differs=differs, note=refused)


def _compared(analysis: Analysis, contrast: Contrast, also: str = "") -> _Numbers:
    """A contrast of one family; `also` is said first in every note."""
    together, how = analysis.together(*contrast.runs), HOW[contrast.quantity]
    return _Numbers(
        how.one(*together.loo), how.one_repeat(*together.redrawn), ContrastNotes(analysis, contrast, together, also).of
    )


def _rows(analysis: Analysis, about: Callable[..., ContrastRow], found: _Numbers) -> Iterator[ContrastRow]:
    for metric, at in zip(OF_RECOMMENDED, _AT, strict=True):
        for column, scope in enumerate(analysis.scopes):
            value, se, lo, hi = (field[at, column] for field in found.interval[:4])
            yield about(
                scope=scope, metric=metric, value=value, se=se, lo=lo, hi=hi,
                lo_repeat=found.repeat.lo[at, column], hi_repeat=found.repeat.hi[at, column],
                note=found.note(metric, column, found.interval.of(metric).at(column)),
            )  # fmt: skip


def _means(analysis: Analysis, guard: Guard, variant: str) -> Iterator[ContrastRow]:
    """Means over these families of a variant's changes, and of its excesses for each control that it names."""
    named = [contrast for contrast in analysis.contrasts if contrast.variant.variant.key == variant]
    own = [c for c in named if c.variant.variant.role in ("control", "harmful") and not c.variant.variant.of]
    for control in dict.fromkeys(contrast.key[2] for contrast in own):
        chosen = [contrast for contrast in own if contrast.key[2] == control]
        usable = [contrast for contrast in chosen if not guard.refusal(*contrast.runs)]
        left = [contrast.variant.family.name for contrast in chosen if contrast not in usable]
        if not usable:
            continue
        about = partial(
            ContrastRow, "mean", variant, control, quantity=usable[0].quantity, method=RECOMMENDED, families=len(usable),
            differs=_differ(guard, usable),
        )  # fmt: skip
        # Of a single family that one's own row: two intervals for one number would be one too many.
        alone = len(usable) == 1
        found = _compared(analysis, usable[0], without_families(left)) if alone else averaged(analysis, usable, left)
        yield from _rows(analysis, about, found)


def averaged(analysis: Analysis, usable: list[Contrast], left: list[str]) -> _Numbers:
    """The mean over families of their contrasts; `left` are the names of families that it leaves out."""
    every = list(dict.fromkeys(run for contrast in usable for run in contrast.runs))
    together, how = analysis.together(*every), HOW[usable[0].quantity]
    loo, redrawn = dict(zip(every, together.loo, strict=True)), dict(zip(every, together.redrawn, strict=True))
    sides = [tuple(loo[run] for run in contrast.runs) for contrast in usable]
    again = [tuple(redrawn[run] for run in contrast.runs) for contrast in usable]
    pairs = [(loo[contrast.variant], loo[contrast.against]) for contrast in usable]
    return _Numbers(how.mean(sides), how.mean_repeat(again), MeanNotes(analysis, together, pairs, left).of)


def _differ(guard: Guard, usable: list[Contrast]) -> str:
    """In how many families the sides differ, and whether families differ in how they were fine-tuned; of a single family how."""
    each = [guard.differs(contrast) for contrast in usable]
    if len(each) == 1:
        return each[0]
    differing = sum(map(bool, each))
    sides = f"{differing} of {len(each)} families have sides that differ" if differing else ""
    return "; ".join(filter(None, [sides, unlike_recipes([contrast.variant for contrast in usable])]))


def companions(analysis: Analysis, guard: Guard) -> pd.DataFrame:
    """Rows of companions.csv: what the changes of noise and pooled S are made of, and how near personas stay to the base's.

    Parts are differences of logarithms, of the logit for `icc` and plain ones for `fidelity`, against the base, and against
    the control where a variant names one.
    """
    rows = []
    for contrast in analysis.contrasts:
        if guard.refusal(*contrast.runs):
            continue
        own, against = analysis.together(*contrast.runs).loo[:2]
        found = persona_jackknife.split(own, against)._asdict()
        found["icc"] = persona_jackknife.shift(own, against).of("icc")
        found["fidelity"] = persona_jackknife.difference(own, against).of("fidelity")
        key = *contrast.key[:2], contrast.against.variant.key
        rows += [
            CompanionRow(*key, scope, part, *interval.at(column)[:4])
            for part, interval in found.items()
            for column, scope in enumerate(analysis.scopes)
        ]
    return as_numbers(pd.DataFrame(rows, columns=list(CompanionRow._fields)))
