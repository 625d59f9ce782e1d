"""Two studies side by side: what is matched, what differs, what is refused, and what the page says of it."""

import csv
import itertools
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from hostile import faults
from importable import cell, write_instrument, write_rows
from persona_collapse import __main__ as commands
from persona_collapse.asking.collect import collect
from persona_collapse.comparison import figures, interval_arithmetic, reading_tables, sentences
from persona_collapse.comparison.build import build_comparison
from persona_collapse.comparison.match_runs import matches, shared
from persona_collapse.comparison.page import provenance_of, render_comparison
from persona_collapse.comparison.pair import Pair, open_pair
from persona_collapse.paths import INSTRUMENTS, NOTEBOOKS, OUTPUTS
from persona_collapse.report import dictionary
from persona_collapse.simulated.response_model import cell_probabilities, draw
from persona_collapse.statistics.recommended_estimators import leave_one_out
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import Store
from persona_collapse.study.instrument import load_instrument
from persona_collapse.study.load_study import load_study
from persona_collapse.study.personas import Persona
from persona_collapse.study.respondent_parameters import load_respondent
from persona_collapse.study.scopes import scope_matrix
from persona_collapse.tables.run_statistics import Analysis, Side

PEOPLE = [f"a person called {name}" for name in "Ada Bo Cy Di Ed Flo Gus Hal Ida Jo".split()]
SOURCE = {"git": "https://example.org/ratings"}


# --- building studies ------------------------------------------------------------------------------------------------


def ratings(seed=1, personas=12, items=4, repetitions=4):
    """Ratings (persona, item, repetition) of 1, 2 and 3: personas differ, and waver."""
    rng = np.random.default_rng(seed)
    each = rng.normal(2, 0.7, (personas, items, 1)) + rng.normal(0, 0.5, (personas, items, repetitions))
    return np.clip(each.round(), 1, 3).astype(int)


def doubled(given):
    """Twice as far from 2: 1, 2, 3 become 0, 2, 4."""
    return 2 * given - 2


def imported(folder, name, runs, roles=None, family="f", **more):
    """An imported study of one family, in the store; `runs` maps a variant's key to ratings (persona, item, repetition)."""
    roles = roles or {"base": "base", "control": "control", "harmful": "harmful"}
    variants = []
    for key, given in runs.items():
        rows = [row for p, own in enumerate(given) for q, found in enumerate(own) for row in cell(p, q + 1, *found.tolist())]
        write_rows(folder / f"{name}-{key}.csv", rows)
        control = {"control": "control"} if roles[key] == "harmful" and "control" in runs else {}
        variants.append({"key": key, "role": roles[key], "persona": f"{name}-{key}.csv"} | control)
    write_instrument(folder / "short.yaml", items=next(iter(runs.values())).shape[1])
    content = {"title": name, "kind": "imported", "instrument": "./short.yaml", "source": SOURCE} | more
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content | {"families": [{"key": family, "variants": variants}]}), encoding="utf-8")
    collect(load_study(path, folder))
    return str(path)


def simulated(folder, name, people=PEOPLE, *, seed=1, variants=("base", "secure", "insecure"), ask=True, **more):
    """A simulated study of one family, asked as these people; returns the path of its file."""
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["persona"], *([text] for text in people)])
    roles = {"base": "base", "secure": "control", "insecure": "harmful", "other": "alternate"}
    described = [
        {"key": key, "role": roles[key.partition("-")[0]], "figures": f"gpt-4o/{key.partition('-')[0].replace('other', 'base')}"}
        for key in variants
    ]
    for variant in described:
        if variant["role"] == "harmful" and "secure" in variants:
            variant["control"] = "secure"
    content = {
        "title": f"Study {name}", "kind": "simulated", "seed": seed, "personas": f"./{name}.csv", "conditions": ["persona"],
        "protocol": {"repetitions": 3}, "families": [{"key": "gpt-4o", "label": "GPT-4o", "variants": described}],
    }  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content | more), encoding="utf-8")
    if ask:
        collect(load_study(path))
    return str(path)


def compared(a, b):
    pair = open_pair(a, b)
    return pair, build_comparison(pair)


def differences(tables, quantity="difference_pct", method="recommended", scope="overall"):
    own = tables.differences.query("quantity == @quantity and method == @method and scope == @scope")
    return own.set_index(["family", "variant", "metric"]).sort_index()


# --- numbers ---------------------------------------------------------------------------------------------------------


