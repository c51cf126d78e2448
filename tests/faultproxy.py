"""A TCP proxy with faults: what a network, a firewall or a dying peer does to one connection."""

import asyncio
import contextlib
import dataclasses
import random
import re
import socket
import struct
from collections.abc import AsyncIterator
from typing import Self


@dataclasses.dataclass
class Fault:
    """What goes wrong, from `trigger` on (at once if empty). Nothing set: an honest proxy, the positive control."""

    trigger: bytes = b""
    """The fault begins with the client's bytes that contain this (plain text only). These bytes still pass."""
    reset: bool = False
    """Both sides are reset (RST) when the fault begins."""
    reset_after: int | None = None
    """Both sides are reset after so many bytes of the server's answers."""
    deaf: bool = False
    """Nothing passes in either direction, and the connection stays open: a firewall that forgot us."""
    mute: bool = False
    """Requests pass, the replies are dropped and the connection closes: the effect without its answer."""
    replace: tuple[bytes, bytes] = (b"", b"")
    """Words of the server and what the client hears instead: capabilities that are stripped or missing."""
    refuse: tuple[bytes, bytes] = (b"", b"")
    """A pattern, and what the proxy itself answers to a tagged command (IMAP) that it matches; others pass."""
    latency: float = 0.0
    """Seconds by which every chunk is late."""
    chance: float = 1.0
    """How likely each such sight of `trigger` is to begin it."""
    times: int = 1 << 30
    """On how many connections; later ones are honest."""


class FaultProxy:
    """`async with FaultProxy(host, port, fault) as proxy:` and connect to `127.0.0.1:proxy.port`."""

    def __init__(self, host: str, port: int, fault: Fault | None = None, seed: int = 0) -> None:
        self.fault = fault or Fault()
        self._chance = random.Random(seed)
        self.connections = 0
        self.began = 0
        """On how many connections a fault has begun: a test of a fault asserts that it happened."""
        self.refused = 0
        self._target = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self._links: set[_Link] = set()

    def strikes(self, fault: Fault) -> bool:
        return self._chance.random() < fault.chance

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.sleep(0)  # connections that were just accepted begin
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close

    def reset_all(self) -> None:
        """Cut what stands; whoever connects again meets the fault of now."""
        for link in list(self._links):
            link.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self.connections += 1
        fault = self.fault if self.connections <= self.fault.times else Fault()
        try:
            upstream = await asyncio.open_connection(*self._target)
            link = _Link(self, fault, (reader, writer), upstream)
            self._links.add(link)
            try:
                await link.run()
            finally:
                self._links.discard(link)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)


class _Link:
    """One connection through the proxy."""

    def __init__(
        self,
        proxy: FaultProxy,
        fault: Fault,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy, self._fault, self._client, self._server = proxy, fault, client, server
        self._on = False
        self._answered = 0
        if not fault.trigger and fault != Fault():
            self._begin()

    async def run(self) -> None:
        ways = [asyncio.create_task(self._up()), asyncio.create_task(self._down())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._client[1].close()  # before the next await, where the proxy's own end may cancel us
            self._server[1].close()
            await asyncio.gather(*ways, return_exceptions=True)

    def cut(self) -> None:
        _reset(self._client[1], self._server[1])

    def _begin(self) -> None:
        self._on = True
        self._proxy.began += 1

    async def _up(self) -> None:
        async for chunk in _chunks(self._client[0], self._fault.latency):
            if (
                not self._on
                and self._fault.trigger
                and self._fault.trigger in chunk
                and self._proxy.strikes(self._fault)
            ):
                self._begin()
            if self._on and self._fault.deaf:
                await asyncio.Event().wait()
            if self._on and self._fault.reset:
                _reset(self._client[1], self._server[1])
                return
            if self._fault.refuse[0] and re.search(self._fault.refuse[0], chunk):
                self._client[1].write(chunk.split()[0] + b" " + self._fault.refuse[1] + b"\r\n")
                self._proxy.refused += 1
                continue
            self._server[1].write(chunk)
            await self._server[1].drain()

    async def _down(self) -> None:
        async for chunk in _chunks(self._server[0], self._fault.latency):
            if self._on and self._fault.deaf:
                await asyncio.Event().wait()
            if self._on and self._fault.mute:
                return
            if self._on and self._fault.replace[0]:
                chunk = chunk.replace(*self._fault.replace)  # noqa: PLW2901
            limit = self._fault.reset_after if self._on else None
            self._client[1].write(chunk if limit is None else chunk[: max(0, limit - self._answered)])
            self._answered += len(chunk) if self._on else 0
            await self._client[1].drain()
            if limit is not None and self._answered >= limit:
                _reset(self._client[1], self._server[1])
                return


async def _chunks(reader: asyncio.StreamReader, latency: float) -> AsyncIterator[bytes]:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            if latency:
                await asyncio.sleep(latency)
            yield chunk


def _reset(*writers: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN: linger on, for no time."""
    for writer in writers:
        sock = writer.get_extra_info("socket")
        if sock.fileno() >= 0:  # else its peer was faster
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
