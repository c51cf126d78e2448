"""The widget in a real Chromium, on a site of its own: looks, keyboard, screen reader, lost connections."""

import asyncio
import gzip
import json
import re
from typing import Any

from connectors.channels.webchat import Webchat
from connectors.channels.webchat.settings import WebchatSettings
from hub.web.plugged import SOCKETS
from plugins import Secret
from tests.connectors.webchat.pages import LOOKS, Watched, answered, begun, lines, opened, say, serious, shot, until
from tests.connectors.webchat.test_chat import token
from tests.hub.desk import Desk


def test_widget_is_small():
    (script, *_) = Webchat("help", WebchatSettings(secrets=(Secret("s" * 40),))).pages
    assert script.path == "widget.js"
    assert len(gzip.compress(script.body, 6)) < 20_000


async def test_conversation_looks_well_and_is_accessible_everywhere(chromium, site):
    desk = await begun(site)
    watched = await opened(chromium, site)
    page = watched.page
    await page.get_by_role("button", name="Acme help").click()
    await say(page, "AnyConnect fails since 8. See https://status.acme.test/vpn?x=1.")
    await until(page, 3)
    await answered(desk, "Thank you. Please try the second gateway:\nhttps://vpn2.acme.test, it is up again.")
    await until(page, 4)
    await page.evaluate("document.querySelector('#trunkline-chat').shadowRoot.activeElement.blur()")
    found: dict[str, list[str]] = {}
    for scheme, width in LOOKS:
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": width, "height": 800})
        if problems := await serious(page):
            found[f"{scheme} {width}"] = problems
        await shot(page, f"open-{scheme}-{width}")
    await page.get_by_role("button", name="Close chat").first.click()
    await answered(desk, "Does it work now?")
    await page.get_by_role("button", name="Acme help, 1 new").wait_for()
    await shot(page, "closed")
    found["closed"] = await serious(page)
    assert {name: problems for name, problems in found.items() if problems} == {}
    assert watched.complaints == []


async def test_form_asks_first_and_is_accessible(chromium, site):
    desk = await begun(site, form=True)
    watched = await opened(chromium, site, color_scheme="dark")
    page = watched.page
    await page.get_by_role("button", name="Acme help").click()
    assert await serious(page) == []
    await shot(page, "form-dark")
    await page.get_by_role("button", name="Start").click()
    assert not await page.get_by_label("Write a message").is_visible()
    await page.get_by_label("Your name (required)").fill("Ann Example")
    await page.get_by_label("E-mail address").fill("ann@acme.test")
    await page.keyboard.press("Enter")
    await say(page, "VPN down")
    await until(page, 3)
    assert await desk.column("SELECT name FROM users") == ["Ann Example"]
    assert "email:ann@acme.test" in (await desk.column("SELECT fields FROM messages WHERE direction = 'in'"))[0]
    assert watched.complaints == []


async def test_keyboard_alone_is_enough(chromium, site):
    await begun(site)
    page = (await opened(chromium, site)).page
    focused = "(document.querySelector('#trunkline-chat').shadowRoot.activeElement || {}).className"
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    assert await page.evaluate(focused) == "launcher"
    await page.keyboard.press("Enter")
    await page.keyboard.type("first")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("second")
    await page.keyboard.press("Enter")
    assert "first\nsecond" in await until(page, 2)
    await page.keyboard.press("Tab")
    assert await page.evaluate(focused) == "icon"
    await page.keyboard.press("Tab")
    assert await page.evaluate(focused) == "icon send"
    await page.keyboard.press("Escape")
    assert await page.evaluate(focused) == "launcher"
    assert not await page.get_by_role("dialog").is_visible()


async def test_screen_reader_hears_who_said_what(chromium, site):
    desk = await begun(site)
    page = (await opened(chromium, site)).page
    await page.get_by_role("button", name="Acme help").click()
    await say(page, "VPN down")
    await until(page, 3)
    await answered(desk, "On it")
    await until(page, 4)
    tree = await page.get_by_role("dialog", name="Acme help").aria_snapshot()
    log = await page.get_by_role("log", name="Conversation").aria_snapshot()
    assert 'textbox "Write a message"' in tree
    assert "You" in log
    assert "Service desk" in log
    assert "On it" in log


