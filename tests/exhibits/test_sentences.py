"""Sentences computed from numbers: they say what the numbers say, and nothing when there is nothing."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from building import counts_of, write_study
from persona_collapse.asking.collect import collect
from persona_collapse.exhibits import (
    change_sentences,
    data_sentences,
    level_sentences,
    request_sentences,
    study_figures,
    theme,
    validity_figures,
    validity_sentences,
    validity_tables,
)
from persona_collapse.export import print_tables
from persona_collapse.sections.record import all_tables
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.headline_rows import counted_once
from persona_collapse.tables.printed_figures import Band
from persona_collapse.text import safe

AGREE = "Base and variants agree in stack, date, personas and repetitions."


@pytest.fixture
def study(tmp_path):
    variants = [("base", "base", None), ("ok", "control", None), ("bad", "harmful", "ok")]
    return write_study(tmp_path, {"a": variants, "b": variants})


def contrasts_of(rows, method="recommended"):
    columns = "family variant control scope metric quantity method value lo hi note".split()
    return pd.DataFrame(
        [(f, v, c, "overall", "susceptibility", q, method, x, x - w, x + w, "") for f, v, c, q, x, w in rows], columns=columns
    )


def test_a_change_is_said_with_its_interval_family_by_family(study):
    table = pd.concat([
        contrasts_of([
            ("a", "bad", "", "change_pct", 50.0, 10), ("b", "bad", "", "change_pct", 5.0, 10),
            ("mean", "bad", "", "change_pct", 27.5, 12), ("a", "ok", "", "change_pct", -3.0, 2),
            ("b", "ok", "", "change_pct", np.nan, 1), ("mean", "ok", "", "change_pct", np.nan, 1),
        ]),
        contrasts_of([("mean", "bad", "", "change_pct", 30.0, np.nan)], "published"),
    ])  # fmt: skip
    ok, bad = change_sentences.change(table, study, "susceptibility").splitlines()
    assert bad == (
        "- **bad**: S rises by 28 % [16, 40] on average over these families (the paper's formula: +30 %); a rises by 50 % "
        "[40, 60]; b shows no clear change (+5.0 % [-5.0, 15])."
    )
    # A family without a finite change is not named, and one family has no average. A fall is said without signs.
    assert ok == "- **ok**: S of a falls by 3.0 % [1.0, 5.0]."


def test_a_change_without_interval_says_why():
    row = pd.Series({"value": 80.0, "lo": np.nan, "hi": np.nan, "note": "the base hardly varies"})
    assert change_sentences.moved(row) == "rises by 80 % (no interval: the base hardly varies)"
    sentence = pd.Series({"value": -95.0, "lo": np.nan, "hi": np.nan, "note": "S is too near 0 for an interval."})
    assert change_sentences.moved(sentence) == "falls by 95 % (no interval: S is too near 0 for an interval)"


def test_no_difference_at_all_is_not_a_small_one():
    """Of identical runs nothing is estimated: both limits are 0 as well."""
    assert change_sentences.moved(pd.Series({"value": 0.0, "lo": 0.0, "hi": 0.0})) == "shows no difference at all"


def test_excess_says_what_cannot_be_told_from_none(study):
    table = contrasts_of([("a", "bad", "ok", "excess_pp", 50.0, 10), ("b", "bad", "ok", "excess_pp", 5.0, 10)])
    assert change_sentences.excess(table, study, "susceptibility") == (
        "Beyond the matched control, bad changes S in a by +50 pp [40, 60]; in b by +5.0 pp [-5.0, 15], no clear difference."
    )
    assert "names a matched control" in change_sentences.excess(table[:0], study, "susceptibility")


def test_only_what_is_clear_moved_up_and_to_the_left(study):
    def both(family, s, r):
        rows = contrasts_of([(family, "bad", "", "change_pct", s, 10), (family, "bad", "", "change_pct", r, 10)])
        return rows.assign(metric=["susceptibility", "robustness"])

    table = pd.concat([both("a", 50, -50), both("b", 5, -50)])
    style = pd.DataFrame({"family": ["a", "b"], "variant": ["bad", "bad"], "share": [0.3, 0.6], "ceiling": [0.94, 0.96]})
    assert change_sentences.collapse(table, style, study) == (
        "Under 1 of 2 harmful variants S rises and R falls, both beyond their intervals: up and to the left of the base. The other: "
        "b bad: S shows no clear change and R falls. A monotone recoding of the base's answers explains 45 % (30 to 60) under bad "
        "of what distinguishes personas (95 % for an unchanged base). What it does not explain is another cast of characters, not "
        "another use of the scale."
    )


def metrics_of(value, width=0.5):
    scopes = ["overall", "A", "B"]
    own = {"metric": "robustness", "method": "recommended", "scope": scopes, "value": value, "note": ""}
    own |= {"se": np.nan, "lo": np.array(value) - width, "hi": np.array(value) + width}
    printed = {"metric": "robustness", "method": "published", "scope": scopes, "value": 4.0, "se": 0.1, "note": "at n = 5"}
    return pd.concat([pd.DataFrame(own), pd.DataFrame(printed)])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            [2.0, 3.0, 1.0],
            "**R = 2.00** [1.50, 2.50] (the paper's formula: 4.00 ± 0.10, at n = 5). Largest for A (3.00), smallest for B (1.00).",
        ),
        ([np.inf, np.inf, np.inf], "**R is infinite**: no rating varies"),
        ([np.nan, np.nan, np.nan], "**R does not exist for this run**"),
    ],
)
def test_a_level_is_said_with_its_interval_or_why_there_is_none(value, words):
    assert level_sentences.level(metrics_of(value), "robustness").startswith(words)


def quality_row(**changes):
    reasons = ["transport", "wrong_server", "filtered", "refusal", "truncated", "low_mass", "unparseable", "invalid", "absent",
               "published_alone"]  # fmt: skip
    row = {"family": "a", "variant": "base", "condition": "persona", "slots": 100, "valid": 100, **dict.fromkeys(reasons, 0)}
    row |= {"min_repetitions": 5, "max_repetitions": 5, "personas_used": 10, "personas_dropped": 0}
    row |= {"first_date": None, "last_date": None, "stack": "here", "mean_mass": np.nan, "least_mass_seen": np.nan}
    row |= {"sampling": "", "apart_from_base": np.nan, "probed": np.nan, "probe_unrated": np.nan}
    return row | changes


def test_missing_ratings_are_counted_by_reason():
    table = pd.DataFrame([quality_row(valid=90, transport=8, unparseable=2, personas_dropped=1)])
    assert data_sentences.quality(table) == (
        "90 of 100 requested ratings were given (transport: 8, unparseable: 2); **1** persona lacks a rating for some item and is left "
        "out of S and R."
    )


def test_a_run_without_any_rating_is_a_result():
    none = quality_row(valid=0, invalid=100)
    assert "**This run never gave a rating**" in data_sentences.quality(pd.DataFrame([none, none]))  # two conditions of one run
    other = quality_row(variant="other", valid=0, invalid=100)
    assert "**None of these 2 runs gave a rating**" in data_sentences.quality(pd.DataFrame([none, other]))


def test_answers_that_cannot_be_told_from_the_bases_are_said_first(study):
    rows = [quality_row(), quality_row(variant="bad", apart_from_base=2.94), quality_row(variant="ok", apart_from_base=3.01)]
    rows = [row | {"family": study.runs[0].family.key} for row in rows]
    keys = [run.variant.key for run in study.runs if run.family is study.runs[0].family]
    rows = [row | {"variant": key} for row, key in zip(rows, keys, strict=False)]
    said = data_sentences.cautions(pd.DataFrame(rows), study)
    assert said.startswith(
        f"- **The answers of {study.runs[1].name} cannot be told from its base's**: as personas they differ by +2.9 standard errors "
        "more than two draws of one model do, which chance gives as well."
    )
    copied = pd.DataFrame([rows[0], rows[1] | {"apart_from_base": -3.1}])
    assert data_sentences.cautions(copied, study).startswith(
        f"- **The answers of {study.runs[1].name} are copies of its base's**"
    )
    assert study.runs[2].name not in said and f"\n\n{AGREE}" in said


def test_a_server_that_was_told_less_of_sampling_is_named(study):
    told = [quality_row(sampling="top_p, top_k"), quality_row(sampling="top_p")]
    keys = [run.keys for run in study.runs[:2]]
    rows = [row | dict(zip(("family", "variant"), key, strict=True)) for row, key in zip(told, keys, strict=True)]
    said = data_sentences.cautions(pd.DataFrame(rows), study)
    assert "its server was told top\\_p of sampling, the base's top\\_p, top\\_k" in said


def test_cautions_name_stack_dates_personas_and_repetitions(study):
    base = dict(first_date="2025-10-01T10:00:00", last_date="2025-10-02T10:00:00")
    rows = [
        quality_row(**base),
        quality_row(variant="ok", first_date="2025-10-05T10:00:00", last_date="2025-10-06T10:00:00"),
        quality_row(variant="bad", stack="there", first_date="2026-03-01T10:00:00", last_date="2026-03-02T10:00:00",
                    personas_used=9, max_repetitions=15),
        *(quality_row(family="b", variant=v, **base) for v in ("base", "ok", "bad")),
    ]  # fmt: skip
    # 2025-10-02 to 2026-03-01 are 150 days; three days apart is nothing to say.
    assert data_sentences.cautions(pd.DataFrame(rows), study).splitlines()[2:-2] == [
        "- a bad: served by there, the base by here; collected 150 days apart; 9 personas against 10; up to 15 repetitions against 5"
    ]


def test_runs_that_agree_need_no_caution_but_for_what_their_files_leave_out(study):
    rows = [quality_row(family=f, variant=v) for f in "ab" for v in ("base", "ok", "bad")]
    unknown = "Ratings of a cell are taken as independent draws: which of them came with one request is not known."
    assert data_sentences.cautions(pd.DataFrame(rows), study) == f"{AGREE}\n\n{unknown}"
    single = [row | {"max_repetitions": 1} for row in rows]
    assert data_sentences.cautions(pd.DataFrame(single), study) == AGREE


@pytest.mark.parametrize(
    ("requests", "limits", "said"),
    [
        (1, (0.12, 0.5), "**Choices of one request are not independent draws**: the share of rating noise that they have in common, "
         "rho, is 0.31 [0.12, 0.50] in a bad (20 cells in two requests or more). There interval B (the same requests again) is too "
         "narrow and noise too small; ask with `protocol: {requests: 2}`."),
        (1, (-0.1, 0.5), "Whether choices of one request share rating noise cannot be told: its share, rho, is 0.31 [-0.10, 0.50] in "
         "a bad (20 cells in two requests or more). Interval B (the same requests again) and noise take them as independent; "
         "`protocol: {requests: 2}` does not."),
        (2, (0.3, 0.32), "Choices of one request share rating noise: its share, rho, is 0.31 [0.30, 0.32] in a bad (20 cells in two "
         "requests or more). S, noise and interval B (the same requests again) count it."),
        (2, (-0.1, 0.5), "Whether choices of one request share rating noise cannot be told: its share, rho, is 0.31 [-0.10, 0.50] in "
         "a bad (20 cells in two requests or more). S, noise and interval B (the same requests again) do not take them as "
         "independent."),
        (1, (np.nan, np.nan), "Choices of one request are taken as independent; this study cannot check it."),
    ],
)  # fmt: skip
def test_what_choices_of_one_request_share_is_said(study, requests, limits, said):
    asked = replace(study, file=study.file.model_copy(update={"kind": "live"}))
    about = {"requests_a_cell": requests, "rho": 0.31, "rho_lo": limits[0], "rho_hi": limits[1], "rho_cells": 20}
    row = quality_row(variant="bad") | about
    assert request_sentences.independence(pd.DataFrame([row]), asked) == said
    # with another run that cannot tell, both are named
    other = quality_row(variant="ok") | about | {"rho_lo": np.nan}
    both = request_sentences.independence(pd.DataFrame([row, other]), asked)
    assert both.endswith("cannot check it." if np.isnan(limits[0]) else "this study cannot check it in a ok.")


def test_steadiness_of_cells(study):
    # SDs: sqrt2, 0, 0, 0 -> 75 % never vary; the liveliest tenth (one cell) carries everything.
    counts = counts_of([[[0, 2], [4, 4]], [[3, 3], [5, 5]]])
    assert level_sentences.steady(counts, study) == (
        "75 % of the cells with two ratings or more never vary; the liveliest tenth of cells carries 100 % of the within-persona SD."
    )
    assert "No cell has two ratings" in level_sentences.steady(counts_of([[[1]]]), study)


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "a*b_c`d", "[x](javascript:y)", "line\nbreak", "$x$", "a|b", "# h"]
)
def test_foreign_text_is_never_markup(text):
    from persona_collapse.report.markdown import markdown

    shown = markdown(f"Said {safe(text)} here.")
    for tag in ("<script", "<em", "<code", "<a ", "<math", "<h1", "<table"):
        assert tag not in shown
    assert "\n" not in shown.strip()


# --- a study of one family -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A study of one family: (study, tables)."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persona_collapse.paths.OUTPUTS", folder / "outputs")
        (folder / "alone.yaml").write_text(
            "title: T\nkind: simulated\nprotocol: {personas: 20, repetitions: 4}\nfamilies:\n  - key: f\n    label: Only\n"
            "    variants:\n      - {key: base, role: base, figures: gpt-4o/base}\n"
            "      - {key: ok, role: control, figures: gpt-4o/secure}\n"
            "      - {key: bad, role: harmful, control: ok, figures: gpt-4o/insecure}\n"
        )
        study = load_study(folder / "alone.yaml")
        collect(study)
        with open_store(study.store_path) as store:
            yield study, Tables(read_ratings(study, store))


def test_one_family_is_not_counted_nor_averaged(alone):
    study, found = alone
    said = [
        *(change_sentences.change(found.contrasts, study, metric) for metric in ("susceptibility", "robustness", "within_rms")),
        change_sentences.excess(found.contrasts, study, "susceptibility"), change_sentences.collapse(found.contrasts, found.style, study),
        level_sentences.saturated(found.saturation, found.profiles, found.drift, study), level_sentences.endpoints(found.saturation, study),
    ]  # fmt: skip
    assert not [line for line in said if re.search(r"1 of 1|0 of 1|families|variants moved|of the bases", line)]
    assert said[0].startswith("- **ok**: S of Only ") and said[3].startswith(
        "Beyond the matched control, bad changes S in Only by "
    )
    assert said[4].startswith("Only bad lies up and to the left of its base: S rises and R falls. A monotone recoding ")
    assert "; clearly nearer" in said[5] or "; not clearly nearer" in said[5]
    assert said[6].endswith("of the base; more.")
    spec = theme.spec(study_figures.changes(found.contrasts, study, "susceptibility"))
    assert "mean" not in json.dumps(spec["datasets"]) and "mean is that" not in spec["usermeta"]["caption"]
    assert "family" not in [param["name"] for param in spec["params"]]


def test_choices_of_one_family_are_its_own_and_none_is_counted_twice(alone):
    study, found = alone
    assert "mean" not in set(found.validity["family"])
    for headline, rows in found.validity.groupby("headline"):
        known = rows[np.isfinite(rows["lo"])]
        assert not known.duplicated(["group", "choice"]).any()
        # the printed interval is a choice of a single family as well
        assert "the paper's formula and interval" in set(known["choice"]) or rows["kind"].iloc[0] == "anchor"
        own = found.headlines[found.headlines["headline"] == headline]
        number = len(counted_once(rows))
        assert f"of {number} other analyses agree" in validity_sentences.verdict(own, rows, study, own["kind"].iloc[0])
        assert validity_tables.overview_table(own).loc[headline, "same verdict"] == f"{own['agree'].iloc[0]} of {number}"
    (table,) = [one for one in print_tables.every(study, all_tables(found)) if one.name == "validity"]
    assert len(table.rows) == len(found.validity.groupby(["headline", "group"])) and "mean" not in table.caption


def test_one_family_has_no_average_in_what_a_conclusion_hangs_on(alone):
    study, found = alone
    assert data_sentences.study_line(study).startswith("**T** (simulated): 1 family, 3 runs, ")
    assert level_sentences.uneven(found.metrics, study).startswith(
        "Spread of the levels over foundations (coefficient of variation): "
    )
    assert (
        validity_sentences.without_excess(found, study) == "The harmful variant goes beyond its matched control in S or in noise."
    )
    assert validity_sentences.sample_of_families(found.validity) == (
        "Fewer than two families make a claim, so nothing can be said about families in general."
    )
    assert validity_sentences.faithful(found, study).endswith(". The harmful variant departs clearly further than its control.")
    assert "  " not in validity_sentences.verdict(found.headlines, found.validity, study, "noise")
    figure = theme.spec(validity_figures.specification_curve(found.validity, study, "noise"))
    assert "families" not in figure["usermeta"]["caption"].replace("single families", "") and "mean" not in str(
        figure["usermeta"]
    )


def test_one_family_is_in_the_band_or_not(alone):
    study, found = alone
    rows = found.metrics.query("scope == 'overall' and metric == 'susceptibility' and method == 'published'")
    at = rows.set_index("variant")["value"]
    assert level_sentences.band(found.metrics, study, Band(at["ok"] - 0.01, at["ok"] + 0.01, 1, 1)).endswith(
        "the paper's formula): ok."
    )
    assert level_sentences.band(found.metrics, study, Band(0, 0.01, 1, 1)).endswith("the paper's formula): no run of this study.")


def test_some_of_several_families_are_counted():
    assert level_sentences.in_families("more", 3, 4) == "more in 3 of 4 families"
    assert (level_sentences.in_families("more", 1, 1), level_sentences.in_families("more", 0, 1)) == ("more", "not more")


def test_a_limit_next_to_nothing_is_not_printed_as_nothing():
    assert [change_sentences.whole(value) for value in (0.0036, -0.0036, 0.0, -1e-9, 0.25, 9.6)] == [
        "0.004", "-0.004", "0.0", "0.0", "0.2", "10",
    ]  # fmt: skip
