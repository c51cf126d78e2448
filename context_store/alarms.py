"""What a person must know, until it is over. `evidence.alarms` lists those that stand."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, or_, select, update

from context_store import bulk
from context_store.tables import alarms

UNPROVED = "acknowledgements"
"""What goes to addresses that nobody vouches for is at its limit."""
PINS = "pins"
"""PINs are at their limit."""
WATCHED = ("broken", "failing", "silence", "fabric")
"""Kinds that a node says again each minute while they last. A kind is what stands before the colon of a key."""
HOUR_MS = 3_600_000
UNSAID_MS = 600_000
"""After which what a node watches is over: no node says it any more, so the one that did is gone. Clocks may differ."""


def raise_(conn: Connection, key: str, what: str, now: int) -> None:
    """Raised again it counts up and keeps its beginning; a cleared one begins anew."""
    bulk.insert(
        conn,
        alarms,
        ("key", "what", "raised_at", "last_at", "times"),
        [(key, what, now, now, 1)],
        conflict="""ON CONFLICT (key) DO UPDATE SET what = excluded.what, last_at = excluded.last_at,
            raised_at = CASE WHEN alarms.cleared_at IS NULL THEN alarms.raised_at ELSE excluded.raised_at END,
            times = CASE WHEN alarms.cleared_at IS NULL THEN alarms.times + 1 ELSE 1 END, cleared_at = NULL""",
    )


def clear(conn: Connection, key: str, now: int) -> bool:
    """False: it did not stand."""
    standing = (alarms.c.key == key, alarms.c.cleared_at.is_(None))
    return conn.execute(update(alarms).where(*standing).values(cleared_at=now)).rowcount == 1


def standing(conn: Connection, kinds: Collection[str]) -> dict[str, str]:
    """Key → words of those of these kinds that are not over."""
    wanted = select(alarms.c.key, alarms.c.what).where(_of(kinds), alarms.c.cleared_at.is_(None))
    return {row.key: row.what for row in conn.execute(wanted)}


def passed(conn: Connection, now: int) -> None:
    """Limits by the hour that held nothing back for an hour, and what no node says any more.

    By time alone, for nothing may come that shows it.
    """
    for kinds, life in (((UNPROVED, PINS), HOUR_MS), (WATCHED, UNSAID_MS)):
        quiet = (alarms.c.cleared_at.is_(None), alarms.c.last_at <= now - life)
        conn.execute(update(alarms).where(_of(kinds), *quiet).values(cleared_at=now))


def _of(kinds: Collection[str]) -> ColumnElement[bool]:
    return or_(*(or_(alarms.c.key == kind, alarms.c.key.startswith(f"{kind}:")) for kind in kinds))
