"""What a reply is read as: every shape of body, ten thousand of them made up, and nothing ever made of them."""

import json
import math
import random
import string
import time
from collections import Counter
from email.utils import formatdate

import pytest

from live import KEY, live, rows, traffic
from loopback import answer, failure, serve
from persona_collapse.asking import backoff
from persona_collapse.asking.backoff import retry_after
from persona_collapse.asking.collect import collect
from persona_collapse.asking.dialect_openai import (
    Choice,
    Completion,
    ElicitationError,
    Failure,
    RefusedError,
    of_status,
    read,
    without_key,
)
from persona_collapse.asking.slots import answer_of
from persona_collapse.simulated.faults import Options
from persona_collapse.simulated.server import running
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study import first_token, rating_parser
from persona_collapse.study.rating_parser import REASONS
from persona_collapse.tables.quality import run_quality

BODY = {"model": "m", "messages": [], "temperature": 0.1, "max_tokens": 1, "n": 3}


def body_of(*texts, **fields):
    """A completion with these texts, in order of their index."""
    choices = [{"index": i, "message": {"content": text}, "finish_reason": "stop"} for i, text in enumerate(texts)]
    return {"id": "c-1", "model": "m-1", "choices": choices, "usage": {"prompt_tokens": 140, "completion_tokens": 3}} | fields


def parsed(content, headers=None):
    return read(content if isinstance(content, bytes) else json.dumps(content).encode(), headers or {}, BODY, 0.1)


# --- waits -----------------------------------------------------------------------------------------------------------

DAY = 86_400.0


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({}, None), ({"retry-after": "2"}, 2.0), ({"retry-after": "0.25"}, 0.25), ({"retry-after": " 3 "}, 3.0),
        ({"retry-after": "-5"}, 0.0), ({"retry-after": "nan"}, None), ({"retry-after": "inf"}, DAY),
        ({"retry-after": "1e300"}, DAY), ({"retry-after": "9" * 400}, DAY), ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None), ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, None), ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, DAY),
        ({"retry-after": "Wed, 21 Oct 99999 07:28:00 GMT"}, None),
        ({"retry-after-ms": "150", "retry-after": "2"}, 0.15), ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
    ],
)  # fmt: skip
def test_an_announced_wait_is_read_however_it_is_said(said, seconds):
    assert retry_after(said) == seconds


def test_an_announced_date_is_a_wait_until_then():
    assert retry_after({"retry-after": formatdate(time.time() + 90, usegmt=True)}) == pytest.approx(90, abs=1.5)


# --- what an error comes to ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (429, {"code": "rate_limit_exceeded"}, "limited"), (500, {}, "server"), (503, "overloaded", "busy"),
        (529, None, "server"), (408, {}, "server"), (409, {"code": 7, "message": {"a": []}}, "server"), (425, [], "server"),
    ],
)  # fmt: skip
def test_errors_that_pass(status, error, kind):
    assert of_status(status, error, {"retry-after": "4"}, BODY, 0.1) == Failure(kind, f"status {status}", 4.0)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, {}, "refused the key"), (403, {"message": "no"}, "refused the key"), (402, {}, "quota is used up"),
        (429, {"code": "insufficient_quota"}, "quota is used up"), (429, {"type": "insufficient_balance"}, "quota is used up"),
        (404, {}, "no such path or model"), (400, {"code": "model_not_found"}, r"no such model \(status 400\)"),
        (405, {}, "no chat completions there"), (301, None, "no chat completions there"),
    ],
)  # fmt: skip
def test_errors_that_stay(status, error, words):
    with pytest.raises(ElicitationError, match=words):
        of_status(status, error, {}, BODY, 0.1)


@pytest.mark.parametrize(
    ("error", "parameter"),
    [
        ({"param": "temperature", "message": "Unsupported value"}, "temperature"),
        ({"message": "temperature is deprecated for this model"}, "temperature"),
        ({"message": "'n' must be 1"}, "n"), ({"param": ["n"], "message": ""}, None), ({"param": "stop", "message": "no"}, None),
        ({"message": "Use 'max_completion_tokens' instead of 'max_tokens'"}, "max_tokens"), ("bad request", None),
    ],
)  # fmt: skip
def test_a_refused_parameter_is_named(error, parameter):
    with pytest.raises(RefusedError) as caught:
        of_status(400, error, {}, BODY, 0.1)
    assert caught.value.parameter == parameter
    assert caught.value.hint == ("max_completion_tokens" if parameter == "max_tokens" else None)