async def test_what_is_written_offline_is_sent_later_also_by_the_next_page(chromium, site):
    desk = await begun(site)
    watched = await opened(chromium, site)
    page = watched.page
    await page.get_by_role("button", name="Acme help").click()
    await say(page, "one")
    await until(page, 3)
    await page.context.set_offline(True)
    await page.get_by_text("You are offline").wait_for()
    await say(page, "two")
    await shot(page, "offline")
    await page.context.set_offline(False)
    await desk.until(lambda: desk.column("SELECT 1 FROM messages WHERE text = 'two'"))
    await desk.stop()
    await say(page, "three")
    await page.wait_for_timeout(300)
    kept = await page.evaluate("JSON.stringify({...localStorage})")
    assert "three" in kept
    await desk.start()
    context = await chromium.new_context(reduced_motion="reduce")
    await context.add_init_script(f"if (!localStorage.length) Object.assign(localStorage, {kept})")
    await page.close()
    later = await context.new_page()
    await later.goto(site.url)
    await desk.until(lambda: desk.column("SELECT 1 FROM messages WHERE text = 'three'"))
    said = [text for text in await until(later, 5) if text in {"one", "two", "three"}]
    assert said == ["one", "two", "three"]


async def test_where_no_socket_gets_through_plain_http_does(chromium, site):
    desk = await begun(site)
    context = await chromium.new_context(reduced_motion="reduce")
    page = await context.new_page()
    await page.route_web_socket("**/ws/**", lambda socket: socket.close())
    await page.goto(site.url)
    await page.get_by_role("button", name="Acme help").click()
    await say(page, "no socket here")
    assert "no socket here" in await until(page, 3)
    await answered(desk, "We hear you")
    assert "We hear you" in await until(page, 4)
    await desk.until(lambda: desk.column("SELECT 1 FROM messages WHERE delivery = 'read' AND text = 'We hear you'"))


PUT = "text => { document.querySelector('#trunkline-chat').shadowRoot.querySelector('textarea').value = text }"


async def test_half_of_a_sign_is_sent_as_what_can_be_read(chromium, site):
    desk = await begun(site)
    page = (await opened(chromium, site)).page
    await page.get_by_role("button", name="Acme help").click()
    await page.evaluate(f"({PUT})('half \\ud83d \\ud83d\\ude00')")
    await page.get_by_label("Write a message").press("Enter")
    await desk.until(lambda: desk.column("SELECT 1 FROM messages WHERE text = 'half \ufffd \U0001f600'"))


async def polled(chromium, site, frames):
    """A page without sockets whose polls get these frames; (page, what it asked)."""
    await begun(site)
    page = await (await chromium.new_context(reduced_motion="reduce")).new_page()
    asked = []

    async def answer(route):
        asked.append(route.request.post_data)
        said = [json.dumps(frame(asked[-1]) if callable(frame) else frame) for frame in frames]
        open_ = {"Access-Control-Allow-Origin": "*"}
        await route.fulfill(json={"frames": said, "code": 0}, headers=open_)

    await page.clock.install()
    await page.route_web_socket("**/ws/**", lambda socket: socket.close())
    await page.route("**/ws/**", answer)
    await page.goto(site.url)
    await page.get_by_role("button", name="Acme help").click()
    await say(page, "never taken")
    async with asyncio.timeout(20):
        while not any("never taken" in each for each in asked):
            await page.clock.fast_forward(1000)
    return page, asked


READY = {"t": "ready", "v": 1, "conv": "v:1", "session": "x", "heartbeat_s": 25, "notices": [], "max_file": 0, "seq": 0}


async def test_hub_that_takes_nothing_is_not_asked_again_at_once(chromium, site):
    page, asked = await polled(chromium, site, [READY, {"t": "refused", "cid": "", "why": "unreadable"}])
    n = len(asked)
    for _ in range(5):  # requests take so long
        await page.evaluate("hub => fetch(hub + '/p/help/widget.js', {mode: 'no-cors'})", site.hub)
    assert len(asked) == n
    await page.clock.fast_forward(60_000)
    async with asyncio.timeout(20):
        while len(asked) == n:
            await page.wait_for_timeout(20)


