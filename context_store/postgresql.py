"""The PostgreSQL side: small pools in threads, one connection apart for urgent work, autocommit reads."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg
from psycopg.types.array import ListBinaryDumper
from psycopg.types.numeric import Int8BinaryDumper, IntDumper
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from context_store.errors import StoreAway, StoreError, StoreRefused
from context_store.jobs import HOLDERS, transact

T = TypeVar("T")

WRITERS = 4
READERS = 4
TRIES = 3
URGENT_IDLE_MS, HELD_IDLE_MS, IDLE_MS = 2_000, 5_000, 15_000
"""A transaction of which the server hears nothing for so long is ended, and its locks with it: its process stands
still (stopped, swapped out, its machine frozen), and TCP's own keepalives are answered by the kernel all the same. The
journal has the shortest one, because others may wait for its keys while a source waits for its answer; a held
transaction says that it lives; all others may think for a while between two statements of a large batch."""

# Keepalives on the server's side: a dead client's locks are free after at most 25 s (ignored on unix sockets).
# remote_apply waits for more than `on`; every other level may lose an acknowledged row.
_SESSION = """
SELECT set_config('synchronous_commit',
        CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
    current_setting('server_encoding'),
    set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false),
    set_config('tcp_user_timeout', '20000', false),
    set_config('idle_in_transaction_session_timeout', %s, false),
    set_config('default_transaction_read_only', %s, false),
    set_config('plan_cache_mode', %s, false)
"""
_CLIENT = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_AWAY = ("08", "53", "57", "58", "25006", "25P03")
"""SQLSTATE classes: connection, resources (disk full), operator, system; a read-only server; we stood still."""


def away(error: BaseException) -> StoreError | None:
    """Our word for "the server can't now"; None for everything that is the statement's own fault."""
    driver = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(driver, psycopg.Error):
        return None
    state = driver.sqlstate or ""
    # without a state it is libpq's own: no connection, or lost
    if state.startswith(_AWAY) or (not state and isinstance(driver, psycopg.OperationalError)):
        return StoreAway(f"PostgreSQL is away: {driver}")
    return None


def _again(error: BaseException, conn: Connection) -> bool:
    """Certainly rolled back and worth a second run: connection lost before COMMIT, serialisation, deadlock."""
    driver = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(driver, psycopg.Error):
        return False
    if driver.sqlstate in {"40001", "40P01"}:
        return True
    if conn.invalidated:
        return True
    raw = conn.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    if raw.broken:
        conn.invalidate(driver)
    return raw.broken


def _engine(url: str, size: int, *, reads: bool = False, plan: str = "auto", idle: int = IDLE_MS) -> Engine:
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"} if reads else {}
    engine = create_engine(url, pool_size=size, max_overflow=0, connect_args=_CLIENT, **options)

    @event.listens_for(engine, "connect")
    def _durable(raw: Any, _record: object) -> None:
        found = raw.execute(_SESSION, [str(idle), "on" if reads else "off", plan]).fetchone()
        raw.commit()
        if found[0] not in {"on", "remote_apply"} or found[1] != "UTF8":
            raw.close()
            raise StoreRefused(f"PostgreSQL must have synchronous_commit=on and encoding UTF8, got {found[:2]}")
        _arrays_as_bytes(raw)

    return engine


def _arrays_as_bytes(raw: psycopg.Connection) -> None:
    """Batches go as arrays: in their text form every element would be searched for what it must be quoted for.

    One width for all their numbers: else psycopg takes the narrowest, and every combination is another prepared
    statement. The last one that is registered for a type is taken where no form is asked for.
    """
    raw.adapters.register_dumper(list, ListBinaryDumper)
    raw.adapters.register_dumper(int, Int8BinaryDumper)
    raw.adapters.register_dumper(int, IntDumper)