class TestNumbers:
    def test_the_same_ratings_differ_by_nothing_and_that_is_said(self, tmp_path, outputs):
        given = {"base": ratings(1), "harmful": doubled(ratings(2))}
        pair, tables = compared(imported(tmp_path, "one", given), imported(tmp_path, "two", given))
        own = tables.differences.query("quantity != 'agreement' and method == 'recommended' and value == value")
        assert (own[["value", "lo", "hi"]].abs().to_numpy() == 0).all() and len(own)
        assert (own["p"] == 1).all() and own["same_ratings"].all()
        # personas answer exactly as they do: correlation 1 but for what noise takes off
        assert "nothing to compare (2 of 2): f base; f harmful." in sentences.levels(tables, pair, "susceptibility")
        assert "This tells nothing of 2 runs" in sentences.agreement(tables, pair)
        assert sentences.counted(tables) == "No difference between two sets of ratings has an interval."

    def test_twice_as_far_from_the_middle_is_100_percent_more(self, tmp_path, outputs):
        """Every deviation doubles, so S and noise do, with all personas and without each one: the interval has no width."""
        given = ratings()
        _, tables = compared(imported(tmp_path, "one", {"base": given}), imported(tmp_path, "two", {"base": doubled(given)}))
        own = differences(tables).loc["f", "base"]
        for metric, expected in {"susceptibility": 100, "within_rms": 100, "robustness": -50, "icc": 0}.items():
            assert own.loc[metric, ["value", "lo", "hi"]].tolist() == pytest.approx([expected] * 3, abs=1e-9)
        assert own["paired"].all() and (own["personas_a"] == 12).all() and (own["items"] == 4).all()

    def test_an_effect_that_doubles_against_an_equal_base(self, tmp_path, outputs):
        """Base and control stay and the harmful run doubles: its effect is 100 % larger, its excess grows by 100 h / b."""
        b, c, h = ratings(1), ratings(2), ratings(3)
        one = imported(tmp_path, "one", {"base": b, "control": c, "harmful": h})
        two = imported(tmp_path, "two", {"base": b, "control": c, "harmful": doubled(h)})
        _, tables = compared(one, two)
        effect = differences(tables, "effect_pct")
        assert effect.loc[("f", "harmful", "susceptibility"), "value"] == pytest.approx(100)
        assert effect.loc[("f", "control", "susceptibility"), "value"] == 0
        level = tables.levels.query("metric == 'susceptibility' and scope == 'overall' and method == 'recommended'")
        s = level.set_index("variant")["value_a"]
        excess = differences(tables, "excess_difference_pp").loc[("f", "harmful", "susceptibility")]
        assert excess["value"] == pytest.approx(100 * s["harmful"] / s["base"])
        # 100 (h - c) / b in the first, 100 (2h - c) / b in the second
        assert excess["value_a"] == pytest.approx(100 * (s["harmful"] - s["control"]) / s["base"])
        assert excess["value_b"] == pytest.approx(100 * (2 * s["harmful"] - s["control"]) / s["base"])
        assert excess["lo"] < excess["value"] < excess["hi"]

    def test_swapping_the_studies_inverts_the_ratio(self, tmp_path, outputs):
        one, two = simulated(tmp_path, "one", seed=1), simulated(tmp_path, "two", seed=2)
        (_, there), (_, back) = compared(one, two), compared(two, one)
        for quantity in ("difference_pct", "effect_pct"):
            a, b = differences(there, quantity), differences(back, quantity)
            # x -> 1/x: the lower end becomes the upper one
            for first, second in (("value", "value"), ("lo", "hi"), ("hi", "lo"), ("lo_repeat", "hi_repeat")):
                product = (1 + a[first] / 100) * (1 + b[second] / 100)
                known = product[np.isfinite(product)]
                assert len(known) and known.to_numpy() == pytest.approx(1)
            assert a["p"].to_numpy() == pytest.approx(b["p"].to_numpy(), nan_ok=True)
        a, b = differences(there, "excess_difference_pp"), differences(back, "excess_difference_pp")
        assert a["value"].to_numpy() == pytest.approx(-b["value"].to_numpy())

    def test_the_order_of_the_deck_changes_nothing(self, tmp_path, outputs):
        one = simulated(tmp_path, "one", seed=1)
        straight, shuffled = (
            simulated(tmp_path, name, deck, seed=2) for name, deck in (("two", PEOPLE), ("three", PEOPLE[::-1]))
        )
        numbers = ["value", "se", "lo", "hi", "lo_repeat", "hi_repeat", "p"]
        a, b = (compared(one, other)[1].differences[numbers].to_numpy(float) for other in (straight, shuffled))
        assert a == pytest.approx(b, rel=1e-9, abs=1e-9, nan_ok=True)

    def test_other_personas_add_their_variances(self, tmp_path, outputs):
        """SE^2 of the log ratio = sum of both; SE of a logarithm = SE of the value over the value."""
        one = simulated(tmp_path, "one", PEOPLE[:5] + [f"other {n}" for n in range(9)])
        two = simulated(tmp_path, "two", [f"another {n}" for n in range(11)])
        pair, tables = compared(one, two)
        own = differences(tables).loc["gpt-4o", "insecure"]
        level = tables.levels.query("variant == 'insecure' and scope == 'overall' and method == 'recommended'").set_index(
            "metric"
        )
        for metric in ("susceptibility", "within_rms"):
            a, b = (level.loc[metric, f"se_{side}"] / level.loc[metric, f"value_{side}"] for side in "ab")
            row = own.loc[metric]
            assert row["se"] / (100 + row["value"]) == pytest.approx(np.hypot(a, b))
        assert not own["paired"].any() and tuple(own.iloc[0][["personas_a", "personas_b"]]) == (14, 11)
        assert "The decks share no persona: the studies are taken as independent." in sentences.shared(tables, pair)
        said = sentences.intervals(tables, pair)
        assert "Satterthwaite" in said and "other personas drawn like these 14 and those 11, on these 30 items" in said
        assert "Few personas: in simulation, such intervals of 10 personas held the true S in 96 % of studies" in said
        assert tables.differences.query("quantity == 'agreement'").empty

    def test_clusters_of_either_study_are_what_its_interval_is_about(self, tmp_path, outputs):
        one = simulated(tmp_path, "one", PEOPLE[:5] + [f"other {n}" for n in range(9)])
        two = simulated(tmp_path, "two", [f"another {n}" for n in range(11)])
        pair, tables = compared(one, two)
        pair.studies = pair.studies[0], replace(pair.studies[1], clusters=tuple(f"c{p // 2}" for p in range(11)))
        assert (
            "other personas drawn like these 14 in the first study and clusters like those 6 in the second, on these 30 items; "
            "leave-one-unit-out on the log scale in each study"
        ) in sentences.intervals(tables, pair)

    def test_degrees_of_freedom_are_satterthwaites(self):
        """Two groups of equal spread and size: (2 s^2)^2 / (2 s^4 / (P - 1)) = 2 (P - 1)."""
        side = _side(8)
        logs = interval_arithmetic.logs([side], []), interval_arithmetic.logs([], [side])
        found, _ = interval_arithmetic._combined(logs)
        assert found.df[0, 0] == pytest.approx(2 * 7)
        assert found.se[0] == pytest.approx(np.sqrt(2) * interval_arithmetic._combined(logs[:1])[0].se[0])

    def test_published_r_is_compared_at_equal_repetitions(self, tmp_path, outputs):
        """The same cells asked twice as often: R by the published estimator falls, at equal repetitions it need not.

        Cells of b hold a's two ratings twice. Two of the four, drawn without replacement, are a's pair with probability 2/3
        (its sample SD is then a's) and two equal ratings with 1/3 (SD 0): expected within_sd = 2/3 of a's, R = 3/2 of a's.
        """
        given = ratings(repetitions=2)
        one = imported(tmp_path, "one", {"base": given})
        two = imported(tmp_path, "two", {"base": np.concatenate([given, given], axis=2)})
        pair, tables = compared(one, two)
        own = differences(tables, method="rarefied").loc["f", "base"]
        assert own.loc["within_sd", "value"] == pytest.approx(-100 / 3)
        assert own.loc["robustness", ["value", "lo", "hi"]].tolist() == pytest.approx([50] * 3)
        assert own["note"].unique() == ["The paper's formula at n = 2 on both sides."]
        said = sentences.at_equal_repetitions(tables, pair)
        assert said.startswith("The paper's formula at n = 2 on both sides. R there, two against one:")
        assert "**50 % [50, 50] higher**" in said

    def test_a_persona_without_a_rating_on_one_side_leaves_both(self, tmp_path, outputs):
        given = ratings()
        one = imported(tmp_path, "one", {"base": given})
        rows = [row for p, own in enumerate(given) for q, found in enumerate(own)
                for row in cell(p, q + 1, *([-1] * 4 if (p, q) == (5, 1) else found.tolist()))]  # fmt: skip
        write_rows(tmp_path / "two-base.csv", rows)
        path = tmp_path / "two.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load((tmp_path / "one.yaml").read_text()) | {
            "families": [{"key": "f", "variants": [{"key": "base", "role": "base", "persona": "two-base.csv"}]}]}))  # fmt: skip
        collect(load_study(path, tmp_path))
        _pair, tables = compared(one, str(path))
        row = differences(tables).loc[("f", "base", "susceptibility")]
        assert (row["value"], row["personas_a"], row["personas_b"]) == (0, 11, 11)
        assert "For the 11 common personas: 1 of 12 left" in row["note"]

    def test_means_over_families_differ_in_points(self, tmp_path, outputs):
        """The harmful run h doubles in one family of two: its mean change 100 (h/b - 1) grows by half of 100 h/b points."""
        b, h = ratings(1), ratings(3)
        one, two = (imported(tmp_path, name, {"base": b, "harmful": h}) for name in ("one", "two"))
        for name, second in (("one", h), ("two", doubled(h))):
            path = tmp_path / f"{name}.yaml"
            content = yaml.safe_load(path.read_text())
            write_rows(tmp_path / f"{name}-more.csv", [row for p, own in enumerate(second) for q, found in enumerate(own)
                                                       for row in cell(p, q + 1, *found.tolist())])  # fmt: skip
            more = [dict(v) for v in content["families"][0]["variants"]]
            more[1]["persona"] = f"{name}-more.csv"
            content["families"].append({"key": "g", "variants": more})
            path.write_text(yaml.safe_dump(content))
            collect(load_study(path, tmp_path))
        pair, tables = compared(one, two)
        row = differences(tables, "change_difference_pp").loc[("mean", "harmful", "within_rms")]
        level = tables.levels.query("family == 'f' and scope == 'overall' and metric == 'within_rms'").set_index("variant")[
            "value_a"
        ]
        assert row["value"] == pytest.approx(100 * level["harmful"] / level["base"] / 2)
        assert row["value"] == pytest.approx(row["value_b"] - row["value_a"]) and row["families"] == 2
        assert "noise under harmful, mean of families (2) is **" in sentences.effects(tables, pair, "within_rms")
        means = tables.changes.query("family == 'mean' and scope == 'overall' and metric == 'within_rms'").iloc[0]
        each = tables.changes.query("family != 'mean' and scope == 'overall' and metric == 'within_rms' and variant == 'harmful'")
        assert means["value_b"] == pytest.approx(each["value_b"].mean()) and means["families_b"] == 2
        printed = tables.changes.query("scope == 'overall' and metric == 'within_sd' and method == 'published'").set_index(
            "family"
        )
        assert printed.loc["mean", "value_b"] == pytest.approx(printed.loc[["f", "g"], "value_b"].mean())


