"""What happens between people, a vendor and a whole hub: told once, held against every connector with a stand-in.

    class TestTelegramStories(Stories):
        kind = "telegram"

The instance is called `vendor`; `more` are further lines of its table.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from plugins.testing.standins import Fault, StandIn, serve
from tests.hub.desk import Desk, installed

TABLE = """
[hub.egress]
allow = ["127.0.0.0/8"]
timeout = 2.0
[instance.vendor]
kind = "{kind}"
{settings}
{more}
"""


class Line:
    """A hub with one instance, and the vendor that it talks to."""

    def __init__(self, desk: Desk, far: StandIn) -> None:
        self.desk, self.far = desk, far

    async def push(self, *events: object, **how: bool | int) -> list[int]:
        answers = await self.far.push(*events, **how)  # type: ignore[arg-type]
        assert set(answers) <= {200, 202, 204}
        return answers

    async def messages(self) -> list[str]:
        """Texts as recorded, oldest first."""
        return await self.desk.column("SELECT text FROM messages WHERE direction = 'in' ORDER BY id")

    async def until_recorded(self, number: int) -> None:
        """Until so many messages are there and nothing is left to do."""

        async def all_there() -> bool:
            return len(await self.messages()) >= number

        await self.desk.until(all_there)
        await self.desk.settle()

    async def reply(self, text: str) -> None:
        """An agent answers the first query."""
        [reference, *_] = await self.desk.references()
        await self.desk.operate("reply", "eve", reference, text)

    def heard(self, text: str) -> int:
        """How often people saw it."""
        return sum(text in each.text for each in self.far.heard)

    async def delivery(self) -> list[tuple[str, str | None, bool]]:
        """(state, cause, flagged) of the last delivery."""
        rows = await self.desk.rows(
            "SELECT state, cause, maybe_duplicate FROM outbox WHERE kind = 'delivery' ORDER BY id"
        )
        return [tuple(rows[-1])]


class Stories:
    """Subclass it; every story is one test."""

    kind: ClassVar[str]
    more: ClassVar[str] = ""
    webhook: ClassVar[bool] = True

    @pytest.fixture
    async def line(self, short_folder: Path) -> AsyncIterator[Line]:
        async with serve(self.kind) as far, installed(short_folder, "") as desk:
            far.burst = 1  # what it documents, and no more
            far.hook = "soon" if self.webhook else ""
            await desk.start(more=self.toml(short_folder, far), horizon=300.0)
            if self.webhook:
                far.hook = f"http://127.0.0.1:{desk.hub.port}/in/vendor/"
            yield Line(desk, far)

    def toml(self, folder: Path, far: StandIn) -> str:
        for name, value in far.environ.items():
            (folder / name).write_text(value)
            (folder / name).chmod(0o600)
        lines = (f"{key} = {msgspec.json.encode(value).decode()}" for key, value in far.table.items())
        settings = "\n".join(lines).replace('"env:', '"file:')
        return TABLE.format(kind=self.kind, settings=settings, more=self.more)

    async def test_message_becomes_a_query_and_the_answer_reaches_its_sender(self, line: Line) -> None:
        await line.push(line.far.says("My vpn is down"))
        await line.until_recorded(1)
        assert await line.messages() == ["My vpn is down"]
        await line.reply("Try again now")
        await line.desk.settle()
        assert line.heard("Try again now") == 1
        assert line.far.refused == []
        assert await line.delivery() == [("done", None, False)]

    async def test_events_twice_and_backwards_are_recorded_once_with_their_edits(self, line: Line) -> None:
        said = line.far.says("Firts")
        events = [said, line.far.edits(said, "First"), line.far.says("Second")]
        await line.push(*(event for event in events if event is not None), times=2, backwards=True)
        await line.until_recorded(2)
        edited = "First" if events[1] is not None else "Firts"
        assert sorted(await line.messages()) == sorted([edited, "Second"])

    async def test_answer_that_came_too_fast_goes_out_once_a_little_later(self, line: Line) -> None:
        await self._one_query(line)
        line.far.fail(Fault(status=429, after=1))
        await line.reply("Patience")
        await line.desk.settle()
        assert line.heard("Patience") == 1
        assert await line.delivery() == [("done", None, False)]

    @pytest.mark.parametrize("kind", ["lost", "half_open"])
    async def test_answer_whose_outcome_is_unknown_arrives_and_a_second_one_is_flagged(
        self, line: Line, kind: str
    ) -> None:
        await self._one_query(line)
        line.far.fail(Fault(kind=kind))  # type: ignore[arg-type]
        await line.reply("Once")
        await line.desk.settle()
        [(state, _, flagged)] = await line.delivery()
        assert state == "done"
        assert line.heard("Once") == 1 or (flagged and line.heard("Once") == 2)

    async def test_refusal_is_a_named_state_that_is_not_tried_again(self, line: Line) -> None:
        await self._one_query(line)
        line.far.trouble = next(name for name in line.far.troubles if name != "token_revoked")
        await line.reply("Are you there?")
        await line.desk.settle()
        assert await line.delivery() == [("parked", line.far.trouble, False)]
        assert len(line.far.refused) == 1
        assert await line.desk.column("SELECT delivery FROM messages ORDER BY id DESC LIMIT 1") == ["failed"]

    async def test_revoked_credentials_hold_the_work_and_raise_an_alarm_until_they_are_mended(self, line: Line) -> None:
        if "token_revoked" not in line.far.troubles:
            pytest.skip("it has no credentials that can be revoked")
        await self._one_query(line)
        line.far.trouble = "token_revoked"
        await line.reply("Held back")
        await line.desk.until(line.desk.alarms)
        assert await line.desk.alarms() == ["paused:vendor"]
        line.far.trouble = ""
        line.desk.clock.by += timedelta(minutes=10)
        await line.desk.settle()
        assert line.heard("Held back") == 1
        assert await line.desk.alarms() == []

    async def test_public_words_never_continue_a_private_matter(self, line: Line) -> None:
        await line.push(line.far.says("Between us"))
        await line.until_recorded(1)
        spoken = line.far.says("In front of all", private=False)
        if spoken is None:
            pytest.skip("it has no public messages")
        await line.push(spoken)
        await line.until_recorded(2)
        assert len(await line.desk.references()) == 2
        await line.reply("Only for you")
        await line.desk.settle()
        assert [each.public for each in line.far.heard if "Only for you" in each.text] == [False]

    async def test_what_came_while_the_hub_was_down_comes_in_after_it(self, line: Line) -> None:
        await self._one_query(line)
        await line.desk.stop()
        late = line.far.says("While you slept")
        if not self.webhook:
            await line.push(late)
        await line.desk.start()
        if self.webhook:
            line.far.hook = f"http://127.0.0.1:{line.desk.hub.port}/in/vendor/"
            await line.push(late)
        await line.until_recorded(2)
        assert (await line.messages())[-1] == "While you slept"

    async def test_forged_event_is_refused_and_nothing_is_kept(self, line: Line) -> None:
        if not self.webhook:
            pytest.skip("it has no webhook")
        answer = await line.desk.call("vendor", b'{"update_id": 1}')
        assert answer.status == 401
        assert await line.desk.number("SELECT count(*) FROM envelopes") == 0

    async def _one_query(self, line: Line) -> None:
        await line.push(line.far.says("My vpn is down"))
        await line.until_recorded(1)
