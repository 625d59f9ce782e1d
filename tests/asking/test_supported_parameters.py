"""Endpoints that are wrong, poor or odd, through the command line: one clear line, few requests, nothing made up."""

import json

import pytest

from live import KEY, command, live, rows, traffic, variant
from loopback import answer, failure, serve
from persona_collapse import __main__ as commands
from persona_collapse.asking import backoff
from persona_collapse.asking.collect import collect
from persona_collapse.asking.dialect_openai import ElicitationError
from persona_collapse.asking.supported_parameters import recall
from persona_collapse.simulated.faults import Options
from persona_collapse.simulated.server import running
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.quality import run_quality

CELLS = 90
FIVE = {"repetitions": 5}
LOGPROBS = {"method": "logprobs"}


@pytest.fixture(autouse=True)
def quick(monkeypatch, outputs):
    monkeypatch.setattr(backoff, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("TEST_KEY", KEY)


def elicit(study, capsys):
    """`python -m persona_collapse elicit`: its status, what it printed after the estimate, and its only line of error."""
    capsys.readouterr()
    status = commands.main(["elicit", "--study", str(study.path)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out and KEY not in captured.err + captured.out
    lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == (status != 0)
    assert "`make estimate` sets other ways beside it" in captured.out  # before the first request
    return status, captured.out.split("sets other ways beside it\n")[1], lines[0].removeprefix("error: ") if lines else ""


def known(study):
    with open_store(study.store_path) as store:
        return recall(store, study.file.endpoints["here"], "gpt-4o/base")


# --- one line, and what to do ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "changes", "requests", "line"),
    [
        ({"key": "sk-another-key"}, {}, 1,
         "gpt-4o/base: the endpoint refused the key (status 401); check the variable named by api_key_env and its rights"),
        ({}, {"variants": [variant(model="gpt-5o")]}, 1,
         "gpt-5o: the endpoint knows no such model (status 404); check model, base_url/models lists them"),
        ({"quota": 0}, {}, 1, "gpt-4o/base: the account's quota is used up; top it up and run the same command again"),
        ({"html": 1}, {}, 2,
         "gpt-4o/base: the first request got no answer (the answer is an HTML page); check base_url and that the server runs, "
         "then run the same command again"),
        ({"html": 1, "html_status": 404}, {}, 1,
         "gpt-4o/base: the endpoint knows no such path or model (status 404); check base_url, which mostly ends in /v1, and model"),
        ({"html": 1, "html_status": 405}, {}, 1,
         "gpt-4o/base: the endpoint answers no chat completions there (status 405); correct base_url"),
        ({"never": 1}, {"endpoint": {"timeout": 0.3}}, 2,
         "gpt-4o/base: the first request got no answer (no answer within 0.3 s); check base_url and that the server runs, "
         "then run the same command again"),
        ({"dropped": 1}, {}, 2,
         "gpt-4o/base: the first request got no answer (the connection failed (ServerDisconnectedError)); check base_url and "
         "that the server runs, then run the same command again"),
        ({"temperature": "rejected", "max_tokens": "rejected"}, {"protocol": FIVE}, 2,
         "gpt-4o/base: the endpoint refused the parameter temperature (status 400); set protocol.temperature to the value that it "
         "takes (reasoning models: 1), for the whole study, or leave the model out; nothing was dropped silently"),
        ({"logprobs": "rejected"}, {"protocol": LOGPROBS}, 1,
         "gpt-4o/base: the endpoint refused the parameter logprobs (status 400); set protocol.method: samples; "
         "nothing was dropped silently"),
        ({"logprobs": "forbidden"}, {"protocol": LOGPROBS}, 1,
         "gpt-4o/base: the endpoint refused the parameter logprobs (status 403); set protocol.method: samples; "
         "nothing was dropped silently"),
        ({"logprobs": "absent"}, {"protocol": LOGPROBS}, 1,
         "gpt-4o/base: the endpoint gave no logprobs, or placeholders (0 alternatives of the first token); set protocol.method: "
         "samples, or ask an endpoint that gives them"),
        ({"logprobs": "placeholder"}, {"protocol": LOGPROBS}, 1,
         "gpt-4o/base: the endpoint gave no logprobs, or placeholders (1 alternatives of the first token); set protocol.method: "
         "samples, or ask an endpoint that gives them"),
    ],
    ids=["key", "model", "quota", "html", "html-404", "html-405", "never", "dropped", "reasoning", "no-logprobs",
         "forbidden-logprobs", "absent-logprobs", "placeholders"],
)  # fmt: skip
def test_what_ends_at_the_start_is_one_line_after_at_most_three_requests(tmp_path, capsys, options, changes, requests, line):
    with running(Options(**options)) as server:
        study = live(tmp_path, server.base_url, **changes)
        assert elicit(study, capsys)[::2] == (1, line)
        assert server.stats()["requests"] == requests <= 3
        assert server.stats()["after_permanent"] == 0


def test_an_address_that_is_none(tmp_path, capsys):
    study = live(tmp_path, "http://127.0.0.1:x/v1")
    assert elicit(study, capsys)[2] == "http://127.0.0.1:x/v1: is no address of a server; correct base_url"


def test_a_key_that_can_be_none(tmp_path, capsys, monkeypatch):
    """A letter that no header can hold, as when an environment variable holds prose; a line end around a key is no matter."""
    study = live(tmp_path, "http://127.0.0.1:9/v1")
    monkeypatch.setenv("TEST_KEY", "clé d'accès")
    assert elicit(study, capsys)[2] == "TEST_KEY: is empty or holds characters that no key has; export the key again"
    monkeypatch.setenv("TEST_KEY", f"{KEY}\r\n")
    with running(Options(key=KEY)) as server:
        assert collect(live(tmp_path, server.base_url)) == CELLS


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        ((302, b"", {"Location": "/login?key=k"}),
         "m: the address of the endpoint redirects to '/login' (status 302), and a key goes to no other address; correct base_url: "
         "to that address if it is the API, to the API's own if it is a page to log in"),
        ((302, b""), "m: the endpoint answers no chat completions there (status 302); correct base_url"),
        ((204, b""), "m: the first request got no answer (the answer is no JSON); check base_url and that the server runs, then "
                     "run the same command again"),
        ((200, {"error": {"code": 401, "message": "User not found."}}),
         "m: the endpoint refused the key (status 401); check the variable named by api_key_env and its rights"),
        ((200, {"error": {"code": "402", "message": "Insufficient credits"}}),
         "m: the account's quota is used up; top it up and run the same command again"),
    ],
    ids=["redirect", "redirect-nowhere", "no-content", "gateway-key", "gateway-credits"],
)  # fmt: skip
def test_odd_answers_at_the_start(tmp_path, capsys, reply, line):
    with serve(lambda request: reply) as (url, requests):
        status, _, found = elicit(live(tmp_path, url, variants=[variant(model="m")]), capsys)
    assert (status, found) == (1, line)
    assert len(requests) <= 2


