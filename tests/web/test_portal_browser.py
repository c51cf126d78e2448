"""The portal in a real Chromium, for somebody who is signed in. TRUNKLINE_SHOTS=folder keeps pictures."""

from pathlib import Path
from typing import Any

import pytest

from context_store import announcements, tokens, visits
from context_store.announcements import Announcement
from hub.helping import Shelf
from hub.texts import Texts
from tests.web.test_browser import LOOKS, SHOTS, chromium, opened, serious  # noqa: F401  # a fixture among them

ARTICLES = {
    "vpn.en.md": "# The VPN drops every few minutes\n\n1. Leave the guest network.\n2. Start **AnyConnect** again.\n",
    "paper-jam.en.md": "# Clear a paper jam\n\nOpen the tray of the printer and pull the paper out.\n",
}


@pytest.fixture
async def signed_in(desk: Any, tmp_path: Path) -> str:
    """Ann's session; an announcement and two articles stand."""
    (tmp_path / "articles").mkdir()
    for name, text in ARTICLES.items():
        (tmp_path / "articles" / name).write_text(text)
    desk.shelf = Shelf(Texts(tmp_path / "none", tmp_path / "articles", "en"))
    now = desk.store.now()
    one = Announcement(
        id=1, text="The VPN is down in Bonn. We work on it; next news at 11:00.", services=("remote-access",),
        major=True, from_at=now - 60_000,
    )  # fmt: skip
    await desk.store.write(announcements.announce, one, now)
    ann = await desk.store.read(visits.identity, "email", "ann@acme.test")
    return str(await desk.store.write(tokens.issue, visits.SESSION, ann, now, 86_400_000))


async def portal(chromium: Any, desk: Any, session: str, **more: Any) -> Any:  # noqa: F811
    watched = await opened(chromium, desk, **more)
    await watched.page.context.add_cookies([{"name": "trunkline-visit", "value": session, "url": desk.url}])
    return watched


async def test_every_page_is_accessible_and_keeps_to_its_policy(chromium, desk, signed_in):  # noqa: F811
    reference = desk.ids["vpn"]["reference"]
    pages = {
        "home": "", "queries": "queries", "query": f"q/{reference}?did=reply&sent={desk.ids['receipt']}",
        "help": "help", "service": "service/printing", "found": "help?q=printer",
        "article": "help/vpn", "preferences": "preferences",
    }  # fmt: skip
    found: dict[str, list[str]] = {}
    for name, path in pages.items():
        watched = await portal(chromium, desk, signed_in)
        await watched.page.goto(f"/p/portal/{path}")
        if name == "home":
            await watched.page.get_by_label("Message").fill("the vpn drops")
            await watched.page.locator("[role=status] a").first.wait_for()
        for scheme, width in LOOKS:
            await watched.page.emulate_media(color_scheme=scheme)
            await watched.page.set_viewport_size({"width": width, "height": 900})
            problems = await serious(watched.page)
            if await watched.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                problems.append("scrolls sideways")
            if problems:
                found[f"{name} {scheme} {width}"] = problems
            if SHOTS:
                await watched.page.screenshot(path=f"{SHOTS}/portal-{name}-{scheme}-{width}.png", full_page=True)
        if watched.complaints:
            found[name] = watched.complaints
        await watched.page.context.close()
    assert found == {}


async def test_suggestions_come_while_typing_and_are_announced(chromium, desk, signed_in):  # noqa: F811
    watched = await portal(chromium, desk, signed_in)
    await watched.page.goto("/p/portal/")
    assert await watched.page.locator("[role=status]").inner_text() == ""
    await watched.page.get_by_label("Subject").press_sequentially("printer paper")
    link = watched.page.locator("[role=status] a")
    await link.wait_for()
    assert (await link.get_attribute("href"), await link.get_attribute("rel")) == (
        "/p/portal/help/paper-jam",
        "noopener",
    )
    await watched.page.get_by_label("Subject").fill("")
    await link.wait_for(state="detached")
    assert watched.complaints == []


async def test_a_form_is_found_filled_in_and_sent_by_keyboard_alone(chromium, desk, signed_in):  # noqa: F811
    watched = await portal(chromium, desk, signed_in)
    page = watched.page
    await page.goto(f"/p/portal/q/{desk.ids['vpn']['reference']}")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**#main")
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.id") == "message":
            break
    await page.keyboard.type("Still broken.")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    async with page.expect_request(lambda request: "/in/portal/reply/" in request.url) as sent:
        await page.keyboard.press("Enter")
    assert (await sent.value).method == "POST"


async def test_everything_works_without_a_script(chromium, desk, signed_in):  # noqa: F811
    watched = await portal(chromium, desk, signed_in, java_script_enabled=False)
    await watched.page.goto("/p/portal/")
    await watched.page.get_by_role("searchbox").fill("paper")
    await watched.page.keyboard.press("Enter")
    await watched.page.get_by_role("link", name="Clear a paper jam").click()
    assert "Open the tray" in await watched.page.content()
