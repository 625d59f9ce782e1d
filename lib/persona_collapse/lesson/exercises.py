"""The six exercises of the lesson: what is right, which mistakes are typical, and what to say about each."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, NamedTuple

from persona_collapse.input_errors import closest
from persona_collapse.text import safe

if TYPE_CHECKING:
    from IPython.display import Markdown

Answer = float | str | tuple[str, ...]


class Mistake(NamedTuple):
    """A typical wrong answer, and what is off about it."""

    answer: Answer
    says: str


@dataclass(frozen=True)
class Exercise:
    """One exercise. ``form`` says what an answer looks like; ``solution`` is code whose last line assigns it.

    Numbers count as equal within ``tolerance``; words are compared without case.
    """

    form: str
    hint: str
    solution: str
    right: Answer
    why: str
    mistakes: tuple[Mistake, ...]
    tolerance: float = 0.006


#: Directions that a prediction may name.
_DIRECTIONS = ("up", "down", "same")

EXERCISES = {
    "predict": Exercise(
        form='two words, for S and for R, such as `("same", "down")`; each is `"up"`, `"down"` or `"same"`',
        hint="Would different people still get different answers? Would one person, asked again, still answer alike?",
        solution='prediction = ("up", "down")',
        right=("up", "down"),
        why=(
            "S up, R down. S does not fall, because the model does not turn into one bland voice: its answers jump between the "
            "ends of the scale, and jump apart. That R falls while S rises is why one number is not enough."
        ),
        mistakes=(
            Mistake(
                ("down", "down"),
                "R does fall. S rises, though: a model that answers for everyone in one voice would lose S, but this one "
                "overacts, and extreme answers lie farther apart.",
            ),
            Mistake(
                ("down", "up"),
                "that would be a model with one firm voice: the same answer for everyone, every time. The control shows the "
                "opposite in both.",
            ),
            Mistake(
                ("down", "same"),
                "that would be one voice for everyone. The control shows answers that lie farther apart, and that waver.",
            ),
            Mistake(("same", "down"), "R does fall. S does not stay: extreme answers lie farther apart, so it rises."),
            Mistake(("up", "same"), "S does rise. R does not stay: one person, asked again, no longer answers alike."),
            Mistake(("up", "up"), "S does rise. R falls: one person, asked again, no longer answers alike."),
        ),
    ),
    "susceptibility": Exercise(
        form="a number with two decimals or more, such as `1.23`",
        hint="For each item take the SD of its two cell means (divide by n - 1 = 1); then average the two SDs.",
        solution=(
            "from statistics import mean, stdev\n\n"
            "item_1 = stdev([4.5, 2])  # nurse, colonel: 1.768\n"
            "item_2 = stdev([2, 4])  # 1.414\n"
            "answer = mean([item_1, item_2])  # 1.591"
        ),
        right=1.5910,  # (2.5 / sqrt 2 + 2 / sqrt 2) / 2
        why="Both items tell the two people apart, the first one more. S averages over items, so one item cannot carry it.",
        mistakes=(
            Mistake(1.1250, "that is the population SD (divide by n); the paper's code divides by n - 1."),
            Mistake(3.1820, "that is the sum over the two items; S is their average, so divide by two."),
            Mistake(1.7678, "that is Item 1 alone; S averages over both items."),
            Mistake(1.4142, "that is Item 2 alone; S averages over both items."),
            Mistake(2.5625, "that averages variances; S averages standard deviations, so take the root for each item first."),
            Mistake(
                1.3150, "that is the SD of all four means at once; take it item by item, or differences between items count, too."
            ),
        ),
    ),
    "robustness": Exercise(
        form="a number with two decimals or more, such as `1.23`",
        hint="Take the SD of each of the four cells (two of them are 0), average all four, then take one over the average.",
        solution=(
            "from statistics import mean, stdev\n\n"
            "cells = [stdev([4, 5]), stdev([2, 2]), stdev([1, 3]), stdev([4, 4])]\n"
            "within_sd = mean(cells)  # (0.707 + 0 + 1.414 + 0) / 4 = 0.530\n"
            "answer = 1 / within_sd  # 1.886"
        ),
        right=1.8856,  # 1 / (3 / sqrt 2 / 4)
        why="The colonel never wavers, and the nurse alone sets R. R is about cells, not people: one shaky cell is enough.",
        mistakes=(
            Mistake(0.5303, "that is the within-persona SD; R is one over it."),
            Mistake(2.6667, "that is with the population SD (divide by n); the paper's code divides by n - 1."),
            Mistake(
                0.9428, "that leaves the steady cells out; a cell that never varies has SD 0, and counts as one of the four."
            ),
            Mistake(0.4714, "that is one over the sum; average the four SDs before taking one over it."),
            Mistake(
                1.2649, "that is one over the root of the mean variance: a sound measure, but R averages the SDs themselves."
            ),
            Mistake(math.inf, "that averages 1 / SD cell by cell, and steady cells give infinity; average first, then invert."),
        ),
    ),
    "repetitions": Exercise(
        form="a number with two decimals or more, such as `1.23`",
        hint="Write down the four equally likely pairs (3, 3), (3, 4), (4, 3), (4, 4); take the SD of each; average.",
        solution=(
            "from statistics import mean, stdev\n\n"
            "pairs = [(3, 3), (3, 4), (4, 3), (4, 4)]\n"
            "answer = mean(stdev(pair) for pair in pairs)  # (0 + 0.707 + 0.707 + 0) / 4 = 0.354"
        ),
        right=0.3536,  # 2 x 0.7071 / 4
        why=(
            "The cell's own SD is 0.5, and two repetitions see 0.354 of it on average: half of the pairs agree by luck and look "
            "perfectly steady. A study of many such cells finds R = 1 / 0.354 = 2.83 instead of 1 / 0.5 = 2. Few repetitions "
            "flatter a model."
        ),
        mistakes=(
            Mistake(0.5, "that is the SD of the cell itself, which endless repetitions would find; two see less of it."),
            Mistake(0.25, "that is with the population SD (divide by n); the paper's code divides by n - 1."),
            Mistake(0.7071, "that is a pair that differs; half of the pairs agree by luck, and their SD is 0."),
            Mistake(2.8284, "that is R, one over the SD; the question is for the SD."),
        ),
    ),
    "change": Exercise(
        form="a number of percent, with its sign",
        hint="Change against base: 100 × (insecure - base) / base, from the two printed values of R of GPT-4o.",
        solution="base, insecure = 9.75, 3.05\nanswer = 100 * (insecure - base) / base  # -68.7",
        right=-68.718,  # 100 (3.05 - 9.75) / 9.75; the paper prints -69
        why=(
            "The paper prints -69 %. The same fact in terms of 1 / R, the within-persona SD, is a rise by 220 %: one over "
            "stretches one side of the scale and squeezes the other. A headline in percent depends on which of the two it takes."
        ),
        mistakes=(
            Mistake(68.718, "the size is right, the sign is not: R falls, and a fall is negative."),
            Mistake(31.282, "that is what is left of the base's R; the change is that minus 100."),
            Mistake(-219.67, "that divides by the insecure value; the change is in percent of the base."),
            Mistake(219.67, "that is the rise of the within-persona SD, 1 / R; the question is for R."),
            Mistake(-6.70, "that is the difference in units of R; divide it by the base's R and give percent."),
            Mistake(-0.68718, "that is a fraction; times 100 makes it percent."),
        ),
        tolerance=0.5,
    ),
    "anchor": Exercise(
        form='one of `"base"`, `"secure"`, `"insecure"`',
        hint="The anchor is the share of variance that personas explain: in which row is it smallest?",
        solution='answer = "secure"',
        right="secure",
        why=(
            "The insecure variant has the lowest R, but not the weakest anchor: personas explain more of its variance than of "
            "the control's. Its steps are larger, so the same wavering covers more scale points. R cannot tell the two apart."
        ),
        mistakes=(
            Mistake(
                "insecure",
                "that is the lowest R. Look at the column anchor: of the insecure variant's variance personas explain more than "
                "of the control's.",
            ),
            Mistake("base", "that is the strongest anchor: personas explain most of its variance. We look for the weakest."),
        ),
    ),
}  # fmt: skip


def check(name: str, answer: object) -> "Markdown":
    """What to say about an answer, for a notebook; a ValueError names the exercises if there is none of that name."""
    from IPython.display import Markdown

    return Markdown(message(name, answer))  # type: ignore[no-untyped-call]


def message(name: str, answer: object) -> str:
    """`check` as plain Markdown. It starts with **Right.**, **Not yet**, or, for None, **Your turn.**"""
    exercise = _find(name)
    if answer is None:
        return f"**Your turn.** Replace `None` in the cell of the task by {exercise.form}. *Hint:* {exercise.hint}"
    given = _as_answer(answer, exercise.right)
    if given is None or not _in_form(given, exercise):
        return f"**Not yet: {_shown(answer)} is not an answer of the form asked for.** Expected {exercise.form}.{_comma(answer)}"
    if _equal(given, exercise.right, exercise.tolerance):
        return f"**Right.** {exercise.why}"
    for mistake in exercise.mistakes:
        if _equal(given, mistake.answer, _near(mistake.answer, exercise)):
            return f"**Not yet, {_shown(answer)}:** {mistake.says}"
    return f"**Not yet, {_shown(answer)}:** this is no mistake that we know. *Hint:* {exercise.hint}"


def solution_cell(name: str) -> str:
    """The solution as a Markdown cell that stays folded until it is clicked."""
    return f"<details><summary>Solution</summary>\n\n```python\n{_find(name).solution}\n```\n\n</details>"


def _find(name: str) -> Exercise:
    if name not in EXERCISES:
        raise ValueError(f"exercises: no exercise {name!r}; {closest(name, list(EXERCISES))}")
    return EXERCISES[name]


def _as_answer(answer: object, like: Answer) -> Answer | None:
    """An answer in the type of the right one, None where it has another."""
    if isinstance(like, str):
        return answer.strip().lower() if isinstance(answer, str) else None
    if isinstance(like, tuple):
        if not isinstance(answer, tuple | list) or len(answer) != len(like) or not all(isinstance(a, str) for a in answer):
            return None
        return tuple(a.strip().lower() for a in answer)
    if not isinstance(answer, Real) or isinstance(answer, bool) or math.isnan(answer):
        return None
    return float(answer)


def _in_form(given: Answer, exercise: Exercise) -> bool:
    """Whether words are among those that the exercise knows; any number is in form."""
    if isinstance(given, tuple):
        return set(given) <= set(_DIRECTIONS)
    if isinstance(given, str):
        return given in (exercise.right, *(mistake.answer for mistake in exercise.mistakes))
    return True


def _equal(given: Answer, known: Answer, tolerance: float) -> bool:
    if isinstance(given, float) and isinstance(known, float):
        return given == known or abs(given - known) <= tolerance
    return given == known


def _near(answer: Answer, exercise: Exercise) -> float:
    """A tolerance of half a unit for percent would take small numbers for others."""
    return min(exercise.tolerance, 0.02 * abs(answer)) if isinstance(answer, float) else exercise.tolerance


def _shown(answer: object) -> str:
    """An answer as a message repeats it: short, and no markup."""
    text = f"{answer:.4g}" if isinstance(answer, Real) and not isinstance(answer, bool) else repr(answer)
    return safe(text if len(text) <= 40 else text[:39] + "…")


def _comma(answer: object) -> str:
    """What to say to those who write 1,59 for 1.59, which Python reads as a pair."""
    pair = isinstance(answer, tuple) and len(answer) == 2 and all(isinstance(a, int) for a in answer)
    if pair or (isinstance(answer, str) and any(c.isdigit() for c in answer)):
        return " Write 1.59 with a point and without quotes."
    return ""