@pytest.mark.slow
def test_a_parameter_that_is_refused_later_stops_and_is_asked_anew_next_time(tmp_path, capsys):
    """The endpoint gave five choices and takes none any more: the next visit learns that, and nothing is asked twice."""
    broken = [False]

    def respond(request):
        if request.get("n", 1) > 1 and (broken[0] or request.number > 10):
            broken[0] = True
            return failure(400, message="n is not supported")
        return answer("3", n=request.get("n", 1))

    with serve(respond) as (url, _):
        study = live(tmp_path, url, protocol=FIVE, endpoint={"max_in_flight": 1})
        status, _, line = elicit(study, capsys)
        assert (status, line) == (
            1,
            "gpt-4o/base: the endpoint refused the parameter n (status 400); set protocol.repetitions lower, or run the same "
            "command again, which asks what the endpoint takes; nothing was dropped silently",
        )
        assert len(rows(study)) == 50
        assert elicit(study, capsys)[0] == 0
    assert len(rows(study)) == 5 * CELLS and {rating for rating, _ in rows(study)} == {3}


def test_the_last_line_and_the_status_say_what_is_left(tmp_path, capsys):
    """Two slots that always fail: the rest is kept, the status is 1, and the next visit asks for the two alone."""
    broken = ["persona/0/2/1", "persona/1/3/1"]
    with serve(lambda request: failure(500) if request.slot in broken else answer("3")) as (url, requests):
        study = live(tmp_path, url)
        status, _, line = elicit(study, capsys)
        assert status == 1 and line.endswith(
            "ratings.sqlite: 2 slots got no answer that counts, see quality.csv or 01_elicit for the reasons; "
            "run the same command again, which asks only for them"
        )
        assert len(rows(study, "1", "slots WHERE rating = 3")) == 88
        del broken[:], requests[:]
        status, said, _ = elicit(study, capsys)
        assert status == 0 and said.endswith("ratings.sqlite: 2 ratings asked for\n") and len(requests) == 2


