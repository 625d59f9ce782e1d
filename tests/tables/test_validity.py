"""What a conclusion hangs on: claims, choices, the band of frontier models, and what is said of them."""

import os

import numpy as np
import pandas as pd
import pytest

from building import SCALE, random_counts, write_study
from importable import rating_file
from paper import needs_data
from persona_collapse.asking.collect import collect
from persona_collapse.exhibits import validity_figures, validity_sentences, validity_tables
from persona_collapse.statistics.recommended_estimators import leave_one_out
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.study import load_study
from persona_collapse.tables import choices, frontier, headlines, printed_figures
from persona_collapse.tables.build import Tables
from persona_collapse.tables.contrast import Contrast
from persona_collapse.tables.headlines import CONTRARY, HOLDS, OPPOSITE, SAME, UNKNOWN, Claim, Found
from persona_collapse.tables.run_statistics import Analysis

RISES = Claim("noise", "bad", "noise rises under bad", "within_rms", "change_pct", 1)
FALLS = RISES._replace(sign=-1)
NOT_ABOVE = FALLS._replace(weak=True)


@pytest.mark.parametrize(
    ("claim", "found", "verdict"),
    [
        (RISES, (5, 1, 9), HOLDS),
        (RISES, (5, -1, 9), SAME),
        (RISES, (-5, -9, 1), OPPOSITE),
        (RISES, (-5, -9, -1), CONTRARY),
        (RISES, (np.nan, np.nan, np.nan), UNKNOWN),
        (RISES, (5, np.nan, np.nan), SAME),
        (FALLS, (-5, -9, -1), HOLDS),
        (FALLS, (5, 1, 9), CONTRARY),
        # at or below: only an interval wholly above contradicts it
        (NOT_ABOVE, (5, -1, 9), HOLDS),
        (NOT_ABOVE, (5, 1, 9), CONTRARY),
    ],
)
def test_a_claim_holds_only_beyond_its_interval(claim, found, verdict):
    assert headlines.verdict(claim, Found(*found)) == verdict


def test_quantities_without_each_persona():
    values = {"bad": np.array([3.0, 4.0]), "ok": np.array([2.5, 2.0]), "base": np.array([2.0, 1.0])}

    def read(run, metric):
        return values[run]

    # 100 (3/2 - 1) = 50 and 100 (4/1 - 1) = 300; 100 (3 - 2.5)/2 = 25 and 100 (4 - 2)/1 = 200
    assert headlines.plain(RISES, "within_rms", Contrast("bad", "base"), read).tolist() == [50, 300]
    assert headlines.plain(RISES._replace(quantity="excess_pp"), "within_rms", Contrast("bad", "base", "ok"), read).tolist() == [
        25,
        200,
    ]
    shares = {"bad": np.array([0.8]), "ok": np.array([0.5]), "base": np.array([0.9])}
    # logit .8 = ln 4, logit .5 = 0
    found = headlines.plain(RISES._replace(quantity="logit"), "icc", Contrast("bad", "base", "ok"), lambda run, _: shares[run])
    assert found == pytest.approx([np.log(4)])


def test_halves_are_complements_and_balanced_over_an_attribute():
    labels = [("outlook", "a")] * 8 + [("outlook", "b")] * 4
    found = list(choices.subsets(labels))
    halves = [who for group, _, who in found if group == "half of the personas"]
    assert len(halves) == 2 * choices.CUTS
    for one, other in zip(halves[::2], halves[1::2], strict=True):
        assert (one ^ other).all()
        assert (one[:8].sum(), one[8:].sum()) == (4, 2)
    # "a" is more than half of the deck, and "b" fewer than five: neither is left out
    assert len(found) == len(halves)


def test_a_group_of_the_deck_is_left_out_where_enough_remain():
    labels = [("outlook", "a")] * 5 + [("outlook", "b")] * 6
    words = [words for group, words, _ in choices.subsets(labels) if group == "group of personas left out"]
    assert words == ["without outlook a"]  # 6 of 11 are more than half


