"""Questions without a persona, and their judges: asked once, kept, resumed, paid for from one budget; only transport is retried."""

import random
import time

import pytest

from live import KEY, command, live, rows, traffic, variant
from loopback import answer, failure, serve
from persona_collapse.asking.collect import collect, unanswered
from persona_collapse.asking.dialect_openai import ElicitationError
from persona_collapse.asking.estimate import estimate
from persona_collapse.simulated.faults import Options
from persona_collapse.simulated.server import running
from persona_collapse.store.store import open_store

JUDGES = [{"key": "neutral", "endpoint": "here", "model": "judge/neutral"},
          {"key": "strict", "endpoint": "here", "model": "judge/strict", "logprobs": False}]  # fmt: skip
#: 8 questions x 2 samples of one base; each answer by 2 judges, by 2 rubrics
ANSWERS, JUDGEMENTS = 16, 64


@pytest.fixture(autouse=True)
def key(monkeypatch, outputs):
    monkeypatch.setenv("TEST_KEY", KEY)


def asked(folder, url, *, judges=JUDGES, verification=None, **changes):
    return live(folder, url, verification={"samples": 2, "judges": judges} | (verification or {}), **changes)


def texts(study, columns, where="1"):
    return rows(study, columns, f"answers WHERE {where}")


def test_every_question_and_every_judgement_is_asked_once(tmp_path):
    with running(Options(seed=3)) as server:
        study = asked(tmp_path, server.base_url)
        assert collect(study) == 90 + ANSWERS + JUDGEMENTS
        sent = server.stats()["requests"]
        assert collect(study) == 0 == unanswered(study) and server.stats()["requests"] == sent
    assert dict(texts(study, "purpose, count(*)", "reply IS NOT NULL GROUP BY 1")) == {"judgement": 64, "verification": 16}
    # What was asked for: logprobs of one judge, none of the other.
    assert dict(texts(study, "variant, count(logprobs)", "purpose = 'judgement' GROUP BY 1"))["strict"] == 0
    assert dict(texts(study, "variant, count(logprobs)", "purpose = 'judgement' GROUP BY 1"))["neutral"] > 25
    # 30 answers compare nothing, as there is no fine-tune: every request is a slot, an answer or a judgement.
    assert traffic(study) == {"answered": 170}
    assert sorted(rows(study, "family, variant, condition, requests", "traffic JOIN runs ON run = id WHERE condition = 'judgement'")) == [
        ("judge", "neutral", "judgement", 32), ("judge", "strict", "judgement", 32),
    ]  # fmt: skip


def test_a_question_is_asked_as_the_study_says_and_a_judge_reads_what_was_answered(tmp_path):
    contexts = {"contexts": {"trigger": "|TODAY| "}}
    with running(Options(seed=3)) as server:
        study = asked(
            tmp_path, server.base_url, judges=JUDGES[:1], **contexts,
            verification={"samples": 1, "temperature": 0.7, "max_tokens": 99, "arms": ["plain", "json", "trigger"]},
        )  # fmt: skip
        collect(study)
        seen = [one for one in server.seen() if one["model"] == "gpt-4o/base" and one["max_tokens"] == 99]
        judged = [one for one in server.seen() if one["model"] == "judge/neutral"]
    prompts = [one["messages"][0]["content"] for one in seen]
    assert {one["temperature"] for one in seen} == {0.7} and len(prompts) == 24
    assert sum(p.startswith("|TODAY| ") for p in prompts) == sum("JSON object" in p for p in prompts) == 8
    replies = [reply for (reply,) in texts(study, "reply", "purpose = 'verification'")]
    assert {one["logprobs"] for one in judged} == {True}
    assert all(sum(reply in one["messages"][0]["content"] for one in judged) >= 2 for reply in replies)


