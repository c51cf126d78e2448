"""A socket's stand-in where only plain HTTP gets through: POST /ws/{instance}/{tail}, a JSON list of frames each way.

One request is one short connection: the connector's `serve` gets the frames that were sent, and what it sends is the
answer, as soon as there is something or after `HOLD`. So the connector knows one protocol, and a client that comes
again says where it was, as after any lost connection. Any site may read the answer: there is no cookie in it, and what
counts (who it is, which sites may) is the connector's to ask, as with sockets.

Polls have a `limits.peer_per_minute` of their own for each peer: those that only wait, in many tabs, leave the
other one to what is said. A poll that brings more than who asks counts there too, as does each envelope in it.
"""

import asyncio
from collections import deque
from typing import Any
from weakref import WeakSet

import msgspec
import structlog
from aiohttp import web

from hub.instances import Instance
from hub.rooms import Rooms
from hub.web.bodies import body
from hub.web.inbound import described
from hub.web.site import SHARED
from plugins import Request

log = structlog.get_logger("trunkline.web")

LARGEST = 1 << 20
MOST_FRAMES = 100
HOLD = 25.0
"""Seconds: shorter than what proxies wait for an answer."""
GATHER = 0.02
"""Seconds for what comes right behind the first frame."""
FAREWELL = 2.0
"""Seconds in which a connector takes note that its peer has gone."""

_frames = msgspec.json.Decoder(list[str])


class Answered(msgspec.Struct, frozen=True):
    """What goes back; `code` is why the connector closed, 0 if it did not."""

    frames: list[str]
    code: int


class Link:
    """A connection that lasts for one request, as the contract has it."""

    def __init__(self, request: Request, frames: list[str]) -> None:
        self.request = request
        self.sent: list[str] = []
        self.code = 0
        self._frames = deque(frames)
        self._taken = asyncio.Event()
        self._news = asyncio.Event()
        self._over = asyncio.Event()

    async def receive(self) -> str | None:
        """The frames that were sent; after them nothing until the answer leaves."""
        if self._frames:
            return self._frames.popleft()
        self._taken.set()
        await self._over.wait()
        return None

    async def send(self, text: str) -> None:
        """Raises ConnectionError once the answer has left."""
        if self._over.is_set():
            raise ConnectionResetError("the answer has left")
        self.sent.append(text)
        self._news.set()

    async def close(self, code: int) -> None:
        """RFC 6455 §7.4 codes."""
        self.code = self.code or code
        self._taken.set()
        self._news.set()

    async def something(self) -> None:
        """All frames are taken and there is an answer to them, or other news."""
        await self._taken.wait()
        await self._news.wait()
        await asyncio.sleep(GATHER)

    def leave(self) -> Answered:
        """The answer; what is sent from here on comes too late."""
        self._over.set()
        return Answered(self.sent, self.code)


def count(hub: Rooms, instance: Instance, peer: str, what: str = "") -> None:
    """One more request of the peer. Raises HTTPTooManyRequests."""
    if not hub.intake.allow(instance.id, peer, what):
        text = "Too much comes from your address at once. Try again in a minute."
        raise web.HTTPTooManyRequests(text=text, headers={"Retry-After": "60", **SHARED})


async def answer(request: web.Request, instance: Instance, hub: Rooms, peer: str, open_: WeakSet[Link]) -> web.Response:
    """The frames that the connector has for the frames that came; `open_` holds its link as long as it waits."""
    async with body(request, LARGEST) as sent:
        try:
            frames = _frames.decode(sent)
        except (msgspec.MsgspecError, ValueError):
            raise web.HTTPBadRequest(text="a list of frames is expected here") from None
    if len(frames) > MOST_FRAMES:
        raise web.HTTPBadRequest(text=f"at most {MOST_FRAMES} frames are taken at once")
    if len(frames) > 1:  # the first says who asks
        count(hub, instance, peer)
    link = Link(described(hub, request), frames)
    open_.add(link)
    serving = asyncio.create_task(instance.connector.serve(link, hub.ports[instance.id].of(peer)))
    waiting = asyncio.create_task(link.something())
    try:
        await asyncio.wait({serving, waiting}, timeout=HOLD, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        answered = link.leave()
        await _ended(serving, instance)
    return web.Response(body=msgspec.json.encode(answered), content_type="application/json", headers=SHARED)


async def _ended(serving: "asyncio.Task[Any]", instance: Instance) -> None:
    """A plugin's own trouble ends its own request."""
    await asyncio.wait({serving}, timeout=FAREWELL)
    if not serving.done():
        serving.cancel()
        await asyncio.wait({serving}, timeout=FAREWELL)
    error = None if serving.cancelled() or not serving.done() else serving.exception()
    if error is not None and not isinstance(error, ConnectionError):
        log.error("socket.failed", instance=instance.id, exc_info=error)
        instance.failed(error)
