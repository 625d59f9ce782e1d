"""Asking one endpoint: requests wait in a queue, not in workers, and go out as fast as the endpoint lets them."""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from persona_collapse.asking import backoff
from persona_collapse.asking.dialect_openai import Completion, ElicitationError, Failure
from persona_collapse.asking.pacing import Pace
from persona_collapse.study.study import Run

#: Refused connections in a row after which an endpoint is held, and the step of `backoff.wait` that probes of it stay at.
_HELD_AFTER, _LONGEST_PROBE = 3, 6
#: Answers in a row that the server is busy which are taken for those of a limiter.
_BUSY = 50


@dataclass(eq=False, slots=True, kw_only=True)
class Queued:
    """A request in a queue, and what has come of it so far."""

    sends: int = 0
    failures: int = 0
    began: float = field(default=0.0, repr=False)
    number: int = 0  # of its latest sending


Q = TypeVar("Q", bound=Queued)


@dataclass(eq=False, slots=True)
class Request(Queued):
    """Repetitions of one cell that are asked together."""

    run: Run
    condition: str
    question: int
    persona: int | None
    item: int
    repetitions: tuple[int, ...]
    again: bool = False  # asked once more for want of a rating
    instrument: str = ""  # its key, and how it is worded
    wording: str = ""
    before: int = 0  # repetitions of its cell in other wordings that are counted first

    @property
    def slot(self) -> str:
        """Its first slot, as the request names it: condition/persona/item/repetition."""
        persona = "-" if self.persona is None else self.persona
        return f"{self.condition}/{persona}/{self.item}/{self.before + self.repetitions[0]}"


