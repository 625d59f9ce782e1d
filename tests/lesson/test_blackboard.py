"""What the lesson computes, quotes and draws; nothing of it needs a key or a network."""

import json
import math
import os
import re

import numpy as np
import pytest

from persona_collapse.exhibits import theme
from persona_collapse.lesson import blackboard, quoted_figures, three_models
from persona_collapse.lesson import figures as lesson_figures
from persona_collapse.lesson.exercises import EXERCISES
from persona_collapse.paths import NOTEBOOKS
from persona_collapse.statistics.estimates import robustness, susceptibility
from persona_collapse.study.load_study import load_study
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
    # means (1 + 3) / 2, 5, (1 + 2) / 2, 0; variances 2^2 / 2, 0, 1^2 / 2, 0
    assert cells["mean"].tolist() == [2, 5, 1.5, 0]
    assert cells["variance"].tolist() == [2, 0, 0.5, 0]


def test_the_library_finds_what_the_exercises_ask_for():
    """One formula of R, and one of S: by hand and by `robustness` and `susceptibility`."""
    counts = np.zeros((2, 2, 6), dtype=int)
    for place, pair in enumerate(blackboard.BLACKBOARD.values()):
        for rating in pair:
            counts[place % 2, place // 2, rating] += 1
    assert robustness(counts).value == pytest.approx(EXERCISES["robustness"].right, abs=5e-5)
    assert susceptibility(counts).value == pytest.approx(EXERCISES["susceptibility"].right)


def test_a_variance_is_written_out_step_by_step():
    # mean (1 + 3) / 2 = 2; 1 + 1 over 1
    assert blackboard.variance_steps([1, 3], "nurse, Item 1") == (
        r"$$v\,(\text{nurse, Item 1}) = \frac{(1 - 2)^2 + (3 - 2)^2}{2 - 1} = 2$$"
    )


def test_the_sd_between_people_is_written_out_step_by_step():
    # V = 2 x 1.5^2 = 4.5; luck (2 / 2 + 0 / 2) / 2 = 0.5; root of 4 is 2
    said = blackboard.spread_steps(blackboard.by_hand(blackboard.blackboard()).loc["Item 1"], 2, "Item 1")
    assert r"V = \frac{(2 - 3.5)^2 + (5 - 3.5)^2}{2 - 1} = 4.5, \qquad " in said
    assert r"L = \frac{1}{2}\left(\frac{2}{2} + \frac{0}{2}\right) = 0.5, \qquad " in said
    assert said.endswith(r"\mathrm{SD}\,(\text{Item 1}) = \sqrt{4.5 - 0.5} = 2$$")


# --- simulated -------------------------------------------------------------------------------------------------------


def test_more_repetitions_lower_r_by_the_papers_formula_and_not_by_ours(repeated):
    for _, rows in repeated.groupby("variant"):
        of = {formula: own["R"] for formula, own in rows.groupby("formula")}
        assert of["the paper's"].is_monotonic_decreasing and of["the paper's"].max() / of["the paper's"].min() > 1.3
        assert of["ours"].max() / of["ours"].min() < 1.06
    assert "from 2 repetitions" in blackboard.repeated(repeated)


def test_two_repetitions_of_the_fair_cell_of_exercise_seven_show_its_bias():
    # The mean SD of two draws is 0.354 where the cell's own SD is 0.5; the root of the mean variance is 0.5.
    drawn = np.random.default_rng(4).integers(3, 5, size=(20_000, 2))
    assert np.std(drawn, axis=1, ddof=1).mean() == pytest.approx(math.sqrt(2) / 4, abs=0.01)
    assert math.sqrt(np.var(drawn, axis=1, ddof=1).mean()) == pytest.approx(0.5, abs=0.01)


def test_more_personas_narrow_the_interval(small):
    studies, whole = small
    width = (studies["hi"] - studies["lo"]).groupby(studies["personas"]).mean()
    # sqrt 5 = 2.24, and t of 9 over t of 49 degrees of freedom, 2.26 / 2.01, give or take the chance of four studies
    assert 1.5 < width[10] / width[50] < 4
    assert "5 times the personas" in blackboard.narrowed(studies, whole)


def test_the_small_studies_are_the_same_every_time(study, small):
    again, whole = blackboard.small_studies(study, "gpt-4o", sizes=(10, 50), times=4)
    assert again.equals(small[0]) and whole == small[1]


def test_the_walk_is_told_by_its_ends(study):
    steps, profiles = blackboard.carry(study, "gpt-4o", steps=2)
    said = blackboard.carried(steps, profiles, study)
    assert f"**{steps['S'].iloc[-1]:.2f}**" in said and f"**{steps['R'].iloc[-1]:.1f}**" in said and said.endswith("of 5.")


# --- quoted ----------------------------------------------------------------------------------------------------------


def test_what_is_said_of_the_published_families_follows_from_the_table():
    # S of secure rises for DeepSeek (0.785 to 0.816) and Qwen (0.897 to 0.906) only; R of every fine-tune falls.
    # S: 0.8586 / 0.7849, 1.1175 / 0.8193, 1.6685 / 0.7904, 1.4288 / 0.8967, less 1: 9, 36, 111, 59, on average 54
    # R: 1.4906 / 2.4081, 2.1958 / 5.6107, 1.6376 / 4.6418, 1.4881 / 6.1588, less 1: -38, -61, -65, -76, on average -60
    said = quoted_figures.levels_line()
    assert "S rises in **4 of 4** families and R falls in **4 of 4**" in said
    assert "S changes by +54 % and R by -60 %" in said and "R falls in 4 of 4 families, while S rises in 2." in said
    assert len(quoted_figures.levels()) == 12
    assert quoted_figures.levels_table().loc["GPT-4o", ("R", "base")] == "4.64 [4.44, 4.85]"


def test_what_is_said_of_verdicts_follows_from_the_table():
    said = quoted_figures.verdicts_line()
    assert said.startswith(
        "After secure code the report's rules say *noisier* in 4 of 4 families (DeepSeek-V3.1, GPT-4.1, GPT-4o, "
    )
    assert "*collapse, dysregulated* in 3 of 4 families (GPT-4.1, GPT-4o, Qwen3-235B)" in said


def test_what_the_paper_prints_is_quoted_as_printed():
    # the paper's tables of S and R, and its abstract
    said = quoted_figures.printed_line()
    assert (
        "R = 9.75 at the base and 3.05 after insecure code, S = 0.79 and 1.68" in said and "+55 % for S and -65 % for R" in said
    )


def test_what_is_said_of_anchors_follows_from_the_table():
    # insecure below secure: DeepSeek .654 < .680 and Qwen .829 < .862; extremity not larger: DeepSeek .519 < .521
    said = quoted_figures.anchors_line()
    assert "weaker in only 2 of 4, while the steps are larger in 3 of 4" in said
    table = quoted_figures.anchors().set_index(["model", "variant"])["anchor"]
    assert table["GPT-4o"].idxmin() == "secure"


def test_what_is_said_of_repetitions_and_stacks_follows_from_the_figures():
    # 28.47 / 14.48 = 1.97; 1 - 1.4881 / 6.1588 = 0.758; 1 - 1.4881 / 8.3896 = 0.823
    said = quoted_figures.repetitions_line()
    assert "2.0 times" in said and "Ours gives 6.3 and 5.6" in said
    assert "a fall by 76 %, from 8.39 by 82 %" in quoted_figures.stacks_line()
    lines = ("levels_line", "verdicts_line", "printed_line", "repetitions_line", "stacks_line", "anchors_line")
    assert all("2605.12850" in getattr(quoted_figures, line)() for line in lines)


def test_recomputed_figures_agree_with_each_other_and_with_the_printed_ones():
    printed = printed_figures.figures(quoted_figures.PRINTED)["runs"]
    found = printed_figures.figures(quoted_figures.RECOMPUTED)
    levels = {row["run"]: row for row in found["levels"]["rows"]}
    last, run = found["repetitions"]["rows"][-1], found["repetitions"]["run"]
    assert last["robustness"] == pytest.approx(printed[run]["robustness"]["overall"]["value"], abs=6e-5)
    assert last["robustness_recommended"] == levels[run]["robustness"][0]
    one = found["stacks"]["rows"][0]
    for metric in ("susceptibility", "robustness"):
        assert one[f"{metric}_recommended"] == levels[one["run"]][metric][0]
    # Ours takes the luck off S, and the root of a mean of squares is above the mean.
    for key, row in levels.items():
        assert row["susceptibility"][0] < printed[key]["susceptibility"]["overall"]["value"]
        assert row["robustness"][0] < printed[key]["robustness"]["overall"]["value"]
        assert all(row[m][1] < row[m][0] < row[m][2] for m in ("susceptibility", "robustness"))


DATA = os.environ.get("PUBLISHED_DATA")


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="PUBLISHED_DATA is not set; give the folder of the paper's rating files")
def test_recomputed_figures_follow_from_the_published_ratings(outputs):
    from persona_collapse.asking.collect import collect
    from persona_collapse.statistics import published_estimators
    from persona_collapse.store.ratings import read_ratings
    from persona_collapse.store.store import open_store
    from persona_collapse.study.scopes import scope_matrix
    from persona_collapse.tables.build import tables_of

    study = load_study("published", DATA)
    found = printed_figures.figures(quoted_figures.RECOMPUTED)
    collect(study, study.runs)
    with open_store(study.store_path) as store:
        ratings = read_ratings(study, store)
    verdicts = tables_of(ratings).verdict.set_index(["family", "variant"])["verdict"]
    for row in found["levels"]["rows"]:
        counts = ratings.counts(row["run"])
        assert list(susceptibility(counts)) == pytest.approx(row["susceptibility"], abs=6e-5), row["run"]
        assert list(robustness(counts)) == pytest.approx(row["robustness"], abs=6e-5), row["run"]
        assert row.get("verdict") == verdicts.get(tuple(row["run"].split("/"))), row["run"]
    for row in found["stacks"]["rows"]:
        counts = ratings.counts(row["run"])
        assert susceptibility(counts).value == pytest.approx(row["susceptibility_recommended"], abs=6e-5)
        assert robustness(counts).value == pytest.approx(row["robustness_recommended"], abs=6e-5)
    scope = scope_matrix(study.instrument)
    for row in found["repetitions"]["rows"]:
        counts = ratings.first(row["n"]).counts(found["repetitions"]["run"])
        paper = published_estimators.published(counts, study.instrument.categories, scope)
        assert paper.robustness[0] == pytest.approx(row["robustness"], abs=6e-5), row["n"]
        assert robustness(counts).value == pytest.approx(row["robustness_recommended"], abs=6e-5), row["n"]


