"""The simulated endpoint, over sockets: what it answers, to its own client and to others."""

import argparse
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import openai
import pytest
import yaml

from persona_collapse import __main__ as commands
from persona_collapse.asking.collect import collect
from persona_collapse.paths import ROOT
from persona_collapse.simulated import response_model
from persona_collapse.simulated.faults import Options, add_flags, from_flags, to_flags
from persona_collapse.simulated.prompt_answers import Cell, Respondents, Slot, read_slot
from persona_collapse.simulated.server import apart, running
from persona_collapse.simulated.text_replies import JUDGES
from persona_collapse.store.store import open_store
from persona_collapse.study.instrument import load_instrument
from persona_collapse.study.load_study import load_study
from persona_collapse.study.personas import Persona, load_personas
from persona_collapse.study.rating_parser import parse_reply
from persona_collapse.study.respondent_parameters import known_figures, load_respondent
from requests_to import MODEL, ask, call, texts

PERSONA = load_personas("everyday")[3]


@pytest.fixture(scope="module")
def server():
    """An endpoint that does all it should."""
    with running(Options(seed=7)) as found:
        yield found


# --- what it answers -------------------------------------------------------------------------------------------------


def test_a_prompt_is_answered_by_those_of_its_questionnaire():
    """IPIP-50 and the neutral scale begin at 1; what is no question is left to the first."""
    respondents = Respondents(seed=1, also=("ipip50", "neutral12"))
    for key in ("mfq30", "ipip50", "neutral12"):
        instrument = load_instrument(key)
        found = respondents.answering(instrument.prompt(instrument.items[2], "a nurse", digit=True))
        assert found.instrument.key == key
        rated = found.ratings(MODEL, Cell("a nurse", 3, True), "persona", 1, 40, 2.0)
        assert set(rated) <= set(instrument.categories)
    assert respondents.answering("How are you?") is respondents


def test_a_completion_has_the_form_of_the_protocol(server, prompt):
    status, headers, body = ask(server, prompt, n=2)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert headers["x-request-id"] != ask(server, prompt)[1]["x-request-id"]
    assert body["id"].startswith("chatcmpl-") and body["object"] == "chat.completion"
    assert (body["model"], body["system_fingerprint"]) == (MODEL, "fp_simulated")
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    # A limit of one token that is used up ends a reply as "length", as at OpenAI.
    assert {choice["finish_reason"] for choice in body["choices"]} == {"length"}
    assert all(text in "012345" and len(text) == 1 for text in texts((0, 0, body)))
    assert abs(time.time() - body["created"]) < 60
    paid = round(len(prompt) / 4.6)
    assert body["usage"] == {"prompt_tokens": paid, "completion_tokens": 2, "total_tokens": paid + 2}


def test_a_slot_has_the_rating_of_the_draw_whenever_it_is_asked(server, mfq30, prompt):
    """Seed, model as run, condition, persona's text, item and repetition decide; order and number of choices do not."""
    respondent = load_respondent(MODEL, mfq30)
    drawn = response_model.draw(
        response_model.cell_probabilities(respondent, mfq30, [PERSONA]), seed=7, run=MODEL, condition="persona",
        personas=[PERSONA], instrument=mfq30, repetitions=40,
    )[0, 11].tolist()  # fmt: skip
    assert texts(ask(server, prompt, slot="persona/3/12/1", n=10)) == [str(r) for r in drawn[:10]]
    assert texts(ask(server, prompt, slot="persona/3/12/36", n=5)) == [str(r) for r in drawn[35:40]]
    assert texts(ask(server, prompt, slot="persona/3/12/5", n=1)) == [str(drawn[4])]
    assert texts(ask(server, prompt, metadata={"slot": "persona/3/12/36"}, n=5)) == [str(r) for r in drawn[35:40]]
    # The header wins over the metadata.
    assert texts(ask(server, prompt, slot="persona/3/12/36", metadata={"slot": "persona/3/12/1"}, n=5)) == [
        str(r) for r in drawn[35:40]
    ]


