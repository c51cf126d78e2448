"""Reads of what a source follows: the reference of what it sent, the lines of a thread."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from context_store import tables as t
from context_store.times import from_millis
from plugins import Line, MediaRef

PAGE = 200
MOST_THREADS = 50


def reference_for(conn: Connection, key_hash: bytes) -> tuple[int, str] | None:
    """(envelope, reference of the query it went into, "" until that is recorded); None if it never came."""
    envelope = conn.scalar(
        select(t.envelopes.c.id).where(t.envelopes.c.key_hash == key_hash).order_by(t.envelopes.c.id)
    )
    return None if envelope is None else (envelope, reference_of_envelope(conn, envelope))


def reference_of_envelope(conn: Connection, envelope: int) -> str:
    """The reference of the query that the envelope's first message went into, or ""."""
    conversation, root = t.queries.alias(), t.queries.alias()
    found = conn.scalar(
        select(root.c.reference)
        .select_from(
            t.items
            .join(t.messages, t.messages.c.id == t.items.c.message_id)
            .join(conversation, conversation.c.id == t.messages.c.query_id)
            .join(root, root.c.id == conversation.c.root_id)
        )
        .where(t.items.c.envelope_id == envelope)
        .order_by(t.items.c.n)
        .limit(1)
    )
    return found or ""


def around(conn: Connection, root: int) -> tuple[list[int], list[bytes]]:
    """The conversations of a matter, and the keys of the threads in which was said something last."""
    q, th = t.queries.c, t.threads.c
    queries = list(conn.scalars(select(q.id).where(q.root_id == root)))
    newest = select(th.key_hash).where(th.query_id.in_(queries)).order_by(th.last_at.desc()).limit(MOST_THREADS)
    return queries, list(conn.scalars(newest))


def last_line(conn: Connection, thread_key: bytes) -> int:
    """The number of a thread's last line, 0 if it has none."""
    m = t.messages.c
    found = conn.scalar(
        select(m.thread_seq)
        .select_from(t.messages.join(t.threads, t.threads.c.id == m.thread_id))
        .where(t.threads.c.key_hash == thread_key, m.thread_seq > 0, m.standing != "internal")
        .order_by(m.thread_seq.desc())
        .limit(1)
    )
    return found or 0


def lines_after(conn: Connection, thread_key: bytes, after: int) -> list[Line]:
    """A page of a thread's lines after `after`, by their number."""
    m = t.messages.c
    rows: Sequence[Any] = conn.execute(
        select(m.thread_seq, m.id, m.key, m.direction, m.text, m.at)
        .select_from(t.messages.join(t.threads, t.threads.c.id == m.thread_id))
        .where(t.threads.c.key_hash == thread_key, m.thread_seq > after, m.standing != "internal")
        .order_by(m.thread_seq)
        .limit(PAGE)
    ).all()
    media = _media(conn, [row.id for row in rows])
    return [
        Line(
            seq=row.thread_seq,
            id=str(row.id),
            key=row.key if row.direction == "in" else "",
            side="user" if row.direction == "in" else "desk",
            text=row.text,
            at=from_millis(row.at),
            media=media.get(row.id, ()),
        )
        for row in rows
    ]


def _media(conn: Connection, messages: Sequence[int]) -> dict[int, tuple[MediaRef, ...]]:
    """What these messages carry, as far as its bytes are here."""
    a = t.attachments.c
    wanted = (
        select(a.message_id, a.sha256, a.name, a.type, a.size)
        .where(a.message_id.in_(messages), a.sha256.is_not(None))
        .order_by(a.message_id, a.n)
    )
    found: dict[int, tuple[MediaRef, ...]] = {}
    for row in conn.execute(wanted) if messages else ():
        ref = MediaRef(sha256=row.sha256.hex(), name=row.name, type=row.type, size=row.size)
        found[row.message_id] = (*found.get(row.message_id, ()), ref)
    return found


def continues(conn: Connection, token_hash: bytes, now: int) -> bool:
    """Does this continuation token open a query now?"""
    c = t.tokens.c
    alive = (c.kind == "continue", c.expires_at > now, c.tries_left > 0, c.used_at.is_(None))
    return conn.scalar(select(c.subject_id).where(c.token_hash == token_hash, *alive)) is not None
