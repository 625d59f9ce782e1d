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
from persona_collapse.statistics.exchanged import Exchanged, exchanges, joint_p
from persona_collapse.statistics.moments import Parts, cells
from persona_collapse.statistics.rarefaction import rarefied
from persona_collapse.statistics.recommended_estimators import Means, leave_one_out
from persona_collapse.statistics.units import Units
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables import choices, frontier, headline_rows, headlines, printed_figures
from persona_collapse.tables.build import Tables
from persona_collapse.tables.contrast import Contrast
from persona_collapse.tables.headline_rows import counted_once
from persona_collapse.tables.headlines import DOWN, NO_INTERVAL, NONE, UNCLEAR, UNKNOWN, UP, Found, Headline
from persona_collapse.tables.multiverse import Multiverse
from persona_collapse.tables.run_statistics import Analysis
from persona_collapse.tables.validity import NO_CHOICE

NOISE = Headline("noise", "bad", "within_rms", "change_pct")


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ((5, 1, 9), UP),
        ((5, -1, 9), UNCLEAR),
        ((-5, -9, 1), UNCLEAR),
        ((-5, -9, -1), DOWN),
        ((0, 0, 0), NONE),
        ((0, np.nan, np.nan), NONE),
        ((0, -1, 1), UNCLEAR),
        ((np.nan, np.nan, np.nan), UNKNOWN),
        ((5, np.nan, np.nan), NO_INTERVAL),
    ],
)
def test_a_number_says_something_only_beyond_its_interval(found, verdict):
    assert headlines.verdict(Found(*found)) == verdict


def test_a_headline_is_a_sentence_in_either_direction():
    assert headlines.claim("susceptibility", "bad", UP) == "S rises under bad"
    assert headlines.claim("susceptibility", "bad", DOWN) == "S falls under bad"
    assert headlines.claim("anchor", "bad", DOWN) == "personas explain less of bad's answers than of its matched control's"
    assert headlines.topic("noise_excess", "bad") == "noise under bad beyond its matched control"


def test_quantities_without_each_persona():
    values = {"bad": np.array([3.0, 4.0]), "ok": np.array([2.5, 2.0]), "base": np.array([2.0, 1.0])}

    def read(run, metric):
        return values[run]

    # 100 (3/2 - 1) = 50 and 100 (4/1 - 1) = 300; 100 (3 - 2.5)/2 = 25 and 100 (4 - 2)/1 = 200
    assert headlines.plain(NOISE, "within_rms", Contrast("bad", "base"), read).tolist() == [50, 300]
    assert headlines.plain(NOISE._replace(quantity="excess_pp"), "within_rms", Contrast("bad", "base", "ok"), read).tolist() == [
        25,
        200,
    ]
    shares = {"bad": np.array([0.8]), "ok": np.array([0.5]), "base": np.array([0.9])}
    # logit .8 = ln 4, logit .5 = 0
    found = headlines.plain(NOISE._replace(quantity="logit"), "icc", Contrast("bad", "base", "ok"), lambda run, _: shares[run])
    assert found == pytest.approx([np.log(4)])


def test_the_p_value_is_that_of_the_interval():
    """A statistic whose jackknife interval just touches no change has p = .05: t of 2 degrees of freedom at .975 is 4.302653."""
    without = np.array([1.0, 2.0, 3.0])  # mean 2, SE = sqrt(2/3 * 2) = 1.154701; centre = 3 full - 2 * 2
    full = (4.302653 * 1.154701 + 4) / 3
    assert headlines.p_value(np.concatenate([[full], without])[:, None]) == pytest.approx(0.05, rel=1e-5)


def test_a_group_of_the_deck_is_left_out_where_enough_remain():
    labels = [("outlook", "a")] * 5 + [("outlook", "b")] * 6
    words = [words for group, words, _ in choices.subsets(labels) if group == "group of personas left out"]
    assert words == ["without outlook a"]  # 6 of 11 are more than half
    assert not list(choices.subsets([("", "")] * 9))


# --- the table on the miniature study --------------------------------------------------------------------------------


