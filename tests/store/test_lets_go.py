"""What a transaction was given is free again when it failed: on a disk that stands still that is 64 MiB each time.

And what nobody waits for any more leaves no word in the log."""

import asyncio
import gc
import sqlite3
import threading
import weakref
from contextlib import suppress

import psycopg
import pytest
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


async def test_error_of_a_transaction_whose_caller_is_gone_is_nobodys(store: Store):
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    begun, go_on = threading.Event(), threading.Event()

    def slow(conn: Connection) -> None:
        begun.set()
        go_on.wait(10)
        raise _trouble(conn.dialect.name)

    for door in (store.write, store.read):
        begun.clear()
        go_on.clear()
        caller = asyncio.create_task(door(slow))
        await asyncio.to_thread(begun.wait, 10)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        go_on.set()
    await store.close()  # waits for what runs
    gc.collect()
    assert told == []
