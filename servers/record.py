"""Answers of real servers as fixtures of the ordinary tests: small, and without anything of the machine or the moment."""

import json
import re
from pathlib import Path

from servers.recorder import Exchange

#: Headers that say something about an answer.
_KEPT = ("content-type", "retry-after", "x-request-id")


def write(exchange: Exchange, path: Path) -> None:
    """Keep an exchange: the request without its prompt, the status, the headers that matter, and the body as a text."""
    asked = exchange.asked | {"messages": [{"role": "user", "content": "..."}]}
    headers = {name: value for name, value in exchange.headers.items() if name in _KEPT}
    if "x-request-id" in headers:
        headers["x-request-id"] = "request-1"
    body = exchange.body.decode()
    content = {"request": asked, "status": exchange.status, "headers": headers, "body": _neutral(body)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _neutral(body: str) -> str:
    """A body with a short id in place of a random one, and no time in it."""
    body = re.sub(r'("(?:id|request_id)": ?")[^"]+(")', r"\1completion-1\2", body)
    body = re.sub(r'("created": ?)\d+', r"\g<1>0", body)
    return re.sub(r', ?"timings": ?\{[^{}]*\}', "", body)
