"""/in/{instance}/{tail}: a request as the contract has it, and the connector's answer.

Bytes are read under the instance's own limit and a deadline, and never unpacked: signatures are over what was sent.
An instance that does not exist is answered by the intake exactly like a bad signature.
"""

import asyncio

from aiohttp import web

from hub.instances import Instance
from hub.web.peer import peer_of
from hub.web.ports import Hub
from hub.web.site import HUB
from plugins import Reply, Request

READ_SECONDS = 30
KEPT_BACK = {"set-cookie", "content-security-policy", "content-length", "content-type", "connection", "date", "server"}
"""What a plugin can't set: sessions, policies and framing are the web server's."""


async def inbound(request: web.Request) -> web.Response:
    """Every method: providers verify with GET, HEAD and OPTIONS too."""
    response = await _answer(request)
    request.app[HUB].telemetry.answered(request.match_info["instance"], response.status)
    return response


async def _answer(request: web.Request) -> web.Response:
    hub = request.app[HUB]
    name = request.match_info["instance"]
    if hub.intake.full:
        return _plain(503, "later", {"Retry-After": "5"})
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        return _plain(415, "send the body without Content-Encoding", {"Accept-Encoding": "identity"})
    try:
        body = await _body(request, _limit(hub.instances.get(name)))
    except TimeoutError:
        return _closing(request, _plain(408, "too slow"))
    if body is None:
        return _closing(request, _plain(413, "too large"))
    given = described(hub, request, body)
    return _response(await hub.intake.accept(request.match_info["instance"], given, peer_of(request)))


def _limit(instance: Instance | None) -> int:
    """Nothing of a body is read for whom nobody listens."""
    capabilities = getattr(instance.connector, "capabilities", None) if instance else None
    return capabilities.max_body if capabilities else 0


async def _body(request: web.Request, limit: int) -> bytes | None:
    """The body as it was sent; None if it is larger than `limit`, found out before the rest is read."""
    if limit and (request.content_length or 0) > limit:
        return None
    read = bytearray()
    async with asyncio.timeout(READ_SECONDS):
        async for chunk in request.content.iter_any():
            if not limit:
                continue
            read += chunk
            if len(read) > limit:
                return None
    return bytes(read)


def described(hub: Hub, request: web.Request, body: bytes) -> Request:
    """The request as the contract has it."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.raw_headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("utf-8", "replace")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    path = request.raw_path if request.raw_path.startswith("/") else request.rel_url.raw_path_qs
    return Request(
        method=request.method,
        url=hub.config.public_url + path,
        tail=request.match_info.get("tail", ""),
        headers=headers,
        body=body,
        at=hub.clock.now(),
    )


def _response(reply: Reply) -> web.Response:
    response = web.Response(status=reply.status, body=reply.body)
    response.headers["Content-Type"] = reply.type
    for name, value in reply.headers:
        if name.lower() not in KEPT_BACK:
            response.headers.add(name, value)
    return response


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=text + "\n", headers=headers)


def _closing(request: web.Request, response: web.Response) -> web.Response:
    """The rest of the body is not waited for."""
    response.force_close()
    request.content.set_exception(ConnectionResetError())
    return response
