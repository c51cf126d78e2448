"""A visitor's window without its looks: the widget's side of the protocol, for tests, benches and the sample."""

import asyncio
import json
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import aiohttp

SITE = "https://www.acme.test"


class Window:
    """What a widget does, without its looks: keeps lines until they are acknowledged, and comes back where it was."""

    def __init__(self, http: aiohttp.ClientSession, url: Callable[[], str], **who: Any) -> None:
        """`who`: session, jwt or origin; `pause`: seconds after a lost connection, doubled at each further one."""
        self.http, self.url = http, url
        self.origin = who.pop("origin", SITE)
        self.pause = who.pop("pause", 0.03)
        self.who = {"session": None, **who}
        self.pending: dict[str, dict[str, Any]] = {}
        self.acks: dict[str, str] = {}
        self.lines: list[dict[str, Any]] = []
        self.passing: list[dict[str, Any]] = []
        self.codes: list[int | None] = []
        self.gaps = self.connections = self.failures = 0
        self.last = 0
        self.ready = asyncio.Event()
        self.socket: aiohttp.ClientWebSocketResponse | None = None
        self._n = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        await asyncio.wait_for(self.ready.wait(), 30)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def say(self, text: str, **more: Any) -> str:
        """A line, kept until it is acknowledged; returns its `cid`."""
        self._n += 1
        cid = f"{id(self):x}-{self._n:06}"
        self.pending[cid] = {"t": "msg", "cid": cid, "text": text, **more}
        await self.send(self.pending[cid])
        return cid

    async def send(self, frame: dict[str, Any]) -> None:
        """If there is a connection now."""
        if self.socket is not None and self.ready.is_set():
            with suppress(ConnectionError, RuntimeError):
                await self.socket.send_str(json.dumps(frame))

    def cut(self) -> None:
        """The network is gone, in the middle of whatever goes on."""
        socket = self.socket
        if socket is not None and socket._response.connection is not None:  # noqa: SLF001  # aiohttp has no name for it
            self.ready.clear()
            transport = socket._response.connection.transport  # noqa: SLF001
            assert transport is not None
            transport.abort()

    async def texts(self, n: int, seconds: float = 60) -> list[str]:
        """As soon as there are so many lines."""
        async with asyncio.timeout(seconds):
            while len(self.lines) < n:  # noqa: ASYNC110  # frames come from outside
                await asyncio.sleep(0.01)
        return [line["text"] for line in self.lines]

    async def _run(self) -> None:
        while True:
            with suppress(aiohttp.ClientError, ConnectionError, asyncio.TimeoutError):
                await self._connect()
            self.ready.clear()
            await asyncio.sleep(min(30, self.pause * 2**self.failures) * random.uniform(0.5, 1))  # noqa: S311  # spreads load
            self.failures += 1

    async def _connect(self) -> None:
        async with self.http.ws_connect(self.url(), headers={"Origin": self.origin}) as socket:
            self.socket = socket
            self.connections += 1
            await socket.send_str(json.dumps({"t": "hello", "v": 1, "after": self.last, **self.who}))
            async for said in socket:
                await self.took(json.loads(said.data))
            self.codes.append(socket.close_code)

    async def took(self, frame: dict[str, Any]) -> None:
        """A frame of the hub."""
        if frame["t"] == "ready":
            self.who["session"] = frame["session"] or self.who["session"]
            self.last = min(self.last, frame["seq"])
            self.ready.set()
            self.failures = 0
            for one in list(self.pending.values()):
                await self.send(one)
        elif frame["t"] == "ack":
            self.pending.pop(frame["cid"], None)
            self.acks[frame["cid"]] = frame["id"]
        elif frame["t"] == "line":
            self.gaps += frame["seq"] != self.last + 1
            self.last = frame["seq"]
            self.lines.append(frame)
        else:
            self.passing.append(frame)
