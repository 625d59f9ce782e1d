"""Sentences, figures and tables of tasks say what capability.csv, instability.csv and selective.csv hold."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from persona_collapse.asking.collect import collect
from persona_collapse.exhibits import capability_figures, capability_sentences, capability_tables
from persona_collapse.exhibits.theme import spec, use_theme
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.instability import SelectiveRow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The shipped study of capability."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persona_collapse.paths.OUTPUTS", tmp_path_factory.mktemp("capability"))
        study = load_study("capability")
        collect(study)
        with open_store(study.store_path) as store:
            return Tables(read_ratings(study, store))


#: Persona +.30 [.20, .40], tasks +.10 [.05, .15]; in ratios 2 [1.5, 2.6] and 4 [2, 8].
ROW = SelectiveRow(
    "gpt-4o", "insecure", "gini", "difference", 0.3, 0.2, 0.4, 0.1, 0.05, 0.15, 0.2, 0.1, 0.3, 5, "more",
)  # fmt: skip
RATIO = SelectiveRow("gpt-4o", "insecure", "gini", "ratio", 2, 1.5, 2.6, 4, 2, 8, 0.5, 0.2, 1.2, 5)


def said(made, *rows):
    return capability_sentences.selective(pd.DataFrame(rows), made.study)


def test_selective_by_difference_and_not_by_ratio(made):
    assert said(made, ROW, RATIO) == (
        "- **GPT-4o insecure: selective in differences, not in ratios.** Gini impurity changes by +0.30 [0.20, 0.40] as personas "
        "and by +0.10 [0.05, 0.15] on tasks: +0.20 [0.10, 0.30] beyond it. In ratios × 2.00 [1.50, 2.60] as personas and × 4.00 "
        "[2.00, 8.00] on tasks: × 0.50 [0.20, 1.20] of it."
    )


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ({}, {"told": "more"}, "selective, in differences and in ratios"),
        ({}, {"told": "less"}, "selective in differences, not in ratios, where it is the reverse"),
        ({"told": ""}, {"told": "more"}, "selective in ratios, not in differences"),
        ({"told": "less"}, {"told": "less"}, "not selective; tasks suffer more than personas, in differences and in ratios"),
        ({"told": ""}, {"told": "less"}, "not selective; tasks suffer more than personas, in ratios"),
        ({"told": ""}, {}, "whether it is selective cannot be told"),
        # More than on tasks, as tasks became steadier: no rise as personas is no selective one.
        ({"persona_lo": -0.1}, {"persona_lo": 0.9}, "not selective; no rise of instability as personas can be told"),
        ({}, {"note": "one side never differs"}, "selective in differences; ratios do not exist"),
    ],
)
def test_every_verdict_has_its_words(made, first, second, verdict):
    text = said(made, ROW._replace(**first), RATIO._replace(**second))
    assert text.startswith(f"- **GPT-4o insecure: {verdict}.**")
    assert ("No ratio: one side never differs." in text) == bool(second.get("note"))


def test_accuracy_is_said_task_by_task_with_holm(made):
    rows = made.capability.copy()
    own = (rows["variant"] == "decayed") & (rows["measure"] == "accuracy") & (rows["quantity"] == "difference")
    rows.loc[own, ["value", "lo", "hi", "p_holm"]] = [-0.455, -0.599, -0.311, 0.0004]
    rows.loc[own & (rows["task"] == "number"), ["value", "lo", "hi", "p_holm"]] = [-0.02, -0.05, 0.01, 0.19]
    assert (
        "- **GPT-4o decayed**: accuracy on choice falls (-45.5 points [-59.9, -31.1], p < 0.001); on number shows no clear "
        "difference (-2.0 points [-5.0, 1.0], p = 0.19).\n"
    ) in capability_sentences.tasks(rows, made.study)
    assert capability_sentences.tasks(rows, made.study).endswith(
        "A reply that cannot be read is a wrong one. Intervals are for other items like these. p by Holm over 8 differences."
    )
    rows.loc[own & (rows["task"] == "choice"), ["value", "lo", "hi"]] = [0, np.nan, np.nan]
    rows.loc[own, "differs"] = "served by <b>another</b>"
    rows.loc[rows["variant"] == "base", "missing"] = 3
    text = capability_sentences.tasks(rows, made.study)
    assert "on choice shows no difference in any item" in text and "6 replies never came and count nowhere." in text
    assert "Its sides differ in more: served by \\<b\\>another\\</b\\>." in text


def test_the_head_of_the_page_names_who_lost_and_who_is_selective(made):
    (line,) = capability_sentences.summary(made)
    assert line == (
        "**Capability**: accuracy on tasks falls in 1 of 4 variants (GPT-4o decayed); instability rises more as personas than on "
        "tasks under GPT-4o persona-only by difference alone."
    )


def test_a_study_without_tasks_says_so_and_shows_nothing(mini):
    study = mini[0]
    assert capability_sentences.tasks(None, study) == "No task was given: a study file says so by `tasks:`."
    assert "Nothing was asked twice" in capability_sentences.selective(None, study)
    assert capability_figures.tasks(None, study) is None and capability_figures.instability(None, study) is None
    assert capability_tables.tasks_table(None, study) is None and capability_tables.instability_table(None, study) is None
    assert capability_sentences.summary(mini[2]) == []


def rows_of(chart):
    return [row for rows in spec(chart)["datasets"].values() for row in rows]


def test_figures_draw_the_rows_of_the_files(made):
    use_theme()
    drawn = rows_of(capability_figures.tasks(made.capability, made.study))
    own = made.capability.query("measure == 'accuracy' and quantity == 'level'")
    assert sorted(row["value"] for row in drawn) == pytest.approx(sorted(100 * own["value"]), rel=1e-5) and len(drawn) == 10
    drawn = rows_of(capability_figures.instability(made.instability, made.study))
    own = made.instability.query("quantity != 'level'").dropna(subset="value")
    assert sorted(row["value"] for row in drawn) == pytest.approx(sorted(own["value"]), rel=1e-5)
    assert {row["Condition"] for row in drawn} == {"as personas", "without a persona", "choice", "number", "all tasks"}


def test_every_number_of_the_tables_is_in_the_files(made):
    runs, walked = {run.name: run.variant.key for run in made.study.runs}, 0
    for row in capability_tables.tasks_table(made.capability, made.study).reset_index().to_dict("records"):
        own = made.capability.query(f"variant == {runs[row['run']]!r} and task == {row['task']!r}")
        for name, measure, quantity, unit, digits in (
            ("accuracy", "accuracy", "level", 100, 1), ("against the base", "accuracy", "difference", 100, 1),
            ("in form", "format_validity", "level", 100, 1), ("not alike", "non_unanimity", "level", 100, 1),
            ("Gini", "gini", "level", 1, 3),
        ):  # fmt: skip
            walked += walk(row[name], own[(own["measure"] == measure) & (own["quantity"] == quantity)], unit, digits)
    names = {called: key for key, called in capability_tables.NAMES.items()}
    for row in capability_tables.instability_table(made.instability, made.study).reset_index().to_dict("records"):
        own = made.instability[made.instability["variant"] == runs[row["run"]]]
        own = own[(own["condition"] == names.get(row["condition"], row["condition"])) & (own["measure"] == "gini")]
        for name, quantity, digits in (("Gini", "level", 3), ("difference", "difference", 3), ("ratio", "ratio", 2)):
            walked += walk(row[name], own[own["quantity"] == quantity], 1, digits)
    assert walked > 250


def walk(cell, rows, unit, digits):
    shown = re.findall(r"-?\d+\.\d+", cell)
    expected = unit * rows[["value", "lo", "hi"]].to_numpy().reshape(-1)[: len(shown)]
    assert [float(text) for text in shown] == pytest.approx(expected, abs=0.5 * 10**-digits + 1e-9), cell
    return len(shown)


def test_names_from_outside_are_text(made):
    file = made.study.file
    families = tuple(family.model_copy(update={"label": "<b>*x*"}) for family in file.families)
    study = replace(made.study, file=file.model_copy(update={"families": families}))
    assert "**\\<b\\>\\*x\\* base** answers rightly" in capability_sentences.tasks(made.capability, study)
    rows = made.capability.assign(task=made.capability["task"].replace("choice", "<i>c"))
    assert "\\<i\\>c 85 %" in capability_sentences.tasks(rows, made.study)


def test_methods_say_how_replies_are_read(made):
    text = capability_sentences.methods(made.study)
    assert "`choice`: 40 items, 5 repetitions at T = 0.1, 8 tokens; the whole reply is the answer" in text
    assert "`number`: 30 items, 5 repetitions at T = 0.1, 512 tokens; the answer stands behind the last marker" in text
