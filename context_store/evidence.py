"""What console, CLI and /healthz read of the hub itself: accounting, alarms, what is parked, what was caught.

Every read stays small however large the tables grow: counts come from `tallies` and from partial indexes, never from
a walk over settled rows.
"""

from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, literal, null, select, text, union_all

from context_store import tables as t
from context_store.followed import reference_of_envelope
from context_store.references import envelope_of, proves
from context_store.shapes import OutboxView, fill
from context_store.views import OUTBOX_COLUMNS, PAGE, outbox_view
from plugins import Outgoing, TicketWork

SETTLED = ("done", "parked", "pending", "erased")
CAUGHT_WINDOW = 2000
"""Steps that one page of caught mail looks through: without an index on what few installations have."""


class Accounts(Struct, frozen=True, kw_only=True):
    """received = done + parked + pending + erased, for one instance."""

    instance: str
    received: int
    done: int
    parked: int
    pending: int
    erased: int
    last_at: int | None
    """When its last envelope came."""

    @property
    def balanced(self) -> bool:
        """False means that a message was lost or counted twice."""
        return self.received == self.done + self.parked + self.pending + self.erased


class AlarmView(Struct, frozen=True, kw_only=True):
    """What a person must know."""

    key: str
    what: str
    raised_at: int
    last_at: int
    times: int


class Backlog(Struct, frozen=True, kw_only=True):
    """What waits, and since when (UTC milliseconds, None: nothing waits)."""

    oldest_pending_at: int | None
    oldest_parked_at: int | None
    outbox: dict[str, int]
    """Open and parked rows by state."""
    oldest_due_at: int | None


class Marks(Struct, frozen=True, kw_only=True):
    """What the menu warns of."""

    parked: int
    alarms: int


class Health(Struct, frozen=True, kw_only=True):
    """The store's side of the evidence."""

    accounts: tuple[Accounts, ...]
    alarms: tuple[AlarmView, ...]
    backlog: Backlog

    @property
    def balanced(self) -> bool:
        """The equation holds everywhere."""
        return all(each.balanced for each in self.accounts)


class ParkedEnvelope(Struct, frozen=True, kw_only=True):
    """An envelope that needs a person."""

    id: int
    instance: str
    cause: str
    trace: str
    attempts: int
    workers_lost: int
    size: int
    received_at: int
    settled_at: int | None


class ParkedWork(Struct, frozen=True, kw_only=True):
    """An outbox row that needs a person."""

    work: OutboxView
    reference: str
    trace: str


class RawEnvelope(Struct, frozen=True, kw_only=True):
    """An envelope's bytes: `raw`, or the blob `sha256` where they are large; neither once erased."""

    id: int
    instance: str
    raw: bytes | None
    sha256: bytes | None


class Caught(Struct, frozen=True, kw_only=True):
    """A step whose effect stayed in the house, because no server is configured."""

    outbox_id: int
    n: int
    destination: str
    reference: str
    at: int
    outgoing: Outgoing | None
    """None: the work was no message."""
    body: bytes = b""


# ---- accounting --------------------------------------------------------------------------------------


def _last_seen(conn: Connection, instances: Collection[str]) -> dict[str, int | None]:
    """One seek per instance in (instance, id), in one statement: GROUP BY would walk the whole journal."""
    if not instances:
        return {}
    e = t.envelopes.c
    newest = (
        select(
            literal(instance).label("instance"),
            select(e.received_at)
            .where(e.instance == instance)
            .order_by(e.id.desc())
            .limit(1)
            .scalar_subquery()
            .label("at"),
        )
        for instance in instances
    )
    return {row.instance: row.at for row in conn.execute(union_all(*newest))}


