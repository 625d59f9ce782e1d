"""The pace of an endpoint, by a hand clock: what holds it, for how long, and how fast it goes on."""

import heapq
import random

import pytest

from persona_collapse.asking.pacing import Pace


def send(pace, number, now=0.0):
    """Send so many at once; all must be allowed."""
    tickets = []
    for _ in range(number):
        assert pace.wait(now) == 0
        tickets.append(pace.sent(now))
    return tickets


def limited(most=64, sends=10, let_in=2, now=0.0, wait=1.0):
    """A pace whose first requests met a limiter: `let_in` of them were answered, the rest refused at once."""
    pace = Pace(most)
    tickets = send(pace, sends, now)
    for ticket in tickets[:let_in]:
        pace.answered(ticket, 0.0)
    for ticket in tickets[let_in:]:
        pace.refused(ticket, now, wait)
    return pace


def test_stray_refusals_hold_nothing():
    """Every fifth request is refused and every later one answered: no wait, no pace, no fewer in flight."""
    pace = Pace(64)
    for _ in range(20):
        tickets = send(pace, 5)
        pace.refused(tickets[0], 0.0, 3.0)
        for ticket in tickets[1:]:
            pace.answered(ticket, 0.0)
        assert pace.wait(0.0) == 0
    assert (pace.limits_met, pace.rate, pace.held_until) == (0, None, 0.0)
    # 16 at first, one more for each answer that came while nothing was being judged: the last three of every five
    assert pace.limit == min(64, 16 + 20 * 3)


def test_nothing_is_sent_while_a_refusal_is_judged():
    pace = Pace(64)
    first, second, third = send(pace, 3)
    pace.refused(first, 0.0, 1.0)
    assert pace.wait(0.0) is None
    pace.answered(second, 0.0)  # one up, one down: stray
    assert pace.wait(0.0) == 0
    pace.answered(third, 0.0)


def test_an_answer_to_a_request_sent_before_the_refused_one_says_nothing():
    pace = Pace(64)
    first, second, third = send(pace, 3)
    pace.refused(second, 0.0, 1.0)
    pace.answered(first, 0.0)
    assert pace.wait(0.0) is None  # it may have been let in before the limit was met
    pace.refused(third, 0.0, 1.0)
    assert pace.limits_met == 1


def test_a_limiter_holds_until_the_latest_announced_end():
    """Ten sent at 0, two let in; refusals announce ends between 1.0 and 1.7 and come in any order."""
    pace = Pace(64)
    tickets = send(pace, 10)
    for ticket in tickets[:2]:
        pace.answered(ticket, 0.0)
    for ticket, end in zip(tickets[2:], (1.2, 1.0, 1.7, 1.1, 1.3, 1.4, 1.5, 1.6), strict=True):
        pace.refused(ticket, 0.1, end - 0.1)
    assert pace.held_until == pytest.approx(1.7)
    assert [pace.wait(now) for now in (0.1, 1.0)] == pytest.approx([1.6, 0.7])
    assert pace.wait(1.7) == 0


def test_a_limit_that_is_met_with_nothing_else_under_way_counts():
    pace = Pace(1)
    (ticket,) = send(pace, 1)
    pace.refused(ticket, 0.0, 2.0)
    assert pace.wait(0.5) == pytest.approx(1.5)


def test_refusals_of_what_was_sent_before_the_verdict_only_prolong_the_wait():
    """Ten under way, the first eight refusals are the verdict; the other two change the end, not the number in flight."""
    pace = Pace(64)
    tickets = send(pace, 10)
    for ticket in tickets[:8]:
        pace.refused(ticket, 0.0, 1.0)
    rate = pace.rate
    assert (pace.limits_met, pace.limit, pace.held_until) == (1, 8, 1.0)  # 16 halved
    pace.refused(tickets[8], 0.5, 1.5)
    pace.refused(tickets[9], 0.6, 0.1)
    assert (pace.limits_met, pace.limit, pace.held_until, pace.rate) == (1, 8, 2.0, rate)


def test_a_late_refusal_after_the_wait_holds_nothing_anew():
    pace = Pace(64)
    tickets = send(pace, 10)
    for ticket in tickets[:8]:
        pace.refused(ticket, 0.0, 1.0)
    pace.refused(tickets[8], 1.2, 5.0)  # its own request waits; that is the asker's
    assert pace.held_until == 1.0


