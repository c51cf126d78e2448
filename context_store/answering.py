"""What an agent's action needs to know: the matter by its reference, and what in it can be answered."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, select, update

from context_store import tables as t

SETTABLE = ("state", "type", "service", "impact", "urgency", "priority", "value_stream", "team", "language", "subject")
"""Beside the assignee and the tags."""
STATES = ("new", "open", "pending", "on_hold", "resolved", "closed")


class Matter(Struct, frozen=True):
    """A root query with what an action may change."""

    id: int
    reference: str
    state: str
    version: int
    subject: str
    values: Mapping[str, str]
    tags: tuple[str, ...] = ()


class Answerable(Struct, frozen=True):
    """An inbound message that could be answered, with its sender."""

    id: int
    query_id: int
    identity_id: int
    scheme: str
    value: str
    instance: str
    channel: str
    assurance: int
    private: bool
    key: str
    thread: str
    reply_via: bytes
    subject: str
    barred: str


def matter(conn: Connection, reference: str) -> Matter | None:
    """The root that a canonical reference names; a joined conversation's reference leads to its root."""
    q, root = t.queries.alias(), t.queries.alias()
    row = conn.execute(
        select(root).select_from(q.join(root, root.c.id == q.c.root_id)).where(q.c.reference == reference)
    ).first()
    if row is None:
        return None
    values = {name: str(row._mapping[name]) for name in SETTABLE}  # SQLAlchemy's public name for it
    tags = msgspec.json.decode(row.tags, type=tuple[str, ...])
    return Matter(row.id, row.reference, row.state, row.version, row.subject, values, tags)


def answerable(conn: Connection, root: int, message: int | None = None) -> list[Answerable]:
    """Inbound messages of the matter by its own people, newest first; `message` narrows to the one the agent picked."""
    m, q, i, th = t.messages.c, t.queries.c, t.identities.c, t.threads.c
    wanted = (
        select(
            m.id,
            m.query_id,
            m.identity_id,
            i.scheme,
            i.value,
            m.instance,
            m.channel,
            m.assurance,
            m.private,
            m.key,
            th.key,
            m.reply_via,
            m.subject,
            i.barred,
        )
        .select_from(
            t.messages
            .join(t.queries, q.id == m.query_id)
            .join(t.identities, i.id == m.identity_id)
            .join(t.threads, th.id == m.thread_id)
        )
        .where(q.root_id == root, m.direction == "in", m.standing != "third_party", m.automatic == "")
        .order_by(m.id.desc())
        .limit(100)
    )
    if message is not None:
        wanted = wanted.where(m.id == message)
    rows: Iterable[Any] = conn.execute(wanted)
    return [Answerable(*row) for row in rows]


def opening_assurance(conn: Connection, root: int) -> int:
    """How sure the desk was of whoever opened the matter."""
    m = t.messages.c
    return conn.scalar(select(m.assurance).where(m.query_id == root, m.direction == "in").order_by(m.id).limit(1)) or 0


def change(conn: Connection, query: Matter, values: Mapping[str, Any], now: int) -> bool:
    """Set fields of a root; False if somebody changed it meanwhile."""
    stamps: dict[str, Any] = {}
    state = values.get("state")
    if state in ("resolved", "closed"):
        stamps[f"{state}_at"] = now
    elif state is not None:
        stamps |= {"resolved_at": None, "closed_at": None}
    q = t.queries.c
    result = conn.execute(
        update(t.queries)
        .where(q.id == query.id, q.version == query.version)
        .values(**values, **stamps, version=q.version + 1, updated_at=now)
    )
    return bool(result.rowcount)


def answered(conn: Connection, root: int, now: int) -> None:
    """The first answer by a person, for the response time."""
    q = t.queries.c
    conn.execute(
        update(t.queries).where(q.id == root).values(first_response_at=func.coalesce(q.first_response_at, now))
    )


def agent_id(conn: Connection, login: str) -> int | None:
    """The agent of that login."""
    return conn.scalar(select(t.agents.c.id).where(t.agents.c.login == login))