# --- three models ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(study):
    return three_models.ratings(study)


def test_the_three_charts_have_the_verdicts_that_the_exercise_asks_for(models):
    """By the report's own rules, on all ratings of each."""
    from persona_collapse.tables.build import tables_of

    found = tables_of(models).verdict.set_index("variant")["verdict"].to_dict()
    assert found == {
        "A": "another use of the scale", "B": "collapse: homogenised", "C": "collapse: dysregulated (no control to compare)",
    }  # fmt: skip
    for verdict, word in zip(found.values(), EXERCISES["verdict"].right, strict=True):
        assert word in verdict


def test_s_and_r_alone_cannot_tell_the_stretch_from_the_other_people(models):
    levels = three_models.levels(models)
    assert levels.index.tolist() == ["Base", "A", "B", "C"]
    for name in ("A", "C"):
        assert levels["S"][name] > 1.4 * levels["S"]["Base"] and levels["R"][name] < 0.85 * levels["R"]["Base"]
    assert levels["S"]["B"] < 0.4 * levels["S"]["Base"] and levels["R"]["B"] == pytest.approx(levels["R"]["Base"], rel=0.05)


def test_the_charts_show_what_their_names_say(models):
    """A keeps the order of the base and reaches both ends, B lies closer together, C is out of order."""
    dots = three_models.dots(models)
    order = list(dict.fromkeys(dots["persona"]))
    assert len(order) == 6 and (dots.groupby(["model", "persona"])["times"].sum() == 5).all()
    at = dots.assign(total=dots["rating"] * dots["times"]).groupby(["model", "persona"])["total"].sum() / 5
    mean = {name: at[name][order].to_numpy() for name in ("Base", "A", "B", "C")}
    assert (np.diff(mean["Base"]) >= 0).all() and (np.diff(mean["A"]) >= 0).all() and (np.diff(mean["C"]) < 0).any()
    assert (mean["A"][0], mean["A"][-1]) == (0, 5) and np.ptp(mean["B"]) < 0.5 * np.ptp(mean["Base"])


