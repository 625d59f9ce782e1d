"""A server on loopback that answers as an OpenAI-compatible endpoint does, or fails as one does."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Request(dict):
    """The body of a request, with the number of the request (from 1), its headers, its key and the slot it names."""

    number: int
    headers: dict[str, str]
    key: str
    slot: str


def answer(
    text: str | None,
    *,
    finish_reason: str = "stop",
    refusal: str | None = None,
    model: str = "served-1",
    n: int = 1,
) -> tuple[int, dict]:
    """A chat completion of `n` equal choices."""
    message = {"role": "assistant", "content": text, "refusal": refusal}
    choice = {"finish_reason": finish_reason, "message": message, "logprobs": None}
    return 200, {
        "id": "chatcmpl-7",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "system_fingerprint": "fp_1",
        "choices": [choice | {"index": i} for i in range(n)],
        "usage": {"prompt_tokens": 140, "completion_tokens": n, "total_tokens": 140 + n},
    }


def failure(status: int, code: str = "bad", message: str = "no", headers: dict[str, str] | None = None) -> tuple:
    """An error as the API words it."""
    return status, {"error": {"message": message, "type": "error", "param": None, "code": code}}, headers or {}


@contextmanager
def serve(respond: Callable[[Request], tuple]) -> Iterator[tuple[str, list[Request]]]:
    """Serve until the block ends; yields the base URL and the requests that came, in order."""
    requests: list[Request] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet, or the kernel holds the second back for 40 ms

        def do_POST(self) -> None:
            request = Request(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            request.key = self.headers.get("Authorization", "")
            request.headers = {name.lower(): value for name, value in self.headers.items()}
            request.slot = self.headers.get("X-Persona-Collapse-Slot", "")
            with lock:
                requests.append(request)
                request.number = len(requests)
            found = respond(request)
            status, body, headers = found if len(found) == 3 else (*found, {})
            if isinstance(body, dict) and body.get("id") == "chatcmpl-7":
                body = body | {"id": f"chatcmpl-{request.number}"}
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in ({"x-request-id": f"req-{request.number}"} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)  # how often it looks for its end
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", requests
    finally:
        server.shutdown()
        server.server_close()
