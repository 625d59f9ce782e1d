"""What an endpoint takes and says of itself for one model: asked once, with requests that count, and kept in the store."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from persona_collapse.asking.dialect_openai import Completion, ElicitationError, Failure, RefusedError
from persona_collapse.store.store import Store, capability
from persona_collapse.study import first_token
from persona_collapse.study.endpoint import Endpoint
from persona_collapse.study.study_file import Protocol

if TYPE_CHECKING:
    from openai import AsyncOpenAI

#: Choices asked of one request at the most, and alternatives of a token; providers cap both.
MOST_CHOICES = 20
MOST_ALTERNATIVES = 20
#: Alternatives that are asked for where the endpoint does not give the most.
FEW_ALTERNATIVES = 5
#: Values that leave the model's own distribution as it is, of parameters that servers of open weights know: a file
#: generation_config.json beside the weights would set them otherwise, for the base and not for its fine-tune.
_NEUTRAL = {"top_k": -1, "min_p": 0, "repetition_penalty": 1}
#: Hosts that serve models of their own alone, and refuse those parameters.
_OWN_WEIGHTS = ("api.openai.com", "api.deepseek.com", "api.anthropic.com", "generativelanguage.googleapis.com", "api.x.ai")
#: Seconds that the list of models may take; it is welcome and not needed.
_LIST_TIMEOUT = 10.0


@dataclass(frozen=True)
class Supported:
    """One endpoint and model. None is what was not asked yet or not said.

    ``choices``: how many ratings one request brings; ``limit``: the name of the parameter that limits a reply's length;
    ``capped`` whether it brought fewer than were asked for; ``alternatives``: how many logprobs of the first token come;
    ``listed``: whether the endpoint lists the model; ``neutral`` and ``top_p``: whether it takes parameters of sampling.
    """

    choices: int | None = None
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    alternatives: int | None = None
    listed: bool | None = None
    shutdown_date: str | None = None
    served_model: str | None = None
    fingerprint: str | None = None
    provider: str | None = None
    probed: str | None = None
    capped: bool = False
    neutral: bool = False
    top_p: bool = True

    def sampling(self, protocol: Protocol) -> dict[str, float]:
        """What decides how a token is drawn beside the temperature, as far as the endpoint takes it."""
        own = {"top_p": 1.0 if protocol.method == "logprobs" else protocol.top_p} if self.top_p else {}
        return own | (_NEUTRAL if self.neutral else {})

    @property
    def told(self) -> str:
        """Which parameters of sampling the endpoint takes beside the temperature."""
        return ", ".join((["top_p"] if self.top_p else []) + (list(_NEUTRAL) if self.neutral else []))

    def left_to_the_server(self, model: str, endpoint: Endpoint) -> list[str]:
        """What of sampling the endpoint decides by itself, one line; a service of its own models knows of top_p alone."""
        left = ([] if self.top_p else ["top_p"]) + ([] if self.neutral or not _may_be_open_weights(endpoint) else list(_NEUTRAL))
        return [f"{model}: the endpoint takes no {', '.join(left)}, so that its own defaults apply"] if left else []

    @property
    def top_logprobs(self) -> int:
        """How many alternatives to ask for: the most, unless no more than a few come; a first token may have had fewer."""
        few = self.alternatives is not None and self.alternatives <= FEW_ALTERNATIVES
        return FEW_ALTERNATIVES if few else MOST_ALTERNATIVES

    def warnings(self, model: str) -> list[str]:
        """What a user should know before asking, one line each."""
        found = []
        if self.listed is False:
            found.append(f"{model}: is not in the endpoint's list of models; it was asked all the same")
        if self.shutdown_date:
            found.append(f"{model}: the endpoint will shut it down on {self.shutdown_date}; what is not asked by then is lost")
        return found


def recall(store: Store, endpoint: Endpoint, model: str) -> Supported:
    """The record of an endpoint and model; an empty one if it was never asked."""
    known = json.loads(store.recall(capability(endpoint.base_url, model)) or "{}")
    return Supported(**{name: value for name, value in known.items() if name != "told"})


def remember(store: Store, endpoint: Endpoint, model: str, found: Supported) -> None:
    """Keep a record; what the endpoint was told of sampling stands in it in words, for tables."""
    store.remember(capability(endpoint.base_url, model), json.dumps(asdict(found) | {"told": found.told}))


def complete(known: Supported, protocol: Protocol, wanted: int) -> bool:
    """Whether a record says all that asking by this protocol needs, with `wanted` ratings of a cell."""
    if protocol.method == "logprobs":
        return bool(known.alternatives)  # none, where an endpoint gave none before, is worth another try
    return (known.choices is not None and (known.capped or known.choices >= wanted)) or (wanted == 1 and known.probed is not None)


#: Sends a request for so many choices in this way, tries transport again, and keeps the answer.
Probe = Callable[[int, Supported], Awaitable[Completion | Failure]]


async def listed(client: "AsyncOpenAI", model: str) -> dict[str, Any]:
    """What the endpoint's list says of a model: whether it is there, and when it goes; nothing where there is no list."""
    import openai

    try:
        async with asyncio.timeout(_LIST_TIMEOUT):
            models = [entry.model_dump() async for entry in client.models.list()]
    except (TimeoutError, openai.OpenAIError, ValueError, AttributeError, TypeError):
        return {}  # many servers have none, or one that only some keys may read
    if not models:
        return {}
    own = next((entry for entry in models if entry.get("id") == model), None)
    return {"listed": own is not None, "shutdown_date": _date(own.get("shutdown_date")) if own else None}


