"""Asking the missing slots of a run, of simulated respondents or of an endpoint: one planner, parser and store."""

import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from persona_collapse import logprobs, replies, simulation
from persona_collapse.endpoint import ElicitationError, RefusedError, Reply, ask, connect
from persona_collapse.store import Answer, Question, Store
from persona_collapse.study import Price, Run, Study, check_keys

#: Requests in a row without any answer after which an endpoint is taken to be down.
GIVE_UP_AFTER = 30
#: Seconds between two writes to the store while answers come in.
_SAVE_EVERY = 0.1
#: Choices asked of one request at the most; no protocol of ours needs more, and providers cap it.
_MOST_CHOICES = 20


def plan(study: Study, run: Run, store: Store) -> int:
    """Make the study's design the run's design in the store; returns how many slots are missing."""
    design = [Question(*q[:4], _hash(q.prompt), q.repetitions) for q in questions(study, run)]
    store.plan(run.family.key, run.variant.key, design)
    return sum(len(store.missing(run.family.key, run.variant.key, c)) for c in study.conditions(run))


def elicit(study: Study, run: Run, store: Store, bar: tqdm) -> None:
    """Ask every missing slot of a run and store each answer as it comes; `bar` counts slots.

    Raises ElicitationError when the endpoint cannot go on; what was answered is kept, and the same call asks the rest.
    """
    if study.simulated:
        _simulate(study, run, store, bar)
    else:
        _ask_endpoint(study, run, store, bar)


class Asked(NamedTuple):
    """A cell as a study asks it: the question of the store, and the prompt it stands for."""

    condition: str
    persona: int | None
    item: int
    identity: str
    prompt: str
    repetitions: int


def questions(study: Study, run: Run) -> Iterator[Asked]:
    """Every cell of a run, with the hash that tells it from one asked otherwise."""
    protocol, variant = study.file.protocol, run.variant
    if study.by_logprobs:
        # One token at T = 1 gives every temperature: what the study file says of it decides what is shown, not what is asked.
        protocol = protocol.model_copy(update={"temperature": 1.0, "max_tokens": 1, "repetitions": 1})
    if study.simulated:
        respondent = simulation.load_respondent(variant.figures or "", study.instrument)
        origin = ["simulated", respondent.fingerprint, study.file.seed, run.key, *["logprobs"] * study.by_logprobs]
    else:
        endpoint = study.file.endpoints[variant.endpoint or ""]
        origin = ["live", endpoint.base_url, variant.model, protocol.temperature, protocol.max_tokens, protocol.method]
    for condition in study.conditions(run):
        for persona in study.deck(condition) or (None,):
            for item in study.instrument.items:
                prompt = study.instrument.prompt(item, persona.text if persona else None, digit=study.by_logprobs)
                index = persona.index if persona else None
                identity = _hash(json.dumps([prompt, *origin]))
                yield Asked(condition, index, item.number, identity, prompt, protocol.repetitions)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _answer(reply: Reply, question: int, repetition: int, scale: tuple[int, int], time: str | None) -> Answer:
    """What is stored of a reply: the rating it gives, or the reason there is none."""
    reason = rating = None
    if reply.failure is not None:
        reason = "transport"
    else:
        rating = None if reply.refused else replies.parse_reply(reply.text or "", *scale)
        if reply.finish_reason == "content_filter":
            rating = None
        if rating is None:
            reason = replies.missing_reason(reply.text, finish_reason=reply.finish_reason, refused=reply.refused)
    return Answer(
        question, repetition, rating, reason,
        reply=reply.text if reply.failure is None else reply.failure,
        finish_reason=reply.finish_reason, served_model=reply.served_model, fingerprint=reply.fingerprint,
        request_id=reply.request_id, attempts=reply.attempts,
        input_tokens=reply.input_tokens, output_tokens=reply.output_tokens, time=time,
    )  # fmt: skip


