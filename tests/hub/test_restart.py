"""What a hub finds after the one before it was killed; and whom it may not answer."""

from pathlib import Path

import pytest
from sqlalchemy import text

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
