import asyncio
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from context_store import Store, StoreAway, engine
from context_store import ids as ids_module
from context_store.ids import EPOCH_MS, Ids
from context_store.tables import nodes
from tests.servers import PostgreSQL, room
from tests.store.conftest import Turned
from tests.store.make import envelope, keep


def test_ids_have_63_bits_and_carry_time_node_and_counter():
    made = Ids(lambda: EPOCH_MS + 5, node=3)
    assert [made.next(), made.next()] == [5 << 22 | 3 << 12, 5 << 22 | 3 << 12 | 1]
    assert Ids(lambda: EPOCH_MS + (1 << 41) - 1, node=1023).next() < 1 << 63


def test_clock_that_jumps_back_is_ignored():
    moments = iter([EPOCH_MS + 1000, EPOCH_MS + 10, EPOCH_MS - 10**9, EPOCH_MS + 1001])
    made = Ids(lambda: next(moments), node=1)
    got = [made.next() for _ in range(4)]
    assert got == sorted(set(got))


def test_full_counter_borrows_the_next_millisecond():
    made = Ids(lambda: EPOCH_MS + 1, node=1)
    got = [made.next() for _ in range(10_000)]
    assert got == sorted(set(got))


def test_threads_never_get_the_same_id():
    made = Ids(lambda: EPOCH_MS + 1, node=1)
    got: list[int] = []
    threads = [threading.Thread(target=lambda: got.extend([made.next() for _ in range(5000)])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == 40_000


async def test_ids_go_on_above_the_stored_ones_after_a_restart_with_the_clock_set_back(
    store: Store, store_url: str, clock: Turned
):
    row = envelope(store, "k")
    await keep(store, row)
    await store.close()
    clock.moment -= timedelta(days=400)
    again = await Store.open(store_url, store.folder, clock)
    assert again.ids.next() > row.id
    await again.close()


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_two_nodes_have_two_numbers_and_a_number_is_free_after_a_clean_stop(
    store: Store, store_url: str, clock: Turned
):
    other = await Store.open(store_url, store.folder, clock)
    assert {store.node, other.node} == {1, 2}
    await other.close()
    third = await Store.open(store_url, store.folder, clock)
    assert third.node == 2
    await third.close()


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_dead_nodes_number_rests_in_quarantine_before_it_is_given_out_again(
    store: Store, store_url: str, clock: Turned
):
    def lapse(ago: str):
        past = text(f"(extract(epoch FROM clock_timestamp() - interval '{ago}') * 1000)::bigint")
        return lambda conn: conn.execute(update(nodes).values(lease_until=past)) and None

    for ago, number in (("5 minutes", 2), ("11 minutes", 1)):
        await store.write(lapse(ago))
        other = await Store.open(store_url, store.folder, clock)
        assert other.node == number
        await other.close()


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_node_that_lost_its_number_takes_another(store: Store):
    await store.write(lambda conn: conn.execute(update(nodes).values(owner="somebody else")) and None)
    store.ids.renewed(await store.write(store._renew_in))
    assert store.node == 2
    assert await store.read(lambda conn: set(conn.scalars(select(nodes.c.node)))) == {1, 2}


def test_no_ids_without_a_lease(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ids_module, "LEASE_MS", -1)
    with pytest.raises(StoreAway, match="lease"):
        Ids(lambda: EPOCH_MS, node=1, leased=True).next()
    Ids(lambda: EPOCH_MS, node=1).next()


async def test_a_lease_that_ran_out_is_renewed_as_soon_as_postgresql_is_back(
    tmp_path: Path, clock: Turned, monkeypatch: pytest.MonkeyPatch
):
    with room("pg") as folder:
        server = PostgreSQL(folder)
        monkeypatch.setattr(ids_module, "LEASE_MS", 600)
        monkeypatch.setattr(engine, "LEASE_MS", 2500)  # the first renewal comes after half a second
        store = await Store.open(server.database(), tmp_path, clock)
        server.crash()
        monkeypatch.undo()
        monkeypatch.setattr(engine, "LEASE_MS", 600_000)  # and after it every two minutes
        await asyncio.sleep(2)
        assert not store.ids.valid
        server.start()
        async with asyncio.timeout(30):
            while not store.ids.valid:  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.1)
        await store.close()
        server.stop()


async def test_killed_owners_row_does_not_stop_the_next_on_sqlite(tmp_path: Path, clock: Turned):
    url = f"sqlite:///{tmp_path}/x.db"
    first = await Store.open(url, tmp_path / "blobs", clock)
    first._backend.close()  # without giving the number back
    second = await Store.open(url, tmp_path / "blobs", clock)
    assert second.node == 1
    await second.close()
