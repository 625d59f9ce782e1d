"""How fast one endpoint may be asked: concurrency that adapts, and holding back while the endpoint says that it is limited."""

from collections import deque

#: Requests in flight at the start, and their growth with every answer until the first limit is met.
_START = 16
#: A run of refusals is judged by its score: one up for a refusal, one down for an answer to a request sent later. At zero
#: the refusals were stray; at this number, or when nothing more is under way, they are a limiter's.
_SURE = 8
#: Answers since the last wait after which a refusal by a known limiter needs no judging.
_KNOWN = 20
#: Verdicts in a row after which the endpoint refuses at random: refusals that were stray, or limits met after fewer answers
#: than that, however slow the pace.
_AT_RANDOM = 3
#: Outcomes that are remembered to tell an overloaded endpoint, one that mostly fails, from stray failures.
_RECENT = 16
#: Growth of the pace a second, once a limiter has shown what it lets through: slow, for each limit met costs a wait.
_GROWTH = 0.01
#: Requests that may follow at once when the clock was late.
_BURST = 2


class Pace:
    """The pace of one endpoint. Times are seconds of a monotonic clock; the caller says what the time is.

    A refusal (429) holds its own request in any case; that is the caller's. Here it is decided whether it also holds the
    whole endpoint. Refusals are stray where later requests are answered meanwhile, and a limiter's where most are refused.
    Until that is known nothing is sent. After a limit was met, requests go out at the rate that the endpoint let through
    from one wait to the next, and the rate rises slowly.
    """

    def __init__(self, most: int) -> None:
        """At most `most` requests in flight."""
        self.most = most
        self.limit = float(min(most, _START))
        self.held_until = 0.0
        self.rate: float | None = None  # requests a second, None while no limit was met
        self.limits_met = 0
        self._strays = self._short = 0  # in a row
        self._doubling = True
        self._under_way: set[int] = set()
        self._tickets = 0
        self._suspect: int | None = None  # the ticket with which the present run of refusals began
        self._score = 0
        self._announced = 0.0
        self._cycle: float | None = None  # when the present stretch between two waits began
        self._accepted = 0
        self._next_at = self._paced_at = 0.0
        self._after_halving = 0  # tickets from here on were sent after the last halving
        self._recent: deque[bool] = deque(maxlen=_RECENT)  # whether each of the latest requests failed

    @property
    def in_flight(self) -> int:
        """Requests sent and not yet answered or refused."""
        return len(self._under_way)

    def wait(self, now: float) -> float | None:
        """Seconds until the next request may go, 0 for now, None for not before something under way has ended."""
        if self._suspect is not None or len(self._under_way) >= int(self.limit):
            return None
        until = max(self.held_until, self._next_at if self.rate else 0.0)
        return max(0.0, until - now)

    def sent(self, now: float) -> int:
        """A request goes out; returns its ticket."""
        if self._cycle is None:
            self._cycle = now
        if self.rate is not None:
            self.rate *= (1 + _GROWTH) ** min(1.0, now - self._paced_at)
            self._paced_at = now
            self._next_at = max(self._next_at, now - _BURST / self.rate) + 1 / self.rate
        self._tickets += 1
        self._under_way.add(self._tickets)
        return self._tickets

    def answered(self, ticket: int) -> None:
        """The request was answered."""
        self._under_way.discard(ticket)
        self._recent.append(False)
        self._accepted += 1
        if self._suspect is not None:
            # What was sent before the first refusal may have been let in before the limit was met: it says nothing.
            self._judge(-1 if ticket > self._suspect else 0)
        else:
            self.limit = min(self.most, self.limit + (1 if self._doubling else 1 / self.limit))

    def failed(self, ticket: int) -> None:
        """The request brought no answer and no refusal either; where most do, the endpoint is overloaded."""
        self._under_way.discard(ticket)
        self._recent.append(True)
        if 2 * sum(self._recent) > _RECENT:
            self._halve(ticket)
        if self._suspect is not None:
            self._judge(0)

    def refused(self, ticket: int, now: float, wait: float) -> None:
        """The request was refused by a 429 that asks to wait so many seconds."""
        self._under_way.discard(ticket)
        self._announced = max(self._announced, now + wait)
        if self._suspect is None:
            self._suspect, self._score = ticket, 0
        known = self.rate is not None and self._accepted >= _KNOWN
        self._judge(_SURE if known else 1)

    def _judge(self, step: int) -> None:
        self._score += step
        undecided = 0 < self._score < _SURE and any(ticket > self._suspect for ticket in self._under_way)
        if undecided:
            return
        sure = self._score >= _SURE
        # With nothing else under way one refusal decides nothing; an endpoint that refuses at random does it again.
        if sure or (self._score > 0 and not self._at_random):
            self._strays = 0
            self._short = 0 if sure or self._accepted >= _KNOWN else self._short + 1
            self._limit_met()
        else:
            self._strays += 1
        if self._at_random:
            self.rate = None
        self._suspect, self._announced = None, 0.0

    @property
    def _at_random(self) -> bool:
        return self._strays >= _AT_RANDOM or self._short > _AT_RANDOM

    def _limit_met(self) -> None:
        self.limits_met += 1
        self.held_until = max(self.held_until, self._announced)
        lasted = self.held_until - (self._cycle or 0.0)
        if self._accepted and lasted > 0:
            let_through = self._accepted / lasted
            self.rate = let_through if self.rate is None else min(let_through, self.rate)
        elif self.rate is not None:
            self.rate /= 2
        self._cycle, self._accepted = self.held_until, 0
        self._next_at = self._paced_at = self.held_until
        self._halve(self._tickets)

    def _halve(self, ticket: int) -> None:
        """Half as many in flight, once for everything that was under way when it became too much, and never under one."""
        if ticket >= self._after_halving:
            self.limit, self._doubling = max(1.0, self.limit / 2), False
            self._after_halving = self._tickets + 1
