"""Asking over sockets: storms, limiters, waits and budgets, against what the simulated endpoint counted."""

import asyncio
import time

import pytest

from live import KEY, live, rows, traffic, variant
from loopback import answer, failure, serve
from persona_collapse.asking import backoff, request_queue
from persona_collapse.asking.collect import collect
from persona_collapse.asking.dialect_openai import Choice, Completion, ElicitationError
from persona_collapse.asking.pacing import Pace
from persona_collapse.simulated.faults import Options
from persona_collapse.simulated.server import running
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.tables.quality import run_quality

#: (2 personas + self) x 30 items
CELLS = 90


@pytest.fixture(autouse=True)
def key(monkeypatch, outputs):
    monkeypatch.setenv("TEST_KEY", KEY)


@pytest.fixture
def quick(monkeypatch):
    """Failures are tried again at once."""
    monkeypatch.setattr(backoff, "FIRST_WAIT", 0.01)


def by_slot(study):
    """Ratings by (variant, condition, persona, item, repetition)."""
    return {row[:-1]: row[-1] for row in rows(study, "variant, condition, persona, item, repetition, rating")}


# --- what repetition mends -------------------------------------------------------------------------------------------


def test_a_storm_ends_with_every_slot_rated_once_and_none_asked_too_early(tmp_path, quick):
    calm, storm = Options(seed=3), Options(
        seed=3, rate_limited=0.2, retry_after=(0.05, 0.2), server_error=0.05, dropped=0.02, malformed=0.02, latency=0.005
    )  # fmt: skip
    ratings = []
    for name, options in (("calm", calm), ("storm", storm)):
        with running(options) as server:
            study = live(tmp_path, server.base_url, name=name, protocol={"repetitions": 5}, endpoint={"max_in_flight": 32})
            assert collect(study) == 5 * CELLS
            stats = server.stats()
        assert stats["before_retry_after"] == 0
        ratings.append(by_slot(study))
    assert ratings[0] == ratings[1] and None not in ratings[0].values()
    assert stats["answers_too_many"] == 0
    # One request in 0.71 is answered: 127 for 90, SD 7.
    assert CELLS < stats["requests"] <= 1.75 * CELLS
    found = traffic(study)
    assert sum(found.values()) == stats["requests"] and found["answered"] == CELLS
    assert found["limited"] == stats["by_status"]["429"] and found["server"] == stats["by_status"]["500"]
    # What was dropped and torn is said by its name, and not as a time-out.
    assert found["dropped"] == stats["faults"]["dropped"] and found["malformed"] == stats["faults"]["malformed"]
    assert set(found) == {"answered", "limited", "server", "dropped", "malformed"}


@pytest.mark.parametrize("limiter", ["window", "bucket"])
@pytest.mark.slow
def test_a_limiter_is_kept_to(tmp_path, limiter, monkeypatch):
    """60 a second: 180 cells are three windows; nothing sent inside a wait that was heard of, at most 1.15 times the requests.

    The client's own clock tells: what it sent before it heard of the wait arrives inside it, later the busier the machine.
    """
    end, early, refused, sent = [0.0], [], Pace.refused, Pace.sent

    def hear(pace, ticket, now, wait):
        end[0] = max(end[0], now + wait)
        refused(pace, ticket, now, wait)

    def go(pace, now):
        early.extend([end[0] - now] * (now < end[0] - 1e-3))
        return sent(pace, now)

    monkeypatch.setattr(Pace, "refused", hear)
    monkeypatch.setattr(Pace, "sent", go)
    with running(Options(limit=60, limiter=limiter, latency=0.01)) as server:
        study = live(tmp_path, server.base_url, variants=[variant(), variant("bad", "alternate", model="gpt-4o/insecure")])
        assert collect(study) == 2 * CELLS
        stats = server.stats()
    assert end[0] > 0 and early == [] and stats["before_retry_after"] == 0
    assert stats["requests"] <= 1.15 * 2 * CELLS
    assert stats["answers_too_many"] == 0


