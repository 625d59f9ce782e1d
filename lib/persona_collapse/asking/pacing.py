"""How fast one endpoint may be asked: concurrency that adapts, and holding back while the endpoint says that it is limited."""

from collections import deque

from persona_collapse.asking.useful_number import UsefulNumber

#: Requests in flight at the start, and their growth with every answer until the first limit is met.
_START = 16
#: A run of refusals is judged by its score: one up for a refusal, one down for an answer to a request sent later. At zero
#: the refusals were stray; at this number, or when nothing more is under way, they are a limiter's.
_SURE = 8
#: Requests let in since the last wait after which a refusal by a known limiter needs no judging.
_TRUSTED = 20
#: Verdicts in a row after which the endpoint refuses at random: refusals that were stray, or limits met after fewer requests
#: than that, however slow the pace.
_STRAYS, _SHORT = 3, 6
#: Outcomes that are remembered to tell an overloaded endpoint, one that mostly fails, from stray failures.
_RECENT = 16
#: Growth of the pace a second: fast after the first limit, which tells the rate roughly; then up to near the rate at which a
#: limit was met last; near it slow, for each limit met costs a wait, but twice as fast after every `_LONG` seconds without.
_FIRST_GROWTH, _GROWTH, _NEAR_GROWTH = 0.05, 0.01, 0.001
_NEAR, _LONG = 0.96, 15.0
#: Seconds since the last wait after which a limit is met late, however few requests went out.
_SETTLED = 4.0
#: What is left of the pace when a limit is met again: long after the last one; soon after it, at most and at least.
_LATE, _EARLY, _LEAST = 0.93, 0.85, 0.25
#: Requests that may follow at once when the clock was late.
_BURST = 2


