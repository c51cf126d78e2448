"""What plugins declare and the web mounts: pages and assets as data, sockets as protocols (design §8).

A plugin never sees a session, and its pages get the same headers as ours. One that says `embed` may be loaded by other
sites (a widget's script), with the same content for everybody and no cookies in it.
"""

import asyncio
from typing import Any
from weakref import WeakSet

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from hub.instances import Instance
from hub.web import polled
from hub.web.inbound import described
from hub.web.site import HUB
from plugins import Page, Request

log = structlog.get_logger("trunkline.web")

SOCKETS: web.AppKey[Any] = web.AppKey("sockets", WeakSet)
PAGES = web.AppKey("pages", dict[str, dict[str, Page]])
LARGEST_FRAME = 1 << 20
HEARTBEAT = 30.0


def _instance(request: web.Request, role: str) -> Instance:
    instance = request.app[HUB].instances.get(request.match_info["instance"])
    if instance is None or not instance.has(role):
        raise web.HTTPNotFound
    return instance


async def page(request: web.Request) -> web.Response:
    """GET /p/{instance}/{path}."""
    instance = _instance(request, "pages")
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

    def __init__(self, socket: web.WebSocketResponse, request: Request) -> None:
        self.request = request
        self._socket = socket

    async def receive(self) -> str | None:
        """The next text frame; None when the peer has gone. Binary frames close the connection: nobody speaks them."""
        frame = await self._socket.receive()
        if frame.type is WSMsgType.TEXT:
            return str(frame.data)
        if frame.type is WSMsgType.BINARY:
            await self._socket.close(code=WSCloseCode.UNSUPPORTED_DATA)
        return None

    async def send(self, text: str) -> None:
        """Raises ConnectionError when the peer has gone."""
        await self._socket.send_str(text)

    async def close(self, code: int) -> None:
        """RFC 6455 §7.4 codes."""
        await self._socket.close(code=code)


async def socket(request: web.Request) -> web.WebSocketResponse:
    """GET /ws/{instance}/{tail}: one `serve` per connection; what it raises ends this connection alone."""
    instance = _instance(request, "socket")
    hub = request.app[HUB]
    answer = web.WebSocketResponse(max_msg_size=LARGEST_FRAME, heartbeat=HEARTBEAT, compress=False)  # less memory
    if not answer.can_prepare(request).ok:
        raise web.HTTPBadRequest(text="a WebSocket is expected here")
    await answer.prepare(request)
    request.app[SOCKETS].add(answer)
    try:
        await instance.connector.serve(_Link(answer, described(hub, request, b"")), hub.ports[instance.id])
    except (ConnectionError, asyncio.CancelledError):
        raise
    except (Exception, SystemExit) as error:  # a plugin's own trouble
        log.exception("socket.failed", instance=instance.id)
        instance.failed(error)
        await answer.close(code=WSCloseCode.INTERNAL_ERROR)
    else:
        await answer.close()
    return answer


async def poll(request: web.Request) -> web.Response:
    """POST /ws/{instance}/{tail}: the same frames where no socket gets through."""
    instance = _instance(request, "socket")
    hub = request.app[HUB]
    return await polled.answer(request, instance, described(hub, request, b""), hub.ports[instance.id])


async def close_sockets(app: web.Application) -> None:
    """At a stop: clients hear that the service restarts, and come again."""
    for answer in set(app[SOCKETS]):
        await answer.close(code=WSCloseCode.SERVICE_RESTART, message=b"restarting")
