"""Files in the OpenAI Batch format: a study's missing slots as requests, and what result lines bring to the store."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from persona_collapse.asking import spending, supported_parameters
from persona_collapse.asking.bundles import bundles
from persona_collapse.asking.dialect_openai import (
    Choice,
    Completion,
    ElicitationError,
    Failure,
    RefusedError,
    of_status,
    read,
    request_body,
    without_key,
    wrong_server,
)
from persona_collapse.asking.slots import answer_of, questions
from persona_collapse.asking.supported_parameters import Supported
from persona_collapse.files import atomic_text
from persona_collapse.store.rows import Answer, Batch, Traffic
from persona_collapse.store.store import Store
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.study import Run, Study

#: What providers take in one file.
MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000
#: Statuses of a batch whose slots may be answered any time, so that asking them otherwise would buy them twice.
UNDER_WAY = ("submitting", "submitted", "by hand")
#: A custom_id: the protocol, question (with the repetitions of its cell that other questions ask before), number of slots and
#: identity; its end names the first slot as the request header does, counted through the cell.
_ID = re.compile(
    r"(?P<protocol>[^.]+)\.q(?P<question>\d+)(?:\+(?P<before>\d+))?-(?P<count>\d+)-(?P<identity>[0-9a-f]{12})/[a-z]+/(?:\d+|-)/\d+/(?P<first>\d+)"
)
#: Before this time (Unix seconds) no answer was ever made: a server that says so has no clock.
_NO_CLOCK = 1e9


def path_of(study: Study, batch: Batch) -> Path:
    """The file of a batch's requests."""
    return study.outputs / "batch" / f"{batch.name}.jsonl"


def under_way(store: Store, runs: Iterable[Run]) -> list[tuple[Run, Batch]]:
    """Batches whose slots must not be asked otherwise."""
    return [(run, b) for run in runs for b in store.batches(run.family.key, run.variant.key) if b.status in UNDER_WAY]


# --- requests --------------------------------------------------------------------------------------------------------


def write(study: Study, run: Run, store: Store, *, most: int | None = None, status: str = "written") -> list[Batch]:
    """Write a run's missing slots as files of at most so many requests, and remember them in the store.

    A line asks for consecutive repetitions of one cell. A file is there whole before the store knows of it.
    """
    (study.outputs / "batch").mkdir(parents=True, exist_ok=True)
    family, variant = run.family.key, run.variant.key
    number = max((int(batch.name.rpartition(".")[2]) for batch in store.batches(family, variant)), default=0)
    made = []
    for place, lines in enumerate(_chunks(_lines(study, run, store), most or MOST_REQUESTS), start=number + 1):
        batch = Batch(f"{family}.{variant}.{place}", len(lines), status=status)
        atomic_text(path_of(study, batch), "".join(lines))
        store.set_batches(family, variant, [batch])
        made.append(batch)
    return made


