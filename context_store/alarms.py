"""What a person must know, until it is over. `evidence.alarms` lists those that stand."""

from sqlalchemy import Connection, update

from context_store import bulk
from context_store.tables import alarms

UNPROVED = "acknowledgements"
"""What goes to addresses that nobody vouches for is at its limit."""
PINS = "pins"
"""PINs are at their limit."""
HOUR_MS = 3_600_000


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


def passed(conn: Connection, now: int) -> None:
    """Limits by the hour that held nothing back for an hour. By time alone, for nothing may come that shows it."""
    by_the_hour = alarms.c.key.in_((UNPROVED, PINS))
    quiet = (alarms.c.cleared_at.is_(None), alarms.c.last_at <= now - HOUR_MS)
    conn.execute(update(alarms).where(by_the_hour, *quiet).values(cleared_at=now))