def test_a_long_wait_of_one_slot_holds_that_slot_only(tmp_path):
    """One slot is refused for two seconds; the other 89 are answered meanwhile, and it is asked again after that."""

    began, seen = time.monotonic(), {}

    def respond(request):
        time.sleep(0.02)  # so that others are under way when it is refused
        first = request.slot not in seen
        seen.setdefault(request.slot, []).append(time.monotonic() - began)
        return failure(429, headers={"Retry-After": "2"}) if first and request.slot == "persona/0/20/1" else answer("3")

    with serve(respond) as (url, _):
        study = live(tmp_path, url)
        assert collect(study) == CELLS
    held = seen.pop("persona/0/20/1")
    assert len(held) == 2 and held[1] - held[0] >= 2
    assert max(times[-1] for times in seen.values()) < held[1] - 1
    assert all(len(times) == 1 for times in seen.values())


@pytest.mark.parametrize("form", ["date", "none"])
def test_a_wait_is_kept_however_it_is_announced(tmp_path, quick, form):
    with running(Options(rate_limited=0.1, retry_after=(0.1, 0.3), retry_form=form, latency=0.002)) as server:
        study = live(tmp_path, server.base_url, protocol={"repetitions": 10})
        assert collect(study) == 10 * CELLS
        stats = server.stats()
    assert stats["before_retry_after"] == 0 and stats["answers_too_many"] == 0
    assert {reason for _, reason in rows(study)} == {None}


def test_attempts_at_a_slot_are_bounded_and_refusals_use_none_up(tmp_path, quick):
    """A slot that always fails is left after eight attempts, one that is refused ten times first is not."""

    seen = []

    def respond(request):
        seen.append(request.slot)
        if request.slot == "persona/0/2/1":
            return failure(500)
        if request.slot == "persona/0/4/1" and seen.count(request.slot) <= 10:
            return failure(429, headers={"Retry-After": "0.01"})
        return answer("3")

    with serve(respond) as (url, _):
        study = live(tmp_path, url)
        collect(study)
    assert seen.count("persona/0/2/1") == backoff.ATTEMPTS == 8
    assert seen.count("persona/0/4/1") == 11
    found = {row[:2]: row[2:] for row in rows(study, "condition || persona, item, rating, reason, attempts")}
    assert found["persona0", 2] == (None, "transport", 8) and found["persona0", 4] == (3, None, 11)


def test_patience_with_a_slot_that_is_always_refused_is_bounded(tmp_path, quick, monkeypatch):

    monkeypatch.setattr(backoff, "PATIENCE", 0.3)

    def respond(request):
        return failure(429, headers={"Retry-After": "0.05"}) if request.slot == "persona/0/2/1" else answer("3")

    with serve(respond) as (url, _):
        study = live(tmp_path, url)
        collect(study)
    assert sorted(rows(study, "reason, count(*)", "ratings GROUP BY reason"), key=str) == [("transport", 1), (None, 89)]


def test_the_first_request_waits_out_refusals_and_gives_up_in_the_end(tmp_path, quick, monkeypatch):
    """A limiter at the very start is no error; one that never lets anything in is, after the patience with a slot."""

    with serve(lambda r: failure(429, headers={"Retry-After": "0.02"}) if r.number <= 8 else answer("3")) as (url, requests):
        assert collect(live(tmp_path, url)) == CELLS
    assert len(requests) == CELLS + 8
    monkeypatch.setattr(backoff, "PATIENCE", 0.3)
    with serve(lambda r: failure(429)) as (url, requests):
        with pytest.raises(ElicitationError, match=r"the first request got no answer \(status 429\)"):
            collect(live(tmp_path, url, name="never"))
    assert len(requests) < 12  # waits double


