"""The simulated endpoint, over sockets: what goes wrong with it when asked to, and what it counts."""

import http.client
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import pytest

from persona_collapse.simulated.faults import Faults, Limiter, Options, retry_header
from persona_collapse.simulated.server import running
from persona_collapse.simulated.traffic_counts import Tally
from persona_collapse.study.rating_parser import parse_reply
from requests_to import MODEL, ask, call, texts


@pytest.fixture(scope="module")
def server():
    """An endpoint that does all it should."""
    with running() as found:
        yield found


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_latency_and_jitter_are_waited_out(prompt):
    with running(Options(latency=0.1, jitter=0.05)) as slow:
        began = time.monotonic()
        assert ask(slow, prompt)[0] == 200
        assert 0.1 <= time.monotonic() - began < 1


def test_rate_limited_says_when_to_come_back(prompt):
    with running(Options(rate_limited=1, retry_after=(1, 3))) as busy:
        found = [ask(busy, prompt) for _ in range(20)]
    assert {status for status, *_ in found} == {429}
    waits = [float(headers["Retry-After"]) for _, headers, _ in found]
    assert all(1 <= wait <= 3.001 for wait in waits) and len(set(waits)) > 10
    error = found[0][2]["error"]
    assert error["code"] == "rate_limit_exceeded" and f"Please try again in {waits[0]:.2f}"[:-1] in error["message"]


def test_forms_of_retry_after():
    """1.2 seconds from 100.5: as decimals, as whole seconds that are enough, as a date that is (01:42 past the epoch)."""
    assert retry_header(1.2, "decimal", 100.5) == ({"Retry-After": "1.200"}, 1.2)
    assert retry_header(1.2, "integer", 100.5) == ({"Retry-After": "2"}, 2.0)
    assert retry_header(1.2, "date", 100.5) == ({"Retry-After": "Thu, 01 Jan 1970 00:01:42 GMT"}, 1.5)
    assert retry_header(1.2, "none", 100.5) == ({}, 0.0)


def test_retry_after_as_a_date(prompt):
    with running(Options(rate_limited=1, retry_after=(5, 5), retry_form="date")) as busy:
        until = parsedate_to_datetime(ask(busy, prompt)[1]["Retry-After"]).timestamp()
    assert 4 < until - time.time() < 6.5


def test_server_errors(prompt):
    with running(Options(server_error=1)) as broken:
        status, _, body = ask(broken, prompt)
    assert (status, body["error"]["type"]) == (500, "server_error")


def test_a_dropped_connection_says_nothing(prompt, capfd):
    with running(Options(dropped=1)) as broken:
        with pytest.raises(http.client.RemoteDisconnected):
            ask(broken, prompt)
        assert broken.stats()["faults"] == {"dropped": 1}
    assert capfd.readouterr().err == ""


def test_malformed_answers_look_whole_and_are_not(prompt):
    with running(Options(malformed=1)) as broken:
        with pytest.raises(json.JSONDecodeError):
            ask(broken, prompt)
        assert broken.stats()["by_status"] == {"200": 1} and broken.stats()["slots_answered"] == 0


@pytest.mark.parametrize("status", [200, 502])
def test_a_page_in_place_of_an_answer(prompt, status):
    with running(Options(html=1, html_status=status)) as broken:
        found, headers, content = ask(broken, prompt)
    assert (found, headers.get_content_type()) == (status, "text/html") and content.startswith(b"<!DOCTYPE html>")


def test_an_answer_that_drips(prompt):
    with running(Options(drip=1, drip_seconds=0.2)) as slow:
        began = time.monotonic()
        assert ask(slow, prompt)[0] == 200
        assert 0.2 <= time.monotonic() - began < 2


def test_an_answer_that_never_comes(prompt):
    with running(Options(never=1)) as mute:
        with pytest.raises(TimeoutError):
            body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}]}
            call(mute, "/v1/chat/completions", body, timeout=0.2)
        began = time.monotonic()
    # Nor does it hold up the end.
    assert time.monotonic() - began < 2


