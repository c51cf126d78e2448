import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from plugins.testing.window import SITE, Window
from tests.hub.desk import Desk, installed
from tests.servers import room

CHAT = f"""
[instance.help]
kind = "webchat"
secrets = ["file:chat.secret"]
origins = ["{SITE}"]
fallback_after = 120
max_file = 100000
[instance.help.users]
key = "file:jwt.key"
audience = "chat"
issuer = "acme"
"""
JWT_KEY = "k" * 40


async def until(true: Callable[[], Any], seconds: float = 15) -> None:
    """Look until it is so."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  # what it asks comes from outside
            await asyncio.sleep(0.005)


@pytest.fixture
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """A hub that runs, with a web chat; on PostgreSQL where a test asks for it."""
    store_url = request.getfixturevalue("prepared_url") if getattr(request, "param", "") == "postgresql" else ""
    with room("chat") as folder:
        for name, text in {"chat.secret": "s" * 40, "jwt.key": JWT_KEY}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o600)
        async with installed(folder, store_url) as desk:
            await desk.start(more=CHAT)
            yield desk


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
        await asyncio.sleep(0)


@pytest.fixture
def window(desk: Desk, http: aiohttp.ClientSession) -> Callable[..., Window]:
    """A visitor's window, not opened yet; a restarted hub has another port."""

    def make(**who: Any) -> Window:
        return Window(http, lambda: f"http://127.0.0.1:{desk.hub.port}/ws/help", **who)

    return make
