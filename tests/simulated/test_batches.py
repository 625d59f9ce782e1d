"""Files and batches of the simulated endpoint, asked by the openai SDK."""

import json
import time

import openai
import pytest

from persona_collapse.simulated import batches
from persona_collapse.simulated.faults import Options
from persona_collapse.simulated.server import running
from requests_to import MODEL, ask, texts


def lines(prompt, repetitions, **fields):
    """Batch lines of (persona 3, item 12), each naming its slot in its metadata."""
    for repetition in repetitions:
        slot = f"persona/3/12/{repetition}"
        body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "max_tokens": 1, "temperature": 0.1}
        body |= {"metadata": {"slot": slot}} | fields
        yield {"custom_id": f"line-{repetition}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def jsonl(found):
    return "".join(json.dumps(line) + "\n" for line in found).encode()


def batch_of(client, content, *, until=("completed", "failed", "expired", "cancelled"), **metadata):
    """Send a file, run it as a batch, wait for its end."""
    file = client.files.create(file=("requests.jsonl", content), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata=metadata
    )
    assert batch.status == "validating"
    while batch.status not in until:
        time.sleep(0.02)
        batch = client.batches.retrieve(batch.id)
    return batch


def sdk(server):
    return openai.OpenAI(base_url=server.base_url, api_key="sk-any", max_retries=0)


def content_of(client, name):
    return [json.loads(line) for line in client.files.content(name).text.splitlines()]


def test_a_batch_answers_as_single_requests_do(prompt):
    with running(Options(seed=7, batch_seconds=0.1)) as other, sdk(other) as client:
        batch = batch_of(client, jsonl(lines(prompt, range(1, 41))), study="x")
        assert (batch.status, batch.metadata, batch.error_file_id) == ("completed", {"study": "x"}, None)
        assert batch.request_counts.model_dump() == {"total": 40, "completed": 40, "failed": 0}
        assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at
        found = content_of(client, batch.output_file_id)
        names = [line["custom_id"] for line in found]
        assert sorted(names) == sorted(f"line-{k}" for k in range(1, 41)) and names != [f"line-{k}" for k in range(1, 41)]
        single = texts(ask(other, prompt, slot="persona/3/12/1", n=40))
        said = {line["custom_id"]: texts((0, 0, line["response"]["body"]))[0] for line in found}
        assert [said[f"line-{k}"] for k in range(1, 41)] == single
        assert all(line["response"]["status_code"] == 200 and line["error"] is None for line in found)
        stats = other.stats()
        assert (stats["batch_requests"], stats["requests"], stats["slots_answered_again"]) == (40, 1, 40)


def test_a_custom_id_may_name_the_slot(prompt):
    (line,) = lines(prompt, [3], metadata=None)
    line["custom_id"] = "gpt-4o/base/persona/3/12/3"
    with running(Options(batch_seconds=0.05)) as other, sdk(other) as client:
        batch_of(client, jsonl([line]))
        assert other.stats()["slots_answered"] == 1


def test_failing_requests_of_a_batch_are_in_its_error_file(prompt):
    wrong = next(lines(prompt, [99], n=0))
    with running(Options(batch_seconds=0.05, batch_errors=0.5)) as other, sdk(other) as client:
        batch = batch_of(client, jsonl([*lines(prompt, range(1, 61)), wrong]))
        done, failed = content_of(client, batch.output_file_id), content_of(client, batch.error_file_id)
    assert batch.status == "completed" and batch.request_counts.failed == len(failed)
    assert len(done) + len(failed) == 61 and 10 < len(failed) < 52
    assert {line["response"]["status_code"] for line in failed} <= {500, 400}
    assert all(line["response"]["body"]["error"]["message"] for line in failed)


def test_a_batch_that_expires_keeps_what_is_finished(prompt):
    with running(Options(batch_seconds=0.05, batch_expires=0.25)) as other, sdk(other) as client:
        batch = batch_of(client, jsonl(lines(prompt, range(1, 41))))
        done, missed = content_of(client, batch.output_file_id), content_of(client, batch.error_file_id)
    assert (batch.status, len(done), len(missed)) == ("expired", 10, 30)
    assert {line["error"]["code"] for line in missed} == {"batch_expired"}
    assert len({line["custom_id"] for line in done + missed}) == 40


def test_a_batch_can_be_cancelled(prompt):
    with running(Options(batch_seconds=0.6)) as other, sdk(other) as client:
        batch = batch_of(client, jsonl(lines(prompt, range(1, 251))), until=("in_progress",))
        assert client.batches.cancel(batch.id).status == "cancelling"
        while (batch := client.batches.retrieve(batch.id)).status == "cancelling":
            time.sleep(0.02)
        assert batch.status == "cancelled" and batch.request_counts.completed < 250
        with pytest.raises(openai.ConflictError, match="Cannot cancel a batch with status 'cancelled'"):
            client.batches.cancel(batch.id)


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        (lambda found: found[1].update(custom_id="line-1"), "duplicate_custom_id", 2),
        (lambda found: found[2].update(url="/v1/embeddings"), "url_mismatch", 3),
        (lambda found: found[2]["body"].update(model="gpt-4.1/base"), "model_mismatch", 3),
        (lambda found: found[0].update(headers={}), "unknown_parameter", 1),
        (lambda found: found[0].pop("method"), "invalid_request", 1),
    ],
)
def test_a_batch_with_a_wrong_line_fails(prompt, change, code, line):
    found = list(lines(prompt, (1, 2, 3)))
    change(found)
    with running(Options(batch_seconds=0.02)) as other, sdk(other) as client:
        batch = batch_of(client, jsonl(found))
        (error,) = batch.errors.data
        assert (batch.status, error.code, error.line) == ("failed", code, line)
        assert batch.output_file_id is None and other.stats()["batch_requests"] == 0


