"""What the lesson computes, quotes and draws; nothing of it needs a key or a network."""

import json
import math
import os
import re

import numpy as np
import pytest

from persona_collapse.exhibits import theme
from persona_collapse.lesson import blackboard, quoted_figures
from persona_collapse.lesson import figures as lesson_figures
from persona_collapse.paths import NOTEBOOKS
from persona_collapse.study.study import load_study
from persona_collapse.tables import printed_figures

CELLS = json.loads((NOTEBOOKS / "00_tour.ipynb").read_text(encoding="utf-8"))["cells"]
PROSE = ["".join(c["source"]) for c in CELLS if c["cell_type"] == "markdown"]
CODE = ["".join(c["source"]) for c in CELLS if c["cell_type"] == "code"]


@pytest.fixture(scope="module")
def study():
    return load_study("mini", files=False)


@pytest.fixture(scope="module")
def repeated(study):
    return blackboard.more_repetitions(study, "gpt-4o", numbers=(2, 5, 10))


@pytest.fixture(scope="module")
def small(study):
    return blackboard.small_studies(study, "gpt-4o", sizes=(10, 50), times=4)


def test_a_prompt_loses_nothing_when_its_lines_are_broken(study):
    prompt = study.instrument.prompt(study.instrument.items[0], study.personas[0].text)
    shown = blackboard.readable(prompt)
    assert shown.split() == prompt.split() and max(map(len, shown.splitlines())) <= 97
    assert prompt in blackboard.readable(prompt, width=10_000)


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_the_blackboard_is_two_by_two_by_two_and_gives_what_a_hand_finds():
    cells = blackboard.by_hand(blackboard.blackboard())
    assert blackboard.blackboard().shape == (4, 2)
    # means (4 + 5) / 2, 2, (1 + 3) / 2, 4; SDs 1 / sqrt 2, 0, 2 / sqrt 2, 0
    assert cells["mean"].tolist() == [4.5, 2, 2, 4]
    assert cells["SD"].tolist() == [0.707, 0, 1.414, 0]


def test_an_sd_is_written_out_step_by_step():
    # mean (4.5 + 2) / 2 = 3.25; 2 x 1.25^2 = 3.125; root 1.768
    assert blackboard.sd_steps([4.5, 2], "Item 1") == (
        r"$$\mathrm{SD}\,(\text{Item 1}) = \sqrt{\frac{(4.5 - 3.25)^2 + (2 - 3.25)^2}{2 - 1}} = 1.768$$"
    )


def test_the_largest_s_is_half_the_scale_times_the_small_sample_factor(study):
    # Half at 0, half at 5: every deviation is 2.5, so the SD is 2.5 sqrt(n / (n - 1)).
    assert blackboard.largest_s(study) == pytest.approx(2.5 * math.sqrt(100 / 99))
    assert "**2.51**" in blackboard.ceiling(study)


# --- simulated -------------------------------------------------------------------------------------------------------


def test_more_repetitions_lower_r_and_leave_s_nearly_alone(repeated):
    for _, rows in repeated.groupby("variant"):
        assert rows["R"].is_monotonic_decreasing
        assert rows["S"].max() / rows["S"].min() < 1.05
    assert "from 2 repetitions" in blackboard.repeated(repeated)


def test_two_repetitions_of_the_fair_cell_of_exercise_four_show_its_bias():
    # The mean SD of two draws is 0.354 where the cell's own SD is 0.5.
    drawn = np.random.default_rng(4).integers(3, 5, size=(20_000, 2))
    assert np.std(drawn, axis=1, ddof=1).mean() == pytest.approx(math.sqrt(2) / 4, abs=0.01)


def test_more_personas_narrow_the_interval(small):
    studies, whole = small
    width = (studies["hi"] - studies["lo"]).groupby(studies["personas"]).mean()
    # sqrt 5 = 2.24, give or take the chance of four studies
    assert 1.5 < width[10] / width[50] < 3.5
    assert "5 times the personas" in blackboard.narrowed(studies, whole)


