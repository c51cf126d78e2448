"""The real hub behind the pages: a form in, a query in the console, an answer out."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.app import Hub, build
from hub.config import load_config
from hub.web import auth
from tests.web.sample import RULES
from tests.web.test_browser import chromium, opened

__all__ = ["chromium"]

CONFIG = """
[hub]
name = "Acme service desk"
listen = "127.0.0.1:0"

[instance.portal]
kind = "portal"
name = "Ask us"

[instance.mail]
kind = "email"
name = "Support mailbox"
address = "support@acme.test"

[instance.querylog]
kind = "querylog"
name = "Query log"

[team.network]
name = "Network"
"""


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    file = tmp_path / "plugins.toml"
    file.write_text(CONFIG)
    (tmp_path / "rules.toml").write_bytes(RULES)
    made = build(load_config(file, {}))
    await made.start()
    yield made
    await made.drain()
    await made.stop()


async def test_a_form_becomes_a_query_and_its_answer_a_caught_mail(chromium, hub):
    hub.url = f"http://127.0.0.1:{hub.port}"
    stranger = (await opened(chromium, hub)).page
    await stranger.goto("/portal")
    await stranger.fill("#name", "Ann Meyer")
    await stranger.fill("#email", "ann@acme.test")
    await stranger.fill("#subject", "VPN is down")
    await stranger.fill("#message", "AnyConnect fails since eight.")
    await stranger.set_input_files(
        "#attachments", {"name": "log.txt", "mimeType": "text/plain", "buffer": b"line one\n"}
    )
    await stranger.get_by_role("button", name="Send").click()
    await stranger.get_by_text("Your reference is").wait_for()
    assert "/portal/receipt/" in stranger.url
    reference = await stranger.locator(".receipt").inner_text()
    assert "AnyConnect" not in await stranger.content()

    link = await auth.administrator_link(hub.store, hub.url)
    watched = await opened(chromium, hub)
    page = watched.page
    await page.goto(link)
    await page.fill("#password", "correct horse battery")
    await page.fill("#again", "correct horse battery")
    await page.get_by_role("button", name="Set password").click()
    await page.get_by_text("VPN is down").click()
    assert reference in page.url
    assert await page.get_by_text("nobody vouches for the sender").is_visible()
    async with page.expect_download() as download:
        await page.get_by_role("link", name="log.txt").click()
    kept = await (await download.value).path()
    assert await asyncio.to_thread(Path(kept).read_bytes) == b"line one\n"

    await page.fill("#text", "We are on it.")
    answer = {"name": "steps.txt", "mimeType": "text/plain", "buffer": b"one, two\n"}
    await page.set_input_files("#files", answer | {"buffer": bytes(19 << 20)})
    assert await page.locator("#files").evaluate("file => file.validationMessage") == "These files are too large."
    await page.set_input_files("#files", answer)
    await page.get_by_role("button", name="Send to ann@acme.test").click()
    sent = page.locator("article", has_text="We are on it.")
    async with page.expect_download() as download:
        await sent.get_by_role("link", name="steps.txt").click()
    kept = await (await download.value).path()
    assert await asyncio.to_thread(Path(kept).read_bytes) == b"one, two\n"
    await page.locator("details", has_text="Write a note").locator("summary").click()
    await page.fill("#note", "Ask Bob about the gateway.")
    await page.get_by_role("button", name="Keep note").click()
    await page.get_by_text("Note by Administrator").wait_for()
    await page.select_option("#set-state", "pending")
    await page.select_option("#set-team", "network")
    await page.get_by_role("button", name="Save").click()
    await page.locator(".head .tag", has_text="pending").wait_for()
    await page.get_by_text("Why this?").click()
    assert await page.locator(".rule").count() == 2

    for _ in range(100):
        await page.goto("/console/caught")
        if await page.get_by_role("link", name="Re: VPN is down").count():
            break
        await asyncio.sleep(0.1)
    await page.get_by_role("link", name="Re: VPN is down").click()
    assert await page.get_by_text("We are on it.").first.is_visible()
    assert await page.get_by_text("support@acme.test").first.is_visible()
    await page.goto("/console/health")
    assert await page.get_by_text("The books balance").is_visible()
    assert watched.complaints == []
