"""What the simulated endpoint saw: the truth that tests and benchmarks of a client are checked against."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

#: Seconds that a request may be under way from a client that has not heard of a refusal yet.
GRACE = 0.02
#: Seconds that two readings of one clock may differ by when a wait ends.
_SLACK = 0.002
#: Requests remembered by their body.
_SEEN = 5000

#: A slot as the tally counts it: model, cell and repetition.
Named = tuple[str, str, int]


class Tally:
    """Counts of one server since its start or the last reset; all times are of the monotonic clock."""

    def __init__(self) -> None:
        # Once: two readings of two clocks never differ by the same.
        self._offset = time.time() - time.monotonic()
        self.reset()

    def reset(self) -> None:
        """Forget everything but what is in flight."""
        self.in_flight = getattr(self, "in_flight", 0)
        self.max_in_flight = self.in_flight
        self.requests = self.ratings = self.inside_window = self.before_retry_after = 0
        self.after_permanent = self.undelivered = self.batch_requests = 0
        self.statuses: Counter[int] = Counter()
        self.faults: Counter[str] = Counter()
        self.asked: Counter[Named] = Counter()
        self.answered: Counter[Named] = Counter()
        self.seen: deque[dict[str, Any]] = deque(maxlen=_SEEN)
        self._first: float | None = None
        self._last: float | None = None
        self._last_answer: float | None = None
        self._permanent: float | None = None
        self._windows: deque[tuple[float, float]] = deque()
        self._held: dict[Named, float] = {}

    def arrive(self, now: float) -> None:
        """A chat completion was asked for."""
        self.requests += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self._first = now if self._first is None else self._first
        self._last = now
        if self._permanent is not None and now > self._permanent + GRACE:
            self.after_permanent += 1
        windows = self._windows
        while windows and windows[0][1] <= now:
            windows.popleft()
        if any(sent + GRACE < now < until - _SLACK for sent, until in windows):
            self.inside_window += 1

    def leave(self) -> None:
        """That request is over."""
        self.in_flight -= 1

    def ask(self, slots: Sequence[Named], now: float, body: dict[str, Any], slot: str | None) -> None:
        """The slots that a request turned out to name."""
        self.seen.append({"slot": slot, **body})
        self.asked.update(slots)
        if self._held and any(self._held.pop(named, 0.0) > now + _SLACK for named in slots):
            self.before_retry_after += 1

    def answer(self, slots: Sequence[Named], ratings: int, faults: Sequence[str], *, delivered: bool = True) -> None:
        """Slots were answered, which is what a real endpoint charges for, whether or not anybody was left to hear it."""
        self.answered.update(slots)
        self.ratings += ratings
        self.undelivered += not delivered
        self.faults.update(faults)
        self._last_answer = time.monotonic()

    def refuse(self, slots: Sequence[Named], now: float, seconds: float, *, by_limiter: bool) -> None:
        """A 429 went out that announces a wait of so many seconds."""
        self._held.update(dict.fromkeys(slots, now + seconds))
        # Of refusals with one end, the first counts: a client knows from then on.
        if by_limiter and not (self._windows and self._windows[-1][1] >= now + seconds - _SLACK):
            self._windows.append((now, now + seconds))

    def end(self, now: float) -> None:
        """An error went out that no further request can mend."""
        self._permanent = now if self._permanent is None else self._permanent

    def figures(self) -> dict[str, Any]:
        """Everything counted, ready for JSON; times are Unix seconds, None before the first request."""
        took = (self._last_answer or 0.0) - (self._first or 0.0)
        return {
            "requests": self.requests,
            "by_status": {str(status): count for status, count in sorted(self.statuses.items())},
            "faults": dict(sorted(self.faults.items())),
            "ratings": self.ratings,
            "ratings_per_second": round(self.ratings / took, 1) if took > 0 and self._first is not None else None,
            "slots_asked": len(self.asked),
            "slots_asked_again": sum(count > 1 for count in self.asked.values()),
            "slots_answered": len(self.answered),
            "slots_answered_again": sum(count > 1 for count in self.answered.values()),
            "answers_too_many": self.answered.total() - len(self.answered),
            "undelivered": self.undelivered,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "inside_window": self.inside_window,
            "before_retry_after": self.before_retry_after,
            "after_permanent": self.after_permanent,
            "batch_requests": self.batch_requests,
            "first_arrival": None if self._first is None else self._first + self._offset,
            "last_arrival": None if self._last is None else self._last + self._offset,
        }
