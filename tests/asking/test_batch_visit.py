"""Batches: from a study to its ratings by files, submitted once however often the process dies."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request

import openai
import pytest
import yaml

from persona_collapse import __main__ as commands
from persona_collapse.asking import batch_files, batch_visit, spending, supported_parameters
from persona_collapse.asking.collect import _alone, collect, collect_by_batch
from persona_collapse.asking.dialect_openai import ElicitationError
from persona_collapse.sections.record import all_tables
from persona_collapse.simulated import batches as simulated_batches
from persona_collapse.simulated import handlers
from persona_collapse.simulated.completions import ApiError
from persona_collapse.simulated.faults import Options
from persona_collapse.simulated.server import running
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import Store, open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables
from requests_to import call

WHEN = ["sampling", "first_date", "last_date", "retries", "lost", "latency_p50", "latency_p95"]
KEY = "sk-sentinel-0123456789abcdef"
#: (2 personas + self) x 30 items; three repetitions of each
CELLS, SLOTS = 90, 270
#: What a run of 90 cells is in lines: the probe asks one of them.
LINES = CELLS - 1
QUICK = {"seed": 3, "batch_seconds": 0.05}


@pytest.fixture(autouse=True)
def quick(monkeypatch, outputs):
    """Hardly any waiting between two looks, a key in the environment."""
    monkeypatch.setattr(batch_visit, "_SOON", 0.02)
    monkeypatch.setattr(batch_visit, "_LATER", 0.1)
    monkeypatch.setenv("TEST_KEY", KEY)


def variant(key="base", role="base", model="gpt-4o/base", **more):
    return {"key": key, "role": role, "endpoint": "here", "model": model} | more


def study_of(folder, url, *variants, here=None, **changes):
    content = {
        "title": "In batches", "kind": "live", "protocol": {"repetitions": 3, "personas": 2, "probe": 0, "request_probe": 0},
        "endpoints": {"here": {"base_url": url, "api_key_env": "TEST_KEY"} | (here or {})},
        "families": [{"key": "f", "variants": list(variants or [variant()])}],
    }  # fmt: skip
    path = folder / "few.yaml"
    path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
    return load_study(path)


def rows(study, columns="rating, reason, reply"):
    with open_store(study.store_path) as store:
        return store._db.execute(f"SELECT {columns} FROM ratings").fetchall()


def traffic(study, condition="persona"):
    with open_store(study.store_path) as store:
        return store.traffic("f", "base", condition)


def batches(study):
    with open_store(study.store_path) as store:
        return [batch for run in study.runs for batch in store.batches(run.family.key, run.variant.key)]


def at_endpoint(server):
    return call(server, "/v1/batches?limit=100")[2]["data"]


def as_text(study):
    """Every table that says what was answered; quality.csv also says when, in how many attempts, and what a server takes."""
    with open_store(study.store_path) as store:
        built = Tables(read_ratings(study, store))
    found = {name: table.to_csv() for name, table in all_tables(built).items() if table is not None and name != "quality"}
    return found | {"quality": built.quality.drop(columns=WHEN).to_csv()}


def fails(study, words, **how):
    with pytest.raises((ElicitationError, ValueError)) as caught:
        collect_by_batch(study, **how)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value) and KEY not in str(caught.value)


BOTH = (variant(), variant("bad", "harmful", "gpt-4o/insecure"))


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """The tables of the study of both variants, asked one request after the other."""
    folder = tmp_path_factory.mktemp("live")
    with pytest.MonkeyPatch.context() as patch, running(Options(**QUICK)) as server:
        patch.setattr("persona_collapse.paths.OUTPUTS", folder / "outputs")
        patch.setenv("TEST_KEY", KEY)
        study = study_of(folder, server.base_url, *BOTH)
        collect(study)
        return as_text(study)


# --- from a study to its tables --------------------------------------------------------------------------------------


def test_batches_give_the_tables_of_a_live_run(tmp_path, live):
    said = []
    with running(Options(**QUICK)) as server:
        study = study_of(tmp_path, server.base_url, *BOTH)
        assert collect_by_batch(study, say=said.append) == 2 * SLOTS
        stats = server.stats()
        assert collect_by_batch(study) == 0 and len(at_endpoint(server)) == 2
    # One request to each model tells what it takes, and its answer counts; 3 x 30 compare the fine-tune with its base, and the
    # rest comes in a batch each.
    assert (stats["requests"], stats["batch_requests"], stats["answers_too_many"]) == (2 + 3 * 30, 2 * LINES, 0)
    assert as_text(study) == live
    assert f"f.bad.1: {LINES} of {LINES} requests answered, {3 * LINES} slots" in said


def test_a_slot_of_a_batch_keeps_where_it_came_from_and_costs_half(tmp_path):
    price = {"price_per_million": {"input": 1000, "output": 0}}
    with running(Options(**QUICK)) as server:
        study = study_of(tmp_path, server.base_url, here=price)
        collect_by_batch(study)
    found = rows(study, "served_model, fingerprint, request_id, time, latency, reply, finish_reason")
    assert {row[:2] for row in found} == {("gpt-4o/base", "fp_simulated")}
    assert len({row[2] for row in found}) == CELLS
    assert all(row[3].startswith("20") and row[5] in "012345" and row[6] == "length" for row in found)
    with open_store(study.store_path) as store:
        paid = dict(store._db.execute("SELECT outcome, sum(input_tokens) FROM traffic GROUP BY 1"))
        # A thousand dollars a million are 0.1 cent a token, and half of it in a batch.
        assert spending.spent_usd(study, store) == pytest.approx((paid["answered"] + paid["batch"] / 2) / 1000)
    assert traffic(study)["batch"] + traffic(study, "self")["batch"] == LINES


def test_logprobs_come_in_batches_too(tmp_path, outputs, monkeypatch):
    protocol = {"method": "logprobs", "personas": 2}
    with running(Options(**QUICK)) as server:
        study = study_of(tmp_path, server.base_url, *BOTH, protocol=protocol)
        assert collect_by_batch(study) == 2 * CELLS
        found = as_text(study)
        assert all(len(json.loads(text)) > 5 for (text,) in rows(study, "logprobs"))
        monkeypatch.setattr("persona_collapse.paths.OUTPUTS", outputs / "live")
        study = study_of(tmp_path, server.base_url, *BOTH, protocol=protocol)
        collect(study)
        assert as_text(study) == found


def test_requests_are_cut_into_files_that_a_provider_takes(tmp_path, monkeypatch):
    with running(Options(**QUICK)) as server:
        monkeypatch.setattr(batch_files, "MOST_REQUESTS", 40)
        study = study_of(tmp_path, server.base_url)
        assert collect_by_batch(study) == SLOTS
        # 89 lines in files of at most 40
        assert [batch.requests for batch in batches(study)] == [40, 40, 9]
        assert sorted(other["request_counts"]["completed"] for other in at_endpoint(server)) == [9, 40, 40]


def test_a_file_stays_below_the_most_bytes(tmp_path, monkeypatch):
    study = study_of(tmp_path, "http://127.0.0.1:9/v1")
    monkeypatch.setattr(batch_files, "MOST_BYTES", 20_000)
    collect_by_batch(study, by_hand=True)
    sizes = [batch_files.path_of(study, batch).stat().st_size for batch in batches(study)]
    assert max(sizes) <= 20_000 and min(sizes[:-1]) > 18_000 and sum(b.requests for b in batches(study)) == CELLS


# --- stopped at any moment -------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What nothing catches, as a SIGKILL."""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("name", "call_number"), [("set_batches", 1), ("set_batches", 2), ("set_batches", 3),
                                                   ("set_batches", 4), ("add", 2)])  # fmt: skip
