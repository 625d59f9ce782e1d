"""Asking the missing slots of a run, of simulated respondents or of an endpoint: one planner, parser and store."""

import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime

from tqdm import tqdm

from persona_collapse import replies, simulation
from persona_collapse.endpoint import ElicitationError, Reply, ask, connect
from persona_collapse.store import Answer, Question, Store
from persona_collapse.study import Price, Run, Study, check_keys

#: Slots in a row without any answer after which an endpoint is taken to be down.
GIVE_UP_AFTER = 30


def plan(study: Study, run: Run, store: Store) -> int:
    """Make the study's design the run's design in the store; returns how many slots are missing."""
    store.plan(run.family.key, run.variant.key, list(_questions(study, run)))
    return sum(len(store.missing(run.family.key, run.variant.key, c)) for c in study.conditions(run))


def elicit(study: Study, run: Run, store: Store, bar: tqdm) -> None:
    """Ask every missing slot of a run and store each answer as it comes; `bar` counts slots.

    Raises ElicitationError when the endpoint cannot go on; what was answered is kept, and the same call asks the rest.
    """
    if study.simulated:
        _simulate(study, run, store, bar)
    else:
        _ask_endpoint(study, run, store, bar)


def _questions(study: Study, run: Run) -> Iterator[Question]:
    """Every cell of a run, with the hash that tells it from one asked otherwise."""
    protocol, variant = study.file.protocol, run.variant
    if study.simulated:
        respondent = simulation.load_respondent(variant.figures or "", study.instrument)
        origin = ["simulated", respondent.fingerprint, study.file.seed, run.key]
    else:
        endpoint = study.file.endpoints[variant.endpoint or ""]
        origin = ["live", endpoint.base_url, variant.model, protocol.temperature, protocol.max_tokens, protocol.method]
    for condition in study.conditions(run):
        for persona in study.deck(condition) or (None,):
            for item in study.instrument.items:
                prompt = study.instrument.prompt(item, persona.text if persona else None)
                yield Question(
                    condition,
                    persona.index if persona else None,
                    item.number,
                    identity=_hash(json.dumps([prompt, *origin])),
                    prompt_hash=_hash(prompt),
                    repetitions=protocol.repetitions,
                )


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


def _ask_endpoint(study: Study, run: Run, store: Store, bar: tqdm) -> None:
    """Ask an endpoint from a pool of threads; this thread alone writes, and every answer before it is counted as done."""
    check_keys(study)
    endpoint = study.file.endpoints[run.variant.endpoint or ""]
    client = connect(endpoint)
    halt = threading.Event()
    work = [slot for c in study.conditions(run) for slot in _prompts(study, run, store, c)]
    queue = iter(work)
    in_flight: dict[Future[Reply], tuple[int, int]] = {}
    failed_in_a_row = 0
    pool = ThreadPoolExecutor(endpoint.max_in_flight)
    try:
        while True:
            for question, repetition, prompt in queue:
                call = pool.submit(ask, client, run.variant.model, prompt, study.file.protocol, stopped=halt.is_set)
                in_flight[call] = question, repetition
                if len(in_flight) >= endpoint.max_in_flight:
                    break
            if not in_flight:
                return
            done, _ = wait(in_flight, return_when=FIRST_COMPLETED)
            answers, problem = [], None
            for call in done:
                slot = in_flight.pop(call)
                if (error := call.exception()) is not None:
                    problem = error
                    continue
                reply = call.result()
                failed_in_a_row = failed_in_a_row + 1 if reply.failure else 0
                now = datetime.now(UTC).isoformat(timespec="milliseconds")
                answers.append(_answer(reply, *slot, study.instrument.scale, now))
            store.add(answers)
            bar.update(len(answers))
            if problem is not None:
                raise problem
            if failed_in_a_row >= GIVE_UP_AFTER:
                raise ElicitationError(
                    f"{run.key}: {failed_in_a_row} slots in a row got no answer ({answers[-1].reply}); "
                    "check the endpoint and run the same command again"
                )
            _check_budget(study, store)
    finally:
        halt.set()
        pool.shutdown(wait=True, cancel_futures=True)
        client.close()
        # What was under way and came back after the stop was paid for: keep it.
        late = [(call.result(), slot) for call, slot in in_flight.items() if call.done() and not _failed(call)]
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        store.add(_answer(reply, *slot, study.instrument.scale, now) for reply, slot in late if reply.failure is None)


def _failed(call: Future[Reply]) -> bool:
    return call.cancelled() or call.exception() is not None


def _prompts(study: Study, run: Run, store: Store, condition: str) -> Iterator[tuple[int, int, str]]:
    deck = study.deck(condition)
    for question, repetition, persona, item in store.missing(run.family.key, run.variant.key, condition):
        text = deck[persona].text if deck is not None and persona is not None else None
        yield question, repetition, study.instrument.prompt(study.instrument.items[item - 1], text)


def spent_usd(study: Study, store: Store) -> float:
    """Dollars spent on a study so far, over every run and session, from the tokens that the endpoints reported."""
    total = 0.0
    for run in study.runs:
        tokens_in, tokens_out = store.spent_tokens().get((run.family.key, run.variant.key), (0, 0))
        price = _price(study, run)
        if price is not None:
            total += (tokens_in * price.input + tokens_out * price.output) / 1e6
    return total


def _price(study: Study, run: Run) -> Price | None:
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
