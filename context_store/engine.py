"""The store's door: transactions as plain functions over a connection, run in one hop to a thread."""

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from sqlalchemy import Connection, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from context_store.blobs import BlobStore
from context_store.errors import StoreBroken, StoreError, StoreRefused
from context_store.ids import LEASE_MS, Ids, database_ms, greatest_id, lease_node, renew_node, return_node
from context_store.jobs import BEAT, HOLDERS
from context_store.migrations import migrate
from context_store.sqlite import SqliteBackend
from context_store.tables import meta
from context_store.times import to_millis
from plugins import Clock

if TYPE_CHECKING:  # its driver takes 9 MB: loaded by a node on PostgreSQL alone
    from context_store.postgresql import Held, PostgresBackend

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MOST_SKEW_MS = 60_000
"""A clock that is more than a minute off is an operator's to mend, and `doctor` says so: it is not made up for."""
RETRY = 1.0
"""Seconds until a lease that could not be renewed is tried again: once it has lapsed all that comes is put off."""
START_LOCK = 0x7472756E6B6C696E
"""PostgreSQL: one node migrates and takes its number at a time."""


class Store:
    """The installation's database and its folder of large bytes.

    A function given to `write` or `read` runs in a store thread with a `Connection`; it must not keep it, and must
    have no effect outside it, since PostgreSQL may roll it back and have it run again.
    """

    ids: Ids
    installation: str
    """The same for all nodes, and for no other installation."""

    def __init__(self, url: str, folder: Path, clock: Clock) -> None:
        """Use `open`."""
        backend = _backend_of(url)
        self.url = url
        self.folder = folder
        self.blobs = BlobStore(folder)
        self.clock = clock
        self.dialect = backend.dialect
        self.broken: StoreBroken | None = None
        """Set for good by the first fatal disk error: the process must stop."""
        self._backend = backend
        self._skew = 0
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{token_hex(8)}"
        self._holds = asyncio.Semaphore(HOLDERS)
        self._stop = threading.Event()
        self._renewer: threading.Thread | None = None

    @classmethod
    async def open(cls, url: str, folder: Path, clock: Clock) -> "Store":
        """`sqlite:///var/trunkline.db` or `postgresql+psycopg://…`; migrates, and takes the file's owner lock.

        Raises:
            StoreRefused: another process owns the file, a newer release wrote it, or it can't be opened safely.
        """
        return await asyncio.to_thread(cls._open, url, folder, clock)

    @classmethod
    def _open(cls, url: str, folder: Path, clock: Clock) -> "Store":
        folder.mkdir(parents=True, exist_ok=True)
        store = cls(url, folder, clock)
        try:
            store.ids = store._backend.prepare(store._prepare)
        except BaseException:
            store._backend.close()
            raise
        if store.dialect == "postgresql":
            store._renewer = threading.Thread(target=store._renew, name="store-lease", daemon=True)
            store._renewer.start()
        return store

    @property
    def node(self) -> int:
        """This process's node number: part of every id, and the key of its rows in `tallies`."""
        return self.ids.node

    def now(self) -> int:
        """UTC milliseconds, as the tables hold it: the same on all nodes, whose own clocks may differ."""
        return to_millis(self.clock.now()) + self._skew

    def _measure(self, conn: Connection) -> None:
        """How far PostgreSQL's clock is ahead of ours: by it ids keep a lane's order and leases hold on all nodes.

        Read before it reaches us, its time is never late: the greatest difference of a few is the nearest.
        """
        if self.dialect == "postgresql":
            skew = max(database_ms(conn) - to_millis(self.clock.now()) for _ in range(3))
            self._skew = skew if abs(skew) < MOST_SKEW_MS else 0

    def _prepare(self, conn: Connection) -> Ids:
        if self.dialect == "postgresql":
            conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": START_LOCK})
        migrate(conn)
        self._measure(conn)
        self.installation = conn.execute(select(meta.c.value).where(meta.c.key == "installation")).scalar_one()
        above = greatest_id(conn)
        return Ids(self.now, lease_node(conn, self._owner), above, leased=self.dialect == "postgresql")

    async def read(self, fn: Callable[[Connection, *Ts], T], *args: *Ts) -> T:
        """`fn(conn, *args)` in a reader thread, which can't write (SQLite: one snapshot, PostgreSQL: autocommit).

        Raises:
            StoreAway: the store can't serve now.
        """
        return await self._outcome(self._backend.submit_read(fn, args))

    async def write(self, fn: Callable[[Connection, *Ts], T], *args: *Ts, urgent: bool = False) -> T:
        """`fn(conn, *args)` in one transaction. Once given it runs to its end: cancelling the caller undoes nothing.

        Raises:
            StoreAway: rolled back, or never begun.
            CommitUnknown: COMMIT failed; the rows may be there.
            StoreBroken: the disk failed; stop the process.
            Exception: whatever `fn` raised, after a rollback.
        """
        if self.broken is not None:
            raise self.broken
        return await self._outcome(self._backend.submit_write(fn, args, urgent=urgent))

    async def blob(self, sha256: bytes) -> bytes:
        """The bytes of that hash; raises DamagedBlob."""
        return await self.read(self.blobs.get, sha256)

    @asynccontextmanager
    async def holding(self, fn: Callable[[Connection, *Ts], T], *args: *Ts) -> AsyncIterator[T]:
        """The result of `fn`; on PostgreSQL its transaction, and so its advisory locks, stay while the block runs.

        On SQLite it is a read: its one owner has no rival.
        """
        if isinstance(self._backend, SqliteBackend):
            yield await self.read(fn, *args)
            return
        backend = self._backend
        async with self._holds:
            begun = backend.submit_hold(fn, args)
            try:
                held, result = await self._outcome(begun)
            except asyncio.CancelledError:
                begun.add_done_callback(lambda done: done.exception() or backend.submit_let_go(done.result()[0]))
                raise
            beat = asyncio.create_task(self._beat(backend, held))
            try:
                yield result
            finally:
                beat.cancel()
                await self._outcome(backend.submit_let_go(held))

    async def _beat(self, backend: "PostgresBackend", held: "Held") -> None:
        """PostgreSQL ends a held transaction of which it hears nothing: a node that stands still holds nobody up."""
        with suppress(StoreError):
            while True:
                await asyncio.sleep(BEAT)
                await self._outcome(backend.submit_beat(held))

    async def _outcome(self, future: Future[T]) -> T:
        wrapped = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(wrapped)
        except asyncio.CancelledError:
            wrapped.add_done_callback(_unheard)
            raise
        except StoreBroken as error:
            self.broken = self.broken or error
            raise
        finally:
            del future, wrapped  # what was raised would hold them, and they it and the rows, until they are collected

    def _renew(self) -> None:
        """Keep the node number; a store that is away for longer than the lease stops new ids, not the process."""
        pause = LEASE_MS / 5000
        while not self._stop.wait(pause):
            try:
                self.ids.renewed(self._backend.submit_write(self._renew_in, (), urgent=False).result())
                pause = LEASE_MS / 5000
            except (StoreError, DBAPIError):
                pause = RETRY

    def _renew_in(self, conn: Connection) -> int:
        self._measure(conn)
        if renew_node(conn, self.node, self._owner):
            return self.node
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": START_LOCK})
        return lease_node(conn, self._owner)

    async def close(self) -> None:
        """Queued work is written first."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._stop.set()
        if self._renewer is not None:
            self._renewer.join()
        with suppress(StoreError):
            self._backend.submit_write(return_node, (self.node, self._owner), urgent=False).result()
        self._backend.close()


def _unheard(done: "asyncio.Future[Any]") -> None:
    """Whoever waited for it is gone (`shield` forgets it then): asyncio would log that nobody asked for its error."""
    if not done.cancelled():
        done.exception()


def _backend_of(url: str) -> "SqliteBackend | PostgresBackend":
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreRefused(f"not a store URL (sqlite:///path or postgresql+psycopg://…): {error}") from error
    if parsed.drivername == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        return SqliteBackend(Path(str(parsed.database)))
    if parsed.drivername in {"postgresql", "postgresql+psycopg"}:
        from context_store.postgresql import PostgresBackend  # noqa: PLC0415

        return PostgresBackend(parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False))
    raise StoreRefused(f"the store is sqlite:///path or postgresql+psycopg://…, not {parsed.drivername}://")