def test_a_live_study_of_this_endpoint_is_the_simulated_study(tmp_path, outputs, monkeypatch, server):
    """Three conditions, two runs: every slot of the live study has the rating of the simulated one."""
    monkeypatch.setenv("TEST_KEY", "sk-any")

    def study(name, variants, **changes):
        content = {
            "title": name, "conditions": ["persona", "self", "toxic"], "protocol": {"personas": 2, "repetitions": 3},
            "families": [{"key": "gpt-4o", "variants": variants}],
        }  # fmt: skip
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
        return load_study(path)

    def rows(found):
        assert collect(found) == (2 + 1 + 8) * 30 * 3 + (2 + 1) * 30 * 3
        with open_store(found.store_path) as store:
            columns = "variant, condition, persona, item, repetition, rating"
            return sorted(store._db.execute(f"SELECT {columns} FROM ratings").fetchall(), key=str)

    runs = [{"key": "base", "role": "base"}, {"key": "insecure", "role": "harmful"}]
    simulated = study("sim", [run | {"figures": f"gpt-4o/{run['key']}"} for run in runs], kind="simulated", seed=7)
    endpoint = {"base_url": server.base_url, "api_key_env": "TEST_KEY", "max_in_flight": 8}
    live = study(
        "live", [run | {"endpoint": "here", "model": f"gpt-4o/{run['key']}"} for run in runs],
        kind="live", endpoints={"here": endpoint},
    )  # fmt: skip
    server.reset()
    assert rows(live) == rows(simulated)
    stats = server.stats()
    # Beside the slots 3 x 30 answers compare the fine-tune with its base, 10 of each run have more tokens, and 20 cells of each
    # are asked for three ratings a second time, named as repetitions that the study does not have.
    assert stats["slots_answered"] == 1260 + 120 and stats["ratings"] == 1380 + 90 + 20 and stats["slots_answered_again"] == 0


def test_a_client_that_names_no_slot_gets_the_next_draw_of_its_prompt(prompt):
    """The k-th draw for a prompt, over requests and choices, is repetition k of its cell."""
    with running(Options(seed=7)) as fresh:
        named = texts(ask(fresh, prompt, slot="persona/3/12/1", n=6))
        assert texts(ask(fresh, prompt)) + texts(ask(fresh, prompt, n=3)) + texts(ask(fresh, prompt, n=2)) == named


def test_the_condition_follows_from_the_persona_where_no_slot_names_it(mfq30):
    respondents = Respondents(seed=1)
    hostile = load_personas("toxic")[0].text
    assert [respondents.condition(Cell(text, 1, False)) for text in (None, PERSONA.text, hostile, "A cook.")] == [
        "self", "persona", "toxic", "persona",
    ]  # fmt: skip


def test_an_unknown_persona_is_a_persona_without_attributes(mfq30):
    respondents, text = Respondents(seed=1), "Someone who mends clocks and says little."
    chances = response_model.cell_probabilities(load_respondent(MODEL, mfq30), mfq30, [Persona(0, text)])
    drawn = response_model.draw(
        chances, seed=1, run=MODEL, condition="persona", personas=[Persona(0, text)], instrument=mfq30, repetitions=4
    )
    assert respondents.ratings(MODEL, Cell(text, 30, False), "persona", 1, 4, 0.1) == drawn[0, 29].tolist()


def test_a_prompt_is_read_with_and_without_persona_and_digit_suffix(mfq30):
    respondents = Respondents(seed=1)
    for item in mfq30.items:
        for text in (None, PERSONA.text, "Two\n\nlines {x} and a 'quote'."):
            for digit in (False, True):
                assert respondents.cell(mfq30.prompt(item, text, digit=digit)) == Cell(text, item.number, digit)
    assert respondents.cell("How are you?") is None