def test_a_batch_of_a_torn_or_empty_file_fails(prompt):
    with running(Options(batch_seconds=0.02)) as other, sdk(other) as client:
        torn = batch_of(client, jsonl(lines(prompt, (1, 2)))[:-20])
        assert [(e.code, e.line) for e in torn.errors.data] == [("invalid_json_line", 2)]
        assert [e.code for e in batch_of(client, b"").errors.data] == ["empty_file"]


def test_batches_are_listed_newest_first_in_pages(prompt):
    with running(Options(batch_seconds=0)) as other, sdk(other) as client:
        made = [batch_of(client, jsonl(lines(prompt, [k]))).id for k in range(1, 6)]
        page = client.batches.list(limit=2)
        assert ([batch.id for batch in page.data], page.has_more) == (made[:-3:-1], True)
        assert [batch.id for batch in client.batches.list(limit=2)] == made[::-1]  # the SDK turns the pages
        assert [batch.id for batch in client.batches.list(after=made[1])] == made[:1]
        with pytest.raises(openai.NotFoundError):
            client.batches.retrieve("batch_x")


def test_files_and_their_limits(prompt, monkeypatch):
    with running() as other, sdk(other) as client:
        file = client.files.create(file=("a.jsonl", b"{}\n"), purpose="batch")
        assert (file.filename, file.bytes, file.purpose) == ("a.jsonl", 3, "batch")
        assert client.files.retrieve(file.id) == file and [f.id for f in client.files.list()] == [file.id]
        assert client.files.content(file.id).content == b"{}\n"
        with pytest.raises(openai.NotFoundError):
            client.files.content("file-x")
        monkeypatch.setattr(batches, "MOST_REQUESTS", 2)
        with pytest.raises(openai.BadRequestError, match="holds 3 requests"):
            client.files.create(file=("b.jsonl", b"{}\n{}\n{}"), purpose="batch")
        monkeypatch.setattr(batches, "MOST_BYTES", 2)
        with pytest.raises(openai.BadRequestError, match="too large"):
            client.files.create(file=("b.jsonl", b"{}\n"), purpose="batch")
        with pytest.raises(openai.BadRequestError, match="input_file_id"):
            client.batches.create(input_file_id="file-x", endpoint="/v1/chat/completions", completion_window="24h")
