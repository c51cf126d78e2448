"""Work that leaves the house: claimed under a lease, planned once, settled in batches.

Only the first open row of a lane may run (R8), a claim raises `fence`, and whoever settles names the fence that it
was given: a worker that came back from a long sleep changes nothing (F7). The step that is about to run is marked
`begun` in the claiming transaction, so that after a crash the hub knows an effect may have gone out (R7).
"""

from collections.abc import Collection, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, case, exists, func, or_, select, text, true, tuple_, update

from context_store import bulk
from context_store import tables as t
from context_store.crashpoints import crashpoint, protected

OPEN = ("queued", "leased", "uncertain")
UNKNOWN = "uncertain"
"""Cause of parked work whose last try may have had its effect: released, it asks before it tries again."""

_open: ColumnElement[bool] = text("outbox.state IN ('queued', 'leased', 'uncertain')")  # type: ignore[assignment] # a literal: partial indexes need it
_o, _s = t.outbox.c, t.steps.c


SAID = {"planned": "queued", "begun": "queued", "done": "sent"}
"""A step's state → how far the part is; further states are the channel's own words."""


class StepRow(Struct, frozen=True):
    """A stored step; `state` is planned, begun, done, then what a receipt said of this part. Times in milliseconds."""

    outbox_id: int
    n: int
    key: str
    kind: str
    body: bytes
    harmless: bool
    key_life: int
    find_lag: int | None
    state: str
    begun_at: int | None
    done: str | None


class Work(Struct, frozen=True):
    """A claimed row with its steps; none before it is planned. `came` is the state it was found in."""

    id: int
    kind: str
    destination: str
    lane: int
    query_id: int
    message_id: int | None
    body: str
    came: str
    attempts: int
    horizon_at: int
    fence: int
    maybe_duplicate: bool
    steps: tuple[StepRow, ...] = ()
    ticket: str = ""
    """The ticket of the query in this destination, "" before it is opened."""


class Settled(Struct, frozen=True):
    """What became of a claim. `state`: queued, uncertain, done, parked or cancelled."""

    id: int
    fence: int
    state: str
    due_at: int
    cause: str | None = None
    trace: str | None = None
    maybe_duplicate: bool = False
    tried: bool = True
    """False: its step has not been tried, because its turn has not come."""


def claim(
    conn: Connection, now: int, lease_until: int, limit: int, kinds: Collection[str] = (), held: Collection[str] = (),
    running: Collection[int] = (),
) -> list[Work]:  # fmt: skip
    """Lease the first due row of up to `limit` lanes, leaving out the `held` destinations.

    `running` is what this process has in hand: a lease that it was too slow to renew is no reason to do it twice.
    """
    earlier = t.outbox.alias("earlier")
    open_too = text("earlier.state IN ('queued', 'leased', 'uncertain')")
    first = ~exists().where(earlier.c.lane == _o.lane, earlier.c.id < _o.id, open_too)
    pick = (
        select(t.outbox)
        .where(_open, _o.due_at <= now, first if protected("lane-out") else true())
        .where(or_(_o.lease_until.is_(None), _o.lease_until <= now))
        .order_by(_o.due_at)
        .limit(limit)
    )
    if running:
        pick = pick.where(_o.id.not_in(running))
    if kinds:
        pick = pick.where(_o.kind.in_(kinds))
    if held:
        pick = pick.where(_o.destination.not_in(held))
    if conn.dialect.name == "postgresql":
        pick = pick.with_for_update(skip_locked=True, of=t.outbox)
    rows = conn.execute(pick).all()
    if not rows:
        return []
    ids = [row.id for row in rows]
    conn.execute(
        update(t.outbox)
        .where(_o.id.in_(ids))
        .values(state="leased", lease_until=lease_until, fence=_o.fence + 1, attempts=_o.attempts + 1)
    )
    steps, tickets = _steps(conn, ids), _tickets(conn, {row.query_id for row in rows if row.kind == "dispatch"})
    works = [_work(row, steps.get(row.id, ()), tickets.get((row.destination, row.query_id), "")) for row in rows]
    begin(conn, works, now)
    return works


def _work(row: Any, steps: tuple[StepRow, ...], ticket: str) -> Work:
    return Work(
        row.id, row.kind, row.destination, row.lane, row.query_id, row.message_id, row.body, row.state,
        row.attempts + 1, row.horizon_at, row.fence + 1, row.maybe_duplicate, steps,
        ticket,
    )  # fmt: skip


def _tickets(conn: Connection, queries: Collection[int]) -> dict[tuple[str, int], str]:
    """(target, query) → ticket."""
    if not queries:
        return {}
    c = t.tickets.c
    found = conn.execute(select(c.target, c.query_id, c.ticket).where(c.query_id.in_(queries)).order_by(c.id.desc()))
    return {(row.target, row.query_id): row.ticket for row in found}