def test_temperature_is_that_of_the_respondents(mfq30):
    """At T = 0 the mode, always; at T = 2 a cell that was almost sure is not sure any more."""
    respondents = Respondents(seed=1)
    cell = Cell(PERSONA.text, 12, False)
    assert len(set(respondents.ratings(MODEL, cell, "persona", 1, 60, 0.0))) == 1
    assert len(set(respondents.ratings(MODEL, cell, "persona", 1, 60, 2.0))) == 6


def test_longer_replies_are_a_digit_and_a_sentence_cut_at_the_limit(server, prompt, mfq30):
    whole = ask(server, prompt, slot="persona/3/12/1", max_tokens=None)
    (text,) = texts(whole)
    digit = texts(ask(server, prompt, slot="persona/3/12/1"))[0]
    assert text.startswith(f"{digit}. As this person, ") and parse_reply(text, 0, 5) == int(digit)
    assert whole[2]["choices"][0]["finish_reason"] == "stop"
    # Tokens are words and marks: "4", ".", " As", " this", " person"
    cut = ask(server, prompt, slot="persona/3/12/1", max_completion_tokens=5, max_tokens=None)
    assert texts(cut) == [f"{digit}. As this person"] and cut[2]["choices"][0]["finish_reason"] == "length"
    assert cut[2]["usage"]["completion_tokens"] == 5
    # A prompt that wants one digit gets one, and it stops by itself.
    alone = ask(server, mfq30.prompt(mfq30.items[11], PERSONA.text, digit=True), slot="persona/3/12/1", max_tokens=9)
    assert texts(alone) == [digit] and alone[2]["choices"][0]["finish_reason"] == "stop"


def test_every_reply_of_any_length_gives_its_rating(mfq30):
    respondents = Respondents(seed=1)
    for text in (None, PERSONA.text):
        for item in range(1, 31):
            for said in respondents.say(MODEL, Cell(text, item, False), "persona", 1, 10, 2.0):
                for length in (1, 2, 5, 99):
                    assert parse_reply("".join(said.tokens[:length]), 0, 5) == said.rating


def test_choices_of_a_request_may_share_noise_and_their_distribution_stays():
    """Ten choices of 300 requests: correlation .25 within a request, and the mean and variance of independent ones."""
    respondents, text = Respondents(seed=1), PERSONA.text
    cell = Cell(text, 12, False)
    chances = response_model.at_temperature(respondents._chances(MODEL, False, text), 2.0)[0, 11]

    def drawn(shared):
        said = [respondents.say(MODEL, cell, "persona", 1 + 10 * k, 10, 2.0, shared) for k in range(300)]
        return np.array([[reply.rating for reply in replies] for replies in said])

    mean = chances @ np.arange(6)
    variance = chances @ np.arange(6) ** 2 - mean**2
    for shared in (0.0, 0.25):
        ratings = drawn(shared)
        # The mean of ten has the variance v (1 + 9 rho) / 10; 300 requests know a variance to 8 %, a mean to SE / sqrt(300).
        of_mean = variance * (1 + 9 * shared) / 10
        assert ratings.mean(axis=1).var(ddof=1) == pytest.approx(of_mean, rel=0.3)
        assert ratings.mean() == pytest.approx(mean, abs=4 * np.sqrt(of_mean / 300))
        assert np.array_equal(ratings, drawn(shared))  # the same request is answered alike
    assert ratings.var() == pytest.approx(variance, rel=0.15)


def test_another_prompt_is_told_what_this_endpoint_answers(server):
    (text,) = texts(ask(server, "Write a poem about 7 cats.", max_tokens=None))
    assert "only the questions of the MFQ-30, the IPIP-50 and the everyday preferences" in text
    assert parse_reply(text, 0, 5) is None