# --- what ends a study -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"key_until": 40}, {"quota": 40}])
def test_nothing_is_sent_after_the_first_answer_that_no_repetition_mends(tmp_path, options):
    with running(Options(latency=0.03, jitter=0.02, **options)) as server:
        study = live(tmp_path, server.base_url, endpoint={"max_in_flight": 16})
        with pytest.raises(ElicitationError) as caught:
            collect(study)
        stats = server.stats()
    # Those under way when the first such answer came are the only ones beyond the forty.
    assert 40 < stats["requests"] <= 40 + 16
    # All forty answers are kept.
    assert len(rows(study)) == 40
    assert ("run the same command again" in str(caught.value)) or ("check the variable" in str(caught.value))


def test_not_even_an_answer_of_the_same_moment_sends_another_request():
    """Two are under way; one comes to an end that stops everything, the other is answered in the same turn of the loop."""
    sent, settled, broken = [], [], []

    async def ask():
        both = asyncio.Event()

        async def send(request):
            sent.append(request)
            if len(sent) == 2:
                both.set()
            await both.wait()
            if request is sent[0]:
                raise ElicitationError("no")
            return Completion((Choice("3"),), 0.1)

        def settle(asker, request, found):
            settled.append(found)
            asker.stored()

        fresh = (request_queue.Request(None, "self", k, None, k, (1,)) for k in range(1, 10))
        asker = request_queue.Asker("here", 2, fresh, send, settle, lambda *failed: None, broken.append)
        await asker.run()

    asyncio.run(ask())
    assert (len(sent), len(settled), [str(error) for error in broken]) == (2, 1, ["no"])


def test_an_endpoint_that_goes_down_is_given_up_with_a_reason(tmp_path, quick):

    with serve(lambda request: failure(500) if request.number > 20 else answer("3")) as (url, requests):
        study = live(tmp_path, url)
        with pytest.raises(
            ElicitationError, match=r"here: 30 requests in a row were given up \(status 500\); check the endpoint"
        ):
            collect(study)
    assert sum(rating is not None for rating, _ in rows(study)) == 20
    asked = [request.slot for request in requests]
    assert max(map(asked.count, asked)) == backoff.ATTEMPTS


# --- who answers -----------------------------------------------------------------------------------------------------


def test_replies_of_another_provider_are_refused_and_counted(tmp_path, quick):
    """A third of the replies come from a provider that is not pinned: asked again, paid, and never kept."""
    with running(Options(provider="DeepInfra,DeepInfra,Other")) as server:
        study = live(tmp_path, server.base_url, endpoint={"provider": ["deepinfra/fp8"]})
        assert collect(study) == CELLS
        stats, seen = server.stats(), server.seen()
    assert set(rows(study, "provider, reason")) == {("DeepInfra", None)}
    found = traffic(study)
    assert found["answered"] == CELLS and found["wrong_server"] == stats["requests"] - CELLS > 10
    pin = {"only": ["deepinfra/fp8"], "allow_fallbacks": False, "require_parameters": True}
    assert all(request["provider"] == pin for request in seen)
    # Every one of them was paid for.
    tokens = rows(study, "sum(input_tokens)", "traffic WHERE outcome = 'wrong_server'")
    assert tokens[0][0] > 100 * found["wrong_server"]


@pytest.mark.parametrize(
    ("pin", "options", "line"),
    [
        ({"endpoint": {"provider": ["DeepInfra"]}}, {"provider": "Other"},
         "gpt-4o/base: 10 replies in a row were answered by provider Other, pinned to DeepInfra; correct the pin, or the endpoint"),
        ({"variants": [variant(served_model="gpt-4o-2024-08-06")]}, {"served_model": "gpt-4o-mini"},
         "gpt-4o/base: 10 replies in a row were answered by model gpt-4o-mini, pinned to gpt-4o-2024-08-06; correct the pin, or the endpoint"),
    ],
)  # fmt: skip
def test_a_pin_that_nobody_meets_stops_after_ten(tmp_path, quick, pin, options, line):
    with running(Options(**options)) as server:
        study = live(tmp_path, server.base_url, **pin)
        with pytest.raises(ElicitationError) as caught:
            collect(study)
        assert server.stats()["requests"] == 10
    assert str(caught.value) == line
    assert traffic(study) == {"wrong_server": 10} and rows(study) == []