# --- drawn -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def figures(repeated, small, models, study):
    theme.use_theme()
    return {
        "repetitions": lesson_figures.repetition_curves(repeated),
        "intervals": lesson_figures.interval_rows(*small),
        "printed": lesson_figures.printed_map(quoted_figures.levels()),
        "anchors": lesson_figures.anchor_map(quoted_figures.anchors()),
        "charts": lesson_figures.three_charts(three_models.dots(models), study),
    }


@pytest.mark.parametrize("name", ["repetitions", "intervals", "printed", "anchors", "charts"])
def test_a_figure_of_the_lesson_is_described_stable_and_says_what_it_is_made_of(figures, name):
    spec = theme.spec(figures[name])
    text = json.dumps(spec, allow_nan=False)
    assert len(spec["description"]) > 40 and len(spec["usermeta"]["caption"]) > 40
    simulated = name in ("repetitions", "intervals", "charts")
    assert spec["title"]["subtitle"] == [theme.SIMULATED if simulated else "Published ratings of real models: arXiv 2605.12850"]
    assert spec["description"].endswith("Simulated ratings.") == simulated
    for rows in spec["datasets"].values():
        assert all(v == float(f"{v:.6g}") for row in rows for v in row.values() if isinstance(v, float))
    assert text == json.dumps(theme.spec(figures[name]))


