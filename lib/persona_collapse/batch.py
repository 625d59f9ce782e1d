"""A study's missing slots as OpenAI batches: written, submitted, awaited and collected, and stopped at any moment."""

import hashlib
import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tqdm import tqdm

from persona_collapse import capability, spending
from persona_collapse.elicitation import answer_of
from persona_collapse.endpoint import Completion, ElicitationError, Failure, of_status, read, request_body
from persona_collapse.estimating import CHARACTERS_A_TOKEN
from persona_collapse.paths import shown
from persona_collapse.store import Answer, Batch, Store, Traffic
from persona_collapse.study import Run, Study
from persona_collapse.visit import consecutive

if TYPE_CHECKING:
    from openai import OpenAI

#: What providers take in one file.
MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000
#: Times that what a batch left missing is put into another.
ROUNDS = 3
#: Seconds between two looks at a batch, growing to the longer one.
_SOON, _LATER = 2.0, 60.0
#: Statuses of the Batch API after which nothing changes any more.
_ENDED = ("completed", "failed", "expired", "cancelled")
#: What too many tokens under way are called: the batch is submitted again later.
_FULL = "token_limit_exceeded"
#: The key of a batch's metadata by which it is known again.
_MARK = "persona_collapse"
_ID = re.compile(r"q(?P<question>\d+)-(?P<count>\d+)-(?P<identity>[0-9a-f]{12})/[a-z]+/(?:\d+|-)/\d+/(?P<first>\d+)")
Say = Callable[[str], None]


class Found(NamedTuple):
    """What result files hold of a run: answers for the store, what they cost, and how many lines came to what."""

    answers: list[Answer]
    traffic: list[Traffic]
    outcomes: Counter[str]
    fewest_choices: int | None
    refusal: str | None


def folder(study: Study) -> Path:
    """Where a study's batch files are."""
    return study.outputs / "batch"


# --- writing ---------------------------------------------------------------------------------------------------------


def write(study: Study, run: Run, store: Store) -> list[Batch]:
    """Write a run's missing slots as files in the Batch format, within the provider's limits, and remember them.

    A line is a request for consecutive repetitions of a cell; its custom_id names the question of the store and the slots.
    Files are there whole before the store knows of them.
    """
    from persona_collapse.tables import atomic_text

    folder(study).mkdir(parents=True, exist_ok=True)
    number = len(store.batches(run.family.key, run.variant.key))
    made = []
    for place, lines in enumerate(_chunks(_lines(study, run, store)), start=number + 1):
        name = f"{run.family.key}.{run.variant.key}.{place}"
        atomic_text(folder(study) / f"{name}.jsonl", "".join(lines))
        made.append(Batch(name, len(lines)))
    store.set_batches(run.family.key, run.variant.key, made)
    return made