def _simulate(study: Study, run: Run, store: Store, bar: tqdm) -> None:
    """Draw the missing slots; they carry no time, so that the same study is the same file."""
    respondent = simulation.load_respondent(run.variant.figures or "", study.instrument)
    for condition in study.conditions(run):
        missing = store.missing(run.family.key, run.variant.key, condition)
        if not missing:
            continue
        deck = study.deck(condition)
        chances = simulation.cell_probabilities(respondent, study.instrument, deck, toxic=condition == "toxic")
        if study.by_logprobs:
            store.add(_offer(study, chances[slot[2] or 0, slot[3] - 1], slot[0]) for slot in missing)
            bar.update(len(missing))
            continue
        drawn = simulation.draw(
            chances, seed=study.file.seed, run=run.key, condition=condition, personas=deck,
            instrument=study.instrument, repetitions=study.file.protocol.repetitions,
        )  # fmt: skip
        said = {category: Reply(1, text=str(category), served_model="simulated") for category in study.instrument.categories}
        ratings = drawn.tolist()
        store.add(
            _answer(said[ratings[persona or 0][item - 1][repetition - 1]], question, repetition, study.instrument.scale, None)
            for question, repetition, persona, item in missing
        )
        bar.update(len(missing))


def _offer(study: Study, chances: np.ndarray, question: int) -> Answer:
    """What a simulated respondent with these chances (category,) offers as its first token, and the rating it gives."""
    categories = study.instrument.categories
    found = simulation.alternatives(chances, categories)
    reading = logprobs.read(found, categories)
    return Answer(
        question, 1, reading.rating, reading.reason, found[0][0],
        logprobs=logprobs.as_text(found), served_model="simulated",
    )  # fmt: skip


class _Request(NamedTuple):
    """Repetitions of one cell that are asked together, and how."""

    question: int
    repetitions: tuple[int, ...]
    prompt: str
    slot: str


def _ask_endpoint(study: Study, run: Run, store: Store, bar: tqdm) -> None:
    """Ask an endpoint from a pool of threads; this thread alone writes, and every answer before it is counted as done."""
    check_keys(study)
    endpoint = study.file.endpoints[run.variant.endpoint or ""]
    client = connect(endpoint)
    halt = threading.Event()

    def send(request: _Request) -> list[Reply]:
        return ask(
            client, run.variant.model or "", request.prompt, study.file.protocol,
            slot=request.slot, choices=len(request.repetitions), stopped=halt.is_set,
        )  # fmt: skip

    pool = ThreadPoolExecutor(endpoint.max_in_flight)
    in_flight: dict[Future[list[Reply]], _Request] = {}
    unsaved: list[Answer] = []
    saved_at, failed_in_a_row = 0.0, 0
    try:
        together = _choices_taken(study, run, store, send, bar)
        queue = deque(_requests(study, run, store, together))
        while queue or in_flight:
            while queue and len(in_flight) < endpoint.max_in_flight:
                request = queue.popleft()
                in_flight[pool.submit(send, request)] = request
            done, _ = wait(in_flight, return_when=FIRST_COMPLETED)
            problems = [error for call in done if (error := call.exception()) is not None]
            for call in [call for call in done if call.exception() is None]:
                request, found = in_flight.pop(call), call.result()
                unsaved += _answers(study, request, found)
                failed_in_a_row = failed_in_a_row + 1 if found[0].failure else 0
                if found[0].failure is None and (rest := request.repetitions[len(found) :]):
                    # Fewer choices than asked: the others are still to be bought.
                    queue.appendleft(_later(request, rest))
            if problems:
                raise problems[0]
            if failed_in_a_row >= GIVE_UP_AFTER:
                raise ElicitationError(
                    f"{run.key}: {failed_in_a_row} requests in a row got no answer ({unsaved[-1].reply}); "
                    "check the endpoint and run the same command again"
                )
            # Answers of a tenth of a second share a transaction: each one waits for the disk.
            due = time.monotonic() - saved_at > _SAVE_EVERY or not (queue or in_flight)
            if due or study.file.budget_usd is not None:
                _save(store, bar, unsaved)
                saved_at = time.monotonic()
                _check_budget(study, store)
    finally:
        halt.set()
        pool.shutdown(wait=True, cancel_futures=True)
        client.close()
        # What was under way and came back after the stop was paid for: keep it.
        late = [(request, call.result()) for call, request in in_flight.items() if call.done() and not _failed(call)]
        unsaved += [a for request, found in late if found[0].failure is None for a in _answers(study, request, found)]
        _save(store, bar, unsaved)


def _save(store: Store, bar: tqdm, unsaved: list[Answer]) -> None:
    """Store answers, then count them as done, then forget them."""
    if unsaved:
        store.add(unsaved)
        bar.update(len(unsaved))
        unsaved.clear()


