"""What a transaction was given is free again when it failed: on a disk that stands still that is 64 MiB each time."""

import asyncio
import gc
import sqlite3
import weakref
from contextlib import suppress

import psycopg
from sqlalchemy import Connection

from context_store import Store, StoreAway


class Rows(list[bytes]):
    """Can be referred to weakly."""


def _away(conn: Connection, _: Rows) -> None:
    raise _trouble(conn.dialect.name)


def _trouble(dialect: str) -> Exception:
    if dialect == "postgresql":
        return psycopg.OperationalError("the server closed the connection")
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


async def test_failed_transaction_lets_go_of_its_rows(store: Store):
    rows = Rows()
    gone = weakref.ref(rows)
    gc.disable()
    try:
        with suppress(StoreAway):
            await store.write(_away, rows)
        del rows
        async with asyncio.timeout(10):  # its thread may be on its way out of the job; a circle would stay for ever
            while gone() is not None:  # noqa: ASYNC110  # nothing tells when a reference goes
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