# --- what a body comes to --------------------------------------------------------------------------------------------


def test_choices_stand_in_the_order_of_their_index():
    body = body_of("0", "1", "2")
    body["choices"] = [body["choices"][k] for k in (2, 0, 1)]
    assert [choice.text for choice in parsed(body).choices] == ["0", "1", "2"]
    for place, index in zip(body["choices"], (None, "1", -3), strict=True):
        place["index"] = index  # of no use: as they come
    assert [choice.text for choice in parsed(body).choices] == ["2", "0", "1"]


def test_tokens_of_fewer_than_all_choices_are_not_counted():
    """A server that counts one choice alone: three texts of four, where nothing came of the last, are three tokens at least.

    What is not known counts as the most that was asked for.
    """
    for reported, counted in ((1, None), (3, 3), (8, 8), (None, None)):
        found = parsed(body_of("3", "4", "2", None, usage={"prompt_tokens": 140, "completion_tokens": reported}))
        assert (found.input_tokens, found.output_tokens) == (140, counted)


@pytest.mark.parametrize(
    "usage", [None, [], "140", {}, {"prompt_tokens": -1, "completion_tokens": "3"}, {"prompt_tokens": 1.5, "completion_tokens": True},
              {"prompt_tokens": 10**30, "completion_tokens": 10_000_001}],
)  # fmt: skip
def test_usage_that_is_none_counts_as_none(usage):
    found = parsed(body_of("3", usage=usage))
    assert (found.input_tokens, found.output_tokens) == (None, None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no JSON"), (b"{", "no JSON"), (b"\xff\xfe\x00", "no JSON"), (b" <html>", "an HTML page"),
        (b"[" * 200_000, "no JSON"), (b'{"a":' * 100_000, "no JSON"), (b"1" * 5000, "no JSON"),
        (b"null", "not a chat completion"), (b'{"choices": []}', "not a chat completion"),
        (b'{"choices": {}}', "not a chat completion"), (b'{"choices": [1]}', "not a chat completion"),
        (b'{"error": "overloaded"}', "not a chat completion"), (b"NaN", "not a chat completion"),
    ],
)  # fmt: skip
def test_what_is_no_completion_is_malformed_and_perhaps_paid(content, said):
    assert parsed(content) == Failure("malformed", f"the answer is {said}", paid=True)


@pytest.mark.parametrize(("code", "kind"), [(429, "limited"), ("429", "limited"), (502, "server"), ("bad", "server"), (True, "server"),
                                            (None, "server"), (10**9, "server")])  # fmt: skip
def test_a_gateways_error_with_status_200(code, kind):
    found = parsed({"error": {"code": code, "message": "no"}}, {"retry-after": "3"})
    assert (found.kind, found.wait) == (kind, 3.0)


def test_half_a_character_is_stored_as_its_code(tmp_path, monkeypatch, outputs):
    """JSON can spell half of a pair, which no file can hold; as text of the reply, model, id or token."""
    monkeypatch.setenv("TEST_KEY", KEY)
    with serve(lambda request: answer("3 \ud83d", model="m\udc00")) as (url, _):
        study = live(tmp_path, url)
        collect(study)
    assert set(rows(study, "rating, reply, served_model")) == {(3, "3 \\ud83d", "m\\udc00")}


def test_a_key_and_pieces_of_it_are_masked_and_nothing_else():
    key = "sk-0123456789-abcdef"
    found = Completion(
        (Choice(f"3 {key}{key[3:11]} sk-0123 4", alternatives=((key, -0.1), ("3", -2.0))),), 0.1, provider=key[-9:]
    )
    masked = without_key(found, key)
    assert masked.choices[0] == Choice("3 [key][key] sk-0123 4", alternatives=(("[key]", -0.1), ("3", -2.0)))
    assert (masked.provider, masked.served_model) == ("[key]", None)
    # A dummy key, as servers without one want it, is no secret.
    assert without_key(found, "EMPTY") == found


# --- made up ---------------------------------------------------------------------------------------------------------

_ODD = ("", " ", "3", "4.5", "10", "٣", "³", "３", "-1", "5\u0000", "\ud800", "\u202e3", "🙂", "0" * 500, "I would say 4", "3 or 4",
        "<b>2</b>", "6", "05", "5. Very", "1e0", "null", "\n\n2", "**3**", "NaN", "9" * 6000, "'; DROP TABLE slots; --")  # fmt: skip


