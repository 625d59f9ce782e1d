"""What goes wrong at the simulated endpoint, and when: its options, seeded faults in order of arrival, and a limiter."""

import argparse
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from email.utils import formatdate
from typing import Any, NamedTuple


def _pair(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    return float(low), float(high or low)


def _option(default: Any, about: str, *, choices: tuple[str, ...] = (), parse: Callable[[str], Any] | None = None) -> Any:
    return field(default=default, metadata={"help": about, "choices": choices, "parse": parse or type(default)})


def _share(about: str) -> Any:
    return _option(0.0, f"share (0 to 1) of requests {about}")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the simulated endpoint behaves; the defaults are an endpoint that does all it should, at once.

    A share is drawn for each request, in order of arrival, from a generator seeded with `seed`; at most one transport
    fault (`rate_limited` to `drip`) hits a request. Each option is a flag of the command: `--rate-limited 0.3`.
    """

    seed: int = _option(0, "seed of the respondents, as a simulated study's, and of the faults")
    personas: str = _option("", "path to a deck of your own, for attributes of its personas")
    latency: float = _option(0.0, "seconds before an answer")
    jitter: float = _option(0.0, "seconds that an answer takes longer, drawn evenly from 0 to this")
    shared: float = _option(0.0, "share (0 to 1) of rating noise that the choices of a request have in common")
    # transport
    rate_limited: float = _share("answered 429 with a Retry-After")
    retry_after: tuple[float, float] = _option((1.0, 3.0), "seconds that such a Retry-After says, as 1-3", parse=_pair)
    retry_form: str = _option("decimal", "form of any Retry-After", choices=("decimal", "integer", "date", "none"))
    server_error: float = _share("answered 500")
    dropped: float = _share("whose connection is closed without an answer")
    malformed: float = _share("answered with a torn body and status 200")
    html: float = _share("answered with a page of HTML")
    html_status: int = _option(200, "status of that page")
    never: float = _share("that are never answered")
    drip: float = _share("whose answer comes in pieces")
    drip_seconds: float = _option(2.0, "seconds that such an answer takes")
    # replies
    filtered: float = _share("and choices with finish reason content_filter and no text")
    refusal: float = _share("and choices that hold a refusal in place of text")
    chatter: float = _share("and choices that talk before the number")
    wrong_count: float = _share("answered with one choice too few or too many")
    # what the model takes
    n: str = _option("taken", "several choices a request", choices=("taken", "ignored", "rejected"))
    max_tokens: str = _option(
        "taken", "max_tokens; rejected wants max_completion_tokens", choices=("taken", "ignored", "rejected")
    )
    temperature: str = _option("taken", "a temperature other than 1", choices=("taken", "rejected"))
    logprobs: str = _option(
        "taken", "logprobs; absent gives null, placeholder 0.0 for every token, forbidden status 403",
        choices=("taken", "absent", "placeholder", "rejected", "forbidden"),
    )  # fmt: skip
    most_logprobs: int = _option(20, "top_logprobs given, whatever is asked")
    digit_mass: float = _option(0.98, "share (0 to 1) of the first token's probability that is on digits")
    no_usage: bool = _option(False, "answers say no usage")
    # who answers
    served_model: str = _option("", "models that answers name as theirs, by commas, drawn evenly; = stands for the one asked")
    provider: str = _option("", "providers that answers name, by commas, drawn evenly")
    unlisted: str = _option("", "models, by commas, that answer but are not in the list of models")
    shutdown_date: str = _option("", "shutdown_date of every model in the list")
    # account
    key: str = field(default="", repr=False, metadata={"help": "the only bearer key taken", "choices": (), "parse": str})
    key_until: int | None = _option(None, "requests after which every key is refused", parse=int)
    quota: int | None = _option(None, "requests after which the quota is used up", parse=int)
    limit: float | None = _option(None, "requests a second let through; 429 with Retry-After beyond", parse=float)
    limiter: str = _option("window", "fixed windows of a second, or a bucket refilled steadily", choices=("window", "bucket"))
    # batches
    batch_seconds: float = _option(1.0, "seconds that a batch takes")
    batch_errors: float = _option(0.0, "share (0 to 1) of a batch's requests that fail with status 500")
    batch_expires: float | None = _option(None, "share (0 to 1) of a batch that is done when it expires", parse=float)

    def __post_init__(self) -> None:
        for option in fields(self):
            value, choices = getattr(self, option.name), option.metadata["choices"]
            if choices and value not in choices:
                raise ValueError(f"{_flag(option.name)}: {value!r}; expected one of {', '.join(choices)}")
            if "share (0 to 1)" in option.metadata["help"] and value is not None and not 0 <= value <= 1:
                raise ValueError(f"{_flag(option.name)}: {value:g}; expected a share from 0 to 1")
            if option.name in ("latency", "jitter", "drip_seconds", "batch_seconds") and not 0 <= value < math.inf:
                raise ValueError(f"{_flag(option.name)}: {value:g}; expected seconds, 0 or more")
        if (total := sum(getattr(self, name) for name in TRANSPORT)) > 1 + 1e-9:
            raise ValueError(f"{', '.join(map(_flag, TRANSPORT))}: {total:g} together; expected at most 1, lower one of them")
        if not 0 <= self.retry_after[0] <= self.retry_after[1]:
            raise ValueError(f"--retry-after: {self.retry_after}; expected seconds from low to high, such as 1-3")
        if self.limit is not None and self.limit <= 0:
            raise ValueError(f"--limit: {self.limit:g}; expected requests a second, above 0")
        if not 0 <= self.most_logprobs <= 20:
            raise ValueError(f"--most-logprobs: {self.most_logprobs}; expected 0 to 20")


#: Transport faults and faults of a choice: the names of their shares, in the order in which they are drawn.
TRANSPORT = ("rate_limited", "server_error", "dropped", "malformed", "html", "never", "drip")
OF_A_CHOICE = ("filtered", "refusal", "chatter")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a command a flag for each option."""
    for option in fields(Options):
        about = option.metadata["help"]
        if isinstance(option.default, bool):
            parser.add_argument(_flag(option.name), action="store_true", help=about)
        else:
            parser.add_argument(
                _flag(option.name), type=option.metadata["parse"], default=option.default,
                choices=option.metadata["choices"] or None, metavar=None if option.metadata["choices"] else "X", help=about,
            )  # fmt: skip


def from_flags(args: argparse.Namespace) -> Options:
    """The options that a command's flags say; ValueError names the first wrong one."""
    return Options(**{option.name: getattr(args, option.name) for option in fields(Options)})


def to_flags(options: Options) -> list[str]:
    """The flags that say what differs from the defaults; `from_flags` reads them back."""
    flags: list[str] = []
    for option in fields(Options):
        value = getattr(options, option.name)
        if value != option.default:
            said = "-".join(map(repr, value)) if isinstance(value, tuple) else str(value)
            flags += [_flag(option.name)] if isinstance(value, bool) else [_flag(option.name) + "=" + said]
    return flags


class Fate(NamedTuple):
    """What is drawn for a request: a transport fault or None, choices too many, seconds to wait and to announce."""

    fault: str | None
    surplus: int
    wait: float
    retry_after: float
    torn: float


class Faults:
    """Draws in order of arrival from one seeded generator."""

    def __init__(self, options: Options) -> None:
        self._options, self._random = options, random.Random(options.seed)
        self._transport = [(name, getattr(options, name)) for name in TRANSPORT]
        self._of_a_choice = [(name, share) for name in OF_A_CHOICE if (share := getattr(options, name))]

    def next(self) -> Fate:
        """The fate of the next request; always the same number of draws, so that one option moves no other's."""
        options, draw = self._options, self._random.random
        fault, wrong, side, wait, between, torn = (draw() for _ in range(6))
        low, high = options.retry_after
        return Fate(
            fault=_picked(fault, self._transport),
            surplus=(1 if side < 0.5 else -1) if wrong < options.wrong_count else 0,
            wait=options.latency + options.jitter * wait,
            retry_after=low + (high - low) * between,
            torn=torn,
        )

    def of_a_choice(self) -> str | None:
        """The fault of the next choice, or None."""
        return _picked(self._random.random(), self._of_a_choice) if self._of_a_choice else None

    def one_of(self, names: str) -> str:
        """One of some names given by commas, drawn evenly."""
        found = names.split(",")
        return found[0] if len(found) == 1 else self._random.choice(found)


def _picked(drawn: float, shares: list[tuple[str, float]]) -> str | None:
    for name, share in shares:
        if drawn < share:
            return name
        drawn -= share
    return None


class Limiter:
    """So many requests a second, in windows of a second from the first request of each, or from a bucket of a second."""

    def __init__(self, rate: float, kind: str) -> None:
        self._rate, self._bucket = rate, kind == "bucket"
        self._began, self._let_through = -math.inf, 0
        self._level, self._filled = max(1.0, rate), 0.0

    def wait(self, now: float) -> float | None:
        """None lets a request at `now` (seconds, any clock) through; else the seconds until the limit is no more in the way."""
        return self._from_bucket(now) if self._bucket else self._in_window(now)

    def _in_window(self, now: float) -> float | None:
        # A rate below one a second is one request in a longer window.
        length = max(1.0, 1 / self._rate)
        if now >= self._began + length:
            self._began, self._let_through = now, 0
        if self._let_through + 1 <= self._rate * length + 1e-9:
            self._let_through += 1
            return None
        return self._began + length - now

    def _from_bucket(self, now: float) -> float | None:
        if self._filled:
            self._level = min(max(1.0, self._rate), self._level + (now - self._filled) * self._rate)
        self._filled = now
        if self._level >= 1:
            self._level -= 1
            return None
        return (1 - self._level) / self._rate


def retry_header(seconds: float, form: str, clock: float) -> tuple[dict[str, str], float]:
    """The Retry-After header that announces at least so many seconds, and how many it says; `clock` is Unix time."""
    if form == "none":
        return {}, 0.0
    if form == "date":
        until = math.ceil(clock + seconds)
        return {"Retry-After": formatdate(until, usegmt=True)}, until - clock
    said = math.ceil(seconds) if form == "integer" else math.ceil(seconds * 1000) / 1000
    return {"Retry-After": f"{said:d}" if form == "integer" else f"{said:.3f}"}, float(said)