def test_the_pace_is_what_was_let_in_over_the_whole_wait():
    """Two let in from 0 to the end of the wait at 1.0 are 2 a second; eight until 4.0 would be 2 a second as well."""
    assert limited(let_in=2, wait=1.0).rate == pytest.approx(2.0)
    pace = limited(sends=16, let_in=8, now=0.0, wait=4.0)
    assert pace.rate == pytest.approx(2.0)
    # Then one goes every half second: at 4.0, and from then on as the rate allows.
    send(pace, 1, now=4.0)
    assert pace.wait(4.0) == pytest.approx(0.5, rel=0.06)


def test_a_clock_that_is_late_lets_two_go_at_once_and_no_more():
    pace = limited(sends=16, let_in=8, wait=4.0)  # 2 a second from 4.0
    send(pace, 1, now=4.0)
    # Six seconds late, twelve would have gone; the rate has grown by 5 % at most.
    assert pace.wait(10.0) == 0
    sent = 0
    while pace.wait(10.0) == 0:
        pace.sent(10.0)
        sent += 1
    assert sent == 3  # the one that is due and a burst of two


def test_in_flight_is_halved_once_for_a_wait_and_never_under_one():
    pace = Pace(64)
    limits = []
    now = 0.0
    for _ in range(8):
        tickets = []
        while pace.wait(now) == 0:
            tickets.append(pace.sent(now))
        for ticket in tickets:
            pace.refused(ticket, now, 1.0)
        limits.append(pace.limit)
        now = max(now, pace.held_until) + 10
    # 16, halved with every wait, however many refusals it had
    assert limits[:5] == [8, 4, 2, 1, 1] and min(limits) == 1


def test_in_flight_rises_while_it_goes_well():
    """One more for every answer until the first limit: 16, and the 48 that are missing to 64 after 48 answers."""
    pace = Pace(64)
    for answers in range(60):
        assert pace.limit == min(64, 16 + answers)
        pace.answered(send(pace, 1)[0], 0.0)
    assert pace.limit == 64


def test_the_pace_rises_after_a_limit_and_falls_a_little_at_the_next():
    """20 a second let in; after the first limit it grows 5 % a second, and is cut to 0.93 of that when met again late."""
    pace = limited(sends=16, let_in=8, wait=0.4)
    assert pace.rate == pytest.approx(20.0)
    now = pace.held_until
    for _ in range(100):
        now += pace.wait(now)
        pace.answered(pace.sent(now), now)
    # 100 requests at 20 to 25 a second take 4 to 5 seconds: 20 x 1.05^4 = 24.3, 20 x 1.05^5 = 25.5
    assert 24.0 < pace.rate < 25.6
    before = pace.rate
    now += pace.wait(now)
    pace.refused(pace.sent(now), now, 1.0)
    assert pace.limits_met == 2 and pace.wait(now) == pytest.approx(1.0)
    assert pace.rate == pytest.approx(0.93 * before, rel=0.01)


def test_an_endpoint_that_refuses_at_random_is_not_paced():
    """A seeded third of 600 requests is refused for no reason; 16 in flight, in order: hardly ever held, no pace at the end."""
    pace, draw, now, held = Pace(16), random.Random(4), 0.0, 0.0
    under_way = []
    sent = 0
    while sent < 600:
        while (wait := pace.wait(now)) == 0 and len(under_way) < 16:
            under_way.append(pace.sent(now))
            sent += 1
        if wait and not under_way:
            held += wait
            now += wait
            continue
        now += 0.01
        ticket = under_way.pop(0)
        if draw.random() < 1 / 3:
            pace.refused(ticket, now, 2.0)
        else:
            pace.answered(ticket, 0.0)
    # Taken for a limiter's, 200 refusals of two seconds would hold for 200 x 2 / 16 = 25 s at the very least.
    assert (pace.rate, pace.limits_met, held) == (None, 0, 0.0)


