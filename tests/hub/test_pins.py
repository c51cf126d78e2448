"""PINs: who gets one, and what it opens."""

import re
from datetime import timedelta

import pytest

from context_store.housekeeping import keep_house
from context_store.times import to_millis
from plugins import Envelope
from tests.hub.desk import NOW, RULES, Desk, message

WITH_PIN = RULES.replace(
    "[default]",
    """
[[rule]]
name = "call us"
when.text.any = ["call"]
set.acknowledgement = "call"
[default]""",
)


@pytest.fixture
async def desk(hub_under_test: Desk):
    path = hub_under_test.folder / "templates/call.en.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text("# Call us {pin}\nYour PIN: {pin}.")
    hub_under_test.rules = WITH_PIN
    await hub_under_test.start()
    return hub_under_test


def entered(n: int, lane: str) -> Envelope:
    return Envelope(key=f"entered {n}", raw=b"", at=NOW, lane=lane)


async def opens(desk: Desk, pin: str, n: int = 1, lane: str = "call", at: str = "chat") -> bool:
    return await desk.hub.ports[at].redeem(pin, entered(n, lane))


async def test_acknowledgement_has_a_pin_that_continues_its_query(desk: Desk):
    await desk.say(message(text="Shall I call you?"))
    (sent,) = await desk.sent()
    found = re.fullmatch(r"Your PIN: ([0-9]{3}) ([0-9]{3}) ([0-9]{3})\.\n", sent["text"])
    assert found
    assert "{" not in sent["subject"]
    pin = "".join(found.groups())
    assert await opens(desk, pin)
    await desk.say(message(sender="bob", text="from elsewhere", tokens=["entered 1"]))
    assert len(await desk.references()) == 1


async def test_pin_itself_is_no_token_in_a_message(desk: Desk):
    await desk.say(message(text="hello"))
    [reference] = await desk.references()
    pin = (await desk.operate("issue_pin", "eve", reference))["pin"]
    await desk.say(message(sender="bob", text="guessed", tokens=[pin]))
    assert len(await desk.references()) == 2


async def test_claimed_address_gets_no_pin(desk: Desk):
    await desk.say(message(sender="ann@acme.test", assurance=0, text="call", kind="mail"), to="mail")
    (sent,) = await desk.sent()
    assert sent["text"] == "Your PIN: .\n"


@pytest.mark.parametrize("private", [True, False])
async def test_public_answer_has_nothing_that_opens_the_query(desk: Desk, private: bool):
    await desk.say(message(text="Shall I call you?", private=private))
    (sent,) = await desk.sent()
    assert (sent.get("private", True), sent["text"] == "Your PIN: .\n", bool(sent.get("token"))) == (
        private, not private, private,
    )  # fmt: skip
    assert await desk.number("SELECT count(*) FROM tokens WHERE kind = 'pin'") == int(private)
    (reference,) = await desk.references()
    await desk.operate("reply", "eve", reference, "We call you at ten")
    assert bool((await desk.sent())[-1].get("token")) == private


async def test_new_pin_ends_the_one_before(desk: Desk):
    await desk.say(message(text="hello"))
    [reference] = await desk.references()
    first, second = [(await desk.operate("issue_pin", "eve", reference))["pin"] for _ in range(2)]
    assert not await opens(desk, first)
    assert await opens(desk, second, 2)
    assert "pin.issued" in await desk.events()


async def test_closed_query_gets_no_pin(desk: Desk):
    await desk.say(message(text="hello"))
    [reference] = await desk.references()
    await desk.operate("set_query", "eve", reference, {"state": "closed"})
    with pytest.raises(ValueError, match="closed"):
        await desk.operate("issue_pin", "eve", reference)


async def test_same_envelope_is_answered_the_same_and_uses_the_pin_once(desk: Desk):
    await desk.say(message(text="hello"))
    [reference] = await desk.references()
    pin = (await desk.operate("issue_pin", "eve", reference))["pin"]
    assert [await opens(desk, pin) for _ in range(3)] == [True] * 3
    assert await desk.column("SELECT tries_left FROM tokens WHERE kind = 'pin'") == [4]


async def test_guesses_count_over_all_instances_and_an_alarm_says_until_when_right_pins_are_refused(desk: Desk):
    desk.clock.by += timedelta(minutes=90 - desk.clock.now().minute)  # half past, so that no hour ends meanwhile
    await desk.say(message(text="hello"))
    [reference] = await desk.references()
    pin = (await desk.operate("issue_pin", "eve", reference))["pin"]
    for n in range(100):
        assert not await opens(desk, "000000000", n, lane=f"caller {n}", at=("chat", "mail")[n % 2])
    assert await desk.alarms() == []
    assert not await opens(desk, pin, 100, lane="honest")
    end = (desk.clock.now() + timedelta(minutes=30)).strftime("%Y-%m-%d %H:00")
    [what] = await desk.column("SELECT what FROM alarms WHERE key = 'pins' AND cleared_at IS NULL")
    assert what == f"all PINs are refused, right ones too, until {end} UTC: 100 were tried this hour, the last at chat"
    desk.clock.by += timedelta(hours=1)
    assert await opens(desk, pin, 101, lane="honest")
    await desk.hub.store.write(keep_house, to_millis(desk.clock.now()))
    assert await desk.alarms() == []


async def test_guesses_of_one_caller_are_limited(desk: Desk):
    await desk.say(message(text="hello"))
    [reference] = await desk.references()
    pin = (await desk.operate("issue_pin", "eve", reference))["pin"]
    for n in range(10):
        assert not await opens(desk, "000000000", n)
    assert not await opens(desk, pin, 11)
