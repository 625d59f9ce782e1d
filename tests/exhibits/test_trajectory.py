"""Sentences, figures and the table of a training step by step say what trajectory.csv and peaks.csv hold."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from persona_collapse.exhibits import trajectory_figures, trajectory_sentences, trajectory_tables
from persona_collapse.exhibits.theme import spec, use_theme
from persona_collapse.tables.trajectory import PeakRow

#: A told peak whose fall goes with the ceiling.
PEAK = PeakRow(
    "gpt-4o", "insecure", "mfq30", "susceptibility", "recommended", 7, 40, "insecure-step0600", 600, 400, 800, True, "%",
    93.0, 75.0, 115.0, -42.0, -46.0, -32.0, 13.0, 0.8, 37.0, 29.0, 26.0, 32.0, 2.2, -2.3, 6.9, True,
)  # fmt: skip


def said(training, row=PEAK, printed=None):
    peaks = pd.DataFrame([row, (printed or row)._replace(method="published")])
    return trajectory_sentences.steps(peaks, training.trajectory, training.study)


def test_a_peak_is_said_with_rise_fall_and_ceiling(training):
    assert said(training) == (
        "- **GPT-4o insecure: S rises and then falls.** It is highest at step 600 [400, 800], 93 % [75, 115] above the base, and "
        "from there falls by 42 % [32, 46] to step 1200. **The fall goes with the ceiling**: on the way down the share of ratings at "
        "the top of the scale changes by +29 pp [26, 32], and S relative to the room that item means leave does not clearly fall "
        "(+2.2 % [-2.3, 6.9]). By the paper's formula: highest at step 600 [400, 800]."
    )


def test_a_fall_beyond_the_ceiling_and_one_without_it_are_said(training):
    beyond = PEAK._replace(relative=-20.0, relative_lo=-30.0, relative_hi=-10.0, with_ceiling=False)
    assert "The ceiling is not all of the fall: " in said(training, beyond)
    assert "falls as well (-20 % [-30, -10])." in said(training, beyond)
    apart = beyond._replace(top_pp=-3.0, top_lo=-5.0, top_hi=-1.0)
    assert (
        "The fall does not go with the ceiling: on the way down the share of ratings at the top of the scale changes by -3 pp"
        in said(training, apart)
    )
    unknown = PEAK._replace(relative=np.nan, relative_lo=np.nan, relative_hi=np.nan, with_ceiling=False)
    assert "S relative to the room that item means leave has no interval." in said(training, unknown)


def test_what_cannot_be_told_is_named(training):
    no_fall = PEAK._replace(told=False, fall=-3.0, fall_lo=-8.0, fall_hi=2.0)
    assert said(training, no_fall).startswith(
        "- **GPT-4o insecure: no peak of S can be told.** S is highest at step 600 [400, 800], but its fall cannot be told from "
        "none: +93 % [75, 115] from the base, then -3.0 % [-8.0, 2.0] to step 1200."
    )
    neither = no_fall._replace(rise=1.0, rise_lo=-4.0, rise_hi=6.0)
    assert "but its rise and its fall cannot be told from none" in said(training, neither)


@pytest.mark.parametrize(
    ("variant", "step", "words"), [("base", 0, "the base (step 0"), ("insecure", 1200, "the end (step 1200")]
)
def test_a_highest_step_at_an_end_of_the_path_is_no_peak(training, variant, step, words):
    row = PEAK._replace(told=False, variant=variant, step=step, lo=step, hi=step)
    assert (
        f"S is highest at {words} [{step}, {step}]); from the base to step 1200 it changes by +13 % [0.8, 37]."
        in said(training, row)
    )  # fmt: skip


def test_where_the_papers_formula_says_otherwise_it_is_said(training):
    assert said(training, printed=PEAK._replace(told=False)).endswith(
        "By the paper's formula no peak can be told: 600 [400, 800]."
    )


def test_a_difference_in_scale_points_is_said_so(training):
    row = PEAK._replace(unit="scale points", rise=0.8, rise_lo=0.6, rise_hi=1.0)
    assert "0.80 scale points [0.60, 1.00] above the base" in said(training, row)


def test_why_nothing_can_be_told_is_said(training):
    row = PeakRow("gpt-4o", "insecure", "mfq30", "susceptibility", "recommended", 2, 40, why="2 steps that can be compared")
    assert said(training, row) == "- **GPT-4o insecure: no peak of S can be told**: 2 steps that can be compared."


def test_a_study_without_checkpoints_says_so_and_shows_nothing(mini):
    study = mini[0]
    for function in (trajectory_sentences.steps, trajectory_sentences.steps_personas):
        assert (
            function(None, None, study)
            == "No run has checkpoints: a variant with `of`, the fine-tune, and `step`, of its training."
        )
    assert trajectory_figures.steps(None, study, "susceptibility") is None
    assert trajectory_figures.steps_scale(None, study) is None and trajectory_tables.steps_table(None, study) is None


def test_the_head_of_the_page_counts_paths(training):
    (line,) = trajectory_sentences.summary(training)
    assert line.startswith(
        "**S rises and then falls along the training** in 1 of 2 paths of checkpoints: GPT-4o insecure (highest at"
    )


def test_personas_are_counted_by_step_where_they_differ(training):
    found = training.trajectory.copy()
    own = (found["variant"] == "insecure-step0600") & (found["on"] == "all")
    found.loc[own, "personas"] = 100
    peaks = training.peaks.assign(left="x: no ratings.")
    text = trajectory_sentences.steps_personas(found, peaks, training.study)
    assert "- GPT-4o secure: all 4 steps have the same 40 personas." in text
    assert (
        "- GPT-4o insecure: 7 steps are compared on the 40 personas that all of them share; personas by step: 0: 40, 200: 40, 400: "
        "40, 600: 100, 800: 40, 1000: 40, 1200: 40. Left out of the comparison: x: no ratings."
    ) in text


def marked(training):
    """The table where another stack served the base."""
    base = training.trajectory["variant"] == "base"
    return training.trajectory.assign(
        stack=np.where(base, "<b>old</b>", "new"), other_stack=np.where(base, "<b>old</b>", "")
    )  # fmt: skip


def test_another_stack_is_marked_in_sentence_figure_and_table(training):
    found = marked(training)
    peaks = training.peaks.assign(other_stack="0 by <b>old</b>")
    text = trajectory_sentences.steps(peaks, found, training.study)
    assert (
        "Served otherwise: step 0 by \\<b\\>old\\</b\\>; the other steps by new. What differs between them, such as the rise"
        in text
    )
    chart = spec(trajectory_figures.steps(found, training.study, "susceptibility"))
    assert "†: served by another stack than most steps" in chart["usermeta"]["caption"] and "†" in str(chart["spec"])
    assert "†" not in str(spec(trajectory_figures.steps(training.trajectory, training.study, "susceptibility"))["spec"])
    table = trajectory_tables.steps_table(found, training.study)
    assert table["step"].tolist()[0] == "0†" and table["step"].tolist()[1] == "400"


def rows_of(chart):
    return [row for rows in spec(chart)["datasets"].values() for row in rows]


def test_a_figure_draws_the_shared_rows_of_both_methods(training):
    use_theme()
    rows = rows_of(trajectory_figures.steps(training.trajectory, training.study, "susceptibility"))
    assert len(rows) == 2 * (4 + 7)  # methods, steps of the two paths
    own = training.trajectory.query("on == 'shared' and metric == 'susceptibility'")
    assert sorted(row["value"] for row in rows) == pytest.approx(sorted(own["value"]), rel=1e-5)
    assert {row["Variant"] for row in rows} == {"secure", "insecure"}  # checkpoints lie on the lines of their fine-tunes


def test_personas_of_each_step_can_be_chosen_only_where_they_differ(training):
    study = training.study
    found = training.trajectory.copy()
    assert not any(param["name"] == "whom" for param in spec(trajectory_figures.steps(found, study, "robustness"))["params"])
    found.loc[(found["variant"] == "insecure") & (found["on"] == "all"), "personas"] = 100
    chart = spec(trajectory_figures.steps(found, study, "robustness"))
    (whom,) = [param for param in chart["params"] if param["name"] == "whom"]
    assert whom["bind"]["options"] == ["shared by all steps", "all of each step"]
    assert "On the personas that all steps of a path share." in chart["usermeta"]["caption"]


def test_the_use_of_the_scale_has_a_panel_a_measure(training):
    chart = trajectory_figures.steps_scale(training.trajectory, training.study)
    panels = spec(chart)["facet"]["sort"]
    assert panels == [
        "Entropy of all ratings (bits)", "Share at both ends of the scale", "Share at the top of the scale",
        "Mean without a persona (scale points)",
    ]  # fmt: skip
    assert {row["Panel"] for row in rows_of(chart)} == set(panels)
    without = training.trajectory[training.trajectory["on"] != "self"]
    chart = trajectory_figures.steps_scale(without, training.study)
    assert len(spec(chart)["facet"]["sort"]) == 3 and "without a persona" not in chart.usermeta["caption"]


def test_every_number_of_the_table_is_in_the_file(training):
    table = trajectory_tables.steps_table(training.trajectory, training.study).reset_index()
    own = training.trajectory[(training.trajectory["on"] != "all") & (training.trajectory["method"] == "recommended")]
    runs, walked = {run.name: run for run in training.study.runs}, 0
    for row in table.to_dict("records"):
        for name, (metric, digits) in trajectory_tables._COLUMNS.items():
            at = own[(own["of"] == runs[row["fine-tune"]].variant.key) & (own["position"] == float(row["step"]))]
            at = at[at["metric"] == metric]
            shown = re.findall(r"-?\d+\.\d+", row[name])
            expected = at[["value", "lo", "hi"]].to_numpy().reshape(-1)[: len(shown)]
            assert [float(text) for text in shown] == pytest.approx(expected, abs=0.5 * 10**-digits + 1e-9), (name, row)
            walked += len(shown)
    assert walked > 130


def test_labels_from_outside_are_text(training):
    """A label of a study file is no markup in a sentence."""
    file = training.study.file
    families = tuple(family.model_copy(update={"label": "<b>*x*"}) for family in file.families)
    study = replace(training.study, file=file.model_copy(update={"families": families}))
    assert "\\<b\\>\\*x\\* insecure: S rises" in trajectory_sentences.steps(training.peaks, training.trajectory, study)
