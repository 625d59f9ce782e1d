"""Asking: simulated respondents and a real endpoint on loopback, through one planner, parser and store."""

import signal
import threading

import pytest
import yaml

from live import live_study
from loopback import answer, failure, serve
from persona_collapse.asking import backoff
from persona_collapse.asking.collect import collect
from persona_collapse.asking.dialect_openai import ElicitationError
from persona_collapse.sections.record import all_tables
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables

KEY = "sk-sentinel-0123456789abcdef"
#: (2 personas + self) x 30 items x 1 repetition
SLOTS = 90


@pytest.fixture(autouse=True)
def quick(monkeypatch, outputs):
    """Hardly any waiting between attempts, a key in the environment."""
    monkeypatch.setattr(backoff, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("TEST_KEY", KEY)


def rows(study, columns="rating, reason, reply"):
    with open_store(study.store_path) as store:
        return store._db.execute(f"SELECT {columns} FROM ratings").fetchall()


def test_every_slot_is_asked_once_as_the_protocol_says(tmp_path):
    with serve(lambda request: answer("3")) as (url, requests):
        study = live_study(tmp_path, url)
        assert collect(study) == SLOTS
    assert len(requests) == SLOTS
    asked = {tuple(sorted((k, str(v)) for k, v in request.items() if k != "messages")) for request in requests}
    assert asked == {
        (("max_tokens", "1"), ("min_p", "0"), ("model", "m-1"), ("repetition_penalty", "1"), ("temperature", "0.1"),
         ("top_k", "-1"), ("top_p", "1.0"))
    }  # fmt: skip
    prompts = [request["messages"] for request in requests]
    assert all(len(messages) == 1 and messages[0]["role"] == "user" for messages in prompts)
    expected = {study.instrument.prompt(i, p) for i in study.instrument.items for p in (*(x.text for x in study.personas), None)}
    assert {messages[0]["content"] for messages in prompts} == expected
    assert all(request.key == f"Bearer {KEY}" for request in requests)


def test_a_slot_keeps_where_its_rating_came_from(tmp_path):
    with serve(lambda request: answer("3", model="m-1-2026")) as (url, _):
        study = live_study(tmp_path, url)
        collect(study)
    found = rows(study, "rating, reply, finish_reason, served_model, fingerprint, request_id, attempts, input_tokens, time")
    assert {row[:5] for row in found} == {(3, "3", "stop", "m-1-2026", "fp_1")}
    assert len({row[5] for row in found}) == SLOTS  # a request id each
    assert all(row[6:8] == (1, 140) and row[8].startswith("20") for row in found)


def test_a_second_run_asks_nothing(tmp_path):
    with serve(lambda request: answer("3")) as (url, requests):
        study = live_study(tmp_path, url)
        collect(study)
        asked = len(requests)
        assert collect(study) == 0
        assert len(requests) == asked


def test_resume_asks_only_what_is_missing(tmp_path):
    """The 50th request ends the run; the next run asks for the rest, and no slot twice."""
    with serve(lambda request: failure(401) if request.number == 50 else answer("3")) as (url, requests):
        study = live_study(tmp_path, url)
        with pytest.raises(ElicitationError):
            collect(study)
        kept = len(rows(study))
        assert 0 < kept <= len(requests) - 1
        assert collect(study) == SLOTS - kept
    assert len(rows(study)) == SLOTS


def test_an_answer_is_kept_whatever_it_says(tmp_path):
    replies = {1: answer("I cannot"), 2: answer("", finish_reason="length"), 3: answer(None, finish_reason="content_filter"),
               4: answer(None, refusal="no"), 5: answer("9")}  # fmt: skip
    with serve(lambda request: replies.get(request.number, answer("5. Very"))) as (url, requests):
        study = live_study(tmp_path, url)
        collect(study)
        collect(study)
    assert len(requests) == SLOTS
    reasons = sorted(reason for _, reason, _ in rows(study) if reason)
    assert reasons == ["filtered", "refusal", "truncated", "unparseable", "unparseable"]
    assert sum(rating == 5 for rating, *_ in rows(study)) == SLOTS - 5


def test_transport_problems_are_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(backoff, "ATTEMPTS", 50)

    def respond(request):
        return (
            failure(500)
            if request.number % 3 == 0
            else failure(429, headers={"Retry-After": "0"})
            if request.number % 7 == 0
            else answer("2")
        )

    with serve(respond) as (url, _):
        study = live_study(tmp_path, url)
        collect(study)
    assert all(row == (2, None, "2") for row in rows(study))
    assert max(row[0] for row in rows(study, "attempts")) > 1


def test_a_slot_without_any_answer_is_asked_again_next_time(tmp_path, monkeypatch):
    monkeypatch.setattr(backoff, "ATTEMPTS", 1)
    broken = {5, 6}
    with serve(lambda request: failure(500) if request.number in broken else answer("1")) as (url, requests):
        study = live_study(tmp_path, url)
        collect(study)
        assert sum(reason == "transport" for _, reason, _ in rows(study)) == 2
        assert collect(study) == 2
    assert len(requests) == SLOTS + 2
    assert all(reason is None for _, reason, _ in rows(study))


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (failure(401, message=f"Incorrect API key provided: {KEY}"), "refused the key (status 401); check the variable"),
        (failure(404, "model_not_found"), "knows no such model (status 404); check model, base_url/models lists them"),
        (failure(429, "insufficient_quota"), "quota is used up; top it up and run the same command again"),
        (
            failure(400, "unsupported_parameter"),
            "m-1: the endpoint refused the request (status 400): 'no'; correct what it names",
        ),
    ],
)
def test_what_repetition_cannot_mend_stops_at_once(tmp_path, reply, words):
    with serve(lambda request: reply) as (url, requests):
        study = live_study(tmp_path, url)
        with pytest.raises(ElicitationError) as caught:
            collect(study)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)
    assert len(requests) <= 8  # what was in flight, twice over


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"{", b"[]", b'{"choices": []}'])
def test_an_endpoint_that_is_none_is_given_up_with_a_reason(tmp_path, monkeypatch, body):
    monkeypatch.setattr(backoff, "ATTEMPTS", 1)
    with serve(lambda request: (200, body)) as (url, requests):
        study = live_study(tmp_path, url)
        with pytest.raises(ElicitationError, match=r"m-1: the first request got no answer \(the answer is .*\); check base_url"):
            collect(study)
    assert len(requests) == 2
    assert rows(study) == []


