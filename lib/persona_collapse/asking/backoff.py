"""How often a request is tried again, and how long it waits before; `pacing` holds a whole endpoint back."""

import random

#: Attempts at one request that may fail, refusals not counted, before its slots are left for the next visit.
ATTEMPTS = 8
#: Seconds after which a request that fails or is refused once more is left as well.
PATIENCE = 3600.0
#: The first wait after a failure or an unannounced refusal; it doubles each time up to the longest.
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0


def wait(times: int) -> float:
    """Seconds before the next attempt: they double each time, scattered so that what failed together is not tried together."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(times - 1, 10)) * random.uniform(0.8, 1.2)
