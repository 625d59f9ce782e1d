"""The handlers of the simulated endpoint: each path of the OpenAI protocol, and what may go wrong on the way."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web

from persona_collapse.simulated.batches import MOST_BYTES, Batches
from persona_collapse.simulated.completions import Answered, ApiError, Asked, Completions, chunks
from persona_collapse.simulated.faults import Fate, Faults, Limiter, Options, retry_header
from persona_collapse.simulated.prompt_answers import DECKS, Respondents
from persona_collapse.simulated.text_replies import JUDGES
from persona_collapse.simulated.traffic_counts import Tally
from persona_collapse.wire import SLOT_HEADER

_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>{status} {title}</title></head>\n"
    "<body><center><h1>{status} {title}</h1></center><hr><center>nginx</center></body></html>\n"
)
#: Pieces of a slow answer, and seconds between two looks at whether somebody still waits for one that never comes.
_PIECES, _LOOK = 8, 0.1


class Endpoint:
    """One endpoint: its handlers and what they share. All of it runs in one event loop."""

    def __init__(self, options: Options) -> None:
        self.options, self.tally = options, Tally()
        decks = *DECKS, *filter(None, [options.personas])
        self.respondents = Respondents(options.seed, decks, digit_mass=options.digit_mass, also=("ipip50", "neutral12"))
        self._faults = Faults(options)
        self._limiter = Limiter(options.limit, options.limiter) if options.limit else None
        self._completions = Completions(options, self.respondents, self._faults)
        self._batches = Batches(options, self._completions, self.tally)
        self._started, self._arrived, self._others = int(time.time()), 0, 0

    def application(self) -> web.Application:
        """The routes, for aiohttp to serve."""
        app = web.Application(client_max_size=MOST_BYTES + 2**20)
        app.router.add_post("/v1/chat/completions", self.complete)
        for method, path, answer in (
            ("GET", "/v1/models", self._models),
            ("GET", "/v1/models/{model:.+}", self._model),
            ("POST", "/v1/files", self._send_file),
            ("GET", "/v1/files", self._list_files),
            ("GET", "/v1/files/{file}", self._file),
            ("GET", "/v1/files/{file}/content", self._content),
            ("POST", "/v1/batches", self._create_batch),
            ("GET", "/v1/batches", self._list_batches),
            ("GET", "/v1/batches/{batch}", self._batch),
            ("POST", "/v1/batches/{batch}/cancel", self._cancel_batch),
            ("GET", "/stats", self._stats),
            ("POST", "/stats/reset", self._reset),
            ("*", "/{path:.*}", self._nowhere),
        ):
            app.router.add_route(method, path, self._plain(answer))
        return app

    # --- chat completions ----------------------------------------------------------------------------------------------

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions, with whatever goes wrong with it."""
        arrived = time.monotonic()
        self._arrived += 1
        number, fate = self._arrived, self._faults.next()
        self.tally.arrive(arrived)
        try:
            return await self._complete(request, number, fate, arrived)
        except ApiError as error:
            if error.status in (401, 404) or error.body["error"]["code"] == "insufficient_quota":
                self.tally.end(time.monotonic())
            return self._json(error.status, error.body, number, error.headers)
        finally:
            self.tally.leave()

    async def _complete(self, request: web.Request, number: int, fate: Fate, arrived: float) -> web.StreamResponse:
        header = request.headers.get(SLOT_HEADER)
        asked: Asked | ApiError
        body = None
        try:
            body = await _body(request)
            asked = self._completions.read(body, header)
        except ApiError as error:
            asked = error
        slots = asked.slots if isinstance(asked, Asked) else []
        self.tally.ask(slots, arrived, body if isinstance(body, dict) else {}, header)
        self._admit(request, number, asked)
        if isinstance(asked, ApiError):
            raise asked
        if fate.fault:
            self.tally.faults[fate.fault] += 1
        if fate.fault == "never":
            await _until_gone(request)
            return web.Response()
        if fate.wait:
            await asyncio.sleep(fate.wait)
        if fate.fault == "dropped":
            return _hang_up(request)
        if fate.fault == "server_error":
            raise ApiError(500, "The server had an error while processing your request. Sorry about that!", kind="server_error")
        if fate.fault == "rate_limited":
            raise self._too_fast(asked, fate.retry_after, by_limiter=False)
        if fate.fault == "html":
            return self._page(number)
        return await self._answer(request, asked, number, fate)

    def _admit(self, request: web.Request, number: int, asked: Asked | ApiError) -> None:
        """Raise what stands between a request and the model: its key, the account's quota, the limiter."""
        until, quota = self.options.key_until, self.options.quota
        self._check_key(request, refused=until is not None and number > until)
        if quota is not None and number > quota:
            message = "You exceeded your current quota, please check your plan and billing details."
            raise ApiError(429, message, kind="insufficient_quota", code="insufficient_quota")
        if self._limiter and (wait := self._limiter.wait(time.monotonic())) is not None:
            raise self._too_fast(asked, wait, by_limiter=True)

    def _check_key(self, request: web.Request, *, refused: bool = False) -> None:
        """Refuse a key, in words that hold it, as endpoints do."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if refused or (self.options.key and given != self.options.key):
            message = (
                f"Incorrect API key provided: {given}. You can find your API key at https://platform.openai.com/account/api-keys."
            )
            raise ApiError(401, message, code="invalid_api_key")

    def _too_fast(self, asked: Asked | ApiError, seconds: float, *, by_limiter: bool) -> ApiError:
        headers, announced = retry_header(seconds, self.options.retry_form, time.time())
        model, slots = (asked.model, asked.slots) if isinstance(asked, Asked) else ("the model", [])
        self.tally.refuse(slots, time.monotonic(), announced, by_limiter=by_limiter)
        if by_limiter:
            self.tally.faults["limited"] += 1
        rate = self.options.limit or 10
        message = (
            f"Rate limit reached for {model} in organization org-simulated on requests per second: Limit {rate:g}, "
            f"Used {rate:g}, Requested 1. Please try again in {seconds:.3f}s."
        )
        return ApiError(429, message, kind="requests", code="rate_limit_exceeded", headers=headers)

    async def _answer(self, request: web.Request, asked: Asked, number: int, fate: Fate) -> web.StreamResponse:
        answered = self._completions.answer(asked, fate.surplus)
        if asked.stream:
            pieces, kind = list(chunks(answered.body, asked.usage_in_stream)), "text/event-stream"
        else:
            pieces, kind = [json.dumps(answered.body).encode()], "application/json"
        if fate.fault == "malformed":
            whole = b"".join(pieces)
            torn = whole[: int(len(whole) * (0.1 + 0.8 * fate.torn))]
            self.tally.statuses[200] += 1
            return web.Response(body=torn, headers=self._headers(number, kind))
        seconds = 0.0
        if fate.fault == "drip":
            whole, seconds = b"".join(pieces), self.options.drip_seconds
            size = -(-len(whole) // _PIECES)
            pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
        if len(pieces) == 1:
            self._count(request, answered)
            return web.Response(body=pieces[0], headers=self._headers(number, kind))
        response = web.StreamResponse(headers=self._headers(number, kind))
        await response.prepare(request)
        for piece in pieces:
            await asyncio.sleep(seconds / len(pieces))
            if not _listening(request):
                break
            await response.write(piece)
        self._count(request, answered)
        return response

    def _count(self, request: web.Request, answered: Answered) -> None:
        self.tally.statuses[200] += 1
        self.tally.answer(answered.slots, answered.ratings, answered.faults, delivered=_listening(request))

    def _page(self, number: int) -> web.Response:
        status = self.options.html_status
        self.tally.statuses[status] += 1
        page = _PAGE.format(status=status, title=HTTPStatus(status).phrase)
        return web.Response(text=page, status=status, headers=self._headers(number, "text/html"))

    def _headers(self, number: int, kind: str) -> dict[str, str]:
        return {"Content-Type": kind, "x-request-id": f"req_{self._started:x}_{number}"}

    def _json(self, status: int, body: Any, number: int, headers: dict[str, str] | None = None) -> web.Response:
        self.tally.statuses[status] += 1
        headers = self._headers(number, "application/json") | (headers or {})
        return web.Response(body=json.dumps(body).encode(), status=status, headers=headers)

    # --- everything else -----------------------------------------------------------------------------------------------

    def _plain(self, answer: Callable[[web.Request], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        """A handler that answers what `answer` returns, as JSON unless it is bytes."""

        async def handle(request: web.Request) -> web.Response:
            self._others += 1
            headers = {"x-request-id": f"req_{self._started:x}_o{self._others}"}
            try:
                if request.path.startswith("/v1/"):
                    self._check_key(request)
                found, status = await answer(request), 200
            except ApiError as error:
                found, status = error.body, error.status
            if isinstance(found, bytes):
                return web.Response(body=found, headers=headers, content_type="application/octet-stream")
            return web.json_response(found, status=status, headers=headers)

        return handle

    async def _models(self, request: web.Request) -> dict[str, Any]:
        unlisted = self.options.unlisted.split(",")
        return {
            "object": "list",
            "data": [self._about(name) for name in (*self.respondents.names, *JUDGES) if name not in unlisted],
        }

    async def _model(self, request: web.Request) -> dict[str, Any]:
        name = request.match_info["model"]
        if name not in (*self.respondents.names, *JUDGES) or name in self.options.unlisted.split(","):
            raise ApiError(404, f"The model '{name}' does not exist", param="model", code="model_not_found")
        return self._about(name)

    def _about(self, name: str) -> dict[str, Any]:
        about = {"id": name, "object": "model", "created": self._started, "owned_by": "persona-collapse"}
        return about | ({"shutdown_date": self.options.shutdown_date} if self.options.shutdown_date else {})

    async def _send_file(self, request: web.Request) -> dict[str, Any]:
        try:
            form = await request.post()
        except (web.HTTPRequestEntityTooLarge, ValueError):
            message = f"The file could not be read. Its maximum size is {MOST_BYTES} bytes."
            raise ApiError(400, message, param="file") from None
        file, purpose = form.get("file"), form.get("purpose")
        if not isinstance(file, web.FileField) or not isinstance(purpose, str):
            missing = "purpose" if isinstance(file, web.FileField) else "file"
            code = "missing_required_parameter"
            raise ApiError(400, f"Missing required parameter: '{missing}'.", param=missing, code=code)
        return self._batches.add_file(file.filename, file.file.read(), purpose)

    async def _list_files(self, request: web.Request) -> dict[str, Any]:
        return self._batches.files()

    async def _file(self, request: web.Request) -> dict[str, Any]:
        return self._batches.file(request.match_info["file"])[0]

    async def _content(self, request: web.Request) -> bytes:
        return self._batches.file(request.match_info["file"])[1]

    async def _create_batch(self, request: web.Request) -> dict[str, Any]:
        return self._batches.create(await _body(request))

    async def _list_batches(self, request: web.Request) -> dict[str, Any]:
        limit = request.query.get("limit", "20")
        if not limit.isdecimal() or not 1 <= int(limit) <= 100:
            raise ApiError(400, f"Invalid 'limit': expected 1 to 100, but got {limit} instead.", param="limit")
        return self._batches.batches(request.query.get("after"), int(limit))

    async def _batch(self, request: web.Request) -> dict[str, Any]:
        return self._batches.batch(request.match_info["batch"])

    async def _cancel_batch(self, request: web.Request) -> dict[str, Any]:
        return self._batches.cancel(request.match_info["batch"])

    async def _stats(self, request: web.Request) -> dict[str, Any]:
        return self.tally.figures()

    async def _reset(self, request: web.Request) -> dict[str, Any]:
        self.tally.reset()
        return self.tally.figures()

    async def _nowhere(self, request: web.Request) -> dict[str, Any]:
        raise ApiError(404, f"Invalid URL ({request.method} {request.path})")


async def _body(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError:
        raise ApiError(400, "We could not parse the JSON body of your request.") from None


def _listening(request: web.Request) -> bool:
    """Whether the client is still there."""
    return request.transport is not None and not request.transport.is_closing()


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def _until_gone(request: web.Request) -> None:
    while _listening(request):
        await asyncio.sleep(_LOOK)
