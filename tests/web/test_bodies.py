"""Bodies that are being read: bounded for everybody and for each peer, in bytes and in number (R10)."""

import asyncio
import contextlib
import re
import socket as sockets
import struct
from io import BytesIO

import pytest
from aiohttp import web

from hub.settings import Limits
from hub.web.bodies import BODIES, SMALL, Bodies

MIB = 1 << 20


def status_of(answer: bytes) -> int:
    return int(re.match(rb"HTTP/1.[01] (\d+)", answer)[1])


class Unfinished:
    """A connection that has sent a head and a part of a body."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def answer(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@pytest.fixture
async def unfinished(desk):
    opened = []

    async def begin(length: int | None, sent: bytes = b"", path: str = "/in/portal/", more: str = "") -> Unfinished:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(desk.url.rsplit(":", 1)[1]))
        size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\n{more}{size}\r\n\r\n".encode() + sent)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        opened.append(Unfinished(reader, writer))
        return opened[-1]

    yield begin
    for one in opened:
        await one.close()


async def until(what) -> None:
    for _ in range(1000):
        if what():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


async def test_unfinished_bodies_are_bounded_and_when_they_go_all_is_well(desk, client, unfinished):
    bodies = desk.app[BODIES]
    first = await unfinished(25 * MIB, b"x" * MIB)
    second = await unfinished(25 * MIB, b"x" * MIB)
    await until(lambda: bodies.held == (50 * MIB, 2))
    refused = [await unfinished(25 * MIB, b"x" * MIB) for _ in range(38)]
    answers = [await one.answer() for one in refused]
    assert {status_of(answer) for answer in answers} == {429}
    assert all(b"Retry-After: 5" in answer for answer in answers)
    assert bodies.held == (50 * MIB, 2)
    assert (await (await client()).post("/in/hooks/", data=b"{}")).status == 401  # a small one finds room
    await first.close()
    await second.close()
    await until(lambda: bodies.held == (0, 0))
    form = {"submission": "x" * 20, "message": "hello", "attachments": BytesIO(b"x" * 20 * MIB)}
    whole = await (await client()).post("/in/portal/", data=form)
    assert whole.status == 202
    assert len(desk.intake.seen[-1].body) > 20 * MIB


async def test_without_the_count_all_of_them_would_be_read(desk, unfinished):
    """The control: with room for all of them nobody is refused."""
    desk.app[BODIES].__init__(Limits(waiting_bytes=1 << 40))
    for _ in range(8):
        await unfinished(25 * MIB, b"x")
    await until(lambda: desk.app[BODIES].held == (200 * MIB, 8))


async def test_a_chunked_body_is_refused_when_the_room_is_used_up(desk, unfinished):
    for _ in range(2):
        await unfinished(25 * MIB, b"x")
    await until(lambda: desk.app[BODIES].held[1] == 2)
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    third = await unfinished(None, chunk * 240)
    assert status_of(await third.answer()) == 429


async def test_console_forms_are_counted_like_webhooks(desk, client, unfinished):
    desk.app[BODIES].__init__(Limits(waiting=2))
    form = "Content-Type: application/x-www-form-urlencoded\r\nSec-Fetch-Site: same-origin\r\n"
    await unfinished(100, b"login=", "/console/login", form)
    await until(lambda: desk.app[BODIES].held == (100, 1))
    assert status_of(await (await unfinished(100, b"login=", "/console/login", form)).answer()) == 429


async def test_a_peer_past_its_rate_is_refused_before_its_body_comes(desk, unfinished):
    desk.intake.many = True
    assert status_of(await (await unfinished(25 * MIB)).answer()) == 429
    assert desk.intake.seen == []


async def test_nobody_waits_for_a_body_for_ever(desk, unfinished, capfd):
    desk.app[BODIES].seconds = 0.05
    assert status_of(await (await unfinished(100, b"x")).answer()) == 408
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_a_large_form_gets_its_413_as_a_page_though_it_sends_on(desk, capfd):
    """The whole body is sent before the answer is read, as browsers do; 9 MiB stand in no socket's buffer."""
    limit = desk.instances["portal"].connector.capabilities.max_body
    reader, writer = await asyncio.open_connection("127.0.0.1", int(desk.url.rsplit(":", 1)[1]))
    head = f"POST /in/portal/ HTTP/1.1\r\nHost: x\r\nAccept: text/html,*/*\r\nContent-Length: {limit + 9 * MIB}\r\n\r\n"
    writer.write(head.encode() + b"x" * (limit + 9 * MIB))
    await writer.drain()
    answer = await reader.read()
    writer.close()
    assert status_of(answer) == 413
    assert b"<h1>Sorry</h1>" in answer
    assert b"at most 25 MiB" in answer
    assert b"Content-Security-Policy" in answer
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_a_client_that_breaks_off_leaves_no_trace_and_no_count(desk, unfinished, capfd):
    one = await unfinished(100, b"x")
    await until(lambda: desk.app[BODIES].held == (100, 1))
    sock = one.writer.get_extra_info("socket")
    sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    one.writer.transport.abort()
    await until(lambda: desk.app[BODIES].held == (0, 0))
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_broken_http_is_answered_with_our_headers_and_one_line_in_the_log(desk, capfd):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(desk.url.rsplit(":", 1)[1]))
    writer.write(b"GET / HTTP/1.1\r\nHost : <script>\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert status_of(answer) == 400
    assert b"Server: trunkline\r\n" in answer
    assert b"X-Content-Type-Options: nosniff" in answer
    assert b"script>" not in answer
    assert "Traceback" not in "".join(capfd.readouterr())


# ---- the count itself ---------------------------------------------------------------------------------------


@pytest.fixture
def room() -> Bodies:
    return Bodies(Limits(waiting_bytes=20 * MIB, waiting=8))


def take(room: Bodies, peer: str, size: int) -> None:
    room.enter(peer)
    room.grow(peer, size, size)


def test_one_peer_gets_half_of_the_room(room):
    take(room, "a", 15 * MIB)
    room.enter("a")
    with pytest.raises(web.HTTPTooManyRequests):
        room.grow("a", 6 * MIB, 6 * MIB)
    take(room, "b", 15 * MIB)


def test_the_last_quarter_is_for_small_bodies(room):
    take(room, "a", 15 * MIB)
    take(room, "b", 15 * MIB)
    room.enter("c")
    with pytest.raises(web.HTTPServiceUnavailable):
        room.grow("c", MIB, MIB)
    room.grow("c", SMALL, SMALL)


def test_the_only_body_fits_however_small_the_room(room):
    take(room, "a", 100 * MIB)


def test_bodies_are_counted_too(room):
    for _ in range(4):
        room.enter("a")
    with pytest.raises(web.HTTPTooManyRequests):
        room.enter("a")
    for peer in "bcde":
        room.enter(peer)
    with pytest.raises(web.HTTPServiceUnavailable):
        room.enter("f")


def test_nothing_is_kept_of_a_peer_that_has_gone(room):
    take(room, "a", 5)
    room.leave("a", 5)
    assert room.held == (0, 0)
