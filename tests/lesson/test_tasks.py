"""Answers of a student: in any form that can be understood, counted, and what stays hidden until then."""

import math

import numpy as np
import pandas as pd
import pytest

from persona_collapse.lesson.exercises import EXERCISES
from persona_collapse.lesson.tasks import TRIES, Tasks


def message(name, answer):
    return Tasks().message(name, answer)


@pytest.mark.parametrize("name", list(EXERCISES))
def test_an_unsolved_cell_says_what_to_do_and_folds_its_hint(name):
    said, folded = message(name, None).split("\n\n", 1)
    assert said == f"**Your turn.** Replace `None` in the cell of the exercise by {EXERCISES[name].form}."
    assert folded == f"<details><summary>Hint</summary>\n\n{EXERCISES[name].hint}\n\n</details>"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("robustness", 1.26), ("robustness", 1.265), ("robustness", 1.27), ("robustness", np.float64(1.2649)),
        ("robustness", "1.26"), ("robustness", "1.26 points"), ("robustness", "R = 1.26"), ("robustness", "about 1.26."),
        ("robustness", [1.26]), ("susceptibility", 1.5), ("susceptibility", "1.50"), ("repetitions", 0.35), ("repetitions", ".354"),
        ("change", -65), ("change", -64.7), ("change", "-65 %"), ("change", "−64.7 percent"), ("change", "- 64.7%"),
        ("anchor", " Secure "), ("anchor", "the secure one"), ("anchor", ["secure"]), ("anchor", ("control",)),
        ("predict", ["UP", "down"]), ("predict", "up, down"), ("predict", "up down"), ("predict", "S rises and R falls"),
        ("predict", {"S": "up", "R": "down"}), ("predict", ("rises", "drops")), ("predict", ("higher", "lower")),
        ("verdict", ("another use", "homogenized", "dysregulated")),
        ("verdict", "A: another use of the scale, B: homogenised, C: dysregulated"),
    ],
)  # fmt: skip
def test_an_answer_that_can_be_understood_is(name, answer):
    assert message(name, answer) == f"**Right.** {EXERCISES[name].why}"


@pytest.mark.parametrize("answer", ["1,26", (1, 26), "1,26 points"])
def test_a_decimal_comma_is_read_and_said(answer):
    assert message("robustness", answer).endswith(" (Read as 1.26: Python writes a point.)")
    assert message("change", (-64, 7)).endswith("(Read as -64.7: Python writes a point.)")


@pytest.mark.parametrize(("name", "answer"), [("robustness", 1.3), ("repetitions", 0.4), ("robustness", "1,3")])
def test_one_decimal_of_the_right_answer_is_right(name, answer):
    assert message(name, answer).startswith(f"**Right; give two decimals.** {EXERCISES[name].why}")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (1.9, "averages the SDs"),  # 1.886
        (1.8, "divide by n - 1"),  # 1.789
        (0.8, "that is the noise"),  # 0.791
    ],
)
def test_one_decimal_of_a_mistake_is_that_mistake(answer, says):
    assert says in message("robustness", answer)


@pytest.mark.parametrize("answer", [1.2, 1.25, 1.28, 1.33])
def test_a_number_nearby_was_rounded_on_the_way(answer):
    assert "nearly. Keep three decimals on the way, and round only at the end." in message("robustness", answer)


def test_an_unknown_mistake_gets_the_hint():
    assert message("susceptibility", 0.77).endswith(f"no mistake that we know. *Hint:* {EXERCISES['susceptibility'].hint}")


