"""The portal on a whole hub: people who sign in, what is theirs, and everybody who tries to get at it."""

import itertools
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from msgspec.structs import replace
from yarl import URL

from plugins import Claim, Identity, Media, Request
from tests.hub.desk import Desk, installed, mail, message
from tests.servers import room

pytestmark = pytest.mark.asyncio(loop_scope="module")
_numbers = itertools.count(1)

MORE = """
[instance.portal]
kind = "portal"
title = "Acme help"
[[instance.portal.form]]
service = "vpn"
[[instance.portal.form.questions]]
name = "device"
label = "Which device?"
[[instance.portal.form.questions]]
name = "site"
label = "Where?"
type = "choice"
choices = ["Bonn", "Ulm"]
[instance.sms]
kind = "line"
channel = "phone"
sends_to = ["tel"]
"""
COOKIE, NOT_IN = "trunkline-visit", "Sign in to see this"
SERVICES = """
[service.vpn]
title = "Remote access"
[service.secret]
title = "Board room"
groups = ["board"]
"""


class Browser:
    """Somebody's browser: keeps cookies, sends what browsers send, follows nothing by itself."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.web = aiohttp.ClientSession(f"http://127.0.0.1:{desk.hub.port}", cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.web.get(path, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.text()

    async def page(self, path: str = "") -> str:
        status, text = await self.get(f"/p/portal/{path}")
        assert status == 200, text
        return text

    async def post(self, path: str, site: str = "same-origin", **fields: str) -> tuple[int, str]:
        """Status, and where it leads."""
        headers = {"Sec-Fetch-Site": site} if site else {}
        async with self.web.post(path, data=fields, headers=headers, allow_redirects=False) as answer:
            return answer.status, answer.headers.get("Location", "")

    async def send(self, path: str, files: dict[str, bytes] | None = None, **fields: str) -> tuple[int, str]:
        form = aiohttp.FormData(fields, default_to_multipart=True)
        for name, data in (files or {}).items():
            form.add_field("attachments", data, filename=name, content_type="text/plain")
        async with self.web.post(
            path, data=form, headers={"Sec-Fetch-Site": "same-origin"}, allow_redirects=False
        ) as answer:
            return answer.status, answer.headers.get("Location", "")

    async def ask_link(self, address: str) -> tuple[int, str]:
        return await self.post("/in/portal/act/sign_in", submission=form_id(), email=address)

    async def link(self, address: str) -> str:
        """The link that was mailed."""
        assert (await self.ask_link(address))[0] == 303
        await self.desk.settle()
        return links(await self.desk.sent(), address)[-1]

    async def sign_in(self, address: str) -> None:
        assert (await self.post(await self.link(address)))[0] == 303

    async def follow(self, answered: tuple[int, str]) -> str:
        """The page that a form leads to."""
        assert answered[0] == 303
        return (await self.get(answered[1]))[1]

    @property
    def cookie(self) -> str:
        return next((one.value for one in self.web.cookie_jar if one.key == COOKIE), "")

    @cookie.setter
    def cookie(self, value: str) -> None:
        self.web.cookie_jar.update_cookies({COOKIE: value}, URL(f"http://127.0.0.1:{self.desk.hub.port}"))


def form_id() -> str:
    """As a page hides it in each of its forms."""
    return f"{next(_numbers):a>20}"


def links(sent: list[dict[str, Any]], address: str) -> list[str]:
    """To that address."""
    mine = [one["text"] for one in sent if one["to"]["value"] == address]
    return [found[1] for text in mine if (found := re.search(r"(/portal/enter/\S+)", text))]


def tokens(page: str) -> list[str]:
    return re.findall(r'name="token" value="([^"]+)"', page)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub():
    with room("hub") as folder:
        async for desk in portal_in(folder, ""):
            yield desk


async def portal_in(folder: Path, store_url: str) -> AsyncIterator[Desk]:
    (folder / "articles").mkdir()
    (folder / "articles" / "vpn.en.md").write_text("# Connect to the VPN\n\nStart *AnyConnect*. <script>x</script>")
    (folder / "articles" / "printer.en.md").write_text("# Clear a paper jam\n\nOpen the printer.")
    async with installed(folder, store_url) as desk:
        desk.rules += SERVICES
        await desk.start(more=MORE)
        yield desk


@pytest.fixture
def desk(hub):
    hub.hub.fabric._windows.clear()  # limits count for each test alone
    return hub


@pytest_asyncio.fixture(loop_scope="module")
async def people(desk):
    made: list[Browser] = []

    def make() -> Browser:
        made.append(Browser(desk))
        return made[-1]

    yield make
    for one in made:
        await one.web.close()


class Known:
    """Somebody who has written a mail."""

    def __init__(self, address: str, reference: str, browser: Browser) -> None:
        self.address, self.reference, self.browser = address, reference, browser

    async def query(self) -> str:
        return await self.browser.page(f"q/{self.reference}")

    async def token(self) -> str:
        return tokens(await self.query())[0]


async def wrote(desk: Desk, people: Any, text: str = "it fails", *, in_: bool = True, **more: Any) -> Known:
    """Somebody new; `in_`: signed in."""
    address = f"p{next(_numbers)}@acme.test"
    await desk.say(mail(sender=address, text=text, **{"subject": "VPN", **more}), to="mail")
    known = Known(address, (await desk.references())[-1], people())
    if in_:
        await known.browser.sign_in(address)
    return known


# ---- signing in --------------------------------------------------------------------------------------


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


# ---- what is theirs ----------------------------------------------------------------------------------


async def test_history_is_over_all_channels_and_without_what_agents_note(desk, people):
    ann = await wrote(desk, people)
    await desk.operate("reply", "agent", ann.reference, "Try again now.")
    await desk.operate("note", "agent", ann.reference, "She is always like that.")
    await desk.say(message(sender=f"chat-{ann.address}", assurance=1, text="printer, by chat"), to="chat")
    await merged(desk, ann.address, f"chat-{ann.address}")
    page = await ann.query()
    assert "it fails" in page
    assert "Try again now." in page
    assert "always like that" not in page
    assert (await ann.browser.page("queries")).count('class="subject"') == 2


async def test_another_persons_query_is_like_one_that_is_not_there(desk, people):
    ann, bob = await wrote(desk, people), await wrote(desk, people, "too little pay")
    for reference in (bob.reference, "TL-00000000", "x", "%00", "TL-'%20OR%201=1"):
        status, text = await ann.browser.get(f"/p/portal/q/{reference}")
        assert (status, "too little" in text, "There is nothing here" in text) == (404, False, True)
    assert "too little" in await bob.query()
    assert bob.reference not in await ann.browser.page("queries")


async def test_attachments_are_the_persons_own_and_always_downloads(desk, people):
    page_file = Media(name="../a<b>.html", type="text/html", data=b"<script>x</script>")
    ann, bob = await wrote(desk, people, media=[page_file]), await wrote(desk, people)
    href = re.search(r'href="(/p/portal/q/[^"]+/file/[^"]+)"', await ann.query())[1]
    async with ann.browser.web.get(href) as answer:
        assert await answer.read() == b"<script>x</script>"
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    own = href.replace(ann.reference, bob.reference)
    for browser, path in ((bob.browser, href), (bob.browser, own), (people(), href), (ann.browser, href[:-1] + "7")):
        assert "<script>x" not in (await browser.get(path))[1]


async def test_a_strangers_words_in_the_matter_are_for_agents_alone(desk, people):
    ann = await wrote(desk, people)
    await desk.say(mail(sender="eve@evil.test", text="I am the third party", tokens=[await ann.token()]), to="mail")
    assert await desk.number("SELECT count(*) FROM messages WHERE text = 'I am the third party'") == 1
    assert "third party" not in await ann.query()


async def test_claimed_mail_is_marked_as_nobodys_proof(desk, people):
    assert "could not verify" in await (await wrote(desk, people)).query()


async def test_hostile_text_stays_text(desk, people):
    ann = await wrote(desk, people, "</p><script>alert(1)</script>", subject="<img src=x onerror=alert(1)>")
    for path in ("", "queries", f"q/{ann.reference}"):
        page = await ann.browser.page(path)
        assert "&lt;img" in page
        assert "<img" not in page
        assert "<script>alert" not in page


# ---- replying, closing, reopening ------------------------------------------------------------------------


async def test_reply_with_a_file_joins_its_query_at_a2_and_shows_at_once(desk, people):
    ann = await wrote(desk, people)
    before = len(await desk.references())
    said, token = f"still broken for {ann.address}", await ann.token()
    page = await ann.browser.follow(
        await ann.browser.send(
            f"/in/portal/reply/{ann.reference}", {"log.txt": b"trace"}, submission=form_id(), token=token, message=said
        )
    )
    assert said in page
    assert "log.txt" in page
    assert "Your reply has arrived" in page
    assert await desk.column("SELECT assurance FROM messages WHERE text = :t", t=said) == [2]
    assert len(await desk.references()) == before
    assert await desk.number("SELECT count(*) FROM messages WHERE fields LIKE :t", t=f"%{token}%") == 0


async def test_reply_that_is_sent_often_is_one(desk, people):
    ann = await wrote(desk, people)
    fields = {"submission": form_id(), "token": await ann.token(), "message": f"once {ann.address}"}
    for _ in range(3):
        assert (await ann.browser.send(f"/in/portal/reply/{ann.reference}", **fields))[0] == 303
    await desk.settle()
    assert await desk.number("SELECT count(*) FROM messages WHERE text = :t", t=fields["message"]) == 1


async def test_token_of_anothers_query_brings_nobody_in(desk, people):
    ann, bob = await wrote(desk, people), await wrote(desk, people)
    stolen, said = await bob.token(), f"let me in {bob.address}"
    await ann.browser.send(f"/in/portal/reply/{bob.reference}", submission=form_id(), token=stolen, message=said)
    for what in ("close", "reopen"):
        await ann.browser.post(f"/in/portal/act/{what}/{bob.reference}", submission=form_id(), token=stolen)
    await desk.settle()
    assert said not in await bob.query()
    assert (await ann.browser.get(f"/p/portal/q/{bob.reference}"))[0] == 404
    assert await desk.column("SELECT standing FROM messages WHERE text = :t", t=said) == ["third_party"]
    assert await desk.column("SELECT state FROM queries WHERE reference = :r", r=bob.reference) == ["new"]


async def test_person_closes_and_opens_again_with_an_event_each(desk, people):
    ann = await wrote(desk, people)
    token, events = await ann.token(), len(await desk.events("query.set", "query.reopened"))
    state = "SELECT state, closed_at IS NULL FROM queries WHERE reference = :r"
    close = await ann.browser.post(f"/in/portal/act/close/{ann.reference}", submission=form_id(), token=token)
    assert "The query is closed." in await ann.browser.follow(close)
    assert tuple((await desk.rows(state, r=ann.reference))[0]) == ("closed", 0)
    again = await ann.browser.post(f"/in/portal/act/reopen/{ann.reference}", submission=form_id(), token=token)
    assert "The query is open again." in await ann.browser.follow(again)
    assert tuple((await desk.rows(state, r=ann.reference))[0]) == ("open", 1)
    assert (await desk.events("query.set", "query.reopened"))[events:] == ["query.set", "query.reopened"]


async def test_who_is_not_signed_in_does_nothing_to_a_query(desk, people):
    ann = await wrote(desk, people)
    token, stranger = await ann.token(), people()
    for path in (f"act/close/{ann.reference}", f"reply/{ann.reference}", "act/prefer"):
        answer = await stranger.post(f"/in/portal/{path}", submission=form_id(), token=token, message="x")
        assert answer[0] == 403
    assert await desk.column("SELECT state FROM queries WHERE reference = :r", r=ann.reference) == ["new"]


async def test_proof_that_the_hub_did_not_give_is_none(desk, people):
    """A connector can't make itself anybody: what it claims without the hub's word stays at A1 at the most."""
    ann = await wrote(desk, people)
    forged = mail(sender=ann.address, assurance=1, text=f"forged {ann.address}")
    await desk.say(replace(forged, sender=replace(forged.sender, proof="v" + "a" * 32)), to="mail")
    assert await desk.column("SELECT assurance FROM messages WHERE text = :t", t=forged.text) == [1]


async def test_new_query_of_a_signed_in_person_is_theirs_whatever_the_form_says(desk, people):
    ann, bob = await wrote(desk, people), await wrote(desk, people)
    fields = {"submission": form_id(), "email": bob.address, "subject": f"Pay {ann.address}", "message": "now"}
    assert fields["subject"] in await ann.browser.follow(await ann.browser.send("/in/portal/", **fields))
    assert fields["subject"] not in await bob.browser.page("queries")


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


# ---- preferences, catalogue, announcements, help -----------------------------------------------------------


async def merged(desk: Desk, *values: str) -> None:
    users = [await desk.number("SELECT user_id FROM identities WHERE value = :v", v=value) for value in values]
    await desk.operate("merge", "agent", *users, "the same person")


async def test_answers_go_where_the_person_prefers(desk, people):
    ann = await wrote(desk, people)
    number = f"+49228{next(_numbers)}"
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
    number = f"+49228{next(_numbers)}"
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
    fields = {"service": "vpn", "email": f"p{next(_numbers)}@acme.test", "subject": "New", "device": "Mac"}
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


# ---- the other store -----------------------------------------------------------------------------------


async def test_postgresql_does_the_same(short_folder, postgresql_url):
    """One walk through everything that asks the store."""
    async for desk in portal_in(short_folder, postgresql_url):
        made: list[Browser] = []

        def browser(desk: Desk = desk, made: list[Browser] = made) -> Browser:
            made.append(Browser(desk))
            return made[-1]

        ann = await wrote(desk, browser, media=[Media(name="a.txt", type="text/plain", data=b"abc")])
        href = re.search(r'href="(/p/portal/q/[^"]+/file/[^"]+)"', await ann.query())[1]
        assert (await ann.browser.get(href))[1] == "abc"
        token = await ann.token()
        fields = {"submission": form_id(), "token": token, "message": "still broken"}
        assert "still broken" in await ann.browser.follow(
            await ann.browser.send(f"/in/portal/reply/{ann.reference}", **fields)
        )
        for what, said in (("close", "The query is closed."), ("reopen", "The query is open again.")):
            path = f"/in/portal/act/{what}/{ann.reference}"
            assert said in await ann.browser.follow(await ann.browser.post(path, submission=form_id(), token=token))
        await ann.browser.post("/in/portal/act/prefer", submission=form_id(), channel="email", language="de")
        await desk.settle()
        assert "Ihre Anliegen" in await ann.browser.page("queries")
        assert await ann.browser.post("/portal/leave/portal?all=1") == (303, "/p/portal/")
        assert NOT_IN in await ann.browser.page("queries")
        for one in made:
            await one.web.close()
