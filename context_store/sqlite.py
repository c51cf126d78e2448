"""The SQLite side: one owner, one writer thread that also checkpoints, readers that can't write.

SQLite up to 3.51.2 may lose commits when two connections write or checkpoint at once (WAL-reset race), so nobody but
the writer thread's one connection does either. `synchronous=FULL`: with NORMAL a power cut loses acknowledged rows.
"""

import fcntl
import os
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar

from sqlalchemy import Connection, Engine, NullPool, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError

from context_store.blobs import sync_folder
from context_store.crashpoints import protected
from context_store.errors import StoreAway, StoreBroken, StoreError, StoreRefused
from context_store.jobs import Job, transact

T = TypeVar("T")

READERS = 4
BUSY_MS = 2_000
"""Only a foreign process (a person's sqlite3 shell) can hold the lock; an acknowledgement is due within 2.5 s."""
IDLE_SECONDS = 1.0
CHECKPOINT_COMMITS = 500
CHECKPOINT_GROWTH = 8 << 20
CACHE_KIB = 16 << 10
"""Of the writer: the inner pages of all indexes of a million messages, and a batch's own, are not read twice."""
WAL_LIMIT = 64 << 20
"""Bytes that the WAL file keeps after a reset; it may grow beyond while a long reader holds it."""

_FATAL = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_LATER = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
}  # fmt: skip
_owned: set[Path] = set()
_owned_lock = threading.Lock()


class OwnerLock:
    """A process-wide claim on the file, gone with the process however that dies.

    On a file beside the database: closing any descriptor of the database itself would drop SQLite's own locks. A
    record lock, because a forked worker must not keep it alive; such locks don't tell two owners inside one process
    apart, hence the set.
    """

    def __init__(self, database: Path) -> None:
        """Raises StoreRefused with the holder's process id."""
        self._path = database.resolve().with_name(database.name + ".owner")
        with _owned_lock:
            if self._path in _owned:
                raise StoreRefused(f"{database} is already open in this process (process {os.getpid()})")
            self._file = self._take(database)
            _owned.add(self._path)

    def _take(self, database: Path) -> IO[str]:
        file = self._path.open("a+", encoding="ascii")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            msg = (
                f"{database} is in use by process {holder}: stop it, or let it do the work (the CLI asks it by itself)"
            )
            raise StoreRefused(msg) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        return file

    def release(self) -> None:
        """The file stays: removing it would let two processes lock two files of one name."""
        with _owned_lock:
            self._file.close()
            _owned.discard(self._path)


def health(error: BaseException, at_commit: bool = False) -> StoreError | None:
    """IOERR, CORRUPT, NOTADB: the process must stop. FULL, BUSY, READONLY: nothing changed, try later.

    A disk that is full at COMMIT is fatal too: what reached the WAL is unknown.
    """
    driver = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(driver, sqlite3.Error):
        return None
    code = getattr(driver, "sqlite_errorcode", 0) & 0xFF
    if code in _FATAL or (at_commit and code == sqlite3.SQLITE_FULL):
        return StoreBroken(f"the database file failed: {driver}")
    if code in _LATER:
        return StoreAway(f"the database can't be written now: {driver}")
    return None


def _engine(path: Path, *, writer: bool) -> Engine:
    def connect() -> sqlite3.Connection:
        # isolation_level None: sqlite3 begins nothing by itself (it would silently leave SELECT outside)
        raw = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000)
        raw.execute("PRAGMA wal_autocheckpoint=0")
        if writer:
            _make_durable(raw, path)
        else:
            raw.execute("PRAGMA query_only=1")
        return raw

    pool: dict[str, Any] = {"poolclass": NullPool}
    if not writer:
        pool = {"poolclass": QueuePool, "pool_size": READERS, "max_overflow": 0}
    engine = create_engine("sqlite://", creator=connect, **pool)
    begin = "BEGIN IMMEDIATE" if writer else "BEGIN"

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        driver: Any = conn.connection.driver_connection
        driver.execute(begin)  # SQLAlchemy's own way costs as much as ten rows

    return engine


