"""Connections that ask for nothing: each holds a file, so each has its time (R10)."""

import asyncio
from contextlib import suppress

import pytest
from aiohttp import web

from hub.web.server import runner

HALF = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Some"
WHOLE = b"GET /static/nothing HTTP/1.1\r\nHost: x\r\n\r\n"
LONG, SHORT = 600.0, 0.3


async def serve(desk, **seconds):
    serving = runner(desk.app, **seconds)
    await serving.setup()
    await web.TCPSite(serving, "127.0.0.1", 0).start()
    return serving


@pytest.fixture
async def port(desk, request):
    serving = await serve(desk, **request.param)
    yield serving.addresses[0][1]
    await serving.cleanup()


async def closed(reader) -> bytes:
    """What came until the end; raises TimeoutError if there is none."""
    with suppress(ConnectionError):
        return await asyncio.wait_for(reader.read(), 20)
    return b""


FIRST = pytest.mark.parametrize("port", [{"first_head": SHORT, "idle": LONG}], indirect=True)
LATER = pytest.mark.parametrize("port", [{"first_head": LONG, "idle": SHORT}], indirect=True)


@FIRST
@pytest.mark.parametrize("sent", [b"", HALF])
async def test_a_connection_without_a_whole_head_is_closed(port, sent):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    assert await closed(reader) == b""
    writer.close()


@FIRST
async def test_a_head_that_drips_gets_no_more_time(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.create_task(closed(reader))
    writer.write(HALF)
    while not reading.done():
        writer.write(b"e")
        await asyncio.sleep(SHORT / 10)
    assert reading.result() == b""
    writer.close()


@FIRST
async def test_who_has_asked_once_keeps_its_connection(port):
    """The positive control: the silent one beside it is closed, it is answered again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(WHOLE)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404")
    silent, other = await asyncio.open_connection("127.0.0.1", port)
    assert await closed(silent) == b""
    writer.write(WHOLE.replace(b"Host: x", b"Host: x\r\nConnection: close"))
    assert b"HTTP/1.1 404" in await closed(reader)
    other.close()
    writer.close()


@LATER
@pytest.mark.parametrize("then", [b"", HALF])
async def test_an_idle_connection_is_closed_also_with_half_a_head(port, then):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(WHOLE + then)
    assert (await closed(reader)).count(b"HTTP/1.1") == 1
    writer.close()
