"""Preferences, catalogue, announcements and help at the portal."""

import pytest
from msgspec.structs import replace

from plugins import Claim, Identity
from tests.hub.desk import message
from tests.hub.portal.people import form_id, merged, numbers, wrote

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_answers_go_where_the_person_prefers(desk, people):
    ann = await wrote(desk, people)
    number = f"+49228{next(numbers)}"
    caller = Claim(identity=Identity(scheme="tel", value=number), assurance=1)
    await desk.say(replace(message(text="by phone"), sender=caller), to="sms")
    await merged(desk, ann.address, number)
    assert '<option value="phone">' in await ann.browser.page("preferences")
    chosen = await ann.browser.post("/in/portal/act/prefer", submission=form_id(), channel="phone", language="de")
    assert "Ihre Einstellungen sind gespeichert" in await ann.browser.follow(chosen)
    to, through = await desk.operate("recipient", "agent", ann.reference)
    assert (to.value, through) == (number, "sms")
    await desk.operate("reply", "agent", ann.reference, "answered by phone")
    await desk.settle()
    assert (await desk.sent())[-1]["to"]["value"] == number
    assert "answered by phone" in await ann.query()
    await ann.browser.post("/in/portal/act/prefer", submission=form_id(), channel="", language="de")
    await desk.settle()
    assert (await desk.operate("recipient", "agent", ann.reference))[1] == "mail"
    assert (await desk.events("user.preferred"))[-2:] == ["user.preferred"] * 2


async def test_address_that_was_proved_by_signing_in_can_be_chosen(desk, people):
    ann = await wrote(desk, people)
    number = f"+49228{next(numbers)}"
    caller = Claim(identity=Identity(scheme="tel", value=number), assurance=1)
    await desk.say(replace(message(text="by phone"), sender=caller), to="sms")
    reference = (await desk.references())[-1]
    await merged(desk, ann.address, number)
    assert (await desk.operate("recipient", "agent", reference))[1] == "sms"
    await ann.browser.post("/in/portal/act/prefer", submission=form_id(), channel="email")
    await desk.settle()
    to, through = await desk.operate("recipient", "agent", reference)
    assert (to.value, through) == (ann.address, "mail")


async def test_preference_for_what_does_not_reach_the_person_changes_no_route(desk, people):
    ann = await wrote(desk, people)
    for channel in ("social", "phone", "carrier pigeon"):
        await ann.browser.post("/in/portal/act/prefer", submission=form_id(), channel=channel)
        await desk.settle()
        assert (await desk.operate("recipient", "agent", ann.reference))[1] == "mail"


async def test_catalogue_has_a_form_for_each_service(desk, people):
    stranger = people()
    assert "Remote access" in await stranger.page()
    form = await stranger.page("service/vpn")
    assert "Which device?" in form
    assert "<option>Bonn</option>" in form
    assert (await stranger.get("/p/portal/service/nothing"))[0] == 404
    fields = {"service": "vpn", "email": f"p{next(numbers)}@acme.test", "subject": "New", "device": "Mac"}
    await stranger.send("/in/portal/", submission=form_id(), **fields)
    await desk.settle()
    wanted = "SELECT q.service, m.text FROM queries q JOIN messages m ON m.query_id = q.id WHERE m.channel = 'portal'"
    assert ("vpn", "Which device?: Mac") in [tuple(row) for row in await desk.rows(wanted)]


async def test_services_that_a_person_may_not_use_are_not_offered(desk, people):
    ann, eve = await wrote(desk, people), await wrote(desk, people)
    for one, group in ((ann, "board"), (eve, "guests")):
        user = await desk.number("SELECT user_id FROM identities WHERE value = :v", v=one.address)
        await desk.operate("set_user", "agent", user, {"groups": group})
    assert "Board room" in await ann.browser.page()
    assert "Board room" not in await eve.browser.page()
    assert (await eve.browser.get("/p/portal/service/secret"))[0] == 404


async def test_announcements_stand_on_top_until_they_end(desk, people):
    said = await desk.operate("announce", "agent", "The VPN is down. <b>Sorry</b>", ["vpn"], major=True)
    page = await people().page("help")
    assert "Major incident: Remote access" in page
    assert "&lt;b&gt;Sorry" in page
    await desk.operate("end_announcement", "agent", said["id"])
    assert "Sorry" not in await people().page("help")


async def test_help_is_found_by_its_words_with_and_without_script(desk, people):
    stranger = people()
    async with stranger.web.get("/p/portal/help.json", params={"q": "my anyconnec fails"}) as answer:
        found = await answer.json()
    assert [one["title"] for one in found] == ["Connect to the VPN"]
    page = await stranger.page("help?q=paper+jam")
    assert "Clear a paper jam" in page
    assert "Connect to" not in page
    article = await stranger.page(found[0]["href"].removeprefix("/p/portal/"))
    assert "<em>AnyConnect</em>" in article
    assert "<script>x" not in article
    for odd in ("help/..%2f..%2frules", "help/%00", "help/nothing"):
        assert (await stranger.get(f"/p/portal/{odd}"))[0] == 404


async def test_old_addresses_lead_to_the_portal(desk, people):
    for path in ("/portal", "/portal/portal"):
        async with people().web.get(path, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/p/portal/")


async def test_pages_are_counted_by_address(desk, people):
    for _ in range(600):
        desk.hub.fabric.allow("site:127.0.0.1", 600, 60)
    assert (await people().get("/p/portal/"))[0] == 429