@pytest.mark.parametrize(
    ("name", "answer", "says"),
    [
        ("susceptibility", "one and a half", "Expected a number"),
        ("susceptibility", "1.4 or 1.5", "Expected a number"),
        ("susceptibility", "1/2", "Expected a number"),
        ("susceptibility", "", "Expected a number"),
        ("susceptibility", (1, 2, 3), "Expected a number"),
        ("susceptibility", math.nan, "Expected a number"),
        ("susceptibility", True, "Expected a number"),
        ("susceptibility", len, "Expected a number"),
        ("susceptibility", 1j, "Expected a number"),
        ("susceptibility", pd.DataFrame({"a": [1, 2]}), "Expected a number"),
        ("susceptibility", 10**400, "Expected a number"),
        ("anchor", "gpt-4o", 'Expected one of `"base"`'),
        ("anchor", "not secure", 'Expected one of `"base"`'),
        ("anchor", 0.859, 'Expected one of `"base"`'),
        ("predict", "up", "Expected two words"),
        ("predict", ("up", "sideways"), "Expected two words"),
        ("predict", ("up", 1), "Expected two words"),
        ("predict", {"S": "up"}, "Expected two words"),
        ("verdict", ("homogenised",), "Expected three names"),
    ],
)
def test_an_answer_of_another_form_is_told_the_form(name, answer, says):
    said = message(name, answer)
    assert said.startswith("**Not yet: ") and "is not an answer of the form asked for.** " in said and says in said


def test_an_answer_is_no_markup():
    said = message("anchor", "<script>alert(1)</script> **x** " + "long " * 20)
    assert r"\<script\>" in said and "<script>" not in said and len(said) < 200


@pytest.mark.parametrize("first", ["up", "down", "same"])
@pytest.mark.parametrize("second", ["up", "down", "same"])
def test_every_prediction_meets_an_answer(first, second):
    said = message("predict", (first, second))
    assert said.startswith("**Right.**") == ((first, second) == ("up", "down"))
    assert "form asked for" not in said


def test_the_answer_is_told_at_the_third_different_try():
    tasks = Tasks()
    told = f"**The answer is 1.26.** {EXERCISES['robustness'].why} *Solution* below has the steps."
    # The same number again, and what is no number, are no tries.
    assert [told in tasks.message("robustness", a) for a in (5, 5, 5, "?", 6, 6)] == [False] * 6 and TRIES == 3
    assert tasks.message("robustness", 7).endswith(f"\n\n{told}")
    # Tries at one exercise are none at another.
    assert "The answer is" not in tasks.message("change", 7)


def test_a_teacher_sees_every_answer_and_result():
    tasks = Tasks("shown")
    assert tasks.message("change", None).startswith("**The answer is -64.7 %.** ")
    assert tasks.message("verdict", None).startswith(
        "**The answer is A another use of the scale, B homogenised, C dysregulated.** "
    )
    assert tasks.message("change", 64.7).startswith("**Not yet, 64.7:** the size is right") and tasks.reveal("predict", 1) == 1
    assert tasks.fold("why", "Ours").data == "<details open><summary>Ours</summary>\n\nwhy\n\n</details>"


def test_a_result_is_hidden_until_its_exercise_is_done():
    """Right, or tried three times: one wrong answer does not open what holds the right one."""
    tasks, chart = Tasks(), object()
    hidden = "**Hidden until Exercise 6 is done.** Answer it, run its cells, then run this one again."
    homogenised = "homogenised"
    for first in (None, "?", "noisier", "dysregulated"):
        tasks.check("verdict", first and (first, homogenised, "noisier"))
        assert tasks.reveal("verdict", chart).data == hidden
    tasks.check("verdict", (homogenised, homogenised, homogenised))
    assert tasks.reveal("verdict", chart) is chart and tasks.reveal("anchor", chart) is not chart
    tasks.check("anchor", "secure")
    assert tasks.reveal("anchor", chart) is chart
    assert tasks.fold("why").data == "<details><summary>What we would say</summary>\n\nwhy\n\n</details>"


def test_a_prediction_is_noted_and_not_judged():
    tasks = Tasks()
    assert tasks.commit("predict", None).data == tasks.message("predict", None)
    assert "form asked for" in tasks.commit("predict", "up").data and tasks.reveal("predict", 1) != 1
    assert tasks.commit("predict", ("falls", "same")).data == "**Noted: S down, R same.** It is checked later."
    assert tasks.reveal("predict", 1) == 1


@pytest.mark.parametrize("method", ["commit", "check", "message", "reveal"])
def test_an_unknown_exercise_is_an_error_that_names_them(method):
    with pytest.raises(ValueError, match=r"^exercises: no exercise 'predicted'; .*predict"):
        getattr(Tasks(), method)("predicted", None)


def test_another_mode_is_an_error_that_names_both():
    with pytest.raises(ValueError, match=r"^answers: found 'show'; .*shown.*; set it in the first code cell$"):
        Tasks("show")