async def test_refused_line_says_so(chromium, site):
    def refused(sent):
        return {"t": "refused", "cid": (re.findall(r'cid\\":\\"([\w-]+)', sent) or [""])[0], "why": "unreadable"}

    page, _ = await polled(chromium, site, [READY, refused])
    await page.get_by_text("not sent: it could not be read").wait_for()


async def test_window_that_stands_open_over_a_restore_shows_what_there_is(chromium, site):
    """An older copy of the store was put in: its conversation ends before what the window has shown."""
    await begun(site)
    page = await (await chromium.new_context(reduced_motion="reduce")).new_page()
    places = []

    def served(socket):
        async def took(raw):
            said = json.loads(raw)
            if said["t"] != "hello":
                return
            places.append(said["after"])
            texts = {1: "one", 2: "lost"} if len(places) == 1 else {2: "after the restore"}
            socket.send(json.dumps(READY | {"seq": min(said["after"], 1)}))
            for seq, text in texts.items():
                line = {"t": "line", "seq": seq, "id": text, "cid": "", "from": "desk", "text": text, "files": []}
                socket.send(json.dumps(line | {"at": "2026-11-22T09:00:00.000+00:00"}))
            if len(places) == 1:
                await socket.close(code=1012)

        socket.on_message(took)

    await page.route_web_socket("**/ws/**", served)
    await page.goto(site.url)
    await page.get_by_role("button", name="Acme help").click()
    await page.get_by_text("after the restore").wait_for()
    assert (await lines(page))[1:] == ["one", "after the restore"]
    assert places == [0, 2]


async def test_file_before_the_first_line_brings_the_form_along(chromium, site, tmp_path):
    desk = await begun(site, form=True)
    page = (await opened(chromium, site)).page
    (tmp_path / "trace.txt").write_text("trace")
    await page.get_by_role("button", name="Acme help").click()
    await page.get_by_label("Your name (required)").fill("ü" * 1000)
    await page.get_by_label("E-mail address").fill("ann@acme.test")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Attach a file").wait_for()
    await page.locator("#trunkline-chat input[type=file]").set_input_files(str(tmp_path / "trace.txt"))
    await desk.until(lambda: desk.column("SELECT 1 FROM attachments WHERE name = 'trace.txt' AND size = 5"))
    assert "email:ann@acme.test" in (await desk.column("SELECT fields FROM messages WHERE direction = 'in'"))[0]


async def test_file_is_sent_and_shown(chromium, site, tmp_path):
    desk = await begun(site)
    watched = await opened(chromium, site)
    page = watched.page
    (tmp_path / "trace.txt").write_text("trace")
    await page.get_by_role("button", name="Acme help").click()
    await page.get_by_role("button", name="Attach a file").wait_for()
    await page.locator("#trunkline-chat input[type=file]").set_input_files(str(tmp_path / "trace.txt"))
    await desk.until(lambda: desk.column("SELECT 1 FROM attachments WHERE name = 'trace.txt' AND size = 5"))
    assert any("trace.txt" in text for text in await until(page, 3))
    assert watched.complaints == []


async def test_hostile_text_of_the_desk_stays_text(chromium, site):
    desk = await begun(site)
    watched = await opened(chromium, site)
    page = watched.page
    await page.get_by_role("button", name="Acme help").click()
    await say(page, "<img src=x onerror=window.owned=1>")
    await until(page, 3)
    await answered(desk, '<script>window.owned=1</script> javascript:window.owned=1 https://x.test/"onclick=owned')
    await until(page, 4)
    assert not await page.evaluate("'owned' in window")
    assert await page.locator("#trunkline-chat .text a").evaluate_all("all => all.map(a => a.href)") == [
        "https://x.test/"
    ]
    assert watched.complaints == []


