"""The exercises: their solutions pass, typical mistakes are told apart, and the tour has them in their order and folded."""

import json
import math
import re

import pytest

from persona_collapse.lesson.exercises import EXERCISES, solution_cell
from persona_collapse.lesson.tasks import Tasks
from persona_collapse.paths import NOTEBOOKS

NAMES = list(EXERCISES)
NUMBERS = [name for name in NAMES if isinstance(EXERCISES[name].right, float)]
WORDS = [name for name in NAMES if name not in NUMBERS]
CELLS = json.loads((NOTEBOOKS / "00_tour.ipynb").read_text(encoding="utf-8"))["cells"]
SOURCES = ["".join(cell["source"]) for cell in CELLS]


def tagged(tag):
    return [i for i, cell in enumerate(CELLS) if tag in cell["metadata"].get("tags", [])]


def run(code):
    """What a piece of code assigns last."""
    space = {}
    exec(code, space)
    return list(space.values())[-1]


def wrong_words(name):
    """Every answer in words that the exercise knows and that is wrong in one place."""
    exercise = EXERCISES[name]
    for place, right in enumerate(exercise.right):
        for word in exercise.words:
            if word != right:
                yield (*exercise.right[:place], word, *exercise.right[place + 1 :])


def shown(cell):
    """What a committed cell shows: its text, or its outputs, without what is folded."""
    if cell["cell_type"] == "markdown":
        found = "".join(cell["source"])
    else:
        found = "\n".join(
            "".join(text) for o in cell["outputs"] for kind, text in {**o.get("data", {}), "stream": o.get("text", "")}.items()
            if kind not in ("image/png", "application/vnd.vegalite.v5+json")
        )  # fmt: skip
    return re.sub(r"<details><summary>.*?</details>", "", found, flags=re.DOTALL)


def test_they_are_in_the_order_of_the_lesson():
    asked = [re.search(r'check\("(\w+)", (\w+)\)', SOURCES[i]).groups() for i in tagged("check")]
    assert NAMES == ["predict", "robustness", "susceptibility", "change", "anchor", "verdict", "repetitions"]
    # The prediction is made first and checked in part 3; nothing overwrites it in between.
    assert [name for name, _ in asked] == [*NAMES[1:3], "predict", *NAMES[3:]]
    assert dict(asked)["predict"] == "prediction" and sum(SOURCE.startswith("prediction =") for SOURCE in SOURCES) == 1
    titles = [re.search(r"### Exercise (\d)", source)[1] for source in SOURCES if "### Exercise" in source]
    assert titles == ["1", "2", "3", "4", "5", "6", "7"]


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(name):
    assert Tasks().message(name, run(EXERCISES[name].solution)) == f"**Right.** {EXERCISES[name].why}"


@pytest.mark.parametrize("name", NUMBERS)
def test_mistakes_are_told_apart_and_none_passes(name):
    for mistake in EXERCISES[name].mistakes:
        said = Tasks().message(name, mistake.answer)
        assert said.startswith("**Not yet") and said.endswith(mistake.says)
    assert len(EXERCISES[name].mistakes) >= 5


@pytest.mark.parametrize("name", WORDS)
def test_every_wrong_word_has_a_hint_of_its_own(name):
    exercise = EXERCISES[name]
    for answer in wrong_words(name):
        said = Tasks().message(name, answer)
        assert said.startswith("**Not yet") and any(said.endswith(hint) for hint in exercise.hints.values())
    assert len(exercise.hints) == sum(1 for _ in wrong_words(name))


def given_away(name, said):
    """Whether a text names the right answer: a number as such, words as an answer."""
    right = EXERCISES[name].right
    if isinstance(right, float):
        digits = {f"{abs(right):.{d}f}" for d in (1, 2, 3)} if name != "susceptibility" else {"1.50", "1.500", "= 1.5", "is 1.5"}
        return any(re.search(rf"(?<![\d.]){re.escape(d)}(?!\d)", said) for d in digits)
    return repr(right) in said or bool(re.search(rf"\b{re.escape(EXERCISES[name].answer)}\b", said))


