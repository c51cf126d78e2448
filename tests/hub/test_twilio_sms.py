"""Text messages over Twilio and a whole hub."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from plugins.testing.standins import serve
from tests.hub.desk import installed
from tests.hub.stories import Line, Stories

PUBLIC = "https://desk.acme.test"


@asynccontextmanager
async def behind_a_proxy(stories: Stories, folder: Path) -> AsyncIterator[Line]:
    """Twilio signs the URL that it calls, so the hub must know it."""
    async with serve(stories.kind) as far, installed(folder, "") as desk:
        far.hook = "soon"
        await desk.start(more=stories.toml(folder, far), horizon=300.0, store=f'public_url = "{PUBLIC}"')
        far.hook = f"http://127.0.0.1:{desk.hub.port}/in/vendor/"
        far.public = f"{PUBLIC}/in/vendor/"
        yield Line(desk, far)


class TestTwilioSms(Stories):
    kind = "twilio_sms"
    more = "find_lag = 0.1"

    @pytest.fixture
    async def line(self, short_folder: Path) -> AsyncIterator[Line]:
        async with behind_a_proxy(self, short_folder) as line:
            yield line

    async def test_states_of_an_answer_move_forward_only(self, line: Line) -> None:
        await self._one_query(line)
        await line.reply("Try again")
        await line.desk.settle()
        sid = line.far.heard[-1].ref
        assert line.far.callbacks[sid] == f"{line.far.public}status"
        for state in ("delivered", "sent"):
            assert await line.far.tell(line.far.becomes(sid, state)) == 200
        await line.desk.settle()
        assert await self._delivery_of(line, "Try again") == "delivered"

    async def test_answer_that_never_arrived_says_why(self, line: Line) -> None:
        await self._one_query(line)
        await line.reply("Try again")
        await line.desk.settle()
        await line.far.tell(line.far.becomes(line.far.heard[-1].ref, "undelivered", 30003))
        await line.desk.settle()
        assert await self._delivery_of(line, "Try again") == "failed"
        said = await line.desk.column("SELECT body FROM events WHERE kind = 'message.failed'")
        assert "recipient_unknown" in said[0]

    async def test_who_wrote_stop_gets_no_answer_until_start(self, line: Line) -> None:
        await self._one_query(line)
        await line.push(line.far.says("STOP"))
        await line.desk.settle()
        assert await line.desk.column("SELECT barred FROM identities WHERE scheme = 'tel'") == ["opted_out"]
        await line.push(line.far.says("START"))
        await line.desk.settle()
        await line.reply("Welcome back")
        await line.desk.settle()
        assert line.heard("Welcome back") == 1

    @staticmethod
    async def _delivery_of(line: Line, text: str) -> str:
        return (await line.desk.column("SELECT delivery FROM messages WHERE text = :text", text=text))[0]
