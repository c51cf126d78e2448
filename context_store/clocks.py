"""Promises of time: what they need to be computed, and what was computed. The arithmetic is routing's.

Followed behind `events.seq` by a cursor of its own, so that recording never waits for it.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, select, text

from context_store import bulk
from context_store import tables as t
from context_store.shapes import ClockView, fill

SLA_LOCK = 0x7472756E6B736C61
"""PostgreSQL: one node follows at a time."""
BATCH = 500
FOLLOWED = ("query.", "message.written", "ticket.")
"""How the kinds of events begin after which a clock may stand otherwise."""

Promise = Literal["first_response", "resolution"]
Pause = tuple[int, int | None]

_c, _q, _e = t.clocks.c, t.queries.c, t.events.c
_cursor = select(t.cursors.c.value).where(t.cursors.c.instance == "", t.cursors.c.name == "sla")


class Clock(Struct, kw_only=True):
    """One promise of one query; times in UTC milliseconds."""

    query_id: int
    promise: Promise
    begun_at: int
    promised: int
    """Milliseconds of its calendar's time."""
    calendar: str = ""
    pauses: list[Pause] = []
    warn_at: int | None = None
    due_at: int | None = None
    """None while it is paused."""
    warned_at: int | None = None
    breached_at: int | None = None
    ended_at: int | None = None


class Standing(Struct, frozen=True, kw_only=True):
    """What of a root its clocks depend on."""

    id: int
    state: str
    priority: str
    service: str
    automatic: bool
    opened_at: int
    first_response_at: int | None
    resolved_at: int | None
    closed_at: int | None


class Happened(Struct, frozen=True):
    """An event on a query, as far as clocks care."""

    query_id: int
    kind: str
    at: int
    state: str
    """That an agent set, or ""."""


class Followed(Struct, frozen=True):
    """One batch: what happened, in order, and how things stand now."""

    after: int
    upto: int
    happened: tuple[Happened, ...]


class _Set(Struct):
    is_: dict[str, Any] = msgspec.field(name="is", default_factory=dict)


def follow(conn: Connection, limit: int = BATCH) -> Followed | None:
    """What was numbered since the last batch; None: nothing, or another node follows.

    On PostgreSQL the caller keeps the transaction open until the batch is put.
    """
    if conn.dialect.name == "postgresql" and not conn.scalar(
        text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": SLA_LOCK}
    ):
        return None
    after = upto = int.from_bytes(conn.scalar(_cursor) or b"", "big")
    found = list[Happened]()
    wanted = select(_e.seq, _e.kind, _e.subject_id, _e.at, _e.body).where(_e.seq > after).order_by(_e.seq).limit(limit)
    for seq, kind, subject, at, body in conn.execute(wanted):
        upto = seq
        if kind.startswith(FOLLOWED):
            state = msgspec.json.decode(body, type=_Set).is_.get("state", "") if kind == "query.set" and body else ""
            found.append(Happened(subject, kind, at, str(state)))
    return Followed(after, upto, tuple(found)) if upto > after else None


def move(conn: Connection, batch: Followed, now: int) -> bool:
    """Move the cursor; False if somebody else was faster."""
    value, mine = batch.upto.to_bytes(8, "big"), (t.cursors.c.instance == "", t.cursors.c.name == "sla")
    if batch.after:
        old = batch.after.to_bytes(8, "big")
        moved = t.cursors.update().where(*mine, t.cursors.c.value == old).values(value=value, moved_at=now)
        return conn.execute(moved).rowcount == 1
    columns, row = ("instance", "name", "value", "moved_at"), ("", "sla", value, now)
    return bulk.insert(conn, t.cursors, columns, [row], conflict="ON CONFLICT (instance, name) DO NOTHING") == 1


def standings(conn: Connection, ids: Collection[int]) -> dict[int, Standing]:
    """Roots among these queries."""
    columns = [_q[name] for name in Standing.__struct_fields__]
    rows = conn.execute(select(*columns).where(_q.id.in_(ids), _q.root_id == _q.id))
    return {row.id: fill(Standing, row) for row in rows}


def clocks(conn: Connection, ids: Collection[int]) -> list[Clock]:
    """All clocks of these queries."""
    return [_clock(row) for row in conn.execute(select(t.clocks).where(_c.query_id.in_(ids)).order_by(_c.query_id))]


def open_after(conn: Connection, after: int, limit: int = BATCH) -> list[int]:
    """Queries with a clock that runs or is paused, by page."""
    wanted = select(_c.query_id).where(text("clocks.ended_at IS NULL"), _c.query_id > after).distinct()
    return list(conn.scalars(wanted.order_by(_c.query_id).limit(limit)))


def put(conn: Connection, made: Sequence[Clock], ids: Collection[int]) -> None:
    """These are all the clocks that these queries have."""
    conn.execute(delete(t.clocks).where(_c.query_id.in_(ids)))
    columns = Clock.__struct_fields__
    rows = [msgspec.structs.asdict(one) | {"pauses": msgspec.json.encode(one.pauses).decode()} for one in made]
    bulk.insert(conn, t.clocks, columns, [[row[name] for name in columns] for row in rows])


def late(conn: Connection, limit: int = 1000) -> tuple[str, ...]:
    """References of queries of which a promise is broken and still open, the latest first."""
    broken = text("clocks.ended_at IS NULL AND clocks.breached_at IS NOT NULL")
    wanted = select(_q.reference).join(t.clocks, _c.query_id == _q.id).where(broken)
    return tuple(dict.fromkeys(conn.scalars(wanted.order_by(_c.breached_at.desc()).limit(limit))))


def clock_views(conn: Connection, query: int) -> tuple[ClockView, ...]:
    """For console and CLI: the response first."""
    rows = conn.execute(select(t.clocks).where(_c.query_id == query).order_by(_c.promise))
    return tuple(fill(ClockView, row, paused=row.ended_at is None and row.due_at is None) for row in rows)


def _clock(row: Any) -> Clock:
    return fill(Clock, row, pauses=msgspec.json.decode(row.pauses, type=list[Pause]))