def _lines(study: Study, run: Run, store: Store) -> Iterator[str]:
    known = _known(study, run, store)
    most = supported_parameters.MOST_CHOICES
    together = 1 if study.by_logprobs else min(known.choices or most, most)
    prompts = {(q.condition, q.persona, q.item, q.instrument.key, q.wording): q for q in questions(study, run)}
    for condition in study.conditions(run):
        for cell in store.missing_cells(run.family.key, run.variant.key, condition):
            asked = prompts[condition, cell.persona, cell.item, cell.instrument, cell.wording]
            for block in bundles(cell.repetitions, together, study.protocol_of(cell.instrument)):
                body = _body(study, run, known, asked.prompt, len(block), asked.system)
                slot = f"{condition}/{'-' if cell.persona is None else cell.persona}/{cell.item}/{asked.before + block[0]}"
                question = f"q{cell.question}" + f"+{asked.before}" * bool(asked.before)
                name = f"{_protocol(study, asked.instrument)}.{question}-{len(block)}-{asked.identity[:12]}/{slot}"
                yield json.dumps({"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}) + "\n"


def _known(study: Study, run: Run, store: Store) -> Supported:
    endpoint = study.file.endpoints[run.variant.endpoint or ""]
    return supported_parameters.untried(supported_parameters.recall(store, endpoint, run.variant.model or ""), endpoint)


def _body(study: Study, run: Run, known: Supported, prompt: str, choices: int, system: str = "") -> dict[str, Any]:
    endpoint, protocol = study.file.endpoints[run.variant.endpoint or ""], run.variant.protocol(study.file.protocol)
    return request_body(
        endpoint, run.variant.model or "", protocol, prompt, choices=choices, limit=known.limit,
        alternatives=known.top_logprobs, sampling=known.sampling(protocol), system=system,
    )  # fmt: skip


def _protocol(study: Study, instrument: Instrument) -> str:
    """What a reply has to be read by: results of another method or scale are not read by this one."""
    return f"{study.file.protocol.method}-{instrument.scale[0]}-{instrument.scale[1]}"


def _chunks(lines: Iterator[str], most: int) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for line in lines:
        # json.dumps writes ASCII, so a character is a byte.
        if chunk and (len(chunk) >= most or size + len(line) > MOST_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(line)
        size += len(line)
    if chunk:
        yield chunk


def is_current(study: Study, run: Run, store: Store, batch: Batch) -> bool:
    """Whether a file still asks what the study's design asks; its first line stands for all."""
    try:
        with path_of(study, batch).open(encoding="utf-8") as file:
            match = _ID.fullmatch(json.loads(file.readline())["custom_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    present = {asked.identity[:12]: asked.instrument for asked in questions(study, run)}
    asked = present.get(match["identity"]) if match else None
    return asked is not None and match is not None and match["protocol"] == _protocol(study, asked)


def cost(study: Study, run: Run, batch: Batch) -> float:
    """Dollars that a batch is estimated to cost, at half price; 0 where no price is known or the file is gone."""
    if spending.price(study, run) is None or not path_of(study, batch).is_file():
        return 0.0
    tokens_in = tokens_out = 0
    with path_of(study, batch).open(encoding="utf-8") as file:
        for body in (json.loads(line)["body"] for line in file):
            tokens_in += math.ceil(sum(len(one["content"]) for one in body["messages"]) / spending.CHARACTERS_A_TOKEN)
            tokens_out += body.get("n", 1) * (body.get("max_tokens") or body["max_completion_tokens"])
    return spending.dollars(study, run, tokens_in, tokens_out) / 2


# --- results ---------------------------------------------------------------------------------------------------------


class _Slots(NamedTuple):
    """Repetitions of a cell as a custom_id names them."""

    question: int
    first: int
    number: int
    identity: str
    protocol: str


class _Line(NamedTuple):
    """A result line: the slots it is for, None if it names none of ours, what it holds, when it was made.

    `refusal` is the error if no repetition mends what it says.
    """

    slots: _Slots | None
    reply: Completion | Failure
    time: str
    refusal: ElicitationError | None = None


@dataclass
class Found:
    """What result lines hold of a run: answers for the store, what they cost, and how many lines came to what.

    ``asked`` and ``brought`` are the most choices that an answered line asked for and got; ``refusal`` is the first error of a
    line that no repetition mends.
    """

    answers: list[Answer] = field(default_factory=list)
    traffic: dict[tuple[str, str], Traffic] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    asked: int = 0
    brought: int = 0
    refusal: ElicitationError | None = None
    wrong: str | None = None


def read_results(study: Study, run: Run, store: Store, lines: Iterable[str]) -> Found:
    """What result lines hold for a run, in any order; a line of another study counts as `foreign`, a torn one as `unreadable`.

    Results of an earlier design are kept under its questions. A slot whose line failed gets the reason `transport`, and so
    comes into the next batch.
    """
    known = store.identities(run.family.key, run.variant.key)
    prompts = {asked.identity: asked.bare for asked in questions(study, run)}
    longest, instruments = max(prompts.values(), key=len), {one.key: one for one in study.instruments}
    found, answered = Found(), set[_Slots]()
    key = study.file.endpoints[run.variant.endpoint or ""].key()  # results by hand need none
    sent = _body(study, run, _known(study, run, store), "", 2)
    for line in (_read_line(text, sent) for text in lines if text.strip()):
        found.refusal = found.refusal or line.refusal
        slots = line.slots
        if slots is None:
            found.outcomes[line.reply.kind if isinstance(line.reply, Failure) else "foreign"] += 1
            continue
        condition, identity, key_of, wording = known.get(slots.question, ("", "", "", ""))
        instrument = instruments.get(key_of, study.instrument).worded_as(wording)
        if not identity.startswith(slots.identity):
            found.outcomes["foreign"] += 1
        elif slots.protocol != _protocol(study, instrument):
            found.outcomes["of another protocol"] += 1
        elif slots in answered:
            found.outcomes["doubled"] += 1
        else:
            if isinstance(line.reply, Completion):
                answered.add(slots)
                line = line._replace(reply=without_key(line.reply, key))
            _take(found, study, run, condition, instrument, slots, line, prompts.get(identity, longest))
    return found


def _read_line(text: str, sent: dict[str, Any]) -> _Line:
    """What a line says; `sent` is the body of such a request, by which a refusal is understood."""
    now = _as_time(None)
    try:
        line = json.loads(text)
        match = _ID.fullmatch(line["custom_id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return _Line(None, Failure("unreadable", "the line is no JSON, or names no request"), now)
    if match is None:
        return _Line(None, Failure("foreign", "the line is for another study"), now)
    question, first, number = map(int, match.group("question", "first", "count"))
    slots = _Slots(question, first - int(match["before"] or 0), number, match["identity"], match["protocol"])
    response = line.get("response") if isinstance(line.get("response"), dict) else {}
    status, body = response.get("status_code"), response.get("body")
    headers = {"x-request-id": str(response["request_id"])} if response.get("request_id") else {}
    sent = {name: value for name, value in sent.items() if name != "n"} | ({"n": slots.number} if slots.number > 1 else {})
    error = _error(body) or _error(line) or {}
    if not isinstance(status, int):  # nothing came of it
        expired = error.get("code") == "batch_expired"
        return _Line(slots, Failure("expired" if expired else "unanswered", "the batch ended before it was answered"), now)
    try:
        if status == 200:
            created = body.get("created") if isinstance(body, dict) else None
            return _Line(slots, read(json.dumps(body).encode(), headers, sent, 0.0), _as_time(created))
        return _Line(slots, of_status(status, error, headers, sent, 0.0), now)
    except ElicitationError as refusal:
        return _Line(slots, Failure("refused", str(refusal)), now, refusal)


def _error(holder: Any) -> dict[str, Any] | None:
    """The error in an answer's body or a result line, as OpenAI or vLLM words it; vLLM nests it or gives a bare text."""
    error = holder.get("error") if isinstance(holder, dict) else None
    if isinstance(error, dict) and isinstance(error.get("error"), dict):
        error = error["error"]
    return {"message": error} if isinstance(error, str) else error if isinstance(error, dict) else None


def _as_time(created: Any) -> str:
    known = isinstance(created, (int, float)) and _NO_CLOCK < created < math.inf
    moment = datetime.fromtimestamp(created, UTC) if known else datetime.now(UTC)
    return moment.isoformat(timespec="milliseconds")


def _take(
    found: Found, study: Study, run: Run, condition: str, instrument: Instrument, slots: _Slots, line: _Line, prompt: str
) -> None:  # fmt: skip
    """Add what one line brought: answers, and what the request cost, as reported or at most."""
    reply, served, tokens = line.reply, None, (0, 0)
    most = spending.most_tokens(prompt, 1 if study.by_logprobs else study.file.protocol.max_tokens, slots.number)
    kind = "batch" if isinstance(reply, Completion) else reply.kind
    choices: list[Choice | Failure] = (
        [reply] * slots.number if isinstance(reply, Failure) else list(reply.choices[: slots.number])
    )
    if isinstance(reply, Completion):
        served = reply
        tokens = (
            most[0] if reply.input_tokens is None else reply.input_tokens,
            most[1] if reply.output_tokens is None else reply.output_tokens,
        )
        if wrong := wrong_server(study, run, reply):
            found.wrong = found.wrong or wrong
            kind, served, choices = "wrong_server", None, [Failure("wrong_server", wrong)] * slots.number
        elif slots.number > 1 and reply.choices[0].finish_reason != "content_filter":
            found.asked, found.brought = max(found.asked, slots.number), max(found.brought, len(choices))
        found.answered += 0 if wrong else len(choices)
    elif reply.paid:
        tokens = most
    found.answers += [
        answer_of(study, slots.question, slots.first + place, choice, line.time, served, first=place == 0, instrument=instrument)
        for place, choice in enumerate(choices)
    ]
    found.outcomes[kind] += 1
    before = found.traffic.get((condition, kind), Traffic(run.family.key, run.variant.key, condition, kind, 0))
    sums = before.requests + 1, before.input_tokens + tokens[0], before.output_tokens + tokens[1]
    found.traffic[condition, kind] = Traffic(*before[:4], *sums)


class Collected(NamedTuple):
    """What a batch came to: slots that the model answered, and a line about it for people."""

    slots: int
    line: str


def collect(study: Study, run: Run, store: Store, batch: Batch, lines: Iterable[str], *, status: str = "collected") -> Collected:
    """Store what a batch brought, in one transaction with the word that it is over.

    Raises ElicitationError where it brought nothing and another batch would bring no more: a refused parameter, replies of
    another model than pinned, results that belong to another protocol (which stay to be collected under that one).
    """
    found = read_results(study, run, store, lines)
    if found.outcomes["of another protocol"] and not found.answers:
        raise ElicitationError(
            f"{batch.name}: its results are for another method or scale than the study's; collect them with the study file as "
            "it was, or give them up with CANCEL=1"
        )
    if batch.status == "by hand" and not found.answers:
        what = ", ".join(f"{kind} {number:,}" for kind, number in sorted(found.outcomes.items()))
        raise ElicitationError(
            f"{batch.name}: none of its {sum(found.outcomes.values()):,} result lines is one of this study ({what}); "
            "expected JSON lines with the custom_id of the requests, as a provider or `vllm run-batch` writes them; "
            "correct the file and run the same command again"
        )
    store.add(found.answers, traffic=found.traffic.values(), batch=(batch.name, status))
    learned = _learn(study, run, store, found)
    if not found.answered and not learned:
        _stop(study, run, batch, found)
    what = ", ".join(f"{kind} {number:,}" for kind, number in sorted(found.outcomes.items()) if kind != "batch")
    line = f"{batch.name}: {found.outcomes['batch']:,} of {batch.requests:,} requests answered, {found.answered:,} slots"
    return Collected(found.answered, line + (f" ({what})" if what else "") + (f"; {learned}" if learned else ""))


def _learn(study: Study, run: Run, store: Store, found: Found) -> str | None:
    """Keep what results say of the model: choices that never come, or what was refused and can be asked in another way."""
    known = _known(study, run, store)
    refusal = found.refusal if isinstance(found.refusal, RefusedError) and not found.answered else None
    if found.brought < found.asked:
        known, line = (
            replace(known, choices=max(1, found.brought), capped=True),
            f"a request brings {found.brought} of {found.asked} choices",
        )
    elif refusal and refusal.parameter == "n":
        known, line = replace(known, choices=1, capped=True), "it takes no n: repetitions are asked one by one"
    elif refusal and supported_parameters.refuses_neutral(known, refusal):
        known, line = supported_parameters.without_neutral(known), "it takes no top_k, min_p, repetition_penalty"
    elif refusal and refusal.hint == "max_completion_tokens" and known.limit == "max_tokens":
        known, line = replace(known, limit="max_completion_tokens"), "it wants max_completion_tokens"
    else:
        return None
    supported_parameters.remember(store, study.file.endpoints[run.variant.endpoint or ""], run.variant.model or "", known)
    return line


def _stop(study: Study, run: Run, batch: Batch, found: Found) -> None:
    """Raise what a further batch would only repeat."""
    if isinstance(found.refusal, RefusedError):
        told = supported_parameters.explained(found.refusal, run.variant.model or "", study.file.protocol)
        raise ElicitationError(f"{batch.name}: {told}")
    if found.refusal:
        flag = "; `vllm run-batch` needs --served-model-name with that model" if "status 404" in str(found.refusal) else ""
        raise ElicitationError(f"{batch.name}: {found.refusal}{flag if batch.status == 'by hand' else ''}")
    if found.wrong:
        raise ElicitationError(f"{batch.name}: every reply was {found.wrong}; correct the pin, or the endpoint")
