import sqlite3

import psycopg
import pytest
from sqlalchemy import Connection, func, select

from context_store import Store
from context_store.journal import Journaled, NewCursor, NewEnvelope, journal
from context_store.pending import Outcome, claim_envelopes, recount, release, settle, tallies_by_instance, unaccounted
from context_store.tables import cursors, envelopes
from tests.store.make import envelope, keep


async def test_answers_come_in_the_order_of_the_batch(store: Store):
    batch = [envelope(store, f"k{n}") for n in range(50)]
    kept = await keep(store, *reversed(batch))
    assert [answer.id for answer in kept] == [row.id for row in reversed(batch)]
    assert all(answer.fresh for answer in kept)


async def test_replayed_envelope_is_stored_once_and_answered_with_the_first_id(store: Store):
    first = envelope(store, "k")
    await keep(store, first)
    again = await keep(store, envelope(store, "k"), envelope(store, "other"), envelope(store, "k"))
    assert [answer.fresh for answer in again] == [False, True, False]
    assert again[0].id == again[2].id == first.id
    assert await store.read(
        lambda conn: conn.scalars(select(envelopes.c.redelivered).order_by(envelopes.c.id)).all()
    ) == [2, 0]


async def test_copies_inside_one_batch_are_stored_once(store: Store):
    first, second = envelope(store, "k"), envelope(store, "k")
    kept = await keep(store, first, second)
    assert [tuple(answer) for answer in kept] == [(first.id, True), (first.id, False)]
    assert (await store.read(tallies_by_instance))["mail"] == {"received": 1, "pending": 1, "redelivered": 1}


async def test_another_body_under_the_same_key_is_kept_and_marked(store: Store):
    await keep(store, envelope(store, "k", b"one"))
    kept = await keep(store, envelope(store, "k", b"two"))
    assert kept[0].fresh
    pending = await store.read(claim_envelopes, 10)
    assert [(row.raw, row.collision) for row in pending] == [(b"one", False), (b"two", True)]


async def test_another_body_inside_the_same_batch_is_kept_and_marked(store: Store):
    await keep(store, envelope(store, "k", b"one"), envelope(store, "k", b"two"), envelope(store, "k", b"two"))
    pending = await store.read(claim_envelopes, 10)
    assert [(row.raw, row.collision) for row in pending] == [(b"one", False), (b"two", True)]
    assert (await store.read(tallies_by_instance))["mail"] == {
        "received": 2, "pending": 2, "redelivered": 1, "collision": 1,
    }  # fmt: skip


async def test_tallies_equal_a_recount_of_the_rows(store: Store):
    await keep(store, *(envelope(store, f"k{n % 7}", b"%d" % (n % 3), f"i{n % 2}") for n in range(60)))
    await keep(store, *(envelope(store, f"k{n % 9}", b"%d" % (n % 4), f"i{n % 2}") for n in range(60)))
    rows = await store.read(claim_envelopes, 200)
    outcomes = [Outcome(id=row.id, state=("done", "parked", "pending")[n % 3], cause="x") for n, row in enumerate(rows)]
    await store.write(settle, outcomes, store.node, store.now())
    counted, kept = await store.read(recount), await store.read(tallies_by_instance)
    assert {i: {s: n for s, n in states.items() if n} for i, states in kept.items()} == {
        i: {s: n for s, n in states.items() if n} for i, states in counted.items()
    }
    assert unaccounted(kept) == {}


async def test_cursor_moves_with_the_batch_and_the_latest_wins(store: Store):
    moved = (NewCursor("mail", "INBOX", b"1"), NewCursor("mail", "INBOX", b"2"))
    await keep(store, envelope(store, "k"), cursors=moved)
    await keep(store, cursors=(NewCursor("mail", "Junk", b"9"),))
    found = await store.read(lambda conn: dict(conn.execute(select(cursors.c.name, cursors.c.value)).all()))
    assert found == {"INBOX": b"2", "Junk": b"9"}


