"""Clients of an endpoint: what of the user's environment they follow, and what they send to whom."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from persona_collapse.asking.dialect_openai import ElicitationError
from persona_collapse.study.endpoint import Endpoint

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

_Client = TypeVar("_Client", bound="AsyncOpenAI | OpenAI")
#: Seconds that one request about a batch may take, files of results included.
_BATCH_TIMEOUT = 600.0


def connect(endpoint: Endpoint) -> "AsyncOpenAI":
    """A client for an endpoint, to be used in one event loop; its key is read here and kept nowhere else.

    Raises ElicitationError for a key, an address or certificates that no request can be made with.
    """
    from openai import AsyncOpenAI, DefaultAioHttpClient  # slow to import, and only live studies need it

    key = endpoint.key().strip() if endpoint.api_key_env else "none"  # the SDK wants one, a server of one's own does not look
    if not re.fullmatch(r"[!-~]+", key):
        raise ElicitationError(f"{endpoint.api_key_env}: is empty or holds characters that no key has; export the key again")

    # The SDK's own retries are silent and give up on a long Retry-After, and its time-out starts anew with every byte:
    # the asker has visible ones. Its aiohttp transport takes half the CPU of the default one. What an address redirects to is
    # not asked: it is told, and gets no key.
    with _usable(endpoint):
        transport = DefaultAioHttpClient(timeout=None, follow_redirects=False, trust_env=not endpoint.on_this_machine)
        return _without_account(
            AsyncOpenAI(
                base_url=endpoint.base_url, api_key=key, max_retries=0, timeout=None, default_headers=dict(endpoint.headers),
                http_client=transport,
            ),
            endpoint,
        )  # fmt: skip


def connect_for_batches(endpoint: Endpoint) -> "OpenAI":
    """A client that waits for its answers, as batches are asked about one after the other."""
    from openai import DefaultHttpxClient, OpenAI

    with _usable(endpoint):
        transport = DefaultHttpxClient(trust_env=not endpoint.on_this_machine)
        return _without_account(
            OpenAI(
                base_url=endpoint.base_url, api_key=endpoint.key() or "none", max_retries=2, timeout=_BATCH_TIMEOUT,
                http_client=transport,
            ),
            endpoint,
        )  # fmt: skip


@contextmanager
def _usable(endpoint: Endpoint) -> Iterator[None]:
    """Name what a client cannot be made with: an address, or the certificates that a variable of the user's names."""
    import httpx2

    try:
        yield
    except httpx2.InvalidURL:
        raise ElicitationError(f"{endpoint.base_url}: is no address of a server; correct base_url") from None
    except OSError as error:  # it names no file, but nothing else is read here
        named = [(name, os.environ[name]) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
        where = ", ".join(f"{name} is {path!r}" for name, path in named) or "neither SSL_CERT_FILE nor SSL_CERT_DIR is set"
        raise ElicitationError(
            f"{endpoint.base_url}: the certificates that a connection needs cannot be read ({error}); {where}; correct or unset "
            "these variables"
        ) from None


def _without_account(client: _Client, endpoint: Endpoint) -> _Client:
    """A client that sends another endpoint than OpenAI's own nothing of the account that the user's OPENAI_* variables name."""
    if urlsplit(endpoint.base_url).hostname != "api.openai.com":
        client.organization = client.project = client.admin_api_key = None
    return client