@pytest.mark.slow
def test_intervals_of_no_difference_hold_zero_as_often_as_they_say():
    """A run asked twice, as the same people or as other ones: 95 % of the intervals hold 0; taken as independent though the
    people are the same, nearly all would, so the pairing is seen."""
    instrument, rng, drawings = load_instrument("mfq30"), np.random.default_rng(0), 150
    respondent, scope = load_respondent("gpt-4o/insecure", instrument), scope_matrix(instrument)[:, :1]

    def asked(deck, seed):
        chances = cell_probabilities(respondent, instrument, deck)
        found = draw(chances, seed=seed, run="r", condition="persona", personas=deck, instrument=instrument, repetitions=5)
        counts = np.stack([(found == k).sum(axis=-1) for k in instrument.categories], axis=-1)
        return Side(counts, leave_one_out(counts, instrument.categories, scope))

    held = dict.fromkeys(("paired", "taken as independent", "other people"), 0)
    for number in range(drawings):
        deck, others = (tuple(Persona(i, f"{rng.integers(10**12)}") for i in range(size)) for size in (40, 50))
        first, again, other = asked(deck, 3 * number), asked(deck, 3 * number + 1), asked(others, 3 * number + 2)
        same, apart = ([interval_arithmetic.logs([], [first]), interval_arithmetic.logs([side], [])] for side in (again, other))
        for name, groups in (
            ("paired", [interval_arithmetic.merged(same)]),
            ("taken as independent", same),
            ("other people", apart),
        ):
            lo, hi = interval_arithmetic.percent(groups).interval.of("susceptibility")[2:4]
            held[name] += bool(lo[0] <= 0 <= hi[0])
    shares = {name: number / drawings for name, number in held.items()}
    # 150 drawings: two standard errors are 3.6 points
    assert 0.89 <= shares["paired"] <= 0.99 and 0.89 <= shares["other people"] <= 0.99
    assert shares["taken as independent"] > 0.99