def test_the_small_studies_are_the_same_every_time(study, small):
    again, whole = blackboard.small_studies(study, "gpt-4o", sizes=(10, 50), times=4)
    assert again.equals(small[0]) and whole == small[1]


def test_the_walk_is_told_by_its_ends(study):
    steps, profiles = blackboard.carry(study, "gpt-4o", steps=2)
    said = blackboard.carried(steps, profiles, study)
    assert f"**{steps['S'].iloc[-1]:.2f}**" in said and f"**{steps['R'].iloc[-1]:.1f}**" in said and said.endswith("of 5.")


# --- quoted ----------------------------------------------------------------------------------------------------------


def test_quoted_levels_are_the_printed_ones():
    table = quoted_figures.levels().set_index(["model", "variant"])
    assert len(table) == 12
    # the paper's tables of S and R
    assert table.loc[("GPT-4o", "insecure")].tolist() == [1.68, 0.03, 3.05, 0.13]
    assert quoted_figures.levels_table().loc["GPT-4o", ("R", "base")] == "9.75 ± 0.42"


def test_what_is_said_of_the_published_families_follows_from_the_table():
    # S of secure rises for DeepSeek (0.79 to 0.84) and Qwen (0.90 to 0.91) only; R of every fine-tune falls.
    said = quoted_figures.levels_line()
    assert "S rises in **4 of 4** families and R falls in **4 of 4**" in said
    assert "+55 % and -65 %" in said and "R falls in 4 of 4 families, while S rises in 2." in said


def test_what_is_said_of_anchors_follows_from_the_table():
    # insecure below secure: DeepSeek .654 < .680 and Qwen .829 < .862; extremity not larger: DeepSeek .519 < .521
    said = quoted_figures.anchors_line()
    assert "weaker in only 2 of 4, while the steps are larger in 3 of 4" in said
    table = quoted_figures.anchors().set_index(["model", "variant"])["anchor"]
    assert table["GPT-4o"].idxmin() == "secure"


def test_what_is_said_of_repetitions_and_stacks_follows_from_the_figures():
    # 28.47 / 14.48 = 1.97; 0.8310 / 0.8212 = 1.012; 1 - 2.46 / 20.75 = 0.88; 1 - 2.46 / 38.77 = 0.94
    assert "2.0 times" in quoted_figures.repetitions_line() and "1.2 %" in quoted_figures.repetitions_line()
    assert "a fall by 88 %, from 38.77 by 94 %" in quoted_figures.stacks_line()
    assert all(
        "2605.12850" in line()
        for line in (quoted_figures.repetitions_line, quoted_figures.stacks_line, quoted_figures.anchors_line)
    )


def test_recomputed_figures_agree_with_the_printed_ones_where_both_exist():
    printed = printed_figures.figures(quoted_figures.PRINTED)["runs"]
    found = printed_figures.figures(quoted_figures.RECOMPUTED)
    for row in (found["repetitions"]["rows"][-1] | {"run": found["repetitions"]["run"]}, found["stacks"]["rows"][0]):
        for metric in ("susceptibility", "robustness"):
            assert row[metric] == pytest.approx(printed[row["run"]][metric]["overall"]["value"], abs=6e-5)


DATA = os.environ.get("PUBLISHED_DATA")


@pytest.mark.skipif(not DATA, reason="PUBLISHED_DATA is not set; give the folder of the paper's rating files")
def test_recomputed_figures_follow_from_the_published_ratings(outputs):
    from persona_collapse.asking.collect import collect
    from persona_collapse.statistics import published_estimators
    from persona_collapse.store.ratings import read_ratings
    from persona_collapse.store.store import open_store
    from persona_collapse.study.scopes import scope_matrix

    study = load_study("published", DATA)
    found = printed_figures.figures(quoted_figures.RECOMPUTED)
    rows = [(row["run"], None, row) for row in found["stacks"]["rows"]]
    rows += [(found["repetitions"]["run"], row["n"], row) for row in found["repetitions"]["rows"]]
    runs = [study.run(*run.split("/")) for run in dict.fromkeys(run for run, *_ in rows)]
    collect(study, runs)
    scope = scope_matrix(study.instrument)
    with open_store(study.store_path) as store:
        for run, n, row in rows:
            counts = read_ratings(study, store).counts(study.run(*run.split("/")), "persona")
            if n:
                counts = np.zeros_like(counts)
                for persona, item, repetition, rating in store.ratings(*run.split("/"), "persona"):
                    counts[persona, item - 1, int(rating)] += repetition <= n
            level = published_estimators.published(counts, study.instrument.categories, scope)
            assert level.susceptibility[0] == pytest.approx(row["susceptibility"], abs=6e-5), (run, n)
            assert level.robustness[0] == pytest.approx(row["robustness"], abs=6e-5), (run, n)