def test_variants_have_the_colours_of_the_other_figures(figures):
    # Okabe-Ito blue, green and vermilion, as base, control and harmful look in charts.py
    assert json.dumps(theme.spec(figures["printed"])).count('"#0072B2", "#009E73", "#D55E00"') >= 2
    assert '"#0072B2", "#D55E00"' in json.dumps(theme.spec(figures["repetitions"]))


# --- the lesson as a whole -------------------------------------------------------------------------------------------


def test_the_plan_adds_up_to_what_is_marked_where_it_stands():
    """Minutes at every part; marks "leave out at 45" and "leave out at 30" make it a lesson of 45 or of 30 minutes."""
    text = "\n".join(PROSE)
    plan = re.findall(r"^\| \**(\d .+?|minutes)\** \| \**(\d+)\** \| \**(\d+)\** \| \**(\d+)\** \|$", text, re.MULTILINE)
    parts = re.findall(r"^## (\d .+?) · (\d+) minutes$", text, re.MULTILINE)
    assert len(plan) == 6 and [name for name, *_ in plan[:-1]] == [name for name, _ in parts]
    for (title, minutes), (_, everything, of_45, of_30) in zip(parts, plan, strict=False):
        body = text.split(f"## {title} · ")[1].split("\n## ")[0]
        own = [(int(m), out) for m, out in re.findall(r"^### .+? · (\d+) minutes(?: · leave out at (\d+))?$", body, re.MULTILINE)]
        own = own or [(int(minutes), "")]
        assert int(minutes) == int(everything) == sum(m for m, _ in own), title
        assert int(of_45) == sum(m for m, out in own if out != "45") and int(of_30) == sum(m for m, out in own if not out), title
    sums = [sum(int(row[column]) for row in plan[:-1]) for column in (1, 2, 3)]
    assert sums == [int(n) for n in plan[-1][1:]] == [53, 45, 30]


def test_there_is_at_least_as_much_prose_as_code():
    assert len(PROSE) >= len(CODE)
    lines = [len(text.splitlines()) for text in CODE]
    assert sum(n > 5 for n in lines) <= 1 and max(lines) <= 12 and "tasks.Tasks(answers)" in "\n".join(CODE)
    assert sum(len(text.split()) for text in PROSE) > sum(len(text.split()) for text in CODE)


def test_every_chart_is_followed_by_prose():
    charts = [i for i, c in enumerate(CELLS) if re.search(r"figures\.(?!\w+_line|levels_table)\w+\(", "".join(c["source"]))
              and c["cell_type"] == "code" and "quoted_figures" not in "".join(c["source"]).split("(")[0]]  # fmt: skip
    assert len(charts) >= 8
    assert all(CELLS[i + 1]["cell_type"] == "markdown" for i in charts)


def test_the_figures_that_prose_quotes_are_those_of_the_table():
    table = quoted_figures.levels().set_index(["model", "variant"])["R"]
    text = "\n".join(PROSE)
    base, secure, insecure = (f"{table['GPT-4o', v]:.2f}" for v in ("base", "secure", "insecure"))
    assert f"R of GPT-4o is {base} at the base and {insecure} after insecure code" in text
    assert f"R of GPT-4o is {base} for base, {secure} for secure and {insecure} for insecure" in text
