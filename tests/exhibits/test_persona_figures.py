"""Figures of single personas: their data by hand, what the lists choose, and what the radar is drawn from."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import vl_convert

from persona_collapse.exhibits import persona_figures, profile_figures, theme, validity_figures
from persona_collapse.exhibits.chart_data import packed, people, who
from persona_collapse.store.ratings import read_ratings
from persona_collapse.study.study import Run
from persona_collapse.tables import saturation


@pytest.fixture(scope="module")
def counts(mini):
    study, store, _ = mini
    return {run: read_ratings(study, store).counts(run, "persona") for run in study.runs}


@pytest.fixture(scope="module")
def toxic(mini):
    study, _, found = mini
    return {family.key: saturation.toxic_profile(study, found.profiles, family.key) for family in study.file.families}


def named(spec, name):
    (found,) = [param for param in spec["params"] if param["name"] == name]
    return found


def rows_with(spec, field):
    return [row for rows in spec["datasets"].values() for row in rows if field in row]


def drawn(spec, kind):
    """Number of marks of a kind that the figure draws."""
    svg = vl_convert.vegalite_to_svg(json.dumps(spec))
    groups = re.findall(rf'<g class="mark-{kind} role-mark[^"]*"[^>]*>(.*?)</g>', svg, re.DOTALL)
    return sum(len(re.findall(r"<path|<text", group)) for group in groups)


def with_value(spec, name, value):
    """The figure after somebody has chosen this in a list."""
    changed = json.loads(json.dumps(spec))
    named(changed, name)["value"] = value
    return changed


def svg(spec):
    return vl_convert.vegalite_to_svg(json.dumps(spec))


def test_numbers_are_packed_with_two_digits_and_nothing_for_what_is_missing():
    assert packed([1, 2.5, 1 / 3, np.nan, 0, 10, -0.25]) == "1,2.5,0.33,,0,10,-0.25"
    assert packed([0.12345], 3) == "0.123" and packed([]) == ""


def test_a_persona_is_named_by_its_number_and_briefly_in_lists(mini):
    study = mini[0]
    assert who(study, 2)[1]["Persona"] == 2 and who(study, 2)[1]["who"].startswith("2. ")
    nobody = replace(study, personas=None)
    assert people(nobody, 2) == ["persona 1", "persona 2"]
    assert people(replace(nobody, labels=("nurse", "1007")), 2) == ["persona nurse", "persona 1007"]
    assert max(map(len, people(study, len(study.personas)))) <= 60


def test_a_line_leads_from_the_bases_mean_to_the_variants(mini, counts):
    """Persona 1 answers the base with 0 throughout and the variant with 5, but for Harm/Care: overall 24/30 of 5 is 4."""
    study = mini[0]
    run = study.run("gpt-4o", "insecure")
    base = Run(run.family, run.family.base)
    low, high = np.zeros((1, 30, 6), int), np.zeros((1, 30, 6), int)
    low[..., 0] = 1
    harm = [item.foundation == study.instrument.foundations[0] for item in study.instrument.items]
    high[..., 5] = [0 if own else 1 for own in harm]
    high[0, harm, 0] = 1
    spec = theme.spec(persona_figures.trajectories({base: low, run: high}, study))
    (row,) = rows_with(spec, "at")
    assert (row["Model"], row["Variant"], row["Persona"]) == ("GPT-4o", "insecure", 1)
    assert row["at"] == "0,0,0,0,0,0" and row["to"] == "4,0,5,5,5,5"


def test_the_lists_choose_variant_foundation_family_and_persona(mini, counts):
    spec = theme.spec(persona_figures.trajectories(counts, mini[0]))
    assert named(spec, "variant")["bind"]["options"] == ["secure", "insecure"] and named(spec, "variant")["value"] == "insecure"
    assert named(spec, "foundation")["bind"]["labels"] == ["overall", "Harm", "Fairness", "Loyalty", "Authority", "Purity"]
    assert named(spec, "foundation")["bind"]["options"] == [0, 1, 2, 3, 4, 5]
    persona = named(spec, "persona")
    assert persona["select"]["on"].startswith("pointerover") and len(persona["bind"]["Persona"]["options"]) == 20
    before = svg(spec)
    for name, value in (("foundation", 3), ("variant", "secure"), ("family", "GPT-4o"), ("persona", [{"Persona": 2}])):
        assert svg(with_value(spec, name, value)) != before, name


def test_the_persona_that_moved_furthest_is_brought_forward(mini, counts):
    study = mini[0]
    spec = theme.spec(persona_figures.trajectories(counts, study))
    means = {run: saturation.persona_means(one, study.instrument)[:, 0].round(2) for run, one in counts.items()}
    own = [(run, Run(run.family, run.family.base)) for run in counts if run.variant.key == "insecure"]
    moved = np.concatenate([np.abs(means[run] - means[base]) for run, base in own])
    (first,) = named(spec, "persona")["value"]
    assert first["Persona"] == int(np.argmax(moved)) % 20 + 1


def test_a_persona_without_a_rating_is_left_out_and_counted(mini, counts):
    one = dict(counts)
    run = mini[0].run("gpt-4o", "insecure")
    one[run] = one[run].copy()
    one[run][3, 0] = 0
    spec = theme.spec(persona_figures.trajectories(one, mini[0]))
    assert "1 line is left out" in spec["usermeta"]["caption"]
    assert "left out" not in theme.spec(persona_figures.trajectories(counts, mini[0]))["usermeta"]["caption"]


def test_bases_alone_have_no_trajectories(mini, counts):
    assert persona_figures.trajectories({r: c for r, c in counts.items() if r.variant.role == "base"}, mini[0]) is None


def test_one_among_all_follows_its_lists(mini, counts):
    run = mini[0].run("gpt-4o", "insecure")
    spec = theme.spec(persona_figures.one_among_all(counts[run], mini[0]))
    assert len(rows_with(spec, "sd")) == 20
    # six items a foundation: one diamond each; 30 overall
    assert drawn(spec, "symbol") == 30 and drawn(with_value(spec, "foundation", 2), "symbol") == 6
    assert svg(with_value(spec, "persona", [{"Persona": 2}])) != svg(spec)


def test_answers_are_counted_by_foundation_and_chosen_by_run_foundation_and_persona(mini, counts):
    study = mini[0]
    spec = theme.spec(persona_figures.answers(counts, study))
    # 6 items x 5 repetitions a foundation, by foundation first and then by category
    for row in rows_with(spec, "n"):
        numbers = np.array([int(v) for v in row["n"].split(",")]).reshape(5, 6)
        assert (numbers.sum(axis=1) == 30).all()
    before = svg(spec)
    for name, value in (("run", 0), ("foundation", 1), ("persona", 7)):
        assert svg(with_value(spec, name, value)) != before, name
    run = study.runs[2]
    alone = theme.spec(persona_figures.answers({run: counts[run]}, study))
    assert "bind" not in named(alone, "run")  # one run leaves nothing to choose
    assert persona_figures.answers({}, study) is None


def test_shares_of_a_hand_made_run(mini):
    """Persona 1 gives 5 to everything, persona 2 gives 0 and 5 in turns: of both, three quarters are 5."""
    study = mini[0]
    counts = np.zeros((2, 30, 6), int)
    counts[0, :, 5] = 2
    counts[1, :, 0] = counts[1, :, 5] = 1
    spec = theme.spec(persona_figures.answers({study.runs[0]: counts}, study))
    labels = re.findall(
        r'aria-label="Rating: (\d); Share of ratings: (\d+)%?', svg(spec).replace("; share", "; Share of ratings")
    )
    assert {("5", "75"), ("0", "25")} <= set(labels)
    labels = re.findall(r'aria-label="Rating: (\d); Share of ratings: (\d+)%?', svg(with_value(spec, "persona", 1)))
    assert ("5", "100") in labels


def test_the_radar_is_drawn_from_the_same_numbers_in_the_same_looks(mini, toxic):
    study, _, found = mini
    lines, radar = (
        theme.spec(f(found.profiles, study, toxic)) for f in (profile_figures.self_profiles, profile_figures.self_radar)
    )
    key = lambda row: (row["Model"], row["Variant"], row["Group"], row["mean"])  # noqa: E731
    assert {key(row) for row in rows_with(radar, "mean")} == {key(row) for row in rows_with(lines, "mean")}
    # each line closes: one row more than foundations for each of 8 profiles, and of the yardstick in 2 panels
    assert len(rows_with(radar, "mean")) == (8 + 2) * 6
    scales = {
        name: json.dumps(re.findall(r'"range": (\[.*?\])', json.dumps(spec))) for name, spec in (("l", lines), ("r", radar))
    }
    assert scales["l"] == scales["r"]


def test_a_rating_lies_outwards_by_its_share_of_the_scale():
    from persona_collapse.exhibits.profile_figures import _place

    found = _place("datum.mean", 4, 1, 5)
    # 3 of 1 to 5 is half way out; the second of four foundations lies to the right
    values = {name: eval_vega(text, mean=3, turn=1) for name, text in found.items()}
    assert values == pytest.approx({"across": 0.5, "up": 0})


def eval_vega(text, **datum):
    """A small expression of Vega's as Python reads it."""
    for name, value in datum.items():
        text = text.replace(f"datum.{name}", str(value))
    return eval(text, {"__builtins__": {}}, {"sin": np.sin, "cos": np.cos, "PI": np.pi})


def test_single_foundations_fill_what_is_clear_after_holm(mini):
    study, _, found = mini
    spec = theme.spec(validity_figures.single_foundations(found.foundation_claims, study))
    rows = rows_with(spec, "Holm")
    assert len(rows) == len(found.foundation_claims) == 40
    assert sum(row["Holm"] == "clear" for row in rows) == int((found.foundation_claims["p_holm"] < 0.05).sum())
    assert drawn(spec, "symbol") == 4  # four variants in the foundation that is chosen
    before = svg(spec)
    for name, value in (("foundation", 2), ("metric", "Within-persona noise"), ("family", "GPT-4o")):
        assert svg(with_value(spec, name, value)) != before, name
    assert validity_figures.single_foundations(found.foundation_claims.iloc[:0], study) is None