def anything(draw, depth=0):
    """Any JSON value: odd texts, numbers of every size, lists and objects within one another."""
    kind = draw.randrange(9 if depth < 4 else 6)
    if kind == 0:
        return draw.choice((None, True, False))
    if kind == 1:
        return draw.choice((0, 1, 3, -1, 5, 6, 10**9, 10**30, -(10**30), 10**400, 2**63))
    if kind == 2:
        return draw.choice((0.5, -0.0, 1e308, math.nan, math.inf, -math.inf, -2.5))
    if kind in (3, 4):
        return draw.choice(_ODD)
    if kind == 5:
        return "".join(draw.choice(string.printable + "äß—３𝟛\ud801") for _ in range(draw.randrange(20)))
    if kind == 6:
        return [anything(draw, depth + 1) for _ in range(draw.randrange(4))]
    return {
        draw.choice(("token", "logprob", "content", "error", "index", "code", "x")): anything(draw, depth + 1) for _ in range(3)
    }


def tops(draw):
    if draw.random() < 0.4:  # a distribution, as it should be
        return [
            {"token": token, "logprob": math.log(p)}
            for token, p in zip(draw.sample(" I,As,0,1,2,3,4,5".split(","), 4), (0.5, 0.3, 0.1, 0.05), strict=True)
        ]
    odd = (-0.1, -1.0, -3, 0.0, "-2", None, math.nan, 10**400)
    return [{"token": draw.choice((*_ODD, "0", "1", "5", " 4")), "logprob": draw.choice(odd)} for _ in range(draw.randrange(8))]


def reply(draw):
    """The bytes of a reply: a completion with some of its parts replaced by anything, or none at all, or no JSON."""
    body = body_of(*(draw.choice(_ODD) for _ in range(draw.choice((0, 1, 1, 3, 3, 3, 7)))))
    for choice in body["choices"]:
        choice["logprobs"] = {"content": [{"top_logprobs": tops(draw)}]}
        for holder, name in ((choice, "finish_reason"), (choice, "index"), (choice["message"], "content"), (choice, "logprobs"),
                             (choice["message"], "refusal"), (choice, "message")):  # fmt: skip
            if draw.random() < 0.12:
                holder[name] = draw.choice((anything(draw), "content_filter", "length", "error"))
            elif draw.random() < 0.05:
                holder.pop(name, None)
    for name in ("id", "model", "choices", "usage", "system_fingerprint", "provider", "error"):
        if draw.random() < 0.06:
            body[name] = draw.choice((anything(draw), {"code": draw.choice((401, "404", 429, 400, 503, "x"))}))
    content = json.dumps(body, ensure_ascii=draw.random() < 0.7).encode("utf-8", "surrogatepass")
    if draw.random() < 0.1:
        place = draw.randrange(len(content))
        content = content[:place] + draw.choice((b"", bytes([draw.randrange(256)]) + content[place:], b"[" * 100_000))
    return content


@pytest.mark.parametrize("method", ["samples", "logprobs"])
def test_five_thousand_replies_that_nobody_would_send(tmp_path, method):
    """Never an exception, no rating outside the scale, none where the text does not begin with that digit."""
    study, draw, kinds = live(tmp_path, "http://127.0.0.1:9/v1", protocol={"method": method}), random.Random(11), Counter()
    for _ in range(5000):
        try:
            found = read(reply(draw), {}, BODY, 0.1)
        except ElicitationError:
            kinds["stops"] += 1  # an error object whose code says so: 401, 404
            continue
        if isinstance(found, Failure):
            stored = [answer_of(study, 1, 1, found, "2026-01-01")]
            assert stored[0].reason == "transport"
        else:
            stored = [answer_of(study, 1, k, choice, "2026-01-01", found) for k, choice in enumerate(found.choices)]
        for answered in stored:
            assert (answered.rating is None) != (answered.reason is None)
            kinds[answered.reason or "rating"] += 1
            assert answered.reason is None or answered.reason in REASONS
            for value in answered:
                assert value is None or isinstance(value, (int, float, str))
                if isinstance(value, str):
                    value.encode()  # as a file holds it
                elif isinstance(value, int):
                    assert -(2**63) <= value < 2**63
            if answered.rating is not None:
                assert answered.rating in range(6)
                if method == "samples":
                    assert rating_parser.plain(answered.reply).lstrip(" \n*").startswith(str(answered.rating))
                else:
                    assert any(token.strip() == str(answered.rating) for token, _ in json.loads(answered.logprobs))
    # All of these do occur, so that the assertions above are about something.
    expected = {"rating", "transport", "unparseable", "refusal", "filtered", "stops"}
    assert set(kinds) == expected | {"truncated" if method == "samples" else "low_mass"} and min(kinds.values()) > 50


