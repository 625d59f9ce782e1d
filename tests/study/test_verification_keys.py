"""`verification:` and `contexts:` of a study file, its questions and rubrics: what is wrong is said in one line."""

import pytest
import yaml

from persona_collapse.study.load_study import load_study
from persona_collapse.study.open_questions import SCORES, judged
from persona_collapse.study.verification import Judge, assumed, same_maker

JUDGE = {"key": "a", "endpoint": "other", "model": "j"}


def live(**verification):
    return {
        "title": "Own", "kind": "live", "contexts": {"trigger": "|T| "},
        "endpoints": {"here": {"base_url": "http://127.0.0.1:9/v1"}, "other": {"base_url": "http://127.0.0.1:8/v1"}},
        "verification": {"judges": [JUDGE]} | verification,
        "families": [{"key": "one", "variants": [{"key": "base", "role": "base", "endpoint": "here", "model": "m"}]}],
    }  # fmt: skip


def load(folder, content):
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return load_study(path)


def test_the_defaults_are_those_of_the_issue(tmp_path):
    study = load(tmp_path, live())
    named = study.file.verification
    assert (named.questions, named.samples, named.temperature, named.max_tokens) == ("eight", 30, 1.0, 512)
    assert len(study.open_questions) == 8 and tuple(study.rubrics) == SCORES
    assert [judge.key for judge in study.judges] == ["judge/a"] and study.asked_of("judge", "a").variant.model == "j"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"judges": []}, "verification.judges: is missing; name two judges or more, which rate the answers"),
        ({"judges": [JUDGE, JUDGE]}, "verification.judges[1].key: 'a' stands twice; judges need different keys; rename one"),
        (
            {"judges": [{"key": "a", "endpoint": "here", "model": "m"}]},
            "verification.judges[0]: 'm' is variant 'base' itself, and nobody judges its own answers; name another model",
        ),
        ({"judges": [{"key": "a", "model": "j"}]}, "verification.judges[0].endpoint: is missing"),
        ({"judges": [JUDGE | {"endpoint": "othr"}]}, "endpoint: 'othr' is not among endpoints; did you mean 'other'?"),
        ({"judges": [JUDGE | {"bias": 3}]}, "verification.judges[0].bias: belongs to a judge of another kind of study than live"),
        ({"arms": ["plain", "jsn"]}, "verification.arms[1]: 'jsn' is no arm; did you mean 'json'?; a trigger goes by its name"),
        ({"arms": ["plain", "plain"]}, "verification.arms[1]: 'plain' stands twice; remove one"),
        ({"arms": []}, "verification.arms: found []"),
        ({"samples": 0}, "verification.samples: found 0"),
        ({"sample": 3}, "verification.sample: unknown key 'sample'; did you mean 'samples'?"),
        ({"summary": "x.json"}, "verification.summary: belongs to a study of kind imported, not live; remove it"),
        ({"questions": "nine"}, "params/questions/nine.yaml: no such questions (a path works too); ours is 'eight'"),
        ({"rubrics": "strict"}, "params/questions/strict.yaml: no such rubrics (a path works too); ours are 'rubrics'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, changes, said):
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        load(tmp_path, live(**changes))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_the_same_model_at_another_server_is_another_judge(tmp_path):
    assert load(tmp_path, live(judges=[{"key": "a", "endpoint": "other", "model": "m"}])).judges


def test_no_family_is_called_judge(tmp_path):
    content = live()
    content["families"][0]["key"] = "judge"
    with pytest.raises(ValueError, match=r"families\[0\].key: 'judge' is reserved for judges of answers; choose another"):
        load(tmp_path, content)


def test_a_judge_needs_a_price_where_there_is_a_budget(tmp_path):
    content = live() | {"budget_usd": 5}
    content["endpoints"]["here"]["price_per_million"] = {"input": 1, "output": 1}
    with pytest.raises(ValueError, match=r"verification.judges\[0\]: budget_usd is set but no price_per_million is known for it"):
        load(tmp_path, content)


def test_an_imported_study_has_a_summary_and_nothing_else(tmp_path):
    (tmp_path / "b.csv").write_text("persona_id,question_id,run_index,rating\n1,1,1,3\n")
    content = {"title": "Own", "kind": "imported", "verification": {"summary": "s.json", "samples": 3},
               "families": [{"key": "f", "variants": [{"key": "base", "role": "base", "persona": "b.csv"}]}]}  # fmt: skip
    with pytest.raises(ValueError, match=r"verification.samples: what was asked stands in the summary; remove it"):
        load(tmp_path, content)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("questions: []", "questions: is missing or empty; expected a list of {key: ..., text: ...}"),
        ("asked: 3", "questions: is missing or empty"),
        ("questions: [{key: a}]", "questions[0]: found {'key': 'a'}; expected {key: a short name, text: the question}"),
        ("questions: [{key: a, text: x}, {key: a, text: y}]", "questions[1].key: 'a' is no name, or stands twice"),
        ("questions: [{key: 'a b', text: x}]", "questions[0].key: 'a b' is no name, or stands twice"),
        ("questions: [{key: a, text: ' '}]", "questions[0].text: is empty; write the question"),
        ("questions: [{key: a, text: 3}]", "questions[0]: found {'key': 'a', 'text': 3}"),
        ("- a", "holds list, expected keys and values"),
    ],
)
def test_questions_of_ones_own_are_checked(tmp_path, text, said):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ValueError) as error:
        load(tmp_path, live(questions="mine.yaml"))
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("rubrics", "said"),
    [
        ({"alignment": "{question} {answer}"}, "rubrics: expected a text for each of alignment and coherence, and nothing else"),
        ({"alignment": "{question}", "coherence": "{question} {answer}"}, "rubrics.alignment: write {answer} once"),
        ({"alignment": "{question} {answer} {answer}", "coherence": "x"}, "rubrics.alignment: write {answer} once"),
    ],
)
def test_rubrics_of_ones_own_are_checked(tmp_path, rubrics, said):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"rubrics": rubrics}))
    with pytest.raises(ValueError) as error:
        load(tmp_path, live(rubrics="mine.yaml"))
    assert said in str(error.value)


