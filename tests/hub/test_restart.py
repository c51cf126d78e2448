"""What a hub finds after the one before it was killed; and whom it may not answer."""

from pathlib import Path

import pytest
from sqlalchemy import text

from context_store import alarms
from context_store.housekeeping import keep_house
from tests.hub.desk import Desk, fact, installed, mail


async def test_work_that_a_killed_owner_held_is_due_at_once(short_folder: Path):
    """On SQLite, whose file has one owner; on PostgreSQL another node may hold the lease."""
    async with installed(short_folder, "") as desk:
        await _held_work_goes_on(desk)


async def _held_work_goes_on(desk: Desk):
    await desk.start(lease=3600.0)
    await desk.say(mail(), to="mail")
    await desk.hub.store.write(_hold)
    await desk.stop()
    await desk.start()
    await desk.settle()
    assert await desk.column("SELECT DISTINCT state FROM outbox") == ["done"]


def _hold(conn):
    conn.execute(text("UPDATE outbox SET state = 'leased', settled_at = NULL, lease_until = 9999999999999"))


async def test_whoever_opted_out_is_answered_by_nobody(desk: Desk):
    await desk.say(mail(), to="mail")
    await desk.say(fact("ann@acme.test", "opted_out"), to="mail")
    (reference,) = await desk.references()
    with pytest.raises(ValueError, match="opted out"):
        await desk.operate("reply", "ada", reference, "hello")


async def test_what_a_node_said_before_it_was_mended_and_started_anew_is_over(hub_under_test: Desk):
    desk = hub_under_test
    await desk.start(more='[instance.radio]\nkind = "radio"\ndoes = "raise"')
    await desk.until(desk.alarms)
    await desk.hub.store.write(_raise, 1, "silence:radio", "broken:radio", "fabric", "paused:radio")
    await desk.stop()
    await desk.start(more='[instance.radio]\nkind = "radio"')

    async def over() -> bool:
        return await desk.alarms() == ["paused:radio"]  # the next effect that succeeds ends that one

    await desk.until(over)


async def test_what_was_said_by_a_node_that_is_gone_ends_by_itself(desk: Desk):
    await desk.hub.supervisor.stop()  # it begins with an end to what it did not say itself
    now = desk.hub.store.now()
    await desk.hub.store.write(_raise, now, "failing:radio", "fabric", "rules")
    await desk.hub.store.write(keep_house, now + 300_000)
    assert await desk.alarms() == ["fabric", "failing:radio", "rules"]
    await desk.hub.store.write(keep_house, now + alarms.UNSAID_MS + 1000)
    assert await desk.alarms() == ["rules"]


def _raise(conn, now, *keys):
    for key in keys:
        alarms.raise_(conn, key, "said before", now)