def test_a_death_between_any_two_steps_submits_nothing_twice(tmp_path, monkeypatch, name, call_number, after):
    """set_batches: written, uploaded, about to be submitted, submitted; add: the probe's answer, then the results."""
    step, calls = getattr(Store, name), []

    def dying(self, *arguments, **more):
        calls.append(1)
        if len(calls) == call_number and not after:
            raise Killed
        step(self, *arguments, **more)
        if len(calls) == call_number:
            raise Killed

    with running(Options(**QUICK)) as server:
        study = study_of(tmp_path, server.base_url)
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Store, name, dying)
            collect_by_batch(study)
        missing = SLOTS - len(rows(study))
        assert collect_by_batch(study) == missing
        assert len(rows(study)) == SLOTS
        stats = server.stats()
        assert (len(at_endpoint(server)), stats["batch_requests"], stats["answers_too_many"]) == (1, LINES, 0)


def test_a_lost_answer_to_the_submission_submits_nothing_twice(tmp_path, monkeypatch):
    """The endpoint makes the batch and then answers 503: the batch is found, not made again."""
    create, calls = handlers.Endpoint._create_batch, []

    async def cut_off(self, request):
        made = await create(self, request)
        calls.append(made["id"])
        if len(calls) == 1:
            raise ApiError(503, "overloaded")
        return made

    monkeypatch.setattr(handlers.Endpoint, "_create_batch", cut_off)
    with running(Options(**QUICK)) as server:
        study, said = study_of(tmp_path, server.base_url), []
        assert collect_by_batch(study, say=said.append) == SLOTS
        assert len(at_endpoint(server)) == len(calls) == 1
    assert "f.base.1: was submitted before, as batch_000001" in said