def test_the_key_is_nowhere_in_the_outputs(tmp_path, outputs):
    with serve(lambda request: failure(401, message=f"Bad {KEY}") if request.number > 20 else answer("4")) as (url, _):
        study = live_study(tmp_path, url)
        with pytest.raises(ElicitationError):
            collect(study)
    for path in outputs.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()


def test_budget_stops_and_says_so(tmp_path):
    # 140 tokens at $100,000 a million = $14 a request; $100 are used up after 8 requests and what was in flight.
    price = {"input": 100_000, "output": 0}
    with serve(lambda request: answer("4")) as (url, requests):
        here = {"base_url": url, "api_key_env": "TEST_KEY", "max_in_flight": 4, "price_per_million": price}
        study = live_study(tmp_path, url, budget_usd=100, endpoints={"here": here})
        with pytest.raises(ElicitationError, match="budget_usd of 100 is used up"):
            collect(study)
        assert len(requests) <= 8 + 4
        # The budget is the study's, not the session's.
        asked = len(requests)
        with pytest.raises(ElicitationError, match="budget_usd"):
            collect(study)
        assert len(requests) <= asked + 4


def test_another_temperature_asks_anew_and_keeps_the_old_ratings(tmp_path):
    with serve(lambda request: answer(str(int(request["temperature"])))) as (url, requests):
        first = live_study(tmp_path, url)
        collect(first)
        second = live_study(tmp_path, url, protocol={"repetitions": 1, "personas": 2, "temperature": 1.0})
        assert collect(second) == SLOTS
        assert {rating for rating, *_ in rows(second)} == {1}
        assert collect(first) == 0
        assert {rating for rating, *_ in rows(first)} == {0}
    assert len(requests) == 2 * SLOTS


def test_an_interrupt_keeps_what_was_answered(tmp_path, monkeypatch):
    """A Ctrl-C after thirty answers: they are in the store, and the next call asks the rest."""
    from persona_collapse.store.store import Store

    written = []
    add = Store.add

    def interrupted(self, answers, **also):
        answers = list(answers)
        add(self, answers, **also)
        written.extend(answers)
        if len(written) >= 30 and not getattr(interrupted, "done", False):
            interrupted.done = True
            signal.raise_signal(signal.SIGINT)  # reaches the main thread, as a person's does

    monkeypatch.setattr(Store, "add", interrupted)
    with serve(lambda request: answer("3")) as (url, requests):
        study = live_study(tmp_path, url)
        with pytest.raises(KeyboardInterrupt) as caught:
            collect(study)
        kept = len(rows(study))
        assert kept >= 30
        assert str(caught.value) == f"{kept} of {SLOTS} answers are stored; the same command goes on"
        assert len(requests) - kept <= 4
        assert collect(study) == SLOTS - kept
    assert threading.active_count() < 10


