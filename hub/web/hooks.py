"""The short way of a plain webhook, past the router, the middlewares and the making of headers.

Three quarters of what aiohttp spends on a webhook goes into what only pages need. So a program's request to an
instance that exists goes straight to `inbound.reply_to`, and the acknowledgement, the same each time, is sent as bytes
that stand ready. Every other request goes the long way, through the application; refusals are the same on both.
"""

import re
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11

from hub.web.bodies import BODIES
from hub.web.inbound import plain_response, reply_to
from hub.web.refusals import in_words
from hub.web.site import HUB, for_people, headers_of
from plugins import Clock, Reply

_PLAIN = re.compile(r"/in/([\w-]+)(?:/([\w/-]*))?", re.ASCII)
"""Paths that say the same decoded and as they are."""


class ShortWay:
    """Handles requests for the server, or hands them to `long`."""

    def __init__(self, app: web.Application, long: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        """`app` must have its hub and its bodies."""
        self._hub, self._bodies, self._long = app[HUB], app[BODIES], long
        self._headers = headers_of(self._hub.config.public_url)
        found = self._hub.instances.values()
        self._instances = {each.id: each for each in found if each.has("webhook") and not each.has("site")}
        self._ready: dict[str, _Ready] = {}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        assert isinstance(request, web.Request)
        found = _PLAIN.fullmatch(request.raw_path)
        instance = self._instances.get(found[1]) if found else None
        if found is None or instance is None or not _plain(request):
            return await self._long(request)
        try:
            reply = await reply_to(self._hub, self._bodies, request, found[1], found[2] or "")
        except Exception as error:  # noqa: BLE001  # the last edge
            return self._dressed(in_words(request, error))
        if reply is instance.connector.accepted and not reply.headers:
            return self._acknowledgement(instance.id, reply)
        return self._dressed(plain_response(reply))

    def _dressed(self, response: web.StreamResponse) -> web.StreamResponse:
        for name, value in self._headers.items():
            response.headers.setdefault(name, value)
        return response

    def _acknowledgement(self, instance: str, reply: Reply) -> web.StreamResponse:
        ready = self._ready.get(instance)
        if ready is None or ready.reply is not reply:
            ready = self._ready[instance] = _Ready(reply, self._headers, self._hub.clock)
        return ready


def _plain(request: web.Request) -> bool:
    return (
        request.method == hdrs.METH_POST
        and request.version == HttpVersion11
        and request.keep_alive
        and hdrs.EXPECT not in request.headers
        and not for_people(request)
    )


class _Ready(web.StreamResponse):
    """An answer whose bytes stand ready but for the date, for any number of requests on connections that stay."""

    keep_alive = True

    def __init__(self, reply: Reply, headers: dict[str, str], clock: Clock) -> None:
        plain = web.Response(status=reply.status, body=reply.body)
        super().__init__(status=plain.status, reason=plain.reason)
        named = {**headers, "Content-Type": reply.type, "Content-Length": str(len(reply.body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        self.reply, self._clock = reply, clock
        self._begin = f"HTTP/1.1 {plain.status} {plain.reason}\r\n{lines}Date: ".encode("latin-1")
        self._second, self._whole = 0, b""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send it."""
        second = int(self._clock.now().timestamp())
        if second != self._second:
            self._second = second
            self._whole = self._begin + formatdate(second, usegmt=True).encode() + b"\r\n\r\n" + self.reply.body
        await request.writer.write(self._whole)
        await request.writer.drain()  # one who sends on and reads no answers waits

    async def write_eof(self, data: bytes = b"") -> None:
        """It is sent already."""