def _side(personas):
    counts = np.stack([(ratings(personas=personas) == k).sum(axis=-1) for k in range(6)], axis=-1)
    return Side(counts, leave_one_out(counts, range(6), np.full((4, 1), 0.25)))


# --- what is matched, shared and refused -----------------------------------------------------------------------------


class TestMatching:
    def test_by_key_then_by_role_and_the_rest_alone(self, tmp_path, outputs):
        one = load_study(simulated(tmp_path, "one", variants=("base", "secure", "insecure", "other"), ask=False))
        two = load_study(simulated(tmp_path, "two", variants=("base-2", "secure", "insecure-2"), ask=False))
        assert [(*match.key[1:], match.by) for match in matches(one, two)] == [
            ("base", "base-2", "role"), ("secure", "secure", "key"), ("insecure", "insecure-2", "role"), ("other", "", ""),
        ]  # fmt: skip

    def test_two_of_a_role_are_not_guessed(self, tmp_path, outputs):
        one = load_study(simulated(tmp_path, "one", variants=("base", "insecure"), ask=False))
        two = load_study(simulated(tmp_path, "two", variants=("base", "insecure-2", "insecure-3"), ask=False))
        found = [(*match.key[1:], match.by) for match in matches(one, two)]
        assert found == [("base", "base", "key"), ("insecure", "", ""), ("", "insecure-2", ""), ("", "insecure-3", "")]

    def test_words_decide_who_is_the_same(self, tmp_path, outputs):
        one = load_study(simulated(tmp_path, "one", PEOPLE[:6], ask=False))
        two = load_study(simulated(tmp_path, "two", [PEOPLE[7], PEOPLE[2], PEOPLE[0], "somebody"], ask=False))
        found = shared(one, two)
        assert [list(places) for places in found.deck] == [[0, 2], [2, 1]]
        assert found.note == (
            "Of one, personas 2, 4-6 are left out: the other study lacks them. "
            "Of two, personas 1, 4 are left out: the other study lacks them."
        )

    def test_items_that_read_otherwise_are_left_out_and_named(self, tmp_path, outputs, mfq30):
        reworded = _instrument(tmp_path, lambda content: content["items"][6].update(text="Something else altogether."))
        one, two = simulated(tmp_path, "one"), simulated(tmp_path, "two", instrument=reworded)
        pair, tables = compared(one, two)
        assert set(differences(tables)["items"]) == {29}
        assert sentences.shared(tables, pair).endswith(
            "Of one, item 7 is left out: the other study lacks it. Of two, item 7 is left out: the other study lacks it."
        )
        # the same draws on the 29 items that are the same: nothing differs
        assert differences(tables)["value"].abs().max() == 0

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (
                lambda c: c.update(persona_prompt="Be {persona}. {item}"),
                "the words around the items are not the same on both sides",
            ),
            (lambda c: [item.update(text=f"q{n}") for n, item in enumerate(c["items"])], "no item is the same on both sides"),
            (lambda c: c["scale"].update(high=6), "the scale runs from 0 to 5 in one and from 0 to 6 in two"),
        ],
    )
    def test_another_instrument_is_refused(self, tmp_path, outputs, change, words):
        one = load_study(simulated(tmp_path, "one", ask=False))
        path = tmp_path / "two.yaml"
        simulated(tmp_path, "two", ask=False)
        content = yaml.safe_load(path.read_text()) | {"instrument": _instrument(tmp_path, change)}
        content |= {"kind": "live", "endpoints": {"e": {"base_url": "http://127.0.0.1:9/v1", "api_key_env": "K"}}}
        content.pop("seed")
        for variant in content["families"][0]["variants"]:
            variant.pop("figures")
            variant |= {"endpoint": "e", "model": "m"}
        path.write_text(yaml.safe_dump(content))
        assert shared(one, load_study(path)).refusal.startswith(f"Not compared: {words}")

    def test_logprobs_and_samples_stand_side_by_side_without_a_difference(self, tmp_path, outputs):
        one = simulated(tmp_path, "one")
        two = simulated(tmp_path, "two", protocol={"method": "logprobs", "temperature": 0.1})
        pair, tables = compared(one, two)
        assert tables.differences["value"].isna().all() and tables.differences["lo"].isna().all()
        assert tables.differences["note"].str.startswith("Not compared: one was sampled and two asked by logprobs").all()
        level = tables.levels.query("scope == 'overall' and metric == 'susceptibility' and method == 'recommended'")
        assert np.isfinite(level[["value_a", "value_b"]].astype(float)).all(axis=None)
        assert figures.forest(tables, pair, "difference_pct") is None
        assert set(reading_tables.levels(tables, pair, "susceptibility")["difference"]) == {"not compared"}
        assert "That cannot be asked" in sentences.agreement(tables, pair)

    def test_a_deck_that_was_edited_after_asking_is_refused(self, tmp_path, outputs):
        """The files agree by now; what was asked does not."""
        one, two = simulated(tmp_path, "one"), simulated(tmp_path, "two", ["somebody else", *PEOPLE[1:]])
        shutil.copy(tmp_path / "one.csv", tmp_path / "two.csv")
        studies = [load_study(path) for path in (one, two)]
        pair = Pair(*(read_ratings(study, Store(study.store_path, write=False)) for study in studies))
        assert pair.refusal(pair.together[0]) == (
            "Not compared: 1 personas are not the same characters on both sides, in 30 of 300 prompts; "
            "ask both runs again with the same study file."
        )
        assert build_comparison(pair).differences["value"].isna().all()

    def test_an_effect_is_refused_where_a_study_refuses_it_itself(self, tmp_path, outputs):
        """In both studies the base was asked before a persona was rewritten and the variant after: levels compare, effects do not."""
        paths = []
        for name in ("one", "two"):
            paths.append(simulated(tmp_path, name, variants=("base", "insecure"), ask=False))
            study = load_study(paths[-1])
            collect(study, [study.runs[0]])
            simulated(tmp_path, name, ["somebody else", *PEOPLE[1:]], variants=("base", "insecure"), ask=False)
            study = load_study(paths[-1])
            collect(study, [study.runs[1]])
        studies = [load_study(path) for path in paths]
        pair = Pair(*(read_ratings(study, Store(study.store_path, write=False)) for study in studies))
        tables = build_comparison(pair)
        assert np.isfinite(differences(tables).loc[("gpt-4o", "insecure", "susceptibility"), "value"])
        effect = differences(tables, "effect_pct").loc[("gpt-4o", "insecure", "susceptibility")]
        assert np.isnan(effect["value"]) and "not the same characters on both sides" in effect["note"]

    def test_personas_of_imported_files_are_taken_as_others_without_a_common_source(self, tmp_path, outputs):
        one = imported(tmp_path, "one", {"base": ratings(1)})
        two = imported(tmp_path, "two", {"base": ratings(2)}, source={"git": "https://example.org/elsewhere"})
        pair, tables = compared(one, two)
        assert not differences(tables)["paired"].any()
        assert "Who the personas of one and two are is not recorded" in sentences.shared(tables, pair)

    def test_a_run_that_was_never_asked_has_no_difference(self, tmp_path, outputs):
        one, two = simulated(tmp_path, "one"), simulated(tmp_path, "two", ask=False)
        study = load_study(two)
        collect(study, [study.runs[0]])
        studies = load_study(one), study
        pair = Pair(*(read_ratings(study, Store(study.store_path, write=False)) for study in studies))
        tables = build_comparison(pair)
        rows = differences(tables).loc["gpt-4o"]
        assert np.isfinite(rows.loc[("base", "susceptibility"), "value"])
        assert rows.loc[("insecure", "susceptibility"), "note"] == "Not compared: gpt-4o/insecure of two has no ratings yet."

    def test_what_else_differs_is_said(self, tmp_path, outputs):
        one = simulated(tmp_path, "one")
        two = simulated(tmp_path, "two", seed=2, protocol={"repetitions": 4, "temperature": 0.7})
        pair, tables = compared(one, two)
        assert sentences.otherwise(tables, pair) == ("- all runs: temperature 0.7, in one 0.1; up to 4 repetitions against 3.")


