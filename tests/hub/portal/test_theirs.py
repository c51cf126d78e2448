"""What is theirs: reading it, answering, closing; and everybody who tries to get at it."""

import re

import pytest
from msgspec.structs import replace

from plugins import Media
from tests.hub.desk import Desk, mail, message
from tests.hub.portal.people import NOT_IN, Browser, form_id, merged, portal_in, wrote

pytestmark = pytest.mark.asyncio(loop_scope="module")


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


async def test_a_large_attachment_comes_whole_and_its_length_alone_where_that_is_asked(desk, people):
    large = bytes(range(256)) * 2000
    ann = await wrote(desk, people, media=[Media(name="a.bin", type="image/png", data=large)])
    href = re.search(r'href="(/p/portal/q/[^"]+/file/[^"]+)"', await ann.query())[1]
    async with ann.browser.web.get(href) as answer:
        assert (await answer.read() == large, answer.content_length) == (True, len(large))
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment")
    async with ann.browser.web.head(href) as answer:
        assert (await answer.read(), answer.content_length) == (b"", len(large))


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


# ---- the other store -----------------------------------------------------------------------------------


async def test_postgresql_does_the_same(short_folder, prepared_url):
    """One walk through everything that asks the store."""
    async for desk in portal_in(short_folder, prepared_url):
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