def _lines(study: Study, run: Run, store: Store) -> Iterator[str]:
    endpoint, protocol = study.file.endpoints[run.variant.endpoint or ""], study.file.protocol
    known = capability.recall(store, endpoint, run.variant.model or "")
    digit = protocol.method == "logprobs"
    together = 1 if digit else min(known.choices or capability.MOST_CHOICES, capability.MOST_CHOICES)
    identities = store.identities(run.family.key, run.variant.key)
    for condition in study.conditions(run):
        deck = study.deck(condition)
        for cell in store.missing_cells(run.family.key, run.variant.key, condition):
            text = deck[cell.persona].text if deck is not None and cell.persona is not None else None
            prompt = study.instrument.prompt(study.instrument.items[cell.item - 1], text, digit=digit)
            for block in consecutive(cell.repetitions, together):
                body = request_body(
                    endpoint, run.variant.model or "", protocol, prompt, choices=len(block), limit=known.limit,
                    alternatives=known.top_logprobs,
                )  # fmt: skip
                persona = "-" if cell.persona is None else cell.persona
                identity = identities[cell.question][1][:12]
                # The end names the slot as the request header does, so that the simulated endpoint answers alike.
                name = f"q{cell.question}-{len(block)}-{identity}/{condition}/{persona}/{cell.item}/{block[0]}"
                yield json.dumps({"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}) + "\n"


def _chunks(lines: Iterator[str]) -> Iterator[list[str]]:
    chunk, size = [], 0
    for line in lines:
        if chunk and (len(chunk) >= MOST_REQUESTS or size + len(line) > MOST_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(line)
        size += len(line)  # json.dumps writes ASCII, so a character is a byte
    if chunk:
        yield chunk


# --- collecting ------------------------------------------------------------------------------------------------------


def read_results(study: Study, run: Run, store: Store, lines: Iterable[str]) -> Found:
    """What result lines hold for a run, in any order; a line of another study or design counts as `foreign`.

    A slot without an answer stays missing, and so comes into the next batch.
    """
    identities = store.identities(run.family.key, run.variant.key)
    answers: list[Answer] = []
    outcomes: Counter[str] = Counter()
    traffic: dict[tuple[str, str], Traffic] = {}
    refusal, fewest = None, None
    for text in filter(str.strip, lines):
        slot, found = _read_line(text, run.variant.model or "")
        condition, identity = identities.get(slot.question, ("", "")) if slot else ("", "")
        if slot is None or not identity.startswith(slot.identity):
            outcomes["foreign"] += 1
            continue
        cost = (0, 0)
        if isinstance(found, Completion):
            choices = found.choices[: slot.count]
            fewest = min(len(choices), fewest or len(choices)) if slot.count > 1 else fewest
            cost = found.input_tokens or 0, study.file.protocol.max_tokens * slot.count
            cost = cost if found.output_tokens is None else (cost[0], found.output_tokens)
            answers += [
                answer_of(study, slot.question, slot.first + place, choice, None, found, first=place == 0)
                for place, choice in enumerate(choices)
            ]
        elif found.kind == "refused":
            refusal = refusal or found.said
        kind = "batch" if isinstance(found, Completion) else found.kind
        outcomes[kind] += 1
        known = traffic.get((condition, kind), Traffic(run.family.key, run.variant.key, condition, kind, 0))
        traffic[condition, kind] = known._replace(
            requests=known.requests + 1,
            input_tokens=known.input_tokens + cost[0], output_tokens=known.output_tokens + cost[1],
        )  # fmt: skip
    return Found(answers, list(traffic.values()), outcomes, fewest, refusal)


class _Slot(NamedTuple):
    """Repetitions of a cell as a custom_id names them."""

    question: int
    first: int
    count: int
    identity: str


def _read_line(text: str, model: str) -> tuple[_Slot | None, Completion | Failure]:
    """The slots that a result line is for, None if it names none of ours, and what it holds."""
    nothing = Failure("malformed", "the line is no result in the Batch format")
    try:
        line = json.loads(text)
        match = _ID.fullmatch(line["custom_id"])
    except (ValueError, KeyError, TypeError):
        return None, nothing
    slot = _Slot(*map(int, match.group("question", "first", "count")), match["identity"]) if match else None
    response = line.get("response") if isinstance(line.get("response"), dict) else {}
    status, body = response.get("status_code", 500), response.get("body")
    headers = {"x-request-id": response["request_id"]} if response.get("request_id") else {}
    if status == 200:
        return slot, read(json.dumps(body).encode(), headers, {"model": model}, 0.0)
    error = body.get("error") if isinstance(body, dict) else line.get("error")
    try:
        return slot, of_status(status if isinstance(status, int) else 500, error, headers, {"model": model}, 0.0)
    except ElicitationError as refusal:
        return slot, Failure("refused", str(refusal))


def _collect(study: Study, run: Run, store: Store, batch: Batch, lines: Iterable[str], say: Say) -> int:
    """Store what a batch brought, in one transaction with the word that it is collected; returns how many slots."""
    found = read_results(study, run, store, lines)
    store.add(found.answers, traffic=found.traffic, batch=(batch.name, "collected"))
    if found.fewest_choices is not None:
        endpoint, model = study.file.endpoints[run.variant.endpoint or ""], run.variant.model or ""
        known = capability.recall(store, endpoint, model)
        capability.remember(store, endpoint, model, replace(known, choices=found.fewest_choices))
    what = ", ".join(f"{kind} {number:,}" for kind, number in sorted(found.outcomes.items()) if kind != "batch")
    say(
        f"{batch.name}: {found.outcomes['batch']:,} of {batch.requests:,} requests answered, {len(found.answers):,} slots"
        + (f" ({what})" if what else "")
    )
    if found.refusal and not found.answers:
        raise ElicitationError(f"{batch.name}: {found.refusal}; run `make elicit` once, which finds out what the model takes")
    return len(found.answers)


# --- by hand: vllm run-batch, or a provider's web page ---------------------------------------------------------------


def by_hand(study: Study, store: Store, say: Say) -> int:
    """Take in the results that lie beside the batch files, then write what is missing still; returns the slots taken in.

    Results of <name>.jsonl are expected in <name>.out.jsonl. Nothing is sent.
    """
    taken = 0
    for run in study.runs:
        for batch in store.batches(run.family.key, run.variant.key):
            results = folder(study) / f"{batch.name}.out.jsonl"
            if batch.status == "written" and results.is_file():
                with results.open(encoding="utf-8", errors="replace") as lines:
                    taken += _collect(study, run, store, batch, lines, say)
    for run in study.runs:
        waiting = [b for b in store.batches(run.family.key, run.variant.key) if b.status in ("written", "submitted")]
        for batch in waiting or write(study, run, store):
            if batch.status == "submitted":
                say(f"{batch.name}: is with the endpoint as {batch.batch}; run `make batch` without BY_HAND to collect it")
                continue
            path = shown(folder(study) / batch.name)
            say(f"{path}.jsonl: {batch.requests:,} requests for {run.variant.model}; results go to {path}.out.jsonl, for example")
            say(f"  vllm run-batch -i {path}.jsonl -o {path}.out.jsonl --model {run.variant.model}")
    return taken


# --- through the endpoint --------------------------------------------------------------------------------------------


def through_endpoint(study: Study, store: Store, bar: tqdm, say: Say) -> int:
    """Submit whatever is missing, wait, collect, and submit again what is missing still; returns the slots that came.

    May be stopped at any moment: a file is written before it is submitted, a batch that a killed process submitted is found
    again by its name among the endpoint's batches, and results are stored in one transaction.
    """
    clients = {name: _connect(study, name) for name in {run.variant.endpoint or "" for run in study.runs}}
    came = 0
    for _ in range(ROUNDS):
        todo = [(run, batch) for run in study.runs for batch in _open_batches(study, run, store)]
        if not todo:
            break
        came += _round(study, store, clients, todo, bar, say)
    left = sum(
        len(cell.repetitions)
        for run in study.runs
        for condition in study.conditions(run)
        for cell in store.missing_cells(run.family.key, run.variant.key, condition)
    )
    if left:
        raise ElicitationError(
            f"{study.name}: {left:,} slots are missing after {ROUNDS} rounds of batches; run the same command again, "
            "or `make elicit`, which asks them one by one"
        )
    return came


def _connect(study: Study, name: str) -> "OpenAI":
    from openai import OpenAI

    endpoint = study.file.endpoints[name]
    return OpenAI(base_url=endpoint.base_url, api_key=os.environ[endpoint.api_key_env], max_retries=5, timeout=600)


def _open_batches(study: Study, run: Run, store: Store) -> list[Batch]:
    """Batches of a run that are still to be submitted or collected; new ones if there are none and slots are missing."""
    known = [b for b in store.batches(run.family.key, run.variant.key) if b.status in ("written", "submitted")]
    return known or write(study, run, store)


def _round(
    study: Study, store: Store, clients: dict[str, "OpenAI"], todo: list[tuple[Run, Batch]], bar: tqdm, say: Say
) -> int:  # fmt: skip
    """Submit and await every batch of a round, however they end; returns the slots that came."""
    import openai

    came, pause = 0, _SOON
    while todo:
        left = []
        for run, batch in todo:
            client = clients[run.variant.endpoint or ""]
            try:
                batch = batch if batch.batch else _submit(study, run, store, client, batch, say)
                state = client.batches.retrieve(batch.batch)
                if state.status == "failed" and _full(state):
                    batch = _remember(store, run, batch._replace(batch=None, status="written"))
                    say(f"{batch.name}: too many tokens are under way; it is submitted again later")
                elif state.status == "failed":
                    _remember(store, run, batch._replace(status="failed"))
                    raise ElicitationError(_why(batch, state))
                elif state.status in _ENDED:
                    came += _collect(study, run, store, batch, _results(client, state), say)
                    bar.update(came - bar.n)
                    continue
            except openai.APIError as error:
                raise _explained(error, batch) from None
            counts = state.request_counts
            bar.set_postfix_str(f"{batch.name}: {state.status}" + (f" {counts.completed}/{counts.total}" if counts else ""))
            left.append((run, batch))
        todo = left
        if todo:
            time.sleep(pause)
            pause = min(_LATER, pause * 1.2)
    return came


def _submit(study: Study, run: Run, store: Store, client: "OpenAI", batch: Batch, say: Say) -> Batch:
    """Submit a batch file, and remember each step before the next; what a killed process submitted is found again."""
    path = folder(study) / f"{batch.name}.jsonl"
    _check_budget(study, run, store, batch, path)
    ours = f"{study.name}/{batch.name}/{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    for other in client.batches.list(limit=100):
        if (other.metadata or {}).get(_MARK) == ours and other.status != "failed":
            say(f"{batch.name}: was submitted before as {other.id}")
            return _remember(store, run, batch._replace(input_file=other.input_file_id, batch=other.id, status="submitted"))
    if batch.input_file is None:
        with path.open("rb") as file:
            batch = _remember(store, run, batch._replace(input_file=client.files.create(file=file, purpose="batch").id))
    made = client.batches.create(
        input_file_id=batch.input_file, endpoint="/v1/chat/completions", completion_window="24h", metadata={_MARK: ours}
    )
    batch = _remember(store, run, batch._replace(batch=made.id, status="submitted"))
    say(f"{batch.name}: {batch.requests:,} requests submitted as {made.id}")
    return batch


def _remember(store: Store, run: Run, batch: Batch) -> Batch:
    store.set_batches(run.family.key, run.variant.key, [batch])
    return batch


def _check_budget(study: Study, run: Run, store: Store, batch: Batch, path: Path) -> None:
    """Refuse a batch that would pass the budget: once submitted, it cannot be stopped at a number."""
    budget = study.file.budget_usd
    if budget is None:
        return
    cost = spending.dollars(study, run, math.ceil(path.stat().st_size / CHARACTERS_A_TOKEN), batch.requests) / 2
    spent = spending.spent_usd(study, store)
    if spent + cost > budget:
        raise ElicitationError(
            f"{batch.name}: would cost about ${cost:.2f} on top of ${spent:.2f} spent, more than budget_usd of {budget:g}; "
            "raise the budget and run the same command again"
        )


def _results(client: "OpenAI", state: Any) -> Iterator[str]:
    """Lines of the output file and of the error file, whichever there are."""
    for file in filter(None, (state.output_file_id, state.error_file_id)):
        yield from client.files.content(file).text.splitlines()


def _full(state: Any) -> bool:
    return any(error.code == _FULL for error in (state.errors.data if state.errors else None) or ())


def _why(batch: Batch, state: Any) -> str:
    first = next(iter((state.errors.data if state.errors else None) or ()), None)
    what = f"{first.code}, line {first.line}" if first else "no reason given"
    return f"{batch.name}: the endpoint refused the batch ({what}); run `make elicit` once, which finds out what the model takes"


def _explained(error: Any, batch: Batch) -> ElicitationError:
    status = getattr(error, "status_code", None)
    if status in (401, 403):
        return ElicitationError(
            f"{batch.name}: the endpoint refused the key (status {status}); check the variable named by api_key_env"
        )
    if status == 404:
        return ElicitationError(f"{batch.name}: the endpoint has no batches (status 404); use `make elicit`, or BY_HAND=1")
    what = f"status {status}" if status else type(error).__name__
    return ElicitationError(f"{batch.name}: the endpoint did not answer ({what}); run the same command again, nothing is lost")
