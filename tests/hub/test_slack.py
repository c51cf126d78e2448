"""Slack and a whole hub, by the Events API and by Socket Mode."""

from plugins.testing.standins import Fault
from tests.hub.stories import Line, Stories


class TestSlackByEvents(Stories):
    kind = "slack"
    more = "find_after = 0.05"

    async def test_answer_that_was_lost_on_the_way_back_is_not_sent_again(self, line: Line) -> None:
        await self._one_query(line)
        line.far.fail(Fault(kind="lost"))
        await line.reply("Once")
        await line.desk.settle()
        assert line.heard("Once") == 1
        assert await line.delivery() == [("done", None, False)]

    async def test_thread_of_a_channel_is_one_query_and_is_answered_in_it(self, line: Line) -> None:
        root = line.far.says("My vpn is down", private=False)
        await line.push(root, line.far.says("Mine too", who="bob", private=False, thread_ts=root["event"]["ts"]))
        await line.until_recorded(2)
        assert len(await line.desk.references()) == 1
        await line.reply("Try again now")
        await line.desk.settle()
        said = line.far.messages["C0HELP"][-1]
        assert (said["text"], said["thread_ts"]) == ("Try again now", root["event"]["ts"])

    async def test_echo_of_an_answer_is_no_message(self, line: Line) -> None:
        await self._one_query(line)
        await line.reply("Try again now")
        await line.desk.settle()
        said = line.far.messages["D0ANN"][-1]
        await line.push(line.far.event({**said, "channel": "D0ANN", "channel_type": "im"}))
        await line.desk.settle()
        assert len(await line.messages()) == 1

    async def test_deleted_message_is_shown_as_deleted(self, line: Line) -> None:
        said = line.far.says("My password is hunter2")
        await line.push(said, line.far.deletes(said))
        await line.until_recorded(1)
        assert await line.messages() == [""]

    async def test_person_is_asked_for_once_and_called_by_name(self, line: Line) -> None:
        await self._one_query(line)
        await line.push(line.far.says("Still down"))
        await line.until_recorded(2)
        assert await line.desk.column("SELECT name FROM identities WHERE scheme = 'slack'") == ["Ann Doe"]
        assert await line.desk.column("SELECT name FROM users WHERE name <> ''") == ["Ann Doe"]
        assert line.far.asked.count("users.info") == 1

    async def test_mail_address_of_a_profile_links_nobody_whose_issuer_is_not_trusted(self, line: Line) -> None:
        await self._one_query(line)
        assert await line.desk.column("SELECT value FROM identities WHERE scheme = 'email'") == []

    async def test_file_is_fetched_after_the_message_is_recorded(self, line: Line) -> None:
        line.far.files["F1"] = b"log lines"
        files = [{"id": "F1", "name": "a.log", "mode": "hosted"}]
        await line.push(line.far.says("See file", subtype="file_share", files=files))
        await line.until_recorded(1)
        assert await line.desk.rows("SELECT name, size FROM attachments") == [("a.log", 9)]

    async def test_challenge_of_the_address_is_answered_and_not_kept(self, line: Line) -> None:
        answers = await line.far.push({"type": "url_verification", "challenge": "abc"})
        assert answers == [200]
        assert await line.desk.number("SELECT count(*) FROM envelopes") == 0


class TestSlackBySocketMode(Stories):
    kind = "slack"
    webhook = False
    more = "find_after = 0.05"
