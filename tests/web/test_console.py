"""What the pages show and do."""

import html
import io
import re

import aiohttp
import pytest
from sqlalchemy import select, update

from context_store import tables as t
from hub.web.queries import FOUND
from hub.web.upkeep import RULES
from hub.web.upload import LARGEST
from plugins import CAUSES, Identity, Media

NO_REDIRECT = {"allow_redirects": False}


async def page(client, path, role="agent"):
    browser = await client(role)
    answer = await browser.get(path)
    assert answer.status == 200, await answer.text()
    return await answer.text()


async def test_the_list_shows_active_queries_last_change_first(client, desk):
    text = await page(client, "/console/queries")
    chat, vpn = text.index(desk.ids["chat"]["reference"]), text.index(desk.ids["vpn"]["reference"])
    assert chat < vpn
    assert "New laptop" not in text


async def test_filters_narrow_the_list(client):
    assert "VPN drops" not in await page(client, "/console/queries?channel=chat")
    assert "New laptop" in await page(client, "/console/queries?state=resolved")
    assert "VPN drops" in await page(client, "/console/queries?state=&text=vpn+dr")
    assert "VPN drops" in await page(client, "/console/queries?text=ann+m")
    assert "No query matches" in await page(client, "/console/queries?text=%25")
    assert "VPN drops" in await page(client, "/console/queries?mine=1")
    assert "VPN drops" not in await page(client, "/console/queries?mine=1", "manager")


async def test_a_reference_in_the_search_leads_to_its_query_however_it_is_typed(client, desk):
    reference = desk.ids["vpn"]["reference"]
    browser = await client("agent")
    answer = await browser.get("/console/queries", params={"text": f" {reference.lower()} "}, **NO_REDIRECT)
    assert answer.headers["Location"] == f"/console/queries/{reference}"


async def test_pages_of_the_list_meet_without_gap_or_overlap(desk):
    from context_store import views
    from context_store.shapes import QueryFilter

    seen, before = [], None
    while rows := await desk.store.read(views.list_queries, QueryFilter(), before, 1):
        seen.append(rows[0].id)
        before = rows[0].updated_at, rows[0].id
    assert seen == [desk.ids["chat"]["id"], desk.ids["vpn"]["id"], seen[2]]
    assert len(set(seen)) == 3


async def test_a_query_shows_messages_quotes_folded_assurance_and_recipient(client, desk):
    text = await page(client, f"/console/queries/{desk.ids['vpn']['reference']}")
    assert "authenticated by the channel" in text
    assert "<summary>Quoted text</summary>" in text
    assert "<summary>Signature</summary>" in text
    assert "Goes to <strong>ann@acme.test</strong>" in text
    assert "Gateway 2 was updated" in text
    assert "Note by Amir" in text
    assert "recipient_unknown" in text


async def test_a_refused_delivery_says_what_can_be_done(client, desk):
    text = await page(client, f"/console/queries/{desk.ids['vpn']['reference']}")
    assert CAUSES["recipient_unknown"] in html.unescape(text)


async def test_a_pin_for_the_telephone_is_shown_once_and_in_no_list(client, desk):
    browser, reference = await client("agent"), desk.ids["vpn"]["reference"]
    answer = await browser.post(f"/console/queries/{reference}/pin", data={"a": ""})
    assert answer.status == 200
    assert "123 456 789" in await answer.text()
    assert answer.headers["Cache-Control"] == "no-store"
    assert desk.operations.calls == [("issue_pin", "agent", reference)]
    for path in (f"/console/queries/{reference}", f"/console/queries/{reference}/pin", "/console/queries"):
        assert "123 456 789" not in await page(client, path)


async def test_a_pin_that_can_not_be_made_says_why(client, desk):
    desk.operations.refuse = "it is closed: nothing continues it"
    answer = await (await client("agent")).post(f"/console/queries/{desk.ids['vpn']['reference']}/pin", data={"a": ""})
    assert answer.status == 409
    assert "nothing continues it" in await answer.text()