def test_a_whole_study_of_such_replies(tmp_path, monkeypatch, outputs):
    """Over sockets: it ends, every slot is accounted for once, and the counts by reason add up to the slots."""
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setattr(backoff, "FIRST_WAIT", 0.005)
    draw = random.Random(12)

    def respond(request):
        content = reply(draw)
        while (
            request.number <= 4 or b'"error"' in content
        ):  # errors stop a study, rightly; the first requests learn what it takes
            if request.number <= 4:
                return answer("3", n=request.get("n", 1))
            content = reply(draw)
        return 200, content

    with serve(respond) as (url, requests):
        study = live(tmp_path, url, protocol={"repetitions": 4}, endpoint={"max_in_flight": 4})
        collect(study)
        asked = len(requests)
    assert rows(study, "count(*), count(DISTINCT question || '/' || repetition)", "slots") == [(360, 360)]
    with open_store(study.store_path) as store:
        quality = run_quality(read_ratings(study, store), study.runs[0])
    reasons = quality.loc[:, "transport":"absent"].sum(axis=1)
    assert (quality["valid"] + reasons == quality["slots"]).all() and quality["slots"].sum() == 360
    assert quality["valid"].between(1, quality["slots"] - 1).all()
    assert sum(traffic(study).values()) == asked
    for rating, text in rows(study, "rating, reply", "ratings WHERE rating IS NOT NULL"):
        assert rating in range(6) and rating_parser.plain(text).lstrip(" \n*").startswith(str(rating))


def test_a_study_of_faulty_choices_adds_up(tmp_path, monkeypatch, outputs):
    """Filtered, refused and talkative choices: each slot has its reason, as many as the endpoint says it made."""
    monkeypatch.setenv("TEST_KEY", KEY)
    with running(Options(filtered=0.1, refusal=0.1, chatter=0.2)) as server:
        study = live(tmp_path, server.base_url, protocol={"repetitions": 5})
        collect(study)
        faults = server.stats()["faults"]
    found = Counter(reason for _, reason in rows(study))
    assert found.pop(None) == 450 - sum(faults.values())
    assert found == {"filtered": faults["filtered"], "refusal": faults["refusal"], "unparseable": faults["chatter"]}


def test_an_account_that_runs_out_says_so_with_any_wording():
    for error in ({"code": "insufficient_quota"}, {"type": "insufficient_quota"}, {"code": "billing_hard_limit_reached"}):
        with pytest.raises(ElicitationError, match="top it up and run the same command again"):
            of_status(*failure(429)[:1], error, {}, BODY, 0.1)


# --- what servers add ------------------------------------------------------------------------------------------------


def logprobs_of(pairs):
    entries = [{"token": token, "logprob": math.log(p)} for token, p in pairs]
    choice = {
        "index": 0,
        "message": {"content": pairs[0][0]},
        "finish_reason": "length",
        "logprobs": {"content": [{"top_logprobs": entries}]},
    }
    return parsed({"choices": [choice]}).choices[0].alternatives


def test_the_sampled_token_that_stands_twice_counts_once():
    """2 has .20, not .40, so that 3 with .30 is the answer; the mean of what is on the scale is 2.97 / .79."""
    found = logprobs_of([("2", 0.20), ("3", 0.30), ("4", 0.28), ("2", 0.20), ("5", 0.01), ("The", 0.01)])
    assert [token for token, _ in found] == ["3", "4", "2", "5", "The"]
    reading = first_token.read(found, range(6))
    assert (reading.rating, round(reading.mass, 2)) == (3, 0.79)
    # two spellings of a token are two tokens, and both count
    assert first_token.read(logprobs_of([("2", 0.3), (" 2", 0.3), ("3", 0.4)]), range(6)).rating == 2


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "4"}], "4"),
        ([{"type": "thinking", "thinking": "2?"}, {"type": "text", "text": "4"}], "4"),
        ([{"type": "output_text", "text": "4"}, {"type": "text", "text": "."}], "4."),
        ([{"type": "thinking", "thinking": "2?"}], None),
        ([], None),
        ([{"type": "text"}], ""),
        ("4", "4"),
    ],
)
def test_a_message_in_parts_is_the_text_of_its_answer(content, text):
    assert parsed(body_of(content)).choices[0].text == text