ZYGOTE = """
import os, pathlib, signal, sys, time
import openai
from openai import DefaultAioHttpClient
from persona_collapse import __main__ as commands, paths
from persona_collapse.asking import batch_visit, estimate, progress
paths.OUTPUTS, batch_visit._SOON, batch_visit._LATER = pathlib.Path(sys.argv[1]), 0.02, 0.05
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(commands.main(["batch", "--study", sys.argv[2]]))
    until = time.monotonic() + float(line)
    while time.monotonic() < until and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.slow
def test_killed_at_random_moments_nothing_is_lost_and_nothing_bought_twice(tmp_path, outputs, live):
    moments, killed = random.Random(7), 0
    with running(Options(seed=3, batch_seconds=0.5)) as server:
        study = study_of(tmp_path, server.base_url, *BOTH)
        command = [sys.executable, "-c", ZYGOTE, str(outputs), str(study.path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as zygote:

            def run_for(seconds):
                zygote.stdin.write(f"{seconds}\n")
                zygote.stdin.flush()
                return int(zygote.stdout.readline())

            for _ in range(12):
                killed += run_for(moments.uniform(0.02, 0.5)) == -signal.SIGKILL
            assert run_for(60) == 0
            zygote.stdin.close()
        stats = server.stats()
        assert killed >= 3 and len(at_endpoint(server)) == 2
    with open_store(study.store_path) as store:
        lost = sum(n for r in study.runs for c in ("persona", "self")
                   for what, n in store.traffic("f", r.variant.key, c).items() if what == "lost")  # fmt: skip
    # Only the probe's one request of three slots can have been under way when the process died.
    assert stats["answers_too_many"] <= 3 * lost
    assert as_text(study) == live


def at_first_look(patch):
    """Ctrl-C when a submitted batch is first looked at, however quick or slow the machine is."""
    checked = batch_visit._checked

    def interrupt(found, batch, name):
        if name == "status":
            signal.raise_signal(signal.SIGINT)
        return checked(found, batch, name)

    patch.setattr(batch_visit, "_checked", interrupt)


def test_an_interrupt_says_that_the_batch_goes_on(tmp_path, monkeypatch, capsys):
    with running(Options(**QUICK)) as server:
        study = study_of(tmp_path, server.base_url)
        with monkeypatch.context() as patch:
            at_first_look(patch)
            assert commands.main(["batch", "--study", str(study.path)]) == 130
        said = capsys.readouterr().err.splitlines()[-1]
        assert said == "stopped: a batch goes on at the endpoint, and the same command collects what comes of it"
        assert commands.main(["batch", "--study", str(study.path)]) == 0
        assert len(rows(study)) == SLOTS and len(at_endpoint(server)) == 1


# --- what batches bring ----------------------------------------------------------------------------------------------


def test_failed_requests_are_put_into_the_next_batch(tmp_path):
    with running(Options(batch_errors=0.2, **QUICK)) as server:
        study = study_of(tmp_path, server.base_url)
        try:
            collect_by_batch(study)
        except ElicitationError as error:
            assert "are missing after 3 rounds" in str(error)
            assert {reason for _, reason, _ in rows(study)} == {None, "transport"}
            collect_by_batch(study)
        sizes = [batch.requests for batch in batches(study)]
        stats = server.stats()
    assert sizes[0] == LINES and sizes == sorted(sizes, reverse=True) and 2 <= len(sizes) <= 6
    # Only the lines that failed were asked again, none that was answered.
    assert (stats["batch_requests"], stats["answers_too_many"]) == (sum(sizes), 0)
    assert all(reason is None for _, reason, _ in rows(study))


def test_what_is_missing_after_all_rounds_is_said_and_attributed(tmp_path):
    with running(Options(batch_errors=1.0, **QUICK)) as server:
        study = study_of(tmp_path, server.base_url)
        fails(
            study, f"few: {3 * LINES} slots are missing after 3 rounds of batches; run the same command again, or `make elicit`"
        )
        assert [batch.requests for batch in batches(study)] == [LINES] * 3
    assert {(reason, reply) for rating, reason, reply in rows(study) if rating is None} == {("transport", "status 500")}


def test_the_finished_part_of_an_expired_batch_is_kept(tmp_path):
    with running(Options(batch_expires=0.5, **QUICK)) as server:
        study = study_of(tmp_path, server.base_url)
        fails(study, "slots are missing after 3 rounds")
        # Half of 89 lines, rounded down, then half of what is left: 44 of 89, 22 of 45, 11 of 23.
        assert [batch.requests for batch in batches(study)] == [89, 45, 23]
        assert sum(rating is not None for rating, *_ in rows(study)) == 3 * (1 + 44 + 22 + 11)
        assert server.stats()["answers_too_many"] == 0
    assert {reply for rating, _, reply in rows(study) if rating is None} == {"the batch ended before it was answered"}


def test_an_endpoint_that_ignores_n_is_asked_one_by_one(tmp_path):
    with running(Options(n="ignored", **QUICK)) as server:
        study = study_of(tmp_path, server.base_url)
        assert collect_by_batch(study) == SLOTS
        # The probe told: one slot came of its three, and 269 are asked one a line.
        assert [batch.requests for batch in batches(study)] == [SLOTS - 1]


def test_choices_that_fail_to_come_are_made_up_for_in_the_next_round(tmp_path):
    with running(Options(n="ignored", **QUICK)) as server:
        study = study_of(tmp_path, server.base_url)
        with open_store(study.store_path, write=True) as store:  # as if it gave three when it was asked last
            supported_parameters.remember(
                store, study.file.endpoints["here"], "gpt-4o/base", supported_parameters.Supported(choices=3, probed="x")
            )
        said = []
        assert collect_by_batch(study, say=said.append) == SLOTS
        # 90 lines bring a slot each; the other 180 are asked one a line, as the model was seen to give one.
        assert [batch.requests for batch in batches(study)] == [CELLS, 2 * CELLS]
    assert any(line.endswith("90 slots; a request brings 1 of 3 choices") for line in said)


def test_replies_of_another_model_than_pinned_are_refused_and_counted(tmp_path):
    with running(Options(served_model="other", **QUICK)) as server:
        study = study_of(tmp_path, server.base_url, variant(served_model="gpt-4o/base"))
        with open_store(study.store_path, write=True) as store:
            supported_parameters.remember(
                store, study.file.endpoints["here"], "gpt-4o/base", supported_parameters.Supported(choices=3, probed="x")
            )
        fails(study, "every reply was answered by model other, pinned to gpt-4o/base; correct the pin, or the endpoint")
    assert {row[:2] for row in rows(study)} == {(None, "wrong_server")}
    assert traffic(study)["wrong_server"] == 60


def refuse_first(monkeypatch, code, when=lambda lines: True):
    """The endpoint refuses the first batch that `when` is true for, for a reason of this code; returns whom it refused."""
    validated, refused = simulated_batches._validated, []

    def validate(content):
        lines, errors = validated(content)
        if when(lines) and not refused:
            refused.append(len(lines))
            errors = [{"code": code, "message": "no", "param": None, "line": 7}]
        return lines, errors

    monkeypatch.setattr(simulated_batches, "_validated", validate)
    return refused


def test_a_batch_that_fails_its_validation_is_said_and_leaves_the_way_free(tmp_path, monkeypatch):
    refuse_first(monkeypatch, "invalid_json_line")
    with running(Options(**QUICK)) as server:
        study = study_of(tmp_path, server.base_url)
        fails(study, "f.base.1: the endpoint refused the batch (invalid_json_line, line 7)")
        assert collect(study) == SLOTS - 3


def test_too_many_tokens_under_way_wait_for_the_other_batch(tmp_path, monkeypatch):
    refused = refuse_first(monkeypatch, "token_limit_exceeded", lambda lines: lines[0]["body"]["model"] == "gpt-4o/insecure")
    said = []
    with running(Options(seed=3, batch_seconds=0.2)) as server:
        study = study_of(tmp_path, server.base_url, *BOTH)
        assert collect_by_batch(study, say=said.append) == 2 * SLOTS
        assert [b["status"] for b in at_endpoint(server)] == ["completed", "failed", "completed"] and refused == [LINES]
    assert "f.bad.1: the endpoint has too many tokens under way; it is submitted again later" in said
    assert [batch.name for batch in batches(study)] == ["f.base.1", "f.bad.1"]


def test_a_batch_that_is_alone_beyond_the_limit_of_tokens_is_cut_in_half(tmp_path, monkeypatch):
    monkeypatch.setattr(batch_visit, "_FEW", 10)
    refuse_first(monkeypatch, "token_limit_exceeded")
    with running(Options(**QUICK)) as server:
        study = study_of(tmp_path, server.base_url)
        assert collect_by_batch(study) == SLOTS
    assert [(b.requests, b.status) for b in batches(study)] == [
        (89, "failed"),
        (44, "collected"),
        (44, "collected"),
        (1, "collected"),
    ]


def test_lines_that_are_not_ours_are_counted_and_do_no_harm(tmp_path):
    said = []
    study = study_of(tmp_path, "http://127.0.0.1:9/v1")
    collect_by_batch(study, by_hand=True)
    requests = [json.loads(line) for line in batch_files.path_of(study, batches(study)[0]).read_text().splitlines()]
    results = [result_of(request, "4") for request in requests[:10]]
    results[0]["response"]["body"]["choices"].append({"index": 3, "message": {"content": "1"}})  # one more than asked
    results[1]["response"]["body"]["created"] = 0  # a server without a clock
    foreign = [
        {"custom_id": "request-1"},
        result_of(requests[0] | {"custom_id": requests[0]["custom_id"].replace(".q1-", ".q2-")}, "5"),
    ]
    text = "".join(json.dumps(line) + "\n" for line in [*results, *foreign]) + json.dumps(results[0])[:50]
    batch_files.path_of(study, batches(study)[0]).with_suffix(".out.jsonl").write_text("\n" + text, encoding="utf-8")
    assert collect_by_batch(study, by_hand=True, say=said.append) == 30
    assert said[0] == "f.base.1: 10 of 90 requests answered, 30 slots (foreign 2, unreadable 1)"
    assert (
        min(row[0] for row in rows(study, "time")) > "2026"
        and {row[0] for row in rows(study)} == {4}
        and [batch.requests for batch in batches(study)] == [90, 80]
    )


def result_of(request, text, status=200, **error):
    choices = [{"index": i, "message": {"content": text}, "finish_reason": "stop"} for i in range(request["body"].get("n", 1))]
    body = {
        "id": "c",
        "created": 1_790_000_000,
        "model": "m",
        "choices": choices,
        "usage": {"prompt_tokens": 9, "completion_tokens": 3},
    }
    response = {"status_code": status, "request_id": "r", "body": body if status == 200 else None}
    return {"id": "x", "custom_id": request["custom_id"], "response": response, "error": error.get("error")}


def test_results_of_an_earlier_design_are_kept_under_its_own_questions(tmp_path, monkeypatch):
    with running(Options(**QUICK)) as server:
        study = study_of(tmp_path, server.base_url)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            at_first_look(patch)
            collect_by_batch(study)
        warm = study_of(tmp_path, server.base_url, protocol={"repetitions": 3, "personas": 2, "temperature": 1.0})
        assert collect_by_batch(warm) == 2 * SLOTS - 3  # all of both but the first probe's three
        assert len(rows(warm)) == SLOTS
        cold = study_of(tmp_path, server.base_url)
        assert collect_by_batch(cold) == 0 and len(rows(cold)) == SLOTS
        assert server.stats()["answers_too_many"] == SLOTS  # a slot's name knows no temperature: each was asked at both


# --- refused, stopped, cancelled -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "model", "words"),
    [
        (
            {"key": "sk-other"},
            "gpt-4o/base",
            "the endpoint refused the key (status 401); check the variable named by api_key_env",
        ),
        ({}, "gpt-9", "gpt-9: the endpoint knows no such model (status 404); check model, base_url/models lists them"),
        ({"temperature": "rejected"}, "gpt-4o/base", "the endpoint refused the parameter temperature (status 400); set protocol"),
        ({"quota": 0}, "gpt-4o/base", "quota is used up"),
    ],
)
def test_what_no_batch_can_mend_is_found_by_the_first_request(tmp_path, options, model, words):
    with running(Options(**options, **QUICK)) as server:
        study = study_of(tmp_path, server.base_url, variant(model=model))
        fails(study, words)
        assert server.stats()["requests"] <= 3 and server.stats()["batch_requests"] == 0
    assert not any(KEY.encode() in path.read_bytes() for path in study.outputs.rglob("*") if path.is_file())


def test_a_key_refused_and_no_batches_at_the_endpoint_are_said_and_leave_elicit_free(tmp_path, monkeypatch):
    with running(Options(**QUICK)) as server:
        study = study_of(tmp_path, server.base_url)
        with open_store(study.store_path, write=True) as store:
            supported_parameters.remember(
                store, study.file.endpoints["here"], "gpt-4o/base", supported_parameters.Supported(choices=3, probed="x")
            )
        create = openai.resources.batches.Batches.create
        for error, status in ((openai.NotFoundError, 404), (openai.AuthenticationError, 401)):

            def refuse(self, error=error, status=status, **what):
                import httpx2

                response = httpx2.Response(status, request=httpx2.Request("POST", server.base_url))
                raise error(f"no {KEY}", response=response, body=None)

            monkeypatch.setattr(openai.resources.batches.Batches, "create", refuse)
            fails(study, {404: "f.base.1: the endpoint has no batches (status 404); use `make elicit`, or BY_HAND=1",
                          401: "f.base.1: the endpoint refused the key (status 401)"}[status])  # fmt: skip
        monkeypatch.setattr(openai.resources.batches.Batches, "create", create)
        assert collect(study) == SLOTS


def test_a_page_of_html_in_place_of_the_batch_api_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(openai.resources.files.Files, "create", lambda self, **what: "<html>")
    with running(Options(**QUICK)) as server:
        fails(
            study_of(tmp_path, server.base_url),
            "f.base.1: the endpoint's answer is none of the Batch API (no id); check base_url",
        )


def test_a_second_process_on_the_same_study_is_refused(tmp_path):
    with running(Options(**QUICK)) as server:
        study = study_of(tmp_path, server.base_url)
        study.outputs.mkdir(parents=True)
        with _alone(study, True):
            fails(study, f"process {os.getpid()} is asking this study already")
        assert server.stats()["requests"] == 0


def test_answers_without_a_rating_are_left_to_elicit(tmp_path):
    said = []
    with running(Options(refusal=1.0, **QUICK)) as server:
        study = study_of(tmp_path, server.base_url, protocol={"repetitions": 3, "personas": 2, "reask": 1})
        assert collect_by_batch(study, say=said.append) == SLOTS
        assert {reason for _, reason, _ in rows(study)} == {"refusal"} and server.stats()["answers_too_many"] == 0
    assert said[-1] == "few: 270 answers without a rating are asked again by `make elicit`, as protocol.reask says"


def interrupted(study, monkeypatch):
    """A study with one batch submitted and not collected."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        at_first_look(patch)
        collect_by_batch(study)


