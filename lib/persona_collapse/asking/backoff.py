"""How often a request is tried again, and how long it waits before; `pacing` holds a whole endpoint back."""

import math
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

#: Attempts at one request that may fail, refusals not counted, before its slots are left for the next visit.
ATTEMPTS = 8
#: Seconds after which a request that fails or is refused once more is left as well.
PATIENCE = 3600.0
#: Seconds for which a server that takes no connection is waited for, unless its endpoint says otherwise.
OUTAGE = 120.0
#: The first wait after a failure or an unannounced refusal; it doubles each time up to the longest.
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
#: Seconds that an answer can ask to wait at most, a day: what says more is a clock that is wrong.
_LONGEST_ANNOUNCED = 86_400.0
#: Headers that say so, the provider's own where a gateway passes it on.
_HEADERS = ("retry-after", "llm_provider-retry-after")


def wait(times: int) -> float:
    """Seconds before the next attempt: they double each time, scattered so that what failed together is not tried together."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(times - 1, 10)) * random.uniform(0.8, 1.2)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait, however it says so, a day at most; None if it does not."""
    try:
        seconds = float(headers["retry-after-ms"]) / 1000
    except (KeyError, ValueError):
        seconds = _seconds(next((headers[name] for name in _HEADERS if name in headers), None))
    return None if math.isnan(seconds) else min(max(0.0, seconds), _LONGEST_ANNOUNCED)


def _seconds(text: str | None) -> float:
    """The value of Retry-After, seconds or a date, as seconds from now; NaN if it says neither."""
    try:
        return float(text or "nan")
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(text or "").timestamp() - time.time()
    except (ValueError, OverflowError):
        return math.nan