def test_every_headline_stands_under_every_kind_of_choice(mini):
    table = mini[2].validity
    assert list(dict.fromkeys(table["kind"])) == [
        "susceptibility", "noise", "susceptibility_excess", "noise_excess", "anchor",
    ]  # fmt: skip
    groups = list(dict.fromkeys(table.query("kind == 'noise_excess'")["group"]))
    assert groups == [
        "recommended", "estimator", "repetitions", "foundation left out", "item left out", "family left out", "wider claim",
        "other construct",
    ]  # fmt: skip
    first = table[table["group"] == "recommended"].set_index(["kind", "variant", "family"])["verdict"]
    assert table["agrees"].tolist() == [
        first[r.kind, r.variant, r.family] == r.verdict != "no interval" for r in table.itertuples()
    ]
    assert set(table["variant"]) == {"secure", "insecure"}


def test_the_recommended_row_is_that_of_contrasts(mini):
    row = mini[2].validity.query("kind == 'noise_excess' and group == 'recommended' and family == 'mean'").iloc[0]
    rows = mini[2].contrasts.query(
        "method == 'recommended' and family == 'mean' and scope == 'overall' and variant == 'insecure'"
    )
    expected = rows.query("metric == 'within_rms' and quantity == 'excess_pp'").iloc[0]
    assert tuple(row[["value", "lo", "hi"]]) == pytest.approx(tuple(expected[["value", "lo", "hi"]]))


def test_without_a_family_the_mean_is_the_other_family(mini):
    table = mini[2].validity.query("kind == 'noise' and variant == 'insecure'")
    left = table.query("choice == 'without GPT-4o'").iloc[0]
    other = table.query("group == 'recommended' and family == 'qwen3-235b'").iloc[0]
    assert left["value"] == pytest.approx(other["value"])


def test_published_estimator_at_all_repetitions_is_the_published_contrast(mini):
    """Five ratings in every cell: at n = 5 nothing is left out."""
    table = mini[2].validity.query("kind == 'noise' and family == 'gpt-4o' and variant == 'secure'").set_index("choice")["value"]
    assert table["the paper's formula at n = 5"] == pytest.approx(table["the paper's formula and interval"])


@pytest.mark.parametrize("metric", ["susceptibility", "within_rms", "icc"])
def test_ways_worked_out_together_are_those_of_counts_cut_first(mini, metric):
    analysis = Analysis(read_ratings(*mini[:2]))
    runs = [run for run in mini[0].runs if run.family.key == "gpt-4o"]
    look, headline = choices.Views(analysis, runs).as_asked, NOISE._replace(metric=metric)
    items, counts = mini[0].instrument.items, analysis.counts(runs[0])
    seen = set()
    for choice in look.choices(headline):
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


def test_a_group_of_personas_left_out_is_worked_out_from_the_others_alone(mini, monkeypatch):
    monkeypatch.setattr(choices, "_FEWEST", 3)
    analysis = Analysis(read_ratings(*mini[:2]))
    runs = [run for run in mini[0].runs if run.family.key == "gpt-4o"]
    views = choices.Views(analysis, runs)
    found = [choice for choice in views.as_asked.choices(NOISE) if choice.ways[0][0] == "group of personas left out"]
    assert len(found) == len(views.subsets) > 1
    for choice, (_, words, who) in zip(found, views.subsets, strict=True):
        assert choice.ways == [("group of personas left out", words)]
        expected = leave_one_out(analysis.counts(runs[1])[who], SCALE, analysis.scope[:, :1]).of("within_rms")
        assert choice.values(runs[1], "within_rms") == pytest.approx(expected, rel=1e-12)


def test_no_row_is_of_another_construct_and_counted(mini):
    table = mini[2].validity
    counted = table.groupby(["kind", "variant"], group_keys=False)[table.columns].apply(
        lambda own: counted_once(own[own["family"] == "mean"])
    )
    assert not counted["choice"].str.contains("ICC").any() and not counted["group"].isin(NO_CHOICE).any()
    assert (counted.groupby(["kind", "variant"])["group"].apply(lambda own: (own == "item left out").sum()) == 1).all()


# --- the joint test --------------------------------------------------------------------------------------------------


def tables_of_runs(tmp_path, **runs):
    """Tables of a base and of harmful variants with these counts."""
    for key, counts in runs.items():
        rating_file(tmp_path, f"{key}.csv", counts)
    return tables_of_files(tmp_path, *(f"key: {key}, role: {'base' if key == 'base' else 'harmful'}" for key in runs))