def test_halves_of_a_deck_without_attributes_are_the_same_every_time():
    one, again = (list(choices.subsets([("", "")] * 9)) for _ in range(2))
    assert all((a[2] == b[2]).all() for a, b in zip(one, again, strict=True))
    assert [who.sum() for _, _, who in one] == [5, 4] * choices.CUTS


# --- the table on the miniature study --------------------------------------------------------------------------------


def test_every_headline_stands_under_every_kind_of_choice(mini):
    table = mini[2].validity
    assert list(dict.fromkeys(table["kind"])) == [
        "susceptibility", "noise", "susceptibility_excess", "noise_excess", "anchor", "control",
    ]  # fmt: skip
    groups = list(dict.fromkeys(table.query("kind == 'noise_excess'")["group"]))
    assert groups == [
        "recommended", "estimator or measure", "repetitions", "half of the personas", "foundation left out", "item left out",
        "family left out", "wider claim",
    ]  # fmt: skip
    assert table["agrees"].equals(table["verdict"] == HOLDS)


def test_the_recommended_row_is_that_of_contrasts(mini):
    row = mini[2].validity.query("kind == 'noise_excess' and group == 'recommended' and family == 'mean'").iloc[0]
    rows = mini[2].contrasts.query(
        "method == 'recommended' and family == 'mean' and scope == 'overall' and variant == 'insecure'"
    )
    expected = rows.query("metric == 'within_rms' and quantity == 'excess_pp'").iloc[0]
    assert tuple(row[["value", "lo", "hi"]]) == pytest.approx(tuple(expected[["value", "lo", "hi"]]))


def test_without_a_family_the_mean_is_the_other_family(mini):
    table = mini[2].validity.query("kind == 'noise'")
    left = table.query("choice == 'without GPT-4o'").iloc[0]
    other = table.query("group == 'recommended' and family == 'qwen3-235b'").iloc[0]
    assert left["value"] == pytest.approx(other["value"])


def test_published_estimator_at_all_repetitions_is_the_published_contrast(mini):
    """Five ratings in every cell: at n = 5 nothing is left out."""
    table = mini[2].validity.query("kind == 'noise' and family == 'gpt-4o'").set_index("choice")["value"]
    assert table["published estimator at n = 5"] == pytest.approx(table["published, printed interval"])


@pytest.mark.parametrize("metric", ["susceptibility", "within_rms", "icc"])
def test_ways_worked_out_together_are_those_of_counts_cut_first(mini, metric):
    analysis = Analysis(read_ratings(*mini[:2]))
    runs = [run for run in mini[0].runs if run.family.key == "gpt-4o"]
    views, claim = choices.Views(analysis, runs), RISES._replace(metric=metric)
    items, counts = mini[0].instrument.items, analysis.counts(runs[0])
    seen = set()
    for choice in views.choices(claim):
        for way, (group, words) in enumerate(choice.ways):
            if group == "item left out":
                kept = [f"without item {item.number}" != words for item in items]
            elif group == "foundation left out":
                kept = [f"without {item.foundation}" != words for item in items]
            else:
                continue
            seen.add(group)
            cut = counts[:, kept]
            expected = leave_one_out(cut, SCALE, np.full((sum(kept), 1), 1 / sum(kept))).of(metric)[:, 0]
            assert choice.values(runs[0], metric)[:, way] == pytest.approx(expected, rel=1e-12), words
    assert seen == {"item left out", "foundation left out"}


