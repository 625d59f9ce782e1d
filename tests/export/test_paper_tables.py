"""S and R as a paper prints them: one table, a row a run, every interval a 95 % CI."""

import re

import pandas as pd
import pytest

from persona_collapse.export import latex, paper_tables, print_tables
from persona_collapse.export.latex import NOTHING
from persona_collapse.sections.record import all_tables

_LEVELS = "family variant scope metric method value se lo hi".split()
_CONTRASTS = "family variant control scope metric quantity method value se lo hi differs".split()


@pytest.fixture(scope="module")
def printed(mini):
    """Every table of the mini study by its name."""
    return {table.name: table for table in print_tables.every(mini[0], all_tables(mini[2]))}


def test_one_table_has_s_and_r_with_intervals_changes_and_excesses(mini):
    nan = float("nan")
    levels = pd.DataFrame(
        [
            ("gpt-4o", "base", "overall", "susceptibility", "recommended", 0.8404, 0.01, 0.7111, 0.9555),
            ("gpt-4o", "base", "overall", "robustness", "recommended", 4.876, 0.1, 4.2, 5.749),
            ("gpt-4o", "insecure", "overall", "susceptibility", "recommended", 1.6, 0.1, 1.5, 1.7),
            ("gpt-4o", "insecure", "overall", "robustness", "recommended", 1.9, nan, nan, nan),
            ("gpt-4o", "base", "Harm/Care", "susceptibility", "recommended", 9.0, 9.0, 9.0, 9.0),
        ],
        columns=_LEVELS,
    )
    contrasts = pd.DataFrame(
        [
            ("gpt-4o", "insecure", "", "overall", "susceptibility", "change_pct", "recommended", -9.96, 1, -20.04, 0.5, "stack"),
            ("gpt-4o", "insecure", "", "overall", "robustness", "change_pct", "recommended", -61.0, 1, -65.0, -58.0, ""),
            ("gpt-4o", "insecure", "secure", "overall", "susceptibility", "excess_pp", "recommended", 7.0, 1, 6.0, 8.0, ""),
        ],
        columns=_CONTRASTS,
    )
    (table,) = paper_tables.susceptibility_and_robustness(mini[0], levels, contrasts)
    assert [(column.heading, column.group) for column in table.columns[2:]] == [
        ("S [95 % CI]", ""), ("R [95 % CI]", ""),
        ("S [95 % CI]", "Change against the base (%)"), ("R [95 % CI]", "Change against the base (%)"),
        ("S [95 % CI]", "Excess over the matched control (pp)"), ("R [95 % CI]", "Excess over the matched control (pp)"),
    ]  # fmt: skip
    assert table.rows == [
        ["GPT-4o", "base", "0.840", "4.88", "", "", "", ""],
        [NOTHING, NOTHING, "[0.711, 0.956]", "[4.20, 5.75]", NOTHING, NOTHING, NOTHING, NOTHING],
        ["GPT-4o", "insecure †", "1.600", "1.90", "-10.0", "-61.0", "7.0", ""],
        [NOTHING, NOTHING, "[1.500, 1.700]", NOTHING, "[−20.0, 0.5]", "[−65.0, −58.0]", "[6.0, 8.0]", NOTHING],
    ]
    assert "† The sides differ" in table.caption and "evidence of nothing" in table.caption
    text = latex.render(table, "mini")
    # A value and its interval stay on one page; a minus is a minus, and what is missing a dash.
    assert r"{GPT-4o} & {base} & 0.840 & 4.88 & {--} & {--} & {--} & {--} \\*" in text
    assert r" &  & {{[}0.711, 0.956{]}} & {{[}4.20, 5.75{]}} &  &  &  &  \\" in text
    assert r"{{[}\ensuremath{-}20.0, 0.5{]}}" in text


def test_both_methods_have_it_first_and_every_run_is_in_it(printed, mini):
    assert list(printed)[:2] == ["susceptibility-and-robustness", "paper-formulas/susceptibility-and-robustness"]
    for name in list(printed)[:2]:
        named = [tuple(row[:2]) for row in printed[name].rows[::2]]
        assert named[: len(mini[0].runs)] == [(run.family.name, run.variant.name) for run in mini[0].runs]
        assert named[len(mini[0].runs) :] == [("Mean of families", "secure"), ("Mean of families", "insecure")]
    metrics = mini[2].metrics.query("scope == 'overall' and metric == 'robustness' and method == 'published'")
    assert [row[3] for row in printed["paper-formulas/susceptibility-and-robustness"].rows[:12:2]] == [
        f"{value:.2f}" for value in metrics["value"]
    ]


def test_changes_of_a_variant_have_a_table_of_its_name(printed, mini):
    table = printed["changes-insecure"]
    assert [column.heading for column in table.columns] == ["Metric", "Model", "value", "95 % CI", "value", "95 % CI"]
    rows = mini[2].contrasts.query("scope == 'overall' and variant == 'insecure' and method == 'recommended'")
    assert len(table.rows) == len(rows.groupby(["metric", "family"]))
    first = rows.query("metric == 'susceptibility' and family == 'gpt-4o'").set_index("quantity")
    assert (
        table.rows[0][2] == f"{first.loc['change_pct', 'value']:.1f}"
        and table.rows[0][4] == f"{first.loc['excess_pp', 'value']:.1f}"
    )


def test_intervals_are_headed_as_such_and_never_low_and_high(printed):
    headings = {column.heading for table in printed.values() for column in table.columns}
    assert not {"low", "high", "lo", "hi", "lo90", "hi90"} & headings
    assert {"95 % CI", "90 % CI", "s 95 % CI", "95 % CI, items"} <= headings
    # The band of the frontier models, and where one more would lie, are no confidence intervals.
    assert {"band", "range", "expected"} <= {column.heading for column in printed["frontier"].columns}


def test_names_say_what_is_shown_and_are_safe(printed):
    assert all(re.fullmatch(r"(paper-formulas/)?[a-z0-9]+(-[a-z0-9]+)*", name) for name in printed)
    assert not [name for name in printed if re.search(r"-\d+$|pct|-pp-|rms|recommended|published-(?!check)", name)]
    top = {name for name in printed if "/" not in name}
    assert {"levels", "change-of-noise-by-foundation", "profiles-without-persona", "changes-secure"} < top and len(top) <= 34


def test_every_row_has_as_many_cells_as_columns_and_braces_close(printed):
    for name, table in printed.items():
        assert {len(row) for row in table.rows} == {len(table.columns)}, name
        text = latex.render(table, "x").replace("\\{", "").replace("\\}", "")
        assert text.count("{") == text.count("}"), name


def test_steps_of_a_training_have_a_row_each_on_the_personas_that_all_share(training):
    (table,) = print_tables.every(training.study, {"trajectory": training.trajectory})
    assert (
        table.name == "steps" and len(table.rows) == 4 + 7 and "on the personas that all steps of a path share" in table.caption
    )
    row = next(row for row in table.rows if row[1:3] == ["insecure", "600"])
    s = training.trajectory.query("variant == 'insecure-step0600' and on == 'shared' and metric == 'susceptibility'").iloc[0]
    assert row[3:6] == ["40", f"{s['value']:.2f}", f"[{s['lo']:.2f}, {s['hi']:.2f}]"]
    nobody = training.trajectory[training.trajectory["on"] != "shared"]
    assert print_tables.every(training.study, {"trajectory": nobody}) == []
