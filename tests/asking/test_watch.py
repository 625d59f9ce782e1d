"""What answers give away while they come: a cache, no ratings, no spread; and what of sampling a server is told."""

import math
import re

import numpy as np
import pytest

from live import KEY, live_study, rows, traffic
from loopback import answer, failure, serve
from persona_collapse.__main__ import main
from persona_collapse.asking import backoff
from persona_collapse.asking.collect import collect
from persona_collapse.asking.dialect_openai import ElicitationError, RefusedError, of_status
from persona_collapse.asking.supported_parameters import recall
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.endpoint import Endpoint
from persona_collapse.study.load_study import load_study

#: (2 personas + self) x 30 items
CELLS = 90
TEN = {"repetitions": 10, "personas": 2, "temperature": 1.0}


@pytest.fixture(autouse=True)
def key(monkeypatch, outputs):
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setattr(backoff, "FIRST_WAIT", 0.01)


def one_by_one(respond):
    """A server that takes no n, so that repetitions are requests."""
    return lambda request: failure(400, message="'n' must be 1") if "n" in request else respond(request)


# --- a cache ---------------------------------------------------------------------------------------------------------


def test_a_gateway_with_a_cache_ends_the_visit_in_one_line_and_stores_nothing_twice(tmp_path):
    """As LiteLLM does with `cache: true`: the completion, id and all, that the same prompt got before."""
    given = {}

    def respond(request):
        prompt = request["messages"][0]["content"]
        return given.setdefault(prompt, (200, answer("3")[1] | {"id": f"chatcmpl-cached-{len(given)}"}))

    with serve(one_by_one(respond)) as (url, _):
        study = live_study(tmp_path, url, protocol=TEN)
        with pytest.raises(ElicitationError) as caught:
            collect(study)
        said = str(caught.value)
        assert re.match(
            r"f/base: \d+ answers came from a cache: each repeats the completion id of an earlier answer to the ", said
        )
        assert '{"no-cache": true}' in said and "\n" not in said
        held = rows(study, "request_id", "ratings WHERE rating IS NOT NULL")
        assert 1 <= len(held) <= len(given)  # a cell never counts a second time
        assert traffic(study)["cached"] >= 3


def test_with_the_cache_off_by_extra_body_everything_is_asked(tmp_path):
    def respond(request):
        cached = request.get("cache") != {"no-cache": True}
        return 200, answer("3")[1] | {"id": f"chatcmpl-{'one-of-few' if cached else request.number}-x"}

    with serve(one_by_one(respond)) as (url, requests):
        endpoint = {"base_url": url, "api_key_env": "TEST_KEY", "extra_body": {"cache": {"no-cache": True}}}
        study = live_study(tmp_path, url, protocol=TEN | {"repetitions": 2}, endpoints={"here": endpoint})
        assert collect(study) == 2 * CELLS
    assert all(request["cache"] == {"no-cache": True} for request in requests)
    assert "cached" not in traffic(study)


def test_a_cached_answer_is_known_after_a_restart(tmp_path):
    """The store remembers the completions of earlier visits, whatever the server calls its requests."""
    given = {}

    def respond(request):
        prompt = request["messages"][0]["content"]
        status, body = given.setdefault(prompt, (200, answer("3")[1] | {"id": f"chatcmpl-cached-{len(given)}"}))
        return status, body, {"x-request-id": f"req_{request.number}"}

    with serve(one_by_one(respond)) as (url, _):
        collect(live_study(tmp_path, url, protocol=TEN | {"repetitions": 1}))
        study = live_study(tmp_path, url, protocol=TEN | {"repetitions": 2})
        with pytest.raises(ElicitationError, match="answers came from a cache"):
            collect(study)
    assert len(rows(study, "request_id", "ratings WHERE rating IS NOT NULL")) == CELLS


def test_a_server_that_counts_its_answers_anew_at_each_start_is_no_cache(tmp_path):
    """Its ids come again for the same prompts, but when they were made does not: a cache repeats both."""
    of_prompt, started = {}, [1_000_000]

    def respond(request):
        number = of_prompt.setdefault(request["messages"][0]["content"], len(of_prompt))
        return 200, answer("3")[1] | {"id": f"chatcmpl-{number}", "created": started[0]}

    with serve(one_by_one(respond)) as (url, _):
        collect(live_study(tmp_path, url, protocol=TEN | {"repetitions": 1}))
        started[0] += 3600
        study = live_study(tmp_path, url, protocol=TEN | {"repetitions": 2})
        assert collect(study) == CELLS
    assert len(rows(study, "request_id", "ratings WHERE rating IS NOT NULL")) == 2 * CELLS


