"""The six exercises: their solutions pass, the cells as committed ask for an answer, typical mistakes are recognised."""

import json
import math
import re

import pytest

from persona_collapse.lesson import exercises
from persona_collapse.lesson.exercises import EXERCISES, check, message, solution_cell
from persona_collapse.paths import NOTEBOOKS

NAMES = list(EXERCISES)
CELLS = json.loads((NOTEBOOKS / "00_tour.ipynb").read_text(encoding="utf-8"))["cells"]
SOURCES = ["".join(cell["source"]) for cell in CELLS]


def tagged(tag):
    return [i for i, cell in enumerate(CELLS) if tag in cell["metadata"].get("tags", [])]


def run(code):
    """What a piece of code assigns last."""
    space = {}
    exec(code, space)
    return list(space.values())[-1]


def test_there_are_six_in_the_order_of_the_lesson():
    asked = [re.search(r'check\("(\w+)", (\w+)\)', SOURCES[i]).groups() for i in tagged("check")]
    assert sorted(name for name, _ in asked) == sorted(NAMES) and len(NAMES) == 6
    # The prediction is made first and checked in part 3, after two others; nothing overwrites it in between.
    assert [name for name, _ in asked] == ["susceptibility", "robustness", "predict", "repetitions", "change", "anchor"]
    assert dict(asked)["predict"] == "prediction" and sum(SOURCE.startswith("prediction =") for SOURCE in SOURCES) == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(name):
    said = message(name, run(EXERCISES[name].solution))
    assert said == f"**Right.** {EXERCISES[name].why}"


@pytest.mark.parametrize("name", NAMES)
def test_the_unsolved_cell_fails_and_says_what_to_do(name):
    said = message(name, None)
    assert said.startswith("**Your turn.** Replace `None`")
    assert EXERCISES[name].form in said and f"*Hint:* {EXERCISES[name].hint}" in said


@pytest.mark.parametrize("name", NAMES)
def test_at_least_two_mistakes_are_told_apart_and_none_passes(name):
    exercise = EXERCISES[name]
    said = [message(name, mistake.answer) for mistake in exercise.mistakes]
    assert len(set(said)) == len(said) >= 2
    for mistake, text in zip(exercise.mistakes, said, strict=True):
        assert text.startswith("**Not yet") and text.endswith(mistake.says)


@pytest.mark.parametrize(
    ("name", "mistake", "says"),
    [
        # population SDs of the means: 1.25 and 1, on average 1.125
        ("susceptibility", (1.25 + 1) / 2, "population SD"),
        # not divided by the two items: 2.5 / sqrt 2 + 2 / sqrt 2
        ("susceptibility", 4.5 / math.sqrt(2), "sum over the two items"),
        # variances 2.5^2 / 2 and 2^2 / 2
        ("susceptibility", (3.125 + 2) / 2, "variances"),
        # all four means 4.5, 2, 2, 4 about 3.125: squares 1.890625 + 2 x 1.265625 + 0.765625 = 5.1875, over 3
        ("susceptibility", math.sqrt(5.1875 / 3), "all four means at once"),
        # SDs 1 / sqrt 2, 0, sqrt 2, 0: mean 3 / sqrt 2 / 4
        ("robustness", 3 / math.sqrt(2) / 4, "R is one over it"),
        # population SDs 0.5, 0, 1, 0: mean 0.375
        ("robustness", 1 / 0.375, "population SD"),
        # only the two cells that vary
        ("robustness", 2 / (3 / math.sqrt(2)), "steady cells out"),
        # variances 0.5, 0, 2, 0: mean 0.625
        ("robustness", 1 / math.sqrt(0.625), "root of the mean variance"),
        ("robustness", math.inf, "average first, then invert"),
        # the cell's own SD: 3 or 4 with equal chance
        ("repetitions", 0.5, "endless repetitions"),
        # population SDs 0, 0.5, 0.5, 0
        ("repetitions", 0.25, "population SD"),
        ("change", 100 * (9.75 - 3.05) / 9.75, "the sign is not"),
        ("change", 100 * 3.05 / 9.75, "what is left"),
        ("change", 100 * (3.05 - 9.75) / 3.05, "percent of the base"),
        ("change", 3.05 - 9.75, "units of R"),
        ("change", (3.05 - 9.75) / 9.75, "fraction"),
        ("anchor", "insecure", "lowest R"),
        ("anchor", "base", "strongest anchor"),
        ("predict", ("down", "down"), "one voice"),
        ("predict", ("down", "up"), "one firm voice"),
    ],
)
def test_a_typical_mistake_is_named(name, mistake, says):
    # As a pupil gives it: in full, or with two decimals.
    for answer in {mistake, round(mistake, 2)} if isinstance(mistake, float) else [mistake]:
        said = message(name, answer)
        assert said.startswith("**Not yet") and says in said