async def test_a_viewer_gets_no_pin(client, desk):
    answer = await (await client("viewer")).post(f"/console/queries/{desk.ids['vpn']['reference']}/pin", data={"a": ""})
    assert answer.status == 403


async def test_a_viewer_sees_no_form_that_changes_something(client, desk):
    text = await page(client, f"/console/queries/{desk.ids['vpn']['reference']}", "viewer")
    assert text.count("<form") == text.count('action="/console/logout"') + text.count('method="dialog"')


async def test_older_messages_are_behind_a_link(desk):
    from context_store import views

    view = await desk.store.read(views.show_query, desk.ids["vpn"]["id"], None, 2)
    earlier = await desk.store.read(views.show_query, desk.ids["vpn"]["id"], view.messages[0].id, 2)
    assert view.earlier
    assert not earlier.earlier
    assert len({m.id for m in (*view.messages, *earlier.messages)}) == 4


async def test_a_reply_goes_to_whom_the_agent_saw(client, desk):
    browser = await client("agent")
    path = f"/console/queries/{desk.ids['vpn']['reference']}/reply"
    form = {
        "once": "word",
        "text": " On it. ",
        "recipient": "email ann@acme.test support-mail",
        "to_message": str(desk.ids["first"]),
    }
    assert (await browser.post(path, data=form, **NO_REDIRECT)).status == 303
    assert desk.operations.calls == [("reply", "agent", desk.ids["vpn"]["reference"], "On it.", desk.ids["first"])]


async def test_a_reply_is_held_back_if_the_recipient_changed_meanwhile(client, desk):
    browser = await client("agent")
    desk.operations.to = Identity(scheme="email", value="stranger@evil.test")
    path = f"/console/queries/{desk.ids['vpn']['reference']}/reply"
    form = {"text": "secret words", "recipient": "email ann@acme.test support-mail", "to_message": ""}
    answer = await browser.post(path, data=form, **NO_REDIRECT)
    assert answer.status == 409
    assert "secret words" in await answer.text()
    assert desk.operations.calls == []


def reply_form(**more):
    form = aiohttp.FormData(default_to_multipart=True)
    values = {"once": "word", "recipient": "email ann@acme.test support-mail", "to_message": "", "text": "Here it is."}
    for name, value in (values | more).items():
        form.add_field(name, value)
    return form


async def test_a_reply_takes_files_and_says_how_large_they_may_be(client, desk):
    path = f"/console/queries/{desk.ids['vpn']['reference']}"
    assert "at most 10, 18.8 MiB each and 25 MiB together" in await page(client, path)
    form = reply_form()
    form.add_field("files", b"\x00\xff", filename="a.bin", content_type="image/png")
    form.add_field("files", b"", filename="", content_type="application/octet-stream")
    browser = await client("agent")
    assert (await browser.post(f"{path}/reply", data=form, **NO_REDIRECT)).status == 303
    files = (Media(name="a.bin", type="image/png", data=b"\x00\xff"),)
    assert desk.operations.calls == [("reply", "agent", desk.ids["vpn"]["reference"], "Here it is.", None, files)]


async def test_files_that_are_far_too_large_leave_the_text_in_the_form(client, desk):
    form = reply_form(text="words <kept>")
    form.add_field("files", io.BytesIO(bytes(LARGEST)), filename="disk.img")
    browser = await client("agent")
    answer = await browser.post(f"/console/queries/{desk.ids['vpn']['reference']}/reply", data=form, **NO_REDIRECT)
    text = await answer.text()
    assert answer.status == 413
    assert "Nothing was sent: the files are too large" in text
    assert "words &lt;kept&gt;</textarea>" in text
    assert desk.operations.calls == []


async def test_an_instance_that_sends_no_files_offers_none(client, desk):
    desk.operations.through = "hooks"
    text = await page(client, f"/console/queries/{desk.ids['vpn']['reference']}")
    assert "No files can be sent through hooks." in text
    assert 'type="file"' not in text


