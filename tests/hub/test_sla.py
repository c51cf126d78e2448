"""Promised times: computed behind what happens, warned and missed on time, also across a restart."""

from datetime import timedelta

import msgspec
import pytest

from context_store import alarms, clocks, views
from tests.hub.desk import RULES, Desk, message

PROMISING = RULES.replace(
    "[default]",
    """
[targets]
P1 = { first_response = "15m" }
P2 = { first_response = "1h", resolution = "4h" }
P4 = { first_response = "8h" }
[default]""",
)
HOUR = 3_600_000


@pytest.fixture
async def promising(hub_under_test: Desk):
    hub_under_test.rules = PROMISING
    await hub_under_test.start()
    return hub_under_test


async def standing(desk: Desk) -> dict[str, clocks.Clock]:
    """By promise, once everything that was sealed was followed."""

    async def followed() -> bool:
        if await desk.number("SELECT count(*) FROM events WHERE seq IS NULL"):
            return False
        last = await desk.column("SELECT max(seq) FROM events WHERE seq IS NOT NULL")
        cursor = await desk.column("SELECT value FROM cursors WHERE name = 'sla'")
        return cursor != [] and int.from_bytes(cursor[0], "big") == last[0]

    await desk.until(followed)
    ids = await desk.column("SELECT id FROM queries")
    return {one.promise: one for one in await desk.hub.store.read(clocks.clocks, ids)}


async def said(desk: Desk) -> list[tuple[str, str]]:
    rows = await desk.rows("SELECT kind, body FROM events WHERE kind LIKE 'sla.%' ORDER BY id")
    return [(row[0], msgspec.json.decode(row[1])["promise"]) for row in rows]


async def pass_(desk: Desk, hours: float) -> None:
    desk.clock.by += timedelta(hours=hours)
    desk.hub.fabric.wake("sealed")


async def test_clocks_run_as_priority_promises(promising: Desk):
    await promising.say(message(text="vpn"))
    found = await standing(promising)
    assert [(one, clock.due_at - clock.begun_at) for one, clock in found.items()] == [
        ("first_response", HOUR), ("resolution", 4 * HOUR),
    ]  # fmt: skip


async def test_warning_and_breach_come_in_time_and_raise_an_alarm(promising: Desk):
    await promising.say(message(text="vpn"))
    await standing(promising)
    await pass_(promising, 0.8)
    await promising.until(lambda: said(promising))
    assert await said(promising) == [("sla.warning", "first_response")]
    assert "sla" not in await promising.alarms()
    await pass_(promising, 0.3)

    async def late() -> bool:
        return "sla" in await promising.alarms()

    await promising.until(late)
    assert await said(promising) == [("sla.warning", "first_response"), ("sla.breached", "first_response")]
    (reference,) = await promising.references()
    await promising.operate("reply", "eve", reference, "we are on it")
    await promising.settle()

    async def over() -> bool:
        return "sla" not in await promising.alarms()

    await promising.until(over)


async def test_what_another_node_said_ends_with_the_last_broken_promise(promising: Desk):
    await promising.say(message(text="vpn"))
    await standing(promising)
    await promising.hub.store.write(alarms.raise_, "sla", "promised times are broken: TL-1", promising.hub.store.now())
    (reference,) = await promising.references()
    await promising.operate("set_query", "eve", reference, {"state": "resolved"})

    async def over() -> bool:
        return "sla" not in await promising.alarms()

    await promising.until(over, 15)


async def test_breach_comes_after_a_restart_too(promising: Desk):
    await promising.say(message(text="vpn"))
    await standing(promising)
    await promising.stop()
    promising.clock.by += timedelta(hours=2)
    await promising.start()

    async def breached() -> bool:
        return ("sla.breached", "first_response") in await said(promising)

    await promising.until(breached)


async def test_answer_keeps_the_promise(promising: Desk):
    await promising.say(message(text="vpn"))
    (reference,) = await promising.references()
    await promising.operate("reply", "eve", reference, "we are on it")
    await promising.settle()
    found = await standing(promising)
    assert (found["first_response"].ended_at is None, found["resolution"].ended_at) == (False, None)
    await pass_(promising, 2)
    await standing(promising)
    assert await said(promising) == []


async def test_clock_stands_while_we_wait_for_the_user(promising: Desk):
    await promising.say(message(text="vpn"))
    (reference,) = await promising.references()
    await promising.operate("set_query", "eve", reference, {"state": "pending"})
    found = await standing(promising)
    assert found["resolution"].due_at is None
    await pass_(promising, 10)
    await promising.say(message(text="here is more"))
    found = await standing(promising)
    assert len(found["resolution"].pauses) == 1
    waited = found["resolution"].due_at - found["resolution"].begun_at - 4 * HOUR
    assert 10 * HOUR <= waited < 11 * HOUR
    assert await said(promising) == []


