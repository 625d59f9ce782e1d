"""The five questions of explore.ipynb: each answer by hand, by brute force, or from the tables that say the same."""

import json
from dataclasses import replace

import numpy as np
import pytest
import vl_convert

import hostile
from hostile import RUN, faults, lab, labelled, specifications
from persona_collapse.exhibits import persona_figures, theme
from persona_collapse.lesson import explore_answers, explore_figures
from persona_collapse.lesson.explore_answers import Explored, carried, moves
from persona_collapse.statistics.recommended_estimators import leave_one_out
from persona_collapse.store.ratings import read_ratings
from persona_collapse.study.scopes import scope_matrix


@pytest.fixture(scope="module")
def explored(mini):
    return Explored(read_ratings(*mini[:2]), mini[2])


def with_counts(mini, **counts):
    """The mini study as if these runs, by variant of GPT-4o, had these ratings and no other run had any."""
    found = Explored(read_ratings(*mini[:2]), mini[2])
    runs = {mini[0].run("gpt-4o", variant): one for variant, one in counts.items()}
    found.__dict__["counts"] = runs
    found.analysis.counts = lambda run: runs.get(run, np.zeros((0, 30, 6), int))
    return found


def ratings(personas, *each):
    """Ratings of every cell: each is one repetition's."""
    found = np.zeros((personas, 30, 6), int)
    for rating in each:
        found[..., rating] += 1
    return found


# --- which cells -----------------------------------------------------------------------------------------------------


def test_the_liveliest_cell_is_named_with_what_was_said_there(mini, explored):
    run = explored.noisiest
    assert run.variant.role == "harmful"
    variance = explored.variance(run)
    persona, item = np.argwhere(variance == variance.max())[0]
    said = explore_answers.unsteady(explored, run)
    assert f"The liveliest is *{persona + 1}. " in said and f"item *{item + 1}. " in said
    given = explored.counts[run][persona, item]
    assert all(f"{k} × {n}" in said for k, n in enumerate(given) if n)
    both = ((explored.counts[run][..., 0] > 0) & (explored.counts[run][..., 5] > 0)).sum()
    assert f"{both} cells were given both 0 and 5." in said


def test_half_of_the_variance_is_counted_in_cells(mini):
    """Three cells vary, with variances 12.5 (0 and 5), 4.5 (0 and 3), 0.5 (0 and 1): half of 17.5 lies in the first."""
    counts = ratings(2, 0, 0)
    for item, other in ((0, 5), (1, 3), (2, 1)):
        counts[0, item] = 0
        counts[0, item, [0, other]] = 1
    found = with_counts(mini, insecure=counts)
    assert "half of the variance within cells lies in 1 of 60 cells (2 %)" in explore_answers.unsteady(found, found.noisiest)


def test_a_run_that_never_varies_says_so(mini):
    found = with_counts(mini, insecure=ratings(2, 3, 3))
    assert explore_answers.unsteady(found, found.noisiest) == "No cell of **GPT-4o insecure** varies."


def test_a_study_without_ratings_says_what_to_do(mini):
    with pytest.raises(ValueError, match="mini: no run has a rating yet; run `make elicit STUDY=mini` first"):
        _ = with_counts(mini).noisiest


# --- who moved -------------------------------------------------------------------------------------------------------


def test_moves_are_differences_of_foundation_means_furthest_first(mini):
    """From 1 everywhere to 2; persona 2 to 5 in Harm/Care."""
    base, variant = ratings(2, 1, 1), ratings(2, 2, 2)
    harm = [item.foundation == "Harm/Care" for item in mini[0].instrument.items]
    variant[1, harm] = 0
    variant[1, harm, 5] = 2
    found = with_counts(mini, base=base, insecure=variant)
    every = moves(found)
    assert (every[0].persona, every[0].foundation, every[0].base, every[0].variant, every[0].change) == (1, 0, 1, 5, 4)
    assert [move.change for move in every[1:]] == [1] * 9
    table = explore_answers.movers_table(found)
    assert list(table["foundation"]) == ["Harm", "Harm"] and list(table["change"]) == [4, 1]  # each persona once
    said = explore_answers.moved(found)
    # (4 + 1) / 2 against 1 elsewhere
    assert "most in **Harm** (2.50 scale points" in said and "100 % of all moves lead up the scale" in said


def test_without_a_variant_there_is_nothing_to_compare(mini):
    found = with_counts(mini, base=ratings(3, 1, 2))
    assert explore_answers.moved(found) == explore_answers.carriers(found) == explore_answers.NO_VARIANT
    assert explore_figures.item_parts(found) is None and explore_answers.movers_table(found).empty


def test_controls_are_looked_at_where_no_variant_is_harmful(mini, explored):
    assert {run.variant.key for run in explored.compared} == {"insecure"}
    both = {name: explored.counts[mini[0].run("gpt-4o", name)] for name in ("base", "secure")}
    assert [run.variant.key for run in with_counts(mini, **both).compared] == ["secure"]


# --- what carries the rise -------------------------------------------------------------------------------------------


def test_the_parts_of_the_items_add_up_to_the_change_of_s(mini, explored):
    _, _, found = mini
    for run in explored.compared:
        rows = found.metrics.query("scope == 'overall' and metric == 'susceptibility' and method == 'recommended'")
        at = rows.set_index(["family", "variant"])["value"]
        one = carried(explored, run)
        assert one.change == pytest.approx(at[run.family.key, run.variant.key] - at[run.family.key, "base"], abs=1e-12)
        assert len(one.parts) == 30


