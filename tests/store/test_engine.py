"""The store's door: one transaction per write, nothing lost to cancelling, every failure with its own name."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, insert, select, text

from context_store import CommitUnknown, Store, StoreAway, StoreBroken, StoreRefused
from context_store.pending import claim_envelopes
from context_store.sqlite import CHECKPOINT_GROWTH, _make_durable
from context_store.tables import cursors, users
from tests.store.conftest import Turned
from tests.store.make import envelope, keep

ROOT = Path(__file__).parents[2]
OWNER = """
import asyncio, sys
from pathlib import Path
from context_store import Store
from hub.clock import SystemClock
async def main():
    store = await Store.open(sys.argv[1], Path(sys.argv[2]), SystemClock())
    print("open", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def add(conn: Connection, name: str) -> None:
    conn.execute(insert(cursors).values(instance="test", name=name, value=b"", moved_at=0))


async def names(store: Store) -> list[str]:
    return list(await store.read(lambda conn: conn.scalars(select(cursors.c.name).order_by(cursors.c.name)).all()))


async def test_a_write_is_read_back(store: Store):
    await store.write(add, "a")
    assert await names(store) == ["a"]


async def test_readers_can_not_write(store: Store):
    with pytest.raises(Exception, match=r"readonly|read-only"):
        await store.read(add, "a")
    assert await names(store) == []


async def test_function_that_raises_leaves_nothing_and_raises_the_same_error(store: Store):
    error = KeyError("mine")

    def fails(conn: Connection) -> None:
        add(conn, "a")
        raise error

    with pytest.raises(KeyError) as caught:
        await store.write(fails)
    assert caught.value is error
    await store.write(add, "b")
    assert await names(store) == ["b"]


async def test_cancelling_the_caller_undoes_nothing(store: Store):
    begun, go_on = threading.Event(), threading.Event()

    def slow(conn: Connection) -> None:
        begun.set()
        go_on.wait(10)
        add(conn, "a")

    caller = asyncio.create_task(store.write(slow))
    await asyncio.to_thread(begun.wait, 10)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    await store.close()  # waits for what runs
    reopened = await Store.open(str(store.url), store.folder, store.clock)
    assert await names(reopened) == ["a"]
    await reopened.close()


async def test_urgent_writes_overtake(store: Store):
    order: list[str] = []
    begun, go_on = threading.Semaphore(0), threading.Event()

    def block(_conn: Connection) -> None:
        begun.release()
        go_on.wait(10)

    busy = 1 if store.dialect == "sqlite" else 4
    blocked = [asyncio.create_task(store.write(block)) for _ in range(busy)]
    for _ in blocked:
        await asyncio.to_thread(begun.acquire, True, 10)
    later = asyncio.create_task(store.write(lambda _conn: order.append("record")))
    await asyncio.sleep(0)
    urgent = asyncio.create_task(store.write(lambda _conn: order.append("journal"), urgent=True))
    await asyncio.sleep(0)
    if store.dialect == "postgresql":  # a connection of its own: it needn't even wait
        await urgent
    go_on.set()
    await asyncio.gather(*blocked, later, urgent)
    assert order == ["journal", "record"]


async def test_failed_commit_is_unknown_and_the_store_goes_on(store: Store):
    def fails_at_commit(conn: Connection) -> None:
        if store.dialect == "sqlite":
            conn.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
            conn.execute(insert(users).values(id=1, organisation_id=99, created_at=0))
            return
        add(conn, "a")
        pid = conn.connection.driver_connection.info.backend_pid
        with psycopg.connect(str(store.url).replace("+psycopg", ""), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    with pytest.raises(CommitUnknown):
        await store.write(fails_at_commit)
    await store.write(add, "b")
    assert await names(store) == ["b"]


async def test_foreign_keys_hold(store: Store):
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        await store.write(lambda conn: conn.execute(insert(users).values(id=1, organisation_id=99, created_at=0)))


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_transaction_whose_backend_is_killed_runs_again(store: Store):
    tries = []

    def killed_once(conn: Connection) -> None:
        tries.append(1)
        add(conn, f"try {len(tries)}")
        if len(tries) == 1:
            conn.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    await store.write(killed_once)
    assert await names(store) == ["try 2"]


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_server_that_stays_away_is_named_so(store: Store):
    def always_killed(conn: Connection) -> None:
        conn.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(StoreAway):
        await store.write(always_killed)
    await store.write(add, "a")


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_full_disk_is_away_and_heals(store: Store):
    def fill(conn: Connection) -> None:
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar()
        conn.exec_driver_sql(f"PRAGMA max_page_count={pages + 10}")
        conn.exec_driver_sql("INSERT INTO cursors VALUES ('test', 'big', zeroblob(1000000), 0)")

    with pytest.raises(StoreAway):
        await store.write(fill)
    await store.write(lambda conn: conn.exec_driver_sql("PRAGMA max_page_count=1000000").scalar())
    await store.write(add, "a")
    assert await names(store) == ["a"]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("code", "kind"), [(sqlite3.SQLITE_IOERR_WRITE, StoreBroken), (sqlite3.SQLITE_BUSY, StoreAway)]
)
async def test_disk_error_breaks_the_store_for_good_but_a_lock_does_not(store: Store, code: int, kind: type[Exception]):
    def fails(_conn: Connection) -> None:
        error = sqlite3.OperationalError("as the disk would say")
        error.sqlite_errorcode = code
        raise error

    with pytest.raises(kind):
        await store.write(fails)
    if kind is StoreBroken:
        assert store.broken is not None
        with pytest.raises(StoreBroken):
            await store.write(add, "a")
    else:
        assert store.broken is None
        await store.write(add, "a")


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_writer_syncs_every_commit(store: Store):
    def pragmas(conn: Connection) -> tuple[object, ...]:
        wanted = ("synchronous", "journal_mode", "foreign_keys", "wal_autocheckpoint")
        return tuple(conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted)

    assert await store.write(pragmas) == (2, "wal", 1, 0)


def test_database_that_can_not_be_made_durable_is_refused():
    raw = sqlite3.connect(":memory:")
    with pytest.raises(StoreRefused, match="memory"):
        _make_durable(raw, Path("x"))


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_readers_neither_write_nor_checkpoint(store: Store):
    def pragmas(conn: Connection) -> tuple[object, ...]:
        return tuple(conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("query_only", "wal_autocheckpoint"))

    assert await store.read(pragmas) == (1, 0)


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_wal_stays_bounded_under_load(store: Store):
    blob = os.urandom(200_000)
    for n in range(150):
        await store.write(lambda conn, n=n: add(conn, f"{n}") or (conn.execute(
            text("UPDATE cursors SET value = :v WHERE name = '0'"), {"v": blob}
        ) and None))  # fmt: skip
    wal = Path(f"{str(store.url).removeprefix('sqlite:///')}-wal")
    assert (await asyncio.to_thread(wal.stat)).st_size < 2 * CHECKPOINT_GROWTH


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_postgresql_commits_synchronously_and_reads_can_not_write(store: Store):
    def shown(conn: Connection) -> tuple[object, ...]:
        wanted = ("synchronous_commit", "default_transaction_read_only")
        return tuple(conn.exec_driver_sql(f"SHOW {name}").scalar() for name in wanted)

    assert await store.write(shown) == ("on", "off")
    assert await store.write(shown, urgent=True) == ("on", "off")
    assert await store.read(shown) == ("on", "on")


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_server_that_would_commit_asynchronously_is_overruled(store_url: str, tmp_path: Path, clock: Turned):
    plain = store_url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as conn:
        name = conn.info.dbname
        conn.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')  # type: ignore[arg-type]
    with psycopg.connect(plain) as conn:
        assert conn.execute("SHOW synchronous_commit").fetchone() == ("off",)
    store = await Store.open(store_url, tmp_path / "blobs", clock)
    assert await store.write(lambda conn: conn.exec_driver_sql("SHOW synchronous_commit").scalar()) == "on"
    await store.close()


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_second_process_is_told_who_owns_the_file(store: Store):
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", OWNER, str(store.url), str(store.folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert f"in use by process {os.getpid()}" in done.stderr


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_file_is_free_after_its_owner_was_killed(store_url: str, tmp_path: Path, clock: Turned):
    owner = await asyncio.to_thread(
        subprocess.Popen,
        [sys.executable, "-c", OWNER, store_url, str(tmp_path / "blobs")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    assert await asyncio.to_thread(owner.stdout.readline) == "open\n"
    with pytest.raises(StoreRefused, match=f"process {owner.pid}"):
        await Store.open(store_url, tmp_path / "blobs", clock)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    await (await Store.open(store_url, tmp_path / "blobs", clock)).close()


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_file_opens_once_in_a_process_and_again_after_close(store: Store, store_url: str, clock: Turned):
    with pytest.raises(StoreRefused, match="already open in this process"):
        await Store.open(store_url, store.folder, clock)
    await store.close()
    await (await Store.open(store_url, store.folder, clock)).close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "no url"])
async def test_wrong_address_is_refused_with_words(url: str, tmp_path: Path, clock: Turned):
    with pytest.raises(StoreRefused, match="sqlite:///path"):
        await Store.open(url, tmp_path, clock)


async def test_file_that_is_no_database_is_refused(tmp_path: Path, clock: Turned):
    (tmp_path / "x.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreRefused, match="not a database"):
        await Store.open(f"sqlite:///{tmp_path}/x.db", tmp_path / "blobs", clock)


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_lane_that_a_node_holds_is_left_alone_by_others(store: Store, store_url: str, clock: Turned):
    other = await Store.open(store_url, store.folder, clock)
    await keep(store, envelope(store, "1", lane="x"), envelope(store, "2", lane="y"), envelope(store, "3", lane="x"))
    async with store.holding(claim_envelopes, 1) as mine:
        assert len(mine) == 1
        async with other.holding(claim_envelopes, 10) as theirs:
            assert theirs == ()  # both lanes were looked at by the first claim
        await keep(store, envelope(store, "4", lane="z"))
        async with other.holding(claim_envelopes, 10) as theirs:
            assert len(theirs) == 1
    async with other.holding(claim_envelopes, 10) as theirs:
        assert len(theirs) == 4
    await other.close()


async def test_block_that_raises_lets_its_lanes_go(store: Store):
    await keep(store, envelope(store, "1"))

    async def fails() -> None:
        async with store.holding(claim_envelopes, 10) as held:
            assert len(held) == 1
            raise KeyError

    for _ in range(10):  # more often than there are connections for it
        with pytest.raises(KeyError):
            await fails()


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_caller_that_is_cancelled_while_it_claims_holds_nothing(store: Store):
    await keep(store, envelope(store, "1"))
    claimed, go_on = threading.Semaphore(0), threading.Event()

    def claim_slowly(conn: Connection) -> object:
        found = claim_envelopes(conn, 10)
        claimed.release()
        go_on.wait(10)
        return found

    async def hold() -> None:
        async with store.holding(claim_slowly):
            raise AssertionError

    caller = asyncio.create_task(hold())
    await asyncio.to_thread(claimed.acquire, True, 10)
    async with store.holding(claim_envelopes, 10) as other:
        assert other == ()  # the control: the lane is held
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    while True:  # the other thread lets go in its own time
        async with store.holding(claim_envelopes, 10) as other:
            if other:
                break
        await asyncio.sleep(0.01)


async def test_closed_store_says_so(store: Store):
    await store.close()
    with pytest.raises(StoreAway, match="closed"):
        await store.write(add, "a")
    with pytest.raises(StoreAway, match="closed"):
        await store.read(lambda _conn: None)
