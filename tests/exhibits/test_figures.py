"""Every figure: stable bytes, valid Vega-Lite, marked when simulated, described for those who cannot see it."""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import vl_convert

from persona_collapse.exhibits import (
    cell_figures,
    component_figures,
    persona_figures,
    profile_figures,
    run_figures,
    study_figures,
    theme,
    validity_figures,
)
from persona_collapse.lesson import blackboard
from persona_collapse.lesson import figures as lesson_figures
from persona_collapse.store.ratings import read_ratings
from persona_collapse.tables import cell_replies, printed_figures, saturation
from persona_collapse.tables.build import run_metrics


@pytest.fixture(scope="module")
def figures(mini):
    """Every figure of the report and of the run notebooks, by name."""
    study, store, found = mini
    run = study.run("gpt-4o", "insecure")
    cells = read_ratings(study, store).counts(run, "persona")
    every = {one: read_ratings(study, store).counts(one, "persona") for one in study.runs}
    toxic = {family.key: saturation.toxic_profile(study, found.profiles, family.key) for family in study.file.families}
    band = printed_figures.band(study)
    theme.use_theme()
    return {
        "levels": study_figures.levels(found.metrics, study, "susceptibility", band),
        "levels without band": study_figures.levels(found.metrics, study, "robustness"),
        "changes": study_figures.changes(found.contrasts, study, "within_rms"),
        "foundation changes": study_figures.foundation_changes(found.contrasts, study, "susceptibility"),
        "collapse map": study_figures.collapse_map(found.metrics, study, band),
        "self profiles": profile_figures.self_profiles(found.profiles, study, toxic),
        "rating shares": study_figures.rating_shares(found.saturation, study, "self"),
        "cell means": cell_figures.cell_map(cells, study, "mean"),
        "cell SDs": cell_figures.cell_map(cells, study, "sd"),
        "persona strip": run_figures.persona_strip(cells, study),
        "foundation levels": run_figures.foundation_levels(run_metrics(read_ratings(study, store), run), study),
        "curve": validity_figures.specification_curve(found.validity, study, "noise_excess"),
        "frontier": validity_figures.frontier(found.frontier, study),
        "components": component_figures.components(found.components, study),
        "reliability": component_figures.reliability(found.reliability, study),
        "split": validity_figures.split(found.companions, study),
        "fidelity": validity_figures.fidelity(found.metrics, study),
        "replies": cell_figures.cell_map(cells, study, "sd", cell_replies.replies_of_cells(read_ratings(study, store), run)),
        "cell maps": cell_figures.cell_maps(every, study),
        "trajectories": persona_figures.trajectories(every, study),
        "one among all": persona_figures.one_among_all(cells, study),
        "answers": persona_figures.answers(every, study),
        "radar": profile_figures.self_radar(found.profiles, study, toxic),
        "single foundations": validity_figures.single_foundations(found.foundation_claims, study),
        "control": lesson_figures.collapse_control(*blackboard.carry(study, "gpt-4o", steps=3), study),
    }