def test_a_half_of_the_personas_is_worked_out_from_them_alone(mini):
    analysis = Analysis(read_ratings(*mini[:2]))
    runs = [run for run in mini[0].runs if run.family.key == "gpt-4o"]
    views = choices.Views(analysis, runs)
    found = [choice for choice in views.choices(RISES) if choice.ways[0][0] == "half of the personas"]
    halves = [who for group, _, who in choices.subsets(views._labels()) if group == "half of the personas"]
    assert len(found) == len(halves) == 2 * choices.CUTS
    for choice, who in zip(found, halves, strict=True):
        expected = leave_one_out(analysis.counts(runs[1])[who], SCALE, analysis.scope[:, :1]).of("within_rms")
        assert choice.values(runs[1], "within_rms") == pytest.approx(expected, rel=1e-12)


def test_a_study_of_bases_alone_makes_no_claim(tmp_path, outputs):
    (tmp_path / "t.yaml").write_text(
        "title: T\nkind: simulated\nprotocol: {personas: 4, repetitions: 2}\nfamilies:\n"
        "  - {key: f, variants: [{key: base, role: base, figures: gpt-4o/base}]}\n"
    )
    study = load_study(tmp_path / "t.yaml")
    collect(study)
    with open_store(study.store_path) as store:
        found = Tables(read_ratings(study, store))
    assert found.validity.empty and found.companions.empty and found.foundation_claims.empty
    assert validity_sentences.overview(found.validity, study) == "This study has no variant to make a claim about."
    assert validity_sentences.verdict(found.validity, study, "noise").startswith("This study makes no such claim")
    assert "nothing can be said" in validity_sentences.sample_of_families(found.validity)


def test_the_stack_alone_is_set_beside_the_control(tmp_path, outputs, monkeypatch):
    rng = np.random.default_rng(6)
    base = random_counts(rng, personas=12, items=30, repetitions=5)
    for name in ("base", "other", "ok", "bad"):
        rating_file(tmp_path, f"{name}.csv", base if name == "base" else random_counts(rng, personas=12, items=30, repetitions=5))
    (tmp_path / "t.yaml").write_text(
        "title: T\nkind: imported\nfamilies:\n  - key: f\n    variants:\n"
        "      - {key: base, role: base, stack: one, persona: base.csv}\n"
        "      - {key: again, role: alternate, stack: two, persona: other.csv}\n"
        "      - {key: ok, role: control, stack: two, persona: ok.csv}\n"
        "      - {key: bad, role: harmful, control: ok, stack: two, persona: bad.csv}\n"
    )
    study = load_study(tmp_path / "t.yaml", tmp_path)
    collect(study)
    with open_store(study.store_path) as store:
        found = Tables(read_ratings(study, store))
    said = validity_sentences.stacks(found, study)
    assert said.startswith("- **Serving stack and date (not recorded) together move the noise of f ") and "served by two" in said
    monkeypatch.setattr("persona_collapse.tables.comparability.Guard.beside_stack", lambda *runs: [])
    assert validity_sentences.stacks(found, study).startswith("- **The serving stack alone moves the noise of f ")
    assert said.endswith("Set beside a base from another stack: f ok, f bad.")
    rows = found.validity.query("kind == 'noise' and group == 'serving stack'")
    assert rows["choice"].tolist() == ["base of f: two"]


def test_a_stack_is_not_alone_where_repetitions_differ(tmp_path, outputs):
    rng = np.random.default_rng(6)
    for name, n in (("base", 4), ("other", 6)):
        rating_file(tmp_path, f"{name}.csv", random_counts(rng, personas=12, items=30, repetitions=n))
    (tmp_path / "t.yaml").write_text(
        "title: T\nkind: imported\nfamilies:\n  - key: f\n    variants:\n"
        "      - {key: base, role: base, stack: one, persona: base.csv}\n"
        "      - {key: again, role: alternate, stack: two, persona: other.csv}\n"
    )
    study = load_study(tmp_path / "t.yaml", tmp_path)
    collect(study)
    with open_store(study.store_path) as store:
        said = validity_sentences.stacks(Tables(read_ratings(study, store)), study)
    both = "Serving stack, date (not recorded) and repetitions (6 against 4) together move"
    assert said.startswith(f"- **{both} the noise of f by ") and "alone" not in said


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.27, "about a quarter"), (0.33, "about a third"), (0.15, "15 %"), (0.5, "about half"), (1.3, "1.3 times")],
)
def test_a_share_is_called_by_a_simple_fraction_only_where_it_is_near(share, words):
    assert validity_sentences.fraction(share) == words


