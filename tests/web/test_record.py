"""A contact is recorded by keyboard alone; who may not record is told nothing of users."""

from tests.web.test_browser import chromium, opened, serious

__all__ = ["chromium"]


async def test_agent_records_a_contact_by_keyboard_with_a_user_who_came_up(chromium, desk):
    watched = await opened(chromium, desk, "agent")
    page = watched.page
    await page.goto("/console/queries")
    await page.keyboard.press("n")
    await page.wait_for_url(f"{desk.url}/console/record")
    await page.locator("#who:focus").wait_for()
    await page.keyboard.type("ann")
    option = page.locator("#known option").first
    await option.wait_for(state="attached")
    known = await option.get_attribute("value")
    assert known is not None
    assert "<email:ann@acme.test>" in known
    await page.fill("#who", known)  # what picking it does: browsers show the list outside the page
    await page.keyboard.press("Tab")
    await page.keyboard.type("Printer jams")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Control+Enter")
    await page.get_by_text("Recorded").wait_for()
    assert desk.operations.calls == [("record_contact", "agent", "desk", known, "Printer jams", "", "answered")]
    assert await page.evaluate("document.activeElement.id") == "who"
    assert watched.complaints == []
    assert await serious(page) == []


async def test_it_works_without_scripts(chromium, desk):
    page = (await opened(chromium, desk, "agent", java_script_enabled=False)).page
    await page.goto("/console/record")
    await page.fill("#who", "Bo")
    await page.fill("#about", "Badge")
    await page.get_by_label("Telephone desk").check()
    await page.get_by_role("button", name="Record").click()
    await page.get_by_text("Recorded").wait_for()
    assert desk.operations.calls == [("record_contact", "agent", "ring", "Bo", "Badge", "", "open")]
    assert await page.get_by_label("Telephone desk").is_checked()


async def test_viewer_finds_neither_page_nor_users(client, desk):
    browser = await client("viewer")
    for path in ("/console/record", "/console/record/users?text=ann"):
        assert (await browser.get(path)).status == 403
    assert "/console/record" not in await (await browser.get("/console/queries")).text()


async def test_what_was_typed_stays_when_it_is_refused(client, desk):
    async def refuses(*_: object, **__: object) -> None:
        raise ValueError("begin it with the country")

    desk.operations.record_contact = refuses
    words = {"who": "044 <1>", "about": "Badge", "through": "ring", "outcome": "answered", "once": "w"}
    answer = await (await client("agent")).post("/console/record", data=words)
    text = await answer.text()
    assert answer.status == 400
    assert "begin it with the country" in text
    assert 'value="044 &lt;1&gt;"' in text
    assert 'value="w"' in text


async def test_desks_that_are_broken_are_named_as_such(desk, client):
    for name in ("desk", "ring"):
        desk.instances[name].connector, desk.instances[name].broken = None, "its constructor raised"
    text = await (await (await client("agent")).get("/console/record")).text()
    assert "desk, ring can't run" in text
    assert "No desk is configured" not in text