def tables_of_files(tmp_path, *variants):
    """Tables of an imported study of one family, whose variants have the files of their keys."""
    listed = "".join(f"      - {{{one}, persona: {one.partition(',')[0].removeprefix('key: ')}.csv}}\n" for one in variants)
    (tmp_path / "t.yaml").write_text(f"title: T\nkind: imported\nfamilies:\n  - key: f\n    variants:\n{listed}")
    study = load_study(tmp_path / "t.yaml", tmp_path)
    collect(study)
    with open_store(study.store_path) as store:
        return Tables(read_ratings(study, store))


def test_exchanged_runs_are_those_of_counts_exchanged_first():
    rng = np.random.default_rng(8)
    own, other = (random_counts(rng, personas=7, items=4, repetitions=5) for _ in range(2))
    parts = [Parts(counts, cells(counts, SCALE), SCALE) for counts in (own, other)]
    taken, scope = rng.random((3, 7)) < 0.5, np.full((4, 1), 1 / 4)
    found = Means(Exchanged(*parts, taken), scope)
    for draw, who in enumerate([np.zeros(7, bool), *taken]):
        mixed = np.where(who[:, None, None], other, own)
        expected = leave_one_out(mixed, SCALE, scope)
        for metric in ("susceptibility", "within_rms", "icc", "relative_noise", "within_sd", "susceptibility_published"):
            assert found.metric(metric)[draw, 0] == pytest.approx(expected.of(metric)[0, 0], rel=1e-12)
        alone = Parts(mixed, cells(mixed, SCALE), SCALE)
        for name in ("susceptibility", "within_sd"):
            assert getattr(rarefied(Exchanged(*parts, taken), scope, 3), name)[draw] == pytest.approx(
                getattr(rarefied(alone, scope, 3), name)[0], rel=1e-12
            )


def test_an_exchange_of_everybody_turns_every_change_into_its_opposite(mini, monkeypatch):
    monkeypatch.setattr(headline_rows, "exchanges", lambda units: np.ones((1, units.personas), bool))
    multiverse = Multiverse(mini[2].analysis, mini[2].guard)
    for headline, sides in multiverse.sides.items():
        as_it_is, exchanged = headline_rows.medians(headline, sides, multiverse.views(headline))
        assert exchanged == pytest.approx(-as_it_is, rel=1e-9), headline


def test_p_of_the_joint_test_counts_the_study_itself():
    assert joint_p(np.array([2.0, 1.0, -2.0, 0.5])) == 2 / 4
    assert joint_p(np.array([0.0, 1.0, -1.0])) == 1  # no difference at all
    assert np.isnan(joint_p(np.array([np.nan, 1.0])))


def test_runs_without_any_difference_have_none_and_a_joint_p_of_one(tmp_path, outputs):
    counts = random_counts(np.random.default_rng(1), personas=8, items=30, repetitions=4)
    found = tables_of_runs(tmp_path, base=counts, bad=counts)
    own = found.headlines.set_index("kind")
    assert own["verdict"].eq("no difference").all() and own["p_joint"].eq(1).all() and own["p"].isna().all()
    said = validity_sentences.verdict(found.headlines, found.validity, found.study, "noise")
    assert said.startswith("**Noise under bad**: no difference.")
    assert validity_sentences.overview(found.headlines, found.validity, found.study) == "Of 2 headlines 0 are clear."


def test_a_variant_that_is_steadier_and_more_alike_falls(tmp_path, outputs):
    rng = np.random.default_rng(2)
    base = random_counts(rng, personas=12, items=30, repetitions=5)
    calm = np.zeros_like(base)
    calm[..., 3] = 5
    moved = rng.random(calm.shape[:2]) < 0.3
    calm[moved] = [0, 0, 0, 4, 1, 0]
    found = tables_of_runs(tmp_path, base=base, bad=calm)
    said = validity_sentences.verdict(found.headlines, found.validity, found.study, "noise")
    assert said.startswith("**Noise falls under bad**: -")
    assert found.headlines.set_index("kind").loc["noise", "p_joint"] == 1 / 200


