"""A WebSocket that a runner dialled, as the contract has it."""

from collections.abc import Callable
from contextlib import suppress

import aiohttp
from aiohttp import WSMsgType


class Dialled:
    """Text frames only; pings and pongs are answered here, and show that the far side lives."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, alive: Callable[[], None]) -> None:
        """`socket` does not answer pings by itself."""
        self._socket = socket
        self._alive = alive

    async def receive(self) -> str | None:
        """As the protocol says. A binary frame ends it: nobody speaks them."""
        while True:
            frame = await self._socket.receive()
            if frame.type is WSMsgType.PING:
                with suppress(ConnectionError):  # the next frame says so
                    await self._socket.pong(frame.data)
            elif frame.type is not WSMsgType.PONG:
                break
            self._alive()
        if frame.type is not WSMsgType.TEXT:
            return None
        self._alive()
        return str(frame.data)

    async def send(self, text: str) -> None:
        """As the protocol says; aiohttp raises a ConnectionError of its own."""
        await self._socket.send_str(text)

    async def close(self, code: int) -> None:
        """As the protocol says."""
        await self._socket.close(code=code)