def test_most_failing_halves_once_and_never_ends_in_a_deadlock():
    """A refusal is being judged when failures halve the number in flight; what is left is refused, and it goes on."""
    pace = Pace(64)
    tickets = send(pace, 16)
    for ticket in tickets[:7]:
        pace.failed(ticket)
    pace.refused(tickets[7], 0.0, 1.0)
    pace.failed(tickets[8])
    pace.failed(tickets[9])  # nine of ten outcomes are failures
    assert pace.limit == 8
    for ticket in tickets[10:]:
        pace.refused(ticket, 0.0, 1.0)
    assert pace.in_flight == 0
    assert pace.wait(0.0) is not None and pace.wait(1.5) == 0


# --- where more requests bring no more answers -----------------------------------------------------------------------


class Fixed:
    """As many in flight as allowed, always."""

    def __init__(self, most):
        self.limit, self.under_way, self.tickets = most, set(), 0

    def wait(self, now):
        return 0 if len(self.under_way) < self.limit else None

    def sent(self, now):
        self.tickets += 1
        self.under_way.add(self.tickets)
        return self.tickets

    def answered(self, ticket, now):
        self.under_way.discard(ticket)


def slots(number, draw):
    """A server of so many slots: when a request is answered that comes now."""
    free = [0.0] * number

    def at(now):
        heapq.heappush(free, end := max(now, heapq.heappop(free)) + draw())
        return end

    return at


def asked(pace, requests, answered_at):
    """All requests by a simulated clock: the time it took, the latencies in order, the limit after each answer."""
    now, sent, under_way, latencies, limits = 0.0, 0, [], [], []
    while sent < requests or under_way:
        while sent < requests and pace.wait(now) == 0:
            heapq.heappush(under_way, (answered_at(now), pace.sent(now), now))
            sent += 1
        now, ticket, began = heapq.heappop(under_way)
        pace.answered(ticket, now)
        latencies.append(now - began)
        limits.append(int(pace.limit))
    return now, latencies, limits


def p95(latencies):
    return sorted(latencies)[int(0.95 * len(latencies))]


@pytest.mark.parametrize("seed", range(5))
def test_a_server_of_four_slots_is_asked_by_a_few_and_is_as_fast(seed):
    """32 in flight wait 8 times as long as they are served: 4 to 10 s, 57 s in the mean. The last half is asked by 4 to 8."""
    draw = random.Random(seed)
    time, latencies, limits = asked(Pace(32), 2000, slots(4, lambda: draw.uniform(4, 10)))
    draw = random.Random(seed)
    usual, before, _ = asked(Fixed(32), 2000, slots(4, lambda: draw.uniform(4, 10)))
    assert time <= 1.01 * usual
    assert set(limits[1000:]) <= {4, 8} and p95(before[1000:]) > 55
    assert p95(latencies[1000:]) < 20


def test_a_server_that_divides_itself_among_requests_is_seen_through_as_well():
    """No queue, but every answer takes as long as there are others under way: 0.5 s times their number."""
    pace = Pace(32)

    def shared(now):
        return now + 0.5 * (len(pace._under_way) + 1)

    time, _, limits = asked(pace, 1000, shared)
    assert limits[-1] in (4, 8) and max(limits) == 32
    assert time <= 1.05 * 0.5 * 1000


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("most", [64, 8])
def test_an_endpoint_that_has_use_for_all_keeps_them(seed, most):
    """Latencies of 1 to 10 s that hang on nothing: half as many in flight is half the rate, tried ever more rarely."""

    def took(pace):
        draw = random.Random(seed)
        return asked(pace, 3000, lambda now: now + draw.uniform(1, 10))

    (time, _, limits), (usual, _, _) = took(Pace(most)), took(Fixed(most))
    assert limits.count(most) > 0.85 * len(limits)
    assert time < 1.08 * usual


def test_a_fast_endpoint_is_never_tried_with_fewer():
    draw = random.Random(1)
    _, _, limits = asked(Pace(64), 3000, slots(8, lambda: draw.uniform(0.04, 0.06)))
    assert limits[48:] == [64] * (3000 - 48)  # 64 in the queue of 8 take half a second


def test_more_slots_are_found_again():
    """Four slots become thirty-two: the number found grows back."""
    draw = random.Random(2)
    pace, serve = Pace(32), slots(4, lambda: draw.uniform(2, 4))
    _, _, limits = asked(pace, 600, serve)
    assert limits[-1] <= 8
    _, _, limits = asked(pace, 6000, slots(32, lambda: draw.uniform(2, 4)))
    assert limits[-1] == 32