def test_a_variant_that_answers_alike_as_everybody_falls_by_pooled_s(tmp_path, outputs):
    """No persona effect left: S has no logarithm, and the change of pooled S against the base is about -100 %."""
    rng = np.random.default_rng(4)
    true = np.clip(rng.normal(2.5, 1.2, (20, 30)), 0.3, 4.7) / 5
    flat = np.broadcast_to(np.clip(rng.normal(2.5, 1, 30), 0.3, 4.7) / 5, true.shape)
    base, bad = (np.eye(6, dtype=int)[rng.binomial(5, p[:, :, None], (20, 30, 5))].sum(axis=2) for p in (true, flat))
    found = tables_of_runs(tmp_path, base=base, bad=bad)
    row = found.headlines.set_index("kind").loc["susceptibility"]
    assert row["verdict"] == "down" and row["lo"] >= -100 and row["hi"] < -50
    said = validity_sentences.verdict(found.headlines, found.validity, found.study, "susceptibility")
    assert said.startswith("**S falls under bad**: -") and "no interval" not in said.splitlines()[0]
    same = found.equivalence.set_index("metric").loc["susceptibility"]
    assert same["verdict"] == "changed" and same["hi"] == row["hi"] and same["why"].startswith("S is too near 0")
    anchored = found.validity.query("kind == 'susceptibility' and choice == 'S pooled over items'")
    assert anchored["lo"].isna().all()  # no logarithm near zero


def test_the_joint_test_rejects_a_true_null_in_one_of_twenty():
    """400 redraws of one population of 20 personas: p <= .05 in 5 % of them, within three times the Monte Carlo error."""
    rng, low = np.random.default_rng(5), 0
    true, scope = np.clip(rng.normal(2.5, 1, (20, 10)), 0.3, 4.7) / 5, np.full((10, 1), 0.1)
    for _ in range(400):
        drawn = [np.eye(6, dtype=int)[rng.binomial(5, true[:, :, None], (20, 10, 4))].sum(axis=2) for _ in range(2)]
        own, other = (Parts(counts, cells(counts, SCALE), SCALE) for counts in drawn)
        taken = exchanges(Units(20))
        sides = [Means(Exchanged(*pair, taken), scope) for pair in ((own, other), (other, own))]
        ratios = [
            np.log(sides[0].metric(name) / sides[1].metric(name))[:, 0]
            for name in ("susceptibility", "susceptibility_pooled", "relative_susceptibility")
        ]
        low += joint_p(np.median(ratios, axis=0)) <= 0.05
    assert low / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


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
    assert (
        validity_sentences.overview(found.headlines, found.validity, study) == "This study has no variant to make a claim about."
    )
    assert validity_sentences.verdict(found.headlines, found.validity, study, "noise").startswith(
        "This study makes no such claim"
    )
    assert "nothing can be said" in validity_sentences.sample_of_families(found.validity)


def test_the_stack_alone_is_set_beside_the_control(tmp_path, outputs, monkeypatch):
    rng = np.random.default_rng(6)
    base = random_counts(rng, personas=12, items=30, repetitions=5)
    for name in ("base", "again", "ok", "bad"):
        rating_file(tmp_path, f"{name}.csv", base if name == "base" else random_counts(rng, personas=12, items=30, repetitions=5))
    found = tables_of_files(
        tmp_path, "key: base, role: base, stack: one", "key: again, role: alternate, stack: two",
        "key: ok, role: control, stack: two", "key: bad, role: harmful, control: ok, stack: two",
    )  # fmt: skip
    study = found.study
    said = validity_sentences.stacks(found, study)
    assert said.startswith("- **Serving stack and date (not recorded) together move the noise of f ") and "served by two" in said
    monkeypatch.setattr("persona_collapse.tables.comparability.Guard.beside_stack", lambda *runs: [])
    assert validity_sentences.stacks(found, study).startswith("- **The serving stack alone moves the noise of f ")
    assert said.endswith("Set beside a base from another stack: f ok, f bad.")
    rows = found.validity.query("kind == 'noise' and group == 'serving stack'")
    assert rows["choice"].tolist() == ["f base served by two"] * 2  # of ok and of bad