async def test_user_of_the_site_is_known_and_forgotten_again(chromium, site):
    desk = await begun(site)
    site.more = f'data-jwt="{token(name="Ann Example")}"'
    watched = await opened(chromium, site)
    page = watched.page
    await page.get_by_role("button", name="Acme help").click()
    await say(page, "I am Ann")
    await until(page, 3)
    assert await desk.column("SELECT name FROM users") == ["Ann Example"]
    await page.evaluate("TrunklineChat.signOut()")
    await page.wait_for_function(
        "() => document.querySelector('#trunkline-chat').shadowRoot.querySelectorAll('.line').length === 1"
    )
    assert watched.complaints == []


async def test_foreign_site_gets_no_chat(chromium, site):
    desk = await begun(site)
    watched = await opened(chromium, site)
    await watched.page.goto(site.url.replace("127.0.0.1", "localhost"))
    await watched.page.get_by_role("button", name="Acme help").click()
    await watched.page.get_by_text("The chat is not available on this page.").wait_for()
    assert await desk.number("SELECT count(*) FROM envelopes") == 0


async def test_page_of_our_own_holds_the_chat(chromium, site):
    await begun(site)
    context = await chromium.new_context(reduced_motion="reduce")
    watched = Watched(await context.new_page())
    await watched.page.goto(f"{site.hub}/p/help/talk")
    await watched.page.get_by_label("Write a message").wait_for()
    await shot(watched.page, "talk")
    assert await serious(watched.page) == []
    assert watched.complaints == []


async def test_the_checks_find_what_they_look_for(chromium, site):
    """The positive control: a button without a name, a script that the policy forbids."""
    await begun(site)
    watched = await opened(chromium, site)
    await watched.page.evaluate(
        "document.querySelector('#trunkline-chat').shadowRoot.querySelector('.launcher').removeAttribute('aria-label')"
    )
    assert any(found.startswith("button-name") for found in await serious(watched.page))
    await watched.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=1>')")
    await watched.page.wait_for_timeout(150)
    assert any("Content Security Policy" in said for said in watched.complaints)


async def cut_both(desk: Desk) -> int:
    """The sockets of both tabs end without a word."""

    async def standing() -> list[Any]:
        found = [socket._req.transport for socket in desk.hub._runners[0].app[SOCKETS]]
        live = [each for each in found if each is not None and not each.is_closing()]
        return live if len(live) == 2 else []

    live = await desk.until(standing)
    for transport in live:
        transport.abort()
    return len(live)


async def test_two_tabs_that_are_cut_ten_times_show_the_same_whole_conversation(chromium, site):
    desk = await begun(site)
    context = await chromium.new_context(reduced_motion="reduce")
    tabs = [await context.new_page(), await context.new_page()]
    for tab in tabs:
        await tab.goto(site.url)
        if not await tab.get_by_label("Write a message").is_visible():
            await tab.get_by_role("button", name="Acme help").click()
    await say(tabs[0], "first")
    await until(tabs[1], 3)  # one browser, one visitor: the second tab follows
    await desk.settle()
    reference, cuts = (await desk.references())[0], 0
    for n in range(10):
        for name, tab in zip(("one", "other"), tabs, strict=True):
            await say(tab, f"{name} {n}")
        cuts += await cut_both(desk)
        await desk.operate("reply", "bob", reference, f"bob {n}")
        for tab in tabs:
            await tab.evaluate("dispatchEvent(new Event('online'))")  # else they wait longer each time
    assert cuts == 20
    total = 1 + 2 + 30  # with the greeting and our acknowledgement
    shown = [await until(tab, total) for tab in tabs]
    await desk.until(lambda: desk.column("SELECT 1 WHERE (SELECT count(*) FROM messages) = 32"))
    for tab in tabs:  # what one has sent stands where it was recorded once that is known
        await tab.wait_for_function(
            "() => ![...document.querySelector('#trunkline-chat').shadowRoot.querySelectorAll('.state')]"
            ".some(each => each.textContent)"
        )
    shown = [await lines(tab) for tab in tabs]
    recorded = await desk.column("SELECT text FROM messages ORDER BY thread_seq")
    assert shown[0][1:] == shown[1][1:] == recorded
    for name in ("one", "other", "bob"):
        assert [text for text in shown[0] if text.startswith(f"{name} ")] == [f"{name} {n}" for n in range(10)]
