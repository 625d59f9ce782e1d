"""Chat completions as the OpenAI protocol words them: a request read and checked, a body answered, errors with their codes."""

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from persona_collapse.simulated import task_replies, text_replies
from persona_collapse.simulated.faults import Faults, Options
from persona_collapse.simulated.prompt_answers import Reply, Respondents, Slot, read_slot, tokens_of
from persona_collapse.simulated.traffic_counts import Named
from persona_collapse.study.treatment import named
from persona_collapse.wire import SIMULATED_FINGERPRINT, SLOT_HEADER

#: The key of a request's metadata that may name a slot in place of the header.
SLOT_KEY = "slot"
#: Characters a token of an English prompt has on average.
_CHARACTERS = 4.6
_MOST_CHOICES = 128


class ApiError(Exception):
    """An error as the API answers it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


class Asked(NamedTuple):
    """A chat completion as it is asked for; `most` tokens or None, `top` logprobs or None."""

    model: str
    prompt: str
    choices: int
    temperature: float
    most: int | None
    top: int | None
    slot: Slot | None
    stream: bool
    usage_in_stream: bool
    treatment: str = ""  #: system prompt and prefix around the question, as `treatment.named` tells them apart
    steered: bool = False  #: whether there is a system prompt

    @property
    def whole(self) -> str:
        """All that is said."""
        return self.prompt + self.treatment

    @property
    def slots(self) -> list[Named]:
        """Every slot that is asked for, none if the client names none."""
        if self.slot is None:
            return []
        first = self.slot.repetition
        return [(self.model, self.slot.cell, repetition) for repetition in range(first, first + self.choices)]


class Answered(NamedTuple):
    """The body of an answer, the slots it answers, how many ratings are in it, and what is wrong with its choices."""

    body: dict[str, Any]
    slots: list[Named]
    ratings: int
    faults: list[str]


class Completions:
    """Chat completions of the simulated respondents, with what the options say is wrong with them."""

    def __init__(self, options: Options, respondents: Respondents, faults: Faults) -> None:
        self._options, self._respondents, self._faults = options, respondents, faults
        self._number = 0

    def read(self, body: Any, header: str | None = None, custom_id: str = "") -> Asked:
        """A request's body, checked as the API checks it; ApiError says what is wrong with it.

        The slot is that of the header, else of `metadata.slot`, else of a batch line's custom_id if that ends in one.
        """
        if not isinstance(body, dict):
            raise ApiError(400, "Invalid body: expected a JSON object.")
        model = _field(body, "model", str, None)
        if model is None:
            raise ApiError(400, "you must provide a model parameter")
        system, prompt = _prompt(body.get("messages"))
        prompt, system, prefix = self._respondents.understood(prompt, system)
        choices = _number_in(body, "n", int, 1, 1, _MOST_CHOICES)
        temperature = float(_number_in(body, "temperature", float, 1.0, 0, 2))
        most, most_new = (_number_in(body, name, int, None, 1, None) for name in ("max_tokens", "max_completion_tokens"))
        top = _number_in(body, "top_logprobs", int, None, 0, 20)
        wanted = _field(body, "logprobs", bool, False)
        stream = _field(body, "stream", bool, False)
        stream_options = _field(body, "stream_options", dict, {})
        slot = _slot(body, header, custom_id)
        if model not in self._respondents.names and model not in text_replies.JUDGES:
            message = f"The model `{model}` does not exist or you do not have access to it."
            raise ApiError(404, message, param="model", code="model_not_found")
        if top is not None and not wanted:
            raise ApiError(
                400, "Invalid value for 'top_logprobs': only allowed when 'logprobs' is enabled.", param="top_logprobs"
            )
        if most is not None and most_new is not None:
            message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
            raise ApiError(400, message, param="max_tokens", code="invalid_parameter_combination")
        self._refuse(choices, temperature, most, wanted)
        if self._options.max_tokens == "ignored":
            most = most_new = None
        return Asked(
            model, prompt, choices, temperature, most_new if most is None else most,
            (top or 0) if wanted else None, slot, stream, bool(stream_options.get("include_usage")),
            named(system, prefix), bool(system),
        )  # fmt: skip

    def _refuse(self, choices: int, temperature: float, most: int | None, logprobs: bool) -> None:
        """Refuse what the options say that the model does not take, in the words that providers use."""
        options = self._options
        if options.n == "rejected" and choices > 1:
            raise ApiError(400, "Invalid n value (currently only n = 1 is supported)", param="n", code="unsupported_value")
        if options.max_tokens == "rejected" and most is not None:
            message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            raise ApiError(400, message, param="max_tokens", code="unsupported_parameter")
        if options.temperature == "rejected" and temperature != 1:
            message = (
                f"Unsupported value: 'temperature' does not support {temperature:g} with this model. "
                "Only the default (1) value is supported."
            )
            raise ApiError(400, message, param="temperature", code="unsupported_value")
        if options.logprobs == "rejected" and logprobs:
            message = "Unsupported parameter: 'logprobs' is not supported with this model."
            raise ApiError(400, message, param="logprobs", code="unsupported_parameter")
        if options.logprobs == "forbidden" and logprobs:
            raise ApiError(403, "You are not allowed to request logprobs from this model", param="logprobs")

    def answer(self, asked: Asked, surplus: int = 0) -> Answered:
        """The body that answers a request, with so many choices more than asked (fewer if negative)."""
        options, respondents = self._options, self._respondents.answering(asked.prompt)
        cell = respondents.cell(asked.prompt)
        cell = cell and cell._replace(treatment=asked.treatment, steered=asked.steered)
        given = max(0, (1 if options.n == "ignored" else asked.choices) + surplus)
        first = asked.slot.repetition if asked.slot else respondents.next(asked.model, asked.whole, given)
        condition = asked.slot.condition if asked.slot else respondents.condition(cell) if cell else ""
        known = cell is not None and asked.model not in text_replies.JUDGES
        in_words = [] if known else self._in_words(asked, first, given)
        if in_words:
            said, tops = [Reply(tokens_of(one.text), None) for one in in_words], in_words[0].alternatives
        else:
            said = respondents.say(asked.model, cell, condition, first, given, asked.temperature, options.shared) if given else []
            tops = respondents.first_tokens(asked.model, cell, condition) if cell and asked.top is not None else ()
        choices, ratings, tokens, wrong = [], 0, 0, ["wrong_count"] * bool(surplus)
        for index, one in enumerate(said):
            fault = self._faults.of_a_choice()
            kept, finish, message = _message(one, asked.most, fault)
            tokens += len(kept)
            ratings += one.rating is not None and fault is None
            wrong += [fault] if fault else []
            logprobs = None if asked.top is None else self._logprobs(kept, asked.top, tops)
            choices.append({"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish})
        body = self._body(asked, choices, tokens)
        return Answered(body, asked.slots[:given], ratings, wrong)

    def _in_words(self, asked: Asked, first: int, given: int) -> list[text_replies.TextReply]:
        """What is replied to a question that is none of a questionnaire; empty where nobody knows an answer."""
        seed, numbers = self._options.seed, range(first, first + given)
        each = [(seed, asked.model, asked.prompt, number) for number in numbers]
        found = [text_replies.say(*one) or task_replies.say(*one) for one in each]
        return [one for one in found if one is not None]

    def _body(self, asked: Asked, choices: list[dict[str, Any]], tokens: int) -> dict[str, Any]:
        options = self._options
        self._number += 1
        body: dict[str, Any] = {
            "id": f"chatcmpl-{self._number}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": asked.model,
            "choices": choices,
            "system_fingerprint": SIMULATED_FINGERPRINT,
        }
        if options.served_model and (served := self._faults.one_of(options.served_model).strip()) != "=":
            body["model"] = served
        if options.provider:
            body["provider"] = self._faults.one_of(options.provider).strip()
        if not options.no_usage:
            paid = max(1, round(len(asked.whole) / _CHARACTERS))
            body["usage"] = {"prompt_tokens": paid, "completion_tokens": tokens, "total_tokens": paid + tokens}
        return body

    def _logprobs(self, tokens: tuple[str, ...], top: int, tops: tuple[tuple[str, float], ...]) -> dict[str, Any] | None:
        if self._options.logprobs == "absent":
            return None
        if self._options.logprobs == "placeholder":
            return {"content": [_token(t, 0.0) | {"top_logprobs": [_token(t, 0.0)] * bool(top)} for t in tokens], "refusal": None}
        top = min(top, self._options.most_logprobs)
        content = []
        for place, token in enumerate(tokens):
            # Only the first token is a choice between digits; the sentence after it is always the same.
            likely = tops if place == 0 and tops else ((token, 0.0),)
            own = _token(token, dict(likely).get(token, -5.0))
            content.append(own | {"top_logprobs": [_token(*pair) for pair in likely[:top]]})
        return {"content": content, "refusal": None}


def _message(said: Reply, most: int | None, fault: str | None) -> tuple[tuple[str, ...], str, dict[str, Any]]:
    """The tokens of a reply that are sent, why it ends there, and its message."""
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    if fault == "filtered":
        return (), "content_filter", message | {"content": ""}
    if fault == "refusal":
        refusal = "I'm sorry, but I can't assist with that request."
        return tokens_of(refusal), "stop", message | {"refusal": refusal}
    tokens = said.tokens
    if fault == "chatter":
        tokens = tokens_of(f"Sure! Speaking for myself, I would answer {'' if said.rating is None else said.rating}.")
    kept = tokens if most is None else tokens[:most]
    # The end of a reply is a token too: a limit that leaves no room for it is reached.
    finish = "length" if most is not None and most <= len(tokens) else "stop"
    return kept, finish, message | {"content": "".join(kept)}


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def chunks(body: dict[str, Any], usage: bool) -> Iterator[bytes]:
    """A completion as server-sent events: a chunk that opens each choice, one with its text, one that ends it."""
    shared = {key: body[key] for key in ("id", "created", "model", "system_fingerprint")}
    shared["object"] = "chat.completion.chunk"

    def event(choices: list[dict[str, Any]], **more: Any) -> bytes:
        return b"data: " + json.dumps({**shared, "choices": choices, **more}).encode() + b"\n\n"

    for choice in body["choices"]:
        own, message = {"index": choice["index"], "finish_reason": None}, choice["message"]
        yield event([own | {"delta": {"role": "assistant", "content": "", "refusal": None}}])
        said = {key: message[key] for key in ("content", "refusal") if message[key]}
        if said:
            yield event([own | {"delta": said, "logprobs": choice["logprobs"]}])
        yield event([own | {"delta": {}, "finish_reason": choice["finish_reason"]}])
    if usage and "usage" in body:
        yield event([], usage=body["usage"])
    yield b"data: [DONE]\n\n"


_KINDS = {str: "a string", int: "an integer", float: "a number", bool: "a boolean", dict: "an object", list: "an array"}


def _kind(value: Any) -> str:
    return "null" if value is None else _KINDS.get(type(value), "another type")


def _field(body: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    """A field of the body, or its default where it is absent or null; ApiError 400 for another type."""
    value = body.get(name)
    if value is None:
        return default
    # JSON has one kind of number, and true is none.
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    message = f"Invalid type for '{name}': expected {_KINDS[kind]}, but got {_kind(value)} instead."
    raise ApiError(400, message, param=name, code="invalid_type")


def _number_in(body: dict[str, Any], name: str, kind: type, default: Any, low: float, high: float | None) -> Any:
    value = _field(body, name, kind, default)
    word = "integer" if kind is int else "decimal"
    if value is not None and value < low:
        message = f"Invalid '{name}': {word} below minimum value. Expected a value >= {low}, but got {value} instead."
        raise ApiError(400, message, param=name, code=f"{word}_below_min_value")
    if value is not None and high is not None and not value <= high:
        message = f"Invalid '{name}': {word} above maximum value. Expected a value <= {high}, but got {value} instead."
        raise ApiError(400, message, param=name, code=f"{word}_above_max_value")
    return value


def _prompt(messages: Any) -> tuple[str, str]:
    """The texts of the last system message and of the last user message; "" where there is none."""
    if messages is None:
        raise ApiError(400, "Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter")
    _field({"messages": messages}, "messages", list, None)
    if not messages:
        message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
        raise ApiError(400, message, param="messages", code="empty_array")
    prompt = system = ""
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        _field({where: message}, where, dict, None)
        role = _field({f"{where}.role": message.get("role")}, f"{where}.role", str, None)
        if role is None:
            code = "missing_required_parameter"
            raise ApiError(400, f"Missing required parameter: '{where}.role'.", param=f"{where}.role", code=code)
        if role == "user":
            prompt = _text(message.get("content"), f"{where}.content")
        elif role == "system":
            system = _text(message.get("content"), f"{where}.content")
    return system, prompt


def _text(content: Any, where: str) -> str:
    """A message's content: a string, or the text of a list of text parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str) for part in content
    ):
        return "".join(part["text"] for part in content)
    message = f"Invalid type for '{where}': expected a string or an array of text parts, but got {_kind(content)} instead."
    raise ApiError(400, message, param=where, code="invalid_type")


def _slot(body: dict[str, Any], header: str | None, custom_id: str) -> Slot | None:
    metadata = _field(body, "metadata", dict, {})
    for where, text in ((SLOT_HEADER, header), (f"metadata.{SLOT_KEY}", metadata.get(SLOT_KEY))):
        if text is not None:
            try:
                return read_slot(str(text))
            except ValueError as error:
                raise ApiError(400, f"{where}: {error}", param=where, code="invalid_value") from None
    try:
        return read_slot(custom_id) if custom_id else None
    except ValueError:
        # Any custom_id is a good one.
        return None
