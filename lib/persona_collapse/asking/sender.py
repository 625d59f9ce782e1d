"""Sending the requests of one visit: each with word of it on disk, and what another server or a cache answered refused."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from persona_collapse.asking import dialect_openai
from persona_collapse.asking.client import connect
from persona_collapse.asking.dialect_openai import Completion, ElicitationError, Failure
from persona_collapse.asking.ledger import Ledger, Sent
from persona_collapse.asking.request_queue import Queued
from persona_collapse.study.study import Run, Study

#: Requests given up in a row, with no answer between, after which an endpoint is taken to be down.
GIVE_UP_AFTER = 30
#: Replies of another server than the pinned one in a row after which the pin is taken to be wrong.
WRONG_IN_A_ROW = 10


class Sender:
    """What slots and texts of a visit share: clients, and what is counted in a row.

    `cached` says whether an answer to a prompt was given before; `fail` hears of what ends the visit.
    """

    def __init__(
        self, study: Study, ledger: Ledger, cached: Callable[[Run, str, Completion], bool], fail: Callable[[Exception], None]
    ) -> None:
        self._study, self._ledger, self._cached, self._fail = study, ledger, cached, fail
        self._clients: dict[str, Any] = {}
        self._given_up: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter()

    def client(self, name: str) -> Any:
        """The client of an endpoint, one a visit."""
        if name not in self._clients:
            self._clients[name] = connect(self._study.file.endpoints[name])
        return self._clients[name]

    async def close(self) -> None:
        """Close every client."""
        for client in self._clients.values():
            await client.close()

    async def send(
        self, request: Queued, run: Run, condition: str, body: dict[str, Any], prompt: str, most: tuple[int, int], slot: str = ""
    ) -> Completion | Failure:
        """Send one request of a run, whose tokens are `most` at most; `prompt` is all of its messages."""
        name = run.variant.endpoint or ""
        request.number = self._ledger.sent(Sent(*run.keys, condition, *most))
        try:
            found = await dialect_openai.send(
                self.client(name), body, slot=slot, timeout=self._study.file.endpoints[name].timeout
            )  # fmt: skip
        except ElicitationError:
            self._ledger.failed(request.number, Failure("refused", "an error that no repetition mends"))
            raise
        if isinstance(found, Completion) and (wrong := self._answered_by_another(run, found)):
            self._ledger.answered(request.number, found, "wrong_server")
            return Failure("wrong_server", wrong)
        if isinstance(found, Completion) and self._cached(run, prompt, found):
            self._ledger.answered(request.number, found, "cached")
            return Failure("cached", "an answer that was given before, from a cache")
        return found

    def _answered_by_another(self, run: Run, found: Completion) -> str | None:
        """As `dialect_openai.wrong_server`; many in a row end the visit."""
        wrong = dialect_openai.wrong_server(self._study, run, found)
        self._wrong[run.key] = self._wrong[run.key] + 1 if wrong else 0
        if self._wrong[run.key] >= WRONG_IN_A_ROW:
            self._fail(
                ElicitationError(f"{run.key}: {WRONG_IN_A_ROW} replies in a row were {wrong}; correct the pin, or the endpoint")
            )
        return wrong

    def settled(self, name: str, number: int, found: Completion | Failure) -> None:
        """A request to an endpoint is over: count its answer, or that it was given up; many of these in a row end the visit."""
        if isinstance(found, Completion):
            self._given_up[name] = 0
            self._ledger.answered(number, found)
            return
        self._given_up[name] += 1
        if self._given_up[name] >= GIVE_UP_AFTER:
            self._fail(
                ElicitationError(
                    f"{name}: {GIVE_UP_AFTER} requests in a row were given up ({found.said}); "
                    "check the endpoint and run the same command again"
                )
            )
