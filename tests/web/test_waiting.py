"""What sockets hold in memory is counted and bounded, whoever sends what and never ends it."""

import asyncio
import os
import struct
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.app import build
from hub.config import load_config
from hub.web.plugged import HELD
from hub.web.waiting import FREE, Held, Waiting
from tests.servers import room
from tests.web.test_plugged import CONFIG, PLUGIN

MOST = 400_000
"""Bytes for all sockets; one address has half."""
BUSY = """if line == "busy":
                while True:
                    await asyncio.sleep(0.02)
                    await link.send("")
            if line == "bug":"""


def frame(payload, opcode=1, *, last=True, masked=True):
    size = len(payload)
    short = min(size, 126 if size < 1 << 16 else 127) if size > 125 else size
    head = bytes([opcode | (0x80 if last else 0), short | (0x80 if masked else 0)])
    extended = size.to_bytes({126: 2, 127: 8}[short]) if short > 125 else b""
    return head + extended + (b"\0\0\0\0" if masked else b"") + payload


@pytest.fixture
async def hub():
    """A hub whose plugin reads no more after "busy", until the peer has gone."""
    with room("waiting") as folder:
        (folder / "own").mkdir()
        (folder / "own" / "echo.py").write_text("import asyncio\n" + PLUGIN.replace('if line == "bug":', BUSY))
        limits = f"[hub.limits]\nwaiting_bytes = {MOST}\n"
        (folder / "plugins.toml").write_text(CONFIG.replace("[plugins]", limits + "[plugins]"))
        (folder / "rules.toml").write_bytes((Path(__file__).parents[2] / "rules.toml").read_bytes())
        hub = build(load_config(folder / "plugins.toml", {}))
        await hub.start()
        yield hub
        await hub.drain()
        await hub.stop()


@pytest.fixture
async def peers():
    """Connections that are closed afterwards."""
    all_ = []
    yield all_
    for peer in all_:
        peer.writer.transport.abort()
    await asyncio.sleep(0)


class Peer:
    """A client that keeps no rule."""

    @classmethod
    async def at(cls, hub, peers):
        peer = cls()
        peers.append(peer)
        peer.reader, peer.writer = await asyncio.open_connection("127.0.0.1", hub.port)
        peer.writer.write(
            b"GET /ws/line HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert b" 101 " in await peer.reader.readuntil(b"\r\n\r\n")
        return peer

    async def ended(self):
        """What still came, when the connection ends."""
        try:
            return await asyncio.wait_for(self.reader.read(), 10)
        except ConnectionError:
            return b""

    async def says(self, payload):
        """It is answered."""
        self.writer.write(frame(payload))
        assert (await self.reader.readexactly(2))[0] == 0x81
        assert (await self.reader.readexactly(len(payload) + 1)) == b":" + payload


async def held(hub, enough):
    async with asyncio.timeout(10):
        while not enough(hub._runners[0].app[HELD].total):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return hub._runners[0].app[HELD].total


async def test_message_beyond_64_kib_ends_its_connection(hub, peers):
    """The cap that the chat documents, before the bytes are there."""
    peer = await Peer.at(hub, peers)
    peer.writer.write(frame(b"a" * 70_000)[:20])
    assert await peer.ended() == b"\x88\x02" + struct.pack(">H", aiohttp.WSCloseCode.MESSAGE_TOO_BIG)


async def flooded(hub, peers, *pieces):
    many = [await Peer.at(hub, peers) for _ in range(12)]
    for peer in many:
        peer.writer.write(b"".join(pieces))
    ended = [asyncio.create_task(peer.ended()) for peer in many]
    await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
    total = await held(hub, lambda total: total > MOST // 4)
    assert total <= MOST // 2
    await (await Peer.at(hub, peers)).says(b"short lines still pass")
    for peer in many:
        peer.writer.close()
    await asyncio.gather(*ended)
    assert await held(hub, lambda total: total == 0) == 0


async def test_unfinished_messages_of_one_address_have_half_of_the_room(hub, peers):
    await flooded(hub, peers, frame(b"a" * 60_000, last=False))


async def test_unfinished_frames_behind_control_frames_count_too(hub, peers):
    await flooded(hub, peers, frame(b"a" * 50_000, last=False), *[frame(b"", 10)] * 100, frame(b"b" * 9000, 0)[:-1])


async def test_whole_frames_that_nobody_takes_count_too(hub, peers):
    await flooded(hub, peers, frame(b"busy"), *[frame(b"a")] * 250)


async def test_message_that_is_not_whole_in_time_ends_its_connection(hub, peers):
    hub._runners[0].app[HELD].seconds = 0.05
    whole, half = await Peer.at(hub, peers), await Peer.at(hub, peers)
    half.writer.write(frame(b"half", last=False) + frame(b"", 10))
    assert await half.ended() == b""
    await whole.says(b"whole")


async def test_pings_are_answered(hub, peers):
    peer = await Peer.at(hub, peers)
    peer.writer.write(frame(b"there?", 9))
    assert await peer.reader.readexactly(8) == b"\x8a\x06there?"


class Everything:
    """A parser that takes all."""

    def feed_data(self, data):
        return False, b""

    def feed_eof(self):
        pass


SIZES = st.sampled_from([0, 1, 125, 126, 127, 700, 66_000])
messages = st.lists(st.tuples(SIZES, st.integers(1, 4), st.booleans(), st.booleans()), max_size=6)


@given(messages, st.lists(st.integers(1, 5000), min_size=1, max_size=40))
def test_whatever_is_taken_is_free_again(sizes, steps):
    """Each message in parts with a control frame between, in pieces of any size."""

    async def run():
        held = Held(1 << 30)
        waiting = Waiting(held, "ann", pytest.fail)
        waiting.parser = Everything()
        data, units = b"", 0
        for size, parts, masked, control in sizes:
            for part in range(parts):
                payload = os.urandom(size // parts)
                data += frame(payload, 0 if part else 1, last=part == parts - 1, masked=masked)
                data += frame(b"x" * (size % 126), 9, masked=masked) * control
            units += 1 + parts * control
        peak = 0
        for step in [*steps, len(data)]:
            if data:
                waiting.feed_data(data[:step])
            data = data[step:]
            peak = max(peak, held.total)
        assert peak >= sum(size - size % parts for size, parts, *_ in sizes) - FREE
        for _ in range(units):
            waiting.taken()
        assert (held.total, waiting._bytes) == (0, 0)
        waiting.leave()

    asyncio.run(run())


def test_what_is_left_is_free_again():
    async def run():
        held = Held(100_000)
        cut = []
        for peer in ("ann", "bob"):
            waiting = Waiting(held, peer, lambda peer=peer: cut.append(peer))
            waiting.parser = Everything()
            for number in range(30):
                waiting.feed_data(frame(b"a" * 3000, 0 if number else 1, last=False))
            assert held.total <= 50_000
            waiting.leave()
        assert (held.total, cut) == (0, ["ann", "bob"])

    asyncio.run(run())
