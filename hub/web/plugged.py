"""What plugins declare and the web mounts: pages and assets as data, sockets as protocols (design §8).

A plugin never sees a session, and its pages get the same headers as ours. One that says `embed` may be loaded by other
sites (a widget's script), with the same content for everybody and no cookies in it.
"""

import asyncio
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from hub.web import polled
from hub.web.bodies import AFTER
from hub.web.inbound import described
from hub.web.peer import peer_of
from hub.web.protocol import Connection
from hub.web.site import HUB, SHARED, instance_of
from hub.web.waiting import Held, Waiting
from plugins import Page, Request

log = structlog.get_logger("trunkline.web")

SOCKETS: web.AppKey[Any] = web.AppKey("sockets", WeakSet)
POLLS: web.AppKey[Any] = web.AppKey("polls", WeakSet)
PAGES = web.AppKey("pages", dict[str, dict[str, Page]])
LARGEST_MESSAGE = 64 << 10
HEARTBEAT = 30.0
MOST = 50_000
"""Connections, some 30 KiB of memory each."""
FAREWELL = 5.0
"""Seconds in which all peers may answer that they have heard of a stop."""
REFUSED = AFTER | SHARED
"""Scripts of other sites may read when to come again."""


class Room:
    """How many connections stand, of everybody and of each peer; the rest of the files is for webhooks and pages."""

    def __init__(self) -> None:
        """Three quarters of the files that this process may open, `MOST` at the most; one peer has half of them."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.most = MOST if files == resource.RLIM_INFINITY else min(MOST, files * 3 // 4)
        self._held: Counter[str] = Counter()

    @contextmanager
    def taken(self, peer: str) -> Iterator[None]:
        """While the connection stands. Raises HTTPTooManyRequests, HTTPServiceUnavailable."""
        if self._held[peer] >= (self.most + 1) // 2:
            raise web.HTTPTooManyRequests(text="Your address has too many connections.", headers=REFUSED)
        if self._held.total() >= self.most:
            raise web.HTTPServiceUnavailable(text="Too many connections. Try again in a moment.", headers=REFUSED)
        self._held[peer] += 1
        try:
            yield
        finally:
            self._held[peer] -= 1
            if not self._held[peer]:
                del self._held[peer]


ROOM = web.AppKey("room", Room)
HELD = web.AppKey("held", Held)


async def page(request: web.Request) -> web.Response:
    """GET /p/{instance}/{path}."""
    instance = instance_of(request, "pages")
    pages = request.app[PAGES].get(instance.id)
    if pages is None:
        pages = request.app[PAGES][instance.id] = {one.path.lstrip("/"): one for one in instance.connector.pages}
    found = pages.get(request.match_info["path"])
    if found is None:
        raise web.HTTPNotFound
    headers = {"Content-Type": found.type}
    if found.embed:
        headers |= {"Cross-Origin-Resource-Policy": "cross-origin", "Cache-Control": "public, max-age=300"}
    return web.Response(body=found.body, headers=headers)


class _Link:
    """An accepted WebSocket as the contract has it."""

    def __init__(self, socket: web.WebSocketResponse, request: Request, waiting: Waiting) -> None:
        self.request = request
        self._socket, self._waiting = socket, waiting

    async def receive(self) -> str | None:
        """The next text frame; None when the peer has gone. Binary frames close the connection: nobody speaks them."""
        while True:
            frame = await self._socket.receive()
            self._waiting.taken()
            if frame.type is WSMsgType.TEXT:
                return str(frame.data)
            if frame.type is WSMsgType.BINARY:
                await self._socket.close(code=WSCloseCode.UNSUPPORTED_DATA)
            if frame.type is WSMsgType.PING:
                with suppress(ConnectionError):  # who has gone is told of by the next frame
                    await self._socket.pong(frame.data)
            elif frame.type is not WSMsgType.PONG:
                return None

    async def send(self, text: str) -> None:
        """Raises ConnectionError when the peer has gone."""
        await self._socket.send_str(text)

    async def close(self, code: int) -> None:
        """RFC 6455 §7.4 codes."""
        await self._socket.close(code=code)


async def socket(request: web.Request) -> web.WebSocketResponse:
    """GET /ws/{instance}/{tail}: one `serve` per connection; what it raises ends this connection alone.

    A handshake is a request of its peer, and so is each envelope that comes through it.
    """
    instance = instance_of(request, "socket")
    hub = request.app[HUB]
    answer = web.WebSocketResponse(
        max_msg_size=LARGEST_MESSAGE,
        heartbeat=HEARTBEAT,
        compress=False,  # less memory
        autoping=False,  # every frame that is taken is told to `Waiting`
    )
    if not _is_handshake(answer, request):
        raise web.HTTPBadRequest(text="a WebSocket is expected here")
    peer = peer_of(request)
    polled.count(hub, instance, peer)
    with request.app[ROOM].taken(peer), _waiting(request, peer) as waiting:
        await answer.prepare(request)
        request.app[SOCKETS].add(answer)
        try:
            link = _Link(answer, described(hub, request), waiting)
            await instance.connector.serve(link, hub.ports[instance.id].of(peer))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except (Exception, SystemExit) as error:  # a plugin's own trouble
            log.exception("socket.failed", instance=instance.id)
            instance.failed(error)
            await answer.close(code=WSCloseCode.INTERNAL_ERROR)
        else:
            await answer.close()
    return answer


def _is_handshake(answer: web.WebSocketResponse, request: web.Request) -> bool:
    try:
        return answer.can_prepare(request).ok
    except ValueError:  # aiohttp's own check of a key that is no base64
        return False


@contextmanager
def _waiting(request: web.Request, peer: str) -> Iterator[Waiting]:
    """What comes through the socket is counted from its first byte."""
    protocol, transport = request.protocol, request.transport
    if not isinstance(protocol, Connection) or transport is None:
        raise ConnectionResetError("the peer has gone")
    protocol.waiting = waiting = Waiting(request.app[HELD], peer, transport.abort)
    try:
        yield waiting
    finally:
        waiting.leave()


async def poll(request: web.Request) -> web.Response:
    """POST /ws/{instance}/{tail}: the same frames where no socket gets through."""
    instance = instance_of(request, "socket")
    hub, peer = request.app[HUB], peer_of(request)
    polled.count(hub, instance, peer, "polls")
    with request.app[ROOM].taken(peer):
        return await polled.answer(request, instance, hub, peer, request.app[POLLS])


async def close_sockets(app: web.Application) -> None:
    """At a stop: clients hear that the service restarts, all at once, and come again."""
    said = {"code": WSCloseCode.SERVICE_RESTART, "message": b"restarting"}
    for link in set(app[POLLS]):
        await link.close(WSCloseCode.SERVICE_RESTART)
    closing = [asyncio.create_task(answer.close(**said)) for answer in set(app[SOCKETS])]
    if closing:
        _, left = await asyncio.wait(closing, timeout=FAREWELL)
        for task in left:
            task.cancel()