async def test_cursor_stays_if_the_batch_fails(store: Store):
    bad = envelope(store, "k")
    await keep(store, bad)
    clash = envelope(store, "k2")._replace(id=bad.id)
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await keep(store, clash, cursors=(NewCursor("mail", "INBOX", b"1"),))
    assert await store.read(lambda conn: conn.scalars(select(cursors.c.name)).all()) == []


async def test_statements_do_not_grow_with_the_batch(store: Store):
    def counted(conn: Connection, batch: list[NewEnvelope]) -> int:
        seen: list[str] = []
        driver = conn.connection.driver_connection
        if store.dialect == "sqlite":
            driver.set_trace_callback(seen.append)
            journal(conn, batch, [], store.node, store.now())
            driver.set_trace_callback(None)
            return len(seen)

        class Counting(driver.cursor_factory):
            def execute(self, *args, **kwargs):
                seen.append(args[0])
                return super().execute(*args, **kwargs)

        plain, driver.cursor_factory = driver.cursor_factory, Counting
        journal(conn, batch, [], store.node, store.now())
        driver.cursor_factory = plain
        return len(seen)

    small = await store.write(counted, [envelope(store, "a")])
    large = await store.write(counted, [envelope(store, f"b{n}") for n in range(300)])
    inserts = 4 if store.dialect == "sqlite" else 1  # 256, 32, 8 and 4 rows: by powers of two
    assert large - small == inserts - 1
    assert small > 0


async def test_batches_beyond_one_insert_are_kept_whole_and_in_order(store: Store):
    rows = [envelope(store, f"k{n}", bytes([n % 251]) * (200_000 if n % 100 == 0 else 5)) for n in range(1300)]
    assert await keep(store, *rows) == [Journaled(row.id, fresh=True) for row in rows]
    kept = await store.read(lambda conn: conn.execute(select(envelopes.c.id, envelopes.c.raw)).all())
    assert sorted(kept) == [(row.id, row.raw) for row in rows]


async def test_a_row_that_fails_behind_others_takes_its_whole_batch_back(store: Store):
    stands = envelope(store, "stands")
    await keep(store, stands)
    rows = [envelope(store, f"k{n}") for n in range(900)]
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await keep(store, *rows, envelope(store, "bad")._replace(id=stands.id))
    assert await store.read(lambda conn: conn.scalar(select(func.count()).select_from(envelopes))) == 1
    assert all(row.fresh for row in await keep(store, *rows))


async def test_claim_is_bounded_in_bytes_but_never_empty(store: Store):
    await keep(store, *(envelope(store, f"k{n}", bytes([n]) * 1000) for n in range(5)))
    assert len(await store.read(claim_envelopes, 10, 0, 2500)) == 2
    assert len(await store.read(claim_envelopes, 10, 0, 10)) == 1


async def test_claim_goes_on_after_an_id(store: Store):
    batch = [envelope(store, f"k{n}") for n in range(5)]
    await keep(store, *batch)
    rows = await store.read(claim_envelopes, 10, batch[2].id)
    assert [row.id for row in rows] == [row.id for row in batch[3:]]


async def test_settling_twice_counts_once(store: Store):
    row = envelope(store, "k")
    await keep(store, row)
    done = [Outcome(id=row.id, state="done")]
    assert await store.write(settle, done, store.node, store.now()) == {row.id}
    assert await store.write(settle, done, store.node, store.now()) == set()
    assert (await store.read(tallies_by_instance))["mail"]["done"] == 1


async def test_released_envelope_is_pending_with_fresh_attempts(store: Store):
    row = envelope(store, "k")
    await keep(store, row)
    await store.write(settle, [Outcome(id=row.id, state="parked", cause="parse", attempts=5)], store.node, store.now())
    assert await store.read(claim_envelopes, 10) == ()
    assert await store.write(release, None, store.node) == (row.id,)
    assert [(r.id, r.attempts) for r in await store.read(claim_envelopes, 10)] == [(row.id, 0)]
    assert unaccounted(await store.read(tallies_by_instance)) == {}