def accounts(conn: Connection, configured: Collection[str]) -> tuple[Accounts, ...]:
    """Per instance, configured or only remembered."""
    c = t.tallies.c
    counts: dict[str, dict[str, int]] = {instance: {} for instance in configured}
    for instance, state, n in conn.execute(select(c.instance, c.state, func.sum(c.n)).group_by(c.instance, c.state)):
        counts.setdefault(instance, {})[state] = int(n)
    last = _last_seen(conn, counts)
    return tuple(
        Accounts(
            instance=instance,
            received=by_state.get("received", 0),
            last_at=last[instance],
            **{state: by_state.get(state, 0) for state in SETTLED},
        )
        for instance, by_state in sorted(counts.items())
    )


def _backlog(conn: Connection) -> Backlog:
    # Literal conditions: SQLite takes a partial index only if it can see that they imply the index's own.
    e, o = t.envelopes.c, t.outbox.c
    pending = [
        conn.execute(
            select(e.received_at).where(text(f"state = 'pending' AND isolated = {word}")).order_by(e.id).limit(1)
        ).scalar()
        for word in ("false", "true")  # as the index on them begins
    ]
    parked_at = conn.execute(select(e.received_at).where(text("state = 'parked'")).order_by(e.id).limit(1)).scalar()
    open_rows = text("state IN ('queued', 'leased', 'uncertain')")
    counted = select(o.state, func.count(), func.min(o.due_at)).where(open_rows).group_by(o.state)
    parked = select(literal("parked"), func.count(), null()).select_from(t.outbox).where(text("state = 'parked'"))
    rows = [*conn.execute(counted), *conn.execute(parked)]
    return Backlog(
        oldest_pending_at=min((at for at in pending if at is not None), default=None),
        oldest_parked_at=parked_at,
        outbox={state: n for state, n, _ in rows if n},
        oldest_due_at=min((due for _, _, due in rows if due is not None), default=None),
    )


def answers(conn: Connection) -> bool:
    """The store can be read."""
    return conn.execute(select(t.meta.c.key).limit(1)).first() is not None


def alarms(conn: Connection) -> tuple[AlarmView, ...]:
    """Those that stand, newest first."""
    c = t.alarms.c
    columns = (c.key, c.what, c.raised_at, c.last_at, c.times)
    rows = conn.execute(select(*columns).where(c.cleared_at.is_(None)).order_by(c.last_at.desc()))
    return tuple(fill(AlarmView, row) for row in rows)


def health(conn: Connection, configured: Collection[str]) -> Health:
    """What the store knows of the hub's health; the supervisor knows the rest."""
    return Health(accounts=accounts(conn, configured), alarms=alarms(conn), backlog=_backlog(conn))


def marks(conn: Connection) -> Marks:
    """For the menu of every page: partial indexes and a short table only."""
    counted = [
        select(func.count()).select_from(table).where(text(condition)).scalar_subquery()
        for table, condition in (
            (t.envelopes, "envelopes.state = 'parked'"),
            (t.outbox, "outbox.state = 'parked'"),
            (t.alarms, "alarms.cleared_at IS NULL"),
        )
    ]
    envelopes, work, standing = conn.execute(select(*counted)).one()
    return Marks(parked=envelopes + work, alarms=standing)


# ---- parked ------------------------------------------------------------------------------------------


def parked_envelopes(conn: Connection, before: int | None = None, limit: int = PAGE) -> tuple[ParkedEnvelope, ...]:
    """Newest first, those with an id below `before`."""
    e = t.envelopes.c
    columns = (
        e.id, e.instance, func.coalesce(e.cause, "").label("cause"), func.coalesce(e.trace, "").label("trace"),
        e.attempts, e.workers_lost, e.size, e.received_at, e.settled_at,
    )  # fmt: skip
    wanted = select(*columns).where(text("envelopes.state = 'parked'"), *([e.id < before] if before else []))
    return tuple(fill(ParkedEnvelope, row) for row in conn.execute(wanted.order_by(e.id.desc()).limit(limit)))