NAMES = [
    "levels", "levels without band", "changes", "foundation changes", "collapse map", "self profiles", "rating shares",
    "cell means", "cell SDs", "persona strip", "foundation levels", "curve", "frontier", "split",
    "fidelity", "control", "replies", "cell maps", "trajectories", "one among all", "answers", "radar", "single foundations",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_drawn_described_and_marked(figures, name):
    spec = theme.spec(figures[name])
    text = json.dumps(spec, allow_nan=False)  # NaN is not JSON and would break the page
    assert spec["$schema"].endswith("/v5.json")
    assert len(spec["description"]) > 20 and spec["description"].endswith("Simulated ratings.")
    assert len(spec["usermeta"]["caption"]) > 20
    assert theme.SIMULATED in spec["title"]["subtitle"]
    assert "<svg" in vl_convert.vegalite_to_svg(text)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_have_six_significant_digits_at_most(figures, name):
    found = [value for rows in theme.spec(figures[name])["datasets"].values() for row in rows for value in numbers(row)]
    assert found, "a figure without numbers"
    assert [value for value in found if value != float(f"{value:.6g}")] == []


def numbers(row):
    """The numbers of one row of a figure's data, those packed as one text included."""
    for value in row.values():
        if isinstance(value, int | float):
            yield value
        elif isinstance(value, str) and re.fullmatch(r"-?[\d.]*(,-?[\d.]*)+", value):
            yield from (float(part) for part in value.split(",") if part)


def test_real_ratings_are_not_marked_as_simulated(figures, mini):
    study, _, found = mini
    real = type(study)(**{**vars_of(study), "file": study.file.model_copy(update={"kind": "imported"})})
    spec = theme.spec(study_figures.levels(found.metrics, real, "susceptibility"))
    assert "imulated" not in json.dumps(spec["title"]) + spec["description"]


def vars_of(study):
    return {name: getattr(study, name) for name in ("path", "file", "data", "instrument", "personas", "toxic")}


def test_a_variant_looks_alike_in_colour_shape_and_dash_everywhere(figures):
    def looks(name):
        found = {}

        def walk(node):
            if isinstance(node, dict):
                if node.get("field") == "Variant" and "range" in node.get("scale", {}):
                    for variant, value in zip(node["scale"]["domain"], node["scale"]["range"], strict=True):
                        found.setdefault(variant, set()).add(json.dumps(value))
                for value in node.values():
                    walk(value)
            elif isinstance(node, list):
                for value in node:
                    walk(value)

        walk(theme.spec(figures[name]))
        return found

    everywhere = looks("levels")
    assert set(everywhere) == {"base", "secure", "insecure"}
    # colour and shape each tell the three variants apart, so the figure is readable in grey
    assert len(set().union(*everywhere.values())) == 6
    assert looks("collapse map") == everywhere
    assert looks("changes") == {variant: everywhere[variant] for variant in ("secure", "insecure")}


def test_an_infinite_r_is_said_and_leaves_no_hole_in_the_json(mini):
    study, _, found = mini
    metrics = found.metrics.copy()
    base = (metrics["family"] == "gpt-4o") & (metrics["variant"] == "base") & (metrics["metric"] == "robustness")
    metrics.loc[base, ["value", "se", "lo", "hi"]] = [np.inf, np.nan, np.nan, np.nan]
    spec = theme.spec(study_figures.levels(metrics, study, "robustness"))
    json.dumps(spec, allow_nan=False)
    assert "Without a bar: GPT-4o base (no finite value)" in spec["usermeta"]["caption"]
    assert "GPT-4o" not in json.dumps(
        [row for row in first_rows(study_figures.collapse_map(metrics, study)) if row["Variant"] == "base"]
    )


def first_rows(chart):
    return max(theme.spec(chart)["datasets"].values(), key=lambda rows: "S" in rows[0] and "step" not in rows[0])


SCRIPT = """
import json, hashlib
import pandas as pd
from persona_collapse.exhibits import study_figures, theme
from persona_collapse.study.load_study import load_study
theme.use_theme()
study = load_study("mini")
metrics = pd.read_csv({path!r})
print(hashlib.sha256(json.dumps(theme.spec(study_figures.collapse_map(metrics, study))).encode()).hexdigest())
"""


@pytest.mark.slow
def test_the_same_bytes_in_every_process(mini, tmp_path):
    path = tmp_path / "metrics.csv"
    mini[2].metrics.to_csv(path, index=False)
    run = [sys.executable, "-c", SCRIPT.format(path=str(path))]
    found = {
        subprocess.run(run, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}).stdout for seed in "12"
    }
    assert len(found) == 1


def test_the_notebook_bundle_is_what_jupyterlab_draws_offline(figures):
    bundle = theme._render(theme.spec(figures["changes"]))
    assert set(bundle) == {"application/vnd.vegalite.v5+json", "text/plain"}
    assert bundle["text/plain"].startswith("<chart: Dot plot")


def test_published_values_are_a_button_away(figures):
    for name in ("levels", "changes", "foundation changes", "collapse map", "foundation levels"):
        spec = theme.spec(figures[name])
        (buttons,) = [p for p in spec["params"] if p["name"] == "estimators"]
        assert (buttons["value"], buttons["bind"]["options"]) == ("recommended", ["recommended", "paper's formula"])
        rows = max(spec["datasets"].values(), key=len)
        assert {row["Estimators"] for row in rows} == {"recommended", "paper's formula"}


def test_a_contrast_whose_sides_differ_bears_a_mark(mini):
    study, _, found = mini
    table = found.contrasts.copy()
    assert "also differ" not in theme.spec(study_figures.changes(table, study, "robustness"))["usermeta"]["caption"]
    table.loc[(table["family"] == "gpt-4o") & (table["variant"] == "insecure"), "differs"] = "served by two"
    spec = theme.spec(study_figures.changes(table, study, "robustness"))
    marked = {(row["Model"], row["Variant"]) for row in max(spec["datasets"].values(), key=len) if row["mark"]}
    assert marked == {("GPT-4o", "insecure")}
    assert "the two sides also differ otherwise" in spec["usermeta"]["caption"]


def test_an_endless_change_gives_no_axis_without_end():
    """Of 1 [0, 2], 2 [1, 3], 3 [-500, 900] and an endless one: 0 to 3 and 6 % of that on either side."""
    rows = pd.DataFrame({"value": [1.0, 2, 3, np.inf], "lo": [0.0, 1, -500, np.nan], "hi": [2.0, 3, 900, np.nan]})
    assert validity_figures._ends(rows) == [-0.18, 3.18]


def test_no_two_points_of_a_scale_share_a_colour():
    for points in range(2, 12):
        assert len(set(theme.category_colors(points))) == points
    assert theme.category_colors(2) == ["#08306B", "#A63603"]
    # Six of the eleven are those of six points; the one between the first two is their mean, (08+2A)/2, (30+6B)/2, (6B+A8)/2.
    assert theme.category_colors(11)[::2] == theme.category_colors(6)
    assert theme.category_colors(11)[1] == "#194E8A"


def test_no_two_variants_look_alike_whatever_their_number():
    for role in ("control", "harmful", "alternate"):
        looks = [theme.look_of(role, place) for place in range(14)]
        colors, shapes = zip(*[look[:2] for look in looks], strict=True)
        assert all(re.fullmatch("#[0-9A-F]{6}", color) for color in colors)
        assert len(set(zip(colors, shapes, strict=True))) == 14
        assert looks[: len(theme.LOOKS[role])] == theme.LOOKS[role]
