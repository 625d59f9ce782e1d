"""What the sides of a contrast differ in, and which are refused."""

import pandas as pd
import pytest

from persona_collapse.asking.collect import collect
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables import comparability, recommended_rows
from persona_collapse.tables.build import Tables
from persona_collapse.tables.run_statistics import Analysis

ROW = {
    "stack": "here",
    "first_date": "2026-01-01",
    "last_date": "2026-01-02",
    "personas_used": 10,
    "max_repetitions": 5,
    "sampling": "",
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"stack": "there"}, ["served by there, the base by here"]),
        ({"sampling": "top_p"}, []),  # of the other side nobody knows
        # from the end of the earlier, 2 January, to the start of the later: 7 days are said nothing of, 8 are
        ({"first_date": "2026-01-09", "last_date": "2026-01-10"}, []),
        ({"first_date": "2026-01-10", "last_date": "2026-01-11"}, ["collected 8 days apart"]),
        ({"personas_used": 9}, ["9 personas against 10"]),
        ({"max_repetitions": 15}, ["up to 15 repetitions against 5"]),
    ],
)
def test_each_difference_is_said(change, words):
    assert comparability.differences(pd.Series(ROW | change), pd.Series(ROW)) == words


def test_probabilities_have_no_repetitions_to_differ_in():
    assert comparability.differences(pd.Series(ROW | {"max_repetitions": 1}), pd.Series(ROW), samples=False) == []


def prompts(**changed):
    """Hashes of two personas by two items, and of the items alone; `changed` maps a key like p0i1 or i1 to another hash."""
    found = {("persona", p, i): f"p{p}i{i}" for p in (0, 1) for i in (1, 2)} | {("self", None, i): f"i{i}" for i in (1, 2)}
    return {key: changed.get(value, value) for key, value in found.items()}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"i1": "x", "p0i1": "y", "p1i1": "z"}, "the questionnaire reads differently in 1 items"),
        ({"p0i1": "x", "p0i2": "y"}, "1 personas are not the same characters on both sides, in 2 of 6 prompts"),
        ({f"p{p}i{i}": "x" for p in (0, 1) for i in (1, 2)}, "the personas or the words around them are not the same"),
    ],
)
def test_other_words_are_refused(changed, words):
    assert words in comparability.refusal(prompts(**changed), prompts())
    assert comparability.refusal(prompts(), prompts()) == ""


def test_cells_of_one_side_only_and_unknown_prompts_are_no_reason():
    few = {key: value for key, value in prompts().items() if key[1] != 1}
    assert comparability.refusal(few, prompts()) == comparability.refusal({}, prompts()) == ""


STUDY = """\
title: One
kind: simulated
personas: {deck}
protocol: {{personas: 6, repetitions: 3}}
families:
  - key: fam
    variants:
      - {{key: base, role: base, figures: gpt-4o/base, stack: a}}
      - {{key: ok, role: control, figures: gpt-4o/secure, stack: b}}
      - {{key: bad, role: harmful, control: ok, figures: gpt-4o/insecure, stack: b}}
"""


def test_a_variant_asked_with_other_personas_has_no_recommended_contrast(tmp_path, outputs):
    """The deck changed after base and control were asked, and only the harmful variant was asked again."""
    path = tmp_path / "one.yaml"
    path.write_text(STUDY.format(deck="everyday"))
    collect(load_study(path))
    deck = tmp_path / "deck.csv"
    deck.write_text("persona\n" + "".join(f"Somebody else {i}.\n" for i in range(6)))
    path.write_text(STUDY.format(deck=deck))
    study = load_study(path)
    collect(study, [study.run("fam", "bad")])
    with open_store(study.store_path) as store:
        table = Tables(read_ratings(study, store)).contrasts.query("method == 'recommended'")
    bad = table.query("variant == 'bad' and family == 'fam'")
    assert bad["value"].isna().all() and bad["note"].str.startswith("Not compared: the personas or the words").all()
    assert table.query("variant == 'bad' and family == 'mean'").empty
    assert table.query("variant == 'ok' and family == 'fam' and metric != 'fidelity'")["value"].notna().all()


def test_what_differs_stands_in_every_row(tmp_path, outputs):
    path = tmp_path / "one.yaml"
    path.write_text(STUDY.format(deck="everyday"))
    study = load_study(path)
    collect(study)
    with open_store(study.store_path) as store:
        table = Tables(read_ratings(study, store)).contrasts
        quality = Tables(read_ratings(study, store)).quality
        found = comparability.Guard(read_ratings(study, store), quality)
        again = recommended_rows.contrasts(Analysis(read_ratings(study, store)), found)
    own = table[table["family"] == "fam"]
    assert set(own.query("quantity == 'change_pct'")["differs"]) == {"served by b, the base by a"}
    assert set(own.query("quantity == 'excess_pp'")["differs"]) == {"against the base: served by b, the base by a"}
    # the mean of one family is that family's own row
    mean, single = (again[(again["family"] == name) & again["variant"].isin(["ok", "bad"])] for name in ("mean", "fam"))
    assert list(mean["differs"]) and set(mean["differs"]) == set(single["differs"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stack": "there"}, []),
        ({"first_date": "2026-03-14", "last_date": "2026-03-15"}, ["date (71 days)"]),  # from 2 January
        ({"max_repetitions": 15}, ["repetitions (15 against 5)"]),
        ({"first_date": None, "last_date": None}, ["date (not recorded)"]),
    ],
)
def test_what_differs_beside_the_stack_is_date_and_repetitions(change, words):
    assert comparability.beside_stack(pd.Series(ROW | change), pd.Series(ROW)) == words


def test_simulated_ratings_have_no_date_and_probabilities_no_repetitions_to_differ_in():
    other = pd.Series(ROW | {"first_date": None, "last_date": None, "max_repetitions": 1})
    assert comparability.beside_stack(other, pd.Series(ROW), samples=False, dated=False) == []
