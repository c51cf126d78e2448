"""Mastodon and a whole hub."""

from plugins.testing.standins import Fault
from tests.hub.stories import Line, Stories


class TestMastodonStories(Stories):
    kind = "mastodon"
    webhook = False
    more = "poll = 0.2"

    async def test_public_question_is_answered_where_it_was_asked(self, line: Line) -> None:
        await line.push(line.far.says("Is the vpn down?", private=False))
        await line.until_recorded(1)
        await line.reply("Yes, until noon")
        await line.desk.settle()
        assert [each.public for each in line.far.heard if "until noon" in each.text] == [True]

    async def test_direct_message_under_a_public_thread_is_answered_directly(self, line: Line) -> None:
        spoken = line.far.says("Is the vpn down?", private=False)
        await line.push(spoken, line.far.says("My number is 5", in_reply_to_id=spoken["status"]["id"]))
        await line.until_recorded(2)
        await line.push(line.far.says("Still down?", private=False, in_reply_to_id=spoken["status"]["id"]))
        await line.until_recorded(3)
        await line.reply("Only for you")
        await line.desk.settle()
        assert [each.public for each in line.far.heard if "Only for you" in each.text] == [False]

    async def test_lost_answer_goes_out_once_and_is_no_possible_duplicate(self, line: Line) -> None:
        await self._one_query(line)
        line.far.fail(Fault(kind="lost"))
        await line.reply("Once")
        await line.desk.settle()
        assert line.heard("Once") == 1
        assert await line.delivery() == [("done", None, False)]

    async def test_parts_of_a_long_answer_follow_each_other(self, line: Line) -> None:
        await self._one_query(line)
        await line.reply("word " * 200)
        await line.desk.settle()
        *_, first, second, third = line.far.heard
        above = [line.far.statuses[each.ref]["in_reply_to_id"] for each in (second, third)]
        assert above == [first.ref, second.ref]
        assert line.far.refused == []

    async def test_edit_and_deletion_of_known_posts_are_recorded(self, line: Line) -> None:
        first, second = line.far.says("Firts"), line.far.says("Second")
        await line.push(first, second)
        await line.until_recorded(2)
        await line.push(line.far.edits(first, "First"), line.far.deletes(second))

        async def changed() -> bool:
            return sorted(await line.messages()) == ["", "First"]

        await line.desk.until(changed)

    async def test_file_is_fetched_after_the_message_is_recorded(self, line: Line) -> None:
        line.far.files["a.png"] = b"image"
        file = {"id": "1", "type": "image", "url": f"{line.far.url}/system/a.png"}
        await line.push(line.far.says("See file", media_attachments=[file]))
        await line.until_recorded(1)
        assert await line.desk.rows("SELECT name, size FROM attachments") == [("a.png", 5)]
        assert line.far.refused == []