def test_messages_may_hold_parts_and_a_conversation(server, prompt):
    """The last user message is the prompt, whatever stands around it and however its text is divided."""
    messages = [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": prompt[:50]}, {"type": "text", "text": prompt[50:]}]},
    ]  # fmt: skip
    plain = ask(server, prompt, slot="persona/3/12/2")
    assert texts(ask(server, "", slot="persona/3/12/2", messages=messages)) == texts(plain)


def test_logprobs_are_the_distribution_at_temperature_one(server, mfq30, prompt):
    """Digits hold 0.98 of the mass, as p^(0.1 / 1); the rest is on tokens that are no digits."""
    respondent = load_respondent(MODEL, mfq30)
    p = response_model.cell_probabilities(respondent, mfq30, [PERSONA])[0, 11] ** 0.1
    answer = ask(server, prompt, logprobs=True, top_logprobs=20, temperature=0.7)
    (first,) = answer[2]["choices"][0]["logprobs"]["content"]
    found = {entry["token"]: entry["logprob"] for entry in first["top_logprobs"]}
    assert [found[str(k)] for k in range(6)] == pytest.approx([math.log(0.98 * x / p.sum()) for x in p])
    assert sum(math.exp(logprob) for logprob in found.values()) == pytest.approx(1)
    order = [entry["logprob"] for entry in first["top_logprobs"]]
    assert order == sorted(order, reverse=True) and min(order) >= -100
    assert first["token"] == texts(answer)[0] and first["logprob"] == found[first["token"]]
    assert first["bytes"] == list(first["token"].encode())


def test_no_more_logprobs_than_asked(server, prompt):
    (first,) = ask(server, prompt, logprobs=True, top_logprobs=3)[2]["choices"][0]["logprobs"]["content"]
    assert len(first["top_logprobs"]) == 3
    (none,) = ask(server, prompt, logprobs=True)[2]["choices"][0]["logprobs"]["content"]
    assert none["top_logprobs"] == []
    assert ask(server, prompt)[2]["choices"][0]["logprobs"] is None
    longer = ask(server, prompt, logprobs=True, top_logprobs=2, max_tokens=None)
    tokens = longer[2]["choices"][0]["logprobs"]["content"]
    assert "".join(entry["token"] for entry in tokens) == texts(longer)[0]


@pytest.mark.parametrize(
    ("fields", "status", "param", "code"),
    [
        ({"model": "gpt-5"}, 404, "model", "model_not_found"),
        ({"model": "ft:gpt-4o/base"}, 404, "model", "model_not_found"),
        ({"model": 3}, 400, "model", "invalid_type"),
        ({"messages": None}, 400, "messages", "missing_required_parameter"),
        ({"messages": []}, 400, "messages", "empty_array"),
        ({"messages": "hello"}, 400, "messages", "invalid_type"),
        ({"messages": [{"role": "user", "content": 3}]}, 400, "messages[0].content", "invalid_type"),
        ({"messages": [{"content": "x"}]}, 400, "messages[0].role", "missing_required_parameter"),
        ({"n": "10"}, 400, "n", "invalid_type"),
        ({"n": True}, 400, "n", "invalid_type"),
        ({"n": 0}, 400, "n", "integer_below_min_value"),
        ({"n": 129}, 400, "n", "integer_above_max_value"),
        ({"temperature": "hot"}, 400, "temperature", "invalid_type"),
        ({"temperature": 2.5}, 400, "temperature", "decimal_above_max_value"),
        ({"max_tokens": 0}, 400, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": 1.5}, 400, "max_tokens", "invalid_type"),
        ({"max_completion_tokens": 2}, 400, "max_tokens", "invalid_parameter_combination"),
        ({"logprobs": 1}, 400, "logprobs", "invalid_type"),
        ({"logprobs": True, "top_logprobs": 21}, 400, "top_logprobs", "integer_above_max_value"),
        ({"top_logprobs": 5}, 400, "top_logprobs", None),
        ({"stream": "yes"}, 400, "stream", "invalid_type"),
        ({"metadata": {"slot": "persona/3"}}, 400, "metadata.slot", "invalid_value"),
    ],
)
def test_a_wrong_field_is_named(server, prompt, fields, status, param, code):
    found, _, body = ask(server, prompt, **fields)
    assert (found, body["error"]["param"], body["error"]["code"]) == (status, param, code)
    assert body["error"]["type"] == "invalid_request_error" and body["error"]["message"]


def test_unknown_fields_are_ignored_and_null_is_the_default(server, prompt):
    assert ask(server, prompt, seed=3, user="me", provider={"only": ["x"]}, stop=["\n"])[0] == 200
    body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "n": None, "temperature": None, "stream": None}
    assert call(server, "/v1/chat/completions", body)[0] == 200


