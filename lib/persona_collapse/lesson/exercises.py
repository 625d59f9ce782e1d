"""The exercises of the lesson: what is right, which mistakes are typical, and what to say about each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from persona_collapse.input_errors import closest

Answer = float | tuple[str, ...]


class Mistake(NamedTuple):
    """A typical wrong number, and what is off about it."""

    answer: float
    says: str


@dataclass(frozen=True)
class Exercise:
    """One exercise. ``form`` says what an answer looks like; ``solution`` is code whose last line assigns it.

    A number is right within ``tolerance``, and wrong in one of the ways of ``mistakes``. Words are right one by one: ``places``
    says what each is about, ``words`` which there are, with other spellings, ``hints`` what is off about a place and word.
    """

    form: str
    hint: str
    solution: str
    right: Answer
    why: str
    mistakes: tuple[Mistake, ...] = ()
    tolerance: float = 0.006
    unit: str = ""
    places: tuple[str, ...] = ()
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hints: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def answer(self) -> str:
        """The right answer as it is printed when it is asked for."""
        if isinstance(self.right, float):
            return f"{self.right:.2f}" if not self.unit else f"{self.right:.1f} {self.unit}"
        return ", ".join(" ".join(filter(None, pair)) for pair in zip(self.places, self.right, strict=True))


_NUMBER = "a number with two decimals, such as `1.23`"
_POPULATION = "that divides by n; divide by n - 1, which is 1 here."
_DIRECTIONS = {
    "up": ("rises", "rise", "increases", "increase", "grows", "higher", "larger", "more", "+", "↑"),
    "down": ("falls", "fall", "decreases", "decrease", "drops", "drop", "lower", "smaller", "less", "-", "↓"),
    "same": ("stays", "unchanged", "equal", "constant", "no change", "0", "="),
}
_VERDICTS = {
    "dysregulated": ("dysregulation", "collapse, dysregulated", "collapse: dysregulated"),
    "homogenised": ("homogenized", "homogenous", "homogeneous", "collapse, homogenised", "collapse: homogenised"),
    "noisier": ("noisy", "noise", "more noise"),
    "another use of the scale": ("another use", "other use of the scale", "use of the scale", "use of scale", "scale", "style"),
}

EXERCISES = {
    "predict": Exercise(
        form='two words, for S and for R, such as `("same", "down")`; each is `"up"`, `"down"` or `"same"`',
        hint="Would different people still get different answers? Would one person, asked again, still answer alike?",
        solution='prediction = ("up", "down")',
        right=("up", "down"),
        why=(
            "S up, R down. S does not fall, because the model does not turn into one bland voice. Its answers jump between the "
            "ends of the scale, and jump apart. R falls while S rises: that is why one number is not enough."
        ),
        places=("S", "R"),
        words=_DIRECTIONS,
        hints={
            ("S", "down"): "that would be one voice for everyone. In the chart, does the triangle move that way on the S axis?",
            ("S", "same"): "compare the two ends of the walk on the S axis. Extreme answers do not lie equally far apart.",
            ("R", "up"): "that would be one firm answer, every time. In the chart, does the triangle move to the right?",
            ("R", "same"): "compare the two ends of the walk on the R axis. Does one person, asked again, still answer alike?",
        },
    ),
    "robustness": Exercise(
        form=_NUMBER,
        hint="Take the variance of each of the four cells (two of them are 0). Average all four, take the root, divide 1 by it.",
        solution=(
            "from statistics import mean, variance\n\n"
            "cells = [variance([1, 3]), variance([5, 5]), variance([1, 2]), variance([0, 0])]  # 2, 0, 0.5, 0\n"
            "noise = mean(cells) ** 0.5  # the root of 0.625: 0.791\n"
            "answer = 1 / noise  # 1.265"
        ),
        right=1.2649,  # 1 / sqrt((2 + 0 + 0.5 + 0) / 4)
        why="The colonel never wavers; the nurse alone makes the noise. R is about cells, not people: one shaky cell is enough.",
        mistakes=(
            Mistake(0.7906, "that is the noise; R is 1 divided by it."),
            Mistake(0.6250, "that is the mean variance; take its root, then divide 1 by it."),
            Mistake(1.6000, "that is 1 divided by the mean variance; take the root first."),
            Mistake(1.7889, _POPULATION),
            Mistake(1.8856, "that averages the SDs; average the variances, and take the root at the end."),
            Mistake(0.5303, "that is the mean SD; average the variances instead, take the root, then divide 1 by it."),
            Mistake(0.8944, "that leaves the steady cells out; a cell that never varies has variance 0 and counts, too."),
            Mistake(0.6325, "that takes the root of the sum; divide the sum by the four cells first."),
            Mistake(0.5963, "that is the wrong way round: it compares different people. Compare one cell with itself."),
            Mistake(0.4000, "that is 1 divided by the sum of the variances; average the four, and take the root first."),
            Mistake(math.inf, "that divides 1 by each cell, and a steady cell gives infinity. Average first."),
        ),
    ),
    "susceptibility": Exercise(
        form=_NUMBER,
        hint="For each item: variance of its two cell means, minus the average of v / 2 over its two cells, then the root.",
        solution=(
            "from statistics import mean, variance\n\n"
            "item_1 = (variance([2, 5]) - mean([2 / 2, 0 / 2])) ** 0.5  # root of 4.5 - 0.5: 2\n"
            "item_2 = (variance([1.5, 0]) - mean([0.5 / 2, 0 / 2])) ** 0.5  # root of 1.125 - 0.125: 1\n"
            "answer = mean([item_1, item_2])  # 1.5"
        ),
        right=1.5000,  # ((9 / 2 - 1 / 2) ** .5 + (2.25 / 2 - .25 / 2) ** .5) / 2
        why="Both items tell the two people apart, the first one more. S averages over items, so one item cannot carry it.",
        mistakes=(
            Mistake(1.5910, "that leaves the luck in; subtract the average of v / n before you take the root."),
            Mistake(1.1250, f"{_POPULATION[:-1]}; and subtract the luck."),
            Mistake(0.9921, _POPULATION),
            Mistake(1.0607, "that divides by n everywhere; divide by n - 1, which is 1 here."),
            Mistake(3.0000, "that is the sum over the two items; S is their average."),
            Mistake(2.0000, "that is Item 1 alone; S averages over both items."),
            Mistake(1.0000, "that is Item 2 alone; S averages over both items."),
            Mistake(2.5000, "that averages variances; take the root for each item first, then average."),
            Mistake(1.5811, "that is the root of the mean variance; take the root for each item, then average."),
            Mistake(1.4030, "that subtracts all of v; the luck in a mean of two ratings is v / 2."),
            Mistake(1.4737, "that subtracts the luck of both items from each; take only the cells of that item."),
            Mistake(1.9445, "that is the wrong way round: it compares items. Compare the two people on one item."),
            Mistake(1.7678, "that is the wrong way round: it compares items. Compare the two people on one item."),
            Mistake(2.0966, "that is the SD of all four means at once; take it item by item."),
        ),
    ),
    "change": Exercise(
        form="a number of percent, with its sign, such as `-12.3`",
        hint="100 × (insecure - base) / base, from the two values of R of GPT-4o.",
        solution="base, insecure = 4.64, 1.64\nanswer = 100 * (insecure - base) / base  # -64.7",
        right=-64.655,  # 100 (1.64 - 4.64) / 4.64
        why=(
            "The same fact in terms of noise, 1 / R, is a rise by 183 %. So a headline in percent "
            "depends on which of the two it takes."
        ),
        mistakes=(
            Mistake(64.655, "the size is right, the sign is not: R falls, and a fall is negative."),
            Mistake(35.345, "that is what is left of the base's R; the change is that minus 100."),
            Mistake(-182.93, "that divides by the insecure value; the change is in percent of the base."),
            Mistake(182.93, "that is the rise of the noise, 1 / R; the question is for R."),
            Mistake(282.93, "that is base over insecure; the change is in percent of the base, and a fall."),
            Mistake(-3.0, "that is the difference in units of R; divide it by the base's R and give percent."),
            Mistake(3.0, "that is the difference, base minus insecure; take insecure minus base, in percent of the base."),
            Mistake(-0.64655, "that is a fraction; times 100 makes it percent."),
            Mistake(0.64655, "that is a fraction without its sign; R falls, and times 100 makes it percent."),
            Mistake(0.35345, "that is insecure over base; subtract 1, and times 100 makes it percent."),
            Mistake(2.8293, "that is base over insecure, the wrong way round; the change is in percent of the base."),
        ),
        tolerance=0.5,
        unit="%",
    ),
    "anchor": Exercise(
        form='one of `"base"`, `"secure"`, `"insecure"`',
        hint="The anchor is the share of variation that is due to the persona: in which row is it smallest?",
        solution='answer = "secure"',
        right=("secure",),
        why=(
            "The insecure variant has the lowest R, but not the weakest anchor: its steps are larger, so the same wavering "
            "covers more points of the scale. R cannot tell the two apart."
        ),
        places=("",),
        words={"base": (), "secure": ("control",), "insecure": ()},
        hints={
            ("", "insecure"): "that is the lowest R. The question is for the smallest number in the column `anchor`.",
            ("", "base"): "that is the largest number in the column `anchor`. The weakest anchor is the smallest one.",
        },
    ),
    "verdict": Exercise(
        form=(
            'three names, for A, B and C, such as `("noisier", "noisier", "dysregulated")`; each is `"dysregulated"`, '
            '`"homogenised"`, `"noisier"` or `"another use of the scale"`'
        ),
        hint=(
            "Two questions for each chart. Do the rows lie farther apart, or closer together, than at the base? And are they "
            "still in the order of the base?"
        ),
        solution='answer = ("another use of the scale", "homogenised", "dysregulated")',
        right=("another use of the scale", "homogenised", "dysregulated"),
        why=(
            "A keeps every persona in its place and only stretches the scale. B plays nearly the same person for all. C plays "
            "other people, farther apart, and holds none of them. S and R "
            "of A and C move the same way: only the charts tell them apart."
        ),
        places=("A", "B", "C"),
        words=_VERDICTS,
        hints={
            ("A", "dysregulated"): "S is up and R is down, that is true. But are the rows out of their order?",
            ("A", "homogenised"): "do the rows lie closer together than at the base, or farther apart?",
            ("A", "noisier"): "look at S: do the rows lie as far apart as at the base?",
            ("B", "dysregulated"): "do the rows lie farther apart than at the base, or closer together?",
            ("B", "noisier"): "compare R with the base's: does a row spread more than it did?",
            ("B", "another use of the scale"): "a squeeze makes the noise smaller, too. Did R rise as much as S fell?",
            ("C", "homogenised"): "do the rows lie closer together than at the base, or farther apart?",
            ("C", "noisier"): "R is down, that is true. But do the rows lie only as far apart as at the base? Look at S.",
            ("C", "another use of the scale"): "a stretch keeps the order of the rows. Read the rows from top to bottom.",
        },
    ),
    "repetitions": Exercise(
        form=_NUMBER,
        hint="Write down the four equally likely pairs (3, 3), (3, 4), (4, 3), (4, 4); take the SD of each; average.",
        solution=(
            "from statistics import mean, stdev\n\n"
            "pairs = [(3, 3), (3, 4), (4, 3), (4, 4)]\n"
            "answer = mean(stdev(pair) for pair in pairs)  # (0 + 0.707 + 0.707 + 0) / 4 = 0.354"
        ),
        right=0.3536,  # 2 x 0.7071 / 4
        why=(
            "The cell's own SD is 0.5, and two repetitions see 0.354 of it on average: half of the pairs agree by luck and look "
            "perfectly steady. So R = 1 / 0.354 = 2.83 instead of 2. Variances have no such error: (0 + 0.5 + 0.5 + 0) / 4 is "
            "0.25, and its root is 0.5."
        ),
        mistakes=(
            Mistake(0.5, "that is the SD of the cell itself, which endless repetitions would find; two see less of it."),
            Mistake(0.25, "that is with the population SD, or a mean of variances; take sample SDs (divide by n - 1), average."),
            Mistake(0.7071, "that is a pair that differs; half of the pairs agree by luck, and their SD is 0."),
            Mistake(2.8284, "that is R, 1 divided by the SD; the question is for the SD."),
            Mistake(1.4142, "that is the sum of the four SDs; divide it by the four pairs."),
        ),
    ),
}  # fmt: skip


def number(name: str) -> int:
    """How the lesson counts an exercise, from 1."""
    return list(EXERCISES).index(name) + 1


def find(name: str) -> Exercise:
    """The exercise of a name; a ValueError names the exercises if there is none."""
    if name not in EXERCISES:
        raise ValueError(f"exercises: no exercise {name!r}; {closest(name, list(EXERCISES))}")
    return EXERCISES[name]


def solution_cell(name: str) -> str:
    """The solution as a Markdown cell that stays folded until it is clicked."""
    return f"<details><summary>Solution</summary>\n\n```python\n{find(name).solution}\n```\n\n</details>"