@pytest.mark.parametrize(
    "body", [b"", b"--b\r\nnonsense", b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\ncut']
)
async def test_a_form_with_files_that_breaks_off_sends_nothing(client, desk, body):
    browser = await client("agent")
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    path = f"/console/queries/{desk.ids['vpn']['reference']}/reply"
    assert (await browser.post(path, data=body, headers=headers)).status == 400
    assert desk.operations.calls == []


async def test_a_query_without_a_recipient_says_why(client, desk):
    desk.operations.refuse = "the caller has no address"
    text = await page(client, f"/console/queries/{desk.ids['vpn']['reference']}")
    assert "A reply can't be sent: the caller has no address" in text


async def test_only_what_the_agent_changed_is_set(client, desk):
    browser = await client("agent")
    path = f"/console/queries/{desk.ids['vpn']['reference']}/set"
    form = {"state": "pending", "was_state": "open", "team": "network", "was_team": "network", "role": "admin"}
    assert (await browser.post(path, data=form, **NO_REDIRECT)).status == 303
    assert desk.operations.calls == [("set_query", "agent", desk.ids["vpn"]["reference"], {"state": "pending"})]


async def test_an_agent_corrects_the_triage_and_a_viewer_only_sees_it(client, desk):
    path = f"/console/queries/{desk.ids['vpn']['reference']}"
    assert "Correct it" in await page(client, path, "agent")
    assert "Correct it" not in await page(client, path, "viewer")
    form = {"type": "request", "was_type": "incident", "service": "identity", "was_service": "remote-access"}
    browser = await client("agent")
    assert (await browser.post(f"{path}/set", data=form, **NO_REDIRECT)).status == 303
    corrected = {"type": "request", "service": "identity"}
    assert desk.operations.calls[-1] == ("set_query", "agent", desk.ids["vpn"]["reference"], corrected)


async def test_notes_and_releases_are_done_in_the_agents_name(client, desk):
    browser = await client("manager")
    await browser.post(
        f"/console/queries/{desk.ids['vpn']['reference']}/note", data={"text": "seen", "once": "word1"}, **NO_REDIRECT
    )
    await browser.post("/console/parked/release", data={"id": str(desk.ids["parked"])}, **NO_REDIRECT)
    assert desk.operations.calls == [
        ("note", "manager", desk.ids["vpn"]["reference"], "seen"),
        ("release", "manager", [desk.ids["parked"]]),
    ]


async def test_the_journey_holds_all_channels_of_a_user(client, desk):
    text = await page(client, f"/console/users/{desk.ids['ann']['user']}")
    assert "VPN drops" in text
    assert "New laptop" in text
    assert "Acme Ltd" in text


async def test_parked_items_show_cause_and_trace_and_come_as_raw_download(client, desk):
    text = await page(client, "/console/parked", "manager")
    assert "parse_failed" in text
    assert "Malformed: no header" in text
    browser = await client("manager")
    answer = await browser.get(f"/console/envelopes/{desk.ids['parked']}/raw")
    assert await answer.read() == b"\xff\x00broken" * 900
    assert answer.headers["Content-Type"] == "application/octet-stream"


async def test_caught_mail_is_readable_and_raw(client, desk):
    reference = desk.ids["vpn"]["reference"]
    assert f"Your query {reference}" in await page(client, "/console/caught")
    text = await page(client, f"/console/caught/{desk.ids['caught']}/0")
    assert "To: ann@acme.test" in text
    assert "We have your message." in text


async def test_health_shows_the_books_and_the_alarms(client):
    text = await page(client, "/console/health")
    assert "The books balance" in text
    assert "silent for 26 hours" in text
    assert "1204" in text


async def test_why_names_each_rule_with_each_condition(client, desk):
    text = await page(client, f"/console/decisions/{desk.ids['decision']}")
    assert "vpn-outage" in text
    assert "4 of 4" in text
    assert "<code>channel</code>" in text
    assert "Network team asked for these" in text


def _with_many_rules(conn):
    more = "".join(f'\n[[rule]]\nname = "far-{n}"\nwhen.text.any = ["far{n}"]\nset.team = "t"\n' for n in range(RULES))
    (source,) = conn.scalars(select(t.rule_sets.c.source))
    conn.execute(update(t.rule_sets).values(source=source + more.encode()))


async def test_of_many_rules_those_that_matter_are_shown_until_all_are_asked_for(client, desk):
    await desk.store.write(_with_many_rules)
    path = f"/console/decisions/{desk.ids['decision']}"
    few, every = await page(client, path), await page(client, f"{path}?all")
    assert ("vpn-outage" in few, "far-7" in few, "?all" in few) == (True, False, True)
    assert ("vpn-outage" in every, "far-7" in every, "?all" in every) == (True, True, False)


async def test_attachments_are_downloads_of_no_type_with_a_harmless_name(client, desk):
    browser = await client("viewer")
    answer = await browser.get(f"/console/messages/{desk.ids['first']}/attachments/1")
    assert await answer.read() == b"<script>alert(1)</script>"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith("attachment; ")
    assert "<" not in disposition
    assert '"><' not in disposition
    assert "sandbox" in answer.headers["Content-Security-Policy"]


async def test_the_formatted_view_is_sandboxed_and_holds_no_script_link_or_picture(client, desk):
    browser = await client("viewer")
    answer = await browser.get(f"/console/messages/{desk.ids['first']}/html")
    text = await answer.text()
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert "<b>morning</b>" in text
    assert not any(bad in text for bad in ("<script", "onerror", "href", "src="))


async def test_what_does_not_exist_is_not_found(client):
    browser = await client("admin")
    for path in ("queries/TL-NOTHING", "users/1", "decisions/1", "messages/1/html", "envelopes/1/raw", "caught/1/0"):
        assert (await browser.get(f"/console/{path}", **NO_REDIRECT)).status == 404


async def _index(desk) -> None:
    """Every message of the sample is searchable."""
    from sqlalchemy import select

    from context_store.audit import NewEvent, add_events, seal
    from context_store.search import index_batch
    from context_store.tables import messages

    def event(number):
        return NewEvent(id=desk.store.ids.next(), kind="x", subject_id=0, message_id=number, actor="", at=1, body={})

    def fill(conn):
        add_events(conn, [event(number) for number in conn.scalars(select(messages.c.id)).all()])
        seal(conn, 1)
        index_batch(conn)

    await desk.store.write(fill)


async def test_words_of_a_message_lead_to_its_query(client, desk):
    await _index(desk)
    text = await page(client, "/console/queries?text=customer+DEMO", "viewer")
    assert f'<a class="small mono" href="/console/queries/{desk.ids["vpn"]["reference"]}">' in text
    assert "No query matches" in text
    assert "newest first, of all queries" not in await page(client, "/console/queries?text=customer+nowhere")
    assert "newest first, of all queries" not in await page(client, "/console/queries")


async def test_found_messages_go_by_pages(client, desk):
    from tests.web.sample import Sample

    def more(conn):
        for n in range(2 * FOUND):
            sample._message(conn, desk.ids["vpn"], desk.ids["ann"], text=f"outage number{n}.")

    sample = Sample(desk.store, "hash")
    await desk.store.write(more)
    await _index(desk)
    browser, path, seen = await client("agent"), "/console/queries?text=outage", []
    while path:
        text = await (await browser.get(path)).text()
        seen += [int(n) for n in re.findall(r"outage number(\d+)", text)]
        further = re.search(r'href="([^"]+#found)"', text)
        path = further and html.unescape(further.group(1)).partition("#")[0]
    assert seen == list(range(2 * FOUND))[::-1]


async def test_what_a_found_message_says_is_escaped(client, desk):
    await _index(desk)
    text = await page(client, "/console/queries?text=document+owned")
    assert "<script>document" not in text
    assert "&lt;script&gt;document" in text
