"""A far side that says byte for byte what a test wants, and remembers what it was asked."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Self

from aiohttp.abc import AbstractResolver

from hub.config import EgressConfig
from hub.egress import Client
from plugins import Call

LOCAL = "127.0.0.0/8"
Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


class TurnedClock:
    """A plugins.Clock that a test turns."""

    def __init__(self, now: datetime = datetime(2026, 11, 21, 12, tzinfo=UTC)):
        self.time = now

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def answer(status: int = 200, body: bytes = b"", *headers: str) -> Script:
    lines = [f"HTTP/1.1 {status} Words", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def raw(data: bytes) -> Script:
    """Send this and hang up."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return script


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


class FarSide:
    """`async with FarSide(script) as far:`; each connection reads one request, then the script speaks.

    The last script serves all further connections.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None):
        self.scripts = list(scripts)
        self.requests: list[bytes] = []
        self.connections = 0
        self._tls = tls
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/path"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                self.requests.append(head + body)
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                await script(writer)
        finally:
            writer.close()
            self._tasks.discard(task)


class Names(AbstractResolver):
    """A DNS of our own: each look-up of a name takes the next of its answers, the last one for ever."""

    def __init__(self, **answers: list[list[str]]):
        self.answers = {name.replace("_", "."): list(rounds) for name, rounds in answers.items()}
        self.asked: list[str] = []

    async def resolve(self, host, port=0, family=0):
        self.asked.append(host)
        rounds = self.answers.get(host)
        if rounds is None:
            raise OSError(f"{host}: no such name")
        addresses = rounds.pop(0) if len(rounds) > 1 else rounds[0]
        return [
            {"hostname": host, "host": address, "port": port, "family": 0, "proto": 0, "flags": 0}
            for address in addresses
        ]

    async def close(self) -> None:
        pass


@contextlib.asynccontextmanager
async def client(*allow: str, timeout: float = 30.0, max_answer: int = 1 << 20, max_file: int = 1 << 20, **kwargs):
    config = EgressConfig(allow=list(allow), timeout=timeout, max_answer=max_answer, max_file=max_file)
    made = Client(config, TurnedClock(), **kwargs)
    try:
        yield made
    finally:
        await made.close()


def post(far: FarSide, **kwargs) -> Call:
    return Call(method="POST", url=far.url, body=b"effect", **kwargs)


def get(far: FarSide, **kwargs) -> Call:
    return Call(method="GET", url=far.url, **kwargs)