class Asker(Generic[Q]):
    """The queue of one endpoint, in one event loop.

    `fresh` yields requests in the order in which they are to be asked; `send` sends one. `settled` takes a request with its
    Completion, or with the Failure after which it was given up, and calls `stored` once that is on disk: until then it counts
    as in flight, so that a kill loses no more than `most` requests. `failed` hears of every attempt without an answer, `broken`
    of what ends everything. A server that takes no connection is probed by one request alone, for `patience` seconds.
    """

    def __init__(
        self,
        name: str,
        most: int,
        fresh: Iterator[Q],
        send: Callable[[Q], Awaitable[Completion | Failure]],
        settled: Callable[["Asker[Q]", Q, Completion | Failure], None],
        failed: Callable[[Q, Failure], None],
        broken: Callable[[BaseException], None],
        patience: float = backoff.OUTAGE,
    ) -> None:
        self.name, self.pace, self._patience = name, Pace(most), patience
        self._down_since: float | None = None
        self._not_taken = self._busy = 0  # refused connections, and answers that the server is busy, in a row
        self._fresh, self._send, self._settled, self._failed, self._broken = fresh, send, settled, failed, broken
        self._next: Q | None = next(fresh, None)
        self._held: list[tuple[float, int, Q]] = []
        self._order = itertools.count()
        self._unstored = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = self._answered = False
        self._idle = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @property
    def in_flight(self) -> int:
        """Requests sent and not answered."""
        return self.pace.in_flight

    @property
    def waiting(self) -> tuple[float, str] | None:
        """Seconds until something is sent again and why, while nothing else is under way."""
        now = self._loop.time()
        if (held := self.pace.held_until - now) > 0:
            return held, f"{self.name} takes no connection" if self._down_since else f"{self.name} is limited"
        if not self._tasks and self._next is None and self._held:
            return max(0.0, self._held[0][0] - now), f"{self.name} asked to wait or failed"
        return None

    async def run(self) -> None:
        """Ask until the queue is empty or `stop` was called, and what was under way has ended and is stored."""
        self._pump()
        await self._idle.wait()

    def stop(self) -> None:
        """Send nothing new."""
        self._stopped = True
        self._held.clear()
        self._next = None
        self._check_idle()

    def abandon(self) -> None:
        """Drop what is under way as well, and what waits to be stored."""
        self.stop()
        for task in self._tasks:
            task.cancel()
        self._idle.set()

    def put_back(self, request: Q, seconds: float = 0.0) -> None:
        """Ask a request, or what is left of it, not before so many seconds have passed."""
        if not self._stopped:
            heapq.heappush(self._held, (self._loop.time() + seconds, next(self._order), request))

    def stored(self) -> None:
        """What a request brought is on disk."""
        self._unstored -= 1
        self._pump()

    def _pump(self) -> None:
        """Send whatever may be sent now, and come back when more may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while not self._stopped and len(self._tasks) + self._unstored < self.pace.most:
            now = self._loop.time()
            ready = bool(self._held) and self._held[0][0] <= now
            if not ready and self._next is None:
                if self._held:
                    self._timer = self._loop.call_at(self._held[0][0], self._pump)
                break
            if (wait := self.pace.wait(now)) is None:
                break
            if wait > 0:
                self._timer = self._loop.call_later(wait, self._pump)
                break
            if ready:
                request = heapq.heappop(self._held)[2]
            else:
                assert self._next is not None  # else the loop was left above
                request, self._next = self._next, next(self._fresh, None)
            self._start(request, now)
        self._check_idle()

    def _check_idle(self) -> None:
        if not (self._tasks or self._unstored or self._held or self._next):
            self._idle.set()

    def _start(self, request: Q, now: float) -> None:
        request.began = request.began or now
        request.sends += 1
        task = self._loop.create_task(self._ask(request, self.pace.sent(now)))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken(error)
        self._pump()

    async def _ask(self, request: Q, ticket: int) -> None:
        try:
            found = await self._send(request)
        except BaseException:
            self.pace.failed(ticket)
            self.stop()  # here and not when the task has ended: in between another one would send
            raise
        now = self._loop.time()
        if isinstance(found, Completion):
            self._down_since, self._not_taken, self._busy = None, 0, 0
            self._answered = True
            self.pace.answered(ticket, now)
            self._settle(request, found)
            return
        self._failed(request, found)
        self._busy = self._busy + 1 if found.kind == "busy" else 0
        if found.kind == "dropped" and not found.paid:
            self._no_connection(request, found, ticket, now)
            return
        # A server that answered before and is now and then too busy limits, without saying how long.
        if found.kind == "limited" or (found.kind == "busy" and self._answered and self._busy <= _BUSY):
            # An announced wait of nothing, or none, would have the same request refused again at once.
            wait = found.wait or backoff.wait(request.sends)
            self.pace.refused(ticket, now, wait)
            tired = False
        else:
            request.failures += 1
            wait = max(found.wait or 0.0, backoff.wait(request.failures))
            self.pace.failed(ticket)
            tired = request.failures >= backoff.ATTEMPTS
        if self._stopped:
            return
        if tired or now - request.began > backoff.PATIENCE:
            self._settle(request, found)
        else:
            self.put_back(request, wait)

    def _no_connection(self, request: Q, found: Failure, ticket: int, now: float) -> None:
        """Nobody took the connection: after a few in a row the endpoint is held, and probed by one request until it is back."""
        self._not_taken += 1
        self._down_since = self._down_since or now
        wait = backoff.wait(min(self._not_taken, _LONGEST_PROBE))
        self.pace.failed(ticket)
        if now - self._down_since > self._patience:
            self._broken(
                ElicitationError(
                    f"{self.name}: took no connection for {self._patience / 60:.3g} minutes ({found.said}); check that the "
                    "server runs and run the same command again, or let the endpoint's patience be longer"
                )
            )
            self.stop()
            return
        if self._not_taken >= _HELD_AFTER:
            self.pace.hold(now + wait)
        self.put_back(request, wait)

    def _settle(self, request: Q, found: Completion | Failure) -> None:
        self._unstored += 1
        self._settled(self, request, found)
