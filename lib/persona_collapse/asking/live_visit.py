"""A visit to the endpoints of a live study: every missing slot is asked, and every answer is on disk before it counts."""

import asyncio
import functools
import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from persona_collapse.asking import backoff, base_check, dialect_openai, recital, request_probe, spending, supported_parameters
from persona_collapse.asking.bundles import bundles
from persona_collapse.asking.dialect_openai import Choice, Completion, ElicitationError, Failure, RefusedError
from persona_collapse.asking.extra_requests import ExtraRequests
from persona_collapse.asking.ledger import Ledger
from persona_collapse.asking.request_queue import Asker, Request
from persona_collapse.asking.sender import WRONG_IN_A_ROW, Sender
from persona_collapse.asking.slots import answer_of, whole
from persona_collapse.asking.supported_parameters import Supported
from persona_collapse.asking.text_visit import TextVisit
from persona_collapse.asking.watch import Watch
from persona_collapse.store.rows import MissingCell
from persona_collapse.store.store import Store
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.study import Run, Study
from persona_collapse.study.treatment import Messages, messages

#: Attempts at the first request to an endpoint: a server that is not there is said so soon.
_FIRST_ATTEMPTS = {"timeout": 2, "dropped": 2, "malformed": 2, "server": 6, "busy": 6, "wrong_server": WRONG_IN_A_ROW}