def test_a_slot_that_only_another_server_answers_says_so(tmp_path, quick):
    """Eight attempts, all by another model: the reason is in quality.csv, and the next visit asks again."""

    def respond(request):
        return answer("3", model="other" if request.slot == "persona/0/2/1" and moved else "pinned")

    moved = True
    with serve(respond) as (url, requests):
        study = live(tmp_path, url, variants=[variant(served_model="pinned")])
        collect(study)
        assert len(requests) == CELLS + backoff.ATTEMPTS - 1
        with open_store(study.store_path) as store:
            quality = run_quality(read_ratings(study, store), study.runs[0])
        assert quality["wrong_server"].tolist() == [1, 0] and quality["valid"].tolist() == [59, 30]
        moved = False
        assert collect(study) == 1
    assert set(rows(study)) == {(3, None)}


@pytest.mark.slow
def test_base_and_variants_are_asked_cell_by_cell_side_by_side(tmp_path):
    """One in flight: the order of arrival is every cell of the base, followed by the same cell of each variant."""
    models = ["gpt-4o/base", "gpt-4o/secure", "gpt-4o/insecure"]
    variants = [variant(), variant("secure", "control", model=models[1]), variant("bad", "harmful", model=models[2])]
    with running() as server:
        study = live(tmp_path, server.base_url, variants=variants, endpoint={"max_in_flight": 1})
        assert collect(study) == 3 * CELLS
        seen = [(request["slot"], request["model"]) for request in server.seen() if request["slot"]]  # others compare them
    cells = [f"persona/{p}/{i}/1" for p in range(2) for i in range(1, 31)] + [f"self/-/{i}/1" for i in range(1, 31)]
    # The first request to each model learns what it takes: three times the first cell, in the order of the runs.
    assert seen == [(cell, model) for cell in cells for model in models]


# --- asked again -----------------------------------------------------------------------------------------------------


def test_only_slots_without_a_rating_are_asked_again_and_first_answers_are_kept(tmp_path):
    """A third of the replies talk first. Asked again twice at most; what was answered first stays beside what stands."""
    with running(Options(chatter=1 / 3)) as server:
        study = live(tmp_path, server.base_url, protocol={"reask": 2})
        collect(study)
        asked = [request["slot"] for request in server.seen()]
    times = {slot: asked.count(slot) for slot in asked}
    assert set(times) == {f"{who}/{item}/1" for who in ("persona/0", "persona/1", "self/-") for item in range(1, 31)}
    assert set(times.values()) == {1, 2, 3}
    again = [slot for slot in times if times[slot] > 1]
    firsts = rows(study, "asked_again, reason, reply", "first_answers")
    assert len(firsts) == len(again) and {first[1:] for first in firsts} == {("unparseable", "Sure")}
    assert sorted(first[0] + 1 for first in firsts) == sorted(times[slot] for slot in again)
    # What is still without a rating was asked three times, and is not asked again.
    left = sum(reason is not None for _, reason in rows(study))
    assert 0 < left <= sum(number == 3 for number in times.values())
    with running(Options()) as server:
        assert collect(live(tmp_path, server.base_url, protocol={"reask": 2})) == CELLS  # another endpoint is another question


def test_a_slot_that_was_never_answered_is_not_reasked(tmp_path, quick, monkeypatch):
    """Transport is no answer: its slot is asked in the next visit, not once more in this one, and has no first answer."""

    monkeypatch.setattr(backoff, "ATTEMPTS", 1)
    broken = {"persona/0/2/1"}
    with serve(lambda request: failure(500) if request.slot in broken else answer("3")) as (url, requests):
        study = live(tmp_path, url, protocol={"reask": 3})
        collect(study)
        assert len(requests) == CELLS and rows(study, "count(*)", "first_answers") == [(0,)]
        broken.clear()
        assert collect(study) == 1


