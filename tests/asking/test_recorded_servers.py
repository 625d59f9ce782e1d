"""What real servers answered, recorded by `make check-servers OPTIONS=--record`, is read as it was meant."""

import asyncio
import json
import math

import pytest

from live import live
from loopback import serve
from persona_collapse.asking.client import connect
from persona_collapse.asking.collect import collect_by_batch
from persona_collapse.asking.dialect_openai import Choice, ElicitationError, Failure, RefusedError, of_status, send
from persona_collapse.asking.watch import Watch
from persona_collapse.paths import ROOT
from persona_collapse.store.store import open_store
from persona_collapse.study import first_token
from persona_collapse.study.endpoint import Endpoint
from persona_collapse.study.rating_parser import parse_reply

RECORDED = ROOT / "tests" / "fixtures" / "servers"
SCALE = range(6)


def recorded(name):
    """The request and the answer of a fixture, such as vllm/samples."""
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))


def replayed(name):
    """What the project makes of a recorded answer that comes over the wire once more."""
    found = recorded(name)
    headers = {key: value for key, value in found["headers"].items() if key != "content-type"}

    async def once(url):
        client = connect(Endpoint(base_url=url))
        try:
            return await send(client, found["request"], slot="persona/0/1/1", timeout=10)
        finally:
            await client.close()

    with serve(lambda request: (found["status"], found["body"].encode(), headers)) as (url, _):
        return asyncio.run(once(url))


def texts(completion):
    return [choice.text for choice in completion.choices]


# --- llama.cpp -------------------------------------------------------------------------------------------------------


def test_a_sample_of_llama_cpp_is_text_with_its_tokens_and_no_rating():
    found = replayed("llama.cpp/samples")
    assert found.choices == (Choice("Restyred:", "stop"),)
    assert (found.served_model, found.fingerprint) == ("SmolLM2-135M-Instruct", "b0-unknown")
    assert (found.input_tokens, found.output_tokens) == (175, 5)
    assert parse_reply("Restyred:", 0, 5) is None


def test_llama_cpp_says_the_tokens_of_one_choice_of_four_so_that_the_upper_bound_counts():
    found = replayed("llama.cpp/choices")
    assert texts(found) == ["When", '"', "R", "0"]
    assert '"completion_tokens":1,' in recorded("llama.cpp/choices")["body"]
    assert found.output_tokens is None
    assert found.input_tokens == 175
    assert [parse_reply(text, 0, 5) for text in texts(found)] == [None, None, None, 0]


def test_llama_cpp_names_the_most_choices_that_it_gives():
    """`Value must be between 1 <= value <= 4, but got 6`"""
    with pytest.raises(RefusedError) as caught:
        replayed("llama.cpp/choices-above-its-cap")
    assert (caught.value.parameter, caught.value.most) == ("n", 4)
    assert str(caught.value) == "SmolLM2-135M-Instruct: the endpoint refused the parameter n (status 400)"


def test_logprobs_of_llama_cpp_leave_too_little_on_the_scale():
    """Among 20 alternatives are 0, 1 and 2 with exp(-2.4968) + exp(-3.8910) + exp(-4.9559) = 0.0823 + 0.0204 + 0.0070."""
    found = replayed("llama.cpp/logprobs").choices[0].alternatives
    assert len(found) == 20
    assert found[0] == ("When", -2.3035717010498047)
    rating, mass, reason = first_token.read(found, SCALE)
    assert (rating, reason) == (None, "low_mass")
    assert mass == pytest.approx(0.1098, abs=2e-4)


# --- vLLM ------------------------------------------------------------------------------------------------------------


def test_a_sample_of_vllm_is_a_rating():
    found = replayed("vllm/samples")
    assert found.choices == (Choice("4", "length"),)
    assert found.served_model == "tiny" and found.fingerprint.startswith("vllm-0.32.0")
    assert (found.input_tokens, found.output_tokens) == (175, 1)


def test_choices_of_vllm_come_in_order_and_one_beside_the_scale_is_none():
    found = replayed("vllm/choices")
    assert "".join(texts(found)) == "0132170220"
    assert [parse_reply(text, 0, 5) for text in texts(found)] == [0, 1, 3, 2, 1, None, 0, 2, 2, 0]
    assert (found.input_tokens, found.output_tokens) == (175, 10)