class Visit:
    """One visit: construct it, then `run` it in an event loop of its own; `stop` and the figures are for another thread.

    `ledger.asked` slots are on disk with an answer or the reason why there is none; `ledger.spent` is in dollars.
    """

    def __init__(
        self, study: Study, runs: Sequence[Run], store: Store, say: Callable[[str], None],
        *, texts: Sequence[Run] = (), anyway: bool = False,
    ) -> None:  # fmt: skip
        """`runs` are asked the slots that they lack; `texts` the questions without a persona, and judges what is said of them."""
        self.study, self.runs, self.store, self.say, self._anyway = study, runs, store, say, anyway
        self._texts = texts
        self.ledger = Ledger(study, store, self.fail)
        held = itertools.chain(store.completions(), store.text_completions())
        self.watch = Watch(study, held, say, self.fail, anyway=anyway)
        self.sender = Sender(study, self.ledger, self.watch.cached, self.fail)
        self.askers: list[Asker[Any]] = []
        self.error: BaseException | None = None
        self.priced = any(spending.price(study, run) for run in runs)
        self.first_until = 0.0  # until when (monotonic seconds) the first request to an endpoint waits
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._stopping = threading.Event()
        self._support: dict[tuple[str, str], Supported] = {}
        self._over = False
        self._orderly = True

    # --- from another thread -----------------------------------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """Whether nothing new is sent any more."""
        return self._stopping.is_set()

    def stop(self, *, at_once: bool = False) -> None:
        """Send nothing new, and with `at_once` drop what is under way."""
        self._stopping.set()
        if self._loop is not None:
            with suppress(RuntimeError):  # a loop that has ended needs no stopping
                self._loop.call_soon_threadsafe(self._halt, at_once)

    def _halt(self, at_once: bool = False) -> None:
        self._stopping.set()
        for asker in self.askers:
            asker.abandon() if at_once else asker.stop()
        if at_once and self._main and not self.askers and not self._over:
            self._main.cancel()  # a first request is under way

    def fail(self, error: BaseException) -> None:
        """Remember what ends the visit; the first error is the cause, the others follow from it."""
        self.error = self.error or error
        self._orderly = self._orderly and isinstance(error, ElicitationError)
        self._halt(at_once=not isinstance(error, ElicitationError))

    # --- the visit ---------------------------------------------------------------------------------------------------

    async def run(self, *, only_probe: bool = False) -> None:
        """Ask everything that is missing, or with `only_probe` no more than tells what each endpoint takes.

        Raises ElicitationError or OSError for what ended it early; answers are kept.
        """
        self._main = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        lost = self.ledger.open()
        try:
            if lost:
                self.say(
                    f"{self.study.name}: the last visit was killed with requests under way ({lost}); "
                    "they may have been paid for, and are asked again"
                )
            await self._everything(only_probe)
        except (ElicitationError, OSError) as error:
            self.fail(error)
        except asyncio.CancelledError:
            if self.error is None:
                raise
        finally:
            self._over = True
            self.ledger.close(orderly=self._orderly)
            await self.sender.close()
        if self.error is not None:
            raise self.error

    async def _everything(self, only_probe: bool) -> None:
        self.ledger.check_budget()
        if not self._stopping.is_set():
            await self._probe()
        if not (self._anyway or self._stopping.is_set()):
            extra = ExtraRequests(self.study, self.ledger, self.sender.client, self._stopping.is_set, "compared")
            await base_check.check(self.study, self.runs, self.store, extra, self.say)
        if not self._stopping.is_set():
            extra = ExtraRequests(self.study, self.ledger, self.sender.client, self._stopping.is_set, "probed")
            await recital.probe(self.study, self.runs, self.store, extra, self.say)
        if not self._stopping.is_set():
            extra = ExtraRequests(self.study, self.ledger, self.sender.client, self._stopping.is_set, "second")
            await request_probe.probe(self.study, self.runs, self.store, extra, self.watch.cached, self.say)
        if only_probe:
            return
        await self._ask(lambda run, condition: self._missing(run, condition), again=False)
        for times in range(1, self.study.file.protocol.reask + 1):
            await self._ask(functools.partial(self._unrated, times=times), again=True)
        if self._texts and not self._stopping.is_set():
            await TextVisit(self).run(self._texts)

    # --- what is asked -----------------------------------------------------------------------------------------------

    def _missing(self, run: Run, condition: str) -> list[MissingCell]:
        return self.store.missing_cells(run.family.key, run.variant.key, condition)

    def _unrated(self, run: Run, condition: str, *, times: int) -> list[MissingCell]:
        return self.store.unrated_cells(run.family.key, run.variant.key, condition, times)

    async def _ask(self, cells: Callable[[Run, str], list[MissingCell]], *, again: bool) -> None:
        """Ask whatever `cells` gives, every endpoint at its own pace, base and variants of a family side by side."""
        names = dict.fromkeys(run.variant.endpoint or "" for run in self.runs)
        wanted = {(run, c): cells(run, c) for run, c in self._pairs()}
        if self._stopping.is_set():
            return
        self.askers = [
            Asker(
                name, self.study.file.endpoints[name].max_in_flight, self._requests(name, wanted, again),
                self._send_known, self._settled, self._failed, self.fail, self.study.file.endpoints[name].patience * 60,
            )
            for name in names
        ]  # fmt: skip
        await asyncio.gather(*(asker.run() for asker in self.askers))
        self.ledger.write()

    def _pairs(self) -> list[tuple[Run, str]]:
        return [(run, condition) for run in self.runs for condition in self.study.conditions(run)]

    def _requests(self, name: str, wanted: dict[tuple[Run, str], list[MissingCell]], again: bool) -> Iterator[Request]:
        """Requests to one endpoint, cell by cell: base and variants are asked together, so that drift hits them alike."""
        for family in self.study.file.families:
            runs = [r for r in self.runs if r.family is family and r.variant.endpoint == name]
            for condition in self.study.file.conditions:
                present = [(place, run) for place, run in enumerate(runs) if (run, condition) in wanted]
                lines = [[(_place(cell), place, cell) for cell in wanted[run, condition]] for place, run in present]
                for _, place, cell in heapq.merge(*lines, key=lambda entry: entry[:2]):
                    run = runs[place]
                    together = 1 if self._logprobs else self._support_of(run).choices or 1
                    for block in bundles(cell.repetitions, together, self.study.protocol_of(cell.instrument)):
                        yield _request(run, condition, cell, block, again)

    @property
    def _logprobs(self) -> bool:
        return self.study.file.protocol.method == "logprobs"

    def _support_of(self, run: Run) -> Supported:
        return self._support[run.variant.endpoint or "", run.variant.model or ""]

    async def _probe(self) -> None:
        """Learn what each endpoint takes for each model, unless it is known or nothing is missing."""
        protocol = self.study.file.protocol
        for run in self.runs:
            name, model = run.variant.endpoint or "", run.variant.model or ""
            own = self.study.file.endpoints[name]
            if (name, model) in self._support:
                continue
            known = supported_parameters.recall(self.store, own, model)
            self._support[name, model] = known
            first = self._first_request(name, model)
            if first is None or supported_parameters.complete(known, protocol, len(first.repetitions)) or self._stopping.is_set():
                continue
            known = replace(known, **await supported_parameters.listed(self.sender.client(name), model))
            for line in known.warnings(model):
                self.say(f"{self.study.name}: {line}")
            ask, wanted = functools.partial(self._first, first), len(first.repetitions)
            known = await supported_parameters.probe(known, own, model, protocol, len(first.repetitions), ask)
            self._support[name, model] = known
            for line in known.left_to_the_server(model, own):
                self.say(f"{self.study.name}: {line}")
            if protocol.method == "samples" and known.choices is not None and known.choices < wanted:
                self.say(
                    f"{self.study.name}: {model}: one request brings {known.choices} of the {wanted} ratings it was asked for; "
                    "more requests are needed, and the prompt is paid with each"
                )
            self.ledger.write()
            supported_parameters.remember(self.store, own, model, known)

    def _first_request(self, name: str, model: str) -> Request | None:
        """The first missing cell of a model with the most repetitions to ask; None if nothing is missing."""
        for run, condition in self._pairs():
            if (run.variant.endpoint, run.variant.model) == (name, model) and (cells := self._missing(run, condition)):
                most = supported_parameters.MOST_CHOICES
                first = [(bundles(cell.repetitions, most, self.study.protocol_of(cell.instrument))[0], cell) for cell in cells]
                block, cell = max(first, key=lambda one: len(one[0]))
                return _request(run, condition, cell, block)
        return None

    async def _first(self, request: Request, choices: int, known: Supported) -> Completion | Failure:
        """Ask the first request of a model for so many choices, wait out refusals, and keep what it brings."""
        request.repetitions = request.repetitions[:choices]
        self._support[request.run.variant.endpoint or "", request.run.variant.model or ""] = known
        failures, began = 0, time.monotonic()
        while True:
            request.sends += 1
            found = await self._send(request)
            if isinstance(found, Completion):
                self._settled(None, request, found)
                return found
            self._failed(request, found)
            own = self.study.file.endpoints[request.run.variant.endpoint or ""]
            # A study file that names its patience has a server that may still be loading its model.
            loading = "patience" in own.model_fields_set and found.kind in ("dropped", "busy") and not found.paid
            failures += found.kind != "limited" and not (loading and time.monotonic() - began < own.patience * 60)
            if failures >= _FIRST_ATTEMPTS.get(found.kind, backoff.ATTEMPTS) or time.monotonic() - began > backoff.PATIENCE:
                return found
            wait = 0.0 if found.kind == "wrong_server" else found.wait or backoff.wait(request.sends)
            self.first_until = time.monotonic() + wait
            while (left := self.first_until - time.monotonic()) > 0 and not self._stopping.is_set():
                await asyncio.sleep(min(left, 0.2))
            if self._stopping.is_set():
                return found

    # --- one request -------------------------------------------------------------------------------------------------

    async def _send_known(self, request: Request) -> Completion | Failure:
        """Send a request in the way that the endpoint took before; where it no longer does, the next visit asks anew."""
        try:
            return await self._send(request)
        except RefusedError as error:
            name, model = request.run.variant.endpoint or "", request.run.variant.model or ""
            supported_parameters.remember(self.store, self.study.file.endpoints[name], model, Supported())
            raise ElicitationError(supported_parameters.explained(error, model, self.study.file.protocol)) from None

    async def _send(self, request: Request) -> Completion | Failure:
        """Send one request of slots."""
        run, known = request.run, self._support_of(request.run)
        protocol = run.variant.protocol(self.study.file.protocol)
        name = run.variant.endpoint or ""
        own = self.study.file.endpoints[name]
        bare = self._prompt(request)
        prompt, system = messages(protocol, *bare)
        choices = len(request.repetitions)
        body = dialect_openai.request_body(
            own, run.variant.model or "", protocol, prompt,
            choices=choices, limit=known.limit, alternatives=known.top_logprobs, sampling=known.sampling(protocol),
            system=system,
        )  # fmt: skip
        most = spending.most_tokens(system + prompt, body[known.limit], choices)
        return await self.sender.send(
            request, run, request.condition, body, whole(*bare), most, request.slot
        )  # fmt: skip

    def _prompt(self, request: Request) -> Messages:
        """The user message of a request, and the system message before it, as the instrument words them."""
        deck, instrument = self.study.deck(request.condition), self._instrument(request)
        text = deck[request.persona].text if deck is not None and request.persona is not None else None
        asked = instrument.prompt(instrument.items[request.item - 1], text, digit=self._logprobs)
        return Messages(asked, instrument.system(text))

    def _instrument(self, request: Request) -> Instrument:
        return next(one for one in self.study.instruments if one.key == request.instrument).worded_as(request.wording)

    # --- what came back ----------------------------------------------------------------------------------------------

    def _settled(self, asker: Asker[Request] | None, request: Request, found: Completion | Failure) -> None:
        """Queue an answer, or the word that there is none, for the store; what is left of the request goes back."""
        name = request.run.variant.endpoint or ""
        self.sender.settled(name, request.number, found)
        if isinstance(found, Completion):
            choices: Sequence[Choice | Failure] = found.choices[: len(request.repetitions)]
            if asker and (rest := request.repetitions[len(choices) :]):
                asker.put_back(replace(request, repetitions=rest, sends=0, failures=0, began=0.0, number=0))
        else:
            choices = [found] * len(request.repetitions)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        answers = [
            answer_of(self.study, request.question, repetition, choice, now, found if isinstance(found, Completion) else None,
                      sends=request.sends, first=place == 0, instrument=self._instrument(request))
            for place, (choice, repetition) in enumerate(zip(choices, request.repetitions, strict=False))
        ]  # fmt: skip
        if not request.again:
            self.watch.saw(request.run, answers)
        self.ledger.settle(request.number, answers, again=request.again, stored=asker.stored if asker else None)

    def _failed(self, request: Request, found: Failure) -> None:
        self.ledger.failed(request.number, found)


def _request(run: Run, condition: str, cell: MissingCell, block: tuple[int, ...], again: bool = False) -> Request:
    return Request(run, condition, cell.question, cell.persona, cell.item, block, again, *cell[4:])


def _place(cell: MissingCell) -> tuple[int, int]:
    return (-1 if cell.persona is None else cell.persona), cell.item
