"""An endpoint in a study file: where it is, what is sent to it beside the protocol, its price; never its key."""

import os
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

#: What a request says by the protocol, which an endpoint's extra_body may not say otherwise.
_OURS = {
    "model", "messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "n", "logprobs", "top_logprobs",
    "provider", "stream",
}  # fmt: skip


class Checked(BaseModel):
    """A part of a study file: no key that is not known, nothing that changes, no infinite number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Price(Checked):
    """Dollars for a million tokens."""

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]


class Endpoint(Checked):
    """An OpenAI-compatible endpoint; the key itself is never in a file, only the name of its environment variable."""

    base_url: Annotated[str, Field(pattern=r"^https?://")]
    api_key_env: str | None = None  # a server on this machine needs none
    max_in_flight: Annotated[int, Field(ge=1)] = 32
    timeout: Annotated[float, Field(gt=0)] = 60  # seconds for one request
    provider: tuple[Annotated[str, Field(min_length=1)], ...] = ()  # who may serve the weights, where a gateway has a choice
    price_per_million: Price | None = None
    extra_body: dict[str, Any] = {}  # parameters of this server's own, sent with every request
    headers: dict[str, str] = {}  # and headers, never a key
    patience: Annotated[float, Field(gt=0)] = 2  # minutes for which a server that takes no connection is waited for

    def key(self) -> str:
        """The key, as the environment holds it now; empty where there is none."""
        return os.environ.get(self.api_key_env, "") if self.api_key_env else ""

    @property
    def on_this_machine(self) -> bool:
        """Whether its address is a loopback one, which no proxy of this machine leads to."""
        host = urlsplit(self.base_url).hostname or ""
        return host == "localhost" or re.fullmatch(r"127\.[\d.]+|::1", host) is not None

    @field_validator("patience", mode="before")
    @classmethod
    def _in_minutes(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)\s*", value)
        if found is None:
            raise ValueError(f"{value!r} is no time; give minutes, or a number with s, min or h, such as 30 min")
        return float(found[1]) * {"s": 1 / 60, "min": 1, "h": 60}[found[2]]

    @model_validator(mode="after")
    def _has_a_key(self, info: ValidationInfo) -> "Endpoint":
        if self.api_key_env is None and not info.context and not self.on_this_machine:
            raise ValueError("api_key_env: is missing; give the name of the variable that holds the key of this server")
        return self

    @field_validator("extra_body")
    @classmethod
    def _leaves_ours(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for name in extra:
            if name in _OURS:
                raise ValueError(f"{name!r} is set by the study's protocol or by the endpoint itself; remove it from extra_body")
        return extra

    @field_validator("headers")
    @classmethod
    def _hold_no_key(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            # The value is not shown for the same reason.
            if re.search(r"auth|key|token|cookie|secret", name, re.IGNORECASE):
                raise ValueError(f"{name!r} may hold a key, and no key stands in a file; give its variable's name as api_key_env")
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(r"[\t -~]*", value):
                raise ValueError(f"{name!r} is no header, or its value holds a character that none may have; correct it")
        return headers

    @field_validator("base_url")
    @classmethod
    def _holds_no_secret(cls, text: str) -> str:
        # The text is not shown for the same reason.
        parts = urlsplit(text)
        if parts.username or parts.password or parts.query:
            raise ValueError("holds a user name, a password or a query; give the bare address, and the key by api_key_env")
        return text

    @field_validator("api_key_env")
    @classmethod
    def _is_a_name(cls, text: str | None) -> str | None:
        # The text itself is not shown: it may be a key that was put where its variable's name belongs.
        if text is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
            raise ValueError("is not the name of an environment variable; give the name, never the key itself")
        return text