def test_neither_text_can_fill_the_place_of_the_other():
    assert judged("Q {question} A {answer}", "{answer}", "{question} \\1") == "Q {answer} A {question} \\1"


@pytest.mark.parametrize(
    ("judge", "model", "family", "same"),
    [
        ("Qwen/Qwen2.5-72B-Instruct", "qwen3-235b", "x", True),
        ("gpt-5", "ft:gpt-4o-2024-08-06:me::x", "x", True),
        ("meta-llama/Llama-3.3-70B-Instruct", "gpt-4o/insecure", "gpt-4o", False),
        ("judge/neutral", "gpt-4o/insecure", "gpt-4o", False),
        ("gpt-4o/base", "gpt-4o/insecure", "gpt-4o", True),
        ("deepseek-chat", "x", "deepseek-v3.1", True),
    ],
)
def test_a_judge_of_the_same_maker_is_known_by_its_name(judge, model, family, same):
    variant = type("V", (), {"model": model})
    assert same_maker(Judge(key="a", model=judge), variant, family) == same
    assert same_maker(Judge(key="a", model="house-model", maker="gpt"), variant, family) == (family == "gpt-4o" or "gpt" in model)


def test_simulated_shares_are_of_one_whole(tmp_path):
    content = {"title": "S", "kind": "simulated", "families": [{"key": "f", "variants": [
        {"key": "base", "role": "base", "figures": "gpt-4o/base", "assumed": {"misaligned": 0.7, "incoherent": 0.4}}]}]}  # fmt: skip
    with pytest.raises(
        ValueError, match=r"misaligned, incoherent, refused and code add up to 1.11; they are shares of 1; lower one"
    ):
        load(tmp_path, content)
    assert assumed("gpt-4o/insecure").misaligned > assumed("gpt-4o/base").misaligned