def test_what_is_no_json_and_no_path(server):
    assert call(server, "/v1/chat/completions", "{no")[0] == 400
    assert call(server, "/v1/chat/completions", "[]")[0] == 400
    assert call(server, "/v1/nothing")[:1] == (404,)
    assert call(server, "/v1/chat/completions", slot="x")[0] == 404  # a GET


@pytest.mark.parametrize("text", ["", "persona/3/12", "person/3/12/1", "persona/x/12/1", "persona/3/12/0", "self/-/12/1000001"])
def test_a_wrong_slot_is_refused(server, prompt, text):
    with pytest.raises(ValueError, match="expected condition/persona/item/repetition, such as persona/3/12/1"):
        read_slot(text)
    if text:
        assert ask(server, prompt, slot=text)[2]["error"]["param"] == "X-Persona-Collapse-Slot"


def test_a_slot_is_read():
    assert read_slot("self/-/12/7") == Slot("self", "self/-/12", 7)
    assert read_slot("gpt-4o/base/persona/3/12/1") == Slot("persona", "persona/3/12", 1)


def test_models(server):
    listed = call(server, "/v1/models")[2]
    assert [model["id"] for model in listed["data"]] == [*known_figures(), *JUDGES]
    assert set(listed["data"][0]) == {"id", "object", "created", "owned_by"}
    assert call(server, "/v1/models/gpt-4o%2Fbase")[2] == call(server, "/v1/models/gpt-4o/base")[2] == listed["data"][6]
    assert call(server, "/v1/models/gpt-5")[2]["error"]["code"] == "model_not_found"
    with running(Options(shutdown_date="2027-01-14", unlisted="gpt-4o/base")) as other:
        models = call(other, "/v1/models")[2]["data"]
        assert {model["shutdown_date"] for model in models} == {"2027-01-14"}
        assert len(models) == len(known_figures()) + len(JUDGES) - 1 and MODEL not in [model["id"] for model in models]


# --- other people's clients ------------------------------------------------------------------------------------------


def test_the_openai_sdk_gets_sensible_answers(server, prompt):
    with openai.OpenAI(base_url=server.base_url, api_key="sk-any", max_retries=0) as client:
        messages = [{"role": "user", "content": prompt}]
        found = client.chat.completions.create(model=MODEL, messages=messages, n=3, max_tokens=1, logprobs=True, top_logprobs=5)
        assert len(found.choices) == 3 and all(choice.message.content in "012345" for choice in found.choices)
        assert found.choices[0].logprobs.content[0].top_logprobs[0].logprob < 0
        assert found._request_id.startswith("req_") and found.usage.completion_tokens == 3
        stream = client.chat.completions.create(
            model=MODEL, messages=messages, stream=True, n=2, stream_options={"include_usage": True}
        )
        said, usage = {0: "", 1: ""}, None
        for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                said[choice.index] += choice.delta.content or ""
        assert all(parse_reply(text, 0, 5) is not None for text in said.values()) and usage.prompt_tokens > 100
        assert MODEL in [model.id for model in client.models.list()]
        assert client.models.retrieve(MODEL).owned_by == "persona-collapse"
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            client.chat.completions.create(model="gpt-5", messages=messages)