def parked_work(conn: Connection, before: int | None = None, limit: int = PAGE) -> tuple[ParkedWork, ...]:
    """Newest first, those with an id below `before`."""
    o = t.outbox.c
    wanted = (
        select(*OUTBOX_COLUMNS, func.coalesce(o.trace, "").label("trace"), t.queries.c.reference)
        .outerjoin(t.queries, t.queries.c.id == o.query_id)
        .where(text("outbox.state = 'parked'"), *([o.id < before] if before else []))
    )
    return tuple(
        ParkedWork(work=outbox_view(row), reference=row.reference or "", trace=row.trace)
        for row in conn.execute(wanted.order_by(o.id.desc()).limit(limit))
    )


def raw_envelope(conn: Connection, envelope_id: int) -> RawEnvelope | None:
    """The envelope as it came."""
    e = t.envelopes.c
    row = conn.execute(select(e.id, e.instance, e.raw, e.raw_sha).where(e.id == envelope_id)).first()
    return RawEnvelope(id=row.id, instance=row.instance, raw=row.raw, sha256=row.raw_sha) if row else None


# ---- caught ------------------------------------------------------------------------------------------


def _caught(row: Any, body: bytes = b"") -> Caught:
    work = msgspec.json.decode(row.work, type=Outgoing | TicketWork)
    return Caught(
        outbox_id=row.outbox_id,
        n=row.n,
        destination=row.destination,
        reference=row.reference or "",
        at=row.settled_at or row.created_at,
        outgoing=work if isinstance(work, Outgoing) else None,
        body=body,
    )


_s = t.steps.c
_with_work = (
    _s.outbox_id, _s.n, t.outbox.c.destination, t.outbox.c.kind, t.outbox.c.settled_at, t.outbox.c.created_at,
    t.outbox.c.body.label("work"), t.queries.c.reference,
)  # fmt: skip


def caught(conn: Connection, before: int | None = None, limit: int = PAGE) -> tuple[Caught, ...]:
    """Newest first among the last CAUGHT_WINDOW steps of work below `before`."""
    recent = select(_s.outbox_id, _s.n, _s.done).where(*([_s.outbox_id < before] if before else []))
    window = recent.order_by(_s.outbox_id.desc(), _s.n.desc()).limit(CAUGHT_WINDOW).subquery()
    rows = conn.execute(
        select(*_with_work)
        .join(window, (window.c.outbox_id == _s.outbox_id) & (window.c.n == _s.n))
        .join(t.outbox, t.outbox.c.id == _s.outbox_id)
        .outerjoin(t.queries, t.queries.c.id == t.outbox.c.query_id)
        .where(window.c.done.like('%"caught":true%'))
        .order_by(_s.outbox_id.desc(), _s.n)
        .limit(limit)
    )
    return tuple(map(_caught, rows))


def caught_step(conn: Connection, outbox_id: int, n: int) -> Caught | None:
    """One of them, with the bytes that would have left."""
    row = conn.execute(
        select(*_with_work, _s.body)
        .join(t.outbox, t.outbox.c.id == _s.outbox_id)
        .outerjoin(t.queries, t.queries.c.id == t.outbox.c.query_id)
        .where(_s.outbox_id == outbox_id, _s.n == n, _s.done.like('%"caught":true%'))
    ).first()
    return _caught(row, row.body) if row else None


# ---- receipts ----------------------------------------------------------------------------------------


def receipt(conn: Connection, number: str) -> tuple[str, str] | None:
    """(state, reference) of what a receipt number was given for: the query that it went to, "" until recorded.

    None for a number that we never gave, whether there is such an envelope or not.
    """
    envelope_id, e = envelope_of(number), t.envelopes.c
    if envelope_id is None:
        return None
    found = conn.execute(select(e.state, e.key_hash).where(e.id == envelope_id)).first()
    if found is None or not proves(number, envelope_id, found.key_hash):
        return None
    return found.state, reference_of_envelope(conn, envelope_id)