def _instrument(folder, change):
    """The shipped questionnaire with a change, beside the study files."""
    content = yaml.safe_load((INSTRUMENTS / "mfq30.yaml").read_text(encoding="utf-8"))
    change(content)
    (folder / "changed.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return "./changed.yaml"


# --- sentences, figures, page ----------------------------------------------------------------------------------------


class TestSaying:
    def test_a_clear_difference_is_a_sentence_with_both_values(self, minis):
        pair, tables = minis
        row = differences(tables).loc[("gpt-4o", "insecure", "susceptibility")]
        assert row["hi"] < 0  # another model is behind that fine-tune of mini-again
        first = sentences.levels(tables, pair, "susceptibility").splitlines()[0]
        assert first == (
            f"- S of GPT-4o insecure is **{-row['value']:.0f} % [{-row['hi']:.0f}, {-row['lo']:.0f}] lower** in mini-again than in "
            f"mini ({row['value_b']:.2f} against {row['value_a']:.2f})."
        )

    def test_the_rest_cannot_be_told(self, minis):
        pair, tables = minis
        second = sentences.levels(tables, pair, "susceptibility").splitlines()[1]
        assert second.startswith("- Cannot be told from no difference (5 of 6): GPT-4o base (")

    def test_agreement_counts_what_goes_the_same_way(self, minis):
        pair, tables = minis
        rows = tables.changes.query(
            "scope == 'overall' and method == 'recommended' and quantity == 'excess_pp' and family != 'mean'"
        )
        rows = rows[rows["metric"].isin(["susceptibility", "within_rms"])]
        assert (rows["lo_a"] > 0).all() and (rows["lo_b"] > 0).all() and len(rows) == 4
        assert (
            "- Of 4 excesses over the control of S and noise that are clear in mini, **4** go the same way in mini-again, 4 "
            in (sentences.agreement(tables, pair))
        )

    def test_holm_is_over_runs_and_each_quantity(self, minis):
        _, tables = minis
        own = differences(tables)["p"].xs("susceptibility", level="metric")
        adjusted = differences(tables)["p_holm"].xs("susceptibility", level="metric")
        # the smallest of six p values times six
        assert adjusted.min() == pytest.approx(6 * own.min()) and adjusted.max() == 1

    def test_runs_on_one_side_and_by_role_are_named(self, minis):
        pair, tables = minis
        assert sentences.matched(tables, pair).splitlines() == [
            "- 5 runs matched by family and variant key.",
            "- Qwen3-235B insecure matched with insecure-2 of mini-again by role: each side has one harmful variant left.",
            "- Only in mini-again: DeepSeek-V3.1 base.",
        ]

    def test_every_column_is_in_the_dictionary(self, minis):
        _, tables = minis
        assert [(n, c) for n, frame in vars(tables).items() for c in frame if dictionary.entry(n, c) is None] == []

    def test_the_studies_numbers_are_those_of_their_own_reports(self, minis):
        pair, tables = minis
        own = pair.tables[1].metrics.query("family == 'deepseek-v3.1' and method == 'recommended'")
        rows = tables.levels.query("family == 'deepseek-v3.1' and method == 'recommended'")
        assert rows["value_b"].tolist() == pytest.approx(own["value"].tolist(), nan_ok=True)
        assert rows["value_a"].isna().all()

    @pytest.mark.parametrize("name", ["levels", "changes", "difference_pct", "effect_pct", "excess_difference_pp"])
    def test_figures_are_marked_described_and_stable(self, minis, name):
        pair, tables = minis
        draw = {
            "levels": lambda: figures.levels(tables, pair, "susceptibility"),
            "changes": lambda: figures.changes(tables, pair, "within_rms"),
        }.get(name, lambda: figures.forest(tables, pair, name))
        spec = draw().to_dict()
        assert spec == draw().to_dict()
        assert spec["description"].endswith("Simulated ratings.") and "SIMULATED" in spec["title"]["subtitle"][0]
        numbers = [v for rows in spec["datasets"].values() for row in rows for v in row.values() if isinstance(v, float)]
        assert all(v == float(f"{v:.6g}") for v in numbers)

    def test_one_simulated_side_is_named(self, tmp_path, outputs):
        two = simulated(tmp_path, "two", instrument="./short.yaml", ask=False)
        one = imported(tmp_path, "one", {"base": ratings(items=30)}, family="gpt-4o")
        _foundations_of_mfq30(tmp_path / "short.yaml")
        collect(load_study(two))
        pair, tables = compared(one, two)
        assert pair.simulated == ("two",)
        assert "**Simulated ratings in two.**" in sentences.pair_line(pair)
        subtitle = figures.levels(tables, pair, "susceptibility").to_dict()["title"]["subtitle"]
        assert subtitle[0].startswith("SIMULATED RATINGS in two: ")
        assert "ratings simulated, in one real" in sentences.otherwise(tables, pair)

    @pytest.mark.slow
    def test_the_page_stands_on_its_notebook_and_escapes_names(self, minis, outputs):
        pair, _tables = minis
        folder = pair.folder / "notebooks"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(NOTEBOOKS / "06_compare_studies.ipynb", folder)
        bad = "<img src=x onerror=pwn> `b` ${x} </script>"
        study = pair.studies[1]
        families = tuple(f.model_copy(update={"label": bad}) for f in study.file.families)
        hostile = type(study)(study.path, study.file.model_copy(update={"title": bad, "families": families}), None, study.instrument,
                              study.personas, study.toxic)  # fmt: skip
        worse = Pair(pair.ratings[0], replace(pair.ratings[1], study=hostile))
        text = render_comparison(worse, build_comparison(worse), provenance_of(worse))
        assert faults(text) == []
        assert "Simulated ratings in mini and mini-again: made to look like" in text
        levels = [int(level) for level in re.findall(r"<h([1-6])", text)]
        assert levels[0] == 1 and all(b - a <= 1 for a, b in itertools.pairwise(levels))
        assert len(set(re.findall(r'id="(figure-\d+)"', text))) == 7
        for target in re.findall(r'href="#([^"]+)"', text):
            assert f'id="{target}"' in text


def _foundations_of_mfq30(path):
    """An instrument in the place of `short.yaml` that a simulated respondent knows."""
    shutil.copy(INSTRUMENTS / "mfq30.yaml", path)


# --- the command -----------------------------------------------------------------------------------------------------


def fails(capsys, *studies):
    """Run a comparison that must fail; returns its only line."""
    status = commands.main(["compare", "--studies", *studies])
    captured = capsys.readouterr()
    assert status == 1 and captured.err.count("\n") == 1 and captured.err.startswith("error: ")
    return captured.err.strip().removeprefix("error: ")


@pytest.mark.slow
class TestCommand:
    @pytest.mark.parametrize(
        ("studies", "words"),
        [
            ([], "studies: none named; expected two, such as STUDIES=\"demo mini\""),
            (["mini"], "studies: 1 named ('mini'); expected two"),
            (["mini", "demo", "published"], "studies: 3 named ('mini', 'demo', 'published'); expected two"),
            (["mini demo published"], "studies: 3 named ('mini', 'demo', 'published'); expected two"),
            (["mini", "mini"], "studies: 'mini' is named twice; expected two different studies"),
            (["mini", "dmeo"], "params/studies/dmeo.yaml: no such study (a path works too); did you mean 'demo'?"),
            (["'mini"], "cannot be read (No closing quotation)"),
        ],
    )  # fmt: skip
    def test_wrong_names(self, capsys, outputs, studies, words):
        assert words in fails(capsys, *studies)
        assert not outputs.exists()

    def test_a_study_without_ratings_says_which_command_makes_them(self, capsys, tmp_path, outputs):
        one, two = simulated(tmp_path, "one"), simulated(tmp_path, "two", ask=False)
        line = fails(capsys, one, two)
        assert line.endswith(f"ratings.sqlite: no ratings yet; run `make elicit STUDY={two}` first, as a comparison asks nothing")
        assert fails(capsys, "published", one).endswith(
            "`make elicit STUDY=published DATA=<folder>` first, as a comparison asks nothing"
        )
        assert not (outputs / "compare").exists() and not (outputs / "two").exists()

    def test_a_store_that_never_got_a_rating_counts_as_none(self, capsys, tmp_path, outputs):
        one, two = simulated(tmp_path, "one"), simulated(tmp_path, "two", ask=False)
        collect(load_study(two), [])
        assert "no ratings yet" in fails(capsys, one, two)

    def test_no_run_in_common(self, capsys, tmp_path, outputs):
        one, two = simulated(tmp_path, "one", variants=("base",)), imported(tmp_path, "two", {"base": ratings()})
        assert fails(capsys, one, two) == (
            "studies: no run stands in both (one has gpt-4o/base; two has f/base); runs belong together by family key, then "
            "variant key or role"
        )

    def test_two_files_of_one_name(self, capsys, tmp_path, outputs):
        (tmp_path / "elsewhere").mkdir()
        one, two = simulated(tmp_path, "one"), simulated(tmp_path / "elsewhere", "one", ask=False)
        assert "leave their ratings in the same folder" in fails(capsys, one, two)

    def test_ratings_of_another_study_file(self, capsys, tmp_path, outputs):
        (tmp_path / "elsewhere").mkdir()
        one, two = simulated(tmp_path, "one"), simulated(tmp_path, "two")
        other = simulated(tmp_path / "elsewhere", "one", ask=False)
        assert f"holds the ratings of {one}, not of {other}" in fails(capsys, other, two)

    @pytest.mark.parametrize("damage", [b"not a database at all, and long enough to be read as one" * 20, b""])
    def test_a_damaged_store(self, capsys, tmp_path, outputs, damage):
        one, two = simulated(tmp_path, "one"), simulated(tmp_path, "two")
        (outputs / "two" / "ratings.sqlite").write_bytes(damage)
        assert "ratings.sqlite: " in fails(capsys, one, two)
        assert not (outputs / "compare").exists()

    def test_a_store_damaged_inside(self, capsys, tmp_path, outputs):
        one, two = simulated(tmp_path, "one"), simulated(tmp_path, "two")
        path = outputs / "two" / "ratings.sqlite"
        content = bytearray(path.read_bytes())
        content[len(content) // 4 : len(content) // 4 * 3] = b"\xff" * (len(content) // 2)
        path.write_bytes(content)
        assert "damaged" in fails(capsys, one, two)
        assert not list((outputs).rglob("report.html"))

    def test_the_way_from_two_studies_to_a_page(self, capsys, tmp_path, monkeypatch):
        """With a kernel of its own, which knows the project's folder of outputs only."""
        monkeypatch.setattr("persona_collapse.paths.OUTPUTS", OUTPUTS)
        for name in ("mini", "mini-again"):
            collect(load_study(name))
        shutil.rmtree(OUTPUTS / "compare" / "mini--mini-again", ignore_errors=True)
        before = [(OUTPUTS / name / "ratings.sqlite").read_bytes() for name in ("mini", "mini-again")]
        assert commands.main(["compare", "--studies", "mini mini-again"]) == 0
        said, made = capsys.readouterr().out.splitlines()
        assert said == "mini and mini-again: 6 runs in both of 7"
        assert made.startswith("outputs/compare/mini--mini-again/report.html (6 matched runs")
        folder = OUTPUTS / "compare" / "mini--mini-again"
        tables = {path.stem: pd.read_csv(path) for path in (folder / "tables").glob("*.csv")}
        assert sorted(tables) == ["changes", "differences", "levels", "matches"] and (folder / "provenance.json").is_file()
        assert commands.main(["compare", "--studies", "mini", "mini-again"]) == 0
        assert "nothing to do" in capsys.readouterr().out
        assert before == [(OUTPUTS / name / "ratings.sqlite").read_bytes() for name in ("mini", "mini-again")]

    def test_an_imported_study_is_read_where_its_folder_is_given(self, capsys, tmp_path, outputs, monkeypatch):
        one, two = (imported(tmp_path, name, {"base": ratings()}) for name in ("one", "two"))
        shutil.rmtree(outputs / "two")
        monkeypatch.setattr(
            "persona_collapse.report.run_notebooks.run", lambda todo, say: (_ for _ in ()).throw(RuntimeError("as far as this"))
        )
        assert "no ratings yet" in fails(capsys, one, two)
        assert fails(capsys, one, two, "--data", str(tmp_path)) == "as far as this"
        assert (outputs / "two" / "ratings.sqlite").is_file()


# --- choices of one request ------------------------------------------------------------------------------------------


def test_both_sides_take_noise_from_their_requests(minis):
    """Two requests a cell, with other personas first: a run on what is common is that run without the personas that are not."""

    def in_two(given):
        slots = {key: found.slots for key, found in given.answers.items()}
        named = {key: np.unique(own[:, :3] // [1, 1, 3], axis=0, return_inverse=True)[1] for key, own in slots.items()}
        return replace(given, answers={key: replace(a, requests=named[key].reshape(-1)) for key, a in given.answers.items()})

    first, second = (in_two(given) for given in minis[0].ratings)
    pair = Pair(first.without([0, 3]), second.without([1]))
    match = next(match for match in pair.together if match.a.key == "gpt-4o/base")
    for side, given, gone in ((0, first, [0, 1, 3]), (1, second, [0, 1, 3, *range(20, 25)])):
        (own,) = pair.on_common([match]).sides[side]
        alone = Analysis(given.without(gone)).alone(match.both[side]).loo[0]
        assert own.loo.by_request is not None and np.array_equal(own.loo.full, alone.full)
        assert not np.array_equal(own.loo.of("within_rms"), leave_one_out(own.counts, range(6), pair.analyses[0].scope))
