"""One transaction as a job that a store's thread runs: begin, function, commit, and what a failure of each means."""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, RootTransaction
from sqlalchemy.exc import DBAPIError

from context_store.errors import CommitUnknown, StoreBroken, StoreError

HOLDERS = 8
"""Transactions that may stay open at a time (`holding`), each with a connection."""
BEAT = 1.5
"""Seconds between two signs of life of a held transaction."""

T = TypeVar("T")
Translate = Callable[[BaseException, bool], StoreError | None]
"""A driver's error (at COMMIT?) as one of ours; None: not about the store's health, raise it as it is."""


class Job(Generic[T]):
    """A function, its arguments, and the future that gets its outcome."""

    __slots__ = ("args", "fn", "future")

    def __init__(self, fn: Callable[..., T], args: tuple[Any, ...]) -> None:
        self.fn = fn
        self.args = args
        self.future: Future[T] = Future()

    def run(self, call: Callable[[Callable[..., T], tuple[Any, ...]], T]) -> None:
        """`call(fn, args)` into the future. Never raises, never leaves the future open."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = call(self.fn, self.args)
        except BaseException as error:  # noqa: BLE001 - the caller who awaits the future gets it
            self.future.set_exception(error)
            del self  # what was raised holds this frame: a circle with the rows in it, until it is collected
        else:
            self.future.set_result(result)


def transact(conn: Connection, fn: Callable[..., T], args: tuple[Any, ...], translate: Translate) -> T:
    """`fn(conn, *args)` in one transaction.

    Raises:
        CommitUnknown: COMMIT failed.
        StoreBroken: the disk failed; whether the rows are there is unknown.
        Exception: what `fn` raised, or the store's word for it; the transaction was rolled back.
    """
    transaction = ours = None
    try:
        try:
            transaction = conn.begin()
            result = fn(conn, *args)
        except BaseException as error:
            _roll_back(conn, transaction)
            ours = translate(error, False)
            if ours is not None:
                raise ours from error
            raise
        try:
            transaction.commit()
        except DBAPIError as error:
            _roll_back(conn, transaction)
            ours = translate(error, True)
            if isinstance(ours, StoreBroken):
                raise ours from error
            raise CommitUnknown(f"COMMIT failed: {error.orig}") from error
        return result
    finally:
        del ours  # see `Job.run`


def _roll_back(conn: Connection, transaction: RootTransaction | None) -> None:
    """After an error: a rollback that fails too (connection gone) adds nothing to what is already raised.

    The driver is told as well, because SQLAlchemy holds a transaction whose COMMIT failed for ended, and SQLite keeps
    it open.
    """
    with suppress(Exception):
        if transaction is not None:
            transaction.rollback()
    with suppress(Exception):
        if not conn.invalidated:
            conn.connection.rollback()