def _choices_taken(study: Study, run: Run, store: Store, send: Callable[[_Request], list[Reply]], bar: tqdm) -> int:
    """How many choices of one request the endpoint gives for this model: asked once, with a request that counts.

    The prompt of a request is paid once, so that ten choices cost little more than one. An endpoint that refuses the
    parameter or ignores it is asked for one rating at a time; which it is stays in the store.
    """
    endpoint = study.file.endpoints[run.variant.endpoint or ""]
    key = f"choices {endpoint.base_url} {run.variant.model}"
    if (known := store.recall(key)) is not None:
        return int(known)
    first = next((r for r in _requests(study, run, store, _MOST_CHOICES) if len(r.repetitions) > 1), None)
    if first is None:
        return 1
    try:
        found = send(first)
    except RefusedError:
        # Either more choices than one are refused, or the request itself: one choice tells which, and says so.
        found = send(first._replace(repetitions=first.repetitions[:1]))
    if found[0].failure is None:
        store.add(_answers(study, first, found))
        bar.update(len(found))
        store.remember(key, str(len(found)))
    return len(found)


def _answers(study: Study, request: _Request, found: list[Reply]) -> list[Answer]:
    """What is stored of a request; one that failed leaves every slot of it to the next visit."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    if found[0].failure is not None:
        found = found * len(request.repetitions)
    pairs = zip(found, request.repetitions, strict=False)
    return [_answer(reply, request.question, repetition, study.instrument.scale, now) for reply, repetition in pairs]


def _failed(call: Future[list[Reply]]) -> bool:
    return call.cancelled() or call.exception() is not None


def _requests(study: Study, run: Run, store: Store, together: int) -> Iterator[_Request]:
    """Requests for every missing slot of a run, up to `together` consecutive repetitions of a cell in each."""
    for condition in study.conditions(run):
        deck = study.deck(condition)
        missing = store.missing(run.family.key, run.variant.key, condition)
        for (question, persona, item), slots in groupby(missing, key=lambda slot: (slot[0], *slot[2:])):
            text = deck[persona].text if deck is not None and persona is not None else None
            prompt = study.instrument.prompt(study.instrument.items[item - 1], text)
            name = f"{condition}/{'-' if persona is None else persona}/{item}"
            for block in _consecutive([slot[1] for slot in slots], together):
                yield _Request(question, block, prompt, f"{name}/{block[0]}")


def _consecutive(repetitions: list[int], most: int) -> list[tuple[int, ...]]:
    """Repetitions in blocks of consecutive numbers, each of at most so many."""
    blocks: list[tuple[int, ...]] = []
    for repetition in repetitions:
        if blocks and blocks[-1][-1] == repetition - 1 and len(blocks[-1]) < most:
            blocks[-1] += (repetition,)
        else:
            blocks.append((repetition,))
    return blocks


def _later(request: _Request, rest: tuple[int, ...]) -> _Request:
    """The same cell, for the repetitions that are left of a request."""
    return request._replace(repetitions=rest, slot=f"{request.slot.rpartition('/')[0]}/{rest[0]}")


def spent_usd(study: Study, store: Store) -> float:
    """Dollars spent on a study so far, over every run and session, from the tokens that the endpoints reported."""
    total = 0.0
    for run in study.runs:
        tokens_in, tokens_out = store.spent_tokens().get((run.family.key, run.variant.key), (0, 0))
        cost = price(study, run)
        if cost is not None:
            total += (tokens_in * cost.input + tokens_out * cost.output) / 1e6
    return total


def price(study: Study, run: Run) -> Price | None:
    """What a run's tokens cost: its own price, else its endpoint's, else None."""
    endpoint = study.file.endpoints.get(run.variant.endpoint or "")
    return run.variant.price_per_million or (endpoint.price_per_million if endpoint else None)


def _check_budget(study: Study, store: Store) -> None:
    if study.file.budget_usd is None:
        return
    spent = spent_usd(study, store)
    if spent >= study.file.budget_usd:
        raise ElicitationError(
            f"budget_usd of {study.file.budget_usd:g} is used up ({spent:.2f} spent); what was answered is kept; "
            "raise the budget and run the same command again"
        )
