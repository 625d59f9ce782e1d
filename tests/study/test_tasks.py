"""Tasks of a study: ours are right and balanced, every broken line is named, and the study file says how they are asked."""

import json
from collections import Counter
from fractions import Fraction

import pytest
import yaml

from persona_collapse.paths import TASKS
from persona_collapse.study.load_study import load_study
from persona_collapse.study.task_reader import read_answer
from persona_collapse.study.tasks import load_items

#: Every number of number.jsonl, worked out again.
WORKED = {
    "arithmetic": [7 + 8, 52 - 17, 12 * 11, 144 // 9, 3 + 4 * 5, Fraction(15 * 260, 100), 17 * 23, Fraction(28 * 10, 4),
                   50 * 51 // 2, 1024 - 1023],
    "stories": [3 * 6 - 4, 45 - 33, 50 - 22, Fraction(300, 4) * 10, Fraction(342, 18), 80 * Fraction(3, 8),
                Fraction(475, 190), 1 / (Fraction(1, 6) + Fraction(1, 3)), 80 * Fraction(125, 100) * Fraction(75, 100),
                3 * 12],  # Bo is b: 3b + 12 = 2 (b + 12), so b = 12
    "units": [180, 250, 26, 19 * 60 + 45 + 130 - 21 * 60, 64, 500 / Fraction(25), 15, Fraction(600, 40) * Fraction(400, 40),
              8 * 8, Fraction(5, 2) * 360 / 4],
}  # fmt: skip


def test_our_numbers_are_right():
    found = {item.id: Fraction(item.answer) for item in load_items(TASKS / "number.jsonl")}
    assert found == {f"{group}-{n}": value for group, values in WORKED.items() for n, value in enumerate(values, start=1)}


def test_our_choices_are_many_and_no_letter_is_a_good_guess():
    items = load_items(TASKS / "choice.jsonl")
    assert Counter(item.answer for item in items) == dict.fromkeys("ABCD", 10)
    assert Counter(item.group for item in items) == dict.fromkeys(
        ("science", "language", "geography and history", "logic", "everyday"), 8
    )  # fmt: skip
    assert all(len(set(item.choices)) == 4 for item in items) and len({item.question for item in items}) == 40


def write(folder, *lines, name="own.jsonl"):
    path = folder / name
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines), encoding="utf-8")
    return path


CHOICE = {"id": "a", "question": "Which?", "choices": ["x", "y"], "answer": "B", "group": "g"}
NUMBER = {"id": "a", "question": "How many?", "answer": 12}


@pytest.mark.parametrize(
    ("answer", "letter"), [("B", "B"), ("b", "B"), (1, "B"), ("y", "B"), (0, "A")]
)  # by letter, by place from 0 as MMLU has it, by its text
def test_a_right_choice_is_named_in_any_of_three_ways(tmp_path, answer, letter):
    (item,) = load_items(write(tmp_path, CHOICE | {"answer": answer}))
    assert item.answer == letter


@pytest.mark.parametrize(
    ("answer", "number"), [("1,200.50", "1200.5"), (-3, "-3"), ("3/4", "0.75"), ("1/3", "1/3"), (0.1, "0.1")]
)
def test_a_right_number_has_one_form(tmp_path, answer, number):
    assert load_items(write(tmp_path, NUMBER | {"answer": answer}))[0].answer == number


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "holds no item; expected a line of JSON for each, with id, question, answer"),
        ([NUMBER, "{broken"], "line 2: not JSON (Expecting property name"),
        ([NUMBER, "[1]"], "line 2: found list; expected an object with id, question, answer"),
        ([{"id": "a", "question": "q"}], "line 1: answer is missing; an item has id, question and answer"),
        ([NUMBER | {"hint": "x"}], "line 1: unknown key 'hint'; expected id, question, choices, answer, group; remove it"),
        ([NUMBER, "", NUMBER], "line 3, id: 'a' stands in line 1 as well; items need different ids"),
        ([NUMBER, CHOICE | {"id": "b"}], "line 2: has choices, unlike the items before it; a file holds multiple choice or"),
        ([CHOICE | {"answer": "C"}], "line 1, answer: 'C' is none of its choices; expected one of A, B"),
        ([CHOICE | {"answer": 2}], "line 1, answer: 2 is no place among 2 choices, counted from 0; give a letter"),
        ([CHOICE | {"choices": ["x"]}], "line 1, choices: found ['x']; expected a list of 2 to 10 texts"),
        ([CHOICE | {"choices": ["x", ""]}], "line 1, choices: found ''; expected texts that are not empty"),
        ([NUMBER | {"answer": "many"}], "line 1, answer: 'many' is no number; give one, or choices to choose from"),
        ([NUMBER | {"answer": None}], "line 1, answer: found None; expected a number"),
        ([NUMBER | {"question": " "}], "line 1, question: found ' '; expected a text that is not empty"),
        ([NUMBER | {"answer": True}], "line 1, answer: found True; expected a number"),
    ],
)
def test_a_broken_line_is_named(tmp_path, lines, said):
    with pytest.raises(ValueError, match=r"own\.jsonl") as error:
        load_items(write(tmp_path, *lines))
    assert said in str(error.value) and "\n" not in str(error.value)


