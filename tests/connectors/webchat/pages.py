"""A site that embeds the widget, and Chromium on it. TRUNKLINE_SHOTS=folder keeps pictures."""

import os
from typing import Any

from aiohttp import web
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from tests.connectors.webchat.configured import CHAT
from tests.hub.desk import Desk

SHOTS = os.environ.get("TRUNKLINE_SHOTS")
LOOKS = (("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390))
SITE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Acme</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src {hub}; connect-src {hub} {hub_ws}; img-src data:"></head>
<body><main><h1>Acme Ltd</h1><p>Our site.</p><a href="#">A link</a></main>
<script src="{hub}/p/help/widget.js" {more}></script></body></html>"""
FORM = """
[[instance.help.form]]
name = "name"
label = "Your name"
required = true
[[instance.help.form]]
name = "email"
label = "E-mail address"
type = "email"
"""


class Site:
    """A page elsewhere that embeds the widget, under a strict policy of its own."""

    def __init__(self, desk: Desk, url: str) -> None:
        self.desk, self.url = desk, url
        self.form = False
        self.more = ""

    @property
    def hub(self) -> str:
        return f"http://127.0.0.1:{self.desk.hub.port}"

    async def page(self, request: web.Request) -> web.Response:
        html = SITE.format(hub=self.hub, hub_ws=self.hub.replace("http", "ws"), more=self.more)
        return web.Response(text=html, content_type="text/html")


async def begun(site: Site, *, form: bool = False) -> Desk:
    table = CHAT.replace("https://www.acme.test", site.url)
    table = table.replace("max_file", 'title = "Acme help"\ngreeting = "How can we help?"\nmax_file')
    await site.desk.start(more=table + (FORM if form else ""))
    return site.desk


class Watched:
    """A page with all that it complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in {"error", "warning"} else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))


async def opened(browser: Browser, site: Site, **more: Any) -> Watched:
    context = await browser.new_context(reduced_motion="reduce", **more)
    watched = Watched(await context.new_page())
    await watched.page.goto(site.url)
    return watched


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Write a message").fill(text)
    await page.keyboard.press("Enter")


async def lines(page: Page) -> list[str]:
    return await page.locator("#trunkline-chat .line .text").all_inner_texts()


async def until(page: Page, n: int) -> list[str]:
    await page.wait_for_function(
        "n => document.querySelector('#trunkline-chat').shadowRoot.querySelectorAll('.line').length >= n", arg=n
    )
    return await lines(page)


async def serious(page: Page) -> list[str]:
    results = await Axe().run(page)
    return [
        f"{each['id']}: {node['html'][:200]}"
        for each in results.response["violations"]
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"]
    ]


async def shot(page: Page, name: str) -> None:
    if SHOTS:
        await page.screenshot(path=f"{SHOTS}/chat-{name}.png")


async def answered(desk: Desk, text: str) -> None:
    await desk.settle()
    await desk.operate("reply", "bob", (await desk.references())[0], text)
