"""Accuracy, form and steadiness of answers to tasks with a right answer, run by run and against the base on the same items."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.statistics import answer_spread, item_means
from persona_collapse.statistics.item_means import Effect, Sums
from persona_collapse.statistics.wider_intervals import holm
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.study import Run
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.contrast import Contrast
from persona_collapse.tables.task_answers import Answered, answers_to_tasks, by_run, common_items

LEVEL, DIFFERENCE, RATIO = "level", "difference", "ratio"
#: Measures of one task: the last two say how far repeated answers to an item differ.
MEASURES = ("accuracy", "format_validity", "non_unanimity", "gini")
SPREADS = {"non_unanimity": answer_spread.not_alike, "gini": answer_spread.gini}
_ONE = "one reply an item: steadiness cannot be told"
_SAME = "no difference in any item"


class CapabilityRow(NamedTuple):
    """A row of capability.csv."""

    family: str
    variant: str
    task: str
    measure: str
    quantity: str
    value: float
    se: float
    lo: float
    hi: float
    p: float
    p_holm: float
    items: int
    replies: int
    missing: int
    repetitions: int
    note: str = ""
    differs: str = ""


def capability_table(ratings: Ratings, guard: Guard) -> pd.DataFrame | None:
    """capability.csv; None where no task was given.

    Returns
    -------
    DataFrame
        One row a run, task, measure and quantity. `level` is the run's own; `difference` that of a variant less its base's on the
        items that both answered, with p and, over all differences of the measure, Holm's. `repetitions` is the number of answers
        at which steadiness is taken, the same for all runs of a task.
    """
    answers = answers_to_tasks(ratings) if ratings.study.has_tasks else None
    if answers is None:
        return None
    runs = by_run(answers, ratings.study)
    rows = list(_rows(ratings, runs, guard))
    found = pd.DataFrame(rows, columns=list(CapabilityRow._fields))
    for measure in MEASURES:
        own = (found["measure"] == measure) & (found["quantity"] == DIFFERENCE) & found["p"].notna()
        found.loc[own, "p_holm"] = holm(found.loc[own, "p"].to_numpy(float))
    return found


def _rows(ratings: Ratings, runs: dict[tuple[str, str], dict[str, Answered]], guard: Guard) -> Iterator[CapabilityRow]:
    tasks = dict.fromkeys(task for own in runs.values() for task in own)
    n = {task: answer_spread.common_repetitions([own[task].counts for own in runs.values() if task in own]) for task in tasks}
    for run in ratings.runs:
        base = Run(run.family, run.family.base)
        for task, own in runs.get(run.keys, {}).items():
            for measure in MEASURES:
                yield _level(run, task, measure, own, n[task])
                other = runs.get(base.keys, {}).get(task)
                if run != base and other is not None:
                    yield _difference(run, base, task, measure, own, other, n[task], guard)


def sums(own: Answered, measure: str, n: int) -> Sums:
    """What a measure of a run on a task is made of, item by item; of steadiness at `n` answers items with fewer count nothing."""
    if measure in SPREADS:
        return spread_sums(SPREADS[measure](own.counts, n), own.groups)
    return own.sums(own.correct if measure == "accuracy" else own.valid)


def spread_sums(each: np.ndarray, strata: np.ndarray) -> Sums:
    """Sums of a value by unit, NaN counting nothing."""
    there = np.isfinite(each)
    return Sums(np.where(there, each, 0.0), there.astype(float), strata)


def _level(run: Run, task: str, measure: str, own: Answered, n: int) -> CapabilityRow:
    given = present(sums(own, measure, n))
    found, items = item_means.level(given), len(given.sums)
    lo, hi = found.limits(0, 1)
    note = _ONE if measure in SPREADS and n < 2 else ""
    if found.se == 0 and items:  # all items alike: at an end, from which the truth can be only so far
        off = item_means.at_the_end(items)
        lo, hi = max(0.0, found.value - off * (found.value == 1)), min(1.0, found.value + off * (found.value == 0))
        note = note or "every item is alike; the limit is the exact one of a share"
    if measure in SPREADS and (own.replies > n).any() and n >= 2:
        note = note or f"as expected at {n} replies an item"
    if own.odd and measure == "accuracy":
        replies = "1 reply counts" if own.odd == 1 else f"{own.odd} replies count"
        note = f"{note}; " * bool(note) + f"{replies} otherwise than its answer and the right one say"
    return CapabilityRow(
        *run.keys, task, measure, LEVEL, found.value, found.se, lo, hi, np.nan, np.nan, items, int(own.replies.sum()),
        own.missing, n, note,
    )  # fmt: skip


def _difference(
    run: Run, base: Run, task: str, measure: str, own: Answered, other: Answered, n: int, guard: Guard
) -> CapabilityRow:  # fmt: skip
    shared = common_items(own, other)
    one, two = (sums(side.on(shared), measure, n) for side in (own, other))
    found, items = paired(one, two, item_means.difference), int(((one.numbers > 0) & (two.numbers > 0)).sum())
    note = f"on {items} of {len(own.items)} items" if items < max(len(own.items), len(other.items)) else ""
    if found.value == 0 and found.se == 0:
        note = _SAME
    lo, hi = found.limits(-1, 1)
    return CapabilityRow(
        *run.keys, task, measure, DIFFERENCE, found.value, found.se, lo, hi, found.p, np.nan, items, int(own.replies.sum()),
        own.missing, n, _ONE if measure in SPREADS and n < 2 else note, guard.differs(Contrast(run, base)),
    )  # fmt: skip


def paired(one: Sums, other: Sums, how: Callable[[Sums, Sums], Effect]) -> Effect:
    """An effect on the units that both sides have."""
    both = (one.numbers > 0) & (other.numbers > 0)
    if not both.any():
        return item_means.NONE
    return how(*(Sums(*(part[both] for part in side)) for side in (one, other)))


def present(given: Sums) -> Sums:
    """The units that count."""
    return Sums(*(part[given.numbers > 0] for part in given))
