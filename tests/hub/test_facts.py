"""What rules see of a message: counted, announced, read from the user's record."""

import msgspec
import pytest
from sqlalchemy import text

from context_store.announcements import Announcement, announce
from routing import Facts
from tests.hub.desk import RULES, Desk, message, who

ASKING = RULES.replace(
    "[default]",
    """
[[rule]]
name = "often"
when.history.contacts = { days = 7, min = 2 }
when.history.same_subject.min = 1
when.history.open_queries.min = 1
set.tags = ["often"]
[[rule]]
name = "known-outage"
when.major_incidents = ["mail"]
set.tags = ["outage"]
[default]""",
)


async def facts(desk: Desk) -> list[Facts]:
    return [
        msgspec.json.decode(one, type=Facts) for one in await desk.column("SELECT facts FROM decisions ORDER BY id")
    ]


@pytest.fixture
async def asking(hub_under_test: Desk):
    hub_under_test.rules = ASKING
    await hub_under_test.start()
    return hub_under_test


async def test_history_is_counted_over_what_is_stored(asking: Desk):
    for subject in ("Paper jam", "other", "RE: paper  jam"):
        await asking.say(message(subject=subject, kind="call"))
    await asking.say(message(sender="bob", subject="paper jam", kind="call"))
    seen = [one.history for one in await facts(asking)]
    assert [(one.open_queries, sum(one.contacts), one.same_subject) for one in seen] == [
        (0, 0, 0), (1, 1, 0), (2, 2, 1), (0, 0, 0),
    ]  # fmt: skip
    assert len(seen[0].contacts) == 7
    assert (await asking.column("SELECT tags FROM queries ORDER BY id"))[2] == '["often"]'


async def test_history_is_counted_inside_a_batch_too(asking: Desk):
    await asking.say(*(message(subject="same", kind="call") for _ in range(3)))
    seen = [one.history for one in await facts(asking)]
    assert [(one.open_queries, sum(one.contacts), one.same_subject) for one in seen] == [
        (0, 0, 0),
        (1, 1, 1),
        (2, 2, 2),
    ]


async def test_what_no_rule_asks_for_is_not_counted(desk: Desk):
    await desk.say(message())
    assert [one.history for one in await facts(desk)] == [None]


async def test_announcements_in_force_are_seen(asking: Desk):
    now = asking.hub.store.now()
    for number, (services, major, until) in enumerate(
        [(("mail",), True, None), (("vpn",), False, now + 60_000), (("old",), True, now - 1)], 1
    ):
        one = Announcement(id=number, text="x", services=services, major=major, from_at=now - 10, until_at=until)
        await asking.hub.store.write(announce, one, now)
    await asking.say(message())
    (seen,) = await facts(asking)
    assert (set(seen.announced), seen.major_incidents) == ({"mail", "vpn"}, ("mail",))
    assert await asking.column("SELECT tags FROM queries") == ['["outage"]']


async def test_message_s_own_facts_are_captured(desk: Desk):
    line = message(recipients=[who("Desk@ACME.test")], fields={"service": "mail", "menu": "2"})
    await desk.say(line)
    (seen,) = await facts(desk)
    assert (seen.service, seen.fields["menu"], seen.version) == ("mail", "2", 2)
    assert seen.recipients[0].lower() == "desk@acme.test"
    assert seen.at.tzinfo is not None


async def test_user_s_record_is_seen(desk: Desk):
    await desk.say(message())
    record = {
        "groups": "board, staff",
        "region": "EU",
        "contract": "gold",
        "as_of": "2026-11-01T00:00:00Z",
        "floor": "3",
    }
    sql, values = (
        text("UPDATE users SET vip = true, fields = :fields"),
        {"fields": msgspec.json.encode(record).decode()},
    )
    await desk.hub.store.write(lambda conn: conn.execute(sql, values) and None)
    await desk.say(message(kind="call"))
    user = (await facts(desk))[-1].user
    assert (user.groups, user.region, user.contract, user.vip) == (("board", "staff"), "EU", "gold", True)
    assert (user.fields, user.as_of.year) == ({"floor": "3"}, 2026)
