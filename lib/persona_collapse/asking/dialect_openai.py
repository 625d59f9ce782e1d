"""One request to an OpenAI-compatible endpoint: what is sent, and what came of it."""

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from persona_collapse.asking.backoff import retry_after
from persona_collapse.study.endpoint import Endpoint
from persona_collapse.study.study import Run, Study
from persona_collapse.study.study_file import Protocol
from persona_collapse.wire import SLOT_HEADER

if TYPE_CHECKING:
    from openai import AsyncOpenAI

#: What an account without money is called, by its status or by the code of a 429: no repetition mends it.
_NO_MONEY = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance")
#: How providers say that their filter stopped a prompt: OpenAI, Azure, gateways; DeepSeek; Alibaba.
_FILTERED = r"content_filter|content management policy|moderation|flagged|content exists risk|data_?inspection"
#: Parameters of a request that an endpoint may refuse, as its message names them; the longer name first.
_PARAMETERS = (
    "max_completion_tokens", "max_tokens", "top_logprobs", "logprobs", "temperature", "provider", "top_p", "top_k", "min_p",
    "repetition_penalty",
)  # fmt: skip
#: How servers say that a model's chat template takes no system message: vLLM and others pass on what the template says.
_NO_SYSTEM = r"\bsystem(?: role| message| prompt)s?\b|\brole\W{0,3}system\b|conversation roles must alternate"
#: Tokens that one request can have cost at most: what says more is no usage.
_MOST_TOKENS = 10_000_000
#: Characters of an endpoint's message that are quoted, and how such a message words the most that a parameter may be.
_QUOTED = 200
_AT_MOST = (
    r"(?:<=|≤|at most|up to|less than or equal to|must be|only n =|max(?:imum)?(?: of| is| value(?: of| is)?)?:?)\s*(\d{1,3})\b"
)
#: Characters of a key in a row that are taken for a piece of it.
_PIECE = 8


class ElicitationError(RuntimeError):
    """Elicitation cannot go on; what was answered before is in the store."""


class RefusedError(ElicitationError):
    """The endpoint does not take a request as it stands; `parameter` is the one it named, if any, `hint` the other way,
    `most` the highest value that it says to take."""

    def __init__(self, message: str, parameter: str | None = None, hint: str | None = None, most: int | None = None) -> None:
        super().__init__(message)
        self.parameter, self.hint, self.most = parameter, hint, most


class Choice(NamedTuple):
    """One answer of a request; `alternatives` are the first token's (token, logprob), where they were asked for."""

    text: str | None
    finish_reason: str | None = None
    refused: bool = False
    alternatives: Sequence[tuple[str, float]] = ()


class Completion(NamedTuple):
    """What an answered request brought: its choices, in order, and who served them; tokens are those of the request."""

    choices: tuple[Choice, ...]
    latency: float
    served_model: str | None = None
    fingerprint: str | None = None
    provider: str | None = None
    request_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    completion: str | None = None  #: its id and when it was made, which a cache repeats and a server that counts anew does not


class Failure(NamedTuple):
    """A request without an answer that counts.

    `kind` is limited, busy, server, dropped, timeout, malformed, wrong_server or cached; `wait` the announced seconds; `paid`
    whether the endpoint may have charged for it all the same.
    """

    kind: str
    said: str
    wait: float | None = None
    paid: bool = False


