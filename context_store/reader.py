"""A second look at the store: read-only, beside the process that owns it, without its locks.

SQLite's `mode=ro` can neither write nor checkpoint, so the owner stays the only one that does either (the WAL-reset
race needs two). The command line reads through this while `serve` runs.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError

from context_store import tables as t
from context_store.errors import StoreAway, StoreRefused


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """A connection on one snapshot that can't write.

    Raises:
        StoreRefused: the address is wrong, or there is no store yet.
        StoreAway: it can't be reached, or fails while it is read.
    """
    engine, file = _engine(url), file_of(url)
    try:
        with engine.connect() as conn, conn.begin():
            conn.execute(select(t.meta.c.key).limit(1))
            yield conn
    except DBAPIError as error:
        what = str(getattr(error, "orig", error)).strip()
        if "no such table" in what or "UndefinedTable" in type(error.orig).__name__:
            raise StoreRefused("the store is empty: `trunkline serve` sets it up") from error
        raise StoreAway(f"the store{f' at {file}' if file else ''} can't be read: {what}") from error
    finally:
        engine.dispose()


def file_of(url: str) -> Path | None:
    """Where SQLite's database lies; None for PostgreSQL. Raises StoreRefused."""
    parsed = _parsed(url)
    return Path(str(parsed.database)) if parsed.drivername == "sqlite" else None


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:
        raise StoreRefused(
            "the store's address can't be read: expected sqlite:///path or postgresql+psycopg://…"
        ) from error


def _engine(url: str) -> Engine:
    parsed, path = _parsed(url), file_of(url)
    if path is None:
        # A time-out, so that a person who types a command is not left before a silent host.
        options = "-c default_transaction_read_only=on -c statement_timeout=60000"
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            connect_args={"options": options, "connect_timeout": 5},
            poolclass=NullPool,
            isolation_level="REPEATABLE READ",
        )
    if path.is_dir():
        raise StoreRefused(f"{path} is a folder, not a database")
    if not path.is_file():
        raise StoreRefused(f"there is no store at {path} yet: `trunkline serve` makes it")

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, check_same_thread=False, timeout=5
        )

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)