@pytest.mark.parametrize("constant", ["", "chatcmpl-0", None])
def test_a_constant_or_empty_id_is_no_id(tmp_path, constant):
    with serve(one_by_one(lambda request: (200, answer("3")[1] | {"id": constant}))) as (url, _):
        study = live_study(tmp_path, url, protocol=TEN | {"repetitions": 2})
        assert collect(study) == 2 * CELLS
    assert rows(study, "count(*)", "ratings WHERE rating = 3") == [(2 * CELLS,)]


def test_answers_that_never_vary_are_said_once(tmp_path):
    said = []
    with serve(one_by_one(lambda request: answer("3"))) as (url, _):
        collect(live_study(tmp_path, url, protocol=TEN | {"repetitions": 2}), say=said.append)
    lines = [line for line in said if "varied" in line]
    assert lines == [
        "live: f/base: none of the first 50 cells varied over its repetitions at temperature 1; a cache, or a server that "
        "ignores the temperature, does that"
    ]


@pytest.mark.parametrize(
    ("protocol", "respond"),
    [
        (TEN | {"repetitions": 2, "temperature": 0.0}, lambda request: answer("3")),
        (TEN | {"repetitions": 1}, lambda request: answer("3")),
        (TEN | {"repetitions": 2}, lambda request: answer(str(request.number % 2))),
    ],
    ids=["at temperature 0", "one repetition", "some cell varies"],
)
def test_where_nothing_has_to_vary_or_something_does_nothing_is_said(tmp_path, protocol, respond):
    said = []
    with serve(one_by_one(respond)) as (url, _):
        collect(live_study(tmp_path, url, protocol=protocol), say=said.append)
    assert not [line for line in said if "varied" in line]


# --- replies that are no ratings -------------------------------------------------------------------------------------


def test_few_ratings_are_said_after_thirty_answers_with_the_commonest_replies(tmp_path):
    """Every third answer is a rating: 10 or so of 30, fewer than half."""
    said = []
    with serve(lambda request: answer("3" if request.number % 3 == 0 else " ")) as (url, _):
        study = live_study(tmp_path, url, endpoints={"here": {"base_url": url, "api_key_env": "TEST_KEY", "max_in_flight": 1}})
        collect(study, say=said.append)
    assert [line for line in said if "are ratings" in line] == [
        "live: f/base: 10 of the first 30 answers are ratings; commonest otherwise: ' ' (20 times); try protocol.max_tokens: 2 if "
        "the first token is a blank, switch thinking off by the endpoint's extra_body, or ask a model that follows the prompt"
    ]


def test_a_run_without_a_single_rating_stops_after_a_hundred_answers_and_goes_on_if_told_so(tmp_path):
    with serve(one_by_one(lambda request: answer("Sure"))) as (url, requests):
        study = live_study(tmp_path, url, protocol=TEN)
        with pytest.raises(ElicitationError) as caught:
            collect(study)
        assert "none of the first 100 answers is a rating; commonest otherwise: 'Sure' (100 times)" in str(caught.value)
        assert str(caught.value).endswith("or go on with `make elicit ANYWAY=1`")
        assert len(requests) <= 120
        collect(study, anyway=True)
    assert rows(study, "count(*), count(rating)", "slots") == [(10 * CELLS, 0)]


def test_half_of_the_answers_is_enough(tmp_path):
    said = []
    with serve(lambda request: answer("3" if request.number % 2 else " ")) as (url, _):
        study = live_study(tmp_path, url, endpoints={"here": {"base_url": url, "api_key_env": "TEST_KEY", "max_in_flight": 1}})
        collect(study, say=said.append)
    assert not [line for line in said if "are ratings" in line]


# --- what a server is told of sampling -------------------------------------------------------------------------------


def record(study):
    endpoint, model = study.file.endpoints["here"], study.runs[0].variant.model
    with open_store(study.store_path) as store:
        return recall(store, endpoint, model)


def test_a_server_of_open_weights_is_told_to_leave_the_distribution_as_it_is(tmp_path):
    with serve(lambda request: answer("3")) as (url, requests):
        study = live_study(tmp_path, url)
        collect(study)
    assert all((r["top_p"], r["top_k"], r["min_p"], r["repetition_penalty"]) == (1, -1, 0, 1) for r in requests)
    assert record(study).neutral and record(study).top_p