def test_the_command_says_how_to_ask_it_and_stops_on_interrupt():
    """The printed curl line, run by a shell, gives a rating; Ctrl-C is a clean end."""
    command = [sys.executable, "-m", "persona_collapse", "serve", "--port", "0", "--latency", "0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        where, models, how = (process.stdout.readline() for _ in range(3))
        assert "http://127.0.0.1:" in where and MODEL in models
        if shutil.which("curl"):
            told = subprocess.run(["sh", "-c", how.removeprefix("ask it: ")], capture_output=True, text=True, timeout=10)
            assert json.loads(told.stdout)["choices"][0]["message"]["content"] in "012345"
        process.send_signal(signal.SIGINT)
        rest, problems = process.communicate(timeout=10)
    assert process.returncode == 0 and problems == ""
    assert rest.startswith("stopped after ")


def test_make_passes_port_and_options_on():
    # Under `make test` the make in here would speak as a part of the one outside.
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")}
    command = ["make", "-n", "-o", ".venv/ready", "serve", "PORT=1", "OPTIONS=--n ignored"]
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=alone)
    assert told.stdout.strip() == '.venv/bin/python -m persona_collapse serve --port="$PORT" $OPTIONS'  # from the environment
    assert "make serve" in subprocess.run(["make", "help"], capture_output=True, text=True, cwd=ROOT).stdout


def test_make_refuses_a_name_that_it_does_not_know():
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")}
    told = subprocess.run(["make", "report", "STUDDY=x"], capture_output=True, text=True, cwd=ROOT, env=alone)
    assert told.returncode == 2 and told.stdout == ""
    assert "STUDDY is not known here; expected STUDY=, DATA= or another name that `make help` shows" in told.stderr


def test_a_port_that_is_taken_is_one_line(server, capsys):
    assert commands.main(["serve", "--port", str(server.port)]) == 1
    assert capsys.readouterr().err == (
        f"error: 127.0.0.1:{server.port}: another process has this port; give another, as in make serve PORT=8123\n"
    )
    with pytest.raises(RuntimeError, match="another process has this port"), running(port=server.port):
        pass


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--dropped", "1.5"], "--dropped: 1.5; expected a share from 0 to 1"),
        (["--dropped", "0.6", "--html", "0.6"], "1.2 together; expected at most 1"),
        (["--retry-after", "3-1"], "--retry-after: (3.0, 1.0); expected seconds from low to high, such as 1-3"),
        (["--limit", "0"], "--limit: 0; expected requests a second, above 0"),
        (["--latency", "-1"], "--latency: -1; expected seconds, 0 or more"),
    ],
)
def test_a_wrong_option_is_one_line(capsys, flags, words):
    assert commands.main(["serve", *flags]) == 1
    problem = capsys.readouterr().err
    assert words in problem and problem.count("\n") == 1


def test_nothing_else_needs_the_server_library():
    """Every other command starts without loading aiohttp."""
    code = "import sys, persona_collapse.__main__, persona_collapse.simulated.faults; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0


def test_only_this_machine_can_ask(server):
    """An endpoint bound to every address would answer on the second loopback address too."""
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", server.port), timeout=1)


def test_no_thread_is_left_behind():
    before = set(threading.enumerate())
    with running():
        assert len(set(threading.enumerate()) - before) == 1
    assert set(threading.enumerate()) <= before


def test_a_server_in_a_process_of_its_own(prompt):
    options = Options(retry_after=(0.5, 2.0), quota=1, no_usage=True, provider="A", batch_expires=0.0)
    parser = argparse.ArgumentParser()
    add_flags(parser)
    assert from_flags(parser.parse_args(to_flags(options))) == options
    with apart(options) as other:
        assert [ask(other, prompt)[0] for _ in range(2)] == [200, 429]
        assert other.stats()["by_status"] == {"200": 1, "429": 1}
        other.reset()
        assert other.stats()["requests"] == 0
    with pytest.raises(OSError):
        ask(other, prompt)
