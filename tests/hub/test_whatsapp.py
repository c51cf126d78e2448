"""WhatsApp and a whole hub."""

from datetime import timedelta

from plugins.testing.standins import Fault
from tests.hub.stories import Line, Stories


class TestWhatsAppStories(Stories):
    kind = "whatsapp"
    more = 'template = { name = "answer_waiting", language = "en" }'

    async def test_receipts_move_the_delivery_forward_and_never_back(self, line: Line) -> None:
        await self._one_query(line)
        await line.reply("Try again now")
        await line.desk.settle()
        ref = line.far.heard[-1].ref
        for state in ("read", "delivered", "sent"):
            await line.push(line.far.status(ref, state))
            await line.desk.settle()
        assert await line.desk.column("SELECT delivery FROM messages ORDER BY id DESC LIMIT 1") == ["read"]

    async def test_answer_that_whatsapp_fails_to_deliver_is_a_failed_delivery_with_its_reason(self, line: Line) -> None:
        await self._one_query(line)
        await line.reply("Try again now")
        await line.desk.settle()
        errors = [{"code": 131026, "title": "Message undeliverable"}]
        await line.push(line.far.status(line.far.heard[-1].ref, "failed", errors=errors))
        await line.desk.settle()
        assert await line.desk.column("SELECT delivery FROM messages ORDER BY id DESC LIMIT 1") == ["failed"]
        [body, *_] = await line.desk.column("SELECT body FROM events WHERE kind = 'message.failed'")
        assert "recipient_unknown: 131026 Message undeliverable" in body

    async def test_failure_that_is_told_before_the_request_is_answered_is_not_forgotten(self, line: Line) -> None:
        await self._one_query(line)
        before = len(line.far.heard)
        line.far.fail(Fault(kind="slow", after=1.0))
        await line.reply("Try again now")

        async def heard() -> bool:
            return len(line.far.heard) > before

        await line.desk.until(heard)
        errors = [{"code": 131026, "title": "Message undeliverable"}]
        await line.push(line.far.status(line.far.heard[-1].ref, "failed", errors=errors))
        await line.desk.settle()
        assert await line.delivery() == [("done", None, False)]
        assert await line.desk.column("SELECT delivery FROM messages ORDER BY id DESC LIMIT 1") == ["failed"]

    async def test_answer_after_the_window_goes_out_in_the_template_or_is_parked_by_name(self, line: Line) -> None:
        await self._one_query(line)
        line.desk.clock.by += timedelta(hours=25)
        line.far.closed = True
        await line.reply("Still there?")
        await line.desk.settle()
        assert line.heard("Still there?") == 1
        assert await line.delivery() == [("done", None, False)]
        await line.reply("Too long " * 200)
        await line.desk.settle()
        assert await line.delivery() == [("parked", "too_long", False)]
        assert line.heard("Too long") == 0

    async def test_window_that_only_whatsapp_knows_closed_is_answered_with_the_template(self, line: Line) -> None:
        await self._one_query(line)
        line.far.closed = True
        await line.reply("Still there?")
        await line.desk.settle()
        assert (line.heard("Still there?"), len(line.far.refused)) == (1, 1)
        assert await line.delivery() == [("done", None, False)]

    async def test_what_our_side_wrote_in_the_app_stands_in_the_query_and_is_acknowledged_by_nobody(
        self, line: Line
    ) -> None:
        await self._one_query(line)
        heard = len(line.far.heard)
        event = line.far.says("On my way")
        value = event["entry"][0]["changes"][0]["value"]
        [said] = value.pop("messages")
        who = {"from": "15550783881", "to": said["from"], "to_user_id": said["from_user_id"]}
        value["message_echoes"] = [{"id": said["id"], "type": "text", "text": said["text"], **who}]
        await line.push(event)
        await line.desk.settle()
        assert await line.desk.column("SELECT text FROM messages WHERE direction = 'out' AND author = ''") == [
            "On my way"
        ]
        assert (len(await line.desk.references()), len(line.far.heard)) == (1, heard)

    async def test_file_is_fetched_after_the_message_is_recorded(self, line: Line) -> None:
        line.far.files["f1"] = ("text/plain", b"log lines")
        file = {"id": "f1", "filename": "a.log", "caption": "See file"}
        await line.push(line.far.says("", type="document", document=file))
        await line.until_recorded(1)
        assert await line.desk.rows("SELECT name, size FROM attachments") == [("a.log", 9)]

    async def test_what_was_revoked_stays_so_whatever_comes_late(self, line: Line) -> None:
        said = line.far.says("My password is hunter2")
        await line.push(said)
        [original] = said["entry"][0]["changes"][0]["value"]["messages"]
        changed = [line.far.edits(said, "My password is secret") for _ in range(2)]
        [revoke], [older] = (event["entry"][0]["changes"][0]["value"]["messages"] for event in changed)
        revoke |= {"type": "revoke", "revoke": {"original_message_id": original["id"]}}
        del revoke["edit"]
        for each, later in ((revoke, 10), (older, 5)):
            each["timestamp"] = str(int(original["timestamp"]) + later)
        for event in changed:
            await line.push(event)
            await line.desk.settle()
        assert await line.messages() == [""]
        assert await line.desk.events("message.deleted", "message.edited") == ["message.deleted", "message.edited"]
