"""A page's stream of server-sent events, as a test reads it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

Told = list[tuple[str, Any]]


@asynccontextmanager
async def listening(browser: aiohttp.ClientSession, path: str) -> AsyncIterator[Told]:
    """(event, data) of what was told so far; from the first line on, by which the page is known to the others."""
    told: Told = []
    async with browser.get(path, headers={"Accept": "text/event-stream"}) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        reading = asyncio.create_task(_read(answer, told))
        try:
            await until_told(told, "present")
            yield told
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError, aiohttp.ClientError):
                await reading


async def _read(answer: aiohttp.ClientResponse, told: Told) -> None:
    event = ""
    async for raw in answer.content:
        name, _, value = raw.decode().rstrip("\n").partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            told.append((event, json.loads(value)))


async def until_told(told: Told, event: str, data: Any = ...) -> None:
    """Until it was told, whatever else was."""
    async with asyncio.timeout(60):
        while not any(e == event and data in (..., d) for e, d in told):  # noqa: ASYNC110  # it comes from outside
            await asyncio.sleep(0.01)