def _steps(conn: Connection, ids: Collection[int]) -> dict[int, tuple[StepRow, ...]]:
    found: dict[int, list[StepRow]] = {}
    columns = [_s[name] for name in StepRow.__struct_fields__]
    for row in conn.execute(select(*columns).where(_s.outbox_id.in_(ids)).order_by(_s.outbox_id, _s.n)):
        found.setdefault(row.outbox_id, []).append(StepRow(*row))
    return {key: tuple(value) for key, value in found.items()}


def begin(conn: Connection, works: Sequence[Work], now: int) -> None:
    """Mark the step that comes next as begun; one that was begun keeps its first moment, for `key_life`."""
    waiting = [next((step for step in work.steps if step.done is None), None) for work in works]
    rows = [(step.outbox_id, step.n, "begun", now) for step in waiting if step and step.state == "planned"]
    bulk.update(conn, t.steps, ("outbox_id", "n", "state", "begun_at"), rows, keys=2)


def keep_plan(conn: Connection, steps: Sequence[StepRow]) -> None:
    """Store steps before their first try."""
    crashpoint("outbox.planned")
    bulk.insert(
        conn,
        t.steps,
        StepRow.__struct_fields__,
        [tuple(getattr(step, f) for f in StepRow.__struct_fields__) for step in steps],
    )


def finish_steps(
    conn: Connection, done: Sequence[tuple[int, int, str, bytes | None]], begun: Sequence[tuple[int, int, int]]
) -> None:
    """`done`: (outbox, n, Done as JSON, hash of the provider's key where a text went in parts: what its receipts name).

    `begun`: (outbox, n, now) of the steps that come next.
    """
    alone = [(o, n, "done", said) for o, n, said, ref in done if ref is None]
    bulk.update(conn, t.steps, ("outbox_id", "n", "state", "done"), alone, keys=2)
    parts = [(o, n, said, ref) for o, n, said, ref in done if ref is not None]
    if parts:
        bulk.update(conn, t.steps, ("outbox_id", "n", "done", "ref_hash"), parts, keys=2)
        sent = update(t.steps).where(tuple_(_s.outbox_id, _s.n).in_([row[:2] for row in parts]))
        conn.execute(
            sent.where(_s.state.in_(("planned", "begun"))).values(state="done")
        )  # a receipt may have been faster
    rows = [(o, n, "begun", now) for o, n, now in begun]
    bulk.update(conn, t.steps, ("outbox_id", "n", "state", "begun_at"), rows, keys=2)


def part_states(conn: Connection, work: int) -> list[str]:
    """As `delivery` of a message has them, in order: a text in parts is as far as the part that is least far."""
    return [
        SAID.get(state, state) for state in conn.scalars(select(_s.state).where(_s.outbox_id == work).order_by(_s.n))
    ]


def part_state(conn: Connection, rows: Sequence[tuple[int, int, str]]) -> None:
    """(outbox, n, what the channel says of this part)."""
    bulk.update(conn, t.steps, ("outbox_id", "n", "state"), rows, keys=2)


def not_begun(conn: Connection, steps: Sequence[tuple[int, int]]) -> None:
    """(outbox, n): those among them that were begun were not tried after all, so their keys have not begun to age."""
    if steps:
        begun = update(t.steps).where(tuple_(_s.outbox_id, _s.n).in_(steps), _s.state == "begun")
        conn.execute(begun.values(state="planned", begun_at=None))


def holds(conn: Connection, number: int, fence: int) -> bool:
    """Is the row still leased under this fence? It stays so until the transaction ends."""
    held = select(_o.id).where(_o.id == number, _o.fence == fence, _o.state == "leased").with_for_update()
    return conn.scalar(held) is not None


def settle(conn: Connection, settled: Sequence[Settled], now: int) -> set[int]:
    """Settle claims; returns the ids whose fence was still theirs."""
    if not settled:
        return set()
    leased = select(_o.id, _o.fence, _o.maybe_duplicate, _o.attempts).where(
        _o.id.in_([s.id for s in settled]), _o.state == "leased"
    )
    held = {row.id: row for row in conn.execute(leased.order_by(_o.id).with_for_update())}
    mine = [s for s in settled if s.id in held and (held[s.id].fence == s.fence or not protected("fence"))]
    rows = [
        (
            s.id,
            held[s.id].fence,
            s.state,
            s.due_at,
            s.cause,
            s.trace,
            s.maybe_duplicate or held[s.id].maybe_duplicate,
            held[s.id].attempts - (not s.tried),
            None,
            None if s.state in OPEN else now,
        )
        for s in mine
    ]
    columns = (
        "id", "fence", "state", "due_at", "cause", "trace", "maybe_duplicate", "attempts", "lease_until", "settled_at",
    )  # fmt: skip
    bulk.update(conn, t.outbox, columns, rows, keys=2)
    return {s.id for s in mine}


def made(conn: Connection, ids: Collection[int]) -> dict[tuple[int, int], str | None]:
    """(outbox, n) → what the step did, as JSON; None: not done."""
    found = conn.execute(select(_s.outbox_id, _s.n, _s.done).where(_s.outbox_id.in_(ids)))
    return {(row.outbox_id, row.n): row.done for row in found}