# --- poor, but of use ------------------------------------------------------------------------------------------------


def test_a_reasoning_model_gets_its_own_name_for_the_limit_and_the_record_says_so(tmp_path):
    with running(Options(max_tokens="rejected", temperature="rejected")) as server:
        study = live(tmp_path, server.base_url, protocol={"temperature": 1.0})
        assert collect(study) == CELLS
        seen = server.seen()
    assert len(seen) == CELLS + 1
    assert [("max_tokens" in r, "max_completion_tokens" in r) for r in seen] == [(True, False)] + CELLS * [(False, True)]
    assert known(study).limit == "max_completion_tokens"


@pytest.mark.parametrize(("options", "requests", "choices"), [
    ({}, CELLS, 5),
    ({"n": "ignored"}, 5 * CELLS, 1),
    ({"n": "rejected"}, 5 * CELLS + 1, 1),
])  # fmt: skip
@pytest.mark.slow
def test_with_and_without_n_the_ratings_are_the_same(tmp_path, options, requests, choices):
    with running(Options(seed=5, **options)) as server:
        study = live(tmp_path, server.base_url, protocol=FIVE)
        assert collect(study) == 5 * CELLS
        assert server.stats()["requests"] == requests and server.stats()["answers_too_many"] == 0
    assert known(study).choices == choices
    content = {
        "title": "S", "kind": "simulated", "seed": 5, "protocol": FIVE | {"personas": 2},
        "families": [{"key": "gpt-4o", "variants": [{"key": "base", "role": "base", "figures": "gpt-4o/base"}]}],
    }  # fmt: skip
    simulated = tmp_path / "simulated.yaml"
    simulated.write_text(json.dumps(content))
    other = load_study(simulated)
    collect(other)
    # The endpoint calls a run by its model's name, which here is family and variant as well.
    columns = "condition, persona, item, repetition, rating"
    assert sorted(rows(study, columns), key=str) == sorted(rows(other, columns), key=str)


def test_a_wrong_number_of_choices_fills_every_slot_once(tmp_path):
    """Half of the answers bring one choice too few or too many: what is missing is asked for, what is too many is left."""
    with running(Options(wrong_count=0.5)) as server:
        study = live(tmp_path, server.base_url, protocol=FIVE)
        assert collect(study) == 5 * CELLS
        stats = server.stats()
    assert {reason for _, reason in rows(study)} == {None}
    assert CELLS < stats["requests"] <= 3 * CELLS


def test_a_model_that_is_not_listed_is_asked_all_the_same(tmp_path, capsys):
    with running(Options(unlisted="gpt-4o/base", shutdown_date="2027-01-14")) as server:
        status, said, _ = elicit(live(tmp_path, server.base_url), capsys)
    assert status == 0
    assert "live: gpt-4o/base: is not in the endpoint's list of models; it was asked all the same" in said
    with running(Options(shutdown_date="2027-01-14")) as server:
        said = elicit(live(tmp_path, server.base_url, name="listed"), capsys)[1]
    assert "gpt-4o/base: the endpoint will shut it down on 2027-01-14; what is not asked by then is lost" in said