async def test_another_priority_is_another_promise(promising: Desk):
    await promising.say(message(text="vpn"))
    (reference,) = await promising.references()
    await promising.operate("set_query", "eve", reference, {"priority": "P4"})
    found = await standing(promising)
    assert {one: clock.promised for one, clock in found.items()} == {"first_response": 8 * HOUR}


@pytest.mark.parametrize("changes", [{"impact": "organisation", "urgency": "critical"}, {"urgency": "critical"}])
async def test_priority_follows_a_corrected_impact_or_urgency_by_the_matrix(promising: Desk, changes: dict[str, str]):
    await promising.say(message(text="vpn"))
    (reference,) = await promising.references()
    told = await promising.operate("set_query", "eve", reference, changes)
    assert told == {"reference": reference, **changes, "priority": "P1"}
    assert await promising.column("SELECT priority FROM queries") == ["P1"]
    found = await standing(promising)
    assert {one: clock.promised for one, clock in found.items()} == {"first_response": HOUR // 4}
    (body,) = await promising.column("SELECT body FROM events WHERE kind = 'query.set'")
    event = msgspec.json.decode(body)
    assert (event["was"]["priority"], event["is"]["priority"], event["set_by"]) == ("P2", "P1", {"priority": "matrix"})


async def test_priority_that_an_agent_set_stays_until_an_agent_takes_it_back(promising: Desk):
    await promising.say(message(text="vpn"))
    (reference,) = await promising.references()
    for changes, priority in (
        ({"priority": "P4", "impact": "organisation"}, "P4"),
        ({"urgency": "critical"}, "P4"),
        ({"priority": ""}, ""),
        ({"impact": "person"}, "P2"),
        ({"urgency": "medium"}, "P4"),
        ({"urgency": ""}, "P4"),
        ({"type": "request"}, "P4"),
    ):
        await promising.operate("set_query", "eve", reference, changes)
        assert await promising.column("SELECT priority FROM queries") == [priority], changes


async def test_priority_that_a_rule_set_by_itself_stays(hub_under_test: Desk):
    hub_under_test.rules = (
        PROMISING + '\n[[rule]]\nname = "chief"\nwhen.text.any = ["chief"]\nset.priority = "P1"\nset.urgency = "low"\n'
    )
    await hub_under_test.start()
    await hub_under_test.say(message(text="the chief asks"))
    (reference,) = await hub_under_test.references()
    for changes, priority in (
        ({"impact": "person", "urgency": "medium"}, "P1"),
        ({"urgency": ""}, "P1"),
        ({"urgency": "high"}, "P1"),
        ({"priority": ""}, ""),
        ({"urgency": "medium"}, "P4"),
        ({"impact": "organisation", "urgency": "critical"}, "P1"),
        ({"impact": "person", "urgency": "medium"}, "P4"),
    ):
        await hub_under_test.operate("set_query", "eve", reference, changes)
        assert await hub_under_test.column("SELECT priority FROM queries") == [priority], changes


async def test_reopened_query_runs_on_without_the_time_between(promising: Desk):
    await promising.say(message(text="vpn", thread="t"))
    (reference,) = await promising.references()
    await promising.operate("set_query", "eve", reference, {"state": "resolved"})
    assert (await standing(promising))["resolution"].ended_at is not None
    await pass_(promising, 5)
    await promising.say(message(text="still broken", thread="t"))
    one = (await standing(promising))["resolution"]
    assert (one.ended_at, len(one.pauses)) == (None, 1)
    assert one.due_at - one.begun_at >= 9 * HOUR


async def test_other_targets_compute_open_clocks_again(promising: Desk):
    await promising.say(message(text="vpn"))
    await standing(promising)
    (promising.folder / "rules.toml").write_text(PROMISING.replace('first_response = "1h"', 'first_response = "2h"'))

    async def longer() -> bool:
        return (await standing(promising))["first_response"].promised == 2 * HOUR

    await promising.until(longer)


async def test_clocks_are_shown_with_the_query(promising: Desk):
    await promising.say(message(text="vpn"))
    await standing(promising)
    (root,) = await promising.column("SELECT id FROM queries")
    view = await promising.hub.store.read(views.show_query, root)
    assert [(one.promise, one.paused) for one in view.clocks] == [("first_response", False), ("resolution", False)]


async def test_nothing_is_followed_where_nothing_is_promised_until_it_is(desk: Desk):
    await desk.say(message(text="vpn"))
    assert await desk.column("SELECT name FROM cursors WHERE name = 'sla'") == []
    (desk.folder / "rules.toml").write_text(PROMISING)

    async def promised() -> bool:
        return await desk.number("SELECT count(*) FROM clocks") == 2

    await desk.until(promised)
