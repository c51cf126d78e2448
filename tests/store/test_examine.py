"""What `doctor` asks of the store: silent when all is well, and not when it isn't."""

import pytest
from sqlalchemy import insert, text, update

from context_store import Store, examine
from context_store.pending import tallies_by_instance, unaccounted
from context_store.tables import envelopes, identities, tallies
from tests.store.make import envelope, keep
from tests.store.test_people import merge, numbers, person


async def test_healthy_store_has_no_findings(store: Store):
    await keep(store, envelope(store, "k"), envelope(store, "k", b"other"))
    found = await store.read(
        lambda conn: (examine.schema(conn), examine.miscounted(conn), examine.strayed(conn), examine.newest(conn))
    )
    (applied, newest), *others = found
    assert applied == newest
    assert others == [[], 0, store.now()]


async def test_lost_row_shows_in_the_accounts(store: Store):
    await keep(store, envelope(store, "a"), envelope(store, "b"))
    await store.write(
        lambda conn: conn.execute(text("DELETE FROM envelopes WHERE id = (SELECT max(id) FROM envelopes)")) and None
    )
    assert any("pending counts 2, the rows are 1" in said for said in await store.read(examine.miscounted))


async def test_row_whose_state_was_changed_by_hand_shows_in_the_accounts(store: Store):
    await keep(store, envelope(store, "a"))
    await store.write(lambda conn: conn.execute(update(envelopes).values(state="done")) and None)
    assert await store.read(examine.miscounted)


async def test_tally_that_does_not_add_up_is_unaccounted(store: Store):
    await keep(store, envelope(store, "a"))
    assert unaccounted(await store.read(tallies_by_instance)) == {}
    await store.write(
        lambda conn: conn.execute(insert(tallies).values(instance="mail", node=9, state="received", n=1)) and None
    )
    assert unaccounted(await store.read(tallies_by_instance)) == {"mail": 1}


async def test_merged_people_are_no_finding_and_a_wrong_user_is_one(store: Store):
    def act(conn):
        (a, ua), (_, ub) = person(conn, "a"), person(conn, "b")
        merge(conn, ub, ua, "", "agent:1", 5, lambda: next(numbers))
        merged = examine.strayed(conn)
        conn.execute(update(identities).where(identities.c.id == a).values(user_id=ub))
        return merged, examine.strayed(conn)

    assert await store.write(act) == (0, 1)


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_damaged_page_is_found(store: Store, store_url: str, clock):
    await keep(store, *(envelope(store, f"k{n}", b"x" * 3000) for n in range(50)))
    assert await store.read(examine.damage) == []
    await store.close()
    path = store_url.removeprefix("sqlite:///")
    with open(path, "r+b") as file:  # noqa: ASYNC230
        file.seek(-4096 * 3, 2)
        file.write(b"\xff" * 4096)
    again = await Store.open(store_url, store.folder, clock)
    assert await again.read(examine.damage)
    await again.close()


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_server_without_fsync_is_named(store: Store):
    shown = await store.read(lambda conn: conn.exec_driver_sql("SHOW fsync").scalar())
    assert any("fsync = off" in said for said in await store.read(examine.damage)) == (shown == "off")
