"""What simulated respondents reply to tasks with a right answer; by stated assumptions (`Assumed`), evidence of nothing.

The items of a task have places evenly between 0 and 1, in an order of chance that is the same for all respondents of a seed.
Those whose share of known items lies above an item's place know it: who knows less knows a part of what others know. A reply
strays with the share that `straying` says: of choices to any one at random, of numbers to a wrong one. It is prose in no form
at all with the share that `formless` says. Expected accuracy: (1 - formless) (right (1 - straying) + straying / choices), of
numbers without the last term.
"""

from functools import lru_cache

import numpy as np

from persona_collapse.paths import TASKS
from persona_collapse.simulated.text_replies import TextReply, rng_of
from persona_collapse.study.task_reader import LETTERS
from persona_collapse.study.tasks import Task, TaskItem, TaskSet, load_items
from persona_collapse.study.treatment import cuts
from persona_collapse.study.verification import Assumed, assumed

_FORMLESS = "[simulated reply without a form] That depends on how one looks at it."
#: Bounds of a wrong number's distance from the right one.
_OFF = (1, 20)


def answer(seed: int, run: str, meant: Assumed, task: TaskSet, item: TaskItem, sample: int) -> str:
    """What a respondent replies to an item, in the form that the task asks for."""
    rng = rng_of(seed, run, task.key, item.id, sample)
    if rng.random() < meant.formless:
        return _FORMLESS
    known = _places(seed, task.key, tuple(one.id for one in task.items))[item.id] < meant.right
    own = rng_of(seed, task.key, item.id, "wrong")
    number = task.kind == "number"
    if rng.random() < meant.straying:
        said = _wrong(item, rng) if number else LETTERS[rng.integers(len(item.choices))]
    else:
        said = item.answer if known else _wrong(item, own)
    if task.read == "whole":
        return said
    return f"[simulated] {'Answer: ' + said if task.read == 'marker' else f'{chr(92)}boxed{{{said}}}'}"


@lru_cache(maxsize=64)
def _places(seed: int, task: str, items: tuple[str, ...]) -> dict[str, float]:
    """The place of every item."""
    order = rng_of(seed, task, *items).permutation(len(items))
    return {items[at]: (place + 0.5) / len(items) for place, at in enumerate(order)}


def _wrong(item: TaskItem, rng: np.random.Generator) -> str:
    """Another answer than the right one."""
    if item.choices:
        letters = [letter for letter in LETTERS[: len(item.choices)] if letter != item.answer]
        return letters[rng.integers(len(letters))]
    return str(int(float(item.answer.split("/")[0])) + int(rng.integers(*_OFF)))


@lru_cache
def _shipped() -> dict[str, tuple[TaskSet, TaskItem]]:
    """Items of our own tasks, by their prompts in every form."""
    found: dict[str, tuple[TaskSet, TaskItem]] = {}
    for path in sorted(TASKS.glob("*.jsonl")):
        items = load_items(path)
        for read in ("whole", "marker", "boxed"):
            task = TaskSet(Task(file=path.name).key, items, read, 1, 0.0, 1)
            found |= {task.prompt(item): (task, item) for item in items}
    return found


def say(seed: int, model: str, prompt: str, sample: int) -> TextReply | None:
    """What a served respondent replies to an item of our own tasks; None where it is none."""
    # What treats a run may stand in lines before the item.
    known = next((found for question in cuts(prompt, "\n") if (found := _shipped().get(question))), None)
    return None if known is None else TextReply(answer(seed, model, assumed(model), *known, sample))