def _date(value: Any) -> str | None:
    try:
        if isinstance(value, (int, float)):
            return datetime.fromtimestamp(value, UTC).date().isoformat()
        return date.fromisoformat(str(value)[:10]).isoformat() if value else None
    except (ValueError, OverflowError, OSError):
        return None


def untried(known: Supported, endpoint: Endpoint) -> Supported:
    """The record that requests in a file are written by, where nobody asked the model: what open weights know is tried."""
    return replace(known, neutral=_may_be_open_weights(endpoint)) if known.probed is None else known


def without_neutral(known: Supported) -> Supported:
    """The record of a model that refused what only servers of open weights know; it is not tried again."""
    return replace(known, neutral=False, probed=_now())


def refuses_neutral(known: Supported, error: RefusedError) -> bool:
    """Whether a refusal can be about what only servers of open weights know, as it was sent and nothing else was named."""
    return known.neutral and error.parameter in (*_NEUTRAL, None)


async def probe(known: Supported, endpoint: Endpoint, model: str, protocol: Protocol, choices: int, ask: Probe) -> Supported:
    """Ask once for all `choices` and see what comes; what is refused is asked in the other way that there is.

    Raises ElicitationError where there is none: a parameter that the protocol needs is never dropped silently.
    """
    samples, several, asked = protocol.method == "samples", choices > 1, choices
    want = replace(known, alternatives=None if samples else MOST_ALTERNATIVES)
    want = untried(want, endpoint)
    for _ in range(10):  # every way round is tried once at most, the number of choices is halved five times at most
        try:
            found = await ask(choices, want)
            break
        except RefusedError as error:
            if error.hint == "max_completion_tokens" and want.limit == "max_tokens":
                want = replace(want, limit="max_completion_tokens")
            elif error.parameter == "top_logprobs" and want.alternatives == MOST_ALTERNATIVES:
                want = replace(want, alternatives=FEW_ALTERNATIVES)
            elif refuses_neutral(want, error):
                want = replace(want, neutral=False)
            elif error.parameter == "top_p" and want.top_p and protocol.top_p == 1:
                want = replace(want, top_p=False)
            elif choices > 1 and error.parameter == "n":
                choices = error.most or choices // 2
            elif choices > 1 and error.parameter is None:
                choices = 1
            else:
                raise ElicitationError(explained(error, model, protocol)) from None
    if isinstance(found, Failure):
        raise ElicitationError(
            f"{model}: the first request got no answer ({found.said}); check base_url and that the server runs, "
            "then run the same command again"
        )
    offered = known.alternatives
    if not samples:
        assert want.alternatives is not None  # they were asked for
        offered = min(len(found.choices[0].alternatives), want.alternatives)
    own = replace(
        want,
        choices=len(found.choices) if samples and several else known.choices,
        capped=len(found.choices) < asked if samples and several else known.capped,
        alternatives=offered,
        served_model=found.served_model, fingerprint=found.fingerprint, provider=found.provider,
        probed=_now(),
    )  # fmt: skip
    if not samples and not _usable(found):
        raise ElicitationError(
            f"{model}: the endpoint gave no logprobs, or placeholders ({own.alternatives} alternatives of the first token); "
            "set protocol.method: samples, or ask an endpoint that gives them"
        )
    tokens = [token for token, _ in found.choices[0].alternatives]
    if not samples and all(token.startswith("token_id:") for token in tokens):
        raise ElicitationError(
            f"{model}: the endpoint names tokens by their numbers ({tokens[0]!r}), which tells no digit; start vLLM without "
            "--return-tokens-as-token-ids, or set protocol.method: samples"
        )
    total = sum(math.exp(min(logprob, 1.0)) for _, logprob in found.choices[0].alternatives)
    if not samples and total > first_token.MOST_TOTAL:
        raise ElicitationError(
            f"{model}: the logprobs of the first token add up to a probability of {total:.2f}, so they are none of one "
            "distribution; set protocol.method: samples, or ask an endpoint that gives those of the model"
        )
    return own


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _may_be_open_weights(endpoint: Endpoint) -> bool:
    """Whether it is worth a try to send what only servers of open weights know; a pinned provider would be left out for it."""
    return not endpoint.provider and urlsplit(endpoint.base_url).hostname not in _OWN_WEIGHTS


def _usable(found: Completion) -> bool:
    """Whether logprobs look like some: several of them, not all alike, and no more than the whole probability."""
    values = [logprob for _, logprob in found.choices[0].alternatives]
    return len(set(values)) > 1 and max(values) <= 1e-3


def explained(error: RefusedError, model: str, protocol: Protocol) -> str:
    """Which parameter a model refused, and what to do about it."""
    remedy = {
        "temperature": "set protocol.temperature to the value that it takes (reasoning models: 1), for the whole study, or leave "
        "the model out",
        "logprobs": "set protocol.method: samples",
        "top_logprobs": "set protocol.method: samples",
        "max_tokens": "change protocol.max_tokens",
        "max_completion_tokens": "change protocol.max_tokens",
        "provider": "only gateways take provider: remove it from the endpoint",
        "system": "leave persona_in out of protocol.vary and the key system out, or the model out of the study",
        "top_p": "leave protocol.top_p out, or set it to what the model takes",
        "n": "set protocol.repetitions lower, or run the same command again, which asks what the endpoint takes",
    }.get(error.parameter or "", "correct what it names, in the study file or at the server, and run the same command again")
    return f"{error}; {remedy}; nothing was dropped silently"
