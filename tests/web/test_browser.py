"""A real Chromium: accessibility, content policy, hostile text, keyboard. TRUNKLINE_SHOTS=folder keeps pictures."""

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright
from sqlalchemy import select

from context_store import tables as t
from hub.lines import thread_topic
from tests.web.sample import PASSWORD

CHROMIUM = "/usr/bin/chromium"
SHOTS = os.environ.get("TRUNKLINE_SHOTS")


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        await browser.close()


class Watched:
    """A page with everything that it complained of, and every address that it asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in {"error", "warning"} else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))


async def opened(browser: Browser, desk: Any, login: str = "", **more: Any) -> Watched:
    context = await browser.new_context(base_url=desk.url, reduced_motion="reduce", **more)
    if login:
        await context.add_cookies([{"name": "trunkline", "value": await desk.session(login), "url": desk.url}])
    return Watched(await context.new_page())


def pages(ids: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Name → (login, path)."""
    return {
        "login": ("", "/console/login"),
        "setup": ("", ids["setup"]),
        "dead-link": ("", "/console/setup/made-up"),
        "queries": ("manager", "/console/queries"),
        "nothing": ("manager", "/console/queries?text=nothing"),
        "query": ("manager", f"/console/queries/{ids['vpn']['reference']}"),
        "query-viewer": ("viewer", f"/console/queries/{ids['vpn']['reference']}"),
        "record": ("agent", f"/console/record?receipt={ids['receipt']}&through=ring"),
        "journey": ("manager", f"/console/users/{ids['ann']['user']}"),
        "parked": ("manager", "/console/parked"),
        "caught": ("manager", "/console/caught"),
        "caught-one": ("manager", f"/console/caught/{ids['caught']}/0"),
        "health": ("manager", "/console/health"),
        "why": ("manager", f"/console/decisions/{ids['decision']}"),
        "forbidden": ("viewer", "/console/caught"),
        "portal": ("", "/portal"),
        "portal-service": ("", "/p/portal/service/printing"),
        "portal-help": ("", "/p/portal/help"),
        "portal-sign-in": ("", "/p/portal/sign-in?sent=1"),
        "receipt": ("", f"/portal/receipt/{ids['receipt']}"),
    }


REFUSED = {"forbidden": "403", "dead-link": "404"}
"""Chromium complains of pages that are answers to something wrong."""
LOOKS = (("light", 1280), ("dark", 1280), ("light", 390))


async def test_every_page_is_accessible_and_keeps_to_its_policy(chromium, desk):
    found: dict[str, list[str]] = {}
    for name, (login, path) in pages(desk.ids).items():
        watched = await opened(chromium, desk, login)
        await watched.page.goto(path)
        for scheme, width in LOOKS:
            await watched.page.emulate_media(color_scheme=scheme)
            await watched.page.set_viewport_size({"width": width, "height": 900})
            problems = await serious(watched.page)
            if await watched.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                problems.append("scrolls sideways")
            if problems:
                found[f"{name} {scheme} {width}"] = problems
            if SHOTS:
                await watched.page.screenshot(path=f"{SHOTS}/{name}-{scheme}-{width}.png", full_page=True)
        complaints = [said for said in watched.complaints if REFUSED.get(name, "none") not in said]
        if complaints:
            found[name] = complaints
        await watched.page.context.close()
    assert found == {}


async def serious(page: Page) -> list[str]:
    results = await Axe().run(page)
    return [
        f"{each['id']}: {node['html'][:200]}"
        for each in results.response["violations"]
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"]
    ]


async def test_the_checks_find_what_they_look_for(chromium, desk):
    """The positive control: a page without a label, a script that runs, a policy that is broken."""
    watched = await opened(chromium, desk)
    await watched.page.goto("/portal")
    await watched.page.evaluate("document.querySelector('label[for=subject]').remove()")
    assert any(found.startswith("label") for found in await serious(watched.page))
    await watched.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.owned=1>')")
    await watched.page.wait_for_timeout(150)
    assert any("Content Security Policy" in said for said in watched.complaints)
    assert not await watched.page.evaluate("'owned' in window")
    free = (await opened(chromium, desk, bypass_csp=True)).page
    await free.goto("/portal")
    await free.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.owned=1>')")
    await free.wait_for_timeout(150)
    assert await free.evaluate("'owned' in window")