def test_an_unset_key_is_named_before_anything_is_asked(tmp_path, monkeypatch):
    monkeypatch.delenv("TEST_KEY")
    with serve(lambda request: answer("3")) as (url, requests):
        study = live_study(tmp_path, url)
        with pytest.raises(ValueError, match=r"live\.yaml, endpoints\.here: TEST_KEY is not set; export it"):
            collect(study)
    assert requests == []


# --- several choices a request ---------------------------------------------------------------------------------------

FIVE = {"repetitions": 5, "personas": 2}
CELLS = 90


def test_five_repetitions_are_one_request_where_the_endpoint_gives_choices(tmp_path):
    with serve(lambda request: answer("3", n=request.get("n", 1))) as (url, requests):
        study = live_study(tmp_path, url, protocol=FIVE)
        assert collect(study) == 5 * CELLS
    assert len(requests) == CELLS and {request["n"] for request in requests} == {5}
    # Choices of a request share its id, and its tokens are counted once: 90 x (140 + 5).
    assert {n for (n,) in rows(study, "count(*) OVER (PARTITION BY request_id)")} == {5}
    assert sum(sum(tokens) for tokens in rows(study, "input_tokens, output_tokens")) == CELLS * 145
    assert {request.slot for request in requests} == {
        f"{who}/{item}/1" for who in ("persona/0", "persona/1", "self/-") for item in range(1, 31)
    }


def test_an_endpoint_that_ignores_n_is_asked_one_by_one_and_loses_nothing(tmp_path):
    with serve(lambda request: answer("3")) as (url, requests):
        study = live_study(tmp_path, url, protocol=FIVE)
        collect(study)
        assert len(requests) == 5 * CELLS
        # It is asked once for choices, and what came back counts.
        assert [request.number for request in requests if "n" in request] == [1]
        collect(live_study(tmp_path, url, protocol={"repetitions": 6, "personas": 2}))
        assert len(requests) == 6 * CELLS
        assert not [request for request in requests[1:] if "n" in request]
    assert len(set(request.slot for request in requests)) == 6 * CELLS


def test_an_endpoint_that_refuses_n_is_asked_one_by_one(tmp_path):
    with serve(lambda request: failure(400, "unsupported_parameter") if "n" in request else answer("3")) as (url, requests):
        study = live_study(tmp_path, url, protocol=FIVE)
        collect(study)
    # One refusal of parameters that only servers of open weights know, one of n.
    assert len(requests) == 5 * CELLS + 2
    assert len(rows(study)) == 5 * CELLS


def test_fewer_choices_than_asked_are_topped_up(tmp_path):
    """Choices are counted, not believed: an endpoint that gives two at most still fills every slot, once."""
    with serve(lambda request: answer("3", n=min(2, request.get("n", 1)))) as (url, requests):
        study = live_study(tmp_path, url, protocol=FIVE)
        collect(study)
    # The first cell: 5 asked, 2 came; then blocks of two. 2 + 2 + 1 each.
    assert len(requests) == 3 * CELLS
    assert len(rows(study)) == 5 * CELLS


def test_more_choices_than_asked_are_not_taken(tmp_path):
    with serve(lambda request: answer("3", n=9)) as (url, _):
        study = live_study(tmp_path, url, protocol=FIVE)
        collect(study)
    assert len(rows(study)) == 5 * CELLS


def test_resuming_within_a_cell_asks_for_consecutive_repetitions(tmp_path):
    with serve(lambda request: answer("3", n=request.get("n", 1))) as (url, requests):
        study = live_study(tmp_path, url, protocol=FIVE)
        collect(study)
        with open_store(study.store_path, write=True) as store, store.transaction():
            store._db.execute("DELETE FROM slots WHERE question = 1 AND repetition IN (1, 2, 4)")
        assert collect(study) == 3
    again = [(request.slot.rsplit("/", 1)[1], request.get("n", 1)) for request in requests[CELLS:]]
    assert sorted(again) == [("1", 2), ("4", 1)]


# --- one process at a time -------------------------------------------------------------------------------------------


def test_a_second_process_is_refused_and_named(tmp_path):
    import fcntl

    with serve(lambda request: answer("3")) as (url, requests):
        study = live_study(tmp_path, url)
        study.outputs.mkdir(parents=True)
        with (study.outputs / ".lock").open("w") as held:
            held.write("4711\n")
            held.flush()
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(ValueError, match=r"live: process 4711 is asking this study already; wait for it, or stop it"):
                collect(study)
        assert requests == []
        # The lock of a process that is gone is no lock.
        assert collect(study) == SLOTS


