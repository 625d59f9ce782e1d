"""Files and batches of the simulated endpoint, as the OpenAI Batch API has them; all in memory."""

import asyncio
import json
import random
import time
from typing import Any

from persona_collapse.simulated.completions import ApiError, Completions
from persona_collapse.simulated.faults import Options
from persona_collapse.simulated.traffic_counts import Tally

ENDPOINT = "/v1/chat/completions"
#: The provider's limits on a batch's file.
MOST_REQUESTS, MOST_BYTES = 50_000, 200 * 1024 * 1024
#: Lines answered between two looks at everything else.
_TOGETHER = 100
_OPEN = ("validating", "in_progress", "finalizing")
_DAY = 24 * 3600


class Batches:
    """Files that were sent or made, and the batches over them."""

    def __init__(self, options: Options, completions: Completions, tally: Tally) -> None:
        self._options, self._completions, self._tally = options, completions, tally
        self._files: dict[str, tuple[dict[str, Any], bytes]] = {}
        self._batches: dict[str, dict[str, Any]] = {}
        self._running: set[asyncio.Task[None]] = set()

    # --- files ---------------------------------------------------------------------------------------------------------

    def add_file(self, name: str, content: bytes, purpose: str) -> dict[str, Any]:
        """Keep a file; ApiError where it is beyond the provider's limits."""
        if purpose == "batch" and len(content) > MOST_BYTES:
            raise ApiError(400, f"File is too large. Maximum size is {MOST_BYTES} bytes.", param="file", code="file_too_large")
        lines = content.count(b"\n") + (not content.endswith(b"\n"))
        if purpose == "batch" and lines > MOST_REQUESTS:
            message = f"The file holds {lines} requests. The maximum number of requests of a batch is {MOST_REQUESTS}."
            raise ApiError(400, message, param="file", code="too_many_tasks")
        about: dict[str, Any] = {
            "id": f"file-{len(self._files) + 1:06d}",
            "object": "file",
            "bytes": len(content),
            "created_at": int(time.time()),
            "filename": name,
            "purpose": purpose,
            "status": "processed",
        }
        self._files[about["id"]] = (about, content)
        return about

    def file(self, name: str) -> tuple[dict[str, Any], bytes]:
        """A file and its content; ApiError 404 for another name."""
        if name not in self._files:
            raise ApiError(404, f"No such File object: {name}", param="id")
        return self._files[name]

    def files(self) -> dict[str, Any]:
        """The list of files, newest first."""
        return _listed([about for about, _ in reversed(self._files.values())], False)

    # --- batches -------------------------------------------------------------------------------------------------------

    def create(self, body: Any) -> dict[str, Any]:
        """Begin a batch; it is answered at once and validated later, as everywhere."""
        for name in ("input_file_id", "endpoint", "completion_window"):
            if not isinstance(body, dict) or not isinstance(body.get(name), str):
                code = "missing_required_parameter"
                raise ApiError(400, f"Missing required parameter: '{name}'.", param=name, code=code)
        for name, wanted in (("endpoint", ENDPOINT), ("completion_window", "24h")):
            if body[name] != wanted:
                message = f"Invalid value: '{body[name]}'. Supported values are: '{wanted}'."
                raise ApiError(400, message, param=name, code="invalid_value")
        if body["input_file_id"] not in self._files:
            message = f"Invalid 'input_file_id': no such file: {body['input_file_id']}"
            raise ApiError(400, message, param="input_file_id", code="invalid_value")
        now = int(time.time())
        moments = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
        batch = {
            "id": f"batch_{len(self._batches) + 1:06d}",
            "object": "batch",
            "endpoint": body["endpoint"],
            "errors": None,
            "input_file_id": body["input_file_id"],
            "completion_window": body["completion_window"],
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": now,
            "expires_at": now + _DAY,
            **{f"{moment}_at": None for moment in moments},
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": body.get("metadata"),
        }
        self._batches[batch["id"]] = batch
        task = asyncio.get_running_loop().create_task(self._run(batch))
        # A task that nobody holds may be collected before it ends.
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return batch

    def batch(self, name: str) -> dict[str, Any]:
        """A batch as it stands; ApiError 404 for another name."""
        if name not in self._batches:
            raise ApiError(404, f"No batch found with id '{name}'.", param="batch_id")
        return self._batches[name]

    def batches(self, after: str | None, limit: int) -> dict[str, Any]:
        """A page of the list of batches, newest first, from the one after `after`."""
        newest = list(reversed(self._batches.values()))
        if after is not None:
            newest = newest[newest.index(self.batch(after)) + 1 :]
        return _listed(newest[:limit], len(newest) > limit)

    def cancel(self, name: str) -> dict[str, Any]:
        """Begin to cancel a batch; what is answered by then stays in its output file."""
        batch = self.batch(name)
        if batch["status"] not in (*_OPEN, "cancelling"):
            raise ApiError(409, f"Cannot cancel a batch with status '{batch['status']}'.")
        if batch["status"] != "cancelling":
            _move(batch, "cancelling")
        return batch

    async def _run(self, batch: dict[str, Any]) -> None:
        """Take a batch through its states, in `batch_seconds`."""
        quarter = self._options.batch_seconds / 4
        await asyncio.sleep(quarter)
        lines, errors = _validated(self.file(batch["input_file_id"])[1])
        if errors:
            batch["errors"] = {"object": "list", "data": errors}
            _move(batch, "failed")
            return
        batch["request_counts"]["total"] = len(lines)
        if batch["status"] == "validating":
            _move(batch, "in_progress")
        done, failed = await self._answer(batch, lines, 2 * quarter)
        last = "completed" if len(done) + len(failed) == len(lines) else "expired"
        if batch["status"] == "in_progress" and last == "completed":
            _move(batch, "finalizing")
        await asyncio.sleep(quarter)
        if batch["status"] == "cancelling":
            last = "cancelled"
        if last == "expired":
            message = "This request could not be executed before the completion window expired."
            missed = {line["custom_id"] for line in lines} - {line["custom_id"] for line in done + failed}
            failed += [_line(name, None, {"code": "batch_expired", "message": message}) for name in sorted(missed)]
        for key, found in (("output", done), ("error", failed)):
            if found:
                content = b"".join(json.dumps(line).encode() + b"\n" for line in found)
                batch[f"{key}_file_id"] = self.add_file(f"{batch['id']}_{key}.jsonl", content, "batch_output")["id"]
        _move(batch, last)

    async def _answer(
        self, batch: dict[str, Any], lines: list[dict[str, Any]], seconds: float
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Answered and failed lines, in shuffled order, as far as the batch gets before it expires or is cancelled."""
        shuffle = random.Random(f"{self._options.seed}/{batch['id']}")
        share = 1.0 if self._options.batch_expires is None else self._options.batch_expires
        order = shuffle.sample(lines, len(lines))[: int(share * len(lines))]
        done: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        parts = max(1, -(-len(order) // _TOGETHER))
        for part in range(parts):
            await asyncio.sleep(seconds / parts)
            if batch["status"] == "cancelling":
                break
            for line in order[part * _TOGETHER : (part + 1) * _TOGETHER]:
                status, body = self._one(line, shuffle.random())
                (done if status == 200 else failed).append(_line(line["custom_id"], (status, body), None))
            batch["request_counts"] |= {"completed": len(done), "failed": len(failed)}
        return done, failed

    def _one(self, line: dict[str, Any], drawn: float) -> tuple[int, dict[str, Any]]:
        self._tally.batch_requests += 1
        if drawn < self._options.batch_errors:
            message = "The server had an error while processing your request. Sorry about that!"
            return 500, {"error": {"message": message, "type": "server_error", "param": None, "code": None}}
        try:
            answered = self._completions.answer(self._completions.read(line["body"], custom_id=line["custom_id"]))
        except ApiError as error:
            return error.status, error.body
        self._tally.answer(answered.slots, answered.ratings, answered.faults)
        return 200, answered.body


def _listed(data: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return {"object": "list", "data": data, **ends, "has_more": more}


def _move(batch: dict[str, Any], status: str) -> None:
    batch["status"] = status
    batch[f"{status}_at"] = int(time.time())


def _line(custom_id: str, answer: tuple[int, dict[str, Any]] | None, error: dict[str, str] | None) -> dict[str, Any]:
    """A line of an output or error file."""
    response = None
    if answer is not None:
        response = {"status_code": answer[0], "request_id": f"req_{custom_id}", "body": answer[1]}
    return {"id": f"batch_req_{custom_id}", "custom_id": custom_id, "response": response, "error": error}


def _validated(content: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The requests of a batch's file, and the errors of its lines (code, message, line from 1)."""
    lines: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    known: set[str] = set()
    model = None

    def wrong(code: str, message: str, place: int | None, param: str | None = None) -> None:
        errors.append({"code": code, "message": message, "param": param, "line": place})

    for place, text in enumerate(content.splitlines(), start=1):
        try:
            line = json.loads(text)
        except ValueError:
            wrong("invalid_json_line", "This line is not parseable as valid JSON.", place)
            continue
        if not isinstance(line, dict) or not {"custom_id", "method", "url", "body"} <= line.keys():
            wrong("invalid_request", "A line holds exactly 'custom_id', 'method', 'url' and 'body'.", place)
        elif extra := sorted(line.keys() - {"custom_id", "method", "url", "body"}):
            wrong("unknown_parameter", f"Unknown parameter: '{extra[0]}'.", place, extra[0])
        elif not isinstance(line["custom_id"], str) or not isinstance(line["body"], dict):
            wrong("invalid_type", "'custom_id' is a string and 'body' an object.", place)
        elif line["method"] != "POST" or line["url"] != ENDPOINT:
            wrong("url_mismatch", f"The URL of this line does not match the batch's endpoint, POST {ENDPOINT}.", place, "url")
        elif line["custom_id"] in known:
            message = f"The custom_id '{line['custom_id']}' for this request is a duplicate of another request."
            wrong("duplicate_custom_id", message, place, "custom_id")
        elif (model := model or line["body"].get("model")) != line["body"].get("model"):
            message = f"The model '{line['body'].get('model')}' does not match the '{model}' of the lines before."
            wrong("model_mismatch", message, place, "body.model")
        else:
            known.add(line["custom_id"])
            lines.append(line)
    if not lines and not errors:
        wrong("empty_file", "The file is empty.", None)
    return lines, errors
