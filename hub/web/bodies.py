"""Request bodies, counted before and while they are read (R10): the one way in which a body gets into memory.

A body that announces its length is counted whole at once, a chunked one piece by piece; the count ends when its request
is answered. What does not fit is refused unread: 429 where the sender's own share is used up, 503 where the hub's is.
"""

import asyncio
from collections import Counter

from aiohttp import web

from hub.settings import Limits
from hub.web.peer import peer_of

READ_SECONDS = 30.0
SMALL = 256 << 10
"""Bytes. The last quarter of the room is for bodies up to here, so that slow uploads keep no webhook out."""
TIMES = 2
"""`limits.waiting_bytes` may be read while as much again waits for the disk; one peer may use half of that."""
AFTER = {"Retry-After": "5"}


class Bodies:
    """How much is being read, or sent (`answers`), in bytes and bodies, of everybody and of each peer."""

    def __init__(self, limits: Limits, times: int = TIMES) -> None:
        """`limits.waiting` bodies and `times` `limits.waiting_bytes`; a peer has half of each."""
        self._bytes, self._most = times * limits.waiting_bytes, limits.waiting
        self.seconds = READ_SECONDS
        self._held: Counter[str] = Counter()
        self._count: Counter[str] = Counter()
        self._all_held = self._all = 0

    @property
    def held(self) -> tuple[int, int]:
        """(bytes, bodies) that are being read."""
        return self._all_held, self._all

    def enter(self, peer: str) -> None:
        """One more body. Raises HTTPTooManyRequests or HTTPServiceUnavailable."""
        if self._count[peer] >= (self._most + 1) // 2:
            raise _too_many()
        if self._all >= self._most:
            raise _later()
        self._count[peer] += 1
        self._all += 1

    def grow(self, peer: str, more: int, size: int) -> None:
        """`more` bytes of a body that is `size` so far; raises as `enter`.

        The only body there is always fits: one that is larger than the whole room would be told "later" for ever.
        """
        mine = self._held[peer]
        room = self._bytes if size <= SMALL else self._bytes * 3 // 4
        if mine + more > self._bytes // 2 and self._count[peer] > 1:
            raise _too_many()
        if self._all_held + more > room and self._all > 1:
            raise _later()
        self._held[peer] += more
        self._all_held += more

    def leave(self, peer: str, size: int) -> None:
        """It is answered: its `size` bytes are free again."""
        self._all_held -= size
        self._all -= 1
        for counter, n in ((self._held, size), (self._count, 1)):
            counter[peer] -= n
            if not counter[peer]:
                del counter[peer]


BODIES = web.AppKey("bodies", Bodies)


class Reading:
    """The body as it was sent, counted until the block ends; `limit` 0: read, and nothing of it kept.

    `begin`: no more than its first `limit` bytes, however long it is.

    Entering raises HTTPRequestEntityTooLarge (found out before the rest is read), HTTPRequestTimeout,
    HTTPTooManyRequests and HTTPServiceUnavailable.
    """

    __slots__ = ("_begin", "_bodies", "_counted", "_limit", "_peer", "_request")

    def __init__(self, bodies: Bodies, peer: str, request: web.BaseRequest, limit: int, *, begin: bool = False) -> None:
        """Counts nothing yet."""
        self._bodies, self._peer, self._request, self._limit = bodies, peer, request, limit
        self._begin = begin
        self._counted = 0

    async def __aenter__(self) -> bytes:
        announced = (self._request.content_length or 0) if self._limit else 0
        if self._begin:
            announced = min(announced, self._limit)
        if announced > self._limit:
            raise _too_large(self._limit, announced)
        self._bodies.enter(self._peer)
        try:
            if announced:
                self._grow(announced, announced)
                if self._request.content.is_eof() and not self._begin:  # it came with its head, as most webhooks do
                    return self._request.content.read_nowait()
            return await self._read()
        except BaseException:
            self._bodies.leave(self._peer, self._counted)
            raise

    async def __aexit__(self, *_: object) -> None:
        self._bodies.leave(self._peer, self._counted)

    async def _read(self) -> bytes:
        read = bytearray()
        try:
            async with asyncio.timeout(self._bodies.seconds):
                async for chunk in self._request.content.iter_any():
                    if not self._limit:
                        continue
                    size = len(read) + len(chunk)
                    if size > self._limit:
                        if self._begin:
                            return bytes(read + chunk[: self._limit - len(read)])
                        raise _too_large(self._limit, size)
                    if size > self._counted:
                        self._grow(size - self._counted, size)
                    read += chunk
        except TimeoutError:
            raise web.HTTPRequestTimeout(
                text="The request took too long to come. Try again, with less at once."
            ) from None
        return bytes(read)

    def _grow(self, more: int, size: int) -> None:
        self._bodies.grow(self._peer, more, size)
        self._counted += more


def body(request: web.Request, limit: int, *, begin: bool = False) -> Reading:
    """The body of a request that a page or a connector's socket gets."""
    return Reading(request.app[BODIES], peer_of(request), request, limit, begin=begin)


def _too_large(limit: int, size: int) -> web.HTTPException:
    said = f"This is too large: at most {limit / (1 << 20):.0f} MiB are taken, attachments included."
    return web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=size, text=said)


def _too_many() -> web.HTTPException:
    return web.HTTPTooManyRequests(text="Too much is under way for your address. Try again in a moment.", headers=AFTER)


def _later() -> web.HTTPException:
    return web.HTTPServiceUnavailable(text="Too much is under way just now. Try again in a moment.", headers=AFTER)