def test_a_stack_is_not_alone_where_repetitions_differ(tmp_path, outputs):
    rng = np.random.default_rng(6)
    for name, n in (("base", 4), ("again", 6)):
        rating_file(tmp_path, f"{name}.csv", random_counts(rng, personas=12, items=30, repetitions=n))
    found = tables_of_files(tmp_path, "key: base, role: base, stack: one", "key: again, role: alternate, stack: two")
    said = validity_sentences.stacks(found, found.study)
    both = "Serving stack, date (not recorded) and repetitions (6 against 4) together move"
    assert said.startswith(f"- **{both} the noise of f by ") and "alone" not in said


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.27, "about a quarter"), (0.33, "about a third"), (0.15, "15 %"), (0.5, "about half"), (1.3, "1.3 times")],
)
def test_a_share_is_called_by_a_simple_fraction_only_where_it_is_near(share, words):
    assert validity_sentences.fraction(share) == words


def validity_of(*rows):
    columns = ["kind", "variant", "headline", "group", "choice", "family", "quantity", "value", "lo", "hi", "agrees", "verdict"]
    return pd.DataFrame([("noise", "bad", "noise under bad", *row) for row in rows], columns=columns)


def headline_of(verdict="up", numbers=(5.0, 1.0, 9.0), **more):
    row = {"kind": "noise", "variant": "bad", "headline": "noise under bad", "family": "mean", "families": 2, "quantity": "%"}
    row |= dict(zip(("value", "lo", "hi"), numbers, strict=True)) | {"verdict": verdict, "p": 0.01, "p_holm": 0.02, "adjusted": 2}
    return pd.DataFrame([row | {"choices": 4, "agree": 2, "median": 5.0, "p_joint": 0.02} | more])


def test_analyses_are_counted_and_items_left_out_are_one(tmp_path):
    study = write_study(tmp_path, {"a": [("base", "base", None)], "b": [("base", "base", None)]})
    yes, no = (5.0, 1.0, 9.0, True, UP), (5.0, -1.0, 9.0, False, UNCLEAR)
    table = validity_of(
        ("recommended", "recommended estimator", "mean", "%", *yes),
        ("recommended", "recommended estimator", "a", "%", *yes),
        ("recommended", "recommended estimator", "b", "%", *no),
        *[("item left out", f"without item {i}", "mean", "%", *(no if i == 4 else yes)) for i in range(9)],
        ("family left out", "without a", "mean", "%", *no),
        ("family left out", "without b", "mean", "%", *yes),
        ("repetitions", "n = 2", "mean", "%", *no),
        ("wider claim", "families as a sample", "mean", "%", *no),
        ("other construct", "1 - ICC instead of noise", "mean", "%", *no),
    )
    counted = counted_once(table[table["family"] == "mean"])
    # of the items the one that does not agree
    assert counted["choice"].tolist() == ["without item 4", "without a", "without b", "n = 2"]
    assert validity_sentences.verdict(headline_of(choices=4, agree=1), table, study, "noise") == (
        "**Noise rises under bad**: +5.0 % [1.0, 9.0]. 1 of 4 other analyses agree (median +5.0 %, joint p = .020). Otherwise: "
        "without item 4 (+5.0 % [-1.0, 9.0], unclear); without a (+5.0 % [-1.0, 9.0], unclear); n = 2 (+5.0 % [-1.0, 9.0], "
        "unclear). By family: up in 1 of 2 (a +5.0 % [1.0, 9.0]); unclear in 1 of 2 (b +5.0 % [-1.0, 9.0])."
    )
    shown = validity_tables.analyses(table, study)["Analysis"].tolist()
    assert shown == ["recommended", "without item 0 (lowest of 9)", "without a", "without b", "n = 2"]
    assert validity_tables.no_choices(table, study)["Beside"].tolist() == [
        "a alone", "b alone", "families as a sample", "1 - ICC instead of noise",
    ]  # fmt: skip


def test_of_items_that_all_agree_the_one_farthest_from_the_others_counts():
    rows = [
        ("item left out", f"without item {i}", "mean", "%", value, 1.0, 9.0, True, UP) for i, value in enumerate((5, 5, 9, 5, 4))
    ]
    assert counted_once(validity_of(*rows))["choice"].tolist() == ["without item 2"]