def test_filtered_refused_and_talkative_choices(prompt):
    with running(Options(filtered=1)) as other:
        choice = ask(other, prompt)[2]["choices"][0]
        assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", "")
        assert other.stats()["ratings"] == 0 and other.stats()["faults"] == {"filtered": 1}
    with running(Options(refusal=1)) as other:
        message = ask(other, prompt)[2]["choices"][0]["message"]
        assert message["content"] is None and message["refusal"].startswith("I'm sorry")
    with running(Options(chatter=1)) as other:
        (text,) = texts(ask(other, prompt, max_tokens=None))
        assert text.startswith("Sure!") and text[-2] in "012345" and parse_reply(text, 0, 5) is None
        assert texts(ask(other, prompt)) == ["Sure"]


def test_a_share_of_choices(prompt):
    """400 choices at 0.3: 120 expected, SD 9.2."""
    with running(Options(filtered=0.3)) as other:
        found = [c["finish_reason"] for _ in range(4) for c in ask(other, prompt, n=100)[2]["choices"]]
    assert 85 < found.count("content_filter") < 155


def test_a_wrong_number_of_choices(prompt):
    with running(Options(wrong_count=1)) as other:
        counts = {len(ask(other, prompt, slot="persona/3/12/1", n=5)[2]["choices"]) for _ in range(20)}
        assert counts == {4, 6}
        # What was not asked for is no slot's answer.
        assert other.stats()["slots_answered"] == 5


def test_several_choices_ignored_or_rejected(prompt):
    with running(Options(n="ignored")) as other:
        assert len(ask(other, prompt, slot="persona/3/12/1", n=5)[2]["choices"]) == 1
        assert other.stats()["slots_answered"] == 1
    with running(Options(n="rejected")) as other:
        status, _, body = ask(other, prompt, n=5)
        assert (status, body["error"]["param"]) == (400, "n") and "only n = 1 is supported" in body["error"]["message"]
        assert ask(other, prompt, n=1)[0] == 200


