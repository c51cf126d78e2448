"""Leases of what only one node may run, and what a former holder may still do: nothing (PostgreSQL alone has them)."""

import pytest
from sqlalchemy import Connection, text

from context_store import Store
from context_store.cursors import read_cursor
from context_store.journal import NewCursor
from context_store.leases import drop, keep, take
from plugins import LeaseLost
from tests.store.make import envelope
from tests.store.make import keep as journaled

pytestmark = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
LASTS = 60_000


def _expire(conn: Connection) -> None:
    conn.execute(text("UPDATE leases SET until = 0"))


async def test_one_node_has_it_until_it_runs_out_or_is_given_back(store: Store):
    assert await store.write(take, "mail", "1", LASTS) == 1
    assert await store.write(take, "mail", "2", LASTS) is None
    assert await store.write(take, "other", "2", LASTS) == 1
    await store.write(_expire)
    assert await store.write(take, "mail", "2", LASTS) == 2
    assert await store.write(take, "mail", "1", LASTS) is None
    await store.write(drop, "mail", 2)
    assert await store.write(take, "mail", "1", LASTS) == 3


async def test_a_former_holder_can_neither_keep_it_nor_give_it_back(store: Store):
    await store.write(take, "mail", "1", LASTS)
    assert await store.write(keep, "mail", 1, LASTS)
    await store.write(_expire)
    await store.write(take, "mail", "2", LASTS)
    assert not await store.write(keep, "mail", 1, LASTS)
    await store.write(drop, "mail", 1)
    assert await store.write(take, "mail", "1", LASTS) is None


async def test_a_former_holder_moves_no_cursor_and_journals_nothing_with_it(store: Store):
    await store.write(take, "mail", "1", LASTS)
    await journaled(store, envelope(store, "a"), cursors=(NewCursor("mail", "", b"5", 1),))
    await store.write(_expire)
    await store.write(take, "mail", "2", LASTS)
    await journaled(store, envelope(store, "b"), cursors=(NewCursor("mail", "", b"9", 2),))
    with pytest.raises(LeaseLost):
        await journaled(store, envelope(store, "c"), cursors=(NewCursor("mail", "", b"6", 1),))
    assert await store.read(read_cursor, "mail") == b"9"
    assert await store.read(lambda conn: conn.scalar(text("SELECT count(*) FROM envelopes"))) == 2
