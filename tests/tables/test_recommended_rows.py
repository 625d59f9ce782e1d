"""Rows by the recommended method: what stands in them, where it comes from, what is said beside it."""

import os
import warnings

import numpy as np
import pandas as pd
import pytest

from building import SCALE, random_counts
from importable import rating_file
from paper import needs_data
from persona_collapse.asking.collect import collect
from persona_collapse.statistics import persona_jackknife, repeat_interval
from persona_collapse.statistics.recommended_estimators import leave_one_out
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.study.scopes import scope_matrix
from persona_collapse.tables.build import Tables
from persona_collapse.tables.run_statistics import Analysis
from persona_collapse.vocabulary import OF_RECOMMENDED


def test_eleven_metrics_by_six_scopes_of_every_run(mini):
    rows = mini[2].metrics.query("method == 'recommended'")
    assert tuple(dict.fromkeys(rows["metric"])) == OF_RECOMMENDED
    # 2 families x 3 variants x 11 metrics x (overall and 5 foundations)
    assert len(rows) == 6 * 11 * 6


def test_levels_are_those_of_the_statistics(mini):
    study, store, found = mini
    run = study.run("gpt-4o", "secure")
    own, scope = Analysis(read_ratings(study, store)).counts(run), scope_matrix(study.instrument)
    loo = leave_one_out(own, SCALE, scope)
    interval, again = persona_jackknife.level(loo).of("icc"), repeat_interval.level(repeat_interval.redrawn(loo)).of("icc")
    row = found.metrics.query("family == 'gpt-4o' and variant == 'secure' and metric == 'icc' and scope == 'overall'").iloc[0]
    expected = interval.value[0], interval.se[0], interval.lo[0], interval.hi[0], again.lo[0], again.hi[0]
    assert tuple(row[["value", "se", "lo", "hi", "lo_repeat", "hi_repeat"]]) == pytest.approx(expected)
    assert (row["personas"], row["items"], row["ratings"]) == (20, 30, 20 * 30 * 5)


def test_published_rows_have_no_interval_for_repeating_and_name_their_repetitions(mini):
    rows = mini[2].metrics.query("method == 'published'")
    assert rows[["lo_repeat", "hi_repeat"]].isna().all(axis=None)
    assert set(rows.query("metric != 'susceptibility'")["note"]) == {"at n = 5"}


def test_the_mean_over_families_has_an_interval_and_says_what_families_can_carry(mini):
    table = mini[2].contrasts.query(
        "method == 'recommended' and family == 'mean' and scope == 'overall' and variant == 'insecure'"
    )
    row = table.query("metric == 'within_rms' and quantity == 'excess_pp'").iloc[0]
    assert row["families"] == 2 and row["lo"] < row["value"] < row["hi"]
    assert "2 of 2 families in the same direction. No sign test over 2 families can reach p < .05" in row["note"]
    single = mini[2].contrasts.query(
        "method == 'recommended' and family != 'mean' and scope == 'overall' and variant == 'insecure'"
    )
    assert row["value"] == pytest.approx(single.query("metric == 'within_rms' and quantity == 'excess_pp'")["value"].mean())


def test_the_mean_of_one_family_is_that_familys_own_row(tmp_path, outputs):
    """Only f has a control, so only f has an excess: number, intervals and note, in every metric and scope."""
    (tmp_path / "one.yaml").write_text(
        "title: T\nkind: simulated\nprotocol: {personas: 12, repetitions: 3}\nfamilies:\n"
        "  - key: f\n    variants:\n      - {key: base, role: base, figures: gpt-4o/base}\n"
        "      - {key: ok, role: control, figures: gpt-4o/secure}\n"
        "      - {key: bad, role: harmful, control: ok, figures: gpt-4o/insecure}\n"
        "  - key: g\n    variants:\n      - {key: base, role: base, figures: qwen3-235b/base}\n"
        "      - {key: bad, role: harmful, figures: qwen3-235b/insecure}\n"
    )
    study = load_study(tmp_path / "one.yaml")
    collect(study)
    with open_store(study.store_path) as store:
        found = Tables(read_ratings(study, store)).contrasts.query("method == 'recommended'")
    for single in ("variant == 'bad' and quantity == 'excess_pp'", "variant == 'ok' and quantity == 'change_pct'"):
        own, mean = (found.query(f"family == '{name}' and {single}").reset_index(drop=True) for name in ("f", "mean"))
        assert len(mean) == 11 * 6 and set(mean["families"]) == {1}
        pd.testing.assert_frame_equal(*(side.drop(columns=["family", "families"]) for side in (own, mean)))
    # both families have the change of the harmful variant
    assert set(found.query("family == 'mean' and variant == 'bad' and quantity == 'change_pct'")["families"]) == {2}


