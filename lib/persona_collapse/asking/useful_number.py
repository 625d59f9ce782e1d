"""How many requests in flight an endpoint has a use for: where more of them bring no more answers, they only wait.

By Little's law answers come at the rate of requests in flight over their mean latency. A server of four slots answers as fast
with four requests as with thirty-two, each of which takes eight times as long.
"""

#: Seconds of mean latency below which a queue at the endpoint harms nobody and is not looked for.
_SLOW = 2.0
#: In flight, so few that fewer are not tried.
_FEW = 4
#: Answers behind a mean: so many, or as many as may be in flight.
_SAMPLE = 32
#: A request tells of a number in flight if so much of it was under way when it was sent.
_FULL = 0.75
#: Half the requests do if they bring so much of the best rate; twice as many are worth it if they bring so much more.
_AS_MUCH, _MORE = 0.9, 1.25
#: Half the requests that bring less than this of it are surely missed; between, a second trial may tell.
_SURELY_LESS = 0.7
#: Means without a trial after the first trial that surely failed; twice as many after each further one, up to the longest.
_PAUSE, _LONGEST_PAUSE = 8, 64


class UsefulNumber:
    """Tries half and twice the number in flight, one sample each, and keeps what brings as much with less.

    Nothing is tried while answers come fast, and after a trial that failed ever more rarely. `cap` is the number found.
    """

    def __init__(self, most: int) -> None:
        """At most `most` are ever in flight."""
        self.cap = float(most)
        self._most = most
        self._sent: dict[int, tuple[float, int]] = {}  # time and number in flight of every request under way
        self._tried = 0  # the number that is on trial, 0 for none
        self._from, self._best, self._before = 0, 0.0, 0.0  # the number before the trial; rates: the best, and that before it
        self._up = False  # whether the next trial is of more
        self._left, self._pause = 0, _PAUSE
        self._since, self._latencies = 0, 0.0  # the sample: requests after this one, the sum of their latencies
        self._count = 0

    @property
    def on_trial(self) -> bool:
        """Whether the present number is tried out."""
        return self._tried > 0

    def sent(self, ticket: int, now: float, in_flight: int) -> None:
        """A request went out and is one of so many under way."""
        self._sent[ticket] = now, in_flight

    def unclear(self, ticket: int) -> None:
        """The request is over, and says nothing of how long answers take at this number in flight."""
        self._sent.pop(ticket, None)

    def disturbed(self, ticket: int) -> None:
        """The number in flight was changed for another reason: what was sent up to this request says nothing."""
        self._tried = 0
        self._begin(ticket)

    def answered(self, ticket: int, now: float, limit: int, latest: int) -> int | None:
        """The request was answered, with `limit` allowed and `latest` the last one sent; returns another limit to go on with."""
        began, in_flight = self._sent.pop(ticket)
        if not self._tried and limit < self.cap:
            self._begin(latest)  # while it grows, a request waits for fewer others than there will be
            return None
        if ticket <= self._since or in_flight < _FULL * limit:
            return None
        self._latencies += now - began
        self._count += 1
        if self._count < max(_SAMPLE, limit):
            return None
        latency = self._latencies / self._count
        self._begin(latest)
        return self._judge(limit, limit / max(latency, 1e-9), slow=latency >= _SLOW)

    def _begin(self, latest: int) -> None:
        self._since, self._latencies, self._count = latest, 0.0, 0

    def _judge(self, limit: int, rate: float, *, slow: bool) -> int | None:
        """What a mean at `limit` in flight, of so many answers a second, leads to."""
        if self._tried:
            worth = rate >= (_MORE * self._before if self._up else _AS_MUCH * self._best)
            self._tried = 0
            if not worth and not self._up and rate >= _SURELY_LESS * self._best:
                return self._from
            if not worth:
                self._up, self._left = not self._up, self._pause
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)
                return self._from
            self.cap, self._left = float(limit), 0
            self._best = rate if self._up else max(self._best, rate)
        elif not slow and self.cap == self._most:
            return None  # all is well
        else:
            self._best = rate
        if self._left:
            self._left -= 1
            return None
        self._before, self._from = rate, limit
        # Where no more are allowed, or fewer would gain nothing, there is only the other way.
        self._up = limit <= _FEW or (self._up and limit < self._most)
        if self._up and limit >= self._most:
            return None
        self._tried = min(self._most, 2 * limit) if self._up else max(_FEW, limit // 2)
        return self._tried