def doubt(conn: Connection, ids: Collection[int]) -> None:
    """A person must know that these may have gone out twice."""
    conn.execute(update(t.outbox).where(_o.id.in_(ids)).values(maybe_duplicate=True))


def delivered(conn: Connection, rows: Sequence[tuple[int, str, str, bytes]]) -> None:
    """(message, delivery, provider's key, hash of it): what the channel took over.

    A receipt may have been faster, and what came back of one part of a text holds though its other parts were taken.
    """
    bulk.update(conn, t.messages, ("id", "key", "key_hash"), [(number, key, digest) for number, _, key, digest in rows])
    m = t.messages.c
    for state in sorted({row[1] for row in rows}):
        ids = [row[0] for row in rows if row[1] == state]
        slower = update(t.messages).where(m.id.in_(ids), m.delivery.not_in(("delivered", "read", "failed")))
        conn.execute(slower.values(delivery=state))


def overtaken(conn: Connection, hashes: Collection[bytes]) -> list[tuple[int, bytes, str]]:
    """(item, hash of the message's key, item as JSON): receipts that came before the key was known."""
    i = t.items.c
    found = select(i.id, i.waits_for, i.body).where(i.waits_for.in_(hashes), text("outcome = 'waiting'")).order_by(i.id)
    return [(row.id, row.waits_for, row.body) for row in conn.execute(found)]


def caught_up(conn: Connection, applied: Sequence[tuple[int, int]]) -> None:
    """(item, message) of receipts that have found what they speak of."""
    bulk.update(conn, t.items, ("id", "outcome", "reason", "message_id"), [(i, "recorded", "", m) for i, m in applied])


def delivery_state(conn: Connection, rows: Sequence[tuple[int, str]]) -> None:
    """(message, delivery) where there is no provider's key: uncertain, failed."""
    bulk.update(conn, t.messages, ("id", "delivery"), rows)


def ticketed(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """The tickets that were opened or changed; `rows` hold whole rows of table tickets."""
    columns = tuple(column.name for column in t.tickets.columns)
    changed = ("ticket", "revision", "objects", "updated_at")
    sets = ", ".join(f"{name} = excluded.{name}" for name in changed)
    conflict = f"ON CONFLICT (target, ext_id) DO UPDATE SET {sets}"
    bulk.insert(conn, t.tickets, columns, [tuple(row[c] for c in columns) for row in rows], conflict=conflict)


def renew(conn: Connection, held: Sequence[tuple[int, int]], lease_until: int) -> set[int]:
    """(id, fence): keep what is still being worked on. Returns the ids whose fence is still theirs."""
    fences = dict(held)
    rows = conn.execute(select(_o.id, _o.fence).where(_o.id.in_(fences), _o.state == "leased").with_for_update())
    held = [(row.id, row.fence) for row in rows if fences[row.id] == row.fence]
    bulk.update(conn, t.outbox, ("id", "fence", "lease_until"), [(i, f, lease_until) for i, f in held], keys=2)
    return {number for number, _ in held}


def free_leases(conn: Connection, now: int) -> None:
    """At the start of the one owner of a SQLite file: whoever held a lease is dead, so its work is due now."""
    held = (_o.state.in_(OPEN), _o.lease_until > now)
    conn.execute(update(t.outbox).where(*held).values(lease_until=now, due_at=now))


def counts(conn: Connection) -> dict[str, int]:
    """Open and parked rows by state; done ones are not counted, they are history."""
    found: dict[str, int] = {}
    for condition in (_open, text("state = 'parked'")):
        rows = conn.execute(select(_o.state, func.count()).where(condition).group_by(_o.state))
        found.update((state, n) for state, n in rows)
    return found


def next_due(conn: Connection) -> int | None:
    """When the next row comes due, for the sleep between claims."""
    row = conn.execute(select(_o.due_at).where(_open, _o.lease_until.is_(None)).order_by(_o.due_at).limit(1)).first()
    return row.due_at if row else None


def release(conn: Connection, ids: Sequence[int], now: int, horizon_at: int) -> int:
    """Parked work back into its queue, by a person; what failed of its message may come out otherwise now."""
    messages = select(_o.message_id).where(_o.id.in_(ids), _o.state == "parked", _o.message_id.is_not(None))
    conn.execute(update(t.messages).where(t.messages.c.id.in_(messages)).values(delivery="queued"))
    result = conn.execute(
        update(t.outbox)
        .where(_o.id.in_(ids), _o.state == "parked")
        .values(
            state=case((_o.cause == UNKNOWN, "uncertain"), else_="queued"),
            cause=None,
            trace=None,
            due_at=now,
            horizon_at=horizon_at,
            lease_until=None,
            attempts=0,
            settled_at=None,
        )
    )
    return int(result.rowcount)


def parked_ids(conn: Connection) -> list[int]:
    """Everything that waits for a person."""
    return list(conn.scalars(select(_o.id).where(text("state = 'parked'")).order_by(_o.id)))
