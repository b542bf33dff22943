"""The gate before an app: who may ask, how often, how much, how long, how many at once."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from langchain_graft.server.error_reply import ErrorReply, RefusedRequest, error_reply, refuse
from langchain_graft.server.rate_limit import RateLimit
from langchain_graft.server.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from langchain_graft.server.api_keys import ApiKeys
    from langchain_graft.server.metrics import Metrics
    from langchain_graft.server.settings import ServerSettings

OPEN = "/health"
_EVENTS = b"text/event-stream"
_PASSED_ON = frozenset((b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"))
"""Headers of a proxy, whose other side may be anywhere."""
_GONE = 499
"""The status that is counted where a client went away."""
_STOP_SECONDS = 5.0


class Gate:
    """An ASGI app around another one.

    The request's body is read here, whole, before the app sees it; while the app works, the gate
    watches whether the client is still there, and cancels the work when it is not or when the time
    is over. So no route has to think of any of it.

    Without keys only this machine is spoken to, by its own names: a web page that is open here has
    another origin, or another name for this address, and is refused. So is what a proxy passes on.
    """

    def __init__(
        self, app: ASGIApp, *, settings: ServerSettings, keys: ApiKeys, metrics: Metrics
    ) -> None:
        self._app = app
        self._settings = settings
        self._keys = keys
        self._metrics = metrics
        self._rate = RateLimit(settings.requests_per_minute)
        self._turns = asyncio.Semaphore(settings.max_concurrent)
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] != "http":
            return  # nobody speaks over websockets here: the server closes them
        started = time.monotonic()
        exchange = _Exchange(send)
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                await self._let_in(scope, receive, exchange)
        except TimeoutError:
            message = f"No reply within {self._settings.timeout_seconds:g} seconds"
            await exchange.fail(ErrorReply(status=504, message=message, type="timeout_error"))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is told and logged)
            if not exchange.is_over:
                await exchange.fail(error_reply(error))
        finally:
            self._metrics.answered(
                scope["path"], status=exchange.status, seconds=time.monotonic() - started
            )

    async def _let_in(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["path"] != OPEN or scope["method"] not in ("GET", "HEAD"):
            self._check_sender(scope, headers)
        body = await self._body(headers, receive)
        if scope["method"] != "POST":
            await self._answer(scope, receive, body, exchange)
            return
        async with self._turn():
            await self._answer(scope, receive, body, exchange)

    def _check_sender(self, scope: Scope, headers: dict[bytes, str]) -> None:
        """Who may ask, and as often as that.

        Raises:
            RefusedRequest: The key is wrong, or it is asked too often.
        """
        who: int | None = 0
        if self._keys:
            scheme, _, key = headers.get(b"authorization", "").partition(" ")
            who = self._keys.number_of(key.strip()) if scheme.lower() == "bearer" else None
            if who is None:
                message = "Incorrect API key provided: send it as 'Authorization: Bearer KEY'"
                raise refuse(message, status=401, code="invalid_api_key")
        elif not _is_from_here(scope, headers):
            message = (
                "Without API keys only this machine is answered, by the name localhost, and no "
                "proxy: give the server keys"
            )
            raise refuse(message, status=403, code="forbidden")
        if seconds := self._rate.take(who):
            message = f"More than {self._settings.requests_per_minute} requests in a minute"
            kind = {"type": "rate_limit_error", "code": "rate_limit_exceeded"}
            raise refuse(message, status=429, retry_after=seconds, **kind)

    async def _body(self, headers: dict[bytes, str], receive: Receive) -> bytes:
        most = self._settings.max_body_bytes
        told = headers.get(b"content-length", "0")
        size = int(told[:18]) if told.isdecimal() else 0
        body = bytearray()
        more = size <= most
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _gone()
            body += message.get("body", b"")
            size = len(body)
            more = message.get("more_body", False) and size <= most
        if size > most:
            too_large = f"The request is larger than {most} bytes"
            raise refuse(too_large, status=413, code="request_too_large")
        return bytes(body)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a turn, in the order of coming."""
        if self._turns.locked() and self._waiting >= self._settings.max_waiting:
            message = f"{self._waiting} requests wait already; try again"
            kind = {"type": "server_error", "code": "overloaded"}
            raise refuse(message, status=503, retry_after=1, **kind)
        self._waiting += 1
        self._metrics.waiting.set(self._waiting)
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
            self._metrics.waiting.set(self._waiting)
        self._metrics.working.inc()
        try:
            yield
        finally:
            self._metrics.working.dec()
            self._turns.release()

    async def _answer(
        self, scope: Scope, receive: Receive, body: bytes, exchange: _Exchange
    ) -> None:
        """Run the app until it is done or the client is gone."""
        gone = asyncio.Event()
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        work = asyncio.create_task(_run(self._app, scope, replay, exchange.send))
        watcher = asyncio.create_task(watch())
        try:
            await asyncio.wait({work, watcher}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise _gone()
        finally:
            gone.set()
            for task in (work, watcher):
                task.cancel()
            await asyncio.wait({work, watcher}, timeout=_STOP_SECONDS)
        work.result()


class _Exchange:
    """What was sent of a reply so far."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self._is_events = False
        self.is_over = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            kinds = [value for name, value in message["headers"] if name == b"content-type"]
            self._is_events = any(kind.startswith(_EVENTS) for kind in kinds)
        self.is_over |= message["type"] == "http.response.body" and not message.get("more_body")
        await self._send(message)

    async def fail(self, reply: ErrorReply) -> None:
        """Tell of an error: as the reply, or as the last event of one that is under way."""
        if self.is_over:
            return
        if reply.status == _GONE:
            self.status = _GONE
        elif self.status == 0:
            headers = [(name.encode(), value.encode()) for name, value in reply.headers().items()]
            start = {"type": "http.response.start", "status": reply.status, "headers": headers}
            await self.send(start)
            await self.send({"type": "http.response.body", "body": reply.body()})
        elif self._is_events:
            event = b"data: " + reply.body() + b"\n\n"
            await self.send({"type": "http.response.body", "body": event})


async def _run(app: ASGIApp, scope: Scope, receive: Receive, send: Any) -> None:
    await app(scope, receive, send)


def _gone() -> RefusedRequest:
    return refuse("The client is gone", status=_GONE)


def _is_from_here(scope: Scope, headers: dict[bytes, str]) -> bool:
    """Whether a request comes from this machine, and names it as its host and, if any, origin."""
    client = scope.get("client")  # None: a Unix socket's
    if (client and not is_loopback(client[0])) or not _PASSED_ON.isdisjoint(headers):
        return False
    urls = [f"//{headers.get(b'host', '')}", *filter(None, [headers.get(b"origin")])]
    try:
        names = [urlsplit(url).hostname for url in urls]
    except ValueError:
        return False
    return all(name is not None and is_loopback(name) for name in names)
