"""From the journal to the pipeline: claim what is pending, settle it, release what a person has looked at."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from msgspec import Struct
from sqlalchemy import ARRAY, BigInteger, ColumnElement, Connection, Select, bindparam, func, select, text, update

from context_store import bulk
from context_store.among import among
from context_store.among import rows as _rows
from context_store.crashpoints import protected
from context_store.journal import count
from context_store.tables import envelopes, tallies

CLAIM_BYTES = 32 << 20
SCAN = 8
"""On PostgreSQL a claim looks at so many times its limit for lanes that no other node holds."""

_pending: ColumnElement[bool] = text("state = 'pending'")  # type: ignore[assignment] # a literal: partial indexes need it


class PendingEnvelope(Struct, frozen=True):
    """An envelope as the pipeline gets it. `raw` is None where `raw_sha` names a file of the blob store."""

    id: int
    instance: str
    key_hash: bytes
    body_hash: bytes
    lane: int
    facts: str
    raw: bytes | None
    raw_sha: bytes | None
    size: int
    received_at: int
    attempts: int
    workers_lost: int
    collision: bool


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of a pending envelope; `pending` notes a failed try."""

    id: int
    state: str
    """done, parked or pending"""
    cause: str | None = None
    trace: str | None = None
    attempts: int = 0
    workers_lost: int = 0


def claim_envelopes(
    conn: Connection, limit: int, after: int = 0, max_bytes: int = CLAIM_BYTES, *, isolated: bool = False
) -> tuple[PendingEnvelope, ...]:
    """Pending envelopes with ids above `after`, in id order, at least one however large it is.

    Those that are parsed in workers are claimed apart from the others; a lane is never in both, for an instance is not.

    For `Store.holding`: on PostgreSQL only from lanes whose lock this transaction got, and all of these up to the last
    one returned. Rows are read after the locks, so that what the last holder settled is seen.
    """
    asked: dict[str, Any] = {"after": after, "limit": limit, "last": 0}
    if conn.dialect.name == "postgresql":
        asked["lanes"] = _lock_lanes(conn, limit, after, isolated)
    statements = _claims(conn.dialect.name, isolated=isolated, ordered=protected("lane-in"))
    heads = conn.execute(statements[0], asked).all()
    last, total = 0, 0
    for row in heads:
        total += row.size
        if last and total > max_bytes:
            break
        last = row.id
    rows = conn.execute(statements[1], {**asked, "last": last}) if last else ()
    return tuple([PendingEnvelope(*row) for row in rows])


@cache
def _claims(dialect: str, *, isolated: bool, ordered: bool) -> tuple[Select[Any], Select[Any]]:
    """(ids and sizes of the first, the whole of those up to the last)."""
    wanted = [_pending, envelopes.c.isolated.is_(isolated), envelopes.c.id > bindparam("after")]
    if dialect == "postgresql":
        wanted.append(envelopes.c.lane == func.any(bindparam("lanes", type_=ARRAY(BigInteger))))
    columns = [envelopes.c[name] for name in PendingEnvelope.__struct_fields__]
    order = envelopes.c.id if ordered else envelopes.c.id.desc()
    return (
        select(envelopes.c.id, envelopes.c.size).where(*wanted).order_by(envelopes.c.id).limit(bindparam("limit")),
        select(*columns).where(*wanted, envelopes.c.id <= bindparam("last")).order_by(order),
    )


_LOCK_LANES = text("""
WITH head AS MATERIALIZED (
    SELECT lane FROM envelopes WHERE state = 'pending' AND isolated = :isolated AND id > :after ORDER BY id LIMIT :scan
), lanes AS MATERIALIZED (SELECT DISTINCT lane FROM head)
SELECT lane FROM lanes WHERE pg_try_advisory_xact_lock(lane)
""")


def _lock_lanes(conn: Connection, limit: int, after: int, isolated: bool) -> list[int]:
    return list(conn.scalars(_LOCK_LANES, {"after": after, "scan": limit * SCAN, "isolated": isolated}))