@pytest.mark.parametrize("message", ["Unrecognized request argument supplied: top_k", "extra inputs are not permitted"])
def test_one_that_refuses_them_is_asked_without_and_the_record_says_so(tmp_path, message):
    def respond(request):
        return failure(400, message=message) if "top_k" in request else answer("3")

    with serve(respond) as (url, requests):
        study = live_study(tmp_path, url)
        collect(study)
    assert len(requests) == CELLS + 1 and all(r["top_p"] == 1 for r in requests)
    assert not record(study).neutral and record(study).top_p


def test_one_that_takes_no_top_p_is_said(tmp_path):
    said = []

    def respond(request):
        return failure(400, message="top_p is not supported with this model") if "top_p" in request else answer("3")

    with serve(respond) as (url, _):
        study = live_study(tmp_path, url)
        collect(study, say=said.append)
    assert said == ["live: m-1: the endpoint takes no top_p, so that its own defaults apply"]
    assert not record(study).top_p


def test_a_server_that_takes_none_of_the_rest_is_said(tmp_path):
    """As transformers serve, whose generation_config.json then decides them."""
    said = []

    def respond(request):
        return failure(400, message="Unexpected fields: {'top_k'}") if "top_k" in request else answer("3")

    with serve(respond) as (url, _):
        collect(live_study(tmp_path, url), say=said.append)
    assert said == ["live: m-1: the endpoint takes no top_k, min_p, repetition_penalty, so that its own defaults apply"]


def test_a_top_p_that_the_study_needs_is_never_dropped(tmp_path):
    with serve(lambda request: failure(400, message="top_p is not supported")) as (url, _):
        study = live_study(tmp_path, url, protocol={"repetitions": 1, "personas": 2, "top_p": 0.9})
        with pytest.raises(ElicitationError, match="refused the parameter top_p"):
            collect(study)


def test_a_store_from_before_is_not_asked_again(tmp_path):
    """Slots asked without top_p keep their identity: 1 is what they were asked with."""
    with serve(lambda request: answer("3")) as (url, requests):
        collect(live_study(tmp_path, url))
        asked = len(requests)
        assert collect(live_study(tmp_path, url, protocol={"repetitions": 1, "personas": 2, "top_p": 1})) == 0
        assert len(requests) == asked
        assert collect(live_study(tmp_path, url, protocol={"repetitions": 1, "personas": 2, "top_p": 0.9})) == CELLS


# --- a capped n ------------------------------------------------------------------------------------------------------


def capped_at(most, words):
    return lambda request: failure(400, message=words) if request.get("n", 1) > most else answer("3", n=request.get("n", 1))


def test_a_cap_that_is_said_is_used(tmp_path):
    """llama.cpp: 10 repetitions in blocks of 4, 4 and 2; the refusal is the one request more."""
    said = []
    with serve(capped_at(4, "Field 'n': Value must be between 1 <= value <= 4")) as (url, requests):
        study = live_study(tmp_path, url, protocol=TEN)
        assert collect(study, say=said.append) == 10 * CELLS
    assert len(requests) == 3 * CELLS + 1
    assert said[0] == (
        "live: m-1: one request brings 4 of the 10 ratings it was asked for; more requests are needed, and the prompt is paid "
        "with each"
    )
    assert (record(study).choices, record(study).capped) == (4, True)


def test_a_cap_that_is_not_said_is_found_by_halving(tmp_path):
    with serve(capped_at(3, "n is too large")) as (url, requests):
        study = live_study(tmp_path, url, protocol=TEN)
        collect(study)
    # 10 and 5 refused, 2 taken: five requests a cell.
    assert len(requests) == 5 * CELLS + 2
    assert record(study).choices == 2


def test_a_first_look_with_few_repetitions_caps_nothing(tmp_path):
    with serve(lambda request: answer("3", n=request.get("n", 1))) as (url, requests):
        collect(live_study(tmp_path, url, protocol=TEN | {"repetitions": 3}))
        assert len(requests) == CELLS
        collect(live_study(tmp_path, url, protocol=TEN | {"repetitions": 13}))
    assert len(requests) == 2 * CELLS  # ten more a cell, in one request each


# --- what an endpoint's message says ---------------------------------------------------------------------------------


