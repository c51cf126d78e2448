"""Who signs in at the portal, and what other sites can make of it."""

import re
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from context_store import bulk
from context_store.tables import acknowledged
from context_store.text import hash_key
from context_store.times import to_millis
from plugins import Request
from tests.hub.desk import mail
from tests.hub.portal.people import NOT_IN, form_id, links, numbers, wrote

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def refused(desk) -> list[str]:
    """Why links did not go out."""
    bodies = await desk.column("SELECT body FROM events WHERE kind = 'user.link_not_sent' ORDER BY id")
    return [msgspec.json.decode(body)["why"] for body in bodies]


async def test_link_signs_in_once_and_its_page_alone_signs_nobody_in(desk, people):
    ann = await wrote(desk, people, in_=False)
    link = await ann.browser.link(ann.address)
    status, page = await ann.browser.get(link)
    assert (status, ann.address in page, ann.browser.cookie) == (200, True, "")
    assert await ann.browser.post(link) == (303, "/p/portal/")
    assert ann.reference in await ann.browser.page("queries")
    again = people()
    assert ((await again.post(link))[0], (await again.get(link))[0]) == (404, 404)
    assert again.cookie == ""


async def test_unknown_addresses_hear_the_same_and_get_nothing(desk, people):
    ann = await wrote(desk, people, in_=False)
    before = len(await desk.sent())
    answers = {await people().ask_link(address) for address in (ann.address, "eve@nowhere.test", "no address")}
    await desk.settle()
    assert answers == {(303, "/p/portal/sign-in?sent=1")}
    assert [one["to"]["value"] for one in (await desk.sent())[before:]] == [ann.address]


async def test_few_links_an_hour_go_to_one_address(desk, people):
    ann = await wrote(desk, people, in_=False)
    for _ in range(8):
        await ann.browser.ask_link(ann.address)
    await desk.settle()
    assert len(links(await desk.sent(), ann.address)) == 5


async def test_links_count_by_mailbox_whatever_its_spelling(desk, people):
    n = next(numbers)
    spellings = [f"ann{n}+{k}@acme.test" for k in range(7)]
    await desk.say(*(mail(sender=sender) for sender in spellings), to="mail")
    asked = len(await refused(desk))
    for sender in spellings:
        assert await people().ask_link(sender) == (303, "/p/portal/sign-in?sent=1")
    await desk.settle()
    sent = await desk.sent()
    assert sum(len(links(sent, sender)) for sender in spellings) == 5
    assert (await refused(desk))[asked:] == ["this mailbox had 5 links within an hour"] * 2
    desk.clock.by += timedelta(hours=2)
    await people().link(spellings[0])


async def test_dots_make_no_further_mailbox_for_links(desk, people):
    n = next(numbers)
    dots = [f"b.ob{n}@gmail.com", f"bo.b{n}@googlemail.com", f"b.o.b{n}+x@gmail.com"]
    await desk.say(*(mail(sender=sender) for sender in dots), to="mail")
    for sender in dots * 2:
        await people().ask_link(sender)
    await desk.settle()
    sent = await desk.sent()
    assert sum(len(links(sent, sender)) for sender in dots) == 5


async def test_no_link_goes_to_the_desk_itself_or_to_machines(desk, people):
    shunned = ["desk@here.test", "Desk+7@here.test", "postmaster@acme.test"]
    await desk.say(*(mail(sender=sender) for sender in shunned), to="mail")
    before, asked = len(await desk.sent()), len(await refused(desk))
    answers = {await people().ask_link(sender) for sender in shunned}
    await desk.settle()
    assert (answers, (await desk.sent())[before:]) == ({(303, "/p/portal/sign-in?sent=1")}, [])
    own, machine = "this is an address of the desk itself", "this is the address of a machine"
    assert (await refused(desk))[asked:] == [own, own, machine]


async def test_links_and_acknowledgements_share_their_hour(desk, people):
    ann = await wrote(desk, people, in_=False)
    most = desk.hub.config.delivery.unproved_an_hour
    now = to_millis(desk.clock.now())
    rows = [(hash_key("full", str(n)), now) for n in range(most)]
    await desk.hub.store.write(bulk.insert, acknowledged, ("mailbox_hash", "at"), rows)
    assert await ann.browser.ask_link(ann.address) == (303, "/p/portal/sign-in?sent=1")
    await desk.settle()
    assert links(await desk.sent(), ann.address) == []
    assert (await refused(desk))[-1] == (
        f"{most} letters to unproved addresses within the hour (delivery.unproved_an_hour)"
    )
    desk.clock.by += timedelta(hours=2)
    await ann.browser.link(ann.address)