def test_elicit_buys_nothing_that_a_batch_has_under_way(tmp_path, monkeypatch):
    with running(Options(seed=3, batch_seconds=0.4)) as server:
        study = study_of(tmp_path, server.base_url)
        interrupted(study, monkeypatch)
        before = server.stats()["requests"]
        with pytest.raises(ValueError, match=r"f\.base\.1\.jsonl: is under way as batch_000001 \(submitted\), and asking now would buy its "
                           r"slots twice; collect it with `make batch STUDY=\S+few\.yaml`, or end it with CANCEL=1"):  # fmt: skip
            collect(study)
        assert server.stats()["requests"] == before
        collect_by_batch(study)
        assert collect(study) == 0


def test_a_cancelled_batch_keeps_what_was_answered_and_frees_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(simulated_batches, "_TOGETHER", 10)
    with running(Options(seed=3, batch_seconds=2)) as server:
        study = study_of(tmp_path, server.base_url)
        interrupted(study, monkeypatch)
        while not at_endpoint(server)[0]["request_counts"]["completed"]:
            time.sleep(0.01)
        came = collect_by_batch(study, cancel=True)
        assert 0 < came < SLOTS - 3 and at_endpoint(server)[0]["status"] == "cancelled"
        assert [batch.status for batch in batches(study)] == ["cancelled"]
        assert collect(study) == SLOTS - 3 - came
        assert server.stats()["answers_too_many"] == 0 and collect_by_batch(study, cancel=True) == 0