def settle(conn: Connection, outcomes: Sequence[Outcome], node: int, now: int) -> set[int]:
    """Write what became of pending envelopes, with the tallies. Returns those that were still pending."""
    found = dict(_states(conn, [outcome.id for outcome in outcomes], "pending"))
    valid = [outcome for outcome in outcomes if outcome.id in found]
    changes: Counter[tuple[str, str]] = Counter()
    for outcome in valid:
        changes[found[outcome.id], "pending"] -= 1
        changes[found[outcome.id], outcome.state] += 1
    columns = ("id", "state", "cause", "trace", "attempts", "workers_lost", "settled_at")
    rows = [
        (o.id, o.state, o.cause, o.trace, o.attempts, o.workers_lost, None if o.state == "pending" else now)
        for o in valid
    ]
    bulk.update(conn, envelopes, columns, rows)
    count(conn, changes, node)
    return set(found)


def _states(conn: Connection, ids: Collection[int], state: str) -> list[tuple[int, str]]:
    """(id, instance) of those in that state, locked until the transaction ends."""
    return [tuple(row) for row in _rows(conn, _locked, ids, state=state)]


_locked = (
    select(envelopes.c.id, envelopes.c.instance)
    .where(among(envelopes.c.id), envelopes.c.state == bindparam("state"))
    .order_by(envelopes.c.id)
    .with_for_update()
)


def still_pending(conn: Connection, ids: Collection[int]) -> set[int]:
    """Those that nobody has settled."""
    return set(conn.scalars(select(envelopes.c.id).where(envelopes.c.id.in_(ids), _pending)))


def pending_count(conn: Connection) -> int:
    """On all nodes together."""
    return int(conn.scalar(select(func.sum(tallies.c.n)).where(tallies.c.state == "pending")) or 0)


def release(conn: Connection, ids: Collection[int] | None, node: int) -> tuple[int, ...]:
    """Parked envelopes go back to pending with fresh attempts; None: all of them. Returns those that were parked."""
    if ids is None:
        ids = list(conn.scalars(select(envelopes.c.id).where(text("state = 'parked'"))))
    parked = _states(conn, ids, "parked")
    conn.execute(
        update(envelopes)
        .where(envelopes.c.id.in_([eid for eid, _ in parked]))
        .values(state="pending", cause=None, trace=None, attempts=0, workers_lost=0, settled_at=None)
    )
    changes: Counter[tuple[str, str]] = Counter()
    for _, instance in parked:
        changes[instance, "parked"] -= 1
        changes[instance, "pending"] += 1
    count(conn, changes, node)
    return tuple(eid for eid, _ in parked)


def tallies_by_instance(conn: Connection) -> dict[str, dict[str, int]]:
    """Instance → state → how many; received = done + parked + pending + erased in each, or rows were lost."""
    found: dict[str, dict[str, int]] = {}
    for row in conn.execute(
        select(tallies.c.instance, tallies.c.state, func.sum(tallies.c.n).label("n")).group_by(
            tallies.c.instance, tallies.c.state
        )
    ):
        found.setdefault(row.instance, {})[row.state] = int(row.n)
    return found


def unaccounted(found: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Instance → received less what is in a state, where it is not zero."""
    gaps = {
        instance: states.get("received", 0) - sum(states.get(s, 0) for s in ("done", "parked", "pending", "erased"))
        for instance, states in found.items()
    }
    return {instance: gap for instance, gap in gaps.items() if gap}


def recount(conn: Connection) -> dict[str, dict[str, int]]:
    """The same from the rows themselves: slow, for `doctor`. Collisions and redeliveries too."""
    found: dict[str, dict[str, int]] = {}
    statement = select(
        envelopes.c.instance,
        envelopes.c.state,
        func.count().label("n"),
        func.sum(envelopes.c.redelivered).label("redelivered"),
        func.count().filter(envelopes.c.collision).label("collision"),
    ).group_by(envelopes.c.instance, envelopes.c.state)
    for row in conn.execute(statement):
        states = Counter(found.get(row.instance, {}))
        states.update({
            row.state: row.n,
            "received": row.n,
            "redelivered": int(row.redelivered),
            "collision": row.collision,
        })
        found[row.instance] = dict(states)
    return found
