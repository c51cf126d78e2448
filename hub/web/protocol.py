"""aiohttp below the application: its answers to broken HTTP carry our headers and leave one line in the log.

aiohttp answers these before any middleware or signal runs, names its own version, and logs a trace for each. And who
connects must ask for something soon, and take what is answered: aiohttp lets silence, and heads that never end, hold a
file for an hour, and an answer that nobody reads hold its memory for ever.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from hub.web.hooks import ShortWay
from hub.web.site import HEADERS
from hub.web.waiting import Waiting

log = structlog.get_logger("trunkline.web")


class Connection(web.RequestHandler):
    """One connection."""

    __slots__ = ("_first", "_first_head", "_takes", "waiting")

    def __init__(self, manager: web.Server, *, first_head: float, takes: float, **settings: Any) -> None:
        super().__init__(manager, **settings)
        self._first_head, self._takes = first_head, takes
        self._first: asyncio.TimerHandle
        self.waiting: Waiting | None = None
        """Where this is a socket: what counts its bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Later heads, half of one too, are `keepalive_timeout`'s: aiohttp's timer knows only whole ones."""
        super().connection_made(transport)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: RFC 5482; counted while the peer's window is shut, too
            connected = transport.get_extra_info("socket")
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._takes * 1000))
        self._first = self._loop.call_later(self._first_head, self._too_late)

    def _too_late(self) -> None:
        if not self._request_count:
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The timer would hold on to us."""
        self._first.cancel()
        super().connection_lost(exc)

    def set_parser(self, parser: Any, data_received_cb: Callable[[], None] | None = None) -> None:
        """A socket is accepted."""
        if self.waiting is not None:
            self.waiting.parser, parser = parser, self.waiting
        super().set_parser(parser, data_received_cb)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What was wrong with the bytes goes to the log, not back."""
        log.info("web.broken_http", peer=request.remote, status=status, why=type(exc).__name__ if exc else message)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        return _refusal(status)


def _refusal(status: int) -> web.Response:
    headers = {**HEADERS, "Server": "trunkline"}
    response = web.Response(status=status, text="This is not a request that we can read.\n", headers=headers)
    response.force_close()
    return response


class _Legible:
    """Before the application: headers that are no text are refused, for aiohttp itself fails at some (`Expect`)."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        self._handler = handler

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if all(map(_is_text, (value for _, value in request.raw_headers))):
            return await self._handler(request)
        log.info("web.broken_http", peer=request.remote, status=400, why="a header is no text")
        return _refusal(400)


def _is_text(value: bytes) -> bool:
    if value.isascii():
        return True
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Server(web.Server):
    """As aiohttp's, with our protocol, and a short way for webhooks."""

    def __init__(self, app: web.Application, server: web.Server, settings: dict[str, Any]) -> None:
        """Takes over a server that has served nobody yet."""
        super().__init__(ShortWay(app, _Legible(server.request_handler)), request_factory=server.request_factory)
        self._settings = settings

    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._settings)


class Runner(web.AppRunner):
    """An AppRunner whose connections speak `Connection`."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        return _Server(self.app, await super()._make_server(), self._kwargs)
