"""Telephone calls over Twilio and a whole hub: what a caller does is a journey while the call runs."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from plugins.testing.standins.twilio_calls import Phone, TwilioVoice
from tests.connectors.twilio.menus import PARTS
from tests.hub.desk import Desk, installed
from tests.hub.test_twilio_sms import PUBLIC

RULES = """
[[rule]]
name = "vpn by telephone"
when.channel = ["phone"]
when.fields.main = ["help"]
when.fields.about = ["vpn"]
set.type = "incident"
set.urgency = "high"
[[rule]]
name = "abandoned"
when.fields.call = ["over"]
set.type = "feedback"
[default]
set.type = "unknown"
set.impact = "person"
set.urgency = "medium"
set.target = "tool"
[matrix]
person = { low = "P5", medium = "P4", high = "P3", critical = "P2" }
team = { low = "P4", medium = "P3", high = "P3", critical = "P2" }
department = { low = "P4", medium = "P3", high = "P2", critical = "P1" }
organisation = { low = "P3", medium = "P2", high = "P1", critical = "P1" }
"""
MENU = {**PARTS["menu"], "open": {"do": "say", "say": "We take a message.", "next": "voicemail"}}
MENU = {name: node for name, node in MENU.items() if name not in ("agent", "line")}


def inline(value: Any) -> str:
    """TOML of plain values."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{name}" = {inline(each)}' for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)


class Line:
    def __init__(self, desk: Desk, far: TwilioVoice) -> None:
        self.desk, self.far = desk, far

    async def said(self) -> list[str]:
        await self.desk.settle()
        return await self.desk.column("SELECT text FROM messages WHERE direction = 'in' ORDER BY id")

    async def query(self, n: int = 0) -> Any:
        rows = await self.desk.rows("SELECT type, urgency, service, target, id FROM queries WHERE id = root_id")
        return rows[n]

    async def held(self) -> list[str]:
        await self.desk.settle()
        return await self.desk.column("SELECT author FROM holds WHERE ended_at IS NULL")


@pytest.fixture
async def line(request: pytest.FixtureRequest, short_folder: Path) -> AsyncIterator[Line]:
    """With the menu of a test's own, where it has one."""
    menu = getattr(request, "param", MENU)
    async with TwilioVoice() as far, installed(short_folder, "") as desk:
        (short_folder / "token").write_text(far.environ["TWILIO_TOKEN"])
        (short_folder / "token").chmod(0o600)
        table = {**far.table, **PARTS, "menu": menu, "tokens": ["file:token"]}
        if menu is MENU:
            del table["hours"]
        settings = "\n".join(f"{name} = {inline(value)}" for name, value in table.items())
        more = f'[hub.egress]\nallow = ["127.0.0.0/8"]\n[instance.vendor]\nkind = "twilio_voice"\n{settings}\n'
        desk.rules = RULES
        await desk.start(more=more, store=f'public_url = "{PUBLIC}"')
        far.hook, far.public = f"http://127.0.0.1:{desk.hub.port}/in/vendor/", f"{PUBLIC}/in/vendor/"
        yield Line(desk, far)


async def to_the_message(phone: Phone) -> None:
    await phone.press("1")
    await phone.press("1")
    await phone.speak("AnyConnect fails since eight")


async def test_call_is_a_thread_of_messages_while_it_runs(line: Line) -> None:
    phone = await line.far.call()
    assert await line.said() == ["Call from +15550001111 to +15550002222"]
    await phone.press("1")
    assert (await line.said())[1:] == ["main: help"]
    await phone.press("1")
    await phone.speak("AnyConnect fails since eight")
    assert (await line.said())[2:] == ["about: vpn", "AnyConnect fails since eight"]
    await phone.leave("It is my laptop", seconds=4, sound=b"sound")
    await phone.hang_up()
    assert (await line.said())[4:] == ["Voice message, 4 s", "It is my laptop", "The call is over (completed, 34 s)."]
    assert await line.desk.rows("SELECT name, size FROM attachments") == [("voice-message.mp3", 5)]
    assert await line.desk.number("SELECT count(DISTINCT thread_id) FROM messages WHERE direction = 'in'") == 1
    assert len(await line.desk.references()) == 1


async def test_rules_see_all_choices_and_nothing_goes_out_before(line: Line) -> None:
    phone = await line.far.call()
    await phone.press("1")
    assert await line.held() == ["hub"]
    assert (await line.query())[:1] == ("unknown",)
    assert await line.desk.number("SELECT count(*) FROM outbox WHERE kind = 'dispatch'") == 0
    await phone.press("1")
    await phone.speak("AnyConnect fails since eight")
    assert await line.held() == []
    assert (await line.query())[:4] == ("incident", "high", "remote-access", "tool")
    [body] = await line.desk.column("SELECT body FROM outbox WHERE kind = 'dispatch'")
    assert all(words in body for words in ("main: help", "about: vpn", "AnyConnect"))
    assert "query.let_go" in await line.desk.events()


async def test_caller_who_hangs_up_in_the_menu_is_a_query_with_what_was_chosen(line: Line) -> None:
    phone = await line.far.call()
    await phone.press("1")
    await phone.hang_up()
    assert await line.held() == []
    assert (await line.query())[0] == "feedback"
    stored = await line.desk.column("SELECT facts FROM decisions ORDER BY id DESC LIMIT 1")
    assert '"main":"help"' in stored[0]


async def test_call_whose_end_is_never_told_stays_visible_until_an_agent_lets_it_go(line: Line) -> None:
    await line.far.call()
    assert await line.held() == ["hub"]
    [reference] = await line.desk.references()
    await line.desk.operate("let_go", "eve", reference)
    assert await line.held() == []
    assert (await line.query())[3] == "tool"