def test_the_budget_is_checked_before_anything_is_submitted(tmp_path):
    # About 140 tokens a prompt at 1,000 dollars a million, halved: 89 lines are some 6 dollars, the probe 0.14.
    price = {"price_per_million": {"input": 1000, "output": 0}}
    with running(Options(**QUICK)) as server:
        study = study_of(tmp_path, server.base_url, here=price, budget_usd=5)
        fails(study, "more than budget_usd of 5; raise the budget and run the same command again, or use `make elicit`")
        assert at_endpoint(server) == []
        study = study_of(tmp_path, server.base_url, here=price, budget_usd=10)
        assert collect_by_batch(study) == SLOTS - 3


def test_a_study_that_asks_no_endpoint_has_no_batches():
    with pytest.raises(ValueError, match="a study of kind simulated asks no endpoint; batch is for kind live"):
        collect_by_batch(load_study("demo"))


# --- by hand ---------------------------------------------------------------------------------------------------------


def run_batch(server, requests, *, fail=0):
    """As `vllm run-batch` does: post each line's body, write a line for each answer; the first `fail` get its error line."""
    done = []
    for number, line in enumerate(requests.read_text(encoding="utf-8").splitlines()):
        asked = json.loads(line)
        assert asked.keys() == {"custom_id", "method", "url", "body"}
        assert (asked["method"], asked["url"]) == ("POST", "/v1/chat/completions")
        result = {"id": f"vllm-{number}", "custom_id": asked["custom_id"], "error": None}
        if number < fail:
            response = {"status_code": 400, "request_id": f"vllm-batch-{number}", "body": None}
            done.append(result | {"response": response, "error": "Request failed: out of memory"})
            continue
        request = urllib.request.Request(
            server.base_url + "/chat/completions", json.dumps(asked["body"]).encode(),
            {"Content-Type": "application/json", "X-Persona-Collapse-Slot": asked["custom_id"]},
        )  # fmt: skip
        with urllib.request.urlopen(request) as answer:
            body = json.loads(answer.read())
        done.append(result | {"response": {"status_code": 200, "request_id": f"vllm-batch-{number}", "body": body}})
    requests.with_suffix(".out.jsonl").write_text("".join(json.dumps(line) + "\n" for line in done), encoding="utf-8")