def _make_durable(raw: sqlite3.Connection, path: Path) -> None:
    mode = raw.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    raw.execute(f"PRAGMA synchronous={'FULL' if protected('sync') else 'NORMAL'}")
    raw.execute(f"PRAGMA journal_size_limit={WAL_LIMIT}")
    raw.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    level = raw.execute("PRAGMA synchronous").fetchone()[0]
    if mode != "wal" or (level != 2 and protected("sync")):
        raw.close()
        msg = f"{path}: needs journal_mode=wal and synchronous=2, got {mode} and {level} (a network file system?)"
        raise StoreRefused(msg)


class SqliteBackend:
    """What `Store` needs of SQLite."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        """Takes the owner lock and opens the writer; `prepare` must run before anything else."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._owner = OwnerLock(path)
        self._urgent = deque[Job[Any]]()
        self._others = deque[Job[Any]]()
        self._turns: queue.SimpleQueue[None] = queue.SimpleQueue()
        """One for each job and one for the end; a queue that knows priorities takes and wakes at ten times the cost."""
        self._closing = threading.Lock()
        self._closed = False
        self._wal_size = self._commits = 0
        self._engines = (_engine(path, writer=True), _engine(path, writer=False))
        try:
            self._writer = self._engines[0].connect()
        except (DBAPIError, sqlite3.Error) as error:
            self._owner.release()
            raise StoreRefused(f"{path} can't be opened: {getattr(error, 'orig', error)}") from error
        except BaseException:
            self._owner.release()
            raise
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")

    def prepare(self, fn: Callable[[Connection], T]) -> T:
        """Migrations and the node number, in one transaction; foreign keys are checked from then on."""
        result = transact(self._writer, fn, (), health)
        self._raw().execute("PRAGMA foreign_keys=ON")
        # The switch to WAL deletes its rollback journal unsynced: a power cut could bring it back, and it would undo
        # everything since (seen under bench/faults/platter.c).
        sync_folder(self.path.parent)
        self._thread.start()
        return result

    def submit_write(self, fn: Callable[..., T], args: tuple[Any, ...], *, urgent: bool) -> Future[T]:
        """Queued behind those of its kind; urgent ones overtake."""
        job: Job[T] = Job(fn, args)
        with self._closing:
            if self._closed:
                raise StoreAway("the store is closed")
            (self._urgent if urgent else self._others).append(job)
            self._turns.put(None)
        return job.future

    def submit_read(self, fn: Callable[..., T], args: tuple[Any, ...]) -> Future[T]:
        """In a reader thread, on one snapshot."""
        try:
            return self._readers.submit(self._read, fn, args)
        except RuntimeError as error:
            raise StoreAway("the store is closed") from error

    def _read(self, fn: Callable[..., T], args: tuple[Any, ...]) -> T:
        try:
            with self._engines[1].connect() as conn:
                conn.begin()  # closing ends it: there is nothing to commit
                return fn(conn, *args)
        except (DBAPIError, sqlite3.Error) as error:
            ours = health(error, at_commit=False)
            if ours is not None:
                raise ours from error
            raise

    def _run(self) -> None:
        while True:
            try:
                self._turns.get(timeout=IDLE_SECONDS if self._commits else None)
            except queue.Empty:
                self._checkpoint()
                continue
            jobs = self._urgent or self._others
            if not jobs:
                return
            jobs.popleft().run(lambda fn, args: transact(self._writer, fn, args, health))
            self._commits += 1
            if self._commits >= CHECKPOINT_COMMITS or self._wal_grown():
                self._checkpoint()

    def _wal_grown(self) -> bool:
        """Compared with the last checkpoint: the file does not shrink when the WAL starts over."""
        return self._size_of_wal() - self._wal_size >= CHECKPOINT_GROWTH

    def _size_of_wal(self) -> int:
        try:
            return os.stat(f"{self.path}-wal").st_size
        except FileNotFoundError:
            return 0

    def _checkpoint(self) -> None:
        """PASSIVE never waits for readers. A disk error here shows at the next COMMIT, which has a caller to tell."""
        with suppress(sqlite3.Error):
            self._raw().execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._commits = 0
        self._wal_size = self._size_of_wal()

    def _raw(self) -> sqlite3.Connection:
        raw = self._writer.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        return raw

    def close(self) -> None:
        """What was queued is still written."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._turns.put(None)
        if self._thread.ident is not None:
            self._thread.join()
        self._readers.shutdown()
        self._engines[1].dispose()
        self._writer.close()
        self._engines[0].dispose()
        self._owner.release()
