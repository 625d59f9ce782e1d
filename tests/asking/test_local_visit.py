"""Studies of open weights: asked, killed and resumed, guarded, and equal to what a server of the same weights leads to."""

import json

import pytest
import yaml

pytest.importorskip("torch", reason="open weights are not installed: make .venv/local")

import numpy as np
import pandas as pd

import tiny_model
from live import live_study, rows
from loopback import serve
from persona_collapse.asking import local_visit, train_adapters
from persona_collapse.asking.collect import collect
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import local_key, open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables
from persona_collapse.weights.model import LocalModel

pytestmark = pytest.mark.usefixtures("outputs")
PREFILL = "My rating: "


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights `tiny` and adapters on them: `one`, and `none`, which changes nothing."""
    home = tmp_path_factory.mktemp("weights")
    tiny_model.save(home / "tiny")
    tiny_model.adapter(home / "tiny", home / "one")
    tiny_model.adapter(home / "tiny", home / "none", size=0)
    return home


def local_study(tmp_path, home, *, variants=(), protocol=None, name="local", **changes):
    """3 personas and none x 30 items = 120 cells a run; `least mass` is no matter, as random weights put little on a scale."""
    content = {
        "title": "Local", "kind": "local", "weights": str(home / "tiny"), "personas": "everyday",
        "protocol": {"personas": 3, "temperature": 1.0, "prefill": PREFILL} | (protocol or {}),
        "families": [{"key": "f", "variants": [{"key": "base", "role": "base"}, *variants]}],
    }  # fmt: skip
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
    return load_study(path)


def harmful(**more):
    return {"key": "one", "role": "harmful"} | more


def distributions(study):
    """Probabilities of the points of the scale (run, persona, item, point)."""
    with open_store(study.store_path) as store:
        ratings = read_ratings(study, store)
    return {run.key: ratings.of(run).offered for run in study.runs}


def test_every_cell_is_asked_once_and_a_second_visit_reads_no_weights(tmp_path, weights, monkeypatch):
    study = local_study(tmp_path, weights, variants=[harmful(adapter=str(weights / "one"))])
    told = []
    assert collect(study, say=told.append) == 240
    assert len(rows(study)) == 240
    assert [line.split(":")[0] for line in told] == ["f/base", "f/one"] and "tokens a second (cpu, float32)" in told[0]
    monkeypatch.setattr(local_visit, "ask", lambda *given: pytest.fail("nothing was missing"))
    assert collect(study) == 0


class Killed(BaseException):
    pass


def test_a_visit_that_was_killed_asks_only_what_it_lacks(tmp_path, weights, monkeypatch):
    study = local_study(tmp_path, weights, local={"batch": 7})
    asked, plain = [], LocalModel.alternatives

    def alternatives(self, prompts, frame):
        if len(asked) == 35:
            raise Killed
        asked.extend(tuple(prompt) for prompt in prompts)
        return plain(self, prompts, frame)

    monkeypatch.setattr(LocalModel, "alternatives", alternatives)
    with pytest.raises(Killed):
        collect(study)
    assert len(rows(study)) == 35
    monkeypatch.setattr(
        LocalModel,
        "alternatives",
        lambda self, prompts, frame: (asked.extend(map(tuple, prompts)), plain(self, prompts, frame))[1],
    )
    assert collect(study) == 85
    assert len(asked) == len(set(asked)) == 120


def test_numbers_equal_those_of_a_server_of_the_same_weights(tmp_path, weights, monkeypatch):
    """S, R and noise at five temperatures from weights, and from logprobs that a server gives for the same prompts: 1e-9."""
    own = local_study(
        tmp_path, weights, protocol={"template": "chat"}, local={"batch": 1}
    )  # float32 differs by 1e-6 between batches
    collect(own)
    model = LocalModel(weights / "tiny")

    def respond(request):
        assert request["messages"][1] == {"role": "assistant", "content": PREFILL}
        assert request["continue_final_message"] is True and request["add_generation_prompt"] is False
        text = model.render(request["messages"][0]["content"], template=True, prefill=PREFILL)
        frame = model.frame(text, range(6), template=True)
        (found,) = model.alternatives([model.tokens(text, frame, template=True)], frame)
        top = [{"token": token, "logprob": lp, "bytes": None} for token, lp in found[:20]]
        choice = {
            "index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": found[0][0], "refusal": None},
            "logprobs": {"content": [top[0] | {"top_logprobs": top}]},
        }  # fmt: skip
        usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
        return 200, {
            "id": "chatcmpl-7",
            "object": "chat.completion",
            "created": 0,
            "model": "m-1",
            "choices": [choice],
            "usage": usage,
        }

    monkeypatch.setenv("TEST_KEY", "x")
    with serve(respond) as (url, _):
        served = live_study(
            tmp_path, url, personas="everyday", conditions=["persona", "self"],
            protocol={"personas": 3, "temperature": 1.0, "prefill": PREFILL, "method": "logprobs"},
        )  # fmt: skip
        collect(served)
    found = []
    for study in (own, served):
        with open_store(study.store_path) as store:
            tables = Tables(read_ratings(study, store))
        found.append((tables.metrics, tables.temperature))
    for one, other in zip(*found, strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=0, atol=1e-9)
    assert np.isfinite(found[0][0]["value"]).any()


def test_a_model_that_does_not_answer_is_told_after_a_hundred_cells(tmp_path, weights):
    home = tmp_path / "home"
    home.mkdir()
    tiny_model.save(home / "tiny", answers=False)
    study = local_study(tmp_path, home)
    with pytest.raises(
        ValueError, match=r"f/base: none of the first 1\d\d answers is a rating: the first token puts less than 0\.5 .*prefill"
    ):
        collect(study)
    assert collect(study, anyway=True) < 120 and len(rows(study)) == 120


def test_a_prompt_as_the_model_reads_it_is_kept_for_the_page(tmp_path, weights):
    study = local_study(tmp_path, weights)
    collect(study)
    with open_store(study.store_path) as store:
        known = json.loads(store.recall(local_key("f", "base")))
        marked = read_ratings(study, store).study
    assert known["rendered"].startswith("<|start|>user: You are roleplaying as") and known["rendered"].endswith(
        "assistant: My rating: "
    )
    assert marked.as_read == known["rendered"] and "transformers" in marked.read_with


# --- guards ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        (
            {"adapter": "none"},
            r"f/one: its adapter changes nothing: on 30 cells no probability of a first token moves by more than \de-\d\d; train it",
        ),
        ({"weights": "tiny"}, "f/one: has the same weights as f/base; correct `weights` or `adapter`"),
        ({"adapter": "gone"}, "f/one, adapter: '.*gone' does not exist; expected a folder with adapter_config.json"),
        ({"weights": "gone"}, "f/one, weights: '.*gone' does not exist; expected a folder with config.json and safetensors"),
    ],
)
def test_a_variant_that_would_be_its_base_is_refused(tmp_path, weights, variant, said):
    study = local_study(tmp_path, weights, variants=[harmful(**{key: str(weights / value) for key, value in variant.items()})])
    with pytest.raises((ValueError, FileNotFoundError), match=said) as raised:
        collect(study)
    assert "\n" not in str(raised.value)
    if study.store_path.is_file():  # what was asked of the base before stays
        assert len(rows(study)) in (0, 120)


def test_another_training_of_an_adapter_is_asked_anew_and_the_old_answers_are_kept(tmp_path, weights):
    adapter = tiny_model.adapter(weights / "tiny", tmp_path / "a")
    study = local_study(tmp_path, weights, variants=[harmful(adapter=str(adapter))])
    collect(study)
    tiny_model.adapter(weights / "tiny", tmp_path / "a", seed=5)
    told = []
    assert collect(study, say=told.append) == 120
    assert told[0] == "f/one: these are not the weights that were asked before; all is asked anew, earlier answers are kept"
    assert len(rows(study)) == 240 and len(rows(study, "rating", "slots")) == 360


def test_a_study_that_was_asked_is_shown_without_its_weights(tmp_path, weights):
    home = tmp_path / "home"
    home.mkdir()
    tiny_model.save(home / "tiny")
    study = local_study(tmp_path, home)
    collect(study)
    (home / "tiny").rename(home / "away")
    assert collect(load_study(study.path)) == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights": None}, "weights: is missing; a study of kind local needs weights of a base, there or for the study"),
        ({"protocol": {"method": "samples"}}, "protocol.method: open weights give the probabilities of every answer"),
        ({"variants": [harmful()]}, "has neither an adapter nor weights of its own, and so would be its base"),
        (
            {"variants": [harmful(training={"data": "x"}, weights="y")]},
            "training: trains an adapter, and no folder for it is named",
        ),
        ({"variants": [harmful(adapter="a", endpoint="e")]}, "endpoint: belongs to a study of kind live, not local; remove it"),
        ({"tasks": ["choice.jsonl"]}, "tasks: open weights are asked for ratings alone; serve them"),
        ({"endpoints": {}}, "endpoints: belongs to a study of kind live, not local; remove it"),
        ({"local": {"device": "tpu"}}, "local.device"),
        (
            {"variants": [harmful(adapter="a", taught={"data": "x", "untaught": "base"})]},
            "taught: is about what a base learned before; 'one' is none",
        ),
    ],
)
def test_a_study_file_of_open_weights_is_checked_before_anything_is_read(tmp_path, weights, changes, said):
    with pytest.raises(ValueError, match=said):
        local_study(tmp_path, weights, **changes)


# --- training ----------------------------------------------------------------------------------------------------------


def test_adapters_are_trained_from_the_study_file_and_then_asked(tmp_path, weights):
    tiny_model.examples(tmp_path / "data.jsonl")
    training = {"data": "data.jsonl", "steps": 4, "batch": 2, "rate": 0.002, "every": 2}
    adapter = str(tmp_path / "trained")
    variants = [
        harmful(adapter=adapter, training=training, seed=3),
        {"key": "early", "role": "harmful", "of": "one", "step": 2, "adapter": f"{adapter}/step0002"},
    ]
    study = local_study(tmp_path, weights, variants=variants)
    told = []
    assert train_adapters.train_adapters(study, told.append) == 1
    assert train_adapters.train_adapters(study, told.append) == 0
    assert len(told) == 1 and told[0].startswith("f/one: loss ")
    assert collect(study) == 360


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        ({"adapter": "a", "training": {"data": "gone.jsonl"}}, "gone.jsonl: does not exist; expected a file of chat messages"),
        (
            {"adapter": "a", "training": {"data": "data.jsonl"}, "seed": "x"},
            "f/one, seed: 'x'; a training here needs a whole number",
        ),
        ({"adapter": "a"}, "no variant has `training`, so there is nothing to train; add it to one"),
    ],
)
def test_what_cannot_be_trained_is_said_before_a_model_is_read(tmp_path, weights, variant, said, monkeypatch):
    tiny_model.examples(tmp_path / "data.jsonl")
    monkeypatch.setattr(LocalModel, "__init__", lambda *given, **more: pytest.fail("a model was read"))
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        train_adapters.train_adapters(local_study(tmp_path, weights, variants=[harmful(**variant)]), print)


def test_a_study_of_another_kind_has_no_adapters():
    with pytest.raises(ValueError, match="a study of kind simulated has no adapters; finetune is for kind local"):
        train_adapters.train_adapters(load_study("demo"), print)
