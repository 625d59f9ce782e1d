"""The simulated endpoint: the respondents behind HTTP on loopback, speaking the OpenAI protocol."""

import asyncio
import concurrent.futures
import errno
import http.client
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from persona_collapse.simulated.faults import Options, to_flags
from persona_collapse.simulated.handlers import Endpoint

__all__ = ["HOST", "Apart", "Options", "Server", "apart", "running", "serve"]

#: The only address ever bound: whoever is on this machine may ask, and nobody else.
HOST = "127.0.0.1"


class Server:
    """A running endpoint as a test or a benchmark sees it, from any thread."""

    def __init__(self, endpoint: Endpoint, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.port, self.base_url = port, f"http://{HOST}:{port}/v1"
        self._endpoint, self._loop = endpoint, loop

    def stats(self) -> dict[str, Any]:
        """The figures of GET /stats."""
        return self._inside(self._endpoint.tally.figures)

    def reset(self) -> None:
        """Count from zero again."""
        self._inside(self._endpoint.tally.reset)

    def seen(self) -> list[dict[str, Any]]:
        """Bodies of the latest chat completions asked for, oldest first, each with the `slot` its header named."""
        return self._inside(lambda: list(self._endpoint.tally.seen))

    def _inside(self, look: Callable[[], Any]) -> Any:
        """Call in the server's loop, where nothing changes meanwhile; a stopped server is at rest."""

        async def call() -> Any:
            return look()

        if self._loop.is_closed():
            return look()
        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)


@contextmanager
def running(options: Options | None = None, *, port: int = 0) -> Iterator[Server]:
    """Serve from a thread with a loop of its own until the block ends; port 0 takes a free one.

    Raises RuntimeError if the port is taken.
    """
    endpoint = Endpoint(options or Options())
    ready: concurrent.futures.Future[tuple[Server, asyncio.Event]] = concurrent.futures.Future()

    async def main() -> None:
        stop = asyncio.Event()
        try:
            runner, bound = await _listen(endpoint, port)
        except RuntimeError as error:
            ready.set_exception(error)
            return
        ready.set_result((Server(endpoint, bound, asyncio.get_running_loop()), stop))
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(main(),), name="simulated endpoint", daemon=True)
    thread.start()
    server, stop = ready.result()
    try:
        yield server
    finally:
        server._loop.call_soon_threadsafe(stop.set)
        thread.join()


class Apart:
    """A running endpoint in a process of its own, as a benchmark sees it."""

    def __init__(self, port: int) -> None:
        self.port, self.base_url = port, f"http://{HOST}:{port}/v1"

    def stats(self) -> dict[str, Any]:
        """The figures of GET /stats."""
        return self._ask("GET", "/stats")

    def reset(self) -> None:
        """Count from zero again."""
        self._ask("POST", "/stats/reset")

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            connection.request(method, path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@contextmanager
def apart(options: Options | None = None) -> Iterator[Apart]:
    """Serve from a process of its own, which shares no interpreter with its client, until the block ends.

    Raises RuntimeError if it does not start.
    """
    command = [sys.executable, "-m", "persona_collapse", "serve", "--port", "0", *to_flags(options or Options())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        first = process.stdout.readline() if process.stdout else ""
        found = re.search(rf"http://{re.escape(HOST)}:(\d+)/v1", first)
        if not found:
            process.kill()
            raise RuntimeError(f"simulated endpoint: said {first.strip()!r} in place of its address; see the line above")
        try:
            yield Apart(int(found[1]))
        finally:
            process.terminate()
            process.communicate()


def serve(options: Options, port: int, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; `say` gets a few lines for whoever started it. RuntimeError if the port is taken."""
    endpoint = Endpoint(options)

    async def main() -> None:
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        runner, bound = await _listen(endpoint, port)
        for line in _welcome(endpoint, bound):
            say(line)
        await stop.wait()
        await runner.cleanup()

    asyncio.run(main())
    say(f"stopped after {endpoint.tally.requests:,} requests and {endpoint.tally.ratings:,} ratings")


async def _listen(endpoint: Endpoint, port: int) -> tuple[web.AppRunner, int]:
    """Listen on loopback; returns what to clean up and the port."""
    # Whoever never gets an answer is not waited for either.
    runner = web.AppRunner(endpoint.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port, backlog=1024).start()
    except OSError as error:
        await runner.cleanup()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        problem = "another process has this port" if error.errno == errno.EADDRINUSE else "this port is not yours to take"
        raise RuntimeError(f"{HOST}:{port}: {problem}; give another, as in make serve PORT=8123") from None
    return runner, runner.addresses[0][1]


def _welcome(endpoint: Endpoint, port: int) -> list[str]:
    """Where the endpoint is, which models it has and how to ask it."""
    instrument, names = endpoint.respondents.instrument, endpoint.respondents.names
    message = {"role": "user", "content": instrument.prompt(instrument.items[0])}
    # No quote in the body, as the shell would take it for the end.
    body = json.dumps({"model": names[0], "max_tokens": 1, "messages": [message]}).replace("'", "\\u0027")
    url = f"http://{HOST}:{port}/v1"
    return [
        f"simulated endpoint at {url} (Ctrl-C stops it); its answers are evidence of nothing",
        f"models: {', '.join(names)}",
        f"ask it: curl -s {url}/chat/completions -H 'Content-Type: application/json' -d '{body}'",
    ]