async def test_what_an_agent_set_during_the_call_is_not_judged_away(line: Line) -> None:
    phone = await line.far.call()
    await line.desk.settle()
    [reference] = await line.desk.references()
    await line.desk.operate("set_query", "eve", reference, {"type": "complaint"})
    await to_the_message(phone)
    assert len(await line.said()) == 4
    assert (await line.query())[0] == "complaint"


async def test_pin_continues_its_query_with_all_that_was_said_before(line: Line) -> None:
    await to_the_message(await line.far.call())
    await line.desk.settle()
    [reference] = await line.desk.references()
    pin = (await line.desk.operate("issue_pin", "eve", reference))["pin"]
    phone = await line.far.call("bob")
    await phone.press("2")
    await phone.press("000000000")
    assert "step/pin" in phone.waits.get("action")
    await phone.press(pin)
    assert phone.waits.tag == "Record"
    await phone.leave("It is Bob again")
    assert (await line.said())[4:] == [
        "Call from +15550001112 to +15550002222", "main: pin", "The caller continues by PIN.", "Voice message, 5 s",
        "It is Bob again",
    ]  # fmt: skip
    assert await line.desk.references() == [reference]
    assert await line.held() == []
    kept = await line.desk.column("SELECT text || fields || replies_to FROM messages")
    assert not [each for each in kept if pin in each]


async def test_pin_ends_with_its_uses(line: Line) -> None:
    await to_the_message(await line.far.call())
    await line.desk.settle()
    [reference] = await line.desk.references()
    pin = (await line.desk.operate("issue_pin", "eve", reference))["pin"]
    for opened in (True,) * 5 + (False,):
        phone = await line.far.call("bob")
        await phone.press("2")
        await phone.press(pin)
        assert (phone.waits.tag == "Record") is opened


async def test_announcement_is_read_out_while_it_holds(line: Line) -> None:
    made = await line.desk.operate("announce", "eve", "The VPN is down.")
    assert (await line.far.call()).heard[0] == "The VPN is down."
    await line.desk.operate("end_announcement", "eve", made["id"])
    assert "The VPN is down." not in (await line.far.call()).heard


async def test_everything_twice_is_recorded_once_and_answered_alike(line: Line) -> None:
    line.far.twice = True
    phone = await line.far.call()
    await to_the_message(phone)
    await phone.leave("Hello")
    await phone.hang_up()
    assert len(await line.said()) == 7


async def test_connections_cut_ten_times_each_lose_and_double_nothing(line: Line) -> None:
    line.far.cuts = 10
    phone = await line.far.call()
    await to_the_message(phone)
    await phone.leave("It is my laptop")
    await phone.hang_up()
    assert await line.said() == [
        "Call from +15550001111 to +15550002222", "main: help", "about: vpn", "AnyConnect fails since eight",
        "Voice message, 5 s", "It is my laptop", "The call is over (completed, 34 s).",
    ]  # fmt: skip


@pytest.mark.parametrize("line", [PARTS["menu"]], indirect=True, ids=["whole menu"])
async def test_every_kind_of_node_is_walked_in_a_language_of_its_own(line: Line) -> None:
    line.desk.clock.by += timedelta(days=(7 - line.desk.clock.now().weekday()) % 7)  # a Monday
    line.desk.clock.by += line.desk.clock.now().replace(hour=9, minute=0) - line.desk.clock.now()
    phone = await line.far.call()
    await phone.silence()
    await phone.press("9")
    assert phone.heard[-1] == "Eins: Hilfe. Zwei: PIN."
    assert phone.waits.find("Say").get("language") == "de-DE"
    await phone.speak("I need support")
    await phone.speak("the vpn please")
    await phone.speak("AnyConnect fails")
    assert (phone.waits.tag, phone.heard[-1]) == ("Dial", "One moment.")
    await phone.answered("no-answer")
    assert phone.waits.tag == "Enqueue"
    await phone.answered("hangup")
    assert phone.waits.tag == "Record"
    await phone.leave("Please call back")
    assert (phone.waits, phone.heard[-1]) == (None, "Goodbye.")
    await phone.hang_up()
    assert (await line.said())[1:] == [
        "main: german", "main: help", "about: vpn", "AnyConnect fails",
        "Nobody answered (the agent's telephone: no-answer, 65 s)", "Nobody answered (the waiting line: hangup, 30 s)",
        "Voice message, 5 s", "Please call back", "The call is over (completed, 34 s).",
    ]  # fmt: skip
    line.desk.clock.by -= timedelta(days=1)
    late = await line.far.call("bob")
    await late.press("1")
    await late.press("2")
    assert late.waits.tag == "Record"


async def test_caller_is_answered_while_the_pipeline_stands_still(line: Line) -> None:
    await line.desk.hold_pipeline()
    phone = await line.far.call()
    async with asyncio.timeout(5):
        await to_the_message(phone)
    assert phone.waits.tag == "Record"
    await line.desk.resume_pipeline()
    assert len(await line.said()) == 4


async def test_forged_request_is_refused_and_nothing_is_kept(line: Line) -> None:
    line.far._token = "another"
    with pytest.raises(Exception, match="answered 401"):
        await line.far.call()
    assert await line.desk.number("SELECT count(*) FROM envelopes") == 0


async def test_call_of_a_number_that_anybody_can_forge_proves_nothing(line: Line) -> None:
    await line.far.call()
    await line.said()
    assert await line.desk.rows("SELECT assurance, standing FROM messages") == [(0, "claimed")]