class Pace:
    """The pace of one endpoint. Times are seconds of a monotonic clock; the caller says what the time is.

    A refusal (429) holds its own request in any case; that is the caller's. Here it is decided whether it also holds the
    whole endpoint. Refusals are stray where later requests are answered meanwhile, and a limiter's where most are refused.
    Until that is known nothing is sent. After a limit was met, requests go out at the rate that the endpoint let through
    from the first request to the end of the wait; the rate rises slowly, and falls a little whenever a limit is met again.
    """

    def __init__(self, most: int) -> None:
        """At most `most` requests in flight."""
        self.most = most
        self.useful = UsefulNumber(most)
        self.limit = float(min(most, _START))
        self.held_until = 0.0
        self.rate: float | None = None  # requests a second, None while no limit was met
        self.limits_met = 0
        self._strays = self._short = 0  # verdicts in a row
        self._doubling = True
        self._under_way: set[int] = set()
        self._tickets = 0
        self._suspect: int | None = None  # the ticket with which the present run of refusals began
        self._score = 0
        self._announced = 0.0
        self._judged = 0  # tickets up to here were sent before the last limit was met
        self._halved = 0  # and up to here before the number in flight was last halved
        self._cycle: float | None = None  # when the present stretch between two waits began
        self._let_in = 0  # requests sent in it and not refused
        self._next_at = self._paced_at = 0.0
        self._met_at = 0.0  # the rate at which a limit was met last
        self._known = False  # whether a limit was met late, so that the rate is about right
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
            self.rate *= (1 + self._growth(now)) ** min(1.0, max(0.0, now - self._paced_at))
            self._paced_at = now
            self._next_at = max(self._next_at, now - _BURST / self.rate) + 1 / self.rate
        self._tickets += 1
        self._let_in += 1
        self._under_way.add(self._tickets)
        self.useful.sent(self._tickets, now, len(self._under_way))
        return self._tickets

    def _growth(self, now: float) -> float:
        if not self._known:
            return _FIRST_GROWTH
        assert self.rate is not None and self._cycle is not None  # `sent` asks when it has both
        slow = _GROWTH if self.rate < _NEAR * self._met_at else _NEAR_GROWTH
        return slow * 2 ** min(8.0, max(0.0, now - self._cycle) / _LONG)

    def answered(self, ticket: int, now: float) -> None:
        """The request was answered."""
        self._under_way.discard(ticket)
        other = None
        # Under a limiter it is not the number in flight that decides how fast answers come.
        if free := self.rate is None and self._suspect is None:
            other = self.useful.answered(ticket, now, int(self.limit), self._tickets)
        else:
            self.useful.unclear(ticket)
        self._recent.append(False)
        if self._suspect is not None:
            # What was sent before the first refusal may have been let in before the limit was met: it says nothing.
            self._judge(-1 if ticket > self._suspect else 0)
        elif other is not None:
            self.limit = float(other)
        elif free and self.useful.on_trial:
            pass  # until it is known what it brings
        else:
            # Where a pace is set, it and not the number in flight keeps to the limit.
            fast = self._doubling or self.rate is not None
            self.limit = min(self.useful.cap, self.limit + (1 if fast else 1 / self.limit))

    def failed(self, ticket: int) -> None:
        """The request brought no answer and no refusal either; where most do, the endpoint is overloaded."""
        self._under_way.discard(ticket)
        self.useful.unclear(ticket)
        self._recent.append(True)
        if 2 * sum(self._recent) > _RECENT and ticket > self._halved:
            self._halve()
            self._recent.clear()
        if self._suspect is not None:
            self._judge(0)

    def hold(self, until: float) -> None:
        """Nothing goes out before that, and then one request at a time, until answers come again."""
        self.held_until = max(self.held_until, until)
        self.limit, self._doubling, self._halved = 1.0, True, self._tickets
        self.useful.disturbed(self._tickets)

    def refused(self, ticket: int, now: float, wait: float) -> None:
        """The request was refused by a 429 that asks to wait so many seconds."""
        self._under_way.discard(ticket)
        self.useful.unclear(ticket)
        if ticket <= self._judged:
            # Sent before the limit was known: one more word of the same wait.
            if self.held_until > now:
                self.held_until = max(self.held_until, now + wait)
            return
        self._let_in -= 1
        self._announced = max(self._announced, now + wait)
        if self._suspect is None:
            self._suspect, self._score = ticket, 0
        trusted = self.rate is not None and self._let_in >= _TRUSTED
        self._judge(_SURE if trusted else 1)

    def _judge(self, step: int) -> None:
        assert self._suspect is not None  # a verdict is on a run of refusals
        self._score += step
        if 0 < self._score < _SURE and any(ticket > self._suspect for ticket in self._under_way):
            return  # undecided
        sure = self._score >= _SURE
        # With nothing else under way one refusal decides nothing; an endpoint that refuses at random does it again.
        if sure or (self._score > 0 and not self._at_random):
            self._strays = 0
            self._short = 0 if sure or self._let_in >= _TRUSTED else self._short + 1
            self._limit_met(self._suspect)
        else:
            self._strays += 1
        if self._at_random:
            self.rate, self._known = None, False
        self._suspect, self._announced = None, 0.0

    @property
    def _at_random(self) -> bool:
        return self._strays >= _STRAYS or self._short > _SHORT

    def _limit_met(self, suspect: int) -> None:
        self.limits_met += 1
        self.held_until = max(self.held_until, self._announced)
        lasted = self.held_until - (self._cycle or 0.0)
        # Of what is still under way, later than the first refusal, little will be let in.
        let_in = self._let_in - sum(ticket > suspect for ticket in self._under_way)
        self._met_at = self.rate or 0.0
        let_through = max(let_in, 1) / lasted if lasted > 0 else None
        if self.rate is None or let_through is None:
            self.rate = let_through
        elif self._let_in >= _TRUSTED or lasted > _SETTLED:
            self.rate *= _LATE
            self._known = True
        elif self._known:
            self.rate *= _EARLY
        else:
            self.rate = min(_EARLY * self.rate, max(_LEAST * self.rate, let_through))
        self._cycle, self._let_in = self.held_until, 0
        self._next_at = self._paced_at = self.held_until
        self._judged = self._tickets
        self._halve()

    def _halve(self) -> None:
        """Half as many in flight, once for everything that was under way when it became too much, and never under one."""
        self.limit, self._doubling = max(1.0, self.limit / 2), False
        self._halved = self._tickets
        self.useful.disturbed(self._tickets)
