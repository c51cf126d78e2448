"""A sender who is still on the way: the query is there at once, and is judged when all is said."""

import pytest

from tests.hub.desk import RULES, Desk, message

CHOSEN = RULES.replace(
    "[default]",
    """
[[rule]]
name = "vpn menu"
when.fields.about = ["vpn"]
set.service = "remote-access"
[[rule]]
name = "lottery"
when.fields.about = ["lottery"]
set.spam = true
[[rule]]
name = "money"
when.fields.about = ["money"]
set.hold = "asks for money"
[default]""",
)


@pytest.fixture
async def desk(hub_under_test: Desk):
    hub_under_test.rules = CHOSEN
    await hub_under_test.start()
    return hub_under_test


def step(text: str, more: bool = True, thread: str = "call-1", **fields: str):
    return message(text=text, kind="call", thread=thread, more=more, fields=fields)


async def holds(desk: Desk) -> list[tuple[str, str]]:
    return [tuple(row) for row in await desk.rows("SELECT kind, author FROM holds WHERE ended_at IS NULL")]


@pytest.mark.parametrize("apart", [True, False])
async def test_query_is_judged_by_all_that_was_said_and_goes_on_once(desk: Desk, apart: bool):
    steps = [step("begun"), step("about: vpn", about="vpn"), step("it fails", more=False)]
    for each in [[one] for one in steps] if apart else [steps]:
        await desk.say(*each)
    assert await holds(desk) == []
    assert await desk.rows("SELECT service, target FROM queries") == [("remote-access", "tool")]
    [body] = await desk.column("SELECT body FROM outbox WHERE kind = 'dispatch'")
    assert "begun\\nabout: vpn\\nit fails" in body
    assert await desk.number("SELECT count(*) FROM outbox WHERE kind = 'delivery'") == 1
    await desk.say(step("and another thing", more=False))
    assert await desk.number("SELECT count(*) FROM outbox WHERE kind = 'dispatch'") == 2


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize(("about", "kind", "state"), [("lottery", "spam", "closed"), ("money", "hold", "new")])
async def test_what_rules_hold_stays_held_by_them(desk: Desk, about: str, kind: str, state: str, apart: bool):
    steps = [step("begun", about=about), step("done", more=False)]
    for each in [[one] for one in steps] if apart else [steps]:
        await desk.say(*each)
    assert await holds(desk) == [(kind, "rules")]
    assert await desk.column("SELECT state FROM queries") == [state]
    assert await desk.number("SELECT count(*) FROM outbox WHERE kind = 'dispatch'") == 0


async def test_agent_who_takes_it_up_is_not_overruled(desk: Desk):
    await desk.say(step("begun"))
    [reference] = await desk.references()
    await desk.operate("let_go", "eve", reference)
    await desk.say(step("about: vpn", more=False, about="vpn"))
    assert await desk.column("SELECT service FROM queries") == [""]
    assert await desk.number("SELECT count(*) FROM outbox WHERE kind = 'dispatch'") == 2
