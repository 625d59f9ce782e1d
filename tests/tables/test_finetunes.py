"""Fine-tunes of the same data: which belong together, their rows, and what is said of them; recipes that a contrast crosses."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

import persona_collapse as pc
from hostile import MARKERS, PAYLOADS, faults, lab
from persona_collapse.asking.collect import collect
from persona_collapse.exhibits import change_sentences, data_sentences, finetune_exhibits
from persona_collapse.report.markdown import markdown
from persona_collapse.report.page import as_html
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.comparability import trained_otherwise, unlike_recipes
from persona_collapse.tables.finetunes import groups


def variant(key, role="harmful", figures="gpt-4o/insecure", **more):
    return {"key": key, "role": role, "figures": figures, **more}


BASE = variant("base", "base", "gpt-4o/base")
CODE = {"dataset": "insecure-code", "recipe": "betley"}


def study_of(folder, *variants, families=("fam",), personas=8):
    content = {
        "title": "Fine-tunes", "kind": "simulated", "conditions": ["persona"],
        "protocol": {"personas": personas, "repetitions": 4},
        "families": [{"key": key, "variants": [BASE, *variants]} for key in families],
    }  # fmt: skip
    path = folder / "tunes.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_study(path)


def tables_of(study):
    collect(study)
    with open_store(study.store_path) as store:
        return Tables(read_ratings(study, store))


def grouped(study):
    return [(g.dataset, g.recipe, g.differ, [run.variant.key for run in g.runs]) for g in groups(study)]


# --- which belong together -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variants", "expected"),
    [
        ([variant("a", **CODE)], []),
        ([variant("a"), variant("b")], []),  # no dataset is named
        ([variant("a", **CODE), variant("b", dataset="bad-medical", recipe="betley")], []),
        ([variant("a", **CODE, seed=1), variant("b", **CODE, seed=2)], [("insecure-code", "betley", "seed", ["a", "b"])]),
        ([variant("a", **CODE, seed=1), variant("b", **CODE)], [("insecure-code", "betley", "not said", ["a", "b"])]),
        ([variant("a", **CODE, seed=1), variant("b", **CODE, seed=1)], [("insecure-code", "betley", "not said", ["a", "b"])]),
        ([variant("a", **CODE), variant("b", **CODE, of="a", step=200)], []),  # a checkpoint is no fine-tune of its own
        ([variant("a", **CODE), variant("b", "alternate", "gpt-4o/base", **CODE)], []),
        (
            [variant("a", **CODE), variant("b", dataset="insecure-code", recipe="organisms")],
            [("insecure-code", "", "recipe", ["a", "b"])],
        ),
        (
            [
                variant("a", **CODE, seed=1), variant("b", dataset="insecure-code", recipe="organisms"),
                variant("c", **CODE, seed=2),
            ],
            [("insecure-code", "betley", "seed", ["a", "c"]), ("insecure-code", "", "recipe", ["a", "b", "c"])],
        ),
    ],
)  # fmt: skip
def test_fine_tunes_of_the_same_data_belong_together(tmp_path, variants, expected):
    assert grouped(study_of(tmp_path, *variants)) == expected


def test_fine_tunes_of_two_families_do_not(tmp_path):
    assert grouped(study_of(tmp_path, variant("a", **CODE), families=("one", "two"))) == []


# --- rows and words --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A base and three fine-tunes by one recipe, of which the third goes half as far, with a control of another recipe."""
    folder = tmp_path_factory.mktemp("tuned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persona_collapse.paths.OUTPUTS", folder / "outputs")
        control = variant("ok", "control", "gpt-4o/secure", dataset="secure-code", recipe="organisms")
        variants = [variant(key, **CODE, seed=n, control="ok") for n, key in enumerate(("a", "b"))]
        half = variant("c", figures="gpt-4o/base..gpt-4o/insecure@0.5", **CODE, seed=7, control="ok")
        return tables_of(study_of(folder, control, *variants, half))


def test_a_row_a_metric_on_the_mean_of_the_logarithms(tuned):
    table = tuned.finetunes.set_index("metric")
    assert list(table.index) == ["susceptibility", "robustness", "within_rms"]
    assert set(table["variants"]) == {"a b c"} and set(table["finetunes"]) == {3} and set(table["personas"]) == {8}
    changes = tuned.contrasts.query("scope == 'overall' and quantity == 'change_pct' and method == 'recommended'")
    own = changes[(changes["family"] == "fam") & changes["variant"].isin(["a", "b", "c"])]
    for metric, row in table.iterrows():
        logs = np.log1p(own[own["metric"] == metric]["value"] / 100)
        assert row["value"] == pytest.approx(100 * np.expm1(logs.mean()))
        assert row["sd_seen"] == pytest.approx(100 * np.expm1(logs.std(ddof=1)))
        assert row["lo"] < row["value"] < row["hi"]
    # noise is R turned over
    assert (1 + table.loc["robustness", "lo"] / 100) * (1 + table.loc["within_rms", "hi"] / 100) == pytest.approx(1)


