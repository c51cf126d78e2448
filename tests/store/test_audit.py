import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, select, update
from sqlalchemy.event import listen, remove

from context_store import Store
from context_store.audit import (
    ChainReport,
    Head,
    NewEvent,
    add_events,
    publish_head,
    published_heads,
    seal,
    verify_chain,
)
from context_store.tables import events, seals


def event(store: Store, **body: object) -> NewEvent:
    return NewEvent(id=store.ids.next(), kind="query.set", subject_id=7, actor="agent:1", at=store.now(), body=body)


async def sealed(store: Store, blocks: int = 3, each: int = 4) -> list[Head]:
    heads = []
    for _ in range(blocks):
        await store.write(add_events, [event(store, priority=f"P{n}") for n in range(each)])
        head = await store.write(seal, store.now())
        assert head is not None
        heads.append(head)
    return heads


async def test_sealed_events_are_numbered_without_gaps_in_id_order(store: Store):
    await sealed(store)
    rows = await store.read(lambda conn: conn.execute(select(events.c.seq, events.c.id).order_by(events.c.seq)).all())
    assert [row.seq for row in rows] == list(range(1, 13))
    assert [row.id for row in rows] == sorted(row.id for row in rows)


async def test_untouched_chain_verifies(store: Store):
    heads = await sealed(store)
    report = await store.read(verify_chain, heads)
    assert (report.blocks, report.events, report.problems) == (3, 12, ())


async def test_block_that_comes_while_the_chain_is_read_is_no_damage(store: Store):
    heads = await sealed(store)
    await store.write(add_events, [event(store)])
    loop = asyncio.get_running_loop()

    def reading(conn: Connection) -> ChainReport:
        def meanwhile(_conn: object, _cursor: object, statement: str, *_more: object) -> None:
            if "FROM seals" in statement:
                asyncio.run_coroutine_threadsafe(store.write(seal, store.now()), loop).result()

        listen(conn, "after_cursor_execute", meanwhile)
        try:
            return verify_chain(conn, heads)
        finally:
            remove(conn, "after_cursor_execute", meanwhile)

    report = await store.read(reading)
    assert (report.blocks, report.problems) == (3, ())
    assert (await store.read(verify_chain, heads)).blocks == 4


async def test_nothing_to_seal_is_none(store: Store):
    assert await store.write(seal, 0) is None
    await sealed(store, 1)
    assert await store.write(seal, 0) is None


async def test_erased_event_leaves_the_chain_whole(store: Store):
    heads = await sealed(store)
    victim = await store.read(lambda conn: conn.scalar(select(events.c.id).where(events.c.seq == 5)))
    await store.write(
        lambda conn: conn.execute(update(events).where(events.c.id == victim).values(body=None, salt=None))
    )
    row = await store.read(lambda conn: conn.execute(select(events).where(events.c.id == victim)).one())
    assert (row.body, row.salt) == (None, None)
    assert (await store.read(verify_chain, heads)).problems == ()


def swap(conn: Connection) -> None:
    for seq, to in ((5, -1), (6, 5), (-1, 6)):
        conn.execute(update(events).where(events.c.seq == seq).values(seq=to))


def cut_the_tail(conn: Connection) -> None:
    conn.execute(delete(seals).where(seals.c.n == 3))
    conn.execute(delete(events).where(events.c.seq > 8))


def rewrite(conn: Connection) -> None:
    """A careful forger: cuts the tail and seals other events in its place."""
    cut_the_tail(conn)
    add_events(conn, [NewEvent(id=1 << 61, kind="x", subject_id=1, actor="y", at=1, body={})])
    seal(conn, 0)


TAMPERINGS = {
    "payload": lambda conn: conn.execute(update(events).where(events.c.seq == 5).values(body="{}")),
    "actor": lambda conn: conn.execute(update(events).where(events.c.seq == 5).values(actor="agent:2")),
    "time": lambda conn: conn.execute(update(events).where(events.c.seq == 5).values(at=1)),
    "commitment": lambda conn: conn.execute(update(events).where(events.c.seq == 5).values(commitment=b"x" * 32)),
    "salt alone": lambda conn: conn.execute(update(events).where(events.c.seq == 5).values(salt=None)),
    "delete": lambda conn: conn.execute(delete(events).where(events.c.seq == 5)),
    "reorder": swap,
    "delete a block": lambda conn: conn.execute(delete(seals).where(seals.c.n == 2)),
    "other head": lambda conn: conn.execute(update(seals).where(seals.c.n == 2).values(head=b"x" * 32)),
}


@pytest.mark.parametrize("what", TAMPERINGS)
async def test_change_is_noticed(store: Store, what: str):
    heads = await sealed(store)
    await store.write(lambda conn: TAMPERINGS[what](conn) and None)
    assert (await store.read(verify_chain, heads)).problems


@pytest.mark.parametrize("tamper", [cut_the_tail, rewrite])
async def test_truncated_tail_shows_against_the_published_heads_alone(store: Store, tamper):
    heads = await sealed(store)
    await store.write(tamper)
    assert (await store.read(verify_chain)).problems == ()
    assert (await store.read(verify_chain, heads)).problems


def test_published_heads_survive_a_torn_line(tmp_path: Path):
    path = tmp_path / "heads"
    assert published_heads(path) == []
    publish_head(path, Head(1, 4, "ab"))
    publish_head(path, Head(2, 8, "cd"))
    path.write_bytes(path.read_bytes() + b'{"n":3')
    assert published_heads(path) == [Head(1, 4, "ab"), Head(2, 8, "cd")]


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_second_sealer_stands_back(store: Store):
    await store.write(add_events, [event(store)])

    def while_sealing(conn: Connection) -> object:
        assert seal(conn, 0) is not None
        return store._backend.submit_write(seal, (0,), urgent=False).result(10)

    assert await store.write(while_sealing) is None


def test_a_torn_line_is_taken_back_before_the_next(tmp_path: Path):
    path = tmp_path / "heads.jsonl"
    publish_head(path, Head(1, 4, "ab"))
    with path.open("ab") as file:
        file.write(b'{"n":2,"last_')  # the disk was full
    publish_head(path, Head(3, 9, "ef"))
    assert published_heads(path) == [Head(1, 4, "ab"), Head(3, 9, "ef")]