@pytest.mark.parametrize("policy", ["with", "without"])
async def test_hostile_text_runs_nothing_and_fetches_nothing(chromium, desk, policy):
    """Also without the content policy: escaping and sandbox hold by themselves."""
    from tests.web.hostile import plant

    reference, message = await plant(desk)
    for path in (f"/console/queries/{reference}", "/console/queries?state=", f"/console/messages/{message}/html",
                 "/console/caught", f"/console/caught/{desk.ids['caught']}/0", "/console/parked"):  # fmt: skip
        watched = await opened(chromium, desk, "manager", bypass_csp=policy == "without")
        await watched.page.add_init_script("window.alert = () => { document.title = 'owned' }")
        await watched.page.goto(path)
        for fold in await watched.page.query_selector_all("details > summary"):
            await fold.click()
        await watched.page.wait_for_timeout(150)
        assert await watched.page.title() != "owned"
        assert not await watched.page.evaluate("'owned' in window")
        for frame in watched.page.frames[1:]:
            assert await frame.query_selector("script, a[href], img[src], form, iframe, object, svg") is None
        assert [url for url in watched.asked if not url.startswith((desk.url, "data:"))] == []
        await watched.page.context.close()


async def test_an_agent_logs_in_and_works_by_keyboard_alone(chromium, desk):
    watched = await opened(chromium, desk)
    page = watched.page
    await page.goto("/console/health")
    assert "/console/login" in page.url
    await page.locator("input:focus").wait_for()  # it has it a moment after the page is loaded
    await page.keyboard.type("agent")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{desk.url}/console/health")
    await page.goto("/console/queries")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("k")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{desk.url}/console/queries/{desk.ids['vpn']['reference']}")
    await page.keyboard.press("?")
    assert await page.locator("dialog#keys").is_visible()
    await page.keyboard.press("Escape")
    await page.locator("dialog#keys").wait_for(state="hidden")  # keys in an open dialog are its own
    await page.keyboard.press("r")
    await page.locator("textarea:focus").wait_for()
    await page.keyboard.type("On it.")
    await page.keyboard.press("Tab")
    assert await page.locator("#files").evaluate("file => file === document.activeElement")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{desk.url}/console/queries/{desk.ids['vpn']['reference']}#newest")
    assert desk.operations.calls[-1] == ("reply", "agent", desk.ids["vpn"]["reference"], "On it.", None)
    assert watched.complaints == []


async def test_the_first_stop_of_the_tab_key_skips_to_the_content(chromium, desk):
    page = (await opened(chromium, desk, "agent")).page
    await page.goto("/console/health")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    assert page.url.endswith("#main")


async def test_a_list_refreshes_itself_and_keeps_the_focus(chromium, desk):
    from sqlalchemy import update

    from context_store import tables as t

    page = (await opened(chromium, desk, "agent")).page
    await page.goto("/console/queries")
    await page.keyboard.press("j")
    focused = await page.evaluate("document.activeElement.getAttribute('href')")
    await desk.store.write(
        lambda conn: (
            conn.execute(
                update(t.queries).where(t.queries.c.id == desk.ids["vpn"]["id"]).values(subject="Fresh subject")
            )
            and None
        )
    )
    await page.evaluate("refresh()")
    assert await page.get_by_text("Fresh subject").is_visible()
    assert await page.evaluate("document.activeElement.getAttribute('href')") == focused


async def test_a_query_says_when_something_new_has_come(chromium, desk):
    from sqlalchemy import update

    from context_store import tables as t

    page = (await opened(chromium, desk, "agent")).page
    await page.goto(f"/console/queries/{desk.ids['vpn']['reference']}")
    await page.fill("#text", "half a reply")
    await desk.store.write(lambda conn: conn.execute(update(t.queries).values(version=2)) and None)
    await page.evaluate("refresh()")
    assert await page.get_by_text("Something new has come").is_visible()
    assert await page.input_value("#text") == "half a reply"


async def test_agents_at_one_query_see_each_other_and_who_writes(chromium, desk):
    path = f"/console/queries/{desk.ids['vpn']['reference']}"
    amir, mona = await opened(chromium, desk, "agent"), await opened(chromium, desk, "manager")
    for watched in (amir, mona):
        await watched.page.goto(path)
    await amir.page.get_by_text("Mona is looking at this too.").wait_for()
    await mona.page.get_by_text("Amir is looking at this too.").wait_for()
    await mona.page.fill("#text", "On it")
    await amir.page.get_by_text("Mona is writing a reply.").wait_for()
    assert not await mona.page.get_by_text("is writing").is_visible()
    desk.fabric.tell(thread_topic(await desk.store.read(_thread, desk.ids["vpn"]["thread"])), "user-typing")
    await amir.page.get_by_text("The user is writing …").wait_for()
    assert await serious(amir.page) == []
    assert amir.complaints + mona.complaints == []
    await mona.page.goto("about:blank")
    assert ("typing", "manager", desk.ids["vpn"]["reference"], None) in desk.operations.calls


def _thread(conn, number):
    return conn.scalar(select(t.threads.c.key_hash).where(t.threads.c.id == number))