@pytest.mark.parametrize(
    "message",
    [
        {"code": "content_filter", "message": "The response was filtered due to the prompt triggering Azure OpenAI's content "
         "management policy."},
        {"code": "invalid_request_error", "message": "Content Exists Risk"},
        {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."},
    ],
    ids=["azure", "deepseek", "alibaba"],
)  # fmt: skip
def test_a_prompt_that_is_filtered_with_an_error_counts_as_filtered(tmp_path, message):
    def respond(request):
        return (400, {"error": message}) if request.slot == "persona/0/2/1" else answer("3", n=5)

    with serve(respond) as (url, requests):
        study = live(tmp_path, url, protocol=FIVE)
        assert collect(study) == 5 * CELLS
    # The prompt was filtered, and with it every choice.
    assert rows(study, "persona, item, reason, reply", "ratings WHERE rating IS NULL") == 5 * [(0, 2, "filtered", None)]
    assert len(requests) == CELLS


def test_errors_of_the_server_behind_a_gateway_are_transport(tmp_path):
    """As OpenRouter passes them on, with status 200: an error in place of the answer, or in place of one of its choices."""
    seen = []

    def respond(request):
        seen.append(request.slot)
        first = seen.count(request.slot) == 1
        if first and request.slot == "persona/0/2/1":
            return 200, {"error": {"code": 429, "message": "Rate limit exceeded"}}, {"Retry-After": "0.05"}
        status, body = answer("3", n=request.get("n", 1))
        if first and request.slot == "persona/0/4/1":
            body["choices"][1] |= {"finish_reason": "error", "error": {"code": 502}, "message": {"content": ""}}
        if first and request.slot == "persona/0/6/1":
            body["choices"] = [{"index": 0, "finish_reason": "error", "message": {"content": ""}}]
        return status, body

    with serve(respond) as (url, _):
        study = live(tmp_path, url, protocol=FIVE)
        assert collect(study) == 5 * CELLS
    assert set(rows(study)) == {(3, None)}
    assert traffic(study) == {"answered": CELLS + 1, "limited": 1, "server": 1}


# --- logprobs --------------------------------------------------------------------------------------------------------


def test_logprobs_are_those_of_the_simulated_study_of_the_same_seed(tmp_path):
    """One request a cell; the cells' probabilities are the simulated study's, and tables build."""
    models = [variant(), variant("insecure", "harmful", model="gpt-4o/insecure")]
    with running(Options(seed=5)) as server:
        study = live(tmp_path, server.base_url, variants=models, protocol=LOGPROBS)
        assert collect(study) == 2 * CELLS
        assert server.stats()["requests"] == 2 * CELLS + 3 * 30  # the base twice and the fine-tune once, to compare them
        assert {(r["temperature"], r["max_tokens"], r["top_logprobs"]) for r in server.seen()} == {(1.0, 1, 20)}
    content = {
        "title": "S", "kind": "simulated", "seed": 5, "protocol": LOGPROBS | {"personas": 2},
        "families": [{"key": "gpt-4o", "variants": [
            {"key": m["key"], "role": m["role"], "figures": m["model"]} for m in models]}],
    }  # fmt: skip
    path = tmp_path / "simulated.yaml"
    path.write_text(json.dumps(content))
    other = load_study(path)
    collect(other)
    columns = "variant, condition, persona, item, rating, reason"
    assert sorted(rows(study, columns), key=str) == sorted(rows(other, columns), key=str)
    with open_store(study.store_path) as mine, open_store(other.store_path) as theirs:
        for run, same in zip(study.runs, other.runs, strict=True):
            # The endpoint's chatter takes 0.02 of the first token and rounds nothing; cells are normalised.
            assert read_ratings(study, mine).counts(run, "persona") == pytest.approx(
                read_ratings(other, theirs).counts(same, "persona"), abs=1e-5
            )
            assert read_ratings(study, mine).of(run, "self").offered.mass == pytest.approx(0.98)
        found = Tables(read_ratings(study, mine))
    assert found.temperature is not None and len(found.temperature)
    assert found.metrics["value"].notna().all()
    assert known(study).alternatives == 10  # six digits and four ways of saying something else


def test_cells_with_little_mass_on_the_scale_are_not_used(tmp_path):
    """At 0.4 of the first token no cell is used, and the reason is counted; at 0.6 every one is."""
    for mass, expected in ((0.4, "low_mass"), (0.6, None)):
        with running(Options(digit_mass=mass)) as server:
            study = live(tmp_path, server.base_url, name=f"mass-{mass}".replace(".", "-"), protocol=LOGPROBS)
            assert collect(study) == CELLS
            assert collect(study) == 0  # an answer that the model gave is kept
        assert {reason for _, reason in rows(study)} == {expected}
        with open_store(study.store_path) as store:
            quality = run_quality(read_ratings(study, store), study.runs[0])
        assert quality["low_mass"].sum() == (CELLS if expected else 0) and quality["valid"].sum() == (0 if expected else CELLS)


def test_an_endpoint_that_gives_five_logprobs_at_most(tmp_path):
    """Five come, whatever is asked: kept, with the digits outside of them bounded."""
    with running(Options(most_logprobs=5)) as server:
        study = live(tmp_path, server.base_url, protocol=LOGPROBS)
        assert collect(study) == CELLS
    assert known(study).alternatives == 5
    with open_store(study.store_path) as store:
        found = read_ratings(study, store).of(study.runs[0], "persona").offered
        assert found.used.all() and (found.missing.sum(axis=-1) >= 1).all()


def test_an_endpoint_that_refuses_more_than_five_logprobs_is_asked_for_five(tmp_path):
    def respond(request):
        if request["top_logprobs"] > 5:
            return failure(400, message="top_logprobs must be at most 5")
        status, body = answer("3")
        top = [{"token": str(k), "logprob": -1.0 - k} for k in range(5)]
        body["choices"][0]["logprobs"] = {"content": [top[3] | {"top_logprobs": top}]}
        return status, body

    with serve(respond) as (url, requests):
        study = live(tmp_path, url, protocol=LOGPROBS)
        assert collect(study) == CELLS
    assert [request["top_logprobs"] for request in requests] == [20] + CELLS * [5]


# --- keys ------------------------------------------------------------------------------------------------------------


def pieces(key, length=8):
    return [key[i : i + length] for i in range(len(key) - length + 1)]


@pytest.mark.slow
def test_the_key_is_nowhere_after_a_refusal_that_echoes_it(tmp_path, outputs):
    """A 401 in the middle that says the key, with and without --debug: not a piece of it in output, store or journal."""
    with running(Options(key_until=30)) as server:
        study = live(tmp_path, server.base_url)
        for debug in ([], ["--debug"]):
            process = command(outputs, "elicit", "--study", study.path, *debug)
            said = "".join(process.communicate(timeout=60))
            assert process.returncode == 1 and "the endpoint refused the key (status 401)" in said
            assert ("Traceback" in said) == bool(debug)
            assert not [piece for piece in pieces(KEY) if piece in said]
    for path in outputs.rglob("*"):
        assert not path.is_file() or not [p for p in pieces(KEY) if p.encode() in path.read_bytes()]


def test_the_key_is_nowhere_after_an_answer_that_echoes_it(tmp_path, outputs):
    """Text, model, provider, finish reason, id, a token of the logprobs: the store says [key] in its place."""

    def respond(request):
        status, body = answer(f"3. Your key is {KEY}; {KEY[4:16]} again", model=f"m {KEY}", finish_reason=KEY)
        return status, body | {"provider": f"p {KEY[:-3]}"}, {"x-request-id": f"{request.number}-{KEY}"}

    with serve(respond) as (url, _):
        study = live(tmp_path, url)
        assert collect(study) == CELLS
    assert set(rows(study, "rating, reply, served_model, provider, finish_reason")) == {
        (3, "3. Your key is [key]; [key] again", "m [key]", "p [key]", "[key]")
    }
    for path in outputs.rglob("*"):
        assert not path.is_file() or not [p for p in pieces(KEY) if p.encode() in path.read_bytes()]


@pytest.mark.slow
def test_the_key_is_in_no_notebook_after_a_refusal_that_echoes_it(tmp_path, monkeypatch):
    """A notebook that asks keeps its traceback: no piece of the key is in it."""
    import nbformat

    from persona_collapse.report import run_notebooks
    from persona_collapse.report.run_notebooks import Job, NotebookError, execute

    monkeypatch.setattr(run_notebooks, "NOTEBOOKS", tmp_path)
    with serve(lambda request: failure(401, message=f"Incorrect API key provided: {KEY}")) as (url, _):
        study = live(tmp_path, url)
        sources = [
            "study = 'x'",
            "from pathlib import Path\n\nimport persona_collapse.paths\n\n"
            f"persona_collapse.paths.OUTPUTS = Path({str(tmp_path / 'outputs')!r})\n"
            "from persona_collapse.asking.collect import open_run\n\nopen_run(study, 'gpt-4o', 'base')",
        ]
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        cells[0].metadata["tags"] = ["parameters"]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "ask.ipynb")
        with pytest.raises(NotebookError, match=r"refused the key \(status 401\)"):
            execute(Job(tmp_path / "ask.ipynb", {"study": str(study.path)}, tmp_path / "out" / "ask.ipynb", "r"))
    text = (tmp_path / "out" / "ask.failed.ipynb").read_text()
    assert "ElicitationError" in text and not [piece for piece in pieces(KEY) if piece in text]


def test_an_error_later_in_a_study_has_no_endpoints_words_in_its_chain(tmp_path):
    with running(Options(key_until=20)) as server:
        with pytest.raises(ElicitationError) as caught:
            collect(live(tmp_path, server.base_url))
    error, chain = caught.value, []
    while error is not None:
        chain.append(repr(error))
        error = error.__cause__ or error.__context__
    assert KEY not in "".join(chain) and len(chain) == 1
