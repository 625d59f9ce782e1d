"""Is a model unsteady as personas alone? The same measures as personas, without a persona and on tasks, against the base."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.statistics import answer_spread, item_means
from persona_collapse.statistics.item_means import Effect, Sums
from persona_collapse.statistics.units import Units
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.study import Run
from persona_collapse.tables.capability import DIFFERENCE, LEVEL, RATIO, SPREADS, paired, present, spread_sums
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.task_answers import Answered, answers_to_tasks, by_run, common_items

#: Conditions beside the keys of single tasks; `TASKS` is all tasks together.
PERSONA, SELF, TASKS = "persona", "self", "tasks"
#: What selective.csv tells: instability rises more as personas than on tasks, or less.
MORE, LESS = "more", "less"


class InstabilityRow(NamedTuple):
    """A row of instability.csv."""

    family: str
    variant: str
    condition: str
    measure: str
    quantity: str
    value: float
    lo: float
    hi: float
    repetitions: int
    units: int
    note: str = ""


class SelectiveRow(NamedTuple):
    """A row of selective.csv: a rise as personas, one on tasks, and how far the first lies beyond the second."""

    family: str
    variant: str
    measure: str
    quantity: str
    persona: float
    persona_lo: float
    persona_hi: float
    tasks: float
    tasks_lo: float
    tasks_hi: float
    beyond: float
    beyond_lo: float
    beyond_hi: float
    repetitions: int
    told: str = ""
    note: str = ""


class Conditions:
    """What every run answered in every condition: counts (unit, cell, answer) with the stratum of each unit."""

    def __init__(self, ratings: Ratings, tasks: Mapping[tuple[str, str], Mapping[str, Answered]]) -> None:
        self.ratings, self.tasks = ratings, tasks
        instrument = ratings.study.instrument
        self._groups = np.array([item.foundation for item in instrument.items])
        clusters = ratings.study.cluster_names
        self._clusters = np.array([clusters.index(one) for one in ratings.study.clusters]) if clusters else None
        #: Whether answers as personas can be compared: of logprobs there are no repetitions.
        self.sampled = not ratings.study.by_logprobs
        every = [counts for run in ratings.runs for counts in self._all(run)]
        self.n = answer_spread.common_repetitions(every)

    def names(self, run: Run) -> list[str]:
        """Conditions of which a run has answers, in the order in which they are shown; `TASKS` where there are several."""
        own = [name for name in (PERSONA, SELF) if self.sampled and self.ratings.counts(run, name).any()]
        tasks = list(self.tasks.get(run.keys, {}))
        return [*own, *tasks, *([TASKS] if len(tasks) > 1 else [])]

    def _all(self, run: Run) -> Iterator[np.ndarray]:
        for name in (PERSONA, SELF) if self.sampled else ():
            yield self.ratings.counts(run, name)
        for own in self.tasks.get(run.keys, {}).values():
            yield own.counts

    def sums(self, run: Run, name: str, measure: str, base: Run) -> tuple[Sums, Sums]:
        """A measure of a run and of its base in a condition, unit by unit on the cells that both have; units are in one order."""
        if name in (PERSONA, SELF):
            one, other = (SPREADS[measure](self.ratings.counts(side, name), self.n) for side in (run, base))
            rows = min(len(one), len(other))
            one, other = one[:rows], other[:rows]
            both = np.isfinite(one) & np.isfinite(other)
            return self._of_cells(one, both, name), self._of_cells(other, both, name)
        keys = list(self.tasks.get(run.keys, {})) if name == TASKS else [name]
        pairs = [self._of_task(run, base, key, measure) for key in keys if key in self.tasks.get(base.keys, {})]
        empty = Sums(np.empty(0), np.empty(0), np.empty(0, str))
        found = [Sums(*map(np.concatenate, zip(*side, strict=True))) if side else empty for side in zip(*pairs, strict=True)]
        return (found[0], found[1]) if found else (empty, empty)

    def _of_cells(self, each: np.ndarray, both: np.ndarray, name: str) -> Sums:
        """Personas (or clusters of them) as units, or without a persona items by group."""
        if name == SELF:
            each, both = each.reshape(-1, each.shape[-1])[:1], both.reshape(-1, both.shape[-1])[:1]
            return spread_sums(np.where(both, each, np.nan).ravel(), self._groups[: each.shape[-1]])
        units = Units(len(each), None if self._clusters is None else self._clusters[: len(each)])
        sums, numbers = units.within(np.where(both, each, 0.0).sum(axis=1)), units.within(both.sum(axis=1).astype(float))
        return Sums(sums, numbers, np.zeros(len(sums), int))

    def _of_task(self, run: Run, base: Run, key: str, measure: str) -> tuple[Sums, Sums]:
        own, other = self.tasks[run.keys][key], self.tasks[base.keys][key]
        shared = common_items(own, other)
        each = [SPREADS[measure](side.on(shared).counts, self.n) for side in (own, other)]
        both = np.isfinite(each[0]) & np.isfinite(each[1])
        strata = np.array([f"{key}\n{group}" for group in own.on(shared).groups])
        one, two = (spread_sums(np.where(both, side, np.nan), strata) for side in each)
        return one, two


def instability_tables(ratings: Ratings, guard: Guard) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """instability.csv and selective.csv; None where no task was given, or no condition has two answers to a question."""
    answers = answers_to_tasks(ratings) if ratings.study.has_tasks else None
    if answers is None:
        return None
    given = Conditions(ratings, by_run(answers, ratings.study))
    if given.n < 2:
        return None
    rows: list[InstabilityRow] = []
    selective: list[SelectiveRow] = []
    for run in ratings.runs:
        base = Run(run.family, run.family.base)
        refused = guard.refusal(run, base) if run != base else ""
        for measure in SPREADS:
            effects: dict[tuple[str, str], Effect] = {}
            for name in given.names(run):
                rows.append(_level(given, run, name, measure))
                if run != base and not (refused and name in (PERSONA, SELF)):
                    one, other = given.sums(run, name, measure, base)
                    for quantity, how in (DIFFERENCE, item_means.difference), (RATIO, item_means.log_ratio):
                        found = effects[name, quantity] = paired(one, other, how)
                        rows.append(_effect(given, run, name, measure, quantity, found, (one, other)))
            selective += _selective(run, measure, effects, given.n) if run != base else ()
    return pd.DataFrame(rows, columns=list(InstabilityRow._fields)), pd.DataFrame(selective, columns=list(SelectiveRow._fields))


def _level(given: Conditions, run: Run, name: str, measure: str) -> InstabilityRow:
    own = present(given.sums(run, name, measure, run)[0])
    found = item_means.level(own)
    return InstabilityRow(*run.keys, name, measure, LEVEL, found.value, *found.limits(0, 1), given.n, len(own.sums))


def _effect(
    given: Conditions, run: Run, name: str, measure: str, quantity: str, found: Effect, sides: tuple[Sums, Sums]
) -> InstabilityRow:
    limits = (found.value, *found.limits(-1, 1)) if quantity == DIFFERENCE else _back(found)
    units = len(present(sides[0]).sums)
    return InstabilityRow(*run.keys, name, measure, quantity, *limits, given.n, units, _why(sides, quantity))


def _back(found: Effect) -> tuple[float, float, float]:
    """A ratio with its limits, from its log."""
    return (*(float(np.exp(value)) for value in (found.value, *found.limits())),)  # type: ignore[return-value]


def _why(sides: tuple[Sums, Sums], quantity: str) -> str:
    """Why there is no ratio."""
    if quantity != RATIO or not len(sides[0].sums):
        return ""
    own, base = (side.mean for side in sides)
    return "no ratio: the base never differs" if base == 0 else "no ratio: the variant never differs" if own == 0 else ""


def _selective(run: Run, measure: str, effects: Mapping[tuple[str, str], Effect], n: int) -> Iterator[SelectiveRow]:
    """How far the rise as personas lies beyond that on tasks."""
    several = (TASKS, DIFFERENCE) in effects
    alone = [name for name, _ in effects if name not in (PERSONA, SELF)]
    tasks = TASKS if several else alone[0] if alone else ""
    for quantity in DIFFERENCE, RATIO:
        own, other = effects.get((PERSONA, quantity)), effects.get((tasks, quantity))
        if own is None or other is None:
            continue
        found = item_means.beyond(own, other)
        lo, hi = found.limits()
        told = MORE if lo > 0 else LESS if hi < 0 else ""
        if quantity == RATIO:
            each = (*_back(own), *_back(other), *_back(found))
        else:
            each = (own.value, *own.limits(-1, 1), other.value, *other.limits(-1, 1), found.value, lo, hi)
        note = "" if np.isfinite(found.value) else "one side never differs, so that it has no ratio"
        yield SelectiveRow(*run.keys, measure, quantity, *each, n, told, note)