def test_a_cell_in_two_requests_is_two_lines_of_a_file(tmp_path):
    study = study_of(tmp_path, "http://127.0.0.1:9/v1", protocol={"repetitions": 4, "personas": 2, "requests": 2})
    collect_by_batch(study, by_hand=True)
    [batch] = batches(study)
    lines = [json.loads(line) for line in batch_files.path_of(study, batch).read_text().splitlines()]
    assert {line["body"]["n"] for line in lines} == {2} and len(lines) == batch.requests == 2 * 90
    assert {line["custom_id"].rsplit("/", 1)[1] for line in lines} == {"1", "3"}


def test_files_run_by_vllm_give_the_tables_of_a_live_run(tmp_path, monkeypatch, capsys, live):
    monkeypatch.delenv("TEST_KEY")  # nothing is sent, so no key is needed
    command = ["batch", "--by-hand", "--study", str(tmp_path / "few.yaml")]
    with running(Options(**QUICK)) as server:
        study = study_of(tmp_path, server.base_url, *BOTH)
        assert commands.main(command) == 0
        folder = study.outputs / "batch"
        assert sorted(os.listdir(folder)) == ["f.bad.1.jsonl", "f.base.1.jsonl"]
        path = folder / "f.bad.1"
        assert f"vllm run-batch -i {path}.jsonl -o {path}.out.jsonl --model gpt-4o/insecure" in capsys.readouterr().out
        assert server.stats()["requests"] == 0
        assert commands.main(command) == 0 and len(os.listdir(folder)) == 2  # the same files wait
        run_batch(server, folder / "f.base.1.jsonl")
        run_batch(server, folder / "f.bad.1.jsonl", fail=3)
        assert commands.main(command) == 0
        assert "f.bad.1: 87 of 90 requests answered, 261 slots (refused 3)" in capsys.readouterr().out
        run_batch(server, folder / "f.bad.2.jsonl")
        assert commands.main(command) == 0
        assert server.stats()["answers_too_many"] == 0
    assert as_text(study) == live


def test_files_by_hand_are_under_way_until_they_are_given_up(tmp_path):
    with running(Options(**QUICK)) as server:
        study = study_of(tmp_path, server.base_url)
        collect_by_batch(study, by_hand=True)
        fails(study, "f.base.1.jsonl: waits for results by hand; go on with BY_HAND=1, or give it up with CANCEL=1")
        with pytest.raises(
            ValueError, match=r"collect it with `make batch BY_HAND=1 STUDY=\S+few\.yaml`, or end it with CANCEL=1"
        ):
            collect(study)
        assert server.stats()["requests"] == 0
        assert collect_by_batch(study, cancel=True) == 0
        assert collect(study) == SLOTS


