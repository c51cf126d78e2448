import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Browser, async_playwright

from plugins.testing.window import Window
from tests.connectors.webchat.configured import CHAT, JWT_KEY
from tests.connectors.webchat.pages import Site
from tests.hub.desk import Desk, installed
from tests.servers import room

CHROMIUM = "/usr/bin/chromium"


async def until(true: Callable[[], Any], seconds: float = 60) -> None:
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


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    app = web.Application()
    serving = web.AppRunner(app)
    with room("widget") as folder:
        for name, text in {"chat.secret": "s" * 40, "jwt.key": JWT_KEY}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o600)
        async with installed(folder, "") as desk:
            made = Site(desk, "")
            app.router.add_get("/", made.page)
            await serving.setup()
            at = web.TCPSite(serving, "127.0.0.1", 0)
            await at.start()
            made.url = f"http://127.0.0.1:{serving.addresses[0][1]}"
            yield made
            await serving.cleanup()


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        await browser.close()