def test_every_analysis_makes_one_choice_in_everything_that_is_varied(tmp_path):
    study = write_study(tmp_path, {"a": [("base", "base", None)]})
    yes = (5.0, 1.0, 9.0, True, UP)
    table = validity_of(
        ("recommended", "recommended estimator", "mean", "%", *yes), ("estimator", "pooled", "mean", "%", *yes),
        ("group of items left out", "without Harm", "mean", "%", *yes),
    )  # fmt: skip
    marks = validity_tables.grid(validity_tables.analyses(table, study))
    assert set(map(tuple, marks.to_numpy())) == {
        ("recommended", "estimator: recommended", "no"), ("pooled", "estimator: pooled", "yes"),
        ("without Harm", "estimator: recommended", "no"), ("recommended", "items: all", "no"), ("pooled", "items: all", "no"),
        ("without Harm", "items: without Harm", "yes"),
    }  # fmt: skip


def test_the_overview_says_what_is_unclear_what_is_opposite_and_what_holm_takes(tmp_path):
    study = write_study(tmp_path, {"a": [("base", "base", None)], "b": [("base", "base", None)]})
    yes, cannot, against = (5.0, 1.0, 9.0, True, UP), (5.0, -1.0, 9.0, False, UNCLEAR), (-5.0, -9.0, -1.0, False, DOWN)
    first, other = ("recommended", "recommended estimator", "mean", "%"), ("estimator", "pooled", "mean", "%")
    said = validity_sentences.overview(
        headline_of(choices=1, agree=0, p_holm=0.06), validity_of((*first, *yes), (*other, *against)), study
    )
    assert said == (
        "The one headline is clear; with 2 tests counted (Holm, 5 %), no longer clear: noise under bad.\n\n"
        "- **Noise under bad**: the opposite by pooled (-5.0 % [-9.0, -1.0])."
    )
    unclear = headline_of(UNCLEAR, (5.0, -1.0, 9.0), choices=1, agree=0), validity_of((*first, *cannot), (*other, *yes)), study
    assert validity_sentences.overview(*unclear) == "The one headline is not clear."
    assert validity_sentences.verdict(*unclear, "noise") == (
        "**No clear change of noise under bad**: +5.0 % [-1.0, 9.0]. 0 of 1 other analyses agree (median +5.0 %, joint p = .020)."
    )


def test_equivalence_is_counted_over_families_and_never_assumed(tmp_path):
    study = write_study(tmp_path, {"a": [("base", "base", None), ("ok", "control", None)]})
    columns = ["family", "variant", "metric", "smallest", "value", "lo90", "hi90", "lo", "hi", "verdict"]
    rows = [("a", "ok", "susceptibility", 10.0, 1.0, -2.4, 4.9, -3.1, 5.7, "equivalent")]
    one = pd.DataFrame(
        [*rows, ("a", "ok", "robustness", 10.0, 1.0, np.nan, np.nan, np.nan, np.nan, "undecided")], columns=columns
    )
    assert validity_sentences.equivalent(one, study) == (
        "- **ok keeps S within 10 % of its base** (90 % interval -2.4 to +4.9 %).\n"
        "- **Whether ok keeps R within 10 % of its base is undecided**."
    )
    several = pd.DataFrame(
        [(f, *rows[0][1:-1], v) for f, v in zip("abcd", ("equivalent", "changed", "changed", "undecided"), strict=True)],
        columns=columns,
    )
    assert validity_sentences.equivalent(several, study) == (
        "- **ok keeps S within 10 % of its base in 1 of 4 families**; it changes in 2; it is undecided in 1."
    )


def test_one_interval_without_end_does_not_flatten_the_others():
    rows = pd.DataFrame({"value": [10.0, 12.0, 11.0, 20.0], "lo": [5, 6, 7, -90], "hi": [15, 16, 17, 9000]})
    # 0 to 20 and what fits, 6 % of 20 to either side
    assert validity_figures._ends(rows) == [-1.2, 21.2]
    assert validity_figures._ends(rows[:3]) == []


def test_a_claim_that_one_of_several_families_makes_names_it(tmp_path):
    study = write_study(tmp_path, {"a": [("base", "base", None)], "b": [("base", "base", None)]})
    yes = 5.0, 1.0, 9.0, True, UP
    table = validity_of(("recommended", "recommended estimator", "b", "%", *yes), ("estimator", "published", "b", "%", *yes))
    assert validity_tables.analyses(table, study)["Analysis"].tolist() == ["recommended, b alone", "published"]


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
        "- **a bad** against ok: noise +0.50 [0.40, 0.60] in logarithms: larger steps (larger steps +0.50 [0.40, 0.60], a stronger "
        "anchor -0.10 [-0.20, 0.00], more room +0.10 [0.00, 0.20])."
    )