def request_body(
    endpoint: Endpoint, model: str, protocol: Protocol, prompt: str, *, choices: int, limit: str, alternatives: int,
    sampling: Mapping[str, float], system: str = "", with_logprobs: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """A chat completion request for `choices` ratings, as the protocol says; `limit` names the parameter of its length.

    `sampling` is what else decides how a token is drawn, sent so that a server's own defaults do not decide it.

    `system` is a message before the prompt, where there is one.

    With method logprobs it asks for the first token's `alternatives` at T = 1, where logprobs are those of the model itself;
    `with_logprobs` asks for them beside a longer reply.
    """
    before = [{"role": "system", "content": system}] if system else []
    messages = [*before, {"role": "user", "content": prompt}]
    body: dict[str, Any] = {"model": model, "messages": messages, **endpoint.extra_body}
    if protocol.prefill:  # as vLLM and others take the beginning of a reply
        messages.append({"role": "assistant", "content": protocol.prefill})
        body |= {"add_generation_prompt": False, "continue_final_message": True}
    if protocol.method == "logprobs":
        body |= {"temperature": 1.0, limit: 1, "logprobs": True, "top_logprobs": alternatives}
    else:
        body |= {"temperature": protocol.temperature, limit: protocol.max_tokens}
        body |= {"logprobs": True, "top_logprobs": alternatives} if with_logprobs else {}
    body |= sampling
    if choices > 1:
        body["n"] = choices
    if endpoint.provider:
        body["provider"] = {"only": list(endpoint.provider), "allow_fallbacks": False, "require_parameters": True}
    return body


async def send(client: "AsyncOpenAI", body: dict[str, Any], *, slot: str, timeout: float) -> Completion | Failure:
    """Send one request and read what comes back; nothing is tried again here.

    Raises ElicitationError for what no repetition can mend: a refused key, an unknown model, an exhausted account; and
    RefusedError where the endpoint does not take a parameter.
    """
    import aiohttp
    import httpx2
    import openai

    began, refused = time.perf_counter(), None
    try:
        async with asyncio.timeout(timeout):
            # The response as it came: building the SDK's objects would take more time than everything else here.
            response = await client.post(
                "/chat/completions", cast_to=httpx2.Response, body=body, options={"headers": {SLOT_HEADER: slot} if slot else {}}
            )
    except TimeoutError:
        return Failure("timeout", f"no answer within {timeout:g} s", paid=True)
    except openai.APIStatusError as error:
        refused = error
    except (openai.APIConnectionError, httpx2.HTTPError, OSError) as error:
        # The transport calls every broken connection a time-out; what it was stands at the end of the chain.
        causes: list[BaseException] = [error]
        while (cause := causes[-1].__cause__) is not None:
            causes.append(cause)
        never_sent = any(isinstance(cause, (httpx2.ConnectError, aiohttp.ClientConnectorError)) for cause in causes)
        return Failure("dropped", f"the connection failed ({type(causes[-1]).__name__})", paid=not never_sent)
    latency = time.perf_counter() - began
    if refused is not None:
        # Outside of the handler: an endpoint's message may echo the key, and would stand in a traceback as the context.
        said = json.loads(_masked(json.dumps(refused.body), client.api_key)) if isinstance(refused.body, dict) else None
        return of_status(refused.status_code, said, refused.response.headers, body, latency)
    found = read(response.content, response.headers, body, latency)
    return without_key(found, client.api_key) if isinstance(found, Completion) else found


def without_key(found: Completion, key: str) -> Completion:
    """The same completion with "[key]" wherever an endpoint echoes the key, or eight characters of it or more."""

    def clean(text: str | None) -> str | None:
        return text and _masked(text, key)

    choices = tuple(
        # A digit needs no look: there are thirty thousand of them in a run.
        choice if len(choice.text or "") < _PIECE and choice.finish_reason in ("stop", "length") and not choice.alternatives
        else choice._replace(
            text=clean(choice.text), finish_reason=clean(choice.finish_reason),
            alternatives=tuple((_masked(token, key), logprob) for token, logprob in choice.alternatives),
        )
        for choice in found.choices
    )  # fmt: skip
    return found._replace(
        choices=choices, served_model=clean(found.served_model), fingerprint=clean(found.fingerprint),
        provider=clean(found.provider), request_id=clean(found.request_id),
    )  # fmt: skip


@lru_cache(maxsize=16)
def _pieces(key: str) -> frozenset[str]:
    return frozenset(key[i : i + _PIECE] for i in range(len(key) - _PIECE + 1))


def _masked(text: str, key: str) -> str:
    if len(text) < _PIECE or len(key) < _PIECE:
        return text  # a short key is none that is worth anything, such as EMPTY
    pieces = _pieces(key)
    if not any(text[i : i + _PIECE] in pieces for i in range(len(text) - _PIECE + 1)):
        return text
    kept, place = [], 0
    while place < len(text):
        end = place
        while text[end : end + _PIECE] in pieces:
            end += 1
        kept.append("[key]" if end > place else text[place])
        place = end + _PIECE - 1 if end > place else place + 1
    return "".join(kept)


def read(content: bytes, headers: Mapping[str, str], body: Mapping[str, Any], latency: float) -> Completion | Failure:
    """A completion from the bytes of an answer with status 200, or what is wrong with it."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):  # the latter for what is nested too deep to be an answer
        kind = "an HTML page" if content.lstrip()[:1] == b"<" else "no JSON"
        return Failure("malformed", f"the answer is {kind}", paid=True)
    if isinstance(found, dict) and isinstance(found.get("error"), dict):
        # Gateways pass the error of the server behind them on with a status of their own.
        code = found["error"].get("code")
        known = isinstance(code, (int, str)) and re.fullmatch(r"[3-5]\d\d", str(code))
        return of_status(int(code) if known else 500, found["error"], headers, body, latency)
    choices = found.get("choices") if isinstance(found, dict) else None
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        return Failure("malformed", "the answer is not a chat completion", paid=True)
    # A choice at which the server behind a gateway failed was not answered by the model.
    choices = [choice for choice in choices if choice.get("finish_reason") != "error"]
    if not choices:
        return Failure("server", "the answer is an error", paid=True)
    places = [choice.get("index", place) for place, choice in enumerate(choices)]
    ordered = [choices[k] for k in sorted(range(len(choices)), key=lambda k: (_whole(places[k]) or 0, k))]
    usage = found.get("usage") if isinstance(found.get("usage"), dict) else {}
    return Completion(
        choices=tuple(_choice(choice) for choice in ordered),
        latency=latency,
        served_model=_text(found.get("model")),
        fingerprint=_text(found.get("system_fingerprint")),
        provider=_text(found.get("provider")),
        request_id=_text(headers.get("x-request-id")) or _text(found.get("id")),
        input_tokens=_tokens(usage.get("prompt_tokens")),
        output_tokens=_output_tokens(usage.get("completion_tokens"), ordered),
        completion=f"{name} {_whole(found.get('created'))}" if (name := _text(found.get("id"))) else None,
    )


def _choice(found: Mapping[str, Any]) -> Choice:
    message, offered = found.get("message"), found.get("logprobs")
    if not isinstance(message, dict):
        message = {}
    return Choice(
        text=_text(_said(message.get("content"))),
        finish_reason=_text(found.get("finish_reason")),
        refused=bool(message.get("refusal")),
        alternatives=_alternatives(offered) if offered else (),
    )


def _said(content: Any) -> Any:
    """The text of a message: of one in parts, those of its answer, without its thinking."""
    if not isinstance(content, list):
        return content
    parts = [part for part in content if isinstance(part, dict) and part.get("type") in ("text", "output_text")]
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str)) if parts else None


def _alternatives(found: Any) -> tuple[tuple[str, float], ...]:
    """The first token's alternatives, most probable first; empty where there are none, or not as the API words them."""
    try:
        # Some servers fill the list up with nulls; what is there counts.
        entries = [entry for entry in found["content"][0]["top_logprobs"] if entry is not None]
        whole = [entry for entry in entries if None not in (entry["token"], entry["logprob"])]
        listed = [(entry["token"], float(entry["logprob"])) for entry in whole]
    except (TypeError, KeyError, IndexError, ValueError, OverflowError):
        return ()
    if not all(isinstance(token, str) for token, _ in listed):
        return ()
    # Some servers list the sampled token beside the most probable ones, where it stands already: the same pair counts once.
    return tuple(sorted({(_text(token) or "", logprob): None for token, logprob in listed}, key=lambda pair: -pair[1]))


def wrong_server(study: Study, run: Run, found: Completion) -> str | None:
    """Who answered in place of the pinned provider or model; None if that is who answered, or nothing is pinned."""
    pinned, model = study.file.endpoints[run.variant.endpoint or ""].provider, run.variant.served_model
    if pinned and _plain(found.provider) not in {_plain(name.split("/")[0]) for name in pinned}:
        return f"answered by provider {found.provider}, pinned to {', '.join(pinned)}"
    if model and found.served_model != model:
        return f"answered by model {found.served_model}, pinned to {model}"
    return None


def _plain(name: str | None) -> str:
    return "".join(c for c in (name or "").lower() if c.isalnum())


def _text(value: Any) -> str | None:
    """A text as it can be stored: half a character, as JSON can spell it, stands as its code."""
    if not isinstance(value, str):
        return None
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _tokens(value: Any) -> int | None:
    return value if (_whole(value) or 0) <= _MOST_TOKENS and _whole(value) is not None else None


def _output_tokens(value: Any, choices: Sequence[Mapping[str, Any]]) -> int | None:
    """The tokens of all choices; llama.cpp says those of one, and fewer than there are choices with a text are not all."""
    texts = sum(isinstance(choice.get("message"), dict) and bool(choice["message"].get("content")) for choice in choices)
    found = _tokens(value)
    return found if found is None or found >= texts else None


def of_status(
    status: int, error: Any, headers: Mapping[str, str], body: Mapping[str, Any], latency: float
) -> Completion | Failure:
    """What an answer with an error status comes to; raises for one that no repetition mends.

    Endpoints echo keys and prompts in their messages, so that no text of theirs is passed on, only what it is about.
    """
    error = error if isinstance(error, dict) else {}
    param = error["param"] if isinstance(error.get("param"), str) else None
    code, message, model = str(error.get("code") or error.get("type") or ""), _message(error), body["model"]
    if status in (400, 403) and re.search(_FILTERED, f"{code} {message}", re.IGNORECASE):
        filtered = (Choice(None, "content_filter"),) * body.get("n", 1)  # the prompt was, for every choice alike
        return Completion(filtered, latency, request_id=_text(headers.get("x-request-id")))
    if status == 403 and (param in _PARAMETERS or "logprobs" in message):
        _refused(status, param, message, body)
    if status in (401, 403):
        raise ElicitationError(
            f"{model}: the endpoint refused the key (status {status}); check the variable named by api_key_env and its rights"
        )
    if status == 402 or (status == 429 and code in _NO_MONEY):
        raise ElicitationError(f"{model}: the account's quota is used up; top it up and run the same command again")
    if 300 <= status < 400 and (target := headers.get("location")):
        raise ElicitationError(
            f"{model}: the address of the endpoint redirects to {_bare(target)!r} (status {status}), and a key goes to no other "
            "address; correct base_url: to that address if it is the API, to the API's own if it is a page to log in"
        )
    if status < 400 or status in (405, 410, 501):
        raise ElicitationError(f"{model}: the endpoint answers no chat completions there (status {status}); correct base_url")
    if code == "model_not_found":
        raise ElicitationError(
            f"{model}: the endpoint knows no such model (status {status}); check model, base_url/models lists them"
        )
    if status == 404:
        raise ElicitationError(
            f"{model}: the endpoint knows no such path or model (status 404); check base_url, which mostly ends in /v1, and model"
        )
    if status in (400, 422):
        _refused(status, param, message, body)
    wait = retry_after(headers)
    return Failure({429: "limited", 503: "busy"}.get(status, "server"), f"status {status}", wait)


def _bare(target: str) -> str:
    """An address without what follows its path, which may hold a key."""
    found = urlsplit(target)._replace(query="", fragment="").geturl()
    return found if len(found) <= _QUOTED else found[: _QUOTED - 1] + "…"


def _message(error: Mapping[str, Any]) -> str:
    """What an error says: as OpenAI words it, or as FastAPI does, which names a parameter by its place."""
    said = error.get("message") or error.get("detail") or ""
    if isinstance(said, list) and all(isinstance(entry, dict) and isinstance(entry.get("loc"), list) for entry in said):
        return "; ".join(f"{'.'.join(map(str, entry['loc']))}: {entry.get('msg')}" for entry in said)
    return str(said)


def _refused(status: int, param: str | None, message: str, body: Mapping[str, Any]) -> None:
    named = [name for name in (*_PARAMETERS, "n") if name in body and (name == param or re.search(rf"\b{name}\b", message))]
    hint = "max_completion_tokens" if "max_completion_tokens" in message and "max_tokens" in body else None
    # A message that names two parameters is about the one that was sent; one letter is looked for only if nothing else fits.
    parameter = "max_tokens" if hint else param if param in body else next(iter(named), None)
    roles = {one["role"] for one in body["messages"] if one["content"]}  # none is known of a result line
    about_system = not parameter and (not roles or "system" in roles) and re.search(_NO_SYSTEM, message, re.IGNORECASE)
    what = f"the parameter {parameter}" if parameter else "the system message" if about_system else "the request"
    # No parameter is blamed that was not named: the endpoint's own words say what it is.
    said = "" if parameter or not message.strip() else f": {_quoted(message, body)}"
    caps = [int(number) for number in re.findall(_AT_MOST, message, re.IGNORECASE)]
    most = min((cap for cap in caps if 0 < cap < body.get("n", 1)), default=None) if parameter == "n" else None
    told = f"{body['model']}: the endpoint refused {what} (status {status}){said}"
    raise RefusedError(told, parameter or ("system" if about_system else None), hint, most)


def _quoted(message: str, body: Mapping[str, Any]) -> str:
    """What an endpoint said, in one line and quotes, without the prompt; the key is taken out where it is known."""
    for prompt in filter(None, (one["content"] for one in body["messages"])):  # empty of a result line, which has no prompt
        message = message.replace(prompt, "[prompt]")
    text = " ".join(message.split())
    return repr(text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…")
