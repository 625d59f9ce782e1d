"""The part of a visit that asks for texts: questions without a persona first, then judges about the answers.

Queue, pacing, ledger, budget and the watch for caches and other servers are those of the slots. Only transport is tried again: a
refusal, an empty text or a reply in another form is a result.
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from persona_collapse.asking import dialect_openai, spending, supported_parameters, text_questions
from persona_collapse.asking.backoff import ATTEMPTS, wait
from persona_collapse.asking.dialect_openai import Completion, ElicitationError, Failure, RefusedError
from persona_collapse.asking.request_queue import Asker, Queued
from persona_collapse.asking.slots import hash_of
from persona_collapse.asking.supported_parameters import FEW_ALTERNATIVES, MOST_ALTERNATIVES, Supported
from persona_collapse.asking.text_questions import TextQuestion
from persona_collapse.store.rows import TextAnswer
from persona_collapse.study import first_token, rating_parser
from persona_collapse.study.study import Run

if TYPE_CHECKING:
    from persona_collapse.asking.live_visit import Visit


@dataclass(eq=False, slots=True)
class TextRequest(Queued):
    """One question that is asked."""

    asked: TextQuestion


class TextVisit:
    """Asks every text that a visit's study lacks of some runs, and what judges say of them."""

    def __init__(self, visit: "Visit") -> None:
        self._visit, self._study, self._store = visit, visit.study, visit.store
        self._known: dict[tuple[str, str], Supported] = {}

    async def run(self, runs: Sequence[Run]) -> None:
        """Ask until nothing is missing or the visit stops."""
        await self._ask(text_questions.missing(self._study, self._store, runs))
        if not self._visit.stopping:
            await self._ask(text_questions.unjudged(self._study, self._store, runs))

    async def _ask(self, questions: Sequence[TextQuestion]) -> None:
        by_endpoint: defaultdict[str, list[TextQuestion]] = defaultdict(list)
        for question in questions:
            by_endpoint[question.run.variant.endpoint or ""].append(question)
        for own in by_endpoint.values():
            for first in {q.run.variant.model: q for q in reversed(own)}.values():
                await self._learn(first)
        if self._visit.stopping:
            return
        settled = self._store.texts_settled()  # the first of each model is
        self._visit.askers = [
            Asker(
                name, self._study.file.endpoints[name].max_in_flight,
                (TextRequest(q) for q in _side_by_side(own) if q.key not in settled),
                self._send_known, self._settled, self._failed, self._visit.fail, self._study.file.endpoints[name].patience * 60,
            )
            for name, own in by_endpoint.items()
        ]  # fmt: skip
        await asyncio.gather(*(asker.run() for asker in self._visit.askers))
        self._visit.ledger.write()

    # --- what a model takes ------------------------------------------------------------------------------------------

    async def _learn(self, first: TextQuestion) -> None:
        """Learn how a model is to be asked from its first question, whose answer is kept."""
        name, model = first.run.variant.endpoint or "", first.run.variant.model or ""
        own = self._study.file.endpoints[name]
        known = supported_parameters.recall(self._store, own, model)
        wants_logprobs = first.how.method == "logprobs"
        self._known[name, model] = known
        if known.probed and (known.alternatives is not None or not wants_logprobs):
            return
        if not known.probed:
            known = supported_parameters.untried(known, own)
        offers = (MOST_ALTERNATIVES, FEW_ALTERNATIVES, 0) if wants_logprobs else (known.alternatives,)
        for alternatives in offers:
            want = replace(known, alternatives=alternatives)
            try:
                found = await self._first(first, want)
                break
            except RefusedError as error:
                if not wants_logprobs or alternatives == 0 or error.parameter not in ("logprobs", "top_logprobs", None):
                    raise ElicitationError(_explained(error, model)) from None
        if found is None:
            return
        offered = len(found.choices[0].alternatives) if wants_logprobs else known.alternatives
        want = replace(self._known[name, model], alternatives=min(offered or 0, alternatives or 0) if wants_logprobs else offered)
        self._known[name, model] = replace(
            want, served_model=found.served_model, fingerprint=found.fingerprint, provider=found.provider,
            probed=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
        self._visit.ledger.write()
        supported_parameters.remember(self._store, own, model, self._known[name, model])

    async def _first(self, first: TextQuestion, want: Supported) -> Completion | None:
        """Ask a first question in the ways that there are for its other parameters; None once the visit stops."""
        name, model = first.run.variant.endpoint or "", first.run.variant.model or ""
        for _ in range(4):
            self._known[name, model] = want
            try:
                return await self._until_answered(first)
            except RefusedError as error:
                if error.hint == "max_completion_tokens" and want.limit == "max_tokens":
                    want = replace(want, limit="max_completion_tokens")
                elif error.parameter == "top_p" and want.top_p:
                    want = replace(want, top_p=False)
                elif supported_parameters.refuses_neutral(want, error):
                    want = replace(want, neutral=False)
                else:
                    raise
        raise ElicitationError(f"{model}: refused its first question in every way; see what the endpoint takes")

    async def _until_answered(self, first: TextQuestion) -> Completion | None:
        request, found = TextRequest(first), None
        for attempt in itertools.count(1):
            if self._visit.stopping:
                return None
            request.sends += 1
            found = await self._send(request)
            if isinstance(found, Completion):
                self._settled(None, request, found)
                return found
            self._failed(request, found)
            if attempt >= ATTEMPTS:
                break
            await asyncio.sleep(found.wait or wait(attempt))
        assert isinstance(found, Failure)
        raise ElicitationError(
            f"{first.run.variant.model}: the first question got no answer ({found.said}); check base_url and that the server "
            "runs, then run the same command again"
        )

    # --- one request -------------------------------------------------------------------------------------------------

    async def _send_known(self, request: TextRequest) -> Completion | Failure:
        try:
            return await self._send(request)
        except RefusedError as error:
            variant = request.asked.run.variant
            own = self._study.file.endpoints[variant.endpoint or ""]
            supported_parameters.remember(self._store, own, variant.model or "", Supported())
            raise ElicitationError(_explained(error, variant.model or "")) from None

    async def _send(self, request: TextRequest) -> Completion | Failure:
        asked = request.asked
        name, model = asked.run.variant.endpoint or "", asked.run.variant.model or ""
        known = self._known[name, model]
        # A judge without logprobs is asked all the same: its number counts as it stands.
        offered = asked.how.method == "logprobs" and bool(known.alternatives)
        how = asked.how.model_copy(update={"method": "samples"})
        body = dialect_openai.request_body(
            self._study.file.endpoints[name], model, how, asked.prompt, choices=1, limit=known.limit,
            alternatives=known.top_logprobs, sampling=known.sampling(how), system=asked.system, with_logprobs=offered,
        )  # fmt: skip
        most = spending.most_tokens(asked.system + asked.prompt, body[known.limit], 1)
        return await self._visit.sender.send(request, asked.run, asked.purpose, body, asked.whole, most)

    # --- what came back ----------------------------------------------------------------------------------------------

    def _settled(self, asker: Asker[Any] | None, request: TextRequest, found: Completion | Failure) -> None:
        self._visit.sender.settled(request.asked.run.variant.endpoint or "", request.number, found)
        answer = text_answer(request.asked, found, datetime.now(UTC).isoformat(timespec="milliseconds"), sends=request.sends)
        self._visit.ledger.settle_text(request.number, answer, asker.stored if asker else None)

    def _failed(self, request: TextRequest, found: Failure) -> None:
        self._visit.ledger.failed(request.number, found)


def _side_by_side(questions: Sequence[TextQuestion]) -> Iterator[TextQuestion]:
    """Questions of one endpoint, one of each run in turn: base and variants are asked together, so that drift hits them alike."""
    by_run: defaultdict[Run, list[TextQuestion]] = defaultdict(list)
    for question in questions:
        by_run[question.run].append(question)
    return (q for turn in itertools.zip_longest(*by_run.values()) for q in turn if q is not None)


def text_answer(
    asked: TextQuestion, found: Completion | Failure, time: str | None, *, sends: int = 1
) -> TextAnswer:  # fmt: skip
    """What is stored of an answer: its text, or why there is none."""
    key = asked.key
    if isinstance(found, Failure):
        kind = "wrong_server" if found.kind == "wrong_server" else "transport"
        return TextAnswer(*key, hash_of(asked.whole), found.said, kind, attempts=sends, time=time)
    choice = found.choices[0]
    filtered = choice.refused or choice.finish_reason == "content_filter"
    reason: str | None = None
    if filtered or not (choice.text or "").strip():
        reason = rating_parser.missing_reason(choice.text, finish_reason=choice.finish_reason, refused=choice.refused)
        reason = "empty" if reason == "unparseable" else reason
    usable = choice.alternatives and first_token.usable(choice.alternatives)
    return TextAnswer(
        *key, hash_of(asked.whole), choice.text, reason, choice.finish_reason,
        first_token.as_text(choice.alternatives) if usable else None, found.served_model, found.fingerprint, found.request_id,
        sends, found.input_tokens, found.output_tokens, time, found.latency or None, found.provider, found.completion,
    )  # fmt: skip


def _explained(error: RefusedError, model: str) -> str:
    """Which parameter a model refused of a question in words, and what to do about it."""
    remedy = {
        "temperature": "set the temperature of the questions to the value that it takes (reasoning models: 1), or leave it out",
        "max_tokens": "change max_tokens of the questions",
        "max_completion_tokens": "change max_tokens of the questions",
        "provider": "only gateways take provider: remove it from the endpoint",
        "system": "leave what is said in a system message out of the study, or the model",
    }.get(error.parameter or "", "correct what it names, in the study file or at the server, and run the same command again")
    return f"{error}; {remedy}; nothing was dropped silently"