@pytest.mark.parametrize("name", NAMES)
def test_no_hint_and_no_wrong_answer_gives_the_right_one_away(name):
    exercise = EXERCISES[name]
    wrong = [m.answer for m in exercise.mistakes] if name in NUMBERS else wrong_words(name)
    said = [Tasks().message(name, answer).split(":**")[1] for answer in wrong]
    # Where one word of three is asked for, all three are named, and none of them alone.
    said += [exercise.hint, *([exercise.form, Tasks().message(name, None)] if name != "anchor" else [])]
    assert not any(given_away(name, text) for text in said)
    # It can: the solution and the third try do.
    assert given_away(name, f"The answer is {exercise.answer}.")


@pytest.mark.parametrize(
    ("name", "mistake", "says"),
    [
        # The cells are (1, 3), (5, 5), (1, 2), (0, 0): variances 2, 0, 0.5, 0, mean 0.625.
        ("robustness", math.sqrt(0.625), "that is the noise"),
        ("robustness", 0.625, "mean variance"),
        ("robustness", 1 / 0.625, "take the root first"),
        # population variances 1, 0, 0.25, 0: mean 0.3125
        ("robustness", 1 / math.sqrt(0.3125), "divide by n - 1"),
        # SDs sqrt 2, 0, 1 / sqrt 2, 0: mean 3 / sqrt 2 / 4
        ("robustness", 1 / (3 / math.sqrt(2) / 4), "averages the SDs"),
        ("robustness", 3 / math.sqrt(2) / 4, "mean SD"),
        # only the two cells that vary
        ("robustness", 1 / math.sqrt(1.25), "steady cells out"),
        ("robustness", 1 / math.sqrt(2.5), "root of the sum"),
        ("robustness", 1 / 2.5, "sum of the variances"),
        # variances between the two people: 3^2 / 2 and 1.5^2 / 2
        ("robustness", 1 / math.sqrt((4.5 + 1.125) / 2), "wrong way round"),
        ("robustness", math.inf, "Average first"),
        # Means 2, 5 and 1.5, 0: variances 4.5 and 1.125; luck 1 / 2 and 0.25 / 2, so SDs 2 and 1.
        ("susceptibility", (math.sqrt(4.5) + math.sqrt(1.125)) / 2, "leaves the luck in"),
        ("susceptibility", (1.5 + 0.75) / 2, "subtract the luck"),
        # population variances 2.25 and 0.5625, less the luck
        ("susceptibility", (math.sqrt(2.25 - 0.5) + math.sqrt(0.5625 - 0.125)) / 2, "divide by n - 1"),
        # and population variances 1 and 0.25 of the cells: luck 0.25 and 0.0625
        ("susceptibility", (math.sqrt(2.0) + math.sqrt(0.5)) / 2, "n everywhere"),
        ("susceptibility", 3.0, "sum over the two items"),
        ("susceptibility", 2, "Item 1 alone"),
        ("susceptibility", 1, "Item 2 alone"),
        ("susceptibility", (4 + 1) / 2, "averages variances"),
        ("susceptibility", math.sqrt((4 + 1) / 2), "root of the mean variance"),
        ("susceptibility", (math.sqrt(4.5 - 1) + math.sqrt(1.125 - 0.25)) / 2, "v / 2"),
        ("susceptibility", (math.sqrt(4.5 - 0.3125) + math.sqrt(1.125 - 0.3125)) / 2, "luck of both items"),
        # the other direction: nurse 2 and 1.5, colonel 5 and 0; SDs .5 / sqrt 2 and 5 / sqrt 2
        ("susceptibility", (0.5 + 5) / math.sqrt(2) / 2, "compares items"),
        # the same less the luck: 0.125 - 0.625 is below 0, 12.5 - 0
        ("susceptibility", math.sqrt(12.5) / 2, "compares items"),
        # all four means 2, 5, 1.5, 0 about 2.125: squares 0.015625 + 8.265625 + 0.390625 + 4.515625 = 13.1875, over 3
        ("susceptibility", math.sqrt(13.1875 / 3), "all four means at once"),
        # the cell's own SD: 3 or 4 with equal chance
        ("repetitions", 0.5, "endless repetitions"),
        # population SDs 0, 0.5, 0.5, 0
        ("repetitions", 0.25, "population SD"),
        ("repetitions", math.sqrt(2), "sum of the four SDs"),
        ("change", 100 * (4.64 - 1.64) / 4.64, "the sign is not"),
        ("change", 100 * 1.64 / 4.64, "what is left"),
        ("change", 100 * (1.64 - 4.64) / 1.64, "percent of the base"),
        ("change", 100 * (4.64 - 1.64) / 1.64, "rise of the noise"),
        ("change", 100 * 4.64 / 1.64, "base over insecure"),
        ("change", 4.64 / 1.64, "wrong way round"),
        ("change", 1.64 / 4.64, "insecure over base"),
        ("change", 1.64 - 4.64, "units of R"),
        ("change", (1.64 - 4.64) / 4.64, "fraction"),
        ("change", (4.64 - 1.64) / 4.64, "without its sign"),
        ("anchor", "insecure", "lowest R"),
        ("anchor", "base", "largest number"),
        ("predict", ("down", "down"), "one voice"),
        ("predict", ("up", "up"), "one firm answer"),
        ("verdict", ("dysregulated", "homogenised", "dysregulated"), "2 of 3 right. *A:* S is up and R is down, that is true."),
        ("verdict", ("noisier", "homogenised", "another use of the scale"), "1 of 3 right. *A:* look at S"),
    ],
)
def test_a_typical_mistake_is_named(name, mistake, says):
    # As a student gives it: in full, or with two decimals.
    for answer in {mistake, round(mistake, 2)} if isinstance(mistake, float) else [mistake]:
        said = Tasks().message(name, answer)
        assert said.startswith("**Not yet") and says in said