def test_families_without_end_in_opposite_directions_leave_no_warning(tmp_path, outputs):
    """In f the variant never varies and its change of R is +inf; in g the base never does, and R falls from infinity."""
    rng = np.random.default_rng(3)
    lines = ["title: T", "kind: imported", "families:"]
    for family, steady in (("f", "bad"), ("g", "base")):
        lines += [f"  - key: {family}", "    variants:"]
        for key, role in (("base", "base"), ("bad", "harmful")):
            counts = random_counts(rng, personas=12, items=30, repetitions=1 if key == steady else 4)
            rating_file(tmp_path, f"{family}-{key}.csv", counts * 4 if key == steady else counts)
            lines.append(f"      - {{key: {key}, role: {role}, persona: {family}-{key}.csv}}")
    (tmp_path / "t.yaml").write_text("\n".join(lines))
    study = load_study(tmp_path / "t.yaml", tmp_path)
    collect(study)
    with open_store(study.store_path) as store, warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Tables(read_ratings(study, store))
    mean = found.contrasts.query("method == 'recommended' and family == 'mean' and metric == 'within_rms' and scope == 'overall'")
    assert list(mean["families"]) == [2] and mean[["lo", "hi"]].isna().all(axis=None)


def test_parts_of_a_change_add_up(mini):
    table = (
        mini[2].companions.query("scope == 'overall' and against == 'secure' and family == 'gpt-4o'").set_index("part")["value"]
    )
    assert table["within_rms"] == pytest.approx(table[["ceiling", "extremity", "noise_share"]].sum())


def imported(folder, **variants):
    """Tables of an imported study of one family with these counts of 30 items."""
    lines = ["title: T", "kind: imported", "families:", "  - key: f", "    variants:"]
    for key, counts in variants.items():
        rating_file(folder, f"{key}.csv", counts)
        role = "base, role: base" if key == "base" else f"{key}, role: harmful"
        lines.append(f"      - {{key: {role}, persona: {key}.csv}}")
    (folder / "t.yaml").write_text("\n".join(lines))
    study = load_study(folder / "t.yaml", folder)
    collect(study)
    with open_store(study.store_path) as store:
        return Tables(read_ratings(study, store))


def note(found, metric):
    rows = found.contrasts.query("method == 'recommended' and family == 'f' and scope == 'overall' and metric == @metric")
    return rows.iloc[0]["note"]


def test_a_base_that_never_varies_has_a_bound_and_a_one_sided_change(tmp_path, outputs):
    rng = np.random.default_rng(3)
    steady = random_counts(rng, personas=12, items=30, repetitions=1) * 4
    found = imported(tmp_path, base=steady, bad=random_counts(rng, personas=12, items=30, repetitions=4))
    row = found.metrics.query(
        "variant == 'base' and metric == 'robustness' and scope == 'overall' and method == 'recommended'"
    ).iloc[0]
    assert np.isinf(row["value"]) and np.isnan(row["lo"])
    # 12 x 30 x 4 ratings, none off: U = 3.0 / 1440, R at least 1 / sqrt(U) = 21.9
    assert "No rating varies in 1440 ratings; no interval, but a bound: robustness is at least 21.9" in row["note"]
    assert "Noise rises by at least" in note(found, "within_rms")


def test_lost_personas_are_counted_and_the_bases_s_on_both_sets_is_given(tmp_path, outputs):
    rng = np.random.default_rng(4)
    base, bad = (random_counts(rng, personas=12, items=30, repetitions=4) for _ in range(2))
    bad[:2, 0] = 0
    found = imported(tmp_path, base=base, bad=bad)
    said = note(found, "susceptibility")
    assert "For the 10 common personas: 2 of 12 left, without a rating somewhere." in said
    assert "That is more than 10 %" in said and "The base's S is" in said


def test_runs_of_different_repetitions_are_compared_at_equally_many(tmp_path, outputs):
    rng = np.random.default_rng(5)
    base, bad = (random_counts(rng, personas=12, items=30, repetitions=n) for n in (4, 6))
    assert "R by the paper's formula at n = 4 on both sides: " in note(imported(tmp_path, base=base, bad=bad), "robustness")


@needs_data
def test_reference_contrasts_of_the_paper(outputs):
    """STATISTICS.md, section 6: mean dS, d within_rms and its excess over the four families."""
    study = load_study("published", os.environ["PUBLISHED_DATA"])
    collect(study)
    with open_store(study.store_path) as store:
        found = Tables(read_ratings(study, store))
    rows = found.contrasts.query("method == 'recommended' and family == 'mean' and variant == 'insecure' and scope == 'overall'")

    def printed(metric, quantity):
        row = rows.query("metric == @metric and quantity == @quantity").iloc[0]
        return tuple(round(row[name], 1) for name in ("value", "lo", "hi"))

    assert printed("susceptibility", "change_pct") == (54.1, 44.7, 64.4)
    assert printed("within_rms", "change_pct") == (178.6, 166.6, 189.9)
    assert printed("within_rms", "excess_pp")[0] == 89.7
