"""Requests beside the slots: counted and paid for as any other, tried again, and never ratings."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from persona_collapse.asking import backoff, dialect_openai, spending
from persona_collapse.asking.dialect_openai import Completion, ElicitationError, Failure
from persona_collapse.asking.ledger import Ledger, Sent
from persona_collapse.asking.supported_parameters import Supported
from persona_collapse.study.study import Run, Study
from persona_collapse.study.study_file import Protocol
from persona_collapse.study.treatment import messages

#: Requests under way at once; they are few.
_TOGETHER = 8


class Cell(NamedTuple):
    """A cell by the number of its persona, 0 without any, and of its item; and its prompt."""

    persona: int
    item: int
    prompt: str


def spread(study: Study, cells: int) -> list[str]:
    """Prompts of so many cells, spread over the personas and items of a study."""
    return [cell.prompt for cell in spread_cells(study, cells)]


def spread_cells(study: Study, cells: int) -> list[Cell]:
    """So many cells, spread over the personas and items of a study; in a small one some stand twice."""
    deck = study.deck("persona")
    people: list[tuple[int, str | None]] = [(persona.index, persona.text) for persona in deck or ()] or [(0, None)]
    items, found = study.instrument.items, []
    for k in range(cells):
        item = items[k * len(items) // cells if cells < len(items) else k % len(items)]
        index, text = people[k * len(people) // cells]
        found.append(Cell(index, item.number, study.instrument.prompt(item, text, digit=study.by_logprobs)))
    return found


class ExtraRequests:
    """Asks single prompts of a run; `outcome` is what traffic calls an answer, and `stopping` whether the visit is to end."""

    def __init__(
        self, study: Study, ledger: Ledger, client: Callable[[str], Any], stopping: Callable[[], bool], outcome: str
    ) -> None:
        self._study, self._ledger, self._client, self._stopping, self._outcome = study, ledger, client, stopping, outcome
        self._held_until = 0.0  # monotonic seconds: one that is refused for their number holds all

    async def ask(
        self, run: Run, prompts: Sequence[str], known: Supported, protocol: Protocol, *, alternatives: int = 0,
        choices: int = 1, slots: Sequence[str] = (),
    ) -> list[Completion] | None:  # fmt: skip
        """One answer to every prompt, of so many choices, in their order; None once the visit stops. `slots` name the prompts.

        A run that is asked otherwise than `protocol` says gets the prompts as it gets its slots.

        Raises ElicitationError if one gets no answer, and RefusedError where the endpoint does not take a parameter.
        """
        gate = asyncio.Semaphore(min(_TOGETHER, self._study.file.endpoints[run.variant.endpoint or ""].max_in_flight))

        async def one(prompt: str, slot: str) -> Completion | None:
            async with gate:
                return await self._answer(run, prompt, known, protocol, alternatives, choices, slot)

        named = slots or [""] * len(prompts)
        first = await one(prompts[0], named[0])  # what is refused is refused once
        found = [first, *(await asyncio.gather(*map(one, prompts[1:], named[1:])))]
        self._ledger.write()
        answers = [completion for completion in found if completion is not None]
        return answers if len(answers) == len(found) else None

    async def _answer(
        self, run: Run, prompt: str, known: Supported, protocol: Protocol, alternatives: int, choices: int, slot: str
    ) -> Completion | None:
        name = run.variant.endpoint or ""
        endpoint = self._study.file.endpoints[name]
        protocol = run.variant.protocol(protocol)
        prompt, system = messages(protocol, prompt)
        body = dialect_openai.request_body(
            endpoint, run.variant.model or "", protocol, prompt,
            choices=choices, limit=known.limit, alternatives=alternatives, sampling=known.sampling(protocol), system=system,
        )  # fmt: skip
        most = spending.most_tokens(system + prompt, body[known.limit], choices)
        said, failures, began = "", 0, time.monotonic()
        while failures < backoff.ATTEMPTS and time.monotonic() - began < backoff.PATIENCE:
            while (left := self._held_until - time.monotonic()) > 0 and not self._stopping():
                await asyncio.sleep(min(left, 0.2))
            if self._stopping():
                return None
            number = self._ledger.sent(Sent(run.family.key, run.variant.key, "persona", *most))
            try:
                found = await dialect_openai.send(self._client(name), body, slot=slot, timeout=endpoint.timeout)
            except ElicitationError:
                self._ledger.failed(number, Failure("refused", "an error that no repetition mends"))
                raise
            if isinstance(found, Completion):
                self._ledger.answered(number, found, self._outcome)
                self._ledger.settle(number, [], again=False, stored=None)
                return found
            self._ledger.failed(number, found)
            said, limited = found.said, found.kind in ("limited", "busy")
            failures += not limited
            wait = found.wait or backoff.wait(failures + 1)
            if limited:
                self._held_until = max(self._held_until, time.monotonic() + wait)
            else:
                await asyncio.sleep(wait)
        raise ElicitationError(f"{run.key}: a request got no answer ({said}); check the endpoint and run the same command again")