# --- drawn -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def figures(repeated, small):
    theme.use_theme()
    return {
        "repetitions": lesson_figures.repetition_curves(repeated),
        "intervals": lesson_figures.interval_rows(*small),
        "printed": lesson_figures.printed_map(quoted_figures.levels()),
        "anchors": lesson_figures.anchor_map(quoted_figures.anchors()),
    }


@pytest.mark.parametrize("name", ["repetitions", "intervals", "printed", "anchors"])
def test_a_figure_of_the_lesson_is_described_stable_and_says_what_it_is_made_of(figures, name):
    spec = theme.spec(figures[name])
    text = json.dumps(spec, allow_nan=False)
    assert len(spec["description"]) > 40 and len(spec["usermeta"]["caption"]) > 40
    simulated = name in ("repetitions", "intervals")
    assert spec["title"]["subtitle"] == [theme.SIMULATED if simulated else "Published figures: arXiv 2605.12850"]
    assert spec["description"].endswith("Simulated ratings.") == simulated
    for rows in spec["datasets"].values():
        assert all(v == float(f"{v:.6g}") for row in rows for v in row.values() if isinstance(v, float))
    assert text == json.dumps(theme.spec(figures[name]))


def test_variants_have_the_colours_of_the_other_figures(figures):
    # Okabe-Ito blue, green and vermilion, as base, control and harmful look in charts.py
    assert json.dumps(theme.spec(figures["printed"])).count('"#0072B2", "#009E73", "#D55E00"') >= 2
    assert '"#0072B2", "#D55E00"' in json.dumps(theme.spec(figures["repetitions"]))


# --- the lesson as a whole -------------------------------------------------------------------------------------------


def test_the_lesson_takes_45_minutes_in_five_parts():
    listed = [int(m) for m in re.findall(r"\*\* \((\d+) min\)", PROSE[0])]
    headed = [int(m) for text in PROSE for m in re.findall(r"^## \d .+ · (\d+) minutes$", text, re.MULTILINE)]
    assert listed == headed and len(listed) == 5 and sum(listed) == 45


def test_there_is_at_least_as_much_prose_as_code():
    assert len(PROSE) >= len(CODE)
    lines = [len(text.splitlines()) for text in CODE]
    assert sum(n > 5 for n in lines) <= 1 and max(lines) <= 12
    assert sum(len(text.split()) for text in PROSE) > sum(len(text.split()) for text in CODE)


def test_every_chart_is_followed_by_prose():
    drawn = [i for i, c in enumerate(CELLS) if any(theme.MIME in o.get("data", {}) for o in c.get("outputs", []))]
    assert len(drawn) >= 7
    assert all(CELLS[i + 1]["cell_type"] == "markdown" for i in drawn)


def test_the_figures_that_prose_quotes_are_the_printed_ones():
    table = quoted_figures.levels().set_index(["model", "variant"])["R"]
    text = "\n".join(PROSE)
    assert f"R is printed as {table['GPT-4o', 'base']:.2f} for the base and {table['GPT-4o', 'insecure']:.2f}" in text
    three = [f"{table['GPT-4o', v]:.2f} for {v}" for v in ("base", "secure", "insecure")]
    assert f"R of GPT-4o is {three[0]}, {three[1]} and {three[2]} (arXiv 2605.12850)" in text
