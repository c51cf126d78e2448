"""Answers that were not brought to a chat's visitor in time, and the address that the visitor left."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select, text

from context_store import tables as t

KIND = "fallback"
"""Of the timers that wait for a receipt; their subject is the outbound message."""
FIELD = "fallback"
"""Of an inbound message: `scheme:value` of the address where answers may go instead."""
ON_THE_WAY = ("queued", "sent", "uncertain")


class Unbrought(Struct, frozen=True):
    """An outbound line that nobody has fetched."""

    id: int
    query_id: int
    root_id: int
    thread_id: int
    instance: str
    author: str
    text: str
    reference: str
    language: str
    timer: int
    due_at: int


def waiting_lines(conn: Connection, now: int, limit: int = 200) -> list[Unbrought]:
    """All lines, oldest first, of the threads in which one is due: what is late goes in one letter."""
    m, q, ti, root = t.messages.c, t.queries.c, t.timers.c, t.queries.alias("root")
    late = (
        select(m.thread_id)
        .select_from(t.timers.join(t.messages, m.id == ti.subject_id))
        .where(text("timers.state = 'waiting'"), ti.kind == KIND, ti.due_at <= now)
        .order_by(ti.due_at)
        .limit(limit)
    )
    wanted = (
        select(
            m.id, m.query_id, q.root_id, m.thread_id, m.instance, m.author, m.text, root.c.reference, q.language,
            ti.id.label("timer"), ti.due_at,
        )
        .select_from(
            t.timers
            .join(t.messages, m.id == ti.subject_id)
            .join(t.queries, q.id == m.query_id)
            .join(root, root.c.id == q.root_id)
        )
        .where(text("timers.state = 'waiting'"), ti.kind == KIND, m.thread_id.in_(late))
        .order_by(m.thread_id, m.id)
    )  # fmt: skip
    return [Unbrought(*row) for row in conn.execute(wanted)]


def still_on_the_way(conn: Connection, messages: Sequence[int]) -> set[int]:
    """Those that the channel has not called delivered, read or failed."""
    m = t.messages.c
    return set(conn.scalars(select(m.id).where(m.id.in_(messages), m.delivery.in_(ON_THE_WAY))))


def left_address(conn: Connection, thread: int) -> tuple[str, str] | None:
    """(scheme, value) that a sender at A1 named last in this thread."""
    m = t.messages.c
    rows: Any = conn.scalars(
        select(m.fields)
        .where(m.thread_id == thread, m.direction == "in", m.assurance >= 1, m.fields.like(f'%"{FIELD}":%'))
        .order_by(m.id.desc())
        .limit(20)
    )
    for fields in rows:
        scheme, _, value = str(msgspec.json.decode(fields).get(FIELD, "")).partition(":")
        if scheme and value:
            return scheme, value
    return None
