"""One question to an OpenAI-compatible endpoint: asked until it is answered, and an error that says what to do."""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from persona_collapse.study import Endpoint, Protocol

if TYPE_CHECKING:
    from openai import OpenAI

#: Attempts at one slot before it is left for the next visit, and the longest wait between two of them, in seconds.
ATTEMPTS = 6
LONGEST_WAIT = 60.0
TIMEOUT = 60.0


class ElicitationError(RuntimeError):
    """Elicitation cannot go on; what was answered before is in the store."""


class Reply(NamedTuple):
    """An answer, or with `failure` the transport problem that was left after every attempt."""

    attempts: int
    failure: str | None = None
    text: str | None = None
    finish_reason: str | None = None
    refused: bool = False
    served_model: str | None = None
    fingerprint: str | None = None
    request_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


def connect(endpoint: Endpoint) -> "OpenAI":
    """A client for an endpoint; its key is read from the environment here and kept nowhere else."""
    from openai import OpenAI  # takes a second to import, and only live studies need it

    # The SDK's own retries are silent and give up on a long Retry-After; `ask` has visible ones.
    return OpenAI(base_url=endpoint.base_url, api_key=os.environ[endpoint.api_key_env], max_retries=0, timeout=TIMEOUT)


class RefusedError(ElicitationError):
    """The endpoint does not take a parameter of the request."""


def ask(
    client: "OpenAI",
    model: str,
    prompt: str,
    protocol: Protocol,
    *,
    slot: str,
    choices: int = 1,
    stopped: Callable[[], bool] = lambda: False,
) -> list[Reply]:
    """Ask for `choices` ratings in one request; only transport problems are tried again, an answer is kept as it is.

    Returns one reply a choice that came back, which an endpoint may make fewer than asked; they share a request id, and the
    tokens stand with the first. After the last failed attempt there is one reply with `failure`. `slot` names the first
    slot in the header X-Persona-Collapse-Slot, by which a simulated endpoint answers alike whenever asked.

    Raises ElicitationError for what no repetition can mend: a refused key, an unknown model, an exhausted quota, a
    parameter that the model does not take (RefusedError).
    """
    import openai

    failure = ""
    for attempt in range(1, ATTEMPTS + 1):
        if stopped():
            return [Reply(attempt - 1, failure or "stopped before it was asked")]
        try:
            completion = client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": prompt}],
                temperature=protocol.temperature,
                max_tokens=protocol.max_tokens,
                extra_headers={"X-Persona-Collapse-Slot": slot},
                **({"n": choices} if choices > 1 else {}),
            )
            return _read(completion, attempt)[:choices]
        except (openai.APIConnectionError, openai.APIResponseValidationError, ValueError) as error:
            # ValueError: the SDK passes on what the body's JSON parser says of an HTML page or a torn answer.
            failure, wait = f"{type(error).__name__}: {error}", None
        except openai.APIStatusError as error:
            _raise_if_permanent(error, model)
            failure, wait = f"status {error.status_code}", _retry_after(error)
        if attempt < ATTEMPTS:
            _sleep(min(LONGEST_WAIT, wait if wait is not None else 0.5 * 2**attempt), stopped)
    return [Reply(ATTEMPTS, failure)]


class _NotOpenAI(ValueError):
    """The endpoint answered with something that is not a chat completion."""


def _read(completion: Any, attempt: int) -> list[Reply]:
    choices = getattr(completion, "choices", None)
    if not choices:
        raise _NotOpenAI("the answer is not a chat completion")
    usage = completion.usage
    return [
        Reply(
            attempts=attempt,
            text=choice.message.content,
            finish_reason=choice.finish_reason,
            refused=bool(choice.message.refusal),
            served_model=completion.model,
            fingerprint=completion.system_fingerprint,
            request_id=getattr(completion, "_request_id", None) or completion.id,
            # A request is paid once, so its tokens are counted once.
            input_tokens=(usage.prompt_tokens if place == 0 else 0) if usage else None,
            output_tokens=(usage.completion_tokens if place == 0 else 0) if usage else None,
        )
        for place, choice in enumerate(sorted(choices, key=lambda choice: choice.index))
    ]


def _raise_if_permanent(error: Any, model: str) -> None:
    status, code = error.status_code, getattr(error, "code", None)
    # Endpoints echo the key in some of these messages, so their text is not passed on.
    if status in (401, 403):
        raise ElicitationError(
            f"{model}: the endpoint refused the key (status {status}); check the variable named by api_key_env and its rights"
        ) from None
    if status == 429 and code == "insufficient_quota":
        raise ElicitationError(f"{model}: the account's quota is used up; top it up and run the same command again") from None
    if status == 404:
        raise ElicitationError(
            f"{model}: the endpoint knows no such model or path (status 404); check model and base_url"
        ) from None
    if status in (400, 422):
        parameter = getattr(error, "param", None)
        named = f" ({parameter})" if parameter in ("temperature", "max_tokens", "model", "messages") else ""
        raise RefusedError(
            f"{model}: the endpoint refused a parameter{named} (status {status}, code {code}); reasoning models take neither "
            "temperature nor max_tokens and cannot be asked this way; nothing was dropped silently"
        ) from None


def _retry_after(error: Any) -> float | None:
    try:
        return max(0.0, float(error.response.headers.get("retry-after")))
    except (TypeError, ValueError):
        return None


def _sleep(seconds: float, stopped: Callable[[], bool]) -> None:
    """Wait in short steps, so that an interrupt is not held up."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not stopped():
        time.sleep(min(left, 0.2))
