"""Who runs what only one node may run. Leases end by PostgreSQL's clock; a SQLite file has one owner and needs none.

The fence grows with every new holder. What a runner writes under its lease names the fence, and is refused in the same
transaction once another holds it: a node that stood still for a minute moves no cursor back.
"""

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from context_store.ids import database_ms
from context_store.tables import leases

_l = leases.c


def take(conn: Connection, name: str, holder: str, lasts: int) -> int | None:
    """The fence, if nobody else holds it; `lasts` in milliseconds."""
    now = database_ms(conn)
    new = insert(leases).values(name=name, holder=holder, until=now + lasts, fence=1)
    ours = new.on_conflict_do_update(
        index_elements=[_l.name],
        set_={"holder": holder, "until": now + lasts, "fence": _l.fence + 1},
        where=_l.until <= now,
    )
    fence: int | None = conn.scalar(ours.returning(_l.fence))
    return fence


def keep(conn: Connection, name: str, fence: int, lasts: int) -> bool:
    """False: another node has taken it meanwhile."""
    mine = update(leases).where(_l.name == name, _l.fence == fence)
    return conn.execute(mine.values(until=database_ms(conn) + lasts)).rowcount == 1


def drop(conn: Connection, name: str, fence: int) -> None:
    """Another node may have it at once."""
    conn.execute(update(leases).where(_l.name == name, _l.fence == fence).values(until=0))


def holds(conn: Connection, name: str, fence: int) -> bool:
    """Is it still ours? Nobody can take it until this transaction has ended."""
    mine = select(_l.fence).where(_l.name == name, _l.fence == fence).with_for_update(read=True)
    return conn.scalar(mine) is not None