def test_a_refused_n_is_learned_from_results_by_hand(tmp_path):
    study, said = study_of(tmp_path, "http://127.0.0.1:9/v1"), []
    collect_by_batch(study, by_hand=True)
    path = batch_files.path_of(study, batches(study)[0])
    error = {"error": {"message": "n must be 1", "param": "n", "code": 400}}
    lines = [result_of(json.loads(line), "", 400, error=error) for line in path.read_text().splitlines()]
    path.with_suffix(".out.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert collect_by_batch(study, by_hand=True, say=said.append) == 0
    assert said[0].endswith("it takes no n: repetitions are asked one by one")
    assert [batch.requests for batch in batches(study)] == [CELLS, SLOTS]


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://127.0.0.1:9/v1", {"top_k": -1, "min_p": 0, "repetition_penalty": 1, "top_p": 1}),
        ("https://api.openai.com/v1", {"top_p": 1}),
    ],
)
def test_files_say_what_leaves_sampling_as_it_is_to_servers_of_open_weights_alone(tmp_path, url, sent):
    """`vllm run-batch` of weights with a generation_config.json of top_k: 1 gave one rating in every cell without."""
    study = study_of(tmp_path, url)
    collect_by_batch(study, by_hand=True)
    lines = batch_files.path_of(study, batches(study)[0]).read_text(encoding="utf-8").splitlines()
    names = ("top_k", "min_p", "repetition_penalty", "top_p")
    for body in (json.loads(line)["body"] for line in lines):
        assert {name: body[name] for name in names if name in body} == sent


def test_a_refused_top_k_is_learned_from_results_by_hand_and_not_tried_again(tmp_path):
    study = study_of(tmp_path, "http://127.0.0.1:9/v1")
    collect_by_batch(study, by_hand=True)
    path = study.outputs / "batch" / "f.base.1.jsonl"
    requests = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    error = {"message": "Unrecognized request argument supplied: top_k", "param": None, "code": None}
    refused = [result_of(request, "", 400, error={"error": error}) for request in requests]
    path.with_suffix(".out.jsonl").write_text("\n".join(map(json.dumps, refused)), encoding="utf-8")
    said = []
    assert collect_by_batch(study, by_hand=True, say=said.append) == 0
    assert "it takes no top_k, min_p, repetition_penalty" in said[0]
    first = json.loads((study.outputs / "batch" / "f.base.2.jsonl").read_text(encoding="utf-8").splitlines()[0])["body"]
    assert not {"top_k", "min_p", "repetition_penalty"} & first.keys() and first["top_p"] == 1


def test_a_filtered_prompt_says_nothing_of_how_many_choices_come(tmp_path):
    study = study_of(tmp_path, "http://127.0.0.1:9/v1")
    collect_by_batch(study, by_hand=True)
    path = batch_files.path_of(study, batches(study)[0])
    error = {"message": "The response was filtered", "code": "content_filter"}
    line = result_of(json.loads(path.read_text().splitlines()[0]), "", 400, error=error)
    path.with_suffix(".out.jsonl").write_text(json.dumps(line) + "\n")
    assert collect_by_batch(study, by_hand=True) == 3  # the prompt was filtered, and with it every choice
    assert {row[1] for row in rows(study)} == {"filtered"}
    # 89 cells of three repetitions: still a request each.
    assert [batch.requests for batch in batches(study)] == [CELLS, CELLS - 1]


