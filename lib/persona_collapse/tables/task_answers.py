"""Answers to tasks with a right answer, as read from replies or as imported: one row a reply, and counts by item."""

import json
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.statistics.item_means import Sums
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.study import Study
from persona_collapse.study.task_reader import read_answer

#: Under which a store keeps what was asked, and what files say of answers.
TASK, TASK_RESULT = "task", "task_result"
COLUMNS = ("family", "variant", "task", "item", "group", "sample", "answer", "valid", "correct", "missing", "odd")


class Answered(NamedTuple):
    """One run on one task: per item the group, and counts of what was answered."""

    items: tuple[str, ...]
    groups: np.ndarray  #: (item,) texts
    replies: np.ndarray  #: (item,) ints: replies that came, in any form
    correct: np.ndarray  #: (item,) ints
    valid: np.ndarray  #: (item,) ints: replies that could be read
    counts: np.ndarray  #: (item, answer) ints; a reply that could not be read counts as an answer of its own
    missing: int  #: replies that never came
    odd: int  #: imported replies that count otherwise than their answer and the right one say

    def on(self, items: tuple[str, ...]) -> "Answered":
        """These items alone, in this order."""
        place = {name: number for number, name in enumerate(self.items)}
        at = np.array([place[name] for name in items], int)
        cut = {name: getattr(self, name)[at] for name in ("groups", "replies", "correct", "valid", "counts")}
        return self._replace(items=items, **cut)

    def sums(self, what: np.ndarray) -> Sums:
        """A count by item, of replies, with the groups as strata."""
        return Sums(what.astype(float), self.replies.astype(float), self.groups)


def answers_to_tasks(ratings: Ratings) -> pd.DataFrame | None:
    """Every reply to a task: what `COLUMNS` name; None where no task was given.

    `missing` marks a reply that never came (transport). A reply that cannot be read, was refused, filtered or empty is not valid,
    is wrong, and has no answer.
    """
    known = {run.keys for run in ratings.runs}
    asked, results = _asked(ratings), _imported(ratings)
    rows = [row for row in (*asked, *results) if row[:2] in known]
    return pd.DataFrame(rows, columns=list(COLUMNS)) if rows else None


def _asked(ratings: Ratings) -> list[tuple[object, ...]]:
    tasks = {task.key: (task, {item.id: item for item in task.items}) for task in ratings.study.tasks}
    rows: list[tuple[object, ...]] = []
    for one in ratings.texts.get(TASK, ()):
        if one.name not in tasks or (item := tasks[one.name][1].get(one.question)) is None:
            continue
        task, lost = tasks[one.name][0], one.reason in ("transport", "wrong_server")
        said = "" if one.reason else read_answer(one.reply or "", task.kind, task.read, len(item.choices))
        rows.append((one.family, one.variant, one.name, one.question, item.group, one.sample, said, bool(said),
                     said == item.answer and bool(said), lost, False))  # fmt: skip
    return rows


def _imported(ratings: Ratings) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for one in ratings.texts.get(TASK_RESULT, ()):
        said = _result(one.reply or "{}")
        rows.append((one.family, one.variant, one.name, one.question, said["group"], one.sample, said["answer"], said["valid"],
                     said["correct"], one.reason == "transport", bool(said.get("odd"))))  # fmt: skip
    return rows


@lru_cache(maxsize=100_000)
def _result(text: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(text)
    return found


def by_run(answers: pd.DataFrame, study: Study) -> dict[tuple[str, str], dict[str, Answered]]:
    """What every run answered, by keys of the run, then by task, in the study's order."""
    order = {run.keys: place for place, run in enumerate(study.runs)}
    found: dict[tuple[str, str], dict[str, Answered]] = {}
    for (family, variant, task), own in answers.groupby(["family", "variant", "task"], sort=False):
        found.setdefault((str(family), str(variant)), {})[str(task)] = _answered(own)
    named = {task.key: place for place, task in enumerate(study.tasks)}
    return {
        key: dict(sorted(found[key].items(), key=lambda pair: (named.get(pair[0], len(named)), pair[0])))
        for key in sorted(found, key=lambda key: order[key])
    }


def _answered(own: pd.DataFrame) -> Answered:
    came = own[~own["missing"].astype(bool)]
    items, place = np.unique(came["item"].to_numpy(str), return_inverse=True)
    codes, _ = pd.factorize(np.where(came["valid"], came["answer"].to_numpy(str), ""))
    counts = np.zeros((len(items), int(codes.max(initial=-1)) + 1), int)
    np.add.at(counts, (place, codes), 1)
    groups = np.full(len(items), "", dtype=object)
    groups[place] = came["group"].to_numpy(str)

    def total(name: str) -> np.ndarray:
        return np.bincount(place, came[name].to_numpy(float), minlength=len(items)).astype(int)

    return Answered(
        tuple(items.tolist()), groups.astype(str), counts.sum(axis=1), total("correct"), total("valid"), counts,
        int(own["missing"].sum()), int(own["odd"].sum()),
    )  # fmt: skip


def common_items(one: Answered, other: Answered) -> tuple[str, ...]:
    """Items that both have replies to, in the order of the first."""
    there = set(other.items)
    return tuple(name for name in one.items if name in there)