def test_where_noise_falls_the_parts_that_fall_are_named(tmp_path):
    study = write_study(tmp_path, {"a": [("base", "base", None), ("bad", "harmful", None)]})
    parts = {"within_rms": (-2, -3, -1), "extremity": (0.2, 0.1, 0.3), "noise_share": (0.1, 0, 0.2), "ceiling": (-2.3, -3, -2)}
    rows = [("a", "bad", "base", "overall", part, *numbers) for part, numbers in parts.items()]
    table = pd.DataFrame(rows, columns=["family", "variant", "against", "scope", "part", "value", "lo", "hi"])
    said = validity_sentences.made_of(table, study)
    assert "noise -2.00 [-3.00, -1.00] in logarithms: less room (larger steps +0.20" in said and "less room -2.30" in said


def test_a_variant_without_excess_is_named_only_if_neither_s_nor_noise_goes_beyond(tmp_path, mini):
    study, _, found = mini
    table = found.validity.copy()
    own = (table["family"] == "gpt-4o") & (table["group"] == "recommended")
    table.loc[own & table["kind"].isin(["susceptibility_excess", "noise_excess"]), "verdict"] = UNCLEAR
    changed = Tables(found.ratings, validity=table)
    assert validity_sentences.without_excess(changed, study).startswith(
        "- **GPT-4o: no excess can be told**: insecure beyond its control "
    )
    table.loc[own & (table["kind"] == "noise_excess"), "verdict"] = UP
    assert (
        validity_sentences.without_excess(changed, study)
        == "Every harmful variant goes beyond its matched control in S or in noise."
    )
    lower = table.copy()
    lower.loc[lower["kind"].isin(["susceptibility_excess", "noise_excess"]), "verdict"] = DOWN
    said = validity_sentences.without_excess(Tables(found.ratings, validity=lower), study)
    assert said == "0 of 2 harmful variants go beyond their matched control in S or in noise."
    lower["verdict"] = NO_INTERVAL
    assert "cannot be told" in validity_sentences.without_excess(Tables(found.ratings, validity=lower), study)
    none = Tables(found.ratings, validity=table[:0])
    assert validity_sentences.without_excess(none, study).startswith("No claim can be made: ")  # there are controls


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
    assert validity_sentences.without_excess(found, study).startswith("- **DeepSeek-V3.1: no excess can be told**")
    assert (
        "date (71 days) and repetitions (10 against 15) together move the noise of Qwen3-235B by about a quarter"
        in validity_sentences.stacks(found, study)
    )
    assert (
        "These 4 families **do not show** a change of noise under insecure beyond its matched control in families in general"
        in (validity_sentences.sample_of_families(found.validity))
    )
    said = validity_sentences.verdict(found.headlines, found.validity, study, "anchor")
    assert "up in 1 of 4 (GPT-4o +0.29 [0.08, 0.49]); down in 1 of 4 (Qwen3-235B -0.25 [-0.42, -0.08]); unclear in 2 of 4" in said
    # CONCLUSIONS.md, section 3: one family equivalent, two changed, one undecided
    assert "**secure keeps S within 10 % of its base in 1 of 4 families**; it changes in 2; it is undecided in 1." in (
        validity_sentences.equivalent(found.equivalence, study)
    )
    # STATISTICS.md, section 5: insecure over base in log within_rms .97 [.35, 1.59]; e^.97 - 1 = 164 %
    row = found.validity.query("kind == 'noise' and variant == 'insecure' and choice == 'families as a sample'").iloc[0]
    assert np.log1p(row[["value", "lo", "hi"]].to_numpy(float) / 100).round(2).tolist() == [0.97, 0.35, 1.59]
    row = found.validity.query("kind == 'anchor' and choice == 'families as a sample'").iloc[0]
    assert row[["value", "lo", "hi"]].astype(float).round(2).tolist() == [0.01, -0.37, 0.39]