def test_a_message_that_names_no_parameter_is_quoted_without_prompt_and_key(tmp_path):
    message = f"This model's maximum context length is 64 tokens; key {KEY}"

    def respond(request):
        return failure(400, message=f"{message}; you sent: {request['messages'][0]['content']}")

    with serve(respond) as (url, _):
        with pytest.raises(ElicitationError) as caught:
            collect(live_study(tmp_path, url))
    said = str(caught.value)
    assert said.startswith(
        "m-1: the endpoint refused the request (status 400): \"This model's maximum context length is 64 tokens; "
    )
    assert "[prompt]" in said and KEY not in said and "temperature" not in said and "You are roleplaying" not in said


def test_the_cap_is_read_from_a_message_about_n_alone():
    body = {"model": "m", "messages": [], "n": 10, "max_tokens": 1}
    with pytest.raises(RefusedError) as caught:
        of_status(400, {"message": "n must be at most 8"}, {}, body, 0.1)
    assert caught.value.most == 8
    with pytest.raises(RefusedError) as caught:
        of_status(400, {"message": "max_tokens must be at most 8"}, {}, body, 0.1)
    assert caught.value.most is None


# --- the study file --------------------------------------------------------------------------------------------------


def test_headers_go_out_with_every_request(tmp_path):
    with serve(lambda request: answer("3")) as (url, requests):
        endpoint = {"base_url": url, "api_key_env": "TEST_KEY", "headers": {"X-Team": "persona"}}
        assert collect(live_study(tmp_path, url, endpoints={"here": endpoint})) == CELLS
    assert all(request.headers["x-team"] == "persona" for request in requests)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"extra_body": {"temperature": 0.5}},
            "'temperature' is set by the study's protocol or by the endpoint itself; remove it",
        ),
        ({"headers": {"Authorization": "Bearer sk-1"}}, "'Authorization' may hold a key, and no key stands in a file"),
        ({"headers": {"api-key": "sk-1"}}, "'api-key' may hold a key"),
        ({"headers": {"X Y": "1"}}, "'X Y' is no header"),
    ],
)
def test_what_extra_body_and_headers_may_not_say(more, words):
    with pytest.raises(ValueError, match="value_error") as caught:
        Endpoint(base_url="http://127.0.0.1/v1", api_key_env="K", **more)
    assert words in str(caught.value)


def test_the_command_goes_on_if_told_so(tmp_path, capsys):
    with serve(one_by_one(lambda request: answer("Sure"))) as (url, _):
        study = live_study(tmp_path, url, protocol=TEN)
        assert main(["elicit", "--study", str(study.path)]) == 1
        assert "or go on with `make elicit ANYWAY=1`" in capsys.readouterr().err
        assert main(["elicit", "--study", str(study.path), "--anyway", "1"]) == 0
    assert load_study(study.path).name == "live"


# --- a server that is away -------------------------------------------------------------------------------------------


def test_an_outage_is_probed_by_one_request_and_ends_after_the_endpoints_patience(tmp_path):
    """The first answers come, then nobody listens: a walk of the whole queue would be hundreds of attempts."""
    with serve(lambda request: answer("3")) as (url, requests):
        study = live_study(
            tmp_path, url, protocol=TEN | {"repetitions": 1},
            endpoints={"here": {"base_url": url, "api_key_env": "TEST_KEY", "patience": "1 s"}},
        )  # fmt: skip
        collect(study)
    more = live_study(
        tmp_path, url, protocol=TEN | {"repetitions": 1, "temperature": 0.5},
        endpoints={"here": {"base_url": url, "api_key_env": "TEST_KEY", "patience": "1 s"}},
    )  # fmt: skip
    with pytest.raises(ElicitationError, match=r"here: took no connection for 0\.0167 minutes \(the connection failed"):
        collect(more)
    assert traffic(more)["dropped"] < 60 and len(requests) == CELLS


def test_a_server_of_this_machine_needs_no_key_and_any_other_does():
    assert Endpoint(base_url="http://127.0.0.1:8000/v1").key() == ""
    assert Endpoint(base_url="http://localhost:8000/v1").key() == ""
    with pytest.raises(ValueError, match="api_key_env: is missing; give the name of the variable"):
        Endpoint(base_url="https://api.example.org/v1")
    with pytest.raises(ValueError, match="api_key_env: is missing"):
        Endpoint(base_url="http://127.evil.example/v1")