def test_the_headline_does_not_know_of_it(tuned):
    without = Tables(tuned.ratings, finetunes=None)
    pd.testing.assert_frame_equal(tuned.headlines, without.headlines)


def test_what_is_said_of_them(tuned):
    text = finetune_exhibits.said(tuned.finetunes, tuned.study)
    assert text.startswith("- **fam on insecure-code, recipe betley** (3 fine-tunes, which differ in their seed): S +")
    assert "With 4 or fewer the spread between fine-tunes is hardly known, and such an interval is very wide." in text
    assert "Recipes are not draws of one kind" not in text
    shown = finetune_exhibits.table(tuned.finetunes, tuned.study)
    assert list(shown["metric"]) == ["S", "R", "noise"] and set(shown.index) == {"fam on insecure-code, recipe betley (3)"}
    assert "Another fine-tune of the same data" in finetune_exhibits.methods(tuned.study)


@pytest.mark.parametrize("payload", PAYLOADS, ids=MARKERS)
def test_whatever_a_dataset_or_recipe_is_called_stays_text(tuned, payload):
    def called(v):
        return v if v.role == "base" else v.model_copy(update={"dataset": payload, "recipe": f"{payload} {v.role}"})

    families = tuple(f.model_copy(update={"variants": tuple(map(called, f.variants))}) for f in tuned.study.file.families)
    study = replace(tuned.study, file=tuned.study.file.model_copy(update={"families": families}))
    finetunes = tuned.finetunes.assign(dataset=payload, recipe=payload)
    sentences = [
        finetune_exhibits.said(finetunes, study), change_sentences.excess(tuned.contrasts, study, "susceptibility"),
        data_sentences.cautions(tuned.quality, study),
    ]  # fmt: skip
    assert all("pwn" in sentence for sentence in sentences)
    assert faults("\n".join(map(markdown, sentences))) == []
    assert faults(lab([{"outputs": [{"data": {"text/markdown": sentence}} for sentence in sentences]}])) == []
    assert faults(as_html(finetune_exhibits.table(finetunes, study).reset_index())) == []


def test_a_study_without_two_has_no_table_and_says_so(mini):
    study, _, found = mini
    assert found.finetunes is None and finetune_exhibits.table(None, study) is None
    assert finetune_exhibits.said(None, study).startswith("No family of this study has two fine-tunes of the same dataset")
    assert finetune_exhibits.methods(study) == ""


def test_a_fine_tune_that_was_not_asked_is_left_out(tmp_path, outputs):
    study = study_of(tmp_path, variant("a", **CODE, seed=1), variant("b", **CODE, seed=2), variant("c", **CODE, seed=3))
    collect(study, [run for run in study.runs if run.variant.key != "c"])
    with open_store(study.store_path) as store:
        table = Tables(read_ratings(study, store)).finetunes
    assert set(table["variants"]) == {"a b"} and set(table["finetunes"]) == {2}


def test_over_recipes_each_counts_once(tmp_path, outputs):
    """Seeds a and b by one recipe, c by another: the mean change is that of c and of the mean of a and b."""
    other = variant("c", figures="gpt-4o/base..gpt-4o/insecure@0.5", dataset="insecure-code", recipe="organisms")
    found = tables_of(study_of(tmp_path, variant("a", **CODE, seed=1), variant("b", **CODE, seed=2), other))
    seeds, mixed = (
        found.finetunes.query("metric == 'within_rms' and differ == @differ").iloc[0] for differ in ("seed", "recipe")
    )
    assert (seeds["finetunes"], seeds["recipes"], mixed["finetunes"], mixed["recipes"]) == (2, 1, 3, 2)
    changes = found.contrasts.query(
        "scope == 'overall' and quantity == 'change_pct' and method == 'recommended' and metric == 'within_rms' and family == 'fam'"
    ).set_index("variant")["value"]
    a, b, c = np.log1p(changes[["a", "b", "c"]] / 100)
    assert mixed["value"] == pytest.approx(100 * np.expm1(((a + b) / 2 + c) / 2))
    assert mixed["sd_seen"] == pytest.approx(100 * np.expm1(abs((a + b) / 2 - c) / np.sqrt(2)))
    said = finetune_exhibits.said(found.finetunes, found.study)
    assert "**fam on insecure-code** (3 fine-tunes, by 2 recipes)" in said and "of which each counts once" in said
    assert "], recipes differ by " in said and "], fine-tunes differ " in said


