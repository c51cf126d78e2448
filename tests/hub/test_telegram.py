"""Telegram and a whole hub, by webhook and by long poll."""

from tests.hub.stories import Line, Stories


class TestTelegramByWebhook(Stories):
    kind = "telegram"

    async def test_long_answer_arrives_in_parts_in_order(self, line: Line) -> None:
        await self._one_query(line)
        line.far.burst = 1
        await line.reply("word " * 2000)
        await line.desk.settle()
        parts = [each.text for each in line.far.heard][-3:]
        assert [part.count("word") for part in parts] == [819, 819, 362]
        assert line.far.refused == []  # none came too early

    async def test_person_who_blocked_the_bot_is_answered_no_more(self, line: Line) -> None:
        await self._one_query(line)
        chat = {"id": 7000000001, "type": "private"}
        said = {"chat": chat, "from": {"id": 7000000001}, "date": 1, "new_chat_member": {"status": "kicked"}}
        await line.push({"update_id": 999, "my_chat_member": said})
        await line.desk.settle()
        assert await line.desk.column("SELECT barred FROM identities WHERE scheme = 'telegram'") == ["blocked"]

    async def test_file_is_fetched_after_the_message_is_recorded(self, line: Line) -> None:
        line.far.files["f1"] = b"log lines"
        await line.push(line.far.says("See file", document={"file_id": "f1", "file_name": "a.log"}))
        await line.until_recorded(1)
        assert await line.desk.rows("SELECT name, size FROM attachments") == [("a.log", 9)]

    async def test_largest_file_that_telegram_gives_is_fetched(self, line: Line) -> None:
        line.far.files["f1"] = bytes(20 << 20)
        await line.push(line.far.says("See file", document={"file_id": "f1", "file_name": "a.iso"}))
        await line.until_recorded(1)
        assert await line.desk.rows("SELECT name, size FROM attachments") == [("a.iso", 20 << 20)]
        assert await line.desk.column("SELECT DISTINCT state FROM outbox WHERE kind = 'need'") == ["done"]


class TestTelegramByLongPoll(Stories):
    kind = "telegram"
    webhook = False
    more = "poll = 1"