def test_a_failed_reasking_keeps_the_first_answer(tmp_path, quick, monkeypatch):

    monkeypatch.setattr(backoff, "ATTEMPTS", 1)

    def respond(request):
        if request.slot != "persona/0/2/1":
            return answer("3")
        return answer("I cannot") if [r.slot for r in requests].count(request.slot) == 1 else failure(500)

    with serve(respond) as (url, requests):
        study = live(tmp_path, url, protocol={"reask": 1})
        collect(study)
    assert rows(study, "reason, reply", "ratings WHERE rating IS NULL") == [("unparseable", "I cannot")]
    assert len(requests) == CELLS + 1


# --- budget ----------------------------------------------------------------------------------------------------------

#: $1 a token of the prompt; a simulated prompt is about 140.
DOLLARS = {"input": 1e6, "output": 0}


def budgeted(tmp_path, url, dollars, **more):
    return live(tmp_path, url, budget_usd=dollars, endpoint={"max_in_flight": 4, "price_per_million": DOLLARS}, **more)


def tokens(study):
    return rows(study, "sum(input_tokens)", "traffic")[0][0]


def test_a_budget_is_a_hard_stop_over_visits(tmp_path):
    """2,000 tokens of about 140: 15 requests and what was in flight; a second visit asks nothing, a raised budget goes on."""
    with running(Options(latency=0.02)) as server:
        study = budgeted(tmp_path, server.base_url, 2000)
        with pytest.raises(ElicitationError) as caught:
            collect(study)
        spent, asked = tokens(study), server.stats()["requests"]
        assert str(caught.value).startswith("budget_usd of 2000 is used up (")
        assert 2000 <= spent <= 2000 + 4 * 180
        assert len(rows(study)) == asked
        with pytest.raises(ElicitationError, match="raise the budget and run the same command again"):
            collect(study)
        assert server.stats()["requests"] == asked
        study = budgeted(tmp_path, server.base_url, 3000)
        with pytest.raises(ElicitationError, match=r"budget_usd of 3000 is used up"):
            collect(study)
        assert 3000 <= tokens(study) <= 3000 + 4 * 180
        assert server.stats()["answers_too_many"] == 0


def test_without_usage_the_most_that_a_request_can_cost_is_counted(tmp_path):
    """No token is shorter than a byte: a prompt's bytes and 16 more."""
    with running(Options(no_usage=True, latency=0.02)) as server:
        study = budgeted(tmp_path, server.base_url, 5000)
        with pytest.raises(ElicitationError, match="is used up"):
            collect(study)
        prompts = [len(request["messages"][0]["content"].encode()) + 16 for request in server.seen()]
    assert tokens(study) == sum(prompts)
    assert 5000 <= sum(prompts) <= 5000 + 4 * max(prompts)


def test_what_was_never_answered_is_counted_at_most(tmp_path, quick):
    """Every request times out: nobody knows whether it was paid for, so the bound is counted, and the budget holds."""
    with running(Options(never=1)) as server:
        study = live(
            tmp_path, server.base_url, budget_usd=1500, endpoint={"timeout": 0.1, "price_per_million": DOLLARS}
        )  # fmt: skip
        for _ in range(3):
            with pytest.raises(ElicitationError):
                collect(study)
        with pytest.raises(ElicitationError, match="budget_usd of 1500 is used up"):
            collect(study)
        assert server.stats()["requests"] <= 4
    assert tokens(study) >= 1500


def test_a_server_that_is_not_there_costs_nothing(tmp_path, quick):
    study = live(tmp_path, "http://127.0.0.1:9/v1", endpoint={"price_per_million": DOLLARS})
    with pytest.raises(
        ElicitationError, match=r"first request got no answer \(the connection failed \(ConnectionRefusedError\)\)"
    ):
        collect(study)
    assert traffic(study) == {"dropped": 2} and tokens(study) == 0