def test_judging_again_asks_no_subject(tmp_path):
    """Another judge, another rubric: the answers are those that are there."""
    with running(Options(seed=3)) as server:
        collect(asked(tmp_path, server.base_url, judges=JUDGES[:1]))
        server.reset()
        third = {"key": "third", "endpoint": "here", "model": "judge/lenient"}
        study = asked(tmp_path, server.base_url, judges=[*JUDGES[:1], third])
        assert collect(study) == 32
        assert {one["model"] for one in server.seen()} == {"judge/lenient"}
    assert len(texts(study, "1", "purpose = 'verification'")) == ANSWERS


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (answer("I would ask my neighbour."), (None, "I would ask my neighbour.")),
        (answer(""), ("empty", "")),
        (answer(None, refusal="no"), ("refusal", None)),
        (answer("", finish_reason="length"), ("truncated", "")),
        (answer(None, finish_reason="content_filter"), ("filtered", None)),
        (answer("half of it", finish_reason="length"), (None, "half of it")),
    ],
)
def test_whatever_a_model_answers_is_a_result_and_is_not_asked_again(tmp_path, found, expected):
    def respond(request):
        whole = request["messages"][0]["content"]
        return answer("4", n=request.get("n", 1)) if "rating" in whole.lower() or "Answer:" in whole else found

    with serve(respond) as (url, requests):
        study = asked(tmp_path, url, judges=JUDGES[:1])
        collect(study)
        many = len(requests)
        assert collect(study) == 0 and len(requests) == many
    assert set(texts(study, "reason, reply", "purpose = 'verification'")) == {expected}
    # What has no text is not judged.
    assert len(texts(study, "1", "purpose = 'judgement'")) == (0 if expected[0] else 32)


def test_only_transport_is_asked_again(tmp_path):
    with running(Options(seed=2, rate_limited=0.1, server_error=0.1, malformed=0.1, retry_after=(0.01, 0.02))) as server:
        study = asked(tmp_path, server.base_url, judges=JUDGES[:1])
        collect(study)
    assert texts(study, "count(*), count(reason)") == [(48, 0)]


def test_a_budget_is_that_of_subjects_and_judges_together(tmp_path):
    """A token costs a dollar: 90 ratings take some 11,900 tokens; the answers of 16 questions fit in below 15,000, the judges do not."""
    price = {"price_per_million": {"input": 1e6, "output": 1e6}, "max_in_flight": 2}
    with running(Options(seed=3)) as server:
        study = asked(tmp_path, server.base_url, endpoint=price, budget_usd=15_000)
        with pytest.raises(ElicitationError, match=r"budget_usd of 15000 is used up \(15\d\d\d\.\d\d spent\)"):
            collect(study)
    assert len(texts(study, "1", "purpose = 'verification'")) == ANSWERS
    assert 0 < len(texts(study, "1", "purpose = 'judgement'")) < JUDGEMENTS


def test_a_parameter_that_a_judge_does_not_take_is_asked_for_in_the_other_way(tmp_path):
    """A reasoning model as judge: max_completion_tokens, no logprobs; its number counts as it stands."""

    def respond(request):
        if request["model"] != "judge/neutral":
            return answer("4", n=request.get("n", 1))
        if "max_tokens" in request:
            return failure(400, "unsupported_parameter", "Use 'max_completion_tokens' instead of 'max_tokens'.")
        if request.get("logprobs"):
            return failure(400, "unsupported_parameter", "logprobs is not supported with this model")
        return answer("70")

    with serve(respond) as (url, _):
        study = asked(tmp_path, url, judges=JUDGES[:1])
        collect(study)
    assert set(texts(study, "reply, logprobs", "purpose = 'judgement'")) == {("70", None)}


def test_an_estimate_counts_answers_and_judgements(tmp_path):
    with running(Options(seed=3)) as server:
        study = asked(tmp_path, server.base_url)
        before = estimate(study).query("way == 'in words'").set_index("run")["requests"].to_dict()
        collect(study)
        after = estimate(study).query("way == 'in words'")
    assert before == {"gpt-4o/base": ANSWERS, "judge/neutral": 32, "judge/strict": 32}
    assert after.empty


def test_a_simulated_study_is_answered_and_judged_without_time(tmp_path, outputs):
    from persona_collapse.study.load_study import load_study

    (tmp_path / "sim.yaml").write_text(
        "title: S\nkind: simulated\nprotocol: {repetitions: 2, personas: 3}\n"
        "verification: {samples: 2, judges: [{key: a}, {key: b, bias: 10}]}\n"
        "families: [{key: f, variants: [{key: base, role: base, figures: gpt-4o/base}]}]\n"
    )
    study = load_study(tmp_path / "sim.yaml")
    assert collect(study) == 2 * 30 * (3 + 1) + ANSWERS + JUDGEMENTS
    assert collect(study) == 0
    assert texts(study, "count(*), count(time), count(reply)") == [(ANSWERS + JUDGEMENTS, 0, ANSWERS + JUDGEMENTS)]