@pytest.mark.parametrize(("name", "right"), [
    ("robustness", 1 / math.sqrt((2 + 0 + 0.5 + 0) / 4)),
    ("susceptibility", (math.sqrt(4.5 - 0.5) + math.sqrt(1.125 - 0.125)) / 2),
    ("change", 100 * (1.64 - 4.64) / 4.64),
    ("repetitions", (0 + 1 / math.sqrt(2) + 1 / math.sqrt(2) + 0) / 4),
])  # fmt: skip
def test_what_is_right_follows_by_hand(name, right):
    assert EXERCISES[name].right == pytest.approx(right, abs=6e-4)


# --- as the notebook has them ----------------------------------------------------------------------------------------


def test_every_exercise_is_a_task_an_empty_answer_a_check_and_a_folded_solution():
    for place in tagged("exercise"):
        assert SOURCES[place - 1].startswith("### Exercise") and CELLS[place - 1]["cell_type"] == "markdown"
        assert re.fullmatch(r"(answer|prediction) = None  # your turn: .+", SOURCES[place])
    for place in tagged("check"):
        name, variable = re.fullmatch(r'tasks\.check\("(\w+)", (\w+)\)', SOURCES[place]).groups()
        assert SOURCES[place + 1] == solution_cell(name)
        assert variable == "prediction" or place - 1 in tagged("exercise")
    assert len(tagged("exercise")) == len(tagged("check")) == len(tagged("solution")) == 7


def test_the_committed_checks_are_those_of_the_unsolved_cells():
    for place in [*tagged("check"), *tagged("commit")]:
        name = re.search(r'"(\w+)"', SOURCES[place])[1]
        (output,) = CELLS[place]["outputs"]
        assert "".join(output["data"]["text/markdown"]) == Tasks().message(name, None)


def test_a_solution_is_folded_until_it_is_clicked():
    text = solution_cell("change")
    assert text.startswith("<details><summary>Solution</summary>\n\n```python\n") and text.endswith("```\n\n</details>")
    assert "open" not in text.splitlines()[0] and EXERCISES["change"].solution in text