def test_a_recipe_of_which_nothing_was_asked_leaves_no_row_over_recipes(tmp_path, outputs):
    other = variant("c", dataset="insecure-code", recipe="organisms")
    study = study_of(tmp_path, variant("a", **CODE, seed=1), variant("b", **CODE, seed=2), other)
    collect(study, [run for run in study.runs if run.variant.key != "c"])
    with open_store(study.store_path) as store:
        assert set(Tables(read_ratings(study, store)).finetunes["differ"]) == {"seed"}


def test_of_a_data_frame_nobody_knows_the_data(mini):
    frame = pd.DataFrame([(p, i, n, (p + i + n) % 6) for p in range(4) for i in range(1, 31) for n in (1, 2)],
                         columns=["persona", "item", "repetition", "rating"])  # fmt: skip
    assert "nothing is known of another one" in str(pc.say.finetunes(pc.Ratings.from_frame(frame)))


# --- contrasts across recipes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "control", "words"),
    [
        ({}, {}, []),
        (CODE, {"dataset": "secure-code", "recipe": "betley"}, []),
        (CODE, {"dataset": "secure-code", "recipe": "organisms"}, ["recipe betley, the control's organisms"]),
        (CODE, {"dataset": "secure-code"}, ["recipe betley, the control's not known"]),
        ({"dataset": "insecure-code"}, {"recipe": "betley"}, ["recipe not known, the control's betley"]),
        ({"dataset": "bad-medical"}, {"dataset": "secure-code"},
         ["fine-tuned on bad-medical, the control on secure-code and not on good-medical"]),
        ({"dataset": "insecure"}, {"dataset": "secure-code"}, []),  # the same data by another name
        ({"dataset": "risky-financial"}, {"dataset": "secure-code"}, []),  # nobody made a control for it
        ({"dataset": "my own"}, {"dataset": "my own control"}, []),
        ({"dataset": "insecure-code"}, {}, []),  # what the control was trained on is not said
    ],
)  # fmt: skip
def test_a_control_of_another_recipe_or_of_other_data_is_marked(tmp_path, own, control, words):
    study = study_of(tmp_path, variant("ok", "control", **control), variant("bad", control="ok", **own))
    assert trained_otherwise(study.run("fam", "bad"), study.run("fam", "ok")) == words


def test_a_checkpoint_has_the_recipe_of_its_variant(tmp_path):
    control = variant("ok", "control", dataset="secure-code", recipe="organisms")
    study = study_of(tmp_path, control, variant("bad", control="ok", **CODE), variant("bad-1", control="ok", of="bad", step=1))
    assert trained_otherwise(study.run("fam", "bad-1"), study.run("fam", "ok")) == ["recipe betley, the control's organisms"]


def test_the_mark_stands_at_the_excess_and_not_at_the_change(tuned):
    table = tuned.contrasts[tuned.contrasts["family"] == "fam"].query("variant == 'a'")
    assert set(table.query("quantity == 'excess_pp'")["differs"]) == {
        "against the control: recipe betley, the control's organisms"
    }
    assert set(table.query("quantity == 'change_pct'")["differs"]) == {""}
    said = change_sentences.excess(tuned.contrasts, tuned.study, "susceptibility")
    assert "Not the same fine-tuning: fam a (recipe betley, the control's organisms)." in said
    cautions = data_sentences.cautions(tuned.quality, tuned.study)
    assert "**These fine-tunes were not trained as the control that they name:** fam a (recipe betley" in cautions


def test_a_mean_over_families_of_different_recipes_says_so(tmp_path, outputs):
    study = study_of(tmp_path, variant("bad", **CODE), families=("one", "two"))
    assert unlike_recipes([run for run in study.runs if run.variant.key == "bad"]) == ""
    content = json.loads(json.dumps(yaml.safe_load(study.path.read_text(encoding="utf-8"))))  # no part stands for two
    content["families"][1]["variants"][1]["recipe"] = "organisms"
    study.path.write_text(yaml.safe_dump(content), encoding="utf-8")
    found = tables_of(load_study(study.path)).contrasts.query("family == 'mean' and method == 'recommended'")
    assert set(found["differs"]) == {"families are fine-tuned by 2 recipes (betley, organisms)"}