def test_a_finished_study_needs_no_key(tmp_path, monkeypatch):
    with serve(lambda request: answer("3")) as (url, _):
        study = live_study(tmp_path, url)
        collect(study)
        monkeypatch.delenv("TEST_KEY")
        assert collect(study) == 0


# --- simulated -------------------------------------------------------------------------------------------------------


def simulated_study(tmp_path, name="sim", **changes):
    content = {
        "title": "Simulated",
        "kind": "simulated",
        "protocol": {"repetitions": 3, "personas": 4},
        "conditions": ["persona", "self", "toxic"],
        "seed": 7,
        "families": [
            {
                "key": "f",
                "variants": [
                    {"key": "base", "role": "base", "figures": "gpt-4o/base"},
                    {"key": "bad", "role": "harmful", "figures": "gpt-4o/insecure"},
                ],
            }
        ],
    }
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
    return load_study(path)


def test_simulated_slots_go_the_same_road_and_carry_no_time(tmp_path):
    study = simulated_study(tmp_path)
    # base: (4 personas + self + 8 hostile) x 30 x 3, the variant without the hostile ones
    assert collect(study) == 13 * 90 + 5 * 90
    assert {row for row in rows(study, "served_model, time, attempts")} == {("simulated", None, 1)}
    assert all(str(rating) == reply for rating, reply in rows(study, "rating, reply"))
    with open_store(study.store_path) as store:
        assert read_ratings(study, store).counts(study.runs[0], "toxic").shape == (8, 30, 6)
        assert read_ratings(study, store).counts(study.runs[1], "persona").sum() == 4 * 90


def test_simulated_ratings_do_not_depend_on_resumption(tmp_path):
    whole = simulated_study(tmp_path, "whole")
    collect(whole)
    parts = simulated_study(tmp_path, "parts")
    collect(parts)
    with open_store(parts.store_path, write=True) as store, store.transaction():
        store._db.execute("DELETE FROM slots WHERE repetition = 2 OR question % 3 = 0")
    assert collect(parts) > 0
    columns = "variant, condition, persona, item, repetition, rating"
    assert sorted(rows(whole, columns), key=str) == sorted(rows(parts, columns), key=str)


def test_more_repetitions_keep_the_first_ones(tmp_path):
    collect(simulated_study(tmp_path))
    more = simulated_study(tmp_path, protocol={"repetitions": 5, "personas": 4})
    assert collect(more) == 2 * 30 * (13 + 5)


def test_another_seed_is_another_study(tmp_path):
    study = simulated_study(tmp_path)
    collect(study)
    before = rows(study, "rating")
    assert collect(simulated_study(tmp_path, seed=8)) == len(before)
    assert rows(study, "rating") != before


def test_the_same_study_is_the_same_tables(tmp_path):
    texts = []
    for name in ("one", "two"):
        study = simulated_study(tmp_path, name)
        collect(study)
        with open_store(study.store_path) as store:
            found = Tables(read_ratings(study, store))
        texts.append({key: table.to_csv() for key, table in all_tables(found).items() if table is not None})
    assert texts[0] == texts[1]


def test_quality_counts_add_up(tmp_path):
    study = simulated_study(tmp_path)
    collect(study)
    with open_store(study.store_path) as store:
        quality = Tables(read_ratings(study, store)).quality
    reasons = quality.loc[:, "transport":"absent"].sum(axis=1)
    assert (quality["valid"] + reasons == quality["slots"]).all()
    assert (quality["min_repetitions"] == 3).all()


def test_another_attribute_of_a_persona_is_asked_anew(tmp_path, outputs):
    """Simulated respondents lean on attributes, which no prompt holds."""
    deck = tmp_path / "deck.csv"
    study = {
        "title": "Deck", "kind": "simulated", "personas": "./deck.csv", "protocol": {"repetitions": 1},
        "families": [{"key": "f", "variants": [{"key": "base", "role": "base", "figures": "gpt-4o/base"}]}],
    }  # fmt: skip
    (tmp_path / "deck.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    for outlook, new in (("libertarian", 2 * 30 + 30), ("cynical", 30), ("cynical", 0)):
        deck.write_text(f"persona,outlook\nA nurse,libertarian\nA colonel,{outlook}\n", encoding="utf-8")
        assert collect(load_study(tmp_path / "deck.yaml")) == new
