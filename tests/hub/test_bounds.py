"""Whatever a channel brings, what goes on behind the parser is small, and nothing of it is lost (R10, R11)."""

from datetime import UTC, datetime
from hashlib import sha256

import msgspec
import pytest

from hub.bounds import MOST_FIELD, MOST_FIELD_NAME, MOST_FIELDS, MOST_HTML, MOST_MEDIA, MOST_SUBJECT, bounded
from plugins import MOST_TEXT, Claim, Edited, Fold, Identity, Media, Message, Ticket
from tests.hub.desk import Desk, mail, message

AT = datetime(2026, 11, 20, 9, tzinfo=UTC)
CLAIM = Claim(identity=Identity(scheme="chat", value="ann"))


def small(**more) -> Message:
    return Message(key="k", sender=CLAIM, at=AT, **more)


def test_ordinary_message_is_left_as_it_is():
    item = small(text="x" * MOST_TEXT, subject="VPN  down", fields={"floor": "3"})
    assert bounded(item) is item


def test_long_text_is_cut_says_so_and_is_attached_whole():
    text = "ä" * (MOST_TEXT + 1)
    item = bounded(small(text=text, media=[Media(name="a.txt", data=b"x")], fields={"limits": "depth"}))
    assert len(item.text) == MOST_TEXT
    assert f"All {MOST_TEXT + 1} characters of it are in the attachment message.txt." in item.text
    assert [(m.name, m.type) for m in item.media] == [
        ("message.txt", "text/plain"), ("a.txt", "application/octet-stream"),
    ]  # fmt: skip
    assert item.media[0].data == text.encode()
    assert item.fields["limits"] == "depth,message"


def test_folds_end_where_the_text_does():
    folds = [Fold(start=0, end=9, kind="quote"), Fold(start=10, end=MOST_TEXT + 5, kind="quote")]
    item = bounded(small(text="x" * (MOST_TEXT + 9), folds=folds))
    assert list(item.folds) == folds[:1]


def test_long_html_subject_and_fields_are_attached_whole():
    fields = {"note": "n" * (MOST_FIELD + 1), "x" * (MOST_FIELD_NAME + 1): "y"}
    item = bounded(small(html="<p>" + "h" * MOST_HTML, subject="s" * (MOST_SUBJECT + 1), fields=fields))
    assert (item.html, len(item.subject)) == ("", MOST_SUBJECT)
    assert {name: len(value) for name, value in item.fields.items() if name != "limits"} == {
        "note": MOST_FIELD, "x" * MOST_FIELD_NAME: 1,
    }  # fmt: skip
    whole = {media.name: media.data for media in item.media}
    assert whole["subject.txt"] == b"s" * (MOST_SUBJECT + 1)
    assert whole["fields.txt"] == "\n".join(f"{n}: {v}" for n, v in fields.items()).encode()
    assert item.fields["limits"] == "message,subject,fields"


def test_many_fields_and_attachments_are_bounded_by_name():
    fields = {str(n): "" for n in range(MOST_FIELDS + 50)}
    item = bounded(small(fields=fields, media=[Media(name=str(n)) for n in range(MOST_MEDIA + 1)]))
    assert len(item.fields) == MOST_FIELDS + 1
    assert len(item.media) == MOST_MEDIA + 1
    assert item.fields["limits"] == "fields,attachments"


@pytest.mark.parametrize("end", ["\r\n", "\n", "\0", "\x1b", "\x85", "\u2028", "\u2029"])
def test_subjects_and_names_stand_on_one_line(end):
    named = msgspec.structs.replace(CLAIM, name=f"Ann{end}Lee")
    item = bounded(
        small(subject=f"VPN{end}down", claims=[named], media=[Media(name=f"a{end}b", type=f"text/{end}plain")])
    )
    item = bounded(msgspec.structs.replace(item, sender=named))
    assert (item.subject, item.sender.name, item.claims[0].name) == ("VPN down", "Ann Lee", "Ann Lee")
    assert (item.media[0].name, item.media[0].type) == ("a b", "text/ plain")


def test_edits_and_tickets_are_bounded():
    edited = bounded(Edited(key="e", of="m", at=AT, text="x" * (MOST_TEXT + 1)))
    assert isinstance(edited, Edited)
    assert len(edited.text or "") == MOST_TEXT
    ticket = bounded(Ticket(key="t", ticket="1", fields={"note": "n" * 9000}))
    assert isinstance(ticket, Ticket)
    assert len(ticket.fields["note"]) == MOST_FIELD


async def test_big_form_beside_a_small_message_is_parsed_apart_and_kept_whole(desk: Desk):
    text = "abcdefgh " * (8 << 17)  # 9 MiB
    assert await desk.post(message("big", text=text, sender="ann"), to="chat", lane="ann") == 200
    assert await desk.post(message("small", text="vpn", sender="bob"), to="chat", lane="bob") == 200
    await desk.settle()
    assert await desk.column("SELECT max(length(text)) FROM messages") == [MOST_TEXT]
    ((sha, size),) = await desk.rows("SELECT sha256, size FROM attachments")
    assert (bytes(sha), size) == (sha256(text.encode()).digest(), len(text))
    bodies = await desk.column("SELECT max(length(body)) FROM outbox")
    assert bodies[0] < 2 * MOST_TEXT


async def test_small_messages_overtake_a_large_one_but_not_in_its_lane(desk: Desk):
    await desk.hold_pipeline()
    await desk.post(message("big", text="x " * (1 << 18), sender="ann"), lane="ann")
    await desk.post(message("behind", sender="ann"), lane="ann")
    await desk.post(message("other", sender="bob"), lane="bob")
    await desk.resume_pipeline()
    await desk.settle()
    assert await desk.column("SELECT key FROM messages WHERE direction = 'in' ORDER BY id") == [
        "other",
        "big",
        "behind",
    ]


async def test_line_ends_in_a_subject_leave_the_query_answerable(desk: Desk):
    await desk.say(mail("m1", subject="VPN\r\nBcc: eve@evil.test\u2028!", assurance=1, name="Ann\nLee"), to="mail")
    (reference,) = await desk.references()
    await desk.operate("reply", "ann", reference, "we are on it")
    await desk.settle()
    assert await desk.column("SELECT subject FROM queries") == ["VPN Bcc: eve@evil.test !"]
    assert await desk.column("SELECT name FROM identities") == ["Ann Lee"]
    assert all("\n" not in body["subject"] for body in await desk.sent())


async def test_field_that_a_sender_names_like_ours_is_not_ours(desk: Desk):
    await desk.say(message("m1", fields={"fallback": "email:eve@evil.test"}))
    (fields,) = await desk.column("SELECT fields FROM messages WHERE direction = 'in'")
    assert msgspec.json.decode(fields) == {"said fallback": "email:eve@evil.test"}


async def test_where_a_sender_wants_answers_is_shown_and_not_followed(desk: Desk):
    elsewhere = Identity(scheme="email", value="eve@evil.test")
    await desk.say(mail("m1", assurance=1, reply_to=elsewhere), to="mail")
    (fields,) = await desk.column("SELECT fields FROM messages WHERE direction = 'in'")
    assert msgspec.json.decode(fields) == {"reply-to": "email:eve@evil.test"}
    assert [body["to"]["value"] for body in await desk.sent()] == ["ann@acme.test"]
