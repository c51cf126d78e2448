"""Files that go out with an agent's reply: through the whole hub, or refused with nothing sent."""

from contextlib import suppress
from email import message_from_bytes
from email.policy import default
from hashlib import sha256

import aiosmtplib
import pytest

from context_store import views, visits
from plugins import Media
from tests.hub.desk import Desk, message
from tests.servers import free_port
from tests.smtpsink import SmtpSink

MOST = 300_000
TABLE = """
[instance.support]
kind = "email"
address = "desk@hub.test"
max_bytes = {bytes}
listen = {{ port = {port} }}
smtp = {{ host = "127.0.0.1", port = {sink}, tls = "none" }}
"""
MAIL = b"From: Ann <ann@acme.test>\r\nTo: desk@hub.test\r\nSubject: VPN\r\nMessage-ID: <1@acme.test>\r\n\r\nHelp\r\n"
SMALL, LARGE = b"the form", bytes(range(256)) * 1100
FORM = Media(name="form.txt", type="text/plain", data=SMALL)
WRITTEN = "SELECT count(*) FROM messages WHERE author = 'agent:eve'"


@pytest.fixture
async def mailed(hub_under_test: Desk, smtp_sink: SmtpSink) -> Desk:
    """Ann has written a mail."""
    desk, port = hub_under_test, free_port()
    await desk.start(more=TABLE.format(bytes=MOST * 4 // 3, port=port, sink=smtp_sink.port))

    async def sent() -> bool:
        with suppress(aiosmtplib.SMTPConnectError):  # on PostgreSQL it listens a moment later
            await aiosmtplib.send(
                MAIL, sender="ann@acme.test", recipients=["desk@hub.test"], port=port, start_tls=False
            )
            return True
        return False

    await desk.until(sent)
    await desk.until(desk.references)
    await desk.settle()
    smtp_sink.taken.clear()
    return desk


async def reply(desk: Desk, *files: object) -> dict[str, str]:
    (reference,) = await desk.references()
    return await desk.operate("reply", "eve", reference, "Here you are.", files=files)


async def refused(desk: Desk, *files: object) -> str:
    """Why; nothing of it was kept or sent."""
    with pytest.raises(ValueError, match="nothing was sent") as error:
        await reply(desk, *files)
    await desk.settle()
    assert await desk.number(WRITTEN) == 0
    return str(error.value)


async def test_files_of_a_reply_arrive_whole_and_stand_in_the_journey(mailed: Desk, smtp_sink: SmtpSink):
    await reply(mailed, FORM, {"name": "C:\\logs\\all.bin", "type": "no type\r\n", "data": LARGE})
    await mailed.settle()
    (taken,) = smtp_sink.taken
    mail = message_from_bytes(taken.raw, policy=default)
    assert mail.get_body(("plain",)).get_content().startswith("Here you are.")
    arrived = [(part.get_filename(), part.get_content_type(), part.get_payload(decode=True))
               for part in mail.iter_attachments()]  # fmt: skip
    assert arrived == [("form.txt", "text/plain", SMALL), ("all.bin", "application/octet-stream", LARGE)]
    rows = await mailed.rows(
        "SELECT a.n, a.name, a.size, b.refs, b.data IS NULL FROM attachments a JOIN blobs b ON b.sha256 = a.sha256 "
        "JOIN messages m ON m.id = a.message_id WHERE m.direction = 'out' ORDER BY a.n"
    )
    assert [tuple(row) for row in rows] == [(0, "form.txt", 8, 1, False), (1, "all.bin", len(LARGE), 1, True)]
    assert mailed.hub.blobs.load(sha256(LARGE).digest()) == LARGE
    await seen_by_both(mailed, ["form.txt", "all.bin"])


async def seen_by_both(desk: Desk, names: list[str]) -> None:
    """By agents in the query, and by the user in the portal."""
    (reference,), (ann,) = (
        await desk.references(),
        await desk.column("SELECT id FROM identities WHERE value LIKE 'ann%'"),
    )
    root = await desk.hub.store.read(views.find_query, reference)
    shown = await desk.hub.store.read(views.show_query, root)
    assert [file.name for file in shown.messages[-1].attachments] == names
    _, files = await desk.hub.store.read(visits.lines, ann, reference)
    assert [file.name for file in files] == names
    found = await desk.hub.store.read(visits.file, ann, shown.messages[-1].id, 0)
    assert await desk.hub.store.read(desk.hub.blobs.get, found.sha256) == SMALL


async def test_same_bytes_in_two_replies_are_kept_once_with_two_references(mailed: Desk):
    for _ in range(2):
        await reply(mailed, FORM)
    assert await mailed.column("SELECT refs FROM blobs WHERE size = 8") == [2]
    await mailed.settle()


async def test_files_that_are_too_many_too_large_or_empty_are_refused_with_nothing_sent(
    mailed: Desk, smtp_sink: SmtpSink
):
    assert "all.bin is too large" in await refused(mailed, Media(name="all.bin", data=bytes(MOST + 1)))
    assert "11 files are too many" in await refused(mailed, *[FORM] * 11)
    assert "none.txt is empty" in await refused(mailed, FORM, Media(name="none.txt", data=b""))
    assert smtp_sink.taken == []


async def test_channel_that_sends_no_files_refuses_the_reply_and_takes_its_text_alone(desk: Desk):
    await desk.say(message("m1"))
    assert "through chat" in await refused(desk, FORM)
    await reply(desk)
    await desk.settle()
    assert await desk.number(WRITTEN) == 1
    assert desk.far("chat").bodies()[-1] == b"ann: Here you are."


async def test_note_takes_no_files(mailed: Desk):
    (reference,) = await mailed.references()
    with pytest.raises(ValueError, match="a note takes no files"):
        await mailed.operate("reply", "eve", reference, "Look.", public=False, files=[FORM])
    assert await mailed.number("SELECT count(*) FROM messages WHERE kind = 'note'") == 0
