"""capability.csv, instability.csv and selective.csv: replies counted by hand, and simulated truths told from each other."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from persona_collapse.asking.collect import collect
from persona_collapse.report import dictionary
from persona_collapse.report.make_tables import _made_from
from persona_collapse.report.run_notebooks import ratings_key
from persona_collapse.sections.record import all_tables
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.rows import TextAnswer
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.task_answers import TASK


def study_of(folder, variants, *, tasks=("choice",), repetitions=4, personas=6, **keys):
    """`variants`: key -> (figures, assumed)."""
    content = {"title": "t", "kind": "simulated", "tasks": list(tasks), "seed": 3,
               "protocol": {"personas": personas, "repetitions": repetitions}} | keys  # fmt: skip
    content["families"] = [{"key": "f", "variants": [
        {"key": key, "role": "base" if key == "base" else "harmful", "figures": figures} | ({"assumed": meant} if meant else {})
        for key, (figures, meant) in variants.items()
    ]}]  # fmt: skip
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_study(path)


def made_of(study, texts=None):
    collect(study)
    with open_store(study.store_path) as store:
        found = read_ratings(study, store)
    return Tables(found if texts is None else replace(found, texts={TASK: tuple(texts)}))


def replies(variant, given):
    """Texts of one run: item -> replies, one a repetition; a reason in place of a reply where it begins with !."""
    return [
        TextAnswer("f", variant, TASK, "choice", item, "plain", n, "x", **said(text))
        for item, texts in given.items() for n, text in enumerate(texts, start=1)
    ]  # fmt: skip


def said(text):
    return {"reply": None, "reason": text[1:]} if text.startswith("!") else {"reply": text}


def one(table, **keys):
    for name, value in keys.items():
        table = table[table[name] == value]
    assert len(table) == 1, (keys, len(table))
    return table.iloc[0]


@pytest.fixture
def two(tmp_path, outputs):
    return study_of(tmp_path, {"base": ("gpt-4o/base", None), "bad": ("gpt-4o/base", None)})


def test_replies_are_counted_by_hand(two):
    """science-1 is right with A, science-2 with C, both with letters of four choices.

    base: A A A, C C (C). bad: A hm A, B B !transport. Accuracy of base 6/6, of bad 2/5; in form 6/6 and 4/5.
    """
    given = [
        *replies("base", {"science-1": ["A", "A", "A"], "science-2": ["C", "C", "(C)"]}),
        *replies("bad", {"science-1": ["A", "hm", "A"], "science-2": ["B", "B", "!transport"]}),
    ]
    found = made_of(two, given).capability
    base, bad = (one(found, variant=v, measure="accuracy", quantity="level") for v in ("base", "bad"))
    assert (base["value"], base["replies"], bad["value"], bad["replies"], bad["missing"]) == (1, 6, 0.4, 5, 1)
    # All right: nothing varies, so the exact limit of two items, 1 - .05^(1/2) = .776 from 1.
    assert (base["lo"], base["hi"]) == (pytest.approx(0.05**0.5), 1) and "exact one of a share" in base["note"]
    assert one(found, variant="bad", measure="format_validity", quantity="level")["value"] == 0.8
    change = one(found, measure="accuracy", quantity="difference")
    # e of bad: (2 - .4 x 3)/5 = .16, (0 - .4 x 2)/5 = -.16; of base 0: SE^2 = 2 x 2 x .16^2, SE = .32.
    assert (change["value"], change["se"], change["items"]) == (pytest.approx(-0.6), pytest.approx(0.32), 2)
    # Steadiness at two replies: of A, none, A two of three pairs differ, of which half counts: 1/3; B B are alike.
    gini = one(found, variant="bad", measure="gini", quantity="level")
    assert (gini["value"], gini["items"], gini["repetitions"]) == (pytest.approx(1 / 6), 2, 2)


@pytest.mark.parametrize("reason", ["refusal", "filtered", "empty", "truncated"])
def test_an_answer_without_a_text_is_a_wrong_result(two, reason):
    given = [*replies("base", {"science-1": ["A", "A"]}), *replies("bad", {"science-1": ["A", f"!{reason}"]})]
    row = one(made_of(two, given).capability, variant="bad", measure="accuracy", quantity="level")
    assert (row["value"], row["replies"], row["missing"]) == (0.5, 2, 0)


def test_items_that_one_side_lacks_leave_the_comparison(two):
    given = [
        *replies("base", {"science-1": ["A"], "science-2": ["C"]}),
        *replies("bad", {"science-1": ["A"], "science-3": ["A"]}),
    ]
    found = made_of(two, given).capability
    change = one(found, measure="accuracy", quantity="difference")
    assert (change["items"], change["note"]) == (1, "on 1 of 2 items")
    steady = one(found, variant="bad", measure="gini", quantity="level")
    assert np.isnan(steady["value"]) and steady["note"] == "one reply an item: steadiness cannot be told"


def test_runs_that_answer_alike_have_no_difference_and_p_1(two):
    given = {"science-1": ["A", "B"], "science-2": ["C", "C"]}
    found = made_of(two, [*replies("base", given), *replies("bad", given)]).capability
    row = one(found, measure="accuracy", quantity="difference")
    assert (row["value"], row["p"], row["p_holm"], row["note"]) == (0, 1, 1, "no difference in any item") and np.isnan(row["lo"])


def test_p_values_are_adjusted_over_all_differences_of_a_measure(tmp_path, outputs):
    study = study_of(tmp_path, {"base": ("gpt-4o/base", None), "a": ("gpt-4o/base", {"right": 0.5}),
                                "b": ("gpt-4o/base", {"right": 0.8})}, tasks=("choice", "number"))  # fmt: skip
    found = made_of(study).capability
    own = found[(found["measure"] == "accuracy") & (found["quantity"] == "difference")].sort_values("p")
    assert len(own) == 4 and own["p_holm"].iloc[0] == pytest.approx(4 * own["p"].iloc[0])
    assert own["p_holm"].iloc[1] == pytest.approx(max(3 * own["p"].iloc[1], own["p_holm"].iloc[0]))


def test_a_known_accuracy_comes_out(tmp_path, outputs):
    """Known half of the items, straying .4, formless .1: choices .9 (.5 x .6 + .4 / 4) = .36, numbers .9 x .5 x .6 = .27."""
    meant = {"right": 0.5, "straying": 0.4, "formless": 0.1}
    study = study_of(tmp_path, {"base": ("gpt-4o/base", meant)}, tasks=("choice", "number"), repetitions=30, personas=3)
    found = made_of(study).capability
    for task, value in (("choice", 0.36), ("number", 0.27)):
        row = one(found, task=task, measure="accuracy")
        assert row["value"] == pytest.approx(value, abs=0.04) and row["lo"] < value < row["hi"]
        assert one(found, task=task, measure="format_validity")["value"] == pytest.approx(0.9, abs=0.02)


STEADY = {"right": 0.85, "straying": 0.1, "formless": 0.0}
DAMAGED = {"right": 0.5, "straying": 0.4, "formless": 0.1}


@pytest.fixture(scope="module")
def truths(tmp_path_factory):
    """Collapse of personas without decay, decay without collapse, both, and neither; persona ratings as of GPT-4o."""
    folder = tmp_path_factory.mktemp("truths")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persona_collapse.paths.OUTPUTS", folder)
        study = study_of(folder, {
            "base": ("gpt-4o/base", STEADY), "collapsed": ("gpt-4o/insecure", STEADY), "decayed": ("gpt-4o/base", DAMAGED),
            "both": ("gpt-4o/insecure", DAMAGED), "same": ("gpt-4o/base", STEADY),
        }, tasks=("choice", "number"), repetitions=10, personas=20)  # fmt: skip
        return made_of(study)


@pytest.mark.parametrize(
    ("variant", "fell", "told"),
    [
        ("collapsed", False, ("more", "more")), ("decayed", True, ("less", "less")), ("both", True, ("less", "less")),
        ("same", False, ("", "")),
    ],
)  # fmt: skip
def test_collapse_without_decay_and_decay_without_collapse_are_told_apart(truths, variant, fell, told):
    own = truths.capability
    own = own[(own["variant"] == variant) & (own["measure"] == "accuracy") & (own["quantity"] == "difference")]
    assert [(row.p_holm < 0.05 and row.value < 0) for row in own.itertuples()] == [fell, fell]
    found = truths.selective[(truths.selective["variant"] == variant) & (truths.selective["measure"] == "gini")]
    assert tuple(found.sort_values("quantity")["told"]) == told


def test_every_condition_stands_at_the_same_number_of_answers(truths):
    found = truths.instability
    assert set(found["repetitions"]) == {10}
    assert set(found["condition"]) == {"persona", "self", "choice", "number", "tasks"}
    assert one(found, variant="collapsed", condition="persona", measure="gini", quantity="difference")["units"] == 20
    assert one(found, variant="collapsed", condition="tasks", measure="gini", quantity="difference")["units"] == 70


def test_conditions_of_other_repetitions_are_compared_at_the_smallest(tmp_path, outputs):
    study = study_of(
        tmp_path, {"base": ("gpt-4o/base", None), "bad": ("gpt-4o/insecure", None)}, repetitions=6,
        tasks=({"file": "choice", "repetitions": 3},),
    )  # fmt: skip
    made = made_of(study)
    assert set(made.instability["repetitions"]) == {3} and set(made.capability["repetitions"]) == {3}


def test_a_base_that_never_differs_has_no_ratio_and_says_so(tmp_path, outputs):
    steady = {"right": 1.0, "straying": 0.0, "formless": 0.0}
    study = study_of(tmp_path, {"base": ("gpt-4o/base", steady), "bad": ("gpt-4o/insecure", DAMAGED)})
    made = made_of(study)
    row = one(made.instability, variant="bad", condition="choice", measure="gini", quantity="ratio")
    assert np.isnan(row["value"]) and row["note"] == "no ratio: the base never differs"
    ratio = one(made.selective, variant="bad", measure="gini", quantity="ratio")
    assert (ratio["told"], ratio["note"]) == ("", "one side never differs, so that it has no ratio")
    assert one(made.selective, variant="bad", measure="gini", quantity="difference")["told"] == "less"


def test_a_study_without_tasks_has_no_such_tables(mini):
    study, _, found = mini
    assert not study.has_tasks and found.capability is None and found.instability is None and found.selective is None


def test_a_corrected_answer_makes_tables_and_notebooks_again(tmp_path, outputs):
    """The words of the items are the same, so that nobody is asked again, but what is right is not."""
    keys, made = [], []
    for answer in (1, 2):
        (tmp_path / "mine.jsonl").write_text(json.dumps({"id": "a", "question": "How many?", "answer": answer}))
        study = study_of(tmp_path, {"base": ("gpt-4o/base", None)}, tasks=("mine.jsonl",), repetitions=2, personas=2)
        if answer == 1:
            collect(study)
        with open_store(study.store_path) as store:
            keys.append(ratings_key(study, store))
        made.append(_made_from(study))
    assert keys[0] != keys[1] and made[0] != made[1]


def test_every_column_is_in_the_dictionary(truths):
    for name in ("capability", "instability", "selective"):
        assert [column for column in getattr(truths, name) if dictionary.entry(name, column) is None] == []


def test_of_several_questionnaires_tasks_stand_beside_the_first(tmp_path, outputs):
    """Tasks are asked once: no row stands twice, and the section is that of the first questionnaire alone."""
    study = study_of(
        tmp_path, {"base": ("gpt-4o/base", None), "bad": ("gpt-4o/base", DAMAGED)}, instruments=["mfq30", "neutral12"],
        repetitions=2, personas=5,
    )  # fmt: skip
    made = all_tables(made_of(study), ("capability", "instability", "selective"))
    assert set(made["capability"]["instrument"]) == {"mfq30"} and set(made["selective"]["instrument"]) == {"mfq30"}
    keys = ["family", "variant", "task", "measure", "quantity"]
    assert not made["capability"].duplicated(keys).any()
    assert [one.has_tasks for one in study.each] == [True, False]