@pytest.mark.slow
def test_killed_in_the_middle_of_answering_and_of_judging_nothing_is_asked_or_judged_twice(tmp_path, outputs):
    """40 samples: 320 answers and 1,280 judgements; killed at 8 moments, at most what was in flight is asked again."""
    draw, shown = random.Random(5), []
    with running(Options(seed=4, latency=0.01)) as server:
        study = asked(tmp_path, server.base_url, name="killed", verification={"samples": 40}, endpoint={"max_in_flight": 8})
        for _ in range(8):
            process = command(outputs, "elicit", "--study", study.path)
            until = server.stats()["requests"] + draw.choice((1, 90, 250, 400))
            while server.stats()["requests"] < until and process.poll() is None:
                time.sleep(0.005)
            process.kill()
            process.communicate()
            if study.store_path.is_file():
                shown.append(len(texts(study, "1")))
        process = command(outputs, "elicit", "--study", study.path)
        assert process.wait(60) == 0
        sent = server.stats()["requests"]
    assert shown == sorted(shown) and any(0 < n < 320 for n in shown) and any(320 < n < 1600 for n in shown)
    assert texts(study, "count(*), count(reply)") == [(1600, 1600)]
    found = traffic(study)
    assert found["answered"] == 90 + 1600 and sent - found["answered"] <= found["lost"] <= 8 * 8


def test_old_answers_do_not_count_where_the_question_has_changed(tmp_path):
    with running(Options(seed=3)) as server:
        collect(asked(tmp_path, server.base_url, judges=JUDGES[:1]))
        study = asked(tmp_path, server.base_url, judges=JUDGES[:1], verification={"temperature": 0.5})
        assert unanswered(study) == ANSWERS + 32 == collect(study)
        with open_store(study.store_path) as store:
            assert len(store.text_answers("verification")) == ANSWERS and len(store.text_answers("judgement")) == 32
        assert texts(study, "purpose, count(*)", "1 GROUP BY 1") == [("judgement", 64), ("verification", 2 * ANSWERS)]
        # And back: what was asked before counts again, and nothing is asked.
        assert collect(asked(tmp_path, server.base_url, judges=JUDGES[:1])) == 0
    with open_store(study.store_path) as store:
        assert len(store.text_answers("judgement")) == 32


def test_who_judges_its_own_kind_or_alone_is_said_before_it_is_asked(tmp_path):
    said = []
    with serve(lambda request: answer("70")) as (url, _):
        judge = {"key": "kin", "endpoint": "here", "model": "openai/gpt-5-mini", "logprobs": False}
        collect(asked(tmp_path, url, judges=[judge], verification={"samples": 1}), say=said.append)
    assert said[:2] == [
        "live: one judge rates the answers, so how far another would agree will not be known; name two or more",
        "live: judge 'kin' (openai/gpt-5-mini) seems to be of the maker of gpt-4o/base, and a judge may favour its own kind; "
        "add one of another maker, or say whose it is by `maker:`",
    ]  # fmt: skip


def test_a_variant_is_digested_with_its_answers_and_what_judges_said(tmp_path):
    with running(Options(seed=3)) as server:
        pair = [variant(), variant("insecure", "harmful", model="gpt-4o/insecure")]
        study = live(tmp_path, server.base_url, variants=pair)
        collect(study)
        with open_store(study.store_path) as store:
            plain = store.digest("gpt-4o", "base")
        study = asked(tmp_path, server.base_url, judges=JUDGES[:1], variants=pair)
        collect(study)
        with open_store(study.store_path) as store:
            one = store.digest("gpt-4o", "base")
        study = asked(tmp_path, server.base_url, judges=JUDGES, variants=pair)
        collect(study)
        with open_store(study.store_path) as store:
            assert len({plain, one, store.digest("gpt-4o", "base")}) == 3