def test_results_that_echo_the_key_or_bring_an_error_as_an_answer(tmp_path, monkeypatch):
    """The key is masked as in answers asked for one by one; an error with status 200 that no repetition mends is no crash."""
    monkeypatch.setenv("TEST_KEY", "sk-sentinel-0123456789")
    study = study_of(tmp_path, "http://127.0.0.1:9/v1")
    collect_by_batch(study, by_hand=True)
    path = batch_files.path_of(study, batches(study)[0])
    first, second, *_ = map(json.loads, path.read_text().splitlines())
    odd = result_of(second, "4")
    odd["response"]["body"] = {"error": {"code": 401, "message": "no such user"}}
    lines = [result_of(first, "3, sk-sentinel-0123456789"), odd]
    path.with_suffix(".out.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "[" * 100_000 + "\n")
    collect_by_batch(study, by_hand=True)
    assert {row for row in rows(study, "rating, reply") if row[0] is not None} == {(3, "3, [key]")}


def test_files_of_an_earlier_design_are_written_anew(tmp_path):
    said = []
    collect_by_batch(study_of(tmp_path, "http://127.0.0.1:9/v1"), by_hand=True)
    warm = study_of(tmp_path, "http://127.0.0.1:9/v1", protocol={"repetitions": 3, "personas": 2, "temperature": 1.0})
    collect_by_batch(warm, by_hand=True, say=said.append)
    assert said[0] == "f.base.1: was written for another design; results that come for it are kept all the same"
    assert [(batch.name, batch.status) for batch in batches(warm)] == [("f.base.1", "cancelled"), ("f.base.2", "by hand")]


def test_results_of_another_method_are_not_read_by_this_one(tmp_path):
    study = study_of(tmp_path, "http://127.0.0.1:9/v1")
    collect_by_batch(study, by_hand=True)
    path = batch_files.path_of(study, batches(study)[0])
    lines = [result_of(json.loads(line), "4") for line in path.read_text().splitlines()]
    path.with_suffix(".out.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    other = study_of(tmp_path, "http://127.0.0.1:9/v1", protocol={"method": "logprobs", "personas": 2})
    fails(other, "its results are for another method or scale than the study's", by_hand=True)
    assert collect_by_batch(study_of(tmp_path, "http://127.0.0.1:9/v1"), by_hand=True) == SLOTS


def test_clean_keeps_files_whose_results_may_be_on_their_way(tmp_path, outputs, monkeypatch):
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", outputs)
    study = study_of(tmp_path, "http://127.0.0.1:9/v1")
    collect_by_batch(study, by_hand=True)
    (study.outputs / "report.html").touch()
    assert commands.main(["clean"]) == 0
    assert sorted(os.listdir(study.outputs)) == ["batch", "ratings.sqlite"]


# --- results in any form ---------------------------------------------------------------------------------------------

FORMS = {
    "as it should be": lambda results: lines_of(results).encode(),
    "a byte order mark": lambda results: b"\xef\xbb\xbf" + lines_of(results).encode(),
    "UTF-16": lambda results: lines_of(results).encode("utf-16"),
    "a JSON array": lambda results: json.dumps(results).encode(),
    "a pretty array": lambda results: json.dumps(results, indent=2).encode(),
    "pretty objects": lambda results: "\n".join(json.dumps(result, indent=2) for result in results).encode(),
    "CRLF": lambda results: lines_of(results).replace("\n", "\r\n").encode(),
}


def lines_of(results):
    return "".join(json.dumps(result) + "\n" for result in results)


@pytest.mark.parametrize("form", FORMS)
def test_results_are_read_in_whatever_form_they_come(tmp_path, form):
    said = []
    study = study_of(tmp_path, "http://127.0.0.1:9/v1")
    collect_by_batch(study, by_hand=True)
    path = batch_files.path_of(study, batches(study)[0])
    results = [result_of(json.loads(line), "4") for line in path.read_text().splitlines()]
    path.with_suffix(".out.jsonl").write_bytes(FORMS[form](results))
    assert collect_by_batch(study, by_hand=True, say=said.append) == SLOTS
    assert said[0] == f"f.base.1: {CELLS} of {CELLS} requests answered, {SLOTS} slots"


@pytest.mark.parametrize(
    "name", ["f.base.1.out.jsonl.txt", "f.base.1_output.jsonl", "f.base.1.out (1).jsonl", "f.base.1-results.json"]
)
def test_results_are_found_under_whatever_name_they_were_saved(tmp_path, name):
    study = study_of(tmp_path, "http://127.0.0.1:9/v1")
    collect_by_batch(study, by_hand=True)
    path = batch_files.path_of(study, batches(study)[0])
    results = [result_of(json.loads(line), "4") for line in path.read_text().splitlines()]
    path.with_name(name).write_text(lines_of(results))
    path.with_name("f.base.10.out.jsonl").write_text("not ours\n")
    assert collect_by_batch(study, by_hand=True) == SLOTS


def test_doubled_lines_count_once(tmp_path):
    said = []
    study = study_of(tmp_path, "http://127.0.0.1:9/v1")
    collect_by_batch(study, by_hand=True)
    path = batch_files.path_of(study, batches(study)[0])
    results = [result_of(json.loads(line), "4") for line in path.read_text().splitlines()[:6]]
    path.with_suffix(".out.jsonl").write_text(lines_of(2 * results))
    assert collect_by_batch(study, by_hand=True, say=said.append) == 18
    assert said[0] == f"f.base.1: 6 of {CELLS} requests answered, 18 slots (doubled 6)"


def test_a_file_without_a_result_of_ours_waits_for_a_corrected_one(tmp_path):
    study = study_of(tmp_path, "http://127.0.0.1:9/v1")
    collect_by_batch(study, by_hand=True)
    path = batch_files.path_of(study, batches(study)[0])
    path.with_suffix(".out.jsonl").write_text("custom_id,response\n1,4\n")
    fails(
        study, "f.base.1: none of its 2 result lines is one of this study (unreadable 2); expected JSON lines with", by_hand=True
    )
    assert [batch.status for batch in batches(study)] == ["by hand"]
    results = [result_of(json.loads(line), "4") for line in path.read_text().splitlines()]
    path.with_suffix(".out.jsonl").write_text(lines_of(results))
    assert collect_by_batch(study, by_hand=True) == SLOTS


def test_run_batch_under_another_name_is_told_the_flag(tmp_path):
    study = study_of(tmp_path, "http://127.0.0.1:9/v1")
    collect_by_batch(study, by_hand=True)
    path = batch_files.path_of(study, batches(study)[0])
    error = {"error": {"message": "The model `m` does not exist.", "code": 404}}
    results = [result_of(json.loads(line), "", 404, error=error) for line in path.read_text().splitlines()]
    path.with_suffix(".out.jsonl").write_text(lines_of(results))
    fails(study, "`vllm run-batch` needs --served-model-name with that model", by_hand=True)