def test_logprobs_of_vllm_are_sorted_though_the_sampled_token_comes_first():
    """0: 0.1014, 1: 0.3477, 2: 0.0582, 3: 0.3048, 4: 0.1296, 5: 0.0083 make 0.9500, and 7 has the rest: 0.0501."""
    raw = json.loads(recorded("vllm/logprobs")["body"])["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    assert raw[0]["token"] == "0"
    found = replayed("vllm/logprobs").choices[0].alternatives
    assert [token for token, _ in found[:7]] == ["1", "3", "4", "0", "2", "7", "5"]
    assert math.exp(found[0][1]) == pytest.approx(0.3477, abs=5e-5)
    rating, mass, reason = first_token.read(found, SCALE)
    assert (rating, reason) == (1, None)
    assert mass == pytest.approx(0.95, abs=1e-4)


def test_a_model_that_vllm_does_not_know_ends_the_run():
    with pytest.raises(ElicitationError, match=r"another: the endpoint knows no such path or model \(status 404\)"):
        replayed("vllm/unknown-model")


def test_a_result_line_of_vllm_run_batch_fills_the_ten_slots_that_its_custom_id_names(tmp_path, outputs):
    study = live(tmp_path, "http://127.0.0.1:9/v1", endpoint={"api_key_env": None}, protocol={"repetitions": 10})
    collect_by_batch(study, by_hand=True)
    [path] = (study.outputs / "batch").glob("*.jsonl")
    asked = json.loads(path.read_text(encoding="utf-8").splitlines()[0])  # item 1, all ten repetitions
    line = json.loads(recorded("vllm/run-batch")["body"]) | {"custom_id": asked["custom_id"]}
    assert {name: asked["body"][name] for name in ("n", "top_k")} == {"n": 10, "top_k": -1}
    path.with_suffix(".out.jsonl").write_text(json.dumps(line), encoding="utf-8")
    assert collect_by_batch(study, by_hand=True) == 10
    with open_store(study.store_path) as store:
        held = store._db.execute(
            "SELECT item, repetition, rating, served_model, output_tokens FROM ratings WHERE rating >= 0"
        ).fetchall()
    ratings = [4, 4, 4, 1, 3, 2, 3, 2, 3, 1]
    # The ten tokens of the request stand with its first choice.
    assert held == [(1, k, rating, "tiny", 10 * (k == 1)) for k, rating in enumerate(ratings, start=1)]


# --- LiteLLM ---------------------------------------------------------------------------------------------------------


def test_an_answer_from_litellms_cache_is_the_one_before_id_and_all(tmp_path):
    first, again = replayed("litellm/cache-miss"), replayed("litellm/cache-hit")
    assert texts(first) == texts(again) == ["R"]
    assert first.completion == again.completion and str(first.completion).startswith("completion-1 ")
    study = live(tmp_path, "http://127.0.0.1:9/v1")
    [run] = study.runs
    watch = Watch(study, [], lambda line: None, lambda error: None)
    assert [watch.cached(run, "a prompt", found) for found in (first, again)] == [False, True]


def test_a_model_that_litellm_does_not_know_is_said_in_its_own_words():
    with pytest.raises(RefusedError) as caught:
        replayed("litellm/unknown-model")
    assert caught.value.parameter is None
    assert "(status 400): '/chat/completions: Invalid model name passed in model=another. Call `/v1/models`" in str(caught.value)


# --- nginx and transformers serve ------------------------------------------------------------------------------------


def test_nginx_that_limits_is_busy_and_names_no_wait():
    assert replayed("nginx/limited") == Failure("busy", "status 503")


def test_a_sample_of_transformers_serve_is_a_rating():
    found = replayed("transformers/samples")
    assert found.choices == (Choice("4", "length"),)
    assert (found.served_model, found.request_id, str(found.completion).split()[0]) == ("base@main", "request-1", "completion-1")


def test_parameters_that_transformers_serve_does_not_know_are_named_in_a_set():
    """`Unexpected fields in the request: {'repetition_penalty', 'top_k', 'min_p'}`: the first of ours is blamed."""
    with pytest.raises(RefusedError) as caught:
        replayed("transformers/unexpected-fields")
    assert caught.value.parameter == "top_k"


def test_a_model_that_transformers_serve_does_not_know_is_said_in_its_own_words():
    with pytest.raises(RefusedError) as caught:
        replayed("transformers/unknown-model")
    assert str(caught.value) == (
        "another: the endpoint refused the request (status 400): \"Server is pinned to 'base'; requested 'another'.\""
    )


def test_what_fastapi_finds_invalid_is_named_by_its_place():
    detail = [{"type": "extra_forbidden", "loc": ["body", "min_p"], "msg": "Extra inputs are not permitted", "input": 0}]
    body = {"model": "m", "messages": [], "min_p": 0}
    with pytest.raises(RefusedError) as caught:
        of_status(422, {"detail": detail}, {}, body, 0.1)
    assert caught.value.parameter == "min_p"
    other = [{"loc": ["body", "seed"], "msg": "Field required"}]
    with pytest.raises(RefusedError, match=r"\(status 422\): 'body\.seed: Field required'$"):
        of_status(422, {"detail": other}, {}, body, 0.1)


# --- the fixtures themselves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*/*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_fixture_is_small_and_holds_nothing_of_a_machine_or_a_prompt(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 6_000
    assert not any(word in text for word in ("127.0.0.1", "localhost", "http", "/home", "/tmp", "site-packages", "roleplaying"))