def test_max_tokens_ignored_or_rejected(prompt):
    with running(Options(max_tokens="ignored")) as other:
        answer = ask(other, prompt)
        assert len(texts(answer)[0]) > 20 and answer[2]["choices"][0]["finish_reason"] == "stop"
    with running(Options(max_tokens="rejected")) as other:
        error = ask(other, prompt)[2]["error"]
        assert error["message"] == (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        assert (error["param"], error["code"]) == ("max_tokens", "unsupported_parameter")
        assert len(texts(ask(other, prompt, max_tokens=None, max_completion_tokens=1))[0]) == 1


def test_temperature_rejected_as_reasoning_models_do(prompt):
    with running(Options(temperature="rejected")) as other:
        status, _, body = ask(other, prompt, temperature=0.1)
        assert (status, body["error"]["param"], body["error"]["code"]) == (400, "temperature", "unsupported_value")
        assert ask(other, prompt, temperature=None)[0] == ask(other, prompt, temperature=1)[0] == 200


def test_logprobs_absent_placeholder_capped_or_rejected(prompt):
    def first(options):
        with running(options) as other:
            status, _, body = ask(other, prompt, logprobs=True, top_logprobs=20)
            return (status, body.get("error")) if status != 200 else body["choices"][0]["logprobs"]

    assert first(Options(logprobs="absent")) is None
    (token,) = first(Options(logprobs="placeholder"))["content"]
    assert token["logprob"] == 0 and [entry["logprob"] for entry in token["top_logprobs"]] == [0]
    assert len(first(Options(most_logprobs=5))["content"][0]["top_logprobs"]) == 5
    status, error = first(Options(logprobs="rejected"))
    assert (status, error["param"], error["code"]) == (400, "logprobs", "unsupported_parameter")
    assert first(Options(logprobs="forbidden"))[0] == 403


def test_probability_mass_off_the_digits(prompt):
    with running(Options(digit_mass=0.3)) as other:
        (token,) = ask(other, prompt, logprobs=True, top_logprobs=20)[2]["choices"][0]["logprobs"]["content"]
    mass = {entry["token"]: math.exp(entry["logprob"]) for entry in token["top_logprobs"]}
    assert sum(mass[digit] for digit in "012345") == pytest.approx(0.3)
    assert sum(mass.values()) == pytest.approx(1)


def test_no_usage_and_another_model_or_provider(prompt):
    with running(Options(no_usage=True, served_model="=,gpt-4o-mini", provider="A,B")) as other:
        found = [ask(other, prompt)[2] for _ in range(20)]
    assert all("usage" not in body for body in found)
    assert {body["model"] for body in found} == {MODEL, "gpt-4o-mini"}
    assert {body["provider"] for body in found} == {"A", "B"}


def test_a_key_of_its_own(server, prompt):
    assert ask(server, prompt, key="anything")[0] == 200
    with running(Options(key="sk-right")) as other:
        assert ask(other, prompt, key="sk-right")[0] == 200
        status, _, body = ask(other, prompt, key="sk-wrong")
        assert (status, body["error"]["code"]) == (401, "invalid_api_key") and "sk-wrong" in body["error"]["message"]
        assert call(other, "/v1/models", key="sk-wrong")[0] == 401
    assert "sk-right" not in repr(Options(key="sk-right"))


def test_quota_and_key_that_end(prompt):
    with running(Options(quota=2)) as other:
        found = [ask(other, prompt) for _ in range(4)]
        assert [status for status, *_ in found] == [200, 200, 429, 429]
        assert found[2][2]["error"]["code"] == found[2][2]["error"]["type"] == "insufficient_quota"
        assert found[2][1]["Retry-After"] is None
        time.sleep(0.03)
        ask(other, prompt)
        # The fourth request may have been under way when the third was refused; the fifth was not.
        assert other.stats()["after_permanent"] in (1, 2)
    with running(Options(key_until=1)) as other:
        assert [ask(other, prompt)[0] for _ in range(2)] == [200, 401]


def test_faults_are_the_same_for_the_same_seed_and_shares_hold():
    """2,000 draws: 600 +- 20 at 0.3, 100 +- 10 at 0.05; the second generator draws what the first drew."""
    options = Options(rate_limited=0.3, server_error=0.05, dropped=0.02, malformed=0.01, seed=3)
    one, two = Faults(options), Faults(options)
    found = [one.next() for _ in range(2000)]
    assert found == [two.next() for _ in range(2000)]
    names = [fate.fault for fate in found]
    assert 520 < names.count("rate_limited") < 680 and 60 < names.count("server_error") < 140
    assert names.count("dropped") and names.count("malformed") and not names.count("never")


def test_a_limiter_of_windows():
    """Two a second: a window begins with its first request, and refusals say when it ends."""
    limiter = Limiter(2, "window")
    assert [limiter.wait(t) for t in (10.0, 10.1, 10.25, 11.0, 11.5, 11.5)] == [None, None, pytest.approx(0.75), None, None, 0.5]
    # Half a request a second is one in two seconds.
    slow = Limiter(0.5, "window")
    assert [slow.wait(t) for t in (10.0, 11.5, 12.0)] == [None, 0.5, None]


def test_a_limiter_of_a_bucket():
    """Two a second, at most two at once: empty after two, one more every half second."""
    limiter = Limiter(2, "bucket")
    assert [limiter.wait(t) for t in (10.0, 10.0, 10.25, 10.5, 10.5, 20, 20, 20)] == [
        None, None, 0.25, None, 0.5, None, None, 0.5,
    ]  # fmt: skip


def test_the_limiter_lets_so_many_through_and_names_the_end_of_its_window(prompt):
    with running(Options(limit=5)) as other:
        found = [ask(other, prompt) for _ in range(8)]
        assert [status for status, *_ in found] == [200] * 5 + [429] * 3
        wait = float(found[-1][1]["Retry-After"])
        assert 0 < wait < 1
        time.sleep(wait)
        assert ask(other, prompt)[0] == 200
        assert other.stats()["faults"] == {"limited": 3}


# --- what it counts --------------------------------------------------------------------------------------------------


def test_requests_inside_an_announced_window():
    """Refused at 10 until 11: what comes within 20 ms was under way, what comes at 10.5 should not have."""
    tally = Tally()
    tally.refuse([], 10.0, 1.0, by_limiter=True)
    tally.refuse([], 10.3, 0.7, by_limiter=True)
    for arrival, inside in ((10.01, 0), (10.31, 1), (10.9, 2), (11.0, 2), (11.5, 2)):
        tally.arrive(arrival)
        assert tally.inside_window == inside
    # A stray refusal is no window.
    tally.refuse([], 20.0, 1.0, by_limiter=False)
    tally.arrive(20.5)
    assert tally.inside_window == 2


def test_a_slot_asked_before_its_own_retry_after():
    """Slot 1 is held until 11, slot 2 is not held at all."""
    tally = Tally()
    one, two = (MODEL, "persona/3/12", 1), (MODEL, "persona/3/12", 2)
    tally.refuse([one], 10.0, 1.0, by_limiter=False)
    tally.ask([two], 10.5, {}, None)
    assert tally.before_retry_after == 0
    tally.ask([one, two], 10.5, {}, None)
    assert tally.before_retry_after == 1
    tally.refuse([one], 20.0, 1.0, by_limiter=False)
    tally.ask([one], 21.0, {}, None)
    assert tally.before_retry_after == 1
    assert tally.figures()["slots_asked_again"] == 2


def test_stats_tell_what_was_asked_and_answered(prompt):
    """Slots 1 to 3 in one request, slot 3 again: three answered, one of them twice; the same over HTTP and in Python."""
    with running() as other:
        before = time.time()
        ask(other, prompt, slot="persona/3/12/1", n=3)
        ask(other, prompt, slot="persona/3/12/3")
        ask(other, prompt, model="gpt-5")
        stats = other.stats()
        assert call(other, "/stats")[2] == stats
        assert (stats["requests"], stats["by_status"], stats["ratings"]) == (3, {"200": 2, "404": 1}, 4)
        assert (stats["slots_answered"], stats["slots_answered_again"], stats["answers_too_many"]) == (3, 1, 1)
        assert before <= stats["first_arrival"] <= stats["last_arrival"] <= time.time()
        assert stats["ratings_per_second"] > 0 and stats["in_flight"] == 0
        assert [body["slot"] for body in other.seen()] == ["persona/3/12/1", "persona/3/12/3", None]
        assert other.seen()[0]["n"] == 3
        call(other, "/stats/reset", "", method="POST")
        assert (other.stats()["requests"], other.stats()["slots_answered"], other.seen()) == (0, 0, [])
    assert other.stats()["requests"] == 0


def test_two_clients_are_counted_together(prompt):
    with running(Options(latency=0.2)) as other:
        with ThreadPoolExecutor(2) as pool:
            slots = ["persona/3/12/1", "persona/3/12/2"]
            found = list(pool.map(lambda slot: ask(other, prompt, slot=slot), slots))
        stats = other.stats()
    assert [status for status, *_ in found] == [200, 200]
    assert (stats["max_in_flight"], stats["in_flight"], stats["requests"], stats["slots_answered"]) == (2, 0, 2, 2)


def test_an_answer_that_nobody_waits_for_was_answered_all_the_same(prompt):
    """A client that is gone has paid: its slot counts as answered and as undelivered."""
    with running(Options(latency=0.2)) as other:
        with pytest.raises(TimeoutError):
            body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}]}
            call(other, "/v1/chat/completions", body, slot="persona/3/12/1", timeout=0.05)
        time.sleep(0.3)
        stats = other.stats()
    assert (stats["slots_answered"], stats["undelivered"], stats["in_flight"]) == (1, 1, 0)
