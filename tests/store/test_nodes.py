"""Several nodes on one PostgreSQL: one that stands still holds nobody up, and their clocks may differ."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, text

from context_store import Store, StoreAway
from context_store import postgresql as backend
from context_store.agents import first_administrator
from context_store.pending import claim_envelopes
from tests.store.make import envelope
from tests.store.make import keep as journaled


class Off:
    """A clock that is so many seconds off."""

    def __init__(self, seconds: float) -> None:
        self.by = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.fixture
async def early_and_late(prepared_url: str, tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Two nodes; the clock of the first is twenty seconds ahead of the second's."""
    stores = [await Store.open(prepared_url, tmp_path / "blobs", Off(seconds)) for seconds in (10, -10)]
    yield stores[0], stores[1]
    for store in stores:
        await store.close()


async def test_ids_of_nodes_whose_clocks_differ_keep_the_order_of_acknowledgements(early_and_late):
    early, late = early_and_late
    await journaled(early, first := envelope(early, "a"))
    await journaled(late, second := envelope(late, "b"))
    assert first.id < second.id


async def test_nodes_whose_clocks_differ_agree_when_a_lease_ends(early_and_late):
    early, late = early_and_late
    assert abs(early.now() - late.now()) < 2_000


async def test_a_clock_that_is_an_hour_off_is_left_alone(prepared_url: str, tmp_path: Path):
    store = await Store.open(prepared_url, tmp_path / "blobs", Off(3600))
    assert store.now() - datetime.now(UTC).timestamp() * 1000 > 3_500_000
    await store.close()


async def test_nodes_that_start_at_the_same_time_make_one_administrator(early_and_late):
    early, late = early_and_late
    begun = threading.Event()

    def made(conn: Connection) -> int:
        agent = first_administrator(conn, early.ids.next(), early.now())
        begun.set()
        time.sleep(0.3)  # the other one has looked meanwhile, and seen nobody
        assert agent is not None
        return agent.id

    first = asyncio.create_task(early.write(made))
    await asyncio.to_thread(begun.wait)
    second = await late.write(first_administrator, late.ids.next(), late.now())
    assert second is not None
    assert second.id == await first


async def test_a_transaction_of_a_node_that_stands_still_ends_and_frees_its_locks(
    early_and_late, monkeypatch: pytest.MonkeyPatch
):
    early, late = early_and_late
    await journaled(early, row := envelope(early, "a"))
    with psycopg.connect(early.url.replace("+psycopg", ""), autocommit=False) as still:
        still.execute(f"SET idle_in_transaction_session_timeout = {backend.URGENT_IDLE_MS // 10}")
        still.execute("SELECT pg_advisory_xact_lock(%s)", [row.lane])

        async with asyncio.timeout(10):
            while True:
                async with late.holding(claim_envelopes, 1) as claimed:
                    if claimed:
                        break
                await asyncio.sleep(0.05)
        with pytest.raises(psycopg.Error):
            still.execute("SELECT 1")


async def test_every_transaction_has_a_time_for_standing_still(early_and_late):
    store, _ = early_and_late

    def limit(conn: Connection) -> int:
        return int(
            conn.scalar(text("SELECT setting FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'")) or 0
        )

    assert await store.write(limit) == backend.IDLE_MS
    assert await store.write(limit, urgent=True) == backend.URGENT_IDLE_MS
    async with store.holding(limit) as found:
        assert found == backend.HELD_IDLE_MS


async def test_a_held_transaction_that_is_worked_on_lives(early_and_late, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("context_store.engine.BEAT", 0.05)
    store, other = early_and_late
    await journaled(store, envelope(store, "a"))

    def claim(conn: Connection):
        conn.execute(text("SET LOCAL idle_in_transaction_session_timeout = 300"))
        return claim_envelopes(conn, 1)

    async with store.holding(claim) as claimed:
        await asyncio.sleep(1)
        assert len(claimed) == 1
        async with other.holding(claim_envelopes, 1) as nothing:
            assert not nothing


async def test_a_transaction_that_was_ended_says_that_the_store_is_away(early_and_late):
    store, _ = early_and_late

    def stand_still(conn: Connection) -> None:
        conn.execute(text("SET LOCAL idle_in_transaction_session_timeout = 50"))
        conn.execute(text("SELECT pg_sleep(0)"))
        asyncio.run(asyncio.sleep(0.3))
        conn.execute(text("SELECT 1"))

    with pytest.raises(StoreAway):
        await store.write(stand_still)
