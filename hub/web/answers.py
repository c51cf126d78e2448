"""Large answers, counted while they are sent (R10): who takes one slowly holds memory of ours, a stranger too.

What lies in the folder of large files is read and sent piece by piece. Any other answer beyond `SMALL` is counted
whole until it is taken, in a room as that of bodies, of which one peer has half; what does not fit is refused with 429
or 503. Who takes nothing at all is cut by the kernel (`protocol.TAKES`).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import structlog
from aiohttp import web

from hub.web.bodies import SMALL, Bodies
from hub.web.guard import Handler
from hub.web.peer import peer_of
from hub.web.site import HUB

log = structlog.get_logger("trunkline.web")

ANSWERS = web.AppKey("answers", Bodies)
PIECE = 256 << 10
"""Bytes of a file that are read at a time; as many more wait in the connection."""
PATIENCE, SLOWEST = 60, 16 << 10
"""Seconds, and bytes a second beyond them, in which an answer is taken; then its connection is cut."""


@web.middleware
async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Send what is large while it is counted."""
    response = await handler(request)
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes) or len(response.body) <= SMALL:
        return response
    size = len(response.body)
    response.body = BytesIO(response.body)  # sent in pieces: the connection would keep the whole once more
    async with _sending(request, size, size):
        await response.prepare(request)
        await response.write_eof()
    return response


async def stored(request: web.Request, sha: bytes, headers: Mapping[str, str]) -> web.StreamResponse:
    """The bytes of that hash as an answer; raises DamagedBlob."""
    hub = request.app[HUB]
    found = await hub.store.read(hub.blobs.locate, sha)
    if isinstance(found, bytes):
        return web.Response(body=found, headers=headers)
    size = found.stat().st_size
    answer = web.StreamResponse(headers=headers)
    answer.content_length = size
    async with _sending(request, 2 * PIECE, size):
        await answer.prepare(request)
        try:
            if request.method != "HEAD":
                await _pour(found, size, answer)
        except OSError:  # half of it is out: an answer in words would be taken for the rest of the file
            if request.transport is not None:
                request.transport.abort()
            raise
        await answer.write_eof()
    return answer


async def _pour(path: Path, size: int, answer: web.StreamResponse) -> None:
    """Raises OSError, too, where the file has become shorter."""
    with await asyncio.to_thread(path.open, "rb") as file:
        while size:
            piece = await asyncio.to_thread(file.read, min(PIECE, size))
            if not piece:
                raise OSError(f"{path} ends too soon")
            await answer.write(piece)
            size -= len(piece)


@asynccontextmanager
async def _sending(request: web.Request, held: int, size: int) -> AsyncIterator[None]:
    """`held` bytes of memory while `size` are sent; raises as `Bodies`."""
    answers, peer = request.app[ANSWERS], peer_of(request)
    answers.enter(peer)
    try:
        answers.grow(peer, held, held)
    except BaseException:
        answers.leave(peer, 0)
        raise
    try:
        async with asyncio.timeout(PATIENCE + size / SLOWEST):
            yield
    except TimeoutError:
        log.info("web.taken_too_slowly", peer=peer, size=size)
        if request.transport is not None:
            request.transport.abort()
    finally:
        answers.leave(peer, held)