def validity_of(*rows):
    columns = ["kind", "variant", "claim", "group", "choice", "family", "quantity", "value", "lo", "hi", "agrees", "verdict"]
    return pd.DataFrame([("noise", "bad", "noise rises", *row) for row in rows], columns=columns)


def test_survival_is_counted_by_kinds_of_choice(tmp_path):
    study = write_study(tmp_path, {"a": [("base", "base", None)], "b": [("base", "base", None)]})
    yes, no = (5.0, 1.0, 9.0, True, HOLDS), (5.0, -1.0, 9.0, False, SAME)
    table = validity_of(
        ("recommended", "recommended estimator", "mean", "%", *yes),
        ("recommended", "recommended estimator", "a", "%", *yes),
        ("recommended", "recommended estimator", "b", "%", *no),
        *[("item left out", f"without item {i}", "mean", "%", *yes) for i in range(9)],
        ("family left out", "without a", "mean", "%", *no),
        ("family left out", "without b", "mean", "%", *yes),
        ("repetitions", "n = 2", "mean", "%", *no),
    )
    # 2 of 4 kinds (the recommended one and items) without exception: not most, though 11 of 13 choices hold
    assert validity_sentences.verdict(table, study, "noise") == (
        "**Noise rises**: +5.0 % [1.0, 9.0]; holds in **11 of 13** analyses, without exception in 2 of 4 kinds "
        "of choice. It does not hold beyond the interval under: without a (+5.0 % [-1.0, 9.0]); n = 2 (+5.0 % [-1.0, 9.0]). Family "
        "by family it holds in 1 of 2; it cannot be told in b +5.0 % [-1.0, 9.0]."
    )
    shown = validity_tables.shown(table, study)["Choice"].tolist()
    assert shown[:3] == ["recommended estimator", "a alone", "b alone"]
    assert [words for words in shown if "item" in words] == ["item left out: without item 0 (lowest of 9)"]


def test_the_overview_says_what_is_not_borne_out_and_what_contradicts(tmp_path):
    study = write_study(tmp_path, {"a": [("base", "base", None)], "b": [("base", "base", None)]})
    yes, cannot, against = (5.0, 1.0, 9.0, True, HOLDS), (5.0, -1.0, 9.0, False, SAME), (-5.0, -9.0, -1.0, False, CONTRARY)
    first, other = (
        ("recommended", "recommended estimator", "mean", "%"),
        ("estimator or measure", "ICC instead of S", "mean", "%"),
    )
    assert validity_sentences.overview(validity_of((*first, *yes), (*other, *against)), study) == (
        "- **Noise rises**: +5.0 % [1.0, 9.0]; holds in **1 of 2** analyses, without exception in 1 of 2 kinds "
        "of choice. Contradicted under: ICC instead of S (-5.0 % [-9.0, -1.0])."
    )
    assert validity_sentences.overview(validity_of((*first, *cannot), (*other, *yes)), study) == (
        "- **No clear evidence that noise rises**: +5.0 % [-1.0, 9.0] (same direction, cannot be told); it holds in 1 of 2 analyses."
    )


def test_one_interval_without_end_does_not_flatten_the_others():
    rows = pd.DataFrame({"value": [10.0, 12.0, 11.0, 20.0], "lo": [5, 6, 7, -90], "hi": [15, 16, 17, 9000]})
    # 0 to 20 and what fits, 6 % of 20 to either side
    assert validity_figures._ends(rows) == [-1.2, 21.2]
    assert validity_figures._ends(rows[:3]) == []


