"""What a scrape of /metrics reads: like `evidence`, from tallies and partial indexes alone."""

from collections.abc import Collection
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, func, select, text, union_all

from context_store import evidence
from context_store import tables as t

LOOKED = 1000
"""Waiting envelopes of each kind, oldest first, that are looked through for whose they are."""


class Work(Struct, frozen=True, kw_only=True):
    """Outbox rows of one destination in one state that is not settled well."""

    destination: str
    state: str
    n: int
    oldest_at: int | None
    """When the oldest fell due; for parked rows when it was parked. UTC milliseconds."""


class Figures(Struct, frozen=True, kw_only=True):
    """The store's side of the metrics; dictionaries by instance, times in UTC milliseconds."""

    accounts: tuple[evidence.Accounts, ...]
    redelivered: dict[str, int]
    collisions: dict[str, int]
    oldest_pending: dict[str, int]
    oldest_parked: dict[str, int]
    work: tuple[Work, ...]
    alarms: tuple[str, ...]
    """Keys of those that stand."""


def figures(conn: Connection, configured: Collection[str]) -> Figures:
    """All of them, in few statements, whatever is stored."""
    accounts = evidence.accounts(conn, configured)
    # Literal conditions: SQLite takes a partial index only if it can see that they imply the index's own.
    quick, isolated = (text(f"state = 'pending' AND isolated = {word}") for word in ("false", "true"))
    return Figures(
        accounts=accounts,
        redelivered=_tally(conn, "redelivered"),
        collisions=_tally(conn, "collision"),
        oldest_pending=_oldest(conn, [quick, isolated], {each.instance for each in accounts if each.pending}),
        oldest_parked=_oldest(conn, [text("state = 'parked'")], {each.instance for each in accounts if each.parked}),
        work=_work(conn),
        alarms=tuple(conn.execute(select(t.alarms.c.key).where(t.alarms.c.cleared_at.is_(None))).scalars()),
    )


def _tally(conn: Connection, state: str) -> dict[str, int]:
    c = t.tallies.c
    rows = conn.execute(select(c.instance, func.sum(c.n)).where(c.state == state).group_by(c.instance))
    return {instance: int(n) for instance, n in rows}


def _oldest(conn: Connection, conditions: Collection[Any], waiting: Collection[str]) -> dict[str, int]:
    """When each instance's oldest came, among the LOOKED oldest of each condition.

    An instance that has something waiting beyond them is given the last moment looked at: it waits for less.
    """
    if not waiting:
        return {}
    e = t.envelopes.c
    windows: list[Select[Any]] = []
    for condition in conditions:
        window = select(e.instance, e.received_at).where(condition).order_by(e.id).limit(LOOKED).subquery()
        windows.append(select(window))
    seen = union_all(*windows).subquery()
    columns = (seen.c.instance, func.min(seen.c.received_at), func.max(seen.c.received_at))
    rows = conn.execute(select(*columns).group_by(seen.c.instance)).all()
    beyond = max((last for _, _, last in rows), default=None)
    found = {instance: first for instance, first, _ in rows}
    return found if beyond is None else dict.fromkeys(waiting, beyond) | found


def _work(conn: Connection) -> tuple[Work, ...]:
    o = t.outbox.c
    by = (o.destination, o.state)
    open_rows = select(*by, func.count().label("n"), func.min(o.due_at).label("at"))
    parked = select(*by, func.count(), func.min(func.coalesce(o.settled_at, o.created_at)))
    rows = [
        *conn.execute(open_rows.where(text("state IN ('queued', 'leased', 'uncertain')")).group_by(*by)),
        *conn.execute(parked.where(text("state = 'parked'")).group_by(*by)),
    ]
    return tuple(Work(destination=destination, state=state, n=n, oldest_at=at) for destination, state, n, at in rows)
