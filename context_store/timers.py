"""Time-outs of the business kind (SLA, reminders, silence): rows, so that they survive restarts."""

from collections.abc import Collection, Sequence

from msgspec import Struct
from sqlalchemy import Connection, select, text, update

from context_store import bulk
from context_store.tables import timers


class Timer(Struct, frozen=True):
    """What is to happen to a subject, and when (UTC milliseconds). `body` is JSON."""

    id: int
    kind: str
    subject_id: int
    due_at: int
    body: str = "{}"


def add_timers(conn: Connection, new: Sequence[Timer]) -> None:
    """In the transaction that makes them necessary."""
    columns = ("id", "kind", "subject_id", "due_at", "state", "body")
    bulk.insert(conn, timers, columns, [(t.id, t.kind, t.subject_id, t.due_at, "waiting", t.body) for t in new])


def due_timers(conn: Connection, now: int, kinds: Sequence[str], limit: int = 100) -> tuple[Timer, ...]:
    """The oldest first, for `Store.write`: until it ends, other nodes skip those that this one took.

    `kinds`: those that the caller acts on; others are not touched.
    """
    statement = (
        select(timers.c.id, timers.c.kind, timers.c.subject_id, timers.c.due_at, timers.c.body)
        .where(text("state = 'waiting'"), timers.c.due_at <= now, timers.c.kind.in_(kinds))
        .order_by(timers.c.due_at, timers.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return tuple(Timer(*row) for row in conn.execute(statement))


def settle_timers(conn: Connection, ids: Sequence[int]) -> int:
    """They have fired; returns how many were still waiting."""
    waiting = (timers.c.id.in_(ids), timers.c.state == "waiting")
    return conn.execute(update(timers).where(*waiting).values(state="done")).rowcount


def cancel_timers(conn: Connection, subjects: Collection[int], kinds: Collection[str]) -> int:
    """What they waited for has come; returns how many were still waiting."""
    waiting = (timers.c.subject_id.in_(subjects), timers.c.kind.in_(kinds), timers.c.state == "waiting")
    return conn.execute(update(timers).where(*waiting).values(state="cancelled")).rowcount


def next_due(conn: Connection, kinds: Sequence[str]) -> int | None:
    """When the next timer of these kinds fires."""
    due = (
        select(timers.c.due_at)
        .where(text("state = 'waiting'"), timers.c.kind.in_(kinds))
        .order_by(timers.c.due_at)
        .limit(1)
    )
    return conn.scalar(due)