def test_a_claim_that_one_of_several_families_makes_names_it(tmp_path):
    study = write_study(tmp_path, {"a": [("base", "base", None)], "b": [("base", "base", None)]})
    yes = 5.0, 1.0, 9.0, True, HOLDS
    table = validity_of(
        ("recommended", "recommended estimator", "b", "%", *yes), ("estimator or measure", "published", "b", "%", *yes)
    )
    assert validity_tables.shown(table, study)["Choice"].tolist() == [
        "recommended estimator, b alone",
        "estimator or measure: published",
    ]
    assert validity_tables.overview_table(table, study).loc["noise rises", ["choices", "families"]].tolist() == [2, "1 of 1"]


def test_what_a_change_is_made_of_names_the_parts_that_are_clearly_above_none(tmp_path):
    study = write_study(tmp_path, {"a": [("base", "base", None), ("ok", "control", None), ("bad", "harmful", "ok")]})
    parts = {
        "within_rms": (0.5, 0.4, 0.6),
        "extremity": (0.5, 0.4, 0.6),
        "noise_share": (-0.1, -0.2, 0.0),
        "ceiling": (0.1, 0.0, 0.2),
    }
    rows = [("a", "bad", "ok", "overall", part, *numbers) for part, numbers in parts.items()]
    table = pd.DataFrame(rows, columns=["family", "variant", "against", "scope", "part", "value", "lo", "hi"])
    assert validity_sentences.made_of(table, study) == (
        "- **a bad** against ok: noise +0.50 [0.40, 0.60] in logarithms: larger steps (larger steps +0.50 [0.40, 0.60], a weaker "
        "anchor -0.10 [-0.20, 0.00], more room +0.10 [0.00, 0.20])."
    )


def test_a_variant_without_excess_is_named_only_if_neither_s_nor_noise_goes_beyond(tmp_path, mini):
    study, _, found = mini
    table = found.validity.copy()
    own = (table["family"] == "gpt-4o") & (table["group"] == "recommended")
    table.loc[own & table["kind"].isin(["susceptibility_excess", "noise_excess"]), "agrees"] = False
    changed = Tables(found.ratings, validity=table)
    assert validity_sentences.without_excess(changed, study).startswith(
        "- **GPT-4o shows no excess**: insecure beyond its control "
    )
    table.loc[own & (table["kind"] == "noise_excess"), "agrees"] = True
    assert (
        validity_sentences.without_excess(changed, study)
        == "Every harmful variant goes beyond its matched control in S or in noise."
    )
    none = Tables(found.ratings, validity=table[:0])
    assert validity_sentences.without_excess(none, study).startswith("No claim can be made: ")  # there are controls


def test_families_are_counted_in_the_direction_of_the_claim(mini):
    study, _, found = mini
    said = validity_sentences.anchored(found.validity, study)
    assert said.startswith(
        "- **In 1 of 2 families personas do not explain less of insecure's answers than of its control's** (GPT-4o +0.30"
    )
    assert "6 are needed" in validity_sentences.sample_of_families(found.validity)


def test_fidelity_is_said_for_every_variant(mini):
    said = validity_sentences.faithful(mini[2], mini[0])
    assert said.count("GPT-4o") == 2 and "GPT-4o base" not in said
    assert said.endswith("Harmful variants depart further than their control in 2 of 2, clearly in 2.")


def test_a_study_by_logprobs_is_looked_at_at_other_temperatures(tmp_path, outputs):
    (tmp_path / "t.yaml").write_text(
        "title: T\nkind: simulated\nprotocol: {personas: 12, method: logprobs}\nfamilies:\n  - key: f\n    variants:\n"
        "      - {key: base, role: base, figures: gpt-4o/base}\n      - {key: bad, role: harmful, figures: gpt-4o/insecure}\n"
    )
    study = load_study(tmp_path / "t.yaml")
    collect(study)
    with open_store(study.store_path) as store:
        found = Tables(read_ratings(study, store))
    rows = found.validity.query("kind == 'noise'").groupby("group", sort=False)["choice"].agg(list)
    assert rows["temperature"] == ["T = 0.3", "T = 0.7", "T = 1"]  # of the one family; there is no mean
    assert "repetitions" not in rows
    # one family: its mean is itself, on the scale of its own
    own = found.validity.query("kind == 'noise' and group == 'recommended'")
    assert own["lo"].nunique() == 1


