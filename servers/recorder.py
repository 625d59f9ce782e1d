"""A reverse proxy on loopback between the project and a server, which keeps every answer that the server sent."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from persona_collapse.wire import SLOT_HEADER

#: Headers that are about one connection, and those that are written anew.
_OWN = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "date", "server"}
#: Seconds for one answer of a server.
_TIMEOUT = 120


class Exchange(NamedTuple):
    """A request and its answer; `slot` is the one that the request names, headers are in small letters."""

    path: str
    slot: str
    request: bytes
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def asked(self) -> dict[str, Any]:
        """The body of the request."""
        return dict(json.loads(self.request or b"{}"))


class Recorder:
    """What went through: `url` is the address to ask in place of the server's, `exchanges` are in the order of the answers."""

    def __init__(self, url: str) -> None:
        self.url, self.exchanges = url, list[Exchange]()

    @property
    def chats(self) -> list[Exchange]:
        """Requests for chat completions alone."""
        return [exchange for exchange in self.exchanges if exchange.path.endswith("/chat/completions")]


@contextmanager
def recording(upstream: str) -> Iterator[Recorder]:
    """Stand before the server `upstream` (http://127.0.0.1:port) until the block ends."""
    found, lock = urlsplit(upstream), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet, or the kernel holds the second back for 40 ms

        def _forward(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
            headers |= {"Host": found.netloc, "Content-Length": str(len(content))}
            connection = http.client.HTTPConnection(found.hostname or "", found.port, timeout=_TIMEOUT)
            try:
                connection.request(self.command, self.path, body=content, headers=headers)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                self.close_connection = True  # the server broke off: so does the proxy, and nothing was sent
                return
            finally:
                connection.close()
            heads = {name.lower(): value for name, value in answer.getheaders()}
            with lock:
                slot = self.headers.get(SLOT_HEADER, "")
                recorder.exchanges.append(Exchange(self.path, slot, content, answer.status, heads, body))
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _OWN:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _forward

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    recorder = Recorder(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()