def test_every_result_that_gives_an_answer_away_is_hidden_as_committed():
    """What is behind `reveal` says which exercise opens it; what is behind `fold` is folded; neither shows more."""
    revealed = [i for i, source in enumerate(SOURCES) if "tasks.reveal(" in source]
    folded = [i for i, source in enumerate(SOURCES) if "tasks.fold(" in source]
    assert len(revealed) == 6 and len(folded) == 9
    for place in revealed:
        name = re.search(r'reveal\("(\w+)"', SOURCES[place])[1]
        number = NAMES.index(name) + 1
        expected = f"**Hidden until Exercise {number} is done.** Answer it, run its cells, then run this one again."
        (output,) = CELLS[place]["outputs"]
        assert set(output["data"]) == {"text/markdown", "text/plain"} and shown(CELLS[place]).startswith(expected)
        # The exercise stands above what it opens.
        assert any(f"### Exercise {number}" in source for source in SOURCES[:place])
    assert all(shown(CELLS[place]).strip() == "<IPython.core.display.Markdown object>" for place in folded)


@pytest.mark.parametrize("name", NUMBERS)
def test_no_number_that_is_asked_for_stands_in_the_open_before_its_solution(name):
    end = next(i for i in tagged("solution") if SOURCES[i] == solution_cell(name))
    asked = [shown(cell) for cell in CELLS[:end]]
    digits = [f"{abs(EXERCISES[name].right):.{d}f}" for d in (2, 3)]
    assert not [text for text in asked for d in digits if re.search(rf"(?<![\d.]){d}(?!\d)", text)]


def test_nothing_before_its_check_says_what_became_of_s_and_r():
    """Neither a chart nor a number of a fine-tune stands in the open before Exercise 1 is checked."""
    end = next(i for i in tagged("check") if "predict" in SOURCES[i])
    text = "\n".join(shown(cell) for cell in CELLS[:end])
    drawn = [i for i in range(end) if any("image/png" in o.get("data", {}) for o in CELLS[i].get("outputs", []))]
    assert all("run=base" in SOURCES[i] for i in drawn) and len(drawn) == 2
    # the two ends of the simulated walk
    assert not re.search(r"\b1\.6\d\b|\b1\.7\b", text) and EXERCISES["predict"].why not in text
    # No verdict is named before part 5.
    part = next(i for i, source in enumerate(SOURCES) if source.startswith("## 5"))
    before = "\n".join(shown(cell) for cell in CELLS[:part])
    assert not re.search("dysregulated|homogenised|noisier|use of the scale", before)


def test_one_formula_of_r_is_used_in_class():
    end = next(i for i, source in enumerate(SOURCES) if source.startswith("## Further reading"))
    everything = "\n".join([*SOURCES[:end], json.dumps([c.get("outputs", []) for c in CELLS[:end]])])
    assert not re.search(r"paper's formula|[Mm]ean SD|within-persona SD|9\.75", everything)
    assert "### The paper's formula" in "\n".join(SOURCES[end:])


@pytest.mark.parametrize("term", [
    "persona", "item", "foundations", "rating", "repetition", "cell", "base", "insecure", "variance", "noise", "run",
    "simulated respondents", "control", "family", "ceiling", "anchor", "verdict",
])  # fmt: skip
def test_a_term_is_introduced_where_it_first_stands(term):
    """Set in bold in one sentence, and not needed in a part before."""
    places = [i for i, source in enumerate(SOURCES) if f"**{term}**" in source or f"**{term.capitalize()}**" in source]
    assert len(places) == 1
    parts = [i for i, source in enumerate(SOURCES) if "\n## " in f"\n{source}"]
    begun = max([i for i in parts if i <= places[0]], default=0)
    earlier = "\n".join(shown(cell) for cell in CELLS[4:begun])  # the plan and the opening may name what is to come
    assert begun == parts[0] or not re.search(rf"\b{term}\b", earlier) or term in ("item", "rating", "run", "family")


def test_sentences_are_short():
    prose = " ".join(re.sub(r"\$\$.*?\$\$|\|.*\||`[^`]*`", "", s, flags=re.DOTALL) for i, s in enumerate(SOURCES)
                     if CELLS[i]["cell_type"] == "markdown" and i not in tagged("solution"))  # fmt: skip
    lengths = [len(sentence.split()) for sentence in re.split(r"[.?!:]\s", prose)]
    assert sorted(lengths)[-1] <= 45 and sum(lengths) / len(lengths) < 14
