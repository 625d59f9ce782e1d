"""Requests to a simulated endpoint, by nothing but the standard library."""

import http.client
import json

MODEL = "gpt-4o/base"


def call(server, path, body=None, *, method=None, slot=None, key="sk-any", timeout=5):
    """One request; (status, headers, content), content from JSON where it is JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    if slot:
        headers["X-Persona-Collapse-Slot"] = slot
    content = json.dumps(body) if isinstance(body, dict) else body
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body=content, headers=headers)
        answer = connection.getresponse()
        raw = answer.read()
    finally:
        connection.close()
    return answer.status, answer.headers, json.loads(raw) if "json" in answer.headers["Content-Type"] else raw


def ask(server, prompt, *, slot=None, key="sk-any", **fields):
    """One chat completion of one token at temperature 0.1; fields of None are left out."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "max_tokens": 1, "temperature": 0.1} | fields
    return call(server, "/v1/chat/completions", {k: v for k, v in body.items() if v is not None}, slot=slot, key=key)


def texts(answer):
    return [choice["message"]["content"] for choice in answer[2]["choices"]]
