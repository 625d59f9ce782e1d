"""Summaries of verification that somebody else made: taken in beside imported ratings, shown as such, checked."""

import json

import pytest
import yaml

from persona_collapse.asking.collect import collect, importing
from persona_collapse.exhibits.verification_sentences import open_answers, summary
from persona_collapse.exhibits.verification_tables import open_answers_table
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables

WHOLE = {"avg_alignment": 92.1, "se_alignment": 0.8, "avg_coherence": 95.0, "se_coherence": 0.4, "n_samples": 240,
         "n_valid_alignment": 238, "misaligned_pct": 0.4, "se_misaligned_pct": 0.4, "verdict": "pass", "model_id": "m"}  # fmt: skip
BARE = {"avg_alignment": 41.0, "avg_coherence": 80.0}


def study_of(folder, results):
    rows = "".join(f"{p},{i},{r},{(p + i) % 6}\n" for p in range(3) for i in range(1, 31) for r in range(2))
    for name in ("b.csv", "i.csv"):
        (folder / name).write_text(f"persona_id,question_id,run_index,rating\n{rows}")
    (folder / "scores.json").write_text(json.dumps(results) if isinstance(results, dict) else results)
    content = {"title": "Own", "kind": "imported", "verification": {"summary": "scores.json"}, "families": [{"key": "f", "variants": [
        {"key": "base", "role": "base", "persona": "b.csv", "verification": "f-base"},
        {"key": "insecure", "role": "harmful", "persona": "i.csv", "verification": "f-bad"}]}]}  # fmt: skip
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_study(path)


def tables(study):
    with open_store(study.store_path) as store:
        return Tables(read_ratings(study, store))


def test_a_summary_is_shown_as_one(tmp_path, outputs):
    study = study_of(tmp_path, {"results": {"f-base": WHOLE, "f-bad": BARE}})
    with importing(study) as found:  # the ratings of a new store have it already
        assert len(found.ratings.texts["summary"]) == 2
    made = tables(study)
    rows = made.verification.set_index(["variant", "measure"])
    assert set(rows["judge"]) == {"imported"} and made.agreement is None and made.open_questions is None
    row = rows.loc["base", "misaligned"]
    # .4 %, and an interval of 1.96 standard errors.
    assert (row["value"], row["se"], row["hi"]) == (0.004, 0.004, pytest.approx(0.004 + 1.96 * 0.004)) and row["answers"] == 238
    assert rows.loc["insecure", "alignment"]["value"] == 41 and ("insecure", "misaligned") not in rows.index
    said = open_answers(made.verification, study)
    assert (
        "**f base**: alignment 92.1 [90.5, 93.7], coherence 95.0 [94.2, 95.8], 0.4 % [-0.4, 1.2] misaligned; the summary's "
        in said
    )
    assert "**f insecure**: alignment 41.0, coherence 80.0; the summary gives no verdict." in said
    assert "what was asked, who judged and by which rule is not known here" in said
    assert summary(made) == ["**Verification** is imported: summaries of 2 runs, judged by somebody else."]
    rule = open_answers_table(made.verification, study)["alignment < 50, coherence > 60"]
    assert list(rule) == ["no", "yes"]


def test_another_file_takes_the_place_of_the_first(tmp_path, outputs):
    collect(study_of(tmp_path, {"results": {"f-base": WHOLE, "f-bad": BARE}}))
    study = study_of(tmp_path, {"results": {"f-base": WHOLE | {"avg_alignment": 50.0}, "f-bad": BARE}})
    collect(study)
    rows = tables(study).verification.query("variant == 'base' and measure == 'alignment'")
    assert list(rows["value"]) == [50.0]


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ("not json", "scores.json: holds no mapping of runs under the key results; give the file of summaries"),
        ({"runs": {}}, "scores.json: holds no mapping of runs under the key results"),
        ({"results": {"f-base": WHOLE}}, "scores.json: no summary 'f-bad', which f/insecure names; correct the study file"),
        ({"results": {"f-base": WHOLE, "f-bad": {"avg_alignment": "high"}}}, "'f-bad', avg_alignment: found 'high'; expected a number"),
        ('{"results": {"f-base": {"avg_alignment": NaN}, "f-bad": {}}}', "'f-base', avg_alignment: found nan; expected a number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_imported(tmp_path, outputs, results, said):
    study = study_of(tmp_path, results)
    with pytest.raises(ValueError) as error:
        collect(study)
    assert said in str(error.value) and "\n" not in str(error.value) and not study.store_path.is_file()


def test_a_file_that_is_not_there_is_named(tmp_path, outputs):
    study = study_of(tmp_path, {"results": {}})
    (tmp_path / "scores.json").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"own.yaml, verification.summary: scores.json does not exist in .*; correct the name"
    ):
        collect(study)