class PostgresBackend:
    """What `Store` needs of PostgreSQL."""

    dialect = "postgresql"

    def __init__(self, url: str) -> None:
        """Connects at `prepare`."""
        # the journal's one statement: planning it anew for each batch takes as long as running it
        self._urgent = _engine(url, 1, plan="force_generic_plan", idle=URGENT_IDLE_MS)
        self._writes = _engine(url, WRITERS)
        self._holds = _engine(url, HOLDERS, idle=HELD_IDLE_MS)
        self._reads = _engine(url, READERS, reads=True)
        self._pools = {
            engine: ThreadPoolExecutor(size, thread_name_prefix=f"store-{name}")
            for engine, size, name in (
                (self._urgent, 1, "urgent"),
                (self._writes, WRITERS, "writer"),
                (self._holds, HOLDERS, "holder"),
                (self._reads, READERS, "reader"),
            )
        }

    def prepare(self, fn: Callable[[Connection], T]) -> T:
        """Migrations and the node number, in one transaction."""
        try:
            return self._transact(self._writes, fn, ())
        except StoreAway as error:
            raise StoreRefused(str(error)) from error

    def submit_write(self, fn: Callable[..., T], args: tuple[Any, ...], *, urgent: bool) -> Future[T]:
        """`fn` runs again if PostgreSQL rolled it back (lost connection, deadlock): no effects outside `conn`."""
        engine = self._urgent if urgent else self._writes
        return self._submit(engine, self._transact, engine, fn, args)

    def submit_read(self, fn: Callable[..., T], args: tuple[Any, ...]) -> Future[T]:
        """Each statement sees what is committed by then."""
        return self._submit(self._reads, self._read, fn, args)

    def submit_hold(self, fn: Callable[..., T], args: tuple[Any, ...]) -> Future[tuple["Held", T]]:
        """Begin a transaction that stays open, and with it its advisory locks, until `submit_let_go`."""
        return self._submit(self._holds, self._hold, fn, args)

    def submit_beat(self, held: "Held") -> Future[None]:
        """Say that a held transaction is still wanted."""
        return self._submit(self._holds, held.beat)

    def submit_let_go(self, held: "Held") -> Future[None]:
        """End a held transaction."""
        return self._submit(self._holds, held.let_go)

    def _submit(self, engine: Engine, fn: Callable[..., T], *args: Any) -> Future[T]:
        try:
            return self._pools[engine].submit(fn, *args)
        except RuntimeError as error:
            raise StoreAway("the store is closed") from error

    def _transact(self, engine: Engine, fn: Callable[..., T], args: tuple[Any, ...]) -> T:
        return self._retrying(engine, lambda conn: transact(conn, fn, args, lambda _error, _at_commit: None))

    def _read(self, fn: Callable[..., T], args: tuple[Any, ...]) -> T:
        return self._retrying(self._reads, lambda conn: fn(conn, *args))

    def _retrying(self, engine: Engine, call: Callable[[Connection], T]) -> T:
        for attempt in range(TRIES):
            last = attempt == TRIES - 1
            try:
                with engine.connect() as conn:
                    try:
                        return call(conn)
                    except (DBAPIError, psycopg.Error) as error:
                        if last or not _again(error, conn):
                            raise
            except (DBAPIError, psycopg.Error) as error:
                ours = away(error)
                if ours is None:
                    raise
                if last:
                    try:
                        raise ours from error
                    finally:
                        del ours  # see `Job.run`
            time.sleep(0.1 * attempt)
        raise AssertionError

    def _hold(self, fn: Callable[..., T], args: tuple[Any, ...]) -> tuple["Held", T]:
        try:
            held = Held(self._holds.connect())
            try:
                return held, fn(held.conn, *args)
            except BaseException:
                held.let_go()
                raise
        except (DBAPIError, psycopg.Error) as error:
            ours = away(error)
            if ours is not None:
                raise ours from error
            raise

    def close(self) -> None:
        """What was queued is still written."""
        for pool in self._pools.values():
            pool.shutdown()
        for engine in self._pools:
            engine.dispose()


class Held:
    """A transaction that stays open for its locks."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self._turn = threading.Lock()
        self._over = False

    def beat(self) -> None:
        """Raises StoreAway once the transaction is lost; after its end it does nothing: the connection is another's."""
        with self._turn:
            if self._over:
                return
            driver: Any = self.conn.connection.driver_connection
            try:
                driver.execute("SELECT 1")
            except psycopg.Error as error:
                raise StoreAway(f"the held transaction is lost: {error}") from error

    def let_go(self) -> None:
        """A connection that was lost has let go by itself."""
        with self._turn:
            self._over = True
            try:
                self.conn.rollback()
                self.conn.close()
            except DBAPIError:
                self.conn.invalidate()
                self.conn.close()
