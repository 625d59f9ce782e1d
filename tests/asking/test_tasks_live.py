"""Tasks asked of an endpoint: once each, as the study says, gone on with after a kill, priced; what a model answers is a result."""

import pytest

from live import KEY, live, rows, traffic
from loopback import answer, serve
from persona_collapse.asking.collect import collect, unanswered
from persona_collapse.asking.estimate import estimate
from persona_collapse.simulated.faults import Options
from persona_collapse.simulated.server import running
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.tables.build import Tables


@pytest.fixture(autouse=True)
def key(monkeypatch, outputs):
    monkeypatch.setenv("TEST_KEY", KEY)


def made(study):
    with open_store(study.store_path) as store:
        return Tables(read_ratings(study, store))


def test_every_item_is_asked_once_and_a_simulated_endpoint_knows_our_tasks(tmp_path):
    """40 items twice, 30 items once with three tokens of room less than a marker needs no matter: 110 requests."""
    tasks = [{"file": "choice", "repetitions": 2, "temperature": 0.7}, {"file": "number", "repetitions": 1, "max_tokens": 99}]
    with running(Options(seed=3)) as server:
        study = live(tmp_path, server.base_url, tasks=tasks)
        before = collect(study)
        assert before == 90 + 110
        seen = [one for one in server.seen() if one["max_tokens"] in (8, 99)]
        sent = server.stats()["requests"]
        assert collect(study) == 0 == unanswered(study) and server.stats()["requests"] == sent
    assert sorted({(one["max_tokens"], one["temperature"]) for one in seen}) == [(8, 0.7), (99, 0.1)] and len(seen) == 110
    assert rows(study, "purpose, name, count(*)", "answers GROUP BY 1, 2") == [("task", "choice", 80), ("task", "number", 30)]
    table = made(study).capability
    accuracy = table[table["measure"] == "accuracy"].set_index("task")["value"]
    assert accuracy.between(0.6, 1).all() and traffic(study) == {"answered": 200}


def test_a_reply_in_another_form_is_wrong_and_asked_no_more(tmp_path):
    def respond(request):
        whole = request["messages"][0]["content"]
        return answer("4", n=request.get("n", 1)) if "rating" in whole.lower() else answer("I could not say.")

    with serve(respond) as (url, requests):
        study = live(tmp_path, url, tasks=[{"file": "choice", "repetitions": 1}])
        collect(study)
        many = len(requests)
        assert collect(study) == 0 and len(requests) == many
    level = made(study).capability.query("quantity == 'level'").set_index("measure")["value"]
    assert (level["accuracy"], level["format_validity"]) == (0, 0)


def test_changed_items_are_asked_anew_and_others_are_kept(tmp_path):
    with running(Options(seed=3)) as server:
        study = live(tmp_path, server.base_url, tasks=[{"file": "choice", "repetitions": 1}])
        collect(study)
        assert collect(live(tmp_path, server.base_url, tasks=[{"file": "choice", "repetitions": 2}])) == 40
        assert collect(live(tmp_path, server.base_url, tasks=[{"file": "choice", "repetitions": 1, "temperature": 1.0}])) == 40
        back = live(tmp_path, server.base_url, tasks=[{"file": "choice", "repetitions": 1}])
        assert collect(back) == 0
    assert set(made(back).capability["replies"]) == {40}


def test_an_estimate_counts_them(tmp_path):
    study = live(tmp_path, "http://127.0.0.1:9", tasks=[{"file": "number", "repetitions": 2, "max_tokens": 100}])
    (row,) = estimate(study).query("way == 'in words'").to_dict("records")
    assert (row["requests"], row["output_tokens"]) == (60, 6000)