def test_what_is_left_without_the_personas_that_carry_most_is_brute_force(mini, explored):
    study = mini[0]
    run = explored.compared[0]
    own, base = explored.counts[run], explored.counts[explored.analysis.base(run)]
    scope = scope_matrix(study.instrument)

    def change(kept):
        s = [leave_one_out(one[kept], study.instrument.categories, scope).of("susceptibility")[0, 0] for one in (own, base)]
        return s[0] - s[1]

    every = np.arange(20)
    without = [change(np.delete(every, p)) for p in every]
    out = np.argsort(without)[:2]  # a tenth of twenty; S rises
    one = carried(explored, run)
    assert one.change > 0 and one.out == 2
    assert one.without == pytest.approx(change(np.delete(every, out)), abs=1e-12)


def test_half_of_a_change_is_counted_in_the_items_that_go_its_way():
    one = explore_answers.Carried(None, np.arange(5), np.array([0.1, 0.5, -0.4, 0.3, 0.2]), 1, 0.3)
    # rises 1.1 in all: 0.5 is less than half of it, 0.5 + 0.3 more
    assert one.change == pytest.approx(0.7) and one.half == 2
    assert one._replace(parts=-one.parts).half == 2
    assert explore_answers._without(one) == "; without the persona that carries most, 43 % of the change is left"
    assert (
        explore_answers._without(one._replace(without=-0.2, out=3)) == "; without the 3 personas that carry most, S falls by 0.20"
    )
    assert explore_answers._without(one._replace(without=np.nan)) == ""


# --- ends of the scale -----------------------------------------------------------------------------------------------


def test_noise_near_the_ends_and_elsewhere_by_hand(mini):
    """Persona 1 gives 5 throughout, persona 2 gives 2 and 3: half of the cells near an end, without noise; 0.71 elsewhere."""
    counts = ratings(2, 2, 3)
    counts[0] = 0
    counts[0, :, 5] = 2
    row = explore_answers.ends_table(with_counts(mini, insecure=counts)).loc["GPT-4o insecure"]
    expected = [0.5, 0, 0.707, 0, 1]
    assert list(row) == expected


def test_the_figure_puts_cells_together_by_their_means(mini):
    counts = ratings(2, 2, 3)
    counts[0] = 0
    counts[0, :, 5] = 2
    found = with_counts(mini, insecure=counts)
    assert explore_figures._steps(found, found.noisiest) == [(2.5, pytest.approx(0.5**0.5), 30), (5, 0, 30)]


# --- fewer repetitions -----------------------------------------------------------------------------------------------


def test_all_repetitions_give_the_published_numbers_and_fewer_a_larger_r(mini, explored):
    _, _, found = mini
    run = explored.noisiest
    table = explore_answers.fewer_table(explored, run)
    assert list(table["repetitions"]) == [2, 3, 5] and list(table["requests"]) == [1200, 1800, 3000]
    own = found.metrics.query("family == @run.family.key and variant == @run.variant.key and method == 'published'")
    for metric, name in (("robustness", "R by the paper's formula"), ("susceptibility", "S by the paper's formula")):
        value = own[(own["metric"] == metric) & (own["scope"] == "overall")]["value"].item()
        assert table[name].iloc[-1] == round(value, 2)
    assert table["R by the paper's formula"].is_monotonic_decreasing
    errors = [name for name in table if "standard error" in name]
    assert errors == ["S: standard error (%)", "noise: standard error (%)"]
    assert all(table[name].is_monotonic_decreasing for name in errors)
    assert "2 repetitions instead of 5 would have saved 60 % of the requests" in explore_answers.fewer(explored, run)


def test_one_repetition_cannot_be_done_without(mini):
    found = with_counts(mini, insecure=ratings(3, 4))
    assert explore_answers.fewer(found, found.noisiest) == "These ratings have no repetitions to do without."


# --- what is hostile -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", hostile.PAYLOADS[::4], ids=hostile.MARKERS[::4])
def test_names_and_personas_stay_text(payload, mini):
    study = labelled(mini[0], payload)
    personas = tuple(replace(persona, text=f"{payload} {persona.index}") for persona in study.personas)
    found = Explored(replace(read_ratings(*mini[:2]), study=replace(study, personas=personas)), mini[2])
    sentences = [
        explore_answers.unsteady(found, found.noisiest), explore_answers.moved(found), explore_answers.carriers(found),
        explore_answers.at_the_ends(found), explore_answers.fewer(found, found.noisiest),
    ]  # fmt: skip
    assert faults(lab([{"outputs": [{"data": {"text/markdown": sentence}} for sentence in sentences]}])) == []
    assert faults(explore_answers.movers_table(found).to_html() + explore_answers.ends_table(found).to_html()) == []
    drawn = [
        explore_figures.item_parts(found),
        explore_figures.room(found),
        persona_figures.trajectories(found.counts, found.study),
    ]
    for chart in [*drawn, persona_figures.answers(found.counts, found.study)]:
        spec = theme.spec(chart)
        assert [text for key, text in specifications(spec) if key in RUN and "pwn" in text] == []


def test_every_figure_is_marked_described_and_drawn(explored):
    for chart in (explore_figures.item_parts(explored), explore_figures.room(explored)):
        spec = theme.spec(chart)
        assert theme.SIMULATED in spec["title"]["subtitle"] and spec["description"].endswith("Simulated ratings.")
        assert "<path" in vl_convert.vegalite_to_svg(json.dumps(spec))