@pytest.mark.parametrize(
    ("name", "answer"),
    [("susceptibility", 1.59), ("robustness", 1.89), ("repetitions", 0.35), ("change", -69), ("change", -68.7),
     ("anchor", " Secure "), ("predict", ["UP", "down"])],
)  # fmt: skip
def test_rounding_case_and_lists_are_forgiven(name, answer):
    assert message(name, answer).startswith("**Right.**")


@pytest.mark.parametrize("first", ["up", "down", "same"])
@pytest.mark.parametrize("second", ["up", "down", "same"])
def test_every_prediction_meets_an_answer(first, second):
    said = message("predict", (first, second))
    assert said.startswith("**Right.**") == ((first, second) == ("up", "down"))
    assert "form asked for" not in said


@pytest.mark.parametrize(
    ("name", "answer", "says"),
    [
        ("susceptibility", "1.59", "without quotes"),
        ("susceptibility", (1, 59), "with a point"),
        ("susceptibility", math.nan, "Expected a number"),
        ("susceptibility", True, "Expected a number"),
        ("anchor", "gpt-4o", 'Expected one of `"base"`'),
        ("anchor", 0.859, 'Expected one of `"base"`'),
        ("predict", "up", "Expected two words"),
        ("predict", ("up", "sideways"), "Expected two words"),
    ],
)
def test_an_answer_of_another_form_is_told_the_form(name, answer, says):
    said = message(name, answer)
    assert said.startswith("**Not yet") and "form asked for" in said and says in said


def test_an_unknown_mistake_gets_the_hint():
    assert message("susceptibility", 0.77).endswith(f"no mistake that we know. *Hint:* {EXERCISES['susceptibility'].hint}")


def test_an_answer_is_no_markup():
    said = message("anchor", "<script>alert(1)</script> **x** " + "long " * 20)
    assert r"\<script\>" in said and "<script>" not in said and len(said) < 200


def test_an_unknown_exercise_is_an_error_that_names_them():
    with pytest.raises(ValueError, match=r"exercises: no exercise 'predicted'; .*predict"):
        message("predicted", None)


def test_a_check_is_shown_as_markdown():
    assert check("anchor", "secure").data == message("anchor", "secure")


# --- as the notebook has them ----------------------------------------------------------------------------------------


def test_every_exercise_is_a_task_an_empty_answer_a_check_and_a_folded_solution():
    for place in tagged("exercise"):
        assert SOURCES[place - 1].startswith("### Exercise") and CELLS[place - 1]["cell_type"] == "markdown"
        assert re.fullmatch(r"(answer|prediction) = None  # your turn: .+", SOURCES[place])
    for place in tagged("check"):
        name, variable = re.fullmatch(r'lesson\.exercises\.check\("(\w+)", (\w+)\)', SOURCES[place]).groups()
        assert SOURCES[place + 1] == solution_cell(name)
        assert variable == "prediction" or place - 1 in tagged("exercise")
    assert len(tagged("exercise")) == len(tagged("check")) == len(tagged("solution")) == 6


def test_the_committed_checks_are_those_of_the_unsolved_cells():
    for place in tagged("check"):
        name = re.search(r'"(\w+)"', SOURCES[place])[1]
        (output,) = CELLS[place]["outputs"]
        assert "".join(output["data"]["text/markdown"]) == message(name, None)


def test_a_solution_is_folded_until_it_is_clicked():
    text = solution_cell("change")
    assert text.startswith("<details><summary>Solution</summary>\n\n```python\n") and text.endswith("```\n\n</details>")
    assert "open" not in text.splitlines()[0] and EXERCISES["change"].solution in text


def test_no_solution_stands_outside_its_fold():
    shown = "\n".join(s for i, s in enumerate(SOURCES) if i not in tagged("solution"))
    shown += json.dumps([cell.get("outputs", []) for cell in CELLS])
    for name in ("susceptibility", "robustness", "repetitions", "change"):
        assert not re.search(rf"\b{abs(EXERCISES[name].right):.3f}\b", shown)
    assert exercises.EXERCISES["predict"].why not in shown