async def test_link_dies_after_a_quarter_of_an_hour(desk, people):
    ann = await wrote(desk, people, in_=False)
    link = await ann.browser.link(ann.address)
    desk.clock.by += timedelta(minutes=16)
    assert (await ann.browser.post(link))[0] == 404


async def test_session_is_fresh_whatever_cookie_the_browser_had(desk, people):
    ann = await wrote(desk, people, in_=False)
    ann.browser.cookie = "fixed-by-eve"
    await ann.browser.sign_in(ann.address)
    assert ann.browser.cookie not in ("", "fixed-by-eve")
    eve = people()
    eve.cookie = "fixed-by-eve"
    assert NOT_IN in await eve.page("queries")


async def test_signing_out_ends_the_session_and_everywhere_ends_all(desk, people):
    ann = await wrote(desk, people)
    two = people()
    await two.sign_in(ann.address)
    kept = ann.browser.cookie
    assert await ann.browser.post("/portal/leave/portal") == (303, "/p/portal/")
    ann.browser.cookie = kept
    assert NOT_IN in await ann.browser.page("queries")
    assert ann.reference in await two.page("queries")
    three = people()
    await three.sign_in(ann.address)
    assert (await three.post("/portal/leave/portal?all=1"))[0] == 303
    assert NOT_IN in await two.page("queries")


async def test_session_cookie_is_no_scripts_and_no_other_sites(desk, people):
    ann = await wrote(desk, people, in_=False)
    link = await ann.browser.link(ann.address)
    headers = {"Sec-Fetch-Site": "same-origin"}
    async with ann.browser.web.post(link, headers=headers, allow_redirects=False) as answer:
        said = answer.headers["Set-Cookie"]
    assert "HttpOnly" in said
    assert "SameSite=Lax" in said


async def test_link_is_no_message_of_any_history(desk, people):
    await wrote(desk, people)
    assert await desk.number("SELECT count(*) FROM messages WHERE text LIKE '%/portal/enter/%'") == 0
    assert (await desk.events("user.link_sent", "user.signed_in"))[-2:] == ["user.link_sent", "user.signed_in"]


# ---- other sites ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_other_sites_forms_do_nothing(desk, people, site):
    ann = await wrote(desk, people)
    token, kept = await ann.token(), ann.browser.cookie
    for path in (f"act/close/{ann.reference}", "act/prefer", "", f"reply/{ann.reference}"):
        answer = await ann.browser.post(f"/in/portal/{path}", site, submission=form_id(), token=token, message=site)
        assert answer[0] == 401
    for path in ("/portal/leave/portal", "/portal/enter/portal/x"):
        assert (await ann.browser.post(path, site))[0] == 403
    await desk.settle()
    assert ann.browser.cookie == kept
    assert "it fails" in await ann.query()
    assert await desk.number("SELECT count(*) FROM messages WHERE text = :t", t=site) == 0


async def test_nothing_leads_to_another_site(desk, people):
    ann = await wrote(desk, people)
    for path in ("act/close//evil.test", "reply/https://evil.test", f"act/close/{ann.reference}%0d%0aX:%20y", "reply/"):
        status, where = await ann.browser.post(f"/in/portal/{path}", submission=form_id(), token="t", message="m")
        assert status in (303, 404)
        assert re.fullmatch(r"(/p/portal/[\w/?=&-]*)?", where)
    assert "evil" not in await ann.browser.page("sign-in?sent=1&next=https://evil.test")


async def test_plugins_see_who_it_is_and_no_cookie(desk, people, monkeypatch):
    seen: list[Request] = []
    connector = desk.hub.instances["portal"].connector
    show = connector.show

    async def watch(request: Request, visits: Any) -> Any:
        seen.append(request)
        return await show(request, visits)

    monkeypatch.setattr(connector, "show", watch)
    ann = await wrote(desk, people)
    await ann.browser.page()
    assert seen[-1].person.identity.value == ann.address
    assert "cookie" not in seen[-1].headers
    assert ann.browser.cookie not in repr(seen[-1])