# --- the band of frontier models -------------------------------------------------------------------------------------


def test_a_further_value_is_expected_by_a_t_interval_of_the_logarithms():
    # logarithms 0, 1, 2: mean 1, SD 1, n 3; t(2) = 4.302653, reach 4.302653 sqrt(4/3) = 4.968276
    assert frontier.further(np.exp([0, 1, 2])) == pytest.approx((np.exp(1 - 4.968276), np.exp(1 + 4.968276)), rel=1e-6)


def test_relatives_are_models_of_the_same_maker():
    assert [frontier.maker(name) for name in ("gpt-4o-mini", "GPT-4.1", "qwen3-235b", "7b")] == ["gpt", "gpt", "qwen", ""]


def test_the_band_leaves_out_two_of_fifteen(mini):
    models = frontier.references(mini[0])
    band = printed_figures.band(mini[0])
    assert (band.inside, band.models) == (13, 15)
    inside = models["value"].round(2).between(band.low, band.high)
    assert (len(models), int(models["outside"].sum())) == (15, 2)
    assert inside.equals(~models["outside"])


def test_own_relatives_are_left_out(mini):
    table = mini[2].frontier.query("reference == 'without the same maker'").set_index("family")["models"]
    # gpt-4.1, its mini and nano, gpt-4o and its mini; no Qwen is among them
    assert (table["gpt-4o"].unique().tolist(), table["qwen3-235b"].unique().tolist()) == ([10], [15])


# --- single foundations ----------------------------------------------------------------------------------------------


def test_claims_about_foundations_are_adjusted_together(mini):
    table = mini[2].foundation_claims
    assert len(table) == 2 * 2 * 2 * 5  # families, variants, metrics, foundations
    own = table[table["metric"] == "susceptibility"]
    assert (own["p_holm"] >= own["p"]).all()
    assert own["p_holm"].min() == pytest.approx(min(1, 20 * own["p"].min()))


# --- the paper -------------------------------------------------------------------------------------------------------


@needs_data
def test_what_a_reviewer_would_ask_of_the_paper_is_said(outputs):
    study = load_study("published", os.environ["PUBLISHED_DATA"])
    collect(study)
    with open_store(study.store_path) as store:
        found = Tables(read_ratings(study, store))
    assert validity_sentences.without_excess(found, study).startswith("- **DeepSeek-V3.1 shows no excess**")
    assert (
        "date (71 days) and repetitions (10 against 15) together move the noise of Qwen3-235B by about a quarter"
        in validity_sentences.stacks(found, study)
    )
    assert "4 families **do not support** “noise rises under insecure beyond the matched control” on average" in (
        validity_sentences.sample_of_families(found.validity)
    )
    assert (
        "In 2 of 4 families personas do not explain less of insecure's answers than of its control's"
        in validity_sentences.anchored(found.validity, study)
    )
    # STATISTICS.md, section 5: insecure over base in log within_rms .97 [.35, 1.59]; e^.97 - 1 = 164 %
    row = found.validity.query("kind == 'noise' and choice == 'families as a sample'").iloc[0]
    assert np.log1p(row[["value", "lo", "hi"]].to_numpy(float) / 100).round(2).tolist() == [0.97, 0.35, 1.59]
    row = found.validity.query("kind == 'anchor' and choice == 'families as a sample'").iloc[0]
    assert row[["value", "lo", "hi"]].astype(float).round(2).tolist() == [0.01, -0.37, 0.39]
