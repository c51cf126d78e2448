"""What marks leave on disk, over sockets and over polls, each of which is a connection of its own."""

import json
from datetime import datetime, timedelta

import pytest

from plugins.testing.window import SITE

MARKS = """SELECT state, redelivered, collision FROM envelopes WHERE facts LIKE '%"seen"%' ORDER BY id"""
NO_TIMES = ["x0", "", "2026-11-22", "2026-11-22T12:00:00", "1999-12-31T23:59:59+00:00", "[" * 40, 7, None]


class Visitor:
    """One conversation with a line of the visitor's and an answer; `over` says what each further frame goes through."""

    def __init__(self, desk, http, over):
        self.url, self.http, self.over = f"http://127.0.0.1:{desk.hub.port}/ws/help", http, over
        self.session, self.lines = "", []

    async def begin(self):
        (ready, *_) = await self.poll({"t": "hello"}, {"t": "msg", "cid": "abcdefgh", "text": "VPN down"})
        self.session = ready["session"]
        while len(self.lines) < 2:
            brought = await self.poll(self.hello())
            self.lines += [frame for frame in brought if frame["t"] == "line"]

    def hello(self):
        return {"t": "hello", "session": self.session, "poll": True, "after": len(self.lines)}

    async def poll(self, *frames):
        given = [json.dumps(frame) for frame in frames]
        async with self.http.post(self.url, json=given, headers={"Origin": SITE}) as answer:
            return [json.loads(each) for each in (await answer.json())["frames"]]

    async def say(self, frame):
        """In a connection of its own; returns what came back."""
        if self.over == "poll":
            return (await self.poll(self.hello(), frame))[0]
        async with self.http.ws_connect(self.url, headers={"Origin": SITE}) as socket:
            for each in (self.hello() | {"poll": False}, frame):
                await socket.send_str(json.dumps(each))
            assert (await socket.receive_json())["t"] == "ready"
            return await socket.receive_json()

    async def mark(self, at, state="read", **more):
        return await self.say({"t": "seen", "state": state, "seq": 2, "at": at, **more})


@pytest.fixture(params=["poll", "socket"])
async def visitor(request, desk, http):
    made = Visitor(desk, http, request.param)
    await made.begin()
    return made


async def rows(desk):
    await desk.settle()
    return [tuple(row) for row in await desk.rows(MARKS)]


async def test_marks_with_times_that_are_none_are_refused_and_leave_nothing(desk, visitor):
    for at in NO_TIMES:
        assert await visitor.mark(at) == {"t": "refused", "cid": "", "why": "unreadable"}
    assert await rows(desk) == []


async def test_line_is_marked_once_whatever_else_the_mark_says(desk, visitor):
    at = visitor.lines[1]["at"]
    other = [(datetime.fromisoformat(at) - timedelta(seconds=n)).isoformat() for n in range(4)]
    for n, each in enumerate([at, at, *other]):
        assert await visitor.mark(each, n=n) == {"t": "seen", "state": "read", "seq": 2}
    assert await rows(desk) == [("done", 5, False)]
    assert await desk.number("SELECT count(*) FROM items WHERE kind = 'receipt'") == 1


async def test_delivered_and_read_are_two_marks(desk, visitor):
    for state in ("delivered", "read", "delivered"):
        assert (await visitor.mark(visitor.lines[1]["at"], state))["state"] == state
    assert await rows(desk) == [("done", 1, False), ("done", 0, False)]