def study(folder, **keys):
    content = {"title": "t", "kind": "simulated", "families": [{"key": "f", "variants": [
        {"key": "base", "role": "base", "figures": "gpt-4o/base"}]}]} | keys  # fmt: skip
    path = folder / "s.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_study(path)


def test_a_file_beside_the_study_goes_before_ours_and_a_bare_name_is_ours(tmp_path):
    write(tmp_path, NUMBER, name="number.jsonl")
    own, ours = study(tmp_path, tasks=["number.jsonl", "choice"]).tasks
    assert (len(own.items), own.kind, own.read, own.max_tokens) == (1, "number", "marker", 512)
    assert (len(ours.items), ours.kind, ours.read, ours.max_tokens, ours.repetitions) == (40, "choice", "whole", 8, 10)


def test_how_a_task_is_asked_stands_in_the_study_or_is_as_in_the_protocol(tmp_path):
    protocol = {"repetitions": 4, "temperature": 0.3}
    one, two = study(tmp_path, protocol=protocol, tasks=["choice", {"file": "number", "read": "boxed", "repetitions": 2}]).tasks
    assert (one.repetitions, one.temperature, two.repetitions, two.temperature) == (4, 0.3, 2, 0.3)
    prompt = two.prompt(two.items[0])
    assert prompt.startswith("What is 7 + 8?\n\n") and prompt.endswith("\\boxed{}.")
    assert one.prompt(one.items[0]).split("\n")[1].startswith("A. ")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"tasks": ["nothing"]}, "nothing.jsonl: no such task (a path works too); ours are 'choice', 'number'"),
        ({"tasks": ["choice", "choice.jsonl"]}, "tasks: 'choice' stands 2 times; keys must differ; rename one"),
        ({"tasks": [{"file": "choice", "repetition": 2}]}, "unknown key 'repetition'; did you mean 'repetitions'?"),
        ({"tasks": [{"file": "choice", "repetitions": 0}]}, "tasks[0].repetitions: found 0; expected: input should be greater"),
    ],
)
def test_what_is_wrong_with_tasks_of_a_study_is_one_line(tmp_path, keys, said):
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        study(tmp_path, **keys)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("reply", "rule", "read"),
    [
        ("B", "whole", "B"), (" (B). ", "whole", "B"), ("**B**", "whole", "B"), ("B) Paris", "whole", "B"), ("B: Paris", "whole", "B"),
        ("A dog is an animal", "whole", ""), ("b", "whole", ""), ("E", "whole", ""), ("Bonn", "whole", ""), ("", "whole", ""),
        ("The answer is B", "whole", ""), ("Because.\nAnswer: B", "marker", "B"), ("Answer: A\nNo. Answer: **C**", "marker", "C"),
        ("the answer is: D.", "marker", "D"), ("Answer: Bonn", "marker", ""), ("B", "marker", ""),
        ("so \\boxed{C}", "boxed", "C"), ("so \\boxed{\\text{C}}", "boxed", "C"), ("boxed C", "boxed", ""),
    ],
)  # fmt: skip
def test_a_letter_is_read_by_the_stated_rule(reply, rule, read):
    assert read_answer(reply, "choice", rule, 4) == read


@pytest.mark.parametrize(
    ("reply", "rule", "read"),
    [
        ("42", "whole", "42"), ("1,200.50", "whole", "1200.5"), ("$42.", "whole", "42"), ("42 apples", "whole", ""), ("-7", "whole", "-7"),
        ("3 + 4 = 7\nAnswer: 7", "marker", "7"), ("Answer: 3 + 4 = 7.", "marker", "7"), ("Answer: 7\nBye 8", "marker", "7"),
        ("Answer: **1,234** euros", "marker", "1234"), ("#### 12", "marker", "12"), ("the answer is 7", "marker", ""),
        ("Answer: about 12.50 %", "marker", "12.5"), ("Answer: seven", "marker", ""), ("Answer: 1/4", "marker", "0.25"),
        ("cut off befo", "marker", ""), ("\\boxed{18} then \\boxed{19}", "boxed", "19"), ("\\boxed{\\$1{,}000}", "boxed", "1000"),
        ("Answer: \u22125", "marker", "-5"), ("Answer: 10000000000000000000001", "marker", "10000000000000000000001"),
    ],
)  # fmt: skip
def test_a_number_is_read_by_the_stated_rule(reply, rule, read):
    assert read_answer(reply, "number", rule) == read
