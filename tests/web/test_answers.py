"""Large answers while they are taken: bounded for everybody and for each peer, whole, and not for ever (R10)."""

import asyncio
import os
import socket as sockets
from contextlib import suppress
from hashlib import sha256

import pytest
from aiohttp import web
from sqlalchemy import insert, update

from context_store import tables as t
from hub.settings import Limits
from hub.web.answers import ANSWERS, PIECE
from hub.web.server import runner

MIB = 1 << 20
LARGE = bytes(range(256)) * (20 * MIB // 256)
LONG, SHORT = 600.0, 1.0


@pytest.fixture
async def file(desk) -> str:
    """The address of an attachment of 20 MiB."""
    sha = await asyncio.to_thread(desk.blobs.stow, LARGE)
    message = desk.ids["first"]

    def fill(conn):
        conn.execute(insert(t.blobs).values(sha256=sha, size=len(LARGE), refs=1, data=None, created_at=0))
        values = {"name": "large.bin", "type": "application/x-large", "size": len(LARGE), "sha256": sha}
        conn.execute(insert(t.attachments).values(message_id=message, n=9, **values))

    await desk.store.write(fill)
    return f"/console/messages/{message}/attachments/9"


@pytest.fixture
async def text(desk) -> str:
    """The address of a text of 6 million letters."""
    of = t.messages.c.id == desk.ids["first"]
    await desk.store.write(lambda conn: conn.execute(update(t.messages).where(of).values(text="x" * 6 * MIB)))
    return f"/console/messages/{desk.ids['first']}/text"


@pytest.fixture
async def asked(desk):
    """Ask for a path as an agent, and read nothing of the answer."""
    opened = []

    async def ask(path: str, port: int | None = None, more: str = "Connection: close\r\n"):
        sock = sockets.socket()
        sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 8192)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port or int(desk.url.rsplit(":", 1)[1])))
        cookie = f"Cookie: trunkline={await desk.session('viewer')}"
        sock.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}{cookie}\r\n\r\n".encode())
        opened.append(sock)
        return sock

    yield ask
    for sock in opened:
        sock.close()


async def until(what) -> None:
    async with asyncio.timeout(30):
        while not what():  # noqa: ASYNC110  # what is counted tells nobody
            await asyncio.sleep(0.01)


async def read(sock) -> bytes:
    """All that comes until the end."""
    loop, come = asyncio.get_running_loop(), b""
    with suppress(ConnectionError):
        while more := await asyncio.wait_for(loop.sock_recv(sock, MIB), 30):
            come += more
    return come


async def test_a_large_file_comes_whole(client, file):
    browser = await client("viewer")
    answer = await browser.get(file)
    assert (answer.content_length, await answer.read() == LARGE) == (len(LARGE), True)
    assert answer.headers["Content-Type"] == "application/octet-stream"


async def test_of_a_large_file_only_pieces_are_held(desk, file, asked):
    sock = await asked(file)
    await until(lambda: desk.app[ANSWERS].held == (2 * PIECE, 1))
    sock.close()
    await until(lambda: desk.app[ANSWERS].held == (0, 0))


async def test_a_changed_file_is_not_sent(client, desk, file):
    desk.blobs.path(sha256(LARGE).digest()).write_bytes(LARGE[:-1] + b"x")
    assert (await (await client("viewer")).get(file)).status == 500


async def test_a_file_that_ends_too_soon_ends_its_connection(desk, file, asked):
    """Its length is said already: whatever came behind would be taken for the rest of it."""
    sock = await asked(file, more="")
    await until(lambda: desk.app[ANSWERS].held[1] == 1)
    os.truncate(desk.blobs.path(sha256(LARGE).digest()), 10 * MIB)
    come = await read(sock)
    assert (come.count(b"HTTP/1.1 "), len(come) < len(LARGE)) == (1, True)
    await until(lambda: desk.app[ANSWERS].held == (0, 0))


async def test_a_large_page_comes_whole(client, text):
    assert await (await (await client("viewer")).get(text)).text() == "x" * 6 * MIB


async def test_large_pages_that_nobody_takes_are_bounded(desk, text, asked):
    desk.app[ANSWERS].__init__(Limits(waiting_bytes=40 * MIB), 1)
    for _ in range(3):
        await asked(text)
    await until(lambda: desk.app[ANSWERS].held == (18 * MIB, 3))
    assert (await read(await asked(text))).startswith(b"HTTP/1.1 429")
    assert desk.app[ANSWERS].held == (18 * MIB, 3)


async def test_without_the_room_all_of_them_would_be_held(desk, text, asked):
    """The control."""
    desk.app[ANSWERS].__init__(Limits(waiting_bytes=1 << 40), 1)
    for _ in range(8):
        await asked(text)
    await until(lambda: desk.app[ANSWERS].held == (48 * MIB, 8))


async def port_of(desk, takes: float) -> tuple[web.AppRunner, int]:
    serving = runner(desk.app, takes=takes)
    await serving.setup()
    await web.TCPSite(serving, "127.0.0.1", 0).start()
    return serving, serving.addresses[0][1]


async def test_who_takes_nothing_is_cut(desk, file, text, asked):
    """The positive control stands beside it: with more time both are still there."""
    (strict, soon), (patient, late) = await port_of(desk, SHORT), await port_of(desk, LONG)
    left = []
    for path in (file, text):
        await asked(path, soon)
        left.append(await asked(path, late))
    await until(lambda: desk.app[ANSWERS].held[1] == 4)
    await until(lambda: desk.app[ANSWERS].held[1] == 2)
    await asyncio.sleep(2 * SHORT)
    assert desk.app[ANSWERS].held[1] == 2
    for sock in left:
        sock.close()
    await strict.cleanup()
    await patient.cleanup()
