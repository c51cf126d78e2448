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

    async def test_nobody_edits_what_somebody_else_wrote(self, line: Line) -> None:
        said = line.far.says("Mine", private=False)
        edited = line.far.edits(said, "Yours")
        edited["event"]["message"]["user"] = line.far.people["bob"]
        await line.push(said, line.far.says("Hello", who="bob", private=False), edited)
        await line.until_recorded(2)
        assert sorted(await line.messages()) == ["Hello", "Mine"]
        assert await line.desk.events("message.edit_refused") == ["message.edit_refused"]

    async def test_person_is_asked_for_once_and_called_by_name(self, line: Line) -> None:
        await self._one_query(line)
        await line.push(line.far.says("Still down"))
        await line.until_recorded(2)
        assert await line.desk.column("SELECT name FROM identities WHERE scheme = 'slack'") == ["Ann Doe"]
        assert await line.desk.column("SELECT name FROM users WHERE name <> ''") == ["Ann Doe"]
        assert await line.desk.column("SELECT value FROM identities WHERE scheme = 'email'") == []  # nobody vouches
        assert line.far.asked.count("users.info") == 1

    async def test_file_is_fetched_after_the_message_is_recorded(self, line: Line) -> None:
        line.far.files["F1"] = b"log lines"
        files = [{"id": "F1", "name": "a.log", "mode": "hosted"}]
        await line.push(line.far.says("See file", subtype="file_share", files=files))
        await line.until_recorded(1)
        assert await line.desk.rows("SELECT name, size FROM attachments") == [("a.log", 9)]


class TestSlackBySocketMode(Stories):
    kind = "slack"
    webhook = False
    more = "find_after = 0.05"

    # What goes out does not depend on how events come in.
    test_answer_that_came_too_fast_goes_out_once_a_little_later = None
    test_answer_whose_outcome_is_unknown_arrives_and_a_second_one_is_flagged = None
    test_refusal_is_a_named_state_that_is_not_tried_again = None
    test_revoked_credentials_hold_the_work_and_raise_an_alarm_until_they_are_mended = None

    async def test_connections_that_go_again_and_again_lose_and_double_nothing(self, line: Line) -> None:
        for n in range(4):
            await line.push(line.far.says(f"line {n}"))
            if line.far.links:
                await (line.far.disconnect("refresh_requested") if n % 2 else line.far.links[-1].close())
        await line.until_recorded(4)
        assert await line.messages() == [f"line {n}" for n in range(4)]
        assert line.far.waiting == {}
