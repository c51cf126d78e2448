"""A WebSocket that a runner dials goes out under the same guard as any call."""

import pytest
from aiohttp import WSMsgType, web

from hub.dialled import Dialled
from plugins import Call, Refuse, Retry, Secret
from tests.hub.far_side import FarSide, answer, client

LOCAL = "127.0.0.0/8"


def to(url: str, **headers: object) -> Call:
    return Call(method="GET", url=Secret(url), headers=headers)


async def talk(request: web.Request) -> web.WebSocketResponse:
    """Ping, echo in capitals, end at the word `bye`."""
    link = web.WebSocketResponse(autoping=False)
    await link.prepare(request)
    await link.ping()
    async for frame in link:
        if frame.type is WSMsgType.PONG:
            await link.send_str("ponged")
        elif frame.data == "bye":
            await link.send_bytes(b"\x00") if request.query else await link.close()
        elif frame.type is WSMsgType.TEXT:
            await link.send_str(frame.data.upper())
    return link


@pytest.fixture
async def port(aiohttp_server) -> int:
    app = web.Application()
    app.router.add_get("/", talk)
    return (await aiohttp_server(app)).port


async def test_frames_go_both_ways_and_pings_are_signs_of_life(port: int):
    alive: list[int] = []
    async with client(LOCAL) as egress:
        link = Dialled(await egress.dial(to(f"ws://127.0.0.1:{port}/")), lambda: alive.append(1))
        assert await link.receive() == "ponged"
        await link.send("hello")
        assert await link.receive() == "HELLO"
        assert len(alive) == 3
        await link.send("bye")
        assert await link.receive() is None
        with pytest.raises(ConnectionError):
            await link.send("too late")
        await link.close(1000)


async def test_binary_frame_ends_it(port: int):
    async with client(LOCAL) as egress:
        link = Dialled(await egress.dial(to(f"ws://127.0.0.1:{port}/?binary=1")), lambda: None)
        await link.receive()
        await link.send("bye")
        assert await link.receive() is None
        await link.close(1000)


@pytest.mark.parametrize("place", ["ws://127.0.0.1", "wss://127.0.0.1", "ws://localhost"])
async def test_private_address_is_refused(port: int, place: str):
    async with client() as egress:
        with pytest.raises(Refuse, match="egress_refused"):
            await egress.dial(to(f"{place}:{port}/"))


async def test_redirect_is_not_followed():
    async with FarSide(answer()) as inside:
        async with FarSide(answer(302, b"", f"Location: {inside.url}")) as far, client(LOCAL) as egress:
            with pytest.raises(Refuse, match="redirect"):
                await egress.dial(to(far.url.replace("http", "ws")))
        assert inside.requests == []


async def test_other_answer_than_a_websocket_comes_again_without_showing_the_ticket():
    async with FarSide(answer(403, b"no")) as far, client(LOCAL) as egress:
        with pytest.raises(Retry) as caught:
            await egress.dial(to(far.url.replace("http", "ws") + "?ticket=s3cret"))
        assert "s3cret" not in str(caught.value)


async def test_nobody_there_comes_again():
    async with client(LOCAL) as egress:
        with pytest.raises(Retry):
            await egress.dial(to("ws://127.0.0.1:1/"))
        await egress.close()
        with pytest.raises(Retry, match="stopping"):
            await egress.dial(to("ws://127.0.0.1:1/"))
