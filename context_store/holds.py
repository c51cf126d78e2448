"""Queries that wait for a person before they go on, and what they need then."""

from msgspec import Struct
from sqlalchemy import Connection, insert, select, text, update

from context_store import tables as t
from context_store.shapes import HoldView, fill

_h, _q, _m, _i, _d = t.holds.c, t.queries.c, t.messages.c, t.identities.c, t.decisions.c


class HeldRow(Struct, frozen=True, kw_only=True):
    """One of them in a list."""

    reference: str
    subject: str
    kind: str
    reason: str
    author: str
    at: int


class Said(Struct, frozen=True, kw_only=True):
    """An inbound message of a held query, as its ticket and its acknowledgement need it."""

    id: int
    query_id: int
    identity_id: int
    scheme: str
    value: str
    name: str
    assurance: int
    instance: str
    private: bool
    standing: str
    key: str
    thread: str
    reply_via: bytes
    subject: str
    text: str


def standing(conn: Connection, query: int) -> HoldView | None:
    """The hold of a root, None if nothing holds it."""
    columns = [_h[name] for name in HoldView.__struct_fields__]
    row = conn.execute(select(*columns).where(_h.query_id == query, _h.ended_at.is_(None))).first()
    return fill(HoldView, row) if row else None


def held(conn: Connection, limit: int = 100) -> tuple[HeldRow, ...]:
    """Those that stand, the oldest first."""
    rows = conn.execute(
        select(_q.reference, _q.subject, _h.kind, _h.reason, _h.author, _h.at)
        .join(t.queries, _q.id == _h.query_id)
        .where(text("holds.ended_at IS NULL"))
        .order_by(_h.at)
        .limit(limit)
    )
    return tuple(fill(HeldRow, row) for row in rows)


def put(conn: Connection, hold: HoldView) -> None:
    """Hold it (again)."""
    values = {name: getattr(hold, name) for name in HoldView.__struct_fields__ if name != "query_id"}
    again = update(t.holds).where(_h.query_id == hold.query_id).values(**values, ended_at=None, ended_by=None)
    if not conn.execute(again).rowcount:
        conn.execute(insert(t.holds).values(query_id=hold.query_id, **values))


def end(conn: Connection, query: int, by: str, now: int) -> bool:
    """It goes on; False: nothing held it."""
    ending = update(t.holds).where(_h.query_id == query, _h.ended_at.is_(None)).values(ended_at=now, ended_by=by)
    return conn.execute(ending).rowcount == 1


def decided(conn: Connection, query: int) -> tuple[str, str] | None:
    """(facts, outcome) of the newest decision by rules, as routing's JSON."""
    wanted = select(_d.facts, _d.outcome).where(_d.query_id == query, _d.author == "rules").order_by(_d.id.desc())
    row = conn.execute(wanted.limit(1)).first()
    return (row.facts, row.outcome) if row else None


def said(conn: Connection, root: int, limit: int = 200) -> list[Said]:
    """What came in, oldest first."""
    rows = conn.execute(
        select(
            _m.id,
            _m.query_id,
            _m.identity_id,
            _i.scheme,
            _i.value,
            _i.name,
            _m.assurance,
            _m.instance,
            _m.private,
            _m.standing,
            _m.key,
            t.threads.c.key.label("thread"),
            _m.reply_via,
            _m.subject,
            _m.text,
        )
        .join(t.queries, _q.id == _m.query_id)
        .join(t.identities, _i.id == _m.identity_id)
        .join(t.threads, t.threads.c.id == _m.thread_id)
        .where(_q.root_id == root, _m.direction == "in", _m.deleted_at.is_(None))
        .order_by(_m.id)
        .limit(limit)
    )
    return [fill(Said, row) for row in rows]


def has_ticket(conn: Connection, root: int) -> bool:
    """Whether a ticketing tool knows of it: that can't be taken back."""
    return conn.scalar(select(t.tickets.c.id).where(t.tickets.c.query_id == root).limit(1)) is not None