def test_a_study_at_a_server_without_a_key(tmp_path, monkeypatch):
    monkeypatch.delenv("TEST_KEY")
    with serve(lambda request: answer("3")) as (url, requests):
        assert collect(live_study(tmp_path, url, endpoints={"here": {"base_url": url}})) == CELLS
    assert {request.key for request in requests} == {"Bearer none"}


@pytest.mark.parametrize(("written", "minutes"), [("30 min", 30), (2, 2), ("90 s", 1.5), ("1 h", 60), ("0.5min", 0.5)])
def test_patience_in_minutes_or_with_its_unit(written, minutes):
    assert Endpoint(base_url="http://127.0.0.1/v1", patience=written).patience == minutes


@pytest.mark.parametrize("written", ["soon", "30", "-1 min", 0, "3 days"])
def test_a_patience_that_is_none(written):
    with pytest.raises(ValueError, match="patience"):
        Endpoint(base_url="http://127.0.0.1/v1", patience=written)


def test_a_503_without_a_wait_is_a_limiter_where_answers_come(tmp_path):
    """nginx's limit_req: one in four is refused with its page; all slots are answered, and no request is given up."""

    def respond(request):
        return answer("3") if request.number % 4 != 2 else (503, b"<html>503 Service Temporarily Unavailable</html>")

    with serve(respond) as (url, _):
        study = live_study(tmp_path, url)
        collect(study)
    assert rows(study, "count(*)", "ratings WHERE rating = 3") == [(CELLS,)]


def test_a_gateway_passes_the_providers_wait_on():
    assert backoff.retry_after({"llm_provider-retry-after": "7"}) == 7


@pytest.mark.parametrize("patience", [{"patience": "5 s"}, {}])
def test_a_server_that_still_loads_is_waited_for_if_the_endpoint_says_so(tmp_path, patience):
    """As vLLM and llama.cpp do, 503 until the model is there; six attempts are all that another endpoint gets."""

    def respond(request):
        return failure(503, message="Loading model") if request.number <= 12 else answer("3")

    with serve(respond) as (url, requests):
        study = live_study(tmp_path, url, endpoints={"here": {"base_url": url, **patience}})
        if patience:
            assert collect(study) == CELLS
        else:
            with pytest.raises(ElicitationError, match=r"the first request got no answer \(status 503\)"):
                collect(study)
            assert len(requests) == 6


# --- logprobs of other tokenizers ------------------------------------------------------------------------------------


def offered(*pairs):
    """A completion whose first token has these alternatives; None stands for a null in their place."""
    entries = [pair and {"token": pair[0], "logprob": math.log(pair[1])} for pair in pairs]
    status, body = answer("3")
    choice = body["choices"][0] | {"logprobs": {"content": [{"token": "3", "logprob": 0, "top_logprobs": entries}]}}
    return status, body | {"choices": [choice]}


LOGPROBS = {"repetitions": 1, "personas": 2, "method": "logprobs"}


@pytest.mark.parametrize(
    "pairs",
    [
        (("▁3", 0.6), ("▁2", 0.3), ("▁The", 0.1)),
        (("Ġ3", 0.6), ("2", 0.3), ("ĊĊ", 0.1)),
        (("3", 0.6), None, ("2", 0.3)),
        ((" 3", 0.35), ("▁3", 0.25), ("2", 0.3)),
    ],
    ids=["SentencePiece", "bytes", "a null among them", "two spellings"],
)
def test_logprobs_are_read_however_a_tokenizer_spells_a_blank(tmp_path, pairs):
    """3 has 0.6 and 2 has 0.3 in every case: the rating is 3, and 0.9 lies on the scale."""
    with serve(lambda request: offered(*pairs)) as (url, _):
        study = live_study(tmp_path, url, protocol=LOGPROBS)
        assert collect(study) == CELLS
    with open_store(study.store_path) as store:
        ratings = read_ratings(study, store)
    assert rows(study, "DISTINCT rating, reason", "ratings") == [(3, None)]
    offers = ratings.of(study.runs[0], "persona").offered
    assert offers.mass == pytest.approx(np.full((2, 30), 0.9))


def test_tokens_named_by_their_numbers_stop_at_the_first_request(tmp_path):
    with serve(lambda request: offered(("token_id:21", 0.6), ("token_id:22", 0.3))) as (url, requests):
        with pytest.raises(ElicitationError, match=r"names tokens by their numbers .'token_id:21'.*--return-tokens-as-token-ids"):
            collect(live_study(tmp_path, url, protocol=LOGPROBS))
    assert len(requests) == 1
